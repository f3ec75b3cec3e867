"""
Tests for :mod:`twisted_transfer.testing.attacks`, without a network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS, wrapServerTLS
from twisted.internet.error import (
    CannotListenError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.test.iosim import ConnectionCompleter
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.hostilities import AmbushTestCase, Server, options
from tests.support.simulatedendpoints import SimulatedServerEndpoint
from tests.support.simulation import SimulatedReactor
from tests.support.tlsends import One
from twisted_transfer import BadOption
from twisted_transfer.testing.attacks import (
    CONCURRENCY,
    PATIENCE,
    ambush,
    attack,
    siege,
    thiefEndpoint,
)
from twisted_transfer.testing.memory import MemoryListener, settle
from twisted_transfer.testing.peers import (
    Flooder,
    Garbler,
    HostilePeer,
    Resetter,
    Scanner,
    Staller,
)


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """
    Connects to a new server in memory, each time.

    :ivar servers: those that are connected.
    :ivar most: how many were connected at a time at most.
    :ivar dialled: how many times it was asked.
    """

    def __init__(self, clock: Clock) -> None:
        listener = MemoryListener(clock)
        making: Any = self._made
        listener.listen(Factory.forProtocol(making))
        self._endpoint = listener.client()
        self.servers: list[Server] = []
        self.most = 0
        self.dialled = 0

    def _made(self) -> Server:
        server = Server()
        self.servers.append(server)
        self.most = max(self.most, len(self.servers))
        server.ended.addCallback(lambda ignored: self.servers.remove(server))
        return server

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        self.dialled += 1
        return self._endpoint.connect(protocolFactory)


@implementer(IStreamClientEndpoint)
class FailingEndpoint:
    """Fails with an error, at once."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.dialled = 0

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        self.dialled += 1
        return fail(self._error)


