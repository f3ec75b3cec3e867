"""
Mutual TLS: both sides prove who they are.

A :class:`Policy` says who this side is and whom it accepts, and makes the
connections for Twisted's TLS layer.  What one handshake has shown is kept in a
:class:`Handshake`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import idna
from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.errors import NotAdmitted, PeerRefused, TransferError
from twisted_transfer.tls.alpn import offer, select
from twisted_transfer.tls.keys import Identity, pinOf

_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325,
section 4.2)."""

_PARTIAL_WRITE = 1
"""SSL_MODE_ENABLE_PARTIAL_WRITE of OpenSSL's ``ssl.h``, for which pyOpenSSL has no name
and which it sets: each call would encrypt one record of 16 KiB, and no more."""

# What the path validation of RFC 5280, section 6, has found, by the numbers of
# X509_STORE_CTX_get_error(3).
_UNKNOWN = (
    "its authority is not among the trust roots: give trustRoots= the "
    "certificate of the authority that issued it"
)
_UNREADABLE = "it cannot be read, for it breaks RFC 5280: have a new one issued"
_WHY_NOT = {
    2: _UNKNOWN,
    7: _UNKNOWN,  # an authority with the same name and another key
    9: "it is not valid yet: check the clocks of both machines",
    10: "it has expired: have a new one issued",
    18: "it vouches for itself and is not among the trust roots",
    19: _UNKNOWN,
    20: _UNKNOWN,
    21: _UNKNOWN,
    26: "it was issued for another use: see its extended key usage",
    79: "an authority in its chain may not issue certificates",
}
_NO_AUTHORITY = 79


@dataclass
class Handshake:
    """
    What the handshake of one connection has shown.

    :ivar refusal: why this side does not accept the partner's certificate.
    :ivar onTicket: called at the first session ticket (RFC 8446, section 4.6.1).
    """

    refusal: str | None = None
    onTicket: Callable[[], None] | None = None


# OpenSSL's callbacks give the connection, whose one place for a user's data is
# taken by Twisted.
_handshakes: WeakKeyDictionary[SSL.Connection, Handshake] = WeakKeyDictionary()


def handshakeOf(connection: SSL.Connection | None) -> Handshake | None:
    """
    Find what the handshake of a connection has shown.

    :param connection: OpenSSL's connection, the handle of a TLS transport.
    :returns: what it has shown; None if no policy made the connection.
    """
    return _handshakes.get(connection) if connection is not None else None


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
@dataclass(frozen=True, repr=False)
class Policy:
    """
    Who this side is, and whom it accepts.

    A partner has to pass every check that is configured: its key has to be one of
    the pinned ones (RFC 7469, section 2.4), and its certificate has to be issued by
    an authority among the trust roots (RFC 5280, section 6), on a client for the
    host that was dialled (RFC 9525).

    :ivar identity: who this side is; None on a client that shows no certificate.
    :ivar pins: the keys that are accepted; empty: any key.
    :ivar trustRoots: the authorities that are accepted, also intermediate ones, and
        certificates that are accepted by themselves; None: with pins none are asked,
        without pins those of the platform.
    :ivar host: on a client, the host that the certificate has to be for, where
        authorities are asked.
    """

    identity: Identity | None
    pins: frozenset[str] = frozenset()
    trustRoots: tuple[x509.Certificate, ...] | None = None
    host: str | None = None

    @property
    def byAuthority(self) -> bool:
        """Whether authorities are asked."""
        return self.trustRoots is not None or not self.pins

    def clientConnectionForTLS(
        self, tlsProtocol: TLSMemoryBIOProtocol
    ) -> SSL.Connection:
        """See ``IOpenSSLClientConnectionCreator``."""
        connection = SSL.Connection(self._clientContext, None)
        _handshakes[connection] = Handshake()
        name = None if self.host is None else serverName(self.host)
        if name is not None:
            connection.set_tlsext_host_name(name)
        offer(connection, tlsProtocol)
        return connection

    def serverConnectionForTLS(
        self, tlsProtocol: TLSMemoryBIOProtocol
    ) -> SSL.Connection:
        """See ``IOpenSSLServerConnectionCreator``."""
        connection = SSL.Connection(self._serverContext, None)
        _handshakes[connection] = Handshake()
        return connection

    # One context for all connections of a role: reading many trust roots for each
    # connection takes longer than all else in a handshake.

    @cached_property
    def _clientContext(self) -> SSL.Context:
        context = self._context(SSL.TLS_CLIENT_METHOD)
        context.set_info_callback(_watchForTicket)
        return context

    @cached_property
    def _serverContext(self) -> SSL.Context:
        context = self._context(SSL.TLS_SERVER_METHOD)
        # No session is resumed (RFC 8446, section 2.2): each connection has to prove
        # who it is.  The tickets that TLS 1.3 sends all the same come after that.
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_alpn_select_callback(select)
        return context

    def _context(self, method: int) -> SSL.Context:
        context = SSL.Context(method)
        context.clear_mode(_PARTIAL_WRITE)
        oldest = SSL.TLS1_2_VERSION if self.byAuthority else SSL.TLS1_3_VERSION
        context.set_min_proto_version(oldest)
        context.set_cipher_list(_CIPHERS)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        if self.identity is not None:
            self.identity.showIn(context)
        if not self.byAuthority:
            # Of a stranger's chain only the end is looked at.
            context.set_verify_depth(0)
        elif self.trustRoots is not None:
            store = context.get_cert_store()
            assert store is not None
            store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
            for certificate in self.trustRoots:
                store.add_cert(crypto.X509.from_cryptography(certificate))
        else:
            context.set_default_verify_paths()
        context.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify
        )
        return context

    def _verify(
        self,
        connection: SSL.Connection,
        certificate: crypto.X509,
        number: int,
        depth: int,
        ok: int,
    ) -> bool:
        """
        Judge one certificate of the partner's chain: ``SSL_CTX_set_verify(3)``.

        OpenSSL asks for each certificate, and for each fault that it found, before
        this side shows its own certificate.  A pin is for a key, so where no authority
        is asked only the key counts.  Whatever a check raises, it refuses.

        :param number: the fault, if ``ok`` is 0.
        :param depth: the place in the chain; 0 is the partner's own certificate.
        :returns: whether the handshake goes on.
        """
        refusal: str | None = None
        if self.byAuthority and not ok:
            refusal = _WHY_NOT.get(number, f"OpenSSL's verification error {number}")
        elif depth == 0 or self.byAuthority:
            try:
                refusal = self._check(certificate.to_cryptography(), depth)
            except Exception:
                # OpenSSL reads some certificates that cryptography does not, which has
                # an error for each fault.  Any stranger can send one: do not log it.
                refusal = _UNREADABLE
        if refusal is None:
            return True
        handshake = _handshakes[connection]
        handshake.refusal = handshake.refusal or refusal
        return False

    def _check(self, certificate: x509.Certificate, depth: int) -> str | None:
        """:returns: why a certificate without a fault to OpenSSL is not accepted."""
        if depth > 0:
            # OpenSSL lets one of version 1 issue others.
            return None if _isAuthority(certificate) else _WHY_NOT[_NO_AUTHORITY]
        # To compute a pin takes a fortieth of the handshake.
        if self.pins and (pin := pinOf(certificate)) not in self.pins:
            return f"its key, pin {pin}, is none of those that are expected"
        if self.host is None or not self.byAuthority:
            return None
        return nameProblem(certificate, self.host)


