"""Tests for :mod:`twisted_transfer.receipts.conversation`."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.receiptcases import (
    NONCE,
    RECEIVER_HELLO,
    SENDER_HELLO,
    SIGNATURE,
    box,
    cuts,
    message,
    pieces,
    proofOf,
)
from twisted_transfer.errors import (
    NotAReceiptPartner,
    PartnerFailed,
    PartnerProtocolError,
    ReceiptMismatch,
    TransferError,
    Truncated,
)
from twisted_transfer.receipts.conversation import MAX_WORKING, Conversation, Event
from twisted_transfer.receipts.frames import DATA, MESSAGE, Data, header
from twisted_transfer.receipts.messages import (
    MAX_BATCH,
    MAX_SMALL,
    Accept,
    BadMessage,
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

_S, _R = Role.SENDS, Role.RECEIVES

# The BLAKE3 of b"hello", as b3sum(1) prints it.
_HELLO = bytes.fromhex(
    "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"
)

_OFFER = message(box((b"_command", b"Offer"), (b"name", b"a.txt"), (b"size", b"5")))
_ACCEPT = message(box((b"_command", b"Accept"), (b"offset", b"0")))
_BEGIN = message(box((b"_command", b"Begin"), (b"offset", b"0")))
_DATA = b"D\x00\x00\x02heD\x00\x00\x03llo"
_END = message(box((b"_command", b"End"), (b"digest", _HELLO), (b"size", b"5")))
_STORED = message(box((b"_command", b"Stored"), (b"digest", _HELLO), (b"size", b"5")))
_FINISHED = message(box((b"_command", b"Finished")))
_FAILED = message(
    box((b"_command", b"Failed"), (b"kind", b"source"), (b"reason", b"a\x1b[2J\nb"))
)


def _greeted(role: Role) -> Conversation:
    """One in which both have said Hello."""
    conversation = Conversation(role)
    conversation.begin()
    hello = RECEIVER_HELLO if role is _S else SENDER_HELLO
    (event,) = conversation.receive(SIGNATURE + hello)
    assert isinstance(event, Hello)
    return conversation


def _sending() -> Conversation:
    """A sender's that may send five bytes of data."""
    conversation = _greeted(_S)
    conversation.send(Offer("a.txt", 5))
    conversation.receive(_ACCEPT)
    conversation.send(Begin(0))
    return conversation


def _receiving() -> Conversation:
    """A receiver's to which five bytes of data may come."""
    conversation = _greeted(_R)
    conversation.receive(_OFFER)
    conversation.send(Accept())
    conversation.receive(_BEGIN)
    return conversation


def _data(conversation: Conversation, payload: bytes) -> bytes:
    """:returns: a frame of data that this side sends."""
    return conversation.dataHeader(len(payload)) + payload


_Error = TypeVar("_Error", bound=TransferError)


class WrittenTests(SynchronousTestCase):
    """A transfer as the reference describes it, byte by byte."""

    def test_sender(self) -> None:
        """A sender says this, and hears that."""
        sender = Conversation(_S)
        self.assertEqual(sender.begin(), SIGNATURE + SENDER_HELLO)
        self.assertIsNone(sender.version)
        self.assertEqual(sender.receive(SIGNATURE + RECEIVER_HELLO), [Hello(1, _R)])
        self.assertEqual(sender.version, 1)
        self.assertEqual(sender.send(Offer("a.txt", 5)), _OFFER)
        self.assertEqual(sender.receive(_ACCEPT), [Accept(0)])
        self.assertEqual(sender.send(Begin(0)), _BEGIN)
        said = _data(sender, b"he") + _data(sender, b"llo")
        self.assertEqual(said, _DATA)
        self.assertEqual(sender.send(End(5, _HELLO)), _END)
        self.assertEqual(sender.receive(_STORED), [Stored(5, _HELLO)])
        self.assertEqual(sender.send(Finished()), _FINISHED)
        self.assertFalse(sender.finished)
        self.assertEqual(sender.receive(_FINISHED), [Finished()])
        self.assertTrue(sender.finished)
        sender.ended()

    def test_receiver(self) -> None:
        """And a receiver that."""
        receiver = Conversation(_R)
        self.assertEqual(receiver.begin(), SIGNATURE + RECEIVER_HELLO)
        self.assertEqual(receiver.receive(SIGNATURE + SENDER_HELLO), [Hello(1, _S)])
        self.assertEqual(receiver.receive(_OFFER), [Offer("a.txt", 5)])
        self.assertEqual(receiver.send(Accept()), _ACCEPT)
        self.assertEqual(
            receiver.receive(_BEGIN + _DATA + _END),
            [Begin(0), Data(b"he"), Data(b"llo"), End(5, _HELLO)],
        )
        self.assertEqual(receiver.send(Stored(5, _HELLO)), _STORED)
        self.assertEqual(receiver.receive(_FINISHED), [Finished()])
        self.assertFalse(receiver.finished)
        receiver.ended()
        self.assertEqual(receiver.send(Finished()), _FINISHED)
        self.assertTrue(receiver.finished)
        receiver.ended()

    def test_failed(self) -> None:
        """A failure is written as it is documented."""
        self.assertEqual(
            _greeted(_S).send(Failed(FailureKind.SOURCE, "a\x1b[2J\nb")), _FAILED
        )


