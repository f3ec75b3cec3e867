"""Tests for :mod:`twisted_transfer.data.parts`."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import leavePart, newFolder, partOf
from tests.support.programs import ROOT, dropPrivileges
from tests.support.threads import HeldThreads
from twisted_transfer.data import parts
from twisted_transfer.data.destinations import FileDestination
from twisted_transfer.data.openings import Openings
from twisted_transfer.data.parts import (
    MARK,
    SUFFIX,
    Part,
    flushFolder,
    heldBy,
    inThread,
    partPath,
    resolved,
    settleAll,
    targetMode,
)
from twisted_transfer.data.sources import FileSource
from twisted_transfer.errors import DestinationError, SourceError
from twisted_transfer.transfers.folder import FolderDestination


class PartTests(SynchronousTestCase):
    """A file that is whole or not there, against everybody else."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.path = partOf(self.target)

    def part(self, replace: bool = False) -> Part:
        """:returns: a part that is not made yet."""
        part = Part(str(self.target), replace)
        self.addCleanup(part.discard)
        return part

    def made(self, content: bytes = b"content", replace: bool = False) -> Part:
        """:returns: a part with that content."""
        part = self.part(replace)
        part.open(resume=False)
        os.write(part.fd, content)
        return part

    def assertRefused(self, part: Part, said: str) -> None:
        """The part cannot be made, and the message says why and where."""
        error = self.assertRaises(DestinationError, part.open, resume=False)
        self.assertIn(said, str(error))
        self.assertIn(str(self.folder), str(error))
        part.discard()

    def test_private(self) -> None:
        """Nobody else can read it before it is whole, whatever the mask is."""
        self.addCleanup(os.umask, os.umask(0))
        self.made()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), MARK)

    def test_room(self) -> None:
        """What the disk has no room for is refused; what is there needs no more."""
        part = self.made(b"x" * 100_000)
        os.fsync(part.fd)
        part.checkRoom(200_000)
        error = self.assertRaises(DestinationError, part.checkRoom, 1 << 60)
        self.assertEqual(error.kind, "too-large")
        for said in (str(self.target), f"has {1 << 60} bytes", "make room"):
            self.assertIn(said, str(error))
        self.assertNotIn(str(self.target), error.reason)
        self.patch(parts, "roomOn", lambda place: 1000)
        held = heldBy(part.fd)
        self.assertGreaterEqual(held, 100_000)
        part.checkRoom(held + 1000)
        self.assertRaises(DestinationError, part.checkRoom, held + 1001)

    def test_untoldRoom(self) -> None:
        """A file system that does not tell, or says that it has no blocks, has room."""

        def unable(place: object) -> None:
            raise OSError(errno.ENOSYS, "")

        part = self.made()
        untold = SimpleNamespace(f_blocks=0, f_bavail=0, f_frsize=4096)
        for statvfs in (lambda place: untold, unable):
            self.patch(os, "statvfs", statvfs)
            part.checkRoom(1 << 60)

    def test_publish(self) -> None:
        """The target appears, and the part is gone."""
        part = self.made()
        self.assertFalse(self.target.exists())
        part.publish(0o600)
        self.assertEqual(self.target.read_bytes(), b"content")
        self.assertEqual(os.listdir(self.folder), ["target"])

    def test_published(self) -> None:
        """What is published is not discarded any more."""
        part = self.made()
        part.publish(0o600)
        part.discard()
        self.assertTrue(self.target.exists())

    def test_discard(self) -> None:
        """A part that is given up leaves nothing, however often that is said."""
        part = self.made()
        part.discard()
        part.discard()
        self.assertEqual(os.listdir(self.folder), [])

    def test_targetAppears(self) -> None:
        """
        A target that appears meanwhile stays, and so does all that has come, which
        the message says; the next transfer can go on with it.
        """
        part = self.made()
        self.target.write_bytes(b"precious")
        error = self.assertRaises(DestinationError, part.publish, 0o644)
        self.assertEqual(error.kind, "exists")
        self.assertIn(str(self.target), str(error))
        self.assertIn(f"everything has come and is kept in {self.path}", str(error))
        self.assertEqual(self.target.read_bytes(), b"precious")
        part.discard()
        self.assertEqual(self.path.read_bytes(), b"content")
        again = self.part(replace=True)
        again.open(resume=True)
        self.assertEqual(again.found, 7)

    def test_targetReplaced(self) -> None:
        """Where it may be replaced, it is, in one step."""
        self.target.write_bytes(b"old")
        part = self.made(b"new", replace=True)
        self.assertEqual(self.target.read_bytes(), b"old")
        part.publish(0o600)
        self.assertEqual(self.target.read_bytes(), b"new")
        self.assertFalse(self.path.exists())

    def test_targetBecomesFolder(self) -> None:
        """What rename(2) refuses is an error, and all that has come is kept."""
        part = self.made(replace=True)
        self.target.mkdir()
        error = self.assertRaises(DestinationError, part.publish, 0o600)
        self.assertIn("Is a directory", str(error))
        part.discard()
        self.assertEqual(self.path.read_bytes(), b"content")

    def test_withoutHardLinks(self) -> None:
        """Without hard links a target that is there is still not replaced."""

        def link(*args: object, **kwargs: object) -> None:
            raise OSError(errno.EPERM, "this file system has none")

        self.patch(os, "link", link)
        part = self.made()
        self.target.write_bytes(b"precious")
        self.assertRaises(DestinationError, part.publish, 0o600)
        self.assertEqual(self.target.read_bytes(), b"precious")
        self.target.unlink()
        self.made(replace=True).publish(0o600)
        self.assertEqual(self.target.read_bytes(), b"content")
        self.assertEqual(os.listdir(self.folder), ["target"])

    def test_leftOver(self) -> None:
        """A part that is there is only replaced where that is allowed."""
        leavePart(self.target, b"left")
        self.assertRefused(self.part(), "--force")
        self.assertEqual(self.path.read_bytes(), b"left")
        self.made(b"new", replace=True)
        self.assertEqual(self.path.read_bytes(), b"new")

    def test_leftOverWithSecondName(self) -> None:
        """
        A target that has the name of a part as its second name is not written to: a
        transfer was killed between the two steps of its end.
        """
        self.target.write_bytes(b"precious")
        self.target.chmod(MARK)
        os.link(self.target, self.path)
        self.made(b"new", replace=True)
        self.assertEqual(self.target.read_bytes(), b"precious")

    def test_notOurs(self) -> None:
        """A file of another program by that name is not touched, by force either."""
        self.path.write_bytes(b"precious")
        self.path.chmod(0o600)
        for replace in (False, True):
            self.assertRefused(self.part(replace), "was not made by a transfer")
        self.assertEqual(self.path.read_bytes(), b"precious")

    def test_suffixOfOthers(self) -> None:
        """What browsers leave of a download is not touched, and not in the way."""
        theirs = self.folder / "target.part"
        theirs.write_bytes(b"precious")
        self.made(replace=True).publish(0o600)
        self.assertEqual(theirs.read_bytes(), b"precious")

    def test_longNames(self) -> None:
        """The longest name that a file can have leaves room for that of its part."""
        for name in ("x" * 255, "ä" * 127, "x" * 233):
            self.target = self.folder / name
            part = self.made()
            [found] = os.listdir(self.folder)
            self.assertTrue(found.endswith(SUFFIX))
            part.publish(0o600)
            self.assertEqual(os.listdir(self.folder), [name])
            self.target.unlink()

    def test_longNamesDiffer(self) -> None:
        """Two long names that differ at their ends have two parts."""
        one, other = (partPath(str(self.folder / ("x" * 250 + end))) for end in "ab")
        self.assertNotEqual(one, other)

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
        part.publish(0o600)
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
        self.made().publish(0o600)
        self.assertEqual(self.target.read_bytes(), b"content")

    def test_removed(self) -> None:
        """A part that somebody removes or replaces cannot be published."""
        for replacement in (None, b"theirs"):
            part = self.made()
            self.path.unlink()
            if replacement is not None:
                self.path.write_bytes(replacement)
            error = self.assertRaises(DestinationError, part.publish, 0o600)
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
        for name in ("x" * 256, "nul\0", "\ud800"):
            self.target = self.folder / name
            self.assertRefused(self.part(), "cannot write in")

    def test_lasting(self) -> None:
        """Mode and folder are flushed to the disk when the target is in it."""
        flushed: list[tuple[bool, list[str]]] = []
        real = os.fsync

        def fsync(fd: int) -> None:
            isFolder = stat.S_ISDIR(os.fstat(fd).st_mode)
            flushed.append((isFolder, os.listdir(self.folder)))
            real(fd)

        part = self.made()
        self.patch(os, "fsync", fsync)
        part.publish(0o600)
        settleAll([part])
        self.assertEqual(flushed, [(False, ["target"]), (True, ["target"])])


