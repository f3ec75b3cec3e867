"""
Bytes from a source into a channel.

The other direction is :func:`twisted_transfer.receiving.receive`, which is found
here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure

from twisted_transfer.bytessource import BytesSource, TextSource
from twisted_transfer.channel import Separator, TransferChannel
from twisted_transfer.counts import checkNumber
from twisted_transfer.errors import BadOption, NotEnoughData, Truncated
from twisted_transfer.feeding import Feed
from twisted_transfer.inside import clockOf, settingsOf, writingBy
from twisted_transfer.interfaces import ILimitedSource, ISource
from twisted_transfer.measuring import Meter, Progress
from twisted_transfer.receiving import gone, receive

if TYPE_CHECKING:
    from twisted_transfer.text import TextSettings

__all__ = ["MAX_BLOCK_SIZE", "Copying", "Progress", "copy", "gone", "receive"]

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
        settings = settingsOf(self._channel).replaced(
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
        meter = Meter(clockOf(self._channel), self._progress, total)
        feed = Feed(self._channel, size, self._blockSize, meter.tell)
        self._feed = feed
        with writingBy(self._channel, settings):
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
        :class:`~twisted_transfer.sources.TextSource`) is encoded by the text
        settings.
    :param channel: takes them.
    :param size: exactly so many; None: everything.
    :param blockSize: write at most so many at once, from 1 to
        :data:`MAX_BLOCK_SIZE`; None: as the source gives them.  Small blocks are
        slow.
    :param progress: called after each block with the number so far, the number
        of all of them or None if it is unknown, and the rate: how many a second
        over the last :data:`~twisted_transfer.measuring.WINDOW` seconds, a float.
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
