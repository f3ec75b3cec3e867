"""Tests for :mod:`twisted_transfer.data.openings`."""

from __future__ import annotations

import ctypes
import os

from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder
from twisted_transfer.data.openings import Openings, isAlone, openings


class OpeningsTests(SynchronousTestCase):
    """Who else opens a file."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.openings = openings()

    def watched(self, name: str) -> int:
        """:returns: the watch of a new file, which is open."""
        fd = os.open(self.folder / name, os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, fd)
        number = self.openings.watch(fd)
        self.addCleanup(self.openings.forget, number)
        return number

    def test_noticed(self) -> None:
        """Of several files, just those that were opened since then, for good."""
        one, two = self.watched("one"), self.watched("two")
        self.assertFalse(self.openings.noticed(one))
        (self.folder / "two").read_bytes()
        for _ in range(2):
            self.assertFalse(self.openings.noticed(one))
            self.assertTrue(self.openings.noticed(two))

    def test_forgotten(self) -> None:
        """What is not watched any more may have been opened."""
        one = self.watched("one")
        self.openings.forget(one)
        self.openings.forget(one)
        self.assertTrue(self.openings.noticed(one))

    def test_lost(self) -> None:
        """Where the system has lost events, every file may have been opened."""
        one, two = self.watched("one"), self.watched("two")
        with open("/proc/sys/fs/inotify/max_queued_events") as file:
            most = int(file.read())
        paths = [self.folder / "two", self.folder / "three"]
        self.watched("three")
        for number in range(most + 2):
            # The same event twice in a row counts once.
            os.close(os.open(paths[number % 2], os.O_RDONLY))
        self.assertTrue(self.openings.noticed(one))
        self.assertTrue(self.openings.noticed(two))

    def test_unknown(self) -> None:
        """Where the system cannot tell, it may have been opened."""

        class Library:
            """A system without inotify."""

        self.patch(ctypes, "CDLL", lambda name: Library())
        self.openings = Openings()
        self.assertTrue(self.openings.noticed(self.watched("one")))

    def test_child(self) -> None:
        """A child takes no events away from its parent: it has its own."""
        self.assertIs(openings(), self.openings)
        process = os.getpid()
        self.patch(os, "getpid", lambda: process + 1)
        self.assertIsNot(openings(), self.openings)
        self.assertIsInstance(openings(), Openings)
        self.patch(os, "getpid", lambda: process)

    def test_alone(self) -> None:
        """It is known who has it open already."""
        path = self.folder / "one"
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, fd)
        self.assertTrue(isAlone(fd))
        with path.open("r+b"):
            self.assertFalse(isAlone(fd))
        self.assertTrue(isAlone(fd))
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        self.assertFalse(isAlone(writing))
