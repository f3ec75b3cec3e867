"""
Endpoint types of every kind below a connector, over real sockets and pipes.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IFileDescriptorReceiver, IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

import twisted_transfer
from tests.support.certificates import Authority
from tests.support.dialler import installNickname
from tests.support.folders import newFolder
from twisted_transfer import TransferChannel, TransferConnector, Truncated

reactor: Any = _reactor


def aTurn() -> Deferred[None]:
    """:returns: a Deferred that fires after the reactor looked at its sockets."""
    turned: Deferred[None] = Deferred()
    reactor.callLater(0, reactor.callLater, 0, turned.callback, None)
    return turned


def dialRaw(address: Any) -> socket.socket:
    """:returns: a blocking socket that is connected to the address."""
    return socket.create_connection(("127.0.0.1", address.port), timeout=5)


async def finish(*channels: TransferChannel) -> None:
    """Close the channels, each of which ends in an orderly way."""
    for channel in channels:
        channel.loseConnection()
    for channel in channels:
        await channel.whenClosed()


class Echo(Protocol):
    """Sends back what it gets; says when it is gone."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"echo " + data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class EchoFactory(Factory):
    """Makes one echo."""

    noisy = False

    def __init__(self) -> None:
        self.echo = Echo()

    def buildProtocol(self, addr: Any) -> Echo:
        return self.echo


class KindsTestCase(TestCase):
    """A test with pairs of connectors."""

    timeout = 20

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.authority = Authority(newFolder(self))
        self.certificate, self.key = self.authority.issue()

    def tls(self, host: str, port: object) -> str:
        """:returns: the client description that goes with the certificate."""
        return f"tls:{host}:{port}:trustRoots={self.authority.trustRoots}"

    async def pair(
        self, passive: str, active: str, before: bytes = b""
    ) -> tuple[TransferChannel, TransferChannel]:
        """
        :param passive: a server description.
        :param active: a client description, with PORT for the port's number.
        :param before: what who dials sends before it is the partner.
        :returns: who has dialled, and who has waited.
        """
        waiter = TransferConnector.fromString(reactor, f"transfer:passive:{passive}")
        waiting = waiter.connect()
        address: Any = await waiter.whenListening()
        active = active.replace("PORT", str(getattr(address, "port", "")))
        dialler = TransferConnector.fromString(reactor, f"transfer:active:{active}")
        dialled = await dialler.connect()
        dialled.write(before)
        return dialled, await waiting

    async def through(self, passive: str, active: str) -> None:
        """Each description, behind either endpoint, carries an echo."""
        for server in (True, False):
            port = None
            factory = EchoFactory()
            if server:
                port = await serverFromString(
                    reactor, f"transfer:passive:{passive}"
                ).listen(factory)
                number = getattr(port.getHost(), "port", "")
                dialled = active.replace("PORT", str(number))
                channel = await TransferConnector.fromString(
                    reactor, f"transfer:active:{dialled}"
                ).connect()
            else:
                waiter = TransferConnector.fromString(
                    reactor, f"transfer:passive:{passive}"
                )
                waiting = waiter.connect()
                address: Any = await waiter.whenListening()
                dialled = active.replace("PORT", str(getattr(address, "port", "")))
                await clientFromString(reactor, f"transfer:active:{dialled}").connect(
                    factory
                )
                channel = await waiting
            channel.write(b"hello")
            self.assertEqual(await channel.readExactly(10), b"echo hello")
            await finish(channel)
            await factory.echo.gone
            if port is not None:
                await port.stopListening()


