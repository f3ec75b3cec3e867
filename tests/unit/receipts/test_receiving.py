"""Tests for :mod:`twisted_transfer.receipts.receiving`."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from tests.support.dataends import ListDestination
from tests.support.folders import leavePart, newFolder, partOf
from tests.support.programs import ROOT, dropPrivileges
from tests.support.receiptcases import NONCE, proofOf
from tests.support.talks import KeepingWatch, Partner, TalkTestCase
from tests.support.threads import HeldThreads
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.destinations import (
    BytesDestination,
    CallableDestination,
    FileDestination,
)
from twisted_transfer.data.pacing import Pace
from twisted_transfer.data.parts import MARK
from twisted_transfer.data.streams import StreamDestination
from twisted_transfer.errors import (
    DestinationError,
    NotAReceiptPartner,
    PartnerFailed,
    PartnerProtocolError,
    PartnerStalled,
    ReceiptMismatch,
    Truncated,
)
from twisted_transfer.interfaces import IDestination
from twisted_transfer.receipts import digest as digesting
from twisted_transfer.receipts.digest import READ_SIZE
from twisted_transfer.receipts.messages import (
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
)
from twisted_transfer.receipts.receipt import Receipt
from twisted_transfer.receipts.receiving import (
    DigestedDestination,
    ResumableFileDestination,
    accept,
)
from twisted_transfer.receipts.talk import (
    ANSWER_TIMEOUT,
    GREETING_TIMEOUT,
    LINGER,
)


def endOf(content: bytes) -> End:
    """:returns: what a sender says that has sent this."""
    return End(len(content), blake3(content).digest())


def smallOf(name: str, content: bytes) -> Small:
    """:returns: what a sender says before it sends this."""
    return Small(name, len(content), digest=blake3(content).digest())


def endOfBatch(*contents: bytes) -> End:
    """:returns: what a sender says that has sent these in a batch."""
    digests = b"".join(blake3(content).digest() for content in contents)
    return End(sum(map(len, contents)), blake3(digests).digest())


class AcceptTestCase(TalkTestCase):
    """A receiver, and a sender that says what it is told to."""

    def setUp(self) -> None:
        super().setUp()
        self.watch = KeepingWatch()
        self.partner = Partner(self.theirs, Role.SENDS)
        self.offers: list[Offer] = []
        self.inner = ListDestination()

    def choose(self, offer: Offer) -> DigestedDestination:
        """Keep the offer; it goes to where the next one goes as well."""
        self.offers.append(offer)
        return self.destination

    def accept(
        self,
        destination: IDestination | None = None,
        many: bool = False,
        maxSize: int | None = None,
        pace: Pace | None = None,
    ) -> Deferred[Any]:
        """Receive into this."""
        if isinstance(destination, DigestedDestination):
            self.destination: DigestedDestination = destination
        else:
            self.destination = DigestedDestination(
                destination or self.inner, self.clock, maxSize
            )
        return accept(self.clock, self.ours, self.choose, self.watch, many, pace)

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
        self.assertEqual(self.partner.last, Accept(0))
        self.tell(Begin(), b"some", b"more", endOf(b"somemore"))
        self.assertEqual(self.partner.last, Accept(0))
        finishing.callback(None)
        self.settle()
        digest = blake3(b"somemore").digest()
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

    def test_delivered(self) -> None:
        """What is given to something else than a file is not called stored."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        stream = StreamDestination(MemoryReactor(), writing, close=True)
        for destination in (BytesDestination(), CallableDestination(id), stream):
            self.setUp()
            accepting = self.accept(destination)
            self.greet()
            self.tell(Offer(), Begin(), b"data", endOf(b"data"))
            self.assertEqual(
                self.partner.last, Delivered(*vars(endOf(b"data")).values())
            )
            self.tell(Finished())
            self.theirs.loseConnection()
            self.settle()
            [receipt] = self.successResultOf(accepting)
            self.assertTrue(receipt.delivered)

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

    def test_paced(self) -> None:
        """While it takes data at a limited rate, the partner hears that it works."""
        data = b"x" * 2600
        for small in (False, True):
            self.setUp()
            self.accept(many=True, pace=Pace(self.clock, 1000))
            self.greet()
            end = endOf(data)
            if small:
                digest = blake3(data).digest()
                end = End(len(data), blake3(digest).digest())
                self.tell(Small("name", len(data), digest=digest), data)
            else:
                self.tell(Offer("name", len(data)), Begin(), data)
            before = len(self.partner.heard)
            self.pass_(2.5)
            self.assertEqual(self.partner.heard[before:], [Working(), Working()])
            self.pass_(0.5)
            self.tell(end)
            self.pass_(0.5)
            self.assertIsInstance(self.partner.last, Stored)
            self.tell(Finished())
            self.theirs.loseConnection()
            self.assertGone(self.ours, self.theirs)

    def test_flushing(self) -> None:
        """While it brings a file to the disk, the partner hears that it works."""
        finishing: Deferred[None] = Deferred()
        accepting = self.accept(ListDestination(finishing=finishing))
        self.greet()
        self.tell(Offer("name", 4), Begin(), b"data", endOf(b"data"))
        self.pass_(2.5)
        self.assertEqual(self.partner.heard[-3:], [Accept(0), Working(), Working()])
        finishing.callback(None)
        self.pass_(2.5)
        self.assertEqual(self.partner.last, Stored(*vars(endOf(b"data")).values()))
        self.tell(Finished())
        self.theirs.loseConnection()
        self.assertGone(self.ours, self.theirs)
        self.successResultOf(accepting)

    def test_flushingAlone(self) -> None:
        """A partner that gives up meanwhile does not keep the file from the disk."""
        finishing: Deferred[None] = Deferred()
        accepting = self.accept(ListDestination(finishing=finishing))
        self.greet()
        self.tell(Offer("name", 4), Begin(), b"data", endOf(b"data"))
        self.tell(Failed(FailureKind.CANCELLED))
        self.pass_(2.5)
        finishing.callback(None)
        self.theirs.loseConnection()
        self.pass_(LINGER)
        [receipt] = self.successResultOf(accepting)
        self.assertEqual(receipt.size, 4)
        self.assertGone(self.ours, self.theirs)

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
            transport: Any = self.theirs._transport
            backlog = len(transport.dataBuffer) - transport.offset
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
        self.target, self.part = folder / "file", partOf(folder / "file")
        self.content = os.urandom(1000)

    def file(self, force: bool = False, maxSize: int | None = None) -> Deferred[Any]:
        """Receive into the file."""
        accepting = self.accept(
            ResumableFileDestination(self.target, force, self.clock, maxSize)
        )
        self.greet()
        return accepting

    def prove(self, prefix: bytes | None) -> None:
        """Answer the challenge, by the proof of a prefix or by none."""
        challenge = self.partner.last
        assert isinstance(challenge, Challenge)
        proof = None if prefix is None else proofOf(prefix, challenge.nonce)
        self.tell(Proof(proof))

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
        leavePart(self.target, self.content[:600])
        accepting = self.file()
        self.tell(Offer("x", 1000))
        self.prove(self.content[:600])
        self.assertEqual(self.partner.last, Accept(600))
        self.tell(Begin(600), self.content[600:])
        receipt = self.whole(accepting)
        self.assertEqual((receipt.size, receipt.moved), (1000, 400))
        self.assertEqual(self.watch.counts(), [600, 1000])
        self.assertEqual(self.watch.totals(), {1000})

    def test_whole(self) -> None:
        """Everything was there: nothing comes, and it is stored all the same."""
        leavePart(self.target, self.content)
        accepting = self.file()
        self.tell(Offer("x", 1000))
        self.prove(self.content)
        self.tell(Begin(1000))
        receipt = self.whole(accepting)
        self.assertEqual(receipt.moved, 0)

    def test_differs(self) -> None:
        """A sender that cannot prove it, or proves something else: it starts over."""
        for proved in (self.content[:600], b"", None):
            self.setUp()
            leavePart(self.target, bytes(600))
            accepting = self.file()
            self.tell(Offer("x", 1000))
            self.prove(proved)
            self.assertEqual(self.partner.last, Accept(0))
            self.tell(Begin(0), self.content)
            receipt = self.whole(accepting)
            self.assertEqual(receipt.moved, 1000)
            self.assertEqual(self.watch.counts(), [0, 1000])

    def test_busy(self) -> None:
        """While it reads a part, the partner and the watch hear of it."""
        leavePart(self.target, self.content[:600])
        self.clock.takes = 3.5
        accepting = self.file()
        self.tell(Offer("x", 1000))
        self.pass_(1.5)
        challenge = self.partner.heard[-2]
        assert isinstance(challenge, Challenge)
        # Who has a faster disk waits for the other one.
        self.tell(Proof(proofOf(self.content[:600], challenge.nonce)))
        self.pass_(2.5)
        self.assertEqual(
            self.partner.heard[-5:], [challenge, *[Working()] * 3, Accept(600)]
        )
        self.assertEqual(self.watch.events, [("checked", "x", 0, 600)] * 3)
        accepting.addErrback(lambda failure: failure.trap(CancelledError))
        accepting.cancel()
        self.theirs.loseConnection()
        self.assertGone(self.ours, self.theirs)

    def test_working(self) -> None:
        """A sender that says that it works is waited for."""
        leavePart(self.target, self.content[:600])
        accepting = self.file()
        self.tell(Offer("x", 1000))
        for _ in range(3):
            self.clock.advance(ANSWER_TIMEOUT - 1)
            self.tell(Working())
        self.assertNoResult(accepting)
        challenge = next(e for e in self.partner.heard if isinstance(e, Challenge))
        self.tell(Proof(proofOf(self.content[:600], challenge.nonce)))
        self.tell(Begin(600), self.content[600:], Working())
        self.whole(accepting)

    def test_stalled(self) -> None:
        """A sender that does not go on is not waited for without end."""
        for step in ("hello", "offered", "proved"):
            self.setUp()
            if step == "proved":
                leavePart(self.target, self.content[:600])
            accepting = self.file()
            if step != "hello":
                self.tell(Offer("x", 1000))
            self.clock.advance(ANSWER_TIMEOUT - 0.00001)
            self.settle()
            self.assertNoResult(accepting)
            self.clock.advance(0.00002)
            self.settle()
            self.assertIsInstance(self.partner.last, PartnerFailed)
            self.theirs.loseConnection()
            self.settle()
            self.failureResultOf(accepting, PartnerStalled)
            self.assertFalse(self.target.exists())
            self.assertEqual(self.part.exists(), step == "proved")

    def test_liar(self) -> None:
        """A sender that goes on without a proof gets nothing stored."""
        leavePart(self.target, self.content[:600])
        accepting = self.file()
        self.tell(Offer("x", 1000))
        self.prove(bytes(600))
        # Its own side would not let it say so.
        self.partner.conversation._position = 600
        self.tell(Begin(600))
        self.theirs.loseConnection()
        self.settle()
        self.failureResultOf(accepting, PartnerProtocolError)
        self.assertFalse(self.target.exists())

    def test_nothingTold(self) -> None:
        """Of what is in the part the partner is told its length alone."""
        nonces: set[bytes] = set()
        for _ in range(3):
            self.setUp()
            leavePart(self.target, self.content[:600])
            accepting = self.file()
            self.tell(Offer("x", 1000))
            challenge = self.partner.last
            assert isinstance(challenge, Challenge)
            self.assertEqual(challenge, Challenge(600, challenge.nonce))
            nonces.add(challenge.nonce)
            self.theirs.abortConnection()
            self.settle()
            self.failureResultOf(accepting, Truncated)
        self.assertEqual(len(nonces), 3)

    def test_larger(self) -> None:
        """What has more bytes than the file cannot be the beginning of it."""
        leavePart(self.target, bytes(1001))
        accepting = self.file()
        self.tell(Offer("x", 1000))
        self.assertEqual(self.partner.last, Accept(0))
        self.tell(Begin(0), self.content)
        self.assertEqual(self.whole(accepting).moved, 1000)

    def test_largerUnknown(self) -> None:
        """But where the size is not known it may."""
        leavePart(self.target, self.content)
        accepting = self.file()
        self.tell(Offer())
        self.prove(self.content)
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

        def write(data: bytes) -> None:
            raise error

        self.patch(self.destination.destination, "write", write)
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


