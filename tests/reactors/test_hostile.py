"""
Hostile peers over real sockets: what servers of Twisted's and of this library
make of them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
)
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.hostilities import Server, options
from twisted_transfer import TransferConnector
from twisted_transfer.connecting.admission import MAX_CANDIDATES, Admission
from twisted_transfer.connecting.listening import ACCEPTS
from twisted_transfer.testing.attacks import attack, siege, thiefEndpoint
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

reactor: Any = _reactor

MakePeer = Callable[[], HostilePeer]

# Room in the port's queue for all of a siege: with less, Linux drops some of
# their segments, which then come again a second later.
BACKLOG = 512


def dripper() -> HostilePeer:
    return Dripper(reactor)


def impostor(**options: Any) -> MakePeer:
    return lambda: Impostor(reactor, **options)


IMPOSTORS: dict[str, tuple[MakePeer, str]] = {
    "Impostor": (impostor(), "alert: unknown ca"),
    "BareImpostor": (impostor(certificate=False), "alert: certificate required"),
    "OldImpostor": (impostor(version="1.2"), "alert: unknown ca"),
    "OldBareImpostor": (
        impostor(version="1.2", certificate=False),
        "alert: handshake failure",
    ),
}

# Every kind, and for what it is dropped by a passive connector on TLS that
# asks for a certificate; "late": it stays until the partner is there.
KINDS: dict[str, tuple[MakePeer, str]] = {
    "Scanner": (Scanner, "hung up"),
    "Resetter": (Resetter, "hung up"),
    "Staller": (Staller, "late"),
    "Dripper": (dripper, "late"),
    "Garbler": (Garbler, "unproven"),
    "HTTP": (Garbler.http, "unproven"),
    "Flooder": (Flooder, "unproven"),
    **{name: (makePeer, "unproven") for name, (makePeer, _) in IMPOSTORS.items()},
}


def turn() -> Deferred[None]:
    """:returns: a Deferred that fires after the reactor looked at its sockets."""
    turned: Deferred[None] = Deferred()
    reactor.callLater(0, reactor.callLater, 0, turned.callback, None)
    return turned


class ServerTests(TestCase):
    """A server of Twisted's."""

    timeout = 20

    def setUp(self) -> None:
        self.connected: Deferred[Server] = Deferred()

    def made(self) -> Server:
        """Make the one server that the test attacks."""
        server = Server()
        server.made.chainDeferred(self.connected)
        return server

    async def listen(self, endpoint: Any) -> Any:
        """:returns: an endpoint that dials what this one listens on."""
        made: Any = self.made
        self.port = await endpoint.listen(Factory.forProtocol(made))
        self.addCleanup(self.port.stopListening)
        return TCP4ClientEndpoint(reactor, "127.0.0.1", self.port.getHost().port)

    async def plain(self) -> Any:
        """:returns: an endpoint that dials a server without TLS."""
        return await self.listen(TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"))

    async def secure(self, *, verify: bool) -> Any:
        """:returns: an endpoint that dials a server with TLS."""
        made = options(Authority(newFolder(self)), verify=verify)
        return await self.listen(
            SSL4ServerEndpoint(reactor, 0, made, interface="127.0.0.1")
        )

    async def test_scanner(self) -> None:
        """The server sees a connection that is ended in order at once."""
        peer = await attack(reactor, await self.plain(), Scanner)
        server = await self.connected
        await server.ended
        self.assertEqual((peer.outcome, bytes(server.data)), ("left", b""))
        self.assertIsInstance(server.reason and server.reason.value, ConnectionDone)

    async def test_resetter(self) -> None:
        """The server sees one that is reset at once: not an orderly end."""
        peer = await attack(reactor, await self.plain(), Resetter)
        server = await self.connected
        await server.ended
        self.assertEqual((peer.outcome, bytes(server.data)), ("left", b""))
        self.assertIsInstance(server.reason and server.reason.value, ConnectionLost)

    async def test_staller(self) -> None:
        """The server decides on how long a staller stays."""
        for how, outcome in (
            ("loseConnection", "end of file"),
            ("abortConnection", "reset"),
        ):
            self.setUp()
            attacking = attack(reactor, await self.plain(), Staller)
            server = await self.connected
            await turn()
            self.assertFalse(attacking.called)
            getattr(server.transport, how)()
            self.assertEqual((await attacking).outcome, outcome)
            self.assertEqual(bytes(server.data), b"")

    async def test_flooder(self) -> None:
        """The server gets everything that it takes."""
        total = 3_000_001
        peer = await attack(reactor, await self.plain(), lambda: Flooder(total))
        server = await self.connected
        await server.ended
        self.assertEqual((peer.outcome, len(server.data)), ("left", total))

    async def test_flooderHeldBack(self) -> None:
        """A server that does not read is not sent more than buffers hold."""
        peer = Flooder(2**40)
        attacking = attack(reactor, await self.plain(), lambda: peer)
        server = await self.connected
        server.transport.pauseProducing()
        sent = -1
        while peer.sent != sent:
            sent = peer.sent
            for _ in range(10):
                await turn()
        self.assertGreater(sent, 0)
        self.assertLess(sent, 2**30)
        server.transport.abortConnection()
        self.assertEqual((await attacking).outcome, "reset")

    async def test_nobodyListens(self) -> None:
        """A port where nobody listens is an outcome."""
        endpoint = await self.plain()
        await self.port.stopListening()
        peer = await attack(reactor, endpoint, Staller)
        self.assertEqual((peer.outcome, peer.sent), ("refused", 0))

    async def test_cancel(self) -> None:
        """A cancelled attack is a reset for the server."""
        peer = Staller()
        attacking = attack(reactor, await self.plain(), lambda: peer)
        server = await self.connected
        while not peer.connected:
            await turn()
        attacking.cancel()
        with self.assertRaises(CancelledError):
            await attacking
        await server.ended
        self.assertIsInstance(server.reason and server.reason.value, ConnectionLost)

    async def test_impostors(self) -> None:
        """A TLS server that verifies turns each impostor away."""
        for makePeer, outcome in IMPOSTORS.values():
            self.setUp()
            peer = await attack(reactor, await self.secure(verify=True), makePeer)
            server = await self.connected
            await server.ended
            self.assertEqual(peer.outcome, outcome)
            self.assertFalse(server.proved)
            self.assertIsInstance(server.reason and server.reason.value, SSL.Error)

    async def test_impostorsAdmitted(self) -> None:
        """A TLS server that verifies nobody is found out."""
        for makePeer, _ in IMPOSTORS.values():
            self.setUp()
            peer = await attack(reactor, await self.secure(verify=False), makePeer)
            server = await self.connected
            await server.ended
            self.assertEqual(peer.outcome, "admitted")
            self.assertTrue(server.proved)

    async def test_impostorAtPlainServer(self) -> None:
        """A server without TLS is told from one that refuses."""
        attacking = attack(reactor, await self.plain(), impostor())
        server = await self.connected
        server.transport.write(b"220 welcome, this is no TLS\r\n")
        self.assertEqual((await attacking).outcome, "no TLS")
        await server.ended


class ConnectorTests(TestCase):
    """A passive connector on TLS, which its partner gets to all the same."""

    timeout = 60

    def setUp(self) -> None:
        self.authority = Authority(newFolder(self))
        self.identity = self.authority.issue("partner")

    async def wait(self, passive: TransferConnector) -> None:
        """Let the connector wait for its partner."""
        self.passive = passive
        self.waiting = passive.connect()
        address: Any = await passive.whenListening()
        self.port = address.port

    async def waitOverSSL(self) -> None:
        """Wait as a description can say it: with TLS, for anybody."""
        certificate, key = self.authority.issue()
        await self.wait(
            TransferConnector.fromString(
                reactor,
                f"transfer:passive:ssl:port=0:interface=127.0.0.1:backlog={BACKLOG}"
                f":privateKey={key}:certKey={certificate}",
            )
        )

    async def waitForProof(self, **more: Any) -> None:
        """Wait for a partner with a certificate of the authority."""
        endpoint = SSL4ServerEndpoint(
            reactor,
            0,
            options(self.authority, verify=True),
            backlog=BACKLOG,
            interface="127.0.0.1",
        )
        await self.wait(
            TransferConnector(reactor, "passive", socketCommand=endpoint, **more)
        )

    def endpoint(self) -> TCP4ClientEndpoint:
        """:returns: an endpoint that dials the connector."""
        return TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)

    @property
    def counters(self) -> Admission:
        """How many came, and what became of them."""
        assert self.passive.candidates is not None
        return self.passive.candidates

    async def meet(self) -> None:
        """The true partner comes, is admitted, and the port is closed."""
        certificate, key = self.identity
        left = await TransferConnector.fromString(
            reactor,
            f"transfer:active:tls:host=127.0.0.1:port={self.port}"
            f":trustRoots={self.authority.trustRoots}"
            f":certificate={certificate}:privateKey={key}",
        ).connect()
        right = await self.waiting
        left.write(b"hello")
        self.assertEqual(await right.readExactly(5), b"hello")
        left.loseConnection()
        right.loseConnection()
        await left.whenClosed()
        await right.whenClosed()
        self.assertEqual(self.counters.admitted, 1)
        late = await attack(reactor, self.endpoint(), Staller)
        self.assertEqual(late.outcome, "refused")

    async def checkKind(self, name: str) -> None:
        """One of a kind comes; then the partner does."""
        makePeer, why = KINDS[name]
        attacking = attack(reactor, self.endpoint(), makePeer)
        while not (self.counters.accepted if why == "late" else self.counters.dropped):
            await turn()
        self.assertFalse(self.waiting.called)
        await self.meet()
        peer = await attacking
        self.assertEqual(self.counters.dropped, {why: 1})
        self.assertEqual(self.counters.accepted, 2)
        self.assertNotIn(peer.outcome, (None, "admitted", "stayed", "refused"))
        if why == "late":
            self.assertEqual(peer.outcome, "reset")
        if name in IMPOSTORS:
            self.assertEqual(peer.outcome, IMPOSTORS[name][1])

    async def test_sslAdmitsImpostors(self) -> None:
        """
        What a description of Twisted's own can say is no proof: an impostor
        shows it.
        """
        await self.waitOverSSL()
        peer = await attack(reactor, self.endpoint(), impostor())
        self.assertEqual(peer.outcome, "admitted")
        channel = await self.waiting
        await channel.whenClosed().addErrback(lambda failure: None)

    async def test_thief(self) -> None:
        """
        A thief on another address is turned away before the partner comes,
        whatever it does, and finds the port closed after.
        """
        await self.waitForProof(admit=["127.0.0.1"])
        thief = thiefEndpoint(reactor, "127.0.0.1", self.port)
        for makePeer in (Staller, Garbler, impostor()):
            peer = await attack(reactor, thief, makePeer)
            self.assertIn(peer.outcome, ("end of file", "reset"))
            self.assertEqual(peer.receivedCount, 0)
        self.assertEqual(self.counters.dropped, {"address": 3})
        await self.meet()
        self.assertEqual((await attack(reactor, thief, Staller)).outcome, "refused")

    async def test_thiefOnPlain(self) -> None:
        """
        On plain TCP, the address is the only proof there is: without it, the
        thief is the partner.
        """
        for admit, taken in ((["127.0.0.1"], False), (None, True)):
            await self.wait(
                TransferConnector(
                    reactor,
                    "passive",
                    socketCommand="tcp:port=0:interface=127.0.0.1",
                    admit=admit,
                )
            )
            thief = attack(
                reactor, thiefEndpoint(reactor, "127.0.0.1", self.port), Staller
            )
            while not self.counters.accepted:
                await turn()
            if not taken:
                self.assertEqual((await thief).outcome, "end of file")
                self.assertEqual(self.counters.dropped, {"address": 1})
                partner = attack(reactor, self.endpoint(), Staller)
            channel = await self.waiting
            self.assertEqual(
                channel.getPeer().host,  # type: ignore[attr-defined]
                "127.0.0.2" if taken else "127.0.0.1",
            )
            channel.loseConnection()
            await (thief if taken else partner)

    async def test_stallers(self) -> None:
        """As many silent ones as there may be, and more, keep nobody out."""
        await self.waitOverSSL()
        count = MAX_CANDIDATES + 20
        silent = [attack(reactor, self.endpoint(), Staller) for _ in range(count)]
        while self.counters.accepted < count:
            await turn()
        self.assertEqual(self.counters.dropped, {"evicted": 20})
        await self.meet()
        for attacking in silent:
            self.assertEqual((await attacking).outcome, "reset")
        # The partner has driven one more of them out.
        self.assertEqual(
            self.counters.dropped, {"evicted": 21, "late": MAX_CANDIDATES - 1}
        )

    async def test_fewAtATime(self) -> None:
        """Of many that wait to be accepted, few are in one turn of the reactor."""
        await self.waitOverSSL()
        count = 5 * ACCEPTS
        silent = [attack(reactor, self.endpoint(), Staller) for _ in range(count)]
        numbers = [0]
        while numbers[-1] < count:
            await turn()
            numbers.append(self.counters.accepted)
        steps = [after - before for before, after in pairwise(numbers)]
        # One turn of the test's may be two of the reactor's.
        self.assertLessEqual(max(steps), 2 * ACCEPTS)
        await self.meet()
        for attacking in silent:
            self.assertEqual((await attacking).outcome, "reset")

    async def test_whileTheyGoOn(self) -> None:
        """The partner is admitted while hostile peers of every kind come."""
        await self.waitForProof()
        besieging = siege(
            reactor,
            self.endpoint,
            [makePeer for makePeer, _ in KINDS.values()],
            600,
            MAX_CANDIDATES // 2,
        )
        while self.counters.accepted < 150:
            await turn()
        self.assertFalse(besieging.called)
        self.assertFalse(self.waiting.called)
        await self.meet()
        self.assertLess(self.counters.accepted, 600)
        outcomes = await besieging
        self.assertEqual(sum(outcomes.values()), 600)
        self.assertEqual(outcomes["admitted"] + outcomes["stayed"], 0)
        self.assertGreater(outcomes["refused"], 0)
        for why in ("hung up", "unproven", "late"):
            self.assertGreater(self.counters.dropped[why], 0, why)

    async def test_cancelSiege(self) -> None:
        """A cancelled siege leaves nothing, and the partner comes after it."""
        await self.waitOverSSL()
        besieging = siege(reactor, self.endpoint, [Staller, dripper], 1000, 50)
        while self.counters.accepted < 50:
            await turn()
        besieging.cancel()
        with self.assertRaises(CancelledError):
            await besieging
        while self.counters.dropped["hung up"] < 50:
            await turn()
        await self.meet()
        self.assertEqual(self.counters.accepted, 51)


def _addKindTests() -> None:
    """A test for each kind, where it finds what it may find."""
    for name in KINDS:
        waits: dict[str, Any] = {"ForProof": ConnectorTests.waitForProof}
        if name not in IMPOSTORS:
            waits["OverSSL"] = ConnectorTests.waitOverSSL
        for where, wait in waits.items():

            async def test(self: Any, name: str = name, wait: Any = wait) -> None:
                await wait(self)
                await self.checkKind(name)

            test.__doc__ = f"A {name} is dropped and counted; the partner is admitted."
            setattr(ConnectorTests, f"test_kind{name}{where}", test)


_addKindTests()
