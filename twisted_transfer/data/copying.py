"""
Bytes from a source into a channel.

The other direction is :func:`twisted_transfer.data.receiving.receive`, which is found
here, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import (
    Separator,
    TransferChannel,
)
from twisted_transfer.data.progress import Meter, Progress, checkNumber
from twisted_transfer.data.sources import BytesSource, TextSource
from twisted_transfer.errors import BadOption, NotEnoughData, Truncated
from twisted_transfer.interfaces import ILimitedSource, ISource

if TYPE_CHECKING:
    from twisted_transfer.channel.inbox import Data
    from twisted_transfer.text.settings import TextSettings


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


MAX_BLOCK_SIZE = 16 * 1024 * 1024
"""The largest block that may be asked for."""

_Data = bytes | bytearray | memoryview


class Copying:
    """
    One copy that can be begun, once.

    It takes what :func:`copy` takes, and raises ``BadOption`` at once.

    :ivar source: where everything comes from.
    """

    def __init__(
        self,
        source: ISource | _Data | str,
        channel: TransferChannel,
        size: int | None = None,
        blockSize: int | None = None,
        progress: Progress | None = None,
        *,
        translation: Separator = None,
        encoding: str | None = None,
        eofChar: Separator = None,
    ) -> None:
        """
        :raises BadOption: if one of the options cannot be.
        """
        if size is not None:
            checkNumber("size", size)
        if blockSize is not None:
            checkNumber("blockSize", blockSize, 1, MAX_BLOCK_SIZE)
        self.source = _sourceOf(source)
        self._channel = channel
        self._size = size
        self._blockSize = blockSize
        self._progress = progress
        self._translation = translation
        self._encoding = encoding
        self._eofChar = eofChar
        self._feed: Feed | None = None
        self._cancelled = False
        self._settings()

    @property
    def count(self) -> int:
        """How many units the channel has got by now."""
        return 0 if self._feed is None else self._feed.count

    def _settings(self) -> TextSettings:
        """
        What the channel's text settings make of those of this copy.

        :raises BadOption: if they cannot be, or do not go with the source.
        """
        settings = self._channel.settings.replaced(
            translation=self._translation,
            encoding=self._encoding,
            eofChar=self._eofChar,
        )
        if isinstance(self.source, TextSource):
            if settings.encoding is None:
                raise BadOption(
                    "the source is text and the channel carries bytes; give copy() an "
                    "encoding=, or bytes"
                )
        elif settings.encoding is not None:
            raise BadOption(
                "the source is bytes and the channel carries text in "
                f"{settings.encoding}; give copy() translation='binary', or "
                "encoding='binary', or a str"
            )
        return settings

    def begin(self) -> Deferred[int]:
        """
        Copy.

        :returns: what :func:`copy` returns.
        """
        return Deferred.fromCoroutine(self._run())

    def cancel(self) -> None:
        """Cancel it, at any time: before it begins, or from within that."""
        self._cancelled = True
        if self._feed is not None:
            self._feed.cancel()

    async def _run(self) -> int:
        source, size = self.source, self._size
        settings = self._settings()
        if not self._cancelled:
            source.open()
        if self._cancelled:
            source.close()
            raise CancelledError
        if size is not None and source.size is not None and source.size < size:
            source.close()
            raise NotEnoughData(size, b"", source.size)
        if size == 0:
            source.close()
            return 0
        if ILimitedSource.providedBy(source):
            source.limit(size, self._blockSize)
        total = source.size if size is None else size
        meter = Meter(self._channel.clock, self._progress, total)
        feed = Feed(self._channel, size, self._blockSize, meter.tell)
        self._feed = feed
        with self._channel.writingBy(settings):
            await self._fed(feed)
        return feed.count

    async def _fed(self, feed: Feed) -> None:
        """Wait until everything is written, or the connection is gone."""
        feeding = feed.run(self.source)
        ends: list[BaseException | None] = []

        def ended(result: Failure | None) -> None:
            # Not every transport stops its producer when the connection ends.
            if isinstance(result, Failure):
                if isinstance(result.value, CancelledError):
                    return
                ends.append(result.value)
            else:
                ends.append(None)
            feeding.cancel()

        closed = self._channel.whenClosed().addBoth(ended)
        try:
            await feeding
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


def _sourceOf(source: ISource | _Data | str) -> ISource:
    if isinstance(source, str):
        return TextSource(source)
    if isinstance(source, _Data):
        return BytesSource(source)
    if not ISource.providedBy(source):
        raise BadOption(
            f"a source is an ISource, bytes or str, not {type(source).__name__}; for "
            "what can be iterated over there is IterableSource"
        )
    return source


def copy(
    source: ISource | bytes | bytearray | memoryview | str,
    channel: TransferChannel,
    size: int | None = None,
    blockSize: int | None = None,
    progress: Progress | None = None,
    *,
    translation: Separator = None,
    encoding: str | None = None,
    eofChar: Separator = None,
) -> Deferred[int]:
    """
    Write what a source has into a channel: everything, or a part.

    The channel stays open.  Nothing is read from it; an end of the connection
    that shows only to readers is heard only if somebody reads.  While it runs,
    nobody else may write.

    What is counted are the bytes of the source, before newlines are translated,
    or the characters, if the source is text.

    The text settings hold for what is written by this copy; after it, in
    whichever way it ends, the channel writes by its own ones again.  What is read
    is not affected.

    :param source: gives the bytes: an ``ISource``, or ``bytes``.  A ``str`` (or a
        :class:`~twisted_transfer.data.sources.TextSource`) is encoded by the text
        settings.
    :param channel: takes them.
    :param size: exactly so many; None: everything.
    :param blockSize: write at most so many at once, from 1 to
        ``MAX_BLOCK_SIZE``; None: as the source gives them.  Small blocks are
        slow.
    :param progress: called after each block with the number so far, the number
        of all of them or None if it is unknown, and the rate: how many a second
        over the last three seconds, a float.
        If it raises, that is logged, and it is not called again.
    :param translation: as for ``channel.configure()``; None: that of the channel.
    :param encoding: the same.
    :param eofChar: the same.  As in Tcl it is written where the output ends; so
        it is written only if the channel is closed while the copy runs.
    :returns: a Deferred with the number, when all of them were handed to the
        channel.  It fails with ``BadOption`` if an option cannot be, with
        ``SourceError`` if the bytes cannot be had, with ``UnicodeEncodeError``
        for a character that the encoding lacks, and with ``Truncated`` if the
        connection ends first.  It fails with ``NotEnoughData`` if there are fewer
        than ``size``: at once, and with nothing written, if the source knows its
        size, and otherwise at its end.  Cancelling it stops the source; the
        channel then has only a part.
    """
    try:
        copying = Copying(
            source,
            channel,
            size,
            blockSize,
            progress,
            translation=translation,
            encoding=encoding,
            eofChar=eofChar,
        )
    except BadOption:
        return fail()
    return copying.begin()
