"""Tests for :mod:`twisted_transfer.receipts.sending`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.support.dataends import ListSource
from tests.support.folders import newFolder
from tests.support.receiptcases import NONCE, proofOf
from tests.support.talks import KeepingWatch, Partner, TalkTestCase
from tests.support.threads import HeldThreads
from tests.unit.data.test_sources import Consumer, pause
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.sources import BLOCK_SIZE, FileSource
from twisted_transfer.data.streams import StreamSource
from twisted_transfer.errors import (
    NotAReceiptPartner,
    PartnerFailed,
    PartnerProtocolError,
    PartnerStalled,
    ReceiptMismatch,
    SourceError,
    TransferError,
    Truncated,
)
from twisted_transfer.interfaces import ISource
from twisted_transfer.receipts import talk
from twisted_transfer.receipts.conversation import Event
from twisted_transfer.receipts.frames import MESSAGE, Data, header
from twisted_transfer.receipts.messages import (
    MAX_BATCH,
    MAX_SMALL,
    Accept,
    Begin,
    Challenge,
    Delivered,
    End,
    Failed,
    FailureKind,
    Finished,
    Hello,
    Message,
    Offer,
    Proof,
    Role,
    Small,
    Stored,
    Working,
    encode,
)
from twisted_transfer.receipts.receipt import Receipt
from twisted_transfer.receipts.receiving import ResumableFileDestination
from twisted_transfer.receipts.sending import (
    DigestedSource,
    Outgoing,
    offer,
)
from twisted_transfer.receipts.talk import (
    ANSWER_TIMEOUT,
    GREETING_TIMEOUT,
    LINGER,
)


def receiptFor(content: bytes) -> Stored:
    """:returns: what a receiver says that has stored this."""
    return Stored(len(content), blake3(content).digest())


class OfferTestCase(TalkTestCase):
    """A sender, and a receiver that says what it is told to."""

    def setUp(self) -> None:
        super().setUp()
        self.watch = KeepingWatch()
        self.partner = Partner(self.theirs, Role.RECEIVES)

    def offer(self, *sources: ISource, name: str | None = "name") -> Deferred[Any]:
        """Send these."""
        files = [
            Outgoing(
                name,
                source
                if isinstance(source, DigestedSource)
                else DigestedSource(source, self.clock),
            )
            for source in sources
        ]
        return offer(self.clock, self.ours, files, self.watch)

    def tell(self, *messages: Message) -> None:
        """Let the partner say something, and be answered."""
        for message in messages:
            self.partner.say(message)
            self.settle()

    def greet(self) -> None:
        """Let the partner say Hello."""
        self.partner.begin()
        self.settle()


class OfferTests(OfferTestCase):
    """Files go, and receipts come."""

    def test_delivered(self) -> None:
        """The receipt says whether it is in a file."""
        offering = self.offer(ListSource([b"data"], size=4))
        self.greet()
        self.tell(Accept(), Delivered(4, blake3(b"data").digest()), Finished())
        [receipt] = self.successResultOf(offering)
        self.assertTrue(receipt.delivered)

    def test_one(self) -> None:
        """Everything is said in its order, and the receipt is what is got."""
        offering = self.offer(ListSource([b"some", b"more"], size=8))
        self.settle()
        self.assertEqual(self.partner.heard, [Hello(1, Role.SENDS)])
        self.greet()
        self.assertEqual(self.partner.last, Offer("name", 8))
        self.tell(Accept())
        digest = blake3(b"somemore").digest()
        self.assertEqual(
            self.partner.heard[2:],
            [Begin(0), Data(b"somemore"), End(8, digest)],
        )
        self.assertNoResult(offering)
        self.tell(Stored(8, digest))
        self.assertEqual(self.partner.last, Finished())
        self.assertNoResult(offering)
        self.tell(Finished())
        self.assertEqual(
            self.successResultOf(offering), [Receipt("name", 8, digest, 8)]
        )
        self.successResultOf(self.theirs.whenClosed())
        self.assertGone(self.ours, self.theirs)

    def test_frames(self) -> None:
        """What is known to follow is in the same frame, up to the most that one has."""
        self.patch(talk, "_FRAME", 6)
        self.offer(*(ListSource([b"some", b"more"], size=size) for size in (8, None)))
        self.greet()
        for frames in [b"somemo", b"re"], [b"some", b"more"]:
            self.partner.heard.clear()
            self.tell(Accept())
            self.assertEqual(self.partner.heard[1:-1], [*map(Data, frames)])
            self.tell(receiptFor(b"somemore"))

    def test_partnerBegins(self) -> None:
        """The partner may have said Hello before this side was there."""
        self.partner.begin()
        self.settle()
        offering = self.offer(ListSource([b"data"]))
        self.settle()
        self.tell(Accept(), receiptFor(b"data"), Finished())
        [receipt] = self.successResultOf(offering)
        self.assertEqual(receipt.size, 4)

    def test_several(self) -> None:
        """One after the other, each with its receipt."""
        contents = [b"one", b"", b"three"]
        sources = [ListSource([c] if c else [], size=len(c)) for c in contents]
        offering = self.offer(*sources)
        self.greet()
        for i, content in enumerate(contents):
            self.assertEqual(self.partner.last, Offer("name", len(content)))
            # The next one is not touched yet.
            self.assertEqual([source.given for source in sources[i:]], [0] * (3 - i))
            self.tell(Accept(), receiptFor(content))
        self.tell(Finished())
        self.assertEqual(
            self.successResultOf(offering),
            [Receipt("name", len(c), blake3(c).digest(), len(c)) for c in contents],
        )
        self.assertGone(self.ours, self.theirs)

    def test_unknown(self) -> None:
        """Neither size nor name need to be known."""
        offering = self.offer(ListSource([b"data"]), name=None)
        self.greet()
        self.assertEqual(self.partner.last, Offer(None, None))
        self.tell(Accept(), receiptFor(b"data"), Finished())
        [receipt] = self.successResultOf(offering)
        self.assertEqual((receipt.name, receipt.size), (None, 4))
        self.assertEqual(self.watch.totals(), {None})

    def test_largePieces(self) -> None:
        """What a source gives at once is divided, so that frames are bounded."""
        content = b"large" * 1_800_000
        offering = self.offer(ListSource([content]))
        self.greet()
        self.tell(Accept())
        self.assertNotIn(b"D\xff\xff\xff", self.partner.raw)
        data = [e.payload for e in self.partner.heard if isinstance(e, Data)]
        self.assertEqual(b"".join(data), content)
        # The header of the first frame of data, after that of Begin.
        at = self.partner.raw.index(content[:64]) - 4
        header = self.partner.raw[at : at + 4]
        self.assertEqual(header, b"D" + (2**22).to_bytes(3, "big"))
        self.tell(receiptFor(content), Finished())
        self.successResultOf(offering)

    def test_watched(self) -> None:
        """Whoever watches hears of each block, from where it begins."""
        source = ListSource([b"some"], size=7, idle=True)
        self.offer(source).addErrback(lambda failure: failure.trap(CancelledError))
        self.greet()
        self.assertEqual(self.watch.events, [])
        self.tell(Accept())
        source.give(b"one")
        self.settle()
        self.assertEqual(
            self.watch.events,
            [
                ("begins", "name", 7, 0),
                ("progress", 0, 7),
                ("progress", 4, 7),
                ("progress", 7, 7),
            ],
        )
        source.finish()
        self.settle()
        # It has arrived when there is the receipt, and not before.
        self.assertEqual(len(self.watch.events), 4)
        self.tell(receiptFor(b"someone"))
        self.assertEqual(self.watch.events[-1][0], "ends")
        self.tell(Finished())
        self.assertGone(self.ours)

    def test_pace(self) -> None:
        """A partner that does not read holds the source back."""
        source = ListSource([bytes(50_000)] * 1000)
        offering = self.offer(source)
        self.greet()
        self.partner.say(Accept())
        self.theirs.pauseProducing()
        self.settle()
        self.assertLess(source.given, 20)
        self.theirs.resumeProducing()
        self.settle()
        self.assertEqual(source.given, 1000)
        self.tell(receiptFor(bytes(50_000_000)), Finished())
        self.successResultOf(offering)


class ResumeTests(OfferTestCase):
    """The partner has the beginning already."""

    def setUp(self) -> None:
        super().setUp()
        self.path = newFolder(self) / "file"
        self.content = os.urandom(200_000)
        self.path.write_bytes(self.content)

    def resumed(self, part: bytes) -> Deferred[Any]:
        """Send it to a receiver that has a part, and wants it proved."""
        offering = self.offer(DigestedSource(FileSource(self.path), self.clock))
        self.greet()
        modified = self.path.stat().st_mtime_ns
        self.assertEqual(self.partner.last, Offer("name", 200_000, modified, False))
        self.tell(Challenge(len(part), NONCE))
        proof = self.partner.last
        assert isinstance(proof, Proof)
        right = proof.digest == proofOf(part)
        self.tell(Accept(len(part) if right else 0))
        return offering

    def sent(self) -> bytes:
        """:returns: what of the file came over the connection."""
        return b"".join(e.payload for e in self.partner.heard if isinstance(e, Data))

    def test_agrees(self) -> None:
        """If it is the same, only the rest goes; the receipt is for all."""
        for offset in (1, 150_000, 200_000):
            self.setUp()
            offering = self.resumed(self.content[:offset])
            self.assertIn(Begin(offset), self.partner.heard)
            self.assertEqual(self.sent(), self.content[offset:])
            self.assertEqual(
                self.partner.last, End(200_000, blake3(self.content).digest())
            )
            self.tell(receiptFor(self.content), Finished())
            [receipt] = self.successResultOf(offering)
            self.assertEqual((receipt.size, receipt.moved), (200_000, 200_000 - offset))
            self.assertEqual(self.watch.events[0], ("begins", "name", 200_000, offset))
            counts = self.watch.counts()
            self.assertEqual((counts[0], counts[-1]), (offset, 200_000))
            self.assertEqual(counts, sorted(counts))

    def test_differs(self) -> None:
        """If it is another one, everything goes."""
        offering = self.resumed(bytes(150_000))
        self.assertIn(Begin(0), self.partner.heard)
        self.assertEqual(self.sent(), self.content)
        self.tell(receiptFor(self.content), Finished())
        [receipt] = self.successResultOf(offering)
        self.assertEqual((receipt.size, receipt.moved), (200_000, 200_000))
        self.assertEqual(self.watch.events[0], ("begins", "name", 200_000, 0))

    def test_stalled(self) -> None:
        """A receiver that does not answer is not waited for without end."""
        for proves in (False, True):
            self.setUp()
            offering = self.offer(DigestedSource(FileSource(self.path), self.clock))
            self.greet()
            if proves:
                self.tell(Challenge(160_000, NONCE))
            self.clock.advance(ANSWER_TIMEOUT - 0.001)
            self.settle()
            self.assertNoResult(offering)
            self.clock.advance(0.002)
            self.settle()
            self.assertFailed("cancelled")
            self.failureResultOf(offering, PartnerStalled)
            self.assertGone(self.ours, self.theirs)

    def test_working(self) -> None:
        """A receiver that says that it works is waited for, as long as it says so."""
        offering = self.offer(DigestedSource(FileSource(self.path), self.clock))
        self.greet()
        self.tell(Challenge(160_000, NONCE))
        for _ in range(3):
            self.clock.advance(ANSWER_TIMEOUT - 1)
            self.tell(Working())
            self.assertNoResult(offering)
        self.clock.advance(ANSWER_TIMEOUT + 0.001)
        self.settle()
        self.assertFailed("cancelled")
        self.failureResultOf(offering, PartnerStalled)
        self.assertGone(self.ours, self.theirs)

    def test_busy(self) -> None:
        """While it reads a part, the partner and the watch hear of it."""
        self.clock.takes = 2.5
        offering = self.offer(DigestedSource(FileSource(self.path), self.clock))
        self.greet()
        self.tell(Challenge(150_000, NONCE))
        self.pass_(3)
        proof = Proof(proofOf(self.content[:150_000]))
        self.assertEqual(self.partner.heard[-3:], [Working(), Working(), proof])
        self.assertEqual(self.watch.events, [("checked", "name", 0, 150_000)] * 2)
        offering.addErrback(lambda failure: failure.trap(CancelledError))
        offering.cancel()
        self.theirs.loseConnection()
        self.assertGone(self.ours, self.theirs)

    def test_stream(self) -> None:
        """What cannot go back is sent from its beginning."""
        offering = self.offer(ListSource([b"some", b"more"]))
        self.greet()
        self.tell(Challenge(4, NONCE))
        self.assertEqual(self.partner.last, Proof(None))
        self.tell(Accept(0))
        self.assertIn(Begin(0), self.partner.heard)
        self.assertEqual(self.sent(), b"somemore")
        self.tell(receiptFor(b"somemore"), Finished())
        self.successResultOf(offering)

    def test_tooMuch(self) -> None:
        """A partner that has more than there is breaks the protocol."""
        offering = self.offer(DigestedSource(FileSource(self.path), self.clock))
        self.greet()
        # Its own side would not let it say so: the size was offered.
        self.partner.conversation._size = None
        self.tell(Challenge(200_001, NONCE))
        self.assertFailed("protocol")
        self.failureResultOf(offering, PartnerProtocolError)
        self.assertGone(self.ours, self.theirs)

    def test_shrunk(self) -> None:
        """A file that has lost what the partner has cannot be sent."""
        offering = self.offer(DigestedSource(FileSource(self.path), self.clock))
        self.greet()
        os.truncate(self.path, 100_000)
        self.tell(Challenge(150_000, NONCE))
        self.settle()
        self.assertFailed("source")
        self.failureResultOf(offering, SourceError)
        self.assertGone(self.ours, self.theirs)

    def assertFailed(self, kind: str) -> None:
        """The partner has heard of it, and closes."""
        error = self.partner.last
        assert isinstance(error, PartnerFailed)
        self.assertEqual(error.kind, kind)
        self.theirs.loseConnection()
        self.settle()

    def test_partnerFailsWhileItChecks(self) -> None:
        """What takes long need not come to its end."""
        source = DigestedSource(FileSource(self.path), self.clock)
        stopped: list[object] = []
        checking: Deferred[bytes] = Deferred(stopped.append)
        self.patch(source, "prove", lambda length, nonce: checking)
        offering = self.offer(source)
        self.greet()
        self.tell(Challenge(100, NONCE))
        self.assertEqual(stopped, [])
        self.tell(Failed(FailureKind.CANCELLED))
        self.assertEqual(stopped, [checking])
        self.failureResultOf(offering, PartnerFailed)
        self.assertGone(self.ours, self.theirs)

    def test_partnerFailsMeanwhile(self) -> None:
        """While this side still reads, the partner may give up."""
        offering = self.offer(DigestedSource(FileSource(self.path), self.clock))
        self.greet()
        self.partner.say(Challenge(150_000, NONCE), Failed(FailureKind.CANCELLED))
        self.settle()
        self.failureResultOf(offering, PartnerFailed)
        self.assertEqual(self.sent(), b"")
        self.assertGone(self.ours, self.theirs)


class BatchTests(OfferTestCase):
    """Small files, for which nobody is asked one by one."""

    def files(self, *contents: bytes) -> list[FileSource]:
        """:returns: sources of files that have these."""
        folder = newFolder(self)
        for i, content in enumerate(contents):
            (folder / str(i)).write_bytes(content)
        return [FileSource(folder / str(i)) for i in range(len(contents))]

    def said(self, *contents: bytes) -> list[Event]:
        """:returns: what is said of a batch of them, but for the times."""
        events: list[Event] = []
        for content in contents:
            digest = blake3(content).digest()
            events.append(Small("name", len(content), None, False, digest))
            events += [Data(content)] if content else []
        digests = b"".join(blake3(content).digest() for content in contents)
        end = End(sum(map(len, contents)), blake3(digests).digest())
        return [*events, end]

    def heard(self) -> list[Event]:
        """:returns: what the partner has heard, but for the times."""
        return [
            replace(event, modified=None) if isinstance(event, Small) else event
            for event in self.partner.heard[1:]
        ]

    def test_sent(self) -> None:
        """They go without a word of the partner's, and it says one for all."""
        contents = (b"1", b"", b"333")
        offering = self.offer(*self.files(*contents))
        self.greet()
        self.assertEqual(self.heard(), self.said(*contents))
        end = self.heard()[-1]
        assert isinstance(end, End)
        self.tell(Stored(end.size, end.digest))
        self.assertEqual(self.partner.last, Finished())
        self.tell(Finished())
        self.assertEqual(
            self.successResultOf(offering),
            [
                Receipt("name", len(each), blake3(each).digest(), len(each))
                for each in contents
            ],
        )
        self.assertEqual(
            [event[0] for event in self.watch.events if event[0] != "progress"],
            ["begins", "ends"] * 3,
        )

    def test_wrongReceipt(self) -> None:
        """A receipt for something else is no success."""
        offering = self.offer(*self.files(b"1", b"2"))
        self.greet()
        payload = encode(Stored(2, bytes(32)))
        self.theirs.write(header(MESSAGE, len(payload)) + payload)
        self.settle()
        self.theirs.loseConnection()
        self.settle()
        self.failureResultOf(offering, ReceiptMismatch)

    def test_bounded(self) -> None:
        """A batch has no more files than a receiver has open, nor much in memory."""
        for contents, counts in (
            ([b"x"] * (MAX_BATCH + 1), [MAX_BATCH, 1]),
            ([bytes(MAX_SMALL)] * 17, [16, 1]),
        ):
            self.setUp()
            offering = self.offer(*self.files(*contents))
            self.greet()
            for count in counts:
                heard = self.heard()
                self.partner.heard[1:] = []
                self.assertEqual(sum(isinstance(e, Small) for e in heard), count)
                end = heard[-1]
                assert isinstance(end, End)
                self.tell(Stored(end.size, end.digest))
            self.tell(Finished())
            self.assertEqual(len(self.successResultOf(offering)), len(contents))

    def test_readAhead(self) -> None:
        """While the partner stores a batch, the next one is read, by a thread."""
        files = self.files(*[b"x"] * (MAX_BATCH + 1))
        offering = self.offer(*files)
        self.greet()
        os.unlink(files[-1].path)
        end = self.heard()[-1]
        assert isinstance(end, End)
        self.tell(Stored(end.size, end.digest))
        self.assertEqual(self.heard()[-3:], self.said(b"x"))
        offering.cancel()
        self.settle()
        self.theirs.loseConnection()
        self.settle()
        self.failureResultOf(offering, CancelledError)

    def test_mixed(self) -> None:
        """What is large, or no file, is offered in its place among them."""
        large = bytes(MAX_SMALL + 1)
        first, second, third = self.files(b"1", large, b"3")
        offering = self.offer(first, second, third, ListSource([b"list"], size=4))
        self.greet()
        self.assertEqual(self.heard(), self.said(b"1"))
        self.partner.heard[1:] = []
        end = self.said(b"1")[-1]
        assert isinstance(end, End)
        self.tell(Stored(end.size, end.digest))
        self.assertIsInstance(self.partner.last, Offer)
        self.tell(Accept(), receiptFor(large))
        end = self.partner.last
        assert isinstance(end, End)
        self.assertEqual(end, self.said(b"3")[-1])
        self.tell(Stored(end.size, end.digest))
        self.assertEqual(self.partner.last, Offer("name", 4))
        self.tell(Accept(), receiptFor(b"list"), Finished())
        self.assertEqual(len(self.successResultOf(offering)), 4)

    def test_alone(self) -> None:
        """One file is offered, however small, for the receiver may have it."""
        offering = self.offer(*self.files(b"1"))
        self.greet()
        self.assertIsInstance(self.partner.last, Offer)
        self.tell(Accept(), receiptFor(b"1"), Finished())
        self.successResultOf(offering)

    def test_unreadable(self) -> None:
        """One that has shrunk since it was opened ends it; the partner is told."""
        first, second = self.files(b"1", b"22")
        second.open()
        os.truncate(second.path, 1)
        offering = self.offer(first, second)
        self.greet()
        error = self.partner.last
        assert isinstance(error, PartnerFailed)
        self.assertEqual(error.kind, "source")
        self.theirs.loseConnection()
        self.settle()
        self.assertIn("shrunk", str(self.failureResultOf(offering, SourceError).value))


