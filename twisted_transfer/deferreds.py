"""
Deferreds that fire once, in bounded time, whatever is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from random import random
from typing import Any, Generic, ParamSpec, TypeVar

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import (
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
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


class Promise(Generic[_T]):
    """
    One result for any number of Deferreds, whenever they are asked for.

    :ivar fired: whether the result is known.
    """

    __slots__ = ("_result", "_waiting", "fired")

    _result: _T | Failure

    def __init__(self) -> None:
        self.fired = False
        # Made when somebody waits: there are many promises, and few are waited for.
        self._waiting: list[Deferred[_T]] | None = None

    def wait(self) -> Deferred[_T]:
        """
        :returns: a Deferred that fires with the result, or has fired.  Cancelling
            it touches no other one.
        """
        if self.fired:
            return _fired(self._result)
        if self._waiting is None:
            self._waiting = []
        waiter: Deferred[_T] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def fire(self, result: _T | Failure) -> None:
        """
        Give the result to all who wait or will; a second result is ignored.

        :param result: the result, or a failure.
        """
        if self.fired:
            return
        self.fired = True
        self._result = result
        waiting, self._waiting = self._waiting, None
        for waiter in waiting or ():
            waiter.callback(result)


def _fired(result: _T | Failure) -> Deferred[_T]:
    deferred: Deferred[_T] = Deferred()
    deferred.callback(result)
    return deferred


class Leftovers:
    """
    What an operation has opened and what has to be gone before it is over:
    ports, connections, timers.
    """

    __slots__ = ("_count", "_waiting")

    _log = Logger()

    def __init__(self) -> None:
        self._count = 0
        self._waiting: list[Callable[[], object]] | None = None

    def add(self, going: Deferred[Any]) -> None:
        """
        Count one thing until it is gone.

        :param going: fires when the thing is gone; a failure is logged.
        """
        self._count += 1
        going.addBoth(self._gone)

    def _gone(self, result: object) -> None:
        if isinstance(result, Failure):
            self._log.failure("while closing a connection attempt", result)
        self._count -= 1
        if not self._count:
            waiting, self._waiting = self._waiting, None
            for call in waiting or ():
                call()

    def then(self, call: Callable[[], object]) -> None:
        """
        :param call: is called when nothing is left, perhaps at once.
        """
        if self._count:
            self._waiting = [*(self._waiting or ()), call]
        else:
            call()

    def cleared(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when nothing is left.
        """
        cleared: Deferred[None] = Deferred(lambda ignored: None)

        def fire() -> None:
            if not cleared.called:
                cleared.callback(None)

        self.then(fire)
        return cleared


def atMost(clock: IReactorTime, seconds: float, event: Deferred[Any]) -> Deferred[None]:
    """
    Wait for an event for a bounded time.

    :param clock: measures the time.
    :param seconds: the bound.
    :param event: is waited for, and is not cancelled when the time is over.
    :returns: a Deferred that fires when the event has happened, or the time is
        over.  It may be cancelled.
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


class CountingClientEndpoint:
    """
    Says of a client endpoint that its ``connect()`` takes a second argument: the
    :class:`Leftovers` that count the connections which no protocol has yet.
    """


def connect(
    endpoint: IStreamClientEndpoint, factory: IProtocolFactory, leftovers: Leftovers
) -> Deferred[Any]:
    """
    Dial, and have what is dialled counted where the endpoint can.

    :param endpoint: any endpoint.
    :param factory: makes the protocol.
    :param leftovers: count what has to be gone.
    :returns: a Deferred with the protocol.
    """
    arguments: tuple[Any, ...] = (factory,)
    if isinstance(endpoint, CountingClientEndpoint):
        arguments += (leftovers,)
    return maybeDeferred(endpoint.connect, *arguments)


def backOff(shortest: float, longest: float) -> Callable[[int], float]:
    """
    Make delays between attempts that grow by a half each time.

    :param shortest: seconds before the second attempt.
    :param longest: seconds at most, but for a tenth of a second by chance.
    :returns: a function from the number of failures to the seconds to wait.
    """
    # Its import takes a fifteenth of the time in which the command starts.
    from twisted.application.internet import backoffPolicy

    delays: Callable[[int], float] = backoffPolicy(
        shortest, longest, 1.5, jitter=lambda: random() / 10
    )
    return delays


def severed(source: Deferred[_T], dispose: Callable[[_T], object]) -> Deferred[_T]:
    """
    Wait for a Deferred whose own cancelling is not reliable.

    Some endpoints answer a cancel with another error (``DNSLookupError`` while a
    host name is looked up), or bring a result nevertheless.

    :param source: is waited for, and cancelled when the wait is.
    :param dispose: gets a result that comes after the wait was cancelled.
    :returns: a Deferred with the source's result; cancelling it always gives
        ``CancelledError``, at once, with the source's own
        ``ConnectingCancelledError`` as its cause.
    """
    if source.called and not source.paused:
        return source
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


def within(
    clock: IReactorTime,
    waited: Deferred[_T],
    seconds: float,
    message: Callable[[], str],
) -> Deferred[_T]:
    """
    Bound a wait in time.

    :param clock: measures the time.
    :param waited: fires with the result; it is cancelled when the time is over.
    :param seconds: the bound.
    :param message: gives the text of the error, when the time is over and the wait
        was cancelled.
    :returns: the Deferred given; it fails with ``PartnerTimeout`` when the time
        is over.
    """

    def expired(result: _T | Failure, timeout: float) -> _T:
        if isinstance(result, Failure):
            result.trap(CancelledError)
            raise PartnerTimeout(message())
        return result

    return waited.addTimeout(seconds, clock, onTimeoutCancel=expired)