class CuttingTests(SynchronousTestCase):
    """How the bytes come makes no difference."""

    @given(cuts, st.sampled_from([b"", _FAILED, b"x", b"D\0\0\1", b"M\0\x20\1", _END]))
    def test_cutting(self, places: list[int], last: bytes) -> None:
        """Any cutting gives the same events, and the same error behind them."""
        stream = _BEGIN + _DATA + _END + last
        found: list[Event] = []
        receiver = _greeted(_R)
        receiver.receive(_OFFER)
        receiver.send(Accept())
        for piece in pieces(stream, places):
            found += receiver.receive(piece)
        data = b"".join(event.payload for event in found if isinstance(event, Data))
        rest = [event for event in found if not isinstance(event, Data)]
        self.assertEqual(data, b"hello")
        self.assertEqual(rest[:2], [Begin(0), End(5, _HELLO)])
        self.assertEqual(len(rest), 3 if last else 2)
        if last:
            wanted: dict[bytes, tuple[type[TransferError], str]] = {
                _FAILED: (PartnerFailed, "source"),
                b"x": (PartnerProtocolError, "no frame begins with the byte 0x78"),
                b"D\0\0\1": (PartnerProtocolError, "data of the sender comes where"),
                b"M\0\x20\1": (PartnerProtocolError, "8193 bytes, not 1 to 8192"),
                _END: (PartnerProtocolError, "End of the sender comes where Stored"),
            }
            kind, words = wanted[last]
            self.assertIsInstance(rest[2], kind)
            self.assertIn(words, str(rest[2]))


class ErrorTests(SynchronousTestCase):
    """What is wrong with the partner."""

    def error(
        self, conversation: Conversation, data: bytes, kind: type[_Error]
    ) -> _Error:
        """:returns: the error that is the one event of the data."""
        (event,) = conversation.receive(data)
        assert isinstance(event, kind), event
        self.assertIs(conversation.error, event)
        return event

    def test_behind(self) -> None:
        """What came before the error is not lost, and nothing comes behind it."""
        receiver = _receiving()
        events = receiver.receive(_DATA + b"X" + _END)
        self.assertEqual(events[:2], [Data(b"he"), Data(b"llo")])
        self.assertIsInstance(events[2], PartnerProtocolError)
        self.assertEqual(len(events), 3)
        self.assertEqual(receiver.receive(_END), [])

    def test_again(self) -> None:
        """The error is what comes of everything that is tried then."""
        sender = _sending()
        error = self.error(sender, b"X", PartnerProtocolError)
        for attempt in (
            lambda: sender.send(End(0, _HELLO)),
            lambda: sender.dataHeader(1),
            sender.ended,
        ):
            self.assertIs(self.assertRaises(PartnerProtocolError, attempt), error)

    def test_tell(self) -> None:
        """The partner can be told of its error, once."""
        sender = _sending()
        self.error(sender, b"X", PartnerProtocolError)
        self.assertTrue(sender.mayFail)
        sender.send(Failed.because(FailureKind.PROTOCOL, sender.error))
        self.assertFalse(sender.mayFail)
        self.assertRaises(
            PartnerProtocolError, sender.send, Failed(FailureKind.PROTOCOL)
        )

    def test_stranger(self) -> None:
        """A stranger is told nothing."""
        conversation = Conversation(_R)
        conversation.begin()
        self.error(conversation, b"HTTP/1.1", NotAReceiptPartner)
        self.assertFalse(conversation.mayFail)
        self.assertRaises(
            NotAReceiptPartner, conversation.send, Failed(FailureKind.PROTOCOL)
        )

    def test_failed(self) -> None:
        """The partner's failure ends it, and its words are fit to be shown."""
        for conversation in (_receiving(), _sending(), _greeted(_R), _greeted(_S)):
            error = self.error(conversation, _FAILED + b"anything", PartnerFailed)
            self.assertEqual((error.kind, error.reason), ("source", "a\\x1b[2J\\nb"))
            self.assertFalse(conversation.mayFail)
            self.assertIs(self.assertRaises(PartnerFailed, conversation.ended), error)

    def test_longReason(self) -> None:
        """They stay bounded when they are written out."""
        reason = b"\x1b" * 1000
        failed = box(
            (b"_command", b"Failed"), (b"kind", b"refused"), (b"reason", reason)
        )
        error = self.error(_greeted(_S), message(failed), PartnerFailed)
        self.assertEqual(len(error.reason), 997)  # 249 escapes of four, and the sign
        self.assertTrue(error.reason.endswith("\\x1b…"))

    def test_mismatch(self) -> None:
        """A receipt for something else is no success."""
        sender = _sending()
        _data(sender, b"hello")
        sender.send(End(5, bytes(32)))
        self.error(sender, _STORED, ReceiptMismatch)
        self.assertTrue(sender.mayFail)
        self.assertFalse(sender.finished)

    def test_tooMuch(self) -> None:
        """Of a frame that is too long for the file, nothing is given on."""
        self.error(_receiving(), b"D\x00\x00\x06hello!", PartnerProtocolError)

    def test_unreadable(self) -> None:
        """A message that is none is said to be none."""
        wrong = message(box((b"_command", b"Begin"), (b"offset", b"-1")))
        receiver = _greeted(_R)
        receiver.receive(_OFFER)
        receiver.send(Accept())
        error = self.error(receiver, wrong, PartnerProtocolError)
        self.assertIn("in Begin, offset is not a number from 0 to", str(error))
        self.assertIn("use the same version of twisted_transfer", str(error))

    def test_early(self) -> None:
        """Nothing but Hello comes first."""
        for first in (_OFFER, _FINISHED, _FAILED, b"D\0\0\1x"):
            conversation = Conversation(_R)
            conversation.begin()
            self.error(conversation, SIGNATURE + first, PartnerProtocolError)

    def test_beforeBegin(self) -> None:
        """The partner's greeting may be there before this side's."""
        receiver = Conversation(_R)
        self.assertEqual(receiver.receive(SIGNATURE + SENDER_HELLO), [Hello(1, _S)])
        self.assertFalse(receiver.mayFail)
        self.assertEqual(receiver.begin(), SIGNATURE + RECEIVER_HELLO)
        self.assertEqual(receiver.receive(_OFFER), [Offer("a.txt", 5)])


