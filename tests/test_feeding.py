"""
Tests for :mod:`twisted_transfer.feeding`, with channels that do what real ones
do seldom; the others are in ``test_copying``.
"""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twisted_transfer.errors import SourceError, Truncated
from twisted_transfer.feeding import Feed
from twisted_transfer.sources import BytesSource

from .dataends import ListSource
from .test_sources import Consumer, GoneConsumer, pause


class FeedTests(SynchronousTestCase):
    """Between a source and a channel."""

    def feed(
        self, channel: Any, size: int | None = None, blockSize: int | None = None
    ) -> Feed:
        """:returns: one that tells nobody."""
        return Feed(channel, size, blockSize, lambda count: None)

    def test_interfaces(self) -> None:
        """It is a consumer for the source and a producer for the channel."""
        feed = self.feed(Consumer())
        for interface in (IConsumer, IPushProducer):
            self.assertTrue(verifyObject(interface, feed))

    def test_pace(self) -> None:
        """The source is asked for the next piece when the last one is taken."""
        channel = Consumer(pause)
        source = ListSource([b"abc", b"defg"])
        done = self.feed(channel, blockSize=2).run(source)
        for blocks, pieces in ((1, 1), (2, 1), (3, 2), (4, 2)):
            self.assertEqual((len(channel.blocks), source.given), (blocks, pieces))
            if channel.producer is not None:
                self.assertNoResult(done)
                channel.producer.resumeProducing()  # type: ignore[attr-defined]
        self.successResultOf(done)
        self.assertEqual(channel.blocks, [b"ab", b"c", b"de", b"fg"])
        self.assertIsNone(channel.producer)

    def test_depth(self) -> None:
        """A channel that takes at once makes no deep call of many blocks."""

        def pauseAndResume(channel: Consumer) -> None:
            pause(channel)
            channel.producer.resumeProducing()  # type: ignore[union-attr]

        data = bytes(3 * sys.getrecursionlimit())
        for source in (BytesSource(data), ListSource([data])):
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
        feed = Feed(channel, None, 2, told.append)  # type: ignore[arg-type]
        source = ListSource([b"data"], idle=True)
        self.failureResultOf(feed.run(source), Truncated)
        self.assertEqual((feed.count, told, channel.blocks), (0, [], [b"da"]))

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

    def test_failsWithRest(self) -> None:
        """What a source has given before it fails is not written any more."""
        channel = Consumer(pause)
        source = ListSource([b"data"], error=SourceError("broken"))
        done = self.feed(channel, blockSize=1).run(source)
        self.failureResultOf(done, SourceError)
        self.assertEqual(channel.blocks, [b"d"])
        self.assertIsNone(channel.producer)

    def test_cancelBefore(self) -> None:
        """It may be cancelled while the source begins."""
        channel = Consumer(lambda channel: feed.cancel())
        feed = self.feed(channel)
        source = ListSource([b"data", b"more"])
        done = feed.run(source)
        self.failureResultOf(done, CancelledError)
        self.assertEqual(channel.content, b"data")
        self.assertIsNone(channel.producer)
        self.assertTrue(source.closed)
