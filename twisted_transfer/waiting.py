"""
Many that wait for one event.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

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


def atMost(
    clock: IReactorTime, seconds: float, event: Deferred[None]
) -> Deferred[None]:
    """
    Wait for an event, but not longer than that.

    :param clock: measures the time.
    :param seconds: for how long.
    :param event: what is waited for; it goes on, however this ends.
    :returns: a Deferred that fires when it has happened, or the time is over.
        It may be cancelled.
    """
    over: Deferred[None] = Deferred(lambda ignored: timeout.cancel())

    def end(ignored: object = None) -> None:
        if timeout.active():
            timeout.cancel()
        if not over.called:
            over.callback(None)

    timeout = clock.callLater(seconds, end)
    event.addCallback(end)
    return over
