"""
Receive from a channel into a destination.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data import kernel
from twisted_transfer.data.progress import Meter, Progress, checkNumber, quietly
from twisted_transfer.deferreds import deferring
from twisted_transfer.errors import BadOption, NotEnoughData, Truncated
from twisted_transfer.interfaces import Destination

_AT_ONCE = 65536  # bytes to ask the channel for
_BEGINNING = 1024  # bytes in which a destination may look for what it knows


class Input(Enum):
    """The state of a connection's input, which changes only in this order."""

    OPEN = auto()
    ENDED = auto()  # the partner has sent everything
    LOST = auto()  # the connection is gone


class Storing:
    """
    Write what comes to a destination, no faster than it takes it.

    :ivar count: how many bytes have come.
    :ivar done: fires after :meth:`end`, when the destination has taken everything;
        fails if it does not take it.  Cancelling it takes nothing more.
    """

    def __init__(
        self,
        destination: Destination,
        tell: Callable[[int], object] | None,
        pause: Callable[[bool], object],
    ) -> None:
        """
        :param destination: is open, and gets everything.
        :param tell: called with the count after each piece.
        :param pause: has the partner wait, or not.
        """
        self.count = 0
        self.done: Deferred[None] = Deferred(self._cancelled)
        self._destination = destination
        self._tell = tell
        self._pause = pause
        self._ended = False
        # What the destination has taken but not stored yet, and what came behind.
        self._waiting: Deferred[None] | None = None
        self._queue: deque[bytes] = deque()
        # What stores the bytes in the kernel, while it does, and whether it cannot.
        self._kernel: kernel.Receiving | None = None
        self._resume: Callable[[], object]
        self._unfit = False

    @property
    def full(self) -> bool:
        """Whether something has come behind what the destination is busy with."""
        return bool(self._queue)

    def write(self, data: bytes) -> None:
        """
        Write what came to the destination, or queue it while that is busy.

        :param data: the next bytes.
        """
        if self._waiting is not None:
            # A transport may still have some to deliver after it was paused.
            self._queue.append(data)
            return
        if self.done.called:
            return
        try:
            waiting = self._destination.write(data)
        except Exception:
            self.done.errback(Failure())
            return
        self.count += len(data)
        if self._tell is not None:
            self._tell(self.count)
        if waiting is not None:
            self._waiting = waiting
            self._pause(True)
            waiting.addCallbacks(self._room, self._refused)

    def byKernel(
        self,
        channel: TransferChannel,
        moved: Callable[[int], object],
        most: int = sys.maxsize,
    ) -> None:
        """
        Have the kernel store what comes next, if it can.

        :param channel: where it comes from; read again when the kernel has done.
        :param moved: called with the number of bytes after each piece; 0 at the end of
            the input.
        :param most: how many bytes the kernel may store.
        """
        fd = getattr(self._destination, "fd", -1)
        if self._waiting or self.done.called or fd == -1 or self._unfit:
            return
        transport = channel.bareInput
        if transport is None:
            return
        channel.pauseProducing()
        self._resume = channel.resumeProducing
        left = most

        def stored(count: int) -> None:
            nonlocal left
            left -= count
            moved(count)
            if count:
                self._stored(count)
            if count == 0 or left == 0:
                self.stop()

        def cannot(data: bytes) -> None:
            self._unfit = True
            moved(len(data))
            self.stop()
            self.write(data)

        self._kernel = kernel.Receiving(transport, fd, stored, cannot, most)

    def _stored(self, count: int) -> None:
        """Note what the kernel has stored."""
        destination: Any = self._destination
        try:
            destination.stored(count)
        except Exception:
            self.stop()
            self.done.errback(Failure())
            return
        self.count += count
        if self._tell is not None:
            self._tell(self.count)

    def stop(self) -> None:
        """Have the kernel store nothing more; what comes is read again."""
        if self._kernel is not None:
            moving, self._kernel = self._kernel, None
            moving.stop()
            self._resume()

    def _room(self, ignored: None) -> None:
        """Go on: the destination has stored what it has taken."""
        self._waiting = None
        while self._queue and self._waiting is None:
            self.write(self._queue.popleft())
        if self._waiting is None:
            self._pause(False)
        self._checkEnd()

    def _refused(self, failure: Failure) -> None:
        """Take nothing more: the destination cannot store what it has taken."""
        self._waiting = None
        if not self.done.called:
            self.done.errback(failure)

    def _cancelled(self, done: Deferred[None]) -> None:
        self.stop()
        if self._waiting is not None:
            done.errback(CancelledError())
            self._waiting.cancel()

    def end(self) -> None:
        """Note that nothing more comes."""
        self._ended = True
        self._checkEnd()

    def _checkEnd(self) -> None:
        if self._ended and self._waiting is None and not self.done.called:
            self.done.callback(None)


