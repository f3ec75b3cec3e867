"""
Borrowing a file descriptor that others use too.

Standard input and output are shared: with the shell, with the other programs
of a pipeline, on a terminal even with each other, and ``O_NONBLOCK`` belongs
to what they share (the open file description, open(2)).  Whoever sets it and
goes away leaves programs behind that fail with EAGAIN.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Protocol


class HasFileno(Protocol):
    """An open file, a socket, or whatever else has a descriptor."""

    def fileno(self) -> int:
        """The number of the descriptor."""


AnyStream = int | HasFileno
"""What is accepted where an open stream is to be named."""


class Borrowed:
    """
    A descriptor that is non-blocking while it is used here, and goes back as
    it was.

    :ivar fd: its number.
    :ivar name: what to call it in messages.
    """

    def __init__(self, stream: AnyStream, name: str | None, close: bool) -> None:
        """
        :param stream: a descriptor, or something that has one.
        :param name: what to call it in messages; the default is its name if
            it has one, or else its number.
        :param close: whether it is to be closed when it is given back.
        """
        self.fd = stream if isinstance(stream, int) else stream.fileno()
        ownName = getattr(stream, "name", None)
        self.name = name or (
            ownName if isinstance(ownName, str) else f"file descriptor {self.fd}"
        )
        # Held on to, so that an open file is not closed by the collector.
        self._stream: AnyStream | None = stream
        self._close = close
        self._wasBlocking = False

    def status(self) -> os.stat_result:
        """
        :returns: what fstat(2) says.
        :raises OSError: if it is closed.
        """
        return os.fstat(self.fd)

    def isPlain(self) -> bool:
        """
        :returns: whether this is a regular file or a disk: always ready, and
            refused by epoll(7).
        """
        mode = self.status().st_mode
        return stat.S_ISREG(mode) or stat.S_ISBLK(mode)

    def unblock(self) -> None:
        """Let reads and writes return at once, whatever there is."""
        if os.get_blocking(self.fd):
            os.set_blocking(self.fd, False)
            self._wasBlocking = True

    def giveBack(self) -> None:
        """Put it back as it was; a second time does nothing."""
        if self._stream is None:
            return
        stream, self._stream = self._stream, None
        if self._wasBlocking:
            # Whoever closed it under us has no more use for its mode.
            with suppress(OSError):
                os.set_blocking(self.fd, True)
        if self._close:
            if isinstance(stream, int):
                os.close(stream)
            else:
                stream.close()  # type: ignore[attr-defined]
