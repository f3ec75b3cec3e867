"""Tests for :mod:`twisted_transfer.receipts.talk`."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.receiptcases import (
    RECEIVER_HELLO,
    SENDER_HELLO,
    SIGNATURE,
    box,
    cuts,
    message,
    pieces,
)
from tests.support.talks import Partner, TalkTestCase
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.errors import (
    NotAReceiptPartner,
    PartnerFailed,
    PartnerProtocolError,
    SourceError,
    Truncated,
)
from twisted_transfer.receipts.frames import Data
from twisted_transfer.receipts.messages import (
    Accept,
    Begin,
    End,
    Failed,
    FailureKind,
    Finished,
    Hello,
    Offer,
    Role,
    Stored,
)
from twisted_transfer.receipts.talk import GREETING_TIMEOUT, LINGER, Talk
from twisted_transfer.testing.memory import memoryPair, settle

_DIGEST = bytes(range(32))


def running(coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    """:returns: what becomes of a coroutine."""
    return Deferred.fromCoroutine(coroutine)


class TalkingTestCase(TalkTestCase):
    """A talk, and the channel of its partner."""

    def talk(self, role: Role = Role.SENDS) -> Talk:
        """:returns: our side."""
        return Talk(self.clock, self.ours, role)

    def hear(self, talk: Talk, *kinds: Any) -> Any:
        """:returns: what the partner says next, which it has said by now."""
        found = talk.next(*kinds)
        self.settle()
        return self.successResultOf(found)

    def begun(self, role: Role = Role.SENDS, closes: bool = True) -> Talk:
        """:returns: our side, when both have said Hello; and makes the partner."""
        other = Role.RECEIVES if role is Role.SENDS else Role.SENDS
        self.partner = Partner(self.theirs, other, closes)
        talk = self.talk(role)
        beginning = running(talk.begin())
        self.partner.begin()
        self.settle()
        self.successResultOf(beginning)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return talk


class BeginTests(TalkingTestCase):
    """Both sides say Hello."""

    def test_first(self) -> None:
        """This side says it at once, and is ready when the partner has."""
        for role, hello in (
            (Role.SENDS, SENDER_HELLO),
            (Role.RECEIVES, RECEIVER_HELLO),
        ):
            self.setUp()
            beginning = running(self.talk(role).begin())
            reading: Deferred[Any] = self.theirs.readExactly(30 + len(hello))
            self.settle()
            self.assertEqual(self.successResultOf(reading), SIGNATURE + hello)
            self.assertNoResult(beginning)
            other = SENDER_HELLO if role is Role.RECEIVES else RECEIVER_HELLO
            self.theirs.write(SIGNATURE + other)
            self.settle()
            self.successResultOf(beginning)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_second(self) -> None:
        """The partner may have said it before, with more behind it."""
        self.theirs.write(SIGNATURE + SENDER_HELLO)
        self.theirs.write(message(box((b"_command", b"Finished"))))
        self.settle()
        talk = self.talk(Role.RECEIVES)
        beginning = running(talk.begin())
        self.settle()
        self.successResultOf(beginning)
        self.assertEqual(self.hear(talk, Finished), Finished())

    @given(cuts)
    def test_pieces(self, places: list[int]) -> None:
        """However it is cut."""
        clock = Clock()
        ours, theirs = memoryPair(clock)
        beginning = running(Talk(clock, ours, Role.SENDS).begin())
        for piece in filter(None, pieces(SIGNATURE + RECEIVER_HELLO, places)):
            self.assertNoResult(beginning)
            theirs.write(piece)
            settle(clock)
        self.successResultOf(beginning)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_silent(self) -> None:
        """Who says nothing is no partner with receipts; there is a hint."""
        beginning = running(self.talk().begin())
        self.pass_(GREETING_TIMEOUT - 0.1)
        self.assertNoResult(beginning)
        self.pass_(0.2)
        error = self.failureResultOf(beginning, NotAReceiptPartner).value
        self.assertIn("--raw", str(error))
        self.assertIn("10 seconds", str(error))

    def test_slow(self) -> None:
        """The time is one for all of it, however it drips."""
        beginning = running(self.talk().begin())
        hello = SIGNATURE + RECEIVER_HELLO
        for i in range(9):
            self.theirs.write(hello[i : i + 1])
            self.pass_(GREETING_TIMEOUT / 9 - 0.001)
            self.assertNoResult(beginning)
        self.pass_(0.1)
        self.failureResultOf(beginning, NotAReceiptPartner)

    def test_otherProgram(self) -> None:
        """Anything else is known at its first wrong byte."""
        for said in (
            b"G",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\0",
            SIGNATURE[:1] + b"u",
            b"\x16\x03\x01",
        ):
            self.setUp()
            beginning = running(self.talk().begin())
            self.theirs.write(said)
            self.settle()
            error = self.failureResultOf(beginning, NotAReceiptPartner).value
            self.assertIn("--raw", str(error))
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_changed(self) -> None:
        """So are bytes that something on the way takes for text."""
        beginning = running(self.talk().begin())
        self.theirs.write(SIGNATURE.replace(b"\r\n", b"\n"))
        self.settle()
        error = self.failureResultOf(beginning, NotAReceiptPartner).value
        self.assertIn("text", str(error))

    def test_closed(self) -> None:
        """Who closes before the first byte may be anybody."""
        beginning = running(self.talk().begin())
        self.theirs.loseConnection()
        self.settle()
        self.failureResultOf(beginning, Truncated)

    def test_closedWithin(self) -> None:
        """Who closes within the signature does not use receipts."""
        for count in (1, 29):
            self.setUp()
            beginning = running(self.talk().begin())
            self.theirs.write(SIGNATURE[:count])
            self.theirs.loseConnection()
            self.settle()
            self.failureResultOf(beginning, NotAReceiptPartner)

    def test_reset(self) -> None:
        """Who breaks off may be a raw partner, which understood this side."""
        beginning = running(self.talk().begin())
        self.theirs.abortConnection()
        self.settle()
        error = self.failureResultOf(beginning, Truncated).value
        self.assertIn("--raw", str(error))

    def test_same(self) -> None:
        """Two that want to do the same both hear it."""
        for role in Role:
            self.setUp()
            one = running(Talk(self.clock, self.ours, role).begin())
            two = running(Talk(self.clock, self.theirs, role).begin())
            self.settle()
            for beginning in (one, two):
                error = self.failureResultOf(beginning, PartnerProtocolError).value
                self.assertIn(role.value, str(error))

    def test_tooOld(self) -> None:
        """A partner whose newest version is too old is told apart."""
        beginning = running(self.talk().begin())
        hello = box((b"_command", b"Hello"), (b"version", b"0"), (b"role", b"receives"))
        self.theirs.write(SIGNATURE + message(hello))
        self.settle()
        error = self.failureResultOf(beginning, PartnerProtocolError).value
        self.assertIn("update", str(error))

    def test_cancelled(self) -> None:
        """It may be cancelled, and no timer is left."""
        beginning = running(self.talk().begin())
        self.settle()
        beginning.cancel()
        self.failureResultOf(beginning, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class NextTests(TalkingTestCase):
    """What the partner says."""

    def test_order(self) -> None:
        """Everything comes in the order in which it was said."""
        talk = self.begun(Role.RECEIVES)
        waiting = talk.next(Offer, Finished)
        self.assertNoResult(waiting)
        self.partner.say(Offer("name", 9))
        self.settle()
        self.assertEqual(self.successResultOf(waiting), Offer("name", 9))
        talk.say(Accept())
        self.settle()
        self.partner.say(Begin())
        self.partner.data(b"some")
        self.partner.data(b"more!")
        self.partner.say(End(9, _DIGEST))
        self.settle()
        for kinds, expected in (
            ((Begin,), Begin()),
            ((Data, End), Data(b"some")),
            ((Data, End), Data(b"more!")),
            ((Data, End), End(9, _DIGEST)),
        ):
            found = talk.next(*kinds)
            self.settle()
            self.assertEqual(self.successResultOf(found), expected)

    def sending(self) -> Talk:
        """:returns: a receiver to whom data may come."""
        talk = self.begun(Role.RECEIVES)
        self.partner.say(Offer())
        self.settle()
        self.hear(talk, Offer)
        talk.say(Accept())
        self.settle()
        self.partner.say(Begin())
        self.settle()
        self.hear(talk, Begin)
        return talk

    def test_bounded(self) -> None:
        """What nobody asks for makes the partner wait, and comes in the end."""
        talk = self.sending()
        held: list[int] = []
        original = talk.dataReceived

        def dataReceived(data: bytes) -> None:
            held.append(len(data))
            original(data)

        self.patch(talk, "dataReceived", dataReceived)
        for _ in range(200):
            self.partner.data(bytes(50_000))
        self.settle()
        self.assertLess(sum(held), 400_000)
        count = 0
        while count < 10_000_000:
            found: Deferred[Any] = talk.next(Data)
            self.settle()
            event = self.successResultOf(found)
            count += len(event.payload)
            # As much comes as is asked for, and not much more.
            self.assertLess(sum(held) - count, 400_000)
        self.assertEqual(count, 10_000_000)

    def test_hearsMeanwhile(self) -> None:
        """Who has taken all that was held back hears what is behind it."""
        talk = self.sending()
        self.partner.data(b"data")
        self.settle()
        self.partner.say(Failed(FailureKind.CANCELLED))
        # It is held back, for nobody has asked yet.
        self.settle()
        self.hear(talk, Data)
        waiting = running(talk.unless(Deferred()))
        self.settle()
        self.failureResultOf(waiting, PartnerFailed)

    def test_dataBeforeError(self) -> None:
        """An error comes behind what was said before it, and stays."""
        talk = self.sending()
        self.partner.data(b"data")
        self.partner.say(Failed(FailureKind.SOURCE, "no more"))
        self.settle()
        event = self.hear(talk, Data)
        self.assertEqual(event, Data(b"data"))
        for _ in range(2):
            error = self.failureResultOf(talk.next(Data), PartnerFailed).value
            self.assertEqual((error.kind, error.reason), ("source", "no more"))
        self.assertRaises(PartnerFailed, talk.say, Accept())

    def test_ends(self) -> None:
        """An end where more was to come is a truncation."""
        for end in (TransferChannel.loseConnection, TransferChannel.abortConnection):
            self.setUp()
            talk = self.sending()
            waiting = talk.next(Data)
            end(self.theirs)
            self.settle()
            self.failureResultOf(waiting, Truncated)

    def test_protocol(self) -> None:
        """What may not come is the partner's fault."""
        talk = self.sending()
        self.theirs.write(b"X")
        self.settle()
        self.failureResultOf(talk.next(Data), PartnerProtocolError)

    def test_cancelled(self) -> None:
        """Waiting may be cancelled, and begun again."""
        talk = self.begun(Role.RECEIVES)
        waiting = talk.next(Offer)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.partner.say(Offer())
        self.settle()
        self.assertEqual(self.hear(talk, Offer), Offer())


