"""How Sphinx makes the documentation."""

from __future__ import annotations

import importlib
import inspect
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import sphinx.util.inspect
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from zope.interface.interface import InterfaceClass

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "twisted_transfer"
author = "The twisted_transfer developers"
project_copyright = f"2026, {author}"
release = version = metadata.version(project)

extensions = [
    "sphinx.ext.autodoc",
    "sphinxcontrib.zopeext.autointerface",
    "sphinx_copybutton",
    "architecture",
    "links",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_theme_options: dict[str, Any] = {"top_of_page_buttons": []}
html_show_sourcelink = html_copy_source = False
# A signature with more characters has one parameter a line.
python_maximum_signature_line_length = 100

# What the button copies of a terminal: what was typed.
copybutton_prompt_text = "$ "

autodoc_default_options = {"show-inheritance": True}
autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(cryptography|zope|OpenSSL)\..*"),
    # Type variables.
    ("py:class", r".*\._[A-Z]\w*"),
]
# Internal types in the signatures of public names, of which a user needs no name.
nitpick_ignore = [
    ("py:class", "twisted_transfer.data.streams.HasFileno"),
    ("py:class", "twisted_transfer.testing.memory.MemoryPort"),
    ("py:class", "twisted_transfer.testing.memory.MemoryClient"),
]

# The packages and modules from which users import, those with the shortest names first.
FACES = (
    "twisted_transfer",
    *(
        f"twisted_transfer.{name}"
        for name in (
            *("channel", "command", "connecting", "data", "descriptions", "receipts"),
            *("testing", "text", "tls", "transfers", "twist"),
        )
    ),
)

# Classes of which a user makes no instance; how to make one is not shown.
_MADE_INSIDE = {
    "twisted_transfer.TransferChannel",
    "twisted_transfer.connecting.Admission",
}

# Modules that are documented whole, and whose names are often written alone.
_UNNAMED = ("errors", "interfaces")


@cache
def _publicNames() -> dict[str, str]:
    """:returns: where what a module defines is imported from, by its own name."""
    names: dict[str, str] = {}
    for face in FACES:
        module = importlib.import_module(face)
        for name in module.__all__:
            named = getattr(module, name)
            home = getattr(named, "__module__", face)
            if home.rpartition(".")[2] not in _UNNAMED:
                names.setdefault(f"{home}.{name}", f"{face}.{name}")
    return names


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """
    Find what is referred to by the module that defines it, or by its name alone.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    alone = target.removeprefix("twisted_transfer.")
    candidates = [f"twisted_transfer.{room}.{alone}" for room in _UNNAMED]
    candidates += [
        target.replace(home, path)
        for home, path in _publicNames().items()
        if target == home or target.startswith(f"{home}.")
    ]
    for candidate in candidates:
        resolved = env.domains["py"].resolve_xref(
            env, node["refdoc"], app.builder, node["reftype"], candidate, node, content
        )
        if resolved is not None:
            return resolved
    return None


def _dropInternalBases(
    app: Sphinx, name: str, cls: type, options: object, bases: list[Any]
) -> None:
    """Show no base class that a user cannot import."""

    def isInternal(base: Any) -> bool:
        home = getattr(base, "__module__", "")
        return (
            home.startswith("twisted_transfer.")
            and home.rpartition(".")[2] not in _UNNAMED
            and f"{home}.{base.__name__}" not in _publicNames()
        )

    bases[:] = [base for base in bases if not isInternal(base)] or [object]


def _hideSignatures(
    app: Sphinx,
    what: str,
    name: str,
    documented: object,
    options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None] | None:
    """
    Leave out a signature that a user has no use for, and say that a function
    made by ``deferring`` returns a Deferred.
    """
    if name in _MADE_INSIDE or signature == "(*args, **kwargs)":
        return "", returned
    if inspect.iscoroutinefunction(getattr(documented, "__wrapped__", None)):
        return signature, f"~twisted.internet.defer.Deferred[{returned}]"
    return None


def _nameOf(interface: Any) -> str:
    return str(interface.__name__)


def setup(app: Sphinx) -> None:
    """
    Connect what is defined here, have interfaces written by their names, and show
    no function that returns a Deferred as ``async``.
    """
    InterfaceClass.__repr__ = _nameOf  # type: ignore[method-assign]
    isCoroutine: Any = inspect.iscoroutinefunction
    sphinx.util.inspect.iscoroutinefunction = isCoroutine
    app.connect("autodoc-process-signature", _hideSignatures)
    app.connect("autodoc-process-bases", _dropInternalBases)
    app.connect("missing-reference", _resolve)
