"""
Tests for :mod:`twisted_transfer.testing`: what it hands out, and what a passive
connector owes to its partner when hostile peers come, all in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS, wrapServerTLS
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import twisted_transfer
from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.hostilities import options
from twisted_transfer import TransferChannel, TransferConnector, testing
from twisted_transfer.connecting.admission import (
    CANDIDATE_TIMEOUT,
    MAX_CANDIDATES,
    Admission,
)
from twisted_transfer.testing import attacks, memory, peers, relays, tlspeers
from twisted_transfer.testing.attacks import attack, siege
from twisted_transfer.testing.memory import MemoryListener, settle
from twisted_transfer.testing.peers import (
    Dripper,
    Flooder,
    Garbler,
    HostilePeer,
    Resetter,
    Scanner,
    Staller,
)
from twisted_transfer.testing.tlspeers import Impostor

PARTNER, THIEF = "127.0.0.1", "127.0.0.2"


class NameTests(SynchronousTestCase):
    """The public names."""

    def test_names(self) -> None:
        """Each is what it is where it is made, and there is no other."""
        where: dict[Any, tuple[str, ...]] = {
            attacks: ("ambush", "attack", "siege", "thiefEndpoint"),
            memory: ("MemoryListener", "MemoryTransport", "memoryPair", "settle"),
            peers: (
                "Dripper",
                "Flooder",
                "Garbler",
                "HostilePeer",
                "Resetter",
                "Scanner",
                "Staller",
            ),
            relays: (
                "DelayingRelay",
                "DroppingRelay",
                "JoiningRelay",
                "Relay",
                "ReplayingRelay",
                "SwappingRelay",
            ),
            tlspeers: ("Impostor", "ImpostorServer"),
        }
        for module, names in where.items():
            for name in names:
                self.assertIs(getattr(testing, name), getattr(module, name), name)
        public = sorted(name for names in where.values() for name in names)
        self.assertEqual(sorted(testing.__all__), public)

    def test_listed(self) -> None:
        """The module's own documentation names each of them."""
        for name in testing.__all__:
            self.assertIn(f":`{name}`", str(testing.__doc__))

    def test_apart(self) -> None:
        """A program that does not test has nothing hostile in it."""
        self.assertFalse(set(testing.__all__) & set(dir(twisted_transfer)))


