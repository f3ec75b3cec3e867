"""
Move no more than so many bytes a second.

What is limited does not go by the kernel, which would not ask: :class:`PacedSource`
and :class:`PacedDestination` have no descriptor to offer.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IProducer,
    IPushProducer,
)
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.data.sources import Flow
from twisted_transfer.deferreds import deferring
from twisted_transfer.errors import Truncated
from twisted_transfer.interfaces import Destination, IDestination, ISource, Source

_STEP = 0.05
"""Seconds that are not waited for: a shorter wait is added to the next one, and so much
is made up for after a timer that was late."""


class Pace:
    """
    Says how long to wait, so that a rate holds; one is for all files of a transfer.

    :ivar clock: measures the time.
    :ivar piece: how many bytes are sent at once, at most: those of a tenth of a second.
    """

    def __init__(self, clock: Any, rate: int) -> None:
        """
        :param clock: measures the time.
        :param rate: how many bytes may move in a second, 1 or more.
        """
        self.clock = clock
        self.piece = max(rate // 10, 1)
        self._rate = rate
        self._due = clock.seconds()

    def source(self, source: Source) -> PacedSource:
        """:returns: what sends another source at this pace."""
        return PacedSource(source, self)

    def destination(self, destination: Destination) -> PacedDestination:
        """:returns: what stores in another destination at this pace."""
        return PacedDestination(destination, self)

    def moved(self, count: int) -> None:
        """
        :param count: how many bytes have moved.
        """
        self._due = max(self._due, self.clock.seconds() - _STEP) + count / self._rate

    def left(self) -> float:
        """:returns: the seconds to wait before the next bytes; 0 for none."""
        left: float = self._due - self.clock.seconds()
        return left if left > _STEP else 0.0


@implementer(IConsumer, IPushProducer)
class _Passing:
    """
    Passes what a source writes on to a consumer, piece by piece.

    It holds one block of the source at a time.

    :ivar done: fires when everything was passed on, or fails as the source does.
        Cancelling it stops the source.
    """

    def __init__(self, source: Source, consumer: Any, pace: Pace) -> None:
        """
        :param source: writes everything.
        :param consumer: gets it.
        :param pace: says when.
        """
        self._consumer = consumer
        self._pace = pace
        self._flow = Flow.FLOWING
        self._producer: Any = None  # while the source may write
        self._streaming = False
        self._held = b""
        self._given = False  # by the source, all that it has
        self._inLoop = False
        self._timer: IDelayedCall | None = None
        self.done: Deferred[None] = Deferred(lambda done: self._cancel())
        self._producing = source.startProducing(self)
        self._producing.addCallbacks(self._all, self._end)

    # What the source calls.

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        self._producer = producer
        self._streaming = streaming
        self._consumer.registerProducer(self, True)
        if not streaming:
            self._pass()

    def unregisterProducer(self) -> None:
        self._producer = None

    def write(self, data: bytes) -> None:
        self._held += data
        if self._streaming:
            self._producer.pauseProducing()
        self._pass()

    def _all(self, ignored: None) -> None:
        self._given = True
        self._pass()

    # What the consumer calls.

    def pauseProducing(self) -> None:
        if self._flow is Flow.FLOWING:
            self._flow = Flow.PAUSED

    def resumeProducing(self) -> None:
        if self._flow is Flow.PAUSED:
            self._flow = Flow.FLOWING
            self._pass()

    def stopProducing(self) -> None:
        if self._producer is not None:
            self._producer.stopProducing()
        else:
            self._end(
                Failure(
                    Truncated(
                        "the connection ended before everything was sent; transfer "
                        "again"
                    )
                )
            )

    def _pass(self) -> None:
        """Pass on what is held, and have more written, as the pace allows."""
        if self._inLoop:
            return
        self._inLoop = True
        while self._flow is Flow.FLOWING and self._timer is None:
            if self._held:
                self._passOne()
            elif self._given:
                self._end(None)
            elif self._producer is not None:
                self._producer.resumeProducing()
                if not (self._held or self._given):
                    break
            else:
                break
        self._inLoop = False

    def _passOne(self) -> None:
        left = self._pace.left()
        if left:
            self._timer = self._pace.clock.callLater(left, self._goOn)
            return
        size = self._pace.piece
        piece, self._held = self._held[:size], self._held[size:]
        self._pace.moved(len(piece))
        self._consumer.write(piece)

    def _goOn(self) -> None:
        self._timer = None
        self._pass()

    def _cancel(self) -> None:
        if self._given:
            self._end(Failure(CancelledError()))
        else:
            self._producing.cancel()

    def _end(self, failure: Failure | None) -> None:
        if self._flow is Flow.OVER:
            return
        self._flow = Flow.OVER
        if self._timer is not None:
            self._timer.cancel()
        self._consumer.unregisterProducer()
        if failure is None:
            self.done.callback(None)
        else:
            self.done.errback(failure)


@implementer(ISource)
class PacedSource:
    """Send another source at a pace."""

    def __init__(self, source: Source, pace: Pace) -> None:
        """
        :param source: gives the bytes.
        :param pace: says when.
        """
        self._source = source
        self._pace = pace
        self.open = source.open
        self.close = source.close

    @property
    def size(self) -> int | None:
        """How many bytes there are, or None."""
        return self._source.size

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Write everything to the consumer.

        :param consumer: gets it.
        :returns: see :class:`~twisted_transfer.interfaces.ISource`.
        """
        return _Passing(self._source, consumer, self._pace).done


@implementer(IDestination)
class PacedDestination:
    """Store in another destination, and take the next bytes when the pace allows."""

    def __init__(self, destination: Destination, pace: Pace) -> None:
        """
        :param destination: stores the bytes.
        :param pace: says when the next may come.
        """
        self._destination = destination
        self._pace = pace
        self.open = destination.open
        self.finish = destination.finish
        self.abort = destination.abort

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Store some bytes.

        :param data: the next bytes.
        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        self._pace.moved(len(data))
        waiting = self._destination.write(data)
        if waiting is None and not self._pace.left():
            return None
        return self._wait(waiting)

    @deferring
    async def _wait(self, waiting: Deferred[None] | None) -> None:
        if waiting is not None:
            await waiting
        left = self._pace.left()
        if left:
            await deferLater(self._pace.clock, left)
