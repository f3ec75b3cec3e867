"""
The part of a file that an interrupted transfer has left, held to go on with it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from twisted_transfer.errors import DestinationError
from twisted_transfer.partfile import PartFile
from twisted_transfer.paths import reasonText

_FOUND = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class ResumablePart(PartFile):
    """
    A part that is taken over if it is there already.

    Only a regular file is, of the user that this program runs as, without a
    second name: what is written to it is seen by nobody else, and changes
    nothing that somebody needs.  Where the file system has no locks, nothing
    can be taken over.

    :ivar found: how many bytes of it were there already.
    """

    found = 0

    def _meet(self) -> None:
        """Take over the part that is there."""
        try:
            # Opening a device can have an effect of its own.
            self._judge(os.lstat(self.path))
            fd = os.open(self.path, _FOUND)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._inTheWay(f"cannot be opened ({reasonText(error)})") from error
        self._hold(fd)
        if self.fd == -1:
            return
        taken = False
        try:
            taken = self._takeOver(fd)
        finally:
            if not taken:
                self.fd = -1
                os.close(fd)
        if not taken:
            super()._meet()

    def _judge(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise self._inTheWay("is no regular file")
        if status.st_uid != os.geteuid():
            raise self._inTheWay("belongs to another user")

    def _takeOver(self, fd: int) -> bool:
        """:returns: whether one can go on with what is locked by now."""
        status = os.fstat(fd)
        self._judge(status)
        secondName = status.st_nlink > 1
        if secondName and not self._isAt(fd, self._target):
            raise self._inTheWay("has a second name")
        if secondName or not self._locks:
            # A transfer was killed between the two steps of its end, and this
            # is the whole target; or another one may be writing it now.
            return False
        folder = os.path.dirname(self.path)
        effective = os.access in os.supports_effective_ids
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
            raise self._noPlace(PermissionError("it is read-only"))
        try:
            os.fchmod(fd, 0o600)
        except OSError as error:
            raise self._cannotStore(error) from error
        self.found = status.st_size
        return True

    def goOnAt(self, offset: int) -> None:
        """
        Forget what stands behind an offset, and write there next.

        :param offset: in bytes; 0 to start over.
        :raises DestinationError: if the system refuses.
        """
        try:
            os.ftruncate(self.fd, offset)
            os.lseek(self.fd, offset, os.SEEK_SET)
        except OSError as error:
            raise self._cannotStore(error) from error

    def write(self, data: bytes) -> None:
        """
        :param data: the next bytes.
        :raises DestinationError: if not all of them can be stored; some may be.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self.fd, rest) :]
            except OSError as error:
                raise self._cannotStore(error) from error

    def check(self, size: int) -> None:
        """
        Make sure that nobody else has written to it.

        :param size: how many bytes it has to have.
        :raises DestinationError: if it has not.
        """
        if os.fstat(self.fd).st_size != size:
            raise self._changed()

    def cannotRead(self, error: OSError) -> DestinationError:
        """:returns: the error for what is there, but cannot be read."""
        return self._inTheWay(f"cannot be read ({reasonText(error)})")

    def keep(self) -> None:
        """Give it back, to be found by the next transfer; nothing, if empty."""
        if self.fd == -1:
            return
        if os.fstat(self.fd).st_size == 0:
            self.discard()
            return
        # It may have got the mode of the target already.
        with suppress(OSError):
            os.fchmod(self.fd, 0o600)
        fd, self.fd = self.fd, -1
        os.close(fd)
