"""
TLS in which both sides prove who they are.

A :class:`Policy` says who this side is and whom it accepts, and makes the
connections for Twisted's TLS layer.  What happens in one handshake is kept in
a :class:`Handshake`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.errors import NotAdmitted, PeerRefused, TransferError
from twisted_transfer.tls.keys import Identity, pinOf

_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325,
section 4.2)."""

# By the numbers of OpenSSL, X509_STORE_CTX_get_error(3).
_UNKNOWN = (
    "its authority is not among the trust roots: give trustRoots= the "
    "certificate of the authority that issued it"
)
_UNREADABLE = "it cannot be read, for it breaks RFC 5280: have a new one issued"
_WHY_NOT = {
    2: _UNKNOWN,
    7: _UNKNOWN,  # an authority of the same name, with another key
    9: "it is not valid yet: check the clocks of both machines",
    10: "it has expired: have a new one issued",
    18: "it vouches for itself and is not among the trust roots",
    19: _UNKNOWN,
    20: _UNKNOWN,
    21: _UNKNOWN,
    26: "it was issued for another use: see its extended key usage",
    79: "an authority in its chain may not issue certificates",
}


@dataclass
class Handshake:
    """
    What one connection's handshake has shown.

    :ivar refusal: why this side does not accept the partner's certificate.
    :ivar onTicket: called at the first session ticket.
    """

    refusal: str | None = None
    onTicket: Callable[[], None] | None = None


# OpenSSL's callbacks give the connection, whose one place for a user's data is
# taken by Twisted.
_handshakes: WeakKeyDictionary[SSL.Connection, Handshake] = WeakKeyDictionary()


