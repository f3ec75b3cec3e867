"""
TLS that a protocol begins on an open channel, as SMTP, IMAP and AMP do.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.support.folders import newFolder
from tests.support.tlsends import Identities
from twisted_transfer import HalfCloseUnsupported, TransferChannel, TransferConnector


@implementer(IHandshakeListener, IPushProducer)
class Upgrading(LineReceiver):
    """Asks for TLS, or begins it when it is asked; then says who it is, in TLS."""

    delimiter = b"\n"

    def __init__(self, name: bytes, options: Any, asks: bool, produces: bool) -> None:
        self._name = name
        self._options = options
        self._asks = asks
        self._produces = produces
        self.told: list[Any] = []
        self.ended: Deferred[None] = Deferred()
        self.answered: Deferred[None] = Deferred()

    @property
    def channel(self) -> TransferChannel:
        assert isinstance(self.transport, TransferChannel)
        return self.transport

    def connectionMade(self) -> None:
        if self._produces:
            self.channel.registerProducer(self, True)
        if self._asks:
            self.sendLine(b"STARTTLS")

    def lineReceived(self, line: bytes) -> None:
        self.told.append(line)
        if line == b"STARTTLS":
            self.sendLine(b"go")
            self.channel.startTLS(self._options)
        elif line == b"go":
            self.channel.startTLS(self._options)
        else:
            self.answered.callback(None)

    def handshakeCompleted(self) -> None:
        self.told.append("handshake")
        self.sendLine(b"I am " + self._name)

    def pauseProducing(self) -> None:
        """There is too little to be paused."""

    def resumeProducing(self) -> None:
        """It was not paused."""

    def stopProducing(self) -> None:
        self.told.append("stop")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.told.append(reason.type)
        self.ended.callback(None)


class StartTLSTests(TestCase):
    """Whichever side has dialled, and whichever is the client."""

    timeout = 10

    async def pair(self, passive: str) -> tuple[TransferChannel, TransferChannel]:
        """:returns: the dialling end of a plain connection, and the other one."""
        from twisted.internet import reactor

        waiting = TransferConnector.fromString(reactor, f"transfer:passive:{passive}")
        arriving = waiting.connect()
        invited = await waiting.invitation()
        dialling = TransferConnector.fromString(reactor, invited)
        return await dialling.connect(), await arriving

    async def upgraded(
        self,
        dialledBy: str,
        passive: str = "tcp:port=0:interface=127.0.0.1",
        produces: bool = False,
    ) -> None:
        """Begin TLS, look at both ends, and close by the client."""
        identities = Identities(self)
        dialled, awaited = await self.pair(passive)
        byClient = dialledBy == "client"
        ours, theirs = (dialled, awaited) if byClient else (awaited, dialled)
        server = Upgrading(b"server", identities.server, False, produces)
        client = Upgrading(b"client", identities.client(), True, produces)
        theirs.start(server, client=False)
        self.assertFalse(ISSLTransport.providedBy(ours))
        ours.start(client, client=True)
        await client.answered
        await server.answered
        self.assertEqual(client.told, [b"go", "handshake", b"I am server"])
        self.assertEqual(server.told, [b"STARTTLS", "handshake", b"I am client"])
        for channel in (ours, theirs):
            self.assertTrue(ISSLTransport.providedBy(channel))
            self.assertRaises(HalfCloseUnsupported, channel.writeEOF)
        shown: Any = identities.server.certificate
        identity = ours.peerIdentity
        assert identity is not None
        self.assertEqual(identity.certificate, shown)
        self.assertIsNone(theirs.peerIdentity)
        if produces:
            ours.unregisterProducer()
        ours.loseConnection()
        await client.ended
        await server.ended
        stopped = ["stop"] if produces else []
        self.assertEqual(client.told[3:], [ConnectionDone])
        self.assertEqual(server.told[3:], [*stopped, ConnectionDone])
        await ours.whenClosed()
        await theirs.whenClosed()

    async def test_clientDials(self) -> None:
        """The usual way: the client of the connection is that of TLS."""
        await self.upgraded("client")

    async def test_serverDials(self) -> None:
        """A server that has dialled is the server of TLS all the same."""
        await self.upgraded("server")

    async def test_unix(self) -> None:
        """So it is on UNIX sockets."""
        for dialledBy in ("client", "server"):
            path = newFolder(self) / "socket"
            await self.upgraded(dialledBy, f"unix:{path}")

    async def test_producing(self) -> None:
        """A producer that was registered before goes on over TLS, and is stopped."""
        await self.upgraded("client", produces=True)
