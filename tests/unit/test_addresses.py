"""
Tests for :mod:`twisted_transfer.printable`.
"""

from __future__ import annotations

import socket

from twisted.internet.address import (
    HostnameAddress,
    IPv4Address,
    IPv6Address,
    UNIXAddress,
)
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_transfer.addresses import addressText, waitingText

LO = socket.if_nametoindex("lo")


@implementer(IAddress)
class _Elsewhere:
    """An address of a kind that nobody knows."""

    def __str__(self) -> str:
        return "elsewhere"


class AddressTextTests(SynchronousTestCase):
    """Addresses as people write them."""

    def test_texts(self) -> None:
        """Each kind of address."""
        addresses: list[tuple[IAddress | None, str]] = [
            (IPv4Address("TCP", "192.0.2.7", 4000), "192.0.2.7:4000"),
            (IPv6Address("TCP", "::1", 4000), "[::1]:4000"),
            (IPv6Address("TCP", "::", 4000), "[::]:4000"),
            # An IPv4 partner of a dual-stack port.
            (IPv6Address("TCP", "::ffff:192.0.2.7", 4000), "192.0.2.7:4000"),
            # A link-local one is of the link of one network interface.
            (IPv6Address("TCP", "fe80::1", 4000, 0, LO), "[fe80::1%lo]:4000"),
            (IPv6Address("TCP", "fe80::1%lo", 4000, 0, LO), "[fe80::1%lo]:4000"),
            (IPv6Address("TCP", "fe80::1", 4, 0, 2**31 - 1), "[fe80::1%2147483647]:4"),
            (UNIXAddress("/run/socket"), "/run/socket"),
            (UNIXAddress("\0abstract"), "@abstract"),
            (UNIXAddress(None), ""),
            (UNIXAddress(""), ""),
            (None, ""),
            # A PROXY header and a UNIX socket say what they like.
            (UNIXAddress("/run/\x1b[2J\n"), "/run/\\x1b[2J\\n"),
            (IPv4Address("TCP", "1\x1b[2J", 7), "1\\x1b[2J:7"),
            (IPv6Address("TCP", "::1\x9b2J", 7), "[::1\\x9b2J]:7"),
        ]
        for address, text in addresses:
            self.assertEqual(addressText(address), text)

    def test_other(self) -> None:
        """What is unknown is shown as it shows itself."""
        address: IAddress = _Elsewhere()
        self.assertEqual(addressText(address), str(address))

    def test_waiting(self) -> None:
        """A port listens on its address, and waits at that of a relay."""
        for address, text in (
            (IPv4Address("TCP", "192.0.2.7", 4000), "listening on 192.0.2.7:4000"),
            (HostnameAddress(b"h.example", 1), "waiting at the relay h.example:1"),
            (
                HostnameAddress(b"2001:db8::3", 1),
                "waiting at the relay [2001:db8::3]:1",
            ),
        ):
            self.assertEqual(waitingText(address), text)
