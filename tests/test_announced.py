"""Tests for :mod:`twisted_transfer.announced`."""

from __future__ import annotations

import os
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.folders import newFolder
from twisted_transfer.announced import MAX_NAME, printable, suggestedName
from twisted_transfer.partfile import SUFFIX

_GOOD = (
    "report.pdf",
    "a",
    "with space.txt",
    "Bildschirmfoto um 10:30:00.png",
    "Screenshot at 1.00.00\u202fPM.png",
    "x.tar.gz",
    "..".join("ab"),
    "caf\u00e9",
    "\u0645\u06cc\u200c\u0631\u0648\u0645",  # Persian, with a joiner
    "\U0001f468\u200d\U0001f469.png",
    "a~", "a-b", "~".join("ab"), "console", "nullable.txt", "COM", "com10", "lpt.txt",
    "part", "x.party", "x.part.gz", "C", "Cd:e", "1:30",
)  # fmt: skip
_BAD = (
    "", ".", "..", "...", " ", "/", "\\", "a/b", "/a", "a/", "..\\a", "\\\\host\\a",
    "../../etc/passwd", "C:", "c:a", "C:\\a",
    ".bashrc", "a.", "a ", " a", "a. ", "a .", "a\u3000", "\u00a0a",
    "-rf", "--checkpoint-action=exec=sh", "-", "~", "~root",
    "a\0b", "\0", "a\nb", "a\n", "\ta", "a\x1b[2Jb", "a\x7f", "a\x9b2J", "a\u2028b",
    "a\u2029", "gpj.\u202efdp.exe", "a\u2066b", "a\u200eb", "a\u061cb", "a\ufeff",
    "a\u200bb", "a\u00adb", "\udc80", "a\ud800b",
    "CON", "nul", "NUL.txt", "Aux.tar.gz", "com1", "COM9.", "LPT1.x", "con .txt",
    "COM\u00b9", "lpt\u00b3.a", "conin$", "CONOUT$",
    "x.part", "X.PART",
)  # fmt: skip


class SuggestedNameTests(SynchronousTestCase):
    """Which names are taken."""

    def test_good(self) -> None:
        """What people call their files is taken as it is."""
        self.assertEqual([suggestedName(name) for name in _GOOD], list(_GOOD))

    def test_bad(self) -> None:
        """What is a path, or would not be seen as what it is, is not taken."""
        taken = [name for name in _BAD if suggestedName(name) is not None]
        self.assertEqual(taken, [])

    def test_length(self) -> None:
        """The bytes count, not the characters; ``.part`` still fits behind it."""
        self.assertIsNotNone(suggestedName("a" * 250))
        self.assertIsNone(suggestedName("a" * 251))
        self.assertIsNotNone(suggestedName("\u00e4" * 125))
        self.assertIsNone(suggestedName("\u00e4" * 126))
        self.assertLessEqual(MAX_NAME + len(SUFFIX.encode()), 255)

    def test_part(self) -> None:
        """The suffix that is refused is the one that parts have."""
        self.assertIsNone(suggestedName("report.pdf" + SUFFIX))

    @given(st.text(st.sampled_from("./\\-~ :ab\0\n\u202e") | st.characters()))
    def test_safe(self, text: str) -> None:
        """Whatever is taken is the name of a file in the folder, and seen whole."""
        name = suggestedName(text)
        if name is None:
            return
        self.assertEqual(name, text)
        self.assertEqual(os.path.basename(name), name)
        self.assertEqual(os.path.normpath(os.path.join("/f", name)), f"/f/{name}")
        self.assertLessEqual(len(os.fsencode(name)), 255)
        for character in name:
            self.assertNotIn(unicodedata.category(character), ("Cc", "Zl", "Zp"))
            self.assertNotIn(
                unicodedata.bidirectional(character),
                ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"),
            )

    def test_made(self) -> None:
        """A file of each good name can be made, and its part."""
        folder = newFolder(self)
        for name in (*_GOOD, "a" * MAX_NAME):
            (folder / name).touch()
            (folder / f"{name}{SUFFIX}").touch()
        self.assertEqual(len(os.listdir(folder)), 2 * len(_GOOD) + 2)


class PrintableTests(SynchronousTestCase):
    """What is shown of the partner's words."""

    def test_escaped(self) -> None:
        """What garbles a terminal is written as in a Python string."""
        self.assertEqual(
            printable("a\x1b[2J\n\u202e\udc80\x9b\u00e4", 99),
            "a\\x1b[2J\\n\\u202e\\udc80\\x9b\u00e4",
        )

    def test_fits(self) -> None:
        """What fits is not cut."""
        self.assertEqual(printable("abcd", 4), "abcd")
        self.assertEqual(printable("\n\n", 4), "\\n\\n")
        self.assertEqual(printable("", 1), "")

    def test_cut(self) -> None:
        """What does not fit is cut, but not within an escape."""
        self.assertEqual(printable("abcde", 4), "abc…")
        self.assertEqual(printable("a\x1bb", 4), "a…")
        self.assertEqual(printable("\x1b" * 3, 10), "\\x1b\\x1b…")
        self.assertEqual(printable("\x1b", 1), "…")

    @given(st.text(), st.integers(1, 50))
    @example("\U0010ffff", 10)
    def test_bounded(self, text: str, limit: int) -> None:
        """The result is never longer than that, and does nothing to a terminal."""
        shown = printable(text, limit)
        self.assertLessEqual(len(shown), limit)
        self.assertTrue(shown.isprintable(), shown)
        if text.isprintable() and len(text) <= limit:
            self.assertEqual(shown, text)
