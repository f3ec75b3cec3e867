"""
Tests for the sources of the documentation: what Sphinx accepts and a reader cannot use.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

_PROJECT = Path(__file__).resolve().parent.parent.parent
_DOCS = _PROJECT / "docs"

# The first line of a table that is drawn: "=== ===" or "+---+---+".
_DRAWN_TABLE = re.compile(r"^ *(?:=+(?: +=+)+|\+(?:-+\+)+) *$", re.M)


def _pages() -> list[Path]:
    """:returns: all that Sphinx reads, also what it includes."""
    pages = [*_DOCS.glob("*.rst"), *_DOCS.glob("*/*.rst")]
    return [*pages, *_PROJECT.glob("newsfragments/*.rst"), _PROJECT / "CHANGELOG.rst"]


class TableTests(SynchronousTestCase):
    """Tables say in HTML what they say in their source."""

    def test_noDrawnTables(self) -> None:
        """
        Every table is a ``list-table``.  In a simple table a first column that goes on
        in the next line begins a new row, and so puts the other columns beside the
        wrong thing; nothing warns of it.
        """
        drawn = [
            f"{page.relative_to(_PROJECT)}: {table[0].strip()}"
            for page in _pages()
            for table in _DRAWN_TABLE.finditer(page.read_text(encoding="utf-8"))
        ]
        self.assertEqual(drawn, [])
