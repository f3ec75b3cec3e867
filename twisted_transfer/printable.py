"""
What a person is shown: text from outside, and names in the log.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.protocols.policies import ProtocolWrapper


def printable(text: str, limit: int | None = None) -> str:
    """
    Escape what would garble a terminal or a log line, and bound the length.

    :param text: any string, of any length.
    :param limit: the most characters of the result, at least 1; ``None`` for
        no bound.
    :returns: the text, with control and format characters, lone surrogates and
        the like written as in a Python string.  A result that is too long is
        cut, but not within an escape, and ends in ``…``.
    """
    if text.isprintable() and (limit is None or len(text) <= limit):
        return text
    pieces: list[str] = []
    length = 0
    for character in text:
        if not character.isprintable():
            character = character.encode("unicode_escape").decode("ascii")
        pieces.append(character)
        length += len(character)
        if limit is not None and length > limit:
            while length > limit - 1:
                length -= len(pieces.pop())
            pieces.append("…")
            break
    return "".join(pieces)


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
        return printable(f"[{address.host}]:{address.port}")
    if isinstance(address, UNIXAddress):
        name = os.fsdecode(address.name or b"")
        # Linux: a name in the abstract namespace begins with a null.
        return printable(name.replace("\0", "@"))
    return "" if address is None else printable(str(address))


def nameInLog(transport: Any, before: str, protocol: Any) -> None:
    """
    Have Twisted log what a socket brings by the name of another protocol.

    A socket's transport asks for the name only once, when it is made.

    :param transport: the transport of the socket, or a layer over it.
    :param before: the name of the protocol that was there first.
    :param protocol: the protocol that has the connection from now on.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    logged = getattr(transport, "logstr", None)
    if logged is not None:
        prefix = getattr(protocol, "logPrefix", None)
        name = type(protocol).__name__ if prefix is None else prefix()
        transport.logstr = logged.replace(before, name, 1)
