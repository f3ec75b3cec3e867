"""
A file that is either whole or not there.

The bytes go to ``NAME.part`` in the same folder, and ``NAME`` appears in one
step when all of them are on the disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorThreads
from twisted.python.failure import Failure

from twisted_transfer.errors import DestinationError
from twisted_transfer.paths import reasonText

SUFFIX = ".part"
"""What is put behind the name of a file that is not whole yet."""

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
_NO_FOLDER_FLUSH = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF})


class PartFile:
    """
    The part of one target, held against everybody else by a lock (flock(2)).

    :ivar path: where it is.
    :ivar fd: its open descriptor, for writing.
    """

    fd = -1

    def __init__(self, target: str, replace: bool) -> None:
        """
        :param target: the absolute path of the file that is to appear.
        :param replace: whether a target, or a part that an interrupted
            transfer has left, may be replaced.
        """
        self.path = target + SUFFIX
        self._target = target
        self._replace = replace

    def create(self) -> None:
        """
        Make an empty part that only the owner can read.

        What is there already is never written to, for its name may be the
        second one of a file that somebody needs.

        :raises DestinationError: if there is one that may not be replaced, or
            that another transfer is writing, or none can be made.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            try:
                fd = os.open(self.path, flags, 0o600)
            except FileExistsError:
                self._clearAway()
            except (OSError, ValueError) as error:
                reason = reasonText(error) if isinstance(error, OSError) else str(error)
                raise DestinationError(
                    f"cannot write in {os.path.dirname(self._target)}: {reason}; "
                    "choose a folder that exists and that you may write to"
                ) from error
            else:
                break
        if not self._lock(fd):
            os.close(fd)
            raise self._taken()
        self.fd = fd

    def _taken(self) -> DestinationError:
        return DestinationError(
            f"another transfer is receiving {self._target} at this moment; "
            "wait for its end, or choose another name"
        )

    def _lock(self, fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            # Where a file system has no locks, O_EXCL alone has to do.
            if error.errno not in _NO_LOCKS:
                raise
        return True

    def _clearAway(self) -> None:
        """Remove an abandoned part, if that is allowed."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            old = os.open(self.path, flags)
        except FileNotFoundError:
            return
        except OSError as error:
            raise DestinationError(
                f"{self.path} is in the way and cannot be opened "
                f"({reasonText(error)}); move it away"
            ) from error
        try:
            if not stat.S_ISREG(os.fstat(old).st_mode):
                raise DestinationError(
                    f"{self.path} is in the way and no regular file; move it away"
                )
            if not self._lock(old):
                raise self._taken()
            if not self._replace:
                raise DestinationError(
                    f"{self.path} is there already, left by an interrupted transfer "
                    "or by another program; move it away, or give --force "
                    "(force=True) to start over"
                )
            if self._isAt(old, self.path):
                os.unlink(self.path)
        except OSError as error:
            raise DestinationError(
                f"{self.path} is in the way and cannot be removed: {reasonText(error)}"
            ) from error
        finally:
            os.close(old)

    @staticmethod
    def _isAt(fd: int, path: str) -> bool:
        """Whether the path still leads to the open file."""
        try:
            return os.path.samestat(os.fstat(fd), os.lstat(path))
        except FileNotFoundError:
            return False

    async def flush(self, mode: int, reactor: IReactorThreads | None) -> None:
        """
        Wait until everything that was written is on the disk.

        A thread cannot be stopped: when this is cancelled, it ends as it
        should, but not before the thread no longer uses the descriptor.

        :param mode: the permission bits that the target is to have.
        :param reactor: has the threads that wait; without it, this waits.
        :raises DestinationError: if the disk says that it cannot.
        """
        try:
            os.fchmod(self.fd, mode)
            if reactor is None:
                os.fsync(self.fd)
            else:
                await self._flushInThread(reactor)
        except OSError as error:
            raise self._cannotStore(error) from error

    async def _flushInThread(self, reactor: IReactorThreads) -> None:
        outcome: Deferred[None] = Deferred()
        over: Deferred[None] = Deferred()

        def flushed(success: bool, result: Failure | None) -> None:
            over.callback(None)
            if not outcome.called:
                outcome.callback(result)

        reactor.getThreadPool().callInThreadWithCallback(
            lambda *result: reactor.callFromThread(flushed, *result),
            os.fsync,
            self.fd,
        )
        try:
            await outcome
        except CancelledError:
            await over
            raise

    def _cannotStore(self, error: OSError) -> DestinationError:
        return DestinationError(f"cannot store {self._target}: {reasonText(error)}")

    def publish(self) -> None:
        """
        Let the target appear, whole.

        :raises DestinationError: if it cannot, in which case an older target
            is as it was.
        """
        if not self._isAt(self.fd, self.path):
            raise DestinationError(
                f"somebody has removed or replaced {self.path} meanwhile; "
                "receive it again"
            )
        try:
            if self._replace:
                os.replace(self.path, self._target)
            else:
                self._publishNew()
            self._flushFolder()
        except FileExistsError as error:
            raise exists(self._target, " by now") from error
        except OSError as error:
            raise self._cannotStore(error) from error
        os.close(self.fd)
        self.fd = -1

    def _publishNew(self) -> None:
        """Give the part its name unless that is taken; rename(2) would take it."""
        try:
            os.link(self.path, self._target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without hard links: look, then rename.
            if os.path.lexists(self._target):
                raise FileExistsError(self._target) from error
            os.rename(self.path, self._target)
        else:
            with suppress(OSError):
                os.unlink(self.path)

    def _flushFolder(self) -> None:
        """Make the new name as lasting as the bytes."""
        try:
            folder = os.open(os.path.dirname(self._target), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            if error.errno not in _NO_FOLDER_FLUSH:
                raise

    def discard(self) -> None:
        """Remove the part, if there is one and it is ours."""
        if self.fd == -1:
            return
        fd, self.fd = self.fd, -1
        with suppress(OSError):
            if self._isAt(fd, self.path):
                os.unlink(self.path)
        os.close(fd)


def targetMode(target: str, replace: bool) -> int:
    """
    Check what is at the place of the target.

    :param target: the absolute path of the file that is to appear.
    :param replace: whether it may be there already.
    :returns: the permission bits that open(2) would leave it with.
    :raises DestinationError: if it is there and may not be replaced, or is
        something else than a regular file.
    """
    try:
        status = os.lstat(target)
    except (OSError, ValueError):
        # Whatever is wrong with the folder is said when the part is made.  The
        # mask can only be read by setting it; for that moment, let other
        # threads make files that are too private, not too open.
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask
    if stat.S_ISDIR(status.st_mode):
        raise DestinationError(f"{target} is a folder; give the path of a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise DestinationError(
            f"{target} is no regular file and cannot be replaced; "
            "open it and use a StreamDestination"
        )
    if not replace:
        raise exists(target)
    return stat.S_IMODE(status.st_mode) & 0o777


def exists(target: str, when: str = "") -> DestinationError:
    """
    :param target: what is there.
    :param when: since when, for the message.
    :returns: the error for a target that may not be replaced.
    """
    return DestinationError(
        f"{target} exists{when} and is not replaced; choose another name, or give "
        "--force (force=True)"
    )
