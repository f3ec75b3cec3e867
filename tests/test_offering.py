"""Tests for :mod:`twisted_transfer.offering`."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from twisted_transfer.channel import TransferChannel
from twisted_transfer.errors import (
    NotAReceiptPartner,
    PartnerFailed,
    PartnerProtocolError,
    ReceiptMismatch,
    SourceError,
    TransferError,
    Truncated,
)
from twisted_transfer.interfaces import ISource
from twisted_transfer.offering import Outgoing, offer
from twisted_transfer.outcomes import Receipt
from twisted_transfer.prefixes import DigestedSource, ResumableFileSource
from twisted_transfer.receiptmessages import (
    Accept,
    Begin,
    End,
    Failed,
    FailureKind,
    Finished,
    Hello,
    Message,
    Offer,
    Role,
    Stored,
)
from twisted_transfer.receiptwire import Data
from twisted_transfer.talking import GREETING_TIMEOUT, LINGER

from .dataends import ListSource
from .folders import newFolder
from .talks import KeepingWatch, Partner, TalkTestCase


def receiptFor(content: bytes) -> Stored:
    """:returns: what a receiver says that has stored this."""
    return Stored(len(content), sha256(content).digest())


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

    def test_one(self) -> None:
        """Everything is said in its order, and the receipt is what is got."""
        offering = self.offer(ListSource([b"some", b"more"], size=8))
        self.settle()
        self.assertEqual(self.partner.heard, [Hello(1, Role.SENDS)])
        self.greet()
        self.assertEqual(self.partner.last, Offer("name", 8))
        self.tell(Accept())
        digest = sha256(b"somemore").digest()
        self.assertEqual(
            self.partner.heard[2:],
            [Begin(0), Data(b"some"), Data(b"more"), End(8, digest)],
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
            [Receipt("name", len(c), sha256(c).digest(), len(c)) for c in contents],
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
        content = os.urandom(3_000_000)
        offering = self.offer(ListSource([content]))
        self.greet()
        self.tell(Accept())
        self.assertNotIn(b"D\xff\xff\xff", self.partner.raw)
        data = [e.payload for e in self.partner.heard if isinstance(e, Data)]
        self.assertEqual(b"".join(data), content)
        # The header of the first frame of data, after that of Begin.
        at = self.partner.raw.index(content[:64]) - 4
        header = self.partner.raw[at : at + 4]
        self.assertEqual(header, b"D" + (2**20).to_bytes(3, "big"))
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

    def resumed(self, offset: int, digest: bytes) -> Deferred[Any]:
        """Send it to somebody who says that he has that much."""
        offering = self.offer(ResumableFileSource(self.path, self.clock))
        self.greet()
        self.assertEqual(self.partner.last, Offer("name", 200_000))
        self.tell(Accept(offset, digest))
        return offering

    def sent(self) -> bytes:
        """:returns: what of the file came over the connection."""
        return b"".join(e.payload for e in self.partner.heard if isinstance(e, Data))

    def test_agrees(self) -> None:
        """If it is the same, only the rest goes; the receipt is for all."""
        for offset in (1, 150_000, 200_000):
            self.setUp()
            digest = sha256(self.content[:offset]).digest()
            offering = self.resumed(offset, digest)
            self.assertIn(Begin(offset), self.partner.heard)
            self.assertEqual(self.sent(), self.content[offset:])
            self.assertEqual(
                self.partner.last, End(200_000, sha256(self.content).digest())
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
        offering = self.resumed(150_000, bytes(32))
        self.assertIn(Begin(0), self.partner.heard)
        self.assertEqual(self.sent(), self.content)
        self.tell(receiptFor(self.content), Finished())
        [receipt] = self.successResultOf(offering)
        self.assertEqual((receipt.size, receipt.moved), (200_000, 200_000))
        self.assertEqual(self.watch.events[0], ("begins", "name", 200_000, 0))

    def test_stream(self) -> None:
        """What cannot go back is sent from its beginning."""
        offering = self.offer(ListSource([b"some", b"more"]))
        self.greet()
        self.tell(Accept(4, sha256(b"some").digest()))
        self.assertIn(Begin(0), self.partner.heard)
        self.assertEqual(self.sent(), b"somemore")
        self.tell(receiptFor(b"somemore"), Finished())
        self.successResultOf(offering)

    def test_tooMuch(self) -> None:
        """A partner that has more than there is breaks the protocol."""
        offering = self.offer(ResumableFileSource(self.path, self.clock))
        self.greet()
        # Its own side would not let it say so: the size was offered.
        self.partner.conversation._order._size = None
        self.tell(Accept(200_001, bytes(32)))
        self.assertFailed("protocol")
        self.failureResultOf(offering, PartnerProtocolError)
        self.assertGone(self.ours, self.theirs)

    def test_shrunk(self) -> None:
        """A file that has lost what the partner has cannot be sent."""
        offering = self.offer(ResumableFileSource(self.path, self.clock))
        self.greet()
        os.truncate(self.path, 100_000)
        self.tell(Accept(150_000, sha256(self.content[:150_000]).digest()))
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
        source = ResumableFileSource(self.path, self.clock)
        stopped: list[object] = []
        checking: Deferred[bool] = Deferred(stopped.append)
        self.patch(source, "checkPrefix", lambda length, digest: checking)
        offering = self.offer(source)
        self.greet()
        self.tell(Accept(100, bytes(32)))
        self.assertEqual(stopped, [])
        self.tell(Failed(FailureKind.CANCELLED))
        self.assertEqual(stopped, [checking])
        self.failureResultOf(offering, PartnerFailed)
        self.assertGone(self.ours, self.theirs)

    def test_partnerFailsMeanwhile(self) -> None:
        """While this side still reads, the partner may give up."""
        offering = self.offer(ResumableFileSource(self.path, self.clock))
        self.greet()
        digest = sha256(self.content[:150_000]).digest()
        self.partner.say(Accept(150_000, digest), Failed(FailureKind.CANCELLED))
        self.settle()
        self.failureResultOf(offering, PartnerFailed)
        self.assertEqual(self.sent(), b"")
        self.assertGone(self.ours, self.theirs)


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
            self.partner.conversation._order._end = End(*vars(stored).values())
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
        offering = self.offer(ResumableFileSource(path, self.clock))
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
        offering = self.offer(ResumableFileSource(path, self.clock))
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
