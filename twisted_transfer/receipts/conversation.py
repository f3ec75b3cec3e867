"""
A transfer with receipts, as one side of it sees it: bytes in, events out.

There is no input or output in here, and no time.  The format is described in
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
from twisted_transfer.receipts.frames import (
    DATA,
    MAX_DATA,
    MESSAGE,
    SIGNATURE,
    Data,
    DataHeader,
    Deframer,
    broken,
    header,
)
from twisted_transfer.receipts.messages import (
    MAX_REASON,
    MAX_SIZE,
    Accept,
    BadMessage,
    Begin,
    End,
    Failed,
    Finished,
    Hello,
    Message,
    Offer,
    Role,
    Stored,
    decode,
    encode,
)

OLDEST_VERSION = 1
"""The lowest version of the protocol that this side knows."""

NEWEST_VERSION = 1
"""The highest one."""


class Phase(Enum):
    """Where a conversation stands; the value says what is expected next."""

    GREETING = "Hello of both sides"
    READY = "Offer or Finished of the sender"
    OFFERED = "Accept of the receiver"
    ACCEPTED = "Begin of the sender"
    SENDING = "data or End of the sender"
    ENDED = "Stored of the receiver"
    FINISHING = "Finished of the receiver"
    OVER = "nothing more"


# Who may send a message, when, and what is expected after it.
_STEPS: dict[tuple[type[Message], Role], tuple[Phase, Phase]] = {
    (Offer, Role.SENDS): (Phase.READY, Phase.OFFERED),
    (Accept, Role.RECEIVES): (Phase.OFFERED, Phase.ACCEPTED),
    (Begin, Role.SENDS): (Phase.ACCEPTED, Phase.SENDING),
    (End, Role.SENDS): (Phase.SENDING, Phase.ENDED),
    (Stored, Role.RECEIVES): (Phase.ENDED, Phase.READY),
    (Finished, Role.SENDS): (Phase.READY, Phase.FINISHING),
    (Finished, Role.RECEIVES): (Phase.FINISHING, Phase.OVER),
}

_OTHER = {Role.SENDS: Role.RECEIVES, Role.RECEIVES: Role.SENDS}


class Order:
    """
    Follows a conversation, message by message.

    :ivar phase: where it stands.
    :ivar version: the version of the protocol that counts; None as long as the
        partner's Hello has not come.
    """

    def __init__(self, role: Role) -> None:
        """
        :param role: what this side does.
        """
        self.phase = Phase.GREETING
        self.version: int | None = None
        self._role = role
        # Who has said Hello, and who will say nothing more.
        self._greeted: set[Role] = set()
        self._done: set[Role] = set()
        # Of the present file.
        self._size: int | None = None
        self._offset = 0
        self._position = 0
        self._end: End | None = None

    def _actor(self, mine: bool) -> Role:
        return self._role if mine else _OTHER[self._role]

    def hasGreeted(self, mine: bool) -> bool:
        """Whether that side has said Hello."""
        return self._actor(mine) in self._greeted

    def isDone(self, mine: bool) -> bool:
        """Whether that side has said its last word, Finished or Failed."""
        return self._actor(mine) in self._done

    def take(self, message: Message, mine: bool) -> None:
        """
        Go on by a message; nothing has changed if it may not be.

        :param message: the message.
        :param mine: whether this side sends it.
        :raises BadMessage: if it may not come now, or not say that.
        :raises PartnerProtocolError: if it is the partner's Hello, and the two
            cannot work together.
        :raises ReceiptMismatch: if it is the partner's receipt, and for
            something else.
        """
        actor = self._actor(mine)
        name = type(message).__name__
        if isinstance(message, Hello):
            self._greet(message, actor, mine)
            return
        if actor not in self._greeted:
            raise BadMessage(f"{name} comes before Hello")
        if actor in self._done:
            raise BadMessage(f"{name} comes behind the last word")
        if isinstance(message, Failed):
            self._done.add(actor)
            return
        before, after = _STEPS.get((type(message), actor), (None, self.phase))
        if before is not self.phase:
            raise self._unexpected(name, actor)
        self._check(message, mine)
        self.phase = after
        if isinstance(message, Finished):
            self._done.add(actor)

    def _unexpected(self, name: str, actor: Role) -> BadMessage:
        who = "sender" if actor is Role.SENDS else "receiver"
        return BadMessage(
            f"{name} of the {who} comes where {self.phase.value} is expected"
        )

    def _greet(self, hello: Hello, actor: Role, mine: bool) -> None:
        if actor in self._greeted:
            raise BadMessage("Hello comes twice")
        if not mine:
            version = min(hello.version, NEWEST_VERSION)
            if version < OLDEST_VERSION:
                raise PartnerProtocolError(
                    f"the partner knows the protocol of receipts up to version "
                    f"{hello.version}, and this side knows {OLDEST_VERSION} to "
                    f"{NEWEST_VERSION}; update twisted_transfer at the partner's end"
                )
            if hello.role is self._role:
                raise PartnerProtocolError(
                    f"the partner {hello.role.value} as well as this side; one of "
                    "the two has to send, and the other to receive"
                )
            self.version = version
        self._greeted.add(actor)
        if len(self._greeted) == 2:
            self.phase = Phase.READY

    def _check(self, message: Message, mine: bool) -> None:
        """Check what a message says, and keep what later ones have to fit."""
        if isinstance(message, Offer):
            self._size = message.size
        elif isinstance(message, Accept):
            if (message.offset > 0) != (message.digest is not None):
                raise BadMessage("Accept needs a digest if its offset is not 0")
            if self._size is not None and message.offset > self._size:
                raise BadMessage(
                    f"Accept has the offset {message.offset}, and {self._size} bytes "
                    "were offered"
                )
            self._offset = message.offset
        elif isinstance(message, Begin):
            if message.offset not in (0, self._offset):
                raise BadMessage(
                    f"Begin has the offset {message.offset}, and {self._offset} was "
                    "accepted"
                )
            self._position = message.offset
        elif isinstance(message, End):
            self._checkEnd(message)
        elif isinstance(message, Stored):
            self._checkStored(message, mine)

    def _checkEnd(self, end: End) -> None:
        if end.size != self._position:
            raise BadMessage(
                f"End has the size {end.size}, and {self._position} bytes were sent"
            )
        if self._size is not None and end.size != self._size:
            raise BadMessage(
                f"End has the size {end.size}, and {self._size} bytes were offered"
            )
        self._end = end

    def _checkStored(self, stored: Stored, mine: bool) -> None:
        end = self._end
        assert end is not None
        if (stored.size, stored.digest) == (end.size, end.digest):
            return
        detail = (
            f"{stored.size} bytes with the SHA-256 {stored.digest.hex()} are stored, "
            f"and {end.size} with {end.digest.hex()} were sent"
        )
        if mine:
            raise BadMessage(f"{detail}; say Failed instead")
        raise ReceiptMismatch(
            f"the receipt is for something else: {detail}; send it again"
        )

    def data(self, length: int, mine: bool) -> None:
        """
        Go on by a frame of data; nothing has changed if it may not be.

        :param length: how many bytes it has.
        :param mine: whether this side sends it.
        :raises BadMessage: if it may not come now, or has too many bytes.
        """
        actor = self._actor(mine)
        if self.phase is not Phase.SENDING or actor is not Role.SENDS:
            raise self._unexpected("data", actor)
        if actor in self._done:
            raise BadMessage("data comes behind the last word")
        most = MAX_SIZE if self._size is None else self._size
        if length > most - self._position:
            raise BadMessage(
                f"{length} bytes come where {most - self._position} are left of the "
                f"{most} that were to come"
            )
        self._position += length


Event = Message | Data | TransferError
"""What may come of the partner's bytes.  Failed is none of it, for it comes as
:class:`~twisted_transfer.errors.PartnerFailed`."""


class WrongUse(RuntimeError):
    """
    The program that uses this library wants to send what may not be sent.

    It is a mistake of that program, not of the partner; the conversation is as
    it was before.
    """


class Conversation:
    """
    What has been said on one connection, by both sides.

    :ivar role: what this side does.
    :ivar error: what has gone wrong with the partner, or None.
    """

    def __init__(self, role: Role) -> None:
        """
        :param role: what this side does, whoever has dialled.
        """
        self.role = role
        self.error: TransferError | None = None
        self._order = Order(role)
        self._deframer = Deframer()
        self._gaveUp = False

    @property
    def version(self) -> int | None:
        """The version that both sides know; None until the partner's Hello came."""
        return self._order.version

    @property
    def finished(self) -> bool:
        """Whether both sides have said Finished: everything went well."""
        return self._order.phase is Phase.OVER

    @property
    def dataLeft(self) -> int:
        """
        How many of the partner's next bytes are the file's, and only that.

        Who has a faster way to store them may take them from the connection
        himself, and say so by :meth:`dataTaken`.
        """
        return 0 if self._deaf else self._deframer.dataLeft

    @property
    def held(self) -> int:
        """How many bytes are kept in here until more come; it is bounded."""
        return self._deframer.held

    @property
    def mayFail(self) -> bool:
        """
        Whether the partner can be told, by Failed, that this side gives up.

        Also after an error, unless it was the partner that gave up or there is
        no partner.  In the middle of a frame of data the rest of that has to
        be sent before, whatever it is made of, since End will not come.
        """
        return (
            self._order.hasGreeted(mine=True)
            and not self._order.isDone(mine=True)
            and not isinstance(self.error, PartnerFailed | NotAReceiptPartner)
        )

    @property
    def _deaf(self) -> bool:
        """Whether nothing counts any more that the partner says."""
        return self.error is not None or self._gaveUp

    def begin(self) -> bytes:
        """
        :returns: what this side sends first.
        :raises WrongUse: the second time.
        """
        hello = Hello(NEWEST_VERSION, self.role)
        return SIGNATURE + self._frame(hello)

    def send(self, message: Message) -> bytes:
        """
        :param message: any but Hello.
        :returns: its bytes, which are to be sent.
        :raises WrongUse: if it may not be sent now, or says what it may not.
        :raises TransferError: :attr:`error`, if there is one; but Failed may
            be sent as long as :attr:`mayFail`.
        """
        if isinstance(message, Hello):
            raise WrongUse("begin() says Hello")
        if not (isinstance(message, Failed) and self.mayFail):
            self._raiseError()
        return self._frame(message)

    def _frame(self, message: Message) -> bytes:
        try:
            payload = encode(message)
            self._order.take(message, mine=True)
        except BadMessage as error:
            raise WrongUse(f"this side cannot say so: {error}") from error
        if isinstance(message, Failed):
            self._gaveUp = True
        return header(MESSAGE, len(payload)) + payload

    def data(self, payload: bytes) -> bytes:
        """
        :param payload: the next bytes of the file, at most
            :data:`~twisted_transfer.receipts.frames.MAX_DATA`.
        :returns: a frame of them, or nothing if there are none.
        :raises WrongUse: see :meth:`dataHeader`.
        :raises TransferError: :attr:`error`, if there is one.
        """
        return self.dataHeader(len(payload)) + payload if payload else b""

    def dataHeader(self, length: int) -> bytes:
        """
        Begin a frame of data; the caller owes its bytes.

        :param length: how many bytes will follow, from 1 to
            :data:`~twisted_transfer.receipts.frames.MAX_DATA`.
        :returns: the header, which is to be sent before them.
        :raises WrongUse: if there may be no data now, or not so much.
        :raises TransferError: :attr:`error`, if there is one.
        """
        self._raiseError()
        if not 0 < length <= MAX_DATA:
            raise WrongUse(f"a frame has 1 to {MAX_DATA} bytes, not {length}")
        try:
            self._order.data(length, mine=True)
        except BadMessage as error:
            raise WrongUse(f"this side cannot send data: {error}") from error
        return header(DATA, length)

    def _raiseError(self) -> None:
        if self.error is not None:
            raise self.error

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
        if self._deaf:
            return events
        try:
            for unit in self._deframer.feed(data):
                if isinstance(unit, DataHeader):
                    self._order.data(unit.length, mine=False)
                elif isinstance(unit, Data):
                    events.append(unit)
                else:
                    events.append(self._heard(decode(unit.payload)))
        except BadMessage as problem:
            self.error = broken(str(problem))
        except TransferError as error:
            self.error = error
        if self.error is not None:
            events.append(self.error)
        return events

    def _heard(self, message: Message) -> Message:
        self._order.take(message, mine=False)
        if isinstance(message, Failed):
            reason = printable(message.reason, MAX_REASON)
            raise PartnerFailed(message.kind.value, reason)
        return message

    def dataTaken(self, count: int) -> None:
        """
        Some of the partner's next bytes were taken from the connection itself.

        :param count: how many, up to :attr:`dataLeft`.
        :raises WrongUse: if they are more.
        """
        if not 0 <= count <= self.dataLeft:
            raise WrongUse(f"{count} bytes were taken, and {self.dataLeft} were left")
        self._deframer.dataLeft -= count

    def ended(self) -> None:
        """
        The partner will send no more: its end of the connection was in order.

        :raises Truncated: if it should have sent more.
        :raises NotAReceiptPartner: if what it has sent was no whole signature.
        :raises TransferError: :attr:`error`, if there is one already.
        """
        self._raiseError()
        if self._gaveUp or self._order.isDone(mine=False):
            return
        try:
            self._deframer.ended()
            raise Truncated(
                "the partner ended the connection too early, when "
                f"{self._order.phase.value} was expected; find out there why, and try "
                "again"
            )
        except TransferError as error:
            self.error = error
            raise
