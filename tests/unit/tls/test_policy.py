"""
Tests for :mod:`twisted_transfer.tls.policy`, against Python's own ``ssl``.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import ipaddress
import ssl
import weakref
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtensionOID, NameOID
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.mtlsends import clientContext, ofVersion1, unreadableFiles
from tests.support.simulation import SimulatedReactor, TLSPartner, connected
from tests.support.tlsends import Identities, overTLS
from twisted_transfer.channel.link import Link, LinkState
from twisted_transfer.errors import NotAdmitted, PeerRefused, TransferError
from twisted_transfer.tls.keys import Identity
from twisted_transfer.tls.policy import Policy, handshakeError, handshakeOf, serverName

_TLS12, _TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Client:
    """
    A client of Python's own, who has come to a server.

    :ivar tls: its end of the connection.
    :ivar proved: whether the server has taken it for a partner.
    :ivar failed: why there is no TLS any more, or None.
    """

    def __init__(
        self, policy: Policy, context: ssl.SSLContext, session: Any = None
    ) -> None:
        """
        :param policy: the server's.
        :param context: the client's.
        :param session: one that is to be resumed.
        """
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, session=session)
        protocol: Any = None  # of no use to a policy
        self._server = policy.serverConnectionForTLS(protocol)
        self._server.set_accept_state()
        self.proved = False
        self.failed: ssl.SSLError | None = None
        for _ in range(4):
            try:
                # Reading completes the handshake, and then takes the tickets.
                self.tls.read(1)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.failed = self.failed or error
            self._serve(self._out.read())

    def _serve(self, data: bytes) -> None:
        if data:
            self._server.bio_write(data)
        with contextlib.suppress(SSL.WantReadError, SSL.Error):
            self._server.do_handshake()
            self.proved = True
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self._in.write(self._server.bio_read(65536))

    @property
    def refusal(self) -> str | None:
        """Why the server has not."""
        handshake = handshakeOf(self._server)
        assert handshake is not None
        return handshake.refusal


class PolicyTests(SynchronousTestCase):
    """Whom a server accepts."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.ours = Authority(self.folder / "ours")
        self.theirs = Authority(self.folder / "theirs")

    def identity(self, authority: Authority, name: str) -> Identity:
        """:returns: an identity that the authority vouches for."""
        certificate, key = authority.issue(name)
        loaded: Any = load_pem_private_key(key.read_bytes(), None)
        return Identity(
            loaded, x509.load_pem_x509_certificate(certificate.read_bytes())
        )

    def roots(self, authority: Authority) -> tuple[x509.Certificate, ...]:
        """:returns: its certificate."""
        path: Path = authority.trustRoots / "ca.pem"
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))

    def meet(self, policy: Policy, identity: Identity | None, **how: Any) -> Client:
        """:returns: a client who has come with an identity."""
        return Client(policy, clientContext(self.folder, identity, **how))

    def test_pinAndAuthority(self) -> None:
        """Where both are given, both have to hold."""
        known = self.identity(self.ours, "known")
        policy = Policy(
            self.identity(self.ours, "server"),
            frozenset({known.pin, Identity.ephemeral().pin}),
            self.roots(self.ours),
        )
        self.assertTrue(self.meet(policy, known).proved)
        another = self.meet(policy, self.identity(self.ours, "another"))
        self.assertFalse(another.proved)
        self.assertIn("none of those", str(another.refusal))
        foreign = self.identity(self.theirs, "foreign")
        policy = Policy(
            policy.identity, frozenset({foreign.pin}), self.roots(self.ours)
        )
        stranger = self.meet(policy, foreign)
        self.assertFalse(stranger.proved)
        self.assertIn("trust roots", str(stranger.refusal))

    def test_nobodyWithoutCertificate(self) -> None:
        """Who shows no certificate is refused, whatever else is asked."""
        server = Identity.ephemeral()
        for policy in (
            Policy(server, frozenset({server.pin})),
            Policy(server, frozenset(), self.roots(self.ours)),
        ):
            for newest in (_TLS12, _TLS13):
                self.assertFalse(self.meet(policy, None, newest=newest).proved)

    def test_versions(self) -> None:
        """TLS 1.2 is spoken with those whom an authority vouches for only."""
        client = self.identity(self.ours, "client")
        byPin = Policy(Identity.ephemeral(), frozenset({client.pin}))
        byAuthority = Policy(Identity.ephemeral(), frozenset(), self.roots(self.ours))
        self.assertTrue(self.meet(byPin, client).proved)
        self.assertFalse(self.meet(byPin, client, newest=_TLS12).proved)
        for newest in (_TLS12, _TLS13):
            self.assertTrue(self.meet(byAuthority, client, newest=newest).proved)

    def test_nothingIsResumed(self) -> None:
        """
        Who has been accepted once has to prove itself the next time, too: a
        session that is offered again is not taken.
        """
        client = self.identity(self.ours, "client")
        policy = Policy(
            self.identity(self.ours, "server"), frozenset(), self.roots(self.ours)
        )
        for newest in (_TLS12, _TLS13):
            context = clientContext(self.folder, client, newest)
            first = Client(policy, context)
            self.assertTrue(first.proved)
            second = Client(policy, context, first.tls.session)
            self.assertTrue(second.proved)
            self.assertFalse(second.tls.session_reused)

    def test_unreadable(self) -> None:
        """
        A stranger's certificate that OpenSSL reads and cryptography does not: it
        is told by an alert, as each one is that is refused.
        """
        context, key = clientContext(self.folder, None), Ed25519PrivateKey.generate()
        stranger = Identity.selfSigned(key)
        context.load_cert_chain(*unreadableFiles(self.folder, stranger, key))
        server = Identity.ephemeral()
        client = Client(Policy(server, frozenset({server.pin})), context)
        self.assertFalse(client.proved)
        self.assertIn("cannot be read", str(client.refusal))
        self.assertIn("ALERT", str(client.failed))

    def test_unreadableButVouchedFor(self) -> None:
        """The same from one whom an authority vouches for."""
        key = Ed25519PrivateKey.generate()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        begin = datetime.datetime(2000, 1, 1)
        builder = (
            x509.CertificateBuilder()
            .issuer_name(name)
            .serial_number(1)
            .not_valid_before(begin)
            .not_valid_after(begin.replace(year=9999))
        )
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        root = builder.subject_name(name).public_key(key.public_key())
        roots = (root.add_extension(constraints, True).sign(key, None),)
        own = Ed25519PrivateKey.generate()
        leaf = builder.subject_name(x509.Name([])).public_key(own.public_key())
        client = Identity(own, leaf.sign(key, None))
        policy = Policy(Identity.ephemeral(), frozenset(), roots)
        self.assertTrue(self.meet(policy, client).proved)
        context = clientContext(self.folder, None)
        context.load_cert_chain(*unreadableFiles(self.folder, client, key))
        spoilt = Client(policy, context)
        self.assertFalse(spoilt.proved)
        self.assertIn("cannot be read", str(spoilt.refusal))

    def test_oneContext(self) -> None:
        """
        The trust roots are read once for each role, not once for each of those
        who come.
        """
        protocol = TLSMemoryBIOProtocol(Factory(), Protocol())
        policy = Policy(Identity.ephemeral(), frozenset(), self.roots(self.ours))
        clients, servers = (
            {make(protocol).get_context() for _ in range(3)}
            for make in (policy.clientConnectionForTLS, policy.serverConnectionForTLS)
        )
        self.assertEqual((len(clients), len(servers)), (1, 1))
        self.assertNotEqual(clients, servers)

    def test_notKept(self) -> None:
        """A policy with its private key goes away when nobody has it any more."""
        protocol = TLSMemoryBIOProtocol(Factory(), Protocol())
        policy = Policy(Identity.ephemeral(), frozenset(), self.roots(self.ours))
        policy.serverConnectionForTLS(protocol)
        policy.clientConnectionForTLS(protocol)
        seen = weakref.ref(policy)
        del policy
        gc.collect()
        self.assertIsNone(seen())

    def test_keysOnly(self) -> None:
        """Where only the key counts, a certificate may be of any authority."""
        foreign = self.identity(self.theirs, "foreign")
        policy = Policy(Identity.ephemeral(), frozenset({foreign.pin}))
        self.assertTrue(self.meet(policy, foreign).proved)


