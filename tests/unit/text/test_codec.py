"""
Tests for :mod:`twisted_transfer.text.codec`: what some inputs give.

What holds for all of them is in ``test_codec_laws``.
"""

from __future__ import annotations

import contextlib
import sys
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.textcases import (
    CODECS,
    asText,
    codecs,
    cut,
    decoderOf,
    eofChars,
    places,
    settingsOf,
    texts,
    writable,
)
from twisted_transfer.errors import BadOption, Undecodable
from twisted_transfer.text.codec import Encoder, changedCharacters, codecName
from twisted_transfer.text.settings import TextSettings


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


class NameTests(SynchronousTestCase):
    """Tests for ``codecName``."""

    def test_names(self) -> None:
        """Tcl's names and Python's are known, in any case."""
        for name, codec in (
            ("utf-8", "utf-8"),
            ("UTF8", "utf-8"),
            ("iso8859-1", "iso8859-1"),
            ("latin1", "iso8859-1"),
            ("ISO_8859_15", "iso8859-15"),
            ("shiftjis", "shift_jis"),
            ("euc-jp", "euc_jp"),
            ("euc-cn", "gb2312"),
            ("cp936", "gbk"),
            ("macRoman", "mac-roman"),
            ("macCentEuro", "mac-latin2"),
            ("macCroatian", "mac-croatian"),
            ("macRomania", "mac-romanian"),
            ("macUkraine", "mac-cyrillic"),
            ("utf-16", "utf-16"),
            ("utf_16_be", "utf-16-be"),
            ("gb18030", "gb18030"),
        ):
            self.assertEqual(codecName(name), codec)

    def test_unicode(self) -> None:
        """Tcl's ``unicode`` is UTF-16 in this machine's order, with no mark."""
        codec = codecName("unicode")
        assert codec is not None
        self.assertEqual("é".encode(codec), ord("é").to_bytes(2, sys.byteorder))

    def test_binary(self) -> None:
        """``binary`` and nothing are no encoding, as in Tcl."""
        for name in ("binary", "BINARY", ""):
            self.assertIs(codecName(name), None)

    def test_unknown(self) -> None:
        """A name that is misspelt is refused, with those that are like it."""
        for name, suggestion in (
            ("utf9", "utf-8"),
            ("shiftjs", "shift_jis"),
            ("koi8", "koi8-r"),
            ("cp12522", "cp1252"),
            ("unicod", "unicode"),
            ("macCentEuropean", "maccenteuro"),
            ("zzzzz", "utf-8"),
        ):
            error = self.assertRaises(BadOption, codecName, name)
            start, hint = str(error).split("; did you mean ")
            self.assertIn(f"encoding {name!r}", start)
            self.assertIn(suggestion, hint.rstrip("?").split(", "))

    def test_tclOnly(self) -> None:
        """What only Tcl has is refused as that."""
        for name in ("symbol", "identity", "macDingbats", "ksc5601", "ebcdic"):
            error = self.assertRaises(BadOption, codecName, name)
            self.assertIn(f"encoding {name!r} exists in Tcl only", str(error))

    def test_notText(self) -> None:
        """
        Python's codecs that are not from text to bytes, or not for streams, are
        refused, and so is what is no name.
        """
        for name in (
            *("rot13", "hex", "base64", "zlib", "bz2", "quopri", "uu"),
            *("idna", "punycode", "undefined", "unicode_escape", "utf-7", "charmap"),
            *("raw_unicode_escape", "aliases", " ", "a\0b", "\ud800", "é", "../utf_8"),
        ):
            error = self.assertRaises(BadOption, codecName, name)
            self.assertIn(f"encoding {name!r}", str(error))
        wrongs: list[Any] = [1, b"utf-8", None, ["utf-8"]]
        for wrong in wrongs:
            error = self.assertRaises(BadOption, codecName, wrong)
            self.assertIn(f"encoding {wrong!r} is not a name", str(error))

    @given(st.text(max_size=12))
    def test_anything(self, name: str) -> None:
        """Any text is the name of a codec that can be used, or refused."""
        try:
            codec = codecName(name)
        except BadOption as error:
            self.assertIn("encoding", str(error))
        else:
            self.assertIn(codec, (None, *CODECS))


def _encodable(codec: str, text: str) -> str:
    """:returns: those characters of a text that a codec has."""
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        if not text.encode(codec, "ignore"):
            return ""
        return "".join(char for char in text if char.encode(codec, "ignore"))
    return text


class ChangedCharactersTests(SynchronousTestCase):
    """Tests for ``changedCharacters``."""

    def test_exactlyThese(self) -> None:
        """
        In every codec the characters that come back as others are these, and no
        other one up to U+FFFF.
        """
        chars = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x10000))))
        for codec in CODECS:
            changed = changedCharacters(codec)
            for char in changed:
                with contextlib.suppress(UnicodeDecodeError):  # or not even that
                    self.assertNotEqual(char.encode(codec).decode(codec), char)
            others = chars.translate(dict.fromkeys(map(ord, changed)))
            # Of runs of characters, for encoding one costs as much as many.
            runs = (others[at : at + 64] for at in range(0, len(others), 64))
            kept = "".join(map(partial(_encodable, codec), runs))
            back = kept.encode(codec).decode(codec)
            # Not by assertEqual, which would compute the difference.
            self.assertTrue(back == kept, codec)


