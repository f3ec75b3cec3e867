"""
The order of the messages in a transfer with receipts: bytes in, events out.

Nothing here reads, writes or waits.  The format is described in
``docs/reference/receipts.rst``, to the byte.
"""

from __future__ import annotations

from enum import Enum

from twisted_transfer.errors import (
    NotAReceiptPartner,
    PartnerFailed,
    PartnerProtocolError,
    ReceiptMismatch,
    TransferError,
    Truncated,
)
from twisted_transfer.printable import printable
from twisted_transfer.receipts import frames
from twisted_transfer.receipts.messages import (
    MAX_BATCH,
    MAX_REASON,
    MAX_SIZE,
    MAX_SMALL,
    Accept,
    BadMessage,
    Begin,
    Challenge,
    Delivered,
    End,
    Failed,
    Finished,
    Hello,
    Message,
    Offer,
    Proof,
    Role,
    Small,
    Stored,
    Working,
    decode,
    encode,
)

OLDEST_VERSION = 1
"""The lowest version of the protocol that this side knows."""

NEWEST_VERSION = 1
"""The highest version of the protocol that this side knows."""

MAX_WORKING = 50_000
"""How often a side may say Working before it says something else."""


class Phase(Enum):
    """Where a conversation stands; the value says what is expected next."""

    START = "Hello of both sides"
    SENDER_GREETED = "Hello of the receiver"
    RECEIVER_GREETED = "Hello of the sender"
    READY = "Offer, Small or Finished of the sender"
    OFFERED = "Accept or Challenge of the receiver"
    CHALLENGED = "Proof of the sender"
    PROVEN = "Accept of the receiver"
    ACCEPTED = "Begin of the sender"
    SENDING = "data or End of the sender"
    BATCH = "data, Small or End of the sender"
    ENDED = "Stored or Delivered of the receiver"
    FINISHING = "Finished of the receiver"
    OVER = "nothing more"
    FAILED = "nothing after Failed"


_S, _R = Role.SENDS, Role.RECEIVES
_NAMES = {_S: "sender", _R: "receiver"}

_FAILS: dict[tuple[Role, type], Phase] = {
    (_S, Failed): Phase.FAILED,
    (_R, Failed): Phase.FAILED,
}

# What each side may send in each phase, and the phase that follows.
_STEPS: dict[Phase, dict[tuple[Role, type], Phase]] = {
    Phase.START: {
        (_S, Hello): Phase.SENDER_GREETED,
        (_R, Hello): Phase.RECEIVER_GREETED,
    },
    Phase.SENDER_GREETED: {(_R, Hello): Phase.READY, (_S, Failed): Phase.FAILED},
    Phase.RECEIVER_GREETED: {(_S, Hello): Phase.READY, (_R, Failed): Phase.FAILED},
    Phase.READY: {
        (_S, Offer): Phase.OFFERED,
        (_S, Small): Phase.BATCH,
        (_S, Finished): Phase.FINISHING,
        **_FAILS,
    },
    Phase.OFFERED: {
        (_R, Accept): Phase.ACCEPTED,
        (_R, Challenge): Phase.CHALLENGED,
        **_FAILS,
    },
    Phase.CHALLENGED: {
        (_S, Proof): Phase.PROVEN,
        (_S, Working): Phase.CHALLENGED,
        (_R, Working): Phase.CHALLENGED,
        **_FAILS,
    },
    Phase.PROVEN: {
        (_R, Accept): Phase.ACCEPTED,
        (_R, Working): Phase.PROVEN,
        **_FAILS,
    },
    Phase.ACCEPTED: {(_S, Begin): Phase.SENDING, **_FAILS},
    Phase.SENDING: {
        (_S, frames.DataHeader): Phase.SENDING,
        (_S, Working): Phase.SENDING,
        (_R, Working): Phase.SENDING,
        (_S, End): Phase.ENDED,
        **_FAILS,
    },
    Phase.BATCH: {
        (_S, frames.DataHeader): Phase.BATCH,
        (_S, Small): Phase.BATCH,
        (_R, Working): Phase.BATCH,
        (_S, End): Phase.ENDED,
        **_FAILS,
    },
    Phase.ENDED: {
        (_R, Stored): Phase.READY,
        (_R, Delivered): Phase.READY,
        (_R, Working): Phase.ENDED,
        **_FAILS,
    },
    Phase.FINISHING: {(_R, Finished): Phase.OVER, (_R, Failed): Phase.FAILED},
    Phase.OVER: {},
    Phase.FAILED: {},
}

Event = Message | frames.Data | TransferError
"""What may come of the partner's bytes.  Failed is not among them: it comes as
:class:`~twisted_transfer.errors.PartnerFailed`."""


