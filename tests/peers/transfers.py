"""
Raw transfers with any program: either side sends, and either side dials.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.peers.processes import Program, reactor
from tests.peers.programs import command
from tests.support.folders import newFolder
from twisted_transfer import TransferConnector
from twisted_transfer.descriptions.strings import quote


class Peer(Protocol):
    """
    A kind of program to talk to.

    :ivar passive: the description by which our side waits for it.
    """

    passive: str

    async def waiting(
        self, case: TestCase, sends: bool, path: Path
    ) -> tuple[Program, str]:
        """
        Let it wait for our side.

        :param case: the test.
        :param sends: whether it sends; otherwise it receives.
        :param path: its file.
        :returns: the program, and the description by which our side dials it.
        """

    def dialling(
        self, case: TestCase, sends: bool, path: Path, address: str
    ) -> Program:
        """
        Let it dial our side.

        :param case: the test.
        :param sends: whether it sends; otherwise it receives.
        :param path: its file.
        :param address: where our side listens: a port, or a path.
        :returns: the program.
        """


class Side(Protocol):
    """Our side of one transfer, under way."""

    size: int

    def __init__(
        self, case: TestCase, sends: bool, path: Path, description: str
    ) -> None: ...

    async def address(self) -> str:
        """The port or path on which it listens."""

    async def done(self) -> None:
        """Wait for its end, and fail if that is no success."""


class Command:
    """The command, in a process."""

    size = 3_000_000

    def __init__(
        self, case: TestCase, sends: bool, path: Path, description: str
    ) -> None:
        verb = "send" if sends else "receive"
        folder = path.parent
        self.program = command(case, folder, verb, "--raw", path, description)

    async def address(self) -> str:
        """As it prints it for people."""
        said = await self.program.says(r"^listening on (.+)$")
        return said if said.startswith("/") else said.rpartition(":")[2]

    async def done(self) -> None:
        """Its exit status is 0."""
        await self.program.endsWith(0)


class InProcess:
    """A connector in this process, under the reactor that the tests run on."""

    size = 100_000

    def __init__(
        self, case: TestCase, sends: bool, path: Path, description: str
    ) -> None:
        self._connector = TransferConnector.fromString(reactor, description)
        move = self._send if sends else self._receive
        self._moving = Deferred.fromCoroutine(move(path))
        case.addCleanup(self._connector.close)

    async def _send(self, path: Path) -> None:
        channel = await self._connector.connect()
        channel.write(path.read_bytes())
        channel.loseConnection()
        await channel.whenClosed()

    async def _receive(self, path: Path) -> None:
        channel = await self._connector.connect()
        received = b"".join([chunk async for chunk in channel])
        channel.loseConnection()
        await channel.whenClosed()
        path.write_bytes(received)

    async def address(self) -> str:
        """As the connector knows it."""
        address: Any = await self._connector.whenListening()
        if isinstance(address, UNIXAddress):
            return os.fsdecode(address.name or b"")
        return str(address.port)

    async def done(self) -> None:
        """The end of the connection was an orderly one."""
        await self._moving


class Meeting(TestCase):
    """Tests in which our side meets a peer."""

    timeout = 60
    side: type[Side]

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.peer = self.makePeer()
        self.source = self.folder / "source"
        self.target = self.folder / "target"

    def makePeer(self) -> Peer:
        """:returns: the peer of all tests of the class."""
        raise NotImplementedError

    def makeSource(self) -> None:
        """Have something to send."""
        self.source.write_bytes(os.urandom(self.side.size))

    async def meet(self, *, send: bool, dial: bool) -> None:
        """
        Transfer a file.

        :param send: whether our side sends.
        :param dial: whether our side dials.
        """
        self.makeSource()
        ours, theirs = self.source, self.target
        if not send:
            ours, theirs = theirs, ours
        if dial:
            peer, description = await self.peer.waiting(self, not send, theirs)
            side = self.side(self, send, ours, description)
        else:
            side = self.side(self, send, ours, self.peer.passive)
            peer = self.peer.dialling(self, not send, theirs, await side.address())
        await side.done()
        await peer.endsWith(0)
        self.assertEqual(self.target.stat().st_size, self.side.size)
        self.assertTrue(self.target.read_bytes() == self.source.read_bytes())


class Sends(Meeting):
    """Our side sends."""

    async def test_sendDialling(self) -> None:
        """
        The peer waits, our side dials it and sends: the bytes are the same, and
        both end well.
        """
        await self.meet(send=True, dial=True)

    async def test_sendWaiting(self) -> None:
        """
        Our side waits, the peer dials it and receives: the bytes are the same,
        and both end well.
        """
        await self.meet(send=True, dial=False)


class Receives(Meeting):
    """Our side receives."""

    async def test_receiveDialling(self) -> None:
        """
        The peer waits, our side dials it and receives: the bytes are the same,
        and both end well.
        """
        await self.meet(send=False, dial=True)

    async def test_receiveWaiting(self) -> None:
        """
        Our side waits, the peer dials it and sends: the bytes are the same, and
        both end well.
        """
        await self.meet(send=False, dial=False)


class Transfers(Sends, Receives):
    """All four."""


def dialTCP(host: str, port: int | str) -> str:
    """
    :returns: the description by which our side dials over plain TCP.
    """
    return f"transfer:active:tcp:host={quote(host)}:port={port}"


def waitTCP(host: str) -> str:
    """
    :returns: the description by which our side waits on any port of a host.
    """
    kind = "tcp6" if ":" in host else "tcp"
    return f"transfer:passive:{kind}:port=0:interface={quote(host)}"


def dialTLS(port: int | str, trustRoots: Path) -> str:
    """
    :returns: the description by which our side dials over TLS, on this machine.
    """
    roots = quote(str(trustRoots))
    return f"transfer:active:tls:host=127.0.0.1:port={port}:trustRoots={roots}"


def waitTLS(certificate: Path, key: Path) -> str:
    """
    :returns: the description by which our side waits for a partner over TLS.
    """
    return (
        "transfer:passive:ssl:port=0:interface=127.0.0.1"
        f":privateKey={quote(str(key))}:certKey={quote(str(certificate))}"
    )
