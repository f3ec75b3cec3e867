"""
Open files, pipes, terminals and sockets, as sources and as destinations.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.data.parts import raising, reasonText
from twisted_transfer.data.sources import BlockSource, Flow
from twisted_transfer.deferreds import deferring
from twisted_transfer.errors import DestinationError, SourceError
from twisted_transfer.interfaces import IDestination


class HasFileno(Protocol):
    """An open file, a socket, or whatever else has a descriptor."""

    def fileno(self) -> int:
        """The number of the descriptor."""


AnyStream = int | HasFileno
"""The types of an open stream."""


class Stream:
    """
    A descriptor that is open already, and non-blocking while it is used here; its
    mode is restored in the end.
    """

    def __init__(
        self,
        reactor: Any,
        stream: AnyStream,
        *,
        name: str | None = None,
        close: bool = False,
    ) -> None:
        """
        :param reactor: watches the stream; an ``IReactorFDSet``.
        :param stream: a file descriptor, or an open file.  What Python's buffer of
            that file holds is neither sent nor flushed; do not use the file
            otherwise meanwhile.
        :param name: what to call it in messages; the default is its own name, or
            else its number.
        :param close: whether to close it at the end.
        """
        self._reactor = reactor
        self._fd = stream if isinstance(stream, int) else stream.fileno()
        ownName = getattr(stream, "name", None)
        self.name = name or (
            ownName if isinstance(ownName, str) else f"file descriptor {self._fd}"
        )
        # Held on to, so that an open file is not closed by the collector.
        self._stream: AnyStream | None = stream
        self._closes = close
        self._wasBlocking = False

    def fileno(self) -> int:
        """:returns: the descriptor."""
        return self._fd

    def _isPlain(self) -> bool:
        """
        :returns: whether this is a regular file or a disk: always ready, and
            refused by epoll(7).
        """
        mode = os.fstat(self._fd).st_mode
        return stat.S_ISREG(mode) or stat.S_ISBLK(mode)

    def _unblock(self) -> None:
        """Let reads and writes return at once, whatever there is."""
        if not self._wasBlocking and os.get_blocking(self._fd) and not self._isPlain():
            os.set_blocking(self._fd, False)
            self._wasBlocking = True

    def _giveBack(self) -> None:
        """Restore the mode, and close it if that was asked for; safe to repeat."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if self._wasBlocking:
            # It may have been closed meanwhile.
            with suppress(OSError):
                os.set_blocking(self._fd, True)
        if self._closes:
            if isinstance(stream, int):
                os.close(stream)
            else:
                stream.close()  # type: ignore[attr-defined]


