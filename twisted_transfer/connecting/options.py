"""
The connector's arguments: what they may be.
"""

from __future__ import annotations

import enum
import ipaddress
import math
from collections.abc import Iterable

from twisted.internet.interfaces import IAddress

from twisted_transfer.descriptions.values import UnfitError, addressOrNetwork
from twisted_transfer.errors import BadOption


class Mode(enum.Enum):
    """Which side dials; it says nothing about the direction of the data."""

    ACTIVE = "active"
    """This side dials."""

    PASSIVE = "passive"
    """This side listens, for exactly one partner."""


def checkedMode(mode: object) -> Mode:
    """
    :param mode: what a user gave as the mode.
    :returns: the mode.
    :raises BadOption: if there is no such mode.
    """
    try:
        return Mode(mode)
    except ValueError:
        raise BadOption(
            f"mode={mode!r}: a mode is 'active' (dial) or 'passive' (listen)"
        ) from None


def checkedSeconds(name: str, seconds: object, *, zero: bool = False) -> float | None:
    """
    :param name: the option's name.
    :param seconds: what a user gave for it.
    :param zero: whether it may be 0, which is as good as nothing.
    :returns: the seconds, or None for nothing.
    :raises BadOption: if it is not a number of seconds.
    """
    if seconds is None or (zero and seconds == 0 and not isinstance(seconds, bool)):
        return None
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, (int, float))
        or not math.isfinite(seconds)
        or seconds <= 0
    ):
        raise BadOption(
            f"{name}={seconds!r}: give a number of seconds above 0, or nothing"
        )
    return float(seconds)


def checkedPort(port: object, *, lowest: int) -> int:
    """
    :param port: what a user gave as a port number.
    :param lowest: 0 where the system may choose one, else 1.
    :returns: the port number.
    :raises BadOption: if it cannot be one.
    """
    if isinstance(port, bool) or not isinstance(port, int):
        raise BadOption(f"port={port!r}: a port is a number from {lowest} to 65535")
    if not lowest <= port <= 65535:
        hint = " of the partner that waits" if port == 0 else ""
        raise BadOption(
            f"port={port}: give the port{hint}, a number from {lowest} to 65535"
        )
    return port


def checkedHost(host: object) -> str:
    """
    :param host: what a user gave as a host.
    :returns: the host.
    :raises BadOption: if it cannot be one.
    """
    if not isinstance(host, str):
        raise BadOption(f"host={host!r}: a host is a name or an address, as a string")
    if not host or len(host) > 253 or any(c.isspace() or c < " " for c in host):
        raise BadOption(
            f"host={host!r}: give a host name or an IP address, such as "
            "rendezvous.example, 192.0.2.7 or 2001:db8::7"
        )
    return host


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressFilter:
    """The addresses and networks from which a partner may come."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """
        :param allowed: addresses (``192.0.2.7``) and networks
            (``2001:db8::/32``).  An IPv6 address with a zone id
            (``fe80::1%eth0``) is meant in that zone only.
        :raises BadOption: if there is none, or one of them is neither.
        """
        entries = [allowed] if isinstance(allowed, str) else list(allowed)
        if entries == [allowed]:
            raise BadOption(
                f"admit={allowed!r}: give a list of addresses and networks, "
                f"such as admit=[{allowed!r}]"
            )
        if not entries:
            raise BadOption(
                "admit=[]: nobody could be the partner; name an address, or leave "
                "it out"
            )
        self._allowed = [self._read(entry) for entry in entries]

    @staticmethod
    def _read(entry: object) -> tuple[_Network, str]:
        if not isinstance(entry, str):
            raise BadOption(f"admit: {entry!r} is not a string, such as '192.0.2.7'")
        try:
            addressOrNetwork(entry)
        except UnfitError as unfit:
            raise BadOption(f"admit: {unfit.reason}") from None
        address, _, zone = entry.partition("%")
        network = ipaddress.ip_network(address)
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None and network.prefixlen >= 96:
            network = ipaddress.ip_network((mapped, network.prefixlen - 96))
        return network, zone

    def allows(self, address: IAddress) -> bool:
        """
        :param address: where a candidate comes from.
        :returns: whether it is in the list.  Addresses that are not of the
            Internet never are.
        """
        host = getattr(address, "host", None)
        if not isinstance(host, str):
            return False
        host, _, zone = host.partition("%")
        try:
            parsed = ipaddress.ip_address(host)
        except ValueError:
            return False
        # A dual-stack port shows IPv4 partners as ::ffff:192.0.2.7.
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any(
            (mapped or parsed) in network and wanted in ("", zone)
            for network, wanted in self._allowed
        )