class EndTests(SynchronousTestCase):
    """Where the stream may end."""

    def test_receiver(self) -> None:
        """A receiver's partner may end behind Finished, and nowhere before."""
        parts = (SIGNATURE + SENDER_HELLO, _OFFER, _BEGIN + _DATA + _END, _FINISHED)
        answers = (None, Accept(), Stored(5, _HELLO), Finished())
        self.check(_R, parts, answers)

    def test_sender(self) -> None:
        """A sender's partner as well."""
        parts = (SIGNATURE + RECEIVER_HELLO, _ACCEPT, _STORED, _FINISHED)
        answers = (Offer("a.txt", 5), Begin(0), Finished(), None)
        self.check(_S, parts, answers)

    def check(
        self,
        role: Role,
        parts: tuple[bytes, ...],
        answers: tuple[Message | None, ...],
    ) -> None:
        """End the stream at every byte."""
        whole = len(b"".join(parts))
        for length in range(whole + 1):
            left = length
            conversation = Conversation(role)
            conversation.begin()
            for part, answer in zip(parts, answers, strict=True):
                events = conversation.receive(part[:left])
                self.assertIsNone(conversation.error)
                if left < len(part):
                    break
                left -= len(part)
                if isinstance(events[-1], Accept):
                    conversation.send(Begin(0))
                    _data(conversation, b"hello")
                    conversation.send(End(5, _HELLO))
                elif answer is not None:
                    conversation.send(answer)
            if length == whole:
                conversation.ended()
            elif 0 < length < len(SIGNATURE):
                self.assertRaises(NotAReceiptPartner, conversation.ended)
            else:
                error = self.assertRaises(Truncated, conversation.ended)
                self.assertIs(conversation.error, error)

    def test_words(self) -> None:
        """It is said what is missing."""
        error = self.assertRaises(Truncated, _receiving().ended)
        self.assertIn("data or End of the sender was expected", str(error))

    def test_tell(self) -> None:
        """Who can still be reached can be told."""
        receiver = _receiving()
        self.assertRaises(Truncated, receiver.ended)
        self.assertTrue(receiver.mayFail)

    def test_failed(self) -> None:
        """After this side has failed, whatever comes is dropped, and may end."""
        receiver = _receiving()
        receiver.receive(b"D\0\0\5he")
        receiver.send(Failed(FailureKind.STORING, "disk full"))
        for more in (b"llo" + _END, _FAILED, b"garbage"):
            self.assertEqual(receiver.receive(more), [])
        self.assertIsNone(receiver.error)
        self.assertFalse(receiver.finished)
        receiver.ended()


