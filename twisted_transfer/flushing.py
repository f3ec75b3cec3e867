"""
Making what was written last, even if the machine stops.
"""

from __future__ import annotations

import errno
import os

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorThreads
from twisted.python.failure import Failure

_NO_FOLDER_FLUSH = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF})


async def flushFile(fd: int, reactor: IReactorThreads | None) -> None:
    """
    Wait until all of a file is on the disk (fsync(2)).

    A thread cannot be stopped: when this is cancelled, it ends as it
    should, but not before the thread no longer uses the descriptor.

    :param fd: the open file.
    :param reactor: has the threads that wait; without it, this waits.
    :raises OSError: if the disk says that it cannot.
    """
    if reactor is None:
        os.fsync(fd)
        return
    outcome: Deferred[None] = Deferred()
    over: Deferred[None] = Deferred()

    def flushed(success: bool, result: Failure | None) -> None:
        over.callback(None)
        if not outcome.called:
            outcome.callback(result)

    reactor.getThreadPool().callInThreadWithCallback(
        lambda *result: reactor.callFromThread(flushed, *result), os.fsync, fd
    )
    try:
        await outcome
    except CancelledError:
        await over
        raise


def flushFolder(path: str) -> None:
    """
    Wait until the names in a folder are on the disk, where that can be asked.

    :param path: the folder.
    :raises OSError: if the disk says that it cannot.
    """
    try:
        folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise
