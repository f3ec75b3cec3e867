"""
Copy from a source into a channel.

The other direction is :func:`twisted_transfer.data.receiving.receive`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import Separator, TransferChannel
from twisted_transfer.data.progress import Meter, Progress, checkNumber, quietly
from twisted_transfer.data.sources import BytesSource, TextSource
from twisted_transfer.deferreds import deferring
from twisted_transfer.errors import BadOption, NotEnoughData, Truncated
from twisted_transfer.interfaces import ILimitedSource, ISource, LimitedSource, Source

if TYPE_CHECKING:
    from twisted_transfer.channel.inbox import Data
    from twisted_transfer.text.settings import TextSettings


@implementer(IConsumer)
@dataclass(eq=False)
class Feed:
    """
    Hand what a source writes to a channel, and count it.

    The source's producer is registered with the channel itself, so the channel
    pauses and resumes the source with nothing in between.

    :ivar channel: gets everything.
    :ivar tell: called with the count after each block.
    :ivar size: take so many units and no more, or None for all of them.
    :ivar blockSize: write at most so many at once, or None for what comes.
    :ivar count: how many units the channel has got.
    """

    channel: TransferChannel
    tell: Callable[[int], object] | None
    size: int | None = None
    blockSize: int | None = None

    def __post_init__(self) -> None:
        self.count = 0
        self._producer: Any = None
        self._producing: Deferred[None] | None = None
        # Why nothing more is taken: an error, or None where it is enough.
        self._error: Exception | None = None
        self._closed = False
        if self.size is not None or self.blockSize is not None:
            self.write = self._cut  # type: ignore[method-assign]

    def run(self, source: Source) -> Deferred[None]:
        """
        Begin.

        :param source: gives everything.
        :returns: a Deferred with None when the source has given everything, or
            enough.  It fails as ``ISource.startProducing`` does, with what
            :meth:`close` was given, and with whatever the channel raises.
            Cancelling it stops the source.
        """
        try:
            producing = source.startProducing(self)
        except BaseException:
            self.unregisterProducer()
            raise
        self._producing = producing
        producing.addBoth(self._ended)
        if self._closed:
            producing.cancel()
        return producing

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Let the channel drive the source."""
        self._producer = producer
        self.channel.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Take the source off the channel, if it is registered there."""
        if self._producer is not None:
            self._producer = None
            self.channel.unregisterProducer()

    def write(self, data: Data) -> None:
        """
        :param data: the source's next block.
        """
        if self._closed:
            return
        producer = self._producer
        try:
            self.channel.write(data)
        except Exception as error:
            self.close(error)
            return
        if producer is not None and self._producer is None:
            return  # the channel is gone, and has not taken it
        self.count += len(data)
        if self.tell is not None:
            self.tell(self.count)

    @property
    def bareOutput(self) -> Any:
        """See :attr:`TransferChannel.bareOutput`."""
        return self.channel.bareOutput

    def sent(self, count: int) -> None:
        """
        :param count: how many bytes have gone to the socket without :meth:`write`.
        """
        self.count += count
        if self.tell is not None:
            self.tell(self.count)

    def _cut(self, data: Data) -> None:
        """Write the source's next piece, up to the size, in blocks."""
        if self.size is not None:
            data = data[: self.size - self.count]
        step = self.blockSize or len(data) or 1
        for start in range(0, len(data), step):
            Feed.write(self, data[start : start + step])
        if self.count == self.size and not self._closed:
            self.close(None)

    def close(self, error: Exception | None) -> None:
        """
        Take nothing more, and stop the source; also before :meth:`run` has returned.

        :param error: what :meth:`run` fails with, or None where it is enough.
        """
        if self._closed:
            return
        self._closed = True
        self._error = error
        if self._producing is not None:
            self._producing.cancel()
        elif hasattr(self._producer, "pauseProducing"):
            # It is in the middle of beginning; run() does the rest.
            self._producer.pauseProducing()

    def _ended(self, result: Failure | None) -> Failure | None:
        self.unregisterProducer()
        if not self._closed:
            self._closed = True
            return result
        return None if self._error is None else Failure(self._error)


MAX_BLOCK_SIZE = 16 * 1024 * 1024
"""The largest block that may be asked for."""

_Data = bytes | bytearray | memoryview


