"""
Every error that this library raises by itself.

They share one root, :class:`TransferError`, and each message says what went
wrong and what to do next.  Errors of Twisted's own that a user already
handles (``ConnectError``, ``CannotListenError``, ``CancelledError``) pass
through as they are and are not repeated here.
"""

from __future__ import annotations

from typing import AnyStr, Generic


class TransferError(Exception):
    """The root of all errors of this library."""


# Configuration: the program, or whoever configured it, has to change something.


class BadOption(TransferError, ValueError):
    """An option has a value that it cannot have; the message names both."""


class BadDescription(BadOption):
    """An endpoint-description string says something that cannot be."""


# Set-up: there is no channel yet, and now there will be none.


class AlreadyConnecting(TransferError):
    """``connect()`` was called while an earlier ``connect()`` is under way."""


class PartnerTimeout(TransferError):
    """The partner did not come, or did not prove itself, in the time given."""


class PeerRefused(TransferError):
    """The partner was reached, and turned this side away."""


class NotAdmitted(TransferError):
    """This side turned the partner away, because it did not prove itself."""


# The link: the connection under an established channel.


class Truncated(TransferError):
    """
    The connection ended without an orderly end.

    What was read before it is what the partner sent, but nothing says that
    it is everything: a reset, a TLS end without ``close_notify``, a lost
    link, or an abort by this side.
    """


class HalfCloseUnsupported(TransferError):
    """This kind of connection cannot end its sending side alone."""


class AlreadyReading(TransferError):
    """A second reader asked for bytes that the first one is waiting for."""


# The data.


class NotEnoughData(TransferError, Generic[AnyStr]):
    """
    The input ended before all that was asked for had come.

    :ivar expected: how many bytes (characters, for text) were asked for.
    :ivar partial: what a reader got instead; it is given only here.  Empty if
        it was not a reader who asked: then it went where it was to go.
    :ivar available: how many there were instead.
    """

    def __init__(
        self, expected: int, partial: AnyStr, available: int | None = None
    ) -> None:
        super().__init__(expected, partial, *([] if available is None else [available]))
        self.expected = expected
        self.partial: AnyStr = partial
        self.available = len(partial) if available is None else available

    def __str__(self) -> str:
        if len(self.args) == 2:
            return (
                f"the input ended after {len(self.partial)} of {self.expected} units; "
                "the rest was never sent"
            )
        return (
            f"there are {self.available} of the {self.expected} units that size= asks "
            "for, and no more; ask for less, or for everything with size=None"
        )


class LineTooLong(TransferError):
    """A line is longer than the reader allows; nothing of it was consumed."""


class Undecodable(TransferError, ValueError):
    """
    Input that is not valid in the channel's encoding.

    :ivar encoding: the name of the encoding.
    :ivar offset: where the first bad byte stands, in bytes since the encoding
        was set (0 is the first).
    """

    def __init__(self, encoding: str, offset: int, detail: str) -> None:
        super().__init__(encoding, offset, detail)
        self.encoding = encoding
        self.offset = offset
        self.detail = detail

    def __str__(self) -> str:
        return (
            f"the input at byte {self.offset} is not valid {self.encoding} "
            f"({self.detail}); set the encoding that the partner uses"
        )


class DestinationError(TransferError):
    """
    What was received cannot be stored; the target is untouched.

    :ivar kind: which sort of problem it is: ``"exists"`` (the target is there
        and may not be replaced), ``"busy"`` (another transfer is writing it),
        ``"place"`` (nothing can be stored there), ``"too-large"`` (more than is
        allowed), or ``"storing"`` (it went wrong on the way).
    :ivar reason: what the partner may be told: short, without any path of this
        machine.
    """

    def __init__(
        self,
        message: str = "",
        kind: str = "storing",
        reason: str = "the data cannot be stored",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason


class SourceError(TransferError):
    """What is to be sent cannot be read."""


class QueueAborted(TransferError):
    """
    A request was not carried out, because one before it in the queue has failed.

    Nothing of it was sent.

    :ivar cause: what the one before it has failed with; it is ``__cause__``, too.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(cause)
        self.cause = self.__cause__ = cause

    def __str__(self) -> str:
        return (
            "an earlier request of this queue has failed "
            f"({str(self.cause) or type(self.cause).__name__}), so nothing more is "
            "sent; make a new CopyQueue, and put the request again"
        )


# Transfers with receipts.


class NotAReceiptPartner(TransferError):
    """
    The partner does not use receipts: what it sends first is something else.

    It may send the bytes of a file and nothing else (``--raw``), or be another
    program than it should.
    """


class PartnerProtocolError(TransferError):
    """
    The partner uses receipts, but not in a way that this side can go on with.

    It has sent what the protocol does not allow at that place, or knows other
    versions of it only, or wants to do the same as this side.
    """


class ReceiptMismatch(TransferError):
    """The receipt is for something else than what was sent."""


class PartnerFailed(TransferError):
    """
    The partner has ended the transfer, and says why.

    :ivar kind: what kind of failure it is: a value of
        :class:`~twisted_transfer.receipts.messages.FailureKind`.
    :ivar reason: why, in the partner's words; they may be printed.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason

    def __str__(self) -> str:
        said = f": {self.reason}" if self.reason else ""
        todo = _TODO.get(self.kind, "try again")
        return f"the partner has failed ({self.kind}){said}; {todo}"


# By the kinds of PartnerFailed: what is to be done.
_TODO = {
    "refused": "ask there what it takes, and send that",
    "too-large": "the partner has to raise its --max-size",
    "exists": "the partner has to choose another name, or give --force",
    "storing": "the partner has to make room, or choose another place",
    "source": "the partner has to make its file readable, and send it again",
    "cancelled": "agree with the partner, and try again",
    "mismatch": "what came there is not what was sent; send it again",
    "protocol": "use the same version of twisted_transfer at both ends",
}
