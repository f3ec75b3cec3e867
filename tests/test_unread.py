"""
Tests for :mod:`twisted_transfer.unread`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.textcases import cut, places, settingsOf
from twisted_transfer.text import TextSettings
from twisted_transfer.unread import Data, Unread


def unreadOf(*pieces: bytes, settings: TextSettings = TextSettings.BINARY) -> Unread:
    """:returns: unread input that has come in these pieces."""
    unread = Unread(settings)
    for piece in pieces:
        unread.add(piece)
    return unread


def decoded(unread: Unread) -> Data:
    """:returns: everything that can be taken; it is taken then."""
    while unread.decode():
        pass
    return unread.take(unread.length)


class UnreadTests(SynchronousTestCase):
    """What has come and was not taken yet."""

    def test_nothing(self) -> None:
        """Nothing is there, and more may come."""
        unread = unreadOf()
        self.assertFalse(unread.decode())
        self.assertEqual((unread.size, unread.length, unread.firstLength), (0, 0, 0))
        self.assertFalse(unread.over)
        self.assertFalse(unread.satisfied)
        self.assertEqual(unread.take(0), b"")

    def test_emptyPiece(self) -> None:
        """Bytes that are none do not hide those behind them."""
        unread = unreadOf(b"", b"data")
        self.assertTrue(unread.decode())
        self.assertEqual(unread.take(4), b"data")

    def test_onDemand(self) -> None:
        """Only what is asked for is decoded, piece by piece."""
        unread = unreadOf(b"abc", b"def")
        self.assertEqual((unread.size, unread.length), (6, 0))
        self.assertTrue(unread.decode())
        self.assertEqual((unread.size, unread.length, unread.firstLength), (6, 3, 3))
        self.assertTrue(unread.decode())
        self.assertEqual((unread.length, unread.firstLength), (6, 3))
        self.assertFalse(unread.decode())

    def test_take(self) -> None:
        """Exactly what is asked for is taken, across the pieces."""
        unread = unreadOf(b"abc", b"def", b"ghi")
        while unread.decode():
            pass
        self.assertEqual(unread.take(2), b"ab")
        self.assertEqual(unread.firstLength, 1)
        self.assertEqual(unread.take(5), b"cdefg")
        self.assertEqual(unread.take(2), b"hi")
        self.assertEqual((unread.size, unread.length), (0, 0))

    def test_size(self) -> None:
        """A piece is kept until the last of it is taken."""
        unread = unreadOf(b"abc", b"def")
        unread.decode()
        unread.take(2)
        self.assertEqual(unread.size, 6)
        unread.take(1)
        self.assertEqual(unread.size, 3)

    def test_pieces(self) -> None:
        """The pieces can be looked at before they are taken."""
        unread = unreadOf(b"abc", b"def", b"ghi")
        while unread.decode():
            pass
        unread.take(1)
        self.assertEqual(list(unread.pieces(0)), [b"bc", b"def", b"ghi"])
        self.assertEqual(list(unread.pieces(1)), [b"def", b"ghi"])
        self.assertEqual(list(unread.pieces(3)), [])

    def test_characters(self) -> None:
        """A character whose bytes come one by one is there with the last."""
        unread = unreadOf(settings=settingsOf(encoding="utf-8"))
        for byte in "€".encode()[:2]:
            unread.add(bytes([byte]))
            self.assertFalse(unread.decode())
        unread.add("€".encode()[2:])
        self.assertTrue(unread.decode())
        self.assertEqual(unread.take(1), "€")
        self.assertEqual(unread.size, 0)

    def test_mark(self) -> None:
        """
        A byte order mark is no data; that somebody has waited for some behind
        it makes no difference.
        """
        for ask in (False, True):
            unread = unreadOf(
                b"\xef\xbb\xbf", settings=settingsOf(encoding="utf-8-sig")
            )
            if ask:
                self.assertFalse(unread.decode())
            unread.configure(TextSettings.BINARY)
            self.assertEqual(decoded(unread), b"\xef\xbb\xbf")

    def test_nothingForEver(self) -> None:
        """Bytes that never decode to anything are not kept without a bound."""
        unread = unreadOf(settings=settingsOf(encoding="iso2022-jp"))
        for _ in range(10_000):
            unread.add(b"\x1b(B")
            self.assertFalse(unread.decode())
            self.assertLess(unread.size, 5000)
        unread.add(b"x")
        self.assertEqual(decoded(unread), "x")
        self.assertEqual(unread.size, 0)

    def test_end(self) -> None:
        """The end gives out what was held back, and then it is over."""
        unread = unreadOf(b"a\r", settings=settingsOf("crlf"))
        self.assertTrue(unread.decode())
        self.assertEqual(unread.take(1), b"a")
        self.assertFalse(unread.decode())
        self.assertFalse(unread.over)
        unread.ended = True
        self.assertTrue(unread.satisfied)
        self.assertTrue(unread.decode())
        self.assertEqual(unread.take(1), b"\r")
        self.assertFalse(unread.decode())
        self.assertTrue(unread.over)

    def test_endInCharacter(self) -> None:
        """An end inside a character is an error, behind what comes before it."""
        unread = unreadOf(b"a\xe2\x82", settings=settingsOf(encoding="utf-8"))
        unread.ended = True
        self.assertEqual(decoded(unread), "a")
        self.assertTrue(unread.over)
        assert unread.error is not None
        self.assertEqual(unread.error.offset, 1)

    def test_invalid(self) -> None:
        """So is an invalid byte; other settings may make sense of it."""
        unread = unreadOf(b"ab\xffcd", settings=settingsOf(encoding="utf-8"))
        self.assertEqual(decoded(unread), "ab")
        assert unread.error is not None
        self.assertEqual(unread.error.offset, 2)
        unread.configure(settingsOf(encoding="cp1252"))
        self.assertIsNone(unread.error)
        self.assertEqual(decoded(unread), "ÿcd")

    def test_eofChar(self) -> None:
        """An end-of-file character ends the data, and more is of no use."""
        unread = unreadOf(b"ab\x1acd", b"ef", settings=settingsOf(eofChar="\x1a"))
        self.assertFalse(unread.satisfied)
        self.assertEqual(decoded(unread), b"ab")
        self.assertTrue(unread.over)
        self.assertTrue(unread.satisfied)
        unread.configure(TextSettings.BINARY)
        self.assertFalse(unread.over)
        self.assertEqual(decoded(unread), b"\x1acdef")

    def test_configure(self) -> None:
        """Everything that was not taken is decoded anew, and nothing else."""
        unread = unreadOf("aé€".encode(), settings=settingsOf(encoding="utf-8"))
        unread.decode()
        self.assertEqual(unread.take(2), "aé")
        self.assertEqual(unread.generation, 0)
        unread.configure(TextSettings.BINARY)
        self.assertEqual(unread.generation, 1)
        self.assertEqual((unread.size, unread.length), (3, 0))
        self.assertEqual(decoded(unread), "€".encode())

    def test_configureInCharacters(self) -> None:
        """Wherever the characters are cut, what is not taken is as it came."""
        raw = "aé€𝄞z".encode()
        for taken in range(6):
            for first in range(len(raw)):
                for second in range(first, len(raw)):
                    unread = unreadOf(
                        raw[:first],
                        raw[first:second],
                        raw[second:],
                        settings=settingsOf(encoding="utf-8"),
                    )
                    while unread.length < taken and unread.decode():
                        pass
                    unread.take(min(taken, 5))
                    unread.configure(TextSettings.BINARY)
                    rest = "aé€𝄞z"[taken:].encode()
                    self.assertEqual(decoded(unread), rest)

    def test_configureAtTheEnd(self) -> None:
        """Also after the end, and when that was an error before."""
        for taken in range(3):
            unread = unreadOf(b"a\r", settings=settingsOf("crlf"))
            unread.ended = True
            while unread.decode():
                pass
            unread.take(taken)
            unread.configure(settingsOf("cr"))
            self.assertEqual(decoded(unread), b"a\n"[taken:])
            self.assertTrue(unread.over)
        unread = unreadOf(b"a\xe2\x82", settings=settingsOf(encoding="utf-8"))
        unread.ended = True
        self.assertEqual(decoded(unread), "a")
        unread.configure(TextSettings.BINARY)
        self.assertEqual(decoded(unread), b"\xe2\x82")
        self.assertIsNone(unread.error)

    def test_empty(self) -> None:
        """Nothing is bytes or text, as something would be."""
        unread = unreadOf()
        self.assertEqual(unread.empty, b"")
        unread.configure(settingsOf(encoding="utf-8"))
        self.assertEqual(unread.empty, "")

    @given(st.binary(max_size=60), places, st.lists(st.integers(0, 9), max_size=12))
    def test_counts(self, raw: bytes, cuts: list[int], counts: list[int]) -> None:
        """
        However the input is cut and taken, the bytes come in order, and the
        counters tell what is there.
        """
        unread = unreadOf(*cut(raw, cuts))
        got = b""
        for count in counts:
            while unread.length < count and unread.decode():
                pass
            taken = unread.take(min(count, unread.length))
            self.assertIsInstance(taken, bytes)
            got += bytes(taken)  # type: ignore[arg-type]
            self.assertEqual(sum(map(len, unread.pieces(0))), unread.length)
            self.assertGreaterEqual(unread.size, len(raw) - len(got))
        got += bytes(decoded(unread))  # type: ignore[arg-type]
        self.assertEqual(got, raw)
        self.assertEqual(unread.size, 0)
