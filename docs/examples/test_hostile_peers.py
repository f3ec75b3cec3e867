# mypy: disallow-untyped-calls=False
"""A server that asks for a name, and hostile peers that come to it."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    wrapClientTLS,
    wrapServerTLS,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.protocols.basic import LineOnlyReceiver
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_transfer.testing import (
    Dripper,
    Flooder,
    Garbler,
    HostilePeer,
    Impostor,
    ImpostorServer,
    MemoryListener,
    Resetter,
    Scanner,
    Staller,
    ambush,
    attack,
    settle,
    siege,
    thiefEndpoint,
)
from twisted_transfer.tls import Identity

# The server.


class Welcome(LineOnlyReceiver):
    """Gives a client some seconds for its name, and welcomes it."""

    transport: Any
    delimiter = b"\n"
    MAX_LENGTH = 100

    def connectionMade(self) -> None:
        self.deadline = self.factory.clock.callLater(
            self.factory.seconds, self.transport.abortConnection
        )

    def lineReceived(self, line: bytes) -> None:
        if line.isalpha():
            self.sendLine(b"welcome, " + line)
        self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        if self.deadline.active():
            self.deadline.cancel()


class WelcomeFactory(Factory):
    protocol = Welcome
    noisy = False

    def __init__(self, clock: Any, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds


# The tests in memory.


class Guest(Protocol):
    """Says its name, and keeps what it is told."""

    transport: Any
    told = b""

    def connectionMade(self) -> None:
        self.transport.write(b"Ada\n")

    def dataReceived(self, data: bytes) -> None:
        self.told += data


class MemoryTests(SynchronousTestCase):
    """No network, and time only as the test says so."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.listener = MemoryListener(self.clock)
        self.listener.listen(WelcomeFactory(self.clock, seconds=10))

    def attack(self, makePeer: Any) -> Deferred[HostilePeer]:
        attacking = attack(self.clock, self.listener.client("127.0.0.2"), makePeer)
        settle(self.clock)
        return attacking

    def assertWelcome(self) -> None:
        """A guest is welcome all the same."""
        visiting = self.listener.client().connect(Factory.forProtocol(Guest))
        settle(self.clock)
        guest: Any = self.successResultOf(visiting)
        self.assertEqual(guest.told, b"welcome, Ada\n")

    def test_hitAndRun(self) -> None:
        """Those that leave at once are no harm."""
        for kind in (Scanner, Resetter):
            peer = self.successResultOf(self.attack(kind))
            self.assertEqual(peer.outcome, "left")
            self.assertWelcome()

    def test_nonsense(self) -> None:
        """Those that send nonsense, or no end, are sent away at once."""
        for kind in (Garbler, Garbler.http, Flooder):
            peer = self.successResultOf(self.attack(kind))
            self.assertIn(peer.outcome, ("end of file", "reset"))
            self.assertEqual(peer.received, b"")
            self.assertWelcome()

    def test_deadline(self) -> None:
        """Those that never come to an end are gone after ten seconds."""
        kinds = (Staller, lambda: Dripper(self.clock, 1, data=b"Ada" * 10))
        for kind in kinds:
            attacking = self.attack(kind)
            for _ in range(9):
                self.clock.advance(1)
                settle(self.clock)
            self.assertNoResult(attacking)
            self.assertWelcome()
            self.clock.advance(1)
            settle(self.clock)
            self.assertEqual(self.successResultOf(attacking).outcome, "reset")


# Over TLS.


def certificate() -> PrivateCertificate:
    """A new certificate, with its key."""
    made = Identity.ephemeral()
    shown = made.certificate.public_bytes(Encoding.PEM)
    key = made.privateKey.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    loaded: PrivateCertificate = PrivateCertificate.loadPEM(shown + key)
    return loaded


class ImpostorTests(SynchronousTestCase):
    """Somebody with good TLS, and another identity."""

    def setUp(self) -> None:
        self.clock: Any = Clock()
        self.listener: Any = MemoryListener(self.clock)

    def test_server(self) -> None:
        """The server lets in whom it knows, and nobody else."""
        mine, partner = certificate(), certificate()
        tls: Any
        for tls, outcome in (
            (mine.options(partner), "alert: unknown ca"),
            (mine.options(), "admitted"),  # this asks nobody who he is
        ):
            listener: Any = MemoryListener(self.clock)
            server: Any = wrapServerTLS(tls, listener, clock=self.clock)
            server.listen(WelcomeFactory(self.clock, seconds=10))
            attacking = attack(
                self.clock, listener.client(), lambda: Impostor(self.clock)
            )
            settle(self.clock)
            self.assertEqual(self.successResultOf(attacking).outcome, outcome)

    def test_client(self) -> None:
        """The client says nothing to a server that it does not know."""
        _, meeting = self.successResultOf(
            ambush(self.clock, self.listener, lambda: ImpostorServer(self.clock))
        )
        client: Any = wrapClientTLS(
            optionsForClientTLS("localhost"), self.listener.client(), clock=self.clock
        )
        client.connect(Factory.forProtocol(Guest))
        settle(self.clock)
        self.assertEqual(self.successResultOf(meeting).outcome, "alert: unknown ca")


# The tests on real sockets.


class SocketTests(TestCase):
    """The same server, with the system's network below."""

    async def test_siege(self) -> None:
        """Two hundred come, twenty at a time, and a guest is welcome."""
        from twisted.internet import reactor

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port: Any = await endpoint.listen(WelcomeFactory(reactor, seconds=0.5))
        self.addCleanup(port.stopListening)
        number = port.getHost().port
        besieging = siege(
            reactor,
            lambda: thiefEndpoint(reactor, "127.0.0.1", number),
            [Scanner, Resetter, Staller, Garbler, Flooder, lambda: Dripper(reactor)],
            200,
            20,
        )
        client = TCP4ClientEndpoint(reactor, "127.0.0.1", number)
        guest = await attack(reactor, client, lambda: Garbler(data=b"Ada\n"))
        self.assertEqual(guest.received, b"welcome, Ada\n")
        self.assertFalse(besieging.called)
        outcomes = await besieging
        self.assertEqual(sum(outcomes.values()), 200)
        self.assertEqual(outcomes["stayed"] + outcomes["refused"], 0)
