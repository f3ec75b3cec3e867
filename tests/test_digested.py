"""Tests for :mod:`twisted_transfer.digested`."""

from __future__ import annotations

import os
from hashlib import sha256

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twisted_transfer.destinations import StreamDestination
from twisted_transfer.digested import DigestedDestination
from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import IDestination

from .dataends import ListDestination


class DigestedDestinationTests(SynchronousTestCase):
    """Receiving into anything, with the digest of what was stored."""

    def test_interface(self) -> None:
        """It is a destination."""
        destination = DigestedDestination(ListDestination())
        self.assertTrue(verifyObject(IDestination, destination))

    def test_whole(self) -> None:
        """Everything goes where it belongs, and is counted and hashed."""
        inner = ListDestination()
        destination = DigestedDestination(inner)
        destination.open()
        self.assertEqual(self.successResultOf(destination.offer()), (0, None))
        destination.start(0)
        for piece in (b"some", b"more"):
            self.assertIsNone(destination.write(piece))
        self.assertEqual(inner.content, b"somemore")
        self.assertEqual(destination.size, 8)
        self.assertEqual(destination.digest(), sha256(b"somemore").digest())
        self.successResultOf(destination.finish())
        self.assertEqual(inner.events, ["open", "finish"])

    def test_nothingToGoOnWith(self) -> None:
        """It always starts at the beginning."""
        destination = DigestedDestination(ListDestination())
        self.assertRaises(ValueError, destination.start, 1)

    def test_slow(self) -> None:
        """What has to be waited for is waited for."""
        inner = ListDestination(slow=True)
        waiting = DigestedDestination(inner).write(b"data")
        assert isinstance(waiting, Deferred)
        self.assertIs(waiting, inner.full)

    def test_refused(self) -> None:
        """What is not stored is not counted."""
        destination = DigestedDestination(ListDestination(refuses="write"))
        self.assertRaises(DestinationError, destination.write, b"data")
        self.assertEqual(destination.size, 0)
        self.assertEqual(destination.digest(), sha256().digest())

    def test_full(self) -> None:
        """A disk without room says so, and the partner may be told."""
        fd = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, fd)
        stream = StreamDestination(MemoryReactor(), fd)
        destination = DigestedDestination(stream)
        error = self.assertRaises(DestinationError, destination.write, b"data")
        self.assertIn("No space left on device", str(error))
        self.assertEqual(error.kind, "storing")
        self.assertTrue(error.reason)
        destination.abort()

    def test_tooLarge(self) -> None:
        """No byte more than is allowed is stored."""
        inner = ListDestination()
        destination = DigestedDestination(inner, maxSize=4)
        destination.write(b"some")
        error = self.assertRaises(DestinationError, destination.write, b"x")
        self.assertEqual(error.kind, "too-large")
        self.assertEqual(inner.content, b"some")

    def test_ends(self) -> None:
        """An interruption is an end, as an abort is."""
        for end in ("interrupt", "abort"):
            inner = ListDestination()
            getattr(DigestedDestination(inner), end)()
            self.assertEqual(inner.events, ["abort"])
