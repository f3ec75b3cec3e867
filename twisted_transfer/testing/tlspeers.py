"""
The hostile peers that speak TLS well, and are somebody else: one that dials, and
one that is dialled.
"""

from __future__ import annotations

import datetime
import ipaddress
from functools import cache, partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.errors import BadOption
from twisted_transfer.testing.peers import HostilePeer
from twisted_transfer.tls.keys import Identity

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


class HandshakingPeer(HostilePeer):
    """
    A hostile peer that speaks TLS, and takes any partner for the right one.

    :ivar admitted: whether the other side took it for its partner.
    """

    admitted = False
    _alert: str | None = None
    _tlsError: Failure | None = None

    def __init__(
        self,
        clock: Any,
        context: SSL.Context,
        *,
        dials: bool,
        hostname: str | None = None,
        stays: bool = False,
    ) -> None:
        """
        :param clock: for Twisted's TLS.
        :param context: how it speaks TLS; :func:`tell` is its info callback.
        :param dials: whether it is the client of the two.
        :param hostname: whom it asks for, if it dials.
        :param stays: whether it stays when it is admitted.
        """
        super().__init__()
        self._clock = clock
        self._creator = _Creator(context, hostname)
        self._dials = dials
        self._stays = stays
        self._tls: TLSMemoryBIOProtocol | None = None

    def begin(self) -> None:
        """Begin the handshake."""
        makeInside: Any = partial(_Inside, self)
        factory = TLSMemoryBIOFactory(
            self._creator,
            self._dials,
            Factory.forProtocol(makeInside),
            clock=self._clock,
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
        The other side talks to this peer as to its partner.

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
    """Hears what comes out of the TLS of a hostile peer."""

    def __init__(self, peer: HandshakingPeer) -> None:
        self.peer = peer

    def dataReceived(self, data: bytes) -> None:
        self.peer.decrypted(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.peer.tlsLost(reason)


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class _Creator:
    """Makes the connections of one hostile peer."""

    def __init__(self, context: SSL.Context, hostname: str | None) -> None:
        self._context = context
        self._hostname = hostname

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if self._hostname is not None:
            connection.set_tlsext_host_name(self._hostname.encode("idna"))
        return connection

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)


def tell(connection: SSL.Connection, where: int, value: int) -> None:
    """
    Pass on to the peer what OpenSSL says of its connection.

    :param connection: the peer's.
    :param where: see :meth:`HandshakingPeer.handshakeEvent`.
    :param value: the same.
    """
    inside = getattr(connection.get_app_data(), "wrappedProtocol", None)
    if inside is not None:
        inside.peer.handshakeEvent(where, value, connection.get_state_string())


_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


class Impostor(HandshakingPeer):
    """
    Completes its side of a TLS handshake, with an identity that nobody knows:
    a certificate that it has signed itself, or none at all; or with one that
    it is given.

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

    def __init__(
        self,
        clock: Any,
        *,
        certificate: bool = True,
        identity: Identity | None = None,
        version: str = "1.3",
        hostname: str | None = None,
        stays: bool = False,
    ) -> None:
        """
        :param clock: for Twisted's TLS.
        :param certificate: whether it shows a certificate.
        :param identity: whose, such as one that the server's authority has
            issued for another use; None: an ephemeral self-signed one,
            Ed25519, the same for all in a process.
        :param version: of TLS, ``"1.2"`` or ``"1.3"``.
        :param hostname: the server's name, to be sent to it (server name
            indication); None: no name.
        :param stays: whether it stays when it is admitted, and from then on
            answers nothing any more, not even a ``close_notify``.  It shows
            that closing a connection takes a bounded time.
        :raises BadOption: if there is no such version.
        """
        context = (
            _clientContext(version, certificate)
            if identity is None
            else _showing(identity, _anybody(version))
        )
        super().__init__(clock, context, dials=True, hostname=hostname, stays=stays)
        self._version = version

    def handshakeEvent(self, where: int, value: int, state: bytes) -> None:
        """
        What OpenSSL tells of the handshake: ``SSL_CTX_set_info_callback``.

        :param where: what it is about, as bits.
        :param value: for an alert its level and its description.
        :param state: OpenSSL's words for how far it is.
        """
        super().handshakeEvent(where, value, state)
        if state.endswith(b"read server session ticket") or (
            # In TLS 1.2 the server's last word comes after its judgement.
            where == SSL.SSL_CB_HANDSHAKE_DONE and self._version == "1.2"
        ):
            self.admitted = True


class ImpostorServer(HandshakingPeer):
    """
    Answers one who dials with a good TLS handshake and the wrong identity: a
    certificate for this machine (``localhost``, 127.0.0.1, ::1) that it has
    signed itself, or one that it is given.

    It shows that a program that dials verifies whom it has reached.  Let it
    lie in wait with :func:`~twisted_transfer.testing.ambush`.  ``outcome`` is
    ``alert: unknown ca`` or the like where the client turned it away;
    ``admitted`` where the client talked to it, or was there still when its
    patience was at an end; ``end of file`` or ``reset`` where the client just
    hung up; ``no TLS`` where what came was none.

    It asks the client for a certificate and takes any, and none, for the right
    one.  It says nothing after the handshake, and when the client does it hangs
    up.

    :ivar admitted: whether the client took it for its partner.
    :ivar completed: whether the client completed the handshake.  That alone is
        no admission: some look at the name in the certificate only then, and
        hang up.
    """

    completed = False

    def __init__(
        self,
        clock: Any,
        *,
        identity: Identity | None = None,
        version: str = "1.3",
    ) -> None:
        """
        :param clock: for Twisted's TLS.
        :param identity: what it shows, such as a certificate that the right
            authority has issued for another host; None: the same as
            :class:`Impostor`.
        :param version: of TLS, ``"1.2"`` or ``"1.3"``.
        :raises BadOption: if there is no such version.
        """
        context = (
            _serverContext(version)
            if identity is None
            else _showing(identity, _asking(version))
        )
        super().__init__(clock, context, dials=False)

    def handshakeEvent(self, where: int, value: int, state: bytes) -> None:
        """
        What OpenSSL tells of the handshake: ``SSL_CTX_set_info_callback``.

        :param where: what it is about, as bits.
        :param value: for an alert its level and its description.
        :param state: OpenSSL's words for how far it is.
        """
        super().handshakeEvent(where, value, state)
        # The client's last message comes after its judgement of the chain.
        if where == SSL.SSL_CB_HANDSHAKE_DONE:
            self.completed = True

    def giveUp(self) -> None:
        """The client should have hung up by now; if not, it was taken in."""
        self.admitted = self.admitted or self.completed
        super().giveUp()


def _anybody(version: str) -> SSL.Context:
    """
    The attacker's TLS, which accepts ANYBODY and so protects nobody.

    :returns: a new context for this version.
    :raises BadOption: if there is no such version.
    """
    if version not in _VERSIONS:
        raise BadOption(f'version={version!r}: give "1.2" or "1.3"')
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(_VERSIONS[version])
    context.set_max_proto_version(_VERSIONS[version])
    context.set_verify(SSL.VERIFY_NONE)
    context.set_info_callback(tell)
    return context


def _asking(version: str) -> SSL.Context:
    """:returns: the same for a server, which asks who its clients are."""
    context = _anybody(version)
    context.set_verify(SSL.VERIFY_PEER, lambda *whatever: True)
    # A resumed session would show nothing of who looks at certificates.  The
    # tickets, which TLS 1.3 sends all the same, tell a client that it is taken.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


def _showing(identity: Identity, context: SSL.Context) -> SSL.Context:
    """:returns: the context, with an identity to be shown."""
    context.use_certificate(identity.certificate)
    for certificate in identity.chain:
        context.add_extra_chain_cert(certificate)
    context.use_privatekey(identity.privateKey)
    return context


@cache
def _clientContext(version: str, certificate: bool) -> SSL.Context:
    """:returns: the one context for all that show the same, or nothing."""
    context = _anybody(version)
    return _showing(_selfSigned(), context) if certificate else context


@cache
def _serverContext(version: str) -> SSL.Context:
    """:returns: the one context for all that show the same."""
    return _showing(_selfSigned(), _asking(version))


@cache
def _selfSigned() -> Identity:
    """A key, and a certificate that is signed by nobody else."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    # Nobody is to turn it away for its name alone.
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    for address in ("127.0.0.1", "::1"):
        names.append(x509.IPAddress(ipaddress.ip_address(address)))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return Identity(key, builder.sign(key, None))
