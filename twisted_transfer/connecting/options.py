"""
The arguments of a connector.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from twisted.internet.interfaces import IAddress

from twisted_transfer.descriptions import values
from twisted_transfer.descriptions.values import UnfitError
from twisted_transfer.errors import BadOption

_T = TypeVar("_T")


class Mode(enum.Enum):
    """Which side dials; it says nothing about the direction of the data."""

    ACTIVE = "active"
    """This side dials."""

    PASSIVE = "passive"
    """This side listens, for exactly one partner."""


def checkedMode(mode: object) -> Mode:
    """
    Check a mode.

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


def _checked(name: str, value: object, check: Callable[[object], _T]) -> _T:
    """Check the value of an argument."""
    try:
        return check(value)
    except UnfitError as unfit:
        raise BadOption(f"{name}={value!r}: {unfit}") from None


def checkedSeconds(name: str, seconds: object, *, zero: bool = False) -> float | None:
    """
    Check a duration.

    :param name: the option's name.
    :param seconds: what a user gave for it.
    :param zero: whether 0 is valid, and as good as ``None``.
    :returns: the seconds, or ``None`` for none.
    :raises BadOption: if it is not a number of seconds.
    """
    if seconds is None:
        return None
    return _checked(name, seconds, partial(values.seconds, zero=zero)) or None


def checkedPort(port: object, *, lowest: int) -> int:
    """
    Check a port number.

    :param port: what a user gave as a port number.
    :param lowest: 0 to listen, which lets the system choose; 1 to dial.
    :returns: the port number.
    :raises BadOption: if it is invalid.
    """
    return _checked("port", port, partial(values.port, lowest=lowest))


def checkedHost(host: object) -> str:
    """
    Check a host name or address.

    :param host: what a user gave as a host.
    :returns: the host.
    :raises BadOption: if it is invalid.
    """
    return _checked("host", host, values.hostName)


class AddressFilter:
    """The addresses and networks from which a partner may come."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """
        :param allowed: addresses (``192.0.2.7``) and networks
            (``2001:db8::/32``).  An IPv6 address with a zone id
            (``fe80::1%eth0``) is meant in that zone only.
        :raises BadOption: if there is none, or one of them is invalid.
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
    def _read(entry: object) -> tuple[values.Network, str]:
        """Read an entry, an IPv4-mapped one (``::ffff:192.0.2.7``) as IPv4."""
        try:
            network, zone = values.network(entry)
        except UnfitError as unfit:
            raise BadOption(f"admit: {unfit}") from None
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None and network.prefixlen >= 96:
            network = ipaddress.ip_network((mapped, network.prefixlen - 96))
        return network, zone

    def allows(self, address: IAddress) -> bool:
        """
        Tell whether a candidate may be the partner.

        :param address: where the candidate comes from.
        :returns: whether it is in the list.  Addresses of other kinds than IPv4
            and IPv6 never are.
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
