"""
Tests for :mod:`twisted_transfer.identity`.
"""

from __future__ import annotations

import base64
import subprocess

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.certificates import Authority
from tests.folders import newFolder
from tests.simulation import SimulatedReactor, TLSPartner, connected
from tests.tlsends import Identities, overTLS
from twisted_transfer.errors import NotAdmitted, PeerRefused, TransferError
from twisted_transfer.identity import PeerIdentity, handshakeError
from twisted_transfer.link import Link


class PeerIdentityTests(SynchronousTestCase):
    """Who a certificate says that the partner is."""

    def test_pin(self) -> None:
        """
        The pin is what the openssl program finds by the recipe of RFC 7469,
        appendix A, but URL-safe and without padding.
        """
        path, _ = Authority(newFolder(self)).issue()
        recipe = (
            "openssl x509 -noout -in $0 -pubkey | openssl pkey -pubin -outform der"
            " | openssl dgst -sha256 -binary"
        )
        digest = subprocess.run(
            ["sh", "-c", recipe, str(path)], capture_output=True, check=True
        ).stdout
        identity = PeerIdentity(x509.load_pem_x509_certificate(path.read_bytes()))
        self.assertEqual(base64.urlsafe_b64decode(identity.pin + "="), digest)
        self.assertRegex(identity.pin, "^[A-Za-z0-9_-]{43}$")

    def test_sameKey(self) -> None:
        """Another certificate for the same key has the same pin, no other has."""
        authority = Authority(newFolder(self))
        pins = []
        for name in ("one", "other"):
            path, _ = authority.issue(name)
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            pins.append(PeerIdentity(certificate).pin)
            self.assertEqual(PeerIdentity(certificate).pin, pins[-1])
        self.assertNotEqual(*pins)


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
        self.assertFalse(link.ready)
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
