"""Tests for :mod:`twisted_transfer.data.sources`."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IProducer
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.support.folders import newFolder
from tests.support.streams import streamPairs
from twisted_transfer.data import sources, streams
from twisted_transfer.data.sources import (
    BLOCK_SIZE,
    BytesSource,
    FileSource,
    TextSource,
)
from twisted_transfer.data.streams import StreamSource
from twisted_transfer.errors import SourceError, Truncated
from twisted_transfer.interfaces import ILimitedSource, ISource


@implementer(IConsumer)
class Consumer:
    """
    Keeps what it gets.

    :ivar blocks: what it has got.
    :ivar onWrite: called after each block.
    """

    def __init__(self, onWrite: Callable[[Consumer], object] | None = None) -> None:
        self.blocks: list[bytes] = []
        self.producer: IProducer | None = None
        self.onWrite = onWrite

    @property
    def content(self) -> bytes:
        """Everything together."""
        return b"".join(self.blocks)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        assert streaming
        assert self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        assert data
        self.blocks.append(data)
        if self.onWrite is not None:
            self.onWrite(self)


def pause(consumer: Consumer) -> None:
    """Take one block, and no more before it is asked for."""
    consumer.producer.pauseProducing()  # type: ignore[union-attr]


@implementer(IConsumer)
class GoneConsumer:
    """One whose connection is lost, and which answers as Twisted's do."""

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        producer.stopProducing()

    def unregisterProducer(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        raise AssertionError("it wants nothing")


class FileSourceTests(SynchronousTestCase):
    """Sending a regular file."""

    def setUp(self) -> None:
        self.path = newFolder(self) / "file"

    def made(self, content: bytes) -> FileSource:
        """:returns: a source of a file with that content."""
        self.path.write_bytes(content)
        return FileSource(self.path)

    def test_interface(self) -> None:
        """It is a source."""
        self.assertTrue(verifyObject(ISource, FileSource("x")))

    def test_limit(self) -> None:
        """It ends where it is told, in blocks as they are wanted."""
        self.assertTrue(verifyObject(ILimitedSource, FileSource("x")))
        for size, blockSize, blocks in (
            (5, None, [b"01234"]),
            (5, 2, [b"01", b"23", b"4"]),
            (None, 4, [b"0123", b"4567", b"89"]),
            (10, 10, [b"0123456789"]),
            (None, 2 * BLOCK_SIZE, [b"0123456789"]),
        ):
            consumer = Consumer()
            source = self.made(b"0123456789")
            source.limit(size, blockSize)
            self.successResultOf(source.startProducing(consumer))
            self.assertEqual(consumer.blocks, blocks)

    def test_whole(self) -> None:
        """All bytes come, in order; then the consumer has no producer."""
        content = os.urandom(2 * BLOCK_SIZE + 17)
        consumer = Consumer()
        source = self.made(content)
        self.assertIsNone(self.successResultOf(source.startProducing(consumer)))
        self.assertEqual(consumer.content, content)
        self.assertIsNone(consumer.producer)

    def test_paths(self) -> None:
        """Every way to name a file will do."""
        self.path.write_bytes(b"content")
        for path in (
            str(self.path),
            os.fsencode(self.path),
            self.path,
            FilePath(str(self.path)),
        ):
            transport = StringTransport()
            self.successResultOf(FileSource(path).startProducing(transport))
            self.assertEqual(transport.value(), b"content")

    def test_size(self) -> None:
        """The size is known as soon as it is open."""
        for size in (0, 1, 5000):
            source = self.made(bytes(size))
            source.open()
            source.open()
            self.assertEqual(source.size, size)
            source.close()
            source.close()

    def test_empty(self) -> None:
        """An empty file is sent without a block."""
        consumer = Consumer()
        self.successResultOf(self.made(b"").startProducing(consumer))
        self.assertEqual(consumer.blocks, [])

    def test_unknownSize(self) -> None:
        """
        What claims to be empty and is not, or to fill a page and does not, is sent up
        to its end.
        """
        for path, claimed in (("/proc/version", 0), ("/sys/kernel/fscaps", 4096)):
            self.assertEqual(os.stat(path).st_size, claimed)
            source = FileSource(path)
            source.open()
            self.assertIsNone(source.size)
            consumer = Consumer()
            self.successResultOf(source.startProducing(consumer))
            self.assertEqual(consumer.content, Path(path).read_bytes())

    def test_modeAndTime(self) -> None:
        """It is known when it was modified, and whether it is a program."""
        source = self.made(b"content")
        path = source.path
        for mode, executable in ((0o755, True), (0o655, False), (0o700, True)):
            os.chmod(path, mode)
            os.utime(path, ns=(0, 1_234_567_890_123_456_789))
            source = FileSource(path)
            source.open()
            self.assertEqual(source.modified, 1_234_567_890_123_456_789)
            self.assertIs(source.executable, executable)
            source.close()
        os.utime(path, ns=(0, -1))
        source.open()
        self.assertIsNone(source.modified)
        source.close()

    def test_pace(self) -> None:
        """No more is read than the consumer takes."""
        consumer = Consumer(pause)
        done = self.made(bytes(3 * BLOCK_SIZE)).startProducing(consumer)
        for count in (1, 2, 3):
            self.assertEqual([BLOCK_SIZE] * count, [len(b) for b in consumer.blocks])
            self.assertEqual(done.called, count == 3)
            if consumer.producer is not None:
                consumer.producer.resumeProducing()  # type: ignore[attr-defined]
        self.successResultOf(done)

    def test_resumedInWrite(self) -> None:
        """
        A consumer that asks for more while it takes a block gets it once, and
        a long file does not become a deep call.
        """
        self.patch(sources, "BLOCK_SIZE", 1)
        content = os.urandom(2 * sys.getrecursionlimit())

        def pauseAndResume(consumer: Consumer) -> None:
            pause(consumer)
            consumer.producer.resumeProducing()  # type: ignore[union-attr]

        consumer = Consumer(pauseAndResume)
        self.successResultOf(self.made(content).startProducing(consumer))
        self.assertEqual(consumer.content, content)

    def test_grown(self) -> None:
        """What is added while it is sent is not sent."""
        consumer = Consumer(pause)
        done = self.made(bytes(BLOCK_SIZE + 10)).startProducing(consumer)
        with self.path.open("ab") as file:
            file.write(b"more")
        consumer.producer.resumeProducing()  # type: ignore[union-attr]
        self.successResultOf(done)
        self.assertEqual(len(consumer.content), BLOCK_SIZE + 10)

    def test_shrunk(self) -> None:
        """A file that ends before it should is an error that names it."""
        consumer = Consumer(pause)
        done = self.made(bytes(BLOCK_SIZE + 10)).startProducing(consumer)
        os.truncate(self.path, BLOCK_SIZE + 1)
        consumer.producer.resumeProducing()  # type: ignore[union-attr]
        consumer.producer.resumeProducing()  # type: ignore[union-attr]
        error = self.failureResultOf(done, SourceError).value
        for part in (str(self.path), str(BLOCK_SIZE + 10), str(BLOCK_SIZE + 1)):
            self.assertIn(part, str(error))
        self.assertIsNone(consumer.producer)

    def test_unreadable(self) -> None:
        """What cannot be opened or read is said at once, with the path."""
        folder = self.path.parent
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        for path, said in (
            (self.path, "No such file"),
            (folder, "folder"),
            # Opening a pipe that nobody writes to must not wait.
            (pipe, "no regular file"),
            # Reading address 0 is refused.
            ("/proc/self/mem", "Input/output error"),
            ("nul\0", "null"),
        ):
            source = FileSource(path)
            error = self.assertRaises(SourceError, source.open)
            self.assertIn(said, str(error))
            self.assertIn(str(path), str(error))
            self.failureResultOf(source.startProducing(StringTransport()), SourceError)

    def test_consumerGone(self) -> None:
        """A consumer that wants nothing is a connection that is lost."""
        done = self.made(b"data").startProducing(GoneConsumer())
        self.failureResultOf(done, Truncated)

    def test_stopped(self) -> None:
        """So is one that wants no more."""
        consumer = Consumer(pause)
        done = self.made(bytes(BLOCK_SIZE + 1)).startProducing(consumer)
        consumer.producer.stopProducing()  # type: ignore[union-attr]
        self.failureResultOf(done, Truncated)

    def test_cancelled(self) -> None:
        """Cancelling stops it and takes it off the consumer."""
        consumer = Consumer(pause)
        done = self.made(bytes(BLOCK_SIZE + 1)).startProducing(consumer)
        producer = consumer.producer
        assert producer is not None
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertIsNone(consumer.producer)
        # A transport may still have that call to make.
        producer.resumeProducing()  # type: ignore[attr-defined]
        self.assertEqual(len(consumer.blocks), 1)


class StreamSourceTests(SynchronousTestCase):
    """Sending what is open already, without waiting for it."""

    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.consumer = Consumer()
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

    def started(self, fd: int) -> Deferred[None]:
        """:returns: when a source of that descriptor is done."""
        return StreamSource(self.reactor, fd).startProducing(self.consumer)

    def readable(self) -> None:
        """Do what a reactor does when the descriptor is ready."""
        (reader,) = self.reactor.readers
        reader.doRead()

    def test_interface(self) -> None:
        """It is a source."""
        self.assertTrue(verifyObject(ISource, StreamSource(self.reactor, 0)))

    def test_pipe(self) -> None:
        """Everything comes as it comes, up to the end of file."""
        reading, writing = self.pipe()
        done = self.started(reading)
        for piece in (b"some", b"more"):
            os.write(writing, piece)
            self.readable()
        self.assertEqual(self.consumer.blocks, [b"some", b"more"])
        self.close(writing)
        self.assertNoResult(done)
        self.readable()
        self.successResultOf(done)
        self.assertEqual(self.reactor.readers, set())
        self.assertIsNone(self.consumer.producer)

    def test_limit(self) -> None:
        """It ends where it is told, and leaves the rest in the pipe."""
        source = StreamSource(self.reactor, 0)
        self.assertTrue(verifyObject(ILimitedSource, source))
        reading, writing = self.pipe()
        os.write(writing, b"0123456789")
        source = StreamSource(self.reactor, reading)
        source.limit(5, 3)
        done = source.startProducing(self.consumer)
        self.readable()
        self.assertNoResult(done)
        self.readable()
        self.successResultOf(done)
        self.assertEqual(self.consumer.blocks, [b"012", b"34"])
        self.assertEqual(os.read(reading, 100), b"56789")

    def test_nothingThere(self) -> None:
        """A reactor that was wrong about the data does no harm."""
        reading, _ = self.pipe()
        done = self.started(reading)
        self.readable()
        self.assertNoResult(done)
        self.assertEqual(self.consumer.blocks, [])
        done.cancel()
        self.failureResultOf(done, CancelledError)

    def test_pace(self) -> None:
        """While the consumer is full, the reactor does not even look."""
        reading, writing = self.pipe()
        self.consumer.onWrite = pause
        done = self.started(reading)
        os.write(writing, b"some")
        self.readable()
        self.assertEqual(self.reactor.readers, set())
        self.consumer.producer.resumeProducing()  # type: ignore[union-attr]
        self.close(writing)
        self.readable()
        self.successResultOf(done)

    def test_hangUp(self) -> None:
        """Some reactors tell the end of a pipe as a connection that is done."""
        reading, writing = self.pipe()
        done = self.started(reading)
        self.close(writing)
        (reader,) = self.reactor.readers
        reader.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(done)

    def test_lost(self) -> None:
        """A descriptor that the reactor cannot watch any more is an error."""
        reading, _ = self.pipe()
        done = self.started(reading)
        (reader,) = self.reactor.readers
        reader.connectionLost(Failure(ConnectionLost("gone")))
        self.assertIn("gone", str(self.failureResultOf(done, SourceError).value))

    def test_readError(self) -> None:
        """A terminal that has gone away is no end of file."""
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        done = StreamSource(self.reactor, master, name="the terminal").startProducing(
            self.consumer
        )
        os.close(slave)
        self.readable()
        error = self.failureResultOf(done, SourceError).value
        self.assertIn("cannot read the terminal: Input/output error", str(error))

    def test_blockingMode(self) -> None:
        """The mode of a descriptor, which others may share, is never changed."""
        for reading, writing in streamPairs(self):
            for blocking in (True, False):
                os.set_blocking(reading, blocking)
                consumer = Consumer()
                done = StreamSource(self.reactor, reading).startProducing(consumer)
                self.assertEqual(os.get_blocking(reading), blocking)
                # The reactor was wrong, or another program has read it all.
                self.readable()
                self.assertEqual(consumer.content, b"")
                os.write(writing, b"some\n")
                self.readable()
                self.assertEqual(consumer.content, b"some\n")
                done.cancel()
                self.failureResultOf(done, CancelledError)
                self.assertEqual(os.get_blocking(reading), blocking)

    def test_notAllowed(self) -> None:
        """It works also with a pipe or terminal that cannot be opened again."""
        self.patch(streams, "_openAgain", lambda fd: None)
        self.test_blockingMode()

    def test_close(self) -> None:
        """It is closed only where that was asked for."""
        for close in (True, False):
            reading, writing = self.pipe()
            source = StreamSource(self.reactor, reading, close=close)
            done = source.startProducing(self.consumer)
            self.close(writing)
            self.readable()
            self.successResultOf(done)
            source.close()
            if close:
                self.assertRaises(OSError, os.fstat, reading)
                self.open.remove(reading)
            else:
                os.fstat(reading)

    def test_regularFile(self) -> None:
        """A regular file is sent from where it stands, and has a size."""
        path = newFolder(self) / "file"
        path.write_bytes(b"0123456789")
        with path.open("rb", buffering=0) as file:
            file.seek(4)
            source = StreamSource(self.reactor, file)
            source.open()
            self.assertEqual(source.size, 6)
            self.successResultOf(source.startProducing(self.consumer))
            self.assertFalse(file.closed)
        self.assertEqual(self.consumer.content, b"456789")

    def test_regularFileError(self) -> None:
        """A regular file that cannot be read is an error that names it."""
        with open("/proc/self/mem", "rb", buffering=0) as file:
            done = StreamSource(self.reactor, file).startProducing(self.consumer)
            error = self.failureResultOf(done, SourceError).value
        self.assertIn("/proc/self/mem", str(error))

    def test_unreadable(self) -> None:
        """What is closed, or a folder, is said at once."""
        folder = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, folder)
        reading, _ = self.pipe()
        self.close(reading)
        for fd, said in ((reading, "Bad file descriptor"), (folder, "folder")):
            source = StreamSource(self.reactor, fd)
            self.assertIn(said, str(self.assertRaises(SourceError, source.open)))
            self.failureResultOf(source.startProducing(self.consumer), SourceError)


