"""
The layers over a transport: Twisted's protocol wrappers, such as those of TLS.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, ISystemHandle, ITransport
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure


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
    bottom: ITransport | None = transport
    while isinstance(bottom, ProtocolWrapper):
        bottom = bottom.transport
    return transport if bottom is None else bottom


def isBare(transport: Any) -> bool:
    """
    :returns: whether the kernel can move the bytes of a transport: it is a socket, and
        its reactor watches descriptors.
    """
    return (
        hasattr(os, "splice")
        and ISystemHandle.providedBy(transport)
        and IReactorFDSet.providedBy(getattr(transport, "reactor", None))
    )


def takeError(bottom: Any) -> int:
    """
    Ask a socket for its error, which the system reports once (socket(7), SO_ERROR).

    :param bottom: a transport without layers.
    :returns: the error's number; 0 if there is none, or it is no socket.
    """
    if not ISystemHandle.providedBy(bottom):
        return 0
    handle: Any = bottom.getHandle()
    error: int = handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return error


# Seconds until the first probe, seconds between probes, and how many are sent.
_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


def keepAlive(bottom: Any) -> None:
    """
    Let the system find out within two minutes that the other end is no longer there
    (RFC 1122, section 4.2.3.6).

    :param bottom: a transport without layers, of a TCP socket.
    """
    bottom.setTcpKeepAlive(True)
    for option, value in _PROBES.items():
        if hasattr(socket, option):
            number = getattr(socket, option)
            bottom.getHandle().setsockopt(socket.IPPROTO_TCP, number, value)


def endNow(bottom: Any, reason: Exception) -> None:
    """
    Have a transport end its connection, as a reactor would.

    :param bottom: a transport without layers.
    :param reason: what it tells its protocol: ``main.CONNECTION_DONE`` or
        ``CONNECTION_LOST``.
    """
    if bottom.connected:
        bottom.stopReading()
        bottom.stopWriting()
        bottom.connectionLost(Failure(reason))


def nameInLog(transport: Any, before: str, protocol: Any) -> None:
    """
    Have Twisted log what a socket brings by the name of another protocol.

    A socket's transport asks for the name only once, when it is made.

    :param transport: the transport of the socket, or a layer over it.
    :param before: the name of the protocol that was there first.
    :param protocol: the protocol that has the connection from now on.
    """
    bottom: Any = bottomOf(transport)
    logged = getattr(bottom, "logstr", None)
    if logged is not None:
        prefix = getattr(protocol, "logPrefix", None)
        name = type(protocol).__name__ if prefix is None else prefix()
        bottom.logstr = logged.replace(before, name, 1)
