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
        """If just that comes, it is stored already."""
        digest = hashlib.sha256(b"content").digest()
        self.file.checkSize(7)
        for piece in (b"con", b"tent"):
            self.file.write(piece)
        self.assertEqual((self.file.size, self.file.digest()), (7, digest))
        self.successResultOf(self.file.finish())
        self.assertEqual(self.path.read_bytes(), b"content")

    def test_nothingIsTold(self) -> None:
        """The sender hears nothing of what is there, not even its digest."""
        self.assertEqual(self.successResultOf(self.file.offer()), (0, None))

    def test_empty(self) -> None:
        """An empty one is there when nothing comes."""
        self.path.write_bytes(b"")
        file = ExistingFile(str(self.path))
        file.open()
        self.successResultOf(file.finish())

    def test_larger(self) -> None:
        """One that is announced to be larger is another one."""
        self.refused(self.file.checkSize, 8)

    def test_otherContent(self) -> None:
        """One that differs is another one, from the first difference on."""
        self.file.write(b"con")
        self.refused(self.file.write, b"tact")

    def test_more(self) -> None:
        """So it is if there is more behind."""
        self.file.write(b"content")
        self.refused(self.file.write, b"x")

    def test_less(self) -> None:
        """And if there is less."""
        self.file.write(b"conten")
        failure = self.failureResultOf(self.file.finish(), DestinationError)
        self.assertEqual(failure.value.kind, "exists")

    def test_changed(self) -> None:
        """And if somebody changes it meanwhile."""
        self.file.write(b"content")
        self.path.write_bytes(b"CONTENT and more")
        failure = self.failureResultOf(self.file.finish(), DestinationError)
        self.assertEqual(failure.value.kind, "exists")

    def test_link(self) -> None:
        """It is not looked for behind a symbolic link."""
        link = self.path.with_name("link")
        link.symlink_to(self.path)
        self.refused(ExistingFile(str(link)).open)

    def test_closed(self) -> None:
        """The descriptor is given back, however it ends."""
        before = len(os.listdir("/proc/self/fd"))
        for end in ("abort", "interrupt"):
            file = ExistingFile(str(self.path))
            file.open()
            getattr(file, end)()
        file = ExistingFile(str(self.path))
        file.open()
        file.write(b"content")
        self.successResultOf(file.finish())
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
