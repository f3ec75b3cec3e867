"""
Many that wait for one event.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

_T = TypeVar("_T")


class Waiters(Generic[_T]):
    """
    Deferreds that all fire at one event; each may be cancelled by itself.
    """

    def __init__(self) -> None:
        self._waiting: list[Deferred[_T]] = []

    def wait(self) -> Deferred[_T]:
        """
        :returns: a Deferred that fires at the next event.
        """
        # Firing swaps the list, so a Deferred that can still be cancelled is
        # always in the one it was put into.
        waiter: Deferred[_T] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def fire(self, result: _T) -> None:
        """
        :param result: what everybody who waits gets.
        """
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(result)

    def fail(self, error: BaseException) -> None:
        """
        :param error: what everybody who waits gets instead.
        """
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.errback(error)
