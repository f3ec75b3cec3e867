"""
``mtls`` with openssl, curl and tcl-tls: real programs, each side verifying the other.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.peers import transfers
from tests.peers.processes import Program, reactor
from tests.peers.programs import tclScript, twist
from tests.support.certificates import Authority
from tests.support.folders import newFolder
from twisted_transfer import (
    NotAdmitted,
    PeerRefused,
    TransferChannel,
    TransferConnector,
    Truncated,
)
from twisted_transfer.descriptions.strings import quote

_HOST = "127.0.0.1"
_CONTENT = b"It is for those who have proved who they are.\n"


class Party:
    """
    What one party needs: its identity, and the authority that it trusts.

    :ivar certificate: the path of its certificate.
    :ivar key: the path of its private key.
    :ivar roots: the path of the certificate of the authority.
    """

    def __init__(self, issuer: Authority, trusted: Authority, name: str) -> None:
        """
        :param issuer: vouches for this party.
        :param trusted: vouches for those whom this party accepts.
        :param name: of this party.
        """
        self.certificate, self.key = issuer.issue(name)
        self.roots = trusted.trustRoots / "ca.pem"

    def _options(self) -> str:
        return (
            f":certificate={quote(str(self.certificate))}"
            f":privateKey={quote(str(self.key))}:trustRoots={quote(str(self.roots))}"
        )

    def listen(self) -> str:
        """:returns: the server description by which it listens."""
        return f"mtls:port=0:interface={_HOST}{self._options()}"

    def passive(self) -> str:
        """:returns: the description by which it waits."""
        return f"transfer:passive:{self.listen()}"

    def active(self, port: int | str) -> str:
        """:returns: the description by which it dials this machine."""
        return f"transfer:active:mtls:host=localhost:port={port}{self._options()}"


class _PartiesTestCase(TestCase):
    """
    :ivar ours: our side.
    :ivar theirs: whom our side accepts, and who accepts it.
    :ivar stranger: of another authority; accepts our side all the same.
    """

    timeout = 60

    def setUp(self) -> None:
        self.folder = newFolder(self)
        authority, other = Authority(newFolder(self)), Authority(newFolder(self))
        self.ours = Party(authority, authority, "ours")
        self.theirs = Party(authority, authority, "theirs")
        self.stranger = Party(other, authority, "stranger")

    def connector(self, description: str) -> TransferConnector:
        """Make one in this process, that is closed with the test."""
        connector = TransferConnector.fromString(reactor, description)
        self.addCleanup(connector.close)
        return connector


@pytest.mark.needs("openssl")
class ClientTests(_PartiesTestCase):
    """openssl s_client dials our side."""

    def client(self, port: str, party: Party | None, source: Path | None) -> Program:
        """
        Run s_client.

        :param party: whose certificate it shows; None: it has none.
        :param source: what it sends; by default it only waits.
        """
        proof = ("-cert", party.certificate, "-key", party.key) if party else ()
        return Program(
            self,
            *("openssl", "s_client", "-quiet", "-no_ign_eof", "-nocommands"),
            *("-CAfile", self.theirs.roots, "-verify_return_error"),
            *("-verify_ip", _HOST, "-connect", f"{_HOST}:{port}", *proof),
            folder=self.folder,
            stdin=source,
        )

    async def waiting(self) -> tuple[TransferConnector, Deferred[TransferChannel], str]:
        """Let our side wait, and tell on which port it does."""
        connector = self.connector(self.ours.passive())
        connecting = connector.connect()
        address = await connector.whenListening()
        return connector, connecting, str(address.port)

    async def admitted(self, connecting: Deferred[TransferChannel], port: str) -> None:
        """The right client is admitted, and what it sends arrives."""
        source = self.folder / "source"
        source.write_bytes(_CONTENT)
        client = self.client(port, self.theirs, source)
        channel = await connecting
        self.assertEqual(b"".join([chunk async for chunk in channel]), _CONTENT)
        channel.loseConnection()
        await channel.whenClosed()
        await client.endsWith(0)

    async def turnedAway(self, party: Party | None) -> None:
        """A client is not admitted; the port stays open for the right one."""
        connector, connecting, port = await self.waiting()
        refused = self.client(port, party, None)
        await refused.endsWith(1)
        self.assertEqual(refused.output, b"")
        self.assertFalse(connecting.called)
        await self.admitted(connecting, port)
        candidates = connector.candidates
        assert candidates is not None
        self.assertEqual((candidates.accepted, candidates.admitted), (2, 1))
        self.assertEqual(sum(candidates.dropped.values()), 1)

    async def test_right(self) -> None:
        """A client with a certificate of our authority is admitted."""
        _, connecting, port = await self.waiting()
        await self.admitted(connecting, port)

    async def test_none(self) -> None:
        """A client without a certificate is turned away; the right one gets in."""
        await self.turnedAway(None)

    async def test_stranger(self) -> None:
        """A client of another authority is turned away; the right one gets in."""
        await self.turnedAway(self.stranger)


@pytest.mark.needs("openssl")
class ServerTests(_PartiesTestCase):
    """Our side dials an openssl s_server that requires a certificate."""

    async def server(self, party: Party, *options: str) -> tuple[Program, str]:
        """
        Run s_server for one connection.

        :param party: who it is.
        :returns: the program, which also writes which messages pass, and its port.
        """
        program = Program(
            self,
            *("openssl", "s_server", "-msg", "-naccept", "1"),
            *("-accept", f"{_HOST}:0", "-cert", party.certificate, "-key", party.key),
            *("-CAfile", party.roots, "-Verify", "1", "-verify_return_error"),
            *options,
            folder=self.folder,
        )
        return program, await program.says(r"^ACCEPT .*:(\d+)$")

    async def sent(self, server: Program, port: str) -> None:
        """Our side is accepted, and what it sends arrives."""
        channel = await self.connector(self.ours.active(port)).connect()
        channel.write(_CONTENT)
        channel.loseConnection()
        await channel.whenClosed()
        await server.endsWith(0)
        self.assertIn(_CONTENT, server.output)

    async def refused(self, *options: str) -> None:
        """Our side with a certificate of another authority is refused."""
        server, port = await self.server(self.theirs, *options)
        connecting = self.connector(self.stranger.active(port)).connect()
        with self.assertRaises(PeerRefused):
            await connecting
        await server.says(r"^(verify error):")

    async def test_right(self) -> None:
        """With a certificate of the server's authority there is a channel."""
        server, port = await self.server(self.theirs)
        await self.sent(server, port)
        self.assertIn(b"NewSessionTicket", server.output)

    async def test_noTickets(self) -> None:
        """
        A server that sends no tickets, and so does not show that it accepts our
        side, is waited for, and then there is a channel.
        """
        server, port = await self.server(self.theirs, "-num_tickets", "0")
        await self.sent(server, port)
        self.assertIn(b"CertificateVerify", server.output)
        self.assertNotIn(b"NewSessionTicket", server.output)

    async def test_tls12(self) -> None:
        """The right server is accepted over TLS 1.2, too."""
        server, port = await self.server(self.theirs, "-tls1_2")
        await self.sent(server, port)

    async def test_refused(self) -> None:
        """With a certificate of another authority there is no channel."""
        await self.refused()

    async def test_refusedWithoutTickets(self) -> None:
        """Nor is there one with a server that would send no tickets."""
        await self.refused("-num_tickets", "0")

    async def test_refusedTLS12(self) -> None:
        """Nor in TLS 1.2."""
        await self.refused("-tls1_2")

    async def test_stranger(self) -> None:
        """A server of another authority is not accepted by our side."""
        server, port = await self.server(self.stranger)
        connecting = self.connector(self.ours.active(port)).connect()
        with self.assertRaises(NotAdmitted):
            await connecting
        await server.ended()