@implementer(IDestination, IWriteDescriptor)
class StreamDestination(Stream):
    """
    Write to what is open already: a pipe, a terminal, a socket, a device, or a
    regular file at its current position.

    It never blocks the reactor's thread, and restores the blocking mode of the
    descriptor in the end.
    """

    _rest = memoryview(b"")
    _waiting: Deferred[None] | None = None

    def open(self) -> None:
        """
        Check the descriptor.

        :raises DestinationError: if it is closed, or open for reading only.
        """
        with raising(self._cannotWrite):
            flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        if flags & os.O_ACCMODE == os.O_RDONLY:
            raise DestinationError(
                f"cannot write {self.name}: it is open for reading only"
            )

    def _cannotWrite(self, error: OSError) -> DestinationError:
        reason = reasonText(error)
        return DestinationError(f"cannot write {self.name}: {reason}", reason=reason)

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Hand some bytes to the system, or as many as it takes at once.

        :param data: the next bytes.
        :returns: None, or a Deferred that fires when the system has taken the
            rest; see :class:`~twisted_transfer.interfaces.IDestination`.
        :raises DestinationError: if the system refuses them.
        """
        self.open()
        self._unblock()
        self._rest = memoryview(data)
        self._push()
        if not self._rest:
            return None
        self._waiting = Deferred(lambda _: self._settle(Failure(CancelledError())))
        self._reactor.addWriter(self)
        return self._waiting

    def _push(self) -> None:
        """Write as much as there is room for."""
        while self._rest:
            try:
                self._rest = self._rest[os.write(self._fd, self._rest) :]
            except BlockingIOError:
                return
            except OSError as error:
                self._rest = memoryview(b"")
                raise self._cannotWrite(error) from error

    def _settle(self, result: Failure | None = None) -> None:
        """Wait for room no more, and fire the Deferred that has waited, if any."""
        self._reactor.removeWriter(self)
        self._rest = memoryview(b"")
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(result)

    def logPrefix(self) -> str:
        """:returns: the name of this in Twisted's log."""
        return "StreamDestination"

    def doWrite(self) -> None:
        """Write on: there is room, or the other end is closed."""
        try:
            self._push()
        except DestinationError:
            self._settle(Failure())
        if not self._rest:
            self._settle()

    def connectionLost(self, reason: Failure) -> None:
        """Fail: the other end is closed, and write(2) says why."""
        self.doWrite()
        error = DestinationError(
            f"cannot write {self.name}: {reason.getErrorMessage()}",
            reason="the receiver's output was closed",
        )
        self._settle(Failure(error))

    @deferring
    async def finish(self) -> None:
        """
        Restore the stream's mode; the system has everything.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        self.open()
        self._giveBack()

    def abort(self) -> None:
        """Restore the stream's mode; what was written to it stays."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._giveBack()


STREAM_BLOCK_SIZE = 128 * 1024
"""How many bytes of a stream are read at once at most; a pipe of Linux holds
half as many."""


@implementer(IReadDescriptor)
class StreamSource(Stream, BlockSource):
    """
    Send what is open already: a pipe, a terminal, a socket, a device, or a regular
    file from its current position.

    It never blocks the reactor's thread, and restores the blocking mode of the
    descriptor in the end.

    :ivar size: how many bytes are left if it is a regular file, else None.
    """

    _plain = True

    def open(self) -> None:
        """
        Check the descriptor.

        :raises SourceError: if it is closed or a folder.
        """
        try:
            status = os.fstat(self._fd)
            if stat.S_ISDIR(status.st_mode):
                raise OSError(errno.EISDIR, "it is a folder")
            if stat.S_ISREG(status.st_mode) and status.st_size > 0:
                position = os.lseek(self._fd, 0, os.SEEK_CUR)
                self.size = max(status.st_size - position, 0)
        except OSError as error:
            raise self.cannotRead(error) from error

    def _reader(self) -> Callable[[int], bytes]:
        self._unblock()
        self._plain = self._isPlain()
        if not self._plain and self._blockSize is None:
            self._blockSize = STREAM_BLOCK_SIZE
        return partial(os.read, self._fd)

    def logPrefix(self) -> str:
        """:returns: the name of this in Twisted's log."""
        return "StreamSource"

    def pauseProducing(self) -> None:
        """Read no more for now: the consumer is full."""
        super().pauseProducing()
        self._reactor.removeReader(self)

    def resumeProducing(self) -> None:
        """Read what never has to be waited for, or watch the descriptor."""
        if self._plain:
            super().resumeProducing()
        elif self._flow is not Flow.OVER:
            self._reactor.addReader(self)

    def doRead(self) -> None:
        """Read what is there, or the end."""
        self._oneBlock()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor sees a hang-up and nothing to read.

        With a pipe that is the end of the file; read(2) says whether it is
        also the end of anything else.
        """
        if isinstance(reason.value, ConnectionDone):
            self.doRead()
        if self._flow is not Flow.OVER:
            self._fail(
                SourceError(f"cannot read {self.name}: {reason.getErrorMessage()}")
            )

    def close(self) -> None:
        """Restore the stream's mode, or close it if ``close`` was given."""
        self._reactor.removeReader(self)
        self._giveBack()
