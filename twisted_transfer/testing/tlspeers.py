"""
Hostile peers that speak TLS well, with a wrong identity: one that dials, and one
that is dialled.
"""

from __future__ import annotations

import ipaddress
import ssl
from functools import cache, lru_cache
from typing import Any

from cryptography import x509
from OpenSSL import SSL
from twisted.internet import interfaces
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.errors import BadOption
from twisted_transfer.testing.peers import HostilePeer
from twisted_transfer.tls.keys import Identity

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}

# By the names of RFC 8446, section 6, in words; Python lacks the last ones.
_ALERTS: dict[int, str] = {
    alert.value: alert.name.removeprefix("ALERT_DESCRIPTION_").replace("_", " ").lower()
    for alert in ssl.AlertDescription
} | {
    86: "inappropriate fallback",
    90: "user canceled",
    109: "missing extension",
    116: "certificate required",
    120: "no application protocol",
}


@implementer(
    interfaces.IOpenSSLClientConnectionCreator,
    interfaces.IOpenSSLServerConnectionCreator,
)
class HandshakingPeer(HostilePeer):
    """
    A hostile peer that speaks TLS, and accepts any partner.

    :ivar admitted: whether the other side took it for its partner.
    """

    admitted = False
    _alert: str | None = None
    _tlsError: Failure | None = None
    _tls: TLSMemoryBIOProtocol | None = None

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
        :param context: how it speaks TLS, of :func:`_context`.
        :param dials: whether it is the client of the two.
        :param hostname: the server's name, if it dials.
        :param stays: whether it stays when it is admitted.
        """
        super().__init__()
        self._clock = clock
        self._context = context
        self._dials = dials
        self._hostname = hostname
        self._stays = stays

    def clientConnectionForTLS(
        self, tlsProtocol: TLSMemoryBIOProtocol
    ) -> SSL.Connection:
        """See ``IOpenSSLClientConnectionCreator``."""
        connection = self.serverConnectionForTLS(tlsProtocol)
        if self._hostname is not None:
            connection.set_tlsext_host_name(self._hostname.encode("idna"))
        return connection

    def serverConnectionForTLS(
        self, tlsProtocol: TLSMemoryBIOProtocol
    ) -> SSL.Connection:
        """See ``IOpenSSLServerConnectionCreator``."""
        return SSL.Connection(self._context, None)

    def begin(self) -> None:
        """Begin the handshake."""
        assert self.transport is not None
        layers: Any = TLSMemoryBIOFactory(
            self, self._dials, Factory(), clock=self._clock
        )
        self._tls = layers.protocol(layers, _Inside(self))
        assert self._tls is not None
        self._tls.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Decrypt what comes, until the other side admits this peer."""
        if self.admitted or self._tls is None:
            return
        self._tls.dataReceived(data)
        if self.admitted and not self._stays:
            self.abort()

    def decrypted(self, data: bytes) -> None:
        """
        Note that the other side talks to this peer as to its partner.

        :param data: what it says.
        """
        self.admitted = True
        super().dataReceived(data)

    def handshakeEvent(self, where: int, value: int, state: bytes) -> None:
        """
        Note a step of the handshake: ``SSL_CTX_set_info_callback(3)``.

        :param where: what it is about, as bits.
        :param value: for an alert its level and its description.
        :param state: OpenSSL's words for how far it is.
        """
        alert = value & 0xFF
        if where == SSL.SSL_CB_READ_ALERT and alert:  # 0: close_notify
            self._alert = _ALERTS.get(alert, str(alert))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Find out how it ended, and tell."""
        tls, self._tls = self._tls, None
        if tls is not None:
            tls.connectionLost(reason)
        # Where TLS itself has found nothing wrong, it takes every end before
        # a close_notify for a lost connection; the transport knows better.
        super().connectionLost(self._tlsError or reason)

    def tlsLost(self, reason: Failure = connectionDone) -> None:
        """
        Note how TLS has ended.

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
    """Passes on to a hostile peer what comes out of its TLS."""

    def __init__(self, peer: HandshakingPeer) -> None:
        self.peer = peer
        self.dataReceived = peer.decrypted  # type: ignore[method-assign]
        self.connectionLost = peer.tlsLost  # type: ignore[method-assign]


