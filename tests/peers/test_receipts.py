"""
Programs that know nothing of receipts, where a receipt was expected.

Nothing is stored of what they send, nothing of a file is sent to them, and what is
said has the option in it that makes it work.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.peers.processes import Program
from tests.peers.programs import command, freePort
from tests.peers.transfers import dialTCP, waitTCP, waitTLS
from tests.support.certificates import Authority
from tests.support.folders import newFolder, partOf

_HOST = "127.0.0.1"
# What is said with the first wrong byte, and where nothing comes.
_WRONG = r"^twisted-transfer: (the partner does not use receipts .*--raw)"
_SILENT = r"^twisted-transfer: (the partner has said nothing for 10 seconds.*--raw)"
_HINT = r"^twisted-transfer: (the partner uses receipts.*leave out --raw)"


class RawPartnerTestCase(TestCase):
    """A folder, and what one of the programs has to say."""

    # The greeting of a silent partner takes ten seconds of them.
    timeout = 100

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.source = self.folder / "source"
        self.content = os.urandom(200_000)
        self.source.write_bytes(self.content)

    def receiver(self, description: str, *options: str) -> Program:
        """Our side receives."""
        return command(
            self, self.folder, "receive", *options, str(self.target), description
        )

    def sender(self, description: str, *options: str) -> Program:
        """Our side sends."""
        return command(
            self, self.folder, "send", *options, str(self.source), description
        )

    def port(self, program: Program) -> Deferred[str]:
        """:returns: a Deferred with the port on which it listens."""
        return program.says(r"^listening on .*:(\d+)$")

    def run_(self, name: str, *words: str | Path, stdin: Path | None = None) -> Program:
        """Run a peer."""
        return Program(self, name, *words, folder=self.folder, stdin=stdin)

    async def assertFails(self, program: Program, said: str) -> None:
        """It ends with status 5 and these words, and there is no file."""
        await program.says(said)
        await program.endsWith(5)
        self.assertNotIn(b"Traceback", program.output)
        self.assertFalse(self.target.exists())
        self.assertFalse(partOf(self.target).exists())


@pytest.mark.needs("ncat")
class NcatTests(RawPartnerTestCase):
    """ncat over TCP."""

    async def test_sends(self) -> None:
        """It dials and sends a file: the first byte of it is wrong."""
        receiver = self.receiver(waitTCP(_HOST))
        self.run_("ncat", _HOST, await self.port(receiver), stdin=self.source)
        await self.assertFails(receiver, _WRONG)

    async def test_sendsWhenDialled(self) -> None:
        """It waits and sends a file."""
        port = freePort(_HOST)
        self.run_("ncat", "-l", _HOST, str(port), stdin=self.source)
        receiver = self.receiver(f"{dialTCP(_HOST, port)}:retryFor=20")
        await self.assertFails(receiver, _WRONG)

    async def test_text(self) -> None:
        """A person types and does not end the connection: the first line is enough."""
        receiver = self.receiver(waitTCP(_HOST))
        typist = self.run_("ncat", _HOST, await self.port(receiver))
        typist.write(b"hello?\n")
        await self.assertFails(receiver, _WRONG)

    async def test_nothing(self) -> None:
        """It sends nothing, and ends: it can be anybody."""
        receiver = self.receiver(waitTCP(_HOST))
        silent = self.run_("ncat", _HOST, await self.port(receiver))
        silent.write(b"", last=True)
        await self.assertFails(
            receiver, r"^twisted-transfer: (.*ended the connection before it sent)"
        )

    async def test_silent(self) -> None:
        """
        It says nothing and waits, beside a receiver and beside a sender, of whose
        file it gets nothing.
        """
        receiver = self.receiver(waitTCP(_HOST))
        sender = self.sender(waitTCP(_HOST))
        self.run_("ncat", _HOST, await self.port(receiver))
        taker = self.run_("ncat", _HOST, await self.port(sender))
        await self.assertFails(receiver, _SILENT)
        await self.assertFails(sender, _SILENT)
        taker.write(b"", last=True)
        await taker.ended()
        # It has got the signature, and Hello.
        self.assertTrue(taker.output.startswith(b"\x92twisted_transfer receipts"))
        self.assertLess(len(taker.output), 200)
        self.assertNotIn(self.content[:16], taker.output)


@pytest.mark.needs("curl")
class HTTPTests(RawPartnerTestCase):
    """curl, which talks first."""

    async def test_plain(self) -> None:
        """A request is no file, and curl is told nothing that it understands."""
        for side in (self.receiver, self.sender):
            ours = side(waitTCP(_HOST))
            url = f"http://{_HOST}:{await self.port(ours)}/"
            curl = self.run_("curl", "-sS", "--noproxy", "*", url)
            await self.assertFails(ours, _WRONG)
            self.assertNotEqual(await curl.ended(), 0)
            self.assertNotIn(self.content[:16], curl.output)

    async def test_upload(self) -> None:
        """Neither is an upload."""
        receiver = self.receiver(waitTCP(_HOST))
        url = f"http://{_HOST}:{await self.port(receiver)}/"
        curl = self.run_("curl", "-sS", "--noproxy", "*", "-T", self.source, url)
        await self.assertFails(receiver, _WRONG)
        self.assertNotEqual(await curl.ended(), 0)


class TLSTests(RawPartnerTestCase):
    """Programs that know nothing of receipts, over TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(newFolder(self))
        self.description = waitTLS(*self.authority.issue())
        self.roots = self.authority.trustRoots / "ca.pem"

    @pytest.mark.needs("curl")
    async def test_curl(self) -> None:
        """
        A request over HTTPS, of a client that does not say so by ALPN: with that
        Twisted's own TLS refuses it.
        """
        receiver = self.receiver(self.description)
        url = f"https://{_HOST}:{await self.port(receiver)}/"
        curl = self.run_(
            *("curl", "-sS", "--no-alpn", "--noproxy", "*"),
            *("--cacert", self.roots, url),
        )
        await self.assertFails(receiver, _WRONG)
        self.assertNotEqual(await curl.ended(), 0)

    @pytest.mark.needs("openssl")
    async def test_openssl(self) -> None:
        """A file from openssl s_client."""
        receiver = self.receiver(self.description)
        self.run_(
            *("openssl", "s_client", "-quiet", "-no_ign_eof", "-nocommands"),
            *("-CAfile", self.roots, "-verify_return_error"),
            *("-connect", f"{_HOST}:{await self.port(receiver)}"),
            stdin=self.source,
        )
        await self.assertFails(receiver, _WRONG)