class BatchTests(AcceptTestCase):
    """Small files, for which nobody asks one by one."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = newFolder(self)

    def choose(self, offer: Offer) -> DigestedDestination:
        """Each goes into a file of its name, and "given" to a list."""
        self.offers.append(offer)
        if offer.name == "given":
            return DigestedDestination(self.inner)
        return ResumableFileDestination(
            self.folder / str(offer.name), reactor=self.clock
        )

    def begin(self, many: bool = True) -> Deferred[Any]:
        """Receive, and be greeted."""
        accepting = self.accept(many=many)
        self.greet()
        return accepting

    def contents(self) -> dict[str, bytes]:
        """:returns: what is in the folder."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def test_stored(self) -> None:
        """
        All data are on the disk before the first name appears, and all names before the
        one receipt.
        """
        done: list[str] = []
        fsync = os.fsync

        def flush(fd: int) -> None:
            isFolder = stat.S_ISDIR(os.fstat(fd).st_mode)
            done.append(f"{'folder' if isFolder else 'file'} {len(self.names())}")
            fsync(fd)

        self.patch(os, "fsync", flush)
        accepting = self.begin()
        files = {"one": b"1", "none": b"", "two": b"22"}
        for name, content in files.items():
            self.tell(smallOf(name, content), *([content] if content else []))
        self.assertEqual(self.names(), [])
        self.tell(endOfBatch(*files.values()))
        self.assertEqual(
            done, ["file 0"] * 3 + ["file 3"] * 3 + ["folder 3"], "in this order"
        )
        self.assertEqual(self.contents(), files)
        stored = endOfBatch(*files.values())
        self.assertEqual(self.partner.heard[1:], [Stored(stored.size, stored.digest)])
        self.tell(Finished())
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(
            self.successResultOf(accepting),
            [
                Receipt(name, len(content), blake3(content).digest(), len(content))
                for name, content in files.items()
            ],
        )
        self.assertEqual(
            [event[:2] for event in self.watch.events if event[0] == "begins"],
            [("begins", name) for name in files],
        )

    def names(self) -> list[str]:
        """:returns: the names in the folder, but those of parts."""
        return [name for name in os.listdir(self.folder) if "." not in name]

    def test_brokenOff(self) -> None:
        """What is whole is stored, if the end of the batch does not come."""
        accepting = self.begin()
        self.tell(smallOf("one", b"1"), b"1", smallOf("two", b"22"), b"2")
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(accepting, Truncated)
        self.assertEqual(self.contents(), {"one": b"1"})

    def test_mismatch(self) -> None:
        """A file that is not what was announced is not stored; those before it are."""
        accepting = self.begin()
        self.tell(smallOf("one", b"1"), b"1", smallOf("two", b"22"), b"23")
        self.assertTold("mismatch")
        self.failureResultOf(accepting, ReceiptMismatch)
        self.assertEqual(self.contents(), {"one": b"1"})

    def test_wrongEnd(self) -> None:
        """Nor is there a receipt for a batch of which the sender says otherwise."""
        accepting = self.begin()
        self.tell(smallOf("one", b"1"), b"1", endOfBatch(b"2"))
        self.assertTold("mismatch")
        self.failureResultOf(accepting, ReceiptMismatch)

    def test_exists(self) -> None:
        """A file that has appeared meanwhile is not replaced."""
        accepting = self.begin()
        self.tell(smallOf("one", b"1"), b"1", smallOf("two", b"22"), b"22")
        (self.folder / "two").write_bytes(b"precious")
        self.tell(endOfBatch(b"1", b"22"))
        self.assertTold("exists")
        self.failureResultOf(accepting, DestinationError)
        self.assertEqual(self.contents()["one"], b"1")
        self.assertEqual(self.contents()["two"], b"precious")

    def test_refusesData(self) -> None:
        """A destination that does not take the data ends it, and is waited for."""
        for failing in (False, True):
            self.setUp()
            self.inner = ListDestination(slow=True)
            accepting = self.begin()
            self.tell(smallOf("one", b"1"), b"1", smallOf("given", b"22"), b"22")
            self.tell(endOfBatch(b"1", b"22"))
            self.assertEqual(self.names(), [])
            taken = self.inner.full
            assert taken is not None
            if failing:
                taken.errback(DestinationError("full", "storing", "it is full"))
                self.settle()
                self.assertTold("storing", "it is full")
                self.failureResultOf(accepting, DestinationError)
            else:
                taken.callback(None)
                self.settle()
                self.assertIsInstance(self.partner.last, Stored)
                self.tell(Finished())
                self.theirs.loseConnection()
                self.settle()
                self.assertEqual(len(self.successResultOf(accepting)), 2)
            self.assertEqual(self.contents(), {"one": b"1"})

    def test_cancelled(self) -> None:
        """Cancelled while it is flushed, it ends when nothing is flushed any more."""
        accepting = self.begin()
        self.tell(smallOf("one", b"1"), b"1")
        self.partner.say(endOfBatch(b"1"))
        self.clock.takes = 5.0
        self.settle()
        accepting.cancel()
        self.settle()
        self.assertNoResult(accepting)
        self.clock.advance(5)
        self.settle()
        self.assertTold("cancelled")
        self.failureResultOf(accepting, CancelledError)
        self.assertEqual(self.contents(), {})

    def test_notMany(self) -> None:
        """Who wants one file does not get the first of a batch."""
        accepting = self.begin(many=False)
        self.tell(smallOf("one", b"1"))
        self.assertTold("refused", "folder")
        self.failureResultOf(accepting, DestinationError)
        self.assertEqual(self.contents(), {})


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
            self.assertTold("mismatch", "BLAKE3")
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

        def choose(offer: Offer) -> DigestedDestination:
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


