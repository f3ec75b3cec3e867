"""Tests for :mod:`twisted_transfer.counts`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.counts import checkNumber
from twisted_transfer.errors import BadOption


class CheckNumberTests(SynchronousTestCase):
    """What is a number of bytes."""

    def test_fits(self) -> None:
        """Whole numbers from the lowest to the highest."""
        for value in (0, 1, 2**70):
            checkNumber("size", value)
        for value in (1, 8):
            checkNumber("size", value, 1, 8)

    def test_others(self) -> None:
        """Everything else is an error that names the option and the value."""
        for value in (-1, 1.0, "5", None, True, b"", 2j):
            error = self.assertRaises(BadOption, checkNumber, "size", value)
            self.assertIn(f"size={value!r}", str(error))
        for value in (0, 9):
            error = self.assertRaises(BadOption, checkNumber, "n", value, 1, 8)
            self.assertIn("at least 1 and at most 8", str(error))
