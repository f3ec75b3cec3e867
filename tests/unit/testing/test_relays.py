"""
Tests for :mod:`twisted_transfer.testing.relays`, and for what hostile relays can do to
partners over ``mtls``: nothing but keep them from each other.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import HostnameAddress
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.meeting.test_relay import Application, Recorder, RelayTestCase
from twisted_transfer import (
    BytesDestination,
    BytesSource,
    Receiver,
    TransferChannel,
    TransferConnector,
    Transmitter,
)
from twisted_transfer.connecting.admission import CANDIDATE_TIMEOUT
from twisted_transfer.connecting.invitations import InvitingServerEndpoint
from twisted_transfer.errors import TransferError
from twisted_transfer.meeting.relay import RelayClientEndpoint, RelayServerEndpoint
from twisted_transfer.testing import (
    DelayingRelay,
    DroppingRelay,
    Garbler,
    Impostor,
    ImpostorServer,
    JoiningRelay,
    MemoryListener,
    Relay,
    ReplayingRelay,
    Scanner,
    Staller,
    SwappingRelay,
    settle,
)
from twisted_transfer.tls.client import MutualTLSClientEndpoint
from twisted_transfer.tls.keys import Secret
from twisted_transfer.tls.policy import Policy

ADDRESS = HostnameAddress(b"relay.example", 4001)


class Pair:
    """
    Two partners at a relay, one of whom has the other's invitation.

    :ivar passive: the result of the one who invites.
    :ivar active: the result of the one who is invited.
    :ivar candidates: the counters of the former.
    """

    def __init__(self, clock: Clock, below: Any, **options: Any) -> None:
        """
        :param clock: moves everything.
        :param below: dials the relay.
        :param options: of the one who is invited.
        """

        def meet(secret: Secret) -> Any:
            return RelayServerEndpoint(clock, below, ADDRESS, secret.relayToken())

        self._clock = clock
        self._below = below
        self._options = options
        self.inviting = InvitingServerEndpoint(clock, meet)
        self._inviter = TransferConnector(
            clock, "passive", socketCommand=self.inviting, within=100.0
        )
        self.passive: Deferred[TransferChannel] = self._inviter.connect()
        self.candidates: Any = self._inviter.candidates
        proof = self.inviting.proof()
        self.secret = Secret.fromText(proof["secret"])
        self.policy = Policy(self.secret.identity(), frozenset({proof["pin"]}))
        self.active: Deferred[TransferChannel] = Deferred()

    def dial(self) -> None:
        """Have the invited one dial."""
        token = self.secret.relayToken()
        below = RelayClientEndpoint(self._clock, self._below, ADDRESS, token)
        endpoint = MutualTLSClientEndpoint(
            self._clock, self.policy, below, confirms=True
        )
        self.active = TransferConnector(
            self._clock, socketCommand=endpoint, **self._options
        ).connect()


class HostileTestCase(SynchronousTestCase):
    """A test with partners at a relay of one kind."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.listener = MemoryListener(self.clock)
        self.addCleanup(self.settle, 200)

    def open(self, relay: Relay) -> None:
        """Have a relay listen."""
        self.relay = relay
        self.port: Any = self.successResultOf(self.listener.listen(relay))

    def close(self) -> None:
        """Have the relay listen no more."""
        self.port.stopListening()
        settle(self.clock)

    def pair(self, **options: Any) -> Pair:
        """:returns: two partners; the first of them waits."""
        pair = Pair(self.clock, self.listener.client(), **options)
        settle(self.clock)
        return pair

    def settle(self, seconds: float) -> None:
        """Let time go by."""
        for _ in range(int(seconds * 4)):
            settle(self.clock)
            self.clock.advance(0.25)
        settle(self.clock)

    def assertPartners(self, pair: Pair) -> None:
        """The two are connected with each other."""
        one, other = map(self.successResultOf, (pair.passive, pair.active))
        for sender, receiver, data in ((one, other, b"one"), (other, one, b"other")):
            read = receiver.readExactly(len(data))
            sender.write(data)
            self.settle(3)
            self.assertEqual(self.successResultOf(read), data)
        for channel in (one, other):
            channel.abortConnection()
        self.settle(1)

    def assertNobody(self, *results: Deferred[TransferChannel]) -> None:
        """None of these has got a channel: they wait, or have failed in words."""
        for result in results:
            outcomes: list[Any] = []
            result.addBoth(outcomes.append)
            for outcome in outcomes:
                self.assertIsInstance(outcome.value, TransferError)
            if not outcomes:
                result.cancel()
        self.settle(1)


