"""
Tests for :mod:`twisted_transfer.testing.tlspeers`, without a network.
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import replace
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from OpenSSL import SSL
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.hostilities import (
    AmbushTestCase,
    Server,
    identityOf,
    join,
    overTLS,
    serverContext,
)
from tests.support.tlsends import One
from twisted_transfer import (
    BadOption,
    NotAdmitted,
    PartnerTimeout,
    TransferChannel,
    TransferConnector,
)
from twisted_transfer.channel.wires import CLOSE_TIMEOUT
from twisted_transfer.connecting.admission import CANDIDATE_TIMEOUT, Admission
from twisted_transfer.testing.memory import settle
from twisted_transfer.testing.peers import Dripper, Staller
from twisted_transfer.testing.tlspeers import Impostor, ImpostorServer
from twisted_transfer.tls.keys import Identity
from twisted_transfer.tls.policy import Policy

# What the server's TLS says to it, by version and with or without certificate:
# RFC 8446, section 4.4.2.4, and RFC 5246, section 7.4.6.
TURNED_AWAY = {
    ("1.3", True): "alert: unknown ca",
    ("1.3", False): "alert: certificate required",
    ("1.2", True): "alert: unknown ca",
    ("1.2", False): "alert: handshake failure",
}


class TicketlessServer(Protocol):
    """
    A TLS server, of Python's own making, that sends no session tickets and
    asks for no certificate.
    """

    def __init__(self, authority: Authority) -> None:
        certificate, key = authority.issue()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.num_tickets = 0
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.proved = False

    def dataReceived(self, data: bytes) -> None:
        self._incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
            self.proved = True
        self._flush()

    def say(self, data: bytes) -> None:
        """Send something as application data."""
        self._tls.write(data)
        self._flush()

    def close(self) -> None:
        """End the TLS connection in order, with a ``close_notify``."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        assert self.transport is not None
        self.transport.write(self._outgoing.read())


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


