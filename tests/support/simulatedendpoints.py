"""
Endpoints over simulated sockets, which a test controls.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from tests.support.simulation import (
    Partner,
    SimulatedReactor,
    SimulatedSocket,
    connected,
)


@implementer(IListeningPort)
class SimulatedPort:
    """
    A port that is stopped when the test says so, or at once.

    :ivar factory: makes the protocols of the connections.
    :ivar stopping: the Deferreds of ``stopListening()``.
    :ivar stopped: whether it is closed.
    """

    def __init__(self, factory: Any, atOnce: bool) -> None:
        self.factory = factory
        self.stopping: list[Deferred[None]] = []
        self.stopped = False
        self._atOnce = atOnce

    def startListening(self) -> None:
        """Do nothing: the port is open already."""

    def stopListening(self) -> Deferred[None]:
        stopped: Deferred[None] = Deferred()
        self.stopping.append(stopped)
        if self._atOnce:
            self.close()
        return stopped

    def close(self) -> None:
        """Complete the closing of the port."""
        self.stopped = True
        stopping, self.stopping = self.stopping, []
        for stopped in stopping:
            stopped.callback(None)

    def getHost(self) -> IAddress:
        return IPv4Address("TCP", "192.0.2.1", 4000)


class StubbornDeferred(Deferred[Any]):
    """The result of an operation that cannot be cancelled any more."""

    def cancel(self) -> None:
        """Do nothing: the Deferred fires all the same."""


@implementer(IStreamServerEndpoint)
class SimulatedServerEndpoint:
    """
    Listens when the test says so, or at once.

    :ivar ports: the ports that there were, the last one last.
    :ivar listening: the Deferreds of ``listen()``.
    """

    def __init__(
        self,
        reactor: SimulatedReactor,
        *,
        atOnce: bool = True,
        stopsAtOnce: bool = True,
        stubborn: bool = False,
    ) -> None:
        self._reactor = reactor
        self._atOnce = atOnce
        self._stopsAtOnce = stopsAtOnce
        self._result = StubbornDeferred if stubborn else Deferred
        self._factory: Any = None
        self.ports: list[SimulatedPort] = []
        self.listening: Deferred[Any] = Deferred()

    def listen(self, protocolFactory: Any) -> Deferred[Any]:
        self._factory = protocolFactory
        listening = self.listening = self._result()
        if self._atOnce:
            self.bind()
        return listening

    def bind(self) -> SimulatedPort:
        """Complete the opening of the port."""
        port = SimulatedPort(self._factory, self._stopsAtOnce)
        self.ports.append(port)
        self.listening.callback(port)
        return port

    def arrive(self) -> tuple[SimulatedSocket | None, Partner]:
        """:returns: the socket of a new connection, None if refused; its partner."""
        socket, partner = connected(self._reactor)
        protocol = None
        if self.ports and not self.ports[-1].stopped:
            protocol = self._factory.buildProtocol(socket.peer)
        if protocol is None:
            return None, partner
        socket.attach(protocol)
        return socket, partner


@implementer(IStreamClientEndpoint)
class SimulatedClientEndpoint:
    """
    Dials, with the result that the test gives.

    :ivar dials: the number of calls of ``connect()``.
    :ivar connecting: the Deferred of the latest one.
    """

    def __init__(self, reactor: SimulatedReactor, *, stubborn: bool = False) -> None:
        self._reactor = reactor
        self._result = StubbornDeferred if stubborn else Deferred
        self._factory: Any = None
        self.dials = 0
        self.connecting: Deferred[Any] = Deferred()

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        self.dials += 1
        self._factory = protocolFactory
        self.connecting = self._result()
        return self.connecting

    def succeed(self) -> tuple[SimulatedSocket, Partner]:
        """:returns: the socket of the connection, and who is there."""
        socket, partner = connected(self._reactor)
        protocol = self._factory.buildProtocol(socket.peer)
        socket.attach(protocol)
        self.connecting.callback(protocol)
        return socket, partner

    def fail(self, error: Exception) -> None:
        """The dial fails."""
        self.connecting.errback(error)