class KindsTests(KindsTestCase):
    """Every type of endpoint that Twisted's strings know, and a plugin."""

    async def test_tcp(self) -> None:
        """TCP over IPv4."""
        await self.through("tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:PORT")

    async def test_tcp6(self) -> None:
        """TCP over IPv6."""
        await self.through("tcp6:0:interface=\\:\\:1", "tcp:\\:\\:1:PORT")

    async def test_unix(self) -> None:
        """UNIX sockets."""
        path = self.folder / "s"
        await self.through(f"unix:{path}", f"unix:{path}")
        self.assertFalse(path.exists())

    async def test_unixNotRead(self) -> None:
        """A UNIX partner that closes without reading all has missed something."""
        path = self.folder / "s"
        for read, orderly in ((5, True), (4, False)):
            waiter = TransferConnector.fromString(
                reactor, f"transfer:passive:unix:{path}"
            )
            waiting = waiter.connect()
            await waiter.whenListening()
            dialled = socket.socket(socket.AF_UNIX)
            dialled.settimeout(5)
            dialled.connect(str(path))
            channel = await waiting
            channel.write(b"hello")
            await aTurn()
            self.assertEqual(dialled.recv(read), b"hello"[:read])
            dialled.close()
            channel.loseConnection()
            if orderly:
                await channel.whenClosed()
            else:
                with self.assertRaises(Truncated):
                    await channel.whenClosed()

    async def test_ssl(self) -> None:
        """TLS by the older name, on both sides."""
        await self.through(
            f"ssl:0:privateKey={self.key}:certKey={self.certificate}"
            ":interface=127.0.0.1",
            f"ssl:127.0.0.1:PORT:hostname=localhost"
            f":caCertsDir={self.authority.trustRoots}",
        )

    async def test_tls(self) -> None:
        """TLS by names, with a folder of certificates."""
        both = self.certificate.read_bytes() + self.key.read_bytes()
        (self.folder / "localhost.pem").write_bytes(both)
        await self.through(
            f"tls:{self.folder}:port=0:interface=127.0.0.1",
            self.tls("localhost", "PORT"),
        )

    def manners(self) -> list[tuple[Path, Path]]:
        """:returns: the certificate and its key, written by programs of all kinds."""
        certificate, key = self.certificate.read_bytes(), self.key.read_bytes()
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n" + (
            b"-----END EC PARAMETERS-----\n"
        )
        mark = b"\xef\xbb\xbf"
        files = []
        for name, own, private in (
            ("mark", mark + certificate, mark + key),
            ("curve", certificate, parameters + key),
            ("lines", certificate, key),
            ("all", mark + certificate, mark + parameters + key),
        ):
            written = self.folder / f"{name}.crt", self.folder / f"{name}.key"
            for path, text in zip(written, (own, private), strict=True):
                if name in ("lines", "all"):
                    text = text.replace(b"\n", b"\r\n")
                path.write_bytes(text)
                path.chmod(0o600)
            files.append(written)
        return files

    async def test_manners(self) -> None:
        """A byte order mark, a named curve, and CRLF are nothing to a TLS type."""
        for certificate, key in self.manners():
            roots = self.folder / f"{certificate.stem}-roots"
            roots.mkdir()
            authority = (Path(self.authority.trustRoots) / "ca.pem").read_bytes()
            (roots / "ca.pem").write_bytes(
                b"\xef\xbb\xbf" + authority.replace(b"\n", b"\r\n")
            )
            identity = f"certificate={certificate}:privateKey={key}"
            old = f"certKey={certificate}:privateKey={key}"
            mutual = f"mtls:port=0:interface=127.0.0.1:trustRoots={roots}:{identity}"
            for server, client in (
                (
                    f"ssl:0:interface=127.0.0.1:extraCertChain={certificate}:{old}",
                    f"tls:localhost:PORT:trustRoots={roots}",
                ),
                (mutual, f"mtls:localhost:PORT:trustRoots={roots}:{identity}"),
                (mutual, f"tls:localhost:PORT:trustRoots={roots}:{identity}"),
                (
                    mutual,
                    f"ssl:localhost:PORT:hostname=localhost:caCertsDir={roots}:{old}",
                ),
            ):
                await finish(*await self.pair(server, client))

    async def test_plugin(self) -> None:
        """A third-party endpoint, which wraps the protocols of its users."""
        installNickname(self, self.folder)
        await self.through("nickname:bob", "nickname:bob")

    async def test_pluginHalfClose(self) -> None:
        """Through its wrappers a channel can still end its output alone."""
        installNickname(self, self.folder)
        left, right = await self.pair("nickname:bob", "nickname:bob")
        left.write(b"question")
        left.writeEOF()
        self.assertEqual([chunk async for chunk in right], [b"question"])
        right.write(b"answer")
        right.loseConnection()
        self.assertEqual([chunk async for chunk in left], [b"answer"])
        await finish(left, right)

    async def test_pluginTurnsAway(self) -> None:
        """Nor do its wrappers keep those away who come late."""
        installNickname(self, self.folder)
        waiter = TransferConnector.fromString(reactor, "transfer:passive:nickname:bob")
        waiting = waiter.connect()
        await waiter.whenListening()
        dialled = []
        for _ in range(5):
            late = socket.socket(socket.AF_UNIX)
            late.settimeout(5)
            late.connect(str(self.folder / "bob"))
            dialled.append(late)
        channel = await waiting
        channel.write(b"you")
        await aTurn()
        answers = sorted(each.recv(3) for each in dialled)
        self.assertEqual(answers, [b""] * 4 + [b"you"])
        for each in dialled:
            each.close()
        await finish(channel)


