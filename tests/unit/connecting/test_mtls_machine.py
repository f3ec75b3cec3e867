"""
Whatever happens to connectors over ``mtls``, in whatever order: who is admitted
has proved who it is, everybody is told once, and nothing is left.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import wrapServerTLS
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder
from tests.support.mtlsends import ALL, Hand, clientContext, serverContext
from tests.support.simulatedendpoints import (
    SimulatedClientEndpoint,
    SimulatedServerEndpoint,
)
from tests.support.simulation import SimulatedReactor, SimulatedSocket
from twisted_transfer import (
    AlreadyConnecting,
    NotAdmitted,
    PartnerTimeout,
    PeerRefused,
    TransferChannel,
    TransferConnector,
)
from twisted_transfer.channel.link import Link, LinkState
from twisted_transfer.connecting.admission import CANDIDATE_TIMEOUT, MAX_CANDIDATES
from twisted_transfer.connecting.invitations import InvitingServerEndpoint
from twisted_transfer.tls.client import CONFIRM_TIMEOUT, MutualTLSClientEndpoint
from twisted_transfer.tls.keys import Identity, Secret
from twisted_transfer.tls.policy import Policy

OLD = ssl.TLSVersion.TLSv1_2
_GARBAGE = b"GET / HTTP/1.0\r\n\r\n"
_TIMEOUT = 30.0

_times = st.sampled_from((0, 0, 0.1, CONFIRM_TIMEOUT, 3.0, 8.0, CANDIDATE_TIMEOUT))
_pieces = st.sampled_from((1, 1, 7, 100, ALL))
_flavours = st.sampled_from(("invitation", "pin"))
_endings = st.sampled_from(("end", "close", "reset", "garbage"))


class Keeping(Protocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.data += data


class Party:
    """
    One who is at the other end of a connection.

    :ivar kind: what it does.
    :ivar at: when it came.
    """

    def __init__(
        self, kind: str, socket: SimulatedSocket, hand: Hand, at: float
    ) -> None:
        self.kind = kind
        self.socket = socket
        self.hand = hand
        self.at = at

    @property
    def gone(self) -> bool:
        """Whether the library is done with it."""
        return bool(self.socket.aborted or self.socket.disconnected)

    def fail(self, how: str) -> None:
        """Hang up, or talk nonsense."""
        if how == "garbage":
            self.hand.raw.send(_GARBAGE)
        else:
            getattr(self.hand.raw, how)()


class Round:
    """
    One ``connect()``.

    :ivar results: what it gave: at most one.
    :ivar pin: of the only partner that is to be admitted.
    :ivar given: what the channel's ``peerIdentity`` was when it was given.
    :ivar kept: what the partner has sent.
    :ivar givenUp: whether it was cancelled or closed.
    :ivar parties: those who came and may do something yet.
    :ivar everybody: all who came and were not turned away at once.
    :ivar accepted: how many have come.
    """

    def __init__(self, connecting: Deferred[Any], pin: str, began: float) -> None:
        self.connecting = connecting
        self.pin = pin
        self.began = began
        self.results: list[Any] = []
        self.given: list[str | None] = []
        self.kept = Keeping()
        self.givenUp = False
        self.parties: list[Party] = []
        self.everybody: list[Party] = []
        self.accepted = 0
        connecting.addBoth(self._fired)

    def _fired(self, result: Any) -> None:
        self.results.append(result)
        if isinstance(result, TransferChannel):
            identity = result.peerIdentity
            self.given.append(None if identity is None else identity.pin)
            result.start(self.kept)


class _Machine(RuleBasedStateMachine):
    """What the machines of both modes have in common."""

    folder: Path
    identity: Identity
    stranger: Identity

    # Made when the machine begins.
    reactor: SimulatedReactor
    connector: TransferConnector
    within: float | None

    def setUp(self, within: float | None) -> None:
        """Begin with nothing."""
        self.reactor = SimulatedReactor()
        self.within = within
        self.rounds: list[Round] = []
        self.closings: list[list[None]] = []
        self.sockets: list[SimulatedSocket] = []
        self.leftAtClose: list[Any] = []

    def startRound(self, connecting: Deferred[Any], pin: str) -> None:
        """A ``connect()`` begins."""
        self.rounds.append(Round(connecting, pin, self.reactor.seconds()))

    @property
    def waiting(self) -> bool:
        """Whether the latest ``connect()`` has no result yet."""
        return bool(self.rounds) and not self.rounds[-1].results

    @property
    def wanted(self) -> bool:
        """Whether it has no result, and somebody still wants one."""
        if not self.waiting:
            return False
        last = self.rounds[-1]
        left = self.within is None or (
            self.reactor.seconds() < last.began + self.within
        )
        return left and not last.givenUp

    @property
    def parties(self) -> list[Party]:
        """Those of the latest ``connect()``."""
        return self.rounds[-1].parties if self.rounds else []

    def start(self) -> None:
        """Call ``connect()``."""
        raise NotImplementedError

    @rule()
    def connect(self) -> None:
        """Get the next partner, but one at a time."""
        if not self.waiting:
            self.start()
            return
        try:
            self.connector.connect()
        except AlreadyConnecting:
            return
        raise AssertionError("two at a time")

    @precondition(lambda self: self.parties)
    @rule(index=st.integers(0, 200), most=_pieces, times=st.integers(1, 40))
    def goOn(self, index: int, most: int, times: int) -> None:
        """One of them goes on with its handshake, perhaps to its end."""
        party = self.parties[index % len(self.parties)]
        for _ in range(times):
            self.step(party, most)
            self.reactor.turn()

    def step(self, party: Party, most: int = ALL) -> None:
        """One of them does one step."""
        party.hand.step(most)

    def finish(self, *parties: Party) -> None:
        """Some of them, at the same time, do all that they have to do."""
        for _ in range(8):
            for party in parties:
                self.step(party)
            self.reactor.turn()

    @precondition(lambda self: self.parties)
    @rule(index=st.integers(0, 200), how=_endings)
    def failing(self, index: int, how: str) -> None:
        """One of them hangs up or talks nonsense."""
        self.parties.pop(index % len(self.parties)).fail(how)

    @rule(seconds=_times)
    def passTime(self, seconds: float) -> None:
        """Time passes, in which nobody does anything."""
        self.reactor.turn(seconds)

    @rule(how=st.sampled_from(("cancel", "close")))
    def stop(self, how: str) -> None:
        """Whoever waits gives up, or the connector is closed, in whatever state."""
        if how == "close":
            self.close()
        elif self.rounds:
            self.rounds[-1].givenUp = True
            self.rounds[-1].connecting.cancel()

    def close(self) -> None:
        """The connector is closed, in whatever state."""
        if self.rounds:
            self.rounds[-1].givenUp = True
        fired: list[None] = []
        self.closings.append(fired)
        self.connector.close().addCallback(fired.append).addCallback(self.isClosed)

    def isClosed(self, ignored: object) -> None:
        """Note what a connector has still at the moment in which it is closed."""
        given = [each.results[0] for each in self.rounds if each.given]
        there = [socket for socket in self.expected() if not socket.disconnected]
        self.leftAtClose += there[len(given) :]
        self.leftAtClose += self.openPorts()

    def expected(self) -> list[SimulatedSocket]:
        """:returns: the sockets of which the connector may know."""
        return self.sockets

    def openPorts(self) -> list[Any]:
        """:returns: the ports that are not closed."""
        return []

    @rule()
    def useAndDrop(self) -> None:
        """The partners that were found are no longer needed."""
        for each in self.rounds:
            if each.given:
                each.results[0].abortConnection()

    @invariant()
    def firesOnce(self) -> None:
        """Nobody is told twice."""
        for each in getattr(self, "rounds", []):
            assert len(each.results) <= 1, each.results

    @invariant()
    def onlyWhoProvedIt(self) -> None:
        """A channel leads to the one that was meant, and is known to do so."""
        for each in getattr(self, "rounds", []):
            assert each.given in ([], [each.pin]), each.given

    @invariant()
    def onlyWhatItSaid(self) -> None:
        """What has come by a channel is what its partner has said."""
        for each in getattr(self, "rounds", []):
            assert b"from the partner".startswith(each.kept.data), each.kept.data

    @invariant()
    def closedIsClosed(self) -> None:
        """A connector that says that it is closed has nothing but channels."""
        assert getattr(self, "leftAtClose", []) == []

    @invariant()
    def inTime(self) -> None:
        """Nobody waits for longer than is said."""
        if not hasattr(self, "rounds") or not self.waiting or self.within is None:
            return
        waited = self.reactor.seconds() - self.rounds[-1].began
        assert waited < self.within or self.stillClosing()

    def stillClosing(self) -> bool:
        """Whether something is being closed, for which everybody waits."""
        return any(each.aborted and not each.disconnected for each in self.sockets)

    def settle(self) -> None:
        """Let everything end that ends by itself."""
        self.reactor.run(5)

    def teardown(self) -> None:
        """In the end nothing is left: no timer, no socket, no port."""
        if not hasattr(self, "connector"):
            return
        self.close()
        self.settle()
        self.useAndDrop()
        self.reactor.run(5)
        for each in self.rounds:
            assert len(each.results) == 1, "it has never fired"
        for fired in self.closings:
            assert fired == [None]
        assert self.reactor.getDelayedCalls() == []
        assert self.reactor.readers | self.reactor.writers == set()
        assert all(socket.disconnected for socket in self.sockets)


_DIALLERS = ("partner", "partner", "stranger", "old secret", "bare", "TLS 1.2")


class PassiveMachine(_Machine):
    """Those who dial a passive connector, which wants one of them."""

    @initialize(
        flavour=_flavours,
        within=st.sampled_from((None, 5.0, 30.0)),
        stopsAtOnce=st.booleans(),
    )
    def begin(self, flavour: str, within: float | None, stopsAtOnce: bool) -> None:
        """Make the connector."""
        self.setUp(within)
        self.flavour = flavour
        self.endpoint = SimulatedServerEndpoint(self.reactor, stopsAtOnce=stopsAtOnce)
        self.inviting = InvitingServerEndpoint(
            self.reactor, lambda secret: self.endpoint
        )
        policy = Policy(Identity.ephemeral(), frozenset({self.identity.pin}))
        self.connector = TransferConnector(
            self.reactor,
            "passive",
            socketCommand=self.inviting
            if flavour == "invitation"
            else wrapServerTLS(policy, self.endpoint, clock=self.reactor),
            within=within,
        )
        self.partner: Identity = self.stranger
        self.flood = MAX_CANDIDATES + 1

    def start(self) -> None:
        old, self.partner = self.partner, self.identity
        connecting = self.connector.connect()
        if self.flavour == "invitation":
            secret = Secret.fromText(self.inviting.proof()["secret"])
            self.partner = secret.identity()
            assert self.partner.pin != old.pin, "an old secret is good again"
        else:
            old = self.stranger
        self.startRound(connecting, self.partner.pin)
        self.contexts = {
            "partner": clientContext(self.folder, self.partner),
            "stranger": clientContext(self.folder, self.stranger),
            "old secret": clientContext(self.folder, old),
            "bare": clientContext(self.folder, None),
            "TLS 1.2": clientContext(self.folder, self.partner, OLD),
        }

    def dial(self, kind: str) -> Party | None:
        """:returns: one who dials; None where nobody listens."""
        listens = bool(self.endpoint.ports) and not self.endpoint.ports[-1].stopped
        socket, raw = self.endpoint.arrive()
        if listens:
            self.rounds[-1].accepted += 1
        if socket is None:
            return None
        self.sockets.append(socket)
        hand = Hand(raw, self.contexts[kind], server=False)
        party = Party(kind, socket, hand, self.reactor.seconds())
        self.parties.append(party)
        self.rounds[-1].everybody.append(party)
        return party

    def step(self, party: Party, most: int = ALL) -> None:
        hand = party.hand
        proved = hand.proved
        hand.read(most)
        if hand.proved and not proved:
            # At once, as one does who does not wait to be accepted.
            hand.say(f"from the {party.kind}".encode())
        hand.send(most)

    @precondition(lambda self: self.rounds)
    @rule(
        kind=st.sampled_from(_DIALLERS),
        count=st.sampled_from((1, 1, 1, 2, 2, 5, 5, MAX_CANDIDATES + 1)),
    )
    def arrive(self, kind: str, count: int) -> None:
        """Somebody dials."""
        if count > MAX_CANDIDATES:
            # Once in a run is enough, for it takes long.
            count, self.flood = self.flood, 1
        for _ in range(count):
            self.dial(kind)

    @precondition(lambda self: self.wanted or not self.waiting)
    @rule(kinds=st.lists(st.sampled_from(_DIALLERS), min_size=1, max_size=4))
    def comeAndProve(self, kinds: list[str]) -> None:
        """
        Some come at the same time, do all that they can, and hear what became
        of it.  If the partner is among them, or two, one of them is admitted.
        """
        if not self.waiting:
            self.start()
        before = self.admitted
        parties = [party for party in map(self.dial, kinds) if party is not None]
        self.finish(*parties)
        if "partner" in kinds:
            assert self.admitted == 1
        else:
            assert self.admitted == before
        for party in parties:
            if party.kind != "partner":
                assert party.socket.disconnected

    @precondition(lambda self: not self.waiting or (self.wanted and not self.admitted))
    @rule(kind=st.sampled_from(_DIALLERS))
    def drip(self, kind: str) -> None:
        """Somebody sends a byte each second, and is gone at its deadline."""
        if not self.waiting:
            self.start()
        party = self.dial(kind)
        assert party is not None
        for _ in range(int(CANDIDATE_TIMEOUT)):
            assert self.admitted == 0
            self.step(party, 1)
            self.reactor.turn(1.0)
        assert party.gone

    @property
    def admitted(self) -> int:
        """How many were admitted."""
        counters = self.connector.candidates
        assert counters is not None
        return counters.admitted

    @precondition(lambda self: self.endpoint.ports)
    @rule()
    def portCloses(self) -> None:
        """A port that is being closed is closed."""
        for port in self.endpoint.ports:
            if port.stopping:
                port.close()

    def openPorts(self) -> list[Any]:
        return [port for port in self.endpoint.ports if not port.stopped]

    def stillClosing(self) -> bool:
        ports = self.endpoint.ports
        return super().stillClosing() or any(port.stopping for port in ports)

    @property
    def candidates(self) -> list[Party]:
        """Those who are here and are not admitted."""
        found = []
        for party in self.rounds[-1].everybody:
            layer: Any = party.socket.protocol
            link = layer.wrappedProtocol
            if (
                isinstance(link, Link)
                and link.state is LinkState.SETUP
                and not party.gone
            ):
                found.append(party)
        return found

    @invariant()
    def admitsOne(self) -> None:
        """Each time there is one partner at most."""
        if getattr(self, "rounds", None):
            assert self.admitted <= 1

    @invariant()
    def countersAddUp(self) -> None:
        """Whoever came was admitted, or dropped for some reason, or is here."""
        if not getattr(self, "rounds", None):
            return
        counters = self.connector.candidates
        assert counters is not None
        assert counters.accepted == self.rounds[-1].accepted
        dropped = sum(counters.dropped.values())
        here = len(self.candidates)
        assert counters.accepted == counters.admitted + dropped + here

    @invariant()
    def inBounds(self) -> None:
        """Candidates are bounded in number, and each in time."""
        if not getattr(self, "rounds", None):
            return
        assert len(self.candidates) <= MAX_CANDIDATES
        now = self.reactor.seconds()
        assert all(now < party.at + CANDIDATE_TIMEOUT for party in self.candidates)

    @invariant()
    def portClosedFirst(self) -> None:
        """Who has a result has no port any more."""
        if getattr(self, "rounds", None) and not self.waiting:
            assert all(port.stopped for port in self.endpoint.ports)

    @invariant()
    def knownResults(self) -> None:
        """A result is a channel, a time-out or a cancellation."""
        for each in getattr(self, "rounds", []):
            for result in each.results:
                if isinstance(result, Failure):
                    result.trap(CancelledError, PartnerTimeout)
                    assert self.within is not None or each.givenUp

    def settle(self) -> None:
        for _ in range(5):
            self.portCloses()
            self.reactor.turn()


_SERVERS = (
    "partner",
    "closing partner",
    "ticketless partner",
    "greeting ticketless partner",
    "refuser",
    "impostor",
    "TLS 1.2",
)


class ActiveMachine(_Machine):
    """Those whom an active connector dials, and of whom it wants only one."""

    @initialize(
        flavour=_flavours,
        within=st.sampled_from((None, 1.0, 5.0, 60.0)),
        stubborn=st.booleans(),
    )
    def begin(self, flavour: str, within: float | None, stubborn: bool) -> None:
        """Make the connector."""
        self.setUp(within)
        if flavour == "invitation":
            identity, server = Secret.fresh().identity(), Identity.ephemeral()
            pins = frozenset({server.pin})
        else:
            identity, server = self.identity, Identity.ephemeral()
            pins = frozenset({server.pin, Identity.ephemeral().pin})
        self.server = server
        self.endpoint = SimulatedClientEndpoint(self.reactor, stubborn=stubborn)
        self.connector = TransferConnector(
            self.reactor,
            socketCommand=MutualTLSClientEndpoint(
                self.reactor, Policy(identity, pins), self.endpoint, _TIMEOUT
            ),
            within=within,
        )
        folder = self.folder
        self.contexts = {
            "partner": serverContext(folder, server, identity),
            "closing partner": serverContext(folder, server, identity),
            "ticketless partner": serverContext(folder, server, identity, tickets=0),
            "greeting ticketless partner": serverContext(
                folder, server, identity, tickets=0
            ),
            "refuser": serverContext(folder, server, self.stranger),
            "impostor": serverContext(folder, self.stranger, None),
            "TLS 1.2": serverContext(folder, server, identity, OLD),
        }

        self.inDemand: list[SimulatedSocket] = []

    def expected(self) -> list[SimulatedSocket]:
        return self.inDemand

    def start(self) -> None:
        self.startRound(self.connector.connect(), self.server.pin)

    @property
    def dialling(self) -> bool:
        """Whether somebody is being dialled, and has not answered."""
        return bool(self.endpoint.dials) and not self.endpoint.connecting.called

    @property
    def readyToDial(self) -> bool:
        """Whether somebody may answer now, perhaps after a new ``connect()``."""
        return (self.dialling and self.wanted) or not self.waiting

    def step(self, party: Party, most: int = ALL) -> None:
        hand = party.hand
        proved = hand.proved
        hand.read(most)
        if hand.proved and not proved:
            if party.kind.startswith("greeting"):
                hand.say(b"from the partner")
            if party.kind.startswith("closing"):
                hand.closeNotify()
                hand.send()
                hand.raw.end()
        hand.send(most)

    @precondition(lambda self: self.dialling)
    @rule()
    def unreachable(self) -> None:
        """Nobody is there."""
        self.endpoint.fail(ConnectionRefusedError())

    def reach(self, kind: str) -> Party:
        """:returns: one who was dialled, and answers."""
        wanted = self.wanted
        socket, raw = self.endpoint.succeed()
        self.sockets.append(socket)
        if wanted:
            self.inDemand.append(socket)
        hand = Hand(raw, self.contexts[kind], server=True)
        party = Party(kind, socket, hand, self.reactor.seconds())
        self.parties.append(party)
        return party

    @precondition(lambda self: self.dialling)
    @rule(kind=st.sampled_from(_SERVERS))
    def reached(self, kind: str) -> None:
        """Somebody answers."""
        self.reach(kind)

    @precondition(lambda self: self.readyToDial)
    @rule(kind=st.sampled_from(_SERVERS))
    def reachedAndDone(self, kind: str) -> None:
        """Somebody answers, does all that it can, and the result is the right one."""
        if not self.waiting:
            self.start()
        last = self.rounds[-1]
        party = self.reach(kind)
        self.finish(party)
        if kind == "ticketless partner":
            # Only time tells that it will not refuse.
            assert last.results == []
            self.reactor.turn(CONFIRM_TIMEOUT)
            if not self.wanted and not last.given:
                return
        errors = {
            "refuser": PeerRefused,
            "impostor": NotAdmitted,
            "TLS 1.2": PeerRefused,
        }
        [result] = last.results
        if kind in errors:
            assert isinstance(result, Failure), result
            assert type(result.value) is errors[kind], result
        else:
            assert isinstance(result, TransferChannel), result
        if kind.startswith("greeting"):
            self.reactor.turn()
            assert last.kept.data == b"from the partner"

    @invariant()
    def knownResults(self) -> None:
        """An error is one that says what happened."""
        known = (
            CancelledError,
            PartnerTimeout,
            PeerRefused,
            NotAdmitted,
            ConnectError,
        )
        for each in getattr(self, "rounds", []):
            for result in each.results:
                if isinstance(result, Failure):
                    result.trap(*known)

    @invariant()
    def nobodyWhoRefuses(self) -> None:
        """
        There is no channel to one who refuses this side, or proves nothing.
        Only one who says nothing at all for a while may still refuse.
        """
        for each in getattr(self, "rounds", []):
            if each.given and len(each.parties) == 1:
                [party] = each.parties
                assert party.kind not in ("impostor", "TLS 1.2")
                assert party.kind != "refuser" or (
                    self.reactor.seconds() >= party.at + CONFIRM_TIMEOUT
                )

    @invariant()
    def handshakeInTime(self) -> None:
        """Who stalls is given up."""
        if not getattr(self, "rounds", None) or not self.waiting:
            return
        now = self.reactor.seconds()
        for party in self.parties:
            assert party.gone or now < party.at + _TIMEOUT + CONFIRM_TIMEOUT

    def settle(self) -> None:
        if self.dialling:
            self.endpoint.fail(ConnectionRefusedError())
        self.reactor.run(5)


class MachineTests(SynchronousTestCase):
    """The machines, run."""

    def runMachine(self, machine: type[_Machine]) -> None:
        """Run one of them."""
        machine.folder = newFolder(self)
        machine.identity, machine.stranger = Identity.ephemeral(), Identity.ephemeral()
        case = machine.TestCase
        # Each example makes keys, handshakes and all: half as many are tried.
        case.settings = settings(
            stateful_step_count=40, max_examples=settings().max_examples // 2
        )
        case().runTest()

    def test_passive(self) -> None:
        """See :class:`PassiveMachine`."""
        self.runMachine(PassiveMachine)

    def test_active(self) -> None:
        """See :class:`ActiveMachine`."""
        self.runMachine(ActiveMachine)
