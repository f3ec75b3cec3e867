"""
Tests for :mod:`twisted_transfer.textencoder`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.encodings import changedCharacters
from twisted_transfer.text import TextSettings
from twisted_transfer.textencoder import Encoder

from .textcases import codecs, cut, eofChars, places, settingsOf, texts, writable


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
        """By the first settings bytes go through as the object that they are."""
        data = bytes(range(256))
        self.assertIs(TextSettings.BINARY.newEncoder().encode(data), data)

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


class ChangeTests(SynchronousTestCase):
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
