"""Tests for :mod:`twisted_transfer.leftovers`."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.errors import DestinationError
from twisted_transfer.leftovers import ResumablePart

from .folders import newFolder
from .programs import ROOT, dropPrivileges


class ResumablePartTests(SynchronousTestCase):
    """A part that may be there already."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.path = self.folder / "target.part"

    def part(self, replace: bool = False) -> ResumablePart:
        """:returns: a part that is not made yet."""
        part = ResumablePart(str(self.target), replace)
        self.addCleanup(part.discard)
        return part

    def made(self, replace: bool = False) -> ResumablePart:
        """:returns: a part that is made, or taken over."""
        part = self.part(replace)
        part.create()
        return part

    def assertRefused(self, said: str, kind: str) -> None:
        """The part cannot be had, by force or not, and the message says why."""
        for replace in (False, True):
            part = self.part(replace)
            error = self.assertRaises(DestinationError, part.create)
            self.assertIn(said, str(error))
            self.assertIn(str(self.target), str(error))
            self.assertEqual(error.kind, kind)
            # What the partner is told is nothing about this machine.
            self.assertNotIn(str(self.folder), error.reason)
            part.discard()

    def test_new(self) -> None:
        """Where there is none, an empty one is made that others cannot read."""
        self.addCleanup(os.umask, os.umask(0))
        part = self.made()
        self.assertEqual(part.found, 0)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_goOn(self) -> None:
        """What is found is kept, and what comes is put behind it."""
        self.path.write_bytes(b"left")
        part = self.made()
        self.assertEqual(part.found, 4)
        part.goOnAt(4)
        part.write(b"more")
        part.publish()
        self.assertEqual(self.target.read_bytes(), b"leftmore")
        self.assertEqual(os.listdir(self.folder), ["target"])

    def test_startOver(self) -> None:
        """What is found can be forgotten."""
        self.path.write_bytes(b"left")
        part = self.made()
        part.goOnAt(0)
        part.write(b"new")
        part.publish()
        self.assertEqual(self.target.read_bytes(), b"new")

    def test_keep(self) -> None:
        """What is given back is found by the next one, and is private again."""
        part = self.made()
        part.write(b"left")
        os.fchmod(part.fd, 0o644)
        part.keep()
        part.keep()
        part.discard()
        self.assertEqual(self.path.read_bytes(), b"left")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(self.made().found, 4)

    def test_keepNothing(self) -> None:
        """Nothing is not worth keeping."""
        self.made().keep()
        self.assertEqual(os.listdir(self.folder), [])

    def test_open(self) -> None:
        """What is found is made private, whatever its mode was."""
        self.path.write_bytes(b"left")
        self.path.chmod(0o666)
        self.made()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_locked(self) -> None:
        """One that another transfer writes is left to it, by force too."""
        theirs = self.made()
        theirs.write(b"theirs")
        self.assertRefused("another transfer", "busy")
        self.assertEqual(self.path.read_bytes(), b"theirs")
        theirs.keep()
        self.assertEqual(self.made().found, 6)

    def test_noFile(self) -> None:
        """What is no regular file is neither followed nor opened nor removed."""
        victim = self.folder / "victim"
        victim.write_bytes(b"precious")
        for make, remove in (
            (lambda: self.path.symlink_to(victim), self.path.unlink),
            (lambda: self.path.symlink_to("nowhere"), self.path.unlink),
            (lambda: os.mkfifo(self.path), self.path.unlink),
            (self.path.mkdir, self.path.rmdir),
        ):
            make()
            self.assertRefused("is no regular file", "place")
            remove()
        self.assertEqual(victim.read_bytes(), b"precious")

    def test_swapped(self) -> None:
        """A link that is put there after the look is not followed either."""
        victim = self.folder / "victim"
        victim.write_bytes(b"precious")
        self.path.write_bytes(b"left")
        real = os.lstat

        def lstat(path: str) -> os.stat_result:
            status = real(path)
            self.path.unlink()
            self.path.symlink_to(victim)
            return status

        self.patch(os, "lstat", lstat)
        error = self.assertRaises(DestinationError, self.part().create)
        self.assertIn("cannot be opened", str(error))
        self.assertEqual(victim.read_bytes(), b"precious")

    def test_secondName(self) -> None:
        """One that somebody needs under another name is not written to."""
        other = self.folder / "other"
        other.write_bytes(b"precious")
        os.link(other, self.path)
        self.assertRefused("has a second name", "place")
        self.assertEqual(other.read_bytes(), b"precious")
        self.assertEqual(self.path.read_bytes(), b"precious")

    def test_isTarget(self) -> None:
        """
        One that is the whole target, left between the two steps of an end, is
        not written to either; it makes room.
        """
        self.target.write_bytes(b"precious")
        os.link(self.target, self.path)
        part = self.made(replace=True)
        self.assertEqual(part.found, 0)
        part.write(b"new")
        self.assertEqual(self.target.read_bytes(), b"precious")
        part.publish()
        self.assertEqual(self.target.read_bytes(), b"new")

    def test_otherOwner(self) -> None:
        """One that belongs to somebody else, who could read it, is refused."""
        self.path.write_bytes(b"trap")
        # Whoever it is that runs this: somebody else than who owns the file.
        owner = os.geteuid()
        self.patch(os, "geteuid", lambda: owner + 1)
        self.assertRefused("belongs to another user", "place")
        self.assertEqual(self.path.read_bytes(), b"trap")

    def test_published(self) -> None:
        """
        One that is published while it is taken over is left alone, and a new
        one is made.
        """
        self.path.write_bytes(b"whole")
        real = fcntl.flock

        def flock(fd: int, operation: int) -> None:
            if not self.target.exists():
                # The other transfer was quicker by one step.
                os.rename(self.path, self.target)
            real(fd, operation)

        self.patch(fcntl, "flock", flock)
        part = self.part(replace=True)
        part.create()
        self.assertEqual(part.found, 0)
        part.write(b"mine")
        self.assertEqual(self.target.read_bytes(), b"whole")
        self.assertEqual(self.path.read_bytes(), b"mine")

    def test_withoutLocks(self) -> None:
        """
        Where there are no locks nobody knows whether another transfer still
        writes it, so it is not gone on with.
        """

        def flock(fd: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, "this file system has none")

        self.patch(fcntl, "flock", flock)
        self.path.write_bytes(b"theirs")
        error = self.assertRaises(DestinationError, self.part().create)
        self.assertIn("is there already", str(error))
        self.assertEqual(self.path.read_bytes(), b"theirs")
        part = self.made(replace=True)
        self.assertEqual(part.found, 0)
        part.write(b"new")
        part.publish()
        self.assertEqual(self.target.read_bytes(), b"new")

    def test_changed(self) -> None:
        """Another program's bytes in it are noticed."""
        part = self.made()
        part.write(b"mine")
        part.check(4)
        with open(self.path, "ab") as file:
            file.write(b"theirs")
        error = self.assertRaises(DestinationError, part.check, 4)
        self.assertIn(str(self.path), str(error))

    def test_shortWrites(self) -> None:
        """A system that takes only some of the bytes gets the rest too."""
        real = os.write
        self.patch(os, "write", lambda fd, data: real(fd, data[:3]))
        self.made().write(b"0123456789")
        self.assertEqual(self.path.read_bytes(), b"0123456789")

    def test_unopenable(self) -> None:
        """A folder or a part that its owner has closed is said at once."""
        self.path.write_bytes(b"left")
        for path, mode, said in (
            (self.folder, 0o500, "cannot write in"),
            (self.path, 0o400, "cannot be opened (Permission denied)"),
        ):
            before = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode)
            self.assertIn(said, _createdElsewhere(self.target))
            path.chmod(before)
        self.assertEqual(_createdElsewhere(self.target), "found 4")


def _createdElsewhere(target: Path) -> str:
    """
    Make a part in a process for which permissions count, even if root runs it.

    :returns: what it says.
    """
    script = """if True:
        import sys
        from twisted_transfer.leftovers import ResumablePart
        part = ResumablePart(sys.argv[1], False)
        try:
            part.create()
            print("found", part.found)
        except Exception as error:
            print(type(error).__name__, error)
        part.keep()
    """
    return subprocess.run(
        [sys.executable, "-c", script, str(target)],
        cwd=ROOT,
        preexec_fn=dropPrivileges,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
