"""
Packages that hand on names, and import what defines a name when it is used (PEP 562).

A program that uses a part of this library does not import the rest of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def handOn(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """
    Make what a package needs to hand on the names of its modules.

    Type checkers do not see this: for them the package imports the same names under
    ``TYPE_CHECKING``.

    :param package: its name.
    :param names: by module, without the package, the names with spaces between them.
    :returns: its ``__getattr__``, ``__dir__`` and ``__all__``.
    """
    homes = {name: home for home, several in names.items() for name in several.split()}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{homes[name]}"), name)
        # The next time nothing is called.
        setattr(import_module(package), name, found)
        return found

    return find, lambda: [*vars(import_module(package)), *homes], sorted(homes)
