"""
Move bytes between a file and a socket in the kernel, where nothing has to see them.

A regular file goes to a plain socket by ``sendfile(2)``, and a plain socket into a
regular file by ``splice(2)`` through a pipe.  Both use a duplicate of the socket's
descriptor, so that the reactor can watch it for them beside the transport, which is
paused or drained meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import (
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.layers import endNow

AT_ONCE = 1024 * 1024
"""How many bytes are moved in one turn of the reactor, at most: the largest pipe that
Linux gives an ordinary user (``/proc/sys/fs/pipe-max-size``)."""


class _Mover:
    """
    A duplicate of a socket's descriptor that a reactor watches.

    :ivar transport: the socket's transport.
    """

    def __init__(self, transport: Any) -> None:
        """
        :param transport: the socket's transport; see
            :attr:`~twisted_transfer.channel.channel.TransferChannel.bareOutput`.
        """
        self.transport = transport
        self._socket = os.dup(transport.fileno())

    def fileno(self) -> int:
        """:returns: the descriptor."""
        return self._socket

    def logPrefix(self) -> str:
        """:returns: what the transport is called in Twisted's log."""
        prefix: str = self.transport.logPrefix()
        return prefix

    def connectionLost(self, reason: Failure) -> None:
        """
        Break the connection off: the socket has an error.

        The system reports it once, and this has taken it.

        :param reason: what the reactor says, which may take it for an orderly end.
        """
        self.stop()
        endNow(self.transport, CONNECTION_LOST)

    def stop(self) -> None:
        """Move nothing more, and close the duplicate."""
        if self._socket != -1:
            self._remove()
            os.close(self._socket)
            self._socket = -1

    def _remove(self) -> None:
        """Have the reactor forget this."""
        raise NotImplementedError


@implementer(IWriteDescriptor)
class Sending(_Mover):
    """Sends a part of a file."""

    def __init__(
        self,
        transport: Any,
        fd: int,
        start: int,
        end: int,
        sent: Callable[[int], None],
        cannot: Callable[[], None],
    ) -> None:
        """
        Begin.

        :param transport: the transport of the socket, which has written everything.
        :param fd: the file.
        :param start: where the part begins.
        :param end: where it ends.
        :param sent: called with the number of bytes after each piece, 0 if the file
            ends here.
        :param cannot: called, after this has stopped, when the kernel cannot send this
            file, or the socket has an error, which the transport then meets.
        """
        super().__init__(transport)
        self._fd = fd
        self._at = start
        self._end = end
        self._sent = sent
        self._cannot = cannot
        transport.reactor.addWriter(self)

    def doWrite(self) -> None:
        """Send what the socket takes."""
        try:
            count = os.sendfile(
                self._socket, self._fd, self._at, min(self._end - self._at, AT_ONCE)
            )
        except BlockingIOError:
            return
        except OSError:
            self.stop()
            self._cannot()
            return
        self._at += count
        if count == 0 or self._at == self._end:
            self.stop()
        self._sent(count)

    def _remove(self) -> None:
        self.transport.reactor.removeWriter(self)


@implementer(IReadDescriptor)
class _Intake(_Mover):
    """Takes what comes to a socket into a pipe."""

    def __init__(self, transport: Any, most: int = sys.maxsize) -> None:
        """
        :param transport: the transport of the socket, which is paused.
        :param most: how many bytes are taken.
        """
        super().__init__(transport)
        self._left = most
        self._out, self._in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        with contextlib.suppress(PermissionError):  # beyond the user's limit for pipes
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, AT_ONCE)

    def doRead(self) -> Any:
        """
        Take what has come.

        :returns: why the connection is gone, for the reactor, or None.
        """
        try:
            count = os.splice(
                self._socket,
                self._in,
                min(self._left, AT_ONCE),
                flags=os.SPLICE_F_NONBLOCK,
            )
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        self._left -= count
        self._taken(count)
        return None

    def _taken(self, count: int) -> None:
        """
        Move on what is in the pipe, which was empty.

        :param count: how many bytes; 0 at the end of the input.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Move nothing more, and close the duplicate and the pipe."""
        if self._socket != -1:
            os.close(self._in)
            os.close(self._out)
        super().stop()

    def _remove(self) -> None:
        self.transport.reactor.removeReader(self)


class Receiving(_Intake):
    """Stores what comes in a file."""

    def __init__(
        self,
        transport: Any,
        fd: int,
        received: Callable[[int], None],
        cannot: Callable[[bytes], None],
        most: int = sys.maxsize,
    ) -> None:
        """
        Begin.

        :param transport: the transport of the socket, which is paused.
        :param fd: the file, which is written to at its position.
        :param received: called with the number of bytes after each piece, 0 at the end
            of the input, which the transport then meets.
        :param cannot: called, after this has stopped, when the kernel cannot write to
            this file, which then refuses other ways too or not; with what has come and
            is not stored.
        :param most: how many bytes are stored; with the last of them this has stopped.
        """
        super().__init__(transport, most)
        self._fd = fd
        self._received = received
        self._cannot = cannot
        transport.reactor.addReader(self)

    def _taken(self, count: int) -> None:
        left = count
        try:
            while left:
                left -= os.splice(self._out, self._fd, left)
        except OSError:
            data = os.read(self._out, left)
            self.stop()
            if count > left:
                self._received(count - left)
            self._cannot(data)
            return
        if count == 0 or self._left == 0:
            self.stop()
        self._received(count)


@implementer(IWriteDescriptor)
class _Outlet(_Mover):
    """The socket into which a :class:`Relaying` writes, while that is full."""

    def __init__(self, transport: Any, doWrite: Callable[[], None]) -> None:
        super().__init__(transport)
        self.doWrite = doWrite

    def _remove(self) -> None:
        self.transport.reactor.removeWriter(self)


class Relaying(_Intake):
    """Moves what comes to one socket into another one, through a pipe."""

    def __init__(
        self,
        source: Any,
        target: Any,
        moved: Callable[[int], None],
        ended: Callable[[], None],
    ) -> None:
        """
        Begin.

        :param source: the transport of the one, which is paused.
        :param target: the transport of the other, which has written everything.
        :param moved: called with the number of bytes after each piece.
        :param ended: called, after this has stopped, at the end of the input, which the
            transport then meets.
        """
        super().__init__(source)
        self._moved = moved
        self._ended = ended
        self._held = 0  # bytes in the pipe
        self._outlet = _Outlet(target, self._empty)
        source.reactor.addReader(self)

    def _taken(self, count: int) -> None:
        if count == 0:
            self.stop()
            self._ended()
            return
        self._held = count
        self._empty()

    def _empty(self) -> None:
        """Write what is in the pipe, and read more when it is empty."""
        before = self._held
        try:
            while self._held:
                self._held -= os.splice(
                    self._out,
                    self._outlet.fileno(),
                    self._held,
                    flags=os.SPLICE_F_NONBLOCK,
                )
        except BlockingIOError:
            pass
        except OSError:
            self._outlet.connectionLost(Failure(CONNECTION_LOST))
            return
        reactor = self.transport.reactor
        if self._held:
            reactor.removeReader(self)
            reactor.addWriter(self._outlet)
        else:
            reactor.removeWriter(self._outlet)
            reactor.addReader(self)
        if before > self._held:
            self._moved(before - self._held)

    def stop(self) -> None:
        """Move nothing more, and close the duplicates and the pipe."""
        self._outlet.stop()
        super().stop()
