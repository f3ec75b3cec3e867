"""
States that are said: an enum, and a table of what may follow each.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Set
from typing import TypeVar

_S = TypeVar("_S", bound="State")


class State(enum.Enum):
    """One of the states of an object."""

    # Each member exists once; Enum's own hash is a Python call.
    __hash__ = object.__hash__

    def then(self: _S, after: _S, steps: Mapping[_S, Set[_S]]) -> _S:
        """
        Take a step.

        :param after: the next state.
        :param steps: the states that may follow each state.
        :returns: the next state.
        :raises AssertionError: if it may not follow this one.
        """
        assert after in steps[self], f"{after} after {self}"
        return after