class UnlessTests(TalkingTestCase):
    """Something of this side's is waited for."""

    def test_done(self) -> None:
        """It ends as it ends."""
        talk = self.begun()
        doing: Deferred[None] = Deferred()
        waiting = running(talk.unless(doing))
        self.assertNoResult(waiting)
        doing.callback(None)
        self.successResultOf(waiting)

    def test_fails(self) -> None:
        """Also if it fails."""
        talk = self.begun()
        doing: Deferred[None] = Deferred()
        waiting = running(talk.unless(doing))
        error = SourceError("broken")
        doing.errback(error)
        self.assertIs(self.failureResultOf(waiting).value, error)

    def test_partnerFails(self) -> None:
        """The partner's reason ends it, and counts."""
        talk = self.begun()
        stopped: list[object] = []
        doing: Deferred[None] = Deferred(stopped.append)
        waiting = running(talk.unless(doing))
        self.partner.say(Failed(FailureKind.STORING, "no room"))
        self.settle()
        self.assertEqual(stopped, [doing])
        error = self.failureResultOf(waiting, PartnerFailed).value
        self.assertEqual(error.reason, "no room")

    def test_partnerHasFailed(self) -> None:
        """So it does if that was heard before."""
        talk = self.begun()
        self.partner.say(Failed(FailureKind.STORING, "no room"))
        self.settle()
        waiting = running(talk.unless(Deferred()))
        self.failureResultOf(waiting, PartnerFailed)

    def test_bothFail(self) -> None:
        """What a producer says of a lost connection is not the reason for it."""
        talk = self.begun()
        doing: Deferred[None] = Deferred(lambda d: d.errback(Truncated("stopped")))
        waiting = running(talk.unless(doing))
        self.partner.say(Failed(FailureKind.REFUSED, "not that"))
        self.settle()
        self.failureResultOf(waiting, PartnerFailed)

    def test_lost(self) -> None:
        """A connection that breaks off ends it, too."""
        talk = self.begun()
        waiting = running(talk.unless(Deferred()))
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(waiting, Truncated)

    def test_breakOff(self) -> None:
        """And this side may end it itself, with an error of its own."""
        talk = self.begun()
        waiting = running(talk.unless(Deferred()))
        error = SourceError("too much")
        talk.breakOff(error)
        self.assertIs(self.failureResultOf(waiting).value, error)

    def test_cancelled(self) -> None:
        """Who cancels it cancels what is waited for."""
        talk = self.begun()
        stopped: list[object] = []
        waiting = running(talk.unless(Deferred(stopped.append)))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(len(stopped), 1)
        # A later failure has nobody to tell.
        self.partner.say(Failed(FailureKind.STORING))
        self.settle()


