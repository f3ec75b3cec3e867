"""
Tests for :mod:`twisted_transfer.hosts`.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import ifaddr
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer import hosts
from twisted_transfer.hosts import reachableHosts


def adapter(*addresses: str) -> ifaddr.Adapter:
    """:returns: a network interface with these addresses."""
    given: list[Any] = [
        (address, 0, 0) if ":" in address else address for address in addresses
    ]
    return ifaddr.Adapter("n", "n", [ifaddr.IP(ip, 24, "n") for ip in given])


class ReachableHostsTests(SynchronousTestCase):
    """Where a partner may find this machine."""

    def given(self, outward: list[str], *adapters: ifaddr.Adapter) -> None:
        """This machine sends from some addresses, and has some interfaces."""
        self.patch(hosts, "_outward", lambda: outward)
        self.patch(ifaddr, "get_adapters", lambda: adapters)

    def test_bound(self) -> None:
        """One address that is bound is the one."""
        for host in ("192.0.2.7", "::1", "2001:db8::7"):
            self.assertEqual(reachableHosts(host), [host])

    def test_all(self) -> None:
        """
        All of them: those towards the outside first, each once, and IPv4 before
        IPv6; without those that nobody else could dial.
        """
        self.given(
            ["192.0.2.7", "2001:db8::7"],
            adapter("127.0.0.1", "::1"),
            adapter("fe80::1", "fd00::1", "10.0.0.1", "2001:db8::7", "192.0.2.7"),
            adapter("169.254.3.4", "172.17.0.1"),
        )
        self.assertEqual(
            reachableHosts("::"),
            ["192.0.2.7", "2001:db8::7", "10.0.0.1", "172.17.0.1", "fd00::1"],
        )
        self.assertEqual(
            reachableHosts("0.0.0.0"), ["192.0.2.7", "10.0.0.1", "172.17.0.1"]
        )

    def test_noNetwork(self) -> None:
        """A machine without a network can be reached from itself."""
        self.given([], adapter("127.0.0.1", "::1"))
        self.assertEqual(reachableHosts("::"), ["127.0.0.1", "::1"])
        self.assertEqual(reachableHosts("0.0.0.0"), ["127.0.0.1"])

    def test_nothing(self) -> None:
        """One with no address at all has a name."""
        self.given([])
        self.assertEqual(reachableHosts("::"), [socket.gethostname()])

    def test_here(self) -> None:
        """What is found on the machine that runs this can be bound there."""
        found = reachableHosts("::")
        self.assertNotEqual(found, [])
        for host in found:
            version = ipaddress.ip_address(host).version
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            with socket.socket(family) as bound:
                bound.bind((host, 0))
