"""Tests for :mod:`twisted_transfer.receiptmessages`, and for what is said of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.errors import PartnerFailed, TransferError
from twisted_transfer.receiptboxes import decode, encode
from twisted_transfer.receiptmessages import Failed, FailureKind


class FailedTests(SynchronousTestCase):
    """A failure that is told."""

    @given(st.sampled_from(FailureKind), st.text(max_size=3000))
    def test_because(self, kind: FailureKind, reason: str) -> None:
        """Whatever the words are, they can be sent."""
        failed = Failed.because(kind, reason)
        self.assertEqual(decode(encode(failed)), failed)

    def test_words(self) -> None:
        """An error's words are sent, and not more of them than may be."""
        error = OSError(28, "No space left")
        self.assertEqual(
            Failed.because(FailureKind.STORING, error).reason,
            "[Errno 28] No space left",
        )
        long = Failed.because(FailureKind.SOURCE, "x" * 1001).reason
        self.assertEqual(long, "x" * 999 + "…")
        self.assertEqual(
            Failed.because(FailureKind.SOURCE, "a\n\udcff").reason, "a\\n\\udcff"
        )


class PartnerFailedTests(SynchronousTestCase):
    """The error at the other end."""

    def test_words(self) -> None:
        """It says the kind, the reason, and what to do."""
        error = PartnerFailed("storing", "disk full")
        self.assertIsInstance(error, TransferError)
        self.assertEqual((error.kind, error.reason), ("storing", "disk full"))
        self.assertEqual(
            str(error),
            "the partner has failed (storing): disk full; the partner has to make "
            "room, or choose another place",
        )
        self.assertEqual(
            str(PartnerFailed("cancelled", "")),
            "the partner has failed (cancelled); agree with the partner, and try again",
        )

    def test_advice(self) -> None:
        """There is another advice for each kind."""
        advice = {
            str(PartnerFailed(kind.value, "")).split(";")[1] for kind in FailureKind
        }
        self.assertEqual(len(advice), len(FailureKind))
