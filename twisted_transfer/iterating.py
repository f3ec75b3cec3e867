"""
Iterating at the pace of a consumer.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Generator,
    Iterator,
)

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_transfer.errors import SourceError
from twisted_transfer.producing import Production, PromptProduction

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
