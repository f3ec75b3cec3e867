"""
The channel: what a user gets when the two partners are connected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    INegotiated,
    IProducer,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
    ITransport,
    IUNIXTransport,
)
from zope.interface import alsoProvides, implementer

from twisted_transfer.channel.delivery import Intake
from twisted_transfer.channel.inbox import Data
from twisted_transfer.channel.link import Link
from twisted_transfer.interfaces import StreamProtocol
from twisted_transfer.text.settings import TextSettings
from twisted_transfer.tls.keys import PeerIdentity

if TYPE_CHECKING:
    from twisted_transfer.connecting.connector import TransferConnector


_P = TypeVar("_P", bound=IProtocol | StreamProtocol)
_Self = TypeVar("_Self", bound="Readable")


class Readable:
    """
    What can be read, in two ways, one at a time: by a protocol, or by asking.
    """

    _intake: Intake

    def start(self, protocol: _P) -> _P:
        """
        Hand the connection to a protocol.

        It gets everything that nobody has read yet.  When the partner ends
        its output, a protocol that provides ``IHalfCloseableProtocol`` is told
        so; for any other one the channel is closed after what it wrote.  With
        an encoding set, ``dataReceived`` gets ``str``.

        :param protocol: gets this channel as its transport.
        :returns: the protocol.
        :raises AlreadyReading: if there is a protocol already, or a read waits.
        """
        self._intake.start(protocol)
        return protocol

    def read(self, n: int = 65536) -> Deferred[Any]:
        """
        Wait for data.

        :param n: at most so many bytes, or characters if an encoding is set.
        :returns: a Deferred with ``bytes`` (``str``): at least one unit, or an
            empty one after an orderly end.  It fails with ``Truncated`` when
            everything that came before a truncation was read, and with
            ``Undecodable`` at input that is not valid in the encoding.
            Cancelling it takes nothing.
        :raises AlreadyReading: if another read waits, or a protocol reads.
        """
        if n < 1:
            raise ValueError(f"read() of {n}: ask for at least 1")
        return self._intake.inbox.read(n)

    def readExactly(self, n: int) -> Deferred[Any]:
        """
        Wait for exactly so much data.

        :param n: so many bytes, or characters if an encoding is set.
        :returns: as for :meth:`read`; it fails with ``NotEnoughData`` when the
            partner ends before.
        :raises AlreadyReading: if another read waits, or a protocol reads.
        """
        if n < 0:
            raise ValueError(f"readExactly() of {n}: ask for 0 or more")
        return self._intake.inbox.readExactly(n)

    def readLine(self, limit: int = 65536) -> Deferred[Any]:
        """
        Wait for a line.

        :param limit: the longest line to take, with its newline.
        :returns: as for :meth:`read`: the line with its newline, the rest if
            there is no newline before the end, empty at the end.  It fails
            with ``LineTooLong``, and then nothing was taken.
        :raises AlreadyReading: if another read waits, or a protocol reads.
        """
        return self._intake.inbox.readLine(limit)

    def __aiter__(self: _Self) -> _Self:
        """Read chunk by chunk up to the end."""
        return self

    async def __anext__(self) -> Any:
        chunk: Data = await self.read()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def pauseProducing(self) -> None:
        """Stop giving data to the protocol; the partner has to wait."""
        self._intake.pause()

    def resumeProducing(self) -> None:
        """Go on giving data to the protocol."""
        self._intake.resume()


_TRANSPORTS = (
    INegotiated,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
    IUNIXTransport,
)
# What these interfaces have beyond ITransport is the transport's own matter.
_DELEGATED = frozenset(
    name for interface in _TRANSPORTS for name in interface.names(all=True)
)

Separator = str | Sequence[str] | None
"""A text setting: one value, an (input, output) pair, or None."""


@implementer(ITransport, IConsumer, IPushProducer)
class TransferChannel(Readable):
    """
    One connection between two partners.

    It can be read in two ways, one at a time: hand it to a protocol with
    :meth:`start`, or ask with :meth:`read`, :meth:`readExactly`,
    :meth:`readLine` and ``async for``.  What comes before anybody reads is
    kept, up to a bound, behind which the partner has to wait.

    Beside the interfaces declared here it provides those of its transport
    (``ITCPTransport``, ``ISSLTransport``, …), so that a protocol finds what it
    expects.

    :ivar connector: the ``TransferConnector`` that made it, or None.
    :ivar losing: whether this side has begun to close the connection.
    :ivar disconnecting: the same, by the name at which protocols look.
    """

    def __init__(
        self,
        link: Link,
        connector: TransferConnector | None = None,
        settings: TextSettings = TextSettings.BINARY,
    ) -> None:
        """
        :param link: the connection, with its set-up done.
        :param connector: what made the connection.
        :param settings: the text settings to begin with.
        """
        self.connector = connector
        self._link = link
        assert link.transport is not None
        self._transport: Any = link.transport
        for interface in _TRANSPORTS:
            if interface.providedBy(self._transport):
                alsoProvides(self, interface)
        self._settings = settings
        self._encoder = settings.newEncoder()
        self._intake = Intake(self, link, settings)
        self._producer: IProducer | None = None
        self.losing = False
        self._ending = False  # this side's output is to end
        self._outputDone = False
        link.attach(self._intake)
        self._intake.regulate()

    def __repr__(self) -> str:
        state = "lost" if self._link.lost else "open"
        return f"<TransferChannel {state} {self.getHost()} - {self.getPeer()}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in _DELEGATED:
                return getattr(self._transport, name)
            raise AttributeError(f"a TransferChannel has no attribute {name!r}")

    # Who.

    @property
    def peerIdentity(self) -> PeerIdentity | None:
        """The partner's certificate and pin, or None where TLS showed none."""
        return self._link.peerIdentity

    def getPeer(self) -> IAddress:
        """:returns: the partner's address, also after the end."""
        return self._link.addresses()[1]

    def getHost(self) -> IAddress:
        """:returns: this side's address, also after the end."""
        return self._link.addresses()[0]

    # Writing.

    def write(self, data: Data) -> None:
        """
        Send some data; the order is kept.

        After :meth:`loseConnection` it is dropped, as Twisted's transports do,
        unless a producer is still registered.

        :param data: ``bytes``, or ``str`` if an encoding is set.
        """
        encoded = self._encoder.encode(data)
        if self._outputDone:
            return
        if not self._link.write(encoded):
            self._stopProducer()

    def writeSequence(self, data: Iterable[Data]) -> None:
        """Send several pieces of data, as :meth:`write` does."""
        for piece in data:
            self.write(piece)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        Let a producer write, at the pace at which the partner takes it.

        :param producer: a push producer, or a pull producer.
        :param streaming: whether it is a push producer.
        """
        if self._outputDone or self._link.lost:
            producer.stopProducing()
            return
        # A pull producer is asked, and may be through, before this returns.
        before, self._producer = self._producer, producer
        try:
            self._transport.registerProducer(producer, streaming)
        except BaseException:
            self._producer = before
            raise

    def unregisterProducer(self) -> None:
        """The producer has written everything."""
        self._producer = None
        self._transport.unregisterProducer()
        if self.losing:
            self._finishOutput()
            self._link.close()
        elif self._ending:
            self.writeEOF()

    def _stopProducer(self) -> None:
        producer = self._producer
        if producer is not None:
            self.unregisterProducer()
            producer.stopProducing()

    def _finishOutput(self) -> None:
        """Write what the text settings want at the end, once."""
        if not self._outputDone:
            tail = self._encoder.finish()
            if tail:
                self._link.write(tail)
            self._outputDone = True

    # Text.

    def configure(
        self,
        *,
        translation: Separator = None,
        encoding: str | None = None,
        eofChar: Separator = None,
    ) -> None:
        """
        Change how text is carried, as Tcl's ``fconfigure`` does (Tcl 8.6).

        It holds for everything that was not read yet and for everything that
        is written from here on.

        :param translation: newlines: ``auto``, ``binary``, ``cr``, ``crlf`` or
            ``lf``; one value, or a pair for input and output.
        :param encoding: an encoding by Tcl's or Python's name; ``binary`` for
            bytes.
        :param eofChar: the character that ends the input, and that ends the
            output; one value, or a pair; empty for none.
        :raises BadOption: if a value cannot be; nothing is changed then.
        """
        self._settings = self._settings.replaced(
            translation=translation, encoding=encoding, eofChar=eofChar
        )
        # An encoding with states is brought back to its first one before another
        # one begins.
        flushed = self._encoder.flush()
        if flushed and not self._outputDone:
            self._link.write(flushed)
        self._encoder = self._settings.newEncoder(self._encoder)
        self._intake.configure(self._settings)

    # The end.

    def writeEOF(self) -> None:
        """
        End this side's output and go on reading.

        A registered producer may write to its end first.

        :raises HalfCloseUnsupported: if the connection cannot do that, as TLS.
        """
        self._link.checkHalfClose()
        if self._outputDone or self.losing or self._link.lost:
            return
        self._ending = True
        if self._producer is None:
            self._finishOutput()
            self._link.closeWrite()

    def loseWriteConnection(self) -> None:
        """:meth:`writeEOF`, by the name that ``ITCPTransport`` gives it."""
        self.writeEOF()

    def loseConnection(self) -> None:
        """
        Close the connection after what was written.

        A registered producer may write to its end first.  Over TLS a partner
        that does not answer is left after a bounded time, and
        :meth:`whenClosed` then fails.
        """
        if self.losing or self._link.lost:
            return
        if self._producer is None:
            self._finishOutput()
            self.losing = True
            self._link.close()
        else:
            self.losing = True

    @property
    def disconnecting(self) -> bool:
        """Whether this side has begun to close the connection."""
        return self.losing

    def stopProducing(self) -> None:
        """Close the connection, as Twisted's own transports do here."""
        self.loseConnection()

    def abortConnection(self) -> None:
        """Close the connection at once; what was not sent yet is lost."""
        self.losing = self._outputDone = True
        self._link.abort()

    def whenClosed(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when the connection has ended: with
            None after an orderly end, or with ``Truncated`` as its failure.
            It may be asked at any time and any number of times.
        """

        def judged(ignored: None) -> None:
            if self._link.truncation is not None:
                raise self._link.truncation

        return self._link.whenGone().addCallback(judged)


def clockOf(channel: TransferChannel) -> IReactorTime:
    """
    :param channel: any channel.
    :returns: what measures its time.
    """
    return channel._link.clock


def transportOf(channel: TransferChannel) -> Any:
    """
    :param channel: any channel.
    :returns: what carries its bytes, with all its layers.
    """
    return channel._transport


def settingsOf(channel: TransferChannel) -> TextSettings:
    """
    :param channel: any channel.
    :returns: its text settings.
    """
    return channel._settings


@contextmanager
def writingBy(channel: TransferChannel, settings: TextSettings) -> Iterator[None]:
    """
    Write by other text settings for a while; reading goes on as before.

    :param channel: is to be written.
    :param settings: hold for what is written in the block of this context.
    """
    if settings == channel._settings:
        yield
        return
    _write(channel, settings)
    try:
        yield
    finally:
        _write(channel, channel._settings)


def _write(channel: TransferChannel, settings: TextSettings) -> None:
    # An encoding with states is brought back to its first one before another
    # one begins.
    flushed = channel._encoder.flush()
    if flushed and not channel._outputDone:
        channel._link.write(flushed)
    channel._encoder = settings.newEncoder(channel._encoder)