@implementer(IStreamClientEndpoint)
class PendingEndpoint:
    """Dials for ever, and answers a cancel with an error of its own."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.factory: Any = None
        self.cancelled = 0

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        self.factory = protocolFactory
        return Deferred(self._cancel)

    def _cancel(self, dialling: Deferred[Any]) -> None:
        self.cancelled += 1
        dialling.errback(Failure(self._error))


class _SiegeTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = MemoryEndpoint(self.clock)

    def assertNothingLeft(self) -> None:
        """There is no connection and no timer."""
        self.assertEqual(self.endpoint.servers, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AttackTests(_SiegeTestCase):
    """One hostile peer that comes and goes."""

    def test_over(self) -> None:
        """The peer is there when its connection is gone, and not before."""
        attacking = attack(self.clock, self.endpoint, Garbler)
        settle(self.clock)
        self.assertNoResult(attacking)
        [server] = self.endpoint.servers
        self.assertEqual(len(server.data), 1024)
        server.transport.abortConnection()
        settle(self.clock)
        peer = self.successResultOf(attacking)
        self.assertIsInstance(peer, Garbler)
        self.assertEqual(peer.outcome, "reset")
        self.assertNothingLeft()

    def test_endpoints(self) -> None:
        """Twisted's endpoints do, with the reactor that they have."""
        reactor = MemoryReactorClock()
        servers: list[Server] = []

        def made() -> Server:
            servers.append(Server())
            return servers[-1]

        making: Any = made
        reactor.listenTCP(4000, Factory.forProtocol(making))
        endpoint = TCP4ClientEndpoint(reactor, "192.0.2.1", 4000)
        attacking = attack(reactor, endpoint, Scanner)
        pump = ConnectionCompleter(reactor).succeedOnce()
        assert pump is not None
        pump.flush()
        self.assertEqual(self.successResultOf(attacking).outcome, "left")
        self.assertIsNotNone(servers[0].reason)
        attacking = attack(reactor, endpoint, Scanner)
        ConnectionCompleter(reactor).failOnce()
        reactor.advance(0)
        self.assertEqual(self.successResultOf(attacking).outcome, "refused")
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_notReached(self) -> None:
        """What cannot be dialled is an outcome, not an error."""
        for error, outcome in (
            (ConnectionRefusedError(), "refused"),
            (TimeoutError(), "not reached"),
            (DNSLookupError(), "not reached"),
        ):
            attacking = attack(self.clock, FailingEndpoint(error), Staller)
            settle(self.clock)
            peer = self.successResultOf(attacking)
            self.assertEqual(peer.outcome, outcome)
            self.assertIs(peer.reason and peer.reason.value, error)

    def test_brokenEndpoint(self) -> None:
        """What is no matter of the network is an error."""
        error = LookupError("a mistake in the test")
        attacking = attack(self.clock, FailingEndpoint(error), Staller)
        settle(self.clock)
        self.assertIs(self.failureResultOf(attacking).value, error)
        self.assertNothingLeft()

    def test_failsAfterConnection(self) -> None:
        """
        An endpoint that fails after it connected the peer leaves none behind.
        """

        class Late(MemoryEndpoint):
            def connect(self, protocolFactory: Any) -> Deferred[Any]:
                def refuse(connected: object) -> None:
                    raise ConnectionRefusedError()

                return super().connect(protocolFactory).addCallback(refuse)

        self.endpoint = Late(self.clock)
        attacking = attack(self.clock, self.endpoint, Staller)
        settle(self.clock)
        self.assertEqual(self.successResultOf(attacking).outcome, "left")
        self.assertNothingLeft()

    def test_oneConnection(self) -> None:
        """An endpoint that asks twice gets the peer once, then one that hangs up."""
        endpoint = PendingEndpoint(ConnectingCancelledError(None))
        attacking = attack(self.clock, endpoint, Staller)
        for kind in (Staller, Scanner, Scanner):
            self.assertIsInstance(endpoint.factory.buildProtocol(None), kind)
        attacking.addErrback(lambda ignored: None)

    def test_cancelDialling(self) -> None:
        """
        Cancelled while it dials, whatever the endpoint says to that, nothing
        is left, and a connection that comes late is closed.
        """
        errors = (ConnectingCancelledError(None), DNSLookupError(), LookupError())
        for error in errors:
            endpoint = PendingEndpoint(error)
            attacking = attack(self.clock, endpoint, Staller)
            attacking.cancel()
            settle(self.clock)
            self.failureResultOf(attacking, CancelledError)
            self.assertEqual(endpoint.cancelled, 1)
            self.assertIsInstance(endpoint.factory.buildProtocol(None), Scanner)
            self.assertNothingLeft()

    def test_cancelConnected(self) -> None:
        """
        Cancelled while it is connected, once or twice, the connection is reset,
        and it fails when that is gone.
        """
        attacking = attack(self.clock, self.endpoint, Staller)
        settle(self.clock)
        attacking.cancel()
        attacking.cancel()
        self.assertNoResult(attacking)
        settle(self.clock)
        self.failureResultOf(attacking, CancelledError)
        self.assertNothingLeft()

    def test_cancelEnded(self) -> None:
        """Cancelled in its last moment, it is cancelled."""
        attacking = attack(self.clock, FailingEndpoint(TimeoutError()), Staller)
        attacking.cancel()
        settle(self.clock)
        self.failureResultOf(attacking, CancelledError)
        attacking.cancel()
        self.assertNothingLeft()

    def test_patience(self) -> None:
        """A peer stays as long as the attacker's patience lasts, not longer."""
        attacking = attack(self.clock, self.endpoint, Staller, patience=5)
        settle(self.clock)
        self.clock.advance(4.9)
        self.assertNoResult(attacking)
        self.clock.advance(0.1)
        settle(self.clock)
        self.assertEqual(self.successResultOf(attacking).outcome, "stayed")
        self.assertNothingLeft()

    def test_patienceByDefault(self) -> None:
        """Unless told otherwise, it lasts for longer than any of our deadlines."""
        attacking = attack(self.clock, self.endpoint, Staller)
        settle(self.clock)
        self.clock.advance(PATIENCE - 0.1)
        self.assertNoResult(attacking)
        self.clock.advance(0.1)
        settle(self.clock)
        self.assertEqual(self.successResultOf(attacking).outcome, "stayed")


class ThiefTests(SynchronousTestCase):
    """Where a thief dials from."""

    def test_address(self) -> None:
        """It dials from another address than others do, or from any given."""
        reactor = MemoryReactorClock()
        for settings, source in (
            ({}, "127.0.0.2"),
            ({"bindAddress": "127.0.0.3"}, "127.0.0.3"),
        ):
            endpoint = thiefEndpoint(reactor, "127.0.0.1", 4000, **settings)
            attack(reactor, endpoint, Staller)
            host, port, _, _, bindAddress = reactor.tcpClients.pop()
            self.assertEqual((host, port), ("127.0.0.1", 4000))
            self.assertEqual(bindAddress, (source, 0))


