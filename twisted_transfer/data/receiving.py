"""
Bytes from a channel into a destination.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.progress import Meter, Progress, checkNumber
from twisted_transfer.errors import (
    BadOption,
    DestinationError,
    NotEnoughData,
    Truncated,
)
from twisted_transfer.interfaces import IDestination

_AT_ONCE = 65536  # bytes to ask the channel for


@implementer(IHalfCloseableProtocol)
class _Receiving(Protocol):
    """
    Passes everything that comes to a destination, no faster than it takes it.

    :ivar count: how many bytes have come.
    :ivar done: fires when the input has ended, in whichever way, and the
        destination has taken all of it; fails if it does not take it.
    :ivar lost: whether the connection is gone.
    """

    def __init__(self, destination: IDestination, meter: Meter) -> None:
        self.count = 0
        self.done: Deferred[None] = Deferred()
        self.lost = False
        self._destination = destination
        self._meter = meter
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
            self._meter.tell(self.count)
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
    size: int | None = None,
) -> Deferred[int]:
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
    return Deferred.fromCoroutine(_receive(channel, destination, progress, size))


async def _receive(
    channel: TransferChannel,
    destination: IDestination,
    progress: Progress | None,
    size: int | None,
) -> int:
    if size is not None:
        checkNumber("size", size)
    encoding = channel.settings.encoding
    if encoding is not None:
        raise BadOption(
            f"the channel carries text in {encoding}, and a destination takes bytes; "
            "set configure(translation='binary') before"
        )
    meter = Meter(channel.clock, progress, size)
    try:
        destination.open()
        if size is None:
            count = await _storeAll(channel, destination, meter)
        else:
            count = await _storePart(channel, destination, meter, size)
        await destination.finish()
    except Exception:
        destination.abort()
        channel.abortConnection()
        await gone(channel)
        raise
    if size is None:
        channel.loseConnection()
        # The partner has sent its last byte and it is stored, so the way in
        # which the connection goes now says nothing about the data.
        await gone(channel)
    return count


async def _storeAll(
    channel: TransferChannel, destination: IDestination, meter: Meter
) -> int:
    """Store everything up to an orderly end."""
    receiving = _Receiving(destination, meter)
    try:
        channel.start(receiving)
        await receiving.done
        if receiving.lost:
            await channel.whenClosed()
    except Exception:
        receiving.stop()
        raise
    return receiving.count


async def _storePart(
    channel: TransferChannel, destination: IDestination, meter: Meter, size: int
) -> int:
    """Store the next so many bytes."""
    count = 0
    while count < size:
        data = await channel.read(min(size - count, _AT_ONCE))
        if not data:
            raise NotEnoughData(size, b"", count)
        waiting = destination.write(data)
        count += len(data)
        meter.tell(count)
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
