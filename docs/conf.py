"""How Sphinx makes the documentation."""

from __future__ import annotations

import re
from importlib import metadata

from sphinx.application import Sphinx

project = "twisted_transfer"
author = "The twisted_transfer developers"
project_copyright = f"2026, {author}"
release = version = metadata.version(project)

extensions = ["sphinx.ext.autodoc", "sphinxcontrib.zopeext.autointerface"]
exclude_patterns = ["_build"]
html_theme = "alabaster"

autodoc_default_options = {"members": True, "show-inheritance": True}
autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"


def _nameInterfaces(
    app: Sphinx,
    what: str,
    name: str,
    documented: object,
    options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Write an interface's name in a signature, where its repr would stand."""

    def named(text: str | None) -> str | None:
        return text and re.sub(r"<InterfaceClass (?:\w+\.)*(\w+)>", r"\1", text)

    return named(signature), named(returned)


def setup(app: Sphinx) -> None:
    """Connect what is defined here."""
    app.connect("autodoc-process-signature", _nameInterfaces)
