"""Tests for :mod:`twisted_transfer.prefixes`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twisted_transfer.errors import SourceError, Truncated
from twisted_transfer.interfaces import ISource
from twisted_transfer.prefixes import DigestedSource, ResumableFileSource
from twisted_transfer.producing import BLOCK_SIZE
from twisted_transfer.resuming import ResumableFileDestination
from twisted_transfer.sources import StreamSource

from .dataends import ListSource
from .folders import newFolder
from .test_sources import Consumer, pause
from .threads import HeldThreads

_CONTENT = os.urandom(2 * BLOCK_SIZE + 17)


class ResumableFileSourceTests(SynchronousTestCase):
    """Sending a file of which the partner may have the beginning."""

    def setUp(self) -> None:
        self.path = newFolder(self) / "file"
        self.path.write_bytes(_CONTENT)
        self.consumer = Consumer()

    def source(self, reactor: Any = None) -> ResumableFileSource:
        """:returns: a source that is closed in the end."""
        source = ResumableFileSource(self.path, reactor)
        self.addCleanup(source.close)
        return source

    def check(self, source: ResumableFileSource, length: int, of: bytes) -> bool:
        """:returns: what comes of a check with the beginning of that content."""
        digest = sha256(of[:length]).digest()
        return self.successResultOf(source.checkPrefix(length, digest))

    def assertVouched(self, source: DigestedSource, content: bytes) -> None:
        """It knows of how much it has given the digest, and that is right."""
        self.assertEqual(source.count, len(content))
        self.assertEqual(source.digest(), sha256(content).digest())

    def test_interface(self) -> None:
        """It is a source."""
        self.assertTrue(verifyObject(ISource, ResumableFileSource("x")))

    def test_whole(self) -> None:
        """Without a check all of it is sent."""
        source = self.source()
        source.open()
        self.assertEqual(source.size, len(_CONTENT))
        self.successResultOf(source.startProducing(self.consumer))
        self.assertEqual(self.consumer.content, _CONTENT)
        self.assertVouched(source, _CONTENT)

    def test_goOn(self) -> None:
        """If the partner has the beginning, only the rest is sent."""
        for length in (1, 5, BLOCK_SIZE, len(_CONTENT) - 1, len(_CONTENT)):
            source, consumer = self.source(), Consumer()
            self.assertIs(self.check(source, length, _CONTENT), True)
            self.assertEqual((source.offset, source.count), (length, length))
            self.successResultOf(source.startProducing(consumer))
            self.assertEqual(consumer.content, _CONTENT[length:])
            self.assertVouched(source, _CONTENT)

    def test_startOver(self) -> None:
        """If it has something else, or more, everything is sent."""
        other = b"x" + _CONTENT[1:] + b"more"
        for length in (1, BLOCK_SIZE, len(_CONTENT), len(_CONTENT) + 1):
            source, consumer = self.source(), Consumer()
            self.assertIs(self.check(source, length, other), False)
            self.assertEqual((source.offset, source.count), (0, 0))
            self.successResultOf(source.startProducing(consumer))
            self.assertEqual(consumer.content, _CONTENT)
            self.assertVouched(source, _CONTENT)

    def test_hashedOnce(self) -> None:
        """The beginning is read once, by a thread, and not when it is sent."""
        threads: Any = HeldThreads()
        source = self.source(threads)
        checking = source.checkPrefix(
            BLOCK_SIZE + 1, sha256(_CONTENT[: BLOCK_SIZE + 1]).digest()
        )
        self.assertNoResult(checking)
        threads.run()
        self.assertIs(self.successResultOf(checking), True)
        # Nobody can tell any more how it began.
        with open(self.path, "r+b") as file:
            file.write(bytes(BLOCK_SIZE + 1))
        self.successResultOf(source.startProducing(self.consumer))
        self.assertEqual(self.consumer.content, _CONTENT[BLOCK_SIZE + 1 :])
        self.assertVouched(source, _CONTENT)

    def test_openedOnce(self) -> None:
        """Another file that takes the name changes nothing."""
        source = self.source()
        source.open()
        (self.path.parent / "other").write_bytes(b"other")
        os.replace(self.path.parent / "other", self.path)
        self.assertIs(self.check(source, 10, _CONTENT), True)
        self.successResultOf(source.startProducing(self.consumer))
        self.assertVouched(source, _CONTENT)

    def test_grown(self) -> None:
        """As many bytes are sent as were announced."""

        def grow(consumer: Consumer) -> None:
            with open(self.path, "ab") as file:
                file.write(b"more")

        for length in (0, 3):
            self.path.write_bytes(_CONTENT)
            source, consumer = self.source(), Consumer(grow)
            source.open()
            if length:
                self.check(source, length, _CONTENT)
            self.successResultOf(source.startProducing(consumer))
            self.assertEqual(consumer.content, _CONTENT[length:])
            self.assertVouched(source, _CONTENT)

    def test_shrunk(self) -> None:
        """A file that is cut off while it is sent is an error, with its sizes."""

        def shrink(consumer: Consumer) -> None:
            os.truncate(self.path, BLOCK_SIZE + 5)

        for length in (0, 3):
            self.path.write_bytes(_CONTENT)
            source = self.source()
            source.open()
            if length:
                self.check(source, length, _CONTENT)
            producing = source.startProducing(Consumer(shrink))
            error = self.failureResultOf(producing, SourceError).value
            self.assertIn(f"had {len(_CONTENT)} bytes", str(error))
            self.assertIn(f"ends after {BLOCK_SIZE + 5};", str(error))

    def test_shrunkBefore(self) -> None:
        """A file that is cut off while it is looked at is an error, too."""
        source = self.source()
        source.open()
        os.truncate(self.path, 10)
        checking = source.checkPrefix(11, sha256(_CONTENT[:11]).digest())
        error = self.failureResultOf(checking, SourceError).value
        self.assertIn("shrunk", str(error))
        self.assertIn(str(self.path), str(error))

    def test_unreadable(self) -> None:
        """A file that cannot be read any more is an error in both phases."""
        for phase in ("check", "send"):
            source = self.source()
            source.open()
            (fd,) = (
                int(number)
                for number in os.listdir("/proc/self/fd")
                if _leadsTo(number, self.path)
            )
            # Only writing is possible with this one.
            blind = os.open(self.path, os.O_WRONLY)
            if phase == "check":
                os.dup2(blind, fd)
                failing: Any = source.checkPrefix(3, bytes(32))
            else:
                closing = partial(_replace, fd, blind)
                failing = source.startProducing(Consumer(closing))
            error = self.failureResultOf(failing, SourceError).value
            self.assertIn("Bad file descriptor", str(error))
            self.assertIn(str(self.path), str(error))
            os.close(blind)
            source.close()

    def test_missing(self) -> None:
        """A file that is not there fails in every phase."""
        self.path.unlink()
        self.assertRaises(SourceError, self.source().open)
        self.failureResultOf(self.source().checkPrefix(1, bytes(32)), SourceError)
        producing = self.source().startProducing(self.consumer)
        self.failureResultOf(producing, SourceError)

    def test_sizeUnknown(self) -> None:
        """A file that does not say how large it is proves nothing."""
        self.path = Path("/proc/version")
        content = self.path.read_bytes()
        source = self.source()
        self.assertIs(self.check(source, 3, content), False)
        self.assertIsNone(source.size)
        self.successResultOf(source.startProducing(self.consumer))
        self.assertEqual(self.consumer.content, content)
        self.assertVouched(source, content)

    def test_closed(self) -> None:
        """Closed while a thread reads it, it is not read any more."""
        threads: Any = HeldThreads()
        source = self.source(threads)
        checking = source.checkPrefix(3, bytes(32))
        source.close()
        self.failureResultOf(checking, CancelledError)
        threads.run()
        self.assertFalse(_leadsToAny(self.path))

    def test_cancelledCheck(self) -> None:
        """A check that is cancelled leaves a source that sends everything."""
        threads: Any = HeldThreads()
        source = self.source(threads)
        checking = source.checkPrefix(3, sha256(_CONTENT[:3]).digest())
        checking.cancel()
        self.failureResultOf(checking, CancelledError)
        self.successResultOf(source.startProducing(self.consumer))
        threads.run()
        self.assertEqual(self.consumer.content, _CONTENT)
        self.assertVouched(source, _CONTENT)

    def test_backPressure(self) -> None:
        """It is sent at the pace of the consumer, and may be stopped."""
        source, consumer = self.source(), Consumer(pause)
        self.check(source, 3, _CONTENT)
        producing = source.startProducing(consumer)
        self.assertEqual(consumer.content, _CONTENT[3:][:BLOCK_SIZE])
        self.assertVouched(source, _CONTENT[: BLOCK_SIZE + 3])
        consumer.producer.stopProducing()  # type: ignore[union-attr]
        self.failureResultOf(producing, Truncated)
        self.assertFalse(_leadsToAny(self.path))


def _replace(fd: int, by: int, consumer: object) -> None:
    os.dup2(by, fd)


def _leadsTo(number: str, path: Path) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{number}") == str(path)
    except FileNotFoundError:
        return False


def _leadsToAny(path: Path) -> bool:
    """:returns: whether a file is open in this process."""
    return any(_leadsTo(number, path) for number in os.listdir("/proc/self/fd"))


class DigestedSourceTests(SynchronousTestCase):
    """Sending what cannot go back."""

    def test_interface(self) -> None:
        """It is a source."""
        self.assertTrue(verifyObject(ISource, DigestedSource(ListSource([]))))

    def test_any(self) -> None:
        """Everything is sent and hashed, whatever the partner has."""
        inner = ListSource([b"some", b"more"])
        source, consumer = DigestedSource(inner), Consumer()
        source.open()
        checking = source.checkPrefix(4, sha256(b"some").digest())
        self.assertIs(self.successResultOf(checking), False)
        self.assertEqual((source.offset, source.size), (0, None))
        self.successResultOf(source.startProducing(consumer))
        self.assertEqual(consumer.content, b"somemore")
        self.assertEqual(source.count, 8)
        self.assertEqual(source.digest(), sha256(b"somemore").digest())
        source.close()
        self.assertTrue(inner.closed)

    def test_size(self) -> None:
        """It has the size that the source has."""
        self.assertEqual(DigestedSource(ListSource([], size=7)).size, 7)

    def test_fails(self) -> None:
        """It fails as the source does."""
        source = DigestedSource(ListSource([], unopenable=True))
        self.assertRaises(SourceError, source.open)
        source = DigestedSource(ListSource([b"some"], error=SourceError("no more")))
        self.failureResultOf(source.startProducing(Consumer()), SourceError)
        self.assertEqual(source.digest(), sha256(b"some").digest())

    def test_unreadable(self) -> None:
        """
        A stream that cannot be read in the middle is an error: the memory of a
        process ends where nothing is mapped.
        """
        maps = Path("/proc/self/maps").read_text(errors="replace").splitlines()
        ranges = [line.split()[0].split("-") for line in maps if "[v" not in line]
        begins = {begin for begin, _ in ranges}
        end = int(next(end for _, end in ranges if end not in begins), 16)
        with open("/proc/self/mem", "rb", buffering=0) as file:
            file.seek(end - 100)
            source = DigestedSource(StreamSource(MemoryReactor(), file.fileno()))
            producing = source.startProducing(Consumer())
            error = self.failureResultOf(producing, SourceError).value
        self.assertIn("Input/output error", str(error))
        self.assertEqual(source.count, 100)

    def test_pipe(self) -> None:
        """A pipe is hashed while it passes."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        reactor = MemoryReactor()
        source, consumer = DigestedSource(StreamSource(reactor, reading)), Consumer()
        producing = source.startProducing(consumer)
        for piece in (b"some", b"more"):
            os.write(writing, piece)
            _readable(reactor)
        os.close(writing)
        self.assertNoResult(producing)
        _readable(reactor)
        self.successResultOf(producing)
        self.assertEqual(source.digest(), sha256(b"somemore").digest())


