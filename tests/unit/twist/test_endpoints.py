"""
Tests for :mod:`twisted_transfer.twist.endpoints`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IListeningPort,
    ILoggingContext,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.support.simulatedendpoints import (
    SimulatedClientEndpoint,
    SimulatedServerEndpoint,
)
from tests.support.simulation import Partner, SimulatedReactor, connected
from twisted_transfer import BadDescription, TransferChannel, TransferConnector
from twisted_transfer.channel.link import Link
from twisted_transfer.errors import PartnerTimeout, Truncated
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


RAISING_FACTORIES = (RaisingFactory, DivingFactory)
"""Factories that raise ``ZeroDivisionError`` when there is a partner."""


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
        protocol = serve(self.channel, factory, client=True)
        self.assertIs(protocol, factory.echoes[0])
        self.assertIs(factory.echoes[0].transport, self.channel)
        self.assertEqual(factory.addresses, [self.channel.getPeer()])
        self.partner.send(b"x")
        self.reactor.run(3)
        self.assertEqual(self.partner.take(), b"echo x")

    def test_inUse(self) -> None:
        """The factory is in use as long as there is the connection."""
        factory = EchoFactory()
        serve(self.channel, factory, client=True)
        self.assertEqual((factory.starts, factory.stops), (1, 0))
        self.partner.end()
        self.reactor.run(3)
        self.assertEqual((factory.starts, factory.stops), (1, 1))

    def test_noProtocol(self) -> None:
        """A factory that makes none has the channel closed in an orderly way."""
        factory = NoneFactory()
        self.assertIsNone(serve(self.channel, factory, client=True))
        self.reactor.run(3)
        self.assertFalse(self.socket.aborted)
        self.assertIsNone(self.successResultOf(self.channel.whenClosed()))
        self.assertEqual((factory.starts, factory.stops), (1, 1))

    def test_fails(self) -> None:
        """If it raises, so does this, and the channel is aborted."""
        for make in RAISING_FACTORIES:
            self.setUp()
            factory = make()
            self.assertRaises(ZeroDivisionError, serve, self.channel, factory, True)
            self.reactor.run(2)
            self.assertTrue(self.socket.aborted)
            self.failureResultOf(self.channel.whenClosed(), Truncated)
            self.assertEqual((factory.starts, factory.stops), (1, 1))


class PortTestCase(SynchronousTestCase):
    """A test with a port."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.factory = EchoFactory()
        capturing = capturedLogs()
        self.events: Any = capturing.__enter__()
        self.addCleanup(capturing.__exit__, None, None, None)

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

    def turnedAway(self) -> None:
        """A line, and no error, tells that the factory had no protocol."""
        lines = [
            formatEvent(event)
            for event in self.events
            if "no protocol" in (event["log_format"] or "")
        ]
        self.events.clear()
        self.assertEqual(len(lines), 1)
        self.assertRegex(
            lines[0], "NoneFactory.* no protocol for 192\\.0\\.2\\.\\d+:\\d+:"
        )
        self.assertEqual(self.flushLoggedErrors(), [])

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
        return endpoint, port.search()

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

    def test_logPrefix(self) -> None:
        """The log names the user's factory as what is listened for."""
        endpoint, _ = self.listen()
        self.assertEqual(endpoint._factory.logPrefix(), "EchoFactory")

        @implementer(ILoggingContext)
        class Named(EchoFactory):
            def logPrefix(self) -> str:
                return "echo"

        self.factory = Named()
        endpoint, _ = self.listen()
        self.assertEqual(endpoint._factory.logPrefix(), "echo")

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
        self.failureResultOf(port.search(), CannotListenError)
        self.idle()

    def test_nobodyCame(self) -> None:
        """What fails when it is bound already is logged."""
        _, listening = self.listen(within=5)
        self.successResultOf(listening)
        self.reactor.turn(5)
        self.assertEqual(len(self.flushLoggedErrors(PartnerTimeout)), 1)
        self.idle()

    def test_raises(self) -> None:
        """So is a factory that fails; the partner's connection is aborted."""
        for factory in RAISING_FACTORIES:
            self.factory = factory()
            endpoint, listening = self.listen()
            self.successResultOf(listening)
            _, partner = endpoint.arrive()
            self.idle()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertTrue(partner.incoming.broken)

    def test_noProtocol(self) -> None:
        """With a factory that makes no protocol, the partner is turned away."""
        self.factory = NoneFactory()
        endpoint, listening = self.listen()
        self.successResultOf(listening)
        _, partner = endpoint.arrive()
        self.idle()
        self.turnedAway()
        self.assertFalse(partner.incoming.broken)
        self.assertTrue(partner.incoming.ended)

    def test_next(self) -> None:
        """After the end, the next one is served, on the next port."""
        endpoint, listening = self.listen()
        self.successResultOf(listening)
        self.talk(endpoint.arrive()[1])
        self.idle()
        self.factory = EchoFactory()
        port = TransferPort(self.reactor, self.connector, self.factory)
        self.successResultOf(port.search())
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
        listening = self.port.search()
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
        listening = self.port.search()
        _, partner = self.endpoint.succeed()
        port: Any = self.successResultOf(listening)
        self.successResultOf(port.stopListening())
        self.inUse(True)
        self.talk(partner)
        self.idle()

    def test_fails(self) -> None:
        """A dial that fails is the result."""
        listening = self.port.search()
        self.endpoint.fail(ConnectionRefusedError())
        self.failureResultOf(listening, ConnectionRefusedError)
        self.idle()

    def test_cancelled(self) -> None:
        """Cancelling ends the dial."""
        listening = self.port.search()
        listening.cancel()
        self.failureResultOf(listening, CancelledError)
        self.assertTrue(self.endpoint.connecting.called)
        self.idle()

    def test_raises(self) -> None:
        """A factory that fails is the result; the connection is aborted."""
        for factory in RAISING_FACTORIES:
            self.factory = factory()
            port = TransferPort(self.reactor, self.connector, self.factory)
            listening = port.search()
            _, partner = self.endpoint.succeed()
            self.failureResultOf(listening, ZeroDivisionError)
            self.idle()
            self.assertTrue(partner.incoming.broken)

    def test_noProtocol(self) -> None:
        """With a factory that makes no protocol, the partner is turned away."""
        self.factory = NoneFactory()
        port = TransferPort(self.reactor, self.connector, self.factory)
        listening = port.search()
        _, partner = self.endpoint.succeed()
        self.assertIs(self.successResultOf(listening), port)
        self.idle()
        self.turnedAway()
        self.assertFalse(partner.incoming.broken)
        self.assertTrue(partner.incoming.ended)


