"""
That the package's modules import each other one way only, and nothing they must not.

A new module fails here until it has its place in :data:`RANKS`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

_FOLDER = Path(__file__).resolve().parent.parent / "twisted_transfer"
_MOST_LINES = 300

# A module may import those that stand in a line above its own.
RANKS = (
    # What stands alone.
    ("errors", "interfaces"),
    (
        "counts",
        "hosts",
        "keys",
        "optionvalues",
        "paths",
        "progress",
        "quoting",
        "waiting",
    ),
    # Text settings.
    ("encodings", "textdecoder"),
    ("textencoder",),
    ("text",),
    # Descriptions, and what the socket command is made of.
    ("addressfilters", "arguments", "endpointstrings", "pemfiles", "plain"),
    ("descriptions", "invitations", "tlsoptions"),
    ("endpointtypes",),
    ("socketcommands",),
    # One connection, as the reactor sees it.
    ("identity", "layers", "mutualtls", "wires"),
    ("closing", "gate", "inviting", "mtlspolicies"),
    ("mtlsclient",),
    ("mtlsstrings", "tlswire"),
    ("link",),
    ("admission",),
    ("establishing",),
    ("opening",),
    # The channel.
    ("unread",),
    ("inbox",),
    ("intake",),
    ("reading",),
    ("channel",),
    # What helps to test, with partners that mean no good among it.
    ("clienthello", "hostile", "memory"),
    ("hostilehandshakes", "hostileplain", "memoryports", "sieges"),
    ("ambushes", "hostiletls", "memorylisteners"),
    ("testing",),
    # The two ends of the data.
    ("digesting", "flushing"),
    ("inside", "measuring", "nonblocking", "partfile", "producing"),
    ("bytesdestination", "bytessource", "callabledestination", "iterating"),
    ("iterablesource",),
    ("destinations", "feeding", "receiving", "sources"),
    ("copying",),
    ("copyqueue",),
    # Transfers with receipts, without input and output.
    ("announced",),
    ("receiptmessages", "receiptwire"),
    ("receiptarguments", "receiptorder"),
    ("receiptboxes",),
    ("receipts",),
    ("digested", "leftovers", "prefixes"),
    ("resuming",),
    # The connector, and the endpoints around it.
    ("connector",),
    ("ports",),
    ("endpoints",),
    ("parsers",),
    # Whole transfers.
    ("existing", "outcomes", "raw", "talking"),
    ("folders", "keepalive", "statuses"),
    ("accepting", "offering", "transferring"),
    ("transfers",),
    ("__init__",),
    # The programs.
    ("democertificates", "demoprocess", "localends", "reports"),
    ("partnercommands", "running"),
    ("jobs",),
    ("options",),
    ("demo", "tap"),
    ("command",),
    ("__main__",),
)

# These know of the channel and of each other, and of nothing else there is.
_DATA = {
    *("bytesdestination", "bytessource", "callabledestination", "copying", "copyqueue"),
    *("counts", "destinations", "feeding", "inside", "iterablesource"),
    *("iterating", "measuring", "nonblocking", "partfile", "producing", "receiving"),
    "sources",
}
_RESUMED = {
    *("digested", "digesting", "flushing", "leftovers", "prefixes", "resuming"),
}
_FOR_DATA = _DATA | _RESUMED | {"channel", "errors", "interfaces", "paths"}

# What may use the global reactor, inside functions.
_PROGRAMS = {"tap", "command"}

# What has no input and no output in it, and knows nothing of Twisted.
_PURE = {"text", "encodings"}


def _modules() -> list[str]:
    """The names of the package's modules."""
    return sorted(path.stem for path in _FOLDER.glob("*.py"))


@cache
def _source(module: str) -> str:
    return (_FOLDER / f"{module}.py").read_text(encoding="utf-8")


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
            package = "twisted_transfer" if found.level else ""
            parent = ".".join(filter(None, (package, found.module)))
            yield from (f"{parent}.{alias.name}" for alias in found.names)


def _importsOf(module: str) -> list[str]:
    return list(_imports(ast.parse(_source(module))))


def _ownImports(module: str) -> Iterator[str]:
    """The package's own modules that one of them imports."""
    for name in _importsOf(module):
        package, _, rest = name.partition(".")
        if package == "twisted_transfer":
            own = rest.partition(".")[0]
            # What is not a module was taken from the package itself.
            yield own if own in _modules() else "__init__"


class DirectionTests(SynchronousTestCase):
    """Who imports whom, within the package."""

    def test_ranks(self) -> None:
        """Every module has its place among the ranks, and only one."""
        ranked = [module for rank in RANKS for module in rank]
        self.assertEqual(
            set(_modules()) - set(ranked),
            set(),
            "without a place: put each into RANKS in tests/test_imports.py, below "
            "all that it imports",
        )
        self.assertEqual(sorted(ranked), _modules(), "RANKS names what is not there")

    def test_direction(self) -> None:
        """No module imports one of its own rank or of a later one."""
        rankOf = {module: i for i, rank in enumerate(RANKS) for module in rank}
        wrong = [
            f"{module} imports {imported}"
            for module in _modules()
            for imported in _ownImports(module)
            if rankOf.get(imported, -1) >= rankOf.get(module, len(RANKS))
        ]
        self.assertEqual(wrong, [])

    def test_data(self) -> None:
        """What moves data knows the channel, not how it came to be."""
        for module in _DATA:
            self.assertEqual(set(_ownImports(module)) - _FOR_DATA, set(), module)


class TwistedTests(SynchronousTestCase):
    """What is imported from Twisted."""

    def test_private(self) -> None:
        """Nothing that Twisted keeps to itself is imported."""
        private = [
            f"{module} imports {name}"
            for module in _modules()
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
            todo |= set(_ownImports(module)) - reached
            names = [n for n in _importsOf(module) if n.startswith("twisted.")]
            self.assertEqual(names, [], module)

    def test_reactorImports(self) -> None:
        """Only the programs import the global reactor, and only in functions."""
        wrong = []
        for module in _modules():
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
        lines = [f"import twisted_transfer.{module}" for module in _modules()]
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


class SizeTests(SynchronousTestCase):
    """How much is in a module."""

    def test_lines(self) -> None:
        """A module that has grown too long is doing a second thing."""
        long = {
            module: lines
            for module in _modules()
            if (lines := len(_source(module).splitlines())) > _MOST_LINES
        }
        self.assertEqual(long, {})