class WriteTests(TalkingTestCase):
    """What is sent of a file."""

    def test_frames(self) -> None:
        """Bytes go as they are, in frames; nothing makes no frame."""
        talk = self.begun()
        talk.say(Offer())
        self.settle()
        self.partner.say(Accept())
        self.settle()
        talk.say(Begin())
        for payload in (b"some", b"", b"more"):
            talk.write(payload)
        talk.say(End(8, _DIGEST))
        self.settle()
        self.assertEqual(
            self.partner.heard[2:],
            [Begin(), Data(b"some"), Data(b"more"), End(8, _DIGEST)],
        )

    def test_tooLate(self) -> None:
        """A source that hears too late that it is over disturbs nobody."""
        for leave in (False, True):
            self.setUp()
            talk = self.begun()
            talk.say(Offer())
            self.settle()
            self.partner.say(Accept())
            self.settle()
            talk.say(Begin())
            self.settle()
            if leave:
                leaving = running(talk.giveUp(FailureKind.CANCELLED, "enough"))
            else:
                self.partner.say(Failed(FailureKind.STORING))
                self.settle()
            talk.write(b"data")
            self.settle()
            self.assertFalse([e for e in self.partner.heard if isinstance(e, Data)])
            if leave:
                self.theirs.loseConnection()
                self.settle()
                self.successResultOf(leaving)


