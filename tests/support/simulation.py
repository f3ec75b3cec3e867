"""
A reactor and sockets for unit tests: no network and no real time.

The sockets are Twisted's own ``FileDescriptor`` with its buffers, producers and
endings; only the operating system is simulated, with buffers of a known size.
The test runs the reactor turn by turn.  As in a real reactor, a turn first runs the
calls that are due when it begins, and then reads and writes.
"""

from __future__ import annotations

import errno
import itertools
import socket
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    ISystemHandle,
    ITransport,
)
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer

CAPACITY = 65536
_numbers = itertools.count()


class SimulatedReactor(MemoryReactorClock):
    """A reactor that runs turn by turn."""

    def turn(self, seconds: float = 0) -> None:
        """
        :param seconds: how much time passes before the turn.
        """
        self.rightNow += seconds
        due = [call for call in self.calls if call.getTime() <= self.rightNow]
        for call in due:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
        descriptors: set[Any] = self.readers | self.writers
        for descriptor in sorted(descriptors, key=lambda one: one.number):
            for ready, act in (
                (self.readers, descriptor.doRead),
                (self.writers, descriptor.doWrite),
            ):
                if descriptor in ready:
                    why = act()
                    if why is not None:
                        self._disconnect(descriptor, why)

    def _disconnect(self, descriptor: Any, why: Exception) -> None:
        self.removeReader(descriptor)
        if isinstance(why, HalfClosed):
            descriptor.readConnectionLost(Failure(ConnectionDone()))
        else:
            self.removeWriter(descriptor)
            descriptor.connectionLost(Failure(why))

    def run(self, turns: int = 20) -> None:
        """
        :param turns: how many turns to run; enough for a handshake.
        """
        for _ in range(turns):
            self.turn()


class HalfClosed(ConnectionDone):
    """The partner has ended its output."""


class Flow:
    """
    One direction of a connection, in the system's buffers.

    :ivar data: what was sent and not read yet.
    :ivar capacity: the size of the buffer.
    :ivar ended: whether the sender has ended it.
    :ivar broken: whether it was reset.
    :ivar deaf: whether the receiver has closed its end.
    """

    def __init__(self, capacity: int) -> None:
        self.data = bytearray()
        self.capacity = capacity
        self.ended = False
        self.broken = False
        self.deaf = False


@implementer(ITransport, ISystemHandle)
class SimulatedSocket(FileDescriptor):
    """
    Twisted's end of a connection.

    :ivar aborted: whether it was aborted.
    """

    protocol: IProtocol
    reactor: Any
    aborted = False

    def __init__(self, reactor: Any, incoming: Flow, outgoing: Flow) -> None:
        super().__init__(reactor)
        self.number = next(_numbers)
        self.connected = 1
        self._incoming = incoming
        self._outgoing = outgoing
        self.host: IAddress = IPv4Address("TCP", "192.0.2.1", 1000)
        self.peer: IAddress = IPv4Address("TCP", "192.0.2.2", 2000)

    def attach(self, protocol: Any) -> None:
        """Connect a protocol to the socket."""
        self.protocol = protocol
        self.startReading()
        protocol.makeConnection(self)

    def doRead(self) -> Exception | None:
        flow = self._incoming
        if flow.broken:
            return ConnectionLost()
        data = bytes(flow.data[:65536])
        del flow.data[:65536]
        if data:
            self.protocol.dataReceived(data)
        elif flow.ended:
            return HalfClosed()
        return None

    def writeSomeData(self, data: Any) -> Any:
        flow = self._outgoing
        if flow.deaf or flow.broken:
            return ConnectionLost()
        count = min(len(data), flow.capacity - len(flow.data))
        flow.data += bytes(data[:count])
        return count

    def _closeWriteConnection(self) -> None:
        self._outgoing.ended = True
        protocol = IHalfCloseableProtocol(self.protocol, None)
        if protocol is not None:
            protocol.writeConnectionLost()

    def readConnectionLost(self, reason: Failure) -> None:
        protocol = IHalfCloseableProtocol(self.protocol, None)
        if protocol is not None:
            protocol.readConnectionLost()
        else:
            self.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        if self.disconnected:
            return
        super().connectionLost(reason)
        self._incoming.deaf = self._outgoing.ended = True
        if self._incoming.data or self.aborted:
            self._outgoing.broken = True
        self.protocol.connectionLost(reason)

    def abortConnection(self) -> None:
        """Reset the connection."""
        if self.disconnected or self.aborted:
            return
        self.aborted = True
        self.stopReading()
        self.stopWriting()
        self.reactor.callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    def getHost(self) -> IAddress:
        return self.host

    def getPeer(self) -> IAddress:
        return self.peer

    def getHandle(self) -> SimulatedSocket:
        """:returns: the socket of the system's, as far as one asks it."""
        return self

    def getsockopt(self, level: int, option: int) -> int:
        """:returns: what a UNIX socket has noted of a partner that has closed."""
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR)
        flow = self._outgoing
        return errno.ECONNRESET if flow.deaf and flow.data else 0


