"""
What is in memory, as a source.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from twisted_transfer.interfaces import ILimitedSource
from twisted_transfer.producing import BLOCK_SIZE, Limit, PromptProduction


class _SliceProduction(PromptProduction):
    """Slice after slice of something."""

    def __init__(self, data: Any, name: str, consumer: IConsumer, limit: Limit) -> None:
        super().__init__(name, consumer)
        self._data = data
        self._sent = 0
        self._limit = limit

    def _oneBlock(self) -> None:
        wanted = self._limit.wanted(BLOCK_SIZE, self._sent, len(self._data))
        if wanted:
            block = self._data[self._sent : self._sent + wanted]
            self._sent += wanted
            self._consumer.write(block)
        else:
            self._succeed()


@implementer(ILimitedSource)
class BytesSource:
    """
    Bytes that are in memory.

    :ivar size: how many they are.
    """

    _name = "the bytes"

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        """
        :param data: what to send; what may change is copied.
        """
        if isinstance(data, memoryview):
            data = data.tobytes()
        self._data: bytes | str = data if isinstance(data, bytes) else bytes(data)
        self.size: int | None = len(self._data)
        self._limit = Limit()

    def open(self) -> None:
        """Do nothing: there is nothing to open."""

    def limit(self, size: int | None, blockSize: int | None) -> None:
        """Give less, or smaller pieces; see
        :class:`~twisted_transfer.interfaces.ILimitedSource`."""
        self._limit = Limit(size, blockSize)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Write the bytes to the consumer.

        :param consumer: who gets them.
        :returns: see :class:`~twisted_transfer.interfaces.ISource`.
        """
        return _SliceProduction(self._data, self._name, consumer, self._limit).begin()

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


class TextSource(BytesSource):
    """
    Text that is in memory, for a channel that carries text.

    What it writes is ``str``, and what is counted are characters.

    :ivar size: how many characters there are.
    """

    _name = "the text"

    def __init__(self, text: str) -> None:
        """
        :param text: what to send.
        """
        super().__init__(b"")
        self._data = text
        self.size = len(text)
