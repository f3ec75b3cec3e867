"""
The command over ``mtls``: who is refused hears it, with exit status 4, nothing
is stored, and secrets are seen by nobody.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from tests.peers.processes import Program
from tests.support.folders import newFolder
from tests.support.mtlsends import identityFiles
from tests.support.programs import COMMAND, ROOT
from twisted_transfer import TransferConnector
from twisted_transfer.tls.keys import Identity, Secret

reactor: Any = _reactor

_REFUSED = 4
_USAGE = 2


def changed(description: str, option: str, value: str) -> str:
    """:returns: the description with another value of an option."""
    text, count = re.subn(f"{option}=[^:]*", f"{option}={value}", description)
    assert count == 1
    return text


def secretOf(description: str) -> str:
    """:returns: the secret in a description."""
    found = re.search("secret=([^:]*)", description)
    assert found is not None
    return found[1]


def commandLines() -> bytes:
    """:returns: what everybody on this machine sees of all its processes."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes() + b"\n"
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return found


class Command(Program):
    """
    ``twisted-transfer`` in a process of its own.

    :ivar said: what it has said on standard error.
    """

    def __init__(self, case: TestCase, folder: Path, *words: str | Path) -> None:
        self.said = ""
        path = os.pathsep.join(
            filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])
        )
        super().__init__(
            case,
            *COMMAND,
            *words,
            folder=folder,
            environment={"PYTHONPATH": path},
        )

    def errReceived(self, data: bytes) -> None:
        """It has said something."""
        self.said += data.decode(errors="replace")
        super().errReceived(data)

    def commandLine(self) -> bytes:
        """:returns: its own command line, as everybody sees it."""
        assert self._process.pid is not None
        return Path(f"/proc/{self._process.pid}/cmdline").read_bytes()


class CommandTestCase(TestCase):
    """What these tests have in common."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.source = self.folder / "source"
        self.content = os.urandom(100_000)
        self.source.write_bytes(self.content)
        self.target = self.folder / "target"

    def run_(self, *words: str | Path) -> Command:
        """Start the command."""
        return Command(self, self.folder, *words)

    def send(self, description: str) -> Command:
        """Start sending."""
        return self.run_("send", "--raw", self.source, description)

    def receive(self, description: str) -> Command:
        """Start receiving."""
        return self.run_("receive", "--raw", self.target, description)

    def assertNothingStored(self) -> None:
        """There is nothing but what was there before."""
        self.assertEqual([path.name for path in self.folder.glob("target*")], [])

    async def assertRefused(self, command: Command, *secrets: str) -> str:
        """
        It ends with the exit status of those who are refused.

        :param secrets: what it is not to say.
        :returns: its words.
        """
        await command.endsWith(_REFUSED)
        *before, last = command.said.splitlines()
        self.assertRegex(last, r"\Atwisted-transfer: ")
        # While it tries again, it says so once.
        for line in before:
            self.assertRegex(line, r"\Athere is no connection with the partner yet")
        self.assertLess(len(before), 2)
        self.assertNotIn("Traceback", command.said)
        for secret in secrets:
            self.assertNotIn(secret, command.said)
        return command.said


class PartnerLineTests(CommandTestCase):
    """The line that a port with certificates prints for the partner."""

    async def test_mtls(self) -> None:
        """It leads to a transfer with the partner's own files in its placeholders."""
        ours, theirs = Identity.ephemeral(), Identity.ephemeral()
        certificate, key = identityFiles(self.folder, ours, "ours")
        waiting = self.receive(
            f"transfer:passive:mtls:port=0:interface=127.0.0.1:pin={theirs.pin}:"
            f"certificate={certificate}:privateKey={key}"
        )
        description = await waiting.says("partner: .* '?(transfer:[^\\s']+)")
        await waiting.says("(CERTIFICATE and KEY)")
        placeholders = "certificate=CERTIFICATE:privateKey=KEY"
        self.assertIn(placeholders, description)
        certificate, key = identityFiles(self.folder, theirs, "theirs")
        filled = f"certificate={certificate}:privateKey={key}"
        await self.send(description.replace(placeholders, filled)).endsWith(0)
        await waiting.endsWith(0)
        self.assertEqual(self.target.read_bytes(), self.content)