def certificate(
    key: Ed25519PrivateKey,
    name: str,
    issuer: tuple[Ed25519PrivateKey, str] | None = None,
    extension: x509.ExtensionType | None = None,
) -> x509.Certificate:
    """
    :param key: the key that it is for.
    :param name: the subject's common name.
    :param issuer: the key and the name of who signs it; None: itself.
    :param extension: what is in it beside that.
    """
    signer, signerName = issuer or (key, name)

    def named(text: str) -> x509.Name:
        # Long enough for ofVersion1().
        names = ((NameOID.COMMON_NAME, text), (NameOID.LOCALITY_NAME, "x" * 60))
        return x509.Name([x509.NameAttribute(*each) for each in names])

    begin = datetime.datetime(2000, 1, 1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(signerName))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin.replace(year=9999))
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, None)


class ChainTests(SynchronousTestCase):
    """Who may vouch for whom, and what looking at it costs."""

    def judge(self, policy: Policy, identity: Identity) -> tuple[bool, str | None]:
        """:returns: whether a server accepts a client, and why not."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        identity.showIn(context)
        client, protocol = SSL.Connection(context, None), None
        server = policy.serverConnectionForTLS(protocol)  # type: ignore[arg-type]
        proved = shake(client, server)
        handshake = handshakeOf(server)
        assert handshake is not None
        return proved, handshake.refusal

    def test_version1(self) -> None:
        """A trusted certificate of version 1 vouches for itself, and for no other."""
        alice, mallory = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        root = ofVersion1(certificate(alice, "alice"), alice)
        policy = Policy(Identity.ephemeral(), trustRoots=(root,))
        self.assertEqual(self.judge(policy, Identity(alice, root)), (True, None))
        bob = Identity(mallory, certificate(mallory, "bob", (alice, "alice")))
        proved, refusal = self.judge(policy, bob)
        self.assertFalse(proved)
        self.assertIn("may not issue certificates", str(refusal))

    def test_noConstraints(self) -> None:
        """So does one of version 3 that does not say that it is an authority."""
        alice, mallory = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        signs = [False] * 5 + [True] + [False] * 3  # keyCertSign
        usage = x509.KeyUsage(*signs)
        for extension in (usage, x509.BasicConstraints(False, None)):
            root = certificate(alice, "alice", None, extension)
            policy = Policy(Identity.ephemeral(), trustRoots=(root,))
            bob = Identity(mallory, certificate(mallory, "bob", (alice, "alice")))
            self.assertFalse(self.judge(policy, bob)[0])

    def test_intermediate(self) -> None:
        """An authority is trusted that another one vouches for, which is not."""
        root, middle, own = (Ed25519PrivateKey.generate() for _ in range(3))
        authority = x509.BasicConstraints(True, None)
        issuing = certificate(middle, "issuing", (root, "root"), authority)
        client = Identity(own, certificate(own, "client", (middle, "issuing")))
        policy = Policy(Identity.ephemeral(), trustRoots=(issuing,))
        self.assertEqual(self.judge(policy, client), (True, None))
        other = certificate(middle, "other", (root, "root"), authority)
        policy = Policy(Identity.ephemeral(), trustRoots=(other,))
        self.assertFalse(self.judge(policy, client)[0])

    def test_longChain(self) -> None:
        """Where a pin decides, a stranger's chain is not verified."""
        looked: list[int] = []

        class Counting(Policy):
            def _verify(self, *arguments: Any) -> bool:
                looked.append(arguments[3])
                return super()._verify(*arguments)

        keys = [Ed25519PrivateKey.generate() for _ in range(50)]
        authority = x509.BasicConstraints(True, None)
        chain = [
            certificate(key, f"n{n}", (keys[n + 1], f"n{n + 1}"), authority)
            for n, key in enumerate(keys[:-1])
        ]
        stranger = Identity(keys[0], chain[0], tuple(chain[1:]))
        own = Identity.ephemeral()
        policy = Counting(own, frozenset({own.pin}))
        self.assertFalse(self.judge(policy, stranger)[0])
        self.assertLess(len(looked), 5)
        self.assertLess(max(looked), 2)
        policy = Counting(own, frozenset({stranger.pin}))
        looked.clear()
        self.assertEqual(self.judge(policy, stranger), (True, None))
        self.assertLess(len(looked), 5)


