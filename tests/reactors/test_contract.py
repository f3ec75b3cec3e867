"""
Every kind of channel is put through the one contract.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ISSLTransport, ITCPTransport, IUNIXTransport
from twisted.trial.unittest import TestCase

from tests.support.certificates import Authority
from tests.support.contract import ChannelContract
from tests.support.folders import newFolder
from twisted_transfer import TransferChannel, TransferConnector
from twisted_transfer.descriptions.strings import quote
from twisted_transfer.testing.memory import memoryPair


class ConnectedContract(ChannelContract):
    """Pairs that two connectors make."""

    passive = ""

    def active(self, address: Any) -> str:
        """:returns: the description that dials the address."""
        raise NotImplementedError

    async def pair(self: Any) -> tuple[TransferChannel, TransferChannel]:
        from twisted.internet import reactor

        waiting = TransferConnector.fromString(reactor, self.passive)
        arriving = waiting.connect()
        address = await waiting.whenListening()
        dialling = TransferConnector.fromString(reactor, self.active(address))
        left = await dialling.connect()
        return left, await arriving


class TCPTests(ConnectedContract, TestCase):
    """Channels over TCP, IPv4."""

    passive = "transfer:passive:tcp:port=0:interface=127.0.0.1"

    def active(self, address: Any) -> str:
        return f"transfer:active:tcp:host=127.0.0.1:port={address.port}"

    async def test_transportInterfaces(self) -> None:
        """A protocol finds the options of a TCP transport."""
        left, right = await self.pair()
        self.assertTrue(ITCPTransport.providedBy(left))
        self.assertFalse(ISSLTransport.providedBy(left))
        left.setTcpNoDelay(True)  # type: ignore[attr-defined]
        self.assertTrue(left.getTcpNoDelay())  # type: ignore[attr-defined]
        self.assertIsNone(left.peerIdentity)
        await self.finish(left, right)


class DualStackTests(ConnectedContract, TestCase):
    """Channels over what no socket command gives: the family does not matter."""

    passive = "transfer:passive:port=0"

    def active(self, address: Any) -> str:
        host = "127.0.0.1" if isinstance(address, IPv4Address) else "::1"
        return f"transfer:active:host={quote(host)}:port={address.port}"


class UNIXTests(ConnectedContract, TestCase):
    """
    Channels over UNIX sockets, which have no reset: the partner of one that
    aborts sees an end of file.
    """

    resets = False

    def setUp(self) -> None:
        self.path = newFolder(self) / "socket"
        self.addCleanup(lambda: self.assertFalse(self.path.exists()))
        self.passive = f"transfer:passive:unix:{self.path}"

    def active(self, address: Any) -> str:
        return f"transfer:active:unix:path={self.path}"

    async def test_transportInterfaces(self) -> None:
        """A protocol finds a UNIX transport."""
        left, right = await self.pair()
        self.assertTrue(IUNIXTransport.providedBy(right))
        await self.finish(left, right)


class TLSTests(ConnectedContract, TestCase):
    """Channels over TLS."""

    halfCloses = False

    def setUp(self) -> None:
        self.authority = Authority(newFolder(self))
        certificate, key = self.authority.issue()
        self.passive = (
            "transfer:passive:ssl:port=0:interface=127.0.0.1"
            f":privateKey={key}:certKey={certificate}"
        )

    def active(self, address: Any) -> str:
        return (
            f"transfer:active:tls:host=127.0.0.1:port={address.port}"
            f":trustRoots={self.authority.trustRoots}"
        )

    async def test_transportInterfaces(self) -> None:
        """A protocol finds a TLS transport, and the identity of the partner."""
        left, right = await self.pair()
        self.assertTrue(ISSLTransport.providedBy(left))
        identity = left.peerIdentity
        assert identity is not None
        self.assertEqual(len(identity.pin), 43)
        self.assertIsNone(right.peerIdentity)
        await self.finish(left, right)


class MemoryTests(ChannelContract, TestCase):
    """Channels that are only in memory."""

    async def pair(self) -> tuple[TransferChannel, TransferChannel]:
        from twisted.internet import reactor

        return memoryPair(reactor)