class OwnMessageTests(SynchronousTestCase):
    """What this side may not say is not sent, and is no error of the partner's."""

    def wrong(self, attempt: Callable[[], object]) -> None:
        """It is refused, and is no error of the transfer."""
        error = self.assertRaises(BadMessage, attempt)
        self.assertNotIsInstance(error, TransferError)

    def test_begin(self) -> None:
        """It begins, once, and before everything else."""
        conversation = Conversation(_S)
        for said in (Offer(), Failed(FailureKind.CANCELLED), Finished()):
            self.wrong(lambda said=said: conversation.send(said))  # type: ignore[misc]
        self.wrong(lambda: _data(conversation, b"x"))
        self.assertEqual(conversation.begin(), SIGNATURE + SENDER_HELLO)
        self.wrong(conversation.begin)
        self.wrong(lambda: conversation.send(Hello(1, _S)))

    def test_order(self) -> None:
        """What the other side says, or what may not be said now, is not sent."""
        sender = _sending()
        self.wrong(lambda: sender.send(Accept()))
        self.wrong(lambda: sender.send(Offer()))
        self.wrong(lambda: sender.send(Finished()))
        receiver = _receiving()
        self.wrong(lambda: _data(receiver, b"x"))
        self.wrong(lambda: receiver.send(Stored(5, _HELLO)))
        # Neither has changed anything.
        _data(sender, b"hello")
        self.assertEqual(sender.send(End(5, _HELLO)), _END)
        receiver.receive(_DATA + _END)
        self.assertEqual(receiver.send(Stored(5, _HELLO)), _STORED)

    def test_values(self) -> None:
        """What cannot be said is not, and another try may follow."""
        sender = _greeted(_S)
        self.wrong(lambda: sender.send(Offer("\udcff", 5)))
        self.wrong(lambda: sender.send(Offer("a.txt", -5)))
        self.assertEqual(sender.send(Offer("a.txt", 5)), _OFFER)

    def test_data(self) -> None:
        """There is no more data than was offered."""
        sender = _sending()
        self.wrong(lambda: sender.dataHeader(6))
        _data(sender, b"hel")
        self.wrong(lambda: _data(sender, b"lo!"))
        self.assertEqual(_data(sender, b"lo"), b"D\0\0\2lo")
        self.wrong(lambda: _data(sender, b"!"))

    def test_longest(self) -> None:
        """The longest frame is 16 MiB less one byte."""
        sender = _greeted(_S)
        sender.send(Offer("a", None))
        sender.receive(_ACCEPT)
        sender.send(Begin(0))
        self.assertEqual(sender.dataHeader(2**24 - 1), b"D\xff\xff\xff")

    def test_last(self) -> None:
        """After Failed, and after Finished, there is nothing to say."""
        failed = _sending()
        failed.send(Failed(FailureKind.SOURCE))
        done = _greeted(_S)
        done.send(Finished())
        for sender in (failed, done):
            self.assertFalse(sender.mayFail)
            self.wrong(lambda sender=sender: _data(sender, b"x"))  # type: ignore[misc]
            for said in (Failed(FailureKind.SOURCE), Finished(), Offer()):
                self.wrong(lambda sender=sender, said=said: sender.send(said))  # type: ignore[misc]


class _Talker:
    """
    One of two that talk to each other, and do everything in its time.

    :ivar out: what it has sent and the network has not yet carried.
    :ivar files: what it has to send, or has got.
    :ivar gaveUp: whether it has said Failed.
    """

    def __init__(self, role: Role, files: list[bytes], have: list[int]) -> None:
        self.conversation = Conversation(role)
        self.out = bytearray(self.conversation.begin())
        self.events: deque[Event] = deque()
        self.files = files if role is _S else []
        self.gaveUp = False
        self._have = deque(have)
        self._source = files
        self._next = 0
        self._todo: deque[Message | bytes] = deque()
        self._content = b""

    def act(self) -> bool:
        """Do one thing; returns whether there was anything to do."""
        if self.gaveUp or self.conversation.error is not None:
            return False
        if self._todo:
            said = self._todo.popleft()
            if isinstance(said, bytes):
                self.out += _data(self.conversation, said)
            else:
                self.out += self.conversation.send(said)
        elif self.events:
            event = self.events.popleft()
            if not isinstance(event, TransferError):
                (self._sender if self.conversation.role is _S else self._receiver)(
                    event
                )
        else:
            return False
        return True

    def giveUp(self) -> None:
        """Fail, if it may."""
        if self.conversation.mayFail and self.conversation.error is None:
            self.out += self.conversation.send(Failed(FailureKind.CANCELLED, "enough"))
            self.gaveUp = True

    def _sender(self, event: Event) -> None:
        if isinstance(event, Hello | Stored):
            if self._next == len(self.files):
                self._todo.append(Finished())
                return
            content = self.files[self._next]
            self._next += 1
            self._todo.append(Offer(None, len(content) if self._next % 2 else None))
        elif isinstance(event, Challenge):
            content = self.files[self._next - 1]
            enough = event.offset <= len(content)
            proof = proofOf(content[: event.offset], event.nonce) if enough else None
            self._todo.append(Proof(proof))
        elif isinstance(event, Accept):
            content = self.files[self._next - 1]
            start = event.offset
            self._todo.append(Begin(start))
            self._todo += [content[i : i + 3] for i in range(start, len(content), 3)]
            self._todo.append(End(len(content), blake3(content).digest()))

    def _receiver(self, event: Event) -> None:
        if isinstance(event, Offer):
            have = self._source[len(self.files)][: self._have.popleft()]
            if self._have and self._have[0] % 2:
                have = have[::-1]
            self._part = have
            self._todo.append(Challenge(len(have), NONCE) if have else Accept())
        elif isinstance(event, Proof):
            right = event.digest == proofOf(self._part)
            self._todo.append(Accept(len(self._part) if right else 0))
        elif isinstance(event, Begin):
            self._content = self._part[: event.offset]
        elif isinstance(event, Data):
            self._content += event.payload
        elif isinstance(event, End):
            digest = blake3(self._content).digest()
            self.files.append(self._content)
            self._todo.append(Stored(len(self._content), digest))
        elif isinstance(event, Finished):
            self._todo.append(Finished())


