"""
The unread input of a channel, and the reads that wait for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from twisted_transfer.errors import (
    AlreadyReading,
    LineTooLong,
    NotEnoughData,
    TransferError,
    Undecodable,
)
from twisted_transfer.text.codec import Decoder
from twisted_transfer.text.settings import TextSettings

Data = bytes | str

_MOST_QUIET = 4096  # the most bytes to keep that decode to nothing

# Smaller pieces are joined when they are decoded and not taken: each for itself, a
# byte would take hundreds of bytes.  To copy so few takes less time than to keep one
# more.
_SMALL = 4096


@dataclass(slots=True)
class _Segment:
    """Some decoded input, with what is needed to decode it by other settings."""

    before: Decoder  # the decoder as it was
    raw: bytes
    data: Data


class Unread:
    """
    Keeps the unread input of one channel, and decodes it on demand.

    :ivar size: how many raw bytes are kept.
    :ivar length: how many decoded units can be taken now.
    :ivar ended: whether no more bytes will come.
    :ivar error: input that could not be decoded; what stands before it can be
        taken.
    :ivar generation: how often the settings were changed.
    """

    def __init__(self, settings: TextSettings) -> None:
        """
        :param settings: how to decode.
        """
        self._settings = settings
        self._decoder = settings.newDecoder()
        self._raw: deque[bytes] = deque()
        self._segments: deque[_Segment] = deque()
        self._offset = 0  # how much of the first segment was taken
        # Nothing came out yet for some bytes: part of a character, a mark, an
        # escape sequence.
        self._quiet = b""
        self._before = self._decoder  # as it was before them
        self._finished = False  # the decoder was told of the end
        self.size = 0
        self.length = 0
        self.ended = False
        self.error: Undecodable | None = None
        self.generation = 0

    def add(self, raw: bytes) -> None:
        """
        Add received bytes.

        :param raw: the bytes.
        """
        if raw:  # empty chunks would be taken for the end
            self._raw.append(raw)
            self.size += len(raw)

    @property
    def satisfied(self) -> bool:
        """Whether the end of the data is known, so that no more bytes are needed."""
        return self.ended or self._decoder.ended

    @property
    def over(self) -> bool:
        """Whether everything that can be decoded is decoded."""
        return self._decoder.ended or self._finished or self.error is not None

    def decode(self) -> Data:
        """
        Decode until there is more to take.

        :returns: what there is more; empty if there is nothing.
        """
        while not self.over:
            raw = self._raw.popleft() if self._raw else b""
            last = self._segments[-1] if self._segments else None
            if last is not None and len(last.raw) >= _SMALL:
                last = None
            if last is None and not self._quiet:
                self._before = self._decoder.copy()
            try:
                data: Any = self._decoder.feed(raw)
                if not raw and self.ended:
                    data = self._decoder.finish()
            except Undecodable as error:
                self.error = error
                self._raw.appendleft(raw)
                break
            if not raw and self.ended:
                self._finished = True
            if last is not None:
                last.raw += raw
                last.data += data
            elif data:
                segment = _Segment(self._before, self._quiet + raw, data)
                self._segments.append(segment)
                self._quiet = b""
            else:
                self._quiet += raw
                if len(self._quiet) > _MOST_QUIET:
                    self.size -= len(self._quiet)
                    self._quiet = b""
            if data:
                self.length += len(data)
                return data  # type: ignore[no-any-return]
            if not raw:
                break
        return self.empty

    def take(self, count: int) -> Data:
        """
        Take decoded units.

        :param count: how many units, at most :attr:`length`.
        :returns: exactly so many of them.
        """
        parts: list[Data] = []
        while count > 0:
            segment = self._segments[0]
            part = segment.data[self._offset : self._offset + count]
            parts.append(part)
            count -= len(part)
            self.length -= len(part)
            self._offset += len(part)
            if self._offset == len(segment.data):
                self._segments.popleft()
                self._offset = 0
                self.size -= len(segment.raw)
        if len(parts) == 1:
            return parts[0]
        return self.empty.join(parts)  # type: ignore[arg-type]

    @property
    def firstLength(self) -> int:
        """How many units the first chunk has left."""
        return len(self._segments[0].data) - self._offset if self._segments else 0

    def pieces(self) -> Iterator[tuple[Data, int]]:
        """
        Look at the decoded units, without taking them.

        :returns: pieces with the units that can be taken, and where these begin
            in each.
        """
        start = self._offset
        for segment in self._segments:
            yield segment.data, start
            start = 0

    @property
    def empty(self) -> Data:
        """An empty value of the type of the data: ``bytes`` or ``str``."""
        return b"" if self._settings.encoding is None else ""

    def configure(self, settings: TextSettings) -> None:
        """
        Decode by other settings from here on.

        :param settings: how to decode.
        """
        later = [segment.raw for segment in self._segments]
        if self._offset:
            first = self._segments[0]
            decoder = first.before.advanced(first.raw, self._offset)
            del later[0]
        elif self._segments:
            decoder = self._segments[0].before
        else:
            decoder = self._before if self._quiet else self._decoder
        rest = b"".join([decoder.pending(), *later, self._quiet, *self._raw])
        self._settings = settings
        self._decoder = settings.newDecoder(decoder)
        self._finished = False
        self._segments.clear()
        self._quiet = b""
        self._offset = self.length = 0
        self._raw = deque([rest] if rest else [])
        self.size = len(rest)
        self.error = None
        self.generation += 1


FULL = 65536
"""The number of unread bytes from which on the transport is paused."""


@dataclass
class _Request:
    """A read that waits; ``attempt`` gives None while there is too little data."""

    attempt: Callable[[], Data | None]
    answer: Deferred[Data]


class Inbox:
    """
    Answers reads of unread input, one at a time.

    It does no input or output itself: it is fed chunks, and says when it is full.
    """

    def __init__(self, settings: TextSettings, onDemand: Callable[[], None]) -> None:
        """
        :param settings: how to decode.
        :param onDemand: called when there may be room for more, or a read waits.
        """
        self._unread = Unread(settings)
        self._onDemand = onDemand
        self._error: TransferError | None = None
        self._request: _Request | None = None

    # What comes.

    def feed(self, data: bytes) -> None:
        """
        Add received bytes, and answer the read that waits for them.

        :param data: the bytes.
        """
        self._unread.add(data)
        self._answer()

    def end(self, error: TransferError | None = None) -> None:
        """
        Note that no more input comes.

        :param error: why, after an end that was not orderly.  It is ignored if the
            input had ended in an orderly way before.
        """
        if not self._unread.ended:
            self._unread.ended = True
            self._error = error
        self._answer()

    @property
    def wanting(self) -> bool:
        """Whether more input is wanted: there is room, or a read waits."""
        if self._unread.satisfied:
            return False
        return self._request is not None or self._unread.size < FULL

    @property
    def stirring(self) -> bool:
        """Whether there is something to read: data or the end."""
        return self._unread.size > 0 or self._unread.ended or self._unread.over

    @property
    def busy(self) -> bool:
        """Whether a read waits."""
        return self._request is not None

    @property
    def atEnd(self) -> bool:
        """Whether everything was read and no more comes."""
        unread = self._unread
        return not unread.length and not unread.decode() and unread.over

    @property
    def error(self) -> TransferError | None:
        """Why the data do not end in an orderly way, or None."""
        return self._unread.error or self._error

    def configure(self, settings: TextSettings) -> None:
        """Decode everything that was not read yet by other settings."""
        self._unread.configure(settings)
        self._answer()

    # What is asked for.

    def takeChunk(self) -> Data | None:
        """
        :returns: the next data in the size in which it came, or None.
        """
        if not self._unread.length and not self._unread.decode():
            return None
        return self._unread.take(self._unread.firstLength)

    def read(self, count: int) -> Deferred[Data]:
        """At most ``count`` units, at least one; empty at the end."""
        unread = self._unread

        def attempt() -> Data | None:
            if not unread.length:
                unread.decode()
            if unread.length:
                return unread.take(min(count, unread.firstLength))
            return self._emptyAtEnd()

        return self._ask(attempt)

    def readExactly(self, count: int) -> Deferred[Data]:
        """Exactly ``count`` units."""
        unread = self._unread

        def attempt() -> Data | None:
            while unread.length < count and unread.decode():
                pass
            if unread.length >= count:
                return unread.take(count)
            if self._emptyAtEnd() is None:
                return None
            partial: Any = unread.take(unread.length)
            raise NotEnoughData(count, partial)

        return self._ask(attempt)

    def readLine(self, limit: int) -> Deferred[Data]:
        """Up to and with the next newline; what is left at the end."""
        unread = self._unread
        passed = 0  # units in which there is no newline
        generation: int | None = None  # of these units

        def attempt() -> Data | None:
            nonlocal passed, generation
            pieces: Iterable[tuple[Data, int]] = ()
            if generation != unread.generation:
                pieces, passed, generation = unread.pieces(), 0, unread.generation
            while True:
                for piece, start in pieces:
                    newline: Any = "\n" if isinstance(piece, str) else b"\n"
                    found = piece.find(newline, start, start + limit - passed)
                    if found >= 0:
                        return unread.take(passed + found + 1 - start)
                    passed += len(piece) - start
                    if passed >= limit:
                        raise LineTooLong(
                            f"there is no newline in the next {limit} units; give "
                            "readLine() a larger limit, or read in another way"
                        )
                more = unread.decode()
                if not more:
                    break
                pieces = ((more, 0),)
            if self._emptyAtEnd() is None:
                return None
            return unread.take(unread.length)

        return self._ask(attempt)

    def _emptyAtEnd(self) -> Data | None:
        """Give an empty value at the end of the data, and None before it."""
        if not self._unread.over:
            return None
        if self.error is not None:
            raise self.error
        return self._unread.empty

    def _ask(self, attempt: Callable[[], Data | None]) -> Deferred[Data]:
        """Answer a read now or later; a cancelled read takes nothing."""
        if self._request is not None:
            raise AlreadyReading(
                "another read is waiting on this channel; wait for it, or cancel it"
            )

        def withdraw(answer: Deferred[Data]) -> None:
            self._request = None

        request = _Request(attempt, Deferred(withdraw))
        self._request = request
        self._answer()
        self._onDemand()
        return request.answer

    def _answer(self) -> None:
        """Answer the waiting read if there is enough data."""
        request = self._request
        if request is not None:
            try:
                result = request.attempt()
            except TransferError as error:
                self._request = None
                request.answer.errback(error)
            else:
                if result is not None:
                    self._request = None
                    request.answer.callback(result)