class SiegeTests(_SiegeTestCase):
    """Many hostile peers."""

    def besiege(
        self,
        count: int,
        concurrency: int = CONCURRENCY,
        kinds: tuple[Callable[[], HostilePeer], ...] = (Scanner, Resetter),
        **options: Any,
    ) -> Deferred[Counter[str]]:
        """Attack the endpoint of these tests."""
        return siege(
            self.clock, lambda: self.endpoint, kinds, count, concurrency, **options
        )

    def test_count(self) -> None:
        """So many come, so many at a time, and each outcome is counted."""
        for count, concurrency, most in ((100, 7, 7), (5, 256, 5), (3, 1, 1)):
            self.endpoint = MemoryEndpoint(self.clock)
            besieging = self.besiege(count, concurrency)
            settle(self.clock)
            self.assertEqual(self.successResultOf(besieging), {"left": count})
            self.assertEqual(self.endpoint.dialled, count)
            self.assertEqual(self.endpoint.most, most)
            self.assertNothingLeft()

    def test_concurrency(self) -> None:
        """Unless told otherwise, 256 are there at a time."""
        besieging = self.besiege(300, kinds=(Staller,))
        settle(self.clock)
        self.assertEqual(len(self.endpoint.servers), 256)
        for server in list(self.endpoint.servers[:10]):
            server.transport.loseConnection()
        settle(self.clock)
        self.assertEqual(len(self.endpoint.servers), 256)
        self.assertEqual(self.endpoint.dialled, 266)
        self.clock.advance(PATIENCE)
        settle(self.clock)
        self.clock.advance(PATIENCE)
        settle(self.clock)
        self.assertEqual(
            self.successResultOf(besieging), {"end of file": 10, "stayed": 290}
        )
        self.assertNothingLeft()

    def test_turns(self) -> None:
        """The kinds come in turn, and each has its own outcome."""
        made: list[type[HostilePeer]] = []

        class NotedScanner(Scanner):
            def begin(self) -> None:
                made.append(Scanner)
                super().begin()

        class NotedStaller(Staller):
            def begin(self) -> None:
                made.append(Staller)
                super().begin()

        besieging = self.besiege(9, 2, (NotedScanner, NotedStaller), patience=1)
        for _ in range(10):
            settle(self.clock)
            self.clock.advance(1)
        settle(self.clock)
        self.assertEqual(Counter(made), {Scanner: 5, Staller: 4})
        self.assertEqual(self.successResultOf(besieging), {"left": 5, "stayed": 4})

    def test_endpointEach(self) -> None:
        """Each has an endpoint of its own, and may come from somewhere else."""
        endpoints = [self.endpoint, FailingEndpoint(ConnectionRefusedError())] * 3
        besieging = siege(self.clock, endpoints.pop, [Scanner], 6, 2)
        settle(self.clock)
        self.assertEqual(self.successResultOf(besieging), {"left": 3, "refused": 3})

    def test_refused(self) -> None:
        """
        Where nobody listens, all are refused; the reactor has its turn between
        any two that come one after the other.
        """
        refusing = FailingEndpoint(ConnectionRefusedError())
        besieging = siege(self.clock, lambda: refusing, [Staller], 5000, 10)
        self.assertEqual(refusing.dialled, 10)
        settle(self.clock)
        self.assertEqual(self.successResultOf(besieging), {"refused": 5000})

    def test_none(self) -> None:
        """No peer at all is a siege, too."""
        self.assertEqual(self.successResultOf(self.besiege(0)), {})

    def test_cancel(self) -> None:
        """Cancelled, all connections are reset and no more come."""
        besieging = self.besiege(100, 10, (Staller,))
        settle(self.clock)
        self.assertEqual(len(self.endpoint.servers), 10)
        besieging.cancel()
        self.assertNoResult(besieging)
        settle(self.clock)
        self.failureResultOf(besieging, CancelledError)
        self.assertEqual(self.endpoint.dialled, 10)
        self.assertNothingLeft()

    def test_cancelIsPatient(self) -> None:
        """It is over when the last connection is gone, not the first."""
        clocks = [Clock(), Clock()]
        endpoints = [MemoryEndpoint(clock) for clock in clocks]
        besieging = siege(self.clock, iter(endpoints).__next__, [Staller], 2, 2)
        settle(clocks[0])
        settle(clocks[1])
        besieging.cancel()
        settle(clocks[0])
        settle(self.clock)
        self.assertEqual([len(each.servers) for each in endpoints], [0, 1])
        self.assertNoResult(besieging)
        settle(clocks[1])
        settle(self.clock)
        self.failureResultOf(besieging, CancelledError)
        self.assertEqual(endpoints[1].servers, [])

    def test_mistake(self) -> None:
        """What the user's own functions raise ends the siege; nothing is left."""
        peers = [Staller(), Staller(), Staller()]
        besieging = self.besiege(100, 10, (peers.pop,))
        settle(self.clock)
        self.failureResultOf(besieging, IndexError)
        self.assertEqual(self.endpoint.dialled, 3)
        self.assertNothingLeft()

    def test_options(self) -> None:
        """What cannot be is refused at once, by name."""
        for count, concurrency, kinds, words in (
            (-1, 1, (Scanner,), "count=-1"),
            (1, 0, (Scanner,), "concurrency=0"),
            (1, 1, (), "makePeers=()"),
        ):
            error = self.assertRaises(
                BadOption, self.besiege, count, concurrency, kinds
            )
            self.assertIn(words, str(error))


