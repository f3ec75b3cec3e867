"""Tests for :mod:`twisted_transfer.data.destinations`."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import tty
from collections.abc import Callable
from typing import Any
from unittest import SkipTest

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from tests.support.folders import newFolder, partOf
from tests.support.streams import streamPairs
from twisted_transfer.data import streams
from twisted_transfer.data.destinations import (
    BytesDestination,
    CallableDestination,
    FileDestination,
)
from twisted_transfer.data.parts import MARK
from twisted_transfer.data.streams import StreamDestination
from twisted_transfer.errors import BadOption, DestinationError
from twisted_transfer.interfaces import IDestination

# More than any pipe or socket holds.
_MUCH = 8 * 1024 * 1024


class FileDestinationTests(SynchronousTestCase):
    """Receiving into a file."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.part = partOf(self.target)

    def destination(self, *args: Any) -> FileDestination:
        """:returns: a destination that is aborted in the end."""
        destination = FileDestination(self.target, *args)
        self.addCleanup(destination.abort)
        return destination

    def test_interface(self) -> None:
        """It is a destination."""
        self.assertTrue(verifyObject(IDestination, self.destination()))

    def test_whole(self) -> None:
        """The target has all bytes at the end, and none before."""
        destination = self.destination()
        for piece in (b"some", b"more"):
            destination.write(piece)
            self.assertFalse(self.target.exists())
        self.assertIsNone(self.successResultOf(destination.finish()))
        self.assertEqual(self.target.read_bytes(), b"somemore")
        self.assertEqual(os.listdir(self.folder), ["target"])
        destination.abort()
        self.assertTrue(self.target.exists())

    def test_shortWrites(self) -> None:
        """A system that takes only some of the bytes gets the rest too."""
        real = os.write
        self.patch(os, "write", lambda fd, data: real(fd, data[:3]))
        destination = self.destination()
        destination.write(b"0123456789")
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"0123456789")

    def test_empty(self) -> None:
        """Nothing received is an empty file."""
        self.successResultOf(self.destination().finish())
        self.assertEqual(self.target.read_bytes(), b"")

    def test_paths(self) -> None:
        """Every way to name a file will do."""
        for path in (
            str(self.target),
            os.fsencode(self.target),
            self.target,
            FilePath(str(self.target)),
        ):
            destination = FileDestination(path, True)
            destination.write(b"content")
            self.successResultOf(destination.finish())
            self.assertEqual(self.target.read_bytes(), b"content")

    def test_aborted(self) -> None:
        """What is given up leaves nothing; an older target stays."""
        self.target.write_bytes(b"old")
        destination = self.destination(True)
        destination.write(b"new")
        destination.abort()
        destination.abort()
        self.assertEqual(self.target.read_bytes(), b"old")
        self.assertEqual(os.listdir(self.folder), ["target"])

    def test_untouched(self) -> None:
        """A destination that was never opened has nothing to give up."""
        self.destination().abort()
        self.assertEqual(os.listdir(self.folder), [])

    def test_checkedFirst(self) -> None:
        """What cannot be is said before there is a byte to store."""
        self.target.write_bytes(b"precious")
        error = self.assertRaises(DestinationError, self.destination().open)
        self.assertIn("--force", str(error))
        self.assertEqual(os.listdir(self.folder), ["target"])
        self.assertEqual(self.target.read_bytes(), b"precious")

    def test_openTwice(self) -> None:
        """Opening it again does not disturb it."""
        destination = self.destination()
        destination.open()
        destination.open()
        destination.write(b"content")
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"content")

    def test_mode(self) -> None:
        """The target may be read by whom open(2) would let, the part by nobody."""
        self.addCleanup(os.umask, os.umask(0o026))
        destination = self.destination()
        destination.write(b"content")
        self.assertEqual(stat.S_IMODE(self.part.stat().st_mode), MARK)
        self.successResultOf(destination.finish())
        self.assertEqual(stat.S_IMODE(self.target.stat().st_mode), 0o640)

    def test_executable(self) -> None:
        """
        Who may read a program may execute it, also where it replaces a file; a file
        that is none is none, and nothing ever runs as its owner.
        """
        self.addCleanup(os.umask, os.umask(0o027))
        for old, executable, expected in (
            (None, True, 0o750),
            (None, False, 0o640),
            (0o6644, True, 0o755),
            (0o4711, False, 0o600),
            (0o4711, None, 0o711),
        ):
            self.target.unlink(missing_ok=True)
            if old is not None:
                self.target.touch()
                self.target.chmod(old)
            destination = self.destination(True)
            destination.executable = executable
            destination.write(b"content")
            self.successResultOf(destination.finish())
            self.assertEqual(stat.S_IMODE(self.target.stat().st_mode), expected)

    def test_group(self) -> None:
        """
        The group of a file that is replaced goes on to read it; where the new one
        cannot be given to that group, no other one reads it instead.
        """

        def refuse(*args: object) -> None:
            raise PermissionError

        if os.geteuid() != 0:
            raise SkipTest("only root gives a file to any group")
        for group, expected in ((4321, 0o664), (os.getegid(), 0o604)):
            self.target.touch()
            self.target.chmod(0o664)
            os.chown(self.target, -1, 4321)
            if group != 4321:
                self.patch(os, "fchown", refuse)
            destination = self.destination(True)
            destination.write(b"content")
            self.successResultOf(destination.finish())
            status = self.target.stat()
            self.assertEqual((status.st_gid, status.st_mode & 0o777), (group, expected))

    def test_modified(self) -> None:
        """The target has the time that was told, to the nanosecond."""
        destination = self.destination()
        destination.modified = 1_234_567_890_123_456_789
        destination.write(b"content")
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.stat().st_mtime_ns, 1_234_567_890_123_456_789)

    def test_forced(self) -> None:
        """A target that is replaced gives its permission bits to the new one."""
        self.target.write_bytes(b"old")
        self.target.chmod(0o604)
        destination = self.destination(True)
        destination.write(b"new")
        self.assertEqual(self.target.read_bytes(), b"old")
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"new")
        self.assertEqual(stat.S_IMODE(self.target.stat().st_mode), 0o604)

    def test_folder(self) -> None:
        """The path of a folder, there or not, is no path of a file."""
        for path in (f"{self.folder}", f"{self.folder}/", f"{self.folder}/new/"):
            destination = FileDestination(path, True)
            error = self.assertRaises(DestinationError, destination.open)
            self.assertIn("folder", str(error))
        self.assertEqual(os.listdir(self.folder), [])

    def test_noPath(self) -> None:
        """What the system does not take for a path is an error in words."""
        for path in ("nul\0", ""):
            error = self.assertRaises(DestinationError, FileDestination(path).open)
            self.assertIn(repr(path), str(error))

    def test_symbolicLink(self) -> None:
        """A link is followed, as open(2) follows it, whether it leads or not."""
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        real = elsewhere / "real"
        self.target.symlink_to(real)
        for content in (b"first", b"second"):
            destination = self.destination(True)
            destination.write(content)
            self.assertTrue(partOf(elsewhere / "real").exists())
            self.successResultOf(destination.finish())
            self.assertTrue(self.target.is_symlink())
            self.assertEqual(real.read_bytes(), content)

    def test_flushed(self) -> None:
        """The bytes are on the disk before the target appears."""
        order: list[str] = []
        real: dict[str, Callable[..., None]] = {"fsync": os.fsync, "link": os.link}

        def recorded(name: str) -> Callable[..., None]:
            def call(*args: Any, **kwargs: Any) -> None:
                order.append(name)
                real[name](*args, **kwargs)

            return call

        destination = self.destination()
        destination.write(b"content")
        for name in real:
            self.patch(os, name, recorded(name))
        self.successResultOf(destination.finish())
        self.assertEqual(order, ["fsync", "link", "fsync", "fsync"])

    def test_flushFails(self) -> None:
        """A disk that says at the end that it is full leaves no target."""

        def fsync(fd: int) -> None:
            raise OSError(28, "No space left on device")

        destination = self.destination()
        destination.write(b"content")
        self.patch(os, "fsync", fsync)
        error = self.failureResultOf(destination.finish(), DestinationError).value
        self.assertIn(f"{self.target}: No space left", str(error))
        destination.abort()
        self.assertEqual(os.listdir(self.folder), [])

    def test_appeared(self) -> None:
        """A target that appeared meanwhile is not replaced; what came is kept."""
        destination = self.destination()
        destination.write(b"content")
        self.target.write_bytes(b"precious")
        self.failureResultOf(destination.finish(), DestinationError)
        destination.abort()
        self.assertEqual(self.target.read_bytes(), b"precious")
        self.assertEqual(self.part.read_bytes(), b"content")

    def test_sameTarget(self) -> None:
        """Two that receive the same file do not mix."""
        first = self.destination(True)
        first.write(b"first")
        second = self.destination(True)
        self.assertRaises(DestinationError, second.write, b"second")
        second.abort()
        self.successResultOf(first.finish())
        self.assertEqual(self.target.read_bytes(), b"first")


