"""
Tests for :mod:`twisted_transfer.ambushes`, and for the impostor of
:mod:`twisted_transfer.hostiletls` that lies in wait, without a network.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import wrapClientTLS, wrapServerTLS
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import Authority
from tests.folders import newFolder
from tests.hostilities import Server, identityOf, options
from tests.simulatedendpoints import SimulatedServerEndpoint
from tests.simulation import SimulatedReactor
from tests.tlsends import One
from twisted_transfer import (
    BadOption,
    NotAdmitted,
    PartnerTimeout,
    TransferConnector,
)
from twisted_transfer.admission import CANDIDATE_TIMEOUT
from twisted_transfer.ambushes import ambush
from twisted_transfer.hostile import HostilePeer
from twisted_transfer.hostileplain import (
    Dripper,
    Flooder,
    Garbler,
    Resetter,
    Scanner,
    Staller,
)
from twisted_transfer.hostiletls import Impostor, ImpostorServer
from twisted_transfer.keys import Identity
from twisted_transfer.memory import settle
from twisted_transfer.memorylisteners import MemoryListener
from twisted_transfer.mutualtls import Policy
from twisted_transfer.sieges import PATIENCE

_P = TypeVar("_P", bound=HostilePeer)
VERSIONS = ("1.2", "1.3")


class Talking(Server):
    """Says something as soon as it may."""

    def handshakeCompleted(self) -> None:
        self.transport.write(b"a password")


class PythonClient(Protocol):
    """A TLS client of Python's own making, which can resume a session."""

    def __init__(self, context: ssl.SSLContext, session: ssl.SSLSession | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, session=session)

    def connectionMade(self) -> None:
        self.dataReceived(b"")

    def dataReceived(self, data: bytes) -> None:
        self._incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
            self.tls.read(1)  # what comes after the handshake: tickets
        assert self.transport is not None
        self.transport.write(self._outgoing.read())