class ProxyTests(KindsTestCase):
    """Behind a proxy that sends PROXY headers."""

    header = b"PROXY TCP4 203.0.113.5 203.0.113.6 7 8\r\n"

    async def test_tenAtOnce(self) -> None:
        """
        Of ten connections in one wake-up the one with a header is taken, and nine
        are ended; nothing is logged.
        """
        waiter = TransferConnector.fromString(
            reactor, "transfer:passive:haproxy:tcp:0:interface=127.0.0.1"
        )
        waiting = waiter.connect()
        address = await waiter.whenListening()
        dialled = [dialRaw(address) for _ in range(10)]
        partner = dialled.pop(3)
        partner.sendall(self.header)
        channel = await waiting
        counters = waiter.candidates
        assert counters is not None
        self.assertEqual((counters.admitted, counters.dropped["late"]), (1, 9))
        channel.write(b"you")
        await aTurn()
        self.assertEqual(partner.recv(3), b"you")
        for each in dialled:
            with self.assertRaises(ConnectionResetError):
                each.recv(3)
            each.close()
        partner.close()
        await finish(channel)

    async def test_strangers(self) -> None:
        """
        Health checks, and whoever sends no header or breaks off in it, are no
        partner; the one with a header is, in however many pieces it comes.
        """
        local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
        waiter = TransferConnector.fromString(
            reactor, "transfer:passive:haproxy:tcp:0:interface=127.0.0.1"
        )
        waiting = waiter.connect()
        address = await waiter.whenListening()
        counters = waiter.candidates
        assert counters is not None
        for data in (b"", self.header[:-1], local, b"PROXY UNKNOWN\r\n", b"hello"):
            before = counters.dropped.total()
            stranger = dialRaw(address)
            stranger.sendall(data)
            stranger.shutdown(socket.SHUT_WR)
            while counters.dropped.total() == before:
                await aTurn()
            stranger.close()
        self.assertEqual(dict(counters.dropped), {"hung up": 2, "unproven": 3})
        partner = dialRaw(address)
        partner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(self.header)):
            self.assertFalse(waiting.called)
            partner.sendall(self.header[i : i + 1])
            await aTurn()
        partner.sendall(b"hello")
        channel = await waiting
        self.assertEqual(await channel.readExactly(5), b"hello")
        peer: Any = channel.getPeer()
        self.assertEqual((peer.host, peer.port), ("203.0.113.5", 7))
        partner.close()
        await finish(channel)

    async def test_halfClose(self) -> None:
        """Half-closing works behind one, although its wrapper knows nothing of it."""
        left, right = await self.pair(
            "haproxy:tcp:0:interface=127.0.0.1", "tcp:127.0.0.1:PORT", self.header
        )
        left.write(b"question")
        left.writeEOF()
        self.assertEqual([chunk async for chunk in right], [b"question"])
        self.assertEqual(right.getPeer().host, "203.0.113.5")  # type: ignore[attr-defined]
        half: Deferred[None] = Deferred()

        @implementer(IHalfCloseableProtocol)
        class Halves(Protocol):
            def readConnectionLost(self) -> None:
                pass

            def writeConnectionLost(self) -> None:
                half.callback(None)

        right.start(Halves())
        right.write(b"answer")
        right.writeEOF()
        await half
        self.assertEqual([chunk async for chunk in left], [b"answer"])
        await finish(left, right)

    async def test_tls(self) -> None:
        """
        The handshake is waited for behind a proxy, too: a stranger that hangs
        up in it is not taken for the partner, and the header comes after it.
        """
        both = self.certificate.read_bytes() + self.key.read_bytes()
        (self.folder / "localhost.pem").write_bytes(both)
        for passive in (
            f"haproxy:tls:{self.folder}:port=0:interface=127.0.0.1",
            f"haproxy:ssl:port=0:privateKey={self.key}:certKey={self.certificate}"
            ":interface=127.0.0.1",
        ):
            waiter = TransferConnector.fromString(
                reactor, f"transfer:passive:{passive}"
            )
            waiting = waiter.connect()
            address: Any = await waiter.whenListening()
            counters = waiter.candidates
            assert counters is not None
            stranger = dialRaw(address)
            stranger.close()
            while not counters.dropped:
                await aTurn()
            self.assertEqual(dict(counters.dropped), {"hung up": 1})
            self.assertFalse(waiting.called)
            left = await TransferConnector.fromString(
                reactor, f"transfer:active:{self.tls('localhost', address.port)}"
            ).connect()
            self.assertFalse(waiting.called)
            left.write(self.header + b"hello")
            right = await waiting
            self.assertEqual(await right.readExactly(5), b"hello")
            peer: Any = right.getPeer()
            self.assertEqual((peer.host, peer.port), ("203.0.113.5", 7))
            await finish(left, right)


