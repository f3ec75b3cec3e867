"""
Tests for :mod:`twisted_transfer.textdecoder`: what some inputs give.

What holds for all of them is in ``test_textdecoderlaws``.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.errors import Undecodable
from twisted_transfer.text import TextSettings

from .textcases import asText, decoderOf, settingsOf


class NewlineTests(SynchronousTestCase):
    """What is a newline, and when it comes."""

    def test_auto(self) -> None:
        """``auto`` takes CR, LF and CRLF for one newline each."""
        decoder = decoderOf("auto", "utf-8")
        self.assertEqual(
            decoder.feed(b"a\rb\nc\r\nd\n\re\r\r\n"), "a\nb\nc\nd\n\ne\n\n"
        )

    def test_autoAtOnce(self) -> None:
        """
        In ``auto`` a CR is a newline at once, and a LF that comes later is
        swallowed, but only one and only the next.
        """
        decoder = decoderOf("auto", "utf-8")
        self.assertEqual(decoder.feed(b"a\r"), "a\n")
        self.assertEqual(decoder.pending(), b"")
        self.assertEqual(decoder.feed(b""), "")
        self.assertEqual(decoder.feed(b"\n\nb\r"), "\nb\n")
        self.assertEqual(decoder.feed(b"c\n"), "c\n")
        self.assertEqual(decoder.finish(), "")

    def test_crlf(self) -> None:
        """``crlf`` takes only both together; each alone is what it is."""
        decoder = decoderOf("crlf", "utf-8")
        self.assertEqual(
            decoder.feed(b"a\rb\nc\r\nd\n\re\r\r\n"), "a\rb\nc\nd\n\re\r\n"
        )

    def test_crlfHeldBack(self) -> None:
        """
        In ``crlf`` a CR waits for what comes next, and is given at the end.
        """
        decoder = decoderOf("crlf", "utf-8")
        self.assertEqual(decoder.feed(b"a\r"), "a")
        self.assertEqual(decoder.pending(), b"\r")
        self.assertEqual(decoder.feed(b"\n\r"), "\n")
        self.assertEqual(decoder.feed(b"\r"), "\r")
        self.assertEqual(decoder.finish(), "\r")
        self.assertEqual(decoder.pending(), b"")

    def test_cr(self) -> None:
        """``cr`` takes CR, and leaves LF what it is."""
        self.assertEqual(decoderOf("cr", "utf-8").feed(b"a\rb\nc\r\n"), "a\nb\nc\n\n")

    def test_lf(self) -> None:
        """``lf`` changes nothing."""
        self.assertEqual(decoderOf("lf", "utf-8").feed(b"a\rb\nc\r\n"), "a\rb\nc\r\n")

    def test_bytes(self) -> None:
        """Without an encoding newlines are translated in bytes, of any value."""
        decoder = decoderOf("auto")
        self.assertEqual(
            decoder.feed(bytes(range(256)) + b"\r"),
            bytes([*range(13), 10, *range(14, 256), 10]),
        )
        self.assertEqual(decoder.feed(b"\n\x80"), b"\x80")
        self.assertEqual(decoder.finish(), b"")

    def test_binary(self) -> None:
        """By the first settings bytes go through as the object that they are."""
        data = bytes(range(256))
        self.assertIs(TextSettings.BINARY.newDecoder().feed(data), data)


class EOFCharTests(SynchronousTestCase):
    """The character that ends the input."""

    def test_ends(self) -> None:
        """
        It and everything behind it are not data, but stay pending; what is
        behind it may be anything.
        """
        decoder = decoderOf("auto", "utf-8", "\x1a")
        self.assertEqual(decoder.feed(b"\xc3\xa9\r\x1ab\xff\x1a"), "é\n")
        self.assertTrue(decoder.ended)
        self.assertEqual(decoder.pending(), b"\x1ab\xff\x1a")
        self.assertEqual(decoder.feed(b"\xffc"), "")
        self.assertEqual(decoder.pending(), b"\x1ab\xff\x1a\xffc")
        self.assertEqual(decoder.finish(), "")
        self.assertTrue(decoder.ended)

    def test_notBefore(self) -> None:
        """Without it the input has not ended, also not by its end."""
        decoder = decoderOf("auto", "utf-8", "\x1a")
        decoder.feed(b"a")
        decoder.finish()
        self.assertFalse(decoder.ended)

    def test_character(self) -> None:
        """It is a character: a byte of another one is none."""
        decoder = decoderOf("lf", "shiftjis", "A")
        self.assertEqual(decoder.feed(b"\x83\x41\x83"), "ア")
        self.assertEqual(decoder.feed(b"\x41A"), "ア")
        self.assertTrue(decoder.ended)
        decoder = decoderOf("lf", "utf-16-le", "\x1a")
        self.assertEqual(decoder.feed(b"\x00\x1a\x1a\x1a\x1a\x00b\x00"), "\u1a00\u1a1a")
        self.assertEqual(decoder.pending(), b"\x1a\x00b\x00")

    def test_halfBefore(self) -> None:
        """What is pending has all its bytes, also those that came before."""
        decoder = decoderOf("lf", "utf-16-le", "\x1a")
        self.assertEqual(decoder.feed(b"a\x00\x1a"), "a")
        self.assertFalse(decoder.ended)
        self.assertEqual(decoder.feed(b"\x00b"), "")
        self.assertTrue(decoder.ended)
        self.assertEqual(decoder.pending(), b"\x1a\x00b")

    def test_afterCR(self) -> None:
        """A CR before it is not the first half of a CRLF."""
        decoder = decoderOf("crlf", "utf-8", "\x1a")
        self.assertEqual(decoder.feed(b"a\r"), "a")
        self.assertEqual(decoder.feed(b"\x1a"), "\r")
        self.assertTrue(decoder.ended)

    def test_goOn(self) -> None:
        """With other settings the input goes on, with that character."""
        decoder = decoderOf("lf", "utf-8", "\x1a")
        decoder.feed(b"a\x1ab")
        new = settingsOf("lf", "utf-8").newDecoder(decoder)
        self.assertEqual(new.feed(decoder.pending()), "\x1ab")

    def test_goOnWithLF(self) -> None:
        """
        A LF that ended the input belongs to no newline, also not behind a CR.
        """
        decoder = decoderOf("auto", "utf-8", "\n")
        self.assertEqual(decoder.feed(b"a\r\nb"), "a\n")
        advanced = decoderOf("auto", "utf-8", "\n").advanced(b"a\r\nb", 2)
        for before in (decoder, advanced):
            self.assertEqual(before.pending(), b"\nb")
            new = settingsOf("lf", "utf-8").newDecoder(before)
            self.assertEqual(new.feed(before.pending()), "\nb")


class InvalidTests(SynchronousTestCase):
    """Input that is not valid in its encoding."""

    def test_goodFirst(self) -> None:
        """
        What stands before the bad byte is given; then each call fails, saying
        where and in which encoding, and takes nothing more.
        """
        decoder = decoderOf("crlf", "cp1252")
        self.assertEqual(decoder.feed(b"ab"), "ab")
        self.assertEqual(decoder.feed(b"c\x80\r\x81d"), "c€\r")
        for call in (lambda: decoder.feed(b"e"), decoder.finish, decoder.finish):
            error = self.assertRaises(Undecodable, call)
            self.assertEqual((error.encoding, error.offset), ("cp1252", 5))
            self.assertIn("byte 5 is not valid cp1252", str(error))
        self.assertEqual(decoder.pending(), b"\x81d")

    def test_incomplete(self) -> None:
        """
        An input that ends inside a character is invalid where that begins.
        """
        decoder = decoderOf("crlf", "utf-8")
        self.assertEqual(decoder.feed(b"a\r\xe2\x82"), "a")
        error = self.assertRaises(Undecodable, decoder.finish)
        self.assertEqual((error.encoding, error.offset), ("utf-8", 2))
        self.assertEqual(decoder.pending(), b"\r\xe2\x82")

    def test_offsetGoesOn(self) -> None:
        """The offset is counted from where the encoding was set."""
        decoder = decoderOf("lf", "utf-8", "\x1a")
        decoder.feed("éa\x1a".encode())
        same = settingsOf("crlf", "utf-8").newDecoder(decoder)
        same.feed(decoder.pending() + b"\xff")
        self.assertEqual(self.assertRaises(Undecodable, same.finish).offset, 4)
        other = settingsOf("lf", "ascii").newDecoder(decoder)
        other.feed(decoder.pending() + b"\xff")
        self.assertEqual(self.assertRaises(Undecodable, other.finish).offset, 1)

    def test_noByteOrderMark(self) -> None:
        """Python's utf-16 begins with a byte order mark, of either kind."""
        for codec in ("utf-16-le", "utf-16-be"):
            decoder = decoderOf("auto", "utf-16")
            raw = "\ufeffa\r\né".encode(codec)
            given = [decoder.feed(raw[i : i + 1]) for i in range(len(raw))]
            self.assertEqual("".join(map(asText, given)), "a\né")
        decoder = decoderOf("auto", "utf-16")
        self.assertEqual(decoder.feed(b"a\x00b\x00"), "")
        error = self.assertRaises(Undecodable, decoder.finish)
        self.assertEqual((error.encoding, error.offset), ("utf-16", 0))
        self.assertEqual(decoder.pending(), b"a\x00b\x00")

    def test_strayEscape(self) -> None:
        """
        In an encoding with escape sequences an escape that begins none is
        invalid, wherever the input is cut.
        """
        for raw in (b"a\x1b\r\r", b"a\x1b$)" + b"\r" * 20):
            for size in (1, 7, len(raw)):
                decoder = decoderOf("crlf", "iso2022-jp")
                given = ""
                with self.assertRaises(Undecodable) as caught:
                    for start in range(0, len(raw), size):
                        given += asText(decoder.feed(raw[start : start + size]))
                    decoder.finish()
                self.assertEqual((given, caught.exception.offset), ("a", 1))
                self.assertEqual(caught.exception.detail, "illegal multibyte sequence")
                self.assertTrue(raw.startswith(b"a" + decoder.pending()))