class _ConnectorTestCase(SynchronousTestCase):
    """A passive connector that is dialled in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.listener = MemoryListener(self.clock)

    def wait(self, endpoint: Any = None, **more: Any) -> None:
        """Let a connector wait for its partner."""
        self.connector = TransferConnector(
            self.clock, "passive", socketCommand=endpoint or self.listener, **more
        )
        self.waiting = self.connector.connect()

    def attacked(
        self, makePeer: Callable[[], HostilePeer], host: str = PARTNER
    ) -> Deferred[HostilePeer]:
        """:returns: a Deferred with a peer that has come from an address."""
        attacking = attack(self.clock, self.listener.client(host), makePeer, 3600)
        settle(self.clock)
        return attacking

    @property
    def counters(self) -> Admission:
        """How many came, and what became of them."""
        assert self.connector.candidates is not None
        return self.connector.candidates

    def dial(self) -> Deferred[TransferChannel]:
        """:returns: a Deferred with the true partner's channel."""
        return TransferConnector(
            self.clock, socketCommand=self.listener.client(PARTNER)
        ).connect()

    def meet(self) -> None:
        """The true partner comes and is admitted, and the port is closed."""
        dialling = self.dial()
        settle(self.clock)
        left = self.successResultOf(dialling)
        right = self.successResultOf(self.waiting)
        self.assertIsNone(self.listener.port)
        self.talk(left, right)

    def talk(self, left: TransferChannel, right: TransferChannel) -> None:
        """Two channels are of one connection, and are closed."""
        left.write(b"hello")
        reading = right.readExactly(5)
        settle(self.clock)
        self.assertEqual(self.successResultOf(reading), b"hello")
        left.loseConnection()
        right.loseConnection()
        settle(self.clock)
        self.successResultOf(left.whenClosed())
        self.successResultOf(right.whenClosed())
        self.assertEqual(self.counters.admitted, 1)

    def assertNothingLeft(self) -> None:
        """There is no port, no timer, and nothing in motion."""
        self.assertIsNone(self.listener.port)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class PlainConnectorTests(_ConnectorTestCase):
    """On plain connections the address is all the proof that there is."""

    def test_partner(self) -> None:
        """The listener gives its address; who dials it is the partner."""
        self.wait()
        address = self.successResultOf(self.connector.whenListening())
        self.assertEqual(address, self.listener.address)
        self.meet()
        self.assertNothingLeft()

    def test_closed(self) -> None:
        """A connector that is closed leaves no port, and may wait again."""
        self.wait()
        closing = self.connector.close()
        settle(self.clock)
        self.successResultOf(closing)
        self.failureResultOf(self.waiting)
        self.assertNothingLeft()
        self.waiting = self.connector.connect()
        self.meet()

    def test_thiefFirst(self) -> None:
        """
        A thief at another address is turned away, whatever it does; the port
        stays open, and the partner comes.
        """
        kinds: tuple[Callable[[], HostilePeer], ...] = (
            Scanner,
            Resetter,
            Staller,
            lambda: Dripper(self.clock),
            Garbler,
            Flooder,
            lambda: Impostor(self.clock),
        )
        self.wait(admit=[PARTNER])
        for count, makePeer in enumerate(kinds, 1):
            peer = self.successResultOf(self.attacked(makePeer, THIEF))
            self.assertIn(peer.outcome, ("left", "end of file", "reset"))
            self.assertEqual(peer.receivedCount, 0)
            self.assertNoResult(self.waiting)
            self.assertEqual(self.counters.dropped, {"address": count})
            self.assertIsNotNone(self.listener.port)
        self.meet()
        self.assertNothingLeft()

    def test_partnerFirst(self) -> None:
        """A thief that comes after the partner is refused."""
        self.wait(admit=[PARTNER])
        self.meet()
        thief = self.successResultOf(self.attacked(Staller, THIEF))
        self.assertEqual(thief.outcome, "refused")
        self.assertEqual(self.counters.dropped, {})
        self.assertEqual(self.counters.accepted, 1)
        self.assertNothingLeft()

    def test_together(self) -> None:
        """
        Where both are accepted in one turn of the reactor, in either order,
        the partner is admitted and the thief turned away.
        """
        for thiefFirst, why in ((True, "address"), (False, "late")):
            self.wait(admit=[PARTNER])

            def steal() -> Deferred[Staller]:
                return attack(self.clock, self.listener.client(THIEF), Staller)

            if thiefFirst:
                stealing, dialling = steal(), self.dial()
            else:
                dialling, stealing = self.dial(), steal()
            settle(self.clock)
            self.assertEqual(self.counters.dropped, {why: 1})
            self.assertEqual(self.successResultOf(stealing).outcome, "end of file")
            self.talk(
                self.successResultOf(dialling), self.successResultOf(self.waiting)
            )
            self.assertNothingLeft()

    def test_thiefIsPartner(self) -> None:
        """Without a list of addresses, whoever comes first is the partner."""
        self.wait()
        self.attacked(Staller, THIEF)
        channel: Any = self.successResultOf(self.waiting)
        self.assertEqual(channel.getPeer().host, THIEF)
        dialling = self.dial()
        channel.abortConnection()
        channel.whenClosed().addErrback(lambda failure: None)
        settle(self.clock)
        self.failureResultOf(dialling)
        self.assertNothingLeft()