class ImpostorTests(SynchronousTestCase):
    """What an impostor does to a TLS server, and finds out."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.authority = Authority(newFolder(self))

    def factory(self, context: SSL.Context) -> Any:
        """:returns: a factory whose TLS servers are kept in ``self.servers``."""
        self.servers: list[Server] = []

        def made() -> Server:
            self.servers.append(Server())
            return self.servers[-1]

        making: Any = made
        return overTLS(self.clock, context, Factory.forProtocol(making))

    def attacked(self, peer: Impostor, context: SSL.Context) -> Server:
        """:returns: a TLS server that the impostor has connected to."""
        join(self.clock, self.factory(context).buildProtocol(None), peer)
        return self.servers[0]

    def test_turnedAway(self) -> None:
        """A server that verifies turns it away, and the impostor hears how."""
        for (version, shows), outcome in TURNED_AWAY.items():
            context = serverContext(self.authority, verify=True)
            peer = Impostor(self.clock, version=version, certificate=shows)
            server = self.attacked(peer, context)
            self.assertEqual(peer.outcome, outcome)
            self.assertFalse(peer.admitted)
            self.assertFalse(server.proved)
            self.assertIsInstance(server.reason and server.reason.value, SSL.Error)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_admitted(self) -> None:
        """A server that verifies nobody is found out, and then left alone."""
        for version, shows in TURNED_AWAY:
            context = serverContext(self.authority, verify=False)
            peer = Impostor(self.clock, version=version, certificate=shows)
            server = self.attacked(peer, context)
            self.assertTrue(server.proved)
            self.assertEqual(peer.outcome, "admitted")
            self.assertIsNotNone(server.reason)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_version(self) -> None:
        """It speaks the version that it is told to, and no other."""
        versions: list[str] = []

        def tell(connection: SSL.Connection, where: int, value: int) -> None:
            versions.append(connection.get_protocol_version_name())

        for version, spoken in (("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")):
            context = serverContext(self.authority, verify=False)
            context.set_info_callback(tell)
            self.attacked(Impostor(self.clock, version=version), context)
            self.assertEqual(versions[-1], spoken)

    def test_noSuchVersion(self) -> None:
        """Another version is an error that names those that there are."""
        for kind in (Impostor, ImpostorServer):
            error = self.assertRaises(BadOption, kind, self.clock, version="1.1")
            for words in ("version='1.1'", '"1.2"', '"1.3"'):
                self.assertIn(words, str(error))

    def test_certificate(self) -> None:
        """It shows a certificate that is signed by itself, with an Ed25519 key."""
        shown: list[Any] = []

        def look(connection: Any, certificate: Any, *result: int) -> bool:
            shown.append(certificate.to_cryptography())
            return True

        context = serverContext(self.authority, verify=True)
        context.set_verify(SSL.VERIFY_PEER, look)
        for version in ("1.2", "1.3"):
            peer = Impostor(self.clock, version=version)
            self.attacked(peer, context)
            self.assertEqual(peer.outcome, "admitted")
        self.assertTrue(shown)
        for certificate in shown:
            self.assertEqual(certificate.issuer, certificate.subject)
            self.assertIsInstance(certificate.public_key(), Ed25519PublicKey)
            certificate.verify_directly_issued_by(certificate)
        del shown[:]
        self.attacked(Impostor(self.clock, certificate=False), context)
        self.assertEqual(shown, [])

    def test_identity(self) -> None:
        """
        With an identity that it is given it gets as far as that goes: one of
        the right authority's is taken for a partner's where only the authority
        counts, and not where there is a pin.
        """
        identity = identityOf(*self.authority.issue("somebody"))
        for version in ("1.2", "1.3"):
            context = serverContext(self.authority, verify=True)
            peer = Impostor(self.clock, identity=identity, version=version)
            server = self.attacked(peer, context)
            self.assertEqual(peer.outcome, "admitted")
            self.assertTrue(server.proved)
        for pin, outcome in (
            # No authority is asked, so OpenSSL knows none.
            (Identity.ephemeral().pin, "alert: unknown ca"),
            (identity.pin, "admitted"),
        ):
            policy = Policy(Identity.ephemeral(), frozenset([pin]))
            peer, server = Impostor(self.clock, identity=identity), Server()
            factory = TLSMemoryBIOFactory(policy, False, One(server), clock=self.clock)
            join(self.clock, factory.buildProtocol(None), peer)
            self.assertEqual(peer.outcome, outcome)
            self.assertEqual(server.proved, outcome == "admitted")

    def test_anyServer(self) -> None:
        """It accepts any server: this one's certificate is of nobody it knows."""
        context = serverContext(Authority(newFolder(self)), verify=False)
        self.assertTrue(self.attacked(Impostor(self.clock), context).proved)

    def test_hostname(self) -> None:
        """It names the server that it wants, if it is told a name."""
        names: list[bytes | None] = []
        for hostname in ("server.example", None):
            context = serverContext(self.authority, verify=False)
            context.set_tlsext_servername_callback(
                lambda connection: names.append(connection.get_servername())
            )
            self.attacked(Impostor(self.clock, hostname=hostname), context)
        self.assertEqual(names, [b"server.example", None])

    def test_noTickets(self) -> None:
        """
        Without tickets it does not take a completed handshake for an
        admission, for in TLS 1.3 it is none; what the server says is one.
        """
        peer, server = Impostor(self.clock), TicketlessServer(self.authority)
        join(self.clock, server, peer)
        self.assertTrue(server.proved)
        self.assertFalse(peer.admitted)
        self.assertIsNone(peer.outcome)
        server.say(b"220 welcome\r\n")
        settle(self.clock)
        self.assertEqual(peer.outcome, "admitted")
        self.assertEqual(peer.received, b"220 welcome\r\n")

    def test_closeNotify(self) -> None:
        """A TLS connection that the server ends in order is no refusal."""
        peer, server = Impostor(self.clock), TicketlessServer(self.authority)
        join(self.clock, server, peer)
        server.close()
        settle(self.clock)
        self.assertEqual(peer.outcome, "end of file")

    def test_otherVersion(self) -> None:
        """A server that does not speak its version says so."""
        for version, other in (
            ("1.2", SSL.TLS1_3_VERSION),
            ("1.3", SSL.TLS1_2_VERSION),
        ):
            context = serverContext(self.authority, verify=False)
            context.set_min_proto_version(other)
            context.set_max_proto_version(other)
            peer = Impostor(self.clock, version=version)
            self.attacked(peer, context)
            self.assertEqual(peer.outcome, "alert: protocol version")

    def test_noTLS(self) -> None:
        """A server that does not speak TLS is told from one that refuses."""
        peer, server = Impostor(self.clock), Server()
        join(self.clock, server, peer)
        server.transport.write(b"220 welcome, this is no TLS\r\n")
        settle(self.clock)
        self.assertEqual(peer.outcome, "no TLS")

    def test_hungUpOn(self) -> None:
        """A server that just hangs up, or resets, is told from these."""
        for how, outcome in (
            ("loseConnection", "end of file"),
            ("abortConnection", "reset"),
        ):
            peer, server = Impostor(self.clock), Server()
            join(self.clock, server, peer)
            getattr(server.transport, how)()
            settle(self.clock)
            self.assertEqual(peer.outcome, outcome)

    def test_unknownAlert(self) -> None:
        """An alert without a name is given by its number."""
        peer, server = Impostor(self.clock), Server()
        join(self.clock, server, peer)
        # A record (21) of TLS 1.2 with a fatal (2) alert of number 99.
        server.transport.write(b"\x15\x03\x03\x00\x02\x02\x63")
        settle(self.clock)
        self.assertEqual(peer.outcome, "alert: 99")

    def test_abort(self) -> None:
        """It can be aborted before and in its handshake, and its end is told."""
        before = Impostor(self.clock)
        before.abort()
        within = Impostor(self.clock)
        for peer in (before, within):
            join(self.clock, Server(), peer)
            peer.abort()
            settle(self.clock)
            self.assertEqual(peer.outcome, "left")
            self.successResultOf(peer.ended)

    def test_stays(self) -> None:
        """
        One that stays when it is admitted never answers a ``close_notify``;
        a channel is closed all the same, in its time.
        """
        admission = Admission(self.clock)
        context = serverContext(self.authority, verify=False)
        factory = overTLS(self.clock, context, admission)
        peer = Impostor(self.clock, stays=True)
        join(self.clock, factory.buildProtocol(None), peer)
        channel = TransferChannel(self.successResultOf(admission.winner))
        self.assertTrue(peer.admitted)
        closed = channel.whenClosed().addErrback(lambda failure: None)
        channel.loseConnection()
        settle(self.clock)
        self.clock.advance(CLOSE_TIMEOUT - 0.1)
        settle(self.clock)
        self.assertNoResult(closed)
        self.assertIsNone(peer.outcome)
        self.clock.advance(0.2)
        settle(self.clock)
        self.successResultOf(closed)
        self.assertEqual(peer.outcome, "admitted")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_iosim(self) -> None:
        """Twisted's own memory transports do as well."""
        context = serverContext(self.authority, verify=True)
        server = self.factory(context).buildProtocol(None)
        peer = Impostor(self.clock)
        pump = iosim.connect(
            server,
            iosim.makeFakeServer(server),
            peer,
            iosim.makeFakeClient(peer),
            clock=self.clock,
        )
        pump.flush()
        self.assertEqual(peer.outcome, "alert: unknown ca")
        self.assertFalse(self.servers[0].proved)

    def test_reason(self) -> None:
        """Why it ended is there as TLS has it."""
        context = serverContext(self.authority, verify=True)
        peer = Impostor(self.clock)
        self.attacked(peer, context)
        assert peer.reason is not None
        self.assertNotIsInstance(peer.reason.value, ConnectionDone)
        self.assertIn("unknown ca", str(peer.reason.value))


class ImpostorServerTests(AmbushTestCase):
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

    def test_impostors(self) -> None:
        """Two impostors take each other for the right one."""
        client = Impostor(self.clock)
        self.assertTrue(self.met(None, client).completed)
        self.assertEqual(client.outcome, "admitted")
