"""
Where names that Twisted and Python document stand on the web.

Both name their pages after what is on them, so that a build needs no network and no
copy of their inventories.  Nothing of Sphinx is needed here, so that the tests can look
at it, too.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from functools import cache
from typing import Any

from zope.interface.interface import InterfaceClass

_TWISTED = "https://docs.twisted.org/en/stable/api/"
_PYTHON = "https://docs.python.org/3/library/"

# Those whose names may be written without their module.
_MODULES = tuple(
    f"twisted.{name}"
    for name in (
        *("internet.interfaces", "internet.defer", "internet.error"),
        *("internet.endpoints", "internet.address", "internet.protocol"),
        *("internet.task", "internet.testing", "web.client"),
        *("python.failure", "trial.unittest", "application.internet"),
    )
)


@cache
def twistedNames() -> dict[str, str]:
    """:returns: Twisted's classes, interfaces and functions by their names alone."""
    names: dict[str, str] = {}
    for path in _MODULES:
        module = importlib.import_module(path)
        for name in getattr(module, "__all__", dir(module)):
            named = getattr(module, name, None)
            isDefined = isinstance(named, (type, InterfaceClass)) or callable(named)
            if name[0] != "_" and isDefined and _isOf(named, path):
                names.setdefault(name, f"{path}.{name}")
    return names


def _isOf(named: Any, path: str) -> bool:
    """Whether something belongs to a module, or to a private one behind it."""
    home = getattr(named, "__module__", None) or ""
    return home == path or home.rpartition(".")[2].startswith("_")


def address(name: str) -> str | None:
    """
    Find where a name is documented on the web.

    :param name: with its module, or one of Twisted's without.
    :returns: the address; or ``None`` if it is not known, or there is no such name.
    """
    first, dot, others = name.partition(".")
    name = twistedNames().get(first, first) + dot + others
    module, _, rest = name.rpartition(".")
    if name.startswith("twisted."):
        named = _find(name)
        if named is None:
            return None
        # pydoctor gives each module and class a page; other names stand on these.
        if isinstance(named, (type, InterfaceClass)) or inspect.ismodule(named):
            return f"{_TWISTED}{name}.html"
        return f"{_TWISTED}{module}.html#{rest}"
    if module.partition(".")[0] in sys.stdlib_module_names:
        return f"{_PYTHON}{module}.html#{name}"
    return None


def _find(name: str) -> Any:
    """:returns: what has a dotted name; ``None`` if nothing has."""
    try:
        return importlib.import_module(name)
    except ImportError:
        above, _, last = name.rpartition(".")
        return getattr(_find(above), last, None) if above else None
