"""
Open files, pipes, terminals and sockets, as sources and as destinations.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IConsumer, IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.data.parts import reasonText
from twisted_transfer.data.sources import (
    FileProduction,
    Flow,
    Limited,
    Production,
    lowest,
)
from twisted_transfer.errors import DestinationError, SourceError
from twisted_transfer.interfaces import IDestination, ILimitedSource


class HasFileno(Protocol):
    """An open file, a socket, or whatever else has a descriptor."""

    def fileno(self) -> int:
        """The number of the descriptor."""


AnyStream = int | HasFileno
"""The types of an open stream."""


class Borrowed:
    """
    A descriptor that is non-blocking while it is used here; its mode is restored
    in the end.

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
        :raises OSError: if the descriptor is closed.
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
        if not self._wasBlocking and os.get_blocking(self.fd) and not self.isPlain():
            os.set_blocking(self.fd, False)
            self._wasBlocking = True

    def giveBack(self) -> None:
        """Restore the mode, and close it if that was asked for; safe to repeat."""
        if self._stream is None:
            return
        stream, self._stream = self._stream, None
        if self._wasBlocking:
            # It may have been closed meanwhile.
            with suppress(OSError):
                os.set_blocking(self.fd, True)
        if self._close:
            if isinstance(stream, int):
                os.close(stream)
            else:
                stream.close()  # type: ignore[attr-defined]


@implementer(IDestination, IWriteDescriptor)
class StreamDestination:
    """
    Write to what is open already: a pipe, a terminal, a socket, a device, or a
    regular file at its current position.

    It never blocks the reactor's thread, and restores the blocking mode of the
    descriptor in the end.
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
        :param stream: a file descriptor, or an open file (which has to be
            flushed, and not used meanwhile).
        :param name: what to call it in messages.
        :param close: whether to close it at the end.
        """
        self._reactor = reactor
        self._borrowed = Borrowed(stream, name, close)
        self._rest = memoryview(b"")
        self._waiting: Deferred[None] | None = None

    def open(self) -> None:
        """
        Check the descriptor.

        :raises DestinationError: if it is closed, or open for reading only.
        """
        try:
            flags = fcntl.fcntl(self._borrowed.fd, fcntl.F_GETFL)
        except OSError as error:
            raise self._cannotWrite(error) from error
        if flags & os.O_ACCMODE == os.O_RDONLY:
            raise DestinationError(
                f"cannot write {self._borrowed.name}: it is open for reading only"
            )

    def _cannotWrite(self, error: OSError) -> DestinationError:
        reason = reasonText(error)
        return DestinationError(
            f"cannot write {self._borrowed.name}: {reason}", reason=reason
        )

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Hand some bytes to the system, or as many as it takes at once.

        :param data: the next bytes.
        :returns: None, or a Deferred that fires when the system has taken the
            rest; see :class:`~twisted_transfer.interfaces.IDestination`.
        :raises DestinationError: if the system refuses them.
        """
        self.open()
        self._borrowed.unblock()
        self._rest = memoryview(data)
        self._push()
        if not self._rest:
            return None
        self._waiting = Deferred(self._cancelled)
        self._reactor.addWriter(self)
        return self._waiting

    def _push(self) -> None:
        """Write as much as there is room for."""
        while self._rest:
            try:
                self._rest = self._rest[os.write(self._borrowed.fd, self._rest) :]
            except BlockingIOError:
                return
            except OSError as error:
                self._rest = memoryview(b"")
                raise self._cannotWrite(error) from error

    def _cancelled(self, waiting: Deferred[None]) -> None:
        # The Deferred itself then fails with CancelledError.
        self._settle()

    def _settle(self) -> Deferred[None] | None:
        """Stop waiting for room, and return the Deferred that waited."""
        self._reactor.removeWriter(self)
        self._rest = memoryview(b"")
        waiting, self._waiting = self._waiting, None
        return waiting

    def fileno(self) -> int:
        """:returns: the descriptor that the reactor watches."""
        return self._borrowed.fd

    def logPrefix(self) -> str:
        """:returns: the name of this in Twisted's log."""
        return "StreamDestination"

    def doWrite(self) -> None:
        """Write on: there is room, or the other end is closed."""
        try:
            self._push()
        except DestinationError as error:
            waiting = self._settle()
            if waiting is not None:
                waiting.errback(error)
            return
        if not self._rest:
            waiting = self._settle()
            if waiting is not None:
                waiting.callback(None)

    def connectionLost(self, reason: Failure) -> None:
        """Fail: the other end is closed, and write(2) says why."""
        self.doWrite()
        waiting = self._settle()
        if waiting is not None:
            waiting.errback(
                DestinationError(
                    f"cannot write {self._borrowed.name}: {reason.getErrorMessage()}",
                    reason="the receiver's output was closed",
                )
            )

    async def _finish(self) -> None:
        self.open()
        self._borrowed.giveBack()

    def finish(self) -> Deferred[None]:
        """
        Restore the stream's mode; the system has everything.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        return Deferred.fromCoroutine(self._finish())

    def abort(self) -> None:
        """Restore the stream's mode; what was written to it stays."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._borrowed.giveBack()