class FailureTests(OfferTestCase):
    """Whatever goes wrong, both sides hear of it, and nothing is left."""

    STEPS = ("hello", "offered", "sending", "sent", "stored")

    def at(self, step: str) -> tuple[Deferred[Any], ListSource]:
        """
        :param step: where to stop: when there is nothing yet, when the file is
            offered, while it is sent, when all of it is, with the receipt.
        :returns: the transfer, and its source.
        """
        self.setUp()
        source = ListSource([b"some"], size=8, idle=True)
        offering = self.offer(source)
        self.settle()
        order = self.STEPS.index(step)
        if order >= 1:
            self.greet()
        if order >= 2:
            self.tell(Accept())
        if order >= 3:
            source.give(b"more")
            source.finish()
            self.settle()
        if order >= 4:
            self.tell(receiptFor(b"somemore"))
        self.assertNoResult(offering)
        return offering, source

    def assertOver(self, source: ListSource) -> None:
        """Nothing is left open."""
        self.assertTrue(source.closed)
        self.assertGone(self.ours, self.theirs)

    def test_partnerFails(self) -> None:
        """The partner's reason is what this side fails with, at every step."""
        for step in self.STEPS[1:4]:
            for kind in FailureKind:
                offering, source = self.at(step)
                self.tell(Failed(kind, "because"))
                error = self.failureResultOf(offering, PartnerFailed).value
                self.assertEqual((error.kind, error.reason), (kind.value, "because"))
                self.assertOver(source)
                self.assertFalse(
                    [e for e in self.partner.heard if isinstance(e, TransferError)]
                )

    def test_partnerGoes(self) -> None:
        """A connection that ends is a truncation, at every step."""
        for step in self.STEPS[:4]:
            for end in (
                TransferChannel.loseConnection,
                TransferChannel.abortConnection,
                TransferChannel.writeEOF,
            ):
                offering, source = self.at(step)
                end(self.theirs)
                self.settle()
                self.failureResultOf(offering, Truncated)
                self.theirs.loseConnection()
                self.assertOver(source)

    def test_endsListening(self) -> None:
        """One who only says no more is told what was wrong with that."""
        for step in self.STEPS[1:4]:
            offering, _ = self.at(step)
            self.theirs.writeEOF()
            self.settle()
            error = self.partner.last
            assert isinstance(error, PartnerFailed)
            self.assertEqual(error.kind, "protocol")
            self.assertIn("too early", error.reason)
            self.failureResultOf(offering, Truncated)

    def test_partnerBreaksProtocol(self) -> None:
        """So is one that says what may not be said."""
        for step in self.STEPS[1:4]:
            offering, source = self.at(step)
            self.theirs.write(b"X")
            self.settle()
            error = self.partner.last
            assert isinstance(error, PartnerFailed)
            self.assertEqual(error.kind, "protocol")
            self.theirs.loseConnection()
            self.settle()
            self.failureResultOf(offering, PartnerProtocolError)
            self.assertOver(source)

    def test_wrongReceipt(self) -> None:
        """A receipt for something else is none."""
        for stored in (receiptFor(b"somemorE"), receiptFor(b"some")):
            offering, source = self.at("sent")
            # Its own side would not let it say so.
            self.partner.conversation._end = End(*vars(stored).values())
            self.tell(stored)
            error = self.partner.last
            assert isinstance(error, PartnerFailed)
            self.assertEqual(error.kind, "mismatch")
            self.theirs.loseConnection()
            self.settle()
            self.failureResultOf(offering, ReceiptMismatch)
            self.assertOver(source)

    def test_cancelled(self) -> None:
        """Cancelled at any step, it tells the partner that."""
        for step in self.STEPS[1:4]:
            offering, source = self.at(step)
            offering.cancel()
            self.settle()
            error = self.partner.last
            assert isinstance(error, PartnerFailed)
            self.assertEqual(error.kind, "cancelled")
            self.theirs.loseConnection()
            self.settle()
            self.failureResultOf(offering, CancelledError)
            self.assertOver(source)

    def test_cancelledEarly(self) -> None:
        """Before the partner's Hello there is nobody to tell."""
        offering, source = self.at("hello")
        offering.cancel()
        self.settle()
        self.failureResultOf(offering, CancelledError)
        self.assertOver(source)
        self.assertEqual(
            [type(event) for event in self.partner.heard], [Hello, Truncated]
        )

    def test_cancelledTwice(self) -> None:
        """Cancelled once more it does not even wait for the partner to close."""
        offering, source = self.at("sending")
        offering.cancel()
        self.settle()
        self.assertNoResult(offering)
        offering.cancel()
        self.settle()
        self.failureResultOf(offering, CancelledError)
        self.assertOver(source)

    def test_deaf(self) -> None:
        """A partner that has stopped reading cannot keep it for long."""
        source = ListSource([bytes(50_000)] * 1000)
        offering = self.offer(source)
        self.greet()
        self.partner.say(Accept())
        self.theirs.pauseProducing()
        self.settle()
        offering.cancel()
        self.assertEqual(self.timeOf(offering, 3 * LINGER), 2 * LINGER)
        self.failureResultOf(offering, CancelledError)
        self.assertTrue(source.closed)
        self.assertGone(self.ours)

    def test_everythingStored(self) -> None:
        """With the last receipt all is good, whatever happens then."""
        for what in ("close", "reset", "cancel", "garbage", "failed"):
            offering, source = self.at("stored")
            if what == "close":
                self.theirs.loseConnection()
            elif what == "reset":
                self.theirs.abortConnection()
            elif what == "cancel":
                offering.cancel()
            elif what == "garbage":
                self.theirs.write(b"garbage")
            else:
                self.partner.say(Failed(FailureKind.CANCELLED))
            self.settle()
            [receipt] = self.successResultOf(offering)
            self.assertEqual(receipt.size, 8)
            self.theirs.loseConnection()
            self.assertOver(source)

    def test_silentInTheEnd(self) -> None:
        """Nor does a partner that is silent then keep it for ever."""
        offering, _ = self.at("stored")
        self.assertEqual(self.timeOf(offering, 2 * LINGER), LINGER)
        self.successResultOf(offering)
        self.assertGone(self.ours)

    def test_failsWithReceipt(self) -> None:
        """Also if the partner's last words come with the receipt."""
        offering, _ = self.at("sent")
        self.partner.say(receiptFor(b"somemore"), Failed(FailureKind.CANCELLED))
        self.settle()
        [receipt] = self.successResultOf(offering)
        self.assertEqual(receipt.size, 8)

    def test_noReceipts(self) -> None:
        """Who does not use receipts gets nothing of the file."""
        for silent in (False, True):
            self.setUp()
            source = ListSource([b"secret"])
            offering = self.offer(source)
            if silent:
                self.pass_(GREETING_TIMEOUT)
            else:
                self.theirs.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                self.settle()
            self.failureResultOf(offering, NotAReceiptPartner)
            self.assertNotIn(b"secret", self.partner.raw)
            self.assertOver(source)


