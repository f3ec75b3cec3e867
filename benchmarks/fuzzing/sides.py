"""
Two sides of a transfer with receipts, without a connection.

They answer each other as real ones do, and check what they receive.
"""

from __future__ import annotations

from dataclasses import dataclass

from blake3 import blake3

from twisted_transfer.errors import (
    NotAReceiptPartner,
    PartnerFailed,
    PartnerProtocolError,
    ReceiptMismatch,
    TransferError,
    Truncated,
)
from twisted_transfer.receipts.conversation import Conversation, Event
from twisted_transfer.receipts.digest import prover
from twisted_transfer.receipts.frames import Data
from twisted_transfer.receipts.messages import (
    Accept,
    Begin,
    Challenge,
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
)

_EXPECTED = (
    NotAReceiptPartner,
    PartnerFailed,
    PartnerProtocolError,
    ReceiptMismatch,
    Truncated,
)
_LONGEST_TEXT = 2000  # characters of an error
_MOST_HELD = 8192  # bytes, as documented


class Defect(Exception):
    """The protocol has violated its specification."""


def demand(condition: bool, what: str) -> None:
    if not condition:
        raise Defect(what)


def _proof(prefix: bytes, challenge: Challenge) -> bytes:
    hasher = prover(challenge.nonce, challenge.offset)
    hasher.update(prefix)
    return hasher.digest()


def _digest(data: bytes) -> bytes:
    return blake3(data).digest()


@dataclass(frozen=True)
class File:
    """
    A file of the sender's, and the receiver's part of it.

    :ivar content: the sender's file.
    :ivar name: the name that the sender suggests.
    :ivar hasSize: whether the sender knows the size in advance.
    :ivar there: the receiver's part.
    :ivar small: whether it is sent in a batch, with those like it beside it.
    """

    content: bytes
    name: str | None
    hasSize: bool
    there: bytes
    small: bool = False


@dataclass(frozen=True)
class Plan:
    """
    The plan of a transfer.

    :ivar files: the files, one after the other.
    :ivar ends: the failure that ends it, and the side that fails; or None.
    """

    files: tuple[File, ...]
    ends: tuple[Role, Failed] | None = None


