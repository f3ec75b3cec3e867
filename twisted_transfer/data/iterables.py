"""
Whatever can be iterated over, as a source.
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

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.data.progress import checkNumber
from twisted_transfer.data.sources import Production, PromptProduction
from twisted_transfer.errors import BadOption, SourceError
from twisted_transfer.interfaces import ISource

Piece = bytes | bytearray | memoryview
"""What an iterable may give."""

_NAME = "the iterable"

_log = Logger()


class _Pieces:
    """Looks at each piece, and counts."""

    def __init__(self, size: int | None) -> None:
        self._size = size
        self._count = 0

    def checked(self, piece: object) -> bytes:
        """
        :returns: the piece as bytes.
        :raises SourceError: if it is something else, or one too many.
        """
        if not isinstance(piece, Piece):
            error = TypeError(f"a piece is bytes, not {type(piece).__name__}")
            raise SourceError(
                f"the iterable gave {type(piece).__name__}; let it give bytes"
            ) from error
        data = piece if isinstance(piece, bytes) else bytes(piece)
        self._count += len(data)
        if self._size is not None and self._count > self._size:
            raise SourceError(
                f"the iterable gave more than the {self._size} bytes that were "
                "announced with size=; leave it out if it is not known"
            )
        return data

    def checkEnd(self) -> None:
        """
        :raises SourceError: if this is not everything.
        """
        if self._size is not None and self._count < self._size:
            raise SourceError(
                f"the iterable ended after {self._count} of the {self._size} bytes "
                "that were announced with size=; leave it out if it is not known"
            )


class IteratorProduction(PromptProduction):
    """Piece after piece, each there as soon as it is asked for."""

    def __init__(
        self, iterator: Iterator[Piece], consumer: IConsumer, size: int | None
    ) -> None:
        super().__init__(_NAME, consumer)
        self._iterator = iterator
        self._pieces = _Pieces(size)
        self._asking = False

    def _oneBlock(self) -> None:
        self._asking = True
        try:
            piece = self._pieces.checked(next(self._iterator))
        except StopIteration:
            self._end()
            return
        except SourceError as error:
            self._fail(error)
            return
        except Exception as error:
            self._cannotRead(error)
            return
        finally:
            self._asking = False
            if self._over:  # it has ended this from inside
                self._release()
        if piece and not self._over:
            self._consumer.write(piece)

    def _end(self) -> None:
        try:
            self._pieces.checkEnd()
        except SourceError as error:
            self._fail(error)
        else:
            self._succeed()

    def _release(self) -> None:
        if not self._asking:
            closeIterator(self._iterator)


class AsyncIteratorProduction(Production):
    """Piece after piece, each when it is there."""

    _flowing = False
    _inLoop = False
    _ended = False

    def __init__(
        self, iterator: AsyncIterator[Piece], consumer: IConsumer, size: int | None
    ) -> None:
        super().__init__(_NAME, consumer)
        self._iterator = iterator
        self._pieces = _Pieces(size)
        self._asking: Deferred[Piece] | None = None
        self._held = b""  # came when the consumer was full

    def pauseProducing(self) -> None:
        self._flowing = False

    def resumeProducing(self) -> None:
        self._flowing = True
        if self._inLoop:
            return
        self._inLoop = True
        try:
            while self._flowing and not self._over and self._asking is None:
                held, self._held = self._held, b""
                if held:
                    self._consumer.write(held)
                elif self._ended:
                    self._succeed()
                else:
                    self._ask()
        finally:
            self._inLoop = False

    def _ask(self) -> None:
        asking: Deferred[Piece] = Deferred.fromCoroutine(_awaited(self._iterator))
        self._asking = asking
        asking.addCallbacks(self._came, self._failed)

    def _came(self, piece: Piece) -> None:
        self._asking = None
        try:
            self._held = self._pieces.checked(piece)
        except SourceError as error:
            self._fail(error)
        self._goOn()

    def _failed(self, failure: Failure) -> None:
        self._asking = None
        error = failure.value
        assert error is not None
        if self._over:
            # It was asked to stop, and this is how it did, or did not.
            self._release()
            return
        try:
            if isinstance(error, StopAsyncIteration):
                self._pieces.checkEnd()
                self._ended = True
            elif isinstance(error, SourceError):
                self._fail(error)
            else:
                self._cannotRead(error)
        except SourceError as problem:
            self._fail(problem)
        self._goOn()

    def _goOn(self) -> None:
        if self._over:
            self._release()
        elif self._flowing:
            self.resumeProducing()

    def _release(self) -> None:
        self._held = b""
        if self._asking is not None:
            # It ends at what it waits for; then it is closed.
            self._asking.cancel()
        else:
            closeAsyncIterator(self._iterator)


async def _awaited(iterator: AsyncIterator[Piece]) -> Piece:
    return await iterator.__anext__()


def closeIterator(iterator: Iterator[Piece]) -> None:
    """
    Let a generator clean up; what else there is belongs to the user.

    :param iterator: gives nothing more from here on, if it is one.
    """
    if isinstance(iterator, Generator):
        try:
            iterator.close()
        except Exception:
            _log.failure("an iterable could not be closed")


def closeAsyncIterator(iterator: AsyncIterator[Piece]) -> None:
    """
    The same; it may take its time.

    :param iterator: gives nothing more from here on, if it is a generator.
    """
    if isinstance(iterator, AsyncGenerator):
        closing = Deferred.fromCoroutine(_closed(iterator))
        closing.addErrback(
            lambda failure: _log.failure(
                "an async iterable could not be closed", failure
            )
        )


async def _closed(generator: AsyncGenerator[Piece, None]) -> None:
    await generator.aclose()


@implementer(ISource)
class IterableSource:
    """
    What an iterable gives: a list, a generator, an async generator, a channel.

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

        :param consumer: who gets them.
        :returns: see :class:`~twisted_transfer.interfaces.ISource`.
        """
        try:
            self.open()
        except SourceError as error:
            return fail(error)
        iterator = self._iterator
        production: Production
        if isinstance(iterator, AsyncIterator):
            production = AsyncIteratorProduction(iterator, consumer, self.size)
        else:
            assert iterator is not None
            production = IteratorProduction(iterator, consumer, self.size)
        return production.begin()

    def close(self) -> None:
        """Close the generator, if it is one."""
        iterator = self._iterable if self._iterator is None else self._iterator
        if isinstance(iterator, AsyncIterator):
            closeAsyncIterator(iterator)
        elif isinstance(iterator, Iterator):
            closeIterator(iterator)
