"""Tests for :mod:`twisted_transfer.bytesdestination`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twisted_transfer.destinations import BytesDestination
from twisted_transfer.errors import BadOption, DestinationError
from twisted_transfer.interfaces import IDestination


class BytesDestinationTests(SynchronousTestCase):
    """Collecting what comes."""

    def test_interface(self) -> None:
        """It is a destination."""
        self.assertTrue(verifyObject(IDestination, BytesDestination()))

    def test_whole(self) -> None:
        """Everything is there when it is finished, and nothing before."""
        destination = BytesDestination(maxSize=8)
        destination.open()
        for piece in (b"some", b"more"):
            destination.write(piece)
            self.assertEqual(destination.data, b"")
        self.successResultOf(destination.finish())
        self.assertEqual(destination.data, b"somemore")
        destination.abort()
        self.assertEqual(destination.data, b"somemore")

    def test_bound(self) -> None:
        """A byte too many is refused, and so is one that comes at once."""
        for maxSize, pieces in ((4, [b"some", b"x"]), (3, [b"some"]), (0, [b"x"])):
            destination = BytesDestination(maxSize)
            *fitting, last = pieces
            for piece in fitting:
                destination.write(piece)
            error = self.assertRaises(DestinationError, destination.write, last)
            self.assertIn(str(maxSize), str(error))
            destination.abort()
            self.assertEqual(destination.data, b"")

    def test_badBound(self) -> None:
        """A bound is a number."""
        for maxSize in (-1, None, 1.5):
            error = self.assertRaises(BadOption, BytesDestination, maxSize)
            self.assertIn("maxSize", str(error))

    def test_aborted(self) -> None:
        """What was aborted has nothing, and takes nothing more."""
        destination = BytesDestination()
        destination.write(b"some")
        destination.abort()
        destination.abort()
        self.assertEqual(destination.data, b"")
        self.assertRaises(DestinationError, destination.open)
        self.assertRaises(DestinationError, destination.write, b"more")
        self.failureResultOf(destination.finish(), DestinationError)
        self.assertEqual(destination.data, b"")
