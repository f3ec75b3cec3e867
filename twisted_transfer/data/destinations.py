"""
Destinations: files, memory, and functions.

A :class:`FileDestination` stores a file, which appears whole or not at all, a
:class:`BytesDestination` collects bytes in memory, and a :class:`CallableDestination`
calls a function with each piece.  A
:class:`~twisted_transfer.data.streams.StreamDestination` writes to what is open
already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import iscoroutine
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.data.parts import (
    AnyPath,
    Part,
    flushAll,
    inThread,
    pathText,
    settleAll,
    targetMode,
    targetPath,
)
from twisted_transfer.data.progress import checkNumber, quietly
from twisted_transfer.deferreds import deferring, severed
from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import Destination, IDestination

MAX_SIZE = 64 * 1024 * 1024
"""The default bound of a :class:`BytesDestination`, in bytes."""


class _Single:
    """A destination in which nothing has to be opened, for one transfer."""

    _over = False

    def open(self) -> None:
        """
        Do nothing: there is nothing to open.

        :raises DestinationError: if it was used before.
        """
        if self._over:
            raise DestinationError(
                f"a {type(self).__name__} is good for one transfer; make a new one"
            )


@implementer(IDestination)
class BytesDestination(_Single):
    """
    Collect what comes in memory, up to a bound.

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

    def write(self, data: bytes) -> None:
        """
        Add some bytes.

        :param data: the next bytes.
        :returns: None: the next ones may come at once.
        :raises DestinationError: if there are too many by now; they are not
            kept.
        """
        self.open()
        if len(self._collected) + len(data) > self._maxSize:
            raise DestinationError(
                f"more than the {self._maxSize} bytes have come that maxSize allows; "
                "raise it, or take a FileDestination"
            )
        self._collected += data

    @deferring
    async def finish(self) -> None:
        """
        Let everything appear in :attr:`data`.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        self.open()
        self.data = bytes(self._collected)
        self.abort()

    def abort(self) -> None:
        """Forget what has come, unless it was everything."""
        self._over = True
        self._collected.clear()


@implementer(IDestination)
class CallableDestination(_Single):
    """
    Call a function with each piece as it comes.

    At the end one of two other functions is called, once: ``onFinish`` after the
    last piece, if everything has come, or else ``onAbort``.  None of the three is
    called after that.

    Whatever the callable or ``onFinish`` raises, or their Deferred fails with,
    ends the transfer with ``DestinationError``, with the original as its
    ``__cause__``; then ``onAbort`` is called.
    """

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

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Call the callable.

        :param data: the next bytes.
        :returns: None, or a Deferred, as the callable does; cancelling it
            cancels that of the callable.
        :raises DestinationError: if the callable raises anything.
        """
        self.open()
        return _called(self._callable, data)

    @deferring
    async def finish(self) -> None:
        """
        Call ``onFinish``.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        self.open()
        if self._onFinish is not None:
            waiting = _called(self._onFinish)
            if waiting is not None:
                await waiting
        self._over = True

    def abort(self) -> None:
        """Call ``onAbort``, unless it is over."""
        if self._over:
            return
        self._over = True
        if self._onAbort is not None:
            quietly(self._onAbort, "onAbort of a CallableDestination")


def _called(function: Callable[..., object], *args: bytes) -> Deferred[None] | None:
    """
    Call a user's function.

    :returns: a Deferred if the function has to be waited for.
    :raises DestinationError: for whatever it raises.
    """
    try:
        result = function(*args)
    except DestinationError:
        raise
    except Exception as error:
        raise _refusal(error) from error
    if iscoroutine(result):
        result = Deferred.fromCoroutine(result)
    if not isinstance(result, Deferred):
        return None

    def refuse(failure: Failure) -> Failure:
        if failure.check(DestinationError):
            return failure
        raise _refusal(failure.value) from failure.value

    return severed(result.addCallbacks(lambda _: None, refuse), lambda _: None)


def _refusal(error: object) -> DestinationError:
    return DestinationError(f"the callable does not take what came: {error!r}")


@implementer(IDestination)
class BoundedDestination:
    """
    Store in another destination, up to a bound.

    :ivar size: how many bytes are stored.
    """

    def __init__(self, destination: Destination, maxSize: int | None) -> None:
        """
        :param destination: stores the bytes.
        :param maxSize: how many bytes it gets at most; None: any number.
        """
        self.size = 0
        self.destination = destination
        self._maxSize = maxSize

    def checkSize(self, size: int) -> None:
        """
        :param size: how many bytes are announced, or have come.
        :raises DestinationError: of the kind ``"too-large"``, if these are more
            than allowed.
        """
        if self._maxSize is not None and size > self._maxSize:
            raise DestinationError(
                f"the partner sends more than the {self._maxSize} bytes that "
                "--max-size (maxSize=) allows; allow more, or ask for less",
                "too-large",
                f"it is larger than the {self._maxSize} bytes that the receiver takes",
            )

    def open(self) -> None:
        """
        Open the destination.

        :raises DestinationError: if it cannot store anything.
        """
        self.destination.open()

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Store some bytes.

        :param data: the next bytes.
        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        :raises DestinationError: of the kind ``"too-large"``, with nothing
            stored, or whatever the destination raises.
        """
        self.checkSize(self.size + len(data))
        waiting = self.destination.write(data)
        self.size += len(data)
        return waiting

    @property
    def fd(self) -> int:
        """The descriptor of the destination's file, or -1; see ``FileDestination``."""
        fd: int = getattr(self.destination, "fd", -1)
        return fd

    def stored(self, count: int) -> None:
        """
        :param count: how many bytes were written to :attr:`fd`.
        :raises DestinationError: of the kind ``"too-large"``.
        """
        destination: Any = self.destination
        destination.stored(count)
        self.size += count
        self.checkSize(self.size)

    def finish(self) -> Deferred[None]:
        """
        Finish the destination.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        return self.destination.finish()

    def abort(self) -> None:
        """Abort the destination."""
        self.destination.abort()


class _Finishing(Protocol):
    """A file of which everything has come; see :class:`FileDestination`."""

    def ended(self) -> Part: ...

    async def publish(self) -> None: ...


@deferring
async def finishTogether(reactor: Any, files: Sequence[_Finishing]) -> None:
    """
    Flush everything that has come of some files to the disk, then let them appear, then
    flush their names.

    :param reactor: with one (``IReactorThreads``), its threads wait for the disk.
    :param files: the destinations.
    :returns: a Deferred that fires when all targets are there, and would outlive a loss
        of power.  It fails with ``DestinationError`` if one cannot be stored, or its
        part was changed.  It may be cancelled.
    """
    parts = [file.ended() for file in files]
    await inThread(reactor, partial(flushAll, parts))
    for file in files:
        await file.publish()
    try:
        # One file is settled at once, so that none that has appeared is cancelled.
        await inThread(reactor if len(parts) > 1 else None, partial(settleAll, parts))
    finally:
        for part in parts:
            part.close()


@implementer(IDestination)
class FileDestination:
    """
    Store in a file, which appears when all of it has been stored, and not before.

    Until then the bytes are in ``NAME.twisted-transfer-part`` beside it, which only
    the owner can read.  At the end they are flushed to the disk, and the part gets
    its name in one step.  A target that appeared meanwhile is not replaced, unless
    that was asked for; then everything stays in the part.

    :ivar path: the file that is to appear; symbolic links are followed when it
        is opened.
    :ivar force: whether it may be there already.
    :ivar started: whether the part is being written.
    :ivar modified: when the file was modified, in nanoseconds since 1970; None: now.
    :ivar executable: whether it may be executed by whom it may be read; None: as
        the file that it replaces, or not.
    """

    started = False
    modified: int | None = None
    executable: bool | None = None

    def __init__(
        self,
        path: AnyPath,
        force: bool = False,
        reactor: Any = None,
        *,
        follow: bool = True,
    ) -> None:
        """
        :param path: the file that is to appear.
        :param force: whether it may be there already, or a part of it that was
            left by an interrupted transfer; both are replaced then.
        :param reactor: with one (``IReactorThreads``), its threads wait for the
            disk at the end, so that the rest of the program goes on.
        :param follow: whether the path may be a symbolic link to the place;
            otherwise the file appears by that name, or not at all.
        """
        self.path = pathText(path)
        self.force = force
        self._reactor = reactor
        self._follow = follow
        self._part: Part | None = None
        self._mode = 0o600

    def open(self) -> None:
        """
        Make the part.

        :raises DestinationError: if the target exists and may not be replaced,
            or is a folder, or its folder cannot be written to, or another
            transfer is receiving the same file.
        """
        self._opened(resume=False)

    def resume(self) -> Part:
        """
        Make the part, or take over one that an interrupted transfer has left.

        :returns: the part; :meth:`startAt` says what of it stays.
        :raises DestinationError: as :meth:`open`.
        """
        return self._opened(resume=True)

    def _opened(self, resume: bool) -> Part:
        if self._part is None:
            target = targetPath(self.path, self._follow)
            self._mode = targetMode(target, self.force)
            part = Part(target, self.force)
            part.open(resume)
            self._part = part
        return self._part

    def checkRoom(self, size: int) -> None:
        """
        Check that the disk has room for the file, which is open.

        :param size: how many bytes it will have.
        :raises DestinationError: of the kind ``"too-large"``, if it has not.
        """
        self.resume().checkRoom(size)

    def startAt(self, offset: int) -> None:
        """
        Go on behind the first bytes of the part, and forget the others.

        :param offset: how many bytes stay; 0 to start over.
        :raises DestinationError: if the part cannot be written to.
        """
        part = self._opened(resume=False)
        part.goOnAt(offset)
        self.started = True
        # From here on nothing stands between the caller and the part.
        self.write = part.write  # type: ignore[method-assign]

    def write(self, data: bytes) -> None:
        """
        Add some bytes to the part.

        :param data: the next bytes.
        :returns: None: the next ones may come at once.
        :raises DestinationError: if they cannot be stored.
        """
        self.startAt(0)
        self.write(data)

    @property
    def fd(self) -> int:
        """The descriptor of the part once it is written to, for who writes to it
        without :meth:`write` and says so by :meth:`stored`; before, -1."""
        return self._part.fd if self.started and self._part is not None else -1

    def stored(self, count: int) -> None:
        """
        :param count: how many bytes were written to :attr:`fd`.
        """
        if self._part is not None:
            self._part.size += count

    def finish(self) -> Deferred[None]:
        """
        Flush everything to the disk and let the target appear.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        return finishTogether(self._reactor, [self])

    def ended(self) -> Part:
        """
        :returns: the part, which nothing more is written to.
        :raises DestinationError: if there is none, and none can be made.
        """
        if not self.started:
            self.startAt(0)
        return self._opened(resume=False)

    async def publish(self) -> None:
        """
        Let the target appear; see :meth:`Part.publish`.  Everything is flushed.

        :raises DestinationError: if it cannot.
        """
        mode = self._mode
        if self.executable is not None:
            mode &= ~0o111
        if self.executable:
            mode |= (mode & 0o444) >> 2
        self._opened(resume=False).publish(mode, self.modified)

    def interrupt(self) -> None:
        """
        Leave the part for a later transfer to go on with, and give back the lock.

        It is not flushed to the disk.  If the machine stops too, what is left
        may differ from what has come.
        """
        if self._part is not None:
            self._part.keep()

    def abort(self) -> None:
        """
        Remove the part.

        One that was taken over, and not written to, is left as it was, for the
        next try.
        """
        if self._part is None:
            return
        if self.started:
            self._part.discard()
        else:
            self._part.keep()
