"""
Addresses, as people read them.
"""

from __future__ import annotations

import os
import socket

from twisted.internet.address import (
    HostnameAddress,
    IPv4Address,
    IPv6Address,
    UNIXAddress,
)
from twisted.internet.interfaces import IAddress

from twisted_transfer.printable import printable


def hostText(address: IPv4Address | IPv6Address) -> str:
    """
    Write the host of an address.

    :param address: the address.
    :returns: the host; with the zone (``fe80::1%eth0``, RFC 4007, section 11) if it
        is of one link only.  Twisted keeps its number apart.
    """
    zone = getattr(address, "scopeID", 0)
    if not zone or "%" in address.host:
        return address.host
    try:
        return f"{address.host}%{socket.if_indextoname(zone)}"
    except OSError:
        return f"{address.host}%{zone}"  # the network interface has gone


def addressText(address: IAddress | None) -> str:
    """
    Write an address as people do: ``192.0.2.7:4000``, ``[::1]:4000``, a path.

    :param address: of a port or a partner; None if it is not known.
    :returns: the text, printable; empty for a socket without a name.
    """
    if isinstance(address, IPv4Address):
        return printable(f"{address.host}:{address.port}")
    if isinstance(address, IPv6Address):
        # An IPv4 partner of a dual-stack port (RFC 4291, section 2.5.5.2).
        if address.host.startswith("::ffff:") and "." in address.host:
            return printable(f"{address.host.removeprefix('::ffff:')}:{address.port}")
        return printable(f"[{hostText(address)}]:{address.port}")
    if isinstance(address, HostnameAddress):
        host = address.hostname.decode("utf-8")
        return printable(f"[{host}]" if ":" in host else host) + f":{address.port}"
    if isinstance(address, UNIXAddress):
        name = os.fsdecode(address.name or b"")
        # Linux: a name in the abstract namespace begins with a null.
        return printable(name.replace("\0", "@"))
    return "" if address is None else printable(str(address))


def waitingText(address: IAddress) -> str:
    """
    Say where a passive side waits for its partner.

    :param address: of its port.
    :returns: a part of a sentence.
    """
    relayed = isinstance(address, HostnameAddress)
    doing = "waiting at the relay" if relayed else "listening on"
    return f"{doing} {addressText(address)}"


def partnerText(address: IAddress | None) -> str:
    """
    Write the address of a partner, in a sentence.

    :param address: the address; None if it is not known.
    :returns: the text of :func:`addressText`, and for a socket without a name, as the
        dialling end of a UNIX socket is, words that say so.
    """
    return addressText(address) or "a socket without a name"