class OurRawSideTests(RawPartnerTestCase):
    """One side gives --raw, and the other one does not."""

    async def test_rawSender(self) -> None:
        """Both say what to do, whichever side is passive."""
        for waits in ("sender", "receiver"):
            if waits == "receiver":
                receiver = self.receiver(waitTCP(_HOST))
                port = await self.port(receiver)
                sender = self.sender(dialTCP(_HOST, int(port)), "--raw")
            else:
                sender = self.sender(waitTCP(_HOST), "--raw")
                port = await self.port(sender)
                receiver = self.receiver(dialTCP(_HOST, int(port)))
            await self.assertFails(sender, _HINT)
            await self.assertFails(receiver, _WRONG)

    async def test_rawReceiver(self) -> None:
        """The receiver knows it at once, and the sender hears that it breaks off."""
        for waits in ("sender", "receiver"):
            if waits == "receiver":
                receiver = self.receiver(waitTCP(_HOST), "--raw")
                port = await self.port(receiver)
                sender = self.sender(dialTCP(_HOST, int(port)))
            else:
                sender = self.sender(waitTCP(_HOST))
                port = await self.port(sender)
                receiver = self.receiver(dialTCP(_HOST, int(port)), "--raw")
            await self.assertFails(receiver, _HINT)
            await self.assertFails(sender, r"^twisted-transfer: (.*--raw.*)")

    async def test_standardOutput(self) -> None:
        """Nothing of the signature goes to standard output, either."""
        sender = self.sender(waitTCP(_HOST))
        port = await self.port(sender)
        receiver = command(
            self, self.folder, "receive", "--raw", "-", dialTCP(_HOST, int(port))
        )
        await self.assertFails(receiver, _HINT)
        self.assertEqual(receiver.output, b"")
        await sender.endsWith(5)
