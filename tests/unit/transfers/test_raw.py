"""Tests for :mod:`twisted_transfer.transfers.raw`."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.dataends import ListDestination, ListSource
from tests.support.receiptcases import (
    RECEIVER_HELLO,
    SENDER_HELLO,
    SIGNATURE,
    cuts,
    pieces,
)
from tests.support.talks import KeepingWatch, TalkTestCase
from tests.unit.data.test_copying import ChannelTestCase
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.sources import TextSource
from twisted_transfer.errors import (
    DestinationError,
    HalfCloseUnsupported,
    NotAReceiptPartner,
    NotEnoughData,
    PartnerProtocolError,
    SourceError,
    TransferError,
    Truncated,
)
from twisted_transfer.receipts.receiving import Choose, DigestedDestination, accept
from twisted_transfer.receipts.sending import DigestedSource, Outgoing, offer
from twisted_transfer.testing.memory import memoryPair, settle
from twisted_transfer.transfers.raw import LINGER, receiveRaw, sendRaw


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
        self.assertEqual(told, [(4, 7, 0.0), (7, 7, 0.0)])
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

    def test_partnerTalksText(self) -> None:
        """So it is on a channel that carries text, in which it may be invalid."""
        for said in ("täglich".encode(), b"\xff\xfe"):
            self.setUp()
            self.ours.configure(encoding="utf-8")
            sending = sendRaw(self.clock, TextSource("sömemore"), self.ours)
            self.theirs.write(said)
            self.settle()
            self.assertEqual(self.readAll(self.theirs), "sömemore".encode())
            self.theirs.loseConnection()
            self.settle()
            self.assertEqual(self.successResultOf(sending), 8)

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
        for content in ([bytes(50_000)] * 1000, [b"data"]):
            self.setUp()
            sending = self.send(ListSource(content))
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

    def test_hint(self) -> None:
        """A partner that wants receipts is understood, however it goes away."""
        for end in (TransferChannel.loseConnection, TransferChannel.abortConnection):
            for content in ([], [b"data"], [bytes(50_000)] * 100):
                self.setUp()
                sending = self.send(ListSource(content))
                self.theirs.write(SIGNATURE + RECEIVER_HELLO)
                self.settle()
                end(self.theirs)
                self.settle()
                error = self.failureResultOf(sending, PartnerProtocolError).value
                self.assertIn("leave out --raw", str(error))
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_noHint(self) -> None:
        """What only begins as one does is no such partner."""
        sending = self.send(ListSource([b"data"]))
        self.theirs.write(SIGNATURE[:-1])
        self.settle()
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(self.successResultOf(sending), 4)


class ReceiveRawTests(ChannelTestCase):
    """Everything up to the orderly end is the data."""

    def test_whole(self) -> None:
        """It is stored, and counted, and then the connection is closed."""
        told: list[Any] = []
        destination = ListDestination()
        receiving = receiveRaw(
            self.ours, destination, lambda *args: told.append(args[:2])
        )
        content = bytes(range(256)) * 400
        self.theirs.write(content)
        self.settle()
        self.assertNoResult(receiving)
        self.theirs.writeEOF()
        self.settle()
        self.assertEqual(self.successResultOf(receiving), len(content))
        self.assertEqual(destination.content, content)
        self.assertEqual(destination.events, ["open", "finish"])
        self.assertEqual(told[-1], (len(content), None))
        self.theirs.loseConnection()
        self.settle()
        self.successResultOf(self.ours.whenClosed())

    def test_nothing(self) -> None:
        """Nothing is something that can be sent, too."""
        destination = ListDestination()
        receiving = receiveRaw(self.ours, destination)
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(self.successResultOf(receiving), 0)
        self.assertEqual(destination.events, ["open", "finish"])

    def test_maxSize(self) -> None:
        """There may be a bound: what has more bytes is not stored."""
        for content in (b"datum", b"data!", SIGNATURE[:5]):
            for size, taken in ((5, True), (4, False)):
                self.setUp()
                destination = ListDestination()
                receiving = receiveRaw(self.ours, destination, maxSize=size)
                for byte in content:
                    self.theirs.write(bytes((byte,)))
                    self.settle()
                self.theirs.loseConnection()
                self.settle()
                if taken:
                    self.assertEqual(self.successResultOf(receiving), 5)
                    self.assertEqual(destination.content, content)
                else:
                    failure = self.failureResultOf(receiving, DestinationError)
                    self.assertEqual(failure.value.kind, "too-large")
                    self.assertLessEqual(len(destination.content), size)
                    self.assertEqual(destination.events[-1], "abort")

    def test_size(self) -> None:
        """
        Where it is known how much it is, it is stored when that has come, and the
        way in which the connection ends then does not matter.
        """
        for behind, end in (
            (b"", "loseConnection"),
            (b"", "abortConnection"),
            (b"more", "abortConnection"),
        ):
            self.setUp()
            destination = ListDestination()
            receiving = receiveRaw(self.ours, destination, size=4)
            self.theirs.write(b"da")
            self.settle()
            self.assertNoResult(receiving)
            self.theirs.write(b"ta" + behind)
            self.settle()
            getattr(self.theirs, end)()
            self.settle()
            self.assertEqual(self.successResultOf(receiving), 4)
            self.assertEqual(destination.content, b"data")
            self.assertEqual(destination.events, ["open", "finish"])
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_sizeNotReached(self) -> None:
        """Less than that is not stored, in whichever way it ends."""
        for end, error in (
            ("loseConnection", NotEnoughData),
            ("abortConnection", Truncated),
        ):
            self.setUp()
            destination = ListDestination()
            receiving = receiveRaw(self.ours, destination, size=4)
            self.theirs.write(b"dat")
            self.settle()
            getattr(self.theirs, end)()
            self.settle()
            self.failureResultOf(receiving, error)
            self.assertEqual(destination.events, ["open", "abort"])

    def test_sizeAndReceipts(self) -> None:
        """A partner with receipts is noticed also then."""
        receiving = receiveRaw(self.ours, ListDestination(), size=1000)
        self.theirs.write(SIGNATURE + SENDER_HELLO)
        self.settle()
        self.failureResultOf(receiving, PartnerProtocolError)

    def test_reset(self) -> None:
        """A reset leaves nothing that looks whole, also at the very beginning."""
        for content in (b"", SIGNATURE[:5], b"data"):
            self.setUp()
            destination = ListDestination()
            receiving = receiveRaw(self.ours, destination)
            self.theirs.write(content)
            self.settle()
            self.theirs.abortConnection()
            self.settle()
            self.failureResultOf(receiving, Truncated)
            self.assertEqual(destination.events, ["open", "abort"])

    def test_refused(self) -> None:
        """What cannot be stored ends it, and the partner sees a reset."""
        for method in ("open", "write", "finish"):
            self.setUp()
            destination = ListDestination(refuses=method)
            receiving = receiveRaw(self.ours, destination)
            self.theirs.write(SIGNATURE[:7])
            self.settle()
            if method != "open":
                self.theirs.writeEOF()
            self.settle()
            self.failureResultOf(receiving, DestinationError)
            self.assertEqual(destination.events[-1], "abort")

    def test_slow(self) -> None:
        """The end waits for a destination that takes its time."""
        destination = ListDestination(slow=True)
        receiving = receiveRaw(self.ours, destination)
        self.theirs.write(SIGNATURE[:7])
        self.theirs.writeEOF()
        self.settle()
        self.assertNoResult(receiving)
        self.assertEqual(destination.content, SIGNATURE[:7])
        assert destination.full is not None
        destination.full.callback(None)
        self.settle()
        self.assertEqual(self.successResultOf(receiving), 7)

    def test_cancelled(self) -> None:
        """Cancelled, it leaves nothing, and the partner sees a reset."""
        destination = ListDestination()
        receiving = receiveRaw(self.ours, destination)
        self.theirs.write(b"data")
        self.settle()
        receiving.cancel()
        self.settle()
        self.failureResultOf(receiving, CancelledError)
        self.assertEqual(destination.events, ["open", "abort"])
        self.assertReset(self.theirs)


class BeginningTests(SynchronousTestCase):
    """What comes first tells what the partner wants."""

    def received(self, chunks: list[bytes]) -> tuple[Deferred[int], ListDestination]:
        """:returns: what becomes of these."""
        clock = Clock()
        ours, theirs = memoryPair(clock)
        destination = ListDestination()
        receiving = receiveRaw(ours, destination)
        for chunk in chunks:
            theirs.write(chunk)
            settle(clock)
        theirs.loseConnection()
        settle(clock)
        self.assertEqual(clock.getDelayedCalls(), [])
        return receiving, destination

    @given(
        st.binary(max_size=60).filter(lambda data: not data.startswith(SIGNATURE)),
        cuts,
    )
    @example(SIGNATURE[:-1], [])
    @example(SIGNATURE[:-1] + b"x", [29])
    @example(SIGNATURE[:1], [])
    @example(b"x" + SIGNATURE, [])
    def test_data(self, content: bytes, places: list[int]) -> None:
        """Whatever is no signature is data, to the byte, however it is cut."""
        receiving, destination = self.received(pieces(content, places))
        self.assertEqual(self.successResultOf(receiving), len(content))
        self.assertEqual(destination.content, content)

    def test_later(self) -> None:
        """A signature that comes later is data."""
        receiving, destination = self.received([b"data", SIGNATURE, SIGNATURE])
        self.assertEqual(self.successResultOf(receiving), 64)
        self.assertEqual(destination.content, b"data" + SIGNATURE * 2)

    @given(st.binary(max_size=60), cuts)
    def test_hint(self, more: bytes, places: list[int]) -> None:
        """A partner that sends the signature uses receipts; no file comes of it."""
        receiving, destination = self.received(pieces(SIGNATURE + more, places))
        error = self.failureResultOf(receiving, PartnerProtocolError).value
        self.assertIn("leave out --raw", str(error))
        self.assertIn(destination.content, SIGNATURE[:-1])
        self.assertEqual(destination.events[-1], "abort")


class MixedTests(TalkTestCase):
    """One side uses receipts, and the other one does not."""

    def outcomes(
        self, one: Deferred[Any], two: Deferred[Any]
    ) -> tuple[TransferError, TransferError]:
        """:returns: what both fail with, when both are over."""
        self.pass_(60)
        errors = [self.failureResultOf(each).value for each in (one, two)]
        for error in errors:
            assert isinstance(error, TransferError)
            self.assertIn("--raw", str(error))
        self.assertGone(self.ours, self.theirs)
        return errors[0], errors[1]

    def test_rawSender(self) -> None:
        """A raw sender at a receiver of receipts: both know, nothing is stored."""
        for content in ([b"some file"], [bytes(50_000)] * 100):
            self.setUp()
            inner = ListDestination()
            destination = DigestedDestination(inner)
            choose = cast("Choose", lambda offer, chosen=destination: chosen)
            raw, receipts = self.outcomes(
                sendRaw(self.clock, ListSource(content), self.ours),
                accept(self.clock, self.theirs, choose, KeepingWatch()),
            )
            self.assertIsInstance(raw, PartnerProtocolError)
            self.assertIsInstance(receipts, NotAReceiptPartner)
            self.assertEqual(inner.events, [])

    def test_rawReceiver(self) -> None:
        """A raw receiver at a sender with receipts: the same."""
        destination = ListDestination()
        source = DigestedSource(ListSource([b"some file"]))
        raw, receipts = self.outcomes(
            receiveRaw(self.ours, destination),
            offer(self.clock, self.theirs, [Outgoing(None, source)], KeepingWatch()),
        )
        self.assertIsInstance(raw, PartnerProtocolError)
        self.assertIsInstance(receipts, Truncated)
        self.assertEqual((destination.content, destination.events[-1]), (b"", "abort"))

    def test_sender(self) -> None:
        """The Hello of a sender is known as well as that of a receiver."""
        sending = sendRaw(self.clock, ListSource([b"data"]), self.ours)
        self.theirs.write(SIGNATURE + SENDER_HELLO)
        self.settle()
        self.theirs.loseConnection()
        self.settle()
        self.failureResultOf(sending, PartnerProtocolError)