class InvitationTests(CommandTestCase):
    """A partner with an invitation, with a part of it, or with an old one."""

    def setUp(self) -> None:
        super().setUp()
        self.connector = TransferConnector.fromString(
            reactor, "transfer:passive:mtls:port=0:interface=127.0.0.1"
        )

    async def invite(self) -> tuple[Deferred[Any], str]:
        """Wait for the next partner; it gets the invitation."""
        waiting = self.connector.connect()
        self.addCleanup(self.giveUp, waiting)
        return waiting, await self.connector.invitation(host="127.0.0.1")

    async def giveUp(self, waiting: Deferred[Any]) -> None:
        """Wait no longer."""
        waiting.addErrback(lambda failure: failure.trap(CancelledError))
        await self.connector.close()

    async def receives(self, waiting: Deferred[Any]) -> None:
        """What the partner sends arrives here."""
        channel = await waiting
        self.assertEqual(await channel.readExactly(len(self.content)), self.content)
        self.assertEqual(await channel.read(1), b"")
        channel.loseConnection()
        await channel.whenClosed()

    async def sends(self, waiting: Deferred[Any]) -> None:
        """What is sent from here arrives at the partner."""
        channel = await waiting
        channel.write(self.content)
        channel.loseConnection()
        await channel.whenClosed()

    async def refusesAll(self, wrong: dict[str, str]) -> None:
        """Whoever dials so is refused, sending and receiving."""
        for words, description in wrong.items():
            for start in (self.send, self.receive):
                said = await self.assertRefused(
                    start(description), secretOf(description)
                )
                self.assertRegex(said, words)
                self.assertNothingStored()

    async def test_strangers(self) -> None:
        """
        A wrong secret and a wrong pin; the partner comes after them, and the
        data of nobody else.
        """
        waiting, invitation = await self.invite()
        await self.refusesAll(
            {
                "refused": changed(invitation, "secret", Secret.fresh().text),
                "none of those": changed(invitation, "pin", Identity.ephemeral().pin),
            }
        )
        self.assertFalse(waiting.called)
        sender = self.send(invitation)
        await self.receives(waiting)
        await sender.endsWith(0)
        counters = self.connector.candidates
        assert counters is not None
        self.assertEqual((counters.accepted, counters.admitted), (5, 1))

    async def test_oldSecret(self) -> None:
        """
        A secret that was used, and one to which nobody came, with the pin and
        the port of today.
        """
        waiting, used = await self.invite()
        sender = self.send(used)
        await self.receives(waiting)
        await sender.endsWith(0)
        waiting, unused = await self.invite()
        await self.giveUp(waiting)
        waiting, invitation = await self.invite()
        for old in (used, unused):
            await self.refusesAll(
                {"refused": changed(invitation, "secret", secretOf(old))}
            )
        self.assertFalse(waiting.called)
        receiver = self.receive(invitation)
        await self.sends(waiting)
        await receiver.endsWith(0)
        self.assertEqual(self.target.read_bytes(), self.content)

    async def test_secretFromFile(self) -> None:
        """
        ``@FILE`` keeps the secret from those who list the processes, and it is
        not in the log.
        """
        waiting, invitation = await self.invite()
        file = self.folder / "invitation"
        file.write_text(f"{invitation}\n")
        receiver = self.run_("receive", "--raw", "-v", self.target, f"@{file}")
        await self.stealthy(receiver, waiting, invitation)

    async def test_secretFromStandardInput(self) -> None:
        """``-`` does so, too."""
        waiting, invitation = await self.invite()
        receiver = self.run_("receive", "--raw", "-v", self.target, "-")
        receiver.write(f"{invitation}\n".encode())
        await self.stealthy(receiver, waiting, invitation)

    async def stealthy(
        self, receiver: Command, waiting: Deferred[Any], invitation: str
    ) -> None:
        """It receives, and while it does so its secret is not to be seen."""
        channel = await waiting
        secret = secretOf(invitation)
        # It is there, for it has nothing to store yet.
        self.assertIn(b"receive", receiver.commandLine())
        self.assertNotIn(secret.encode(), commandLines())
        channel.write(self.content)
        channel.loseConnection()
        await channel.whenClosed()
        await receiver.endsWith(0)
        self.assertEqual(self.target.read_bytes(), self.content)
        # The log was there to be read.
        self.assertIn("connected to", receiver.said)
        self.assertNotIn(secret, receiver.said)
        self.assertNotIn("Traceback", receiver.said)

    async def test_refusedVerbosely(self) -> None:
        """The log of one who is refused has no secret in it, either."""
        _, invitation = await self.invite()
        wrong = changed(invitation, "secret", Secret.fresh().text)
        file = self.folder / "invitation"
        file.write_text(wrong)
        sender = self.run_("send", "--raw", "--verbose", self.source, f"@{file}")
        await sender.endsWith(_REFUSED)
        self.assertIn("refused", sender.said)
        for secret in (secretOf(wrong), secretOf(invitation)):
            self.assertNotIn(secret, sender.said)

    async def test_mistakes(self) -> None:
        """
        What is wrong with a description is said without its secret, also
        where that is what is wrong.
        """
        _, invitation = await self.invite()
        secret = secretOf(invitation)
        file = self.folder / "invitation"
        for wrong, words in (
            (f"{invitation}:nonsense=1", "nonsense"),
            (invitation.replace(":mtls:", ":mtsl:"), "mtsl"),
            (invitation.replace(":active:", ":passive:"), "secret"),
            (changed(invitation, "secret", secret[:-1]), "secret"),
            (changed(invitation, "secret", secret + "A"), "secret"),
            (f"{invitation}:secret={secret}", "give it once"),
            (re.sub(":pin=[^:]*", "", invitation), "pin"),
            (invitation.removeprefix("transfer:active:"), "transfer"),
        ):
            file.write_text(wrong)
            command = self.send(f"@{file}")
            await command.endsWith(_USAGE)
            self.assertIn(words, command.said)
            self.assertNotIn("Traceback", command.said)
            self.assertNotIn(secret[:-1], command.said)


