"""
Record the state changes of objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

Steps = set[tuple[Enum, Enum]]


def notedSteps(case: SynchronousTestCase, kind: Any, attribute: str) -> Steps:
    """
    :param case: the steps are written down as long as it runs.
    :param kind: a class whose states step by a table.
    :param attribute: where it has its state.
    :returns: the steps that its objects take from here on, as pairs.
    """
    taken: Steps = set()
    step = kind._step

    def noting(self: Any, state: Enum) -> None:
        taken.add((getattr(self, attribute), state))
        step(self, state)

    case.patch(kind, "_step", noting)
    return taken


def allSteps(table: Mapping[Any, set[Any]]) -> Steps:
    """
    :param table: the states that may follow each state.
    :returns: its steps, as pairs.
    """
    return {(before, after) for before in table for after in table[before]}
