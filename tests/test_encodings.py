"""
Tests for :mod:`twisted_transfer.encodings`.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.encodings import changedCharacters, codecName
from twisted_transfer.errors import BadOption

from .textcases import CODECS


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
            kept = "".join(char for char in others if char.encode(codec, "ignore"))
            back = kept.encode(codec).decode(codec)
            # Not by assertEqual, which would compute the difference.
            self.assertTrue(back == kept, codec)
