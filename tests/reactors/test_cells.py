"""
A program flips its side by its configuration alone: all four ways.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import ConnectionRefusedError, NoProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from twisted_transfer import BadDescription, PartnerTimeout, TransferConnector
from twisted_transfer.descriptions.strings import quote

reactor: Any = _reactor


class Echo(Protocol):
    """Sends back what it gets; says when it is gone."""

    def __init__(self) -> None:
        self.made: Deferred[Echo] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.made.callback(self)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"echo " + data)

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008
        self.gone.callback(None)


class EchoFactory(Factory):
    """Makes echoes, and counts how often it is started and stopped."""

    noisy = False

    def __init__(self) -> None:
        self.starts = self.stops = 0
        self.echoes: list[Echo] = []
        self.built: Deferred[Echo] = Deferred()
        self.idle: Deferred[None] = Deferred()

    def startFactory(self) -> None:
        self.starts += 1

    def stopFactory(self) -> None:
        self.stops += 1
        self.idle.callback(None)

    def buildProtocol(self, addr: Any) -> Echo:
        echo = Echo()
        self.echoes.append(echo)
        built, self.built = self.built, Deferred()
        built.callback(echo)
        return echo


class Hello(Echo):
    """Says hello, and hangs up when it is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.loseConnection()
        self.answer.callback(data)


class HelloFactory(EchoFactory):
    """Makes those who say hello."""

    def buildProtocol(self, addr: Any) -> Echo:
        return Hello()