class DigestedDestinationTests(SynchronousTestCase):
    """Receiving into anything, with the digest of what was stored."""

    def test_interface(self) -> None:
        """It is a destination."""
        destination = DigestedDestination(ListDestination())
        self.assertTrue(verifyObject(IDestination, destination))

    def test_whole(self) -> None:
        """Everything goes where it belongs, and is counted and hashed."""
        inner = ListDestination()
        destination = DigestedDestination(inner)
        destination.open()
        self.assertEqual(destination.found, 0)
        destination.start(0)
        for piece in (b"some", b"more"):
            self.assertIsNone(destination.write(piece))
        self.assertEqual(inner.content, b"somemore")
        self.assertEqual(destination.size, 8)
        self.assertEqual(destination.digest(), blake3(b"somemore").digest())
        self.successResultOf(destination.finish())
        self.assertEqual(inner.events, ["open", "finish"])

    def test_slow(self) -> None:
        """What has to be waited for is waited for."""
        inner = ListDestination(slow=True)
        waiting = DigestedDestination(inner).write(b"data")
        assert isinstance(waiting, Deferred)
        self.assertIs(waiting, inner.full)

    def test_refused(self) -> None:
        """What is not stored is not counted."""
        destination = DigestedDestination(ListDestination(refuses="write"))
        self.assertRaises(DestinationError, destination.write, b"data")
        self.assertEqual(destination.size, 0)
        self.assertEqual(destination.digest(), blake3().digest())

    def test_full(self) -> None:
        """A disk without room says so, and the partner may be told."""
        fd = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, fd)
        stream = StreamDestination(MemoryReactor(), fd)
        destination = DigestedDestination(stream)
        error = self.assertRaises(DestinationError, destination.write, b"data")
        self.assertIn("No space left on device", str(error))
        self.assertEqual(error.kind, "storing")
        self.assertTrue(error.reason)
        destination.abort()

    def test_tooLarge(self) -> None:
        """No byte more than is allowed is stored."""
        inner = ListDestination()
        destination = DigestedDestination(inner, maxSize=4)
        destination.write(b"some")
        error = self.assertRaises(DestinationError, destination.write, b"x")
        self.assertEqual(error.kind, "too-large")
        self.assertEqual(inner.content, b"some")

    def test_ends(self) -> None:
        """An interruption is an end, as an abort is."""
        for end in ("interrupt", "abort"):
            inner = ListDestination()
            getattr(DigestedDestination(inner), end)()
            self.assertEqual(inner.events, ["abort"])


