"""
Raw transfers over TLS with openssl s_server and s_client, and with socat.

Each side that dials verifies the certificate of the other one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.peers import transfers
from tests.peers.processes import Program
from tests.peers.programs import command, freePort
from tests.peers.transfers import dialTLS, waitTLS
from tests.support.certificates import Authority
from tests.support.folders import newFolder

_HOST = "127.0.0.1"


class TLSPeer:
    """What both programs have in common."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.certificate, self.key = authority.issue()
        self.roots = authority.trustRoots / "ca.pem"
        self.passive = waitTLS(self.certificate, self.key)

    def description(self, port: int | str) -> str:
        """:returns: the description by which our side dials it."""
        return dialTLS(port, self.authority.trustRoots)


class OpenSSL(TLSPeer):
    """openssl s_server and s_client."""

    async def waiting(
        self, case: TestCase, sends: bool, path: Path
    ) -> tuple[Program, str]:
        program, description = self.server(case, path.parent, None if sends else path)
        if sends:
            data = path.read_bytes()
            self.accepted(program).addCallback(
                lambda ignored: program.write(data, last=True)
            )
        return program, description

    def server(
        self, case: TestCase, folder: Path, target: Path | None = None
    ) -> tuple[Program, str]:
        """
        Run s_server for one connection.

        It must not be given anything to send before the connection is there: it
        may then wait for something to receive as well, and does not go on.

        :param target: where it writes what it receives.
        """
        # Told to be quiet it says nothing of its port either.  Otherwise it would
        # take single letters in the data for commands.
        port = freePort(_HOST)
        program = Program(
            case,
            *("openssl", "s_server", "-quiet", "-state", "-naccept", "1"),
            *("-accept", f"{_HOST}:{port}"),
            *("-cert", self.certificate, "-key", self.key),
            folder=folder,
            stdout=target,
        )
        return program, f"{self.description(port)}:retryFor=20"

    def accepted(self, server: Program) -> Deferred[str]:
        """:returns: a Deferred that fires when an s_server can be written to."""
        return server.says(r"^SSL_accept:.*(read finished)")

    def dialling(
        self, case: TestCase, sends: bool, path: Path, address: str
    ) -> Program:
        source, target = (path, None) if sends else (None, path)
        return self.client(case, path.parent, address, source, target)

    def client(
        self,
        case: TestCase,
        folder: Path,
        port: str,
        source: Path | None = None,
        target: Path | None = None,
        roots: Path | None = None,
    ) -> Program:
        """
        Run s_client.

        :param port: which port of this machine it dials.
        :param source: what it sends, up to its end; by default what it is told.
        :param target: where it writes what it receives.
        :param roots: whom it trusts, if that is not the authority of all.
        """
        return Program(
            case,
            *("openssl", "s_client", "-quiet", "-no_ign_eof", "-nocommands"),
            *("-CAfile", roots or self.roots),
            *("-verify_return_error", "-verify_ip", _HOST),
            *("-connect", f"{_HOST}:{port}"),
            folder=folder,
            stdin=source,
            stdout=target,
        )


class SocatTLS(TLSPeer):
    """socat with OPENSSL-LISTEN and OPENSSL."""

    async def waiting(
        self, case: TestCase, sends: bool, path: Path
    ) -> tuple[Program, str]:
        file = f"FILE:{path}" if sends else f"CREATE:{path}"
        return await self.listening(case, path.parent, sends, file)

    async def listening(
        self, case: TestCase, folder: Path, sends: bool, file: str
    ) -> tuple[Program, str]:
        """Run socat between a file, in its own syntax, and a port."""
        address = (
            f"OPENSSL-LISTEN:0,bind={_HOST},verify=0"
            f",cert={self.certificate},key={self.key}"
        )
        program = self._run(case, folder, sends, file, address)
        return program, self.description(await program.says(r"listening on .*:(\d+)$"))

    def dialling(
        self, case: TestCase, sends: bool, path: Path, address: str
    ) -> Program:
        file = f"FILE:{path}" if sends else f"CREATE:{path}"
        there = f"OPENSSL:{_HOST}:{address},cafile={self.roots}"
        return self._run(case, path.parent, sends, file, there)

    def _run(
        self, case: TestCase, folder: Path, sends: bool, file: str, address: str
    ) -> Program:
        both = (file, address) if sends else (address, file)
        return Program(case, "socat", "-d", "-d", "-u", *both, folder=folder)


@pytest.mark.needs("openssl")
class OpenSSLCommandTests(transfers.Transfers):
    """The command and openssl."""

    side = transfers.Command

    def makePeer(self) -> OpenSSL:
        return OpenSSL(Authority(newFolder(self)))