def _readable(reactor: Any) -> None:
    """Do what a reactor does when there is something to read."""
    (reader,) = reactor.readers
    reader.doRead()


class BothEndsTests(SynchronousTestCase):
    """A source and a destination that agree on where to go on."""

    @given(
        st.lists(
            st.tuples(st.integers(0, 400), st.sampled_from([b"a", b"b"])), max_size=6
        )
    )
    def test_anySequence(self, tries: list[tuple[int, bytes]]) -> None:
        """
        After any sequence of interruptions and changes of the file, both have
        the same bytes and the same digest, and no byte was sent twice while
        the file was the same.
        """
        with TemporaryDirectory() as folder:
            path, target = Path(folder, "file"), Path(folder, "target")
            last, have = b"", 0
            for most, kind in [*tries, (1000, b"a")]:
                content = kind * 350 + b"end"
                path.write_bytes(content)
                source = ResumableFileSource(path)
                destination = ResumableFileDestination(target)
                offered, digest = self.successResultOf(destination.offer())
                if digest is not None:
                    self.successResultOf(source.checkPrefix(offered, digest))
                self.assertEqual(source.offset, have if content == last else 0)
                destination.start(source.offset)
                _send(source, most, destination.write)
                last, have = content, destination.size
                if most < 1000:
                    destination.interrupt()
            self.assertEqual(destination.digest(), source.digest())
            self.assertEqual(destination.size, source.count)
            self.successResultOf(destination.finish())
            self.assertEqual(target.read_bytes(), content)


def _send(
    source: ResumableFileSource, most: int, write: Callable[[bytes], object]
) -> None:
    """Let that many bytes arrive, of what the source gives."""
    consumer = Consumer(pause)
    producing = source.startProducing(consumer)
    producing.addErrback(lambda failure: failure.trap(Truncated))
    while consumer.producer is not None and len(consumer.content) < most:
        consumer.producer.resumeProducing()  # type: ignore[attr-defined]
    if consumer.producer is not None:
        consumer.producer.stopProducing()
    write(consumer.content[:most])