class GiveUpTests(TalkingTestCase):
    """One side ends it, and the other hears why."""

    def test_told(self) -> None:
        """The partner hears the reason, and then an orderly end."""
        for role in Role:
            self.setUp()
            talk = self.begun(role)
            leaving = running(talk.giveUp(FailureKind.SOURCE, "cannot read"))
            self.settle()
            error = self.partner.last
            assert isinstance(error, PartnerFailed)
            self.assertEqual((error.kind, error.reason), ("source", "cannot read"))
            # It has not been closed from here: that could destroy what was said.
            self.assertFalse(self.partner.ended)
            self.assertNoResult(leaving)
            self.partner.channel.loseConnection()
            self.settle()
            self.successResultOf(leaving)
            self.assertGone(self.ours, self.theirs)

    def test_reason(self) -> None:
        """Words of any length and kind can be told."""
        talk = self.begun()
        leaving = running(talk.giveUp(FailureKind.PROTOCOL, "x" * 5000 + "\ud800\x1b"))
        self.settle()
        error = self.partner.last
        assert isinstance(error, PartnerFailed)
        self.assertEqual(len(error.reason), 1000)
        self.theirs.loseConnection()
        self.settle()
        self.successResultOf(leaving)

    def test_noCloser(self) -> None:
        """A partner that hears it and does not close has a bounded time."""
        talk = self.begun(closes=False)
        leaving = running(talk.giveUp(FailureKind.SOURCE, "cannot read"))
        self.assertEqual(self.timeOf(leaving, 2 * LINGER), LINGER)
        self.successResultOf(leaving)
        self.assertGone(self.ours)

    def test_noReader(self) -> None:
        """So has one that reads no more, however much is on its way."""
        talk = self.begun()
        self.theirs.pauseProducing()
        talk.say(Offer())
        self.ours.write(b"")
        leaving = running(talk.giveUp(FailureKind.SOURCE, "cannot read"))
        self.assertEqual(self.timeOf(leaving, 2 * LINGER), 2 * LINGER)
        self.successResultOf(leaving)
        self.assertGone(self.ours)

    def test_talker(self) -> None:
        """What the partner says meanwhile is dropped, and not even held back."""
        talk = self.begun(Role.RECEIVES)
        leaving = running(talk.giveUp(FailureKind.REFUSED, "no"))
        for _ in range(100):
            self.theirs.write(bytes(50_000))
            self.settle()
        self.assertNoResult(leaving)
        reading = self.theirs.whenClosed()
        self.theirs.loseConnection()
        self.settle()
        self.successResultOf(reading)
        self.successResultOf(leaving)

    def test_stranger(self) -> None:
        """Who has not said Hello is told nothing, and not waited for."""
        talk = self.talk()
        beginning = running(talk.begin())
        reading: Deferred[Any] = self.theirs.readExactly(1000)
        self.settle()
        beginning.cancel()
        self.failureResultOf(beginning, CancelledError)
        leaving = running(talk.giveUp(FailureKind.CANCELLED, "cancelled"))
        self.settle()
        failure = self.failureResultOf(reading)
        self.assertEqual(failure.value.partial, SIGNATURE + SENDER_HELLO)
        self.theirs.loseConnection()
        self.settle()
        self.successResultOf(leaving)
        self.assertGone(self.ours)

    def test_afterFailed(self) -> None:
        """Who has given up is not told anything more."""
        talk = self.begun()
        self.partner.say(Failed(FailureKind.CANCELLED))
        self.settle()
        self.failureResultOf(talk.next(Accept), PartnerFailed)
        heard = list(self.partner.heard)
        leaving = running(talk.giveUp(FailureKind.CANCELLED, "why not"))
        self.settle()
        self.successResultOf(leaving)
        self.assertEqual(self.partner.heard, heard)
        self.assertGone(self.ours, self.theirs)

    def test_lost(self) -> None:
        """Where there is nobody any more, it takes no time."""
        talk = self.begun()
        self.theirs.abortConnection()
        self.settle()
        leaving = running(talk.giveUp(FailureKind.CANCELLED, "lost"))
        self.settle()
        self.successResultOf(leaving)
        self.assertGone(self.ours)

    def test_cancelled(self) -> None:
        """Who is in a hurry cancels it, and it is over at once."""
        talk = self.begun(closes=False)
        leaving = running(talk.giveUp(FailureKind.CANCELLED, "cancelled"))
        self.settle()
        leaving.cancel()
        self.settle()
        self.successResultOf(leaving)
        self.assertGone(self.ours, self.theirs)

    def test_cancelledTwice(self) -> None:
        """Also where the partner does not read."""
        talk = self.begun()
        self.theirs.pauseProducing()
        talk.say(Offer())
        leaving = running(talk.giveUp(FailureKind.CANCELLED, "cancelled"))
        self.pass_(LINGER + 1)
        self.assertNoResult(leaving)
        leaving.cancel()
        self.settle()
        self.successResultOf(leaving)
        self.assertGone(self.ours)


