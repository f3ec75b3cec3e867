"""
Tests for :mod:`twisted_transfer.testing.tlspeers`, without a network.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.hostilities import Server, identityOf, join, overTLS, serverContext
from tests.support.tlsends import One
from twisted_transfer import BadOption, TransferChannel
from twisted_transfer.channel.wires import CLOSE_TIMEOUT
from twisted_transfer.connecting.admission import Admission
from twisted_transfer.testing.memory import settle
from twisted_transfer.testing.tlspeers import Impostor
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
        error = self.assertRaises(BadOption, Impostor, self.clock, version="1.1")
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
