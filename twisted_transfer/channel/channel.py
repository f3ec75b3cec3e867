"""
The channel: what a user gets when the two partners are connected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
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
from zope.interface import implementer, providedBy
from zope.interface.declarations import Provides

from twisted_transfer.channel.delivery import Delivery
from twisted_transfer.channel.inbox import Data
from twisted_transfer.channel.link import Link
from twisted_transfer.interfaces import StreamProtocol
from twisted_transfer.layers import bottomOf, isBare, nameInLog
from twisted_transfer.states import State
from twisted_transfer.text.codec import Encoder
from twisted_transfer.text.settings import TextSettings
from twisted_transfer.tls.keys import PeerIdentity

if TYPE_CHECKING:
    from twisted_transfer.connecting.connector import TransferConnector

_P = TypeVar("_P", bound=IProtocol | StreamProtocol)

Separator = str | Sequence[str] | None
"""A text setting: one value, an (input, output) pair, or None."""

_TRANSPORTS = (
    INegotiated,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
    IUNIXTransport,
)


@lru_cache(maxsize=64)
def _kinds(provided: Any) -> Any:
    """
    :param provided: the interfaces of a transport.
    :returns: those of a channel above it.  Making them anew for each channel would
        take longer than the rest of its set-up.
    """
    found = (each for each in _TRANSPORTS if provided.isOrExtends(each))
    return Provides(TransferChannel, *found)


class Output(State):
    """How far this side's output is."""

    OPEN = "open"
    ENDING = "a producer writes to its end, then the output ends"
    LOSING = "a producer writes to its end, then the connection ends"
    ENDED = "ended"
    CLOSED = "ended, and the connection is being closed"


OUTPUT_STEPS = {
    Output.OPEN: {Output.ENDING, Output.LOSING, Output.ENDED, Output.CLOSED},
    Output.ENDING: {Output.LOSING, Output.ENDED, Output.CLOSED},
    Output.LOSING: {Output.CLOSED},
    Output.ENDED: {Output.CLOSED},
    Output.CLOSED: set(),
}
"""The states that may follow each state."""


