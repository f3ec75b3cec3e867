"""
Notice whether another program has a file open, or opens it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import struct
from functools import cache

_IN_OPEN, _IN_Q_OVERFLOW = 0x20, 0x4000  # <sys/inotify.h>
_EVENT = struct.Struct("iIII")  # the watch, what happened, a cookie, bytes of a name


class Openings:
    """
    Notices when others open some files (inotify(7)).

    There is one in a process, which is never closed: the system takes 10 ms for that.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._fd = -1
        self._noticed: dict[int, bool] = {}

    def watch(self, fd: int) -> int:
        """
        Look at a file from now on.

        :param fd: the file, which is open here.
        :returns: the number of the watch; negative where the system has none.
        """
        if not hasattr(self._libc, "inotify_init1"):
            return -1
        if self._fd == -1:
            self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        path = b"/proc/self/fd/%d" % fd
        number: int = self._libc.inotify_add_watch(self._fd, path, _IN_OPEN)
        if number >= 0:
            self._noticed[number] = False
        return number

    def noticed(self, number: int) -> bool:
        """
        :param number: of a watch.
        :returns: whether somebody has opened the file, or that cannot be known.
        """
        self._read()
        return self._noticed.get(number, True)

    def _read(self) -> None:
        """Note what has happened since this was called last."""
        while self._noticed:
            try:
                events = os.read(self._fd, 65536)
            except BlockingIOError:
                return
            offset = 0
            while offset < len(events):
                number, what, _, length = _EVENT.unpack_from(events, offset)
                offset += _EVENT.size + length
                if what & _IN_Q_OVERFLOW:
                    # Events are lost, whosever they are.
                    self._noticed = dict.fromkeys(self._noticed, True)
                elif what & _IN_OPEN and number in self._noticed:
                    self._noticed[number] = True

    def forget(self, number: int) -> None:
        """
        Look no longer.

        :param number: of a watch.
        """
        if self._noticed.pop(number, None) is not None:
            self._libc.inotify_rm_watch(self._fd, number)


@cache
def _of(process: int) -> Openings:
    return Openings()


def openings() -> Openings:
    """:returns: that of this process; a child has its own."""
    return _of(os.getpid())


def isAlone(fd: int) -> bool:
    """
    :param fd: a file that is open here for writing.
    :returns: whether it is certain that nobody else has it open just now.
    """
    try:
        # The system gives such a lease only then (fcntl(2)).  Who opens the file
        # before it is given back causes a signal: one that does nothing.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except (AttributeError, OSError):
        return False
    return True
