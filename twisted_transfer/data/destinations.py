"""
Where received bytes go.

A :class:`FileDestination` is for a file that is to be whole or not there, a
:class:`StreamDestination` for what is open already, a :class:`BytesDestination`
for what is to be in memory, and a :class:`CallableDestination` for a program that
wants the pieces as they come.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from inspect import iscoroutine

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorThreads
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.data.parts import (
    AnyPath,
    PartFile,
    pathText,
    reasonText,
    targetMode,
    targetPath,
)
from twisted_transfer.data.progress import checkNumber
from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import IDestination

MAX_SIZE = 64 * 1024 * 1024
"""How many bytes are collected at most, unless another bound is given."""


@implementer(IDestination)
class BytesDestination:
    """
    Collects what comes, up to a bound.

    :ivar data: everything, once it is finished; empty before, and if it never
        is.
    """

    data = b""

    def __init__(self, maxSize: int = MAX_SIZE) -> None:
        """
        :param maxSize: how many bytes may come; more are a
            ``DestinationError``.
        :raises BadOption: if it is no number of bytes.
        """
        checkNumber("maxSize", maxSize)
        self._maxSize = maxSize
        self._collected = bytearray()
        self._over = False

    def _check(self) -> None:
        if self._over:
            raise DestinationError(
                "a BytesDestination is good for one transfer; make a new one"
            )

    def open(self) -> None:
        """
        Do nothing: there is always memory.

        :raises DestinationError: if it was used before.
        """
        self._check()

    def write(self, data: bytes) -> None:
        """
        Add some bytes.

        :param data: the next bytes.
        :returns: None: the next ones may come at once.
        :raises DestinationError: if there are too many by now; they are not
            kept.
        """
        self._check()
        if len(self._collected) + len(data) > self._maxSize:
            raise DestinationError(
                f"more than the {self._maxSize} bytes have come that maxSize allows; "
                "raise it, or take a FileDestination"
            )
        self._collected += data

    def finish(self) -> Deferred[None]:
        """
        Let everything appear in :attr:`data`.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        try:
            self._check()
        except DestinationError as error:
            return fail(error)
        self._over = True
        self.data = bytes(self._collected)
        self._collected.clear()
        return succeed(None)

    def abort(self) -> None:
        """Forget what has come, unless it was everything."""
        self._over = True
        self._collected.clear()


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


@implementer(IDestination)
class FileDestination:
    """
    A file that appears when all of it has been stored, and not before.

    Until then the bytes are in ``NAME.part`` beside it, which only the owner
    can read.  At the end they are flushed to the disk, and the part gets its
    name in one step.  A target that appeared meanwhile is not replaced, unless
    that was asked for.

    :ivar path: the file that is to appear; symbolic links are followed when it
        is opened.
    :ivar force: whether it may be there already.
    """

    def __init__(
        self,
        path: AnyPath,
        force: bool = False,
        reactor: IReactorThreads | None = None,
    ) -> None:
        """
        :param path: the file that is to appear.
        :param force: whether it may be there already, or a part of it that was
            left by an interrupted transfer; both are replaced then.
        :param reactor: with one, its threads wait for the disk at the end, so
            that the rest of the program goes on.
        """
        self.path = pathText(path)
        self.force = force
        self._reactor = reactor
        self._part: PartFile | None = None
        self._mode = 0o600

    def open(self) -> None:
        """
        Make the part.

        :raises DestinationError: if the target exists and may not be replaced,
            or is a folder, or its folder cannot be written to, or another
            transfer is receiving the same file.
        """
        if self._part is not None:
            return
        try:
            target = targetPath(self.path)
        except ValueError as error:
            raise DestinationError(str(error)) from error
        self._mode = targetMode(target, self.force)
        part = PartFile(target, self.force)
        part.create()
        self._part = part

    def write(self, data: bytes) -> None:
        """
        Add some bytes to the part.

        :param data: the next bytes.
        :returns: None: the next ones may come at once.
        :raises DestinationError: if they cannot be stored.
        """
        self.open()
        assert self._part is not None
        _writeAll(self._part.fd, data, self.path)

    def finish(self) -> Deferred[None]:
        """
        Flush everything to the disk and let the target appear.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        self.open()
        part = self._part
        assert part is not None
        await part.flush(self._mode, self._reactor)
        part.publish()

    def abort(self) -> None:
        """Remove the part."""
        if self._part is not None:
            self._part.discard()


def _writeAll(fd: int, data: bytes, name: str) -> None:
    """Write to a file, which takes everything unless something is wrong."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except OSError as error:
            raise _cannotWrite(name, error) from error


def _cannotWrite(name: str, error: OSError) -> DestinationError:
    reason = reasonText(error)
    return DestinationError(f"cannot write {name}: {reason}", reason=reason)
