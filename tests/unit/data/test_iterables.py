"""
Tests for :mod:`twisted_transfer.data.iterables` and
:mod:`twisted_transfer.data.iterables`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.unit.data.test_sources import Consumer, GoneConsumer, pause
from twisted_transfer.data.iterables import IterableSource
from twisted_transfer.errors import BadOption, SourceError, Truncated
from twisted_transfer.interfaces import ISource
from twisted_transfer.testing.memory import memoryPair, settle


async def asynchronous(pieces: Iterable[Any]) -> AsyncIterator[Any]:
    """:returns: the same pieces, from an async generator that never waits."""
    for piece in pieces:
        yield piece


KINDS: tuple[Callable[[Iterable[Any]], Any], ...] = (iter, asynchronous)
"""The ways to iterate over the same pieces."""


def pauseAndResume(consumer: Consumer) -> None:
    """Ask for the next piece from inside write()."""
    pause(consumer)
    consumer.producer.resumeProducing()  # type: ignore[union-attr]


class IterableSourceTests(SynchronousTestCase):
    """Sending what an iterable gives, of whichever kind."""

    def setUp(self) -> None:
        self.consumer = Consumer()

    def started(self, iterable: Any, size: int | None = None) -> Deferred[None]:
        """:returns: when a source of that iterable is done."""
        return IterableSource(iterable, size).startProducing(self.consumer)

    def resume(self) -> None:
        """Let the consumer have room."""
        self.consumer.producer.resumeProducing()  # type: ignore[union-attr]

    def test_interface(self) -> None:
        """It is a source."""
        self.assertTrue(verifyObject(ISource, IterableSource([])))

    @given(st.lists(st.binary(max_size=5)), st.booleans(), st.booleans())
    def test_whole(self, pieces: list[bytes], known: bool, paused: bool) -> None:
        """Each piece comes as it is, at the pace of the consumer; none is empty."""
        for kind in KINDS:
            self.setUp()
            if paused:
                self.consumer.onWrite = pause
            size = sum(map(len, pieces)) if known else None
            done = self.started(kind(pieces), size)
            wanted = [piece for piece in pieces if piece]
            for count in range(1, len(wanted) + 1 if paused else 1):
                self.assertEqual(self.consumer.blocks, wanted[:count])
                self.resume()
            self.assertIsNone(self.successResultOf(done))
            self.assertEqual(self.consumer.blocks, wanted)
            self.assertIsNone(self.consumer.producer)

    def test_kindsOfBytes(self) -> None:
        """All that has bytes will do as a piece."""
        for kind in KINDS:
            self.setUp()
            pieces = (b"some", bytearray(b"more"), memoryview(b"else"))
            self.successResultOf(self.started(kind(pieces)))
            self.assertEqual(self.consumer.blocks, [b"some", b"more", b"else"])
            self.assertEqual({type(b) for b in self.consumer.blocks}, {bytes})

    def test_again(self) -> None:
        """A list is as good for a second source as for the first."""
        pieces = [b"some", b"more"]
        for _ in range(2):
            self.successResultOf(self.started(pieces))
        self.assertEqual(self.consumer.content, b"somemoresomemore")

    def test_channel(self) -> None:
        """A channel can be iterated over, and so is a source."""
        clock = Clock()
        ours, theirs = memoryPair(clock)
        done = self.started(ours)
        theirs.write(b"some")
        settle(clock)
        theirs.write(b"more")
        settle(clock)
        self.assertNoResult(done)
        theirs.writeEOF()
        settle(clock)
        self.successResultOf(done)
        self.assertEqual(self.consumer.blocks, [b"some", b"more"])

    def test_channelBreaks(self) -> None:
        """What the channel fails with is the cause."""
        clock = Clock()
        ours, theirs = memoryPair(clock)
        done = self.started(ours)
        theirs.abortConnection()
        settle(clock)
        error = self.failureResultOf(done, SourceError).value
        self.assertIsInstance(error.__cause__, Truncated)

    def test_notAskedFor(self) -> None:
        """No piece is asked for before there is room for it."""
        asked: list[int] = []

        def pieces() -> Iterator[bytes]:
            for index in range(5):
                asked.append(index)
                yield b"piece"

        for kind in KINDS:
            self.setUp()
            asked.clear()
            self.consumer.onWrite = pause
            source = IterableSource(kind(pieces()))
            source.open()
            source.open()
            self.assertEqual(asked, [])
            done = source.startProducing(self.consumer)
            self.assertEqual(asked, [0])
            self.resume()
            self.assertEqual(asked, [0, 1])
            done.cancel()
            self.failureResultOf(done, CancelledError)

    def test_cameLate(self) -> None:
        """
        A piece that comes when the consumer has become full waits; the end has
        nothing to wait for.
        """
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()

        async def pieces() -> AsyncIterator[bytes]:
            await first
            yield b"piece"
            await second

        done = self.started(pieces())
        pause(self.consumer)
        first.callback(None)
        self.assertEqual(self.consumer.blocks, [])
        self.resume()
        self.assertEqual(self.consumer.blocks, [b"piece"])
        pause(self.consumer)
        second.callback(None)
        self.successResultOf(done)

    def test_depth(self) -> None:
        """Many pieces are no deep call, also when asked for from inside write()."""
        count = 3 * sys.getrecursionlimit()
        for kind in KINDS:
            for onWrite in (None, pauseAndResume):
                self.setUp()
                self.consumer.onWrite = onWrite
                self.successResultOf(self.started(kind([b"x"] * count)))
                self.assertEqual(self.consumer.content, b"x" * count)

    def test_raises(self) -> None:
        """What it raises in the middle is the cause of the error."""
        original = ZeroDivisionError("oops")

        def pieces() -> Iterator[bytes]:
            yield b"piece"
            raise original

        async def asyncPieces() -> AsyncIterator[bytes]:
            yield b"piece"
            raise original

        for iterable in (pieces(), asyncPieces()):
            self.setUp()
            error = self.failureResultOf(self.started(iterable), SourceError).value
            self.assertIs(error.__cause__, original)
            self.assertIn("oops", str(error))
            self.assertEqual(self.consumer.blocks, [b"piece"])
            self.assertIsNone(self.consumer.producer)

    def test_raisesOwn(self) -> None:
        """A SourceError is passed on as it is."""
        original = SourceError("the tape is torn")

        def pieces() -> Iterator[bytes]:
            yield b"piece"
            raise original

        async def asyncPieces() -> AsyncIterator[bytes]:
            yield b"piece"
            raise original

        for iterable in (pieces(), asyncPieces()):
            self.setUp()
            error = self.failureResultOf(self.started(iterable), SourceError).value
            self.assertIs(error, original)

    def test_cannotBegin(self) -> None:
        """What cannot even be begun is an error at open()."""

        class Broken:
            def __iter__(self) -> Iterator[bytes]:
                raise ZeroDivisionError("oops")

        source = IterableSource(Broken())
        error = self.assertRaises(SourceError, source.open)
        self.assertIsInstance(error.__cause__, ZeroDivisionError)
        self.failureResultOf(source.startProducing(self.consumer), SourceError)

    def test_noBytes(self) -> None:
        """A piece that is no bytes is an error that says what it is."""
        for kind in KINDS:
            for piece in ("text", 5, None):
                self.setUp()
                done = self.started(kind([b"good", piece]))
                error = self.failureResultOf(done, SourceError).value
                self.assertIn(type(piece).__name__, str(error))
                self.assertIsInstance(error.__cause__, TypeError)
                self.assertEqual(self.consumer.blocks, [b"good"])

    def test_noIterable(self) -> None:
        """What cannot be right is refused at once."""
        for wrong, said in (
            (b"x", "BytesSource"),
            ("x", "BytesSource"),
            (5, "iterate"),
        ):
            error = self.assertRaises(BadOption, IterableSource, wrong)
            self.assertIn(said, str(error))
        self.assertRaises(BadOption, IterableSource, [], -1)
        self.assertRaises(BadOption, IterableSource, [], "5")

    def test_wrongSize(self) -> None:
        """More or less than was announced is an error; nothing more is sent."""
        for kind in KINDS:
            for size, sent in ((9, 8), (7, 4), (0, 0)):
                self.setUp()
                source = IterableSource(kind([b"some", b"more"]), size)
                self.assertEqual(source.size, size)
                done = source.startProducing(self.consumer)
                error = self.failureResultOf(done, SourceError).value
                self.assertIn(f"{size} bytes", str(error))
                self.assertEqual(len(self.consumer.content), sent)

    def test_consumerGone(self) -> None:
        """A consumer that wants nothing is a connection that is lost."""
        for kind in KINDS:
            source = IterableSource(kind([b"piece"]))
            done = source.startProducing(GoneConsumer())
            self.failureResultOf(done, Truncated)


class ClosingTests(SynchronousTestCase):
    """What becomes of a generator that is not used up."""

    def setUp(self) -> None:
        self.consumer = Consumer(pause)
        self.closed: list[str] = []
        self.waiting: Deferred[None] = Deferred()

    def pieces(self) -> Iterator[bytes]:
        """A generator that knows how it ends."""
        try:
            yield b"some"
            yield b"more"
        finally:
            self.closed.append("closed")

    async def asyncPieces(self) -> AsyncIterator[bytes]:
        """The same, and one that waits after its first piece."""
        try:
            yield b"some"
            await self.waiting
            yield b"more"
        finally:
            self.closed.append("closed")

    def test_stopped(self) -> None:
        """However it is stopped, the generator is closed, once."""
        for make in (self.pieces, self.asyncPieces):
            for ending in ("cancel", "stop", "close"):
                self.setUp()
                source = IterableSource(make())
                done = source.startProducing(self.consumer)
                self.assertEqual(self.closed, [])
                if ending == "cancel":
                    done.cancel()
                    self.failureResultOf(done, CancelledError)
                elif ending == "stop":
                    self.consumer.producer.stopProducing()  # type: ignore[union-attr]
                    self.failureResultOf(done, Truncated)
                else:
                    source.close()
                    done.cancel()
                    self.failureResultOf(done, CancelledError)
                self.assertEqual(self.closed, ["closed"])
                source.close()
                self.assertEqual(self.closed, ["closed"])
                self.assertIsNone(self.consumer.producer)

    def test_stoppedWhileWaiting(self) -> None:
        """One that waits is interrupted there."""
        source = IterableSource(self.asyncPieces())
        done = source.startProducing(self.consumer)
        self.consumer.producer.resumeProducing()  # type: ignore[union-attr]
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(self.closed, ["closed"])
        self.assertTrue(self.waiting.called)

    def test_stoppedUnwillingly(self) -> None:
        """One that does not care gives nothing more, and is closed later."""
        waiting: Deferred[None] = Deferred()

        async def pieces() -> AsyncIterator[bytes]:
            try:
                try:
                    await self.waiting
                except CancelledError:
                    await waiting
                yield b"piece"
            finally:
                self.closed.append("closed")

        done = IterableSource(pieces()).startProducing(self.consumer)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(self.closed, [])
        waiting.callback(None)
        self.assertEqual(self.closed, ["closed"])
        self.assertEqual(self.consumer.blocks, [])

    def test_stoppedFromInside(self) -> None:
        """One that ends the copy from inside is closed as well."""

        def pieces() -> Iterator[bytes]:
            try:
                yield b"some"
                done.cancel()
                yield b"more"
            finally:
                self.closed.append("closed")

        generator = pieces()  # held on to, so that the collector does not close it
        done = IterableSource(generator).startProducing(self.consumer)
        self.consumer.producer.resumeProducing()  # type: ignore[union-attr]
        self.failureResultOf(done, CancelledError)
        self.assertEqual(self.closed, ["closed"])
        self.assertEqual(self.consumer.blocks, [b"some"])

    def test_refused(self) -> None:
        """One that gives something wrong is closed, too."""

        def pieces() -> Iterator[Any]:
            try:
                yield 5
            finally:
                self.closed.append("closed")

        done = IterableSource(pieces()).startProducing(self.consumer)
        self.failureResultOf(done, SourceError)
        self.assertEqual(self.closed, ["closed"])

    def test_errorAtClose(self) -> None:
        """An error in its cleaning up is logged."""

        def pieces() -> Iterator[bytes]:
            try:
                yield b"some"
            finally:
                raise ZeroDivisionError

        async def asyncPieces() -> AsyncIterator[bytes]:
            try:
                yield b"some"
            finally:
                raise ZeroDivisionError

        for iterable in (pieces(), asyncPieces()):
            self.setUp()
            done = IterableSource(iterable).startProducing(self.consumer)
            done.cancel()
            self.failureResultOf(done, CancelledError)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_unused(self) -> None:
        """A source that is not used is closed, opened or not."""
        for opened in (False, True):
            source = IterableSource(self.pieces())
            if opened:
                source.open()
            source.close()
            source.close()
            self.assertEqual(list(source._iterable), [])  # type: ignore[arg-type]

    def test_notOurs(self) -> None:
        """What is no generator is the user's to close."""
        with open("/proc/self/status", "rb") as file:
            self.consumer.onWrite = pause
            source = IterableSource(file)
            done = source.startProducing(self.consumer)
            done.cancel()
            self.failureResultOf(done, CancelledError)
            source.close()
            self.assertFalse(file.closed)
