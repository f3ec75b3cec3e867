"""What is on the disk when a receiver is killed, at any moment."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import leavePart, newFolder, partOf
from tests.support.mortal import CONTENT, begun
from tests.support.programs import ROOT
from twisted_transfer.data.parts import MARK
from twisted_transfer.errors import DestinationError
from twisted_transfer.receipts.receiving import ResumableFileDestination

_OLD = b"old"


class Case(SynchronousTestCase):
    """Has a target, and receivers of it in processes of their own."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.path = partOf(self.target)

    def mortal(self, what: str) -> subprocess.Popen[bytes]:
        """:returns: a process that is killed in the end; see tests/mortal.py."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.mortal", what, str(self.target)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self.addCleanup(_end, process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    process.wait()


def _line(process: subprocess.Popen[bytes]) -> str:
    """:returns: the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


class StepTests(Case):
    """Killed between any two steps."""

    def killEverywhere(self, old: bytes | None, part: bytes = b"") -> None:
        """
        Kill a receiver before each of its calls of the system in turn, each
        time with the same in the folder; then receive once more.
        """
        process = self.mortal("steps")
        assert process.stdin is not None
        status, step, whole = signal.SIGKILL.value, 0, 0
        while status == signal.SIGKILL:
            step += 1
            for name in os.listdir(self.folder):
                (self.folder / name).unlink()
            if old is not None:
                self.target.write_bytes(old)
            if part:
                leavePart(self.target, part)
            process.stdin.write(b"%d %d\n" % (step, old is not None))
            status = int(_line(process))
            whole += self.checkKilled(old, part)
        self.assertEqual(status, 0)
        self.assertEqual(self.target.read_bytes(), CONTENT)
        # It was killed while it wrote, and after the new one had appeared.
        self.assertGreater(step, 15)
        self.assertGreater(whole, 1)
        self.assertLess(whole, step // 2)

    def checkKilled(self, old: bytes | None, before: bytes) -> bool:
        """
        Look at what is there, and try again.

        :returns: whether the new target is there.
        """
        left = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        target, part = left.pop("target", None), left.pop(self.path.name, b"")
        self.assertEqual(left, {}, "something else was left")
        self.assertIn(target, (old, CONTENT))
        fits = CONTENT.startswith(part)
        self.assertTrue(fits or part == before)
        if target == CONTENT:
            if old is None:
                again = ResumableFileDestination(self.target)
                error = self.assertRaises(DestinationError, again.open)
                self.assertEqual(error.kind, "exists")
        elif part:
            # Nobody else could read it, unless it was whole.
            mode = stat.S_IMODE(self.path.stat().st_mode)
            self.assertTrue(mode == MARK or part == CONTENT, oct(mode))
            fits = fits and mode == MARK
        destination = begun(str(self.target), CONTENT, True)
        self.addCleanup(destination.abort)
        goesOn = fits and (target != CONTENT or old is not None)
        self.assertEqual(destination.size, len(part) if goesOn else 0)
        destination.write(CONTENT[destination.size :])
        self.successResultOf(destination.finish())
        self.assertEqual(os.listdir(self.folder), ["target"])
        self.assertEqual(self.target.read_bytes(), CONTENT)
        return target == CONTENT

    def test_new(self) -> None:
        """The target is absent or whole, and what was stored is gone on with."""
        self.killEverywhere(None)

    def test_replaced(self) -> None:
        """The target is the old one or the new one."""
        self.killEverywhere(_OLD)

    def test_goingOn(self) -> None:
        """A receiver that goes on can be killed as well."""
        self.killEverywhere(_OLD, CONTENT[:500])

    def test_startingOver(self) -> None:
        """So can one that starts over: nothing that did not fit is kept."""
        self.killEverywhere(None, b"of something else" * 20)


class StreamTests(Case):
    """Killed at any byte, and stopped by another process."""

    def test_anyByte(self) -> None:
        """
        However often it is killed, it goes on where it was, and in the end the
        target is what was sent; until then it is the old one.
        """
        chance = random.Random(self.id())
        content = chance.randbytes(2_000_000)
        self.target.write_bytes(_OLD)
        before = 0
        for _ in range(6):
            process = self.mortal("stream")
            assert process.stdin is not None
            self.assertEqual(_line(process), "open")
            offered = int(_line(process))
            self.assertGreaterEqual(offered, before)
            part = self.path.read_bytes()
            self.assertEqual(part, content[:offered])
            most = offered + chance.randrange(150_000)
            process.stdin.write(content[offered:most])
            # By now it has all but what fits into a pipe, and goes on.
            process.kill()
            process.wait()
            self.assertEqual(self.target.read_bytes(), _OLD)
            before = offered
        self.assertGreater(before, 0)
        process = self.mortal("stream")
        assert process.stdin is not None
        self.assertEqual(_line(process), "open")
        process.stdin.write(content[int(_line(process)) :])
        process.stdin.close()
        self.assertEqual(process.wait(), 0)
        self.assertEqual(self.target.read_bytes(), content)
        self.assertEqual(os.listdir(self.folder), ["target"])

    def test_twoProcesses(self) -> None:
        """
        While one process receives a file no other does; when it was killed the
        next one may.
        """
        process = self.mortal("stream")
        assert process.stdin is not None
        self.assertEqual(_line(process), "open")
        for force in (False, True):
            second = ResumableFileDestination(self.target, force)
            error = self.assertRaises(DestinationError, second.open)
            self.assertEqual(error.kind, "busy")
        process.kill()
        process.wait()
        second = ResumableFileDestination(self.target)
        second.open()
        second.start(0)
        second.write(b"data")
        third = self.mortal("stream")
        self.assertEqual(_line(third), "")
        self.assertEqual(third.wait(), 1)
        self.successResultOf(second.finish())
        self.assertEqual(Path(self.target).read_bytes(), b"data")