class NameTests(SynchronousTestCase):
    """For whom a server's certificate is."""

    def setUp(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.client = Identity.ephemeral()

    def dial(
        self, host: str, server: x509.Certificate, version: int = SSL.TLS1_3_VERSION
    ) -> tuple[bool, str | None, Any]:
        """
        :returns: whether a client that trusts the certificate accepts it, why not,
            and what the server has seen of the client.
        """
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_max_proto_version(version)
        context.set_verify(SSL.VERIFY_PEER, lambda *ignored: True)
        Identity(self.key, server).showIn(context)
        policy = Policy(self.client, trustRoots=(server,), host=host)
        protocol = TLSMemoryBIOProtocol(Factory(), Protocol())
        client = policy.clientConnectionForTLS(protocol)
        connection = SSL.Connection(context, None)
        proved = shake(client, connection)
        handshake = handshakeOf(client)
        assert handshake is not None
        return proved, handshake.refusal, connection.get_peer_certificate()

    def certificate(self, *names: x509.GeneralName) -> x509.Certificate:
        """:returns: one for some names."""
        extension = x509.SubjectAlternativeName(names) if names else None
        return certificate(self.key, "server", None, extension)

    def test_names(self) -> None:
        """Names and addresses are told apart, and have to be in the certificate."""
        name = x509.DNSName("a.example")
        address = x509.IPAddress(ipaddress.ip_address("::1"))
        for host, names, proved in (
            ("a.example", [name], True),
            ("b.example", [name], False),
            ("::1", [address], True),
            ("::1", [name], False),
            ("a.example", [address], False),
        ):
            result, refusal, _ = self.dial(host, self.certificate(*names))
            self.assertIs(result, proved, host)
            self.assertEqual("another host" in str(refusal), not proved)

    def test_noName(self) -> None:
        """A certificate without a name is for no host, whatever the check raises."""
        for host in ("server", "127.0.0.1"):
            result, refusal, _ = self.dial(host, self.certificate())
            self.assertFalse(result)
            self.assertIn("another host", str(refusal))

    def test_brokenName(self) -> None:
        """A certificate whose names cannot be read is for no host either."""
        broken = x509.UnrecognizedExtension(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x03\x82\x05x"
        )
        result, refusal, _ = self.dial(
            "x", certificate(self.key, "server", None, broken)
        )
        self.assertFalse(result)
        self.assertIsNotNone(refusal)

    def test_notShown(self) -> None:
        """A server of another name does not see the client's certificate."""
        wrong = self.certificate(x509.DNSName("a.example"))
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            self.assertIsNone(self.dial("b.example", wrong, version)[2])
            self.assertIsNotNone(self.dial("a.example", wrong, version)[2])


def shake(client: SSL.Connection, server: SSL.Connection) -> bool:
    """:returns: whether a handshake in memory ends well on both sides."""
    client.set_connect_state()
    server.set_accept_state()
    ends = {client: False, server: False}
    for _ in range(4):
        for end, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError, SSL.Error):
                end.do_handshake()
                ends[end] = True
            with contextlib.suppress(SSL.WantReadError):
                while True:
                    other.bio_write(end.bio_read(65536))
    return all(ends.values())


