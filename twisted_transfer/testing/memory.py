"""
Connections that are only in memory, and the clock that moves them.
"""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
from collections.abc import Iterator
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.error import (
    CannotListenError,
    ConnectingCancelledError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IListeningPort,
    IProducer,
    IProtocol,
    IPushProducer,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.channel.link import Link
from twisted_transfer.deferreds import Waiters
from twisted_transfer.errors import BadOption
from twisted_transfer.interfaces import StreamProtocol

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

    def __init__(self, clock: Any, host: Any, peer: Any) -> None:
        """
        :param clock: moves the bytes, by ``callLater(0, …)``.
        :param host: the address of this end.
        :param peer: the address of the other one.
        """
        self._clock = clock
        self._host: IAddress = host
        self._peer: IAddress = peer
        self._protocol: StreamProtocol | None = None
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
        cls, clock: Any, first: Any, second: Any
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

    def attach(self, protocol: StreamProtocol) -> None:
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


def memoryPair(clock: Any) -> tuple[TransferChannel, TransferChannel]:
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


_AT_ONCE = 100  # as many as a port of Twisted's accepts in one turn of the reactor


class Dial:
    """One who dials, from the first moment to the last of the connection."""

    def __init__(self, factory: Any, host: Any, peer: Any) -> None:
        """
        :param factory: makes the protocol of who dials.
        :param host: the address of who dials.
        :param peer: the address that is dialled.
        """
        self.connecting: Deferred[IProtocol] = Deferred(self._cancelled)
        self.host = host
        self._peer = peer
        self._factory = factory
        self._transport: MemoryTransport | None = None
        factory.doStart()

    def _cancelled(self, ignored: Deferred[IProtocol]) -> None:
        self.fail(ConnectingCancelledError(self._peer))

    def fail(self, error: Exception | Failure) -> None:
        """
        :param error: why there is no connection.
        """
        if not self.connecting.called:
            self.connecting.errback(error)
        if self._transport is None:
            self._factory.doStop()
        else:
            self._transport.loseConnection()

    def connected(self, transport: MemoryTransport) -> None:
        """
        :param transport: this end of the connection.
        """
        self._transport = transport
        transport.whenGone().addCallback(lambda ignored: self._factory.doStop())
        try:
            protocol = self._factory.buildProtocol(self._peer)
            if protocol is None:
                raise NoProtocol()
        except Exception:
            transport.attach(Protocol())
            self.fail(Failure())
            return
        transport.attach(protocol)
        if not self.connecting.called:
            self.connecting.callback(protocol)


@implementer(IListeningPort)
class MemoryPort:
    """
    A port of a memory listener's.

    As one of Twisted's it accepts up to 100 of those who wait in one turn of
    the reactor, and does not look whether it was told to stop meanwhile.

    :ivar factory: makes the protocols of those who dial.
    """

    _log = Logger()

    def __init__(self, clock: Any, address: IAddress, factory: Any) -> None:
        """
        :param clock: has one turn after the other.
        :param address: the address that is listened on.
        :param factory: makes the protocols.
        """
        self._clock = clock
        self._address = address
        self.factory = factory
        self._waiting: list[Dial] = []
        self._accepting = False
        self._stopping = False
        self._closed = False
        self._whenClosed: Waiters[None] = Waiters()
        factory.doStart()

    @property
    def closed(self) -> bool:
        """Whether nobody can dial it any more."""
        return self._closed

    def arrive(self, dial: Dial) -> None:
        """
        :param dial: waits from now on to be accepted.
        """
        self._waiting.append(dial)
        self._acceptLater()

    def _acceptLater(self) -> None:
        if self._waiting and not self._accepting:
            self._accepting = True
            self._clock.callLater(0, self._acceptAll)

    def _acceptAll(self) -> None:
        self._accepting = False
        if self._stopping:
            return
        accepted, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
        for dial in accepted:
            if not dial.connecting.called:
                self._accept(dial)
        self._acceptLater()

    def _accept(self, dial: Dial) -> None:
        near, far = MemoryTransport.pair(self._clock, self._address, dial.host)
        try:
            protocol = self.factory.buildProtocol(dial.host)
        except Exception:
            self._log.failure("nobody serves {address}", address=dial.host)
            protocol = None
        near.attach(Protocol() if protocol is None else protocol)
        if protocol is None:
            near.loseConnection()
        dial.connected(far)

    # IListeningPort.

    def startListening(self) -> None:
        """The listener has started it already."""

    def stopListening(self) -> Deferred[None]:
        """
        Close the port.  Connections that there are go on.

        :returns: a Deferred that fires when it is closed.  It may be asked any
            number of times.
        """
        if not self._stopping:
            self._stopping = True
            self._clock.callLater(0, self._close)
        return succeed(None) if self._closed else self._whenClosed.wait()

    def _close(self) -> None:
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for dial in waiting:
            if not dial.connecting.called:
                dial.fail(ConnectionRefusedError())
        self.factory.doStop()
        self._whenClosed.fire(None)

    def getHost(self) -> IAddress:
        """:returns: the address that is listened on."""
        return self._address


_EPHEMERAL = range(49152, 65536)  # RFC 6335, section 6


def _address(host: str, port: int) -> IPv4Address | IPv6Address:
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        raise BadOption(
            f"host={host!r}: give an IPv4 or IPv6 address, such as '127.0.0.2'"
        ) from None
    kind = IPv4Address if parsed.version == 4 else IPv6Address
    return kind("TCP", host, port)


@implementer(IStreamServerEndpoint)
class MemoryListener:
    """
    An address in memory, for a program to listen on and for others to dial.

    Whatever takes an endpoint to listen on takes this one, and
    :meth:`client` gives the endpoints that dial it, from any address::

        listener = MemoryListener(clock)
        connector = TransferConnector(clock, "passive", socketCommand=listener)
        waiting = connector.connect()
        attacking = attack(clock, listener.client("127.0.0.2"), Staller)
        settle(clock)

    For TLS put ``wrapServerTLS`` and ``wrapClientTLS`` around them, of
    ``twisted.internet.endpoints``, both with the clock.

    Those who dial are connected, or refused, when the clock goes on, in the
    order in which they have dialled.  One whom the program has no protocol for
    sees an end of file, as with a socket.

    :ivar address: the address.
    """

    def __init__(self, clock: Any, host: str = "127.0.0.1", port: int = 4000) -> None:
        """
        :param clock: moves everything: a ``twisted.internet.task.Clock``, or a
            reactor.
        :param host: the address, IPv4 or IPv6.
        :param port: its port.
        :raises BadOption: if the host is no address.
        """
        self.address = _address(host, port)
        self._clock = clock
        self._ports: Iterator[int] = itertools.cycle(_EPHEMERAL)
        self._port: MemoryPort | None = None

    @property
    def port(self) -> MemoryPort | None:
        """The port that is listened on; None while nobody listens."""
        if self._port is not None and self._port.closed:
            self._port = None
        return self._port

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """
        :param protocolFactory: makes the protocols of those who dial.
        :returns: a Deferred with the port.  It fails with
            ``CannotListenError`` if there is one already.
        """
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: Any) -> IListeningPort:
        if self.port is not None:
            inUse = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            raise CannotListenError(self.address.host, self.address.port, inUse)
        self._port = MemoryPort(self._clock, self.address, factory)
        return self._port

    def client(self, host: str = "127.0.0.1") -> MemoryClient:
        """
        :param host: the address from which to dial, IPv4 or IPv6; the port is
            another one each time.
        :returns: the endpoint that dials from there.
        :raises BadOption: if the host is no address.
        """
        _address(host, 0)
        return MemoryClient(self, host)

    def dial(self, host: str, factory: Any) -> Deferred[IProtocol]:
        """
        What the endpoints do.

        :param host: the address from which to dial.
        :param factory: makes the protocol of who dials.
        :returns: a Deferred with the protocol, when it is connected.  It fails
            with ``ConnectionRefusedError`` if nobody listens.
        """
        dial = Dial(factory, _address(host, next(self._ports)), self.address)
        if self.port is not None:
            self.port.arrive(dial)
        else:
            self._clock.callLater(0, self._refuse, dial)
        return dial.connecting

    def _refuse(self, dial: Dial) -> None:
        if not dial.connecting.called:
            dial.fail(ConnectionRefusedError())


@implementer(IStreamClientEndpoint)
class MemoryClient:
    """Dials a memory listener from one address."""

    def __init__(self, listener: MemoryListener, host: str) -> None:
        self._listener = listener
        self._host = host

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        return self._listener.dial(self._host, protocolFactory)
