"""
Real faults in the middle of transfers with receipts, with the command in processes
of its own: both sides hear of them, and no target is touched.
"""

from __future__ import annotations

import ctypes
import os
import pty
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tests.programs.test_command_processes import _MUCH, _WAIT, ProcessTestCase, _dial
from tests.support.folders import partOf
from tests.support.programs import Program, dropPrivileges, listener, until
from tests.support.relays import Relay

# unshare(2) and mount(2)
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000


def fileSizeLimit(most: int) -> Callable[[], None]:
    """:returns: what lets no file of a process have more bytes than that."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    return limit


def smallDisk(place: Path) -> Callable[[], None]:
    """:returns: what mounts one at that place, which no other process sees."""
    uid, gid = os.getuid(), os.getgid()

    def mount() -> None:
        libc = ctypes.CDLL(None, use_errno=True)

        def check(result: int) -> None:
            if result != 0:
                raise OSError(ctypes.get_errno(), "unshare or mount")

        check(libc.unshare(_CLONE_NEWNS | (_CLONE_NEWUSER if uid else 0)))
        if uid:
            # Who is not root has to be it in a user namespace of its own.
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        check(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
        check(libc.mount(b"none", os.fsencode(place), b"tmpfs", 0, b"size=256k"))

    return mount


class FaultTestCase(ProcessTestCase):
    """Two programs, and what becomes of both."""

    def setUp(self) -> None:
        super().setUp()
        self.inbox = self.folder / "inbox"
        self.inbox.mkdir()

    def assertEnds(self, program: Program, status: int, *said: str) -> None:
        """The program ends so, and its last line says why."""
        self.assertEqual(program.end(), status, program.said)
        self.assertNotIn("Traceback", program.said)
        last = program.said.splitlines()[-1]
        self.assertTrue(last.startswith("twisted-transfer: "), program.said)
        for text in said:
            self.assertIn(text, last)

    def fed(self, *words: str) -> tuple[Program, Program]:
        """
        :param words: the options of the receiver, and where it goes.
        :returns: the receiver, of which the part has 4 bytes, and the sender,
            which waits for more on its standard input.
        """
        receiver = Program(self, ["receive", *words, _WAIT])
        sender = Program(
            self, ["send", "-", _dial(receiver.port())], stdin=subprocess.PIPE
        )
        self.feed(sender, b"data")
        part = partOf(words[-1])
        until(lambda: part.stat().st_size == 4, "the part")
        return receiver, sender

    def feed(self, sender: Program, data: bytes, last: bool = False) -> None:
        """Write to its standard input."""
        assert sender.process.stdin is not None
        sender.process.stdin.write(data)
        sender.process.stdin.flush()
        if last:
            sender.process.stdin.close()

    def halfWay(self, *sources: Path) -> tuple[Program, Program, Relay]:
        """:returns: receiver, sender, and what is between them and waits."""
        relay = Relay(self)
        target = self.inbox if len(sources) > 1 else self.target
        receiver = Program(self, ["receive", str(target), _WAIT])
        sender = Program(self, ["send", *map(str, sources), _dial(relay.port)])
        relay.connect(receiver.port())
        relay.forward(_MUCH // 3)
        return receiver, sender, relay


class StoringTests(FaultTestCase):
    """The receiver cannot store it: status 6 there, and 5 at the sender."""

    def assertNotStored(
        self,
        here: str,
        there: str,
        *words: str,
        setUp: Callable[[], object] | None = None,
        stdout: int | IO[Any] = subprocess.PIPE,
    ) -> bytes:
        """
        A file is sent to a receiver that cannot store it.

        :param here: what the receiver says.
        :param there: what the sender says.
        :param words: the options of the receiver, and where it goes.
        :param setUp: is called in the receiver before.
        :param stdout: its standard output.
        :returns: the file.
        """
        source, content = self.file(1_000_000)
        receiver = Program(self, ["receive", *words, _WAIT], setUp=setUp, stdout=stdout)
        sender = Program(self, ["send", str(source), _dial(receiver.port())])
        self.assertEnds(sender, 5, "(storing)", there)
        self.assertEnds(receiver, 6, here)
        self.assertNotIn(str(self.folder), sender.said)
        return content

    def test_fullDevice(self) -> None:
        """A device has no room."""
        full = "No space left on device"
        with open("/dev/full", "wb") as device:
            self.assertNotStored(full, full, "-", stdout=device)

    def test_fullDisk(self) -> None:
        """A disk has no room for what does not say how much it is."""
        source, _ = self.file(1_000_000)
        words = ["receive", str(self.inbox / "target"), _WAIT]
        receiver = Program(self, words, setUp=smallDisk(self.inbox))
        with subprocess.Popen(["cat", source], stdout=subprocess.PIPE) as cat:
            assert cat.stdout is not None
            sender = Program(
                self, ["send", "-", _dial(receiver.port())], stdin=cat.stdout
            )
        full = "No space left on device"
        self.assertEnds(sender, 5, "(storing)", full)
        self.assertEnds(receiver, 6, full)
        self.assertEqual(os.listdir(self.inbox), [])

    def test_noRoom(self) -> None:
        """A file that a disk has no room for is refused before it is sent."""
        source, _ = self.file(1_000_000)
        words = ["receive", str(self.inbox / "target"), _WAIT]
        receiver = Program(self, words, setUp=smallDisk(self.inbox))
        sender = Program(self, ["send", str(source), _dial(receiver.port())])
        self.assertEnds(sender, 4, "(too-large)", "disk has no room", "make room")
        self.assertEnds(receiver, 6, "has 1000000 bytes", "make room")
        self.assertNotIn(str(self.folder), sender.said)

    def test_limit(self) -> None:
        """
        A file may not grow any more.  An older target is as it was, and what has
        come is there for the next try, which needs only the rest.
        """
        large = "File too large"
        words = ("--force", str(self.target))
        self.target.write_bytes(b"precious")
        limit = fileSizeLimit(400_000)
        content = self.assertNotStored(large, large, *words, setUp=limit)
        self.assertEqual(self.target.read_bytes(), b"precious")
        self.assertEqual(self.part.read_bytes(), content[:400_000])
        receiver = Program(self, ["receive", *words, _WAIT])
        source = self.folder / "source"
        sender = Program(self, ["send", str(source), _dial(receiver.port())])
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertIn(" 600000 bytes in ", receiver.said)
        self.assertIn(", after the 400000 of an earlier try", receiver.said)
        self.assertEqual(self.target.read_bytes(), content)
        self.assertFalse(self.part.exists())

    def test_limitOfNew(self) -> None:
        """Where there was no target, there is none."""
        large = "File too large"
        limit = fileSizeLimit(400_000)
        self.assertNotStored(large, large, str(self.target), setUp=limit)
        self.assertFalse(self.target.exists())

    def test_readOnlyFolder(self) -> None:
        """A folder is read-only, which shows before anybody is asked."""
        sock, port = listener(self)
        sock.setblocking(False)
        self.inbox.chmod(0o555)
        for path, said in (
            (self.inbox, "it is read-only"),
            (self.inbox / "target", "Permission denied"),
        ):
            words = ["receive", str(path), _dial(port)]
            receiver = Program(self, words, setUp=dropPrivileges)
            self.assertEnds(receiver, 6, said, str(self.inbox))
            with self.assertRaises(BlockingIOError):
                sock.accept()

    def test_folderInTheWay(self) -> None:
        """There is a folder by the name of the file, which stays."""
        (self.inbox / "source").mkdir()
        self.assertNotStored("is a folder", "at that place", "--force", str(self.inbox))
        self.assertEqual(os.listdir(self.inbox), ["source"])
        self.assertEqual(os.listdir(self.inbox / "source"), [])

    def test_folderComesInTheWay(self) -> None:
        """There is one in the end."""
        for force in (False, True):
            receiver, sender = self.fed(*["--force"] * force, str(self.target))
            self.target.mkdir()
            self.feed(sender, b"more", last=True)
            self.assertEnds(sender, 5 if force else 4)
            self.assertEnds(receiver, 6, str(self.target))
            self.assertEqual(os.listdir(self.target), [])
            self.target.rmdir()
            self.part.unlink(missing_ok=True)

    def test_folderRemoved(self) -> None:
        """The folder is removed in the middle; it is not made again."""
        receiver, sender = self.fed(str(self.inbox / "target"))
        shutil.rmtree(self.inbox)
        self.feed(sender, b"more", last=True)
        self.assertEnds(sender, 5, "(storing)", "removed")
        self.assertEnds(receiver, 6, "removed", str(self.inbox))
        self.assertFalse(self.inbox.exists())

    def test_partReplaced(self) -> None:
        """Somebody puts another file in the place of the part; that one stays."""
        receiver, sender = self.fed(str(self.target))
        self.part.unlink()
        self.part.write_bytes(b"else")
        self.feed(sender, b"more", last=True)
        self.assertEnds(sender, 5, "(storing)")
        self.assertEnds(receiver, 6, "replaced")
        self.assertFalse(self.target.exists())
        self.assertEqual(self.part.read_bytes(), b"else")

    def test_partWrittenTo(self) -> None:
        """Somebody else writes to it: that is not taken for what was sent."""
        receiver, sender = self.fed(str(self.target))
        with self.part.open("ab") as file:
            file.write(b"else")
        self.feed(sender, b"", last=True)
        self.assertEnds(sender, 5, "(storing)")
        self.assertEnds(receiver, 6, "changed")
        self.assertFalse(self.target.exists())

    def test_brokenPipe(self) -> None:
        """Nobody reads its standard output any more."""
        receiver = Program(self, ["receive", "-", _WAIT])
        sender = Program(
            self, ["send", "-", _dial(receiver.port())], stdin=subprocess.PIPE
        )
        self.feed(sender, b"data")
        assert receiver.process.stdout is not None
        self.assertEqual(receiver.process.stdout.read(4), b"data")
        receiver.process.stdout.close()
        self.feed(sender, b"more")
        # Its standard input is still open.
        self.assertEnds(sender, 5, "(storing)")
        self.assertEnds(receiver, 6, "standard output", "Broken pipe")


class SourceTests(FaultTestCase):
    """The sender cannot read it: status 6 there, and 5 at the receiver."""

    def test_truncated(self) -> None:
        """A file becomes shorter; what has come is kept, and is no target."""
        source, content = self.file(_MUCH)
        receiver, sender, relay = self.halfWay(source)
        os.truncate(source, 1000)
        relay.forward()
        self.assertEnds(sender, 6, "shrunk", str(source))
        self.assertEnds(receiver, 5, "(source)")
        self.assertNotIn(str(source), receiver.said)
        self.assertFalse(self.target.exists())
        arrived = self.part.read_bytes()
        self.assertEqual(content[: len(arrived)], arrived)

    def test_grows(self) -> None:
        """One that becomes longer is sent as long as it was."""
        source, content = self.file(_MUCH)
        receiver, sender, relay = self.halfWay(source)
        with source.open("ab") as file:
            file.write(b"more")
        relay.forward()
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)

    def test_replaced(self) -> None:
        """Another file that takes its name, or none at all, changes nothing."""
        for instead in (b"another one", None):
            source, content = self.file(_MUCH)
            receiver, sender, relay = self.halfWay(source)
            source.unlink()
            if instead is not None:
                source.write_bytes(instead)
            relay.forward()
            self.assertEqual((sender.end(), receiver.end()), (0, 0))
            self.assertEqual(self.target.read_bytes(), content)
            self.target.unlink()

    def test_thirdMissing(self) -> None:
        """
        The third file goes while the first is sent; that and the second, which is open
        by then, arrive.
        """
        source, content = self.file(_MUCH)
        second, _ = self.file(100_000, "second")
        third, _ = self.file(10, "third")
        receiver, sender, relay = self.halfWay(source, second, third)
        third.unlink()
        relay.forward()
        self.assertEnds(sender, 6, str(third))
        self.assertEnds(receiver, 5, "(source)")
        self.assertEqual((self.inbox / "source").read_bytes(), content)
        self.assertEqual(sorted(os.listdir(self.inbox)), ["second", "source"])

    def test_unreadable(self) -> None:
        """Reading fails in the middle: EIO, of a terminal that is gone."""
        # Who reads the master of a terminal without a slave gets EIO (pty(7)).
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        receiver = Program(self, ["receive", str(self.target), _WAIT])
        sender = Program(self, ["send", "-", _dial(receiver.port())], stdin=master)
        os.write(slave, b"data")
        until(lambda: self.part.stat().st_size == 4, "the part")
        os.close(slave)
        self.assertEnds(sender, 6, "standard input", "Input/output error")
        self.assertEnds(receiver, 5, "(source)")
        self.assertFalse(self.target.exists())

    def test_unreadableAtOnce(self) -> None:
        """Where nothing can be read at all, nobody is asked."""
        sock, port = listener(self)
        source, _ = self.file(10)
        for path in ("/proc/self/mem", str(self.inbox), str(self.inbox / "none")):
            sender = Program(self, ["send", str(source), path, _dial(port)])
            self.assertEnds(sender, 6, path)
        sock.setblocking(False)
        with self.assertRaises(BlockingIOError):
            sock.accept()


class StoppedTests(FaultTestCase):
    """One side is stopped: the other one says so, with status 5."""

    def test_signals(self) -> None:
        """By a signal that can be handled, at either side."""
        for side, number in enumerate((signal.SIGINT, signal.SIGHUP)):
            programs = self.fed(str(self.target))
            here, there = programs[side], programs[1 - side]
            here.process.send_signal(number)
            self.assertEqual(here.end(), 128 + number)
            self.assertEnds(there, 5, "(cancelled)")
            self.assertFalse(self.target.exists())
            self.assertEqual(self.part.read_bytes(), b"data")
            self.part.unlink()

    def test_waiting(self) -> None:
        """Also while it waits for a receipt, with the other side stopped."""
        receiver, sender = self.fed(str(self.target))
        receiver.process.send_signal(signal.SIGSTOP)
        self.feed(sender, b"more", last=True)
        sender.process.send_signal(signal.SIGINT)
        receiver.process.send_signal(signal.SIGCONT)
        self.assertEqual(sender.end(), 130)
        # It may have been stored before that was heard; it is whole then.
        status = receiver.end()
        if self.target.exists():
            self.assertEqual(self.target.read_bytes(), b"datamore")
        else:
            self.assertEqual(status, 5)

    def test_killed(self) -> None:
        """By SIGKILL it can say nothing; it is missed nevertheless."""
        for side in (0, 1):
            programs = self.fed(str(self.target))
            programs[side].process.kill()
            self.assertEnds(programs[1 - side], 5)
            self.assertFalse(self.target.exists())
            self.assertEqual(self.part.read_bytes(), b"data")
            self.part.unlink()

    def test_bothWaits(self) -> None:
        """A side that does not react is left in bounded time."""
        receiver, sender = self.fed(str(self.target))
        receiver.process.send_signal(signal.SIGSTOP)
        sender.process.send_signal(signal.SIGTERM)
        self.assertEqual(sender.end(), 143)
        receiver.process.send_signal(signal.SIGCONT)
        self.assertEnds(receiver, 5)
        self.assertFalse(self.target.exists())