class Side:
    """
    One side, which reads and answers.

    :ivar said: the frames that it has sent.
    :ivar heard: the events of its input; data is joined.
    """

    def __init__(self, role: Role, plan: Plan) -> None:
        self.conversation = Conversation(role)
        self.said: list[bytes] = [self.conversation.begin()]
        self.heard: list[Event] = []
        self._ours = plan.ends[1] if plan.ends and plan.ends[0] is role else None
        self._files = list(plan.files)
        self._file = File(b"", None, True, b"")
        self._next: tuple[type[Event], ...] = (Offer, Finished)
        self._greeted = False
        self._offered: int | None = None
        self._end = End(0, b"")
        self._digests: list[bytes] = []  # of the files of a batch
        self._there = self._content = b""
        self._proved = self._accepted = 0
        self._challenge = Challenge(1, bytes(32))
        self.fed = 0
        self.given = 0

    def feed(self, data: bytes) -> None:
        """Read some bytes, and answer."""
        self.fed += len(data)
        before = self.conversation.error
        events = self.conversation.receive(data)
        demand(len(events) <= len(data) + 1, "more events than bytes")
        held = len(self.conversation._deframer._held)
        demand(held <= _MOST_HELD, "too much is held")
        if before is not None:
            demand(not events, "something comes behind an error")
        for event in events:
            last = self.heard[-1] if self.heard else None
            if isinstance(event, Data) and isinstance(last, Data):
                self.heard[-1] = Data(last.payload + event.payload)
            else:
                self.heard.append(event)
            if isinstance(event, TransferError):
                demand(event is events[-1], "an error is not the last event")
                demand(event is self.conversation.error, "it is another error")
            else:
                self._answer(event)
        demand(self.given <= self.fed, "more data than bytes")

    def _say(self, *messages: Message | bytes) -> None:
        try:
            for message in messages:
                if not isinstance(message, bytes):
                    self.said.append(self.conversation.send(message))
                elif message:
                    header = self.conversation.dataHeader(len(message))
                    self.said.append(header + message)
        except TransferError as error:
            demand(error is self.conversation.error, "it is another error")

    def _answer(self, event: Event) -> None:
        if isinstance(event, Hello):
            demand(not self._greeted, "Hello comes twice")
            self._greeted = True
            if self.conversation.role is Role.SENDS:
                self._offer()
        elif self.conversation.role is Role.SENDS:
            self._sender(event)
        else:
            self._receiver(event)

    def _expect(self, event: Event) -> None:
        demand(self._greeted, f"{event!r} comes before Hello")
        demand(
            isinstance(event, self._next), f"{event!r} comes instead of {self._next}"
        )

    def _offer(self) -> None:
        if self._files and self._files[0].small:
            self._sendBatch()
        elif self._files:
            self._file = file = self._files.pop(0)
            size = len(file.content) if file.hasSize else None
            self._say(Offer(file.name, size))
            self._next = (Accept, Challenge)
        elif self._ours is not None:
            self._say(self._ours)
        else:
            self._say(Finished())
            self._next = (Finished,)

    def _sendBatch(self) -> None:
        size, digests = 0, b""
        while self._files and self._files[0].small:
            file = self._files.pop(0)
            content, digest = file.content, _digest(file.content)
            self._say(Small(file.name, len(content), digest=digest), content)
            size += len(content)
            digests += digest
        self._end = End(size, _digest(digests))
        self._say(self._end)
        self._next = (Stored,)

    def _sender(self, event: Event) -> None:
        self._expect(event)
        content = self._file.content
        if isinstance(event, Challenge):
            demand(event.offset > 0, "nothing to prove")
            known = event.offset <= len(content)
            demand(known or not self._file.hasSize, "offset too high")
            self._proved = event.offset if known else 0
            self._say(Proof(_proof(content[: event.offset], event) if known else None))
            self._next = (Accept,)
        elif isinstance(event, Accept):
            demand(event.offset in (0, self._proved), "offset not proved")
            start = event.offset
            middle = (start + len(content)) // 2
            self._say(Begin(start), content[start:middle], content[middle:])
            self._end = End(len(content), _digest(content))
            self._say(self._end)
            self._next = (Stored,)
        elif isinstance(event, Stored):
            demand(event.size == self._end.size, "a receipt for another size")
            demand(event.digest == self._end.digest, "a receipt for another digest")
            self._offer()
        else:
            self._next = ()

    def _receiver(self, event: Event) -> None:
        self._expect(event)
        if isinstance(event, Small):
            if not self._digests:
                self._offered, self._content = 0, b""
            demand(self._offered == len(self._content), "a file is not whole")
            demand(event.size is not None, "a small file without a size")
            self._offered = (self._offered or 0) + (event.size or 0)
            self._digests.append(event.digest)
            self._next = (Data, Small, End)
        elif isinstance(event, Offer):
            self._offered = event.size
            self._file = self._files.pop(0) if self._files else self._file
            there = self._file.there
            if event.size is not None:
                there = there[: event.size]
            self._there = there
            if self._ours is not None and not self._files:
                self._say(self._ours)
                return
            if there:
                self._challenge = Challenge(len(there), bytes(32))
                self._say(self._challenge)
                self._next = (Proof,)
            else:
                self._accept(0)
        elif isinstance(event, Proof):
            right = event.digest == _proof(self._there, self._challenge)
            self._accept(len(self._there) if right else 0)
        elif isinstance(event, Begin):
            demand(event.offset == self._accepted, "a place nobody wanted")
            self._content = self._there[: event.offset]
            self._next = (Data, End)
        elif isinstance(event, Data):
            demand(len(event.payload) > 0, "empty data")
            self._content += event.payload
            self.given += len(event.payload)
            if self._offered is not None:
                demand(len(self._content) <= self._offered, "more than was offered")
        elif isinstance(event, End):
            demand(event.size == len(self._content), "another size than came")
            demand(self._offered in (None, event.size), "another size than offered")
            whole, self._digests = b"".join(self._digests) or self._content, []
            if event.digest == _digest(whole):
                self._say(Stored(event.size, event.digest))
            else:
                self._say(Failed.because(FailureKind.MISMATCH, "it is not the same"))
            self._next = (Offer, Finished)
        else:
            self._say(Finished())
            self._next = ()

    def _accept(self, offset: int) -> None:
        self._accepted = offset
        self._say(Accept(offset))
        self._next = (Begin,)

    def end(self) -> str:
        """
        End the input.

        :returns: the result, in one word.
        """
        conversation = self.conversation
        outcome = "gave up"
        try:
            conversation.ended()
            if conversation.finished:
                outcome = "finished"
        except _EXPECTED as error:
            demand(error is conversation.error, "it is another error")
            demand(
                str(error).isprintable() and len(str(error)) <= _LONGEST_TEXT,
                f"this would be shown: {str(error)!r}",
            )
            outcome = type(error).__name__
        demand(
            outcome in ("finished", "gave up") or conversation.error is not None,
            "an error that is not kept",
        )
        if conversation.mayFail:
            conversation.send(Failed.because(FailureKind.PROTOCOL, "\udc80\x1b"))
            demand(not conversation.mayFail, "Failed may be said twice")
        if outcome != "finished":
            demand(not conversation.receive(b"M\0\0\1"), "events behind the end")
        return outcome
