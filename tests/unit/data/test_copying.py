"""Tests for :mod:`twisted_transfer.data.copying`."""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IPullProducer
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.support.dataends import ListSource
from tests.support.folders import newFolder
from tests.unit.data.test_sources import Consumer, GoneConsumer, pause
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.copying import MAX_BLOCK_SIZE, Feed, copy
from twisted_transfer.data.iterables import IterableSource
from twisted_transfer.data.sources import BytesSource, FileSource, TextSource
from twisted_transfer.data.streams import StreamSource
from twisted_transfer.errors import BadOption, NotEnoughData, SourceError, Truncated
from twisted_transfer.interfaces import ISource
from twisted_transfer.testing.memory import memoryPair, settle


class ChannelTestCase(SynchronousTestCase):
    """Two channels in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ours, self.theirs = memoryPair(self.clock)

    def settle(self) -> None:
        """Let everything happen that is to happen now."""
        settle(self.clock)

    def readAll(self, channel: TransferChannel) -> bytes:
        """:returns: everything that comes on a channel, up to now."""
        received = bytearray()
        while True:
            reading: Deferred[Any] = channel.read()
            self.settle()
            if not reading.called:
                reading.cancel()
                self.failureResultOf(reading, CancelledError)
                return bytes(received)
            piece = self.successResultOf(reading)
            if not piece:
                return bytes(received)
            received += piece

    def assertReset(self, channel: TransferChannel) -> None:
        """The connection has broken off for the other side."""
        self.settle()
        closed = channel.whenClosed()
        reading: Deferred[Any] = channel.readExactly(1 << 30)
        self.settle()
        self.failureResultOf(reading, Truncated)
        self.failureResultOf(closed, Truncated)


class CopyTests(ChannelTestCase):
    """From a source into a channel."""

    def test_whole(self) -> None:
        """All bytes are handed over and counted; the channel stays open."""
        content = os.urandom(1_000_000)
        pieces = [content[i : i + 50_000] for i in range(0, len(content), 50_000)]
        copying = copy(ListSource(pieces), self.ours)
        self.assertEqual(self.readAll(self.theirs), content)
        self.assertEqual(self.successResultOf(copying), len(content))
        self.ours.write(b"more")
        self.assertEqual(self.readAll(self.theirs), b"more")

    def test_nothing(self) -> None:
        """An empty source is 0 bytes."""
        self.assertEqual(self.successResultOf(copy(ListSource([]), self.ours)), 0)

    def test_pace(self) -> None:
        """A partner that does not read holds the source back."""
        source = ListSource([bytes(50_000)] * 1000)
        copying = copy(source, self.ours)
        self.settle()
        self.assertNoResult(copying)
        self.assertLess(source.given, 20)
        self.assertEqual(len(self.readAll(self.theirs)), 50_000_000)
        self.assertEqual(self.successResultOf(copying), 50_000_000)

    def test_progress(self) -> None:
        """
        Each block is told, with the size as far as it is known, and the rate.
        """
        for size in (7, None):
            told: list[tuple[int, int | None, float]] = []
            source = ListSource([b"some"], size=size, idle=True)
            copying = copy(
                source, self.ours, progress=lambda *args, told=told: told.append(args)
            )
            self.clock.advance(2)
            source.give(b"one")
            source.finish()
            self.successResultOf(copying)
            self.assertEqual(told, [(4, size, 0.0), (7, size, 3.5)])

    def test_unopenable(self) -> None:
        """A source that cannot be opened says so."""
        copying = copy(ListSource([], unopenable=True), self.ours)
        self.failureResultOf(copying, SourceError)

    def test_sourceFails(self) -> None:
        """What the source fails with is what the copy fails with."""
        error = SourceError("the disk is broken")
        copying = copy(ListSource([b"data"], error=error), self.ours)
        self.assertIs(self.failureResultOf(copying).value, error)

    def test_linkLost(self) -> None:
        """A connection that goes while the source is full is a truncation."""
        copying = copy(ListSource([bytes(50_000)] * 1000), self.ours)
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(copying, Truncated)

    def test_linkLostIdle(self) -> None:
        """So is one that goes while the source has nothing."""
        source = ListSource([b"data"], idle=True)
        copying = copy(source, self.ours)
        reading: Deferred[Any] = self.ours.read()
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(reading, Truncated)
        self.failureResultOf(copying, Truncated)
        self.assertTrue(source.closed)

    def test_sourceNotStopped(self) -> None:
        """So is one whose transport does not tell the source."""

        class Deaf(ListSource):
            def stopProducing(self) -> None:
                pass

        source = Deaf([b"data"], idle=True)
        copying = copy(source, self.ours)
        self.ours.abortConnection()
        self.settle()
        error = self.failureResultOf(copying, Truncated).value
        self.assertIn("again", str(error))
        self.assertTrue(source.closed)

    def test_cancelled(self) -> None:
        """Cancelling stops the source; the channel stays open."""
        source = ListSource([b"data"], idle=True)
        copying = copy(source, self.ours)
        copying.cancel()
        self.failureResultOf(copying, CancelledError)
        self.assertTrue(source.closed)
        self.ours.write(b" and more")
        self.assertEqual(self.readAll(self.theirs), b"data and more")


def pieced(data: bytes, lengths: list[int]) -> list[bytes]:
    """:returns: the data in pieces of these lengths, and the rest in one."""
    pieces = []
    for length in lengths:
        pieces.append(data[:length])
        data = data[length:]
    return [*pieces, data]


class Told:
    """
    Is told how far a copy is.

    :ivar counts: after each block, and 0 before the first.
    :ivar totals: what was said to be all.
    """

    def __init__(self) -> None:
        self.counts = [0]
        self.totals: set[int | None] = set()

    def __call__(self, count: int, total: int | None, rate: float) -> None:
        self.counts.append(count)
        self.totals.add(total)


class SizeTests(ChannelTestCase):
    """Exactly so much, in blocks."""

    @given(
        st.binary(max_size=60),
        st.lists(st.integers(0, 20), max_size=6),
        st.none() | st.integers(0, 70),
        st.none() | st.integers(1, 70),
        st.booleans(),
    )
    def test_exact(
        self,
        data: bytes,
        lengths: list[int],
        size: int | None,
        blockSize: int | None,
        known: bool,
    ) -> None:
        """
        Whatever the size, the blocks and the pieces of the source: exactly so
        many bytes are written and counted, in blocks that are not larger, or it
        is an error that has the number.
        """
        for make in (IterableSource, ListSource):
            self.setUp()
            told = Told()
            source = make(
                [piece for piece in pieced(data, lengths) if piece],
                size=len(data) if known else None,
            )
            copying = copy(source, self.ours, size, blockSize, told)
            wire = self.readAll(self.theirs)
            blocks = [after - before for before, after in pairwise(told.counts)]
            self.assertLessEqual(max(blocks, default=0), blockSize or 60)
            self.assertNotIn(0, blocks)
            self.assertEqual(told.counts[-1], len(wire))
            if size is not None and size > len(data):
                error = self.failureResultOf(copying, NotEnoughData).value
                self.assertEqual((error.expected, error.available), (size, len(data)))
                self.assertEqual(wire, b"" if known else data)
                continue
            self.assertEqual(self.successResultOf(copying), len(data[:size]))
            self.assertEqual(wire, data[:size])
            total = size if size is not None else len(data) if known else None
            self.assertEqual(told.totals - {total}, set())

    def test_large(self) -> None:
        """The same where the partner is slow and pieces have to wait."""
        data = os.urandom(1_000_000)
        pieces = pieced(data, [300_000, 1, 399_999])
        for source in (
            BytesSource(data),
            IterableSource(pieces),
            ListSource(pieces),
        ):
            self.setUp()
            copying = copy(source, self.ours, 900_001, 7_000)
            self.settle()
            self.assertNoResult(copying)
            self.assertEqual(self.readAll(self.theirs), data[:900_001])
            self.assertEqual(self.successResultOf(copying), 900_001)

    def test_files(self) -> None:
        """A file, and what is open, are read as far as is wanted and no farther."""
        path = newFolder(self) / "file"
        data = os.urandom(1000)
        path.write_bytes(data)
        for blockSize in (None, 1, 999, 2000):
            self.setUp()
            source = FileSource(path)
            self.successResultOf(copy(source, self.ours, 500, blockSize))
            self.assertEqual(self.readAll(self.theirs), data[:500])
            with path.open("rb", buffering=0) as file:
                stream = StreamSource(MemoryReactor(), file)
                self.successResultOf(copy(stream, self.ours, 500, blockSize))
                self.assertEqual(self.readAll(self.theirs), data[:500])
                self.assertEqual(file.read(), data[500:])

    def test_pipe(self) -> None:
        """What stands in a pipe behind the last byte stays there."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        os.write(writing, b"0123456789")
        reactor = MemoryReactor()
        told: list[int] = []
        copying = copy(
            StreamSource(reactor, reading),
            self.ours,
            5,
            3,
            lambda count, *_: told.append(count),
        )
        while reactor.readers:
            next(iter(reactor.readers)).doRead()
        self.assertEqual(self.successResultOf(copying), 5)
        self.assertEqual(told, [3, 5])
        self.assertEqual(os.read(reading, 100), b"56789")

    def test_endless(self) -> None:
        """A source that has no end is stopped where enough has come."""
        source = ListSource([b"abc"] * 10, idle=True)
        copying = copy(source, self.ours, size=10)
        self.assertEqual(self.successResultOf(copying), 10)
        self.assertTrue(source.closed)
        self.assertEqual(source.given, 4)
        self.assertEqual(self.readAll(self.theirs), b"abcabcabca")

    def test_failsAfterwards(self) -> None:
        """What a source would fail with behind the last byte is not asked for."""
        source = ListSource([b"data"], error=SourceError("behind it"))
        self.assertEqual(self.successResultOf(copy(source, self.ours, 4)), 4)

    def test_zero(self) -> None:
        """No bytes are always there, and nothing is read."""
        source = ListSource([b"data"])
        self.assertEqual(self.successResultOf(copy(source, self.ours, 0)), 0)
        self.assertEqual((source.given, source.closed), (0, True))

    def test_knownToBeTooFew(self) -> None:
        """Where the size is known, nothing is written if there is too little."""
        path = newFolder(self) / "file"
        path.write_bytes(b"data")
        for source in (FileSource(path), BytesSource(b"data")):
            copying = copy(source, self.ours, size=5)
            error = self.failureResultOf(copying, NotEnoughData).value
            self.assertEqual((error.expected, error.available), (5, 4))
            self.assertIn("4 of the 5", str(error))
            self.assertEqual(error.partial, b"")
            self.assertEqual(self.readAll(self.theirs), b"")

    def test_puller(self) -> None:
        """A source that waits to be asked is cut and counted as well."""

        @implementer(ISource, IPullProducer)
        class Puller:
            size = None

            def __init__(self) -> None:
                self.pieces = [b"0123456", b"789", b"abc"]
                self.done: Deferred[None] = Deferred(lambda _: self.stop())

            def open(self) -> None:
                pass

            def startProducing(self, consumer: Any) -> Deferred[None]:
                self.consumer = consumer
                consumer.registerProducer(self, False)
                return self.done

            def resumeProducing(self) -> None:
                if self.pieces:
                    self.consumer.write(self.pieces.pop(0))
                else:
                    self.stop()
                    self.done.callback(None)

            def stop(self) -> None:
                self.consumer.unregisterProducer()

            def stopProducing(self) -> None:
                self.stop()
                self.done.errback(Truncated("stopped"))

            def close(self) -> None:
                pass

        for size, wire in ((None, b"0123456789abc"), (9, b"012345678")):
            self.setUp()
            told = Told()
            copying = copy(Puller(), self.ours, size, 3, told)
            self.assertEqual(self.readAll(self.theirs), wire)
            self.assertEqual(self.successResultOf(copying), len(wire))
            self.assertEqual(told.counts[:4], [0, 3, 6, 7])
        self.setUp()
        copying = copy(Puller(), self.ours)
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(copying, Truncated)

    def test_badOptions(self) -> None:
        """What cannot be is said at once, by its name; the source is untouched."""
        for name, value in (
            ("size", -1),
            ("size", 1.5),
            ("blockSize", 0),
            ("blockSize", MAX_BLOCK_SIZE + 1),
            ("blockSize", "9"),
            ("translation", "crcr"),
            ("encoding", "utf-9"),
            ("eofChar", "xx"),
        ):
            options: dict[str, Any] = {name: value}
            source = ListSource([b"data"])
            error = self.failureResultOf(copy(source, self.ours, **options), BadOption)
            self.assertIn(name, str(error.value))
            self.assertEqual((source.given, source.closed), (0, False))
        wrong: Any = [b"data"]
        error = self.failureResultOf(copy(wrong, self.ours), BadOption)
        self.assertIn("IterableSource", str(error.value))

    def test_cancelledWhileFull(self) -> None:
        """
        Cancelled while the partner does not read, it ends with what was written
        by then.
        """
        source = ListSource([bytes(50_000)] * 10)
        copying = copy(source, self.ours, 400_000, 1000)
        self.settle()
        self.assertNoResult(copying)
        copying.cancel()
        self.failureResultOf(copying, CancelledError)
        self.assertTrue(source.closed)
        self.ours.write(b"!")
        wire = self.readAll(self.theirs)
        self.assertLess(len(wire), 400_000)
        self.assertEqual(wire[-1:], b"!")

    def test_lostWhileFull(self) -> None:
        """The same with a connection that breaks off."""
        source = ListSource([bytes(50_000)] * 10)
        copying = copy(source, self.ours, blockSize=1000)
        self.settle()
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(copying, Truncated)

    def test_closedBefore(self) -> None:
        """Nothing can be copied into a channel that is closed."""
        self.ours.loseConnection()
        self.failureResultOf(copy(b"data", self.ours), Truncated)

    def test_progressFails(self) -> None:
        """An error of who is told is logged, and the copy goes on."""

        def fail(count: int, total: int | None, rate: float) -> None:
            raise ZeroDivisionError

        copying = copy(b"data", self.ours, blockSize=1, progress=fail)
        self.assertEqual(self.successResultOf(copying), 4)
        self.assertEqual(self.readAll(self.theirs), b"data")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_progressCancels(self) -> None:
        """Who is told may end the copy."""
        source = ListSource([b"data"], idle=True)
        copying: Deferred[int]

        def progress(count: int, total: int | None, rate: float) -> None:
            if count == 6:
                copying.cancel()

        copying = copy(source, self.ours, None, 1, progress)
        source.give(b"more")
        self.failureResultOf(copying, CancelledError)
        self.assertTrue(source.closed)
        self.assertEqual(self.readAll(self.theirs), b"datamo")