class TLSConnectorTests(_ConnectorTestCase):
    """Over TLS with certificates on both sides, hostile peers prove nothing."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(newFolder(self))
        server = options(self.authority, verify=True)
        self.wait(wrapServerTLS(server, self.listener, clock=self.clock))

    def dial(self) -> Deferred[TransferChannel]:
        """:returns: a Deferred with the channel of one who has a certificate."""
        certificate, key = self.authority.issue("partner")
        identity = certificate.read_bytes() + key.read_bytes()
        root = (self.authority.trustRoots / "ca.pem").read_bytes()
        endpoint = wrapClientTLS(
            optionsForClientTLS(
                "localhost",
                trustRoot=Certificate.loadPEM(root),
                clientCertificate=PrivateCertificate.loadPEM(identity),
            ),
            self.listener.client(PARTNER),
            clock=self.clock,
        )
        return TransferConnector(self.clock, socketCommand=endpoint).connect()

    def test_atOnce(self) -> None:
        """
        Those that fail by what they do are dropped at once, each for its
        reason; none keeps the port from the partner.
        """
        kinds: list[tuple[Callable[[], HostilePeer], str, str]] = [
            (Scanner, "hung up", "left"),
            (Resetter, "hung up", "left"),
            (Garbler, "unproven", "end of file"),
            (Garbler.http, "unproven", "end of file"),
            (Flooder, "unproven", "end of file"),
            (lambda: Impostor(self.clock), "unproven", "alert: unknown ca"),
            (
                lambda: Impostor(self.clock, certificate=False),
                "unproven",
                "alert: certificate required",
            ),
            (
                lambda: Impostor(self.clock, version="1.2"),
                "unproven",
                "alert: unknown ca",
            ),
        ]
        for makePeer, why, outcome in kinds:
            self.counters.dropped.clear()
            peer = self.successResultOf(self.attacked(makePeer))
            self.assertEqual(peer.outcome, outcome, peer)
            self.assertEqual(self.counters.dropped, {why: 1}, peer)
            self.assertNoResult(self.waiting)
            self.assertIsNotNone(self.listener.port)
            # OpenSSL answers with an alert, at most; the user has said nothing.
            if not isinstance(peer, Impostor):
                self.assertLess(peer.receivedCount, 20)
        self.assertEqual(self.counters.accepted, len(kinds))
        self.meet()
        self.assertNothingLeft()

    def test_staller(self) -> None:
        """A silent one is there until its deadline, and no longer."""
        attacking = self.attacked(Staller)
        self.clock.advance(CANDIDATE_TIMEOUT - 0.001)
        settle(self.clock)
        self.assertNoResult(attacking)
        self.assertEqual(self.counters.dropped, {})
        self.clock.advance(0.001)
        settle(self.clock)
        self.assertEqual(self.successResultOf(attacking).outcome, "reset")
        self.assertEqual(self.counters.dropped, {"timeout": 1})
        self.meet()
        self.assertNothingLeft()

    def test_dripper(self) -> None:
        """The deadline is counted from the beginning, whatever is sent."""
        peers: list[Dripper] = []

        def dripper() -> Dripper:
            peers.append(Dripper(self.clock, interval=0.1))
            return peers[0]

        attacking = self.attacked(dripper)
        steps = round(CANDIDATE_TIMEOUT / 0.1)
        for _ in range(steps - 1):
            self.clock.advance(0.1)
            settle(self.clock)
        self.assertEqual(peers[0].sent, steps)
        self.assertNoResult(attacking)
        self.assertEqual(self.counters.dropped, {})
        self.clock.advance(0.11)
        settle(self.clock)
        self.assertEqual(self.counters.dropped, {"timeout": 1})
        self.assertEqual(self.successResultOf(attacking).outcome, "reset")
        self.meet()
        self.assertNothingLeft()

    def test_stallers(self) -> None:
        """A hundred silent ones do not keep the partner out."""
        silent = [self.attacked(Staller) for _ in range(100)]
        self.assertEqual(self.counters.dropped, {})
        self.meet()
        for attacking in silent:
            self.assertEqual(self.successResultOf(attacking).outcome, "reset")
        self.assertEqual(self.counters.dropped, {"late": 100})
        self.assertNothingLeft()

    def test_evicted(self) -> None:
        """Of too many some make room, and none is kept for ever."""
        silent = [self.attacked(Staller) for _ in range(MAX_CANDIDATES + 7)]
        self.assertEqual(sum(attacking.called for attacking in silent), 7)
        self.assertEqual(self.counters.dropped, {"evicted": 7})
        self.clock.advance(CANDIDATE_TIMEOUT)
        settle(self.clock)
        for attacking in silent:
            self.assertEqual(self.successResultOf(attacking).outcome, "reset")
        self.assertEqual(
            self.counters.dropped, {"evicted": 7, "timeout": MAX_CANDIDATES}
        )
        self.meet()
        self.assertNothingLeft()

    def test_siege(self) -> None:
        """The partner is admitted while many of all kinds come and go."""
        besieging = siege(
            self.clock,
            lambda: self.listener.client(THIEF),
            [
                Scanner,
                Resetter,
                Staller,
                Garbler,
                lambda: Dripper(self.clock),
                lambda: Impostor(self.clock),
            ],
            600,
            60,
        )
        while self.counters.accepted < 300:
            settle(self.clock)
            self.clock.advance(1)
        self.assertNoResult(besieging)
        self.assertNoResult(self.waiting)
        self.meet()
        settle(self.clock)
        outcomes = self.successResultOf(besieging)
        self.assertEqual(sum(outcomes.values()), 600)
        self.assertEqual(outcomes["admitted"] + outcomes["stayed"], 0)
        self.assertGreater(outcomes["refused"], 0)
        self.assertEqual(
            sum(self.counters.dropped.values()), self.counters.accepted - 1
        )
        self.assertNothingLeft()
