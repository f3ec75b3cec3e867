"""
Sources and destinations that a test controls.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from twisted_transfer.errors import DestinationError, SourceError, Truncated
from twisted_transfer.interfaces import IDestination, ISource


@implementer(ISource, IPushProducer)
class ListSource:
    """
    Gives pieces with back-pressure, then ends as the test requires.

    :ivar given: how many pieces it has given.
    :ivar closed: whether it was closed.
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        *,
        size: int | None = None,
        error: Exception | None = None,
        idle: bool = False,
        unopenable: bool = False,
    ) -> None:
        """
        :param pieces: what to give.
        :param size: the size that it declares.
        :param error: the error at its end.
        :param idle: whether it has no end, as a terminal without input.
        :param unopenable: whether it cannot be opened.
        """
        self.size = size
        self.given = 0
        self.closed = False
        self._pieces = list(pieces)
        self._error = error
        self._idle = idle
        self._unopenable = unopenable
        self._flowing = True

    def open(self) -> None:
        if self._unopenable:
            raise SourceError("cannot read what there is not")

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.done: Deferred[None] = Deferred(lambda _: self._end())
        self._consumer: Any = consumer
        consumer.registerProducer(self, True)
        self.resumeProducing()
        return self.done

    def pauseProducing(self) -> None:
        self._flowing = False

    def resumeProducing(self) -> None:
        self._flowing = True
        while self._flowing and self._pieces and not self.closed:
            self.given += 1
            self._consumer.write(self._pieces.pop(0))
        if not self._pieces and not self._idle and not self.closed:
            self.finish()

    def give(self, piece: bytes) -> None:
        """Have one more piece."""
        self._pieces.append(piece)
        if self._flowing:
            self.resumeProducing()

    def finish(self) -> None:
        """Come to the end."""
        self._end()
        if self._error is None:
            self.done.callback(None)
        else:
            self.done.errback(self._error)

    def stopProducing(self) -> None:
        if not self.closed:
            self._end()
            self.done.errback(Truncated("stopped"))

    def _end(self) -> None:
        self.closed = True
        self._consumer.unregisterProducer()

    def close(self) -> None:
        self.closed = True


@implementer(IDestination)
class ListDestination:
    """
    Keeps what it gets, and fails and delays as the test requires.

    :ivar pieces: what it has got.
    :ivar events: what happened, in order: ``open``, ``finish``, ``abort``.
    :ivar full: the Deferred that the next bytes have to wait for, if any.
    """

    def __init__(
        self,
        *,
        refuses: str | None = None,
        slow: bool = False,
        finishing: Deferred[None] | None = None,
    ) -> None:
        """
        :param refuses: the method that fails.
        :param slow: whether each write has to be waited for.
        :param finishing: a Deferred that ``finish()`` waits for.
        """
        self.pieces: list[bytes] = []
        self.events: list[str] = []
        self.full: Deferred[None] | None = None
        self._refuses = refuses
        self._slow = slow
        self._finishing = finishing

    @property
    def content(self) -> bytes:
        """Everything together."""
        return b"".join(self.pieces)

    def _refuse(self, method: str) -> None:
        if self._refuses == method:
            raise DestinationError(f"{method} is refused")

    def open(self) -> None:
        self.events.append("open")
        self._refuse("open")

    def write(self, data: bytes) -> Deferred[None] | None:
        assert self.full is None or self.full.called, "it had no room"
        self._refuse("write")
        self.pieces.append(data)
        if not self._slow:
            return None
        self.full = Deferred()
        return self.full

    def finish(self) -> Deferred[None]:
        self.events.append("finish")
        self._refuse("finish")
        return succeed(None) if self._finishing is None else self._finishing

    def abort(self) -> None:
        self.events.append("abort")