class SourceTests(OfferTestCase):
    """What is to be sent cannot be had."""

    def assertSourceFails(self, offering: Deferred[Any], said: str) -> None:
        """Both sides hear of it; the partner hears nothing about this machine."""
        self.settle()
        failed = self.partner.last
        assert isinstance(failed, PartnerFailed)
        self.assertEqual(failed.kind, "source")
        self.assertNotIn("/", failed.reason)
        self.theirs.loseConnection()
        self.settle()
        error = self.failureResultOf(offering, SourceError).value
        self.assertIn(said, str(error))
        self.assertGone(self.ours, self.theirs)

    def test_unopenable(self) -> None:
        """It cannot be opened: nothing is offered."""
        offering = self.offer(ListSource([], unopenable=True))
        self.greet()
        self.assertEqual(self.partner.heard[0], Hello(1, Role.SENDS))
        self.assertSourceFails(offering, "cannot read")
        self.assertFalse([e for e in self.partner.heard if isinstance(e, Offer)])

    def test_fails(self) -> None:
        """It fails after some of it was sent."""
        error = SourceError("cannot read /home/me/secret: broken")
        offering = self.offer(ListSource([b"data"], error=error))
        self.greet()
        self.tell(Accept())
        self.assertSourceFails(offering, "broken")

    def test_fewer(self) -> None:
        """It has fewer bytes than it said."""
        offering = self.offer(ListSource([b"data"], size=5))
        self.greet()
        self.tell(Accept())
        self.assertSourceFails(offering, "fewer")
        self.assertFalse([e for e in self.partner.heard if isinstance(e, End)])

    def test_more(self) -> None:
        """It has more, perhaps without an end: what is too much is not sent."""
        for idle in (False, True):
            self.setUp()
            offering = self.offer(ListSource([b"data", b"more"], size=5, idle=idle))
            self.greet()
            self.tell(Accept())
            self.assertSourceFails(offering, "more")

    def file(self) -> Path:
        """:returns: a file of a million bytes."""
        path = newFolder(self) / "file"
        path.write_bytes(os.urandom(1_000_000))
        return path

    def test_shrinks(self) -> None:
        """A file becomes shorter while it is sent."""
        path = self.file()
        offering = self.offer(DigestedSource(FileSource(path), self.clock))
        self.greet()
        self.partner.say(Accept())
        self.theirs.pauseProducing()
        self.settle()
        os.truncate(path, 1000)
        self.theirs.resumeProducing()
        self.assertSourceFails(offering, "shrunk")

    def test_grows(self) -> None:
        """One that becomes longer is sent as long as it was."""
        path = self.file()
        content = path.read_bytes()
        offering = self.offer(DigestedSource(FileSource(path), self.clock))
        self.greet()
        self.partner.say(Accept())
        self.theirs.pauseProducing()
        self.settle()
        with path.open("ab") as file:
            file.write(b"more")
        self.theirs.resumeProducing()
        self.settle()
        self.tell(receiptFor(content), Finished())
        [receipt] = self.successResultOf(offering)
        self.assertEqual(receipt.size, 1_000_000)

    def test_secondFails(self) -> None:
        """The first file has its receipt; of the second both hear."""
        offering = self.offer(
            ListSource([b"one"]), ListSource([b"two"], error=SourceError("broken"))
        )
        self.greet()
        self.tell(Accept(), receiptFor(b"one"), Accept())
        self.assertSourceFails(offering, "broken")
        self.assertEqual(
            [event[0] for event in self.watch.events if event[0] == "ends"], ["ends"]
        )


