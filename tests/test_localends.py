"""Tests for :mod:`twisted_transfer.localends`."""

from __future__ import annotations

import os
import sys

from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.destinations import FileDestination, StreamDestination
from twisted_transfer.errors import DestinationError, SourceError
from twisted_transfer.localends import destinationAt, sourceAt
from twisted_transfer.sources import FileSource, StreamSource

from .folders import newFolder


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