class ChangeTests(SynchronousTestCase):
    """Settings that change on the way."""

    def test_header(self) -> None:
        """
        After some lines the rest is taken as bytes: the LF of the last line's
        newline is not one of them, whenever it comes.
        """
        raw = b"one\r\ntwo\r\n\n\xff"
        lines = decoderOf("auto", "ascii").advanced(raw, len("one\ntwo\n"))
        self.assertEqual(lines.pending(), b"\n\xff")
        body = TextSettings.BINARY.newDecoder(lines)
        self.assertEqual(body.feed(lines.pending()), b"\n\xff")

        lines = decoderOf("auto", "ascii")
        self.assertEqual(lines.feed(b"one\r\ntwo\r"), "one\ntwo\n")
        body = TextSettings.BINARY.newDecoder(lines)
        self.assertEqual(body.feed(b"\n\n\xff"), b"\n\xff")

    def test_state(self) -> None:
        """
        An encoding's state goes on, as long as the encoding stays the same.
        """
        decoder = decoderOf("lf", "iso2022-jp")
        self.assertEqual(decoder.feed(b'\x1b$B$"$'), "あ")
        self.assertEqual(decoder.pending(), b"$")
        same = settingsOf("auto", "iso2022-jp").newDecoder(decoder)
        self.assertEqual(same.feed(decoder.pending() + b"$"), "い")
        other = settingsOf("auto", "ascii").newDecoder(decoder)
        self.assertEqual(other.feed(decoder.pending() + b"$"), "$$")

    def test_onlyNewlines(self) -> None:
        """Of many newlines exactly so many are taken, with both their bytes."""
        decoder = decoderOf("auto").advanced(b"\r\n" * 50, 20)
        self.assertEqual(decoder.pending(), b"\r\n" * 30)
        decoder = decoderOf("crlf").advanced(b"\r\n" * 50 + b"\r", 50)
        self.assertEqual(decoder.pending(), b"\r")

    def test_advancedGoesOn(self) -> None:
        """
        What was advanced goes on by itself: with what is pending, and up to the
        invalid byte in it.
        """
        decoder = decoderOf("auto", "utf-8")
        decoder.feed(b"a\r")
        advanced = decoder.advanced(b"\nbc\xffd", 1)
        self.assertEqual(advanced.pending(), b"c\xffd")
        self.assertEqual(advanced.feed(b"e"), "c")
        error = self.assertRaises(Undecodable, advanced.finish)
        self.assertEqual(error.offset, 5)
        self.assertEqual(advanced.pending(), b"\xffde")

    def test_advancedByNothing(self) -> None:
        """Nothing read leaves everything pending."""
        decoder = decoderOf("auto", "utf-8")
        decoder.feed(b"a\xc3")
        self.assertEqual(decoder.advanced(b"\xa9b", 0).pending(), b"\xc3\xa9b")
        self.assertEqual(decoder.pending(), b"\xc3")
