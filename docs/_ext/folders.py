"""
The package's folders, what they import and what is in them, read from its source.

Nothing of Sphinx is needed here, so that the tests can look at it, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from xml.sax.saxutils import escape

PACKAGE = Path(__file__).resolve().parent.parent.parent / "twisted_transfer"

# Where each folder stands in the drawing: a column and a row.
PLACES = {
    "twist": (2.0, 0),
    "command": (2.0, 1),
    "transfers": (2.0, 2),
    "receipts": (2.0, 3),
    "connecting": (1.0, 4),
    "data": (3.0, 4),
    "testing": (4.2, 4),
    "descriptions": (0.4, 5),
    "channel": (2.4, 5),
    "tls": (1.3, 6),
    "text": (3.2, 6),
    "meeting": (1.3, 7),
}
_WIDTH, _HEIGHT, _ACROSS, _DOWN = 116, 32, 130, 68


def folders() -> list[str]:
    """:returns: the names of the package's folders."""
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def modules(folder: Path) -> list[Path]:
    """:returns: the modules in a folder that have a name of their own."""
    return sorted(path for path in folder.glob("*.py") if path.stem[0] != "_")


def summary(path: Path) -> str:
    """:returns: the first paragraph of a module's docstring."""
    documented = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(documented.split("\n\n")[0].split()).replace("``", "")


def _importedBy(node: ast.AST) -> Iterator[str]:
    """:returns: the modules that are imported when a module runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom):
            yield child.module or ""
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)):
            yield from _importedBy(child)


def imports() -> dict[str, set[str]]:
    """:returns: for each folder, the folders that its modules import."""
    found: dict[str, set[str]] = {folder: set() for folder in folders()}
    for folder, others in found.items():
        for path in (PACKAGE / folder).glob("*.py"):
            for name in _importedBy(ast.parse(path.read_text(encoding="utf-8"))):
                words = name.split(".")
                if words[0] == PACKAGE.name:
                    others |= {word for word in words[1:2] if word in found}
        others.discard(folder)
    return found


def arrows(direct: dict[str, set[str]]) -> set[tuple[str, str]]:
    """
    Leave out what other arrows lead to.

    :param direct: for each folder those that it imports.
    :returns: the fewest pairs by which each leads to the same folders.
    :raises CycleError: if some import each other.
    """
    reached: dict[str, set[str]] = {}
    for folder in TopologicalSorter(direct).static_order():
        further = (reached[other] for other in direct[folder])
        reached[folder] = direct[folder].union(*further)
    return {
        (folder, other)
        for folder, others in direct.items()
        for other in others
        if not any(other in reached[via] for via in others)
    }


def drawing() -> str:
    """:returns: the folders and the arrows between them, as SVG."""
    top = {
        folder: (x * _ACROSS + 8, y * _DOWN + 8) for folder, (x, y) in PLACES.items()
    }
    lines = [
        f'<line x1="{top[one][0] + _WIDTH / 2:.0f}" y1="{top[one][1] + _HEIGHT}" '
        f'x2="{top[other][0] + _WIDTH / 2:.0f}" y2="{top[other][1] - 2}" '
        'stroke="currentColor" marker-end="url(#tip)"/>'
        for one, other in sorted(arrows(imports()))
    ]
    boxes = [
        _box(x, y, _WIDTH, folder, summary(PACKAGE / folder / "__init__.py"))
        for folder, (x, y) in top.items()
    ]
    width = max(x for x, _ in top.values()) + _WIDTH + 8
    height = max(y for _, y in top.values()) + _DOWN
    names = ", ".join(path.stem for path in modules(PACKAGE))
    boxes.append(_box(8, height, width - 16, names, "These are imported everywhere."))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {width:.0f} {height + _HEIGHT + 8}" '
        'font-family="sans-serif" font-size="14" text-anchor="middle">'
        "<title>The folders; an arrow leads to one that is imported</title>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" '
        'fill="currentColor"/></marker></defs>' + "".join(lines + boxes) + "</svg>"
    )


def _box(x: float, y: float, width: float, name: str, title: str) -> str:
    return (
        f"<g><title>{escape(title)}</title>"
        f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{_HEIGHT}" rx="4" '
        'fill="none" stroke="currentColor"/>'
        f'<text x="{x + width / 2:.0f}" y="{y + 21}" fill="currentColor">'
        f"{escape(name)}</text></g>"
    )
