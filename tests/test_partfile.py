"""Tests for :mod:`twisted_transfer.partfile`."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.errors import DestinationError
from twisted_transfer.partfile import PartFile, targetMode

from .folders import newFolder


class PartFileTests(SynchronousTestCase):
    """A file that is whole or not there, against everybody else."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.path = self.folder / "target.part"

    def part(self, replace: bool = False) -> PartFile:
        """:returns: a part that is not made yet."""
        part = PartFile(str(self.target), replace)
        self.addCleanup(part.discard)
        return part

    def made(self, content: bytes = b"content", replace: bool = False) -> PartFile:
        """:returns: a part with that content."""
        part = self.part(replace)
        part.create()
        os.write(part.fd, content)
        return part

    def assertRefused(self, part: PartFile, said: str) -> None:
        """The part cannot be made, and the message says why and where."""
        error = self.assertRaises(DestinationError, part.create)
        self.assertIn(said, str(error))
        self.assertIn(str(self.folder), str(error))
        part.discard()

    def test_private(self) -> None:
        """Nobody else can read it before it is whole, whatever the mask is."""
        self.addCleanup(os.umask, os.umask(0))
        self.made()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_publish(self) -> None:
        """The target appears, and the part is gone."""
        part = self.made()
        self.assertFalse(self.target.exists())
        part.publish()
        self.assertEqual(self.target.read_bytes(), b"content")
        self.assertEqual(os.listdir(self.folder), ["target"])

    def test_published(self) -> None:
        """What is published is not discarded any more."""
        part = self.made()
        part.publish()
        part.discard()
        self.assertTrue(self.target.exists())

    def test_discard(self) -> None:
        """A part that is given up leaves nothing, however often that is said."""
        part = self.made()
        part.discard()
        part.discard()
        self.assertEqual(os.listdir(self.folder), [])

    def test_targetAppears(self) -> None:
        """A target that appears meanwhile stays, and the part is kept apart."""
        part = self.made()
        self.target.write_bytes(b"precious")
        error = self.assertRaises(DestinationError, part.publish)
        self.assertIn(str(self.target), str(error))
        self.assertEqual(self.target.read_bytes(), b"precious")
        part.discard()
        self.assertEqual(os.listdir(self.folder), ["target"])

    def test_targetReplaced(self) -> None:
        """Where it may be replaced, it is, in one step."""
        self.target.write_bytes(b"old")
        part = self.made(b"new", replace=True)
        self.assertEqual(self.target.read_bytes(), b"old")
        part.publish()
        self.assertEqual(self.target.read_bytes(), b"new")
        self.assertFalse(self.path.exists())

    def test_targetBecomesFolder(self) -> None:
        """What rename(2) refuses is an error, and the part can be discarded."""
        part = self.made(replace=True)
        self.target.mkdir()
        error = self.assertRaises(DestinationError, part.publish)
        self.assertIn("Is a directory", str(error))
        part.discard()
        self.assertEqual(os.listdir(self.folder), ["target"])

    def test_withoutHardLinks(self) -> None:
        """Without hard links a target that is there is still not replaced."""

        def link(*args: object, **kwargs: object) -> None:
            raise OSError(errno.EPERM, "this file system has none")

        self.patch(os, "link", link)
        part = self.made()
        self.target.write_bytes(b"precious")
        self.assertRaises(DestinationError, part.publish)
        self.assertEqual(self.target.read_bytes(), b"precious")
        self.target.unlink()
        part.publish()
        self.assertEqual(self.target.read_bytes(), b"content")
        self.assertEqual(os.listdir(self.folder), ["target"])

    def test_leftOver(self) -> None:
        """A part that is there is only replaced where that is allowed."""
        self.path.write_bytes(b"left")
        self.assertRefused(self.part(), "--force")
        self.assertEqual(self.path.read_bytes(), b"left")
        self.made(b"new", replace=True)
        self.assertEqual(self.path.read_bytes(), b"new")

    def test_leftOverWithSecondName(self) -> None:
        """
        A file that has the name of a part as its second name is not touched: a
        transfer may have been killed between the two steps of its end.
        """
        other = self.folder / "other"
        other.write_bytes(b"precious")
        os.link(other, self.path)
        self.made(b"new", replace=True)
        self.assertEqual(other.read_bytes(), b"precious")

    def test_inTheWay(self) -> None:
        """What is no regular file is not followed, opened for long or removed."""
        victim = self.folder / "victim"
        victim.write_bytes(b"precious")
        for make in (
            lambda: self.path.symlink_to(victim),
            lambda: os.mkfifo(self.path),
            self.path.mkdir,
        ):
            make()
            for replace in (False, True):
                self.assertRefused(self.part(replace), "in the way")
            self.assertTrue(os.path.lexists(self.path))
            if self.path.is_dir():
                self.path.rmdir()
            else:
                self.path.unlink()
        self.assertEqual(victim.read_bytes(), b"precious")

    def test_locked(self) -> None:
        """A part that another transfer writes is left to it, by force too."""
        self.made(b"theirs")
        for replace in (False, True):
            self.assertRefused(self.part(replace), "another transfer")
        self.assertEqual(self.path.read_bytes(), b"theirs")

    def test_lostRace(self) -> None:
        """Who has made the part, but not got the lock, leaves it alone."""
        real = fcntl.flock
        others: list[int] = []

        def flock(fd: int, operation: int) -> None:
            if not others:
                # Another transfer was quicker by one step.
                others.append(os.open(self.path, os.O_RDONLY))
                self.addCleanup(os.close, others[0])
                real(others[0], fcntl.LOCK_EX)
            real(fd, operation)

        self.patch(fcntl, "flock", flock)
        self.assertRefused(self.part(), "another transfer")
        self.assertTrue(self.path.exists())

    def test_clearedAway(self) -> None:
        """One that is cleared away before it could be locked is made again."""
        real = fcntl.flock

        def flock(fd: int, operation: int) -> None:
            if not other.exists():
                os.rename(self.path, other)
            real(fd, operation)

        other = self.folder / "other"
        self.patch(fcntl, "flock", flock)
        part = self.made()
        self.assertEqual(other.read_bytes(), b"")
        part.publish()
        self.assertEqual(self.target.read_bytes(), b"content")

    def test_unlockable(self) -> None:
        """A lock that the system fails to give is an error in words."""

        def flock(fd: int, operation: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        self.patch(fcntl, "flock", flock)
        self.assertRefused(self.part(), "Input/output error")

    def test_withoutLocks(self) -> None:
        """Where there are no locks, one can still receive."""

        def flock(fd: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, "this file system has none")

        self.patch(fcntl, "flock", flock)
        self.made().publish()
        self.assertEqual(self.target.read_bytes(), b"content")

    def test_removed(self) -> None:
        """A part that somebody removes or replaces cannot be published."""
        for replacement in (None, b"theirs"):
            part = self.made()
            self.path.unlink()
            if replacement is not None:
                self.path.write_bytes(replacement)
            error = self.assertRaises(DestinationError, part.publish)
            self.assertIn(str(self.path), str(error))
            self.assertFalse(self.target.exists())
            part.discard()
        # What stands in its place is not ours to remove.
        self.assertEqual(self.path.read_bytes(), b"theirs")

    def test_badFolder(self) -> None:
        """A folder that is missing, or no folder, is named."""
        (self.folder / "file").write_bytes(b"")
        for name in ("missing/target", "file/target"):
            self.target = self.folder / name
            self.assertRefused(self.part(), str(self.target.parent))

    def test_badName(self) -> None:
        """A name that the system refuses is an error in words."""
        for name in ("x" * 252, "nul\0"):
            self.target = self.folder / name
            self.assertRefused(self.part(), "cannot write in")

    def test_lasting(self) -> None:
        """The folder is flushed to the disk when the target is in it."""
        flushed: list[tuple[str, list[str]]] = []
        real = os.fsync

        def fsync(fd: int) -> None:
            flushed.append(
                (os.readlink(f"/proc/self/fd/{fd}"), os.listdir(self.folder))
            )
            real(fd)

        part = self.made()
        self.patch(os, "fsync", fsync)
        part.publish()
        self.assertEqual(flushed, [(str(self.folder.resolve()), ["target"])])


class TargetModeTests(SynchronousTestCase):
    """What may be at the place of the target."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"

    def test_new(self) -> None:
        """A new file gets the bits that open(2) gives one, by the mask."""
        for mask in (0o022, 0o027, 0, 0o077):
            self.addCleanup(os.umask, os.umask(mask))
            example = self.folder / f"example-{mask}"
            example.touch()
            expected = stat.S_IMODE(example.stat().st_mode)
            self.assertEqual(targetMode(str(self.target), False), expected)
            # Reading the mask has not changed it.
            self.assertEqual(os.umask(mask), mask)

    def test_replaced(self) -> None:
        """A file that is replaced leaves its bits to its successor."""
        self.target.touch()
        self.target.chmod(0o640)
        self.assertEqual(targetMode(str(self.target), True), 0o640)

    def test_exists(self) -> None:
        """A file that may not be replaced is named, with the way to do it."""
        self.target.touch()
        error = self.assertRaises(DestinationError, targetMode, str(self.target), False)
        self.assertIn(str(self.target), str(error))
        self.assertIn("--force", str(error))

    def test_noFile(self) -> None:
        """A folder or a pipe is not replaced by force either."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for path, said in ((self.folder, "folder"), (pipe, "no regular file")):
            error = self.assertRaises(DestinationError, targetMode, str(path), True)
            self.assertIn(said, str(error))
