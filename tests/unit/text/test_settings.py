"""
Tests for :mod:`twisted_transfer.text.settings`.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.errors import BadOption
from twisted_transfer.text.codec import Decoder, Encoder
from twisted_transfer.text.settings import TextSettings

BINARY = TextSettings.BINARY
_TEXT = TextSettings("auto", "crlf", "utf-8", "\x1a", "\x04")


class TranslationTests(SynchronousTestCase):
    """The option ``translation``."""

    def _translations(self, value: Any) -> tuple[str, str]:
        new = _TEXT.replaced(translation=value)
        return new.inputTranslation, new.outputTranslation

    def test_one(self) -> None:
        """One value is for both sides; ``auto`` is CRLF on output."""
        for value, expected in (
            ("auto", ("auto", "crlf")),
            ("cr", ("cr", "cr")),
            ("crlf", ("crlf", "crlf")),
            ("lf", ("lf", "lf")),
            ("binary", ("lf", "lf")),
            (["lf"], ("lf", "lf")),
        ):
            self.assertEqual(self._translations(value), expected)

    def test_pair(self) -> None:
        """A pair is for input and output; an empty one leaves its side."""
        for value, expected in (
            (("cr", "lf"), ("cr", "lf")),
            (["lf", "auto"], ("lf", "crlf")),
            (("", "lf"), ("auto", "lf")),
            (("lf", ""), ("lf", "crlf")),
            (("", ""), ("auto", "crlf")),
        ):
            self.assertEqual(self._translations(value), expected)

    def test_tclList(self) -> None:
        """A pair can be one string, as Tcl writes a list."""
        for value, expected in (
            ("cr lf", ("cr", "lf")),
            ("  lf   auto ", ("lf", "crlf")),
            ("{} lf", ("auto", "lf")),
            ("lf {}", ("lf", "crlf")),
        ):
            self.assertEqual(self._translations(value), expected)

    def test_binary(self) -> None:
        """
        ``binary`` on a side takes away that side's end-of-file character, and
        the encoding, which is of both.
        """
        for value, expected in (
            ("binary", BINARY),
            ("binary cr", TextSettings("lf", "cr", None, None, "\x04")),
            ("cr binary", TextSettings("cr", "lf", None, "\x1a", None)),
        ):
            self.assertEqual(_TEXT.replaced(translation=value), expected)

    def test_binaryAndMore(self) -> None:
        """What is given beside ``binary`` holds."""
        self.assertEqual(
            _TEXT.replaced(translation="binary", encoding="koi8-r", eofChar="x"),
            TextSettings("lf", "lf", "koi8-r", "x", "x"),
        )

    def test_bad(self) -> None:
        """Anything else is refused, with what would be right."""
        values: tuple[Any, ...] = (
            *("", "AUTO", "platform", "lf lf lf", "lf none", "{}", "auto,crlf"),
            *((), ("lf", None), ("lf", "lf", "lf"), b"lf", 1, {"lf": "lf"}, [[]]),
        )
        for value in values:
            error = self.assertRaises(BadOption, BINARY.replaced, translation=value)
            self.assertIn(f"translation {value!r}", str(error))
            self.assertIn("auto, binary, cr, crlf, lf", str(error))


class EOFCharTests(SynchronousTestCase):
    """The option ``eofChar``."""

    def _eofChars(self, value: Any) -> tuple[str | None, str | None]:
        new = _TEXT.replaced(eofChar=value)
        return new.inputEOFChar, new.outputEOFChar

    def test_one(self) -> None:
        """One character is for both sides, and an empty string for none."""
        for value, expected in (
            ("x", ("x", "x")),
            ("", (None, None)),
            (" ", (" ", " ")),
            ("\n", ("\n", "\n")),
            (["x"], ("x", "x")),
            ([""], (None, None)),
        ):
            self.assertEqual(self._eofChars(value), expected)

    def test_pair(self) -> None:
        """A pair is for input and output; an empty one is none."""
        for value, expected in (
            (("x", "y"), ("x", "y")),
            (("x", ""), ("x", None)),
            (["", "y"], (None, "y")),
        ):
            self.assertEqual(self._eofChars(value), expected)

    def test_tclList(self) -> None:
        """One string can be a pair, and name characters by number."""
        for value, expected in (
            ("x y", ("x", "y")),
            ("\x1a {}", ("\x1a", None)),
            ("{} y", (None, "y")),
            (r"\x1a", ("\x1a", "\x1a")),
            (r"\x1A {}", ("\x1a", None)),
            (r"{} \x04", (None, "\x04")),
        ):
            self.assertEqual(self._eofChars(value), expected)

    def test_bad(self) -> None:
        """Anything else is refused, with what would be right."""
        values: tuple[Any, ...] = (
            *("xy", "é", "\x80", "\0", r"\x00", r"\xff", "x y z", "xx y", r"\x1", "  "),
            *((), ("x", None), ("x", "y", "z"), ("xx", ""), b"x", b"", 26, ("\0",)),
        )
        for value in values:
            error = self.assertRaises(BadOption, BINARY.replaced, eofChar=value)
            self.assertIn(f"eofChar {value!r}", str(error))
            self.assertIn("one ASCII character", str(error))

    def test_notInTheEncoding(self) -> None:
        """
        A character that the encoding cannot carry is refused, in whatever order
        the two are set.
        """
        for char, encoding, codec in (
            ("%", "cp864", "cp864"),
            ("\x1b", "iso2022-jp", "iso2022_jp"),
        ):
            for before, options in (
                (BINARY, {"eofChar": char, "encoding": encoding}),
                (BINARY.replaced(eofChar=("", char)), {"encoding": encoding}),
                (BINARY.replaced(encoding=encoding), {"eofChar": char}),
            ):
                error = self.assertRaises(BadOption, before.replaced, **options)
                self.assertIn(f"eofChar {char!r} cannot be written", str(error))
                self.assertIn(f"encoding {codec}", str(error))


class SettingsTests(SynchronousTestCase):
    """The settings as a whole."""

    def test_first(self) -> None:
        """A new channel carries bytes, untouched."""
        self.assertEqual(BINARY, TextSettings("lf", "lf", None, None, None))

    def test_isBinary(self) -> None:
        """Only settings that change nothing on either side are binary."""
        self.assertTrue(_TEXT.replaced(translation="binary").isBinary)
        for options in (
            {"translation": ("cr", "lf")},
            {"translation": ("lf", "cr")},
            {"encoding": "utf-8"},
            {"eofChar": ("x", "")},
            {"eofChar": ("", "x")},
        ):
            self.assertFalse(BINARY.replaced(**options).isBinary, options)

    def test_onlyWhatIsGiven(self) -> None:
        """What is not given stays as it is."""
        self.assertEqual(_TEXT.replaced(), _TEXT)
        self.assertEqual(
            _TEXT.replaced(translation="lf"),
            TextSettings("lf", "lf", "utf-8", "\x1a", "\x04"),
        )
        self.assertEqual(
            _TEXT.replaced(encoding="shiftjis"),
            TextSettings("auto", "crlf", "shift_jis", "\x1a", "\x04"),
        )
        self.assertEqual(
            _TEXT.replaced(encoding="binary"),
            TextSettings("auto", "crlf", None, "\x1a", "\x04"),
        )
        self.assertEqual(
            _TEXT.replaced(eofChar=""),
            TextSettings("auto", "crlf", "utf-8", None, None),
        )

    def test_unknownEncoding(self) -> None:
        """An encoding that there is not is refused by the option's name."""
        error = self.assertRaises(BadOption, BINARY.replaced, encoding="utf-88")
        self.assertIn("encoding 'utf-88'", str(error))

    def test_frozen(self) -> None:
        """Settings cannot be changed, so one object can be shared."""
        self.assertRaises(FrozenInstanceError, setattr, BINARY, "encoding", "utf-8")
        before = TextSettings("auto", "crlf", "utf-8", "\x1a", "\x04")
        _TEXT.replaced(translation="binary")
        self.assertEqual(_TEXT, before)
        self.assertEqual(hash(_TEXT), hash(before))

    def test_codec(self) -> None:
        """They make what decodes by the input's values and encodes by the output's."""
        settings = TextSettings("cr", "crlf", "utf-8", "i", "o")
        decoder, encoder = settings.newDecoder(), settings.newEncoder()
        self.assertIsInstance(decoder, Decoder)
        self.assertIsInstance(encoder, Encoder)
        self.assertEqual(decoder.feed(b"\xc3\xa9o\r\ni"), "éo\n\n")
        self.assertTrue(decoder.ended)
        self.assertEqual(encoder.encode("éi\n") + encoder.finish(), b"\xc3\xa9i\r\no")

    @given(
        st.fixed_dictionaries(
            {},
            optional={
                name: st.text(max_size=8)
                | st.lists(st.text(max_size=4), max_size=3)
                | st.sampled_from(["auto", "binary cr", "utf-8", "", r"\x1a"])
                | st.integers()
                for name in ("translation", "encoding", "eofChar")
            },
        )
    )
    def test_anything(self, options: dict[str, Any]) -> None:
        """Any value makes settings that work, or is refused by the option's name."""
        try:
            new = _TEXT.replaced(**options)
        except BadOption as error:
            self.assertTrue(any(name in str(error) for name in options))
        else:
            self.assertEqual(new.replaced(), new)
            self.assertFalse(new.newDecoder().ended)
            expected = (new.outputEOFChar or "").encode(new.encoding or "ascii")
            self.assertEqual(new.newEncoder().finish(), expected)
