"""Tests for :mod:`twisted_transfer.data.pacing`."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IPullProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.support.dataends import ListDestination, ListSource
from tests.support.folders import newFolder
from twisted_transfer.data.copying import copy
from twisted_transfer.data.pacing import Pace, PacedDestination, PacedSource
from twisted_transfer.data.receiving import receive
from twisted_transfer.data.sources import BytesSource, FileSource
from twisted_transfer.errors import DestinationError, SourceError, Truncated
from twisted_transfer.interfaces import IDestination, ISource
from twisted_transfer.testing.memory import memoryPair, settle

_RATE = 1000


@implementer(IConsumer)
class _Consumer:
    """
    Keeps what is written.

    :ivar content: everything.
    :ivar most: how much was written at once.
    :ivar producer: what is registered, or None.
    """

    def __init__(self) -> None:
        self.content = b""
        self.most = 0
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None and streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        assert self.producer is not None
        self.producer = None

    def write(self, data: bytes) -> None:
        assert self.producer is not None
        self.content += data
        self.most = max(self.most, len(data))


@implementer(ISource, IPullProducer)
class _PullSource:
    """Writes one byte each time that it is asked."""

    size = None

    def __init__(self, content: bytes) -> None:
        self._left = list(content)

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def startProducing(self, consumer: Any) -> Deferred[None]:
        self._done: Deferred[None] = Deferred()
        self._consumer = consumer
        consumer.registerProducer(self, False)
        return self._done

    def resumeProducing(self) -> None:
        if self._left:
            self._consumer.write(bytes([self._left.pop(0)]))
        else:
            self._consumer.unregisterProducer()
            self._done.callback(None)

    def stopProducing(self) -> None:
        self._done.errback(Truncated("stopped"))


class PacedSourceTests(SynchronousTestCase):
    """What sends no faster than it may."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.consumer = _Consumer()

    def start(self, source: Any, rate: int = _RATE) -> Deferred[None]:
        """:returns: what fires when everything is passed on."""
        paced = PacedSource(source, Pace(self.clock, rate))
        return paced.startProducing(self.consumer)

    def test_interface(self) -> None:
        """It is a source, with the size of the other one."""
        source = PacedSource(BytesSource(b"four"), Pace(self.clock, 1))
        verifyObject(ISource, source)
        self.assertEqual(source.size, 4)

    def passes(self, source: Any, content: bytes) -> None:
        """The source is passed on at the rate, in pieces, and ends in order."""
        done = self.start(source)
        seconds = 0.0
        while not done.called:
            now = len(self.consumer.content)
            self.assertLessEqual(now, _RATE * (seconds + 0.2))
            self.assertGreaterEqual(now, min(_RATE * (seconds - 0.2), len(content)))
            # One timer is what waits.
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(0.02)
            seconds += 0.02
        self.assertEqual(self.consumer.content, content)
        self.assertLessEqual(abs(seconds - len(content) / _RATE), 0.2)
        self.assertLessEqual(self.consumer.most, _RATE / 10)
        self.assertIsNone(self.successResultOf(done))
        self.assertIsNone(self.consumer.producer)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_rate(self) -> None:
        """The rate holds, whatever the source is and however it writes."""
        content = os.urandom(5 * _RATE)
        path = newFolder(self) / "file"
        path.write_bytes(content)
        pieces = [content[i : i + 700] for i in range(0, len(content), 700)]
        for source in (
            BytesSource(content),
            FileSource(path),
            ListSource(pieces),
            ListSource([bytes([byte]) for byte in content]),
            _PullSource(content),
        ):
            self.setUp()
            self.passes(source, content)

    def test_fast(self) -> None:
        """A rate that is not reached costs no timer, and many pieces no stack."""
        content = os.urandom(5000)
        for source in (BytesSource(content), _PullSource(content)):
            self.setUp()
            self.successResultOf(self.start(source, 10**9))
            self.assertEqual(self.consumer.content, content)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow(self) -> None:
        """A byte a second is a rate."""
        done = self.start(BytesSource(b"abc"), 1)
        self.assertEqual(self.consumer.content, b"a")
        self.clock.advance(1)
        self.assertEqual(self.consumer.content, b"ab")
        self.clock.advance(1)
        self.successResultOf(done)

    def test_oneForAll(self) -> None:
        """Small files have the rate together."""
        pace = Pace(self.clock, _RATE)
        for number in range(50):
            PacedSource(BytesSource(b"x" * 50), pace).startProducing(self.consumer)
            while self.consumer.producer is not None:
                self.clock.advance(0.01)
            self.assertLessEqual(
                50 * (number + 1), _RATE * (self.clock.seconds() + 0.2)
            )
        self.assertLessEqual(abs(self.clock.seconds() - 2.5), 0.2)

    def test_pauses(self) -> None:
        """A consumer that is full gets nothing, however long that takes."""
        source = ListSource([b"x" * 150] * 10)
        done = self.start(source)
        self.consumer.producer.pauseProducing()
        before = self.consumer.content
        self.clock.pump([1] * 20)
        self.assertEqual(self.consumer.content, before)
        self.assertLessEqual(source.given, 2)
        self.consumer.producer.resumeProducing()
        # What was not sent then is not made up for.
        self.assertLessEqual(len(self.consumer.content), len(before) + 200)
        self.clock.pump([0.1] * 20)
        self.successResultOf(done)

    def test_fails(self) -> None:
        """An error of the source ends it, and what it held."""
        source = ListSource([b"x" * 500], error=SourceError("gone"))
        self.failureResultOf(self.start(source), SourceError)
        self.assertIsNone(self.consumer.producer)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_consumerEnds(self) -> None:
        """A consumer that wants no more ends it, also behind the source's end."""
        for more in (True, False):
            self.setUp()
            source = ListSource([b"x" * 500], idle=more)
            done = self.start(source)
            self.assertNoResult(done)
            self.consumer.producer.stopProducing()
            self.failureResultOf(done, Truncated)
            self.assertTrue(source.closed)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Cancelling stops the source, or what is left of it."""
        for source in (BytesSource(b"x" * 500_000), BytesSource(b"x" * 500)):
            self.setUp()
            done = self.start(source)
            done.cancel()
            self.failureResultOf(done, CancelledError)
            self.assertIsNone(self.consumer.producer)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    @given(st.lists(st.binary(min_size=1, max_size=400), max_size=20), st.data())
    def test_any(self, pieces: list[bytes], data: Any) -> None:
        """Whatever the consumer does in between, everything comes, in order."""
        self.setUp()
        done = self.start(ListSource(pieces))
        for _ in range(data.draw(st.integers(0, 10))):
            if done.called:
                break
            act = data.draw(st.sampled_from(["pauseProducing", "resumeProducing"]))
            getattr(self.consumer.producer, act)()
            self.clock.advance(data.draw(st.floats(0, 0.5)))
        if not done.called:
            self.consumer.producer.resumeProducing()
            self.clock.pump([0.1] * 100)
        self.successResultOf(done)
        self.assertEqual(self.consumer.content, b"".join(pieces))

    def test_copy(self) -> None:
        """A copy into a channel has the rate."""
        ours, theirs = memoryPair(self.clock)
        source = PacedSource(BytesSource(b"x" * 500), Pace(self.clock, _RATE))
        copying = copy(source, ours)
        settle(self.clock)
        self.assertNoResult(copying)
        for _ in range(5):
            self.clock.advance(0.1)
            settle(self.clock)
        self.assertEqual(self.successResultOf(copying), 500)
        read = theirs.readExactly(500)
        settle(self.clock)
        self.assertEqual(self.successResultOf(read), b"x" * 500)


class PacedDestinationTests(SynchronousTestCase):
    """What takes no more than it may."""

    def setUp(self) -> None:
        self.clock = Clock()

    def paced(self, **options: Any) -> tuple[ListDestination, PacedDestination]:
        """:returns: a destination, and how it is written to at a pace."""
        inner = ListDestination(**options)
        return inner, PacedDestination(inner, Pace(self.clock, _RATE))

    def test_interface(self) -> None:
        """It is a destination, which does what the other one does."""
        inner, paced = self.paced()
        verifyObject(IDestination, paced)
        paced.open()
        paced.write(b"data")
        self.successResultOf(paced.finish())
        paced.abort()
        self.assertEqual(inner.events, ["open", "finish", "abort"])
        self.assertEqual(inner.content, b"data")

    def test_waits(self) -> None:
        """The next bytes may come when the rate allows; few need not wait alone."""
        inner, paced = self.paced()
        self.assertIsNone(paced.write(b"x" * 40))
        waiting = paced.write(b"x" * 460)
        assert waiting is not None
        self.assertEqual(len(inner.content), 500)
        self.clock.advance(0.4)
        self.assertNoResult(waiting)
        self.clock.advance(0.11)
        self.successResultOf(waiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow(self) -> None:
        """It waits for the destination and for the rate, which go on together."""
        inner, paced = self.paced(slow=True)
        for seconds, more in ((0.2, 0.3), (5.0, 0.0)):
            waiting = paced.write(b"x" * 500)
            assert waiting is not None and inner.full is not None
            self.clock.advance(seconds)
            self.assertNoResult(waiting)
            inner.full.callback(None)
            if more:
                self.assertNoResult(waiting)
                self.clock.advance(more)
            self.successResultOf(waiting)

    def test_fails(self) -> None:
        """An error of the destination is one at once."""
        inner, paced = self.paced(slow=True)
        waiting = paced.write(b"x" * 500)
        assert waiting is not None and inner.full is not None
        inner.full.errback(DestinationError("full"))
        self.failureResultOf(waiting, DestinationError)
        _, paced = self.paced(refuses="write")
        self.assertRaises(DestinationError, paced.write, b"x")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Cancelling leaves no timer."""
        _, paced = self.paced()
        waiting = paced.write(b"x" * 500)
        assert waiting is not None
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_receive(self) -> None:
        """Receiving from a channel has the rate, and the partner has to wait."""
        ours, theirs = memoryPair(self.clock)
        inner, paced = self.paced()
        receiving = receive(ours, paced)
        for _ in range(10):
            theirs.write(b"x" * 100)
            settle(self.clock)
        self.assertLessEqual(len(inner.content), 200)
        theirs.loseConnection()
        while not receiving.called:
            self.clock.advance(0.01)
            settle(self.clock)
        self.assertEqual(self.successResultOf(receiving), 1000)
        self.assertLessEqual(abs(self.clock.seconds() - 1.0), 0.1)