class AmbushTests(AmbushTestCase):
    """One that lies in wait for who dials."""

    def test_kinds(self) -> None:
        """Each kind does to a client what it does to a server."""
        kinds: tuple[tuple[Callable[[], HostilePeer], int], ...] = (
            (Scanner, 0),
            (Resetter, 0),
            (lambda: Flooder(100_000), 100_000),
        )
        for makePeer, count in kinds:
            meeting = self.ambushed(makePeer)
            client = Server()
            self.dial(client)
            peer = self.successResultOf(meeting)
            self.assertEqual((peer.outcome, len(client.data)), ("left", count))
            self.successResultOf(client.ended)
            self.assertNothingLeft()

    def test_outcome(self) -> None:
        """The peer is there when its connection is gone, and not before."""
        meeting = self.ambushed(Garbler)
        client = Server()
        self.dial(client)
        self.assertEqual(len(client.data), 1024)
        self.assertNoResult(meeting)
        client.transport.abortConnection()
        settle(self.clock)
        self.assertEqual(self.successResultOf(meeting).outcome, "reset")
        self.assertNothingLeft()

    def test_once(self) -> None:
        """The first who dials meets it, and whoever comes later nobody."""
        meeting = self.ambushed(Staller)
        first, second = Server(), Server()
        endpoint: IStreamClientEndpoint = self.listener.client()
        # Both are accepted in one turn of the reactor.
        endpoint.connect(One(first))
        endpoint.connect(One(second))
        settle(self.clock)
        self.successResultOf(second.ended)
        self.assertIsNone(first.reason)
        self.assertIsNone(self.listener.port)
        late = endpoint.connect(One(Server()))
        settle(self.clock)
        self.failureResultOf(late, ConnectionRefusedError)
        first.transport.loseConnection()
        settle(self.clock)
        self.assertEqual(self.successResultOf(meeting).outcome, "end of file")

    def test_patience(self) -> None:
        """It stays for so long from the moment in which somebody came."""
        for more, patience in (({"patience": 5.0}, 5.0), ({}, PATIENCE)):
            meeting = self.ambushed(Staller, **more)
            self.clock.advance(1000)
            self.dial(Server())
            self.clock.advance(patience - 0.1)
            settle(self.clock)
            self.assertNoResult(meeting)
            self.clock.advance(0.1)
            settle(self.clock)
            self.assertEqual(self.successResultOf(meeting).outcome, "stayed")
            self.assertNothingLeft()

    def test_cancelWaiting(self) -> None:
        """Cancelled before anybody came, the port is closed."""
        meeting = self.ambushed(Staller)
        meeting.cancel()
        self.assertNoResult(meeting)
        settle(self.clock)
        self.failureResultOf(meeting, CancelledError)
        self.assertNothingLeft()

    def test_cancelMet(self) -> None:
        """Cancelled while somebody is there, the connection is reset."""
        meeting = self.ambushed(Staller)
        client = Server()
        self.dial(client)
        meeting.cancel()
        self.assertNoResult(meeting)
        settle(self.clock)
        self.failureResultOf(meeting, CancelledError)
        self.successResultOf(client.ended)
        self.assertNothingLeft()

    def test_slowPort(self) -> None:
        """It is over when the port is closed, too."""
        reactor = SimulatedReactor()
        endpoint = SimulatedServerEndpoint(reactor, stopsAtOnce=False)
        _, meeting = self.successResultOf(ambush(reactor, endpoint, Scanner))
        endpoint.arrive()
        reactor.run()
        self.assertNoResult(meeting)
        endpoint.ports[0].close()
        reactor.run()
        self.assertEqual(self.successResultOf(meeting).outcome, "left")

    def test_cannotListen(self) -> None:
        """Where there can be no port, that is an error."""
        self.successResultOf(self.listener.listen(Factory.forProtocol(Server)))
        ambushing = ambush(self.clock, self.listener, Staller)
        self.failureResultOf(ambushing, CannotListenError)

    def test_behindTLS(self) -> None:
        """Over another layer, too, one that comes too late is let go."""
        tls = options(Authority(newFolder(self)), verify=False)
        wrapped = wrapServerTLS(tls, self.listener, clock=self.clock)
        _, meeting = self.successResultOf(
            ambush(self.clock, wrapped, lambda: Garbler(data=b"welcome"))
        )
        first, second = Server(), Server()
        endpoint = wrapClientTLS(
            CertificateOptions(), self.listener.client(), clock=self.clock
        )
        endpoint.connect(One(first))
        endpoint.connect(One(second))
        settle(self.clock)
        self.assertEqual(bytes(first.data), b"welcome")
        self.successResultOf(second.ended)
        first.transport.loseConnection()
        settle(self.clock)
        self.assertEqual(self.successResultOf(meeting).outcome, "end of file")