class TurnedAwayTests(KindsTestCase):
    """Those who come from elsewhere, on every kind of port."""

    async def test_everyKind(self) -> None:
        """
        They see the end, whatever layers are on the port, and nothing is
        logged; the partner is admitted after them.
        """
        identity = f"privateKey={self.key}:certKey={self.certificate}"
        for passive, tls in (
            ("tcp:0:interface=127.0.0.1", False),
            ("haproxy:tcp:0:interface=127.0.0.1", False),
            (f"ssl:0:interface=127.0.0.1:{identity}", True),
            (f"haproxy:ssl:0:interface=127.0.0.1:{identity}", True),
        ):
            waiter = TransferConnector.fromString(
                reactor, f"transfer:passive:{passive}:admit=127.0.0.2"
            )
            waiting = waiter.connect()
            address: Any = await waiter.whenListening()
            counters = waiter.candidates
            assert counters is not None
            for count in range(1, 4):
                stranger = dialRaw(address)
                while counters.dropped["address"] < count:
                    await aTurn()
                stranger.setblocking(False)
                while True:
                    try:
                        self.assertEqual(stranger.recv(1), b"", passive)
                    except BlockingIOError:
                        await aTurn()
                    except ConnectionResetError:
                        self.assertTrue(tls)
                        break
                    else:
                        break
                stranger.close()
            self.assertFalse(waiting.called)
            dialled = (
                self.tls("localhost", address.port)
                if tls
                else f"tcp:127.0.0.1:{address.port}"
            )
            if tls:
                endpoint = f"tcp\\:127.0.0.1\\:{address.port}"
                dialled += f":endpoint={endpoint}\\:bindAddress\\=127.0.0.2"
            else:
                dialled += ":bindAddress=127.0.0.2"
            left = await TransferConnector.fromString(
                reactor, f"transfer:active:{dialled}"
            ).connect()
            if passive.startswith("haproxy:"):
                left.write(ProxyTests.header)
            right = await waiting
            self.assertEqual(dict(counters.dropped), {"address": 3}, passive)
            await finish(left, right)