@pytest.mark.needs("curl")
class WebTests(_PartiesTestCase):
    """curl and ``twist web``, which knows nothing of this library."""

    async def web(self) -> str:
        """Serve a page, and tell on which port."""
        site = self.folder / "site"
        site.mkdir()
        (site / "page.txt").write_bytes(_CONTENT)
        words = ("web", "--path", site, "--listen", self.ours.listen())
        web = twist(self, self.folder, *words)
        return await web.says(r"starting on (\d+)$")

    def curl(self, port: str, party: Party | None) -> Program:
        """
        Get the page.

        :param party: whose certificate it shows; None: it has none.
        """
        proof = ("--cert", party.certificate, "--key", party.key) if party else ()
        return Program(
            self,
            *("curl", "-sS", "--noproxy", "*", "--cacert", self.theirs.roots),
            *(*proof, f"https://{_HOST}:{port}/page.txt"),
            folder=self.folder,
        )

    async def answered(self, port: str) -> None:
        """The right client gets the page."""
        curl = self.curl(port, self.theirs)
        await curl.endsWith(0)
        self.assertEqual(curl.output, _CONTENT)

    async def unanswered(self, party: Party | None) -> None:
        """
        A client gets nothing, and the next, right one does.

        In TLS 1.3 curl learns of it when it reads the answer (exit status 56,
        curl(1)), since its own handshake is complete before.
        """
        port = await self.web()
        curl = self.curl(port, party)
        await curl.endsWith(56)
        self.assertEqual(curl.output, b"")
        await self.answered(port)

    async def test_right(self) -> None:
        """With the right certificate it gets the page, each time."""
        port = await self.web()
        await self.answered(port)
        await self.answered(port)

    async def test_none(self) -> None:
        """Without a certificate it gets nothing."""
        await self.unanswered(None)

    async def test_stranger(self) -> None:
        """With a certificate of another authority it gets nothing."""
        await self.unanswered(self.stranger)