class ResolvedTests(SynchronousTestCase):
    """Symbolic links in folders to which others may write."""

    def setUp(self) -> None:
        self.folder = newFolder(self).resolve()
        self.inbox = self.folder / "inbox"
        self.inbox.mkdir()
        self.link = self.inbox / "link"
        self.victim = self.folder / "victim"
        self.victim.write_bytes(b"precious")

    def asAnother(self) -> None:
        """Let all that is there be another user's; whoever runs this."""
        owner = os.geteuid()
        self.patch(os, "geteuid", lambda: owner + 1)

    def owned(self, owner: int) -> None:
        """Let the folder belong to another user than the link, as ``/tmp`` does."""
        real = os.stat

        def changed(path: Any) -> Any:
            if os.fspath(path) != str(self.inbox):
                return real(path)
            fields = [*real(path)]
            fields[stat.ST_UID] = owner
            return os.stat_result(fields)

        self.patch(os, "stat", changed)

    def test_rule(self) -> None:
        """
        Only where the folder is sticky and all may write to it, and the link belongs
        neither to this user nor to the owner of the folder, it is not followed.
        """
        self.link.symlink_to(self.victim)
        me = os.geteuid()
        for mode, mine, owner, followed in (
            (0o1777, False, me + 2, False),
            (0o1777, False, me, True),
            (0o1777, True, me + 2, True),
            (0o777, False, me + 2, True),
            (0o1775, False, me + 2, True),
        ):
            self.inbox.chmod(mode)
            self.owned(owner)
            if not mine:
                self.asAnother()
            if followed:
                self.assertEqual(resolved(str(self.link)), str(self.victim))
            else:
                with self.assertRaises(PermissionError) as caught:
                    resolved(str(self.link))
                self.assertIn(f"{self.link} is a symbolic link", str(caught.exception))
            self.patch(os, "geteuid", lambda: me)

    def test_everywhere(self) -> None:
        """Everybody who asks the library for a path goes by the rule."""
        self.inbox.chmod(0o1777)
        self.owned(os.geteuid() + 2)
        self.asAnother()
        self.link.symlink_to(self.victim)
        said = f"{self.link} is a symbolic link of another user"
        error: Exception = self.assertRaises(
            DestinationError, FileDestination(self.link, True).open
        )
        self.assertIn(said, str(error))
        error = self.assertRaises(SourceError, FileSource(self.link).open)
        self.assertIn(said, str(error))
        self.assertEqual(self.victim.read_bytes(), b"precious")
        self.link.unlink()
        self.link.symlink_to(self.folder)
        error = self.assertRaises(DestinationError, FolderDestination(self.link).open)
        self.assertIn(said, str(error))
        self.assertEqual(len(os.listdir(self.folder)), 2)

    def test_chain(self) -> None:
        """Each link of a chain counts, and a circle ends."""
        first = self.folder / "first"
        first.symlink_to("inbox/link")
        self.link.symlink_to("../victim")
        self.assertEqual(resolved(str(first)), str(self.victim))
        self.inbox.chmod(0o1777)
        self.owned(os.geteuid() + 2)
        self.asAnother()
        self.assertRaises(PermissionError, resolved, str(first))
        self.victim.unlink()
        self.victim.symlink_to("victim")
        error = self.assertRaises(OSError, resolved, str(self.victim))
        self.assertEqual(error.errno, errno.ELOOP)

    def test_names(self) -> None:
        """What is not there, or not a link, is where it is said to be."""
        for path, expected in (
            ("new", "new"),
            ("missing/new", "missing/new"),
            ("inbox/..", ""),
            ("inbox/", "inbox"),
        ):
            expected = os.path.join(self.folder, expected).rstrip("/")
            self.assertEqual(resolved(f"{self.folder}/{path}"), expected)


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

    def test_otherOwner(self) -> None:
        """A file of another user leaves nothing: a new one is its owner's alone."""
        self.target.touch()
        self.target.chmod(0o666)
        owner = os.geteuid()
        self.patch(os, "geteuid", lambda: owner + 1)
        self.assertEqual(targetMode(str(self.target), True), 0o600)

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


