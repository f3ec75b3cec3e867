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

    def _oneBlock(self) -> bool:
        if self._asking:
            return False
        held, self._held = self._held, b""
        if held:
            self._consumer.write(held)
        else:
            self._asking = True
            self._answer = self._next().addBoth(self._came)
        return True

    @deferring
    async def _next(self) -> bytes | None:
        """
        :returns: a Deferred with the next piece, or None at the end.
        """
        piece: object
        if isinstance(self._iterator, AsyncIterator):
            piece = await anext(self._iterator, _END)
        else:
            piece = next(self._iterator, _END)  # type: ignore[arg-type]
        if piece is _END:
            if self.size is not None and self._count < self.size:
                raise SourceError(
                    f"the iterable ended after {self._count} of the {self.size} "
                    "bytes that were announced with size=; leave it out if it is not "
                    "known"
                )
            return None
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

    def _came(self, piece: bytes | Failure | None) -> None:
        self._asking = False
        if self._flow is Flow.OVER:
            # It has ended meanwhile; now the iterator can be closed.
            self.close()
        elif isinstance(piece, Failure):
            error: Any = piece.value
            own = isinstance(error, SourceError)
            self._fail(error if own else self.cannotRead(error))
        elif piece is None:
            self._succeed()
        else:
            self._held = piece
            if self._flow is Flow.FLOWING:
                self.resumeProducing()

    def close(self) -> None:
        """
        Close the generator, if it is one; an async one may take its time for that.

        What else there is belongs to the user, and is not closed.
        """
        self._held = b""
        iterator = self._iterable if self._iterator is None else self._iterator
        if self._asking:
            # It ends at what it waits for; then it is closed.
            self._answer.cancel()
        elif isinstance(iterator, Generator):
            quietly(iterator.close, "close() of an iterable")
        elif isinstance(iterator, AsyncGenerator):
            _closed(iterator).addErrback(
                lambda failure: log.failure(
                    "aclose() of an iterable has failed", failure
                )
            )


@deferring
async def _closed(iterator: AsyncGenerator[Any, Any]) -> None:
    await iterator.aclose()
