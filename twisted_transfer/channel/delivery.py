"""
The input of a channel: who reads it, and how fast it may come.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

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
from twisted_transfer.text.settings import TextSettings

if TYPE_CHECKING:
    from twisted_transfer.channel.channel import TransferChannel


class Intake:
    """
    Brings what the link receives to the one who reads the channel: to a
    protocol, or to whoever asks the inbox.
    """

    _log = Logger()

    def __init__(
        self, channel: TransferChannel, link: Link, settings: TextSettings
    ) -> None:
        """
        :param channel: what a protocol gets as its transport.
        :param link: where the bytes come from.
        :param settings: the text settings to begin with.
        """
        self._channel = channel
        self._link = link
        self._inbox = Inbox(settings, self.regulate)
        self._protocol: IProtocol | None = None
        self._started = False
        self._paused = False  # by the reader
        self._held = True  # the transport, by this object
        self._pumping = False
        self._arriving = False
        self._soon: IDelayedCall | None = None  # the next pumping
        self._toldInputEnded = False
        self._lost: Failure | None = None

    # Who reads.

    def start(self, protocol: Any) -> None:
        """
        :param protocol: gets everything that nobody has read yet.
        :raises AlreadyReading: if there is a reader already.
        """
        if self._started or self._inbox.busy:
            raise AlreadyReading(
                "this channel has a reader already; a channel is read either by "
                "one protocol or by one waiting read at a time"
            )
        self._started = True
        self._protocol = protocol
        try:
            protocol.makeConnection(self._channel)
            if self._link.secure and IHandshakeListener.providedBy(protocol):
                protocol.handshakeCompleted()
        except BaseException:
            self._channel.abortConnection()
            raise
        finally:
            self._pumpSoon()
        self.regulate()

    @property
    def inbox(self) -> Inbox:
        """
        For one who asks.

        :raises AlreadyReading: if a protocol reads.
        """
        if self._started:
            raise AlreadyReading(
                "this channel was handed to a protocol, which gets everything; "
                "read from it before start(), or not at all"
            )
        self._paused = False
        return self._inbox

    def configure(self, settings: TextSettings) -> None:
        """Read by other settings from here on."""
        self._inbox.configure(settings)
        self._pumpSoon()

    # How fast.

    def regulate(self) -> None:
        """Let the partner go on, or wait."""
        if self._arriving or self._lost is not None or self._channel.losing:
            return
        hold = self._paused or not self._inbox.wanting
        if hold and not self._held:
            self._held = True
            self._link.pause()
        elif self._held and not hold:
            self._held = False
            self._link.resume()

    def pause(self) -> None:
        """Give nothing more; the partner has to wait."""
        self._paused = True
        self.regulate()

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._pumpSoon()
        self.regulate()

    # What the link tells.

    def bytesArrived(self, data: bytes) -> None:
        """Some bytes came."""
        # How much is left is known when the reader has had its turn.
        self._arriving = True
        self._inbox.feed(data)
        self._pump()
        self._arriving = False
        self.regulate()

    def inputEnded(self) -> None:
        """The partner sends no more."""
        self._inbox.end()
        self._pump()

    def outputEnded(self) -> None:
        """This side's half-close is done."""
        protocol = self._protocol
        if protocol is not None and IHalfCloseableProtocol.providedBy(protocol):
            protocol.writeConnectionLost()

    def descriptorArrived(self, descriptor: int) -> None:
        """A file descriptor came; with nobody to take it, it is closed."""
        protocol = self._protocol
        if protocol is None or not IFileDescriptorReceiver.providedBy(protocol):
            os.close(descriptor)
            return
        try:
            protocol.fileDescriptorReceived(descriptor)
        except Exception:
            self._fail(protocol)

    def linkLost(self, reason: Failure, truncation: Truncated | None) -> None:
        """The connection is gone."""
        self._lost = reason
        self._inbox.end(truncation)
        self._pump()

    # What a protocol gets.

    def _pumpSoon(self) -> None:
        """
        Go on in the next turn of the reactor, as Twisted's transports do.

        A protocol is not prepared to get data from within a call of its own,
        nor one who waits for a connected protocol before it has that.
        """
        if self._protocol is None or self._pumping or self._soon is not None:
            return
        if self._inbox.stirring:
            self._soon = self._link.clock.callLater(0, self._pump)

    def _pump(self) -> None:
        """Give the protocol what there is, as long as it takes it."""
        protocol = self._protocol
        if self._soon is not None:
            if self._soon.active():
                self._soon.cancel()
            self._soon = None
        if protocol is None or self._pumping:
            return
        self._pumping = True
        try:
            self._deliver(protocol)
        except Exception:
            self._fail(protocol)
        finally:
            self._pumping = False
        if self._lost is not None:
            self._tellLost(protocol, self._lost)
        self.regulate()

    def _deliver(self, protocol: IProtocol) -> None:
        # What came before the connection was lost is the protocol's, even if
        # it had paused; nothing can hold it back any longer.  Who has closed,
        # or has been left because of an error, gets nothing more.
        while not self._channel.losing:
            if self._paused and self._lost is None:
                return
            chunk = self._inbox.takeChunk()
            if chunk is None:
                break
            protocol.dataReceived(chunk)  # type: ignore[arg-type]
        if self._lost is None and self._inbox.atEnd and not self._paused:
            self._tellInputEnded(protocol)

    def _fail(self, protocol: IProtocol) -> None:
        """An error of the protocol's, which is being handled, ends everything."""
        self._log.failure("unhandled error in {protocol}", protocol=protocol)
        self._channel.abortConnection()

    def _tellLost(self, protocol: IProtocol, reason: Failure) -> None:
        self._protocol = None
        error = self._inbox.error
        if error is not None and not isinstance(error, Truncated):
            reason = Failure(error)
        try:
            protocol.connectionLost(reason)
        except Exception:
            self._fail(protocol)

    def _tellInputEnded(self, protocol: IProtocol) -> None:
        if self._inbox.error is not None:
            self._channel.abortConnection()
        elif not self._toldInputEnded:
            self._toldInputEnded = True
            if IHalfCloseableProtocol.providedBy(protocol):
                protocol.readConnectionLost()
            else:
                self._channel.loseConnection()
