"""
The command with receipts, in processes of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.programs.test_command_invitations import partner
from tests.programs.test_command_processes import _MUCH, _WAIT, ProcessTestCase, _dial
from tests.support.folders import leavePart
from tests.support.programs import TWIST, Program, until
from tests.support.relays import Relay

_RATE = r"in \d+\.\d\d s(, \d+(\.\d)? [KMG]?i?B/s)?"


class MovingTests(ProcessTestCase):
    """Files arrive as they were, and both sides know it."""

    def test_senderDials(self) -> None:
        """The receiver waits; both say that it is stored."""
        source, content = self.file(3_000_000)
        receiver = Program(self, ["receive", str(self.target), _WAIT])
        port = receiver.port()
        sender = Program(self, ["send", str(source), _dial(port)])
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)
        self.assertFalse(self.part.exists())
        self.assertRegex(
            receiver.said,
            rf"\Alistening on 127\.0\.0\.1:{port}\n"
            r"partner: twisted-transfer send target "
            rf"transfer:active:tcp:host=127\.0\.0\.1:port={port}\n"
            r"connected to 127\.0\.0\.1:\d+\n"
            rf"received source: 3000000 bytes {_RATE}; stored\n\Z",
        )
        self.assertRegex(
            sender.said,
            rf"\Aconnected to 127\.0\.0\.1:{port}\n"
            rf"sent source: 3000000 bytes {_RATE}; stored by the partner\n\Z",
        )

    def test_receiverDials(self) -> None:
        """The sender waits."""
        source, content = self.file(3_000_000)
        sender = Program(self, ["send", str(source), _WAIT])
        receiver = Program(self, ["receive", str(self.target), _dial(sender.port())])
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)
        self.assertIn("; stored by the partner\n", sender.said)

    def test_pasted(self) -> None:
        """The command that one side shows is what the other one needs."""
        for sends in (False, True):
            source, content = self.file(100_000)
            words = ["send", str(source)] if sends else ["receive", str(self.target)]
            first = Program(self, words)
            name, *shown = partner(first)
            self.assertEqual(name, "twisted-transfer")
            self.assertNotIn("--raw", shown)
            shown[1] = str(self.target if sends else source)
            second = Program(self, shown)
            self.assertEqual((first.end(), second.end()), (0, 0))
            self.assertEqual(self.target.read_bytes(), content)
            self.target.unlink()

    def test_several(self) -> None:
        """Several files go into a folder, by their names; one may be empty."""
        files = [self.file(size, f"file {size}") for size in (1_000_000, 0, 10)]
        inbox = self.folder / "inbox"
        inbox.mkdir()
        receiver = Program(self, ["receive", str(inbox), _WAIT])
        paths = [str(path) for path, _ in files]
        sender = Program(self, ["send", *paths, _dial(receiver.port())])
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(len(os.listdir(inbox)), 3)
        for path, content in files:
            self.assertEqual((inbox / path.name).read_bytes(), content)
        for program, done in ((sender, "sent"), (receiver, "received")):
            self.assertEqual(
                re.findall(rf"^{done} (.*?): (\d+) bytes .*stored", program.said, re.M),
                [(path.name, str(len(content))) for path, content in files],
            )

    def test_sha256(self) -> None:
        """The receiver shows the SHA-256 of what it has stored, if that is wanted."""
        source, content = self.file(3_000_000)
        inbox = self.folder / "inbox"
        inbox.mkdir()
        sha256 = hashlib.sha256(content).hexdigest()
        raw: list[str]
        for raw, path, stored in (
            ([], self.target, self.target),
            ([], inbox, inbox / "source"),
            (["--raw", "--force"], self.target, self.target),
        ):
            words = ["receive", "--sha256", *raw, str(path), _WAIT]
            receiver = Program(self, words)
            dial = _dial(receiver.port())
            sender = Program(self, ["send", *raw[:1], str(source), dial])
            self.assertEqual((sender.end(), receiver.end()), (0, 0))
            last = receiver.said.splitlines()[-1]
            self.assertEqual(last, f"SHA-256 of {stored}: {sha256}")

    def test_streams(self) -> None:
        """
        Standard input and output pass while they are read, and the receipt says
        how many bytes it were.
        """
        content = os.urandom(500_000)
        receiver = Program(self, ["receive", "-", _WAIT])
        sender = Program(
            self, ["send", "-", _dial(receiver.port())], stdin=subprocess.PIPE
        )
        assert sender.process.stdin is not None
        assert receiver.process.stdout is not None
        for start in range(0, 500_000, 50_000):
            # Each piece passes before there is an end of file behind it.
            piece = content[start : start + 50_000]
            sender.process.stdin.write(piece)
            sender.process.stdin.flush()
            self.assertEqual(receiver.process.stdout.read(50_000), piece)
        sender.process.stdin.close()
        self.assertEqual(receiver.out(), b"")
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertIn("received 500000 bytes in ", receiver.said)
        self.assertIn("sent 500000 bytes in ", sender.said)

    def test_streamIntoFile(self) -> None:
        """A stream can become a file, and a file a stream."""
        source, content = self.file(300_000)
        receiver = Program(self, ["receive", str(self.target), _WAIT])
        with source.open("rb") as stdin:
            sender = Program(self, ["send", "-", _dial(receiver.port())], stdin=stdin)
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)
        receiver = Program(self, ["receive", "-", _WAIT])
        sender = Program(self, ["send", str(source), _dial(receiver.port())])
        self.assertEqual(receiver.out(), content)
        self.assertEqual((sender.end(), receiver.end()), (0, 0))

    def test_quiet(self) -> None:
        """``--quiet`` leaves nothing but errors."""
        source, _ = self.file(1000)
        receiver = Program(self, ["receive", str(self.target), _WAIT])
        sender = Program(self, ["send", "-q", str(source), _dial(receiver.port())])
        self.assertEqual((sender.end(), sender.said), (0, ""))
        self.assertEqual(receiver.end(), 0)

    def test_twist(self) -> None:
        """``twist transfer`` does the same, and tells its log."""
        source, content = self.file(100_000)
        receiver = Program(
            self, ["transfer", "receive", str(self.target), _WAIT], command=TWIST
        )
        sender = Program(
            self,
            ["transfer", "send", str(source), _dial(receiver.port())],
            command=TWIST,
        )
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)
        self.assertIn("; stored by the partner\n", sender.said)

    def test_bars(self) -> None:
        """
        On a terminal each file has a bar of its own, or all that are sent have one; it
        makes way for the line of each, and is wiped out at the end.
        """
        paths = [str(self.file(_MUCH // 3, name)[0]) for name in ("one", "two")]
        inbox = self.folder / "inbox"
        inbox.mkdir()
        look: dict[str, Any] = {"terminal": True, "environment": {"TERM": "xterm"}}
        receiver = Program(self, ["receive", str(inbox), _WAIT], **look)
        sender = Program(self, ["send", *paths, _dial(receiver.port())], **look)
        programs = (receiver, sender)
        for program in programs:
            self.assertEqual(program.end(), 0, program.said)
        for number, name in enumerate(("one", "two")):
            for program, label, done, begin in (
                (receiver, f"receiving {name}", "received", 0),
                (sender, f"sending {number + 1} of 2: {name}", "sent", 50 * number),
            ):
                bars = re.findall(rf"{label}:+ +(\d+)%\|", program.said)
                # There is a bar from the first byte on.
                self.assertEqual(int(bars[0]), begin)
                self.assertRegex(
                    program.said, rf"{label}:+ +\d+%\|.*?\r +\r{done} {name}: "
                )
        for program, done in ((receiver, "received"), (sender, "sent")):
            self.assertRegex(
                program.said, rf"[\r\n]{done} 2 files: \d+ bytes in .*\s\Z"
            )


class GoingOnTests(ProcessTestCase):
    """What was interrupted is gone on with."""

    def interrupted(self, receiver: bool) -> tuple[Path, bytes, int]:
        """
        Ctrl-C at one side in the middle of a transfer.

        :param receiver: at which side.
        :returns: the source, its content, and how much of it has arrived.
        """
        source, content = self.file(_MUCH)
        relay = Relay(self)
        receiving = Program(self, ["receive", str(self.target), _WAIT])
        sending = Program(self, ["send", str(source), _dial(relay.port)])
        relay.connect(receiving.port())
        relay.forward(_MUCH // 2)
        until(lambda: self.part.stat().st_size > 0, "the part")
        here, there = (receiving, sending) if receiver else (sending, receiving)
        here.process.send_signal(signal.SIGINT)
        relay.forward()
        self.assertEqual((here.end(), there.end()), (130, 5))
        self.assertInWords(there)
        self.assertEqual(there.said.count("(cancelled)"), 1, there.said)
        self.assertNotIn("twisted-transfer: ", here.said)
        kept = "kept is" if receiver else "the partner keeps"
        said = f"{kept} what has come, and the same commands go on from there"
        self.assertIn(said, here.said)
        self.assertFalse(self.target.exists())
        arrived = self.part.read_bytes()
        self.assertEqual(content[: len(arrived)], arrived)
        self.assertEqual(self.part.stat().st_mode & 0o777, 0o600)
        self.assertGreater(len(arrived), 0)
        self.assertLess(len(arrived), _MUCH)
        return source, content, len(arrived)

    def again(self, source: Path, *options: str) -> tuple[Program, Program]:
        """Try once more, and succeed."""
        receiver = Program(self, ["receive", *options, str(self.target), _WAIT])
        sender = Program(self, ["send", str(source), _dial(receiver.port())])
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertFalse(self.part.exists())
        return sender, receiver

    def test_receiverInterrupted(self) -> None:
        """Ctrl-C at the receiver: the sender knows, and the rest comes later."""
        source, content, before = self.interrupted(True)
        for program in self.again(source):
            self.assertIn(f", after the {before} of an earlier try", program.said)
            self.assertIn(f" {_MUCH - before} bytes in ", program.said)
        self.assertEqual(self.target.read_bytes(), content)

    def test_senderInterrupted(self) -> None:
        """Ctrl-C at the sender: the receiver knows, and the rest comes later."""
        source, content, before = self.interrupted(False)
        for program in self.again(source):
            self.assertIn(f", after the {before} of an earlier try", program.said)
        self.assertEqual(self.target.read_bytes(), content)

    def test_changed(self) -> None:
        """If it is another file by then, all of it is sent."""
        source, _, _ = self.interrupted(True)
        content = os.urandom(1000)
        source.write_bytes(content)
        for program in self.again(source):
            self.assertNotIn("earlier", program.said)
        self.assertEqual(self.target.read_bytes(), content)

    def test_nobodyCame(self) -> None:
        """A try to which nobody comes leaves what there is."""
        source, content = self.file(1000)
        leavePart(self.target, content[:600])
        waiting = Program(self, ["receive", str(self.target), f"{_WAIT}:within=0.2"])
        self.assertEqual(waiting.end(), 3)
        self.assertEqual(self.part.read_bytes(), content[:600])
        waiting = Program(self, ["receive", str(self.target), _WAIT])
        waiting.line("partner: ")
        waiting.process.send_signal(signal.SIGINT)
        self.assertEqual(waiting.end(), 130)
        self.assertEqual(self.part.read_bytes(), content[:600])
        for program in self.again(source):
            self.assertIn(", after the 600 of an earlier try", program.said)

    def test_forced(self) -> None:
        """With ``--force`` what is there is replaced, and a part gone on with."""
        source, content = self.file(1000)
        self.target.write_bytes(b"old")
        leavePart(self.target, content[:600])
        for program in self.again(source, "--force"):
            self.assertIn(", after the 600 of an earlier try", program.said)
        self.assertEqual(self.target.read_bytes(), content)

    def test_bar(self) -> None:
        """A bar begins where the earlier try has ended."""
        source, content = self.file(8_000_000)
        leavePart(self.target, content[:6_000_000])
        receiver = Program(self, ["receive", str(self.target), _WAIT])
        sender = Program(
            self,
            ["send", str(source), _dial(receiver.port())],
            terminal=True,
            environment={"TERM": "xterm"},
        )
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        bars = re.findall(r"sending source:+ +(\d+)%\|", sender.said)
        self.assertEqual(bars[0], "75")


class RefusedTests(ProcessTestCase):
    """Status 4: the receiver does not want it, and says so."""

    def refused(self, receiver: list[str], *paths: Path) -> tuple[str, str]:
        """:returns: what the receiver says, and what the sender says."""
        receiving = Program(self, ["receive", *receiver, _WAIT])
        sending = Program(self, ["send", *map(str, paths), _dial(receiving.port())])
        self.assertEqual((sending.end(), receiving.end()), (4, 6))
        for program in (sending, receiving):
            self.assertInWords(program)
        self.assertNotIn(str(self.folder), sending.said)
        return receiving.said, sending.said

    def test_maxSize(self) -> None:
        """It has more bytes than are wanted; both are told the number."""
        source, _ = self.file(10_241)
        for said in self.refused(["--max-size=10K", str(self.target)], source):
            self.assertIn("10240 bytes", said)
            self.assertIn("--max-size", said)
        self.assertNothingStored()

    def test_maxSizeOfStream(self) -> None:
        """Of a stream that shows when too much has come."""
        receiving = Program(
            self, ["receive", "--max-size=10K", str(self.target), _WAIT]
        )
        sending = Program(
            self, ["send", "-", _dial(receiving.port())], stdin=subprocess.PIPE
        )
        assert sending.process.stdin is not None
        sending.process.stdin.write(bytes(10_240))
        sending.process.stdin.flush()
        until(lambda: self.part.stat().st_size == 10_240, "the part")
        self.assertIsNone(receiving.process.poll())
        sending.process.stdin.write(b"x")
        sending.process.stdin.flush()
        # It has not come to the end of its input, and ends nevertheless.
        self.assertEqual((sending.end(), receiving.end()), (4, 6))
        self.assertIn("too-large", sending.said)
        self.assertNothingStored()

    def test_justNotTooLarge(self) -> None:
        """As many as allowed are allowed."""
        source, content = self.file(10_240)
        receiver = Program(self, ["receive", "--max-size=10K", str(self.target), _WAIT])
        sender = Program(self, ["send", str(source), _dial(receiver.port())])
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)

    def test_existsInFolder(self) -> None:
        """There is such a file in the folder; it is as it was."""
        source, _ = self.file(100, "plan")
        inbox = self.folder / "inbox"
        inbox.mkdir()
        (inbox / "plan").write_bytes(b"precious")
        here, there = self.refused([str(inbox)], source)
        self.assertIn("--force", here)
        self.assertIn("--force", there)
        self.assertEqual((inbox / "plan").read_bytes(), b"precious")
        self.assertEqual(os.listdir(inbox), ["plan"])

    def test_goneOnBehind(self) -> None:
        """
        Files that an earlier try has stored are good, if they are the same: so a
        transfer of several goes on behind them.
        """
        folder = self.folder / "in"
        folder.mkdir()
        first, content = self.file(100_000, "first")
        second, more = self.file(200_000, "second")
        (folder / "first").write_bytes(content)
        leavePart(folder / "second", more[:150_000])
        receiver = Program(self, ["receive", str(folder), _WAIT])
        sender = Program(
            self, ["send", str(first), str(second), _dial(receiver.port())]
        )
        self.assertEqual((sender.end(), receiver.end()), (0, 0), sender.said)
        self.assertEqual((folder / "second").read_bytes(), more)
        self.assertIn("sent first: 100000 bytes", sender.said)
        self.assertEqual((folder / "first").read_bytes(), content)
        self.assertIn("sent second: 50000 bytes", sender.said)

    def test_otherInFolder(self) -> None:
        """One that is other than what is there exists, and both sides say so."""
        folder = self.folder / "in"
        folder.mkdir()
        first, _ = self.file(1000, "first")
        (folder / "first").write_bytes(bytes(1000))
        receiver = Program(self, ["receive", str(folder), _WAIT])
        sender = Program(self, ["send", str(first), _dial(receiver.port())])
        self.assertEqual((sender.end(), receiver.end()), (4, 6))
        self.assertIn("(exists)", sender.said)
        self.assertIn("exists", receiver.said)
        self.assertEqual((folder / "first").read_bytes(), bytes(1000))

    def test_existsByNow(self) -> None:
        """Somebody else has made one meanwhile; it stays, and so does all that came."""
        receiving = Program(self, ["receive", str(self.target), _WAIT])
        sending = Program(
            self, ["send", "-", _dial(receiving.port())], stdin=subprocess.PIPE
        )
        assert sending.process.stdin is not None
        sending.process.stdin.write(b"data")
        sending.process.stdin.flush()
        until(lambda: self.part.stat().st_size == 4, "the part")
        self.target.write_bytes(b"precious")
        sending.process.stdin.close()
        self.assertEqual((sending.end(), receiving.end()), (4, 6))
        self.assertIn("exists by now", receiving.said)
        self.assertIn("(exists)", sending.said)
        self.assertEqual(self.target.read_bytes(), b"precious")
        self.assertIn(f"is kept in {self.part}", receiving.said)
        self.assertEqual(self.part.read_bytes(), b"data")

    def test_severalIntoFile(self) -> None:
        """Several files need a folder."""
        paths = [self.file(10, name)[0] for name in ("one", "two")]
        for said in self.refused([str(self.target)], *paths):
            self.assertIn("folder", said)
        self.assertFalse(self.part.exists())

    def test_hostileName(self) -> None:
        """A link in the folder is not followed, with ``--force`` neither."""
        source, _ = self.file(10, "plan")
        inbox = self.folder / "inbox"
        inbox.mkdir()
        (self.folder / "precious").write_bytes(b"precious")
        (inbox / "plan").symlink_to(self.folder / "precious")
        here, _there = self.refused(["--force", str(inbox)], source)
        self.assertIn("symbolic link", here)
        self.assertEqual((self.folder / "precious").read_bytes(), b"precious")
        self.assertEqual(os.listdir(inbox), ["plan"])

    def test_noName(self) -> None:
        """A stream has no name for a folder."""
        inbox = self.folder / "inbox"
        inbox.mkdir()
        receiving = Program(self, ["receive", str(inbox), _WAIT])
        sending = Program(self, ["send", "-", _dial(receiving.port())])
        self.assertEqual((sending.end(), receiving.end()), (4, 6))
        self.assertIn("path of a file", receiving.said)
        self.assertEqual(os.listdir(inbox), [])


class SameTests(ProcessTestCase):
    """Two that want to do the same."""

    def test_twoSenders(self) -> None:
        """Both hear that the other one sends as well."""
        source, _ = self.file(10)
        one = Program(self, ["send", str(source), _WAIT])
        two = Program(self, ["send", str(source), _dial(one.port())])
        self.assertEqual((one.end(), two.end()), (5, 5))
        for program in (one, two):
            self.assertIn("the partner sends as well", program.said)

    def test_twoReceivers(self) -> None:
        """Nothing is stored where nobody sends."""
        one = Program(self, ["receive", str(self.target), _WAIT])
        other = self.folder / "other"
        two = Program(self, ["receive", str(other), _dial(one.port())])
        self.assertEqual((one.end(), two.end()), (5, 5))
        self.assertNothingStored()
        self.assertFalse(other.exists())
