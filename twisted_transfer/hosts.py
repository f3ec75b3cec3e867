"""
The addresses by which others can reach this machine.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

_UNBOUND = ("0.0.0.0", "::", "")

# Addresses for documentation (RFC 5737, RFC 3849): nothing is sent to them,
# the system only says which of its own addresses it would send from.
_ELSEWHERE = (
    (socket.AF_INET, ("192.0.2.1", 9)),
    (socket.AF_INET6, ("2001:db8::1", 9)),
)


def reachableHosts(bound: str) -> list[str]:
    """
    :param bound: the host of the address that is listened on.
    :returns: the hosts that a partner may try to dial, the most probable first:
        the one that is bound; or for all of this machine the addresses that it
        has towards the outside, then those of its other networks; if it has no
        network at all, those that it has for itself, or its name.
    """
    if bound not in _UNBOUND:
        return [bound]
    found: list[str] = []
    for address in [*_outward(), *_assigned()]:
        if address not in found and _isFor(bound, address):
            found.append(address)
    outside = [each for each in found if not ipaddress.ip_address(each).is_loopback]
    return outside or found or [socket.gethostname()]


def _isFor(bound: str, address: str) -> bool:
    """Whether a port that is bound to all of one family is reached by it."""
    parsed = ipaddress.ip_address(address)
    # A link-local address means nothing without the name that the partner's
    # machine has for the network between the two (RFC 4007, section 11).
    if parsed.is_unspecified or parsed.is_multicast or parsed.is_link_local:
        return False
    return parsed.version == 4 or bound != "0.0.0.0"


def _outward() -> Iterator[str]:
    """The addresses from which this machine sends to the outside."""
    for family, elsewhere in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect(elsewhere)
                yield str(asking.getsockname()[0]).partition("%")[0]
        except OSError:
            continue  # there is no way to the outside by this family


def _assigned() -> Iterator[str]:
    """The addresses of all network interfaces, IPv4 before IPv6."""
    # It loads a library of the system's, which most runs do without.
    import ifaddr

    addresses = [each.ip for adapter in ifaddr.get_adapters() for each in adapter.ips]
    yield from (each for each in addresses if isinstance(each, str))
    yield from (each[0] for each in addresses if not isinstance(each, str))