class Case(SynchronousTestCase):
    """Has a folder with a target."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.path = partOf(self.target)

    def destination(self, *args: Any, **options: Any) -> ResumableFileDestination:
        """:returns: a destination that is aborted in the end."""
        destination = ResumableFileDestination(self.target, *args, **options)
        self.addCleanup(destination.abort)
        return destination

    def left(self, content: bytes = b"left") -> None:
        """Leave a part, as an interrupted transfer does."""
        destination = self.destination()
        destination.write(content)
        destination.interrupt()

    def assertFails(self, kind: str, call: Any, *args: Any) -> DestinationError:
        """It fails with that kind of error, which gives nothing away."""
        error: DestinationError = self.assertRaises(DestinationError, call, *args)
        self.assertEqual(error.kind, kind)
        self.assertNotIn(str(self.folder), error.reason)
        self.assertTrue(error.reason)
        return error


class ResumableFileDestinationTests(Case):
    """Receiving a file in one go, or in several."""

    def test_interface(self) -> None:
        """It is a destination."""
        self.assertTrue(verifyObject(IDestination, self.destination()))

    def test_whole(self) -> None:
        """Without an offer it is a destination as any other."""
        destination = self.destination()
        destination.open()
        for piece in (b"some", b"more"):
            self.assertIsNone(destination.write(piece))
            self.assertFalse(self.target.exists())
        self.assertEqual(destination.size, 8)
        self.assertEqual(destination.digest(), blake3(b"somemore").digest())
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"somemore")
        self.assertEqual(os.listdir(self.folder), ["target"])
        destination.abort()
        destination.interrupt()
        self.assertTrue(self.target.exists())

    def test_asStored(self) -> None:
        """Of what comes behind the first bytes, the digest is of what is stored."""
        self.patch(digesting, "FILE_WAKE", 4)
        threads: Any = HeldThreads()
        destination = ResumableFileDestination(self.target, reactor=threads)
        destination.open()
        destination.write(b"some")
        destination.write(b"more")
        [part] = self.folder.iterdir()
        part.write_bytes(b"anything")
        caught = destination.caughtUp()
        threads.run()
        self.successResultOf(caught)
        self.assertEqual(destination.digest(), blake3(b"somehing").digest())
        destination.abort()

    def test_empty(self) -> None:
        """Nothing received is an empty file, even if something was left."""
        self.left()
        destination = self.destination()
        destination.open()
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"")

    def test_noOffer(self) -> None:
        """Where nothing is left, nothing is offered."""
        destination = self.destination()
        self.assertEqual(destination.found, 0)
        destination.start(0)

    def test_goOn(self) -> None:
        """What was left is offered, and is the beginning of the whole."""
        self.left()
        destination = self.destination()
        self.assertEqual(destination.found, 4)
        proof = self.successResultOf(destination.prove(NONCE))
        self.assertEqual(proof, proofOf(b"left"))
        destination.start(4)
        destination.write(b"more")
        self.assertEqual(destination.size, 8)
        self.assertEqual(destination.digest(), blake3(b"leftmore").digest())
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"leftmore")

    def test_allThere(self) -> None:
        """If all of it was left, nothing has to come."""
        self.left()
        destination = self.destination()
        self.successResultOf(destination.prove(NONCE))
        destination.start(4)
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"left")

    def test_startOver(self) -> None:
        """What does not fit is forgotten, and in no part of the whole."""
        self.left(b"something long that does not fit")
        destination = self.destination(force=True)
        self.successResultOf(destination.prove(NONCE))
        destination.start(0)
        destination.write(b"new")
        self.assertEqual(destination.size, 3)
        self.assertEqual(destination.digest(), blake3(b"new").digest())
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"new")

    def test_hashedOnce(self) -> None:
        """What was left is read once, in a thread."""
        self.left(bytes(3 * READ_SIZE))
        threads: Any = HeldThreads()
        reads: list[int] = []
        real = os.pread

        def pread(fd: int, length: int, offset: int) -> bytes:
            reads.append(offset)
            return real(fd, length, offset)

        self.patch(os, "pread", pread)
        destination = self.destination(reactor=threads)
        offering = destination.prove(NONCE)
        self.assertNoResult(offering)
        threads.run()
        self.successResultOf(offering)
        destination.start(3 * READ_SIZE)
        destination.write(b"more")
        expected = blake3(bytes(3 * READ_SIZE) + b"more").digest()
        self.assertEqual(destination.digest(), expected)
        blocks = [offset for offset in reads if offset < 3 * READ_SIZE]
        self.assertEqual(blocks, [0, READ_SIZE, 2 * READ_SIZE])

    def test_offerGivenUp(self) -> None:
        """A connection that breaks while a thread reads leaves the part."""
        self.left()
        for end in ("interrupt", "abort"):
            threads: Any = HeldThreads()
            destination = self.destination(reactor=threads)
            offering = destination.prove(NONCE)
            getattr(destination, end)()
            self.failureResultOf(offering, CancelledError)
            self.assertEqual(self.path.read_bytes(), b"left")
            # The descriptor is closed; whatever has its number is not read.
            threads.run()

    def test_neverCame(self) -> None:
        """What was left stays when no partner comes to go on with it."""
        for end in ("abort", "interrupt"):
            destination = self.destination()
            destination.open()
            getattr(destination, end)()
            self.assertEqual(os.listdir(self.folder), [])
        self.left()
        for offered in (False, True):
            destination = self.destination()
            destination.open()
            if offered:
                self.successResultOf(destination.prove(NONCE))
            destination.abort()
            self.assertEqual(self.path.read_bytes(), b"left")

    def test_abort(self) -> None:
        """Nothing is left of a transfer that has begun and is given up."""
        self.left()
        for offset in (4, 0):
            destination = self.destination()
            self.successResultOf(destination.prove(NONCE))
            destination.start(offset)
            destination.abort()
            self.assertEqual(os.listdir(self.folder), [])
            self.left()

    def test_unreadable(self) -> None:
        """A part that the disk does not give is named."""
        self.left()
        destination = self.destination()
        destination.open()
        # A descriptor that cannot be read stands in for a disk that cannot be.
        name = str(self.path)
        (fd,) = (int(n) for n in os.listdir("/proc/self/fd") if _opened(n) == name)
        blind = os.open(self.path, os.O_WRONLY)
        lock = os.dup(fd)
        self.addCleanup(os.close, lock)
        os.dup2(blind, fd)
        os.close(blind)
        error = self.failureResultOf(destination.prove(NONCE), DestinationError).value
        self.assertIn("cannot be read", str(error))

    def test_modes(self) -> None:
        """The part is private; the target has the mode that a new file gets."""
        self.addCleanup(os.umask, os.umask(0o027))
        destination = self.destination()
        destination.write(b"data")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), MARK)
        self.successResultOf(destination.finish())
        self.assertEqual(stat.S_IMODE(self.target.stat().st_mode), 0o640)

    def test_writtenTo(self) -> None:
        """
        Another program that writes to the part is noticed, whether it has the part
        open before, meanwhile or still; what is stored is what the digest is of.
        """
        for before, still in ((False, False), (False, True), (True, True)):
            self.left()
            theirs = self.path.open("r+b") if before else None
            destination = self.destination()
            self.successResultOf(destination.prove(NONCE))
            destination.start(4)
            destination.write(b"data")
            theirs = theirs or self.path.open("r+b")
            theirs.write(b"evil")
            theirs.flush()
            if not still:
                theirs.close()
            finishing = destination.finish()
            theirs.close()
            error = self.failureResultOf(finishing, DestinationError).value
            self.assertEqual(error.kind, "storing")
            self.assertIn(f"{self.path} was removed, replaced or changed", str(error))
            self.assertFalse(self.target.exists())
            destination.abort()

    def test_looked(self) -> None:
        """Another program that only reads the part does no harm."""
        destination = self.destination()
        destination.write(b"data")
        self.assertEqual(self.path.read_bytes(), b"data")
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"data")

    def test_notReadAgain(self) -> None:
        """Where nobody else has opened it, nothing is read again."""
        self.left()
        destination = self.destination()
        self.successResultOf(destination.prove(NONCE))
        destination.start(4)
        destination.write(b"data")

        def pread(*args: object) -> bytes:
            raise AssertionError("it is read again")

        self.patch(os, "pread", pread)
        self.successResultOf(destination.finish())

    def test_linked(self) -> None:
        """The target of a symbolic link is written, beside itself."""
        link = self.folder / "link"
        link.symlink_to("target")
        destination = ResumableFileDestination(link)
        destination.write(b"data")
        self.assertTrue(self.path.exists())
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"data")
        self.assertTrue(link.is_symlink())

    def test_afterRaw(self) -> None:
        """A raw transfer that fails leaves no part; one of ours it respects."""
        raw = FileDestination(self.target)
        raw.write(b"raw")
        raw.abort()
        self.assertEqual(os.listdir(self.folder), [])
        self.left()
        self.assertRaises(DestinationError, FileDestination(self.target).open)
        self.assertEqual(self.path.read_bytes(), b"left")


def _opened(number: str) -> str:
    """:returns: what a descriptor stands for."""
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        return ""


class RefusalTests(Case):
    """What is refused before anybody is asked to send."""

    def test_exists(self) -> None:
        """A target that is there is replaced only if that is asked for."""
        self.target.write_bytes(b"old")
        self.assertFails("exists", self.destination().open)
        self.assertEqual(os.listdir(self.folder), ["target"])
        destination = self.destination(force=True)
        destination.write(b"new")
        self.assertEqual(self.target.read_bytes(), b"old")
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"new")

    def test_badPlaces(self) -> None:
        """A folder, a pipe, a missing folder, a name that cannot be."""
        os.mkfifo(self.folder / "pipe")
        (self.folder / "file").touch()
        for name in ("", "pipe", "missing/x", "file/x", "x" * 256, "nul\0", "x/"):
            for force in (False, True):
                path = f"{self.folder}/{name}"
                destination = ResumableFileDestination(path, force)
                self.assertFails("place", destination.open)

    def test_twoAtOnce(self) -> None:
        """The second receiver of a target is refused, by force too."""
        first = self.destination()
        first.write(b"first")
        for force in (False, True):
            self.assertFails("busy", self.destination(force).open)
        raw = FileDestination(self.target, force=True)
        self.assertIn("another", str(self.assertRaises(DestinationError, raw.open)))
        first.interrupt()
        second = self.destination()
        self.assertEqual(second.found, 5)

    def test_tooLarge(self) -> None:
        """No byte more than is allowed is stored."""
        destination = self.destination(maxSize=6)
        destination.write(b"123")
        destination.write(b"456")
        self.assertIn(
            "6", self.assertFails("too-large", destination.write, b"7").reason
        )
        self.assertEqual(self.path.read_bytes(), b"123456")
        self.assertFails("too-large", destination.checkSize, 7)
        destination.checkSize(6)
        destination.interrupt()
        # Together with what was left, too.
        destination = self.destination(maxSize=6)
        self.successResultOf(destination.prove(NONCE))
        destination.start(6)
        self.assertFails("too-large", destination.write, b"7")
        destination.interrupt()
        # And what was left is of no use if it is too large itself.
        destination = self.destination(maxSize=5)
        self.assertEqual(destination.found, 0)

    def test_readOnlyFolder(self) -> None:
        """A folder that nobody may write to, for a user who is not root."""
        self.folder.chmod(0o500)
        self.addCleanup(self.folder.chmod, 0o700)
        script = """if True:
            import sys
            from twisted_transfer.errors import DestinationError
            from twisted_transfer.receipts.receiving import ResumableFileDestination
            try:
                ResumableFileDestination(sys.argv[1]).open()
            except DestinationError as error:
                print(error.kind, error.reason, error, sep="|")
        """
        said = subprocess.run(
            [sys.executable, "-c", script, str(self.target)],
            cwd=ROOT,
            preexec_fn=dropPrivileges,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        kind, reason, message = said.split("|")
        self.assertEqual(kind, "place")
        self.assertIn("Permission denied", reason)
        self.assertNotIn(str(self.folder), reason)
        self.assertIn(str(self.folder), message)


@contextmanager
def _atMost(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class FaultTests(Case):
    """What goes wrong on the way."""

    def test_fileSizeLimit(self) -> None:
        """
        A limit of the system is an error and not a signal (SIGXFSZ); what was
        stored can be gone on with.
        """
        content = bytes(range(256)) * 8
        destination = self.destination()
        destination.write(content[:1000])
        with _atMost(1500):
            error = self.assertFails("storing", destination.write, content[1000:])
        self.assertIn("File too large", error.reason)
        destination.interrupt()
        self.assertFalse(self.target.exists())
        destination = self.destination()
        proof = self.successResultOf(destination.prove(NONCE))
        self.assertEqual(proof, proofOf(content[:1500]))
        destination.start(1500)
        destination.write(content[1500:])
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), content)

    def test_folderRemoved(self) -> None:
        """A folder that goes in mid transfer takes the part along."""
        folder = self.folder / "inner"
        folder.mkdir()
        destination = ResumableFileDestination(folder / "target")
        destination.write(b"some")
        partOf(folder / "target").unlink()
        folder.rmdir()
        destination.write(b"more")
        error = self.failureResultOf(destination.finish(), DestinationError).value
        self.assertIn("removed", error.reason)
        destination.interrupt()
        self.assertEqual(os.listdir(self.folder), [])

    def test_targetAppears(self) -> None:
        """A target that appears meanwhile is not replaced."""
        destination = self.destination()
        destination.write(b"data")
        self.target.write_bytes(b"precious")
        error = self.failureResultOf(destination.finish(), DestinationError).value
        self.assertEqual(error.kind, "exists")
        self.assertEqual(self.target.read_bytes(), b"precious")

    def test_targetBecomesFolder(self) -> None:
        """A folder that appears at its place is not touched."""
        destination = self.destination(force=True)
        destination.write(b"data")
        self.target.mkdir()
        error = self.failureResultOf(destination.finish(), DestinationError).value
        self.assertEqual((error.kind, error.reason), ("storing", "Is a directory"))
        self.assertTrue(self.target.is_dir())

    def test_partChanged(self) -> None:
        """A part that another program writes to is not published."""
        destination = self.destination()
        destination.write(b"data")
        with open(self.path, "ab") as file:
            file.write(b"theirs")
        self.failureResultOf(destination.finish(), DestinationError)
        self.assertFalse(self.target.exists())

    def test_notFinished(self) -> None:
        """Cancelled while the disk works, the part is still there."""
        threads: Any = HeldThreads()
        destination = self.destination(reactor=threads)
        destination.write(b"data")
        finishing = destination.finish()
        finishing.cancel()
        threads.run()
        self.failureResultOf(finishing, CancelledError)
        destination.interrupt()
        self.assertEqual(os.listdir(self.folder), [self.path.name])
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), MARK)


_CONTENT = bytes(range(256)) * 3
_PIECES = st.lists(st.integers(0, 300), max_size=5)


class SequenceTests(SynchronousTestCase):
    """Any way to get there."""

    @given(
        st.lists(
            st.tuples(_PIECES, st.sampled_from(["interrupt", "abort", "lose"])),
            max_size=6,
        ),
        st.sampled_from([_CONTENT, _CONTENT[::-1], b"", _CONTENT[:100]]),
        _PIECES,
    )
    def test_anyInterruption(
        self, tries: list[tuple[list[int], str]], final: bytes, cuts: list[int]
    ) -> None:
        """
        However it is cut and interrupted, the same bytes and digest come out;
        and of a source that was another one before, nothing is mixed in.
        """
        with TemporaryDirectory() as folder:
            target = Path(folder, "target")
            for pieces, end in tries:
                destination, offset = _begun(target, _CONTENT)
                for size in pieces:
                    piece = _CONTENT[offset:][:size]
                    destination.write(piece)
                    offset += len(piece)
                self.assertEqual(destination.size, offset)
                if end == "abort":
                    destination.abort()
                    self.assertEqual(os.listdir(folder), [])
                else:
                    destination.interrupt()
                if end == "lose" and os.listdir(folder):
                    # The machine stopped before all of it was on the disk.
                    os.truncate(partOf(target), offset // 2)
            destination, offset = _begun(target, final)
            for size in (*cuts, len(final)):
                piece = final[offset:][:size]
                destination.write(piece)
                offset += len(piece)
            self.assertEqual(destination.size, len(final))
            self.assertEqual(destination.digest(), blake3(final).digest())
            self.successResultOf(destination.finish())
            self.assertEqual(target.read_bytes(), final)
            self.assertEqual(os.listdir(folder), ["target"])


def _begun(target: Path, content: bytes) -> tuple[ResumableFileDestination, int]:
    """:returns: a destination, and from where on it has to get that content."""
    destination = ResumableFileDestination(target)
    offset = destination.found
    if offset:
        proofs: list[bytes] = []
        destination.prove(NONCE).addCallback(proofs.append)
        offset = offset if proofs == [proofOf(content[:offset])] else 0
    destination.start(offset)
    return destination, offset


class ThreadTests(TestCase):
    """With the threads of a real reactor."""

    async def test_resumed(self) -> None:
        """What threads hash and flush is what was received."""
        from twisted.internet import reactor

        threads: Any = reactor
        target = newFolder(self) / "target"
        content = os.urandom(3_000_000)
        for begin, end in ((0, 1_000_001), (1_000_001, 2_000_000), (2_000_000, None)):
            destination = ResumableFileDestination(target, reactor=threads)
            destination.open()
            self.assertEqual(destination.found, begin)
            if begin:
                self.assertEqual(
                    await destination.prove(NONCE), proofOf(content[:begin])
                )
            destination.start(begin)
            rest = content[begin:end]
            for first in range(0, len(rest), 70_000):
                destination.write(rest[first : first + 70_000])
            self.assertFalse(target.exists())
            if end is not None:
                destination.interrupt()
        self.assertEqual(destination.digest(), blake3(content).digest())
        await destination.finish()
        self.assertEqual(target.read_bytes(), content)
