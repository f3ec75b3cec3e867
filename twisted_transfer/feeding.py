"""
What stands between a source and a channel while one is copied into the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel import TransferChannel
from twisted_transfer.errors import NotEnoughData, Truncated
from twisted_transfer.interfaces import ISource

if TYPE_CHECKING:
    from twisted_transfer.unread import Data


@implementer(IConsumer, IPushProducer)
class Feed:
    """
    Lets exactly so much pass, in blocks, no faster than the channel takes it.

    It is the consumer of the source and the producer of the channel.  What a
    source has given and the channel has not taken yet, it keeps: at most one
    piece of the source, if that waits as it is told.

    :ivar count: how many units the channel has got.
    """

    def __init__(
        self,
        channel: TransferChannel,
        size: int | None,
        blockSize: int | None,
        tell: Callable[[int], object],
    ) -> None:
        """
        :param channel: gets everything.
        :param size: so many units and no more, or None for all of them.
        :param blockSize: at most so many at once, or None for what comes.
        :param tell: called with the count after each block.
        """
        self.count = 0
        self._channel = channel
        self._size = size
        self._blockSize = blockSize
        self._tell = tell
        self._done: Deferred[None] = Deferred(self._cancelled)
        self._error: Exception | None = None
        # The source.
        self._producing: Deferred[None] | None = None
        self._producer: Any = None
        self._streaming = True
        self._sourcePaused = False
        self._sourceOver = False
        self._accepted = 0  # of what it gave
        self._closed = False  # nothing more is accepted
        # The channel.
        self._registered = False
        self._paused = False
        self._gone = False
        # What is accepted and not written yet.
        self._rest: Data = b""
        self._offset = 0
        self._passing = False

    def run(self, source: ISource) -> Deferred[None]:
        """
        Begin.

        :param source: gives everything.
        :returns: a Deferred with None when the channel has got everything.  It
            fails with ``NotEnoughData`` if there is less than was asked for, and
            as ``ISource.startProducing`` does.  Cancelling it stops the source.
        """
        producing: Deferred[None] = source.startProducing(self)
        self._producing = producing
        producing.addCallbacks(self._sourceEnded, self._sourceFailed)
        if self._closed:
            producing.cancel()
        return self._done

    def cancel(self) -> None:
        """Cancel what :meth:`run` returns, also before it has returned."""
        self._done.cancel()

    # From the source.

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """The source begins."""
        self._producer = producer
        self._streaming = streaming
        self._registered = True
        self._channel.registerProducer(self, streaming)

    def unregisterProducer(self) -> None:
        """The source has given everything."""
        self._producer = None
        self._settle()

    def write(self, data: Data) -> None:
        """
        :param data: the source's next piece.
        """
        if self._closed or not data:
            return
        if self._size is not None:
            data = data[: self._size - self._accepted]
        self._accepted += len(data)
        if self._rest:
            # The source does not wait.
            self._rest = self._rest[self._offset :] + data  # type: ignore[operator]
        else:
            self._rest = data
        self._offset = 0
        if self._accepted == self._size:
            self._stopSource()
        self._pass()

    def _stopSource(self) -> None:
        """Accept nothing more."""
        self._closed = True
        if self._producing is not None:
            self._producing.cancel()
        elif self._producer is not None and self._streaming:
            # It is in the middle of beginning; run() does the rest.
            self._producer.pauseProducing()

    def _sourceEnded(self, ignored: None) -> None:
        self._sourceOver = True
        self._settle()

    def _sourceFailed(self, failure: Failure) -> None:
        self._sourceOver = True
        if self._accepted != self._size and self._error is None:
            self._fail(failure)
        else:
            # It was stopped, because it had given enough or nobody wants more.
            self._settle()

    # To the channel.

    def _pass(self) -> None:
        """Write as much as the channel takes now."""
        if self._passing:
            return
        self._passing = True
        try:
            while self._rest and not self._paused:
                block = self._nextBlock()
                self._channel.write(block)
                if self._gone:  # and so it has not taken this
                    break
                self.count += len(block)
                self._tell(self.count)
                if not self._streaming:
                    break
        except Exception as error:
            self._giveUp(error)
        finally:
            self._passing = False
        if self._sourcePaused and not (self._paused or self._rest or self._closed):
            self._sourcePaused = False
            if self._producer is not None:
                self._producer.resumeProducing()
        self._settle()

    def _nextBlock(self) -> Data:
        if self._blockSize is None:
            block = self._rest[self._offset :]
        else:
            block = self._rest[self._offset : self._offset + self._blockSize]
        self._offset += len(block)
        if self._offset == len(self._rest):
            self._rest = b""
            self._offset = 0
        return block

    def pauseProducing(self) -> None:
        """The channel is full."""
        self._paused = True
        if self._producer is not None and not self._sourcePaused:
            self._sourcePaused = True
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The channel has room."""
        self._paused = False
        if self._rest or self._streaming:
            self._pass()
        elif self._producer is not None and not self._closed:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The channel wants no more: the connection has ended."""
        self._gone = True
        self._rest = b""
        producer = self._producer
        if producer is not None:
            producer.stopProducing()
        else:
            self._fail(
                Truncated(
                    "the connection ended before everything was sent; transfer again"
                )
            )

    # The end.

    def _settle(self) -> None:
        """See whether this is over."""
        if self._rest or self._passing:
            return
        if self._producer is None:
            self._leave()
        if self._sourceOver and not self._done.called:
            if self._error is not None:
                self._done.errback(self._error)
            elif self._size is not None and self._accepted < self._size:
                self._done.errback(NotEnoughData(self._size, b"", self._accepted))
            else:
                self._done.callback(None)

    def _leave(self) -> None:
        if self._registered:
            self._registered = False
            self._channel.unregisterProducer()

    def _fail(self, error: Exception | Failure) -> None:
        self._closed = True
        self._rest = b""
        self._leave()
        if not self._done.called:
            self._done.errback(error)

    def _cancelled(self, done: Deferred[None]) -> None:
        self._giveUp(CancelledError())

    def _giveUp(self, error: Exception) -> None:
        """Write nothing more, and stop the source."""
        self._error = error
        self._rest = b""
        self._stopSource()
        self._leave()
