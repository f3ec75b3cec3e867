"""
A function of the user's as a destination.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutine

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import IDestination


def _refusal(error: BaseException) -> DestinationError:
    """What the callable has raised, as the error that a transfer knows."""
    if isinstance(error, DestinationError):
        return error
    refusal = DestinationError(f"the callable does not take what came: {error!r}")
    refusal.__cause__ = error
    return refusal


@implementer(IDestination)
class CallableDestination:
    """
    Hands each piece to a callable as it comes.

    How it ends is told to two others.  Exactly one of them is called, once:
    ``onFinish`` after the last piece, if everything has come, or else
    ``onAbort``.  None of the three is called after that.

    Whatever the callable or ``onFinish`` raises, or their Deferred fails with,
    ends the transfer with ``DestinationError``, with the original as its
    ``__cause__``; then ``onAbort`` is called.
    """

    _log = Logger()

    def __init__(
        self,
        callable: Callable[[bytes], object],
        onFinish: Callable[[], object] | None = None,
        onAbort: Callable[[], object] | None = None,
    ) -> None:
        """
        :param callable: is called with each piece, which is ``bytes``.  Where it
            returns a Deferred, or is an ``async`` function, the next piece comes
            when that has fired or returned.
        :param onFinish: is called without arguments after the last piece; where
            it returns a Deferred, or is ``async``, the transfer is done when that
            has fired or returned.
        :param onAbort: is called without arguments when the transfer fails; an
            error in it is logged.
        """
        self._callable = callable
        self._onFinish = onFinish
        self._onAbort = onAbort
        self._over = False

    def open(self) -> None:
        """
        Do nothing.

        :raises DestinationError: if it was used before.
        """
        if self._over:
            raise DestinationError(
                "a CallableDestination is good for one transfer; make a new one"
            )

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Call the callable.

        :param data: the next bytes.
        :returns: None, or a Deferred, as the callable does; cancelling it
            cancels that of the callable.
        :raises DestinationError: if the callable raises anything.
        """
        self.open()
        try:
            result = self._callable(data)
        except Exception as error:
            raise _refusal(error) from error
        return _waiting(result)

    def finish(self) -> Deferred[None]:
        """
        Call ``onFinish``.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        self.open()
        if self._onFinish is not None:
            try:
                result = self._onFinish()
            except Exception as error:
                raise _refusal(error) from error
            waiting = _waiting(result)
            if waiting is not None:
                await waiting
        self._over = True

    def abort(self) -> None:
        """Call ``onAbort``, unless it is over."""
        if self._over:
            return
        self._over = True
        if self._onAbort is not None:
            try:
                self._onAbort()
            except Exception:
                self._log.failure("onAbort of a CallableDestination has failed")


def _waiting(result: object) -> Deferred[None] | None:
    """What has to be waited for, if anything."""
    if iscoroutine(result):
        result = Deferred.fromCoroutine(result)
    if not isinstance(result, Deferred):
        return None
    theirs: Deferred[object] = result
    cancelled = False

    def cancel(ours: Deferred[None]) -> None:
        nonlocal cancelled
        cancelled = True
        theirs.cancel()

    def failed(failure: Failure) -> None:
        # What was cancelled from here says so by itself.
        if not cancelled:
            assert failure.value is not None
            ours.errback(_refusal(failure.value))

    ours: Deferred[None] = Deferred(cancel)
    theirs.addCallbacks(lambda _: None if cancelled else ours.callback(None), failed)
    return ours
