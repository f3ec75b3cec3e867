"""
Sources: files, and what is in memory.

A :class:`FileSource` sends a file, a :class:`BytesSource` sends bytes, and a
:class:`TextSource` sends text over a channel that carries text.  A
:class:`~twisted_transfer.data.streams.StreamSource` sends what is open already, and an
:class:`~twisted_transfer.data.iterables.IterableSource` what an iterable gives.

Reading a regular file may wait for the disk, as Twisted's own file senders do;
everything else is read when the reactor says that there is input.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.data.parts import AnyPath, pathText, reasonText
from twisted_transfer.errors import SourceError, Truncated
from twisted_transfer.interfaces import ILimitedSource

BLOCK_SIZE = 512 * 1024
"""How many bytes of a file are read at once; twice as many or half as many
were no faster, over TCP and over TLS."""


class Flow(Enum):
    """
    The state of a production.

    ``resumeProducing`` and ``pauseProducing`` move between the first two; the
    end of the source, an error, ``stopProducing`` and cancelling lead from
    either of them to the third, which is final.
    """

    PAUSED = auto()
    FLOWING = auto()
    OVER = auto()


@implementer(IPushProducer)
class Production:
    """
    Write one source to one consumer, block by block.

    :ivar done: fires when it is over; see ``ISource.startProducing``.
    """

    def __init__(self, name: str, consumer: IConsumer) -> None:
        """
        :param name: the source, for messages.
        :param consumer: gets the blocks.
        """
        self.done: Deferred[None] = Deferred(
            lambda ignored: self._fail(CancelledError())
        )
        self._name = name
        self._consumer = consumer
        self._flow = Flow.PAUSED
        self._inLoop = False

    def begin(self) -> Deferred[None]:
        """
        Start, at the pace of the consumer.

        :returns: :attr:`done`.
        """
        # A consumer that is gone already calls stopProducing() in here.
        self._consumer.registerProducer(self, True)
        self.resumeProducing()
        return self.done

    def pauseProducing(self) -> None:
        """Write no more blocks for now: the consumer is full."""
        if self._flow is Flow.FLOWING:
            self._flow = Flow.PAUSED

    def resumeProducing(self) -> None:
        """Write blocks until the consumer is full or nothing is left."""
        if self._flow is Flow.OVER:
            return
        self._flow = Flow.FLOWING
        if self._inLoop:
            # The consumer has asked from inside write(); the loop goes on.
            return
        self._inLoop = True
        try:
            while self._flow is Flow.FLOWING and self._oneBlock():
                pass
        finally:
            self._inLoop = False

    def _oneBlock(self) -> bool:
        """
        Write one block, or end.

        :returns: False if the next block has to be waited for.
        """
        raise NotImplementedError

    def stopProducing(self) -> None:
        """Fail with ``Truncated``: the consumer wants no more."""
        self._fail(
            Truncated(
                f"the connection ended before all of {self._name} was sent; "
                "transfer again"
            )
        )

    def _release(self) -> None:
        """Release what this production holds."""

    def _stop(self) -> bool:
        """
        :returns: whether it was still going on.
        """
        if self._flow is Flow.OVER:
            return False
        self._flow = Flow.OVER
        self._release()
        self._consumer.unregisterProducer()
        return True

    def _succeed(self) -> None:
        if self._stop():
            self.done.callback(None)

    def _fail(self, error: Exception) -> None:
        if self._stop():
            self.done.errback(error)

    def _cannotRead(self, error: Exception) -> None:
        if not isinstance(error, SourceError):
            reason = reasonText(error) if isinstance(error, OSError) else repr(error)
            cause, error = error, SourceError(f"cannot read {self._name}: {reason}")
            error.__cause__ = cause
        self._fail(error)


class Limited:
    """
    A source that gives less than everything, or smaller blocks, if it is told to.

    :ivar size: how many bytes there are, or None if that is unknown.
    :ivar most: how many to give at most, or None.
    :ivar blockSize: how many to write at once at most, or None.
    """

    size: int | None = None
    most: int | None = None
    blockSize: int | None = None

    def limit(self, size: int | None, blockSize: int | None) -> None:
        """Give less, or smaller blocks; see
        :class:`~twisted_transfer.interfaces.ILimitedSource`."""
        self.most = size
        self.blockSize = blockSize

    def open(self) -> None:
        """Do nothing: there is nothing to open."""

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Write everything to the consumer.

        :param consumer: gets it.
        :returns: see :class:`~twisted_transfer.interfaces.ISource`.
        """
        try:
            self.open()
        except SourceError as error:
            return fail(error)
        return self._production(consumer).begin().addBoth(self._ended)

    def _production(self, consumer: IConsumer) -> Production:
        """:returns: what writes the source, which is open, to the consumer."""
        raise NotImplementedError

    def _ended(self, result: Failure | None) -> Failure | None:
        self.close()
        return result

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