def _encoder(translation: str = "lf", encoding: str = "", eofChar: str = "") -> Encoder:
    return settingsOf(translation, encoding, eofChar).newEncoder()


_TRANSLATIONS = st.sampled_from(("cr", "crlf", "lf"))


class LawsTests(SynchronousTestCase):
    """What holds for every text by every setting."""

    @given(texts, codecs, _TRANSLATIONS, eofChars, places)
    def test_cutting(
        self, text: str, codec: str, translation: str, eofChar: str, cuts: list[int]
    ) -> None:
        """Any cutting of any text gives the same bytes."""
        text = writable(text, codec)
        whole = _encoder(translation, codec, eofChar)
        pieces = _encoder(translation, codec, eofChar)
        self.assertEqual(
            b"".join(map(pieces.encode, cut(text, cuts))) + pieces.finish(),
            whole.encode(text) + whole.finish(),
        )

    @given(texts, codecs, _TRANSLATIONS, eofChars)
    def test_roundTrip(
        self, text: str, codec: str, translation: str, eofChar: str
    ) -> None:
        """
        What is written is read again, where the text has nothing that the
        settings take for a newline or the end.
        """
        text = writable(text, codec).replace("\r", "")
        if eofChar:
            text = text.replace(eofChar, "")
        if eofChar in ("\r", "\n"):
            text, eofChar = text.replace("\n", ""), ""
        settings = settingsOf(translation, codec, eofChar)
        encoder, decoder = settings.newEncoder(), settings.newDecoder()
        given = decoder.feed(encoder.encode(text) + encoder.finish())
        rest = decoder.finish()
        assert isinstance(given, str) and isinstance(rest, str)
        # Two characters may have come to one place in some encodings.
        raw = text.encode(codec, "ignore")
        self.assertEqual(given + rest, raw.decode(codec))
        self.assertEqual(decoder.ended, bool(eofChar))

    @given(texts, texts, codecs, _TRANSLATIONS)
    def test_lackingCharacter(
        self, first: str, second: str, codec: str, translation: str
    ) -> None:
        """
        A text with a character that cannot be written fails, naming it and its
        place; and it leaves no trace: what else is written is the same.
        """
        good = writable(first, codec)
        encoder = _encoder(translation, codec)
        result = encoder.encode(good)
        kept = writable(second, codec)
        if kept != second:
            error = self.assertRaises(UnicodeEncodeError, encoder.encode, second)
            self.assertEqual((error.encoding, error.object), (codec, second))
            place = next(
                place for place, char in enumerate(second) if not writable(char, codec)
            )
            refused = [c for c in second if c in changedCharacters(codec)]
            # A character that would come back as another is found first.
            if refused:
                place = second.index(refused[0])
            self.assertEqual(error.start, place)
        result += encoder.encode(good) + encoder.finish()
        expected = _encoder(translation, codec)
        self.assertEqual(result, expected.encode(good + good) + expected.finish())