def _isAuthority(certificate: x509.Certificate) -> bool:
    """:returns: whether it may issue others (RFC 5280, section 4.2.1.9)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def nameProblem(certificate: x509.Certificate, host: str) -> str | None:
    """
    Check that a certificate is for a host (RFC 9525, section 6).

    :param certificate: a server's certificate.
    :param host: the name or address that was dialled.
    :returns: why it is not accepted; None if it is.
    """
    try:
        if serverName(host) is None:
            verify_certificate_ip_address(certificate, host)
        else:
            verify_certificate_hostname(certificate, host)
    except (VerificationError, CertificateError):
        return f"it is for another host than {host}: check host= or hostname="
    except Exception:  # as in Policy._verify
        return _UNREADABLE
    return None


def serverName(host: str) -> bytes | None:
    """
    Find the name for the server name indication (RFC 6066, section 3).

    :param host: a host that is dialled.
    :returns: the ASCII form of a name; None for an address, which is not sent.
    :raises UnicodeError: if the name has no such form.
    """
    if isIPAddress(host) or isIPv6Address(host):
        return None
    try:
        return host.encode("ascii")
    except UnicodeEncodeError:
        return idna.encode(host)


def _watchForTicket(connection: SSL.Connection, where: int, result: int) -> None:
    """Tell of the first session ticket, which a server sends to whom it accepts."""
    handshake = _handshakes[connection]
    onTicket = handshake.onTicket
    if onTicket is not None and b"session ticket" in connection.get_state_string():
        handshake.onTicket = None
        onTicket()


def _sslWords(error: BaseException | None) -> str:
    """:returns: the reasons in OpenSSL's error queue; empty for other errors."""
    reasons = error.args if isinstance(error, SSL.Error) else ()
    if reasons and isinstance(reasons[0], list):
        reasons = tuple(entry[-1] for entry in reasons[0])
    return "; ".join(str(reason) for reason in reasons if reason)


def handshakeError(reason: Failure, refusal: str | None = None) -> TransferError:
    """
    Say in this library's words why a TLS handshake did not complete.

    :param reason: why the connection was lost.
    :param refusal: why this side did not accept the partner's certificate,
        where that is known.
    :returns: ``PeerRefused`` when the partner ended it, by an alert (RFC 8446,
        section 6.2) or by hanging up; ``NotAdmitted`` when this side did.  The
        original is its ``__cause__``.
    """
    cause = reason.value
    words = _sslWords(cause)
    kind: type[TransferError] = NotAdmitted
    if refusal is not None:
        text = f"the partner's certificate is not accepted: {refusal}"
    elif "alert" in words:
        kind = PeerRefused
        text = (
            f"the partner refused the TLS handshake ({words}); "
            "check what it asks for: a certificate, or another TLS version"
        )
    elif "certificate verify failed" in words:
        text = (
            f"the partner's certificate was not accepted ({words}); "
            "check that it is valid and that its issuer is among the trust roots"
        )
    elif words:
        text = (
            f"the TLS handshake with the partner failed ({words}); "
            "check that the partner speaks TLS on this connection"
        )
    elif isinstance(cause, VerificationError):
        text = (
            "the partner's certificate is for another host name than the one that "
            f"was dialled ({cause}); check the host name, or set hostname="
        )
    elif isinstance(cause, (ConnectionDone, ConnectionLost)):
        kind = PeerRefused
        text = (
            "the partner ended the connection before the TLS handshake was "
            "complete; it may have another partner already, or not speak TLS"
        )
    else:
        text = f"the handshake with the partner failed: {cause}"
    error = kind(text)
    error.__cause__ = cause
    return error


def gaveReason(error: BaseException | None) -> bool:
    """
    Tell a refusal from a connection that has merely ended.

    :param error: why a handshake did not complete.
    :returns: whether the other side refused this one with a reason: a TLS alert.
    """
    return isinstance(error, PeerRefused) and not isinstance(
        error.__cause__, (ConnectionDone, ConnectionLost)
    )
