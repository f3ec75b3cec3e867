"""
A file that is there already, where the same one is to be received again.
"""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorThreads
from zope.interface import implementer

from twisted_transfer.digested import DigestingDestination, Offer
from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import IDestination
from twisted_transfer.partfile import exists
from twisted_transfer.paths import reasonText


@implementer(IDestination)
class ExistingFile(DigestingDestination):
    """
    Takes a file that it has already, and no other.

    It offers all that there is; if the sender has exactly that, nothing is
    moved, and otherwise the file exists and is not replaced.

    :ivar path: the file; it is only read.
    """

    def __init__(self, path: str, reactor: IReactorThreads | None = None) -> None:
        """
        :param path: the file.
        :param reactor: with one, its threads hash.
        """
        super().__init__(reactor, None)
        self.path = path
        self._fd = -1
        self._offered = -1
        self._reading: Deferred[int] | None = None

    def open(self) -> None:
        """
        :raises DestinationError: if it cannot be read.
        """
        if self._fd != -1:
            return
        try:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = os.open(self.path, flags)
        except OSError as error:
            raise exists(self.path) from error

    def checkSize(self, size: int) -> None:
        """
        :param size: how many bytes are announced, or have come.
        :raises DestinationError: if this file has another size.
        """
        if os.fstat(self._fd).st_size != size:
            raise exists(self.path)

    def offer(self) -> Deferred[Offer]:
        """:returns: a Deferred with its size and its digest."""
        return Deferred.fromCoroutine(self._offer())

    async def _offer(self) -> Offer:
        size = os.fstat(self._fd).st_size
        try:
            self._reading = self._digest.hashFile(self._fd, size)
            await self._reading
        except OSError as error:
            raise DestinationError(
                f"cannot read {self.path}, which exists: {reasonText(error)}", "exists"
            ) from error
        self._offered = self._digest.count
        return (self._offered, self._digest.digest()) if self._offered else (0, None)

    def start(self, offset: int) -> None:
        """
        :param offset: where the sender begins.
        :raises DestinationError: if that is not behind the end of this file.
        """
        if offset != self._offered:
            raise exists(self.path)

    def _store(self, data: bytes) -> None:
        raise exists(self.path)

    def finish(self) -> Deferred[None]:
        """:returns: a Deferred that has fired: it is stored, and was before."""
        self.abort()
        return succeed(None)

    def abort(self) -> None:
        """Leave it as it is."""
        if self._reading is not None:
            self._reading.cancel()
        fd, self._fd = self._fd, -1
        if fd != -1:
            os.close(fd)
