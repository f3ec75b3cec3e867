"""Tests for :mod:`twisted_transfer.accepting`."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from twisted_transfer.accepting import accept
from twisted_transfer.channel import TransferChannel
from twisted_transfer.digested import DigestedDestination, DigestingDestination
from twisted_transfer.errors import (
    DestinationError,
    NotAReceiptPartner,
    PartnerFailed,
    PartnerProtocolError,
    ReceiptMismatch,
    Truncated,
)
from twisted_transfer.interfaces import IDestination
from twisted_transfer.outcomes import Receipt
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
from twisted_transfer.resuming import ResumableFileDestination
from twisted_transfer.talking import GREETING_TIMEOUT, LINGER

from .dataends import ListDestination
from .folders import newFolder
from .talks import KeepingWatch, Partner, TalkTestCase


def endOf(content: bytes) -> End:
    """:returns: what a sender says that has sent this."""
    return End(len(content), sha256(content).digest())


class AcceptTestCase(TalkTestCase):
    """A receiver, and a sender that says what it is told to."""

    def setUp(self) -> None:
        super().setUp()
        self.watch = KeepingWatch()
        self.partner = Partner(self.theirs, Role.SENDS)
        self.offers: list[Offer] = []
        self.inner = ListDestination()

    def choose(self, offer: Offer) -> DigestingDestination:
        """Keep the offer; it goes to where the next one goes as well."""
        self.offers.append(offer)
        return self.destination

    def accept(
        self,
        destination: IDestination | None = None,
        many: bool = False,
        maxSize: int | None = None,
    ) -> Deferred[Any]:
        """Receive into this."""
        if isinstance(destination, DigestingDestination):
            self.destination: DigestingDestination = destination
        else:
            self.destination = DigestedDestination(
                destination or self.inner, self.clock, maxSize
            )
        return accept(self.clock, self.ours, self.choose, self.watch, many)

    def greet(self) -> None:
        """Let the partner say Hello."""
        self.partner.begin()
        self.settle()

    def tell(self, *said: Message | bytes) -> None:
        """Let the partner say something, or send some data, and be answered."""
        for each in said:
            if isinstance(each, bytes):
                self.partner.data(each)
            else:
                self.partner.say(each)
            self.settle()

    def assertTold(self, kind: str, said: str = "") -> None:
        """The partner has heard why it is over, and closes."""
        error = self.partner.last
        assert isinstance(error, PartnerFailed), error
        self.assertEqual(error.kind, kind)
        self.assertIn(said, error.reason)
        self.assertNotIn("/", error.reason)
        self.theirs.loseConnection()
        self.settle()


class AcceptTests(AcceptTestCase):
    """Files come, and receipts go."""

    def test_one(self) -> None:
        """Everything is said in its order; the receipt comes when it is stored."""
        finishing: Deferred[None] = Deferred()
        accepting = self.accept(ListDestination(finishing=finishing))
        self.settle()
        self.assertEqual(self.partner.heard, [Hello(1, Role.RECEIVES)])
        self.greet()
        self.assertEqual(len(self.partner.heard), 1)
        self.tell(Offer("name", 8))
        self.assertEqual(self.offers, [Offer("name", 8)])
        self.assertEqual(self.partner.last, Accept(0, None))
        self.tell(Begin(), b"some", b"more", endOf(b"somemore"))
        self.assertEqual(self.partner.last, Accept(0, None))
        finishing.callback(None)
        self.settle()
        digest = sha256(b"somemore").digest()
        self.assertEqual(self.partner.last, Stored(8, digest))
        self.assertNoResult(accepting)
        self.tell(Finished())
        self.assertEqual(self.partner.last, Finished())
        # The sender has the last word, and closes.
        self.assertNoResult(accepting)
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(
            self.successResultOf(accepting), [Receipt("name", 8, digest, 8)]
        )
        self.assertGone(self.ours, self.theirs)

    def test_several(self) -> None:
        """Where several are wanted, each goes its way."""
        accepting = self.accept(many=True)
        self.greet()
        contents = [b"one", b"", b"three"]
        for content in contents:
            self.inner = ListDestination()
            self.destination = DigestedDestination(self.inner)
            self.tell(Offer(None, len(content)), Begin())
            if content:
                self.tell(content)
            self.tell(endOf(content))
            self.assertEqual(self.inner.content, content)
            self.assertEqual(self.inner.events, ["open", "finish"])
            self.assertEqual(self.partner.last, Stored(*vars(endOf(content)).values()))
        self.tell(Finished())
        self.theirs.loseConnection()
        self.settle()
        receipts = self.successResultOf(accepting)
        self.assertEqual([receipt.size for receipt in receipts], [3, 0, 5])

    def test_none(self) -> None:
        """Where several are wanted, there may be none."""
        accepting = self.accept(many=True)
        self.greet()
        self.tell(Finished())
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(self.successResultOf(accepting), [])

    def test_notOne(self) -> None:
        """Where one is wanted, none is not enough."""
        accepting = self.accept()
        self.greet()
        self.tell(Finished())
        self.assertTold("protocol", "without a file")
        self.failureResultOf(accepting, PartnerProtocolError)
        self.assertGone(self.ours, self.theirs)

    def test_onlyOne(self) -> None:
        """Where one is wanted, a second is refused; the first is stored."""
        accepting = self.accept()
        self.greet()
        self.tell(Offer(), Begin(), b"one", endOf(b"one"))
        self.tell(Offer())
        self.assertTold("refused", "folder")
        error = self.failureResultOf(accepting, DestinationError).value
        self.assertEqual(error.kind, "refused")
        self.assertEqual(self.inner.events, ["open", "finish"])
        self.assertEqual(len(self.offers), 1)

    def test_watched(self) -> None:
        """Whoever watches hears of each block, and of the receipt at last."""
        accepting = self.accept()
        self.greet()
        self.assertEqual(self.watch.events, [])
        self.tell(Offer("name", 7))
        self.assertEqual(self.watch.events, [])
        self.tell(Begin(), b"some", b"one", endOf(b"someone"), Finished())
        self.theirs.loseConnection()
        self.settle()
        [receipt] = self.successResultOf(accepting)
        self.assertEqual(
            self.watch.events,
            [
                ("begins", "name", 7, 0),
                ("progress", 0, 7),
                ("progress", 4, 7),
                ("progress", 7, 7),
                ("ends", receipt),
            ],
        )

    def test_slow(self) -> None:
        """A slow destination makes the partner wait; memory is bounded."""
        inner = ListDestination(slow=True)
        accepting = self.accept(inner)
        came: list[int] = []
        self.greet()
        self.tell(Offer(), Begin())
        for _ in range(200):
            self.partner.data(bytes(50_000))
        self.settle()
        while sum(came) < 10_000_000:
            came.append(len(inner.pieces[-1]))
            self.assertEqual(len(inner.pieces), len(came))
            # What is not taken yet is still on its way.
            backlog = len(self.theirs._transport._buffer)
            self.assertLess(10_000_000 - sum(came) - backlog, 400_000)
            assert inner.full is not None
            inner.full.callback(None)
            self.settle()
        self.tell(endOf(bytes(10_000_000)), Finished())
        self.theirs.loseConnection()
        self.settle()
        self.successResultOf(accepting)


class ResumeTests(AcceptTestCase):
    """Some of it is there already."""

    def setUp(self) -> None:
        super().setUp()
        folder = newFolder(self)
        self.target, self.part = folder / "file", folder / "file.part"
        self.content = os.urandom(1000)

    def file(self, force: bool = False, maxSize: int | None = None) -> Deferred[Any]:
        """Receive into the file."""
        accepting = self.accept(
            ResumableFileDestination(self.target, force, self.clock, maxSize)
        )
        self.greet()
        return accepting

    def whole(self, accepting: Deferred[Any]) -> Receipt:
        """The partner has sent everything: it is stored."""
        self.tell(endOf(self.content), Finished())
        self.theirs.loseConnection()
        self.settle()
        [receipt] = self.successResultOf(accepting)
        assert isinstance(receipt, Receipt)
        self.assertEqual(self.target.read_bytes(), self.content)
        self.assertFalse(self.part.exists())
        return receipt

    def test_agrees(self) -> None:
        """It is offered, and gone on with."""
        self.part.write_bytes(self.content[:600])
        accepting = self.file()
        self.tell(Offer("x", 1000))
        digest = sha256(self.content[:600]).digest()
        self.assertEqual(self.partner.last, Accept(600, digest))
        self.tell(Begin(600), self.content[600:])
        receipt = self.whole(accepting)
        self.assertEqual((receipt.size, receipt.moved), (1000, 400))
        self.assertEqual(self.watch.counts(), [600, 1000])
        self.assertEqual(self.watch.totals(), {1000})

    def test_whole(self) -> None:
        """Everything was there: nothing comes, and it is stored all the same."""
        self.part.write_bytes(self.content)
        accepting = self.file()
        self.tell(Offer("x", 1000), Begin(1000))
        receipt = self.whole(accepting)
        self.assertEqual(receipt.moved, 0)

    def test_differs(self) -> None:
        """The partner says no: it starts over."""
        self.part.write_bytes(bytes(600))
        accepting = self.file()
        self.tell(Offer("x", 1000), Begin(0), self.content)
        receipt = self.whole(accepting)
        self.assertEqual(receipt.moved, 1000)
        self.assertEqual(self.watch.counts(), [0, 1000])

    def test_larger(self) -> None:
        """What has more bytes than the file cannot be the beginning of it."""
        self.part.write_bytes(bytes(1001))
        accepting = self.file()
        self.tell(Offer("x", 1000))
        self.assertEqual(self.partner.last, Accept(0, None))
        self.tell(Begin(0), self.content)
        self.assertEqual(self.whole(accepting).moved, 1000)

    def test_largerUnknown(self) -> None:
        """But where the size is not known it may."""
        self.part.write_bytes(self.content)
        accepting = self.file()
        self.tell(Offer())
        self.assertEqual(self.partner.last, Accept(1000, sha256(self.content).digest()))
        self.tell(Begin(1000))
        self.whole(accepting)

    def test_kept(self) -> None:
        """What breaks off is kept: lost, cancelled here or there, or unreadable."""
        for what in ("reset", "close", "cancel", "cancelled", "source"):
            self.setUp()
            accepting = self.file()
            self.tell(Offer("x", 1000), Begin(0), self.content[:300])
            if what == "reset":
                self.theirs.abortConnection()
            elif what == "close":
                self.theirs.loseConnection()
            elif what == "cancel":
                accepting.cancel()
            else:
                self.partner.say(Failed(FailureKind(what)))
            self.settle()
            self.theirs.loseConnection()
            self.settle()
            self.failureResultOf(accepting, Truncated, CancelledError, PartnerFailed)
            self.assertFalse(self.target.exists(), what)
            self.assertEqual(self.part.read_bytes(), self.content[:300], what)
            self.assertEqual(self.part.stat().st_mode & 0o777, 0o600)

    def test_keptWithoutRoom(self) -> None:
        """So is what there was room for; for there may be more room later."""
        accepting = self.file()
        self.tell(Offer("x", 1000), Begin(0), self.content[:300])
        error = DestinationError("no room", "storing", "no room")

        def _store(data: bytes) -> None:
            raise error

        self.patch(self.destination, "_store", _store)
        self.tell(self.content[300:])
        self.assertTold("storing", "no room")
        self.assertIs(self.failureResultOf(accepting).value, error)
        self.assertFalse(self.target.exists())
        self.assertEqual(self.part.read_bytes(), self.content[:300])

    def test_notKept(self) -> None:
        """What is wrong, or not wanted, is not."""
        for what in ("mismatch", "protocol", "refused", "large"):
            self.setUp()
            accepting = self.file(maxSize=1000)
            self.tell(Offer("x"), Begin(0), self.content[:300])
            if what == "mismatch":
                self.tell(endOf(b"x" * 300))
            elif what == "protocol":
                self.theirs.write(b"X")
            elif what == "refused":
                self.partner.say(Failed(FailureKind.REFUSED))
            else:
                self.tell(bytes(701))
            self.settle()
            self.theirs.loseConnection()
            self.settle()
            self.failureResultOf(accepting)
            self.assertFalse(self.target.exists(), what)
            self.assertFalse(self.part.exists(), what)

    def test_exists(self) -> None:
        """A target that is there is not touched, and the partner hears of it."""
        self.target.write_bytes(b"precious")
        accepting = self.file()
        self.tell(Offer("x", 1000))
        self.assertTold("exists")
        error = self.failureResultOf(accepting, DestinationError).value
        self.assertEqual(error.kind, "exists")
        self.assertEqual(self.target.read_bytes(), b"precious")
        self.assertFalse(self.part.exists())

    def test_force(self) -> None:
        """Where it may be replaced, it is the old one until it is the new one."""
        self.target.write_bytes(b"precious")
        accepting = self.file(force=True)
        self.tell(Offer("x", 1000), Begin(0), self.content)
        self.assertEqual(self.target.read_bytes(), b"precious")
        self.whole(accepting)


class FailureTests(AcceptTestCase):
    """Whatever goes wrong, both sides hear of it, and nothing is left."""

    STEPS = ("hello", "ready", "offered", "sending", "ended", "stored")

    def at(self, step: str, **options: Any) -> tuple[Deferred[Any], ListDestination]:
        """
        :param step: where to stop.
        :returns: the transfer, and where it goes.
        """
        self.setUp()
        finishing: Deferred[None] = Deferred()
        inner = ListDestination(finishing=finishing)
        accepting = self.accept(inner, **options)
        self.settle()
        order = self.STEPS.index(step)
        if order >= 1:
            self.greet()
        if order >= 2:
            self.tell(Offer("name", 8))
        if order >= 3:
            self.tell(Begin(), b"some")
        if order >= 4:
            self.tell(b"more", endOf(b"somemore"))
        if order >= 5:
            finishing.callback(None)
            self.settle()
            self.assertIsInstance(self.partner.last, Stored)
        self.assertNoResult(accepting)
        return accepting, inner

    def assertOver(self, inner: ListDestination, step: str) -> None:
        """Nothing is left open, and nothing looks whole that is not."""
        self.assertGone(self.ours, self.theirs)
        if self.STEPS.index(step) < 2:
            self.assertEqual(inner.events, [])
        elif step == "stored":
            self.assertEqual(inner.events, ["open", "finish"])
        else:
            self.assertEqual(inner.events[-1], "abort")

    def test_partnerFails(self) -> None:
        """The partner's reason is what this side fails with, at every step."""
        for step in self.STEPS[1:4]:
            for kind in FailureKind:
                accepting, inner = self.at(step)
                self.tell(Failed(kind, "because"))
                error = self.failureResultOf(accepting, PartnerFailed).value
                self.assertEqual((error.kind, error.reason), (kind.value, "because"))
                self.assertOver(inner, step)
                self.assertFalse(
                    [e for e in self.partner.heard if isinstance(e, PartnerFailed)]
                )

    def test_partnerGoes(self) -> None:
        """A connection that ends is a truncation, at every step."""
        for step in self.STEPS[:4]:
            for end in (
                TransferChannel.loseConnection,
                TransferChannel.abortConnection,
                TransferChannel.writeEOF,
            ):
                accepting, inner = self.at(step)
                end(self.theirs)
                self.settle()
                self.theirs.loseConnection()
                self.settle()
                self.failureResultOf(accepting, Truncated)
                self.assertOver(inner, step)

    def test_endsListening(self) -> None:
        """One who only says no more is told what was wrong with that."""
        for step in self.STEPS[1:4]:
            accepting, _ = self.at(step)
            self.theirs.writeEOF()
            self.settle()
            self.assertTold("protocol", "too early")
            self.failureResultOf(accepting, Truncated)

    def test_partnerBreaksProtocol(self) -> None:
        """So is one that says what may not be said."""
        for step in self.STEPS[1:4]:
            accepting, inner = self.at(step)
            self.theirs.write(b"X")
            self.settle()
            self.assertTold("protocol", "breaks the protocol")
            self.failureResultOf(accepting, PartnerProtocolError)
            self.assertOver(inner, step)

    def test_goesAfterAll(self) -> None:
        """
        Where all has come, it is stored even if the partner hears nothing of it.
        """
        for step in ("ended", "stored"):
            accepting, inner = self.at(step)
            self.theirs.abortConnection()
            self.settle()
            if step == "ended":
                assert inner._finishing is not None
                inner._finishing.callback(None)
                self.settle()
            [receipt] = self.successResultOf(accepting)
            self.assertEqual(receipt.size, 8)
            self.assertGone(self.ours)
            self.assertEqual(inner.events, ["open", "finish"])

    def test_manyGoAfterAll(self) -> None:
        """But where more may come, nobody knows whether that was all."""
        accepting, _ = self.at("stored", many=True)
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(accepting, Truncated)

    def test_mismatch(self) -> None:
        """What came is not what was sent: nothing is stored."""
        for end in (endOf(b"somemorE"), endOf(b"SOMEMORE")):
            accepting, inner = self.at("sending")
            self.tell(b"more", end)
            self.assertTold("mismatch", "SHA-256")
            self.failureResultOf(accepting, ReceiptMismatch)
            self.assertNotIn("finish", inner.events)
            self.assertOver(inner, "sending")

    def test_cancelled(self) -> None:
        """Cancelled at any step, it tells the partner that."""
        for step in self.STEPS[1:]:
            accepting, inner = self.at(step)
            accepting.cancel()
            self.settle()
            self.assertTold("cancelled")
            self.failureResultOf(accepting, CancelledError)
            self.assertOver(inner, step)

    def test_cancelledEarly(self) -> None:
        """Before the partner's Hello there is nobody to tell."""
        accepting, inner = self.at("hello")
        accepting.cancel()
        self.settle()
        self.failureResultOf(accepting, CancelledError)
        self.assertOver(inner, "hello")

    def test_cancelledInTheEnd(self) -> None:
        """When all is stored, it is good, and only over sooner."""
        accepting, inner = self.at("stored")
        self.tell(Finished())
        self.assertNoResult(accepting)
        accepting.cancel()
        self.settle()
        [receipt] = self.successResultOf(accepting)
        self.assertEqual(receipt.size, 8)
        self.assertOver(inner, "stored")

    def test_silentInTheEnd(self) -> None:
        """A sender that does not close cannot keep it."""
        accepting, _ = self.at("stored")
        self.partner.say(Finished())
        self.assertEqual(self.timeOf(accepting, 2 * LINGER), LINGER)
        self.successResultOf(accepting)
        self.assertGone(self.ours)

    def test_noReceipts(self) -> None:
        """Who does not use receipts gets no file opened."""
        for said in (b"", b"some file", b"GET / HTTP/1.1\r\n\r\n"):
            self.setUp()
            accepting = self.accept()
            if said:
                self.theirs.write(said)
                self.settle()
            else:
                self.pass_(GREETING_TIMEOUT)
            self.failureResultOf(accepting, NotAReceiptPartner)
            self.theirs.loseConnection()
            self.assertGone(self.ours, self.theirs)
            self.assertEqual((self.offers, self.inner.events), ([], []))
            # The one who is no partner is told nothing but the first word.
            self.assertEqual(self.partner.heard[:1], [Hello(1, Role.RECEIVES)])
            self.assertFalse(
                [e for e in self.partner.heard if isinstance(e, PartnerFailed)]
            )