class ThreadTests(TestCase):
    """Waiting for the disk in a thread."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.target = newFolder(self) / "target"
        self.destination = FileDestination(self.target, reactor=reactor)
        self.destination.write(b"content")

    async def test_finish(self) -> None:
        """It is not done before the thread is, and done then."""
        done = self.destination.finish()
        self.assertFalse(done.called)
        self.assertFalse(self.target.exists())
        await done
        self.assertEqual(self.target.read_bytes(), b"content")

    async def test_fails(self) -> None:
        """What the disk says in the thread is heard."""

        def fsync(fd: int) -> None:
            raise OSError(5, "Input/output error")

        self.patch(os, "fsync", fsync)
        with self.assertRaisesRegex(DestinationError, "target: Input/output error"):
            await self.destination.finish()
        self.destination.abort()
        self.assertEqual(os.listdir(self.target.parent), [])

    async def test_cancelled(self) -> None:
        """Cancelled while the disk works, it ends when the disk is done."""
        done = self.destination.finish()
        done.cancel()
        self.assertNoResult(done)
        with self.assertRaises(CancelledError):
            await done
        self.assertFalse(self.target.exists())
        self.destination.abort()
        self.assertEqual(os.listdir(self.target.parent), [])


class StreamDestinationTests(SynchronousTestCase):
    """Receiving into what is open already, without waiting for it."""

    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.open: set[int] = set()

    def tearDown(self) -> None:
        for fd in self.open:
            os.close(fd)

    def pipe(self) -> tuple[int, int]:
        """:returns: a pipe's two ends."""
        ends = os.pipe()
        self.open |= set(ends)
        return ends

    def close(self, fd: int) -> None:
        """Close an end of a pipe, once."""
        self.open.remove(fd)
        os.close(fd)

    def destination(self, fd: int, **options: Any) -> StreamDestination:
        """:returns: a destination that is that descriptor, and aborted in the end."""
        destination = StreamDestination(self.reactor, fd, **options)
        self.addCleanup(destination.abort)
        return destination

    def writable(self) -> None:
        """Do what a reactor does when there is room."""
        (writer,) = self.reactor.writers
        writer.doWrite()

    def test_interface(self) -> None:
        """It is a destination."""
        self.assertTrue(verifyObject(IDestination, self.destination(1)))

    def test_room(self) -> None:
        """Where there is room, the bytes are there at once."""
        reading, writing = self.pipe()
        destination = self.destination(writing)
        self.assertIsNone(destination.write(b"some"))
        self.assertEqual(os.read(reading, 10), b"some")
        self.assertEqual(self.reactor.writers, set())
        self.successResultOf(destination.finish())

    def test_noRoom(self) -> None:
        """Where there is none, the next bytes have to wait for the reader."""
        reading, writing = self.pipe()
        content = os.urandom(_MUCH)
        destination = self.destination(writing)
        waiting = destination.write(content)
        assert waiting is not None
        received = bytearray()
        while not waiting.called:
            received += os.read(reading, _MUCH)
            self.writable()
        self.successResultOf(waiting)
        self.assertEqual(self.reactor.writers, set())
        self.successResultOf(destination.finish())
        self.close(writing)
        while piece := os.read(reading, _MUCH):
            received += piece
        self.assertEqual(bytes(received), content)

    def test_stillNoRoom(self) -> None:
        """A reactor that was wrong about the room does no harm."""
        _, writing = self.pipe()
        waiting = self.destination(writing).write(bytes(_MUCH))
        assert waiting is not None
        self.writable()
        self.assertNoResult(waiting)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.reactor.writers, set())

    def test_readerGone(self) -> None:
        """A reader that has gone is an error, at once or later."""
        reading, writing = self.pipe()
        destination = self.destination(writing, name="the pipe")
        waiting = destination.write(bytes(_MUCH))
        assert waiting is not None
        self.close(reading)
        self.writable()
        error = self.failureResultOf(waiting, DestinationError).value
        self.assertIn("the pipe: Broken pipe", str(error))
        self.assertEqual(self.reactor.writers, set())
        self.assertRaises(DestinationError, destination.write, b"more")

    def test_lost(self) -> None:
        """Some reactors tell the same as a connection that is lost."""
        reading, writing = self.pipe()
        waiting = self.destination(writing).write(bytes(_MUCH))
        assert waiting is not None
        self.close(reading)
        (writer,) = self.reactor.writers
        writer.connectionLost(Failure(ConnectionLost()))
        error = self.failureResultOf(waiting, DestinationError).value
        self.assertIn("Broken pipe", str(error))

    def test_lostWithoutReason(self) -> None:
        """A descriptor that the reactor cannot watch any more is an error."""
        _, writing = self.pipe()
        waiting = self.destination(writing).write(bytes(_MUCH))
        assert waiting is not None
        (writer,) = self.reactor.writers
        writer.connectionLost(Failure(ConnectionLost("gone")))
        error = self.failureResultOf(waiting, DestinationError).value
        self.assertIn("gone", str(error))

    def test_blockingMode(self) -> None:
        """The mode of a descriptor, which others may share, is never changed."""
        for end in ("finish", "abort"):
            for reading, writing in streamPairs(self):
                for blocking in (True, False):
                    os.set_blocking(writing, blocking)
                    destination = self.destination(writing)
                    self.assertIsNone(destination.write(b"some\n"))
                    self.assertEqual(os.get_blocking(writing), blocking)
                    came = b""
                    while len(came) < 5:  # the system may move them one by one
                        came += os.read(reading, 5)
                    self.assertEqual(came, b"some\n")
                    getattr(destination, end)()
                    self.assertEqual(os.get_blocking(writing), blocking)

    def test_roomOfAnyKind(self) -> None:
        """A stream without room, whatever its mode, is waited for by the reactor."""
        for reading, writing in streamPairs(self):
            destination = self.destination(writing)
            waiting = destination.write(bytes(_MUCH))
            assert waiting is not None
            self.assertEqual(len(self.reactor.writers), 1)
            self.assertTrue(os.get_blocking(writing))
            os.read(reading, 100)
            destination.abort()
            self.failureResultOf(waiting, CancelledError)

    def test_roomOfTerminals(self) -> None:
        """
        A terminal that cannot be opened again is given no more than it has room for.

        How much that is depends on when the system moves what was written before.
        """
        for _ in range(3):
            master, slave = os.openpty()
            self.addCleanup(os.close, master)
            self.addCleanup(os.close, slave)
            tty.setraw(slave)
            destination = self.destination(master)
            waiting = destination.write(bytes(_MUCH))
            assert waiting is not None
            destination.abort()
            self.failureResultOf(waiting, CancelledError)

    def test_notAllowed(self) -> None:
        """It works also with a pipe or terminal that cannot be opened again."""
        self.patch(streams, "_openAgain", lambda fd: None)
        self.test_blockingMode()

    def test_abortedWhileWaiting(self) -> None:
        """Given up, it does not wait for the reader any more."""
        _, writing = self.pipe()
        destination = self.destination(writing)
        waiting = destination.write(bytes(_MUCH))
        assert waiting is not None
        destination.abort()
        destination.abort()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.reactor.writers, set())
        self.assertTrue(os.get_blocking(writing))

    def test_close(self) -> None:
        """It is closed only where that was asked for."""
        for close in (True, False):
            reading, writing = self.pipe()
            destination = self.destination(writing, close=close)
            destination.write(b"some")
            self.successResultOf(destination.finish())
            destination.abort()
            if close:
                self.open.remove(writing)
                self.assertEqual(os.read(reading, 10), b"some")
                self.assertEqual(os.read(reading, 10), b"")
            else:
                os.fstat(writing)

    def test_regularFile(self) -> None:
        """A regular file is written from where it stands, and stays blocking."""
        path = newFolder(self) / "file"
        path.write_bytes(b"0123456789")
        with path.open("r+b", buffering=0) as file:
            file.seek(2)
            destination = StreamDestination(self.reactor, file)
            self.assertIsNone(destination.write(b"abc"))
            self.assertTrue(os.get_blocking(file.fileno()))
            self.successResultOf(destination.finish())
        self.assertEqual(path.read_bytes(), b"01abc56789")

    def test_full(self) -> None:
        """A device without room is an error that names it."""
        with open("/dev/full", "wb", buffering=0) as file:
            destination = StreamDestination(self.reactor, file)
            error = self.assertRaises(DestinationError, destination.write, b"data")
            self.assertIn("/dev/full: No space left on device", str(error))
            destination.abort()

    def test_unwritable(self) -> None:
        """What is closed, or open for reading only, is said at once."""
        folder = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, folder)
        reading, _ = self.pipe()
        closed, _ = self.pipe()
        self.close(closed)
        for fd, said in (
            (closed, "Bad file descriptor"),
            (reading, "reading only"),
            (folder, "reading only"),
        ):
            error = self.assertRaises(DestinationError, self.destination(fd).open)
            self.assertIn(said, str(error))


