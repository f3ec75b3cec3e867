"""
The text settings, and changes of them, against the channels of a real tclsh.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.peers.textoracle import (
    EOF_CHARS,
    TRANSLATIONS,
    OracleTests,
    codecOf,
    optionsOf,
)
from tests.support.textcases import NEWLINES, asText, settingsOf
from twisted_transfer.errors import BadOption
from twisted_transfer.text.codec import codecName
from twisted_transfer.text.settings import TextSettings

pytestmark = pytest.mark.needs("tcl")


class SettingsTests(OracleTests):
    """What ``fconfigure`` makes of its options, one after the other."""

    @given(
        st.lists(
            st.one_of(
                st.tuples(
                    st.just("translation"),
                    st.sampled_from(
                        [
                            *TRANSLATIONS,
                            *(f"{a} {b}" for a in TRANSLATIONS for b in TRANSLATIONS),
                            *("{} binary", "cr {}", "binary {}", "{} {}"),
                            *("none", "LF", "lf none", "lf lf lf", ""),
                        ]
                    ),
                ),
                st.tuples(
                    st.just("encoding"),
                    st.sampled_from(
                        ["utf-8", "koi8-r", "unicode", "binary", "", "none", "utf_9"]
                    ),
                ),
                st.tuples(
                    st.just("eofChar"),
                    st.sampled_from(
                        [
                            *("", "x", r"\x1a", r"\x1a {}", r"{} \x1a", r"x \x1a"),
                            *("{}", r"\x00", r"\x80", "x {} x", "x x x"),
                        ]
                    ),
                ),
            ),
            max_size=6,
        )
    )
    def test_settings(self, steps: list[tuple[str, str]]) -> None:
        """
        Any options in any order leave what Tcl has then, and what is an error
        for Tcl is one for us.
        """
        options = ["-translation binary"]
        ours = TextSettings.BINARY
        for name, value in steps:
            options.append(f"-{name.lower()} {{{value}}}")
            try:
                ours = ours.replaced(**{name: value})
            except BadOption as error:
                self.assertIn(name, str(error))
                self.assertEqual(self.oracle.ask("settings", *options)[0], "error")
                return
        theirs = self.oracle.ask("settings", *options)
        self.assertEqual(
            [
                ours.inputTranslation,
                ours.outputTranslation,
                ours.encoding,
                (ours.inputEOFChar or "").encode().hex(),
                (ours.outputEOFChar or "").encode().hex(),
            ],
            [*theirs[:2], codecName(theirs[2]), *theirs[3:]],
        )


class ChangeTests(OracleTests):
    """Settings that are changed after a part of the input was read."""

    _lines = st.lists(
        st.sampled_from([*NEWLINES, "a", "b", "e", "\x1a", "あ", "ｱ", "漢"]),
        max_size=16,
    ).map("".join)

    @settings(max_examples=400)
    @given(
        _lines,
        st.integers(1, 12),
        st.sampled_from(["shiftjis", "unicode", "utf-8", "euc-jp"]),
        st.tuples(st.sampled_from(TRANSLATIONS), st.sampled_from(("", "\x1a", "e"))),
        st.tuples(st.sampled_from(TRANSLATIONS), st.sampled_from(EOF_CHARS)),
    )
    def test_afterSomeCharacters(
        self,
        text: str,
        count: int,
        encoding: str,
        first: tuple[str, str],
        second: tuple[str, str],
    ) -> None:
        """
        The new settings begin at the right byte: so many characters were read,
        everything else comes by the new settings.
        """
        raw = text.encode(codecOf(encoding))
        before, after, swallowed = self._change(
            settingsOf(first[0], encoding, first[1]),
            settingsOf(second[0], encoding, second[1]),
            raw,
            count,
        )
        theirs = self.oracle.change(
            str(count),
            optionsOf(first[0], encoding, first[1]),
            optionsOf(second[0], encoding, second[1]),
            raw,
        )
        if swallowed and (second[0] != "auto" or second[1] == "\n"):
            # The one difference: Tcl's read leaves the LF of the newline that
            # it was the last to read, so it comes again, unless "auto" stays.
            after = "" if second[1] == "\n" else "\n" + after
        self.assertEqual([before, after], theirs)

    @settings(max_examples=200)
    @given(
        st.text("abc", max_size=5),
        st.sampled_from(["lf", "crlf", "auto"]),
        st.sampled_from(["shiftjis", "unicode", "utf-8", "binary"]),
        st.sampled_from(TRANSLATIONS),
        _lines,
    )
    def test_afterALine(
        self, line: str, first: str, encoding: str, second: str, body: str
    ) -> None:
        """
        After a line of ASCII the rest can be in another encoding, or bytes:
        what follows the line's newline comes whole.
        """
        codec = "utf-8" if encoding == "binary" else codecOf(encoding)
        newline = "\n" if first == "lf" else "\r\n"
        raw = (line + newline).encode("ascii") + body.encode(codec)
        before, after, _ = self._change(
            settingsOf(first, "ascii", ""),
            settingsOf(second, encoding, ""),
            raw,
            len(line) + 1,
        )
        theirs = self.oracle.change(
            "line", optionsOf(first, "ascii", ""), optionsOf(second, encoding, ""), raw
        )
        self.assertEqual([before, after], [theirs[0] + "\n", theirs[1]])

    def _change(
        self, first: TextSettings, second: TextSettings, raw: bytes, count: int
    ) -> tuple[str, str, bool]:
        """
        What we read, before and after, and whether the last that was read
        before was a CRLF that ``auto`` took for one newline.
        """
        decoder = first.newDecoder()
        text = asText(decoder.feed(raw))
        swallowed = False
        if count <= len(text):
            text = text[:count]
            decoder = first.newDecoder().advanced(raw, count)
            read = raw.removesuffix(decoder.pending())
            crlf = "\r\n".encode(first.encoding or "ascii")
            swallowed = first.inputTranslation == "auto" and read.endswith(crlf)
        else:  # so many have not come, but it is the end
            text += asText(decoder.finish())
        after = second.newDecoder(decoder)
        rest = asText(after.feed(decoder.pending()))
        return text, rest + asText(after.finish()), swallowed