class TclTLS:
    """tcllib over ``tls::socket``, which requires a certificate of each partner."""

    def __init__(self, ours: Party, theirs: Party) -> None:
        self._ours = ours
        self._options = (
            *("-certfile", str(theirs.certificate), "-keyfile", str(theirs.key)),
            *("-cafile", str(theirs.roots), "-require", "1"),
        )
        self.passive = ours.passive()

    async def waiting(
        self, case: TestCase, sends: bool, path: Path
    ) -> tuple[Program, str]:
        program = self._run(case, sends, path, "passive", "0")
        port = await program.says(r"^listening (\d+)$")
        return program, self._ours.active(port)

    def dialling(
        self, case: TestCase, sends: bool, path: Path, address: str, *options: str
    ) -> Program:
        return self._run(case, sends, path, "active", address, *options)

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
        words = (verb, mode, _HOST, port, str(path), *self._options, *options)
        return Program(case, *tclScript("transfer.tcl"), *words, folder=path.parent)


def _newTclTLS(case: TestCase) -> TclTLS:
    """Make one that accepts our side, and that our side accepts."""
    authority = Authority(newFolder(case))
    ours, theirs = (Party(authority, authority, name) for name in ("ours", "theirs"))
    return TclTLS(ours, theirs)


@pytest.mark.needs("tcllib", "tcl-tls")
class TclSendCommandTests(transfers.Sends):
    """The command sends to tcllib: that the receiver hangs up is a success."""

    side = transfers.Command

    def makePeer(self) -> TclTLS:
        return _newTclTLS(self)


@pytest.mark.needs("tcllib", "tcl-tls")
class TclSendInProcessTests(transfers.Sends):
    """A connector sends to tcllib: that the receiver hangs up is a success."""

    side = transfers.InProcess

    def makePeer(self) -> TclTLS:
        return _newTclTLS(self)


@pytest.mark.needs("tcllib", "tcl-tls")
class TclReceiveTests(_PartiesTestCase):
    """A connector receives from tcllib, and knows how much is to come."""

    def setUp(self) -> None:
        super().setUp()
        self.source = self.folder / "source"
        self.data = bytes(range(256)) * 2000
        self.source.write_bytes(self.data)
        self.peer = TclTLS(self.ours, self.theirs)

    async def received(self, channel: TransferChannel, sender: Program) -> None:
        """Read as much as there is to come; tcl-tls never says that it was all."""
        self.assertTrue(await channel.readExactly(len(self.data)) == self.data)
        with self.assertRaises(Truncated):
            await channel.read()
        with self.assertRaises(Truncated):
            await channel.whenClosed()
        await sender.endsWith(0)

    async def test_dialling(self) -> None:
        """Our side dials, and gets all of it."""
        sender, description = await self.peer.waiting(self, True, self.source)
        await self.received(await self.connector(description).connect(), sender)

    async def test_waiting(self) -> None:
        """Our side waits, and gets all of it."""
        connector = self.connector(self.peer.passive)
        connecting = connector.connect()
        address = await connector.whenListening()
        port = str(address.port)
        # In TLS 1.3 our side sends session tickets, which a Tcl that only sends
        # does not read: its close then is a reset, which may overtake the data.
        sender = self.peer.dialling(self, True, self.source, port, "-tls1.3", "0")
        await self.received(await connecting, sender)

    async def test_refused(self) -> None:
        """tcl-tls refuses our side with a certificate of another authority."""
        refusing = TclTLS(self.stranger, self.theirs)
        target = self.folder / "target"
        _, description = await refusing.waiting(self, False, target)
        connecting = self.connector(description).connect()
        with self.assertRaises(PeerRefused):
            await connecting