def lowest(*bounds: int | None) -> int | None:
    """:returns: the lowest of some bounds, of which None is no bound."""
    return min((bound for bound in bounds if bound is not None), default=None)


class BlockProduction(Production):
    """Write block after block of what never has to be waited for."""

    def __init__(
        self,
        source: Limited,
        read: Callable[[int], Any],
        name: str,
        consumer: IConsumer,
        offset: int = 0,
    ) -> None:
        """
        :param source: says how much to read.
        :param read: gives at most so many of the next bytes or characters; none at
            the end.
        :param name: the source, for messages.
        :param consumer: gets the blocks.
        :param offset: how many bytes of the source are before the first one that
            is read.
        """
        super().__init__(name, consumer)
        self._read = read
        self._size = source.size
        most = None if source.most is None else offset + source.most
        self._end = lowest(source.size, most)
        self._blockSize = source.blockSize or BLOCK_SIZE
        self._at = offset

    def _oneBlock(self) -> bool:
        wanted = self._blockSize
        if self._end is not None and self._end - self._at < wanted:
            wanted = self._end - self._at
        try:
            block = self._read(wanted)
        except BlockingIOError:  # of a stream, where the reactor was wrong
            return False
        except OSError as error:
            self._cannotRead(error)
            return False
        self._at += len(block)
        if block:
            self._consumer.write(block)
        elif wanted and self._size is not None:
            self._fail(
                SourceError(
                    f"{self._name} has shrunk while it was sent: it had "
                    f"{self._size} bytes, but ends after {self._at}; send it "
                    "again when nobody changes it"
                )
            )
        if not block or self._at == self._end:
            self._succeed()
        return True


@implementer(ILimitedSource)
class BytesSource(Limited):
    """
    Send bytes that are in memory.

    :ivar size: how many they are.
    """

    _name = "the bytes"

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        """
        :param data: what to send; what may change is copied.
        """
        self._data = bytes(data)
        self.size = len(self._data)

    def _production(self, consumer: IConsumer) -> Production:
        return BlockProduction(self, self._reader(), self._name, consumer)

    def _reader(self) -> Callable[[int], bytes | str]:
        return io.BytesIO(self._data).read


class TextSource(BytesSource):
    """
    Send text that is in memory, over a channel that carries text.

    It writes ``str``, and counts characters.

    :ivar size: how many characters there are.
    """

    _name = "the text"

    def __init__(self, text: str) -> None:
        """
        :param text: what to send.
        """
        self._text = text
        self.size = len(text)

    def _reader(self) -> Callable[[int], bytes | str]:
        return io.StringIO(self._text).read


@implementer(ILimitedSource)
class FileSource(Limited):
    """
    Send a regular file, as long as it was when it was opened.

    What was added to the file since then is not sent; if it has shrunk, that is
    a ``SourceError``.

    :ivar path: the file.
    :ivar size: how many bytes it has; None for files that do not tell, as those
        of ``/proc``.
    :ivar offset: how many bytes at its beginning are left out.
    :ivar fd: its descriptor while it is open, else -1.
    """

    offset = 0
    fd = -1

    def __init__(self, path: AnyPath) -> None:
        """
        :param path: the file to read.
        """
        self.path = pathText(path)

    def open(self) -> None:
        """
        Open the file and learn its size.

        :raises SourceError: if there is none, it cannot be read, or it is a
            folder or something else that is no file.
        """
        if self.fd != -1:
            return
        try:
            # Without O_NONBLOCK, opening a named pipe waits for a writer.
            self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            status = os.fstat(self.fd)
            if not stat.S_ISREG(status.st_mode):
                kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
                raise OSError(errno.EINVAL, f"it is {kind}")
            self.size = status.st_size
            # Tell an empty file from one that only claims to be empty.
            if self.size == 0 and os.pread(self.fd, 1, 0):
                self.size = None
        except (OSError, ValueError) as error:
            self.close()
            raise SourceError(
                f"cannot read {self.path}: {reasonText(error)}; give the path of a file"
            ) from error

    def _production(self, consumer: IConsumer) -> Production:
        os.lseek(self.fd, self.offset, os.SEEK_SET)
        read = partial(os.read, self.fd)
        return BlockProduction(self, read, self.path, consumer, self.offset)

    def close(self) -> None:
        """Close the file if it is open."""
        fd, self.fd = self.fd, -1
        if fd != -1:
            os.close(fd)
