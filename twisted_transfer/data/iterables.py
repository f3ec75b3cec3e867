"""
Iterables of every kind, as sources.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.data.progress import checkNumber, log, quietly
from twisted_transfer.data.sources import Flow, ProducingSource
from twisted_transfer.deferreds import deferring
from twisted_transfer.errors import BadOption, SourceError
from twisted_transfer.interfaces import ISource

Piece = bytes | bytearray | memoryview
"""The types of the pieces of an iterable."""


_END = object()


def closeIterator(iterator: object) -> None:
    """
    Let a generator clean up; an async one may take its time for that.

    :param iterator: gives nothing more from here on, if it is a generator; what
        else there is belongs to the user.
    """
    if isinstance(iterator, Generator):
        quietly(iterator.close, "close() of an iterable")
    elif isinstance(iterator, AsyncGenerator):
        _closed(iterator).addErrback(
            lambda failure: log.failure("aclose() of an iterable has failed", failure)
        )


@deferring
async def _closed(iterator: AsyncGenerator[Any, Any]) -> None:
    await iterator.aclose()


@implementer(ISource)
class IterableSource(ProducingSource):
    """
    Send what an iterable gives: a list, a generator, an async generator, a channel.

    The next piece is asked for when there is room for it, and at most one piece
    is kept.  An iterable that waits, other than an async one that awaits
    Deferreds, keeps the whole program waiting.  A generator that is not used up
    is closed.  Whatever the iterable raises is a ``SourceError``, with the
    original as its ``__cause__``.

    :ivar size: how many bytes it was said to give, or None.
    """

    name = "the iterable"

    def __init__(
        self,
        iterable: Iterable[Piece] | AsyncIterable[Piece],
        size: int | None = None,
    ) -> None:
        """
        :param iterable: gives ``bytes`` (or ``bytearray`` or ``memoryview``) in
            pieces of any size.
        :param size: how many bytes these are, if that is known; to give more or
            fewer is a ``SourceError`` then.
        :raises BadOption: if it cannot be iterated over, or not in pieces of
            bytes, or the size is no number of bytes.
        """
        if isinstance(iterable, Piece | str):
            raise BadOption(
                f"an IterableSource takes pieces of bytes, not {type(iterable)}; for "
                "bytes that are in memory take a BytesSource"
            )
        if not isinstance(iterable, Iterable | AsyncIterable):
            raise BadOption(
                f"an IterableSource takes what can be iterated over, which "
                f"{type(iterable)} cannot; give a list or a generator, say"
            )
        if size is not None:
            checkNumber("size", size)
        self.size = size
        self._iterable = iterable
        self._iterator: Iterator[Piece] | AsyncIterator[Piece] | None = None
        self._count = 0
        # What came when the consumer was full.
        self._held = b""
        # Whether the next piece is waited for: the iterator must not be closed
        # meanwhile.
        self._asking = False
        self._answer: Deferred[None] = succeed(None)

    def open(self) -> None:
        """
        Get the iterator.

        :raises SourceError: if the iterable refuses.
        """
        if self._iterator is not None:
            return
        try:
            if isinstance(self._iterable, AsyncIterable):
                self._iterator = self._iterable.__aiter__()
            else:
                self._iterator = iter(self._iterable)
        except Exception as error:
            raise self.cannotRead(error) from error

    def _checked(self, piece: object) -> bytes:
        """
        :returns: the piece as bytes.
        :raises SourceError: if it is something else, or one too many.
        """
        if not isinstance(piece, Piece):
            error = TypeError(f"a piece is bytes, not {type(piece).__name__}")
            raise SourceError(
                f"the iterable gave {type(piece).__name__}; let it give bytes"
            ) from error
        data = bytes(piece)
        self._count += len(data)
        if self.size is not None and self._count > self.size:
            raise SourceError(
                f"the iterable gave more than the {self.size} bytes that were "
                "announced with size=; leave it out if it is not known"
            )
        return data

    def _oneBlock(self) -> bool:
        if self._asking:
            return False
        held, self._held = self._held, b""
        if held:
            self._consumer.write(held)
        else:
            self._asking = True
            self._answer = self._next().addCallbacks(self._came, self._failed)
        return True

    def _came(self, piece: object) -> None:
        """Take the next piece, or the end."""
        self._asking = False
        if self._flow is Flow.OVER:
            # It has ended meanwhile; now the iterator can be closed.
            self.close()
            return
        try:
            if piece is not _END:
                self._held = self._checked(piece)
            elif self.size is not None and self._count < self.size:
                raise SourceError(
                    f"the iterable ended after {self._count} of the {self.size} "
                    "bytes that were announced with size=; leave it out if it is not "
                    "known"
                )
            else:
                self._succeed()
        except SourceError as error:
            self._fail(error)
        if self._flow is Flow.FLOWING:
            self.resumeProducing()

    def _failed(self, failure: Failure) -> None:
        self._asking = False
        if self._flow is Flow.OVER:
            self.close()
            return
        error: Any = failure.value
        own = isinstance(error, SourceError)
        self._fail(error if own else self.cannotRead(error))

    @deferring
    async def _next(self) -> object:
        if isinstance(self._iterator, AsyncIterator):
            return await anext(self._iterator, _END)
        return next(self._iterator, _END)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close the generator, if it is one."""
        self._held = b""
        if self._asking:
            # It ends at what it waits for; then it is closed.
            self._answer.cancel()
        else:
            closeIterator(self._iterable if self._iterator is None else self._iterator)