@implementer(IFileDescriptorReceiver)
class Receiver(Protocol):
    """Takes file descriptors."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []
        self.data = b""
        self.complete: Deferred[None] = Deferred()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.descriptors.append(descriptor)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.data.endswith(b"."):
            self.complete.callback(None)


class DescriptorTests(KindsTestCase):
    """File descriptors over UNIX sockets; the fixture looks for leaked ones."""

    async def connect(
        self, kind: str, header: bytes = b""
    ) -> tuple[socket.socket, TransferChannel]:
        """:returns: a socket that dialled a channel, over such a server."""
        path = self.folder / "s"
        waiter = TransferConnector.fromString(
            reactor, f"transfer:passive:{kind}unix:address={path}"
        )
        waiting = waiter.connect()
        await waiter.whenListening()
        dialled = socket.socket(socket.AF_UNIX)
        self.addCleanup(dialled.close)
        dialled.connect(str(path))
        dialled.sendall(header)
        return dialled, await waiting

    def send(self, dialled: socket.socket, data: bytes) -> int:
        """
        Send the writing end of a pipe along with some data.

        :returns: its reading end.
        """
        reader, writer = os.pipe()
        socket.send_fds(dialled, [data], [writer])
        os.close(writer)
        self.addCleanup(os.close, reader)
        return reader

    async def test_received(self) -> None:
        """A protocol that takes descriptors gets them, behind a proxy, too."""
        for kind, header in (("", b""), ("haproxy:", ProxyTests.header)):
            dialled, channel = await self.connect(kind, header)
            receiver = channel.start(Receiver())
            reader = self.send(dialled, b"here.")
            await receiver.complete
            self.assertEqual(receiver.data, b"here.")
            [writer] = receiver.descriptors
            os.write(writer, b"through")
            os.close(writer)
            self.assertEqual(os.read(reader, 100), b"through")
            self.assertEqual(os.read(reader, 100), b"")
            dialled.close()
            await channel.whenClosed()

    async def test_sent(self) -> None:
        """A channel can send one, as UNIX transports can."""
        dialled, channel = await self.connect("")
        reader, writer = os.pipe()
        unix: Any = channel
        unix.sendFileDescriptor(writer)
        channel.write(b"x")
        await aTurn()
        data, [received], _, _ = socket.recv_fds(dialled, 10, 1)
        os.close(writer)
        self.assertEqual(data, b"x")
        os.write(received, b"through")
        os.close(received)
        self.assertEqual(os.read(reader, 100), b"through")
        os.close(reader)
        dialled.close()
        await finish(channel)

    async def test_unwanted(self) -> None:
        """Without one who takes them, they are closed at once."""
        for start in (True, False):
            dialled, channel = await self.connect("")
            if start:

                class Deaf(Protocol):
                    """Takes nothing but data."""

                    heard: Deferred[bytes] = Deferred()

                    def dataReceived(self, data: bytes) -> None:
                        self.heard.callback(data)

                heard = channel.start(Deaf()).heard
            else:
                heard = channel.readExactly(5)
            reader = self.send(dialled, b"here.")
            self.assertEqual(await heard, b"here.")
            # The other end of the pipe is open nowhere any more.
            self.assertEqual(os.read(reader, 1), b"")
            dialled.close()
            await finish(channel)


_ROOT = Path(twisted_transfer.__file__).resolve().parent.parent

# What every child begins with, and how it ends: it says what came of the channel.
_BEGIN = """
import os, sys
from twisted.internet.defer import Deferred

def main():
    from twisted.internet import reactor
    from twisted.internet.task import react
    react(lambda reactor: Deferred.fromCoroutine(run(reactor)))

async def closed(channel):
    try:
        await channel.whenClosed()
    except Exception as error:
        sys.stderr.write(type(error).__name__ + "\\n")
    else:
        sys.stderr.write("orderly\\n")
