"""
A file that is there already, where the same one is to be received again.
"""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorThreads
from zope.interface import implementer

from twisted_transfer.digested import DigestingDestination
from twisted_transfer.errors import DestinationError
from twisted_transfer.flushing import flushFile
from twisted_transfer.interfaces import IDestination
from twisted_transfer.partfile import exists
from twisted_transfer.paths import reasonText

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@implementer(IDestination)
class ExistingFile(DigestingDestination):
    """
    Takes a file that it has already, and no other.

    What comes is compared and not stored.  The sender is told nothing of what
    is there, not even its digest, by which it could find out more: it hears
    only at the first difference that a file exists.

    :ivar path: the file; it is only read.
    """

    def __init__(self, path: str, reactor: IReactorThreads | None = None) -> None:
        """
        :param path: the file.
        :param reactor: with one, its threads hash, and wait for the disk.
        """
        super().__init__(reactor, None)
        self.path = path
        self._reactor = reactor
        self._fd = -1
        self._found: tuple[int, int] = (0, 0)

    def _status(self) -> tuple[int, int]:
        """The size, and when it was last changed."""
        status = os.fstat(self._fd)
        return status.st_size, status.st_mtime_ns

    def open(self) -> None:
        """
        :raises DestinationError: if it cannot be read.
        """
        if self._fd != -1:
            return
        try:
            self._fd = os.open(self.path, _FLAGS)
        except OSError as error:
            raise exists(self.path) from error
        self._found = self._status()

    def checkSize(self, size: int) -> None:
        """
        :param size: how many bytes are announced, or have come.
        :raises DestinationError: if this file has fewer.
        """
        if size > self._found[0]:
            raise exists(self.path)

    def _store(self, data: bytes) -> None:
        if os.pread(self._fd, len(data), self.size) != data:
            raise exists(self.path)

    def finish(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when it is on the disk; it fails with
            ``DestinationError`` if there is more in it than has come, or if
            somebody has changed it meanwhile.
        """
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        if self.size != self._found[0] or self._status() != self._found:
            raise exists(self.path)
        try:
            await flushFile(self._fd, self._reactor)
        except OSError as error:
            raise DestinationError(
                f"cannot store {self.path}: {reasonText(error)}",
                reason=reasonText(error),
            ) from error
        self.abort()

    def abort(self) -> None:
        """Leave it as it is."""
        fd, self._fd = self._fd, -1
        if fd != -1:
            os.close(fd)
