"""
Raw transfers with tcllib over the real tcl-tls.

It never sends a close_notify (tried: 1.7.22, on close and on unimport).  So what
it sends is known to be whole only to a receiver that knows how much it is; but a
receiver may be content with what it gets.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.trial.unittest import TestCase

from tests.peers import transfers
from tests.peers.processes import Program, reactor
from tests.peers.programs import command, tclScript
from tests.peers.transfers import dialTLS, waitTLS
from tests.support.certificates import Authority
from tests.support.folders import newFolder
from twisted_transfer import TransferChannel, TransferConnector, Truncated

pytestmark = pytest.mark.needs("tcllib", "tcl-tls")

_HOST = "127.0.0.1"


class TclTLS:
    """``transfer::transmitter`` and ``transfer::receiver`` with ``tls::socket``."""

    def __init__(self, authority: Authority) -> None:
        self._roots = authority.trustRoots
        certificate, key = authority.issue()
        self.passive = waitTLS(certificate, key)
        self._client = ("-cafile", str(self._roots / "ca.pem"), "-require", "1")
        # The server has a certificate, the client needs none.
        files = ("-certfile", str(certificate), "-keyfile", str(key))
        self._server = (*files, "-require", "0")

    async def waiting(
        self, case: TestCase, sends: bool, path: Path
    ) -> tuple[Program, str]:
        program = self._run(case, sends, path, "passive", "0", *self._server)
        return program, dialTLS(await program.says(r"^listening (\d+)$"), self._roots)

    def dialling(
        self, case: TestCase, sends: bool, path: Path, address: str, *options: str
    ) -> Program:
        client = (*self._client, *options)
        return self._run(case, sends, path, "active", address, *client)

    def _run(
        self,
        case: TestCase,
        sends: bool,
        path: Path,
        mode: str,
        port: str,
        *options: str,
    ) -> Program:
        verb = "send" if sends else "receive"
        words = (verb, mode, _HOST, port, str(path), *options)
        return Program(case, *tclScript("transfer.tcl"), *words, folder=path.parent)


class SendCommandTests(transfers.Sends):
    """The command sends: that the receiver hangs up at the end is a success."""

    side = transfers.Command

    def makePeer(self) -> TclTLS:
        return TclTLS(Authority(newFolder(self)))


class SendInProcessTests(transfers.Sends):
    """A connector sends: that the receiver hangs up at the end is a success."""

    side = transfers.InProcess

    def makePeer(self) -> TclTLS:
        return TclTLS(Authority(newFolder(self)))


class ReceiveTests(TestCase):
    """Our side receives."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.source = newFolder(self) / "source"
        self.target = self.folder / "target"
        self.data = bytes(range(256)) * 2000
        self.source.write_bytes(self.data)
        self.peer = TclTLS(Authority(newFolder(self)))

    def command(self, description: str, *options: str) -> Program:
        """Run the command."""
        raw = ("receive", "--raw", *options)
        return command(self, self.folder, *raw, self.target, description)

    async def truncated(self, ours: Program) -> None:
        """There is neither the file nor a part of it: exit status 5."""
        await ours.endsWith(5)
        self.assertEqual(list(self.folder.iterdir()), [])

    async def test_commandDialling(self) -> None:
        """The command dials; it cannot know that it has everything."""
        peer, description = await self.peer.waiting(self, True, self.source)
        await self.truncated(self.command(description))
        await peer.endsWith(0)

    async def test_commandWaiting(self) -> None:
        """The command waits; it cannot know that it has everything."""
        ours = self.command(self.peer.passive)
        port = await ours.says(r"^listening on .*:(\d+)$")
        peer = self.peer.dialling(self, True, self.source, port)
        await self.truncated(ours)
        await peer.endsWith(0)

    async def test_accepting(self) -> None:
        """The command is told to be content with what it gets."""
        peer, description = await self.peer.waiting(self, True, self.source)
        await self.command(description, "--accept-unclosed").endsWith(0)
        await peer.endsWith(0)
        self.assertTrue(self.target.read_bytes() == self.data)

    async def test_size(self) -> None:
        """The command is told how much it is."""
        ours = self.command(self.peer.passive, f"--size={len(self.data)}")
        port = await ours.says(r"^listening on .*:(\d+)$")
        # See test_knownSizeWaiting.
        peer = self.peer.dialling(self, True, self.source, port, "-tls1.3", "0")
        await ours.endsWith(0)
        await peer.endsWith(0)
        self.assertTrue(self.target.read_bytes() == self.data)

    async def received(self, channel: TransferChannel, peer: Program) -> None:
        """Read as much as there is to come, and see that the end is not in order."""
        self.assertTrue(await channel.readExactly(len(self.data)) == self.data)
        with self.assertRaises(Truncated):
            await channel.read()
        with self.assertRaises(Truncated):
            await channel.whenClosed()
        await peer.endsWith(0)

    async def test_knownSizeDialling(self) -> None:
        """A connector that dials and knows how much is to come gets all of it."""
        peer, description = await self.peer.waiting(self, True, self.source)
        connector = TransferConnector.fromString(reactor, description)
        await self.received(await connector.connect(), peer)

    async def test_knownSizeWaiting(self) -> None:
        """A connector that waits and knows how much is to come gets all of it."""
        connector = TransferConnector.fromString(reactor, self.peer.passive)
        connecting = connector.connect()
        address = await connector.whenListening()
        port = str(address.port)
        # In TLS 1.3 our side sends session tickets, which a Tcl that only sends
        # does not read: its close then is a reset, which may overtake the data.
        peer = self.peer.dialling(self, True, self.source, port, "-tls1.3", "0")
        await self.received(await connecting, peer)