"""

_ECHO = """
async def run(reactor):
    from twisted_transfer import TransferConnector
    channel = await TransferConnector.fromString(reactor, sys.argv[1]).connect()
    channel.write(repr(channel.connector.mode).encode() + b"\\n")
    async for chunk in channel:
        channel.write(chunk.upper())
    channel.loseConnection()
    await closed(channel)
"""


class ChildTestCase(SynchronousTestCase):
    """A test with a child process."""

    def child(
        self, program: str, *arguments: str, begin: str = "", **how: Any
    ) -> subprocess.Popen[bytes]:
        """:returns: a process that runs the program."""
        path = os.pathsep.join(
            filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")])
        )
        process = subprocess.Popen(
            [sys.executable, "-c", f"{begin}{_BEGIN}{program}\nmain()", *arguments],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            **how,
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Nothing is left of the process."""
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def said(self, process: subprocess.Popen[bytes]) -> str:
        """:returns: what the process has said of itself when it had ended."""
        assert process.stderr is not None
        try:
            process.wait(30)
        finally:
            process.kill()
        text = process.stderr.read().decode()
        self.assertEqual(process.returncode, 0, text)
        return text.strip()


class StandardIOTests(ChildTestCase):
    """Standard input and output as a channel."""

    def pipes(self, program: str) -> subprocess.Popen[bytes]:
        return self.child(
            program,
            "transfer:passive:stdio:",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def test_echo(self) -> None:
        """Both directions work, up to an orderly end."""
        process = self.pipes(_ECHO)
        data = os.urandom(300_000)
        out, error = process.communicate(data, timeout=30)
        greeting, _, answer = out.partition(b"\n")
        self.assertIn(b"PASSIVE", greeting)
        self.assertEqual(answer, data.upper())
        self.assertEqual(error.decode().strip(), "orderly")
        self.assertEqual(process.returncode, 0)

    def test_server(self) -> None:
        """So it is for a program behind a server endpoint."""
        process = self.pipes(
            """
async def run(reactor):
    from twisted.internet.endpoints import serverFromString
    from twisted.internet.protocol import Factory, Protocol
    gone = Deferred()
    class Upper(Protocol):
        def dataReceived(self, data):
            self.transport.write(data.upper())
        def connectionLost(self, reason):
            sys.stderr.write(reason.type.__name__)
            gone.callback(None)
    await serverFromString(reactor, sys.argv[1]).listen(Factory.forProtocol(Upper))
    await gone
"""
        )
        out, error = process.communicate(b"hello", timeout=30)
        self.assertEqual(out, b"HELLO")
        self.assertEqual(error, b"ConnectionDone")

    def test_noHalfClose(self) -> None:
        """The output cannot be ended alone; that is said, and harms nothing."""
        process = self.pipes(
            """
async def run(reactor):
    from twisted_transfer import HalfCloseUnsupported, TransferConnector
    channel = await TransferConnector.fromString(reactor, sys.argv[1]).connect()
    try:
        channel.writeEOF()
    except HalfCloseUnsupported:
        channel.write(b"refused")
    channel.loseConnection()
    await closed(channel)
"""
        )
        out, error = process.communicate(timeout=30)
        self.assertEqual(out, b"refused")
        self.assertEqual(error.decode().strip(), "orderly")

    def test_nobodyReads(self) -> None:
        """What nobody reads any more is lost, and that is no success."""
        process = self.pipes(
            """
async def run(reactor):
    from twisted_transfer import TransferConnector
    channel = await TransferConnector.fromString(reactor, sys.argv[1]).connect()
    channel.write(b"some")
    await channel.readExactly(4)
    from twisted.internet.task import deferLater
    while not channel.disconnecting:
        channel.write(b"x" * 1000)
        if channel._link.wire.outputLost:
            channel.loseConnection()
        await deferLater(reactor, 0)
    await closed(channel)
"""
        )
        assert process.stdout is not None and process.stdin is not None
        self.assertTrue(select.select([process.stdout], [], [], 30)[0])
        self.assertEqual(process.stdout.read(4), b"some")
        process.stdout.close()
        process.stdin.write(b"gone")
        process.stdin.flush()
        self.assertEqual(self.said(process), "Truncated")

    def test_abort(self) -> None:
        """An abort does not wait for one who reads."""
        process = self.pipes(
            """
async def run(reactor):
    from twisted_transfer import TransferConnector
    channel = await TransferConnector.fromString(reactor, sys.argv[1]).connect()
    channel.write(b"x" * 10_000_000)
    channel.abortConnection()
    await closed(channel)
"""
        )
        self.assertEqual(self.said(process), "Truncated")


class SystemdTests(ChildTestCase):
    """Sockets that systemd hands over (sd_listen_fds(3))."""

    def handedOver(
        self, listener: socket.socket, description: str
    ) -> subprocess.Popen[bytes]:
        """:returns: a child that has got the listening socket as systemd does it."""
        begin = """
import os, sys
os.dup2(int(sys.argv.pop()), 3)
os.environ.update(
    LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="partner"
)
"""
        descriptor = listener.fileno()
        return self.child(
            _ECHO,
            description,
            str(descriptor),
            begin=begin,
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
        )

    def test_sockets(self) -> None:
        """They are listened on by number or name; the first one is served."""
        path = newFolder(self) / "s"
        inet = socket.create_server(("127.0.0.1", 0))
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(str(path))
        unix.listen()
        for listener, description in (
            (inet, "systemd:domain=INET:index=0"),
            (unix, "systemd:UNIX:name=partner"),
        ):
            self.addCleanup(listener.close)
            process = self.handedOver(listener, f"transfer:passive:{description}")
            with socket.socket(listener.family) as dialled:
                dialled.settimeout(30)
                dialled.connect(listener.getsockname())
                dialled.sendall(b"hello")
                dialled.shutdown(socket.SHUT_WR)
                got = b""
                while piece := dialled.recv(1000):
                    got += piece
            self.assertEqual(got.partition(b"\n")[2], b"HELLO")
            self.assertEqual(self.said(process), "orderly")
            # It is still systemd's, to hand on to the next one.
            with socket.socket(listener.family) as dialled:
                dialled.connect(listener.getsockname())
        self.assertTrue(path.is_socket())


class CancelTests(KindsTestCase):
    """Attempts that end while layers are about to be put on."""

    async def test_whileHandshaking(self) -> None:
        """On ports with layers, too, nothing is left of who was shaking hands."""
        identity = f"privateKey={self.key}:certKey={self.certificate}"
        waiter = TransferConnector.fromString(
            reactor, f"transfer:passive:haproxy:ssl:0:interface=127.0.0.1:{identity}"
        )
        waiting = waiter.connect()
        address = await waiter.whenListening()
        counters = waiter.candidates
        assert counters is not None
        strangers = [dialRaw(address) for _ in range(3)]
        while counters.accepted < 3:
            await aTurn()
        await waiter.close()
        with self.assertRaises(CancelledError):
            await waiting
        for stranger in strangers:
            with self.assertRaises(ConnectionResetError):
                stranger.recv(1)
            stranger.close()
        with self.assertRaises(ConnectionRefusedError):
            await TransferConnector(
                reactor,
                host="127.0.0.1",
                port=address.port,
            ).connect()

    async def test_abortedByPartner(self) -> None:
        """A TLS partner that resets the connection has truncated it, for both."""
        left, right = await self.pair(
            f"ssl:0:interface=127.0.0.1:privateKey={self.key}"
            f":certKey={self.certificate}",
            self.tls("localhost", "PORT"),
        )
        left.write(b"x" * 1_000_000)
        await right.readExactly(10)
        right.abortConnection()
        for channel in (left, right):
            with self.assertRaises(Truncated):
                await channel.whenClosed()