class EndTests(TalkingTestCase):
    """Everything is stored."""

    def stored(self, role: Role, closes: bool = True) -> Talk:
        """:returns: our side after a file of no bytes."""
        talk = self.begun(role, closes)
        for message_, mine in (
            (Offer(), role is Role.SENDS),
            (Accept(), role is Role.RECEIVES),
            (Begin(), role is Role.SENDS),
            (End(0, _DIGEST), role is Role.SENDS),
            (Stored(0, _DIGEST), role is Role.RECEIVES),
        ):
            if mine:
                talk.say(message_)
                self.settle()
            else:
                self.partner.say(message_)
                self.settle()
                self.hear(talk, type(message_))
        return talk

    def test_sender(self) -> None:
        """The sender says Finished first, and closes when it was answered."""
        talk = self.stored(Role.SENDS)
        ending = running(talk.end())
        self.settle()
        self.assertEqual(self.partner.last, Finished())
        self.assertNoResult(ending)
        self.assertFalse(self.partner.ended)
        self.partner.say(Finished())
        self.settle()
        self.successResultOf(ending)
        self.assertTrue(self.partner.ended)
        self.successResultOf(self.theirs.whenClosed())
        self.assertGone(self.ours, self.theirs)

    def test_receiver(self) -> None:
        """The receiver answers, and lets the sender close."""
        talk = self.stored(Role.RECEIVES, closes=False)
        self.partner.say(Finished())
        self.settle()
        self.hear(talk, Finished)
        ending = running(talk.end())
        self.settle()
        self.assertEqual(self.partner.last, Finished())
        self.assertNoResult(ending)
        self.assertFalse(self.partner.ended)
        self.theirs.loseConnection()
        self.settle()
        self.successResultOf(ending)
        self.successResultOf(self.ours.whenClosed())
        self.assertGone(self.ours, self.theirs)

    def test_silent(self) -> None:
        """A partner that says nothing more has a bounded time."""
        for role in Role:
            self.setUp()
            talk = self.stored(role, closes=False)
            if role is Role.RECEIVES:
                self.partner.say(Finished())
                self.settle()
                self.hear(talk, Finished)
            ending = running(talk.end())
            self.assertEqual(self.timeOf(ending, 2 * LINGER), LINGER)
            self.successResultOf(ending)
            self.assertGone(self.ours)

    def test_whateverComes(self) -> None:
        """How it goes does not count any more."""
        for role in Role:
            for what in ("failed", "garbage", "reset", "closed"):
                self.setUp()
                talk = self.stored(role)
                if role is Role.RECEIVES:
                    self.partner.say(Finished())
                    self.hear(talk, Finished)
                elif what == "failed":
                    self.partner.say(Failed(FailureKind.CANCELLED))
                if what == "garbage":
                    self.theirs.write(b"garbage")
                elif what == "reset":
                    self.theirs.abortConnection()
                self.settle()
                ending = running(talk.end())
                self.settle()
                self.theirs.loseConnection()
                self.settle()
                self.successResultOf(ending)
                self.assertGone(self.ours)

    def test_cancelled(self) -> None:
        """Who is in a hurry cancels it: it ends at once, and well."""
        for role in Role:
            self.setUp()
            talk = self.stored(role, closes=False)
            if role is Role.RECEIVES:
                self.partner.say(Finished())
                self.settle()
                self.hear(talk, Finished)
            ending = running(talk.end())
            self.settle()
            ending.cancel()
            self.settle()
            self.successResultOf(ending)
            self.assertGone(self.ours)


