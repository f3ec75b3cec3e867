"""
What goes through a socket as text, against the channels of a real tclsh.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.peers.textoracle import (
    EOF_CHARS,
    KOREAN,
    TRANSLATIONS,
    OracleTests,
    codecOf,
    decoded,
    optionsOf,
)
from tests.support.textcases import NEWLINES, asText, cut, places, settingsOf
from twisted_transfer.errors import Undecodable

pytestmark = pytest.mark.needs("tcl")

#: What is sent through sockets: some of each kind, and bytes.
STREAMED = (
    "ascii big5 binary cp1251 cp1252 cp437 cp850 cp866 cp932 cp936 cp949 cp950 "
    "euc-jp euc-kr gb2312 iso2022-jp iso2022-kr iso8859-1 iso8859-15 iso8859-2 "
    "iso8859-7 koi8-r koi8-u macRoman shiftjis unicode utf-8"
)


def _texts(repertoire: str) -> st.SearchStrategy[str]:
    """Texts with many newlines, and with what may be an end-of-file character."""
    pieces = st.one_of(
        st.sampled_from(NEWLINES),
        st.sampled_from(repertoire),
        st.sampled_from("abcde\x1a"),
        st.sampled_from(repertoire),
    )
    return st.lists(pieces, max_size=24).map("".join)


class StreamTests(OracleTests):
    """What goes through a socket."""

    def test_input(self) -> None:
        """
        Valid input is read as Tcl reads it, piece by piece: with every
        translation, in every kind of encoding, up to an end-of-file character.
        """
        for encoding in STREAMED.split():
            self._checkInput(encoding)

    def _checkInput(self, encoding: str) -> None:
        codec = "latin-1" if encoding == "binary" else codecOf(encoding)

        @settings(max_examples=12)
        @given(_texts(self.repertoire(encoding)), st.sampled_from(EOF_CHARS), places)
        def check(text: str, eofChar: str, cuts: list[int]) -> None:
            pieces = cut(text.encode(codec), cuts)
            for translation in TRANSLATIONS:
                self._compareInput(translation, encoding, eofChar, pieces)

        check()

    def _compareInput(
        self, translation: str, encoding: str, eofChar: str, pieces: list[bytes]
    ) -> None:
        if translation == "crlf" and encoding in ("iso2022-jp", "iso2022-kr"):
            # Tcl holds back a CR at a cut, and forgets the state then.
            pieces = [b"".join(pieces)] if pieces else []
        decoder = settingsOf(translation, encoding, eofChar).newDecoder()
        ours = []
        for piece in pieces:
            ours.append(asText(decoder.feed(piece)))
            if decoder.ended:
                break
        else:
            ours.append(asText(decoder.finish()))
        theirs = self.oracle.read(optionsOf(translation, encoding, eofChar), pieces)
        self.assertEqual(ours, theirs, (translation, encoding, eofChar, pieces))

    def test_output(self) -> None:
        """
        Text is written as Tcl writes it: with every translation, in every kind
        of encoding, with an end-of-file character at the close.
        """
        for encoding in STREAMED.split():
            self._checkOutput(encoding)

    def _checkOutput(self, encoding: str) -> None:
        @settings(max_examples=12)
        @given(_texts(self.repertoire(encoding)), st.sampled_from(EOF_CHARS), places)
        def check(text: str, eofChar: str, cuts: list[int]) -> None:
            pieces = cut(text, cuts)
            for translation in TRANSLATIONS:
                self._compareOutput(translation, encoding, eofChar, pieces)

        check()

    def _compareOutput(
        self, translation: str, encoding: str, eofChar: str, pieces: list[str]
    ) -> None:
        encoder = settingsOf(translation, encoding, eofChar).newEncoder()
        ours = b"".join(
            encoder.encode(piece.encode("latin-1") if encoding == "binary" else piece)
            for piece in pieces
        )
        end = encoder.finish()
        if encoding == "unicode" and eofChar:
            # The one difference: Tcl writes a single byte.
            self.assertEqual(end, eofChar.encode(codecOf(encoding)))
            end = eofChar.encode("ascii")
        theirs = self.oracle.write(optionsOf(translation, encoding, eofChar), pieces)
        ours += end
        if encoding == "iso2022-kr":
            # Tcl has the header always, and first; we before the first Korean.
            ours, theirs = ours.replace(KOREAN, b""), theirs.replace(KOREAN, b"")
        self.assertEqual(ours, theirs, (translation, encoding, eofChar, pieces))

    def test_beyondTheBMP(self) -> None:
        """
        Characters above U+FFFF are written and read as Tcl does it; only where
        UTF-8 is cut inside one does Tcl spoil it, and we do not.
        """
        text = "a\U0001f600b\U0010ffff"
        for encoding in ("unicode", "utf-8"):
            options = optionsOf("lf", encoding, "")
            raw = text.encode(codecOf(encoding))
            self.assertEqual(self.oracle.write(options, [text]), raw)
            self.assertEqual(self.oracle.read(options, [raw]), [text, ""])
            encoder = settingsOf("lf", encoding, "").newEncoder()
            self.assertEqual(encoder.encode(text), raw)
            for place in range(1, len(raw)):
                pieces = [raw[:place], raw[place:]]
                decoder = settingsOf("lf", encoding, "").newDecoder()
                ours = [asText(decoder.feed(piece)) for piece in pieces]
                self.assertEqual("".join(ours), text)
                if encoding == "unicode" or raw[place] & 0xC0 != 0x80:
                    theirs = "".join(self.oracle.read(options, pieces))
                    self.assertEqual(theirs, text)
        theirs = "".join(self.oracle.read(options, cut(raw, [*range(len(raw))])))
        self.assertNotEqual(theirs, text)

    def test_invalidInput(self) -> None:
        """
        What Tcl passes through or drops is an error that says where.
        """
        for encoding, raw, offset in (
            ("ascii", b"ab\xff", 2),
            ("utf-8", b"a\xffb", 1),
            ("utf-8", b"\xc3\xa9\xc0\x80", 2),
            ("utf-8", b"abc\xed\xa0\x80", 3),
            ("utf-8", b"ab\xe2\x82", 2),
            ("cp1252", b"\x80\x81", 1),
            ("shiftjis", b"\x82\xa0\x82", 2),
            ("shiftjis", b"\x82\xa0\x82\x20", 2),
            ("euc-jp", b"\xa4\xa2\xff", 2),
            ("big5", b"\xa4\xa4\xa4", 2),
            ("unicode", "ab".encode(codecOf("unicode")) + b"\x00", 4),
        ):
            case = (encoding, raw)
            # No complaint.
            theirs = "".join(self.oracle.read(optionsOf("lf", encoding, ""), [raw]))
            decoder = settingsOf("lf", encoding, "").newDecoder()
            good = asText(decoder.feed(raw))
            error = self.assertRaises(Undecodable, decoder.finish)
            self.assertEqual(error.offset, offset, case)
            self.assertEqual(good, raw[:offset].decode(codecOf(encoding)), case)
            self.assertEqual(theirs[: len(good)], good, case)

    def test_lackingCharacters(self) -> None:
        """
        Where Tcl writes a question mark is an error that says where.
        """
        for encoding in STREAMED.split():
            text = "a\n" + self.repertoire(encoding)[-1] + "\U0001f600"
            if encoding in ("binary", "unicode", "utf-8"):
                continue
            encoder = settingsOf("crlf", encoding, "").newEncoder()
            error = self.assertRaises(UnicodeEncodeError, encoder.encode, text)
            self.assertEqual((error.object[error.start :], error.start), (text[3:], 3))
            theirs = self.oracle.write(optionsOf("crlf", encoding, ""), [text])
            # In iso2022-jp the mark can be a wide one.
            self.assertIn(
                (decoded(codecOf(encoding), theirs) or "")[-1:], ("?", "\uff1f")
            )
