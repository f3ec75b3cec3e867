"""
The hostile peer that speaks TLS well, and is somebody else.
"""

from __future__ import annotations

import datetime
from functools import cache, partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.errors import BadOption
from twisted_transfer.hostile import HostilePeer

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

# Those of RFC 8446, section 6, with its names.
_ALERTS = {
    10: "unexpected message",
    20: "bad record mac",
    22: "record overflow",
    40: "handshake failure",
    42: "bad certificate",
    43: "unsupported certificate",
    44: "certificate revoked",
    45: "certificate expired",
    46: "certificate unknown",
    47: "illegal parameter",
    48: "unknown ca",
    49: "access denied",
    50: "decode error",
    51: "decrypt error",
    70: "protocol version",
    71: "insufficient security",
    80: "internal error",
    86: "inappropriate fallback",
    90: "user canceled",
    109: "missing extension",
    110: "unsupported extension",
    112: "unrecognized name",
    113: "bad certificate status response",
    115: "unknown psk identity",
    116: "certificate required",
    120: "no application protocol",
}
_CLOSE_NOTIFY = 0


class Impostor(HostilePeer):
    """
    Completes its side of a TLS handshake, with an identity that nobody knows:
    a certificate that it has signed itself, or none at all.

    It shows that a server verifies who its clients are.  ``outcome`` is
    ``alert: unknown ca``, ``alert: certificate required`` or the like where it
    was turned away; ``admitted`` where the server's TLS took it for good;
    ``no TLS`` where what answered was none.  When it is admitted it hangs up,
    for it has shown what there was to show.

    It takes any server for the right one.  Nothing of it is for any use but
    attacking a server of one's own.

    :ivar admitted: whether the server's TLS took it.  In TLS 1.3 this side's
        handshake completes before the server has judged it, so that alone says
        nothing; a session ticket does, which servers made with OpenSSL send
        after they have verified the client, and so does application data.
    """

    admitted = False
    _alert: str | None = None
    _tlsError: Failure | None = None

    def __init__(
        self,
        clock: IReactorTime,
        *,
        certificate: bool = True,
        version: str = "1.3",
        hostname: str | None = None,
        stays: bool = False,
    ) -> None:
        """
        :param clock: for Twisted's TLS.
        :param certificate: whether it shows a certificate: an ephemeral
            self-signed one, Ed25519, the same for all in a process.
        :param version: of TLS, ``"1.2"`` or ``"1.3"``.
        :param hostname: the server's name, to be sent to it (server name
            indication); None: no name.
        :param stays: whether it stays when it is admitted, and from then on
            answers nothing any more, not even a ``close_notify``.  It shows
            that closing a connection takes a bounded time.
        :raises BadOption: if there is no such version.
        """
        super().__init__()
        if version not in _VERSIONS:
            raise BadOption(f'version={version!r}: give "1.2" or "1.3"')
        self._clock = clock
        self._creator = _Creator(_context(version, certificate), hostname)
        self._version = version
        self._stays = stays
        self._tls: TLSMemoryBIOProtocol | None = None

    def begin(self) -> None:
        """Begin the handshake."""
        makeInside: Any = partial(_Inside, self)
        factory = TLSMemoryBIOFactory(
            self._creator, True, Factory.forProtocol(makeInside), clock=self._clock
        )
        assert self.transport is not None
        self._tls = factory.buildProtocol(self.transport.getPeer())
        assert self._tls is not None
        self._tls.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Let TLS have it."""
        if self.admitted or self._tls is None:
            return
        self._tls.dataReceived(data)
        if self.admitted and not self._stays:
            self.abort()

    def decrypted(self, data: bytes) -> None:
        """
        The server talks to this peer as to its partner.

        :param data: what it says.
        """
        self.admitted = True
        super().dataReceived(data)

    def handshakeEvent(self, where: int, value: int, state: bytes) -> None:
        """
        What OpenSSL tells of the handshake: ``SSL_CTX_set_info_callback``.

        :param where: what it is about, as bits.
        :param value: for an alert its level and its description.
        :param state: OpenSSL's words for how far it is.
        """
        if where == SSL.SSL_CB_READ_ALERT:
            description = value & 0xFF
            if description != _CLOSE_NOTIFY:
                self._alert = _ALERTS.get(description, str(description))
        elif state.endswith(b"read server session ticket") or (
            # In TLS 1.2 the server's last word comes after its judgement.
            where == SSL.SSL_CB_HANDSHAKE_DONE and self._version == "1.2"
        ):
            self.admitted = True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Find out how it ended, and tell."""
        if self._tls is not None:
            self._tls.connectionLost(reason)
            self._tls = None
        # Where TLS itself has found nothing wrong, it takes every end before
        # a close_notify for a lost connection; the transport knows better.
        super().connectionLost(self._tlsError or reason)

    def tlsLost(self, reason: Failure) -> None:
        """
        The TLS connection is gone.

        :param reason: what TLS says of its end.
        """
        if reason.check(SSL.Error):
            self._tlsError = reason

    def _outcomeOf(self, reason: Failure) -> str:
        if self.admitted:
            return "admitted"
        if self._alert is not None:
            return f"alert: {self._alert}"
        return "no TLS" if reason.check(SSL.Error) else super()._outcomeOf(reason)


class _Inside(Protocol):
    """Hears what comes out of the TLS of an impostor."""

    def __init__(self, impostor: Impostor) -> None:
        self._impostor = impostor

    def dataReceived(self, data: bytes) -> None:
        self._impostor.decrypted(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._impostor.tlsLost(reason)


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """Makes the attacker's TLS connections, which accept any server."""

    def __init__(self, context: SSL.Context, hostname: str | None) -> None:
        self._context = context
        self._hostname = hostname

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if self._hostname is not None:
            connection.set_tlsext_host_name(self._hostname.encode("idna"))
        return connection


def _tell(connection: SSL.Connection, where: int, value: int) -> None:
    """Pass on to the impostor what OpenSSL says of its connection."""
    tls: Any = connection.get_app_data()
    if tls is not None:
        tls.wrappedProtocol._impostor.handshakeEvent(
            where, value, connection.get_state_string()
        )


@cache
def _context(version: str, certificate: bool) -> SSL.Context:
    """
    The attacker's TLS, which accepts ANY server and so protects nobody.

    :returns: the one context of this version, with or without a certificate.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(_VERSIONS[version])
    context.set_max_proto_version(_VERSIONS[version])
    context.set_verify(SSL.VERIFY_NONE)
    context.set_info_callback(_tell)
    if certificate:
        key, shown = _identity()
        context.use_privatekey(key)
        context.use_certificate(shown)
    return context


@cache
def _identity() -> tuple[Ed25519PrivateKey, x509.Certificate]:
    """A key, and a certificate that is signed by nobody else."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
    )
    return key, builder.sign(key, None)
