"""Tests for :mod:`twisted_transfer.receiptarguments`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols.amp import AmpBox, Argument
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.receiptarguments import Choice, Digest, Number, Text
from twisted_transfer.receiptmessages import BadMessage, FailureKind, Role


class ArgumentTests(SynchronousTestCase):
    """What may stand in an argument, in both directions."""

    def refused(self, argument: Argument, *strings: bytes) -> None:
        """None of these may come."""
        for string in strings:
            self.assertRaises(ValueError, argument.fromString, string)

    def unsaid(self, argument: Argument, *values: Any) -> None:
        """None of these may be sent."""
        for value in values:
            self.assertRaises(ValueError, argument.toString, value)

    @given(st.integers(0, 1000))
    def test_number(self, value: int) -> None:
        """A number is written in digits, and read back."""
        self.assertEqual(Number(1000).toString(value), str(value).encode())
        self.assertEqual(Number(1000).fromString(str(value).encode()), value)

    def test_numberRefused(self) -> None:
        """A number has digits only, no zeros in front, and a bound."""
        self.refused(
            Number(1000),
            *(b"", b"-1", b"+1", b" 1", b"1 ", b"1\n", b"01", b"00", b"1_0", b"1.0"),
            *(b"1e2", b"0x1", b"a", b"\xb2", "\u0661".encode(), b"1001", b"9" * 5000),
        )
        self.refused(Number(2**63 - 1), b"%d" % 2**63, b"1" * 20)
        self.unsaid(Number(1000), -1, 1001, 1.0, True, "1", b"1", None)

    def test_digest(self) -> None:
        """A digest has 32 bytes, whichever."""
        digest = bytes(range(224, 256))
        self.assertEqual(Digest().fromString(digest), digest)
        self.assertEqual(Digest().toString(digest), digest)
        self.refused(Digest(), b"", bytes(31), bytes(33), b"a" * 64)
        self.unsaid(Digest(), b"", bytes(31), bytes(33), "a" * 32, 32)

    def test_text(self) -> None:
        """A text is UTF-8, with a bound on its bytes and on its characters."""
        argument = Text(1, 8, 4)
        for text, written in (("a", b"a"), ("\u00e4" * 4, b"\xc3\xa4" * 4)):
            self.assertEqual(argument.toString(text), written)
            self.assertEqual(argument.fromString(written), text)
        self.refused(argument, b"", b"aaaaa", b"\xc3\xa4" * 4 + b"a", b"\xff", b"\xc3")
        self.refused(argument, b"\xed\xa0\x80", b"\xc0\xaf")
        self.unsaid(argument, "", "aaaaa", "\U0001f600" * 3, "\udc80", b"a", None)

    def test_choice(self) -> None:
        """A word is one of those that there are."""
        self.assertEqual(Choice(Role).toString(Role.SENDS), b"sends")
        self.assertIs(Choice(Role).fromString(b"receives"), Role.RECEIVES)
        self.refused(Choice(Role), b"", b"Sends", b"sends ", b"SENDS", b"refused")
        self.unsaid(Choice(Role), "sends", b"sends", FailureKind.REFUSED, None)

    def test_named(self) -> None:
        """An error names the key."""
        for strings, words in (
            ({}, "size is missing"),
            ({b"size": b"x"}, "size is not a number from 0 to 9"),
        ):
            error = self.assertRaises(
                BadMessage, Number(9).fromBox, b"size", AmpBox(strings), {}, None
            )
            self.assertEqual(str(error), words)
        error = self.assertRaises(
            BadMessage, Number(9).toBox, b"size", AmpBox(), {"size": 10}, None
        )
        self.assertEqual(str(error), "size is not a number from 0 to 9")

    def test_optional(self) -> None:
        """What may be missing is None then."""
        objects: dict[str, Any] = {}
        Number(9, optional=True).fromBox(b"size", AmpBox(), objects, None)
        self.assertEqual(objects, {"size": None})
        strings = AmpBox()
        Number(9, optional=True).toBox(b"size", strings, {"size": None}, None)
        self.assertEqual(strings, AmpBox())
