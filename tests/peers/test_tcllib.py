"""
Raw transfers and text with the original: tcllib's package transfer.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.trial.unittest import TestCase

from tests.peers import transfers
from tests.peers.processes import Program, reactor
from tests.peers.programs import command, tclScript
from tests.peers.transfers import dialTCP
from tests.support.folders import newFolder
from twisted_transfer import TransferChannel, TransferConnector
from twisted_transfer.descriptions.strings import quote

pytestmark = pytest.mark.needs("tcllib")

_HOST = "127.0.0.1"


class Tcllib:
    """``transfer::transmitter`` and ``transfer::receiver``."""

    passive = "transfer:passive:port=0"

    async def waiting(
        self, case: TestCase, sends: bool, path: Path
    ) -> tuple[Program, str]:
        program = self._run(case, sends, "passive", "0", path)
        return program, dialTCP(_HOST, await program.says(r"^listening (\d+)$"))

    def dialling(
        self, case: TestCase, sends: bool, path: Path, address: str
    ) -> Program:
        return self._run(case, sends, "active", address, path)

    def _run(
        self, case: TestCase, sends: bool, mode: str, port: str, path: Path
    ) -> Program:
        verb = "send" if sends else "receive"
        words = (verb, mode, _HOST, port, str(path))
        return Program(case, *tclScript("transfer.tcl"), *words, folder=path.parent)


class CommandTests(transfers.Transfers):
    """The command and tcllib."""

    side = transfers.Command

    def makePeer(self) -> Tcllib:
        return Tcllib()


class InProcessTests(transfers.Transfers):
    """A connector and tcllib."""

    side = transfers.InProcess

    def makePeer(self) -> Tcllib:
        return Tcllib()


class EndTests(TestCase):
    """A tcllib that ends badly."""

    timeout = 60

    async def test_killedSender(self) -> None:
        """
        A sender that is killed ends the connection just as one that has sent
        everything: raw over TCP that cannot be told apart, so the receiver has
        the beginning of the data, and success.
        """
        folder = newFolder(self)
        target = folder / "target"
        words = (*tclScript("transfer.tcl"), "send", "passive", _HOST, "0", "-")
        peer = Program(self, *words, folder=folder)
        port = await peer.says(r"^listening (\d+)$")
        ours = command(self, folder, "receive", "--raw", target, dialTCP(_HOST, port))
        await ours.says(r"^(connected) to")
        data = bytes(range(256)) * 4096
        await peer.feed(data)
        peer.kill()
        await ours.endsWith(0)
        received = target.read_bytes()
        self.assertTrue(received)
        self.assertTrue(data.startswith(received))


class TextTests(TestCase):
    """
    Text settings in our description, and the same ones as options of
    ``transfer::connect``.
    """

    timeout = 60

    def setUp(self) -> None:
        self.folder = newFolder(self)

    def tcl(self, *words: str) -> Program:
        """Run the script."""
        return Program(self, *tclScript("text.tcl"), *words, folder=self.folder)

    async def close(self, channel: TransferChannel) -> None:
        """Close a connection whose end has to be an orderly one."""
        channel.loseConnection()
        await channel.whenClosed()

    async def test_tclWrites(self) -> None:
        """
        What Tcl writes in its encoding, with its newlines and its end-of-file
        character, is read as the text that it was.
        """
        text = "Жили-были\nщи\n\nи плющ"
        peer = self.tcl(
            *("write", "passive", _HOST, "0", text.encode().hex()),
            *("-encoding", "koi8-r", "-translation", "cr", "-eofchar", r"\x1a"),
        )
        port = await peer.says(r"^listening (\d+)$")
        settings = f"encoding=koi8-r:translation=cr:eofChar={quote(chr(26))}"
        description = f"{dialTCP(_HOST, port)}:{settings}"
        connector = TransferConnector.fromString(reactor, description)
        channel = await connector.connect()
        self.assertEqual("".join([chunk async for chunk in channel]), text)
        await self.close(channel)
        await peer.endsWith(0)

    async def test_tclReads(self) -> None:
        """
        What is written is read by Tcl as the text that it was, up to the
        end-of-file character that a close puts behind it.
        """
        text = "いろはにほへと\nちりぬるを\n\nわかよたれそ"
        settings = f"encoding=shiftjis:translation=crlf:eofChar={quote(chr(26))}"
        description = f"transfer:passive:port=0:{settings}"
        connector = TransferConnector.fromString(reactor, description)
        connecting = connector.connect()
        address = await connector.whenListening()
        peer = self.tcl(
            *("read", "active", _HOST, str(address.port), ""),
            *("-encoding", "shiftjis", "-translation", "crlf", "-eofchar", r"\x1a"),
        )
        channel = await connecting
        channel.write(text)
        await self.close(channel)
        read = await peer.says("^read (.*)$")
        self.assertEqual(bytes.fromhex(read).decode(), text)
        await peer.endsWith(0)
