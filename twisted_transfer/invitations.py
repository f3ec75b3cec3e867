"""
The description that a passive connector makes for its partner to use.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from twisted_transfer.arguments import checkedHost
from twisted_transfer.endpointstrings import Description
from twisted_transfer.errors import BadOption
from twisted_transfer.hosts import reachableHosts

_CLIENTS = {
    "": (),
    "tcp": ("tcp",),
    "tcp6": ("tcp",),
    "ssl": ("tls",),
    "tls": ("tls",),
    "mtls": ("mtls",),
}
"""What dials each server type; nothing stands for plain TCP without a type."""


def invitation(
    socketCommand: object,
    address: IAddress,
    host: str | None,
    proof: Mapping[str, str] | None = None,
) -> str:
    """
    Find the description that reaches what is listened on.

    :param socketCommand: how the connector that listens was told to.
    :param address: where it listens.
    :param host: the host that the partner is to dial; None: this side's best
        guess.
    :param proof: keywords by which the partner proves itself, and knows this
        side; they hold a secret.
    :returns: a description for the partner's side.
    :raises BadOption: if no description surely reaches it.
    """
    kind = ""
    if isinstance(socketCommand, str):
        description = Description.parse(socketCommand)
        kind = description.args[0].lower()
        if kind == "mtls" and "endpoint" in description.keywords:
            below = invitation(description.keywords["endpoint"], address, host)
            wrapped = {"endpoint": below.removeprefix(_active((), {}) + ":")}
            return _active(("mtls",), {**wrapped, **(proof or {})})
    elif socketCommand is not None:
        kind = type(socketCommand).__name__
    if kind == "unix" and isinstance(address, UNIXAddress):
        if host is not None:
            raise BadOption("host=: a UNIX socket is reached by its path alone")
        return _active(("unix",), {"path": _unixPath(address)})
    if kind not in _CLIENTS or not isinstance(address, (IPv4Address, IPv6Address)):
        raise BadOption(
            f"no client description surely reaches what {kind or 'this'} listens on, "
            f"{address}: tell the partner how to dial it"
        )
    chosen = reachableHosts(address.host)[0] if host is None else checkedHost(host)
    _refuseUnspecified(chosen)
    return _active(
        _CLIENTS[kind], {"host": chosen, "port": str(address.port), **(proof or {})}
    )


def _active(args: tuple[str, ...], keywords: dict[str, str]) -> str:
    return Description(("transfer", "active", *args), keywords).toString()


def _unixPath(address: UNIXAddress) -> str:
    name = address.name
    if name is None or name[:1] == b"\0":
        raise BadOption(f"the UNIX socket {address} has no path that could be told")
    return name.decode("utf-8", "surrogateescape")


def _refuseUnspecified(host: str) -> None:
    try:
        unspecified = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return
    if unspecified:
        raise BadOption(f"host={host!r} is no host that a partner could dial")