@implementer(IHalfCloseableProtocol)
class _Receiving(Protocol):
    """
    Pass everything that comes to a destination.

    :ivar storing: does it.
    :ivar input: how far the input is.
    """

    def __init__(
        self, destination: Destination, tell: Callable[[int], object] | None
    ) -> None:
        """
        :param destination: is open, and gets everything.
        :param tell: called with the count after each piece.
        """
        self.storing = Storing(destination, tell, self._pause)
        self.input = Input.OPEN

    def _pause(self, pause: bool) -> None:
        channel: Any = self.transport
        if pause:
            channel.pauseProducing()
        else:
            channel.resumeProducing()

    def connectionMade(self) -> None:
        """Look at the beginning, before the kernel may store the rest."""
        self.dataReceived = self._begin  # type: ignore[method-assign]

    def _begin(self, data: bytes) -> None:
        """Store the first pieces, and have the kernel store the rest, if it can."""
        self.storing.write(data)
        if self.storing.count < _BEGINNING:
            return
        # From here on nothing stands between the channel and what stores.
        self.dataReceived = self.storing.write  # type: ignore[method-assign]
        channel: Any = self.transport
        self.storing.byKernel(channel, lambda count: None)

    def readConnectionLost(self) -> None:
        """Note that the partner has sent everything."""
        self.input = Input.ENDED
        self.storing.end()

    def writeConnectionLost(self) -> None:
        """Do nothing: this side writes nothing."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note that the connection is gone; the channel knows how it ended."""
        self.input = Input.LOST
        self.storing.stop()
        self.storing.end()


@deferring
async def receive(
    channel: TransferChannel,
    destination: Destination,
    progress: Progress | None = None,
    size: int | None = None,
) -> int:
    """
    Store what the partner sends: everything up to its orderly end, or a part.

    :param channel: carries bytes, without an encoding.  Without ``size`` it is
        read to its end and closed.  With one it stays open, and what comes
        behind can be read from it as if nothing had been.  It is aborted when
        anything fails, so that the partner knows.
    :param destination: finished when everything has come, aborted otherwise.
    :param progress: called after each block with the number of bytes so far,
        ``size``, and the rate in bytes per second.
    :param size: exactly so many bytes, and no end after them; None: everything
        up to the end.
    :returns: a Deferred with the number of bytes, when they are stored.  It
        fails with ``BadOption`` before anything is touched, with ``Truncated``
        if the connection ends, but not in order, with ``NotEnoughData`` if it
        ends in order before ``size`` bytes have come, and with
        ``DestinationError`` if the bytes cannot be stored.  It may be
        cancelled.
    """
    if size is not None:
        checkNumber("size", size)
    encoding = channel.settings.encoding
    if encoding is not None:
        raise BadOption(
            f"the channel carries text in {encoding}, and a destination takes bytes; "
            "set configure(translation='binary') before"
        )
    tell = None
    if progress is not None:
        tell = Meter(channel.clock, progress, size).tell
    try:
        destination.open()
        if size is None:
            receiving = channel.start(_Receiving(destination, tell))
            await receiving.storing.done
            if receiving.input is Input.LOST:
                await channel.whenClosed()
            count = receiving.storing.count
        else:
            count = await _storePart(channel, destination, tell, size)
        await destination.finish()
    except Exception:
        quietly(destination.abort, "abort() of a destination")
        channel.abortConnection()
        await gone(channel)
        raise
    if size is None:
        channel.loseConnection()
        # The partner has sent its last byte and it is stored, so the way in
        # which the connection goes now says nothing about the data.
        await gone(channel)
    return count


async def _storePart(
    channel: TransferChannel,
    destination: Destination,
    tell: Callable[[int], object] | None,
    size: int,
) -> int:
    """Store the next so many bytes."""
    count = 0
    while count < size:
        data = await channel.read(min(size - count, _AT_ONCE))
        if not data:
            raise NotEnoughData(size, b"", count)
        waiting = destination.write(data)
        count += len(data)
        if tell is not None:
            tell(count)
        if waiting is not None:
            await waiting
    return count


def gone(channel: TransferChannel) -> Deferred[None]:
    """
    Wait for the end of a connection in whichever way.

    Until then an aborted socket is still open, and a process that ended would
    close it in an orderly way.

    :param channel: is being closed or aborted.
    :returns: a Deferred with None.
    """
    return channel.whenClosed().addErrback(_ignoreTruncated)


def _ignoreTruncated(failure: Failure) -> None:
    if not isinstance(failure.value, Truncated):
        failure.raiseException()
