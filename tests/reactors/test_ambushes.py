"""
Hostile peers that lie in wait on real sockets, and those who dial them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import TestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.hostilities import identityOf
from twisted_transfer import NotAdmitted, TransferConnector
from twisted_transfer.testing.attacks import ambush
from twisted_transfer.testing.peers import HostilePeer, Staller
from twisted_transfer.testing.tlspeers import ImpostorServer
from twisted_transfer.tls.keys import Identity, Secret

reactor: Any = _reactor


class AmbushTests(TestCase):
    """Connectors that dial somebody who is not their partner."""

    timeout = 20

    async def ambushed(self, makePeer: Any) -> Deferred[HostilePeer]:
        """:returns: a Deferred with the peer that lies in wait."""
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        address: Any
        address, meeting = await ambush(reactor, endpoint, makePeer)
        self.port = address.port
        return meeting

    def dial(self, description: str) -> Deferred[Any]:
        """:returns: a Deferred with the channel of a connector."""
        address = f"host=127.0.0.1:port={self.port}"
        return TransferConnector.fromString(
            reactor, f"transfer:active:{description}:{address}"
        ).connect()

    async def test_impostor(self) -> None:
        """
        Whoever verifies turns an impostor away, by invitation, pin or
        authority, and says so.
        """
        authority = Authority(newFolder(self))
        certificate, key = authority.issue("client")
        mine = f"certificate={certificate}:privateKey={key}"
        pin = Identity.ephemeral().pin
        for description in (
            f"mtls:pin={pin}:secret={Secret.fresh().text}",
            f"mtls:pin={pin}:{mine}",
            f"mtls:trustRoots={authority.trustRoots}:{mine}",
            f"tls:trustRoots={authority.trustRoots}",
        ):
            meeting = await self.ambushed(lambda: ImpostorServer(reactor))
            with self.assertRaises(NotAdmitted):
                await self.dial(description)
            peer: Any = await meeting
            self.assertEqual(peer.outcome, "alert: unknown ca", description)
            self.assertFalse(peer.completed)

    async def test_otherHost(self) -> None:
        """So it does with one that has a certificate for another host."""
        authority = Authority(newFolder(self))
        certificate, key = authority.issue("client")
        identity = identityOf(*authority.issue())
        meeting = await self.ambushed(
            lambda: ImpostorServer(reactor, identity=identity)
        )
        with self.assertRaises(NotAdmitted):
            await self.dial(
                f"mtls:hostname=other.example:trustRoots={authority.trustRoots}"
                f":certificate={certificate}:privateKey={key}"
            )
        # OpenSSL has no better alert for what a program refuses.
        self.assertEqual((await meeting).outcome, "alert: internal error")

    async def test_admitted(self) -> None:
        """Who dials without TLS for a partner cannot know, and is taken in."""
        meeting = await self.ambushed(Staller)
        channel = await self.dial("tcp")
        channel.loseConnection()
        self.assertEqual((await meeting).outcome, "end of file")
        await channel.whenClosed()

    async def test_cancel(self) -> None:
        """A cancelled ambush leaves no port and no connection."""
        meeting = await self.ambushed(Staller)
        channel = await self.dial("tcp")
        meeting.cancel()
        with self.assertRaises(CancelledError):
            await meeting
        await channel.whenClosed().addErrback(lambda failure: None)