class ReactorTests(TestCase):
    """Every reactor can watch every kind of stream."""

    def destination(self, fd: int) -> StreamDestination:
        """:returns: a destination that closes that descriptor at its end."""
        from twisted.internet import reactor

        return StreamDestination(reactor, fd, close=True)

    async def moved(self, writing: int, read: Callable[[], bytes]) -> None:
        """Much passes in order, at the pace of a slow reader."""
        from twisted.internet import reactor

        content = os.urandom(_MUCH)
        destination = self.destination(writing)
        waiting = destination.write(content)
        assert waiting is not None
        waiting.addCallback(lambda _: destination.finish())
        received = bytearray()

        def take() -> None:
            with contextlib.suppress(BlockingIOError):
                received.extend(read())
            if len(received) < len(content):
                reactor.callLater(0, take)
            else:
                allHere.callback(None)

        allHere: Deferred[None] = Deferred()
        take()
        await waiting
        await allHere
        self.assertEqual(bytes(received), content)

    async def test_pipe(self) -> None:
        """A pipe."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        os.set_blocking(reading, False)
        await self.moved(writing, lambda: os.read(reading, 100_000))

    async def test_socket(self) -> None:
        """A socket."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        theirs.setblocking(False)
        await self.moved(ours.detach(), lambda: theirs.recv(100_000))

    async def test_readerGone(self) -> None:
        """A reader that goes while there is no room."""
        from twisted.internet import reactor

        reading, writing = os.pipe()
        destination = self.destination(writing)
        waiting = destination.write(bytes(_MUCH))
        assert waiting is not None
        reactor.callLater(0, os.close, reading)
        with self.assertRaisesRegex(DestinationError, "Broken pipe"):
            await waiting
        destination.abort()

    async def test_device(self) -> None:
        """A device that epoll(7) refuses."""
        destination = self.destination(os.open("/dev/null", os.O_WRONLY))
        self.assertIsNone(destination.write(bytes(_MUCH)))
        await destination.finish()


