"""
The order of messages in a transfer with receipts, and what they may say there.

It is the same for what this side sends and for what the partner sends, so one
set of rules judges both.
"""

from __future__ import annotations

from enum import Enum

from twisted_transfer.errors import PartnerProtocolError, ReceiptMismatch
from twisted_transfer.receiptmessages import (
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
