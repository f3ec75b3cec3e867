"""
That the package's folders import each other one way only, and nothing they must not.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

_FOLDER = Path(__file__).resolve().parent.parent.parent / "twisted_transfer"

# A folder may import those that stand before it, and "." is what stands in none.
RANKS = (
    *("printable", "errors", "interfaces", "states", "handing"),
    *("addresses", "layers", "deferreds", "meeting"),
    *("text", "tls", "channel", "descriptions", "connecting"),
    *("data", "testing", "receipts", "transfers", "__init__"),
    *("command", "twist", "__main__"),
)

# What may use the global reactor, inside functions.
_PROGRAMS = {"twist.service", "command.main"}

# What has no input and no output in it, and knows nothing of Twisted.
_PURE = {"text.settings", "text.codec"}


def modules() -> list[str]:
    """The names of the package's modules, without the package's own."""
    return sorted(
        ".".join(path.relative_to(_FOLDER).with_suffix("").parts)
        for path in _FOLDER.rglob("*.py")
    )


@cache
def _source(module: str) -> str:
    path = _FOLDER.joinpath(*module.split(".")).with_suffix(".py")
    return path.read_text(encoding="utf-8")


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What is in a syntax tree, but for what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _nodes(child)


def _imports(node: ast.AST) -> Iterator[str]:
    """
    The dotted name of everything that is imported somewhere under a node.

    ``from a.b import c`` is taken for ``a.b.c``, whatever c is.
    """
    for found in _nodes(node):
        if isinstance(found, ast.Import):
            yield from (alias.name for alias in found.names)
        elif isinstance(found, ast.ImportFrom):
            yield from (f"{found.module}.{alias.name}" for alias in found.names)


def _importsOf(module: str) -> list[str]:
    return list(_imports(ast.parse(_source(module))))


def ownImports(module: str) -> Iterator[str]:
    """The package's own modules that one of them imports."""
    known = modules()
    for name in _importsOf(module):
        package, _, rest = name.partition(".")
        if package == "twisted_transfer":
            candidates = (rest, rest.rpartition(".")[0], f"{rest}.__init__")
            yield next((c for c in candidates if c in known), "__init__")


class DirectionTests(SynchronousTestCase):
    """Who imports whom, within the package."""

    def test_folders(self) -> None:
        """No folder imports one that comes after it."""
        for module in modules():
            folder = module.split(".")[0]
            for imported in ownImports(module):
                later = RANKS.index(imported.split(".")[0]) > RANKS.index(folder)
                self.assertFalse(later, f"{module} imports {imported}")

    def test_circles(self) -> None:
        """No module imports itself by way of others."""
        sorter = TopologicalSorter({m: set(ownImports(m)) for m in modules()})
        sorter.prepare()  # raises CycleError


class TwistedTests(SynchronousTestCase):
    """What is imported from Twisted."""

    def test_private(self) -> None:
        """Nothing that Twisted keeps to itself is imported."""
        private = [
            f"{module} imports {name}"
            for module in modules()
            for name in _importsOf(module)
            if name.startswith("twisted.") and "._" in name
        ]
        self.assertEqual(private, [])

    def test_pure(self) -> None:
        """The text codec imports nothing of Twisted, and nothing that does."""
        todo = set(_PURE)
        reached: set[str] = set()
        while todo:
            module = todo.pop()
            reached.add(module)
            todo |= set(ownImports(module)) - reached
            names = [n for n in _importsOf(module) if n.startswith("twisted.")]
            self.assertEqual(names, [], module)

    def test_reactorImports(self) -> None:
        """Only the programs import the global reactor, and only in functions."""
        wrong = []
        for module in modules():
            tree = ast.parse(_source(module))
            inFunctions = {
                id(node)
                for function in ast.walk(tree)
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
                for node in ast.walk(function)
            }
            wrong += [
                f"{module}:{node.lineno}"
                for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom)
                and "twisted.internet.reactor" in _imports(ast.Module([node], []))
                and not (module in _PROGRAMS and id(node) in inFunctions)
            ]
        self.assertEqual(wrong, [])

    def test_reactorUntouched(self) -> None:
        """Importing all of the package does not import the global reactor."""
        lines = [f"import twisted_transfer.{module}" for module in modules()]
        # This one is a program, which importing it would start.
        lines.remove("import twisted_transfer.__main__")
        lines += ["import sys", "print('twisted.internet.reactor' in sys.modules)"]
        result = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            cwd=_FOLDER.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(result.stdout, "False\n")
