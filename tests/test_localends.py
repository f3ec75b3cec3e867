"""Tests for :mod:`twisted_transfer.localends`."""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.destinations import FileDestination, StreamDestination
from twisted_transfer.digested import DigestedDestination, DigestingDestination
from twisted_transfer.errors import DestinationError, SourceError
from twisted_transfer.localends import destinationAt, sourceAt
from twisted_transfer.prefixes import (
    DigestedSource,
    ResumableFileSource,
    digestedSource,
)
from twisted_transfer.resuming import ResumableFileDestination, digestedDestination
from twisted_transfer.sources import FileSource, StreamSource

from .folders import newFolder


def digestedSourceAt(reactor: Any, path: str) -> DigestedSource:
    """:returns: what a transfer with a receipt makes of a path to send."""
    return digestedSource(sourceAt(reactor, path), reactor)


def digestedDestinationAt(
    reactor: Any,
    path: str,
    force: bool,
    maxSize: int | None = None,
    standardOutput: int = 1,
) -> DigestingDestination:
    """:returns: what a transfer with a receipt makes of a path to receive into."""
    found = destinationAt(reactor, path, force, standardOutput)
    return digestedDestination(found, reactor, maxSize)


class LocalEndTests(SynchronousTestCase):
    """What a path stands for."""

    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.folder = newFolder(self)
        self.file = self.folder / "file"
        self.file.write_bytes(b"content")
        self.pipe = self.folder / "pipe"
        os.mkfifo(self.pipe)

    def test_files(self) -> None:
        """What is a file, a folder or nothing yet is treated as a file."""
        for path in (self.file, self.folder, self.folder / "new", "nul\0"):
            self.assertIsInstance(sourceAt(self.reactor, str(path)), FileSource)
            destination = destinationAt(self.reactor, str(path), False)
            self.assertIsInstance(destination, FileDestination)

    def test_force(self) -> None:
        """Whether a file may be replaced is passed on."""
        refused = destinationAt(self.reactor, str(self.file), False)
        self.assertRaises(DestinationError, refused.open)
        allowed = destinationAt(self.reactor, str(self.file), True)
        allowed.open()
        allowed.abort()

    def test_devices(self) -> None:
        """A device is a stream; nobody wants to replace it by a file."""
        source = sourceAt(self.reactor, "/dev/zero")
        self.assertIsInstance(source, StreamSource)
        source.close()
        destination = destinationAt(self.reactor, "/dev/full", False)
        self.assertIsInstance(destination, StreamDestination)
        error = self.assertRaises(DestinationError, destination.write, b"data")
        self.assertIn("/dev/full", str(error))
        destination.abort()

    def test_namedPipes(self) -> None:
        """A named pipe is a stream, and opening it waits for nobody."""
        source = sourceAt(self.reactor, str(self.pipe))
        self.assertIsInstance(source, StreamSource)
        destination = destinationAt(self.reactor, str(self.pipe), False)
        self.assertIsInstance(destination, StreamDestination)
        destination.abort()
        source.close()

    def test_nobodyReads(self) -> None:
        """A named pipe that nobody reads cannot be written to."""
        error = self.assertRaises(
            DestinationError, destinationAt, self.reactor, str(self.pipe), False
        )
        self.assertIn(str(self.pipe), str(error))

    def test_unopenable(self) -> None:
        """What is special and cannot be opened is named."""
        path = str(self.folder / "socket")
        import socket

        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            error = self.assertRaises(SourceError, sourceAt, self.reactor, path)
        self.assertIn(path, str(error))

    def test_standard(self) -> None:
        """``-`` is standard input, and standard output or what stands for it."""
        reading, writing = os.pipe()
        self.assertIsInstance(sourceAt(self.reactor, "-"), StreamSource)
        destination = destinationAt(self.reactor, "-", False, writing)
        self.assertIsInstance(destination, StreamDestination)
        destination.write(b"data")
        self.assertEqual(os.read(reading, 10), b"data")
        os.close(reading)
        error = self.assertRaises(DestinationError, destination.write, b"data")
        self.assertIn("standard output", str(error))
        destination.abort()
        os.close(writing)

    def test_closed(self) -> None:
        """
        Closed standard streams are an error: their numbers may belong to
        something else by now.
        """
        self.patch(sys, "__stdin__", None)
        self.patch(sys, "__stdout__", None)
        error = self.assertRaises(SourceError, sourceAt, self.reactor, "-")
        self.assertIn("standard input is closed", str(error))
        other = self.assertRaises(
            DestinationError, destinationAt, self.reactor, "-", False
        )
        self.assertIn("standard output is closed", str(other))

    def test_digestedFiles(self) -> None:
        """With a receipt, what is a file can be gone on with."""
        for path in (self.file, self.folder, self.folder / "new", "nul\0"):
            source = digestedSourceAt(self.reactor, str(path))
            self.assertIsInstance(source, ResumableFileSource)
            destination = digestedDestinationAt(self.reactor, str(path), False)
            self.assertIsInstance(destination, ResumableFileDestination)

    def test_digestedOptions(self) -> None:
        """Whether a file may be replaced, and how large it may be, is passed on."""
        refused = digestedDestinationAt(self.reactor, str(self.file), False)
        self.assertRaises(DestinationError, refused.open)
        for path in (self.file, self.pipe):
            reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            allowed = digestedDestinationAt(self.reactor, str(path), True, 3)
            allowed.write(b"123")
            error = self.assertRaises(DestinationError, allowed.write, b"4")
            self.assertEqual(error.kind, "too-large")
            allowed.abort()
            os.close(reading)

    def test_digestedStreams(self) -> None:
        """With a receipt, what is no file is counted and hashed as it passes."""
        for path in ("-", "/dev/null"):
            source = digestedSourceAt(self.reactor, path)
            self.assertIs(type(source), DigestedSource)
            source.close()
            destination = digestedDestinationAt(self.reactor, path, False)
            self.assertIs(type(destination), DigestedDestination)
            destination.abort()

    def test_digestedStandardOutput(self) -> None:
        """``-`` is what stands for standard output."""
        reading, writing = os.pipe()
        destination = digestedDestinationAt(
            self.reactor, "-", False, standardOutput=writing
        )
        destination.write(b"data")
        self.assertEqual(os.read(reading, 10), b"data")
        destination.abort()
        os.close(reading)
        os.close(writing)
