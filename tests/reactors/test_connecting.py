"""
Connectors over real sockets: one partner only, and nothing left behind.
"""

from __future__ import annotations

import builtins
import gc
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.interfaces import IHostnameResolver, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from twisted_transfer import NotAdmitted, PartnerTimeout, PeerRefused, TransferConnector
from twisted_transfer.descriptions.endpoints import plainClientEndpoint

reactor: Any = _reactor

Stop = Callable[[TransferConnector, Deferred[Any]], Deferred[Any]]


def byCancel(connector: TransferConnector, connecting: Deferred[Any]) -> Deferred[Any]:
    """End an attempt by cancelling its Deferred."""
    connecting.cancel()
    return connector.close()


def byClose(connector: TransferConnector, connecting: Deferred[Any]) -> Deferred[Any]:
    """End an attempt by closing its connector."""
    return connector.close()


def dialRaw(address: Any) -> socket.socket:
    """:returns: a blocking socket that is connected to the address."""
    return socket.create_connection(("127.0.0.1", address.port), timeout=5)


@implementer(IHostnameResolver)
class IPv4Resolver:
    """Finds one IPv4 address for each name."""

    def resolveHostName(  # type: ignore[override]
        self, receiver: Any, *asked: Any, **more: Any
    ) -> Any:
        """Find it."""
        receiver.resolutionBegan(receiver)
        receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", 4))
        receiver.resolutionComplete()
        return receiver


@implementer(IHostnameResolver)
class SilentResolver:
    """Never answers, and says when it was asked."""

    def __init__(self) -> None:
        self.asked: Deferred[str] = Deferred()

    def resolveHostName(
        self, resolutionReceiver: Any, hostName: str, *args: Any, **kwargs: Any
    ) -> Any:
        self.asked.callback(hostName)
        return resolutionReceiver


