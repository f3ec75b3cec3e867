"""Tests for :mod:`twisted_transfer.statuses`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
    TCPTimedOutError,
    TimeoutError,
    UnknownHostError,
)
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.errors import (
    AlreadyConnecting,
    BadDescription,
    BadOption,
    DestinationError,
    NotAdmitted,
    NotAReceiptPartner,
    NotEnoughData,
    PartnerFailed,
    PartnerProtocolError,
    PartnerTimeout,
    PeerRefused,
    ReceiptMismatch,
    SourceError,
    Truncated,
)
from twisted_transfer.receiptmessages import FailureKind
from twisted_transfer.statuses import sayable, statusOf, wordsFor

_ADDRESS_IN_USE = OSError(98, "Address already in use")


class StatusTests(SynchronousTestCase):
    """What went wrong, as an exit status."""

    def test_statuses(self) -> None:
        """Each kind of failure has the status that the manual gives it."""
        for status, errors in (
            (2, [BadOption("x"), BadDescription("x")]),
            (
                3,
                [
                    PartnerTimeout("x"),
                    ConnectError(),
                    ConnectionRefusedError(),
                    TimeoutError(),
                    TCPTimedOutError(),
                    UnknownHostError(),
                    DNSLookupError("x"),
                ],
            ),
            (4, [PeerRefused("x"), NotAdmitted("x")]),
            # The partner did not want to begin.
            (
                4,
                [
                    PartnerFailed("refused", "x"),
                    PartnerFailed("exists", "x"),
                    PartnerFailed("too-large", "x"),
                ],
            ),
            (5, [Truncated("x")]),
            (
                5,
                [
                    NotAReceiptPartner("x"),
                    PartnerProtocolError("x"),
                    ReceiptMismatch("x"),
                    PartnerFailed("storing", "x"),
                    PartnerFailed("source", "x"),
                    PartnerFailed("cancelled", "x"),
                    PartnerFailed("mismatch", "x"),
                    PartnerFailed("protocol", "x"),
                ],
            ),
            (
                6,
                [
                    SourceError("x"),
                    DestinationError("x"),
                    NotEnoughData(2, b"x"),
                    CannotListenError("", 1, _ADDRESS_IN_USE),
                    # This side has not even got so far as to ask the partner.
                    ConnectBindError(),
                    OSError(24, "Too many open files"),
                ],
            ),
            (1, [ZeroDivisionError(), AlreadyConnecting("x"), CancelledError()]),
        ):
            for error in errors:
                self.assertEqual(statusOf(error), status, repr(error))


class WordsTests(SynchronousTestCase):
    """What went wrong, in words."""

    def test_own(self) -> None:
        """The library's own errors say what to do already."""
        self.assertEqual(wordsFor(Truncated("transfer again")), "transfer again")

    def test_partner(self) -> None:
        """What the partner says is told as the partner's, with what to do."""
        for kind in FailureKind:
            words = wordsFor(PartnerFailed(kind.value, "no room"))
            self.assertRegex(words, rf"^the partner .*\({kind.value}\): no room; \w")

    def test_oneLine(self) -> None:
        """However an error is written, it is told in one line."""
        self.assertEqual(wordsFor(BadOption("one\n  two\n")), "one two")
        self.assertEqual(wordsFor(OSError()), "OSError")

    def test_unreachable(self) -> None:
        """Who cannot reach the partner is told what to look at."""
        for error in (
            ConnectionRefusedError(osError=111, string="Connection refused"),
            DNSLookupError("no results for hostname lookup: nowhere"),
        ):
            words = wordsFor(error)
            self.assertIn("could not be reached", words)
            self.assertIn("retryFor", words)
            self.assertIn(error.args[-1], words)

    def test_cannotListen(self) -> None:
        """Who cannot listen is told where, why, and what else could be."""
        words = wordsFor(
            CannotListenError("127.0.0.1", 4000, OSError(*_ADDRESS_IN_USE.args))
        )
        for text in ("127.0.0.1:4000", "Address already in use", "port=0"):
            self.assertIn(text, words)


class SayableTests(SynchronousTestCase):
    """Words that came from outside."""

    def test_secret(self) -> None:
        """A secret is left out wherever it stands."""
        text = "cannot read transfer:active:mtls:secret=swordfish: no such file"
        self.assertEqual(
            sayable(text), "cannot read transfer:active:mtls:secret=…: no such file"
        )
        self.assertNotIn("swordfish", wordsFor(SourceError(text)))

    def test_terminal(self) -> None:
        """Nothing in it does anything to a terminal; lines stay lines."""
        said = sayable("a\x1b[2Jb\nc")
        self.assertEqual([line.isprintable() for line in said.split("\n")], [True] * 2)
        self.assertTrue(wordsFor(SourceError("\x1b[2J\u202e")).isprintable())

    def test_plain(self) -> None:
        """All else is as it was."""
        self.assertEqual(sayable("it's “this”: ä 日本"), "it's “this”: ä 日本")