class Impostor(HandshakingPeer):
    """
    Completes its side of a TLS handshake, with an identity that nobody knows:
    a certificate that it has signed itself, or none at all; or with one that
    it is given.

    It shows that a server verifies who its clients are.  ``outcome`` is
    ``alert: unknown ca``, ``alert: certificate required`` or the like where it
    was turned away; ``admitted`` where the server's TLS accepted it;
    ``no TLS`` where what answered was none.  When it is admitted it hangs up,
    for it has shown what there was to show.

    It accepts any server.  Nothing of it is for any use but attacking a server of
    one's own.

    :ivar admitted: whether the server's TLS accepted it.  In TLS 1.3 this side's
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
        if identity is None and certificate:
            identity = _selfSigned()
        context = _context(version, identity, False)
        super().__init__(clock, context, dials=True, hostname=hostname, stays=stays)
        self._version = version

    def handshakeEvent(self, where: int, value: int, state: bytes) -> None:
        """Note whether the server has accepted this side."""
        super().handshakeEvent(where, value, state)
        if state.endswith(b"read server session ticket") or (
            # In TLS 1.2 the server's last word comes after its judgement.
            where == SSL.SSL_CB_HANDSHAKE_DONE and self._version == "1.2"
        ):
            self.admitted = True


class ImpostorServer(HandshakingPeer):
    """
    Answers a client with a good TLS handshake and the wrong identity: a
    certificate for this machine (``localhost``, 127.0.0.1, ::1) that it has
    signed itself, or one that it is given.

    It shows that a program that dials verifies whom it has reached.  Let it
    wait for one with :func:`~twisted_transfer.testing.ambush`.  ``outcome`` is
    ``alert: unknown ca`` or the like where the client turned it away;
    ``admitted`` where the client talked to it, or was there still when its
    patience was at an end; ``end of file`` or ``reset`` where the client just
    hung up; ``no TLS`` where what came was none.

    It asks the client for a certificate, and accepts any, and none.  It says
    nothing after the handshake, and when the client does it hangs up.

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
            authority has issued for another host; None: the one that
            :class:`Impostor` shows.
        :param version: of TLS, ``"1.2"`` or ``"1.3"``.
        :raises BadOption: if there is no such version.
        """
        context = _context(version, identity or _selfSigned(), True)
        super().__init__(clock, context, dials=False)

    def handshakeEvent(self, where: int, value: int, state: bytes) -> None:
        """Note whether the client has completed the handshake."""
        super().handshakeEvent(where, value, state)
        # The client's last message comes after its judgement of the chain.
        if where == SSL.SSL_CB_HANDSHAKE_DONE:
            self.completed = True

    def giveUp(self) -> None:
        """Take a client for deceived that has not hung up by now, and abort."""
        self.admitted = self.admitted or self.completed
        super().giveUp()


@lru_cache
def _context(version: str, identity: Identity | None, serves: bool) -> SSL.Context:
    """
    Make the attacker's TLS, which accepts ANYBODY and so protects nobody.

    :param version: the one version of TLS that it speaks.
    :param identity: what it shows.
    :param serves: whether it is for servers, which ask for a certificate.
    :returns: the context, one for all peers that are alike.
    :raises BadOption: if there is no such version.
    """
    if version not in _VERSIONS:
        raise BadOption(f'version={version!r}: give "1.2" or "1.3"')
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(_VERSIONS[version])
    context.set_max_proto_version(_VERSIONS[version])
    context.set_info_callback(_tell)
    context.set_verify(
        SSL.VERIFY_PEER if serves else SSL.VERIFY_NONE, lambda *whatever: True
    )
    # A resumed session would show nothing about the check of certificates.  The
    # tickets, which TLS 1.3 sends all the same, tell a client that it is accepted.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if identity is not None:
        identity.showIn(context)
    return context


def _tell(connection: SSL.Connection, where: int, value: int) -> None:
    """Pass on to a peer what OpenSSL says of its connection."""
    inside = getattr(connection.get_app_data(), "wrappedProtocol", None)
    if inside is not None:
        inside.peer.handshakeEvent(where, value, connection.get_state_string())


@cache
def _selfSigned() -> Identity:
    """
    :returns: an identity that no authority has issued, with every name of this
        machine, so that it is refused for its signature alone.
    """
    addresses = map(ipaddress.ip_address, ("127.0.0.1", "::1"))
    return Identity.ephemeral(
        [x509.DNSName("localhost"), *map(x509.IPAddress, addresses)]
    )