class DestinationTests(AcceptTestCase):
    """What comes cannot be stored."""

    def test_notChosen(self) -> None:
        """It is not wanted."""
        error = DestinationError("not in /home/me", "refused", "not that")

        def choose(offer: Offer) -> DigestingDestination:
            raise error

        accepting = accept(self.clock, self.ours, choose, self.watch, True)
        self.greet()
        self.tell(Offer("name", 1))
        self.assertTold("refused", "not that")
        self.assertIs(self.failureResultOf(accepting).value, error)
        self.assertGone(self.ours, self.theirs)

    def test_refuses(self) -> None:
        """Nothing can be stored: at once, in the middle, and in the end."""
        for method, events in (
            ("open", ["open", "abort"]),
            ("write", ["open", "abort"]),
            ("finish", ["open", "finish", "abort"]),
        ):
            self.setUp()
            inner = ListDestination(refuses=method)
            accepting = self.accept(inner)
            self.greet()
            self.tell(Offer("name", 4))
            if method != "open":
                self.tell(Begin(), b"data")
            if method == "finish":
                self.tell(endOf(b"data"))
            self.assertTold("storing", "cannot be stored")
            self.failureResultOf(accepting, DestinationError)
            self.assertEqual(inner.events, events)
            self.assertFalse([e for e in self.partner.heard if isinstance(e, Stored)])
            self.assertGone(self.ours, self.theirs)

    def test_refusesLater(self) -> None:
        """It is said later that it cannot be stored."""
        inner = ListDestination(slow=True)
        accepting = self.accept(inner)
        self.greet()
        self.tell(Offer(), Begin(), b"data")
        assert inner.full is not None
        inner.full.errback(DestinationError("no room", "storing", "no room"))
        self.settle()
        self.assertTold("storing", "no room")
        self.failureResultOf(accepting, DestinationError)

    def test_announcedTooLarge(self) -> None:
        """What is announced as too large is not asked for."""
        accepting = self.accept(maxSize=7)
        self.greet()
        self.tell(Offer("name", 8))
        self.assertTold("too-large", "7 bytes")
        error = self.failureResultOf(accepting, DestinationError).value
        self.assertEqual(error.kind, "too-large")
        self.assertFalse([e for e in self.partner.heard if isinstance(e, Accept)])

    def test_tooLarge(self) -> None:
        """Where it was not announced, it is seen when it comes."""
        accepting = self.accept(maxSize=7)
        self.greet()
        self.tell(Offer(), Begin(), b"somemo")
        self.assertEqual(self.inner.content, b"somemo")
        self.tell(b"re")
        self.assertTold("too-large", "7 bytes")
        self.failureResultOf(accepting, DestinationError)
        self.assertEqual(self.inner.content, b"somemo")
        self.assertEqual(self.inner.events, ["open", "abort"])

    def test_justNotTooLarge(self) -> None:
        """As many as allowed are allowed."""
        accepting = self.accept(maxSize=8)
        self.greet()
        self.tell(Offer("x", 8), Begin(), b"somemore", endOf(b"somemore"), Finished())
        self.theirs.loseConnection()
        self.settle()
        self.successResultOf(accepting)

    def test_partnerFailsWhileItWaits(self) -> None:
        """A destination that is waited for is let go when the partner fails."""
        stopped: list[object] = []
        inner = ListDestination()
        full: Deferred[None] = Deferred(stopped.append)

        def write(data: bytes) -> Deferred[None]:
            return full

        self.patch(inner, "write", write)
        accepting = self.accept(inner)
        self.greet()
        self.tell(Offer(), Begin(), b"data", Failed(FailureKind.SOURCE, "no more"))
        self.failureResultOf(accepting, PartnerFailed)
        self.assertEqual(stopped, [full])
        self.assertEqual(inner.events, ["open", "abort"])
        self.assertGone(self.ours, self.theirs)
