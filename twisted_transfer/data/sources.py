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
from zope.interface import implementer

from twisted_transfer.data.kernel import Sending
from twisted_transfer.data.parts import AnyPath, pathText, reasonText, resolved
from twisted_transfer.errors import SourceError, Truncated
from twisted_transfer.interfaces import ILimitedSource
from twisted_transfer.printable import reasonOf

BLOCK_SIZE = 256 * 1024
"""How many bytes of a file are read at once; for twice as many, the allocator gives the
memory back to the system each time."""


class Flow(Enum):
    """
    The state of a source while it is written.

    ``resumeProducing`` and ``pauseProducing`` move between the first two; the
    end of the source, an error, ``stopProducing`` and cancelling lead from
    either of them to the third.
    """

    PAUSED = auto()
    FLOWING = auto()
    OVER = auto()


@implementer(IPushProducer)
class ProducingSource:
    """
    A source that is the producer of what it has: it writes block by block.

    :ivar name: what to call it in messages.
    :ivar size: how many bytes there are, or None if that is unknown.
    """

    name: str
    size: int | None = None
    _consumer: IConsumer
    _done: Deferred[None]
    _flow = Flow.OVER
    _inLoop = False

    def open(self) -> None:
        """Do nothing: there is nothing to open."""

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

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
        self._consumer = consumer
        self._done = Deferred(lambda ignored: self._fail(CancelledError()))
        self._flow = Flow.PAUSED
        self._begin()
        self._register()
        return self._done

    def _begin(self) -> None:
        """Get ready for the first block."""

    def _register(self) -> None:
        """Register with the consumer, and write the first blocks."""
        # A consumer that is gone already calls stopProducing() in here.
        self._consumer.registerProducer(self, True)
        self.resumeProducing()

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
                f"the connection ended before all of {self.name} was sent; "
                "transfer again"
            )
        )

    def _stop(self) -> bool:
        """
        :returns: whether it was still going on.
        """
        if self._flow is Flow.OVER:
            return False
        self._flow = Flow.OVER
        self.close()
        self._consumer.unregisterProducer()
        return True

    def _succeed(self) -> None:
        if self._stop():
            self._done.callback(None)

    def _fail(self, error: Exception) -> None:
        if self._stop():
            self._done.errback(error)

    def cannotRead(self, error: Exception) -> SourceError:
        """
        :param error: what reading has raised.
        :returns: the error that says so, with that as its cause.
        """
        problem = SourceError(f"cannot read {self.name}: {reasonOf(error)}")
        problem.__cause__ = error
        return problem


@implementer(ILimitedSource)
class BlockSource(ProducingSource):
    """
    A source of which blocks of any size can be read.

    :ivar offset: how many bytes at its beginning are left out.
    """

    offset = 0
    # How much to give at most, and how much at once, or None.
    _most: int | None = None
    _blockSize: int | None = None

    def limit(self, size: int | None, blockSize: int | None) -> None:
        """Give less, or smaller blocks; see
        :class:`~twisted_transfer.interfaces.ILimitedSource`."""
        self._most = size
        self._blockSize = blockSize

    def _begin(self) -> None:
        self._read = self._reader()
        self._at = self.offset
        most = None if self._most is None else self.offset + self._most
        ends = [end for end in (self.size, most) if end is not None]
        self._end = min(ends, default=None)

    def _reader(self) -> Callable[[int], Any]:
        """
        :returns: a function that gives at most so many of the next bytes or
            characters; none at the end.
        """
        raise NotImplementedError

    def _oneBlock(self) -> bool:
        wanted = self._blockSize or BLOCK_SIZE
        if self._end is not None and self._end - self._at < wanted:
            wanted = self._end - self._at
        try:
            block = self._read(wanted)
        except BlockingIOError:  # of a stream, where the reactor was wrong
            return False
        except OSError as error:
            self._fail(self.cannotRead(error))
            return False
        self._at += len(block)
        if block:
            self._consumer.write(block)
        elif wanted and self.size is not None:
            self._fail(self._hasShrunk(self._at))
        if not block or self._at == self._end:
            self._succeed()
        return True

    def _hasShrunk(self, end: int) -> SourceError:
        """:returns: the error for what has fewer bytes than it had."""
        return SourceError(
            f"{self.name} has shrunk while it was sent: it had {self.size} bytes, but "
            f"ends after {end}; send it again when it changes no more"
        )


class BytesSource(BlockSource):
    """
    Send bytes that are in memory.

    :ivar size: how many they are.
    """

    name = "the bytes"

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        """
        :param data: what to send; what may change is copied.
        """
        self._data = bytes(data)
        self.size = len(self._data)

    def _reader(self) -> Callable[[int], bytes]:
        return io.BytesIO(self._data).read