class HonestTests(HostileTestCase):
    """An honest relay, for comparison."""

    def test_partners(self) -> None:
        """Partners meet, and nobody else was there."""
        self.open(Relay(self.clock))
        pair = self.pair()
        pair.dial()
        self.settle(1)
        self.assertPartners(pair)
        self.assertEqual((pair.candidates.accepted, self.relay.meetings), (1, 1))
        self.assertEqual(self.relay.waiting, [])

    def test_stranger(self) -> None:
        """
        A stranger who has the token is a candidate that fails, is counted, and the
        partner is met all the same.
        """
        self.open(Relay(self.clock))
        pair = self.pair()
        application = Application(lambda: Impostor(self.clock))
        below = self.listener.client()
        RelayClientEndpoint(
            self.clock, below, ADDRESS, pair.secret.relayToken()
        ).connect(application).addErrback(lambda ignored: None)
        self.settle(1)
        self.assertEqual(pair.candidates.dropped, {"unproven": 1})
        pair.dial()
        self.settle(1)
        self.assertPartners(pair)

    def test_lost(self) -> None:
        """The relay is gone while the partner is waited for, and is found again."""
        self.open(Relay(self.clock))
        pair = self.pair()
        self.close()
        self.relay.waiting[0].hangUp()
        self.settle(5)
        self.open(Relay(self.clock))
        self.settle(10)
        pair.dial()
        self.settle(1)
        self.assertPartners(pair)


class SwappingTests(HostileTestCase):
    """A relay that gives each one another's partner."""

    def test_swapped(self) -> None:
        """None of four gets a channel, and none is counted as a partner."""
        self.open(SwappingRelay(self.clock))
        pairs = [self.pair(), self.pair()]
        for pair in pairs:
            pair.dial()
        self.settle(CANDIDATE_TIMEOUT + 5)
        self.assertGreaterEqual(self.relay.meetings, 2)
        for pair in pairs:
            self.assertEqual(pair.candidates.admitted, 0)
            self.assertGreater(sum(pair.candidates.dropped.values()), 0)
            self.assertNobody(pair.active, pair.passive)


class ReplayingTests(HostileTestCase):
    """A relay that says again what was said."""

    def test_replayed(self) -> None:
        """The bytes of a proven partner prove nobody."""
        self.open(ReplayingRelay(self.clock))
        first = self.pair()
        first.dial()
        self.settle(1)
        self.assertPartners(first)
        again = self.pair()
        again.dial()
        self.settle(CANDIDATE_TIMEOUT + 5)
        self.assertEqual(again.candidates.admitted, 0)
        self.assertGreater(sum(again.candidates.dropped.values()), 0)
        self.assertNobody(again.active, again.passive)


class JoiningTests(HostileTestCase):
    """A relay that is the partner itself, or brings one."""

    def test_joined(self) -> None:
        """Whoever it brings is admitted nowhere."""
        clock = self.clock
        strangers: list[Any] = [
            *(Scanner, lambda: Staller(), lambda: Garbler(), Garbler.http),
            *(lambda: Impostor(clock), lambda: ImpostorServer(clock)),
        ]
        for make in strangers:
            self.setUp()
            clock = self.clock
            self.open(JoiningRelay(clock, lambda peer, make=make: make()))  # type: ignore[misc]
            pair = self.pair()
            pair.dial()
            self.settle(CANDIDATE_TIMEOUT + 5)
            self.assertGreater(pair.candidates.accepted, 0)
            self.assertEqual(pair.candidates.admitted, 0)
            self.assertNobody(pair.active, pair.passive)

    def test_relays(self) -> None:
        """What its stranger says is heard, and the end of one is the other's."""
        made: list[Any] = []

        class Stranger(Recorder):
            def connectionMade(self) -> None:
                made.append(self)
                self.transport.write(b"hello")  # type: ignore[union-attr]

        self.open(JoiningRelay(self.clock, lambda peer: Stranger()))
        endpoint = RelayClientEndpoint(
            self.clock, self.listener.client(), ADDRESS, "t" * 64
        )
        connecting = endpoint.connect(Application())
        settle(self.clock)
        protocol: Any = self.successResultOf(connecting)
        self.assertEqual(protocol.received, b"hello")
        protocol.transport.write(b"world")
        settle(self.clock)
        self.assertEqual(made[0].received, b"world")
        protocol.transport.loseConnection()
        settle(self.clock)
        self.assertIsNotNone(made[0].reason)