class TextTests(ChannelTestCase):
    """Text settings for the time of a copy."""

    def assertSettings(self) -> None:
        """The channel writes by its own settings, in both directions."""
        self.ours.write("ü\n")
        self.assertEqual(self.readAll(self.theirs), b"\xfc\r")
        self.theirs.write(b"\xfc\r")
        reading: Deferred[Any] = self.ours.read()
        self.settle()
        self.assertEqual(self.successResultOf(reading), "ü\n")

    def setUp(self) -> None:
        super().setUp()
        self.ours.configure(encoding="latin-1", translation="cr")

    def test_own(self) -> None:
        """Text is written by the channel's settings, and counted in characters."""
        for source in ("Grüße\n", TextSource("Grüße\n")):
            self.assertEqual(self.successResultOf(copy(source, self.ours)), 6)
            self.assertEqual(self.readAll(self.theirs), b"Gr\xfc\xdfe\r")
        self.assertSettings()

    def test_others(self) -> None:
        """Other settings hold for the copy, and for nothing after it."""
        told: list[Any] = []
        copying = copy(
            "Grüße\n",
            self.ours,
            5,
            2,
            lambda *args: told.append(args),
            encoding="utf-8",
            translation="crlf",
        )
        self.assertEqual(self.successResultOf(copying), 5)
        self.assertEqual(self.readAll(self.theirs), "Grüße".encode())
        self.assertEqual([count for count, _, _ in told], [2, 4, 5])
        self.assertSettings()

    def test_bytes(self) -> None:
        """A channel that carries text can carry bytes for a while."""
        data = bytes(range(256))
        copying = copy(data, self.ours, translation="binary")
        self.assertEqual(self.successResultOf(copying), 256)
        self.assertEqual(self.readAll(self.theirs), data)
        self.assertSettings()

    def test_newlines(self) -> None:
        """Bytes can have their newlines translated; these are not counted."""
        copying = copy(b"a\nb\n", self.ours, encoding="binary", translation="crlf")
        self.assertEqual(self.successResultOf(copying), 4)
        self.assertEqual(self.readAll(self.theirs), b"a\r\nb\r\n")
        self.assertSettings()

    def test_mismatch(self) -> None:
        """Bytes as text and text as bytes are refused, with what would be right."""
        for source, options, said in (
            (b"bytes", {}, "translation='binary'"),
            (ListSource([b"bytes"]), {"encoding": "utf-8"}, "translation='binary'"),
            ("text", {"encoding": "binary"}, "encoding="),
        ):
            copying = copy(source, self.ours, **options)  # type: ignore[arg-type]
            error = self.failureResultOf(copying, BadOption).value
            self.assertIn(said, str(error))
        self.assertSettings()

    def test_ends(self) -> None:
        """The settings are restored however the copy ends."""
        for ending in ("fail", "cancel", "few", "unopenable"):
            source = ListSource(
                [b"data\n"],
                error=SourceError("broken") if ending == "fail" else None,
                idle=ending == "cancel",
                unopenable=ending == "unopenable",
            )
            size = 9 if ending == "few" else None
            copying = copy(source, self.ours, size, translation="binary")
            if ending == "cancel":
                self.assertNoResult(copying)
                copying.cancel()
            self.failureResultOf(copying, SourceError, CancelledError, NotEnoughData)
            wire = b"" if ending == "unopenable" else b"data\n"
            self.assertEqual(self.readAll(self.theirs), wire)
            self.assertSettings()

    def test_lacking(self) -> None:
        """A character that the encoding lacks ends the copy where it stands."""
        for early in (True, False):
            text = "ab\u20ac" if early else "x" * 500_000 + "\u20ac"
            copying = copy(text, self.ours, blockSize=2)
            self.readAll(self.theirs)
            error = self.failureResultOf(copying, UnicodeEncodeError).value
            self.assertIn("\u20ac", error.object)
            self.assertSettings()

    def test_states(self) -> None:
        """An encoding with states is brought back to its first one."""
        copying = copy("あ", self.ours, encoding="iso2022-jp")
        self.successResultOf(copying)
        self.assertEqual(self.readAll(self.theirs), "あ".encode("iso2022_jp"))
        self.assertSettings()

    def test_reading(self) -> None:
        """Whoever reads meanwhile reads as before."""
        source = ListSource([b"x"], idle=True)
        copying = copy(source, self.ours, translation="binary")
        self.theirs.write(b"\xfc\r")
        reading: Deferred[Any] = self.ours.read()
        self.settle()
        self.assertEqual(self.successResultOf(reading), "ü\n")
        source.finish()
        self.successResultOf(copying)
        self.assertEqual(self.readAll(self.theirs), b"x")
        self.assertSettings()

    def test_eofChar(self) -> None:
        """
        The end-of-file character stands at the end of the output: behind a copy
        only if the channel is closed while that runs.
        """
        self.successResultOf(copy("text", self.ours, eofChar="\x1a"))
        self.assertEqual(self.readAll(self.theirs), b"text")
        source = ListSource([b"more"], idle=True)
        copying = copy(source, self.ours, translation="binary", eofChar="\x1a")
        self.ours.loseConnection()
        source.finish()
        self.assertEqual(self.readAll(self.theirs), b"more\x1a")
        self.successResultOf(copying)


