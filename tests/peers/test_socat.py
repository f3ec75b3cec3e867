"""
Raw transfers with socat.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.trial.unittest import TestCase

from tests.peers import transfers
from tests.peers.processes import Program
from tests.peers.programs import command
from tests.peers.transfers import dialTCP, waitTCP
from tests.support.folders import newFolder
from twisted_transfer.descriptions.strings import quote

pytestmark = pytest.mark.needs("socat")


def socat(
    case: TestCase, path: Path, sends: bool, address: str, *words: str
) -> Program:
    """
    Run socat between a file and an address of its own syntax (socat(1)).

    ``-d -d`` lets it say where it listens.
    """
    file = f"FILE:{path}" if sends else f"CREATE:{path}"
    both = (file, address) if sends else (address, file)
    return Program(case, "socat", "-d", "-d", "-u", *words, *both, folder=path.parent)


class TCPSocat:
    """socat over TCP."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.passive = waitTCP(host)
        self._bracketed = f"[{host}]" if ":" in host else host
        self._kind = "TCP6" if ":" in host else "TCP4"

    async def waiting(
        self, case: TestCase, sends: bool, path: Path
    ) -> tuple[Program, str]:
        address = f"{self._kind}-LISTEN:0,bind={self._bracketed}"
        program = socat(case, path, sends, address)
        port = await program.says(r"listening on .*:(\d+)$")
        return program, dialTCP(self._host, port)

    def dialling(
        self, case: TestCase, sends: bool, path: Path, address: str
    ) -> Program:
        return socat(case, path, sends, f"{self._kind}:{self._bracketed}:{address}")


class UNIXSocat:
    """socat over a UNIX socket."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "socket"
        self.passive = f"transfer:passive:unix:{quote(str(self._socket))}"

    async def waiting(
        self, case: TestCase, sends: bool, path: Path
    ) -> tuple[Program, str]:
        program = socat(case, path, sends, f"UNIX-LISTEN:{self._socket}")
        await program.says(r"(listening on)")
        return program, f"transfer:active:unix:path={quote(str(self._socket))}"

    def dialling(
        self, case: TestCase, sends: bool, path: Path, address: str
    ) -> Program:
        return socat(case, path, sends, f"UNIX-CONNECT:{address}")


class CommandTests(transfers.Transfers):
    """The command and socat, over IPv4."""

    side = transfers.Command

    def makePeer(self) -> TCPSocat:
        return TCPSocat("127.0.0.1")


class InProcessTests(transfers.Transfers):
    """A connector and socat, over IPv4."""

    side = transfers.InProcess

    def makePeer(self) -> TCPSocat:
        return TCPSocat("127.0.0.1")


class IPv6CommandTests(transfers.Receives):
    """The command receives from socat, over IPv6."""

    side = transfers.Command

    def makePeer(self) -> TCPSocat:
        return TCPSocat("::1")


class UNIXCommandTests(transfers.Transfers):
    """The command and socat, over a UNIX socket."""

    side = transfers.Command

    def makePeer(self) -> UNIXSocat:
        return UNIXSocat(self.folder)


class EndTests(TestCase):
    """A socat that ends badly."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.path = self.folder / "file"

    async def socat(self, first: str, second: str) -> tuple[Program, str]:
        """:returns: one that waits, and the description by which to dial it."""
        words = ("socat", "-d", "-d", "-u", first, second)
        program = Program(self, *words, folder=self.folder)
        port = await program.says(r"listening on .*:(\d+)$")
        return program, dialTCP("127.0.0.1", port)

    async def killedSender(self, address: str, status: int) -> bytes:
        """
        Kill a socat that is sending.

        :param address: where it listens.
        :param status: the exit status that our side owes then.
        :returns: what it had been given to send until then.
        """
        program, description = await self.socat("STDIN", address)
        ours = command(self, self.folder, "receive", "--raw", self.path, description)
        await ours.says(r"^(connected) to")
        data = bytes(range(256)) * 4096
        await program.feed(data)
        program.kill()
        await ours.endsWith(status)
        return data

    async def test_killedSender(self) -> None:
        """
        A sender that is killed ends the connection just as one that has sent
        everything: raw over TCP that cannot be told apart, so the receiver has
        the beginning of the data, and success.
        """
        data = await self.killedSender("TCP4-LISTEN:0,bind=127.0.0.1", 0)
        received = self.path.read_bytes()
        self.assertTrue(received)
        self.assertTrue(data.startswith(received))

    async def test_resettingSender(self) -> None:
        """
        A connection that ends with a reset is truncated: exit status 5, and
        neither the file nor a part of it.
        """
        await self.killedSender("TCP4-LISTEN:0,bind=127.0.0.1,linger=0", 5)
        self.assertEqual(list(self.folder.iterdir()), [])

    async def test_killedReceiver(self) -> None:
        """A receiver that is killed before it has everything: exit status 5."""
        with self.path.open("wb") as file:
            # More than all buffers on the way can hold.
            file.truncate(128 * 1024 * 1024)
        program, description = await self.socat(
            "TCP4-LISTEN:0,bind=127.0.0.1", "STDOUT"
        )
        ours = command(self, self.folder, "send", "--raw", self.path, description)
        await program.began
        program.kill()
        await ours.endsWith(5)