STREAM_BLOCK_SIZE = 128 * 1024
"""How many bytes of a stream are read at once at most; a pipe of Linux holds
half as many."""


@implementer(IReadDescriptor)
class StreamProduction(Production):
    """Write a descriptor that the reactor watches."""

    def __init__(
        self, source: Limited, reactor: Any, fd: int, name: str, consumer: IConsumer
    ) -> None:
        """
        :param source: says how much to read.
        :param reactor: watches the descriptor; an ``IReactorFDSet``.
        :param fd: the descriptor; it is non-blocking.
        :param name: its name, for messages.
        :param consumer: gets the bytes.
        """
        super().__init__(name, consumer)
        self._fd = fd
        self._reactor = reactor
        self._left = source.most
        self._blockSize = source.blockSize or STREAM_BLOCK_SIZE

    def fileno(self) -> int:
        """:returns: the descriptor that the reactor watches."""
        return self._fd

    def logPrefix(self) -> str:
        """:returns: the name of this in Twisted's log."""
        return "StreamSource"

    def pauseProducing(self) -> None:
        """Watch the descriptor no more for now."""
        self._reactor.removeReader(self)

    def resumeProducing(self) -> None:
        """Watch the descriptor."""
        if self._flow is not Flow.OVER:
            self._reactor.addReader(self)

    def _release(self) -> None:
        self._reactor.removeReader(self)

    def doRead(self) -> None:
        """Read what is there, or the end."""
        try:
            block = os.read(self._fd, lowest(self._blockSize, self._left) or 0)
        except BlockingIOError:
            return
        except OSError as error:
            self._cannotRead(error)
            return
        if self._left is not None:
            self._left -= len(block)
        if block:
            self._consumer.write(block)
        if not block or self._left == 0:
            self._succeed()

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
                SourceError(f"cannot read {self._name}: {reason.getErrorMessage()}")
            )


@implementer(ILimitedSource)
class StreamSource(Limited):
    """
    Send what is open already: a pipe, a terminal, a socket, a device, or a regular
    file from its current position.

    It never blocks the reactor's thread, and restores the blocking mode of the
    descriptor in the end.

    :ivar size: how many bytes are left if it is a regular file, else None.
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
        :param stream: a file descriptor, or an open file (what its Python
            buffer holds already is not sent).
        :param name: what to call it in messages.
        :param close: whether to close it after the copy.
        """
        self._reactor = reactor
        self._borrowed = Borrowed(stream, name, close)

    def open(self) -> None:
        """
        Check the descriptor.

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

    def _production(self, consumer: IConsumer) -> Production:
        fd, name = self._borrowed.fd, self._borrowed.name
        if self._borrowed.isPlain():
            return FileProduction(self, fd, name, consumer)
        self._borrowed.unblock()
        return StreamProduction(self, self._reactor, fd, name, consumer)

    def close(self) -> None:
        """Restore the stream's mode, or close it if ``close`` was given."""
        self._borrowed.giveBack()
