"""
Links to names that are only written, and to names that Twisted and Python document.

A class, an exception or a function that stands in the text as code leads to where it is
described.
"""

from __future__ import annotations

import re

from addresses import address, twistedNames
from docutils import nodes
from sphinx.addnodes import desc_content, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def _reference(name: str, content: nodes.Node) -> nodes.Node | None:
    uri = address(name)
    if uri is None:
        return None
    return nodes.reference("", "", content, internal=False, refuri=uri, reftitle=name)


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Node | None:
    """Find what is referred to on the web."""
    if node.get("refdomain") != "py":
        return None
    return _reference(node["reftarget"], content)


def _ours(env: BuildEnvironment) -> dict[str, tuple[str, str]]:
    """
    :returns: the page and the anchor of what the reference describes, by the name
        without the modules above it.
    """
    found: dict[str, tuple[str, str]] = {}
    for path, entry in env.domains.python_domain.objects.items():
        name = re.sub(r"^twisted_transfer(\.[a-z]\w*(?=\.))*\.", "", path)
        if not entry.aliased and entry.objtype != "module":
            found.setdefault(name, (entry.docname, entry.node_id))
    return found


def _linkNames(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Make links of the names that are only written."""
    ours = _ours(app.env)
    for literal in list(doctree.findall(nodes.literal)):
        name = re.sub(r"\(.*\)$", "", literal.astext())
        # A name in small letters needs its parentheses: "copy" is a word, too.
        isWord = name == literal.astext().lower() and "." not in name
        if isWord or _isInside(literal, nodes.reference, nodes.title):
            continue
        if name in ours:
            to, anchor = ours[name]
            uri = app.builder.get_relative_uri(page, to) + f"#{anchor}"
            link = nodes.reference(
                "", "", literal.deepcopy(), internal=True, refuri=uri
            )
            literal.replace_self(link)
        elif name.partition(".")[0] in {*twistedNames(), "twisted"}:
            found = _reference(name, literal.deepcopy())
            literal.replace_self(found or literal)


def _isInside(node: nodes.Node, *kinds: type[nodes.Element]) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def _dropObject(app: Sphinx, doctree: nodes.document) -> None:
    """Do not say of a class that it is an object."""
    for content in doctree.findall(desc_content):
        for child in list(content):
            if isinstance(child, nodes.paragraph) and child.astext() == "Bases: object":
                content.remove(child)


def _dropEmptyLines(app: Sphinx, doctree: nodes.document) -> None:
    """End code with its last line: before what is left out there are empty ones."""
    for block in doctree.findall(nodes.literal_block):
        if block.rawsource == block.astext():
            block.rawsource = block.rawsource.rstrip("\n")
            block[:] = [nodes.Text(block.rawsource)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect what is defined here."""
    app.connect("missing-reference", _resolve)
    app.connect("doctree-read", _dropObject)
    app.connect("doctree-read", _dropEmptyLines)
    app.connect("doctree-resolved", _linkNames)
    return {"parallel_read_safe": True}
