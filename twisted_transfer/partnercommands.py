"""
The command lines that the partner may paste.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from twisted_transfer.connector import TransferConnector
from twisted_transfer.errors import BadOption
from twisted_transfer.hosts import reachableHosts


def partnerPath(path: str) -> str:
    """
    :param path: the path that this side was given.
    :returns: the one to propose to the partner: the same name in the folder
        where it is, as a word of a command line.
    """
    name = path if path == "-" else os.path.basename(path)
    if not name or not name.isprintable() or os.path.isdir(path):
        return "PATH"
    return shlex.quote(name if name[0] != "-" or name == "-" else f"./{name}")


async def _invitations(connector: TransferConnector, address: IAddress) -> list[str]:
    hosts: list[str | None] = [None]
    if isinstance(address, IPv4Address | IPv6Address):
        hosts = [*reachableHosts(address.host)]
    try:
        return [await connector.invitation(host) for host in hosts]
    except BadOption:
        return []  # a plugin's own kind: nobody here knows how it is reached


def partnerCommands(
    connector: TransferConnector, options: str, paths: Sequence[str]
) -> Deferred[list[str]]:
    """
    :param connector: listens for the partner.
    :param options: the partner's command and its options.
    :param paths: those that this side was given; for several files the partner
        needs a folder.
    :returns: a Deferred with the command lines of which one reaches this side,
        the most probable first; empty if nobody knows one.  It fails if there
        is no port.
    """
    path = partnerPath(paths[0]) if len(paths) == 1 else "."
    words = f"twisted-transfer {options} {path}"

    async def tell() -> list[str]:
        address = await connector.whenListening()
        invitations = await _invitations(connector, address)
        return [f"{words} {shlex.quote(each)}" for each in invitations]

    return Deferred.fromCoroutine(tell())