class Party:
    """
    One party whose key is in files.

    :ivar pin: the pin of its key.
    :ivar options: the options that name the files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        identity = Identity.ephemeral()
        certificate, key = identityFiles(folder, identity, name)
        self.pin = identity.pin
        self.options = f":certificate={certificate}:privateKey={key}"


class PinTests(CommandTestCase):
    """Both sides are commands, over a UNIX socket, and have keys in files."""

    def setUp(self) -> None:
        super().setUp()
        self.keys = newFolder(self)
        self.server, self.client, self.other = (
            Party(self.keys, name) for name in ("server", "client", "other")
        )
        path = self.keys / "socket"
        self.passive = (
            rf"transfer:passive:mtls:endpoint=unix\:{path}"
            f"{self.server.options}:pin={self.client.pin}"
        )
        self.socket = rf"endpoint=unix\:{path}"

    def dial(self, party: Party, pin: str | None = None, seconds: int = 20) -> str:
        """:returns: how somebody dials, for so long as nobody is there or refuses."""
        return (
            f"transfer:active:mtls:host=localhost:port=1:{self.socket}"
            f"{party.options}:pin={pin or self.server.pin}:retryFor={seconds}"
        )

    async def test_receiverWaits(self) -> None:
        """Those who are refused store nothing, and the partner comes after them."""
        receiver = self.receive(self.passive)
        await receiver.says("listening on (.*)")
        for wrong in (
            self.dial(self.other, seconds=1),
            self.dial(self.client, self.other.pin, seconds=1),
            self.dial(self.server, seconds=1),
        ):
            await self.assertRefused(self.send(wrong))
            self.assertFalse(self.target.exists())
        sender = self.send(self.dial(self.client))
        await sender.endsWith(0)
        await receiver.endsWith(0)
        self.assertEqual(self.target.read_bytes(), self.content)

    async def test_senderWaits(self) -> None:
        """Those who are refused get nothing, and the partner all of it."""
        sender = self.send(self.passive)
        await sender.says("listening on (.*)")
        for wrong in (
            self.dial(self.other, seconds=1),
            self.dial(self.client, self.other.pin, seconds=1),
            self.dial(self.server, seconds=1),
        ):
            await self.assertRefused(self.receive(wrong))
            self.assertNothingStored()
        receiver = self.receive(self.dial(self.client))
        await receiver.endsWith(0)
        await sender.endsWith(0)
        self.assertEqual(self.target.read_bytes(), self.content)

    async def test_nothingToSend(self) -> None:
        """
        One who dials and gets an empty file has got it: it is not taken for a
        refusal that the other side says nothing and closes.
        """
        self.source.write_bytes(b"")
        sender = self.send(self.passive)
        receiver = self.receive(self.dial(self.client))
        await receiver.endsWith(0)
        await sender.endsWith(0)
        self.assertEqual(self.target.read_bytes(), b"")