class BytesDestinationTests(SynchronousTestCase):
    """Collecting what comes."""

    def test_interface(self) -> None:
        """It is a destination."""
        self.assertTrue(verifyObject(IDestination, BytesDestination()))

    def test_whole(self) -> None:
        """Everything is there when it is finished, and nothing before."""
        destination = BytesDestination(maxSize=8)
        destination.open()
        for piece in (b"some", b"more"):
            destination.write(piece)
            self.assertEqual(destination.data, b"")
        self.successResultOf(destination.finish())
        self.assertEqual(destination.data, b"somemore")
        destination.abort()
        self.assertEqual(destination.data, b"somemore")

    def test_bound(self) -> None:
        """A byte too many is refused, and so is one that comes at once."""
        for maxSize, pieces in ((4, [b"some", b"x"]), (3, [b"some"]), (0, [b"x"])):
            destination = BytesDestination(maxSize)
            *fitting, last = pieces
            for piece in fitting:
                destination.write(piece)
            error = self.assertRaises(DestinationError, destination.write, last)
            self.assertIn(str(maxSize), str(error))
            destination.abort()
            self.assertEqual(destination.data, b"")

    def test_badBound(self) -> None:
        """A bound is a number."""
        for maxSize in (-1, None, 1.5):
            error = self.assertRaises(BadOption, BytesDestination, maxSize)
            self.assertIn("maxSize", str(error))

    def test_aborted(self) -> None:
        """What was aborted has nothing, and takes nothing more."""
        destination = BytesDestination()
        destination.write(b"some")
        destination.abort()
        destination.abort()
        self.assertEqual(destination.data, b"")
        self.assertRaises(DestinationError, destination.open)
        self.assertRaises(DestinationError, destination.write, b"more")
        self.failureResultOf(destination.finish(), DestinationError)
        self.assertEqual(destination.data, b"")