def handshakeOf(connection: SSL.Connection | None) -> Handshake | None:
    """
    :param connection: OpenSSL's connection, the handle of a TLS transport.
    :returns: what its handshake has shown; None if no policy made it.
    """
    return _handshakes.get(connection) if connection is not None else None


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
@dataclass(frozen=True, repr=False)
class Policy:
    """
    Who this side is, and whom it accepts.

    A partner has to pass everything that is given: to have one of the pinned
    keys, and to be vouched for by an authority among the trust roots (who
    dials: for the host that was dialled).

    :ivar identity: who this side is.
    :ivar pins: the keys that are accepted; empty: those that the rest accepts.
    :ivar trustRoots: the authorities that are accepted; None: none are asked
        where there are pins, and else those of the platform.
    :ivar host: who dials: whom the certificate has to be for, where
        authorities are asked.
    """

    identity: Identity
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
        return connection

    def serverConnectionForTLS(
        self, tlsProtocol: TLSMemoryBIOProtocol
    ) -> SSL.Connection:
        """See ``IOpenSSLServerConnectionCreator``."""
        connection = SSL.Connection(self._serverContext, None)
        _handshakes[connection] = Handshake()
        return connection

    # One context for all connections of a role: to read many trust roots again
    # for each of those who come takes longer than all else in a handshake.

    @cached_property
    def _clientContext(self) -> SSL.Context:
        context = self._context(SSL.TLS_CLIENT_METHOD)
        context.set_info_callback(_watchForTicket)
        return context

    @cached_property
    def _serverContext(self) -> SSL.Context:
        context = self._context(SSL.TLS_SERVER_METHOD)
        # Nothing can be resumed: each connection is to prove who it is.  The
        # tickets, which TLS 1.3 sends all the same, come after the proof.
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        return context

    def _context(self, method: int) -> SSL.Context:
        context = SSL.Context(method)
        oldest = SSL.TLS1_2_VERSION if self.byAuthority else SSL.TLS1_3_VERSION
        context.set_min_proto_version(oldest)
        context.set_cipher_list(_CIPHERS)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        self.identity.showIn(context)
        if self.trustRoots is not None:
            store = context.get_cert_store()
            assert store is not None
            for certificate in self.trustRoots:
                store.add_cert(crypto.X509.from_cryptography(certificate))
        elif self.byAuthority:
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
        Judge one certificate of the partner's chain, 0 being its own.

        OpenSSL asks for each certificate, and for each fault that it found.
        A pin is for a key, so where no authority is asked only the key counts.
        """
        refusal: str | None = None
        if self.byAuthority and not ok:
            refusal = _WHY_NOT.get(number, f"OpenSSL's verification error {number}")
        elif depth == 0:
            refusal = self._checkKey(certificate)
        if refusal is None:
            return True
        handshake = handshakeOf(connection)
        if handshake is not None and handshake.refusal is None:
            handshake.refusal = refusal
        return False

    def _checkKey(self, certificate: crypto.X509) -> str | None:
        """:returns: why the key is not accepted; None if it is."""
        try:
            pin = pinOf(certificate.to_cryptography())
        except Exception:
            # OpenSSL reads some that cryptography does not, which has an error
            # for each fault.  A stranger can send them: they are no news.
            return _UNREADABLE
        if pin in self.pins or not self.pins:
            return None
        return f"its key, pin {pin}, is none of those that are expected"

    def checkHost(self, connection: SSL.Connection) -> str | None:
        """
        Check whom the partner's certificate is for (RFC 9525).

        :param connection: a connection whose handshake is complete.
        :returns: why it is not accepted; None if it is.
        """
        if self.host is None or not self.byAuthority:
            return None
        try:
            if _isAddress(self.host):
                verify_ip_address(connection, self.host)
            else:
                verify_hostname(connection, self.host)
        except (VerificationError, CertificateError):
            return f"it is for another host than {self.host}: check host= or hostname="
        except Exception:  # as for the pin
            return _UNREADABLE
        return None


def serverName(host: str) -> bytes | None:
    """
    :param host: a host that is dialled.
    :returns: what the server is told of it (RFC 6066, section 3): the ASCII form
        of a name, and nothing, None, of an address.
    :raises UnicodeError: if it has no such form.
    """
    return None if _isAddress(host) else host.encode("idna")


def _isAddress(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _watchForTicket(connection: SSL.Connection, where: int, result: int) -> None:
    """OpenSSL tells of each step; a ticket means that the server is content."""
    if b"session ticket" not in connection.get_state_string():
        return
    handshake = handshakeOf(connection)
    if handshake is not None and handshake.onTicket is not None:
        onTicket, handshake.onTicket = handshake.onTicket, None
        onTicket()


def _sslReasons(error: SSL.Error) -> list[str]:
    """The words that OpenSSL put into its error queue."""
    queue = error.args[0] if error.args else []
    if not isinstance(queue, list):
        return [str(part) for part in error.args]
    return [entry[-1] for entry in queue if entry[-1]]


def handshakeError(reason: Failure, refusal: str | None = None) -> TransferError:
    """
    Say in this library's words why a TLS handshake did not complete.

    :param reason: why the connection was lost.
    :param refusal: why this side did not accept the partner's certificate,
        where that is known.
    :returns: ``PeerRefused`` when the partner ended it, ``NotAdmitted`` when
        this side did; the original is its ``__cause__``.
    """
    cause = reason.value
    error: TransferError
    if refusal is not None:
        error = NotAdmitted(f"the partner's certificate is not accepted: {refusal}")
    elif isinstance(cause, SSL.Error) and _sslReasons(cause):
        words = "; ".join(_sslReasons(cause))
        if "alert" in words:
            error = PeerRefused(
                f"the partner refused the TLS handshake ({words}); "
                "check what it asks for: a certificate, or another TLS version"
            )
        elif "certificate verify failed" in words:
            error = NotAdmitted(
                f"the partner's certificate was not accepted ({words}); "
                "check that it is valid and that its issuer is among the trust roots"
            )
        else:
            error = NotAdmitted(
                f"the TLS handshake with the partner failed ({words}); "
                "check that the partner speaks TLS on this connection"
            )
    elif isinstance(cause, VerificationError):
        error = NotAdmitted(
            "the partner's certificate is for another host name than the one that "
            f"was dialled ({cause}); check the host name, or set hostname="
        )
    elif isinstance(cause, (ConnectionDone, ConnectionLost)):
        error = PeerRefused(
            "the partner ended the connection before the TLS handshake was "
            "complete; it may have another partner already, or not speak TLS"
        )
    else:
        error = NotAdmitted(f"the handshake with the partner failed: {cause}")
    error.__cause__ = cause
    return error


def refusedForGood(error: BaseException) -> bool:
    """
    :param error: why there is no connection to the partner.
    :returns: whether the partner refused this side with a reason, a TLS alert,
        so that the same would happen again.
    """
    return isinstance(error, PeerRefused) and not isinstance(
        error.__cause__, (ConnectionDone, ConnectionLost)
    )
