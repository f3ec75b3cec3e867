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

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IConsumer, IReactorFDSet
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.bytessource import BytesSource, TextSource
from twisted_transfer.errors import SourceError
from twisted_transfer.interfaces import ILimitedSource
from twisted_transfer.iterablesource import IterableSource
from twisted_transfer.nonblocking import AnyStream, Borrowed
from twisted_transfer.paths import AnyPath, pathText, reasonText
from twisted_transfer.producing import (
    FileProduction,
    Limit,
    Production,
    StreamProduction,
)

__all__ = ["BytesSource", "FileSource", "IterableSource", "StreamSource", "TextSource"]


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


@implementer(ILimitedSource)
class StreamSource:
    """
    Something that is open already: a pipe, a terminal, a socket, a device, or
    a regular file from where it stands.

    It never waits for input in the reactor's thread, and leaves the blocking
    mode of the descriptor as it was.

    :ivar size: how many bytes are left if it is a regular file, else None.
    """

    size: int | None = None

    def __init__(
        self,
        reactor: IReactorFDSet,
        stream: AnyStream,
        *,
        name: str | None = None,
        close: bool = False,
    ) -> None:
        """
        :param reactor: watches the stream.
        :param stream: a file descriptor, or an open file (what its Python
            buffer holds already is not sent).
        :param name: what to call it in messages.
        :param close: whether to close it after the copy.
        """
        self._reactor = reactor
        self._borrowed = Borrowed(stream, name, close)
        self._limit = Limit()

    def open(self) -> None:
        """
        Make sure that it is open.

        :raises SourceError: if it is closed or a folder.
        """
        try:
            status = self._borrowed.status()
            if stat.S_ISREG(status.st_mode) and status.st_size > 0:
                position = os.lseek(self._borrowed.fd, 0, os.SEEK_CUR)
                self.size = max(status.st_size - position, 0)
        except OSError as error:
            raise SourceError(
                f"cannot read {self._borrowed.name}: {reasonText(error)}"
            ) from error
        if stat.S_ISDIR(status.st_mode):
            raise SourceError(f"cannot read {self._borrowed.name}: it is a folder")

    def limit(self, size: int | None, blockSize: int | None) -> None:
        """Read less, or in other blocks; see
        :class:`~twisted_transfer.interfaces.ILimitedSource`."""
        self._limit = Limit(size, blockSize)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Write everything up to the end of the stream to the consumer.

        :param consumer: who gets it.
        :returns: see :class:`~twisted_transfer.interfaces.ISource`.
        """
        try:
            self.open()
        except SourceError as error:
            return fail(error)
        fd, name = self._borrowed.fd, self._borrowed.name
        production: Production
        if self._borrowed.isPlain():
            production = FileProduction(fd, name, consumer, self.size, self._limit)
        else:
            self._borrowed.unblock()
            production = StreamProduction(
                self._reactor, fd, name, consumer, self._limit
            )
        return production.begin().addBoth(self._closeAfter)

    def _closeAfter(self, result: Failure | None) -> Failure | None:
        self.close()
        return result

    def close(self) -> None:
        """Give the stream back as it was, or close it if that was asked for."""
        self._borrowed.giveBack()
