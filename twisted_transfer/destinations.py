"""
Where received bytes go.

A :class:`FileDestination` is for a file that is to be whole or not there, a
:class:`StreamDestination` for what is open already, a :class:`BytesDestination`
for what is to be in memory, and a :class:`CallableDestination` for a program that
wants the pieces as they come.
"""

from __future__ import annotations

import fcntl
import os

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IReactorFDSet,
    IReactorThreads,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.bytesdestination import BytesDestination
from twisted_transfer.callabledestination import CallableDestination
from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import IDestination
from twisted_transfer.nonblocking import AnyStream, Borrowed
from twisted_transfer.partfile import PartFile, targetMode
from twisted_transfer.paths import AnyPath, pathText, reasonText, targetPath

__all__ = [
    "BytesDestination",
    "CallableDestination",
    "FileDestination",
    "StreamDestination",
]


@implementer(IDestination)
class FileDestination:
    """
    A file that appears when all of it has been stored, and not before.

    Until then the bytes are in ``NAME.part`` beside it, which only the owner
    can read.  At the end they are flushed to the disk, and the part gets its
    name in one step.  A target that appeared meanwhile is not replaced, unless
    that was asked for.

    :ivar path: the file that is to appear; symbolic links are followed when it
        is opened.
    :ivar force: whether it may be there already.
    """

    def __init__(
        self,
        path: AnyPath,
        force: bool = False,
        reactor: IReactorThreads | None = None,
    ) -> None:
        """
        :param path: the file that is to appear.
        :param force: whether it may be there already, or a part of it that was
            left by an interrupted transfer; both are replaced then.
        :param reactor: with one, its threads wait for the disk at the end, so
            that the rest of the program goes on.
        """
        self.path = pathText(path)
        self.force = force
        self._reactor = reactor
        self._part: PartFile | None = None
        self._mode = 0o600

    def open(self) -> None:
        """
        Make the part.

        :raises DestinationError: if the target exists and may not be replaced,
            or is a folder, or its folder cannot be written to, or another
            transfer is receiving the same file.
        """
        if self._part is not None:
            return
        try:
            target = targetPath(self.path)
        except ValueError as error:
            raise DestinationError(str(error)) from error
        self._mode = targetMode(target, self.force)
        part = PartFile(target, self.force)
        part.create()
        self._part = part

    def write(self, data: bytes) -> None:
        """
        Add some bytes to the part.

        :param data: the next bytes.
        :returns: None: the next ones may come at once.
        :raises DestinationError: if they cannot be stored.
        """
        self.open()
        assert self._part is not None
        _writeAll(self._part.fd, data, self.path)

    def finish(self) -> Deferred[None]:
        """
        Flush everything to the disk and let the target appear.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        self.open()
        part = self._part
        assert part is not None
        await part.flush(self._mode, self._reactor)
        part.publish()

    def abort(self) -> None:
        """Remove the part."""
        if self._part is not None:
            self._part.discard()


@implementer(IDestination, IWriteDescriptor)
class StreamDestination:
    """
    Something that is open already: a pipe, a terminal, a socket, a device, or
    a regular file at where it stands.

    It never waits in the reactor's thread for somebody to read, and leaves the
    blocking mode of the descriptor as it was.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        stream: AnyStream,
        *,
        name: str | None = None,
        close: bool = False,
    ) -> None:
        """
        :param reactor: watches the stream.
        :param stream: a file descriptor, or an open file (which has to be
            flushed, and not used meanwhile).
        :param name: what to call it in messages.
        :param close: whether to close it at the end.
        """
        self._reactor = reactor
        self._borrowed = Borrowed(stream, name, close)
        self._opened = False
        self._plain = False
        self._rest = memoryview(b"")
        self._waiting: Deferred[None] | None = None

    def open(self) -> None:
        """
        Make sure that it is open.

        :raises DestinationError: if it is closed, or open for reading only.
        """
        if self._opened:
            return
        try:
            flags = fcntl.fcntl(self._borrowed.fd, fcntl.F_GETFL)
            self._plain = self._borrowed.isPlain()
        except OSError as error:
            raise _cannotWrite(self._borrowed.name, error) from error
        if flags & os.O_ACCMODE == os.O_RDONLY:
            raise DestinationError(
                f"cannot write {self._borrowed.name}: it is open for reading only"
            )
        self._opened = True

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Hand some bytes to the system, or as many as it takes at once.

        :param data: the next bytes.
        :returns: None, or a Deferred that fires when the system has taken the
            rest; see :class:`~twisted_transfer.interfaces.IDestination`.
        :raises DestinationError: if the system refuses them.
        """
        self.open()
        if self._plain:
            _writeAll(self._borrowed.fd, data, self._borrowed.name)
            return None
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
                raise _cannotWrite(self._borrowed.name, error) from error

    def _cancelled(self, waiting: Deferred[None]) -> None:
        # The Deferred itself then fails with CancelledError.
        self._settle()

    def _settle(self) -> Deferred[None] | None:
        """Stop waiting; returns who waited."""
        self._reactor.removeWriter(self)
        self._rest = memoryview(b"")
        waiting, self._waiting = self._waiting, None
        return waiting

    def fileno(self) -> int:
        """What the reactor is to watch."""
        return self._borrowed.fd

    def logPrefix(self) -> str:
        """What Twisted's log calls this."""
        return "StreamDestination"

    def doWrite(self) -> None:
        """There is room, or nobody reads any more."""
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
        """The reactor sees that nobody reads any more; write(2) says why."""
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
        Give the stream back as it was; the system has everything.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        return Deferred.fromCoroutine(self._finish())

    def abort(self) -> None:
        """Give the stream back as it was, with what was written to it."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._borrowed.giveBack()


def _writeAll(fd: int, data: bytes, name: str) -> None:
    """Write to a file, which takes everything unless something is wrong."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except OSError as error:
            raise _cannotWrite(name, error) from error


def _cannotWrite(name: str, error: OSError) -> DestinationError:
    reason = reasonText(error)
    return DestinationError(f"cannot write {name}: {reason}", reason=reason)
