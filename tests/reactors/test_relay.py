"""
Meetings at a relay over real sockets, by endpoint strings.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client
from twisted.trial.unittest import TestCase

from tests.support.contract import ChannelContract
from twisted_transfer import NotAdmitted, TransferChannel, TransferConnector
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.testing import Impostor, Relay, attack
from twisted_transfer.tls.keys import Secret

reactor: Any = _reactor


async def opened(case: TestCase, port: int = 0) -> tuple[Watched, Any]:
    """
    Open a relay on loopback.

    :param case: closes it, and waits until nobody is connected.
    :param port: where it listens.
    :returns: the relay, and its port.
    """
    relay = Watched()
    listening = reactor.listenTCP(port, relay, interface="127.0.0.1")

    async def close() -> None:
        await maybeDeferred(listening.stopListening)
        await relay.hangUp()

    case.addCleanup(lambda: Deferred.fromCoroutine(close()))
    return relay, listening


class Watched(Relay):
    """A relay whose connections can be waited for."""

    def __init__(self) -> None:
        super().__init__(reactor)
        self.callers: set[Any] = set()
        self.gone: Deferred[None] | None = None
        self.came: Deferred[None] = Deferred()

    def arrived(self, caller: Any) -> None:
        super().arrived(caller)
        if not self.came.called:
            self.came.callback(None)

    def buildProtocol(self, addr: Any) -> Any:
        caller = super().buildProtocol(addr)
        self.callers.add(caller)
        return caller

    def left(self, caller: Any) -> None:
        super().left(caller)
        self.callers.discard(caller)
        if self.gone is not None and not self.callers:
            self.gone.callback(None)

    async def hangUp(self) -> None:
        """End all connections, as one that dies."""
        if self.callers:
            self.gone = Deferred()
            for each in list(self.callers):
                each.transport.abortConnection()
            await self.gone
            self.gone = None


class RelayedTests(ChannelContract, TestCase):
    """Channels by invitation at a relay are put through the one contract."""

    halfCloses = False

    async def pair(self) -> tuple[TransferChannel, TransferChannel]:
        _, port = await opened(self)
        number = port.getHost().port
        waiter = TransferConnector.fromString(
            reactor, rf"transfer:passive:mtls:relay=127.0.0.1\:{number}"
        )
        waiting = waiter.connect()
        invitation = await waiter.invitation()
        left = await TransferConnector.fromString(reactor, invitation).connect()
        return left, await waiting


class Answering(Protocol):
    """
    A server's protocol that pauses at first, and answers what it gets.

    :ivar kind: the class of its transport.
    :ivar keepAlive: whether the system looks whether the connection is alive.
    """

    kind: type
    keepAlive: int

    def connectionMade(self) -> None:
        transport: Any = self.transport
        type(self).kind = type(transport)
        type(self).keepAlive = transport.getHandle().getsockopt(
            socket.SOL_SOCKET, socket.SO_KEEPALIVE
        )
        transport.pauseProducing()
        reactor.callLater(0, transport.resumeProducing)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"<" + data + b">")  # type: ignore[union-attr]


class Asking(Protocol):
    """A client's protocol that asks, and keeps the answer."""

    def __init__(self) -> None:
        self.answered: Deferred[bytes] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(b"question")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.answered.callback(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


class StringTests(TestCase):
    """The strings, in any Twisted program."""

    timeout = 20

    async def ask(self, string: str) -> bytes:
        """:returns: what a client of that description is answered."""
        factory = Factory.forProtocol(Asking)
        factory.noisy = False
        client: Any = await clientFromString(reactor, string).connect(factory)
        answer: bytes = await client.answered
        self.assertTrue(client.transport.logstr.startswith("Asking,"))
        client.transport.loseConnection()
        await client.lost
        return answer

    async def test_oneAfterTheOther(self) -> None:
        """
        A server meets one client after the other, by a name and by an address; its
        protocols have the sockets themselves.  It goes on when the relay has died.
        """
        relay, port = await opened(self)
        number = port.getHost().port
        token = os.urandom(32).hex()
        where = f"port={number}:token={token}"
        factory = Factory.forProtocol(Answering)
        factory.noisy = False
        server = serverFromString(reactor, f"relay:host=localhost:{where}")
        waiting = await server.listen(factory)
        await relay.came
        (alive,) = [
            each.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            for each in reactor.getReaders()
            if isinstance(each, Client) and each.getPeer().port == number
        ]
        self.assertEqual(alive, 1)
        for host in ("127.0.0.1", "localhost"):
            answer = await self.ask(f"relay:host={host}:{where}")
            self.assertEqual(answer, b"<question>")
        self.assertEqual(Answering.kind.__module__, "twisted.internet.tcp")
        self.assertEqual(Answering.keepAlive, 0)
        await port.stopListening()
        await relay.hangUp()
        await opened(self, number)
        self.assertEqual(await self.ask(f"relay:host=127.0.0.1:{where}"), b"<question>")
        await waiting.stopListening()


class StrangerTests(TestCase):
    """Whoever else comes to the meeting."""

    timeout = 20

    async def test_strangers(self) -> None:
        """
        Strangers who have the token are candidates that fail; the partner is admitted
        after them, and then this side waits there no more.
        """
        relay, port = await opened(self)
        connector = TransferConnector.fromString(
            reactor,
            rf"transfer:passive:mtls:relay=127.0.0.1\:{port.getHost().port}:within=15",
        )
        waiting = connector.connect()
        invitation = await connector.invitation()
        secret = Description.parse(invitation).keywords["secret"]
        token = Secret.fromText(secret).relayToken()
        there = f"relay:host=127.0.0.1:port={port.getHost().port}:token={token}"
        for _ in range(2):
            impostor = await attack(
                reactor, clientFromString(reactor, there), lambda: Impostor(reactor)
            )
            self.assertTrue(str(impostor.outcome).startswith("alert"), impostor.outcome)
        left = await TransferConnector.fromString(reactor, invitation).connect()
        right = await waiting
        assert connector.candidates is not None
        self.assertEqual(connector.candidates.dropped, {"unproven": 2})
        await deferLater(reactor, 0)
        self.assertEqual(relay.waiting, [])
        for channel in (left, right):
            channel.loseConnection()
        for channel in (left, right):
            await channel.whenClosed()

    async def test_othersInvitation(self) -> None:
        """A partner with another one's pin at the same meeting is refused by it."""
        _, port = await opened(self)
        way = rf"transfer:passive:mtls:relay=127.0.0.1\:{port.getHost().port}"
        connectors = [TransferConnector.fromString(reactor, way) for _ in range(2)]
        waiting = [each.connect() for each in connectors]
        first, other = [
            Description.parse(await each.invitation()) for each in connectors
        ]
        mixed = Description(
            first.args, {**first.keywords, "pin": other.keywords["pin"]}
        ).toString()
        with self.assertRaises(NotAdmitted):
            await TransferConnector.fromString(reactor, mixed).connect()
        for each, result in zip(connectors, waiting, strict=True):
            result.addErrback(lambda failure: None)
            await each.close()
