"""
Bytes from a source into a channel, and from a channel into a destination.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IProducer,
    IPushProducer,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel import TransferChannel
from twisted_transfer.errors import DestinationError, Truncated
from twisted_transfer.interfaces import IDestination, ISource

Progress = Callable[[int, "int | None"], object]
"""Called with the number of bytes so far and the number of all of them, or
None where that is unknown."""


@implementer(IConsumer)
class _Counter:
    """Counts on the way into a channel."""

    def __init__(
        self, channel: TransferChannel, total: int | None, progress: Progress | None
    ) -> None:
        self.count = 0
        self._channel = channel
        self._total = total
        self._progress = progress

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        self._channel.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._channel.unregisterProducer()

    def write(self, data: bytes) -> None:
        self.count += len(data)
        self._channel.write(data)
        if self._progress is not None:
            self._progress(self.count, self._total)


def copy(
    source: ISource, channel: TransferChannel, progress: Progress | None = None
) -> Deferred[int]:
    """
    Write everything that a source has into a channel.

    The channel stays open.  Nothing is read from it; an end of the connection
    that shows only to readers is heard only if somebody reads.

    :param source: gives the bytes.
    :param channel: takes them, without an encoding.
    :param progress: called after each block.
    :returns: a Deferred with the number of bytes, when all of them were handed
        to the channel.  It fails with ``SourceError`` if they cannot be had
        and with ``Truncated`` if the connection ends first.  Cancelling it
        stops the source; the channel then has only a part.
    """
    return Deferred.fromCoroutine(_copy(source, channel, progress))


async def _copy(
    source: ISource, channel: TransferChannel, progress: Progress | None
) -> int:
    source.open()
    counter = _Counter(channel, source.size, progress)
    producing: Deferred[None] = source.startProducing(counter)
    ends: list[BaseException | None] = []

    def ended(result: Failure | None) -> None:
        # Not every transport stops its producer when the connection ends.
        if isinstance(result, Failure):
            if isinstance(result.value, CancelledError):
                return
            ends.append(result.value)
        else:
            ends.append(None)
        producing.cancel()

    closed = channel.whenClosed().addBoth(ended)
    try:
        await producing
    except CancelledError:
        if not ends:
            raise
        raise (
            ends[0]
            or Truncated(
                "the partner ended the connection before everything was sent; "
                "transfer again"
            )
        ) from None
    finally:
        closed.cancel()
    return counter.count


@implementer(IHalfCloseableProtocol)
class _Receiving(Protocol):
    """
    Passes everything that comes to a destination, no faster than it takes it.

    :ivar count: how many bytes have come.
    :ivar done: fires when the input has ended, in whichever way, and the
        destination has taken all of it; fails if it does not take it.
    :ivar lost: whether the connection is gone.
    """

    def __init__(self, destination: IDestination, progress: Progress | None) -> None:
        self.count = 0
        self.done: Deferred[None] = Deferred()
        self.lost = False
        self._destination = destination
        self._progress = progress
        self._queue: deque[bytes] = deque()
        self._waiting: Deferred[None] | None = None
        self._ended = False
        self._stopped = False

    def dataReceived(self, data: bytes) -> None:
        # A transport may still have some to deliver after it was paused.
        if not self._stopped:
            self._queue.append(data)
            self._store()

    def _store(self) -> None:
        while self._queue and self._waiting is None and not self._stopped:
            data = self._queue.popleft()
            try:
                waiting = self._destination.write(data)
            except DestinationError as error:
                self._fail(error)
                return
            self.count += len(data)
            if self._progress is not None:
                self._progress(self.count, None)
            if waiting is not None:
                self._waiting = waiting
                self._pause(True)
                waiting.addCallbacks(self._room, self._fail)
        if self._ended and not self._queue and self._waiting is None:
            self._finish()

    def _pause(self, pause: bool) -> None:
        transport = self.transport
        if IPushProducer.providedBy(transport) and not self.lost:
            if pause:
                transport.pauseProducing()
            else:
                transport.resumeProducing()

    def _room(self, ignored: object) -> None:
        self._waiting = None
        self._store()
        if self._waiting is None and not self._stopped:
            self._pause(False)

    def _fail(self, error: Exception | Failure) -> None:
        if not self._stopped:
            self.stop()
            self.done.errback(error)

    def _finish(self) -> None:
        if not self._stopped:
            self.stop()
            self.done.callback(None)

    def stop(self) -> None:
        """Take nothing more."""
        self._stopped = True
        self._queue.clear()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()

    def readConnectionLost(self) -> None:
        """The partner has sent everything."""
        self._ended = True
        self._store()

    def writeConnectionLost(self) -> None:
        """Not asked for."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; the channel knows how it went."""
        self.lost = self._ended = True
        self._store()


def receive(
    channel: TransferChannel,
    destination: IDestination,
    progress: Progress | None = None,
) -> Deferred[int]:
    """
    Store everything that the partner sends up to its orderly end, then close.

    :param channel: read to its end and closed, without an encoding; aborted
        when anything fails, so that the partner knows.
    :param destination: finished after an orderly end, aborted otherwise.
    :param progress: called after each block.
    :returns: a Deferred with the number of bytes, when they are stored.  It
        fails with ``Truncated`` if the connection ends in any other way, and
        with ``DestinationError`` if the bytes cannot be stored.  It may be
        cancelled.
    """
    return Deferred.fromCoroutine(_receive(channel, destination, progress))


async def _receive(
    channel: TransferChannel, destination: IDestination, progress: Progress | None
) -> int:
    receiving = _Receiving(destination, progress)
    try:
        destination.open()
        channel.start(receiving)
        await receiving.done
        if receiving.lost:
            await channel.whenClosed()
        await destination.finish()
    except Exception:
        receiving.stop()
        destination.abort()
        channel.abortConnection()
        await gone(channel)
        raise
    channel.loseConnection()
    # The partner has sent its last byte and it is stored, so the way in which
    # the connection goes now says nothing about the data.
    await gone(channel)
    return receiving.count


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
