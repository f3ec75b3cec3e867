"""
Iterables of every kind, as sources.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.data.progress import checkNumber, log, quietly
from twisted_transfer.data.sources import Flow, Production
from twisted_transfer.deferreds import deferring
from twisted_transfer.errors import BadOption, SourceError
from twisted_transfer.interfaces import ISource

_T = TypeVar("_T")

Piece = bytes | bytearray | memoryview
"""The types of the pieces of an iterable."""

_NAME = "the iterable"


class _PieceProduction(Production):
    """
    Write piece after piece.

    ``_asking`` is what waits for the next piece, if anything does: the iterator
    must not be closed meanwhile.
    """

    _asking: object = None

    def __init__(self, iterator: Any, consumer: IConsumer, size: int | None) -> None:
        """
        :param iterator: gives the pieces.
        :param consumer: gets them.
        :param size: how many bytes they are to have, or None.
        """
        super().__init__(_NAME, consumer)
        self._iterator = iterator
        self._size = size
        self._count = 0

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
        if self._size is not None and self._count > self._size:
            raise SourceError(
                f"the iterable gave more than the {self._size} bytes that were "
                "announced with size=; leave it out if it is not known"
            )
        return data

    def _end(self, error: Exception) -> None:
        """End as what the iterator has raised says."""
        if isinstance(error, SourceError):
            self._fail(error)
        elif not isinstance(error, StopIteration | StopAsyncIteration):
            self._cannotRead(error)
        elif self._size is not None and self._count < self._size:
            self._fail(
                SourceError(
                    f"the iterable ended after {self._count} of the {self._size} "
                    "bytes that were announced with size=; leave it out if it is not "
                    "known"
                )
            )
        else:
            self._succeed()


class IteratorProduction(_PieceProduction):
    """Write the pieces of an iterator, each as soon as there is room for it."""

    def _oneBlock(self) -> bool:
        self._asking = self._iterator
        try:
            piece = self._checked(next(self._iterator))
        except Exception as error:
            self._asking = None
            self._end(error)
            return False
        self._asking = None
        if self._flow is Flow.OVER:  # the iterator has ended this from inside
            self._release()
        elif piece:
            self._consumer.write(piece)
        return True

    def _release(self) -> None:
        if self._asking is None:
            closeIterator(self._iterator)


class AsyncIteratorProduction(_PieceProduction):
    """Write the pieces of an async iterator, each when it is there."""

    _asking: Deferred[Piece] | None = None
    # What came when the consumer was full: a piece, or the end.
    _held: bytes | Exception = b""

    def _oneBlock(self) -> bool:
        if self._asking is not None:
            return False
        held, self._held = self._held, b""
        if isinstance(held, Exception):
            self._end(held)
        elif held:
            self._consumer.write(held)
        else:
            asking = _awaited(self._iterator.__anext__)
            self._asking = asking
            asking.addCallbacks(self._came, self._failed)
        return True

    def _came(self, piece: Piece) -> None:
        self._asking = None
        try:
            self._held = self._checked(piece)
        except SourceError as error:
            self._fail(error)
        self._goOn()

    def _failed(self, failure: Failure) -> None:
        self._asking = None
        error: Any = failure.value
        if isinstance(error, StopAsyncIteration):
            self._held = error
        elif self._flow is not Flow.OVER:
            self._end(error)
        self._goOn()

    def _goOn(self) -> None:
        if self._flow is Flow.OVER:
            # It was asked to stop, and now it waits for nothing more.
            self._release()
        elif self._flow is Flow.FLOWING:
            self.resumeProducing()

    def _release(self) -> None:
        self._held = b""
        if self._asking is not None:
            # It ends at what it waits for; then it is closed.
            self._asking.cancel()
        else:
            closeIterator(self._iterator)


@deferring
async def _awaited(call: Callable[[], Awaitable[_T]]) -> _T:
    return await call()


def closeIterator(iterator: object) -> None:
    """
    Let a generator clean up; an async one may take its time for that.

    :param iterator: gives nothing more from here on, if it is a generator; what
        else there is belongs to the user.
    """
    if isinstance(iterator, Generator):
        quietly(iterator.close, "close() of an iterable")
    elif isinstance(iterator, AsyncGenerator):
        _awaited(iterator.aclose).addErrback(
            lambda failure: log.failure("aclose() of an iterable has failed", failure)
        )


@implementer(ISource)
class IterableSource:
    """
    Send what an iterable gives: a list, a generator, an async generator, a channel.

    The next piece is asked for when there is room for it, and at most one piece
    is kept.  An iterable that waits, other than an async one that awaits
    Deferreds, keeps the whole program waiting.  A generator that is not used up
    is closed.  Whatever the iterable raises is a ``SourceError``, with the
    original as its ``__cause__``.

    :ivar size: how many bytes it was said to give, or None.
    """

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
            raise SourceError(f"cannot read the iterable: {error!r}") from error

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Write every piece to the consumer.

        :param consumer: gets them.
        :returns: see :class:`~twisted_transfer.interfaces.ISource`.
        """
        try:
            self.open()
        except SourceError as error:
            return fail(error)
        isAsync = isinstance(self._iterator, AsyncIterator)
        make = AsyncIteratorProduction if isAsync else IteratorProduction
        return make(self._iterator, consumer, self.size).begin()

    def close(self) -> None:
        """Close the generator, if it is one."""
        closeIterator(self._iterable if self._iterator is None else self._iterator)
