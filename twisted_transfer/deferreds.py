"""
Deferreds that fire once, in bounded time, whatever is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_transfer.errors import PartnerTimeout

_T = TypeVar("_T")
_A = ParamSpec("_A")


def deferring(
    function: Callable[_A, Coroutine[Any, Any, _T]],
) -> Callable[_A, Deferred[_T]]:
    """
    Have an ``async`` function return a Deferred; it begins when it is called.

    :param function: any coroutine function.
    :returns: a function that takes the same, and returns a Deferred with what the
        coroutine returns.
    """

    @wraps(function)
    def begin(*args: _A.args, **kwargs: _A.kwargs) -> Deferred[_T]:
        return Deferred.fromCoroutine(function(*args, **kwargs))

    return begin


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


_log = Logger()


class _Leftovers:
    """What still has to go away, and whoever waits for that."""

    def __init__(self) -> None:
        self._count = 0
        self._cleared: Waiters[None] = Waiters()

    def add(self, going: Deferred[Any]) -> Deferred[Any]:
        """
        :param going: fires when one thing is gone; a failure is logged.
        :returns: the same.
        """
        self._count += 1

        def gone(result: object) -> None:
            if isinstance(result, Failure):
                _log.failure("while closing a connection attempt", result)
            self._count -= 1
            if not self._count:
                self._cleared.fire(None)

        return going.addBoth(gone)

    def cleared(self) -> Deferred[None]:
        return self._cleared.wait() if self._count else succeed(None)


def _severed(source: Deferred[_T], dispose: Callable[[_T], object]) -> Deferred[_T]:
    """
    Wait for something whose own cancelling cannot be relied on.

    Some endpoints answer a cancel with another error (a host name that is
    being looked up: ``DNSLookupError``), or bring a result all the same.

    :param source: what is waited for.
    :param dispose: gets a result that comes when nobody waits any more.
    :returns: a Deferred with the source's result, or ``CancelledError``, with
        the source's own ``ConnectingCancelledError`` as its cause.
    """
    cut = False

    def cancel(ignored: Deferred[_T]) -> None:
        nonlocal cut
        cut = True
        source.cancel()

    front: Deferred[_T] = Deferred(cancel)

    def arrived(result: _T | Failure) -> None:
        if not cut:
            front.callback(result)
        elif not isinstance(result, Failure):
            dispose(result)
        elif result.check(ConnectingCancelledError) and not front.called:
            cancelled = CancelledError()
            cancelled.__cause__ = result.value
            front.errback(cancelled)

    source.addBoth(arrived)
    return front


def _within(
    clock: IReactorTime, waited: Deferred[_T], seconds: float, what: str
) -> Deferred[_T]:
    """
    :param waited: fires with the result; it is cancelled when the time is up.
    :param what: what had happened by then, for the message.
    :returns: the same, failing with ``PartnerTimeout`` after so many seconds.
    """

    def expired(result: _T | Failure, timeout: float) -> _T:
        if isinstance(result, Failure):
            result.trap(CancelledError)
            raise PartnerTimeout(f"{what} in {timeout:g} seconds")
        return result

    return waited.addTimeout(seconds, clock, onTimeoutCancel=expired)