@dataclass(eq=False)
class Copying:
    """
    One copy that can be begun, once; see :func:`copy` for its fields.

    :raises BadOption: when it is made, if one of them is invalid.
    """

    source: Source | _Data | str
    channel: TransferChannel
    size: int | None = None
    blockSize: int | None = None
    progress: Progress | None = None
    translation: Separator = None
    encoding: str | None = None
    eofChar: Separator = None

    def __post_init__(self) -> None:
        if self.size is not None:
            checkNumber("size", self.size)
        if self.blockSize is not None:
            checkNumber("blockSize", self.blockSize, 1, MAX_BLOCK_SIZE)
        self._source = _sourceOf(self.source)
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

        :raises BadOption: if one is invalid, or they do not go with the source.
        """
        settings = self.channel.settings.replaced(
            translation=self.translation, encoding=self.encoding, eofChar=self.eofChar
        )
        if isinstance(self._source, TextSource):
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

    def cancel(self) -> None:
        """Cancel the copy, also before it begins."""
        self._cancelled = True
        if self._feed is not None:
            self._feed.close(CancelledError())

    def close(self) -> None:
        """Close the source; an error in that is logged."""
        quietly(self._source.close, "close() of a source")

    @deferring
    async def begin(self) -> int:
        """
        Copy.

        :returns: what :func:`copy` returns.
        """
        try:
            return await self._copied()
        except Exception:
            self.close()
            raise

    async def _copied(self) -> int:
        source, size, blockSize = self._source, self.size, self.blockSize
        settings = self._settings()
        if not self._cancelled:
            source.open()
        if self._cancelled:
            raise CancelledError
        total = source.size
        if size is not None:
            if total is not None and total < size:
                raise NotEnoughData(size, b"", total)
            if size == 0:
                self.close()
                return 0
            total = size
        tell = None
        if self.progress is not None:
            tell = Meter(self.channel.clock, self.progress, total).tell
        feed = Feed(self.channel, tell, size, blockSize)
        if ILimitedSource.providedBy(source):
            limited: LimitedSource = source
            limited.limit(size, blockSize)
            feed = Feed(self.channel, tell)
        self._feed = feed
        with self.channel.writingBy(settings), self.channel.fed():
            await self._fed(feed)
        if size is not None and feed.count < size:
            raise NotEnoughData(size, b"", feed.count)
        return feed.count

    async def _fed(self, feed: Feed) -> None:
        """Wait until everything is written, or the connection is gone."""
        feeding = feed.run(self._source)

        def inOrder(ignored: None) -> None:
            raise Truncated(
                "the partner ended the connection before everything was sent; "
                "transfer again"
            )

        def ended(failure: Failure) -> None:
            error: Any = failure.value
            feed.close(error)

        # Not every transport stops its producer when the connection ends.
        closed = self.channel.whenClosed().addCallback(inOrder).addErrback(ended)
        try:
            await feeding
        finally:
            closed.cancel()


def _sourceOf(source: Source | _Data | str) -> Source:
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


@deferring
async def copy(
    source: Source | bytes | bytearray | memoryview | str,
    channel: TransferChannel,
    size: int | None = None,
    blockSize: int | None = None,
    progress: Progress | None = None,
    *,
    translation: Separator = None,
    encoding: str | None = None,
    eofChar: Separator = None,
) -> int:
    """
    Write what a source has into a channel: everything, or a part.

    The channel stays open.  Nothing is read from it; an end of the connection
    that only a read shows is noticed only if the channel is read.  Write nothing
    else to the channel while it runs.

    It counts the bytes of the source, before newlines are translated, or the
    characters, if the source is text.

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
    :param encoding: as for ``channel.configure()``; None: that of the channel.
    :param eofChar: as for ``channel.configure()``; None: that of the channel.  As
        in Tcl it is written where the output ends; so it is written only if the
        channel is closed while the copy runs.
    :returns: a Deferred with the number, when all of them were handed to the
        channel.  It fails with ``BadOption`` if an option is invalid, with
        ``SourceError`` if the bytes cannot be read, with ``UnicodeEncodeError``
        for a character that the encoding lacks, and with ``Truncated`` if the
        connection ends first.  It fails with ``NotEnoughData`` if there are fewer
        than ``size``: at once, and with nothing written, if the source knows its
        size, and otherwise at its end.  Cancelling it stops the source; the
        channel then has only a part.
    """
    copying = Copying(
        source, channel, size, blockSize, progress, translation, encoding, eofChar
    )
    return await copying.begin()