class AbandonedTests(TestCase):
    """
    An attempt that is cancelled or closed at any of its steps leaves nothing:
    the fixture for all tests looks for sockets, timers and logged errors.
    """

    timeout = 10

    async def abandoned(
        self,
        connector: TransferConnector,
        step: Callable[[], Deferred[Any]],
        stop: Stop,
    ) -> None:
        """Begin, wait for the step, stop, and find a cancelled attempt."""
        connecting = connector.connect()
        await step()
        await stop(connector, connecting)
        with self.assertRaises(CancelledError):
            await connecting
        await connector.close()

    async def resolving(self, stop: Stop) -> None:
        silent = SilentResolver()
        previous = reactor.installNameResolver(silent)
        self.addCleanup(reactor.installNameResolver, previous)
        connector = TransferConnector(reactor, host="partner.example", port=4000)
        await self.abandoned(connector, lambda: silent.asked, stop)

    async def dialling(self, stop: Stop) -> None:
        # A queue of connections that is full leaves the next dial unanswered.
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(full.close)
        waiting = []
        for _ in range(4):
            queued = socket.socket()
            queued.setblocking(False)
            queued.connect_ex(full.getsockname())
            waiting.append(queued)
            self.addCleanup(queued.close)
        port = full.getsockname()[1]
        connector = TransferConnector(reactor, host="127.0.0.1", port=port)
        await self.abandoned(connector, aTurn, stop)

    async def retrying(self, stop: Stop) -> None:
        free = socket.create_server(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        connector = TransferConnector(
            reactor, host="127.0.0.1", port=port, retryFor=60, within=60
        )
        await self.abandoned(connector, aTurn, stop)

    async def listening(self, stop: Stop) -> None:
        connector = TransferConnector(reactor, "passive", within=60)
        await self.abandoned(connector, connector.whenListening, stop)

    async def passiveHandshaking(self, stop: Stop) -> None:
        certificate, key = Authority(newFolder(self)).issue()
        connector = TransferConnector.fromString(
            reactor,
            "transfer:passive:ssl:port=0:interface=127.0.0.1"
            f":privateKey={key}:certKey={certificate}",
        )

        async def step() -> None:
            address = await connector.whenListening()
            for _ in range(3):
                stranger = dialRaw(address)
                self.addCleanup(stranger.close)
            counters = connector.candidates
            assert counters is not None
            while counters.accepted < 3:
                await aTurn()

        await self.abandoned(connector, lambda: Deferred.fromCoroutine(step()), stop)

    async def activeHandshaking(self, stop: Stop) -> None:
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        port = silent.getsockname()[1]
        connector = TransferConnector.fromString(
            reactor, f"transfer:active:tls:host=127.0.0.1:port={port}:within=60"
        )

        async def step() -> None:
            silent.setblocking(False)
            while True:
                try:
                    accepted, _ = silent.accept()
                except BlockingIOError:
                    await aTurn()
                else:
                    break
            self.addCleanup(accepted.close)
            accepted.setblocking(False)
            while True:
                try:
                    self.assertTrue(accepted.recv(1), "the ClientHello")
                except BlockingIOError:
                    await aTurn()
                else:
                    break

        await self.abandoned(connector, lambda: Deferred.fromCoroutine(step()), stop)

    async def admitted(self, stop: Stop) -> None:
        closing: Deferred[None] = Deferred()

        class TellingPort:
            """Says when the port is about to be closed: somebody is admitted."""

            def __init__(self, port: Any) -> None:
                self.getHost = port.getHost
                self.port = port

            def stopListening(self) -> Any:
                stopped = self.port.stopListening()
                closing.callback(None)
                return stopped

        @implementer(IStreamServerEndpoint)
        class TellingEndpoint:
            def listen(self, protocolFactory: Any) -> Deferred[Any]:
                endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
                return maybeDeferred(endpoint.listen, protocolFactory).addCallback(
                    TellingPort
                )

        connector = TransferConnector(
            reactor, "passive", socketCommand=TellingEndpoint()
        )

        async def step() -> None:
            partner = dialRaw(await connector.whenListening())
            self.addCleanup(partner.close)
            await closing

        await self.abandoned(connector, lambda: Deferred.fromCoroutine(step()), stop)


def aTurn() -> Deferred[None]:
    """:returns: a Deferred that fires after the reactor looked at its sockets."""
    turned: Deferred[None] = Deferred()
    reactor.callLater(0, reactor.callLater, 0, turned.callback, None)
    return turned


def _addAbandonedTests() -> None:
    """A test for each step and each way to stop at it."""
    steps = {
        "Resolving": AbandonedTests.resolving,
        "Dialling": AbandonedTests.dialling,
        "Retrying": AbandonedTests.retrying,
        "Listening": AbandonedTests.listening,
        "PassiveHandshaking": AbandonedTests.passiveHandshaking,
        "ActiveHandshaking": AbandonedTests.activeHandshaking,
        "Admitted": AbandonedTests.admitted,
    }
    for name, step in steps.items():
        for how, stop in (("cancelled", byCancel), ("closed", byClose)):

            async def test(self: Any, step: Any = step, stop: Any = stop) -> None:
                await step(self, stop)

            test.__doc__ = f"An attempt that is {how} while {name} leaves nothing."
            setattr(AbandonedTests, f"test_{how}While{name}", test)


_addAbandonedTests()


class OnePartnerTests(TestCase):
    """A passive connector is for exactly one partner."""

    timeout = 10

    async def test_laterDialIsRefused(self) -> None:
        """When the Deferred fires the port is closed."""
        connector = TransferConnector(reactor, "passive")
        connecting = connector.connect()
        address: Any = await connector.whenListening()
        partner = dialRaw(address)
        channel = await connecting
        self.assertRaises(builtins.ConnectionRefusedError, dialRaw, address)
        partner.close()
        self.assertEqual(await channel.read(), b"")
        channel.loseConnection()
        await channel.whenClosed()

    async def test_tenAtOnce(self) -> None:
        """
        Of ten connections that are there in one wake-up one is taken, and the
        nine others see an end of file.
        """
        connector = TransferConnector(reactor, "passive")
        connecting = connector.connect()
        address: Any = await connector.whenListening()
        # The reactor does not run while these ten are made by the system.
        dialled = [dialRaw(address) for _ in range(10)]
        channel = await connecting
        counters = connector.candidates
        assert counters is not None
        self.assertEqual((counters.admitted, counters.dropped["late"]), (1, 9))
        channel.write(b"you")
        answers = []
        await aTurn()
        for each in dialled:
            answers.append(each.recv(3))
            each.close()
        self.assertEqual(sorted(answers), [b""] * 9 + [b"you"])
        channel.loseConnection()
        await channel.whenClosed()

    async def test_again(self) -> None:
        """The same connector waits for partner after partner, port after port."""
        connector = TransferConnector(reactor, "passive")
        for _ in range(3):
            connecting = connector.connect()
            partner = dialRaw(await connector.whenListening())
            channel = await connecting
            partner.sendall(b"x")
            self.assertEqual(await channel.read(), b"x")
            partner.close()
            channel.loseConnection()
            await channel.whenClosed()


class FailureTests(TestCase):
    """What goes wrong is said, by Twisted's errors or by ours."""

    timeout = 10

    async def test_nobodyThere(self) -> None:
        """A refused connection is Twisted's error."""
        free = socket.create_server(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        connector = TransferConnector(reactor, host="127.0.0.1", port=port)
        with self.assertRaises(ConnectionRefusedError):
            await connector.connect()

    async def test_noSuchHost(self) -> None:
        """So is a host that nobody knows."""
        connector = TransferConnector(reactor, host="nosuchhost.invalid", port=1)
        with self.assertRaises(DNSLookupError):
            await connector.connect()

    async def test_portInUse(self) -> None:
        """A port in use is Twisted's error, naming it, at once."""
        used = socket.create_server(("::", 0), family=socket.AF_INET6)
        self.addCleanup(used.close)
        port = used.getsockname()[1]
        connector = TransferConnector(reactor, "passive", port=port)
        connecting = connector.connect()
        self.assertTrue(connecting.called)
        with self.assertRaisesRegex(CannotListenError, str(port)):
            await connecting

    async def test_unixPathMissing(self) -> None:
        """A UNIX path in a folder that is not there is named."""
        connector = TransferConnector.fromString(
            reactor, "transfer:passive:unix:/nonexistent/socket:lockfile=0"
        )
        with self.assertRaisesRegex(CannotListenError, "/nonexistent/socket"):
            await connector.connect()
        # Twisted leaves the socket that it could not bind to the collector.
        gc.collect()
        self.flushWarnings()
        connector = TransferConnector.fromString(
            reactor, "transfer:active:unix:path=/nonexistent/socket"
        )
        with self.assertRaises(ConnectError):
            await connector.connect()

    async def test_bindAddress(self) -> None:
        """To dial IPv4 from an IPv6 address is no bug, but an option to change."""
        before = reactor.installNameResolver(IPv4Resolver())
        self.addCleanup(reactor.installNameResolver, before)
        endpoint = plainClientEndpoint(reactor, "partner.example", 4, 5, "::1")
        with self.assertRaisesRegex(ConnectBindError, "bindAddress= is an IPv6"):
            await endpoint.connect(Factory())

    async def test_unixPathInUse(self) -> None:
        """A path at which there is something else is named; no lock stays there."""
        path = newFolder(self) / "file"
        path.touch()
        text = f"transfer:passive:unix:{path}"
        with self.assertRaisesRegex(CannotListenError, str(path)):
            await TransferConnector.fromString(reactor, text).connect()
        self.assertEqual(list(path.parent.iterdir()), [path])
        # The lock of a port that listens stays.
        path.unlink()
        first = TransferConnector.fromString(reactor, text)
        waiting = first.connect()
        await first.whenListening()
        with self.assertRaisesRegex(CannotListenError, "lock"):
            await TransferConnector.fromString(reactor, text).connect()
        self.assertTrue(path.with_name("file.lock").is_symlink())
        await first.close()
        with self.assertRaises(CancelledError):
            await waiting
        self.assertEqual(list(path.parent.iterdir()), [])

    async def test_unixPathNotPermitted(self) -> None:
        """A UNIX path where this user may not write is named, at once."""
        folder = newFolder(self)
        folder.chmod(0o555)
        path = folder / "socket"
        if os.geteuid() == 0:
            # Root may write everywhere; be nobody for as long as it takes.
            os.seteuid(65534)
            self.addCleanup(os.seteuid, 0)
        for lockFile in (0, 1):
            connector = TransferConnector.fromString(
                reactor, f"transfer:passive:unix:{path}:lockfile={lockFile}"
            )
            connecting = connector.connect()
            self.assertTrue(connecting.called)
            with self.assertRaisesRegex(CannotListenError, str(path)) as caught:
                await connecting
            self.assertIn("Permission denied", str(caught.exception))
        gc.collect()
        self.flushWarnings()

    async def test_noSuchInterface(self) -> None:
        """So is an address that is not this machine's."""
        connector = TransferConnector.fromString(
            reactor, "transfer:passive:tcp:port=0:interface=192.0.2.1"
        )
        with self.assertRaisesRegex(CannotListenError, "192.0.2.1"):
            await connector.connect()

    async def test_latePartner(self) -> None:
        """With retryFor, a partner that comes later is reached."""
        free = socket.create_server(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        dialling = TransferConnector(
            reactor, host="127.0.0.1", port=port, retryFor=10
        ).connect()
        await aTurn()
        self.assertFalse(dialling.called)
        waiting = TransferConnector(reactor, "passive", port=port).connect()
        left, right = await dialling, await waiting
        for channel in (left, right):
            channel.loseConnection()
            await channel.whenClosed()

    async def test_noPartner(self) -> None:
        """A partner that does not come in time is an error of its own."""
        with self.assertRaises(PartnerTimeout):
            await TransferConnector(reactor, "passive", within=0.05).connect()


class HandshakeTests(TestCase):
    """On TLS, a connection is one when its handshake is complete."""

    timeout = 10

    def setUp(self) -> None:
        self.authority = Authority(newFolder(self))
        certificate, key = self.authority.issue()
        self.passive = TransferConnector.fromString(
            reactor,
            "transfer:passive:ssl:port=0:interface=127.0.0.1"
            f":privateKey={key}:certKey={certificate}",
        )

    def dial(self, address: Any, roots: Path, host: str = "127.0.0.1") -> Deferred[Any]:
        """Dial the passive connector, trusting these roots."""
        return TransferConnector.fromString(
            reactor,
            f"transfer:active:tls:host={host}:port={address.port}:trustRoots={roots}"
            f":endpoint=tcp\\:host\\=127.0.0.1\\:port\\={address.port}",
        ).connect()

    async def meet(self, waiting: Deferred[Any], address: Any) -> None:
        """A good partner comes and is admitted."""
        left = await self.dial(address, self.authority.trustRoots)
        right = await waiting
        left.write(b"hello")
        self.assertEqual(await right.readExactly(5), b"hello")
        left.loseConnection()
        right.loseConnection()
        await left.whenClosed()
        await right.whenClosed()

    async def test_strangersDoNotUseThePortUp(self) -> None:
        """
        Candidates that hang up, reset, stay silent or talk nonsense are
        dropped and counted; the partner is admitted after them.
        """
        waiting = self.passive.connect()
        address = await self.passive.whenListening()
        hungUp, reset, silent, nonsense = (dialRaw(address) for _ in range(4))
        hungUp.close()
        linger = b"\1\0\0\0\0\0\0\0"
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        reset.close()
        nonsense.sendall(b"GET / HTTP/1.0\r\n\r\n")
        self.addCleanup(silent.close)
        self.addCleanup(nonsense.close)
        counters = self.passive.candidates
        assert counters is not None
        while sum(counters.dropped.values()) < 3:
            await aTurn()
        self.assertFalse(waiting.called)
        self.assertEqual(counters.dropped["hung up"], 2)
        self.assertEqual(counters.dropped["unproven"], 1)
        await self.meet(waiting, address)
        self.assertEqual(counters.dropped["late"], 1)

    async def test_unknownAuthority(self) -> None:
        """A certificate of an authority that is not trusted is not accepted."""
        waiting = self.passive.connect()
        address = await self.passive.whenListening()
        other = Authority(newFolder(self))
        with self.assertRaisesRegex(NotAdmitted, "trust roots"):
            await self.dial(address, other.trustRoots)
        self.assertFalse(waiting.called)
        await self.meet(waiting, address)

    async def test_wrongHost(self) -> None:
        """
        A certificate for another host is not accepted.
        """
        waiting = self.passive.connect()
        address = await self.passive.whenListening()
        with self.assertRaisesRegex(NotAdmitted, "another host than other"):
            await self.dial(address, self.authority.trustRoots, "other.example")
        await self.passive.close()
        with self.assertRaises(CancelledError):
            await waiting

    async def test_noName(self) -> None:
        """
        A certificate without a name is accepted for no host, by any of the types
        that dial TLS, and nothing is sent.
        """
        certificate, key = self.authority.issue("nameless", named=False)
        passive = TransferConnector.fromString(
            reactor,
            f"transfer:passive:ssl:port=0:privateKey={key}:certKey={certificate}",
        )
        waiting = passive.connect()
        port = (await passive.whenListening()).port
        roots = self.authority.trustRoots
        for kind in (
            f"tls:host=localhost:port={port}:trustRoots={roots}",
            f"ssl:host=localhost:port={port}:hostname=nameless:caCertsDir={roots}",
        ):
            dialler = TransferConnector.fromString(reactor, f"transfer:active:{kind}")
            with self.assertRaisesRegex(NotAdmitted, "another host"):
                await dialler.connect()
        self.assertFalse(waiting.called)
        await passive.close()
        with self.assertRaises(CancelledError):
            await waiting

    async def test_partnerWithoutTLS(self) -> None:
        """Dialling TLS where none is spoken is an error in these words."""
        waiting = TransferConnector(reactor, "passive")
        arriving = waiting.connect()
        address = await waiting.whenListening()
        dialling = self.dial(address, self.authority.trustRoots)
        channel = await arriving
        channel.write(b"220 hello, this is no TLS\r\n")
        with self.assertRaisesRegex(NotAdmitted, "speaks TLS"):
            await dialling
        channel.loseConnection()
        await channel.whenClosed()

    async def test_partnerHangsUp(self) -> None:
        """A partner that ends the connection in the handshake has refused."""
        waiting = TransferConnector(reactor, "passive")
        arriving = waiting.connect()
        address = await waiting.whenListening()
        dialling = self.dial(address, self.authority.trustRoots)
        channel = await arriving
        await channel.readExactly(1)
        channel.loseConnection()
        with self.assertRaises(PeerRefused):
            await dialling
        await channel.whenClosed()
