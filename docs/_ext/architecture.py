"""
Directives for what is drawn, and for the architecture page.

``.. drawing:: NAME`` is one of the drawings.  ``.. folders::`` draws the package's
folders with the imports between them, and ``.. rooms::`` lists the modules in each.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from drawings import DRAWINGS
from folders import PACKAGE, PLACES, drawing, modules, summary
from sphinx.application import Sphinx


class Draw(Directive):
    """One of the drawings."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """:returns: it, for HTML."""
        svg = DRAWINGS[self.arguments[0]]().svg()
        return [nodes.raw("", f"<p>{svg}</p>", format="html")]


class Folders(Directive):
    """The drawing of the folders."""

    def run(self) -> list[nodes.Node]:
        """:returns: it, for HTML."""
        return [nodes.raw("", drawing(), format="html")]


class Rooms(Directive):
    """The modules of each folder, with what they say of themselves."""

    def run(self) -> list[nodes.Node]:
        """:returns: a list of lists."""
        parts = [
            self._entry(name, summary(folder / "__init__.py"), self._rooms(folder))
            for name, folder in [
                *((name, PACKAGE / name) for name in PLACES),
                ("in no folder", PACKAGE),
            ]
        ]
        return [nodes.definition_list("", *parts)]

    def _rooms(self, folder: Path) -> nodes.Node:
        return nodes.bullet_list(
            "",
            *(
                nodes.list_item(
                    "",
                    nodes.paragraph(
                        "",
                        "",
                        nodes.literal("", path.stem),
                        nodes.Text(f": {summary(path)}"),
                    ),
                )
                for path in modules(folder)
            ),
        )

    def _entry(self, name: str, said: str, rooms: nodes.Node) -> nodes.Node:
        return nodes.definition_list_item(
            "",
            nodes.term("", "", nodes.strong("", name)),
            nodes.definition("", nodes.paragraph("", said), rooms),
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Say what is here."""
    app.add_directive("drawing", Draw)
    app.add_directive("folders", Folders)
    app.add_directive("rooms", Rooms)
    return {"parallel_read_safe": True}