class TextSource(BlockSource):
    """
    Send text that is in memory, over a channel that carries text.

    It writes ``str``, and counts characters.

    :ivar size: how many characters there are.
    """

    name = "the text"

    def __init__(self, text: str) -> None:
        """
        :param text: what to send.
        """
        self._text = text
        self.size = len(text)

    def _reader(self) -> Callable[[int], str]:
        return io.StringIO(self._text).read


class FileSource(BlockSource):
    """
    Send a regular file, as long as it was when it was opened.

    What was added to the file since then is not sent; if it has shrunk, that is
    a ``SourceError``.

    :ivar path: the file.
    :ivar size: how many bytes it has; None for files that do not tell, as those
        of ``/proc`` and ``/sys``.
    :ivar modified: when it was modified, in nanoseconds since 1970; None before that.
    :ivar executable: whether its owner may execute it.
    :ivar offset: how many bytes at its beginning are left out.
    :ivar fd: its descriptor while it is open, else -1.
    """

    fd = -1
    modified: int | None = None
    executable = False
    # The transport to which the kernel can send the file, what does that, and the end
    # of what it may send.
    _transport: Any = None
    _sending: Sending | None = None
    _until = 0

    def __init__(self, path: AnyPath) -> None:
        """
        :param path: the file to read.
        """
        self.path = self.name = pathText(path)

    def open(self) -> None:
        """
        Open the file and learn its size.

        :raises SourceError: if there is none, it cannot be read, or it is a
            folder or something else that is no file.
        """
        if self.fd != -1:
            return
        try:
            resolved(self.path)  # which may refuse it
            # Without O_NONBLOCK, opening a named pipe waits for a writer.
            self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            status = os.fstat(self.fd)
            if not stat.S_ISREG(status.st_mode):
                kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
                raise OSError(errno.EINVAL, f"it is {kind}")
            # Some files that the system makes up claim to be empty, or to fill a page.
            last = max(status.st_size - 1, 0)
            isTrue = bool(os.pread(self.fd, 1, last)) == bool(status.st_size)
            self.size = status.st_size if isTrue else None
            self.modified = status.st_mtime_ns if status.st_mtime_ns >= 0 else None
            self.executable = bool(status.st_mode & stat.S_IXUSR)
        except (OSError, ValueError) as error:
            self.close()
            raise SourceError(
                f"cannot read {self.path}: {reasonText(error)}; give the path of a file"
            ) from error

    def whole(self) -> bytes:
        """
        Read everything at once, and close the file.

        :returns: all that the file had when it was opened.
        :raises SourceError: if it cannot be read, or has shrunk.
        """
        self.open()
        assert self.size is not None
        content = b""
        try:
            while block := os.pread(self.fd, self.size - len(content), len(content)):
                content += block
        except OSError as error:
            raise self.cannotRead(error) from error
        finally:
            self.close()
        if len(content) < self.size:
            raise self._hasShrunk(len(content))
        return content

    def _reader(self) -> Callable[[int], bytes]:
        os.lseek(self.fd, self.offset, os.SEEK_SET)
        return partial(os.read, self.fd)

    def _register(self) -> None:
        transport = getattr(self._consumer, "bareOutput", None)
        if self._end is None or self._blockSize is not None or transport is None:
            super()._register()
        else:
            self._transport = transport
            self._until = self._at
            # As a pull producer this is asked when everything is written.
            self._consumer.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Write blocks, or have the kernel send the file."""
        if self._transport is None:
            super().resumeProducing()
        elif self._flow is Flow.OVER or self._sending is not None:
            pass
        elif self._at == self._until:
            # Something has to be written, or this is not asked again.
            self._writeFirst()
        else:
            self._sending = Sending(
                self._transport,
                self.fd,
                self._at,
                self._until,
                self._sent,
                self._cannot,
            )

    def _writeFirst(self) -> None:
        """
        Write what has to come before that which the kernel sends next: the beginning of
        a frame, if the consumer makes frames, or else the first block of the file.
        """
        assert self._end is not None
        frame = getattr(self._consumer, "frame", None)
        if frame is None or self._at == self._end:
            self._until = self._end
            self._oneBlock()
        else:
            self._until = self._at + frame(self._end - self._at)

    def _sent(self, count: int) -> None:
        """Note what the kernel has sent."""
        self._at += count
        if count == 0:
            self._fail(self._hasShrunk(self._at))
            return
        feed: Any = self._consumer
        feed.sent(count)
        if self._at == self._end:
            self._succeed()
        elif self._at == self._until:
            self._sending = None
            self.resumeProducing()

    def _cannot(self) -> None:
        """Go on as with any other consumer."""
        self._transport = None
        os.lseek(self.fd, self._at, os.SEEK_SET)
        self._consumer.unregisterProducer()
        super()._register()

    def close(self) -> None:
        """Close the file if it is open."""
        if self._sending is not None:
            self._sending.stop()
        fd, self.fd = self.fd, -1
        if fd != -1:
            os.close(fd)
