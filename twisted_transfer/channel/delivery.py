"""
The input of a channel: who reads it, and how fast it may come.

Until there is a reader, and for one that asks with ``read()``, input waits in the
:mod:`~twisted_transfer.channel.inbox`.  A protocol gets what waits there first, and
then, where no text setting has to look at the bytes, what the transport delivers
with nothing in between.
"""

from __future__ import annotations

import os
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.interfaces import (
    IDelayedCall,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocol,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_transfer.channel.inbox import Inbox
from twisted_transfer.channel.link import Link
from twisted_transfer.errors import AlreadyReading, Truncated
from twisted_transfer.states import State
from twisted_transfer.text.settings import TextSettings


class IReadChannel(TypingProtocol):
    """The channel, as far as its input is concerned."""

    @property
    def losing(self) -> bool:
        """Whether this side has begun to close the connection."""

    def stopProducing(self) -> None:
        """Close the connection: the partner sends no more."""

    def abortConnection(self) -> None:
        """Close the connection at once."""


class Reader(State):
    """Who gets the input."""

    NOBODY = "nobody, or one who asks"
    QUEUED = "a protocol, what waits first"
    DIRECT = "a protocol, from the transport"
    ENDED = "a protocol, and the input has ended"
    OVER = "nobody: the connection is gone"


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
    Brings what the link receives to the one that reads the channel.

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
        """Whether there is something to read, or the end."""
        return self._unread is not None and self._unread.stirring

    # Who reads.

    def start(self, protocol: Any) -> None:
        """
        Give everything that nobody has read yet to a protocol.

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
        What one who asks reads from.

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
        Read by other settings from here on.

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

    # How fast.

    def pause(self) -> None:
        """Give nothing more; the partner has to wait."""
        self._paused = True
        self._regulate()

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._goOn()

    def _goOn(self) -> None:
        """
        Deliver what waits in the next turn of the reactor, as Twisted's transports
        do.

        A protocol is not prepared to get data from within a call of its own, nor
        a user who waits for a connected protocol before having it.
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
        """Take the short way if nothing waits; then say how fast more may come."""
        if self._state is Reader.QUEUED and self._binary and not self._waits:
            self._step(Reader.DIRECT)
            self._link.attach(self)
        self._regulate()

    def _regulate(self) -> None:
        """Let the partner go on, or wait."""
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
        """What takes bytes in the present state."""
        return self._pass if self._state is Reader.DIRECT else self._keep

    def _pass(self, data: bytes) -> None:
        """Give bytes straight to the protocol."""
        try:
            self.protocol.dataReceived(data)  # type: ignore[union-attr]
        except Exception:
            self._fail()

    def _keep(self, data: bytes) -> None:
        """Put bytes behind those that wait already."""
        if self._channel.losing:
            return  # nobody gets them, and a producer may take long to its end
        self._busy = True  # how much is left is known after the reader's turn
        self._inbox.feed(data)
        self._busy = False
        self._deliver()

    def inputEnded(self) -> None:
        """The partner sends no more."""
        if self._state is Reader.DIRECT and not self._paused:
            try:
                self._tellInputEnded()
            except Exception:
                self._fail()
        else:
            self._inbox.end()
            self._deliver()

    def outputEnded(self) -> None:
        """This side's half-close is done."""
        protocol = self.protocol
        if protocol is not None and IHalfCloseableProtocol.providedBy(protocol):
            protocol.writeConnectionLost()

    def handshakeCompleted(self) -> None:
        """TLS that was started on the channel has its handshake."""
        protocol = self.protocol
        if protocol is not None and IHandshakeListener.providedBy(protocol):
            protocol.handshakeCompleted()

    def descriptorArrived(self, descriptor: int) -> None:
        """A file descriptor came; with nobody to take it, it is closed."""
        protocol = self.protocol
        if protocol is None or not IFileDescriptorReceiver.providedBy(protocol):
            os.close(descriptor)
            return
        try:
            protocol.fileDescriptorReceived(descriptor)
        except Exception:
            self._fail()

    def linkLost(self, reason: Failure, truncation: Truncated | None) -> None:
        """The connection is gone."""
        self._lost = reason
        if self._state in (Reader.DIRECT, Reader.ENDED):
            self._tellLost(reason)
        else:
            self._inbox.end(truncation)
            self._deliver()

    # What a protocol gets of what waits.

    def _deliver(self) -> None:
        """Give the protocol what there is, as long as it takes it."""
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
