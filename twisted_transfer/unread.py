"""
Bytes that have come and that nobody has taken yet.

They are decoded by the channel's text settings only when somebody asks for
them, and keep what is needed to decode them otherwise: when the settings
change, everything that was not read yet is decoded anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from twisted_transfer.errors import Undecodable
from twisted_transfer.text import Decoder, TextSettings

Data = bytes | str

_MOST_QUIET = 4096  # bytes that decode to nothing are kept, up to here


@dataclass
class _Segment:
    """One decoded chunk, with what is needed to decode it otherwise."""

    before: Decoder  # the decoder as it was
    raw: bytes
    data: Data


class Unread:
    """
    The unread input of one channel.

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
        """Some bytes have come."""
        if raw:  # no bytes stand for none to be had
            self._raw.append(raw)
            self.size += len(raw)

    @property
    def satisfied(self) -> bool:
        """Whether more bytes would be of no use: the end of the data is here."""
        return self.ended or self._decoder.ended

    @property
    def over(self) -> bool:
        """Whether nothing can be decoded beyond what can be taken now."""
        return self._decoder.ended or self._finished or self.error is not None

    def decode(self) -> bool:
        """
        Decode until there is more to take.

        :returns: whether there is.
        """
        while not self.over:
            raw = self._raw.popleft() if self._raw else b""
            if not self._quiet:
                self._before = self._decoder.copy()
            try:
                data = self._decoder.feed(raw)
                if not raw and self.ended:
                    data = self._decoder.finish()
            except Undecodable as error:
                self.error = error
                self._raw.appendleft(raw)
                return False
            if not raw and self.ended:
                self._finished = True
            if data:
                segment = _Segment(self._before, self._quiet + raw, data)
                self._segments.append(segment)
                self._quiet = b""
                self.length += len(data)
                return True
            self._quiet += raw
            if len(self._quiet) > _MOST_QUIET:
                self.size -= len(self._quiet)
                self._quiet = b""
            if not raw:
                return False
        return False

    def take(self, count: int) -> Data:
        """
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
        """How many units can be taken without joining anything."""
        return len(self._segments[0].data) - self._offset if self._segments else 0

    def pieces(self, skip: int) -> Iterator[Data]:
        """
        :param skip: how many pieces to leave out.
        :returns: the units that can be taken, piece by piece, without taking
            them.
        """
        for index, segment in enumerate(islice(self._segments, skip, None), skip):
            yield segment.data if index else segment.data[self._offset :]

    @property
    def empty(self) -> Data:
        """No units, in the type in which there are some."""
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
