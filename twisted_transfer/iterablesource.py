"""
Whatever can be iterated over, as a source.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from twisted_transfer.counts import checkNumber
from twisted_transfer.errors import BadOption, SourceError
from twisted_transfer.interfaces import ISource
from twisted_transfer.iterating import (
    AsyncIteratorProduction,
    IteratorProduction,
    Piece,
    closeAsyncIterator,
    closeIterator,
)
from twisted_transfer.producing import Production


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