class AgainTests(PortTestCase):
    """Dialling again and again."""

    def setUp(self) -> None:
        super().setUp()
        self.begin()

    def begin(self) -> None:
        self.endpoint = SimulatedClientEndpoint(self.reactor)
        connector = TransferConnector(self.reactor, socketCommand=self.endpoint)
        self.port = TransferPort(self.reactor, connector, self.factory)
        self.listening = self.port.search(again=True)

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

    def test_stoppedFromWithin(self) -> None:
        """The protocol may stop it when it is connected; nobody is dialled after it."""
        port = self.port

        class Stopping(Echo):
            def connectionMade(self) -> None:
                port.stopListening()

        stopping = Stopping()
        self.factory.echoes.append(stopping)
        self.patch(self.factory, "buildProtocol", lambda addr: stopping)
        _, partner = self.endpoint.succeed()
        self.reactor.run(2)
        self.talk(partner)
        self.reactor.turn(100)
        self.assertEqual(self.endpoint.dials, 1)
        self.idle()

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

    def test_raises(self) -> None:
        """A factory that fails is logged, and does not end it."""
        self.stop()
        for factory in RAISING_FACTORIES:
            self.factory = factory()
            self.begin()
            for _ in range(2):
                socket, _ = self.endpoint.succeed()
                self.reactor.run(2)
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
                self.assertTrue(socket.aborted)
                self.waited()
            self.stop()

    def test_noProtocol(self) -> None:
        """A factory that makes no protocol does not end it either."""
        self.stop()
        self.factory = NoneFactory()
        self.begin()
        for _ in range(2):
            socket, _ = self.endpoint.succeed()
            self.reactor.run(3)
            self.turnedAway()
            self.assertFalse(socket.aborted)
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
        link.dataReceived(b"very early ")
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
            self.failureResultOf(connecting, ConnectingCancelledError)
            self.idle()

    def test_cancelledDestination(self) -> None:
        """The error of a dial that was cancelled names its destination."""
        address = IPv4Address("TCP", "192.0.2.7", 4000)

        class Dialling(SimulatedClientEndpoint):
            def connect(self, protocolFactory: Any) -> Deferred[Any]:
                return Deferred(
                    lambda dial: dial.errback(ConnectingCancelledError(address))
                )

        connector = TransferConnector(
            self.reactor, socketCommand=Dialling(self.reactor)
        )
        connecting = TransferClientEndpoint(connector).connect(self.factory)
        connecting.cancel()
        error = self.failureResultOf(connecting, ConnectingCancelledError)
        self.assertEqual(error.value.address, address)
        self.idle()

    def test_raises(self) -> None:
        """A factory that fails is the result, and nothing stays open."""
        for factory in RAISING_FACTORIES:
            self.factory = factory()
            endpoint, client = self.active()
            connecting = client.connect(self.factory)
            socket, _ = endpoint.succeed()
            self.failureResultOf(connecting, ZeroDivisionError)
            self.idle()
            self.assertTrue(socket.aborted)

    def test_noProtocol(self) -> None:
        """A factory that makes no protocol fails; the connection is closed."""
        self.factory = NoneFactory()
        endpoint, client = self.active()
        connecting = client.connect(self.factory)
        socket, partner = endpoint.succeed()
        self.failureResultOf(connecting, NoProtocol)
        self.idle()
        self.assertFalse(socket.aborted)
        self.assertTrue(partner.incoming.ended)

    def test_startFails(self) -> None:
        """A factory that cannot be started is the result, too."""

        class Unready(EchoFactory):
            def startFactory(self) -> None:
                raise ZeroDivisionError

        endpoint, client = self.active()
        self.failureResultOf(client.connect(Unready()), ZeroDivisionError)
        self.assertEqual(endpoint.dials, 0)

    def test_atOnce(self) -> None:
        """Two can connect at a time, each to a partner of its own."""
        endpoint, client = self.active()
        first = client.connect(self.factory)
        others = EchoFactory()
        # The simulated endpoint knows the latest dial only.
        answer, endpoint.connecting = endpoint.connecting, Deferred()
        build = endpoint._factory.buildProtocol
        second = client.connect(others)
        self.assertEqual(endpoint.dials, 2)
        _, partner = endpoint.succeed()
        self.assertIs(self.successResultOf(second), others.echoes[0])
        self.assertNoResult(first)
        socket, other = connected(self.reactor)
        link = build(socket.peer)
        socket.attach(link)
        answer.callback(link)
        self.assertIs(self.successResultOf(first), self.factory.echoes[0])
        partner.end()
        self.talk(other)
        self.idle()
        self.assertEqual((others.starts, others.stops), (1, 1))

    def test_cancelledAlone(self) -> None:
        """Of two that connect at a time, one can be cancelled by itself."""
        endpoint, client = self.passive()
        first = client.connect(EchoFactory())
        second = client.connect(self.factory)
        first.cancel()
        self.failureResultOf(first, ConnectingCancelledError)
        self.assertEqual([port.stopped for port in endpoint.ports], [True, False])
        _, partner = endpoint.arrive()
        self.assertIs(self.successResultOf(second), self.factory.echoes[0])
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

    def test_atOnce(self) -> None:
        """It can listen twice at a time; each port serves a partner."""
        endpoint, server = self.passive()
        other = EchoFactory()
        first: Any = self.successResultOf(server.listen(other))
        second: Any = self.successResultOf(server.listen(self.factory))
        self.assertIsNot(first, second)
        self.successResultOf(first.stopListening())
        self.assertEqual([port.stopped for port in endpoint.ports], [True, False])
        self.assertEqual((other.starts, other.stops), (1, 1))
        _, partner = endpoint.arrive()
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
