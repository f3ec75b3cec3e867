"""
Agreeing on an application protocol in the TLS handshake: ALPN (RFC 7301).

The TLS client, which is the side that dialled, offers protocols, and the TLS server
selects one of them.  Each side takes those that its application's factory names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import alsoProvides


def nameProtocols(factory: Any, protocols: Sequence[bytes]) -> None:
    """
    Have a factory of this library's name the application's protocols.

    :param factory: makes the protocols that TLS has above it.
    :param protocols: their names, the best first; none: it names none.
    """
    if protocols:
        factory.acceptableProtocols = lambda: list(protocols)
        alsoProvides(factory, IProtocolNegotiationFactory)


def protocolsOf(factory: Any) -> tuple[bytes, ...]:
    """
    Find the protocols that a factory names.

    :param factory: makes the protocol of a connection, or wraps one that does.
    :returns: their names, the best first; none if it does not name any.
    """
    while factory is not None:
        if IProtocolNegotiationFactory.providedBy(factory):
            return tuple(factory.acceptableProtocols())
        factory = getattr(factory, "wrappedFactory", None)
    return ()


def offer(connection: SSL.Connection, layer: TLSMemoryBIOProtocol) -> None:
    """
    Offer the protocols that the application names, on the side of the TLS client.

    :param connection: OpenSSL's connection, before the handshake.
    :param layer: the TLS layer that has it.
    """
    protocols = protocolsOf(layer.factory)
    if protocols:
        connection.set_alpn_protos(list(protocols))


def select(connection: SSL.Connection, offered: list[bytes]) -> Any:
    """
    Select a protocol, on the side of the TLS server:
    ``SSL_CTX_set_alpn_select_cb(3)``.

    :param connection: OpenSSL's connection, whose user's data are Twisted's TLS layer.
    :param offered: what the client offers.
    :returns: the first of the application's protocols that is offered; if it names
        none, the offer is ignored.
    :raises SSL.Error: if the application names others: the client gets the alert
        ``no_application_protocol`` (RFC 7301, section 3.2).
    """
    protocols = protocolsOf(connection.get_app_data().factory)
    if not protocols:
        return SSL.NO_OVERLAPPING_PROTOCOLS
    for protocol in protocols:
        if protocol in offered:
            return protocol
    raise SSL.Error(
        [("", "", "it offers no application protocol that is spoken here (ALPN)")]
    )
