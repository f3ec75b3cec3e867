"""
Where the bytes that are to be sent come from.

A :class:`FileSource` is a file, a :class:`StreamSource` what is open already, a
:class:`BytesSource` what is in memory, an :class:`IterableSource` whatever can be
iterated over, and a :class:`TextSource` is for channels that carry text.

Reading a regular file can wait for the disk, which is how Twisted itself reads
files; everything else is read when the reactor says that there is something.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.data.parts import AnyPath, pathText, reasonText
from twisted_transfer.errors import SourceError, Truncated
from twisted_transfer.interfaces import ILimitedSource

BLOCK_SIZE = 512 * 1024
"""How many bytes of a file are read at once; twice as many or half as many
were no faster, over TCP and over TLS."""


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


@implementer(ILimitedSource)
class FileSource:
    """
    A regular file, sent as long as it was when it was opened.

    A file that has grown meanwhile is sent without what was added; one that
    has shrunk is a ``SourceError``.

    :ivar size: how many bytes it has; None for the files of ``/proc`` and
        their like, which do not tell.
    """

    size: int | None = None

    def __init__(self, path: AnyPath) -> None:
        """
        :param path: the file to read.
        """
        self.path = pathText(path)
        self._fd: int | None = None
        self._limit = Limit()

    def open(self) -> None:
        """
        Open the file and learn its size.

        :raises SourceError: if there is none, it cannot be read, or it is a
            folder or something else that is no file.
        """
        if self._fd is not None:
            return
        try:
            # Without O_NONBLOCK, opening a named pipe waits for a writer.
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            reason = reasonText(error) if isinstance(error, OSError) else str(error)
            raise SourceError(
                f"cannot read {self.path}: {reason}; give the path of a file"
            ) from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
                raise SourceError(
                    f"cannot read {self.path}: it is {kind}; give the path of a file"
                )
            self.size = status.st_size
            if self.size == 0 and self._hasContent(fd):
                self.size = None
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def _hasContent(self, fd: int) -> bool:
        """Tell an empty file from one that only claims to be empty."""
        try:
            return os.pread(fd, 1, 0) != b""
        except OSError as error:
            raise SourceError(
                f"cannot read {self.path}: {reasonText(error)}"
            ) from error

    def limit(self, size: int | None, blockSize: int | None) -> None:
        """Read less, or in other blocks; see
        :class:`~twisted_transfer.interfaces.ILimitedSource`."""
        self._limit = Limit(size, blockSize)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Write the file to the consumer.

        :param consumer: who gets it.
        :returns: see :class:`~twisted_transfer.interfaces.ISource`.
        """
        try:
            self.open()
        except SourceError as error:
            return fail(error)
        assert self._fd is not None
        production = FileProduction(
            self._fd, self.path, consumer, self.size, self._limit
        )
        return production.begin().addBoth(self._closeAfter)

    def _closeAfter(self, result: Failure | None) -> Failure | None:
        self.close()
        return result

    def close(self) -> None:
        """Close the file if it is open."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
