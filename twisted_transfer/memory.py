"""
Connections that are only in memory, and the clock that moves them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IProducer,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel import TransferChannel
from twisted_transfer.link import Link
from twisted_transfer.waiting import Waiters

_BUFFER = 65536  # as much as Twisted's own transports keep before they pause


@implementer(ITransport, IConsumer, IPushProducer)
class MemoryTransport:
    """
    One end of a connection that is only in memory.

    It behaves as a TCP connection does: bytes arrive in order, in pieces, later
    and at the pace at which the other end reads; either direction can be ended
    alone; an abort is a reset for the other end.

    :ivar other: the other end.
    :ivar disconnecting: whether this end was told to close.
    """

    other: MemoryTransport

    def __init__(self, clock: IReactorTime, host: IAddress, peer: IAddress) -> None:
        """
        :param clock: moves the bytes, by ``callLater(0, …)``.
        :param host: the address of this end.
        :param peer: the address of the other one.
        """
        self._clock = clock
        self._host = host
        self._peer = peer
        self._protocol: IProtocol | None = None
        self._buffer = bytearray()
        self._producer: Any = None
        self._streaming = False
        self._producerPaused = False
        self._reading = True
        self._readClosed = False
        self._writeClosing = False
        self._writeClosed = False
        self.disconnecting = False
        self._lost = False
        self._scheduled = False
        self._whenGone: Waiters[None] = Waiters()

    @classmethod
    def pair(
        cls, clock: IReactorTime, first: IAddress, second: IAddress
    ) -> tuple[MemoryTransport, MemoryTransport]:
        """
        Both ends of a new connection.

        To each a protocol has to be attached before the clock goes on.

        :param clock: moves the bytes.
        :param first: the address of the first end.
        :param second: the address of the other one.
        :returns: the two ends.
        """
        left, right = cls(clock, first, second), cls(clock, second, first)
        left.other, right.other = right, left
        return left, right

    def whenGone(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when this end is gone, and its protocol
            knows.
        """
        return succeed(None) if self._lost else self._whenGone.wait()

    def attach(self, protocol: IProtocol) -> None:
        """
        :param protocol: gets what arrives at this end.
        """
        self._protocol = protocol
        protocol.makeConnection(self)

    # The movement of bytes from this end to the other.

    def _schedule(self) -> None:
        if not self._scheduled and not self._lost:
            self._scheduled = True
            self._clock.callLater(0, self._move)

    def _move(self) -> None:
        self._scheduled = False
        if self._lost:
            return
        if self._writeClosed:
            if self.disconnecting:
                self._end(ConnectionDone())
            return
        if self._buffer:
            if self.other._lost or (self.disconnecting and self.other.disconnecting):
                # Nobody will read it.
                self._end(ConnectionLost("the other end is closed"))
                return
            if not self.other._reading:
                return  # it goes on when that reads on, or is lost
            piece = bytes(self._buffer[:_BUFFER])
            del self._buffer[:_BUFFER]
            assert self.other._protocol is not None
            self.other._protocol.dataReceived(piece)
        if self._lost or self._buffer:
            self._schedule()
        elif self._producer is not None and (
            not self._streaming or self._producerPaused
        ):
            self._producerPaused = False
            self._producer.resumeProducing()
        elif self._producer is None:
            self._finish()

    def _finish(self) -> None:
        """Everything is written; do what was asked for after that."""
        if self.disconnecting or self._writeClosing:
            deaf = self.other.disconnecting or self.other._lost
            if not deaf and not self.other._reading:
                return  # the other end sees the end when it reads on
            self._writeClosed = True
            if not deaf:
                self.other._inputEnded()
            if self.disconnecting:
                self._end(ConnectionDone())
            elif IHalfCloseableProtocol.providedBy(self._protocol):
                self._protocol.writeConnectionLost()

    def _inputEnded(self) -> None:
        self._readClosed = True
        if IHalfCloseableProtocol.providedBy(self._protocol):
            self._protocol.readConnectionLost()
        else:
            self._end(ConnectionDone())

    def _end(self, reason: Exception) -> None:
        if self._lost:
            return
        self._lost = True
        self._buffer.clear()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        assert self._protocol is not None
        self._protocol.connectionLost(Failure(reason))
        self.other._schedule()
        self._whenGone.fire(None)

    # ITransport.

    def write(self, data: bytes) -> None:
        """Send some bytes."""
        if not isinstance(data, bytes):
            raise TypeError(f"a transport takes bytes, not {type(data).__name__}")
        if (
            self._lost
            or self._writeClosing
            or (self.disconnecting and not self._producer)
        ):
            return
        self._buffer += data
        if self._streaming and self._producer and len(self._buffer) > _BUFFER:
            self._producerPaused = True
            self._producer.pauseProducing()
        self._schedule()

    def writeSequence(self, data: Any) -> None:
        """Send several pieces."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """End the connection after what was written."""
        self.disconnecting = True
        self._reading = False
        self._schedule()

    def loseWriteConnection(self) -> None:
        """End this direction after what was written."""
        self._writeClosing = True
        self._schedule()

    def abortConnection(self) -> None:
        """End the connection at once; the other end sees a reset."""
        if not self._lost:
            self._reading = False
            self._clock.callLater(0, self._end, ConnectionAborted())
            self._clock.callLater(0, self.other._end, ConnectionLost())

    def getPeer(self) -> IAddress:
        """:returns: the address of the other end."""
        return self._peer

    def getHost(self) -> IAddress:
        """:returns: the address of this end."""
        return self._host

    # IConsumer.

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Let a producer write at the pace of the other end."""
        if self._producer is not None:
            raise RuntimeError("there is a producer already")
        if self._lost:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._producerPaused = False
        if not streaming:
            producer.resumeProducing()  # type: ignore[attr-defined]

    def unregisterProducer(self) -> None:
        """The producer has finished."""
        self._producer = None
        self._schedule()

    # IPushProducer: this end as the source of what arrives.

    def pauseProducing(self) -> None:
        """Let the other end wait."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Let the other end go on."""
        if not self.disconnecting:
            self._reading = True
            self.other._schedule()

    def stopProducing(self) -> None:
        """End the connection."""
        self.loseConnection()


def memoryPair(clock: IReactorTime) -> tuple[TransferChannel, TransferChannel]:
    """
    Two channels that are connected with each other, in memory only.

    :param clock: moves the bytes: a ``twisted.internet.task.Clock``, which is
        told to ``advance(0)`` for each step, or a reactor.
    :returns: the two ends.
    """
    first = IPv4Address("TCP", "192.0.2.1", 1024)
    second = IPv4Address("TCP", "192.0.2.2", 2048)
    left, right = MemoryTransport.pair(clock, first, second)
    links = Link(clock), Link(clock)
    left.attach(links[0])
    right.attach(links[1])
    return TransferChannel(links[0]), TransferChannel(links[1])


def settle(clock: Clock, steps: int = 10000) -> None:
    """
    Run everything that is due now, and what follows from it at once.

    ``clock.advance(0)`` does the same, but for ever if there is no end to it.

    :param clock: a ``twisted.internet.task.Clock``.
    :param steps: how many calls may be needed at most.
    :raises AssertionError: if there is still something due after them.
    """
    for _ in range(steps):
        # The clock keeps its calls in the order in which they are due.
        if not clock.calls or clock.calls[0].getTime() > clock.seconds():
            return
        call = clock.calls.pop(0)
        call.called = 1
        call.func(*call.args, **call.kw)
    raise AssertionError(f"there is something to do still after {steps} steps")
