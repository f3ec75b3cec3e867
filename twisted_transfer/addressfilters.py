"""
From where a partner may come.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from twisted.internet.interfaces import IAddress

from twisted_transfer.errors import BadOption
from twisted_transfer.optionvalues import UnfitError, addressOrNetwork

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
