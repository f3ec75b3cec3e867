"""Tests for :mod:`twisted_transfer.flushing`."""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.flushing import flushFile, flushFolder

from .folders import newFolder
from .threads import HeldThreads


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
        return Deferred.fromCoroutine(flushFile(fd, reactor))

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
        flushing = self.flush(fd, self.threads)
        self.assertNoResult(flushing)
        self.assertEqual(len(self.flushed), 1)
        self.threads.run()
        self.successResultOf(flushing)
        self.assertEqual(len(self.flushed), 2)

    def test_refused(self) -> None:
        """What the system says is heard: a pipe cannot be flushed."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        for reactor in (None, self.threads):
            flushing = self.flush(writing, reactor)
            self.threads.run()
            error = self.failureResultOf(flushing, OSError).value
            self.assertEqual(error.errno, errno.EINVAL)

    def test_cancelled(self) -> None:
        """Cancelled, it ends when the thread no longer uses the descriptor."""
        flushing = self.flush(self.file(), self.threads)
        flushing.cancel()
        self.assertNoResult(flushing)
        self.threads.run()
        self.failureResultOf(flushing, CancelledError)
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
