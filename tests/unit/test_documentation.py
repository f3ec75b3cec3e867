"""
Tests for the sources of the documentation: what Sphinx accepts and a reader cannot use.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

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


class AddressTests(SynchronousTestCase):
    """The addresses of names that Twisted and Python document."""

    def check(self, name: str, expected: str | None) -> None:
        """Compare an address with the one that is right."""
        self.assertEqual(self.extension("addresses").address(name), expected)

    def extension(self, name: str) -> ModuleType:
        """:returns: one of the documentation's own extensions."""
        self.patch(sys, "path", [str(_DOCS / "_ext"), *sys.path])
        return importlib.import_module(name)

    def test_class(self) -> None:
        """A class of Twisted's has a page of its own."""
        self.check(
            "twisted.internet.defer.Deferred",
            "https://docs.twisted.org/en/stable/api/twisted.internet.defer.Deferred.html",
        )

    def test_interface(self) -> None:
        """So has an interface, also where it is written without its module."""
        self.check(
            "IHalfCloseableProtocol",
            "https://docs.twisted.org/en/stable/api/"
            "twisted.internet.interfaces.IHalfCloseableProtocol.html",
        )

    def test_module(self) -> None:
        """So has a module."""
        self.check(
            "twisted.protocols.amp",
            "https://docs.twisted.org/en/stable/api/twisted.protocols.amp.html",
        )

    def test_function(self) -> None:
        """A function stands on the page of its module."""
        self.check(
            "clientFromString",
            "https://docs.twisted.org/en/stable/api/"
            "twisted.internet.endpoints.html#clientFromString",
        )

    def test_method(self) -> None:
        """A method stands on the page of its class."""
        self.check(
            "twisted.internet.defer.Deferred.cancel",
            "https://docs.twisted.org/en/stable/api/"
            "twisted.internet.defer.Deferred.html#cancel",
        )

    def test_python(self) -> None:
        """A name of the standard library stands on the page of its module."""
        self.check(
            "collections.abc.Callable",
            "https://docs.python.org/3/library/"
            "collections.abc.html#collections.abc.Callable",
        )

    def test_unknown(self) -> None:
        """A name that Twisted does not have, or somebody else's, has no address."""
        for name in ("twisted.internet.defer.Defered", "INobody", "requests.get"):
            self.check(name, None)
