"""
What hostile peers have in common that complete a TLS handshake: they hear what
OpenSSL hears.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.hostile import HostilePeer

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
        clock: IReactorTime,
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
