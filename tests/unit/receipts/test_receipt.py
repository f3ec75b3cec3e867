"""Tests for :mod:`twisted_transfer.receipts.receipt`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.errors import (
    DestinationError,
    NotAReceiptPartner,
    NotEnoughData,
    PartnerProtocolError,
    ReceiptMismatch,
    SourceError,
    Truncated,
)
from twisted_transfer.receipts.messages import FailureKind
from twisted_transfer.receipts.receipt import Receipt, told

_SECRET = "/home/me/secret"


class ToldTests(SynchronousTestCase):
    """What the partner is told of a failure."""

    def test_destinations(self) -> None:
        """What cannot be stored, by what is wrong with it, and the short reason."""
        for kind, failure in (
            ("exists", FailureKind.EXISTS),
            ("busy", FailureKind.REFUSED),
            ("place", FailureKind.STORING),
            ("refused", FailureKind.REFUSED),
            ("too-large", FailureKind.TOO_LARGE),
            ("storing", FailureKind.STORING),
            ("a kind of a plugin's", FailureKind.STORING),
        ):
            error = DestinationError(f"cannot write {_SECRET}", kind, "no room")
            self.assertEqual(told(error), (failure, "no room"))

    def test_others(self) -> None:
        """Everything else, by its kind."""
        for error, failure in (
            (SourceError(_SECRET), FailureKind.SOURCE),
            (NotEnoughData(2, b"x"), FailureKind.SOURCE),
            (CancelledError(_SECRET), FailureKind.CANCELLED),
            (ReceiptMismatch("other bytes"), FailureKind.MISMATCH),
            (PartnerProtocolError("no frame"), FailureKind.PROTOCOL),
            (NotAReceiptPartner("no hello"), FailureKind.PROTOCOL),
            (Truncated(_SECRET), FailureKind.PROTOCOL),
            (ZeroDivisionError(_SECRET), FailureKind.CANCELLED),
        ):
            kind, reason = told(error)
            self.assertIs(kind, failure, repr(error))
            self.assertTrue(reason)

    def test_secrets(self) -> None:
        """Nothing of this machine is told."""
        for error in (
            SourceError(_SECRET),
            DestinationError(_SECRET),
            CancelledError(_SECRET),
            Truncated(_SECRET),
            ZeroDivisionError(_SECRET),
            OSError(2, "No such file", _SECRET),
        ):
            self.assertNotIn(_SECRET, told(error)[1])

    def test_exact(self) -> None:
        """What only the partner can explain is told in the words of the error."""
        for error in (
            ReceiptMismatch("other bytes"),
            PartnerProtocolError("no frame"),
        ):
            self.assertEqual(told(error)[1], str(error))


class ReceiptTests(SynchronousTestCase):
    """What is known of a file that has arrived."""

    def test_equal(self) -> None:
        """Both sides' receipts can be compared."""
        self.assertEqual(
            Receipt("x", 4, bytes(32), 3), Receipt("x", 4, bytes(32), moved=3)
        )
        self.assertNotEqual(
            Receipt("x", 4, bytes(32), 3), Receipt("x", 4, bytes(31) + b"x", 3)
        )
