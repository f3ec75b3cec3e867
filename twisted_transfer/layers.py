"""
What Twisted puts between a socket and its protocol: TLS, PROXY headers, and the
wrappers of its endpoints.

Each layer is a protocol for what is under it and a transport for what is over
it.  Few of them pass on everything that they are told.
"""

from __future__ import annotations

from twisted.internet.interfaces import ITransport
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import alsoProvides
from zope.interface.interface import InterfaceClass


def layersUnder(transport: ITransport | None) -> list[ProtocolWrapper]:
    """
    :param transport: a protocol's transport.
    :returns: the protocol wrappers that it is and that are under it, the
        protocol's own first.
    """
    layers: list[ProtocolWrapper] = []
    while isinstance(transport, ProtocolWrapper):
        layers.append(transport)
        transport = transport.transport
    return layers


def bottomOf(transport: ITransport) -> ITransport:
    """
    :returns: the transport under all protocol wrappers.
    """
    layers = layersUnder(transport)
    bottom = layers[-1].transport if layers else None
    return transport if bottom is None else bottom


def hearThrough(outer: object, listener: object, *interfaces: InterfaceClass) -> None:
    """
    Have a protocol that stands between a transport and a listener pass on what
    the interfaces tell.

    A ``ProtocolWrapper`` passes on nothing of it, and what Twisted's endpoints
    wrap around a protocol passes on what it hears only to the next one.

    :param outer: the protocol that the transport knows.
    :param listener: the one that is to hear of it.
    :param interfaces: what the listener provides.
    """
    for interface in interfaces:
        if outer is listener or interface.providedBy(outer):
            continue
        for name in interface.names():
            setattr(outer, name, getattr(listener, name))
        alsoProvides(outer, interface)
