"""
A transfer with receipts, as one side of it sees it: bytes in, events out.

There is no input or output in here, and no time.  The format is described in
``docs/reference/receipts.rst``, to the byte.
"""

from __future__ import annotations

from twisted_transfer.announced import printable
from twisted_transfer.errors import (
    NotAReceiptPartner,
    PartnerFailed,
    TransferError,
    Truncated,
)
from twisted_transfer.receiptboxes import decode, encode
from twisted_transfer.receiptmessages import (
    MAX_REASON,
    BadMessage,
    Failed,
    Hello,
    Message,
    Role,
)
from twisted_transfer.receiptorder import NEWEST_VERSION, Order, Phase
from twisted_transfer.receiptwire import (
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
            :data:`~twisted_transfer.receiptwire.MAX_DATA`.
        :returns: a frame of them, or nothing if there are none.
        :raises WrongUse: see :meth:`dataHeader`.
        :raises TransferError: :attr:`error`, if there is one.
        """
        return self.dataHeader(len(payload)) + payload if payload else b""

    def dataHeader(self, length: int) -> bytes:
        """
        Begin a frame of data; the caller owes its bytes.

        :param length: how many bytes will follow, from 1 to
            :data:`~twisted_transfer.receiptwire.MAX_DATA`.
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