class BoundsTests(SynchronousTestCase):
    """Any bytes may come."""

    @given(st.lists(st.binary(max_size=40), max_size=8), st.sampled_from(Role))
    def test_garbage(self, chunks: list[bytes], role: Role) -> None:
        """Nothing of it is a crash, and nothing is left behind."""
        clock = Clock()
        ours, theirs = memoryPair(clock)
        talk = Talk(clock, ours, role)
        beginning = running(talk.begin())
        for chunk in chunks:
            theirs.write(chunk)
            settle(clock)
        theirs.loseConnection()
        settle(clock)
        error = self.failureResultOf(beginning).value
        whole = b"".join(chunks)
        if whole.startswith(SIGNATURE):
            self.assertIsInstance(error, PartnerProtocolError | Truncated)
        else:
            self.assertIsInstance(error, NotAReceiptPartner if whole else Truncated)
        leaving = running(talk.giveUp(FailureKind.PROTOCOL, error))
        settle(clock)
        self.successResultOf(leaving)
        self.assertEqual(clock.getDelayedCalls(), [])


class HelloTests(TalkingTestCase):
    """A talk knows its partner."""

    def test_heard(self) -> None:
        """The partner's first word was this side's Hello, with its role."""
        for role in Role:
            self.setUp()
            self.begun(role)
            self.assertEqual(self.partner.heard, [Hello(1, role)])