class ReactorTests(TestCase):
    """Every reactor can watch every kind of stream."""

    async def sent(self, fd: int) -> bytes:
        """:returns: what a stream gives up to its end."""
        from twisted.internet import reactor

        consumer = Consumer()
        source = StreamSource(reactor, fd, close=True)
        await source.startProducing(consumer)
        return consumer.content

    async def test_pipe(self) -> None:
        """A pipe, with and without something in it when it is closed."""
        for content in (b"", b"content"):
            reading, writing = os.pipe()
            os.write(writing, content)
            os.close(writing)
            self.assertEqual(await self.sent(reading), content)

    async def test_namedPipe(self) -> None:
        """A named pipe that gets its writer only later has not ended before."""
        from twisted.internet import reactor

        path = newFolder(self) / "pipe"
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

        def write() -> None:
            with path.open("wb") as file:
                file.write(b"content")

        reactor.callLater(0, write)
        self.assertEqual(await self.sent(reading), b"content")

    async def test_writerGone(self) -> None:
        """A named pipe has its end also if its writer was gone before it is read."""
        path = newFolder(self) / "pipe"
        os.mkfifo(path)
        both = os.open(path, os.O_RDWR)
        reading = os.open(path, os.O_RDONLY)
        os.write(both, b"content")
        os.close(both)
        self.assertEqual(await self.sent(reading), b"content")

    async def test_socket(self) -> None:
        """A socket."""
        ours, theirs = socket.socketpair()
        theirs.sendall(b"content")
        theirs.close()
        self.assertEqual(await self.sent(ours.detach()), b"content")

    async def test_terminal(self) -> None:
        """A terminal, whose end of file is a character."""
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        os.write(master, b"content\n\x04")
        self.assertEqual(await self.sent(slave), b"content\n")

    async def test_device(self) -> None:
        """A device that epoll(7) refuses."""
        self.assertEqual(await self.sent(os.open("/dev/null", os.O_RDONLY)), b"")


