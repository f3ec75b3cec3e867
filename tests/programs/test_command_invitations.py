"""
The command without a description: it invites its partner.
"""

from __future__ import annotations

import ipaddress
import os
import pty
import re
import shlex
import signal
import subprocess
from pathlib import Path

from tests.programs.test_command_processes import ProcessTestCase
from tests.support.programs import COMMAND, TWIST, Program, dial, until


def partner(program: Program) -> list[str]:
    """:returns: the words of the command that is shown to be pasted."""
    first = program.line("partner: ")
    program.hears("paste that when asked")
    return shlex.split(first)


def secretOf(words: list[str]) -> str:
    """:returns: the secret in a command."""
    found = re.search(r":secret=([\w-]{43})$", words[-1])
    assert found is not None
    return found[1]


class InvitationTests(ProcessTestCase):
    """Whoever waits shows the command that the partner pastes."""

    def paste(self, words: list[str], path: Path | str) -> Program:
        """Type a command as it was shown, but for the path."""
        name, *options, _path, description = words
        self.assertEqual(name, "twisted-transfer")
        return Program(self, [*options, str(path), description])

    def test_receiverWaits(self) -> None:
        """The command that it shows reaches it."""
        source, content = self.file(300_000)
        receiver = Program(self, ["receive", "--raw", str(self.target)])
        words = partner(receiver)
        self.assertEqual(words[:4], ["twisted-transfer", "send", "--raw", "target"])
        sender = self.paste(words, source)
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)

    def test_senderWaits(self) -> None:
        """It may be the sender that waits."""
        source, content = self.file(300_000)
        sender = Program(self, ["send", "--raw", str(source)])
        words = partner(sender)
        self.assertEqual(words[:4], ["twisted-transfer", "receive", "--raw", "source"])
        receiver = self.paste(words, self.target)
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)

    def test_otherAddresses(self) -> None:
        """It names all addresses, of which each leads there, whatever the others do."""
        source, content = self.file(1000)
        receiver = Program(self, ["receive", "--raw", str(self.target)])
        *words, description = partner(receiver)
        found = re.search(r"host=((?:[^:\\]|\\.)+)", description)
        assert found is not None
        self.assertNotIn("or:", receiver.said)
        for hosts in found[1].split(","):
            ipaddress.ip_address(hosts.replace("\\", ""))
        # Nobody listens there.
        last = f"127.0.0.9,{found[1].split(',')[-1]}"
        sender = self.paste([*words, description.replace(found[1], last)], source)
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)

    def test_stranger(self) -> None:
        """Who has no invitation is no partner, and uses nothing up."""
        source, content = self.file(1000)
        receiver = Program(self, ["receive", "--raw", str(self.target)])
        port = receiver.port()
        words = partner(receiver)
        stranger = dial(self, port)
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while stranger.recv(4096):
            pass
        sender = self.paste(words, source)
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)

    def test_quiet(self) -> None:
        """Quiet it says nothing else, for nobody could come without that."""
        source, _ = self.file(1000)
        receiver = Program(self, ["receive", "--raw", "-q", str(self.target)])
        line = receiver.line("partner: ")
        sender = self.paste(shlex.split(line), source)
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        for said in receiver.said.splitlines():
            self.assertRegex(said, "^(partner|or): ")

    def test_secrets(self) -> None:
        """
        The secret is in the lines that are to be pasted, and nowhere else: not
        in the log, and in nothing that other users of the machine can see.
        """
        source, content = self.file(1000)
        receiver = Program(
            self, ["receive", "--raw", "--verbose", str(self.target)], environment={}
        )
        words = partner(receiver)
        secret = secretOf(words)
        invitation = self.folder / "invitation"
        invitation.write_text(f"'{words[-1]}'\n")
        sender = Program(
            self,
            ["send", "--raw", "--verbose", str(source), f"@{invitation}"],
            environment={},
        )
        # It ends as soon as it has connected, so it is stopped before that.
        sender.process.send_signal(signal.SIGSTOP)
        for program in (sender, receiver):
            file = Path(f"/proc/{program.process.pid}/cmdline")
            until(file.read_bytes, "the new program")
            commandLine = file.read_bytes()
            self.assertIn(b"--verbose", commandLine)
            self.assertNotIn(secret.encode(), commandLine)
        sender.process.send_signal(signal.SIGCONT)
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertIn("partner admitted", receiver.said)
        elsewhere = [
            line
            for line in receiver.said.splitlines()
            if not re.match("(partner|or): ", line)
        ]
        self.assertNotIn(secret, "\n".join(elsewhere))
        self.assertNotIn(secret, sender.said)
        self.assertEqual(self.target.read_bytes(), content)

    def test_pasted(self) -> None:
        """On a terminal the description is asked for."""
        source, content = self.file(1000)
        receiver = Program(self, ["receive", "--raw", str(self.target)])
        words = partner(receiver)
        keyboard, terminal = pty.openpty()
        self.addCleanup(os.close, keyboard)
        sender = Program(self, ["send", "--raw", str(source), "-"], stdin=terminal)
        os.close(terminal)
        sender.hears("description: ")
        os.write(keyboard, f"{shlex.quote(words[-1])}\n".encode())
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)

    def test_twist(self) -> None:
        """A service, whose words go to a log, makes no invitation."""
        for description in ([], ["transfer:passive:mtls:port=0"]):
            program = Program(
                self,
                ["transfer", "receive", "--raw", str(self.target), *description],
                command=TWIST,
                stdout=subprocess.DEVNULL,
            )
            self.assertEqual(program.end(), 2)
            self.assertNothingStored()

    def test_help(self) -> None:
        """The help says so."""
        for command in ("send", "receive"):
            said = subprocess.run(
                [*COMMAND, command, "--help"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            self.assertRegex(said, r"\[options\] PATH\S*\|- \[DESCRIPTION\]")
            self.assertIn("Without DESCRIPTION it waits", said)
