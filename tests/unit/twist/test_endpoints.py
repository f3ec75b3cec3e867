"""
Tests for :mod:`twisted_transfer.twist.endpoints`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError, ConnectionRefusedError, NoProtocol
from twisted.internet.interfaces import (
    IListeningPort,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.support.simulatedendpoints import (
    SimulatedClientEndpoint,
    SimulatedServerEndpoint,
)
from tests.support.simulation import Partner, SimulatedReactor, connected
from twisted_transfer import BadDescription, TransferChannel, TransferConnector
from twisted_transfer.channel.link import Link
from twisted_transfer.errors import AlreadyConnecting, PartnerTimeout, Truncated
from twisted_transfer.twist.endpoints import (
    TransferClientEndpoint,
    TransferPort,
    TransferServerEndpoint,
    serve,
)


class Echo(Protocol):
    """Sends back what it gets."""

    def __init__(self) -> None:
        self.lost = 0

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"echo " + data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost += 1


class EchoFactory(Factory):
    """
    Makes echoes.

    :ivar starts: how often it was started.
    :ivar stops: how often it was stopped.
    """

    noisy = False

    def __init__(self) -> None:
        self.starts = self.stops = 0
        self.echoes: list[Echo] = []
        self.addresses: list[Any] = []

    def startFactory(self) -> None:
        self.starts += 1

    def stopFactory(self) -> None:
        self.stops += 1

    def buildProtocol(self, addr: Any) -> Any:
        self.addresses.append(addr)
        self.echoes.append(Echo())
        return self.echoes[-1]


class NoneFactory(EchoFactory):
    """Makes no protocol."""

    def buildProtocol(self, addr: Any) -> None:
        return None


class RaisingFactory(EchoFactory):
    """Fails to make one."""

    def buildProtocol(self, addr: Any) -> Any:
        raise ZeroDivisionError


class DivingFactory(EchoFactory):
    """Makes one that fails when it is connected."""

    def buildProtocol(self, addr: Any) -> Any:
        class Diving(Echo):
            def connectionMade(self) -> None:
                raise ZeroDivisionError

        return Diving()


#: Factories that have nobody for a partner, and the error then.
BAD_FACTORIES = (
    (NoneFactory, NoProtocol),
    (RaisingFactory, ZeroDivisionError),
    (DivingFactory, ZeroDivisionError),
)


class ServeTests(SynchronousTestCase):
    """A factory's protocol and a channel."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.socket, self.partner = connected(self.reactor)
        link = Link(self.reactor)
        self.socket.attach(link)
        self.channel = TransferChannel(link)

    def test_serves(self) -> None:
        """The protocol has the channel as its transport."""
        factory = EchoFactory()
        protocol = serve(self.channel, factory)
        self.assertIs(protocol, factory.echoes[0])
        self.assertIs(factory.echoes[0].transport, self.channel)
        self.assertEqual(factory.addresses, [self.channel.getPeer()])
        self.partner.send(b"x")
        self.reactor.run(3)
        self.assertEqual(self.partner.take(), b"echo x")

    def test_fails(self) -> None:
        """If there is none, the channel does not stay open."""
        for factory, error in BAD_FACTORIES:
            self.setUp()
            self.assertRaises(error, serve, self.channel, factory())
            self.reactor.run(2)
            self.assertTrue(self.socket.aborted)
            self.failureResultOf(self.channel.whenClosed(), Truncated)


