"""Tests for :mod:`twisted_transfer.bytessource`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twisted_transfer.errors import Truncated
from twisted_transfer.interfaces import ILimitedSource, ISource
from twisted_transfer.producing import BLOCK_SIZE
from twisted_transfer.sources import BytesSource, TextSource

from .test_sources import Consumer, GoneConsumer, pause


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
            self.assertNoResult(done)
            consumer.producer.resumeProducing()  # type: ignore[union-attr]
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