_STEPS = st.lists(
    st.tuples(st.booleans(), st.integers(-1, 60)), max_size=200
)  # who; how many bytes come to it, or that it acts (0), or that it fails (-1)


class TalkTests(SynchronousTestCase):
    """Two that talk to each other, over a network that takes its time."""

    @given(
        st.lists(st.binary(max_size=20), max_size=3),
        st.lists(st.integers(0, 20), min_size=3, max_size=3),
        _STEPS,
        st.booleans(),
    )
    def test_agree(
        self,
        files: list[bytes],
        have: list[int],
        steps: list[tuple[bool, int]],
        mayFail: bool,
    ) -> None:
        """However it goes, in the end both know the same."""
        both = (_Talker(_S, files, have), _Talker(_R, files, have))

        def deliver(to: int, count: int) -> bool:
            out = both[1 - to].out
            data = bytes(out[:count])
            del out[:count]
            both[to].events += both[to].conversation.receive(data)
            return bool(data)

        for who, what in steps:
            if what > 0:
                deliver(who, what)
            elif what == 0 or not mayFail:
                both[who].act()
            else:
                both[who].giveUp()
        while any([deliver(who, 7) | both[who].act() for who in (0, 1)]):
            pass

        sender, receiver = both
        ends = [talker.conversation for talker in both]
        if not (sender.gaveUp or receiver.gaveUp):
            self.assertEqual([end.finished for end in ends], [True, True])
            self.assertEqual(receiver.files, files)
            for end in ends:
                self.assertIsNone(end.error)
                end.ended()
            return
        self.assertEqual(receiver.files, files[: len(receiver.files)])
        for talker, other in (both, both[::-1]):
            if talker.gaveUp:
                self.assertIsNone(talker.conversation.error)
            else:
                error = talker.conversation.error
                assert isinstance(error, PartnerFailed), error
                self.assertEqual((error.kind, error.reason), ("cancelled", "enough"))
                self.assertTrue(other.gaveUp)
            self.assertFalse(talker.conversation.finished)


_DIGEST, _OTHER = bytes(32), bytes(31) + b"x"

# A transfer of one file of five bytes as it goes well, and what is said in it;
# a number stands for so much data.
_Step = tuple[Role, "Message | int"]
_WALK: list[_Step] = [
    (_S, Hello(1, _S)),
    (_R, Hello(1, _R)),
    (_S, Offer("a", 5)),
    (_R, Challenge(2, NONCE)),
    (_S, Proof(_DIGEST)),
    (_R, Accept(2)),
    (_S, Begin(2)),
    (_S, 3),
    (_S, End(5, _DIGEST)),
    (_R, Stored(5, _DIGEST)),
    (_S, Small("b", 5, digest=_DIGEST)),
    (_S, 5),
    (_S, End(5, _DIGEST)),
    (_R, Stored(5, _DIGEST)),
    (_S, Finished()),
    (_R, Finished()),
]

_EVERYTHING: list[_Step] = [
    (role, said)
    for role in Role
    for said in (
        *(Hello(1, role), Offer("a", 5), Small("b", 5, digest=_DIGEST)),
        *(Challenge(2, NONCE), Proof(), Accept(0)),
        *(Begin(0), Begin(2), 1, End(5, _DIGEST)),
        *(Stored(5, _DIGEST), Delivered(5, _DIGEST)),
        *(Working(), Finished(), Failed(FailureKind.CANCELLED)),
    )
]