class BytesSourceTests(SynchronousTestCase):
    """Sending what is in memory."""

    def test_interface(self) -> None:
        """It is a source that can be limited."""
        self.assertTrue(verifyObject(ISource, BytesSource(b"")))
        self.assertTrue(verifyObject(ILimitedSource, BytesSource(b"")))

    def test_kinds(self) -> None:
        """All that has bytes will do, as it is now."""
        data = bytearray(b"data")
        for given_ in (data, memoryview(data), bytes(data)):
            source = BytesSource(given_)
            self.assertEqual(source.size, 4)
            data[:] = b"else"
            consumer = Consumer()
            self.successResultOf(source.startProducing(consumer))
            self.assertEqual(consumer.content, b"data")
            self.assertIsNone(consumer.producer)
            data[:] = b"data"

    def test_items(self) -> None:
        """The size is in bytes, also of what has larger items."""
        source = BytesSource(memoryview(b"12345678").cast("I"))
        self.assertEqual(source.size, 8)

    def test_empty(self) -> None:
        """Nothing is sent without a block."""
        consumer = Consumer()
        self.successResultOf(BytesSource(b"").startProducing(consumer))
        self.assertEqual(consumer.blocks, [])

    def test_pace(self) -> None:
        """No more is written than the consumer takes, in blocks."""
        consumer = Consumer(pause)
        source = BytesSource(bytes(2 * BLOCK_SIZE + 1))
        source.open()
        done = source.startProducing(consumer)
        for count in (1, 2, 3):
            self.assertEqual(len(consumer.blocks), count)
            self.assertEqual(done.called, count == 3)
            if consumer.producer is not None:
                consumer.producer.resumeProducing()  # type: ignore[attr-defined]
        self.successResultOf(done)
        source.close()
        self.assertEqual(len(consumer.content), 2 * BLOCK_SIZE + 1)

    @given(
        st.binary(max_size=50),
        st.none() | st.integers(1, 60),
        st.none() | st.integers(1, 60),
    )
    def test_limit(self, data: bytes, size: int | None, blockSize: int | None) -> None:
        """It ends where it is told, and no block is larger than it is told."""
        source = BytesSource(data)
        source.limit(size, blockSize)
        consumer = Consumer()
        self.successResultOf(source.startProducing(consumer))
        self.assertEqual(consumer.content, data[:size])
        for block in consumer.blocks[:-1]:
            self.assertEqual(len(block), blockSize)
        for block in consumer.blocks:
            self.assertLessEqual(len(block), blockSize or 50)

    def test_consumerGone(self) -> None:
        """A consumer that wants nothing is a connection that is lost."""
        done = BytesSource(b"data").startProducing(GoneConsumer())
        self.failureResultOf(done, Truncated)

    def test_cancelled(self) -> None:
        """Cancelling stops it and takes it off the consumer."""
        consumer = Consumer(pause)
        done = BytesSource(bytes(BLOCK_SIZE + 1)).startProducing(consumer)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertIsNone(consumer.producer)


class TextSourceTests(SynchronousTestCase):
    """Sending text."""

    def test_characters(self) -> None:
        """Its units are characters."""
        source = TextSource("Grüße")
        self.assertTrue(verifyObject(ISource, source))
        self.assertEqual(source.size, 5)
        source.limit(4, 3)
        consumer = Consumer()
        self.successResultOf(source.startProducing(consumer))
        self.assertEqual(consumer.blocks, ["Grü", "ß"])