class FeedTests(SynchronousTestCase):
    """Between a source and a channel."""

    def feed(
        self, channel: Any, size: int | None = None, blockSize: int | None = None
    ) -> Feed:
        """:returns: one that tells nobody."""
        return Feed(channel, None, size, blockSize)

    def test_interfaces(self) -> None:
        """It is a consumer for the source, cutting or not."""
        for size in (None, 5):
            self.assertTrue(verifyObject(IConsumer, self.feed(Consumer(), size)))

    def test_pace(self) -> None:
        """The channel has the source's own producer, and so asks for each piece."""
        channel = Consumer(pause)
        source = ListSource([b"abc", b"defg"])
        done = self.feed(channel, blockSize=2).run(source)
        self.assertIs(channel.producer, source)
        self.assertEqual((len(channel.blocks), source.given), (2, 1))
        self.assertNoResult(done)
        source.resumeProducing()
        self.successResultOf(done)
        self.assertEqual(channel.blocks, [b"ab", b"c", b"de", b"fg"])
        self.assertIsNone(channel.producer)

    def test_depth(self) -> None:
        """A channel that takes at once makes no deep call of many blocks."""

        def pauseAndResume(channel: Consumer) -> None:
            pause(channel)
            channel.producer.resumeProducing()  # type: ignore[union-attr]

        data = bytes(3 * sys.getrecursionlimit())
        for source in (BytesSource(data), IterableSource([data])):
            channel = Consumer(pauseAndResume)
            self.successResultOf(self.feed(channel, blockSize=1).run(source))
            self.assertEqual(channel.content, data)
            self.assertIsNone(channel.producer)

    @given(st.lists(st.binary(min_size=1, max_size=9), max_size=9), st.integers(1, 9))
    def test_impatient(self, pieces: list[bytes], blockSize: int) -> None:
        """A source that does not wait loses nothing."""

        class Impatient(ListSource):
            def pauseProducing(self) -> None:
                """Go on."""

        channel = Consumer(pause)
        done = self.feed(channel, blockSize=blockSize).run(Impatient(pieces))
        while channel.producer is not None:
            channel.producer.resumeProducing()  # type: ignore[attr-defined]
        self.successResultOf(done)
        self.assertEqual(channel.content, b"".join(pieces))
        self.assertLessEqual(max(map(len, channel.blocks), default=0), blockSize)

    def test_gone(self) -> None:
        """A channel that wants nothing is a connection that is lost."""
        done = self.feed(GoneConsumer()).run(ListSource([b"data"]))
        self.failureResultOf(done, Truncated)

    def test_goneMeanwhile(self) -> None:
        """What a channel does not take because it is gone is not counted."""
        told: list[int] = []
        channel = Consumer(lambda channel: channel.producer.stopProducing())  # type: ignore[union-attr]
        feed = Feed(channel, told.append)  # type: ignore[arg-type]
        source = ListSource([b"data"], idle=True)
        self.failureResultOf(feed.run(source), Truncated)
        self.assertEqual((feed.count, told, channel.blocks), (0, [], [b"data"]))

    def test_writeFails(self) -> None:
        """What the channel raises ends everything, early or late."""

        def refuseMore(channel: Consumer) -> None:
            if b"more" in channel.content:
                raise ZeroDivisionError

        for pieces in ([b"more"], [b"data"]):
            channel = Consumer(refuseMore)
            source = ListSource(pieces, idle=True)
            done = self.feed(channel).run(source)
            if pieces == [b"data"]:
                self.assertNoResult(done)
                source.give(b"more")
            self.failureResultOf(done, ZeroDivisionError)
            self.assertTrue(source.closed)
            self.assertIsNone(channel.producer)

    def test_cancelBefore(self) -> None:
        """It may be cancelled while the source begins."""
        channel = Consumer(lambda channel: feed.close(CancelledError()))
        feed = self.feed(channel)
        source = ListSource([b"data", b"more"])
        done = feed.run(source)
        self.failureResultOf(done, CancelledError)
        self.assertEqual(channel.content, b"data")
        self.assertIsNone(channel.producer)
        self.assertTrue(source.closed)