class CallableDestinationTests(SynchronousTestCase):
    """Handing each piece to the user's own function."""

    def setUp(self) -> None:
        self.events: list[Any] = []

    def made(self, callable: Any = None, **ends: Any) -> CallableDestination:
        """:returns: one that notes what happens, but for what is given."""
        ends.setdefault("onFinish", lambda: self.events.append("finish"))
        ends.setdefault("onAbort", lambda: self.events.append("abort"))
        return CallableDestination(callable or self.events.append, **ends)

    def test_interface(self) -> None:
        """It is a destination."""
        self.assertTrue(verifyObject(IDestination, self.made()))

    def test_whole(self) -> None:
        """Each piece is handed over, and then the end, once."""
        destination = self.made()
        destination.open()
        for piece in (b"some", b"more"):
            self.assertIsNone(destination.write(piece))
        self.successResultOf(destination.finish())
        destination.abort()
        self.assertEqual(self.events, [b"some", b"more", "finish"])

    def test_failed(self) -> None:
        """If not everything comes, that is told instead, once."""
        destination = self.made()
        destination.write(b"some")
        destination.abort()
        destination.abort()
        self.assertEqual(self.events, [b"some", "abort"])
        self.assertRaises(DestinationError, destination.open)
        self.assertRaises(DestinationError, destination.write, b"more")
        self.failureResultOf(destination.finish(), DestinationError)
        self.assertEqual(self.events, [b"some", "abort"])

    def test_onlyPieces(self) -> None:
        """Who does not care for the end is not told."""
        for end in ("finish", "abort"):
            pieces: list[bytes] = []
            destination = CallableDestination(pieces.append)
            destination.write(b"piece")
            ended = getattr(destination, end)()
            if ended is not None:
                self.successResultOf(ended)
            self.assertEqual(pieces, [b"piece"])

    def test_deferred(self) -> None:
        """A Deferred is waited for, whatever it fires with, in each place."""
        waiting: Deferred[Any] = Deferred()
        destination = self.made(lambda piece: waiting, onFinish=lambda: waiting)
        for waits in (lambda: destination.write(b"piece"), destination.finish):
            waiting = Deferred()
            ours = waits()
            assert ours is not None
            self.assertNoResult(ours)
            waiting.callback(5)
            self.assertIsNone(self.successResultOf(ours))

    def test_async(self) -> None:
        """So is an async function."""
        waiting: Deferred[Any] = Deferred()

        async def take(piece: bytes) -> None:
            self.events.append(piece)
            await waiting
            self.events.append("taken")

        ours = self.made(take).write(b"piece")
        assert ours is not None
        self.assertNoResult(ours)
        waiting.callback(None)
        self.assertIsNone(self.successResultOf(ours))
        self.assertEqual(self.events, [b"piece", "taken"])

    def test_otherResults(self) -> None:
        """What else it returns is not looked at."""
        self.assertIsNone(self.made(len).write(b"piece"))

    def test_raises(self) -> None:
        """What it raises is the cause of the error."""
        original = ZeroDivisionError("oops")

        def fail(*args: object) -> None:
            raise original

        destination = self.made(fail, onFinish=fail)
        error = self.assertRaises(DestinationError, destination.write, b"piece")
        self.assertIs(error.__cause__, original)
        self.assertIn("oops", str(error))
        error = self.failureResultOf(destination.finish(), DestinationError).value
        self.assertIs(error.__cause__, original)
        destination.abort()
        self.assertEqual(self.events, ["abort"])

    def test_fails(self) -> None:
        """The same for what its Deferred fails with, a cancellation among it."""
        for original in (ZeroDivisionError("oops"), CancelledError()):
            waiting: Deferred[Any] = Deferred()
            ours = self.made(lambda piece, waiting=waiting: waiting).write(b"piece")
            assert ours is not None
            waiting.errback(original)
            error = self.failureResultOf(ours, DestinationError).value
            self.assertIs(error.__cause__, original)

    def test_ownError(self) -> None:
        """A DestinationError is passed on as it is."""
        original = DestinationError("the shelf is full")

        def fail(piece: bytes) -> None:
            raise original

        error = self.assertRaises(DestinationError, self.made(fail).write, b"piece")
        self.assertIs(error, original)

    def test_cancelled(self) -> None:
        """Cancelling cancels what the callable waits for, as long as it does."""
        cancelled: list[object] = []
        waiting: Deferred[Any] = Deferred(cancelled.append)
        ours = self.made(lambda piece: waiting).write(b"piece")
        assert ours is not None
        ours.cancel()
        self.failureResultOf(ours, CancelledError)
        self.assertEqual(cancelled, [waiting])

    def test_cancelledAnyway(self) -> None:
        """One that does not care whether it is cancelled does no harm."""
        waiting: Deferred[Any] = Deferred(lambda d: d.callback("done"))
        ours = self.made(lambda piece: waiting).write(b"piece")
        assert ours is not None
        ours.cancel()
        self.failureResultOf(ours, CancelledError)

    def test_errorAtAbort(self) -> None:
        """An error at the very end is logged."""
        destination = self.made(onAbort=lambda: 1 / 0)
        destination.abort()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
