"""
The input of a channel: which reader gets it, with back-pressure.

Until there is a reader, and for ``read()`` and its like, input is buffered in the
:mod:`~twisted_transfer.channel.inbox`.  A protocol gets the buffered input first, and
then, unless a text setting has to decode it, each chunk directly from the transport.
"""

from __future__ import annotations

from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.interfaces import (
    IDelayedCall,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocol,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_transfer.channel.inbox import Inbox
from twisted_transfer.channel.link import Link
from twisted_transfer.errors import AlreadyReading, Truncated
from twisted_transfer.states import State
from twisted_transfer.text.settings import TextSettings


class IReadChannel(TypingProtocol):
    """What the delivery of input needs of a channel."""

    @property
    def losing(self) -> bool:
        """Whether this side has begun to close the connection."""

    def stopProducing(self) -> None:
        """Close the connection: the partner sends no more."""

    def abortConnection(self) -> None:
        """Close the connection at once."""


class Reader(State):
    """Which reader gets the input."""

    NOBODY = "no protocol: input is buffered for read()"
    QUEUED = "a protocol, from the buffer"
    DIRECT = "a protocol, from the transport"
    ENDED = "a protocol, and the input has ended"
    OVER = "no reader: the connection is gone"


READER_STEPS = {
    Reader.NOBODY: {Reader.QUEUED},
    Reader.QUEUED: {Reader.DIRECT, Reader.ENDED, Reader.OVER},
    Reader.DIRECT: {Reader.QUEUED, Reader.ENDED, Reader.OVER},
    Reader.ENDED: {Reader.OVER},
    Reader.OVER: set(),
}
"""The states that may follow each state."""


class Delivery:
    """
    Delivers what the link receives to the reader of the channel.

    :ivar protocol: the protocol that has the channel, or None.  It may be
        replaced; the next bytes go to the new one.
    """

    _log = Logger()

    def __init__(
        self, channel: IReadChannel, link: Link, settings: TextSettings
    ) -> None:
        """
        :param channel: what a protocol gets as its transport.
        :param link: where the bytes come from.
        :param settings: the text settings to begin with.
        """
        self.protocol: IProtocol | None = None
        self._channel = channel
        self._link = link
        self._settings = settings
        # A decoder of text may still owe something to what comes after it.
        self._binary = settings.isBinary  # and always was
        self._state = Reader.NOBODY
        self._unread: Inbox | None = None  # made when something has to wait
        self._paused = False  # by the reader
        self._busy = False  # the reader is being given something
        self._soon: IDelayedCall | None = None  # the next delivery
        self._lost: Failure | None = None
        self._error: Failure | None = None  # what the protocol has raised

    def _step(self, state: Reader) -> None:
        self._state = self._state.then(state, READER_STEPS)

    @property
    def _inbox(self) -> Inbox:
        if self._unread is None:
            self._unread = Inbox(self._settings, self._regulate)
        return self._unread

    @property
    def _waits(self) -> bool:
        """Whether the buffer holds data, or the end of the input."""
        return self._unread is not None and self._unread.stirring

    # Who reads.

    def start(self, protocol: Any) -> None:
        """
        Deliver everything that was not read yet to a protocol.

        :param protocol: gets the channel as its transport.
        :raises AlreadyReading: if there is a reader already.
        """
        if self._state is not Reader.NOBODY or (self._unread and self._unread.busy):
            raise AlreadyReading(
                "this channel has a reader already; a channel is read either by "
                "one protocol or by one waiting read at a time"
            )
        self._step(Reader.QUEUED)
        self.protocol = protocol
        try:
            protocol.makeConnection(self._channel)
            if self._link.secure and IHandshakeListener.providedBy(protocol):
                protocol.handshakeCompleted()
        except BaseException:
            self._channel.abortConnection()
            raise
        finally:
            self._goOn()

    @property
    def inbox(self) -> Inbox:
        """
        The buffer that ``read()`` and its like read from.

        :raises AlreadyReading: if a protocol reads.
        """
        if self._state is not Reader.NOBODY:
            raise AlreadyReading(
                "this channel was handed to a protocol, which gets everything; "
                "read from it before start(), or not at all"
            )
        self._paused = False
        return self._inbox

    def configure(self, settings: TextSettings) -> None:
        """
        Decode by other text settings from here on.

        :param settings: hold for everything that was not read yet.
        """
        self._settings = settings
        self._binary = self._binary and settings.isBinary
        if self._unread is not None:
            self._unread.configure(settings)
        if self._state is Reader.DIRECT:
            self._step(Reader.QUEUED)
            self._link.attach(self)
        self._goOn()

    @property
    def direct(self) -> bool:
        """Whether the protocol gets chunks as they come from the transport."""
        return self._state is Reader.DIRECT

    # How fast.

    def pause(self) -> None:
        """Pause the delivery, and the transport with it."""
        self._paused = True
        self._regulate()

    def resume(self) -> None:
        """Resume the delivery."""
        self._paused = False
        self._goOn()

    def _goOn(self) -> None:
        """
        Deliver buffered input in the next turn of the reactor.

        A protocol does not expect data from within a call of its own, and a user
        who waits for a connected protocol has to get the protocol before the data.
        """
        if (
            self._state in (Reader.QUEUED, Reader.DIRECT)
            and self._waits
            and not self._busy
            and self._soon is None
        ):
            self._soon = self._link.clock.callLater(0, self._deliver)
        self._settle()

    def _settle(self) -> None:
        """Deliver directly once the buffer is empty; pause or resume the transport."""
        if self._state is Reader.QUEUED and self._binary and not self._waits:
            self._step(Reader.DIRECT)
            self._link.attach(self)
        self._regulate()

    def _regulate(self) -> None:
        """Pause or resume the transport."""
        if self._busy or self._lost is not None or self._channel.losing:
            return
        hold = self._paused or not (self._unread is None or self._unread.wanting)
        if hold is not self._link.paused:
            if hold:
                self._link.pause()
            else:
                self._link.resume()

    # What the link tells.

    @property
    def bytesArrived(self) -> Any:
        """The method that takes chunks in the present state."""
        return self._pass if self._state is Reader.DIRECT else self._keep

    def _pass(self, data: bytes) -> None:
        """Give a chunk directly to the protocol."""
        try:
            self.protocol.dataReceived(data)  # type: ignore[union-attr]
        except Exception:
            self._fail()

    def _keep(self, data: bytes) -> None:
        """Append a chunk to the buffer, and deliver what the reader takes."""
        if self._channel.losing:
            return  # nobody gets them, and a producer may take long to its end
        self._busy = True  # how much is left is known after the reader's turn
        self._inbox.feed(data)
        self._busy = False
        self._deliver()

    def inputEnded(self) -> None:
        """Tell the reader, after everything buffered, that the input has ended."""
        if self._state is Reader.DIRECT and not self._paused:
            try:
                self._tellInputEnded()
            except Exception:
                self._fail()
        else:
            self._inbox.end()
            self._deliver()

    def outputEnded(self) -> None:
        """Tell the protocol that this side's half-close is done."""
        protocol = self.protocol
        if protocol is not None and IHalfCloseableProtocol.providedBy(protocol):
            protocol.writeConnectionLost()

    def handshakeCompleted(self) -> None:
        """Tell the protocol that TLS started on the channel has its handshake."""
        protocol = self.protocol
        if protocol is not None and IHandshakeListener.providedBy(protocol):
            protocol.handshakeCompleted()

    def descriptorArrived(self, descriptor: int) -> bool:
        """Pass a file descriptor on, if the protocol takes one."""
        protocol = self.protocol
        if protocol is None or not IFileDescriptorReceiver.providedBy(protocol):
            return False
        try:
            protocol.fileDescriptorReceived(descriptor)
        except Exception:
            self._fail()
        return True

    def linkLost(self, reason: Failure) -> None:
        """Tell the reader, after everything buffered, that the connection is gone."""
        truncation = self._link.truncation
        if truncation is None:
            reason = connectionDone
        self._lost = reason
        if self._state in (Reader.DIRECT, Reader.ENDED):
            self._tellLost(reason)
        else:
            self._inbox.end(truncation)
            self._deliver()

    # What a protocol gets of what waits.

    def _deliver(self) -> None:
        """Deliver buffered input until the protocol pauses or nothing is left."""
        if self._soon is not None:
            if self._soon.active():
                self._soon.cancel()
            self._soon = None
        protocol = self.protocol
        if self._busy:
            return
        if protocol is not None and self._state is not Reader.OVER:
            self._busy = True
            try:
                self._giveAll()
            except Exception:
                self._fail()
            finally:
                self._busy = False
            if self._lost is not None and self.protocol is not None:
                self._tellLost(self._lost)
        self._settle()

    def _giveAll(self) -> None:
        # What came before the connection was lost is the protocol's, even if it
        # has paused; nothing can hold it back any longer.  A protocol that has
        # closed, or was left because of an error, gets nothing more.
        while not self._channel.losing:
            if self._paused and self._lost is None:
                return
            chunk = self._inbox.takeChunk()
            if chunk is None:
                break
            self.protocol.dataReceived(chunk)  # type: ignore[union-attr, arg-type]
        if self._lost is None and self._inbox.atEnd and not self._paused:
            if self._inbox.error is not None:
                self._channel.abortConnection()
            elif self._state is not Reader.ENDED:
                self._tellInputEnded()

    def _fail(self) -> None:
        """
        Log an error of the protocol's that is being handled, and abort.

        The partner must not take the end for an orderly one.
        """
        self._error = Failure()
        self._log.failure(
            "unhandled error in {protocol}", self._error, protocol=self.protocol
        )
        self._channel.abortConnection()

    def _tellLost(self, reason: Failure) -> None:
        self._step(Reader.OVER)
        error = None if self._unread is None else self._unread.error
        if self._error is not None:
            reason = self._error
        elif error is not None and not isinstance(error, Truncated):
            reason = Failure(error)
        try:
            self.protocol.connectionLost(reason)  # type: ignore[union-attr]
        except Exception:
            self._fail()
        self.protocol = None

    def _tellInputEnded(self) -> None:
        self._step(Reader.ENDED)
        protocol = self.protocol
        if IHalfCloseableProtocol.providedBy(protocol):
            protocol.readConnectionLost()
        else:
            self._channel.stopProducing()
