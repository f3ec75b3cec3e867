"""
Tests for the sources of the documentation: what Sphinx accepts and a reader cannot use.
"""

from __future__ import annotations

import importlib
import re
import sys
import xml.etree.ElementTree as ElementTree
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


class PageTests(SynchronousTestCase):
    """Pages say in HTML what they say in their source."""

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

    def test_noContents(self) -> None:
        """
        No page lists its own contents.  The theme does it beside the page, and puts an
        error into one that does it, too.
        """
        listing = [
            page.name
            for page in _pages()
            if "\n.. contents::" in page.read_text(encoding="utf-8")
        ]
        self.assertEqual(listing, [])


class ChangelogTests(SynchronousTestCase):
    """What a user reads about a version."""

    def test_version(self) -> None:
        """The changelog says what this version is."""
        setup = (_PROJECT / "setup.cfg").read_text(encoding="utf-8")
        version = re.search(r"(?m)^version = (.*)$", setup)
        assert version is not None
        changelog = (_PROJECT / "CHANGELOG.rst").read_text(encoding="utf-8")
        title = rf"\ntwisted_transfer {re.escape(version[1])} \(.*\)\n-+\n"
        section = re.split(title, changelog)[1]
        self.assertRegex(section, r"\nFeatures\n~~~~~~~~\n[^~]*\n- ")


def _extension(case: SynchronousTestCase, name: str) -> ModuleType:
    """:returns: one of the documentation's own modules."""
    case.patch(sys, "path", [str(_DOCS / "_ext"), *sys.path])
    return importlib.import_module(name)


class DrawingTests(SynchronousTestCase):
    """The drawings, and the picture in the README."""

    def test_shown(self) -> None:
        """Each drawing is on a page, and each that a page shows is there."""
        drawings = _extension(self, "drawings").DRAWINGS
        pages = "\n".join(page.read_text(encoding="utf-8") for page in _pages())
        shown = set(re.findall(r"^\.\. drawing:: (\w+)$", pages, re.M))
        self.assertEqual(shown, set(drawings))

    def test_fits(self) -> None:
        """No word is outside of its drawing, or of its box."""
        for name, draw in _extension(self, "drawings").DRAWINGS.items():
            drawing = draw()
            svg = ElementTree.fromstring(drawing.svg())
            boxes = [
                tuple(float(box.attrib[key]) for key in ("x", "y", "width", "height"))
                for box in svg.iter("{http://www.w3.org/2000/svg}rect")
            ]
            for text in svg.iter("{http://www.w3.org/2000/svg}text"):
                assert text.text is not None
                x, y = float(text.attrib["x"]), float(text.attrib["y"])
                # Letters of 14 pixels are 8 wide at most, if there are some of them.
                width = 7.2 * len(text.text)
                shift = {"start": 0.0, "middle": 0.5, "end": 1.0}
                left = x - width * shift[text.attrib["text-anchor"]]
                edges = [(0.0, float(drawing.width))] + [
                    (start, start + across)
                    for start, top, across, high in boxes
                    if start < x < start + across and top < y < top + high
                ]
                for start, end in edges:
                    self.assertTrue(start <= left, (name, text.text))
                    self.assertTrue(left + width <= end, (name, text.text))

    def test_picture(self) -> None:
        """
        The picture shows what the first page shows; otherwise make it again, by
        ``python docs/_ext/terminals.py``.
        """
        terminals = _extension(self, "terminals")
        page = terminals.PAGE.read_text(encoding="utf-8")
        self.assertEqual(len(terminals.windows(page)), 2)
        self.assertEqual(
            terminals.PICTURE.read_text(encoding="utf-8"), terminals.picture(page)
        )
        readme = (_PROJECT / "README.md").read_text(encoding="utf-8")
        self.assertIn(f"({terminals.PICTURE.relative_to(_PROJECT)})", readme)


class AddressTests(SynchronousTestCase):
    """The addresses of names that Twisted and Python document."""

    def check(self, name: str, expected: str | None) -> None:
        """Compare an address with the one that is right."""
        self.assertEqual(_extension(self, "addresses").address(name), expected)

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
            "Deferred.cancel",
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
