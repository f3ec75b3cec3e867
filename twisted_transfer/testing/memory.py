"""
A network in memory: connections, ports and endpoints that a clock moves.
"""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from twisted.internet import interfaces
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectingCancelledError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.channel.link import Link
from twisted_transfer.deferreds import Promise, deferring
from twisted_transfer.errors import BadOption
from twisted_transfer.interfaces import StreamProtocol


class _Output(Enum):
    """How far one direction of a connection is."""

    OPEN = auto()
    ENDING = auto()  # what is in the buffer is still sent
    ENDED = auto()  # the other end has seen the end of file


class MemoryTransport(FileDescriptor):
    """
    One end of a connection in memory.

    It behaves as a TCP connection does, and most of it is the code that Twisted's
    TCP connections have in common: bytes arrive in order, in pieces, later, and at
    the pace at which the other end reads; either direction can be ended alone; an
    abort is a reset for the other end.

    :ivar other: the other end.
    :ivar protocol: gets what arrives at this end.
    """

    _log = Logger()

    other: MemoryTransport
    protocol: StreamProtocol
    # Twisted's own have no annotations.
    doWrite: Callable[[], Exception | None]
    loseConnection: Callable[[], None]
    pauseProducing: Callable[[], None]
    resumeProducing: Callable[[], None]
    stopProducing: Callable[[], None]

    def __init__(self, clock: Any, host: Any, peer: Any) -> None:
        """
        :param clock: moves the bytes, by ``callLater(0, …)``.
        :param host: the address of this end.
        :param peer: the address of the other end.
        """
        super().__init__(clock)
        self.connected = 1
        self._clock = clock
        self._host: interfaces.IAddress = host
        self._peer: interfaces.IAddress = peer
        self._reading = True
        self._output = _Output.OPEN
        self._call: interfaces.IDelayedCall | None = None  # of the next turn's work
        self._whenGone: Promise[None] = Promise()

    @classmethod
    def pair(
        cls, clock: Any, first: Any, second: Any
    ) -> tuple[MemoryTransport, MemoryTransport]:
        """
        Make both ends of a new connection.

        Attach a protocol to each before the clock goes on.

        :param clock: moves the bytes.
        :param first: the address of the first end.
        :param second: the address of the other end.
        :returns: the two ends.
        """
        left, right = cls(clock, first, second), cls(clock, second, first)
        left.other, right.other = right, left
        return left, right

    def attach(self, protocol: StreamProtocol) -> None:
        """
        Connect a protocol to this end.

        :param protocol: gets what arrives at this end.
        """
        self.protocol = protocol
        protocol.makeConnection(self)

    def whenGone(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when this end is gone, and its protocol
            knows.
        """
        return self._whenGone.wait()

    def getHost(self) -> interfaces.IAddress:
        """:returns: the address of this end."""
        return self._host

    def getPeer(self) -> interfaces.IAddress:
        """:returns: the address of the other end."""
        return self._peer

    # What a reactor does with a descriptor that can be read or written.

    def startReading(self) -> None:
        """Let the other end send."""
        self._reading = True
        self.other.startWriting()

    def stopReading(self) -> None:
        """Let the other end wait."""
        self._reading = False

    def startWriting(self) -> None:
        """Move bytes in the next turn of the reactor."""
        if self.connected and self._call is None:
            self._call = self._clock.callLater(0, self._move)

    def stopWriting(self) -> None:
        """Move no bytes until there are some."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _move(self) -> None:
        """Move a piece; after the last one end the output, if that was asked for."""
        self._call = None
        other = self.other
        readable = other._reading or other.disconnected or other.disconnecting
        if not readable and self._output is not _Output.ENDED:
            return  # the other end calls startWriting() when it reads on or is gone
        lost = self.doWrite()
        if lost is None:
            if self.dataBuffer:
                self.startWriting()
            if self.dataBuffer or self._call or self._output is not _Output.ENDING:
                return
        if self._output is not _Output.ENDED:
            self._output = _Output.ENDED
            other.readConnectionLost(Failure(ConnectionDone()))
        if lost is not None:
            self.connectionLost(Failure(lost))
        elif interfaces.IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.writeConnectionLost()

    def writeSomeData(self, data: bytes) -> int | BaseException:
        """
        Deliver a piece.

        :param data: all that was written.
        :returns: how many bytes were delivered, or why none ever will be.
        """
        piece = bytes(data[: self.other.bufferSize])
        if piece and not self.other._reading:
            if self.other.disconnected or self.disconnecting:
                return ConnectionLost("the other end is closed")
            return 0
        if piece:
            try:
                self.other.protocol.dataReceived(piece)
            except Exception:
                self.other._failed(Failure())
        return len(piece)

    def _failed(self, failure: Failure) -> None:
        """Lose the connection, as transports do whose protocol raises an error."""
        self._log.failure(
            "unhandled error in {protocol}", failure, protocol=self.protocol
        )
        self.connectionLost(failure)

    def readConnectionLost(self, reason: Failure) -> None:
        """Tell the protocol that the other end sends no more."""
        if self.disconnected or self.disconnecting:
            return
        if interfaces.IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        else:
            self.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        """End this end of the connection, and tell its protocol."""
        if not self.disconnected:
            super().connectionLost(reason)  # type: ignore[no-untyped-call]
            self.protocol.connectionLost(reason)
            self.other.startWriting()
            if self._output is not _Output.ENDED:
                done = Failure(ConnectionDone())
                self._clock.callLater(0, self.other.readConnectionLost, done)
            self._whenGone.fire(None)

    # ITransport.

    def write(self, data: bytes) -> None:
        """Send some bytes."""
        if self._output is not _Output.ENDED:
            super().write(data)

    def writeSequence(self, iovec: Any) -> None:
        """Send several pieces."""
        self.write(b"".join(iovec))

    def loseWriteConnection(self) -> None:
        """End this direction after what was written."""
        if self._output is _Output.OPEN:
            self._output = _Output.ENDING
            self.startWriting()

    def abortConnection(self) -> None:
        """End the connection at once; the other end sees a reset."""
        if self.connected:
            self.connected = 0
            self.stopReading()
            self.stopWriting()
            for end, why in (self, ConnectionAborted()), (self.other, ConnectionLost()):
                self._clock.callLater(0, end.connectionLost, Failure(why))


def memoryPair(clock: Any) -> tuple[TransferChannel, TransferChannel]:
    """
    Make two channels that are connected with each other in memory.

    :param clock: moves the bytes: a ``twisted.internet.task.Clock``, which is
        told to ``advance(0)`` for each step, or a reactor.
    :returns: the two ends.
    """
    first = IPv4Address("TCP", "192.0.2.1", 1024)
    second = IPv4Address("TCP", "192.0.2.2", 2048)
    ends = MemoryTransport.pair(clock, first, second)
    left, right = Link(clock), Link(clock)
    for end, link in zip(ends, (left, right), strict=True):
        end.attach(link)
    return TransferChannel(left), TransferChannel(right)


def settle(clock: Clock, steps: int = 10000) -> None:
    """
    Run everything that is due now, and what follows from it at once.

    ``clock.advance(0)`` does so too, but never returns if there is no end to it.

    :param clock: a ``twisted.internet.task.Clock``.
    :param steps: how many calls may be needed at most.
    :raises AssertionError: if something is still due after that many.
    """
    for _ in range(steps):
        # The clock keeps its calls in the order in which they are due.
        if not clock.calls or clock.calls[0].getTime() > clock.seconds():
            return
        call = clock.calls.pop(0)
        call.called = 1
        call.func(*call.args, **call.kw)
    raise AssertionError(f"there is something to do still after {steps} steps")


class _Dial:
    """
    One attempt to connect, and the client's end of what comes of it.

    :ivar connecting: fires with the client's protocol, or why there is none.
    :ivar host: the address of the client.
    """

    def __init__(self, factory: Any, host: Any, peer: Any) -> None:
        """
        :param factory: makes the client's protocol.
        :param host: the address of the client.
        :param peer: the address that is dialled.
        """
        self.connecting: Deferred[interfaces.IProtocol] = Deferred(
            lambda ignored: self.fail(ConnectingCancelledError(peer))
        )
        self.host = host
        self._peer = peer
        self._factory = factory
        self._transport: MemoryTransport | None = None
        factory.doStart()

    def fail(self, error: Exception | Failure) -> None:
        """
        End the attempt, unless it has ended.

        :param error: why there is no connection.
        """
        if self.connecting.called:
            return
        self.connecting.errback(error)
        if self._transport is None:
            self._factory.doStop()
        else:
            self._transport.loseConnection()

    def refuse(self) -> None:
        """Fail as an attempt does where there is no port."""
        self.fail(ConnectionRefusedError())

    def accepted(self, transport: MemoryTransport) -> None:
        """
        Connect the client's protocol.

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


_AT_ONCE = 100  # as many as a port of Twisted's accepts in one turn of the reactor


class _Listening(Enum):
    OPEN = auto()
    STOPPING = auto()
    CLOSED = auto()


@implementer(interfaces.IListeningPort)
class MemoryPort:
    """
    A port of a :class:`~twisted_transfer.testing.MemoryListener`.

    As a port of Twisted's, it accepts up to 100 connections in one turn of the
    reactor, also if it is told to stop meanwhile.

    :ivar factory: makes the protocols of the connections.
    """

    _log = Logger()

    def __init__(self, clock: Any, address: interfaces.IAddress, factory: Any) -> None:
        """
        :param clock: has one turn after the other.
        :param address: the address that is listened on.
        :param factory: makes the protocols.
        """
        self._clock = clock
        self._address = address
        self.factory = factory
        self._backlog: list[_Dial] = []
        self._state = _Listening.OPEN
        self._whenClosed: Promise[None] = Promise()
        factory.doStart()

    @property
    def closed(self) -> bool:
        """Whether the port is closed."""
        return self._state is _Listening.CLOSED

    def arrive(self, dial: _Dial) -> None:
        """
        Accept a connection when the clock goes on.

        :param dial: the client's attempt to connect.
        """
        self._backlog.append(dial)
        if len(self._backlog) == 1:
            self._clock.callLater(0, self._accept)

    def _accept(self) -> None:
        """Accept what one turn of the reactor accepts."""
        if self._state is not _Listening.OPEN:
            return
        dials, self._backlog = self._backlog[:_AT_ONCE], self._backlog[_AT_ONCE:]
        if self._backlog:
            self._clock.callLater(0, self._accept)
        for dial in dials:
            if not dial.connecting.called:
                self._serve(dial)

    def _serve(self, dial: _Dial) -> None:
        near, far = MemoryTransport.pair(self._clock, self._address, dial.host)
        try:
            protocol = self.factory.buildProtocol(dial.host)
        except Exception:
            self._log.failure("nobody serves {address}", address=dial.host)
            protocol = None
        near.attach(Protocol() if protocol is None else protocol)
        if protocol is None:
            near.loseConnection()
        dial.accepted(far)

    # IListeningPort.

    def startListening(self) -> None:
        """Do nothing: the port was opened by its listener."""

    def stopListening(self) -> Deferred[None]:
        """
        Close the port; connections that were accepted go on.

        :returns: a Deferred that fires when it is closed.  It may be called any
            number of times.
        """
        if self._state is _Listening.OPEN:
            self._state = _Listening.STOPPING
            self._clock.callLater(0, self._close)
        return self._whenClosed.wait()

    def _close(self) -> None:
        self._state = _Listening.CLOSED
        for dial in self._backlog:
            dial.refuse()
        self.factory.doStop()
        self._whenClosed.fire(None)

    def getHost(self) -> interfaces.IAddress:
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


@implementer(interfaces.IStreamServerEndpoint)
class MemoryListener:
    """
    An address in memory: an endpoint to listen on, and a maker of those that dial it.

    Whatever takes an endpoint to listen on takes this one, and
    :meth:`client` gives the endpoints that dial it, from any address::

        listener = MemoryListener(clock)
        connector = TransferConnector(clock, "passive", socketCommand=listener)
        waiting = connector.connect()
        attacking = attack(clock, listener.client("127.0.0.2"), Staller)
        settle(clock)

    For TLS put ``wrapServerTLS`` and ``wrapClientTLS`` around them, of
    ``twisted.internet.endpoints``, both with the clock.

    Clients are connected, or refused, when the clock goes on, in the order in which
    they have dialled.  A client for which the server's factory makes no protocol
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
        self._ports = itertools.cycle(_EPHEMERAL)
        self._port: MemoryPort | None = None

    @property
    def port(self) -> MemoryPort | None:
        """The port that is listened on; None while nobody listens."""
        return None if self._port is None or self._port.closed else self._port

    @deferring
    async def listen(self, protocolFactory: Any) -> interfaces.IListeningPort:
        """
        Open the port.

        :param protocolFactory: makes the protocols of the connections.
        :returns: a Deferred with the port.  It fails with
            ``CannotListenError`` if there is one already.
        """
        if self.port is not None:
            inUse = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            raise CannotListenError(self.address.host, self.address.port, inUse)
        self._port = MemoryPort(self._clock, self.address, protocolFactory)
        return self._port

    def client(self, host: str = "127.0.0.1") -> MemoryClient:
        """
        Make an endpoint that dials this address.

        :param host: the address from which to dial, IPv4 or IPv6; the port is
            another one each time.
        :returns: the endpoint.
        :raises BadOption: if the host is no address.
        """
        _address(host, 0)
        return MemoryClient(self, host)

    def dial(self, host: str, factory: Any) -> Deferred[interfaces.IProtocol]:
        """
        Connect, as the endpoints of :meth:`client` do.

        :param host: the address from which to dial.
        :param factory: makes the client's protocol.
        :returns: a Deferred with the protocol, when it is connected.  It fails
            with ``ConnectionRefusedError`` if nobody listens.
        """
        dial = _Dial(factory, _address(host, next(self._ports)), self.address)
        if self.port is not None:
            self.port.arrive(dial)
        else:
            self._clock.callLater(0, dial.refuse)
        return dial.connecting


@implementer(interfaces.IStreamClientEndpoint)
@dataclass
class MemoryClient:
    """Dials a memory listener from one address."""

    _listener: MemoryListener
    _host: str

    def connect(self, protocolFactory: Any) -> Deferred[interfaces.IProtocol]:
        return self._listener.dial(self._host, protocolFactory)
