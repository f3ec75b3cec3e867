"""Tests for :mod:`twisted_transfer.receipts.digest`."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event, Lock
from typing import Any

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.threadable import isInIOThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.support.folders import newFolder
from tests.support.threads import HeldThreads
from twisted_transfer.receipts import digest as digesting
from twisted_transfer.receipts.digest import (
    FILE_WAKE,
    READ_SIZE,
    RunningDigest,
)


class RunningDigestTests(SynchronousTestCase):
    """The digest of what passes."""

    def test_nothing(self) -> None:
        """Nothing has a digest, too (BLAKE3's test vectors)."""
        self.assertEqual(
            RunningDigest().digest().hex(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        )

    @given(st.lists(st.binary(max_size=3000)))
    def test_anyCut(self, pieces: list[bytes]) -> None:
        """However it is cut, and whenever it is looked at, it is the same."""
        digest = RunningDigest()
        expected = blake3()
        for piece in pieces:
            digest.update(piece)
            expected.update(piece)
            self.assertEqual(digest.digest(), expected.digest())
        self.assertEqual(digest.count, sum(map(len, pieces)))

    def test_atOnce(self) -> None:
        """Bytes that pass are hashed before the caller goes on, and are not kept."""
        threads: Any = HeldThreads()
        digest = RunningDigest(threads)
        piece = bytearray(b"content")
        digest.update(piece)  # type: ignore[arg-type]
        piece[:] = b"changed"
        self.assertEqual(digest.digest(), blake3(b"content").digest())
        self.assertEqual(len(threads.work), 0)

    def test_startOver(self) -> None:
        """What was given before does not count any more."""
        digest = RunningDigest()
        digest.update(b"before")
        digest.startOver()
        digest.update(b"content")
        self.assertEqual(digest.digest(), blake3(b"content").digest())
        self.assertEqual(digest.count, 7)


class FileTests(SynchronousTestCase):
    """Beginning with what stands in a file."""

    def setUp(self) -> None:
        self.content = os.urandom(2 * READ_SIZE + 17)
        path = newFolder(self) / "file"
        path.write_bytes(self.content)
        self.fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, self.fd)

    def test_goOn(self) -> None:
        """The digest goes on behind what stands there."""
        for length in (0, 1, READ_SIZE, len(self.content)):
            digest = RunningDigest()
            # Where the descriptor stands makes no difference.
            os.lseek(self.fd, 5, os.SEEK_SET)
            count = self.successResultOf(digest.hashFile(self.fd, length))
            self.assertEqual((count, digest.count), (length, length))
            digest.update(b"more")
            expected = blake3(self.content[:length] + b"more").digest()
            self.assertEqual(digest.digest(), expected)

    def test_tooShort(self) -> None:
        """A file that is shorter is read to its end."""
        digest = RunningDigest()
        hashing = digest.hashFile(self.fd, len(self.content) + 1)
        self.assertEqual(digest.hashed, len(self.content))
        self.assertEqual(self.successResultOf(hashing), len(self.content))
        self.assertEqual(digest.digest(), blake3(self.content).digest())

    def test_unreadable(self) -> None:
        """What the system says is heard, from a thread too."""
        # Nothing is mapped at the address 0.
        fd = os.open("/proc/self/mem", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        threads: Any = HeldThreads()
        for reactor in (None, threads):
            hashing = RunningDigest(reactor).hashFile(fd, 10)
            threads.run()
            error = self.failureResultOf(hashing, OSError).value
            self.assertEqual(error.strerror, "Input/output error")

    def test_cancelledBefore(self) -> None:
        """A thread that comes too late finds nothing to read."""
        threads: Any = HeldThreads()
        digest = RunningDigest(threads)
        hashing = digest.hashFile(self.fd, 10)
        hashing.cancel()
        self.failureResultOf(hashing, CancelledError)
        reads: list[int] = []

        def pread(fd: int, length: int, offset: int) -> bytes:
            reads.append(offset)
            return b""

        self.patch(os, "pread", pread)
        threads.run()
        self.assertEqual(reads, [])
        self.assertEqual(digest.digest(), blake3().digest())


class FollowTests(SynchronousTestCase):
    """Going on with what stands in a file."""

    def setUp(self) -> None:
        self.content = os.urandom(FILE_WAKE + READ_SIZE + 17)
        self.path = newFolder(self) / "file"
        self.path.write_bytes(self.content)
        threads: Any = HeldThreads()
        self.threads = threads
        self.digest = RunningDigest(threads)
        self.addCleanup(self.digest.close)

    def follow(self) -> None:
        """Follow the file, which is closed again."""
        with self.path.open("rb") as file:
            self.digest.follow(file.fileno())

    @given(st.lists(st.integers(1, FILE_WAKE // 4), max_size=4), st.booleans())
    def test_anyCut(self, counts: list[int], threaded: bool) -> None:
        """Whatever has passed before, and however it is cut, it is that of the file."""
        threads: Any = self.threads if threaded else None
        self.digest = RunningDigest(threads)
        self.digest.update(self.content[:9])
        self.follow()
        for count in counts:
            self.digest.advance(count)
        # Bytes that pass are in the file, too.
        self.digest.update(self.content[self.digest.count :][:5])
        caught = self.digest.caughtUp()
        self.threads.run()
        self.successResultOf(caught)
        expected = blake3(self.content[: self.digest.count]).digest()
        self.assertEqual(self.digest.count, 14 + sum(counts))
        self.assertEqual(self.digest.digest(), expected)
        self.digest.close()
        self.digest.close()

    def test_inThread(self) -> None:
        """A thread reads when there is enough to do, one at a time."""
        self.follow()
        self.digest.advance(FILE_WAKE - 1)
        self.assertEqual(len(self.threads.work), 0)
        self.digest.advance(1)
        self.digest.advance(READ_SIZE)
        self.assertEqual(len(self.threads.work), 1)

    def test_shorter(self) -> None:
        """A file that has got shorter has another digest, and ends."""
        self.follow()
        self.digest.advance(len(self.content))
        os.truncate(self.path, 3)
        self.assertEqual(self.digest.digest(), blake3(self.content[:3]).digest())

    def test_unreadable(self) -> None:
        """What the system says is heard."""
        # Nothing is mapped at the address 0.
        with open("/proc/self/mem", "rb") as file:
            self.digest.follow(file.fileno())
        self.digest.advance(10)
        caught = self.digest.caughtUp()
        self.threads.run()
        error = self.failureResultOf(caught, OSError).value
        self.assertEqual(error.strerror, "Input/output error")

    def test_closed(self) -> None:
        """Once it is closed no thread reads."""
        self.follow()
        self.digest.advance(FILE_WAKE)
        self.digest.close()
        self.patch(os, "pread", None)
        self.threads.run()


class ThreadTests(TestCase):
    """With the threads of a real reactor."""

    def setUp(self) -> Any:
        from twisted.internet import reactor

        threaded: Any = reactor
        self.reactor = threaded
        self.digest = RunningDigest(threaded)
        # There are threads only while the reactor runs.
        running: Deferred[None] = Deferred()
        self.reactor.callWhenRunning(running.callback, None)
        return running

    async def test_order(self) -> None:
        """Two threads that take the blocks in turn keep the order."""
        self.patch(digesting, "FILE_WAKE", READ_SIZE)
        content = os.urandom(40 * READ_SIZE)
        path = newFolder(self) / "file"
        path.write_bytes(content)
        with path.open("rb") as file:
            self.digest.follow(file.fileno())
        self.addCleanup(self.digest.close)
        for _ in range(40):
            self.digest.advance(READ_SIZE)
        self.assertEqual(self.digest.digest(), blake3(content).digest())

    async def test_file(self) -> None:
        """A file is read in a thread."""
        fd = os.open(__file__, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        content = Path(__file__).read_bytes()
        self.assertEqual(
            await self.digest.hashFile(fd, len(content)),
            len(content),
        )
        self.assertEqual(self.digest.digest(), blake3(content).digest())

    async def test_cancelledMeanwhile(self) -> None:
        """Cancelled while a thread reads, it reads no further block."""

        class Watched:
            """A lock for which the reactor's thread waits while a thread reads."""

            def __init__(self) -> None:
                self.lock = Lock()

            def __enter__(self) -> None:
                if isInIOThread():
                    goOn.set()
                self.lock.acquire()

            def __exit__(self, *args: object) -> None:
                self.lock.release()

        self.patch(digesting, "Lock", Watched)
        reading: Deferred[None] = Deferred()
        goOn, over = Event(), Event()
        reads: list[int] = []
        real = os.pread

        def pread(fd: int, length: int, offset: int) -> bytes:
            reads.append(offset)
            if len(reads) == 2:
                self.reactor.callFromThread(reading.callback, None)
                goOn.wait(30)
                over.set()
            return real(fd, length, offset)

        path = newFolder(self) / "file"
        path.write_bytes(bytes(10 * READ_SIZE))
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.patch(os, "pread", pread)
        hashing = self.digest.hashFile(fd, 10 * READ_SIZE)
        await reading
        hashing.cancel()
        self.assertTrue(over.is_set())
        with self.assertRaises(CancelledError):
            await hashing
        self.assertEqual(reads, [0, READ_SIZE])
        self.assertEqual(self.digest.count, 0)