class PortTestCase(SynchronousTestCase):
    """A test with a port."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.factory = EchoFactory()

    def inUse(self, inUse: bool) -> None:
        """The factory was started once, and stopped if it is not in use."""
        self.assertEqual(
            (self.factory.starts, self.factory.stops), (1, 0 if inUse else 1)
        )

    def idle(self) -> None:
        """Nothing is left, and the factory is at rest."""
        self.reactor.run(3)
        self.inUse(False)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers | self.reactor.writers, set())

    def talk(self, partner: Partner) -> None:
        """The partner is served, and leaves."""
        partner.send(b"hello")
        self.reactor.run(3)
        self.assertEqual(partner.take(), b"echo hello")
        partner.end()
        self.reactor.run(3)
        self.assertEqual(self.factory.echoes[-1].lost, 1)


class PassiveTests(PortTestCase):
    """Listening, and serving one partner."""

    def listen(
        self, *, within: float | None = None, **how: bool
    ) -> tuple[SimulatedServerEndpoint, Deferred[Any]]:
        endpoint = SimulatedServerEndpoint(self.reactor, **how)
        self.connector = TransferConnector(
            self.reactor, "passive", socketCommand=endpoint, within=within
        )
        port = TransferPort(self.reactor, self.connector, self.factory)
        self.assertEqual(self.factory.starts, 0)
        return endpoint, port.wait()

    def test_serves(self) -> None:
        """The port is there when the real one is bound; one partner is served."""
        endpoint, listening = self.listen(atOnce=False)
        self.assertNoResult(listening)
        real = endpoint.bind()
        port = self.successResultOf(listening)
        self.assertTrue(verifyObject(IListeningPort, port))
        self.assertEqual(port.getHost(), real.getHost())
        self.assertIn("passive", repr(port))
        port.startListening()
        self.inUse(True)
        _, partner = endpoint.arrive()
        late, _ = endpoint.arrive()
        self.assertIsNone(late)
        self.inUse(True)
        self.talk(partner)
        self.idle()
        self.successResultOf(port.stopListening())

    def test_stopped(self) -> None:
        """Before anybody has come, stopping it closes the real port, once."""
        endpoint, listening = self.listen(stopsAtOnce=False)
        port = self.successResultOf(listening)
        first, second = port.stopListening(), port.stopListening()
        self.assertNoResult(first)
        self.assertNoResult(second)
        self.assertEqual(len(endpoint.ports[0].stopping), 1)
        self.inUse(True)
        endpoint.ports[0].close()
        self.successResultOf(first)
        self.successResultOf(second)
        self.idle()
        self.successResultOf(port.stopListening())

    def test_stoppedWhileServing(self) -> None:
        """A connection that is being served goes on."""
        endpoint, listening = self.listen()
        port = self.successResultOf(listening)
        _, partner = endpoint.arrive()
        self.successResultOf(port.stopListening())
        self.inUse(True)
        self.talk(partner)
        self.idle()

    def test_cancelled(self) -> None:
        """Cancelling before it is bound ends it."""
        endpoint, listening = self.listen(atOnce=False)
        listening.cancel()
        self.failureResultOf(listening, CancelledError)
        self.assertTrue(endpoint.listening.called)
        self.idle()

    def test_lateAfterCancel(self) -> None:
        """A port that comes nevertheless is closed."""
        endpoint, listening = self.listen(atOnce=False, stubborn=True)
        listening.cancel()
        self.failureResultOf(listening, CancelledError)
        self.assertTrue(endpoint.bind().stopped)
        self.idle()

    def test_cannotListen(self) -> None:
        """If it cannot be bound, that is the result, and nothing is logged."""
        endpoint, listening = self.listen(atOnce=False)
        endpoint.listening.errback(CannotListenError("", 1, OSError(98, "in use")))
        self.failureResultOf(listening, CannotListenError)
        self.idle()

    def test_cannotListenAtOnce(self) -> None:
        """So it is if this is known at once."""

        class Raising(SimulatedServerEndpoint):
            def listen(self, protocolFactory: Any) -> Deferred[Any]:
                raise CannotListenError("", 1, OSError(98, "in use"))

        connector = TransferConnector(
            self.reactor, "passive", socketCommand=Raising(self.reactor)
        )
        port = TransferPort(self.reactor, connector, self.factory)
        self.failureResultOf(port.wait(), CannotListenError)
        self.idle()

    def test_nobodyCame(self) -> None:
        """What fails when it is bound already is logged."""
        _, listening = self.listen(within=5)
        self.successResultOf(listening)
        self.reactor.turn(5)
        self.assertEqual(len(self.flushLoggedErrors(PartnerTimeout)), 1)
        self.idle()

    def test_noProtocol(self) -> None:
        """So is a factory that has nobody for the partner; he is turned away."""
        for factory, error in BAD_FACTORIES:
            self.factory = factory()
            endpoint, listening = self.listen()
            self.successResultOf(listening)
            socket, partner = endpoint.arrive()
            assert socket is not None
            self.idle()
            self.assertEqual(len(self.flushLoggedErrors(error)), 1, factory)
            self.assertTrue(partner.incoming.broken)

    def test_twice(self) -> None:
        """Whoever listens a second time meanwhile is told so at once."""
        endpoint, listening = self.listen()
        self.successResultOf(listening)
        other = EchoFactory()
        second = TransferPort(self.reactor, self.connector, other)
        self.failureResultOf(second.wait(), AlreadyConnecting)
        self.assertEqual((other.starts, other.stops), (1, 1))
        _, partner = endpoint.arrive()
        self.talk(partner)
        self.idle()

    def test_next(self) -> None:
        """After the end, the next one is served, on the next port."""
        endpoint, listening = self.listen()
        self.successResultOf(listening)
        self.talk(endpoint.arrive()[1])
        self.idle()
        self.factory = EchoFactory()
        port = TransferPort(self.reactor, self.connector, self.factory)
        self.successResultOf(port.wait())
        self.assertEqual(len(endpoint.ports), 2)
        self.talk(endpoint.arrive()[1])
        self.idle()

    def test_resetByPartner(self) -> None:
        """How a protocol's connection ended is the protocol's affair."""
        endpoint, listening = self.listen()
        self.successResultOf(listening)
        _, partner = endpoint.arrive()
        self.reactor.run(2)
        partner.reset()
        self.idle()
        self.assertEqual(self.factory.echoes[0].lost, 1)


class ActiveTests(PortTestCase):
    """Dialling, and serving the partner there."""

    def setUp(self) -> None:
        super().setUp()
        self.endpoint = SimulatedClientEndpoint(self.reactor)
        self.connector = TransferConnector(self.reactor, socketCommand=self.endpoint)
        self.port = TransferPort(self.reactor, self.connector, self.factory)

    def test_serves(self) -> None:
        """The port is there when the partner was reached."""
        listening = self.port.dial()
        self.inUse(True)
        self.assertNoResult(listening)
        socket, partner = self.endpoint.succeed()
        port: Any = self.successResultOf(listening)
        self.assertEqual(port.getHost(), socket.getHost())
        self.assertIn("active", repr(port))
        self.talk(partner)
        self.idle()
        self.successResultOf(port.stopListening())
        self.successResultOf(port.stopListening())

    def test_unbound(self) -> None:
        """Before that it has no address that would mean anything."""
        self.assertEqual(self.port.getHost(), IPv4Address("TCP", "0.0.0.0", 0))

    def test_stoppedWhileServing(self) -> None:
        """A connection that is being served goes on."""
        listening = self.port.dial()
        _, partner = self.endpoint.succeed()
        port: Any = self.successResultOf(listening)
        self.successResultOf(port.stopListening())
        self.inUse(True)
        self.talk(partner)
        self.idle()

    def test_fails(self) -> None:
        """A dial that fails is the result."""
        listening = self.port.dial()
        self.endpoint.fail(ConnectionRefusedError())
        self.failureResultOf(listening, ConnectionRefusedError)
        self.idle()

    def test_cancelled(self) -> None:
        """Cancelling ends the dial."""
        listening = self.port.dial()
        listening.cancel()
        self.failureResultOf(listening, CancelledError)
        self.assertTrue(self.endpoint.connecting.called)
        self.idle()

    def test_noProtocol(self) -> None:
        """A factory that has nobody for the partner fails, and he is left."""
        for factory, error in BAD_FACTORIES:
            self.factory = factory()
            port = TransferPort(self.reactor, self.connector, self.factory)
            listening = port.dial()
            _, partner = self.endpoint.succeed()
            self.failureResultOf(listening, error)
            self.idle()
            self.assertTrue(partner.incoming.broken)

    def test_twice(self) -> None:
        """Whoever dials a second time meanwhile is told so."""
        listening = self.port.dial()
        other = EchoFactory()
        second = TransferPort(self.reactor, self.connector, other)
        self.failureResultOf(second.dial(), AlreadyConnecting)
        self.assertEqual((other.starts, other.stops), (1, 1))
        _, partner = self.endpoint.succeed()
        self.successResultOf(listening)
        self.talk(partner)
        self.idle()


class AgainTests(PortTestCase):
    """Dialling again and again."""

    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def begin(self) -> None:
        self.endpoint = SimulatedClientEndpoint(self.reactor)
        connector = TransferConnector(self.reactor, socketCommand=self.endpoint)
        self.port = TransferPort(self.reactor, connector, self.factory)
        self.listening = self.port.dialAgainAndAgain()

    def waited(self) -> float:
        """:returns: after how many seconds the next dial comes."""
        dials, began = self.endpoint.dials, self.reactor.seconds()
        while self.endpoint.dials == dials:
            self.reactor.turn(0.05)
            if self.reactor.seconds() - began > 100:
                self.fail("no further dial")
        return self.reactor.seconds() - began

    def stop(self) -> None:
        """Stop it; nothing is left then."""
        self.successResultOf(self.port.stopListening())
        self.idle()

    def test_atOnce(self) -> None:
        """There is a port at once, for there is always another try."""
        self.assertIs(self.successResultOf(self.listening), self.port)
        self.assertEqual(self.endpoint.dials, 1)
        self.inUse(True)
        self.assertEqual(self.port.getHost(), IPv4Address("TCP", "0.0.0.0", 0))
        self.stop()

    def test_backOff(self) -> None:
        """After failures it waits longer and longer, up to a bound."""
        waits = []
        for _ in range(14):
            self.endpoint.fail(ConnectionRefusedError())
            waits.append(self.waited())
        self.assertLess(waits[0], 2)
        self.assertGreater(waits[5], waits[0])
        for wait in waits[-2:]:
            self.assertGreater(wait, 59)
            self.assertLess(wait, 62)
        self.stop()

    def test_nextPartner(self) -> None:
        """When a connection has ended it dials anew, soon."""
        for count in range(1, 4):
            for _ in range(5):
                self.endpoint.fail(ConnectionRefusedError())
                self.waited()
            socket, partner = self.endpoint.succeed()
            self.assertEqual(self.port.getHost(), socket.getHost())
            self.talk(partner)
            self.assertEqual(len(self.factory.echoes), count)
            self.assertLess(self.waited(), 2)
        self.inUse(True)
        self.stop()

    def test_oneAtATime(self) -> None:
        """It does not dial while a partner is served."""
        _, partner = self.endpoint.succeed()
        self.reactor.turn(1000)
        self.assertEqual(self.endpoint.dials, 1)
        self.talk(partner)
        self.waited()
        self.stop()

    def test_resetByPartner(self) -> None:
        """A connection that breaks is followed by the next one."""
        _, partner = self.endpoint.succeed()
        self.reactor.run(2)
        partner.reset()
        self.reactor.run(2)
        self.assertLess(self.waited(), 2)
        self.stop()

    def test_stoppedWhileDialling(self) -> None:
        """Stopping ends the dial."""
        first, second = self.port.stopListening(), self.port.stopListening()
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertTrue(self.endpoint.connecting.called)
        self.idle()

    def test_stoppedWhileWaiting(self) -> None:
        """And the waiting for the next one."""
        self.endpoint.fail(ConnectionRefusedError())
        self.reactor.turn()
        self.stop()
        self.stop()

    def test_stoppedWhileServing(self) -> None:
        """
        A connection that is being served goes on, with the factory in use;
        nobody is dialled after it.
        """
        _, partner = self.endpoint.succeed()
        self.reactor.run(2)
        self.successResultOf(self.port.stopListening())
        self.successResultOf(self.port.stopListening())
        self.reactor.run(3)
        self.inUse(True)
        self.talk(partner)
        self.reactor.turn(100)
        self.assertEqual(self.endpoint.dials, 1)
        self.idle()

    def test_noProtocol(self) -> None:
        """A factory that fails is logged, and does not end it."""
        self.stop()
        for factory, error in BAD_FACTORIES:
            self.factory = factory()
            self.begin()
            for _ in range(2):
                socket, _ = self.endpoint.succeed()
                self.reactor.run(2)
                self.assertEqual(len(self.flushLoggedErrors(error)), 1)
                self.assertTrue(socket.aborted)
                self.waited()
            self.stop()


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