class Partner:
    """The other end of a connection, driven by hand."""

    def __init__(self, incoming: Flow, outgoing: Flow) -> None:
        self.incoming = incoming
        self.outgoing = outgoing

    def take(self, count: int = 1 << 30) -> bytes:
        """:returns: what has come, at most so many bytes; it is gone then."""
        data = bytes(self.incoming.data[:count])
        del self.incoming.data[:count]
        return data

    def send(self, data: bytes) -> None:
        """Send some bytes."""
        self.outgoing.data += data

    def end(self) -> None:
        """Send a FIN."""
        self.outgoing.ended = True

    def close(self) -> None:
        """Send a FIN, and stop reading."""
        self.outgoing.ended = self.incoming.deaf = True

    def reset(self) -> None:
        """Send a RST."""
        self.outgoing.broken = self.incoming.deaf = True


def connected(
    reactor: SimulatedReactor, capacity: int = CAPACITY
) -> tuple[SimulatedSocket, Partner]:
    """:returns: a socket, and a partner who is driven by hand."""
    there, back = Flow(capacity), Flow(1 << 30)
    return SimulatedSocket(reactor, back, there), Partner(there, back)


def socketPair(
    reactor: SimulatedReactor, capacity: int = CAPACITY
) -> tuple[SimulatedSocket, SimulatedSocket]:
    """:returns: two sockets that are connected with each other."""
    there, back = Flow(capacity), Flow(capacity)
    left = SimulatedSocket(reactor, back, there)
    right = SimulatedSocket(reactor, there, back)
    left.host, left.peer = right.peer, right.host
    return left, right


class TLSPartner:
    """
    A TLS partner, driven by hand, over one that is.

    :ivar ended: whether the ``close_notify`` of the other side was read.
    """

    def __init__(
        self, partner: Partner, context: SSL.Context, *, client: bool = True
    ) -> None:
        """
        :param partner: under it.
        :param context: how to speak TLS.
        :param client: whether it began the connection.
        """
        self.raw = partner
        self.ended = False
        self.tls = SSL.Connection(context, None)
        if client:
            self.tls.set_connect_state()
        else:
            self.tls.set_accept_state()

    def do(self, step: Callable[[], Any]) -> Any:
        """Run a TLS operation: feed the received bytes, and send its output."""
        data = self.raw.take()
        if data:
            self.tls.bio_write(data)
        try:
            return step()
        except SSL.WantReadError:
            return None
        finally:
            self.flush()

    def flush(self) -> None:
        """Send what TLS wants to send."""
        try:
            while True:
                self.raw.send(self.tls.bio_read(65536))
        except SSL.WantReadError:
            pass

    def handshake(self, reactor: SimulatedReactor, turns: int = 6) -> None:
        """Complete the handshake."""
        for _ in range(turns):
            self.do(self.tls.do_handshake)
            reactor.turn()

    def read(self) -> bytes:
        """:returns: the data that have come."""
        got = b""
        try:
            while piece := self.do(lambda: self.tls.recv(65536)):
                got += piece
        except SSL.ZeroReturnError:
            self.ended = True
        return got

    def write(self, data: bytes) -> None:
        """Send some data."""
        self.do(lambda: self.tls.send(data))

    def closeNotify(self) -> None:
        """Send a close_notify, and go on reading."""
        self.do(self.tls.shutdown)