_READY = {
    *((_S, "Offer"), (_S, "Small"), (_S, "Finished")),
    *((_S, "Failed"), (_R, "Failed")),
}
_ANSWERS = {
    *((_R, "Stored"), (_R, "Delivered"), (_R, "Working")),
    *((_S, "Failed"), (_R, "Failed")),
}
_SENDING = {
    *((_S, "Working"), (_R, "Working")),
    *((_S, "Failed"), (_R, "Failed")),
}
# After so many steps: who may say what.
_ALLOWED: list[set[tuple[Role, str]]] = [
    {(_S, "Hello"), (_R, "Hello")},
    {(_R, "Hello"), (_S, "Failed")},
    _READY,
    {(_R, "Accept"), (_R, "Challenge"), (_S, "Failed"), (_R, "Failed")},
    {
        *((_S, "Proof"), (_S, "Working"), (_R, "Working")),
        *((_S, "Failed"), (_R, "Failed")),
    },
    {(_R, "Accept"), (_R, "Working"), (_S, "Failed"), (_R, "Failed")},
    {(_S, "Begin"), (_S, "Failed"), (_R, "Failed")},
    # End only when all has come.
    {(_S, "data"), *_SENDING},
    {(_S, "End"), *_SENDING},
    _ANSWERS,
    _READY,
    # Nothing but the data of a small file, and then another one or the End.
    {(_S, "data"), (_R, "Working"), (_S, "Failed"), (_R, "Failed")},
    {
        *((_S, "Small"), (_S, "End"), (_R, "Working")),
        *((_S, "Failed"), (_R, "Failed")),
    },
    _ANSWERS,
    _READY,
    {(_R, "Finished"), (_R, "Failed")},
    set(),
]


def _small(size: int | None) -> Small:
    """:returns: the announcement of a small file."""
    return Small("b", size, digest=_DIGEST)


def _say(conversation: Conversation, step: _Step) -> None:
    """
    Go on by what one side says, as bytes if it is the partner.

    :raises BadMessage: if this side may not say it.
    :raises TransferError: if the partner may not, or has failed.
    """
    role, said = step
    if role is conversation.role:
        if isinstance(said, int):
            conversation.dataHeader(said)
        elif isinstance(said, Hello):
            conversation.begin()
        else:
            conversation.send(said)
        return
    if isinstance(said, int):
        heard = header(DATA, said) + bytes(said)
    else:
        payload = encode(said)
        heard = header(MESSAGE, len(payload)) + payload
    if conversation.version is None:
        heard = SIGNATURE + heard
    conversation.receive(heard)
    if conversation.error is not None:
        raise conversation.error


def _after(count: int, mine: Role) -> Conversation:
    """What one of the two has got to after so many steps."""
    conversation = Conversation(mine)
    for step in _WALK[:count]:
        _say(conversation, step)
    return conversation


def _name(step: _Step) -> str:
    """What is said in a step."""
    return "data" if isinstance(step[1], int) else type(step[1]).__name__


class OrderTests(SynchronousTestCase):
    """Which message may come when."""

    def test_table(self) -> None:
        """In each phase, everything but what may be said there is refused."""
        for mine in Role:
            for count, allowed in enumerate(_ALLOWED):
                found = set()
                for step in _EVERYTHING:
                    with contextlib.suppress(BadMessage, PartnerProtocolError):
                        try:
                            _say(_after(count, mine), step)
                        except PartnerFailed:
                            self.assertEqual(_name(step), "Failed")
                        found.add((step[0], _name(step)))
                self.assertEqual(found, allowed, f"after {count}, {mine}")

    def test_unchanged(self) -> None:
        """What is not sent changes nothing: the transfer goes on as it would have."""
        for mine in Role:
            conversation = Conversation(mine)
            for count, step in enumerate(_WALK):
                for wrong in _EVERYTHING:
                    if wrong[0] is mine and (mine, _name(wrong)) not in _ALLOWED[count]:
                        self.assertRaises(BadMessage, _say, conversation, wrong)
                _say(conversation, step)
            self.assertTrue(conversation.finished)

    def test_failed(self) -> None:
        """Failed is the last word of who says it; the other's may cross it."""
        for count in range(2, 15):
            mine = _after(count, _S)
            _say(mine, (_S, Failed(FailureKind.CANCELLED)))
            theirs = _after(count, _S)
            failed = (_R, Failed(FailureKind.STORING))
            self.assertRaises(PartnerFailed, _say, theirs, failed)
            for step in _EVERYTHING:
                if step[0] is _S:
                    self.assertRaises(BadMessage, _say, mine, step)
                    if not isinstance(step[1], Hello):
                        self.assertRaises(PartnerFailed, _say, theirs, step)
            _say(mine, failed)
            mine.ended()

    def test_working(self) -> None:
        """Who says without end that it works is at fault, and so is never sent it."""
        for count, role in ((4, _S), (4, _R), (7, _S), (9, _R)):
            for mine in Role:
                conversation = _after(count, mine)
                _say(conversation, (role, Working()))
                self.assertEqual(conversation._working[role], 1)
                conversation._working[role] = MAX_WORKING - 1
                _say(conversation, (role, Working()))
                wrong = BadMessage if role is mine else PartnerProtocolError
                error = self.assertRaises(wrong, _say, conversation, (role, Working()))
                self.assertIn("50000 times", str(error))
        # What is said between two of them makes it begin anew.
        conversation = _after(4, _R)
        conversation._working[_R] = conversation._working[_S] = MAX_WORKING
        for step in _WALK[4:8]:
            _say(conversation, step)
        _say(conversation, (_S, Working()))

    def test_words(self) -> None:
        """What is refused is said together with what was expected."""
        for count, step, words in (
            (
                2,
                (_R, Accept(0)),
                "Accept of the receiver comes where Offer, Small or Finished",
            ),
            (6, (_S, 1), "data of the sender comes where Begin of the sender is"),
            (
                8,
                (_R, Stored(5, _DIGEST)),
                "where data or End of the sender is expected",
            ),
            (0, (_S, Offer()), "comes where Hello of both sides is expected"),
            (1, (_S, Hello(1, _S)), "comes where Hello of the receiver is expected"),
            (10, (_S, _small(None)), "Small has the size None, which is none from 0"),
            (10, (_S, _small(MAX_SMALL + 1)), "which is none from 0 to 65536"),
            (11, (_S, _small(0)), "5 bytes of the file before it are expected"),
            (15, (_S, Offer()), "comes where Finished of the receiver is expected"),
        ):
            said: list[str] = []
            for mine in Role:
                error = self.assertRaises(
                    (BadMessage, PartnerProtocolError),
                    _say,
                    _after(count, mine),
                    step,
                )
                said.append(str(error))
            self.assertIn(words, said[0])
            self.assertIn(words, said[1])

    def test_batch(self) -> None:
        """A batch has a bounded number of files, and one receipt."""
        for mine in Role:
            conversation = _after(2, mine)
            for _ in range(MAX_BATCH):
                _say(conversation, (_S, _small(1)))
                _say(conversation, (_S, 1))
            error = self.assertRaises(
                (BadMessage, PartnerProtocolError),
                _say,
                conversation,
                (_S, _small(0)),
            )
            self.assertIn("more than 64 times", str(error))
        both = [_after(2, mine) for mine in Role]
        steps: list[_Step] = [
            *((_S, _small(3)), (_S, 3), (_S, _small(0)), (_S, End(3, _DIGEST))),
            *((_R, Stored(3, _DIGEST)), (_S, _small(2)), (_S, 2)),
            *((_S, End(2, _DIGEST)), (_R, Stored(2, _DIGEST)), (_S, Finished())),
        ]
        for step in steps:
            for conversation in both:
                _say(conversation, step)