class FlushingTests(SynchronousTestCase):
    """Waiting for the disk."""

    def setUp(self) -> None:
        self.threads: Any = HeldThreads()
        self.folder = newFolder(self)
        self.flushed: list[str] = []
        real = os.fsync

        def fsync(fd: int) -> None:
            real(fd)
            self.flushed.append(os.readlink(f"/proc/self/fd/{fd}"))

        self.patch(os, "fsync", fsync)

    def flush(self, fd: int, reactor: Any = None) -> Deferred[None]:
        """:returns: a Deferred for the end of the flush."""
        return inThread(reactor, partial(os.fsync, fd))

    def file(self) -> int:
        """:returns: the descriptor of a new file."""
        fd = os.open(self.folder / "file", os.O_WRONLY | os.O_CREAT)
        self.addCleanup(os.close, fd)
        return fd

    def test_file(self) -> None:
        """A file is flushed, by a thread if there is one."""
        fd = self.file()
        self.successResultOf(self.flush(fd))
        self.assertEqual(self.flushed, [str(self.folder / "file")])
        waiting = self.flush(fd, self.threads)
        self.assertNoResult(waiting)
        self.assertEqual(len(self.flushed), 1)
        self.threads.run()
        self.successResultOf(waiting)
        self.assertEqual(len(self.flushed), 2)

    def test_refused(self) -> None:
        """What the system says is heard: a pipe cannot be flushed."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        for reactor in (None, self.threads):
            waiting = self.flush(writing, reactor)
            self.threads.run()
            error = self.failureResultOf(waiting, OSError).value
            self.assertEqual(error.errno, errno.EINVAL)

    def test_cancelled(self) -> None:
        """Cancelled, it ends when the thread no longer uses the descriptor."""
        waiting = self.flush(self.file(), self.threads)
        waiting.cancel()
        self.assertNoResult(waiting)
        self.threads.run()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(len(self.flushed), 1)

    def test_folder(self) -> None:
        """A folder is flushed, where a folder can be."""
        flushFolder(str(self.folder))
        self.assertEqual(self.flushed, [str(self.folder)])
        # There is no disk under this one.
        flushFolder("/proc")
        self.assertEqual(len(self.flushed), 1)

    def test_noFolder(self) -> None:
        """A folder that is gone is an error."""
        with self.assertRaises(FileNotFoundError):
            flushFolder(str(self.folder / "missing"))


class TakeOverTests(SynchronousTestCase):
    """A part that may be there already."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.path = partOf(self.target)

    def part(self, replace: bool = False) -> Part:
        """:returns: a part that is not made yet."""
        part = Part(str(self.target), replace)
        self.addCleanup(part.discard)
        return part

    def made(self, replace: bool = False) -> Part:
        """:returns: a part that is made, or taken over."""
        part = self.part(replace)
        part.open(resume=True)
        return part

    def assertRefused(self, said: str, kind: str) -> None:
        """The part cannot be had, by force or not, and the message says why."""
        for replace in (False, True):
            part = self.part(replace)
            error = self.assertRaises(DestinationError, part.open, resume=True)
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
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), MARK)

    def test_goOn(self) -> None:
        """What is found is kept, and what comes is put behind it."""
        leavePart(self.target, b"left")
        part = self.made()
        self.assertEqual(part.found, 4)
        part.goOnAt(4)
        part.write(b"more")
        part.publish(0o600)
        self.assertEqual(self.target.read_bytes(), b"leftmore")
        self.assertEqual(os.listdir(self.folder), ["target"])

    def test_startOver(self) -> None:
        """What is found can be forgotten."""
        leavePart(self.target, b"left")
        part = self.made()
        part.goOnAt(0)
        part.write(b"new")
        part.publish(0o600)
        self.assertEqual(self.target.read_bytes(), b"new")

    def test_keep(self) -> None:
        """What is given back is found by the next one, and is private again."""
        part = self.made()
        part.write(b"left")
        part.keep()
        part.keep()
        part.discard()
        self.assertEqual(self.path.read_bytes(), b"left")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), MARK)
        self.assertEqual(self.made().found, 4)

    def test_keepNothing(self) -> None:
        """Nothing is not worth keeping."""
        self.made().keep()
        self.assertEqual(os.listdir(self.folder), [])

    def test_readByOthers(self) -> None:
        """
        One that others may have open gets no more content: a new one, which they
        do not have, takes its place.
        """
        leavePart(self.target, b"left")
        self.path.chmod(MARK | 0o044)
        with self.path.open("rb") as others:
            part = self.made()
            self.assertEqual(part.found, 0)
            part.write(b"secret")
            self.assertEqual(others.read(), b"left")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), MARK)

    def test_notOurs(self) -> None:
        """A file of another program by that name is not written to, nor removed."""
        self.path.write_bytes(b"precious")
        self.path.chmod(0o600)
        self.assertRefused("was not made by a transfer", "place")
        self.assertEqual(self.path.read_bytes(), b"precious")

    def test_shared(self) -> None:
        """It is known whether another program has it open, or had."""
        self.assertFalse(self.made().shared)
        self.path.unlink()
        part = self.made()
        with self.path.open("rb"):
            self.assertTrue(part.shared)
        self.assertTrue(part.shared)

    def test_sharedBefore(self) -> None:
        """So it is where the other one has opened it before it was taken over."""
        leavePart(self.target, b"left")
        with self.path.open("r+b"):
            self.assertTrue(self.made().shared)
        self.path.unlink()
        leavePart(self.target, b"left")
        self.assertFalse(self.made().shared)

    def test_sharedUnknown(self) -> None:
        """Where the system cannot tell, it may have been."""
        self.patch(Openings, "watch", lambda self, fd: -1)
        self.assertTrue(self.made().shared)

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
        leavePart(self.target, b"left")
        real = os.lstat

        def lstat(path: str) -> os.stat_result:
            status = real(path)
            self.path.unlink()
            self.path.symlink_to(victim)
            return status

        self.patch(os, "lstat", lstat)
        error = self.assertRaises(DestinationError, self.part().open, resume=True)
        self.assertIn("cannot be opened", str(error))
        self.assertEqual(victim.read_bytes(), b"precious")

    def test_secondName(self) -> None:
        """One that somebody needs under another name is not written to."""
        other = self.folder / "other"
        other.write_bytes(b"precious")
        other.chmod(MARK)
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
        self.target.chmod(MARK | 0o044)
        os.link(self.target, self.path)
        part = self.made(replace=True)
        self.assertEqual(part.found, 0)
        part.write(b"new")
        self.assertEqual(self.target.read_bytes(), b"precious")
        part.publish(0o600)
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
        leavePart(self.target, b"whole")
        real = fcntl.flock

        def flock(fd: int, operation: int) -> None:
            if not self.target.exists():
                # The other transfer was quicker by one step.
                os.rename(self.path, self.target)
            real(fd, operation)

        self.patch(fcntl, "flock", flock)
        part = self.part(replace=True)
        part.open(resume=True)
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
        leavePart(self.target, b"theirs")
        error = self.assertRaises(DestinationError, self.part().open, resume=True)
        self.assertIn("is there already", str(error))
        self.assertEqual(self.path.read_bytes(), b"theirs")
        part = self.made(replace=True)
        self.assertEqual(part.found, 0)
        part.write(b"new")
        part.publish(0o600)
        self.assertEqual(self.target.read_bytes(), b"new")

    def test_changed(self) -> None:
        """Another program's bytes in it are noticed."""
        part = self.made()
        part.write(b"mine")
        part.flush()
        with open(self.path, "ab") as file:
            file.write(b"theirs")
        error = self.assertRaises(DestinationError, part.flush)
        self.assertIn(str(self.path), str(error))

    def test_shortWrites(self) -> None:
        """A system that takes only some of the bytes gets the rest too."""
        real = os.write
        self.patch(os, "write", lambda fd, data: real(fd, data[:3]))
        self.made().write(b"0123456789")
        self.assertEqual(self.path.read_bytes(), b"0123456789")

    def test_unopenable(self) -> None:
        """A folder or a part that its owner has closed is said at once."""
        leavePart(self.target, b"left")
        for path, mode, said in (
            (self.folder, 0o500, "cannot write in"),
            (self.path, 0o1400, "cannot be opened (Permission denied)"),
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
        from twisted_transfer.data.parts import Part
        part = Part(sys.argv[1], False)
        try:
            part.open(resume=True)
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
