"""
Tests for :mod:`twisted_transfer.endpoints`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from zope.interface.verify import verifyObject

from tests.simulatedendpoints import SimulatedClientEndpoint, SimulatedServerEndpoint
from tests.simulation import connected
from tests.test_ports import BAD_FACTORIES, EchoFactory, PortTestCase
from twisted_transfer import BadDescription, TransferConnector
from twisted_transfer.endpoints import TransferClientEndpoint, TransferServerEndpoint
from twisted_transfer.errors import AlreadyConnecting


class ClientTests(PortTestCase):
    """A connector as a client endpoint."""

    def active(self) -> tuple[SimulatedClientEndpoint, TransferClientEndpoint]:
        endpoint = SimulatedClientEndpoint(self.reactor)
        connector = TransferConnector(self.reactor, socketCommand=endpoint)
        return endpoint, TransferClientEndpoint(connector)

    def passive(self) -> tuple[SimulatedServerEndpoint, TransferClientEndpoint]:
        endpoint = SimulatedServerEndpoint(self.reactor)
        connector = TransferConnector(self.reactor, "passive", socketCommand=endpoint)
        return endpoint, TransferClientEndpoint(connector)

    def test_interface(self) -> None:
        """It is what it says."""
        self.assertTrue(verifyObject(IStreamClientEndpoint, self.active()[1]))

    def test_active(self) -> None:
        """The result is the protocol, connected."""
        endpoint, client = self.active()
        connecting = client.connect(self.factory)
        self.assertNoResult(connecting)
        self.inUse(True)
        _, partner = endpoint.succeed()
        echo: Any = self.successResultOf(connecting)
        self.assertIs(echo, self.factory.echoes[0])
        self.assertEqual(self.factory.addresses, [echo.transport.getPeer()])
        self.talk(partner)
        self.idle()

    def test_passive(self) -> None:
        """Waiting for the partner makes no difference to the client."""
        endpoint, client = self.passive()
        connecting = client.connect(self.factory)
        self.assertNoResult(connecting)
        _, partner = endpoint.arrive()
        echo = self.successResultOf(connecting)
        self.assertIs(echo, self.factory.echoes[0])
        self.assertTrue(endpoint.ports[0].stopped)
        self.talk(partner)
        self.idle()

    def test_early(self) -> None:
        """
        Whoever waits for the protocol has it before it gets its first data,
        also if these were here already.
        """
        endpoint, client = self.passive()
        order: list[str] = []
        connecting = client.connect(self.factory)
        connecting.addCallback(lambda echo: order.append("connected"))
        build = self.factory.buildProtocol

        def noting(addr: Any) -> Any:
            echo = build(addr)
            received = echo.dataReceived

            def dataReceived(data: bytes) -> None:
                order.append("data")
                received(data)

            echo.dataReceived = dataReceived
            return echo

        self.factory.buildProtocol = noting  # type: ignore[method-assign]
        link = endpoint._factory.buildProtocol(None)
        socket, partner = connected(self.reactor)
        partner.send(b"early")
        # As a TLS layer does that had more than the end of the handshake.
        link._held.append(b"very early ")
        socket.attach(link)
        self.assertEqual(order, ["connected"])
        self.reactor.run(3)
        self.assertEqual(order[:2], ["connected", "data"])
        self.assertEqual(partner.take(), b"echo very early echo early")
        partner.end()
        self.idle()

    def test_fails(self) -> None:
        """What goes wrong is the result, with the factory at rest."""
        endpoint, client = self.active()
        connecting = client.connect(self.factory)
        endpoint.fail(ConnectionRefusedError())
        self.failureResultOf(connecting, ConnectionRefusedError)
        self.idle()

    def test_cancelled(self) -> None:
        """It can be cancelled."""
        for make in (self.active, self.passive):
            self.factory = EchoFactory()
            connecting = make()[1].connect(self.factory)
            connecting.cancel()
            self.failureResultOf(connecting, CancelledError)
            self.idle()

    def test_noProtocol(self) -> None:
        """A factory that has no protocol fails, and nothing stays open."""
        for factory, error in BAD_FACTORIES:
            self.factory = factory()
            endpoint, client = self.active()
            connecting = client.connect(self.factory)
            socket, _ = endpoint.succeed()
            self.failureResultOf(connecting, error)
            self.idle()
            self.assertTrue(socket.aborted)

    def test_twice(self) -> None:
        """A second connect() meanwhile is told so, and has no consequences."""
        endpoint, client = self.active()
        connecting = client.connect(self.factory)
        other = EchoFactory()
        self.failureResultOf(client.connect(other), AlreadyConnecting)
        self.assertEqual((other.starts, other.stops), (1, 1))
        _, partner = endpoint.succeed()
        self.successResultOf(connecting)
        self.talk(partner)
        self.idle()

    def test_next(self) -> None:
        """It can be used again and again."""
        endpoint, client = self.active()
        for count in (1, 2):
            self.factory = EchoFactory()
            connecting = client.connect(self.factory)
            self.assertEqual(endpoint.dials, count)
            _, partner = endpoint.succeed()
            self.successResultOf(connecting)
            self.talk(partner)
            self.idle()


class ServerTests(PortTestCase):
    """A connector as a server endpoint."""

    def active(
        self, again: bool = False
    ) -> tuple[SimulatedClientEndpoint, TransferServerEndpoint]:
        endpoint = SimulatedClientEndpoint(self.reactor)
        connector = TransferConnector(self.reactor, socketCommand=endpoint)
        return endpoint, TransferServerEndpoint(self.reactor, connector, again)

    def passive(
        self, again: bool = False
    ) -> tuple[SimulatedServerEndpoint, TransferServerEndpoint]:
        endpoint = SimulatedServerEndpoint(self.reactor)
        connector = TransferConnector(self.reactor, "passive", socketCommand=endpoint)
        return endpoint, TransferServerEndpoint(self.reactor, connector, again)

    def test_interface(self) -> None:
        """It is what it says."""
        self.assertTrue(verifyObject(IStreamServerEndpoint, self.passive()[1]))

    def test_active(self) -> None:
        """It dials, and serves the connection."""
        endpoint, server = self.active()
        listening = server.listen(self.factory)
        self.assertNoResult(listening)
        _, partner = endpoint.succeed()
        self.successResultOf(listening)
        self.talk(partner)
        self.idle()
        self.assertEqual(endpoint.dials, 1)

    def test_passive(self) -> None:
        """It listens, and serves one partner."""
        endpoint, server = self.passive()
        self.successResultOf(server.listen(self.factory))
        _, partner = endpoint.arrive()
        self.assertIsNone(endpoint.arrive()[0])
        self.talk(partner)
        self.idle()

    def test_again(self) -> None:
        """It dials again and again, if it was told to."""
        endpoint, server = self.active(again=True)
        port: Any = self.successResultOf(server.listen(self.factory))
        for count in (1, 2):
            _, partner = endpoint.succeed()
            self.talk(partner)
            self.reactor.turn(2)
            self.assertEqual(endpoint.dials, count + 1)
        self.successResultOf(port.stopListening())
        self.idle()

    def test_againPassive(self) -> None:
        """Who listens does not dial again; that is refused at once."""
        error = self.assertRaises(BadDescription, self.passive, again=True)
        self.assertIn("again=yes", str(error))
        self.assertIn("active", str(error))

    def test_fails(self) -> None:
        """What goes wrong is the result."""
        endpoint, server = self.active()
        listening = server.listen(self.factory)
        endpoint.fail(ConnectionRefusedError())
        self.failureResultOf(listening, ConnectionRefusedError)
        self.idle()

        class Raising(SimulatedServerEndpoint):
            def listen(self, protocolFactory: Any) -> Deferred[Any]:
                raise CannotListenError("", 1, OSError(98, "in use"))

        self.factory = EchoFactory()
        connector = TransferConnector(
            self.reactor, "passive", socketCommand=Raising(self.reactor)
        )
        self.failureResultOf(
            TransferServerEndpoint(self.reactor, connector).listen(self.factory),
            CannotListenError,
        )
        self.idle()