class _AmbushTestCase(SynchronousTestCase):
    """Programs that dial in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.listener = MemoryListener(self.clock)

    def ambushed(self, makePeer: Callable[[], _P], **more: Any) -> Deferred[_P]:
        """:returns: a Deferred with the peer that lies in wait from now on."""
        address, meeting = self.successResultOf(
            ambush(self.clock, self.listener, makePeer, **more)
        )
        self.assertEqual(address, self.listener.address)
        return meeting

    def dial(self, protocol: Protocol, tls: Any = None) -> None:
        """Let a program dial, and let happen what then happens."""
        endpoint = self.listener.client()
        if tls is not None:
            endpoint = wrapClientTLS(tls, endpoint, clock=self.clock)
        endpoint.connect(One(protocol))
        settle(self.clock)

    def assertNothingLeft(self) -> None:
        """There is no port and no timer."""
        self.assertIsNone(self.listener.port)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AmbushTests(_AmbushTestCase):
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
        endpoint = self.listener.client()
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


class ImpostorServerTests(_AmbushTestCase):
    """A server with good TLS, and the wrong identity."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(newFolder(self))
        root = (self.authority.trustRoots / "ca.pem").read_bytes()
        self.root = Certificate.loadPEM(root)

    def verifying(self, host: str = "localhost") -> Any:
        """:returns: how a client speaks TLS that looks at whom it reaches."""
        return optionsForClientTLS(host, trustRoot=self.root)

    def met(self, tls: Any, client: Protocol | None = None, **more: Any) -> Any:
        """:returns: an impostor that a client has met, and that has left."""
        meeting = self.ambushed(lambda: ImpostorServer(self.clock, **more), patience=5)
        self.dial(Server() if client is None else client, tls)
        self.clock.advance(5)
        settle(self.clock)
        peer = self.successResultOf(meeting)
        self.assertNothingLeft()
        return peer

    def test_turnedAway(self) -> None:
        """A client that verifies turns it away, and it hears how."""
        for version in VERSIONS:
            client = Server()
            peer = self.met(self.verifying(), client, version=version)
            self.assertEqual(peer.outcome, "alert: unknown ca")
            self.assertFalse(peer.admitted or peer.completed or client.proved)
            self.assertIsInstance(client.reason and client.reason.value, SSL.Error)

    def test_name(self) -> None:
        """
        By its name it is the right one, on this machine: the authority alone
        is why it is turned away.
        """
        for host in ("localhost", "127.0.0.1", "::1"):
            self.assertEqual(
                self.met(self.verifying(host)).outcome, "alert: unknown ca"
            )

    def test_talkedTo(self) -> None:
        """A client that verifies nobody talks to it, and is found out at once."""
        for version in VERSIONS:
            meeting = self.ambushed(
                partial(ImpostorServer, self.clock, version=version)
            )
            self.dial(Talking(), CertificateOptions())
            peer = self.successResultOf(meeting)
            self.assertEqual(peer.outcome, "admitted")
            self.assertEqual(peer.received, b"a password")
            self.assertNothingLeft()

    def test_waitedFor(self) -> None:
        """A client that waits for its word is found out when it has waited."""
        for version in VERSIONS:
            meeting = self.ambushed(
                partial(ImpostorServer, self.clock, version=version), patience=5
            )
            client = Server()
            self.dial(client, CertificateOptions())
            self.assertTrue(client.proved)
            self.clock.advance(4.9)
            settle(self.clock)
            self.assertNoResult(meeting)
            self.clock.advance(0.1)
            settle(self.clock)
            peer = self.successResultOf(meeting)
            self.assertEqual(peer.outcome, "admitted")
            self.assertTrue(peer.completed)
            self.assertEqual(peer.receivedCount, 0)
            self.successResultOf(client.ended)

    def test_hungUpAfter(self) -> None:
        """
        A client that completes the handshake and hangs up without a word may
        have looked at the name only then: that is no admission.
        """

        class Leaving(Server):
            def handshakeCompleted(self) -> None:
                # In the next turn, when its last message is on its way.
                clock.callLater(0, clock.callLater, 0, self.transport.loseConnection)

        clock = self.clock
        peer = self.met(CertificateOptions(), Leaving())
        self.assertEqual(peer.outcome, "end of file")
        self.assertEqual((peer.completed, peer.admitted), (True, False))

    def test_otherHost(self) -> None:
        """
        One with a certificate of the right authority shows whether a client
        looks at the name, too.
        """
        identity = identityOf(*self.authority.issue())
        for version in VERSIONS:
            peer = self.met(
                self.verifying("other.example"), identity=identity, version=version
            )
            # Such a client says no more than that to it.
            self.assertIn(peer.outcome, ("end of file", "reset"))
            peer = self.met(self.verifying(), identity=identity, version=version)
            self.assertEqual(peer.outcome, "admitted")

    def test_otherKey(self) -> None:
        """A client that has a pin does not take another key."""
        identity = identityOf(*self.authority.issue())
        for pin, outcome in (
            # No authority is asked, so OpenSSL knows none.
            (Identity.ephemeral().pin, "alert: unknown ca"),
            (identity.pin, "admitted"),
        ):
            policy = Policy(Identity.ephemeral(), frozenset([pin]))
            self.assertEqual(self.met(policy, identity=identity).outcome, outcome)

    def test_asksForCertificate(self) -> None:
        """It asks its client for a certificate, as a partner would."""
        seen: list[Any] = []

        class Looking(ImpostorServer):
            def decrypted(self, data: bytes) -> None:
                assert self._tls is not None
                handle: Any = self._tls.getHandle()
                seen.append(handle.get_peer_certificate(as_cryptography=True))
                super().decrypted(data)

        theirs, ours = Identity.ephemeral(), Identity.ephemeral()
        meeting = self.ambushed(lambda: Looking(self.clock, identity=theirs))
        self.dial(Talking(), Policy(ours, frozenset([theirs.pin])))
        self.successResultOf(meeting)
        self.assertEqual(seen, [ours.certificate])

    def test_chain(self) -> None:
        """It shows the certificates between its own and an authority's, too."""
        lengths: list[int] = []

        class Counting(Talking):
            def handshakeCompleted(self) -> None:
                lengths.append(len(self.transport.getHandle().get_peer_cert_chain()))
                super().handshakeCompleted()

        one = identityOf(*self.authority.issue())
        root = (self.authority.trustRoots / "ca.pem").read_bytes()
        chain = (x509.load_pem_x509_certificate(root),)
        for identity in (one, replace(one, chain=chain)):
            self.met(CertificateOptions(), Counting(), identity=identity)
        self.assertEqual(lengths, [1, 2])

    def test_noResumption(self) -> None:
        """
        A session cannot be resumed, for then nobody would look at the
        certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.minimum_version = context.maximum_version = version
            number = version.name[-3:].replace("_", ".")
            session: ssl.SSLSession | None = None
            for _ in range(2):
                client = PythonClient(context, session)
                self.assertEqual(
                    self.met(None, client, version=number).outcome, "admitted"
                )
                self.assertFalse(client.tls.session_reused)
                session = client.tls.session

    def test_connector(self) -> None:
        """An active connector tells its user, and has no channel."""
        meeting = self.ambushed(lambda: ImpostorServer(self.clock))
        endpoint = wrapClientTLS(
            self.verifying(), self.listener.client(), clock=self.clock
        )
        dialling = TransferConnector(self.clock, socketCommand=endpoint).connect()
        settle(self.clock)
        self.failureResultOf(dialling, NotAdmitted)
        self.assertEqual(self.successResultOf(meeting).outcome, "alert: unknown ca")
        self.assertNothingLeft()

    def test_slowServers(self) -> None:
        """
        An active connector gives the handshake its time, counted from the
        beginning, whether nothing comes or a little each time.
        """
        # As much of a TLS record as never ends: 16384 bytes of handshake.
        record = b"\x16\x03\x03\x40\x00" + bytes(1000)
        for makePeer in (Staller, lambda: Dripper(self.clock, 0.1, record)):
            meeting = self.ambushed(makePeer)
            endpoint = wrapClientTLS(
                self.verifying(), self.listener.client(), clock=self.clock
            )
            dialling = TransferConnector(self.clock, socketCommand=endpoint).connect()
            settle(self.clock)
            for _ in range(round(CANDIDATE_TIMEOUT / 0.1) - 1):
                self.clock.advance(0.1)
                settle(self.clock)
            self.assertNoResult(dialling)
            self.assertNoResult(meeting)
            self.clock.advance(0.11)
            settle(self.clock)
            self.failureResultOf(dialling, PartnerTimeout)
            self.assertEqual(self.successResultOf(meeting).outcome, "reset")
            self.assertNothingLeft()

    def test_noTLS(self) -> None:
        """A client that does not speak TLS is told from one that refuses."""

        class Plain(Server):
            def connectionMade(self) -> None:
                self.transport.write(b"GET / HTTP/1.1\r\n\r\n")

        self.assertEqual(self.met(None, Plain()).outcome, "no TLS")

    def test_silent(self) -> None:
        """One that says nothing at all has not admitted it."""
        self.assertEqual(self.met(None, Server()).outcome, "stayed")

    def test_otherVersion(self) -> None:
        """It speaks the version that it is told to, and no other."""
        for version, other in (
            ("1.2", SSL.TLS1_3_VERSION),
            ("1.3", SSL.TLS1_2_VERSION),
        ):
            tls = CertificateOptions()
            tls.getContext().set_min_proto_version(other)
            tls.getContext().set_max_proto_version(other)
            client = Server()
            self.assertEqual(self.met(tls, client, version=version).outcome, "no TLS")
            self.assertIn("protocol version", str(client.reason))

    def test_noSuchVersion(self) -> None:
        """Another version is an error that names those that there are."""
        error = self.assertRaises(BadOption, ImpostorServer, self.clock, version="1.1")
        for words in ("version='1.1'", '"1.2"', '"1.3"'):
            self.assertIn(words, str(error))

    def test_impostors(self) -> None:
        """Two impostors take each other for the right one."""
        client = Impostor(self.clock)
        self.assertTrue(self.met(None, client).completed)
        self.assertEqual(client.outcome, "admitted")