class DroppingTests(HostileTestCase):
    """A relay that ends connections."""

    def test_dropped(self) -> None:
        """Wherever it ends the handshake, no side takes that for a partner."""
        for after in (0, 1, 100, 500, 1000, 1400):
            self.setUp()
            self.open(DroppingRelay(self.clock, after))
            pair = self.pair()
            pair.dial()
            self.settle(CANDIDATE_TIMEOUT + 5)
            self.assertNobody(pair.active)
            # This side may have the partner's proof whole, and the end behind it.
            if pair.candidates.admitted:
                channel = self.successResultOf(pair.passive)
                self.failureResultOf(channel.read(), TransferError)
            else:
                self.assertNobody(pair.passive)

    def test_inData(self) -> None:
        """An end within the data is no end of the data."""
        self.open(DroppingRelay(self.clock, 5000))
        pair = self.pair()
        pair.dial()
        self.settle(1)
        sender, receiver = map(self.successResultOf, (pair.active, pair.passive))
        reading = receiver.read()
        sender.write(b"x" * 100_000)
        sender.loseConnection()
        self.settle(1)
        self.failureResultOf(reading, TransferError)

    def test_receipts(self) -> None:
        """
        Wherever the relay ends a transfer, even without TLS, the sender has a receipt
        only for what the receiver has whole.
        """
        content = bytes(range(256)) * 4
        outcomes = set()
        for after in range(0, 1600, 11):
            clock = Clock()
            listener = MemoryListener(clock)
            listener.listen(DroppingRelay(clock, after))
            there = (clock, listener.client(), ADDRESS, "t" * 64)
            waiter = TransferConnector(
                clock, "passive", socketCommand=RelayServerEndpoint(*there)
            )
            dialler = TransferConnector(
                clock, socketCommand=RelayClientEndpoint(*there)
            )
            destination = BytesDestination()
            receiving = Receiver(waiter, destination).start()
            sending = Transmitter(dialler, BytesSource(content)).start()
            settle(clock)
            results: list[list[Any]] = [[], []]
            for result, found in zip((receiving, sending), results, strict=True):
                result.addBoth(found.append)
                if not found:
                    result.cancel()
                    clock.advance(100)
            received, sent = ([isinstance(e, int) for e in r] for r in results)
            if [True] in (sent, received):
                self.assertEqual(destination.data, content)
            outcomes.add((received[0], sent[0]))
        # The last word of the receiver can be lost.
        self.assertEqual(outcomes - {(True, False)}, {(False, False), (True, True)})


class DelayingTests(HostileTestCase):
    """A relay that takes its time."""

    def test_delayed(self) -> None:
        """Partners meet if their handshake is in time, and do not otherwise."""
        for seconds, meet in ((1.0, True), (CANDIDATE_TIMEOUT, False)):
            self.setUp()
            self.open(DelayingRelay(self.clock, seconds))
            pair = self.pair()
            pair.dial()
            self.settle(CANDIDATE_TIMEOUT * 4)
            if meet:
                self.assertPartners(pair)
            else:
                self.assertNobody(pair.active, pair.passive)
                self.assertEqual(pair.candidates.dropped, {"timeout": 1})


class ProtocolTests(RelayTestCase):
    """What every relay says, as magic-wormhole's does."""

    def say(self, *pieces: bytes) -> Recorder:
        """:returns: one who dials the relay and sends these."""
        recorder = Recorder()

        class Saying(Application):
            def buildProtocol(self, addr: Any) -> Protocol:
                return recorder

        self.below.connect(Saying()).addErrback(lambda ignored: None)
        self.settle()
        for piece in pieces:
            recorder.transport.write(piece)  # type: ignore[union-attr]
            self.settle()
        return recorder

    def test_badHandshake(self) -> None:
        """A request that is none is refused."""
        self.honest()
        for line in (b"hello\n", b"please relay x for side y\n", b"\n"):
            recorder = self.say(line)
            self.assertEqual(recorder.received, b"bad handshake\n")
            self.assertIsNotNone(recorder.reason)

    def test_impatient(self) -> None:
        """Data before the partner is there is refused."""
        self.honest()
        request = b"please relay " + b"t" * 64 + b" for side " + b"s" * 16 + b"\n"
        for pieces in ((request, b"x"), (request + b"x",)):
            recorder = self.say(*pieces)
            self.assertEqual(recorder.received, b"impatient\n")
            self.assertIsNotNone(recorder.reason)