class HelloTests(SynchronousTestCase):
    """Whether the two can work together."""

    def test_version(self) -> None:
        """The lower version counts; today that is always 1."""
        for theirs in (1, 2, 65535):
            conversation = _after(1, _S)
            self.assertIsNone(conversation.version)
            _say(conversation, (_R, Hello(theirs, _R)))
            self.assertEqual(conversation.version, 1)

    def test_unknownVersion(self) -> None:
        """If that one is unknown, the error names what each knows."""
        step = (_R, Hello(0, _R))
        error = self.assertRaises(PartnerProtocolError, _say, _after(1, _S), step)
        self.assertIn("up to version 0, and this side knows 1 to 1", str(error))

    def test_sameRole(self) -> None:
        """Two senders, and two receivers, are told so."""
        for role, other in ((_S, _R), (_R, _S)):
            step = (other, Hello(1, role))
            error = self.assertRaises(
                PartnerProtocolError, _say, Conversation(role), step
            )
            self.assertIn(f"the partner {role.value} as well", str(error))


def _proved(offset: int) -> tuple[Message, ...]:
    """:returns: what is said until the receiver goes on with so many bytes."""
    return Challenge(offset, NONCE), Proof(_DIGEST), Accept(offset)


class FileTests(SynchronousTestCase):
    """What may be said of a file, by this side or by the partner."""

    def after(
        self, mine: Role, *steps: Message | int, size: int | None = 5
    ) -> Conversation:
        """:returns: a conversation in the middle of a file."""
        conversation = _after(2, mine)
        for said in (Offer("a", size), *steps):
            self.say(conversation, said)
        return conversation

    def say(self, conversation: Conversation, said: Message | int) -> None:
        """Go on."""
        receivers = Accept | Challenge | Stored
        _say(conversation, (_R if isinstance(said, receivers) else _S, said))

    def good(self, *steps: Message | int, size: int | None = 5) -> None:
        """All this may be said."""
        for mine in Role:
            self.after(mine, *steps, size=size)

    def wrong(self, *steps: Message | int, size: int | None = 5) -> None:
        """The last may not be said."""
        for mine in Role:
            conversation = self.after(mine, *steps[:-1], size=size)
            self.assertRaises(
                (BadMessage, PartnerProtocolError, ReceiptMismatch),
                self.say,
                conversation,
                steps[-1],
            )

    def test_challenge(self) -> None:
        """There is something to prove, and not more than was offered."""
        self.good(Challenge(5, NONCE))
        self.good(Challenge(2**63 - 1, NONCE), size=None)
        self.wrong(Challenge(0, NONCE))
        self.wrong(Challenge(6, NONCE))
        self.wrong(Challenge(1, NONCE), size=0)

    def test_accept(self) -> None:
        """The receiver wants what was not proved, or everything."""
        self.good(Accept(0))
        self.wrong(Accept(1))
        self.good(Challenge(3, NONCE), Proof(_DIGEST), Accept(3))
        self.good(Challenge(3, NONCE), Proof(_DIGEST), Accept(0))
        self.wrong(Challenge(3, NONCE), Proof(_DIGEST), Accept(2))
        self.good(Challenge(3, NONCE), Proof(), Accept(0))
        self.wrong(Challenge(3, NONCE), Proof(), Accept(3))

    def test_begin(self) -> None:
        """The sender begins where it was asked to."""
        self.good(*_proved(3), Begin(3))
        self.wrong(*_proved(3), Begin(0))
        self.wrong(*_proved(3), Begin(4))
        self.wrong(Accept(0), Begin(3))

    def test_data(self) -> None:
        """There is no more data than was offered."""
        self.good(Accept(0), Begin(0), 2, 3)
        self.wrong(Accept(0), Begin(0), 6)
        self.wrong(Accept(0), Begin(0), 2, 4)
        self.good(*_proved(3), Begin(3), 2)
        self.wrong(*_proved(3), Begin(3), 3)
        self.good(*_proved(3)[:2], Accept(0), Begin(0), 5)
        self.wrong(*_proved(5), Begin(5), 1)
        self.wrong(Accept(0), Begin(0), 1, size=0)

    def test_dataUnknown(self) -> None:
        """If no size was offered, there may be as much as can be counted."""
        self.good(Accept(0), Begin(0), 2**24 - 1, 2**24 - 1, size=None)
        most = 2**63 - 1
        self.good(*_proved(most - 9), Begin(most - 9), 9, size=None)
        self.wrong(*_proved(most - 9), Begin(most - 9), 10, size=None)

    def test_end(self) -> None:
        """The size at the end is what has come, and what was offered."""
        self.good(Accept(0), Begin(0), 5, End(5, _DIGEST))
        self.good(*_proved(2), Begin(2), 3, End(5, _DIGEST))
        self.good(*_proved(5), Begin(5), End(5, _DIGEST))
        self.good(Accept(0), Begin(0), End(0, _DIGEST), size=0)
        self.good(Accept(0), Begin(0), 7, End(7, _DIGEST), size=None)
        self.wrong(Accept(0), Begin(0), 5, End(4, _DIGEST))
        self.wrong(Accept(0), Begin(0), 4, End(5, _DIGEST))
        self.wrong(Accept(0), Begin(0), 4, End(4, _DIGEST))
        self.wrong(*_proved(2), Begin(2), 3, End(3, _DIGEST))
        self.wrong(*_proved(2)[:2], Accept(0), Begin(0), 3, End(5, _DIGEST))
        self.wrong(Accept(0), Begin(0), 7, End(6, _DIGEST), size=None)

    def test_filler(self) -> None:
        """A sender that fails within a frame says how much of it is no file."""
        begun = (Accept(0), Begin(0), 3)
        for filler in (0, 3):
            conversation = self.after(_R, *begun)
            error = self.assertRaises(
                PartnerFailed,
                self.say,
                conversation,
                Failed(FailureKind.SOURCE, "", filler),
            )
            self.assertEqual(error.filler, filler)
        self.wrong(*begun, Failed(FailureKind.SOURCE, "", 4))
        receiver = self.after(_R, *begun)
        failed = Failed(FailureKind.STORING, "", 1)
        self.assertRaises(BadMessage, receiver.send, failed)

    def test_second(self) -> None:
        """Nothing of one file counts for the next one."""
        first = (*_proved(2), Begin(2), 3, End(5, _DIGEST), Stored(5, _DIGEST))
        second = Offer(None, None)
        self.good(*first, second, Accept(0), Begin(0), 9, End(9, _OTHER))
        self.wrong(*first, second, Accept(0), Begin(2))
        self.wrong(*first, second, Accept(0), Begin(0), End(5, _DIGEST))
        rest = (Accept(0), Begin(0), End(0, _OTHER))
        self.wrong(*first, second, *rest, Stored(0, _DIGEST))

    def test_storedMine(self) -> None:
        """A receipt for something else is not given."""
        whole = (Accept(0), Begin(0), 5, End(5, _DIGEST))
        self.good(*whole, Stored(5, _DIGEST))
        self.good(*whole, Delivered(5, _DIGEST))
        self.wrong(*whole, Stored(4, _DIGEST))
        self.wrong(*whole, Stored(5, _OTHER))

    def test_storedTheirs(self) -> None:
        """A receipt for something else is not taken, and both are named."""
        for stored in (Stored(4, _DIGEST), Stored(5, _OTHER), Delivered(4, _DIGEST)):
            error = self.assertRaises(
                ReceiptMismatch, _say, _after(9, _S), (_R, stored)
            )
            for part in (stored.size, stored.digest.hex(), 5, _DIGEST.hex()):
                self.assertIn(str(part), str(error))
