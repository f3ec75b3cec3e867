"""
Reading something at the pace of a consumer: a descriptor, or what is in memory.

All kinds are push producers that hand over one block at a time and stop when
the consumer says so; no more than one block is in memory here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IConsumer,
    IPushProducer,
    IReactorFDSet,
    IReadDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.errors import SourceError, Truncated
from twisted_transfer.paths import reasonText

BLOCK_SIZE = 512 * 1024
"""How many bytes of a file are read at once; twice as many or half as many
were no faster, over TCP and over TLS."""

STREAM_BLOCK_SIZE = 128 * 1024
"""How many bytes of a stream are read at once at most; a pipe of Linux holds
half as many."""


@dataclass(frozen=True)
class Limit:
    """
    How much is to be read.

    :ivar size: so many bytes in all, or None for everything.
    :ivar blockSize: so many at once, or None for as many as is usual.
    """

    size: int | None = None
    blockSize: int | None = None

    def wanted(self, usual: int, before: int, size: int | None = None) -> int:
        """
        :param usual: how many bytes are usually read at once.
        :param before: how many have been read already.
        :param size: how many there are, if that is known.
        :returns: how many to read next.
        """
        wanted = usual if self.blockSize is None else self.blockSize
        for bound in (size, self.size):
            if bound is not None:
                wanted = min(wanted, bound - before)
        return wanted


@implementer(IPushProducer)
class Production:
    """
    One source being written to one consumer.

    :ivar done: fires when it is over; see ``ISource.startProducing``.
    """

    _over = False

    def __init__(self, name: str, consumer: IConsumer) -> None:
        self.done: Deferred[None] = Deferred(self._cancelled)
        self._name = name
        self._consumer = consumer

    def begin(self) -> Deferred[None]:
        """Start, at the pace of the consumer."""
        # A consumer that is gone already calls stopProducing() in here.
        self._consumer.registerProducer(self, True)
        if not self._over:
            self.resumeProducing()
        return self.done

    def pauseProducing(self) -> None:
        """The consumer is full."""
        raise NotImplementedError

    def resumeProducing(self) -> None:
        """The consumer has room."""
        raise NotImplementedError

    def stopProducing(self) -> None:
        """The consumer wants no more."""
        self._fail(
            Truncated(
                f"the connection ended before all of {self._name} was sent; "
                "transfer again"
            )
        )

    def _release(self) -> None:
        """Take back whatever is registered anywhere."""

    def _stop(self) -> bool:
        """
        :returns: whether it was still going on.
        """
        if self._over:
            return False
        self._over = True
        self._release()
        self._consumer.unregisterProducer()
        return True

    def _cancelled(self, done: Deferred[None]) -> None:
        self._stop()

    def _succeed(self) -> None:
        if self._stop():
            self.done.callback(None)

    def _fail(self, error: Exception) -> None:
        if self._stop():
            self.done.errback(error)

    def _cannotRead(self, error: BaseException) -> None:
        reason = reasonText(error) if isinstance(error, OSError) else repr(error)
        problem = SourceError(f"cannot read {self._name}: {reason}")
        problem.__cause__ = error
        self._fail(problem)


class PromptProduction(Production):
    """What always answers at once: block after block."""

    _flowing = False
    _inLoop = False

    def pauseProducing(self) -> None:
        self._flowing = False

    def resumeProducing(self) -> None:
        self._flowing = True
        if self._inLoop:
            # The consumer took a block and asks for the next from inside
            # write(); the loop below is still running.
            return
        self._inLoop = True
        try:
            while self._flowing and not self._over:
                self._oneBlock()
        finally:
            self._inLoop = False

    def _oneBlock(self) -> None:
        """Write one block, or come to the end."""
        raise NotImplementedError


class FileProduction(PromptProduction):
    """A descriptor that always answers at once."""

    def __init__(
        self,
        fd: int,
        name: str,
        consumer: IConsumer,
        size: int | None,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(name, consumer)
        self._fd = fd
        self._size = size
        self._limit = limit or Limit()
        self._sent = 0

    def _oneBlock(self) -> None:
        wanted = self._limit.wanted(BLOCK_SIZE, self._sent, self._size)
        try:
            block = os.read(self._fd, wanted)
        except OSError as error:
            self._cannotRead(error)
            return
        self._sent += len(block)
        if block:
            self._consumer.write(block)
        elif wanted and self._size is not None and self._sent < self._size:
            self._fail(
                SourceError(
                    f"{self._name} has shrunk while it was sent: it had "
                    f"{self._size} bytes, but ends after {self._sent}; send it "
                    "again when nobody changes it"
                )
            )
        if not block or self._sent in (self._size, self._limit.size):
            self._succeed()


@implementer(IReadDescriptor)
class StreamProduction(Production):
    """A descriptor that the reactor watches."""

    def __init__(
        self,
        reactor: IReactorFDSet,
        fd: int,
        name: str,
        consumer: IConsumer,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(name, consumer)
        self._fd = fd
        self._reactor = reactor
        self._limit = limit or Limit()
        self._sent = 0

    def fileno(self) -> int:
        """What the reactor is to watch."""
        return self._fd

    def logPrefix(self) -> str:
        """What Twisted's log calls this."""
        return "StreamSource"

    def pauseProducing(self) -> None:
        self._reactor.removeReader(self)

    def resumeProducing(self) -> None:
        if not self._over:
            self._reactor.addReader(self)

    def _release(self) -> None:
        self._reactor.removeReader(self)

    def doRead(self) -> None:
        """Something is there, or the end is."""
        try:
            block = os.read(self._fd, self._limit.wanted(STREAM_BLOCK_SIZE, self._sent))
        except BlockingIOError:
            return
        except OSError as error:
            self._cannotRead(error)
            return
        self._sent += len(block)
        if block:
            self._consumer.write(block)
        if not block or self._sent == self._limit.size:
            self._succeed()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor sees a hang-up and nothing to read.

        With a pipe that is the end of the file; read(2) says whether it is
        also the end of anything else.
        """
        if isinstance(reason.value, ConnectionDone):
            self.doRead()
        if not self._over:
            self._fail(
                SourceError(f"cannot read {self._name}: {reason.getErrorMessage()}")
            )