_CONTENT = os.urandom(2 * BLOCK_SIZE + 17)


class FileTests(SynchronousTestCase):
    """Sending a file of which the partner may have the beginning."""

    def setUp(self) -> None:
        self.path = newFolder(self) / "file"
        self.path.write_bytes(_CONTENT)
        self.consumer = Consumer()

    def source(self, reactor: Any = None) -> DigestedSource:
        """:returns: a source that is closed in the end."""
        source = DigestedSource(FileSource(self.path), reactor)
        self.addCleanup(source.close)
        return source

    def check(self, source: DigestedSource, length: int, of: bytes) -> bool:
        """:returns: whether it proves the beginning of that content."""
        proof = self.successResultOf(source.prove(length, NONCE))
        right = proof == proofOf(of[:length])
        source.startAt(length if right else 0)
        return right

    def assertVouched(self, source: DigestedSource, content: bytes) -> None:
        """It knows of how much it has given the digest, and that is right."""
        self.assertEqual(source.count, len(content))
        self.assertEqual(source.digest(), blake3(content).digest())

    def test_interface(self) -> None:
        """It is a source."""
        self.assertTrue(verifyObject(ISource, DigestedSource(FileSource("x"))))

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
        other = bytes([_CONTENT[0] ^ 1]) + _CONTENT[1:] + b"more"
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
        checking = source.prove(BLOCK_SIZE + 1, NONCE)
        self.assertNoResult(checking)
        threads.run()
        proof = proofOf(_CONTENT[: BLOCK_SIZE + 1])
        self.assertEqual(self.successResultOf(checking), proof)
        source.startAt(BLOCK_SIZE + 1)
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
        checking = source.prove(11, NONCE)
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
                failing: Any = source.prove(3, NONCE)
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
        self.failureResultOf(self.source().prove(1, NONCE), SourceError)
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
        checking = source.prove(3, NONCE)
        source.close()
        self.failureResultOf(checking, CancelledError)
        threads.run()
        self.assertFalse(_leadsToAny(self.path))

    def test_cancelledCheck(self) -> None:
        """A check that is cancelled leaves a source that sends everything."""
        threads: Any = HeldThreads()
        source = self.source(threads)
        checking = source.prove(3, NONCE)
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
        self.assertIsNone(self.successResultOf(source.prove(4, NONCE)))
        self.assertEqual((source.offset, source.size), (0, None))
        self.successResultOf(source.startProducing(consumer))
        self.assertEqual(consumer.content, b"somemore")
        self.assertEqual(source.count, 8)
        self.assertEqual(source.digest(), blake3(b"somemore").digest())
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
        self.assertEqual(source.digest(), blake3(b"some").digest())

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
        self.assertEqual(source.digest(), blake3(b"somemore").digest())


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
                source = DigestedSource(FileSource(path))
                destination = ResumableFileDestination(target)
                destination.open()
                found = destination.found
                if found:
                    right = self.successResultOf(destination.prove(NONCE))
                    proof = self.successResultOf(source.prove(found, NONCE))
                    source.startAt(found if proof == right else 0)
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


def _send(source: DigestedSource, most: int, write: Callable[[bytes], object]) -> None:
    """Let that many bytes arrive, of what the source gives."""
    consumer = Consumer(pause)
    producing = source.startProducing(consumer)
    producing.addErrback(lambda failure: failure.trap(Truncated))
    while consumer.producer is not None and len(consumer.content) < most:
        consumer.producer.resumeProducing()  # type: ignore[attr-defined]
    if consumer.producer is not None:
        consumer.producer.stopProducing()
    write(consumer.content[:most])