@pytest.mark.needs("openssl")
class OpenSSLInProcessTests(transfers.Transfers):
    """A connector and openssl."""

    side = transfers.InProcess

    def makePeer(self) -> OpenSSL:
        return OpenSSL(Authority(newFolder(self)))


@pytest.mark.needs("socat")
class SocatCommandTests(transfers.Transfers):
    """The command and socat."""

    side = transfers.Command

    def makePeer(self) -> SocatTLS:
        return SocatTLS(Authority(newFolder(self)))


def unread(port: int) -> int:
    """
    :param port: of a socket of this machine, connected at 127.0.0.1.
    :returns: how many bytes wait to be read from it, as /proc/net/tcp has it.
    """
    host = "0100007F" if sys.byteorder == "little" else "7F000001"
    for row in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        words = row.split()
        if words[1] == f"{host}:{port:04X}":
            return int(words[4].partition(":")[2], 16)
    return 0


@pytest.mark.needs("openssl", "socat")
class EndTests(TestCase):
    """Partners that end without TLS's close_notify, or before it begins."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.authority = Authority(newFolder(self))
        self.openssl = OpenSSL(self.authority)

    def receive(self, description: str) -> Program:
        """Run the command."""
        return command(self, self.folder, "receive", "--raw", self.target, description)

    async def killed(self, sender: Program, ours: Program) -> None:
        """Kill a sender: there is neither the file nor a part of it."""
        await ours.says(r"^(connected) to")
        await sender.feed(bytes(1024 * 1024))
        sender.kill()
        await ours.endsWith(5)
        self.assertEqual(list(self.folder.iterdir()), [])

    async def test_killedServer(self) -> None:
        """An s_server that is killed while it sends: exit status 5."""
        sender, description = self.openssl.server(self, self.folder)
        ours = self.receive(description)
        await self.openssl.accepted(sender)
        await self.killed(sender, ours)

    async def test_killedClient(self) -> None:
        """An s_client that is killed while it sends: exit status 5."""
        ours = self.receive(self.openssl.passive)
        port = await ours.says(r"^listening on .*:(\d+)$")
        await self.killed(self.openssl.client(self, self.folder, port), ours)

    async def test_killedSocat(self) -> None:
        """A socat that is killed while it sends: exit status 5."""
        socat = SocatTLS(self.authority)
        sender, description = await socat.listening(self, self.folder, True, "STDIN")
        await self.killed(sender, self.receive(description))

    async def test_accepted(self) -> None:
        """
        The end of an s_client that is killed after it has sent everything is one that
        can be accepted.
        """
        ours = command(
            self,
            self.folder,
            *("receive", "--raw", "-", f"{self.openssl.passive}:acceptUnclosed=yes"),
        )
        port = await ours.says(r"^listening on .*:(\d+)$")
        sender = self.openssl.client(self, self.folder, port)
        peer = await ours.says(r"^connected to .*:(\d+)$")
        sender.write(b"first\nlast\n")
        await ours.says(r"^(last)$")
        # What it has not read, as session tickets, would make its end a reset.
        while unread(int(peer)):
            await deferLater(reactor, 0.005)
        sender.kill()
        await ours.endsWith(0)
        self.assertEqual(ours.output, b"first\nlast\n")

    async def test_unknownAuthority(self) -> None:
        """
        A server whose certificate is of an authority that our side does not
        trust gets nothing.  It may not be the partner, who is dialled again until the
        time is over: exit status 3, since this server has ended.
        """
        source = self.folder / "source"
        source.write_bytes(b"secret")
        other = OpenSSL(Authority(newFolder(self)))
        other.authority = self.authority  # whom our side trusts
        server, description = other.server(self, self.folder)
        description = description.replace("retryFor=20", "retryFor=3")
        ours = command(self, self.folder, "send", "--raw", source, description)
        await ours.endsWith(3)
        await server.ended()
        self.assertEqual(server.output, b"")

    async def test_clientThatRefuses(self) -> None:
        """
        A client that does not accept our certificate is not the partner: our
        side waits on, and the next one is.
        """
        source = self.folder / "source"
        source.write_bytes(b"for the partner")
        ours = command(self, self.folder, "send", "--raw", source, self.openssl.passive)
        port = await ours.says(r"^listening on .*:(\d+)$")
        roots = Authority(newFolder(self)).trustRoots / "ca.pem"
        refusing = self.openssl.client(self, self.folder, port, roots=roots)
        self.assertEqual(await refusing.ended(), 1)
        self.assertEqual(refusing.output, b"")
        partner = self.openssl.client(self, self.folder, port)
        await ours.endsWith(0)
        await partner.endsWith(0)
        self.assertEqual(partner.output, b"for the partner")