class EncodeTests(SynchronousTestCase):
    """What is written."""

    def test_newlines(self) -> None:
        """A newline becomes what the translation says; a CR stays a CR."""
        for translation, expected in (
            ("lf", b"a\nb\r\nc\r"),
            ("cr", b"a\rb\r\rc\r"),
            ("crlf", b"a\r\nb\r\r\nc\r"),
            ("auto", b"a\r\nb\r\r\nc\r"),
            ("binary", b"a\nb\r\nc\r"),
        ):
            text = "a\nb\r\nc\r"
            self.assertEqual(_encoder(translation, "utf-8").encode(text), expected)
            self.assertEqual(_encoder(translation).encode(text.encode()), expected)

    def test_newlinesAreEncoded(self) -> None:
        """A newline is made of characters of the encoding."""
        encoder = _encoder("crlf", "utf-16-be")
        self.assertEqual(encoder.encode("a\n"), b"\x00a\x00\r\x00\n")

    def test_binary(self) -> None:
        """By the first settings bytes go through as they are."""
        data = bytes(range(256))
        self.assertEqual(TextSettings.BINARY.newEncoder().encode(data), data)

    def test_wrongType(self) -> None:
        """
        Text where bytes are carried, bytes where text is carried, and what is
        neither are told apart, with what would be right.
        """
        wrong: object
        for wrong in ("a", None, 1, bytearray(b"a")):
            error = self.assertRaises(TypeError, _encoder().encode, wrong)
            self.assertIn(f"carries bytes, not {type(wrong).__name__}", str(error))
            self.assertIn("configure(encoding=...)", str(error))
        for wrong in (b"a", None, 1):
            encoder = _encoder("lf", "koi8-r")
            error = self.assertRaises(TypeError, encoder.encode, wrong)
            name = type(wrong).__name__
            self.assertIn(f"carries text in koi8-r, not {name}", str(error))
            self.assertIn("configure(encoding='binary')", str(error))

    def test_lackingCharacter(self) -> None:
        """
        The error names the encoding that was set, and the character's place in
        the text that was given, whatever its newlines have become.
        """
        encoder = _encoder("crlf", "cp437")
        error = self.assertRaises(UnicodeEncodeError, encoder.encode, "a\n\nb€€c")
        self.assertEqual(
            (error.encoding, error.object, error.start), ("cp437", "a\n\nb€€c", 4)
        )
        self.assertIn("'cp437' codec can't encode character", str(error))

    def test_otherCharacter(self) -> None:
        """
        A character that the codec would write as another one is an error, too.
        """
        encoder = _encoder("crlf", "shiftjis")
        error = self.assertRaises(UnicodeEncodeError, encoder.encode, "\n\\5¥")
        self.assertEqual((error.encoding, error.start, error.end), ("shift_jis", 3, 4))
        self.assertIn("read as another character", str(error))

    def test_stateAfterAnError(self) -> None:
        """
        What fails does not change the encoding's state.
        """
        encoder = _encoder("lf", "iso2022-jp")
        self.assertRaises(UnicodeEncodeError, encoder.encode, "あ\x80")
        self.assertEqual(encoder.encode("a"), b"a")
        self.assertRaises(UnicodeEncodeError, encoder.encode, "あ\x80")
        self.assertEqual(encoder.encode("い"), b"\x1b$B$$")
        self.assertRaises(UnicodeEncodeError, encoder.encode, "a\x80")
        self.assertEqual(encoder.encode("い") + encoder.finish(), b"$$\x1b(B")


class EndTests(SynchronousTestCase):
    """What is written last."""

    def test_nothing(self) -> None:
        """Without an end-of-file character, and without text, it is nothing."""
        for encoding in ("", "utf-8", "utf-16", "utf-8-sig", "iso2022-jp"):
            self.assertEqual(_encoder("lf", encoding).finish(), b"")
            empty = _encoder("lf", encoding)
            nothing: str | bytes = "" if encoding else b""
            self.assertEqual(empty.encode(nothing) + empty.finish(), b"")

    def test_eofChar(self) -> None:
        """It is the output's end-of-file character, in the encoding."""
        settings = TextSettings.BINARY.replaced(eofChar=("a", "b"))
        self.assertEqual(settings.newEncoder().finish(), b"b")
        settings = settings.replaced(encoding="utf-16-le")
        self.assertEqual(settings.newEncoder().finish(), b"b\x00")

    def test_state(self) -> None:
        """An encoding is brought back to its first state before it."""
        encoder = _encoder("lf", "iso2022-jp", "\x1a")
        self.assertEqual(encoder.encode("あ"), b'\x1b$B$"')
        self.assertEqual(encoder.finish(), b"\x1b(B\x1a")

    def test_heldBack(self) -> None:
        """
        A character that waits for the next one is written at the end, and an
        error behind it has its place in the text of its own.
        """
        encoder = _encoder("lf", "big5hkscs")
        self.assertEqual(encoder.encode("Ê"), b"")
        error = self.assertRaises(UnicodeEncodeError, encoder.encode, "a\x80")
        self.assertEqual((error.object, error.start), ("a\x80", 1))
        self.assertEqual(encoder.finish(), "Ê".encode("big5hkscs"))


class EncoderChangeTests(SynchronousTestCase):
    """Settings that change on the way."""

    def test_otherEncoding(self) -> None:
        """The encoding before is brought back to its first state."""
        encoder = _encoder("lf", "iso2022-jp", "\x1a")
        encoder.encode("あ")
        self.assertEqual(encoder.flush(), b"\x1b(B")
        self.assertEqual(encoder.flush(), b"")
        new = settingsOf("lf", "euc-jp").newEncoder(encoder)
        self.assertEqual(new.encode("あ"), "あ".encode("euc_jp"))

    def test_sameEncoding(self) -> None:
        """What stands at the beginning stands only there."""
        for encoding in ("utf-16", "utf-8-sig"):
            encoder = _encoder("lf", encoding)
            result = encoder.encode("a\n") + encoder.flush()
            new = settingsOf("crlf", encoding).newEncoder(encoder)
            result += new.encode("b\n") + new.finish()
            self.assertEqual(result, "a\nb\r\n".encode(encoding))

    def test_nothingWritten(self) -> None:
        """Where nothing was written there is nothing to bring back."""
        encoder = _encoder("lf", "utf-16")
        self.assertEqual(encoder.flush(), b"")
        new = settingsOf("crlf", "utf-16").newEncoder(encoder)
        self.assertEqual(new.encode("a"), "a".encode("utf-16"))
