"""
The description that a passive connector makes for its partner to use.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from twisted_transfer.arguments import checkedHost
from twisted_transfer.endpointstrings import Description
from twisted_transfer.errors import BadOption

_CLIENTS = {
    "": (),
    "tcp": ("tcp",),
    "tcp6": ("tcp",),
    "ssl": ("tls",),
    "tls": ("tls",),
    "mtls": ("mtls",),
}
"""What dials each server type; nothing stands for plain TCP without a type."""

_UNBOUND = ("0.0.0.0", "::", "")

# Addresses for documentation (RFC 5737, RFC 3849): nothing is sent to them,
# the system only says which of its own addresses it would send from.
_ELSEWHERE = (
    (socket.AF_INET, ("192.0.2.1", 9)),
    (socket.AF_INET6, ("2001:db8::1", 9)),
)


def reachableHost(bound: str) -> str:
    """
    :param bound: the host of the address that is listened on.
    :returns: a host that a partner can probably dial: the one that is bound,
        or for all of this machine the address that it has towards the outside,
        or its name.
    """
    if bound not in _UNBOUND:
        return bound
    for family, elsewhere in _ELSEWHERE:
        if family == socket.AF_INET6 and bound == "0.0.0.0":
            continue
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect(elsewhere)
                return str(asking.getsockname()[0]).partition("%")[0]
        except OSError:
            continue
    return socket.gethostname()


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
        kind = Description.parse(socketCommand).args[0].lower()
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
    chosen = reachableHost(address.host) if host is None else checkedHost(host)
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
