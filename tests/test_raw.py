"""Tests for :mod:`twisted_transfer.raw`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from twisted_transfer.errors import HalfCloseUnsupported, SourceError, Truncated
from twisted_transfer.raw import LINGER, sendRaw

from .dataends import ListSource
from .test_copying import ChannelTestCase


class SendRawTests(ChannelTestCase):
    """The connection carries the bytes and nothing else."""

    def send(self, source: ListSource) -> Deferred[int]:
        """:returns: when that source was sent."""
        return sendRaw(self.clock, source, self.ours)

    def test_whole(self) -> None:
        """The partner gets everything and the end, and may then close."""
        sending = self.send(ListSource([b"some", b"more"]))
        self.assertEqual(self.readAll(self.theirs), b"somemore")
        self.assertNoResult(sending)
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(self.successResultOf(sending), 8)
        self.successResultOf(self.ours.whenClosed())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_progress(self) -> None:
        """Each block is told."""
        told: list[Any] = []
        source = ListSource([b"some", b"one"], size=7)
        sending = sendRaw(
            self.clock, source, self.ours, lambda *args: told.append(args)
        )
        self.assertEqual(told, [(4, 7), (7, 7)])
        sending.cancel()
        self.settle()
        self.failureResultOf(sending, CancelledError)

    def test_linger(self) -> None:
        """A partner that does not close has only so much time."""
        sending = self.send(ListSource([b"data"]))
        self.assertEqual(self.readAll(self.theirs), b"data")
        self.clock.advance(LINGER - 0.1)
        self.settle()
        self.assertNoResult(sending)
        self.clock.advance(0.1)
        self.settle()
        self.assertEqual(self.successResultOf(sending), 4)
        self.successResultOf(self.ours.whenClosed())

    def test_partnerTalks(self) -> None:
        """What the partner sends meanwhile is dropped, before and after."""
        source = ListSource([b"data"], idle=True)
        sending = self.send(source)
        for _ in range(100):
            self.theirs.write(bytes(50_000))
            self.settle()
        # It is not even held back.
        source.finish()
        self.theirs.write(bytes(5_000_000))
        self.settle()
        self.assertNoResult(sending)
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(self.successResultOf(sending), 4)

    def test_partnerEndsFirst(self) -> None:
        """A partner that has nothing to say still gets everything."""
        self.theirs.writeEOF()
        self.settle()
        sending = self.send(ListSource([b"some", b"more"]))
        self.assertEqual(self.readAll(self.theirs), b"somemore")
        self.settle()
        # Its end is known, so there is nothing to wait for.
        self.assertEqual(self.successResultOf(sending), 8)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_withoutHalfClose(self) -> None:
        """Where a side cannot end alone, closing is the end of the data."""

        def writeEOF() -> None:
            raise HalfCloseUnsupported("this is TLS")

        self.patch(self.ours, "writeEOF", writeEOF)
        sending = self.send(ListSource([b"data"]))
        self.assertEqual(self.readAll(self.theirs), b"data")
        self.assertEqual(self.successResultOf(sending), 4)
        self.successResultOf(self.ours.whenClosed())

    def test_reset(self) -> None:
        """A reset is a truncation: on the way, and when all was sent."""
        for pieces in ([bytes(50_000)] * 1000, [b"data"]):
            self.setUp()
            sending = self.send(ListSource(pieces))
            self.settle()
            self.assertNoResult(sending)
            self.theirs.abortConnection()
            self.settle()
            self.failureResultOf(sending, Truncated)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_resetWhileIdle(self) -> None:
        """A reset is seen also while there is nothing to send."""
        source = ListSource([b"data"], idle=True)
        sending = self.send(source)
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(sending, Truncated)
        self.assertTrue(source.closed)

    def test_sourceFails(self) -> None:
        """The partner does not take a part for everything."""
        for source in (
            ListSource([b"data"], error=SourceError("broken")),
            ListSource([], unopenable=True),
        ):
            self.setUp()
            sending = self.send(source)
            self.settle()
            self.failureResultOf(sending, SourceError)
            self.assertReset(self.theirs)

    def test_cancelled(self) -> None:
        """Nor when it is cancelled, while it sends or while it lingers."""
        for idle in (True, False):
            self.setUp()
            source = ListSource([b"data"], idle=idle)
            sending = self.send(source)
            self.settle()
            sending.cancel()
            self.settle()
            self.failureResultOf(sending, CancelledError)
            self.assertTrue(source.closed)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            reading: Deferred[Any] = self.theirs.readExactly(5)
            self.settle()
            if idle:
                self.failureResultOf(reading, Truncated)
            else:
                reading.addErrback(lambda _: None)
