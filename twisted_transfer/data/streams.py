"""
Open files, pipes, terminals and sockets, as sources and as destinations.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
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


def _openAgain(fd: int) -> int | None:
    """
    Open the pipe or terminal of a descriptor a second time.

    :param fd: the descriptor; its own mode, which other programs may share with
        this one, stays as it is.
    :returns: a descriptor that is non-blocking and nobody else's; None for
        anything else, or where the system does not allow it, as with the terminal
        of another user.
    """
    status = os.fstat(fd)
    # To open the master of a pseudo-terminal, ptmx(4), makes another one.
    terminal = status.st_rdev != os.makedev(5, 2) and os.isatty(fd)
    if not (stat.S_ISFIFO(status.st_mode) or terminal):
        return None
    access = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    flags = access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with suppress(OSError):
        return os.open(f"/proc/self/fd/{fd}", flags)
    return None


def _waitFor(fd: int, event: int) -> None:
    """:raises BlockingIOError: if a descriptor is not ready."""
    poll = select.poll()
    poll.register(fd, event)
    if not poll.poll(0):
        raise BlockingIOError


def _readReady(fd: int, size: int) -> bytes:
    """Read from a descriptor that may block, if there is something."""
    _waitFor(fd, select.POLLIN)
    return os.read(fd, size)


def _writeReady(fd: int, data: memoryview) -> int:
    """
    Write as much to a descriptor that may block as it has room for, if it has any.

    A pipe that is ready has room for ``PIPE_BUF`` bytes, pipe(7); a terminal that is
    ready has room for some, and waits within a larger write, for how many it does not
    tell.
    """
    _waitFor(fd, select.POLLOUT)
    return os.write(fd, data[: 1 if os.isatty(fd) else select.PIPE_BUF])


class Stream:
    """
    A descriptor that is open already, used without waiting.

    Its mode is never changed: a shell and other programs may share it, and would
    find it non-blocking whenever this process is stopped or killed.
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
        self._release: Callable[[], object] = lambda: None

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

    def _access(self) -> tuple[Callable[[int], bytes], Callable[[memoryview], int]]:
        """
        :returns: a function that reads and one that writes; both raise
            ``BlockingIOError`` instead of waiting.
        """
        fd = self._fd
        if self._isPlain() or not os.get_blocking(fd):
            return partial(os.read, fd), partial(os.write, fd)
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            sock = socket.socket(fileno=os.dup(fd))
            self._release = sock.close
            return (
                lambda size: sock.recv(size, socket.MSG_DONTWAIT),
                lambda data: sock.send(data, socket.MSG_DONTWAIT),
            )
        own = _openAgain(fd)
        if own is None:
            return partial(_readReady, fd), partial(_writeReady, fd)
        self._release = partial(os.close, own)
        return partial(os.read, own), partial(os.write, own)

    def _giveBack(self) -> None:
        """Close what was opened here, and the stream if asked; safe to repeat."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        self._release()
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

    It does not block the reactor's thread, and leaves the blocking mode of the
    descriptor, which other programs may share, as it is.
    """

    _rest = memoryview(b"")
    _waiting: Deferred[None] | None = None
    _write: Callable[[memoryview], int] | None = None

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
        if self._write is None:
            _, self._write = self._access()
        self._rest = memoryview(data)
        self._push()
        if not self._rest:
            return None
        self._waiting = Deferred(lambda _: self._settle(Failure(CancelledError())))
        self._reactor.addWriter(self)
        return self._waiting

    def _push(self) -> None:
        """Write as much as there is room for."""
        while self._write and self._rest:
            try:
                self._rest = self._rest[self._write(self._rest) :]
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
        End the use of the stream; the system has everything.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        self.open()
        self._giveBack()

    def abort(self) -> None:
        """End the use of the stream; what was written to it stays."""
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

    It does not block the reactor's thread, and leaves the blocking mode of the
    descriptor, which other programs may share, as it is.

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
        self._plain = self._isPlain()
        if not self._plain and self._blockSize is None:
            self._blockSize = STREAM_BLOCK_SIZE
        read, _ = self._access()
        return read

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
        """End the use of the stream, and close it if ``close`` was given."""
        self._reactor.removeReader(self)
        self._giveBack()
