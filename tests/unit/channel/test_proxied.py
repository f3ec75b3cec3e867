"""
Tests for :mod:`twisted_transfer.channel.proxied`.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.channel.proxied import ProxiedServerEndpoint
from twisted_transfer.errors import NotAdmitted

_V4 = (IPv4Address("TCP", "203.0.113.5", 7), IPv4Address("TCP", "203.0.113.6", 8))
_V6 = (IPv6Address("TCP", "2001:db8::5", 7), IPv6Address("TCP", "2001:db8::6", 8))
_UNIX = (UNIXAddress(b"/run/client"), UNIXAddress(b"/run/server"))
_TEXT = b"PROXY TCP4 203.0.113.5 203.0.113.6 7 8\r\n"


def binary(command: int, kind: int, body: bytes) -> bytes:
    """:returns: a header of version 2."""
    start = b"\r\n\r\n\0\r\nQUIT\n" + bytes((command, kind))
    return start + struct.pack("!H", len(body)) + body


def ends(family: socket.AddressFamily, hosts: tuple[str, str]) -> bytes:
    """:returns: the addresses of version 2, with the ports 7 and 8."""
    packed = b"".join(socket.inet_pton(family, host) for host in hosts)
    return packed + struct.pack("!HH", 7, 8)


_BODY4 = ends(socket.AF_INET, ("203.0.113.5", "203.0.113.6"))
_BODY6 = ends(socket.AF_INET6, ("2001:db8::5", "2001:db8::6"))
_BODY_UNIX = struct.pack("108s108s", b"/run/client", b"/run/server")

# As the specification writes them, by what they say.
VALID: dict[bytes, tuple[IAddress, IAddress]] = {
    _TEXT: _V4,
    b"PROXY TCP6 2001:db8:0::5 2001:DB8::6 7 8\r\n": _V6,
    binary(0x21, 0x11, _BODY4): _V4,
    binary(0x21, 0x11, _BODY4 + b"\x04\0\x05noops"): _V4,
    binary(0x21, 0x21, _BODY6): _V6,
    binary(0x21, 0x31, _BODY_UNIX): _UNIX,
}

NO_CLIENT = (
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ffff:f::1 ffff:f::2 65535 65535\r\n",
    binary(0x20, 0x00, b""),
    binary(0x20, 0x11, _BODY4),
    binary(0x21, 0x00, b""),
)

INVALID = (
    b"PROXY TCP4 203.0.113.5 203.0.113.6 7\r\n",
    b"PROXY TCP4 203.0.113.5 203.0.113.6 7 8 9\r\n",
    b"PROXY TCP4 203.0.113.5 203.0.113.6 7 65536\r\n",
    b"PROXY TCP4 203.0.113.5 203.0.113.6 -1 8\r\n",
    b"PROXY TCP4 203.0.113.5 203.0.113.6 7 x\r\n",
    b"PROXY TCP4 2001:db8::5 2001:db8::6 7 8\r\n",
    b"PROXY TCP6 203.0.113.5 203.0.113.6 7 8\r\n",
    b"PROXY TCP4 203.0.113.5\x1b[2J 203.0.113.6 7 8\r\n",
    b"PROXY TCP4 host.example host.example 7 8\r\n",
    b"PROXY UDP4 203.0.113.5 203.0.113.6 7 8\r\n",
    b"PROXY TCP4 \xff 203.0.113.6 7 8\r\n",
    b"PROXY \r\n",
    b"PROXY TCP4 " + b"1" * 96,
    binary(0x22, 0x11, _BODY4),
    binary(0x11, 0x11, _BODY4),
    binary(0x21, 0x12, _BODY4),
    binary(0x21, 0x41, _BODY4),
    binary(0x21, 0x11, _BODY4[:-1]),
    binary(0x21, 0x21, _BODY6[:-1]),
    binary(0x21, 0x31, _BODY_UNIX[:-1]),
)

ABSENT = (b"G", b"PROXX", b"PROXY\r\n", b"\r\n\r\nX", b"\x16\x03\x01", b"\n")


class ProxyHeaderTests(SynchronousTestCase):
    """The layer that takes the header off."""

    def setUp(self) -> None:
        class Kept(Protocol):
            data = b""

            def dataReceived(self, data: bytes) -> None:
                self.data += data

        class Endpoint:
            def listen(self, protocolFactory: Any) -> Any:
                return protocolFactory

        endpoint: Any = ProxiedServerEndpoint(Endpoint())  # type: ignore[arg-type]
        factory = endpoint.listen(Factory.forProtocol(Kept))
        self.transport = StringTransport()
        self.layer = factory.buildProtocol(None)
        self.layer.makeConnection(self.transport)
        self.protocol = self.layer.wrappedProtocol

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.layer.dataReceived(piece)

    @given(st.sampled_from(sorted(VALID)), st.lists(st.integers(0, 300)), st.binary())
    def test_valid(self, header: bytes, cuts: list[int], behind: bytes) -> None:
        """
        In whatever pieces a header comes, the addresses are its, and the protocol
        gets what is behind it.
        """
        self.setUp()
        self.assertEqual(self.protocol.transport.getPeer(), self.transport.getPeer())
        self.assertEqual(self.protocol.transport.getHost(), self.transport.getHost())
        data = header + behind
        places = [0, *sorted(cuts), len(data)]
        self.send(*(data[a:b] for a, b in pairwise(places)))
        self.successResultOf(self.layer.read.wait())
        transport = self.protocol.transport
        self.assertEqual((transport.getPeer(), transport.getHost()), VALID[header])
        self.send(b"more")
        self.assertEqual(self.protocol.data, behind + b"more")
        self.assertFalse(self.transport.disconnecting)

    def test_cut(self) -> None:
        """A header is none before its last byte."""
        for header in VALID:
            for end in range(len(header)):
                self.setUp()
                self.send(header[:end])
                self.assertNoResult(self.layer.read.wait())
            self.send(header[-1:])
            self.successResultOf(self.layer.read.wait())

    def refused(self, data: bytes, words: str) -> None:
        """It is refused for good, and nothing of it arrives."""
        self.setUp()
        self.send(*(data[i : i + 1] for i in range(len(data))))
        error = self.failureResultOf(self.layer.read.wait(), NotAdmitted).value
        self.assertIn(words, str(error), data)
        self.assertTrue(self.transport.disconnected, data)
        self.send(_TEXT + b"hello")
        self.assertEqual(self.protocol.data, b"")

    def test_noClient(self) -> None:
        """One that names no client comes from the proxy itself."""
        for header in NO_CLIENT:
            self.refused(header, "names no client")

    def test_invalid(self) -> None:
        """One that is not as it has to be is refused, at its end at the latest."""
        for header in INVALID:
            self.refused(header, "is invalid")

    def test_absent(self) -> None:
        """What is no header is refused at the first byte that is another."""
        for data in ABSENT:
            self.refused(data, "no PROXY header")

    @given(st.binary(max_size=300))
    def test_whatever(self, data: bytes) -> None:
        """No bytes make anything else of it."""
        for start in (b"", b"PROXY ", b"PROXY TCP4 ", binary(0x21, 0x11, b"")[:12]):
            self.setUp()
            self.send(start + data)
            self.assertFalse(self.flushLoggedErrors())

    @given(st.ip_addresses(v=4), st.ip_addresses(v=6), st.integers(0, 65535))
    def test_bothVersions(
        self, four: ipaddress.IPv4Address, six: ipaddress.IPv6Address, port: int
    ) -> None:
        """Both versions say the same of an address."""
        for kind, address, number in (("TCP4", four, 0x11), ("TCP6", six, 0x21)):
            peers = []
            text = f"PROXY {kind} {address} {address} {port} {port}\r\n".encode()
            body = address.packed * 2 + struct.pack("!HH", port, port)
            for header in (text, binary(0x21, number, body)):
                self.setUp()
                self.send(header)
                peers.append(self.protocol.transport.getPeer())
            self.assertEqual(peers[0], peers[1])
            self.assertEqual((peers[0].host, peers[0].port), (str(address), port))
