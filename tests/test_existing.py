"""
Tests for :mod:`twisted_transfer.existing`.
"""

from __future__ import annotations

import hashlib
import os

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.folders import newFolder
from twisted_transfer.errors import DestinationError
from twisted_transfer.existing import ExistingFile
from twisted_transfer.interfaces import IDestination


class ExistingFileTests(SynchronousTestCase):
    """A file that is there, and may come again."""

    def setUp(self) -> None:
        self.path = newFolder(self) / "file"
        self.path.write_bytes(b"content")
        self.file = ExistingFile(str(self.path))
        self.addCleanup(self.file.abort)
        self.file.open()

    def refused(self, doing: object, *arguments: object) -> None:
        """It says that the file exists, and has changed nothing."""
        error = self.assertRaises(DestinationError, doing, *arguments)
        self.assertEqual(error.kind, "exists")
        self.assertEqual(self.path.read_bytes(), b"content")

    def test_interface(self) -> None:
        """It is a destination."""
        self.assertTrue(verifyObject(IDestination, self.file))

    def test_same(self) -> None:
        """If the sender has just that, it is stored already."""
        self.file.checkSize(7)
        digest = hashlib.sha256(b"content").digest()
        self.assertEqual(self.successResultOf(self.file.offer()), (7, digest))
        self.file.start(7)
        self.successResultOf(self.file.finish())
        self.assertEqual((self.file.size, self.file.digest()), (7, digest))
        self.assertEqual(self.path.read_bytes(), b"content")

    def test_empty(self) -> None:
        """An empty one has nothing to prove."""
        self.path.write_bytes(b"")
        self.assertEqual(self.successResultOf(self.file.offer()), (0, None))
        self.file.start(0)
        self.successResultOf(self.file.finish())

    def test_otherSize(self) -> None:
        """One of another size is another one."""
        for size in (0, 6, 8):
            self.refused(self.file.checkSize, size)

    def test_otherContent(self) -> None:
        """If the sender wants to begin at the beginning, it has another one."""
        self.successResultOf(self.file.offer())
        self.refused(self.file.start, 0)

    def test_more(self) -> None:
        """So it has if there is more behind."""
        self.successResultOf(self.file.offer())
        self.file.start(7)
        self.refused(self.file.write, b"x")

    def test_link(self) -> None:
        """It is not looked for behind a symbolic link."""
        link = self.path.with_name("link")
        link.symlink_to(self.path)
        self.refused(ExistingFile(str(link)).open)

    def test_closed(self) -> None:
        """The descriptor is given back, however it ends."""
        before = len(os.listdir("/proc/self/fd"))
        for end in ("finish", "abort", "interrupt"):
            file = ExistingFile(str(self.path))
            file.open()
            getattr(file, end)()
            file.abort()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