@implementer(ITransport, IConsumer, IPushProducer)
class TransferChannel:
    """
    One connection between two partners.

    It can be read in two ways, one at a time: hand it to a protocol with
    :meth:`start`, or ask with :meth:`read`, :meth:`readExactly`,
    :meth:`readLine` and ``async for``.  What comes before there is a reader is
    kept, up to a bound, behind which the partner has to wait.

    It is a transport like Twisted's own.  Beside the interfaces declared here it
    provides those of the transport under it (``ITCPTransport``,
    ``ISSLTransport``, …), and passes on every other attribute of that.

    :ivar connector: the ``TransferConnector`` that made it, or None.
    """

    write: Callable[[Data], None]
    """
    Send some data; the order is kept.

    After :meth:`loseConnection` it is dropped, unless a producer is still
    registered.  The data are ``bytes``, or ``str`` if an encoding is set.
    """

    def __init__(
        self,
        link: Link,
        connector: TransferConnector | None = None,
        settings: TextSettings = TextSettings.BINARY,
        dialled: bool = True,
        acceptUnclosed: bool = False,
        idle: float | None = None,
    ) -> None:
        """
        :param link: the connection, with its set-up done.
        :param connector: what made the connection.
        :param settings: the text settings to begin with.
        :param dialled: whether this side has dialled.
        :param acceptUnclosed: see ``TransferConnector``.
        :param idle: see ``TransferConnector``.
        """
        self.connector = connector
        self._link = link
        link.acceptUnclosed = acceptUnclosed
        if idle is not None:
            link.watchIdle(idle)
        self._transport: Any = link.transport
        self._client = self._dialled = dialled
        self.__provides__ = _kinds(providedBy(self._transport))
        self._output = Output.OPEN
        self._encoder: Encoder | None = None
        self._settings = settings
        self._writeBy(settings)
        self._delivery = Delivery(self, link, settings)
        link.attach(self._delivery)

    def __repr__(self) -> str:
        state = "lost" if self._link.lost else "open"
        return f"<TransferChannel {state} {self.getHost()} - {self.getPeer()}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(f"a TransferChannel has no attribute {name!r}")
            return getattr(self._transport, name)

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

    # Reading.

    def start(self, protocol: _P, client: bool | None = None) -> _P:
        """
        Hand the connection to a protocol.

        It gets everything that nobody has read yet.  When the partner ends
        its output, a protocol that provides ``IHalfCloseableProtocol`` is told
        so; for any other one the channel is closed after what it wrote.  With
        an encoding set, ``dataReceived`` gets ``str``.

        :param protocol: gets this channel as its transport.
        :param client: whether the protocol is the client of this connection, for
            a later :meth:`startTLS`; None: if this side has dialled.
        :returns: the protocol.
        :raises AlreadyReading: if there is a protocol already, or a read waits.
        """
        if client is not None:
            self._client = client
        nameInLog(self._transport, self._link.logPrefix(), protocol)
        self._delivery.start(protocol)
        return protocol

    @property
    def protocol(self) -> IProtocol | None:
        """
        The protocol that has the channel, or None.

        Another one that is put in its place gets what comes from then on.
        """
        return self._delivery.protocol

    @protocol.setter
    def protocol(self, protocol: IProtocol) -> None:
        self._delivery.protocol = protocol

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
        return self._delivery.inbox.read(n)

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
        return self._delivery.inbox.readExactly(n)

    def readLine(self, limit: int = 65536) -> Deferred[Any]:
        """
        Wait for a line.

        :param limit: how many bytes or characters the line may have, with its
            newline; at least 1.
        :returns: as for :meth:`read`: the line with its newline, the rest if
            there is no newline before the end, empty at the end.  It fails
            with ``LineTooLong``, and then nothing was taken.
        :raises AlreadyReading: if another read waits, or a protocol reads.
        """
        if limit < 1:
            raise ValueError(f"readLine() with the limit {limit}: give at least 1")
        return self._delivery.inbox.readLine(limit)

    def __aiter__(self) -> TransferChannel:
        """Read chunk by chunk up to the end."""
        return self

    async def __anext__(self) -> Any:
        chunk: Data = await self.read()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def pauseProducing(self) -> None:
        """Stop giving data to the protocol; the partner has to wait."""
        self._delivery.pause()

    def resumeProducing(self) -> None:
        """Go on giving data to the protocol."""
        self._delivery.resume()

    def stopProducing(self) -> None:
        """
        Close the connection: the partner sends no more, or nobody takes it.

        As with Twisted's own transports a producer is stopped at once; but what
        was written is sent first.
        """
        producer = self._link.wire.producer
        if producer is not None:
            self.unregisterProducer()
            producer.stopProducing()
        self.loseConnection()

    # Writing.

    def _writeBy(self, settings: TextSettings) -> None:
        """Choose what :attr:`write` is, by state and text settings."""
        if self._output in (Output.ENDED, Output.CLOSED):
            self.write = self._drop
        elif settings.isBinary:
            self._encoder = None
            self.write = self._link.wire.write  # type: ignore[assignment]
        else:
            self._encoder = settings.newEncoder(self._encoder)
            self.write = self._encode

    def _drop(self, data: Data) -> None:
        """Do nothing with what is written after the end, if it has the right type."""
        kind = bytes if self._settings.encoding is None else str
        if not isinstance(data, kind):
            raise TypeError(
                f"this channel carries {kind.__name__}, not {type(data).__name__}"
            )

    def _encode(self, data: Data) -> None:
        assert self._encoder is not None
        self._link.wire.write(self._encoder.encode(data))

    def writeSequence(self, data: Iterable[Data]) -> None:
        """Send several pieces of data in one write."""
        empty: Any = b"" if self._settings.encoding is None else ""
        self.write(empty.join(data))

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        Let a producer write, at the pace at which the partner takes it.

        :param producer: a push producer, or a pull producer.
        :param streaming: whether it is a push producer.
        """
        if self._link.lost or self._output in (Output.ENDED, Output.CLOSED):
            producer.stopProducing()
            return
        self._link.wire.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """The producer has written everything."""
        if self._link.lost:
            return
        if self._output is Output.LOSING:
            self._finish(Output.CLOSED)
        self._link.wire.unregisterProducer()
        if self._output is Output.ENDING:
            self._finish(Output.ENDED)
            self._link.wire.closeWrite()
        elif self._output is Output.CLOSED:
            self._link.close()

    def stopConsuming(self) -> None:
        """Have done with the producer, and close the connection."""
        self.unregisterProducer()
        self.loseConnection()

    def _finish(self, state: Output) -> None:
        """Write what the text settings want at the end, and nothing after it."""
        if self._encoder is not None and self._output is not Output.ENDED:
            tail = self._encoder.finish()
            if tail:
                self._link.wire.write(tail)
        self._step(state)
        self._writeBy(self._settings)

    def _step(self, state: Output) -> None:
        self._output = self._output.then(state, OUTPUT_STEPS)

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
        :raises BadOption: if a value is invalid; nothing is changed then.
        """
        self._settings = self._settings.replaced(
            translation=translation, encoding=encoding, eofChar=eofChar
        )
        self._changeOutput(self._settings)
        self._delivery.configure(self._settings)

    def _changeOutput(self, settings: TextSettings) -> None:
        # An encoding with states is brought back to its first one before another
        # one begins.
        flushed = b"" if self._encoder is None else self._encoder.flush()
        if flushed and self._output not in (Output.ENDED, Output.CLOSED):
            self._link.wire.write(flushed)
        self._writeBy(settings)

    # The end.

    def writeEOF(self) -> None:
        """
        End this side's output and go on reading.

        A registered producer may write to its end first.

        :raises HalfCloseUnsupported: if the connection cannot do that, as TLS.
        """
        self._link.wire.checkHalfClose()
        if self._link.lost or self._output is not Output.OPEN:
            return
        if self._link.wire.producer is None:
            self._finish(Output.ENDED)
            self._link.wire.closeWrite()
        else:
            self._step(Output.ENDING)

    def loseWriteConnection(self) -> None:
        """End this side's output; see :meth:`writeEOF`."""
        self.writeEOF()

    def loseConnection(self) -> None:
        """
        Close the connection after what was written.

        As with Twisted's own transports a registered producer may write to its
        end first, but a push producer on a plain connection only if it is paused.
        Over TLS a partner that does not answer is left after a
        bounded time, and :meth:`whenClosed` then fails.
        """
        if self.losing or self._link.lost:
            return
        producing = self._link.wire.producer is not None
        if producing:
            self._step(Output.LOSING)
        else:
            self._finish(Output.CLOSED)
        if not producing or self._encoder is None:
            self._link.close()

    @property
    def losing(self) -> bool:
        """Whether this side has begun to close the connection."""
        return self._output in (Output.LOSING, Output.CLOSED)

    @property
    def disconnecting(self) -> bool:
        """Whether this side has begun to close the connection."""
        return self.losing

    def abortConnection(self) -> None:
        """Close the connection at once; what was not sent yet is lost."""
        if self._output is not Output.CLOSED:
            self._step(Output.CLOSED)
        self._writeBy(self._settings)
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

    # TLS.

    def startTLS(self, contextFactory: Any, normal: bool = True) -> None:
        """
        Begin TLS on a plain connection, as ``ITLSTransport`` says.

        :param contextFactory: options or a context factory, as Twisted's
            transports take them.
        :param normal: whether the client of the connection is the client of TLS,
            whichever side has dialled.
        """
        if self._client is not self._dialled:
            normal = not normal
        self._link.startTLS(self._transport.startTLS, contextFactory, normal)
        self.__provides__ = _kinds(providedBy(self._transport))
        self._writeBy(self._settings)

    # For the rest of the package.

    @property
    def clock(self) -> IReactorTime:
        """What measures the time of this connection."""
        return self._link.clock

    @property
    def settings(self) -> TextSettings:
        """The text settings."""
        return self._settings

    @property
    def bottom(self) -> Any:
        """The transport under all layers."""
        return bottomOf(self._transport)

    @property
    def bareOutput(self) -> Any:
        """
        The transport of a socket, if what is written goes over it as it is and its
        reactor can watch a duplicate of the descriptor; otherwise None.
        """
        return self._bare if self._encoder is None else None

    @property
    def bareInput(self) -> Any:
        """The transport, as above, if what comes goes to the protocol as it is."""
        return self._bare if self._delivery.direct else None

    @property
    def _bare(self) -> Any:
        link = self._link
        looked = link.secure or link.watched or self.bottom is not self._transport
        return None if looked or not isBare(self._transport) else self._transport

    @contextmanager
    def fed(self) -> Iterator[None]:
        """
        Have ``idle`` not count, for a while, the time in which there is nothing to
        send, since a source gives what is sent, and the partner has nothing to say.
        """
        self._link.fed = True
        try:
            yield
        finally:
            self._link.fed = False

    @contextmanager
    def writingBy(self, settings: TextSettings) -> Iterator[None]:
        """
        Write by other text settings for a while; reading goes on as before.

        :param settings: hold for what is written in the block of this context.
        """
        if settings == self._settings:
            yield
            return
        self._changeOutput(settings)
        try:
            yield
        finally:
            self._changeOutput(self._settings)