def freePort() -> int:
    """:returns: a TCP port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


class CellTests(TestCase):
    """Each way of using a transfer endpoint, with an echoing program behind it."""

    timeout = 20

    async def talk(self, channel: Any) -> None:
        """Use the echo, and hang up."""
        channel.write(b"hello")
        self.assertEqual(await channel.readExactly(10), b"echo hello")
        channel.loseConnection()
        await channel.whenClosed()

    async def ends(self, factory: EchoFactory) -> None:
        """The program behind the endpoint was started once and is at rest."""
        await factory.idle
        self.assertEqual((factory.starts, factory.stops), (1, 1))

    async def test_activeClient(self) -> None:
        """``transfer:active`` as a client endpoint dials."""
        waiter = TransferConnector(reactor, "passive")
        waiting = waiter.connect()
        address: Any = await waiter.whenListening()
        factory = EchoFactory()
        endpoint = clientFromString(
            reactor, f"transfer:active:tcp:host=127.0.0.1:port={address.port}"
        )
        echo = await endpoint.connect(factory)
        self.assertIs(echo, factory.echoes[0])
        await self.talk(await waiting)
        await self.ends(factory)

    async def test_passiveClient(self) -> None:
        """``transfer:passive`` as a client endpoint waits, then is the client."""
        port = freePort()
        factory = EchoFactory()
        endpoint = clientFromString(
            reactor, f"transfer:passive:tcp:port={port}:interface=127.0.0.1"
        )
        connecting = endpoint.connect(factory)
        channel = await TransferConnector(reactor, port=port).connect()
        self.assertIs(await connecting, factory.echoes[0])
        await self.talk(channel)
        await self.ends(factory)

    async def test_activeServer(self) -> None:
        """``transfer:active`` as a server endpoint dials and serves."""
        waiter = TransferConnector(reactor, "passive")
        waiting = waiter.connect()
        address: Any = await waiter.whenListening()
        factory = EchoFactory()
        endpoint = serverFromString(
            reactor, f"transfer:active:host=127.0.0.1:port={address.port}"
        )
        port = await endpoint.listen(factory)
        channel = await waiting
        here: Any = port.getHost()
        there: Any = channel.getPeer()
        self.assertEqual(here.port, there.port)
        await self.talk(channel)
        await self.ends(factory)
        await port.stopListening()
        await port.stopListening()

    async def test_passiveServer(self) -> None:
        """``transfer:passive`` as a server endpoint serves one and stops."""
        factory = EchoFactory()
        endpoint = serverFromString(
            reactor, "transfer:passive:tcp:port=0:interface=127.0.0.1"
        )
        port = await endpoint.listen(factory)
        number = port.getHost().port
        channel = await TransferConnector(reactor, port=number).connect()
        await self.talk(channel)
        await self.ends(factory)
        with self.assertRaises(ConnectionRefusedError):
            await TransferConnector(reactor, port=number).connect()
        await port.stopListening()

    async def test_stoppedBeforeThePartnerCame(self) -> None:
        """A passive port that is stopped is closed, also when stopped twice."""
        factory = EchoFactory()
        endpoint = serverFromString(reactor, "transfer:passive:tcp:port=0")
        port = await endpoint.listen(factory)
        number = port.getHost().port
        first, second = port.stopListening(), port.stopListening()
        await first
        await second
        await self.ends(factory)
        with self.assertRaises(ConnectionRefusedError):
            await TransferConnector(reactor, port=number).connect()

    async def test_listenCancelled(self) -> None:
        """An active server endpoint that is cancelled stops dialling."""
        factory = EchoFactory()
        endpoint = serverFromString(
            reactor, f"transfer:active:host=127.0.0.1:port={freePort()}:retryFor=60"
        )
        listening = endpoint.listen(factory)
        listening.cancel()
        with self.assertRaises(CancelledError):
            await listening
        await self.ends(factory)

    async def test_dialFails(self) -> None:
        """A server endpoint that cannot dial says so."""
        factory = EchoFactory()
        endpoint = serverFromString(
            reactor, f"transfer:active:host=127.0.0.1:port={freePort()}"
        )
        with self.assertRaises(ConnectionRefusedError):
            await endpoint.listen(factory)
        await self.ends(factory)

    async def test_nobodyCame(self) -> None:
        """A partner that never comes to a bound port is logged."""
        factory = EchoFactory()
        endpoint = serverFromString(reactor, "transfer:passive:tcp:port=0:within=0.05")
        await endpoint.listen(factory)
        await self.ends(factory)
        self.assertEqual(len(self.flushLoggedErrors(PartnerTimeout)), 1)

    async def test_again(self) -> None:
        """With ``again=yes`` the partner is dialled anew after each connection."""
        number = freePort()
        factory = EchoFactory()
        endpoint = serverFromString(
            reactor, f"transfer:active:host=127.0.0.1:port={number}:again=yes"
        )
        port = await endpoint.listen(factory)
        for _ in range(2):
            # Each waits on the same port, which is closed in between.
            await self.talk(
                await TransferConnector(reactor, "passive", port=number).connect()
            )
        await port.stopListening()
        await self.ends(factory)
        self.assertEqual(len(factory.echoes), 2)

    async def test_noProtocol(self) -> None:
        """A factory that makes no protocol is an error, and nothing stays open."""

        class Picky(EchoFactory):
            def buildProtocol(self, addr: Any) -> Any:
                return None

        waiter = TransferConnector(reactor, "passive")
        waiting = waiter.connect()
        address: Any = await waiter.whenListening()
        factory = Picky()
        endpoint = clientFromString(
            reactor, f"transfer:active:host=127.0.0.1:port={address.port}"
        )
        with self.assertRaises(NoProtocol):
            await endpoint.connect(factory)
        channel = await waiting
        channel.abortConnection()
        await channel.whenClosed().addErrback(lambda ignored: None)
        await self.ends(factory)

    async def test_serverMakesNoProtocol(self) -> None:
        """
        A server's factory that makes no protocol turns its partner away: the
        connection ends in an orderly way.
        """

        class Picky(EchoFactory):
            def buildProtocol(self, addr: Any) -> Any:
                return None

        factory = Picky()
        endpoint = serverFromString(
            reactor, "transfer:passive:tcp:port=0:interface=127.0.0.1"
        )
        port: Any = await endpoint.listen(factory)
        channel = await TransferConnector(reactor, port=port.getHost().port).connect()
        self.assertEqual(await channel.read(), b"")
        channel.loseConnection()
        await channel.whenClosed()
        await self.ends(factory)

    async def test_mutualTLS(self) -> None:
        """
        Behind ``mtls``, too, the factories of both sides are started once and
        stopped once: alone, and in all four cells.
        """
        authority = Authority(newFolder(self))
        certificate, key = authority.issue()
        proof = (
            f"certificate={certificate}:privateKey={key}"
            f":trustRoots={authority.trustRoots}"
        )
        for dialling, listening in (
            ("", ""),
            ("transfer:active:", "transfer:passive:"),
        ):
            for serverDials in (False, True) if dialling else (False,):
                number = freePort()
                listens = f"{listening}mtls:port={number}:interface=127.0.0.1:{proof}"
                below = quote(f"tcp:host=127.0.0.1:port={number}")
                dials = (
                    f"{dialling}mtls:host=localhost:port={number}:endpoint={below}"
                    f":{proof}"
                )
                server, client = EchoFactory(), HelloFactory()
                if serverDials:
                    connecting = clientFromString(reactor, listens).connect(client)
                    port = await serverFromString(reactor, dials).listen(server)
                else:
                    port = await serverFromString(reactor, listens).listen(server)
                    connecting = clientFromString(reactor, dials).connect(client)
                hello: Any = await connecting
                self.assertEqual(await hello.answer, b"echo hello")
                await port.stopListening()
                await self.ends(server)
                await self.ends(client)

    async def test_throughAProxy(self) -> None:
        """``haproxy`` works around and inside a transfer endpoint."""
        for description in (
            "haproxy:transfer:passive:tcp:port=0:interface=127.0.0.1",
            "transfer:passive:haproxy:tcp:port=0:interface=127.0.0.1",
        ):
            factory = EchoFactory()
            port = await serverFromString(reactor, description).listen(factory)
            number = port.getHost().port
            channel = await TransferConnector(reactor, port=number).connect()
            channel.write(b"PROXY TCP4 192.0.2.9 192.0.2.1 4242 80\r\nhello")
            self.assertEqual(await channel.readExactly(10), b"echo hello")
            transport: Any = factory.echoes[0].transport
            self.assertEqual(transport.getPeer().host, "192.0.2.9", description)
            channel.loseConnection()
            await channel.whenClosed()
            await self.ends(factory)

    async def test_tlsDirectory(self) -> None:
        """A folder of certificates serves, as in Twisted's own ``tls`` strings."""
        authority = Authority(newFolder(self))
        certificate, key = authority.issue()
        served = newFolder(self)
        Path(served, "server.pem").write_bytes(
            certificate.read_bytes() + key.read_bytes()
        )
        factory = EchoFactory()
        port = await serverFromString(
            reactor, f"transfer:passive:tls:{served}:port=0:interface=127.0.0.1"
        ).listen(factory)
        number = port.getHost().port
        dialled = f"tcp:host=127.0.0.1:port={number}"
        channel = await TransferConnector.fromString(
            reactor,
            f"transfer:active:tls:host=localhost:port={number}"
            f":trustRoots={authority.trustRoots}:endpoint={quote(dialled)}",
        ).connect()
        await self.talk(channel)
        await self.ends(factory)

    async def test_encodingRefused(self) -> None:
        """A protocol of Twisted's takes bytes; an encoding is refused at once."""
        for make in (clientFromString, serverFromString):
            with self.assertRaisesRegex(BadDescription, "encoding"):
                make(reactor, "transfer:active:host=h:port=1:encoding=utf-8")

    async def test_againRefused(self) -> None:
        """``again`` is for servers that dial."""
        with self.assertRaisesRegex(BadDescription, "again"):
            clientFromString(reactor, "transfer:active:host=h:port=1:again=yes")
        with self.assertRaisesRegex(BadDescription, "again"):
            serverFromString(reactor, "transfer:passive:port=0:again=yes")

    async def test_awkwardKeywords(self) -> None:
        """Keywords called as a parser's own arguments are errors in words."""
        for keyword in ("self", "reactor"):
            with self.assertRaisesRegex(BadDescription, keyword):
                clientFromString(reactor, f"transfer:active:tcp:h:1:{keyword}=x")
