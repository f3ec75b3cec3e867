"""
That the architecture page and the reference are about the code as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

from twisted.trial.unittest import SynchronousTestCase

from tests.unit.test_imports import modules, ownImports

_DOCS = Path(__file__).resolve().parent.parent.parent / "docs"

# From where users import; a name is documented at the first of them that has it.
_FACES = (
    *("", "testing", "text", "tls", "descriptions", "connecting", "data"),
    *("transfers", "receipts", "twist", "channel", "command"),
)
# What is documented whole.
_WHOLE = {"errors", "interfaces"}


def _read(name: str) -> str:
    return (_DOCS / name).read_text(encoding="utf-8")


def _drawn() -> ModuleType:
    """:returns: the module that makes the drawing."""
    path = _DOCS / "_ext" / "folders.py"
    spec = importlib.util.spec_from_file_location("folders", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _named(name: str) -> object:
    """
    :param name: a dotted name below the package.
    :returns: what has that name.
    """
    words = name.split(".")
    found: object = importlib.import_module("twisted_transfer")
    for number, word in enumerate(words):
        if not hasattr(found, word):
            importlib.import_module(
                ".".join(["twisted_transfer", *words[: number + 1]])
            )
        found = getattr(found, word)
    return found


class DrawingTests(SynchronousTestCase):
    """The drawing of the folders."""

    def test_arrows(self) -> None:
        """An arrow is an import, and each import is an arrow or a way of several."""
        drawn = _drawn()
        direct: dict[str, set[str]] = {folder: set() for folder in drawn.folders()}
        for module in modules():
            folder = module.split(".")[0]
            others = {other.split(".")[0] for other in ownImports(module)}
            if folder in direct:
                direct[folder] |= others & set(direct) - {folder}
        arrows: dict[str, set[str]] = {folder: set() for folder in direct}
        for folder, other in drawn.arrows(drawn.imports()):
            self.assertIn(other, direct[folder])
            arrows[folder].add(other)

        def leads(folder: str, other: str) -> bool:
            return any(to == other or leads(to, other) for to in arrows[folder])

        for folder, others in direct.items():
            for other in others:
                self.assertTrue(leads(folder, other), f"{folder} imports {other}")

    def test_complete(self) -> None:
        """Each folder is drawn, and so is each arrow."""
        drawn = _drawn()
        drawing = ElementTree.fromstring(drawn.drawing())
        texts = [each.text for each in drawing.iter("{http://www.w3.org/2000/svg}text")]
        self.assertEqual(set(texts[:-1]), set(drawn.folders()))
        lines = list(drawing.iter("{http://www.w3.org/2000/svg}line"))
        self.assertEqual(len(lines), len(drawn.arrows(drawn.imports())))


class WaysTests(SynchronousTestCase):
    """The ways through the rooms that the page describes."""

    def test_names(self) -> None:
        """Each module, class and function that is named is there."""
        page = _read("explanation/architecture.rst")
        names = re.findall(r"``([a-z]+(?:\.\w+)+)``", page)
        self.assertGreater(len(names), 20)
        for name in names:
            try:
                _named(name)
            except (AttributeError, ImportError) as error:
                self.fail(f"{name}: {error}")


class ReferenceTests(SynchronousTestCase):
    """What the reference describes."""

    def public(self) -> set[str]:
        """:returns: what users import, each name by its shortest path."""
        places: dict[int, str] = {}
        for face in _FACES:
            module = importlib.import_module(f"twisted_transfer.{face}".strip("."))
            for name in module.__all__:
                place = f"{face}.{name}".strip(".")
                places.setdefault(id(getattr(module, name)), place)
        return set(places.values())

    def test_names(self) -> None:
        """Each public name is described once, and nothing else is."""
        described = [
            name.removeprefix("twisted_transfer.")
            for page in (_DOCS / "reference").glob("*.rst")
            for name in re.findall(
                r"^\.\. auto(?:class|function|data|exception):: (\S+)",
                page.read_text(encoding="utf-8"),
                re.MULTILINE,
            )
        ]
        errors = set(dir(importlib.import_module("twisted_transfer.errors")))
        self.assertEqual(sorted(described), sorted(self.public() - errors))

    def test_modules(self) -> None:
        """Only errors and interfaces are described with all that they define."""
        whole = {
            name
            for page in (_DOCS / "reference").glob("*.rst")
            for name in re.findall(
                r"^\.\. automodule:: twisted_transfer\.(\S+)\n   :members:",
                page.read_text(encoding="utf-8"),
                re.MULTILINE,
            )
        }
        self.assertEqual(whole, _WHOLE)

    def test_members(self) -> None:
        """
        Where a class has methods that are not for users, the page lists those that
        are: leaving out the others would show the next one that is added.
        """
        left = re.findall(
            r":exclude-members: (?!__new__$).*",
            "\n".join(
                page.read_text(encoding="utf-8")
                for page in (_DOCS / "reference").glob("*.rst")
            ),
            re.MULTILINE,
        )
        self.assertEqual(left, [])

    def test_bounds(self) -> None:
        """The bounds have the values that the page says."""
        rows = re.findall(
            r"   \* - ([\d.]+)( \w+)?\n     - (?:.+\n)+\n       \.\. (\S+)",
            _read("reference/bounds.rst"),
        )
        # All but the heading; each has its constant as a comment.
        written = re.findall(r"^   \* - ", _read("reference/bounds.rst"), re.M)
        self.assertEqual(len(rows), len(written) - 1)
        units = {"": 1, " s": 1, " KiB": 2**10, " MiB": 2**20}
        for number, unit, name in rows:
            self.assertEqual(_named(name), float(number) * units[unit], name)
