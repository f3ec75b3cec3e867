"""
One connection between two partners, whichever of them dials.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted_transfer.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """
    Import the public names when the first of them is used.

    Each ``twist`` command imports this package to look for plugins, whether or not
    it then uses it (PEP 562).
    """
    # ``from twisted_transfer import errors`` asks here for a module first.
    if find_spec(f"{__name__}.{name}") is None:
        public = import_module("twisted_transfer.public")
        if name == "__all__" or name in public.__all__:
            return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """:returns: the public names, and those that each module has."""
    return [*globals(), *__getattr__("__all__")]