class ServerNameTests(SynchronousTestCase):
    """What the server is told of the host that is dialled."""

    def test_names(self) -> None:
        """Names in their ASCII form, and nothing of addresses."""
        for host, expected in (
            ("host.example", b"host.example"),
            ("bücher.example", b"xn--bcher-kva.example"),
            ("192.0.2.7", None),
            ("2001:db8::7", None),
        ):
            self.assertEqual(serverName(host), expected)
        self.assertRaises(UnicodeError, serverName, "ä" * 60)


class HandshakeErrorTests(SynchronousTestCase):
    """Why a handshake did not complete, from real handshakes that did not."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.identities = Identities(self)

    def dialled(
        self, host: str = "localhost", authority: Identities | None = None
    ) -> tuple[Link, TLSPartner]:
        """:returns: a link that has dialled a server, and that server."""
        socket, partner = connected(self.reactor)
        link = Link(self.reactor)
        options = (authority or self.identities).client(host)
        socket.attach(overTLS(self.reactor, options, link, client=True))
        context = self.identities.serverContext()
        return link, TLSPartner(partner, context, client=False)

    def said(self, link: Link, error: type[TransferError], *words: str) -> None:
        """The set-up of the link has failed with such an error."""
        failure = self.failureResultOf(link.whenReady(), error)
        self.assertIsNot(link.state, LinkState.OPEN)
        self.assertIsNotNone(failure.value.__cause__)
        for word in words:
            self.assertIn(word, str(failure.value))

    def handshake(self, partner: TLSPartner) -> None:
        """Shake hands, in vain."""
        for _ in range(4):
            try:
                partner.handshake(self.reactor, 1)
            except SSL.Error:
                self.reactor.run(3)

    def test_unknownAuthority(self) -> None:
        """A certificate from an authority that is not trusted."""
        link, partner = self.dialled(authority=Identities(self))
        self.handshake(partner)
        self.said(link, NotAdmitted, "certificate verify failed", "trust roots")

    def test_otherHost(self) -> None:
        """
        A certificate for another host.  Twisted tells of a completed handshake
        all the same.
        """
        link, partner = self.dialled("other.example")
        self.handshake(partner)
        self.reactor.run(3)
        self.said(link, NotAdmitted, "another host name", "hostname=")

    def test_alert(self) -> None:
        """A partner that turns this side away says so in an alert."""
        socket, raw = connected(self.reactor)
        link = Link(self.reactor)
        socket.attach(overTLS(self.reactor, self.identities.server, link))
        context = self.identities.clientContext()
        context.set_verify(SSL.VERIFY_PEER, lambda *args: False)
        self.handshake(TLSPartner(raw, context))
        self.said(link, PeerRefused, "alert", "partner refused")

    def test_noTLS(self) -> None:
        """A partner that speaks something else."""
        link, partner = self.dialled()
        partner.raw.send(b"220 hello, this is no TLS\r\n")
        self.reactor.run(3)
        self.said(link, NotAdmitted, "speaks TLS")

    def test_hungUp(self) -> None:
        """A partner that hangs up, in order or not."""
        for end in ("end", "close", "reset"):
            link, partner = self.dialled()
            getattr(partner.raw, end)()
            self.reactor.run(3)
            self.said(link, PeerRefused, "ended the connection")

    def test_lost(self) -> None:
        """Twisted's own errors for an end say nothing of a cause."""
        for cause in (ConnectionDone(), ConnectionLost()):
            error = handshakeError(Failure(cause))
            self.assertIsInstance(error, PeerRefused)
            self.assertIs(error.__cause__, cause)

    def test_other(self) -> None:
        """Anything else is passed on in its own words."""
        cause = OSError(113, "No route to host")
        error = handshakeError(Failure(cause))
        self.assertIsInstance(error, NotAdmitted)
        self.assertIn("No route to host", str(error))
        self.assertIs(error.__cause__, cause)

    def test_withoutWords(self) -> None:
        """An error of OpenSSL's that says nothing is no refusal by anybody."""
        for cause in (SSL.Error(), SSL.Error([]), SSL.Error([("", "", "")])):
            self.assertIsInstance(handshakeError(Failure(cause)), NotAdmitted)
        error = handshakeError(Failure(SSL.SysCallError(104, "ECONNRESET")))
        self.assertIn("ECONNRESET", str(error))