class Conversation:
    """
    Follow what both sides say on one connection, and refuse what breaks the order.

    :ivar role: what this side does.
    :ivar version: the version of the protocol that both sides know; None until
        the partner's Hello has come.
    :ivar error: what has gone wrong with the partner, or None.
    """

    def __init__(self, role: Role) -> None:
        """
        :param role: what this side does, whoever has dialled.
        """
        self.role = role
        self.version: int | None = None
        self.error: TransferError | None = None
        self._partner = _R if role is _S else _S
        self._phase = Phase.START
        self._deframer = frames.Deframer()
        # Of the present file, or batch of small ones: the size that was offered, the
        # bytes that are there, how many files of the batch there are, and the sender's
        # last word on it.
        self._size: int | None = None
        self._position = 0
        self._files = 0
        self._end = End(0, b"")
        # How often each side has said Working since its last other message.
        self._working = dict.fromkeys(Role, 0)

    @property
    def finished(self) -> bool:
        """Whether both sides have said Finished: everything went well."""
        return self._phase is Phase.OVER

    @property
    def mayFail(self) -> bool:
        """
        Whether this side can still tell the partner, by Failed, that it gives up.

        It can also after an error, unless the partner gave up or is a stranger.
        In the middle of a frame of data the rest of the frame has to be sent
        before, whatever it is made of, since End will not come.
        """
        return (self.role, Failed) in _STEPS[self._phase] and not isinstance(
            self.error, NotAReceiptPartner
        )

    # What this side says.

    def begin(self) -> bytes:
        """
        Say Hello.

        :returns: what this side sends first.
        :raises BadMessage: the second time.
        """
        return frames.SIGNATURE + self._frame(Hello(NEWEST_VERSION, self.role))

    def send(self, message: Message) -> bytes:
        """
        Say anything but Hello.

        :param message: the message.
        :returns: its bytes, which have to be sent.
        :raises BadMessage: if it may not be sent now, or is invalid.  It is a
            mistake of the program that uses this; nothing has changed.
        :raises TransferError: :attr:`error`, if there is one; but Failed may
            be sent as long as :attr:`mayFail`.
        """
        if not (isinstance(message, Failed) and self.mayFail):
            self._raiseError()
        return self._frame(message)

    def _frame(self, message: Message) -> bytes:
        payload = encode(message)
        self._step(message, self.role)
        return frames.header(frames.MESSAGE, len(payload)) + payload

    def dataHeader(self, length: int) -> bytes:
        """
        Begin a frame of data; the caller has to send its bytes.

        :param length: how many bytes will follow, from 1 to
            :data:`~twisted_transfer.receipts.frames.MAX_DATA`.
        :returns: the header, which has to be sent before them.
        :raises BadMessage: if there may be no data now, or not so much.
        :raises TransferError: :attr:`error`, if there is one.
        """
        self._raiseError()
        self._step(frames.DataHeader(length), self.role)
        return frames.header(frames.DATA, length)

    def _raiseError(self) -> None:
        if self.error is not None:
            raise self.error

    # What the partner says.

    def receive(self, data: bytes) -> list[Event]:
        """
        Take what the partner has sent.

        It raises nothing.  If something is wrong, the error is the last event,
        behind all that came before it; it is in :attr:`error` as well, and
        nothing comes any more.  What comes after this side has sent Failed is
        dropped.

        :param data: the next bytes, of any number.
        :returns: what they say, in order.
        """
        events: list[Event] = []
        if self.error is not None or self._phase is Phase.FAILED:
            return events
        try:
            for unit in self._deframer.feed(data):
                if isinstance(unit, frames.Data):
                    events.append(unit)
                elif isinstance(unit, frames.DataHeader):
                    self._step(unit, self._partner)
                else:
                    events.append(self._heard(decode(unit)))
        except BadMessage as problem:
            self.error = frames.broken(str(problem))
        except TransferError as error:
            self.error = error
        if self.error is not None:
            events.append(self.error)
        return events

    @property
    def dataLeft(self) -> int:
        """How many bytes of the partner's frame of data have not come yet; they may
        come without :meth:`receive`, with :meth:`skip`."""
        return self._deframer.dataLeft

    def skip(self, count: int) -> None:
        """
        Go on behind some of :attr:`dataLeft`.

        :param count: how many bytes have come in another way.
        """
        self._deframer.skip(count)

    def _heard(self, message: Message) -> Message:
        self._step(message, self._partner)
        if isinstance(message, Failed):
            reason = printable(message.reason, MAX_REASON)
            raise PartnerFailed(message.kind.value, reason, message.filler or 0)
        if isinstance(message, Hello):
            self.version = min(message.version, NEWEST_VERSION)
        return message

    def ended(self) -> None:
        """
        Note that the partner has closed its end in order.

        :raises Truncated: if it should have sent more.
        :raises NotAReceiptPartner: if what it has sent was no whole signature.
        :raises TransferError: :attr:`error`, if there is one already.
        """
        self._raiseError()
        if not any(actor is self._partner for actor, _ in _STEPS[self._phase]):
            return
        try:
            self._deframer.ended()
            raise Truncated(
                "the partner ended the connection too early, when "
                f"{self._phase.value} was expected; find out there why, and try again"
            )
        except TransferError as error:
            self.error = error
            raise

    # What may be said.

    def _step(self, said: Message | frames.DataHeader, actor: Role) -> None:
        """
        Go on by what one side says; nothing has changed if it may not say so.

        :raises BadMessage: if it may not come now, or is against the rules.
        :raises PartnerProtocolError: if it is a Hello, and the two sides cannot
            work together.
        :raises ReceiptMismatch: if it is a receipt for something else.
        """
        after = _STEPS[self._phase].get((actor, type(said)))
        if after is None:
            name = (
                "data" if isinstance(said, frames.DataHeader) else type(said).__name__
            )
            raise BadMessage(
                f"{name} of the {_NAMES[actor]} comes where {self._phase.value} is "
                "expected"
            )
        self._check(said, actor)
        self._phase = after
        if not isinstance(said, Working):
            self._working[actor] = 0

    def _check(self, said: Message | frames.DataHeader, actor: Role) -> None:
        """Check it against what was said before, and keep what binds later messages."""
        match said:
            case Hello():
                _checkHello(said, actor)
            case Small():
                self._checkSmall(said.size)
            case Offer():
                self._size = said.size
                self._position = 0
            case Challenge():
                most = MAX_SIZE if self._size is None else self._size
                if not 0 < said.offset <= most:
                    raise BadMessage(
                        f"Challenge has the offset {said.offset}, which is none from 1 "
                        f"to {most}"
                    )
                self._position = said.offset
            case Proof():
                if said.digest is None:
                    self._position = 0
            case Accept():
                if said.offset not in (0, self._position):
                    raise BadMessage(
                        f"Accept has the offset {said.offset}, and {self._position} "
                        "bytes were proved"
                    )
                self._position = said.offset
            case Begin():
                if said.offset != self._position:
                    raise BadMessage(
                        f"Begin has the offset {said.offset}, and {self._position} was "
                        "accepted"
                    )
            case frames.DataHeader():
                most = MAX_SIZE if self._size is None else self._size
                if said.length > most - self._position:
                    raise BadMessage(
                        f"{said.length} bytes come where {most - self._position} are "
                        f"left of the {most} that were to come"
                    )
                self._position += said.length
            case Working():
                if self._working[actor] == MAX_WORKING:
                    raise BadMessage(
                        f"Working comes more than {MAX_WORKING} times in a row"
                    )
                self._working[actor] += 1
            case End():
                for size, what in ((self._position, "sent"), (self._size, "offered")):
                    if size not in (None, said.size):
                        raise BadMessage(
                            f"End has the size {said.size}, and {size} bytes were "
                            f"{what}"
                        )
                self._end = said
            case Failed() if said.filler is not None:
                if actor is not _S or said.filler > self._position:
                    raise BadMessage(
                        f"Failed has the filler {said.filler}, and the sender has sent "
                        f"{self._position} bytes"
                    )
            case Stored():
                end = self._end
                if (said.size, said.digest) != (end.size, end.digest):
                    raise ReceiptMismatch(
                        f"the receipt is for something else: {said.size} bytes with "
                        f"the BLAKE3 {said.digest.hex()} are stored, and {end.size} "
                        f"with {end.digest.hex()} were sent; send it again"
                    )

    def _checkSmall(self, size: int | None) -> None:
        """Check that one more small file may come, and count it."""
        if self._phase is not Phase.BATCH:
            self._size = self._position = self._files = 0
        total = self._size or 0
        if size is None or size > MAX_SMALL:
            raise BadMessage(
                f"Small has the size {size}, which is none from 0 to {MAX_SMALL}"
            )
        if self._position < total:
            raise BadMessage(
                f"Small comes where {total - self._position} bytes of the file before "
                "it are expected"
            )
        if self._files == MAX_BATCH:
            raise BadMessage(f"Small comes more than {MAX_BATCH} times before an End")
        self._files += 1
        self._size = total + size


def _checkHello(hello: Hello, actor: Role) -> None:
    """Check that the two sides can work together."""
    if hello.version < OLDEST_VERSION:
        raise PartnerProtocolError(
            f"the partner knows the protocol of receipts up to version "
            f"{hello.version}, and this side knows {OLDEST_VERSION} to "
            f"{NEWEST_VERSION}; update twisted_transfer at the partner's end"
        )
    if hello.role is not actor:
        raise PartnerProtocolError(
            f"the partner {hello.role.value} as well as this side; one of "
            "the two has to send, and the other to receive"
        )
