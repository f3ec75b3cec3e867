"""
Answering those who ask a channel for data, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from twisted_transfer.errors import (
    AlreadyReading,
    LineTooLong,
    NotEnoughData,
    TransferError,
)
from twisted_transfer.text import TextSettings
from twisted_transfer.unread import Data, Unread

FULL = 65536
"""How many unread bytes make the partner wait."""


@dataclass
class _Request:
    """What the reader waits for; ``attempt`` gives None as long as it can't be."""

    attempt: Callable[[], Data | None]
    answer: Deferred[Data]


class Inbox:
    """
    Input that waits for its reader, and the reader who waits for input.

    It has no transport: it is told what came, and says when it is full.
    """

    def __init__(self, settings: TextSettings, onDemand: Callable[[], None]) -> None:
        """
        :param settings: how to decode.
        :param onDemand: called when there may be room for more, or a need.
        """
        self._unread = Unread(settings)
        self._onDemand = onDemand
        self._error: TransferError | None = None
        self._request: _Request | None = None

    # What comes.

    def feed(self, data: bytes) -> None:
        """Some bytes have come."""
        self._unread.add(data)
        self._answer()

    def end(self, error: TransferError | None = None) -> None:
        """
        No more comes.

        :param error: why, if it was not in order.  It does not count when the
            input had ended in order before.
        """
        if not self._unread.ended:
            self._unread.ended = True
            self._error = error
        self._answer()

    @property
    def wanting(self) -> bool:
        """Whether more may come: there is room, or a reader in need of it."""
        if self._unread.satisfied:
            return False
        return self._request is not None or self._unread.size < FULL

    @property
    def stirring(self) -> bool:
        """Whether there is anything to read, or the end."""
        return self._unread.size > 0 or self._unread.ended or self._unread.over

    @property
    def busy(self) -> bool:
        """Whether a reader is waiting."""
        return self._request is not None

    @property
    def atEnd(self) -> bool:
        """Whether everything was read and no more will come."""
        unread = self._unread
        return not unread.length and not unread.decode() and unread.over

    @property
    def error(self) -> TransferError | None:
        """What stands at the end of the data instead of an orderly end."""
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
        searched = passed = 0  # pieces without a newline, and the units in them
        generation = unread.generation

        def attempt() -> Data | None:
            nonlocal searched, passed, generation
            if generation != unread.generation:
                searched, passed, generation = 0, 0, unread.generation
            while True:
                for piece in unread.pieces(searched):
                    newline = "\n" if isinstance(piece, str) else b"\n"
                    found = piece.find(newline)  # type: ignore[arg-type]
                    searched += 1
                    passed += len(piece) if found < 0 else found + 1
                    if passed > limit or (found < 0 and passed == limit):
                        raise LineTooLong(
                            f"there is no newline in the next {limit} units; give "
                            "readLine() a larger limit, or read in another way"
                        )
                    if found >= 0:
                        return unread.take(passed)
                if not unread.decode():
                    break
            if self._emptyAtEnd() is None:
                return None
            return unread.take(unread.length)

        return self._ask(attempt)

    def _emptyAtEnd(self) -> Data | None:
        """Nothing as data where the data ends, None where more may come."""
        if not self._unread.over:
            return None
        if self.error is not None:
            raise self.error
        return self._unread.empty

    def _ask(self, attempt: Callable[[], Data | None]) -> Deferred[Data]:
        """Answer now or later; a cancelled request takes nothing."""
        if self._request is not None:
            raise AlreadyReading(
                "another read is waiting on this channel; wait for it, or cancel it"
            )

        def withdraw(answer: Deferred[Data]) -> None:
            self._request = None

        request = _Request(attempt, Deferred(withdraw))
        self._request = request
        self._answer()
        return request.answer

    def _answer(self) -> None:
        """Try to satisfy the reader; then say what is needed."""
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
        self._onDemand()
