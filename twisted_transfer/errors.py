"""
Every error that this library raises by itself.

All derive from :class:`TransferError`, and each message says what happened, to
what, and what to do.  Errors of Twisted's own that a user already handles
(``ConnectError``, ``CannotListenError``, ``CancelledError``) pass through as they
are.
"""

from __future__ import annotations

from typing import AnyStr, Generic

from twisted_transfer.printable import concealed


class TransferError(Exception):
    """The root of all errors of this library."""


# Configuration: the program, or its configuration, has to be changed.


class BadOption(TransferError, ValueError):
    """
    An option has an invalid value.

    The message names both, and what would be valid: change the option.  What looks
    like the secret of an invitation is not shown.
    """

    def __init__(self, message: str) -> None:
        super().__init__(concealed(message))


class BadDescription(BadOption):
    """
    An endpoint-description string is invalid.

    The message says what in it is wrong, and what would be right; secrets are not
    shown.
    """


# Set-up: there is no channel, and there will be none.


class AlreadyConnecting(TransferError):
    """
    ``connect()`` was called while an earlier ``connect()`` is under way.

    Wait for the earlier one, cancel it, or use another connector.
    """


class PartnerTimeout(TransferError):
    """
    The partner did not come, or did not prove itself, in the time given.

    Check that it runs and where it connects to, or give it more time.
    """


class PeerRefused(TransferError):
    """
    The partner was reached, and refused this side.

    Check what it asks for: an address, a certificate, or a secret that is still
    unused.

    :ivar proven: whether it was surely the partner: this side had verified its
        certificate before.  Otherwise anybody on the way may have ended the
        handshake in its name.
    """

    proven = False


class NotAdmitted(TransferError):
    """
    This side refused the partner, because it did not prove itself.

    Check whose certificate or key is expected here, and which one it shows.
    """


class RelayFailed(TransferError):
    """
    The relay at which the partner is met could not be reached, or did not help.

    Check its address, and that it is a transit relay of magic-wormhole's.
    """


# The link: the connection under an established channel.


class Truncated(TransferError):
    """
    The connection did not end in an orderly way.

    It was reset, lost, aborted by this side, or ended over TLS without a
    ``close_notify`` (RFC 8446, section 6.1).  What was read before is what the
    partner sent, but something may be missing: transfer it again.
    """


class PartnerStalled(PartnerTimeout, Truncated):
    """
    Nothing has moved on the connection for as long as ``idle`` allows.

    The connection was aborted.  Check what the partner waits for, or allow more time.
    """


class Unclosed(Truncated):
    """
    The partner ended the connection without TLS's ``close_notify``, but not by a reset.

    Some programs never send one.  What came may be everything, but anybody between the
    two sides can end the connection in this way: give the size, if it is known, or
    ``acceptUnclosed``.
    """


class HalfCloseUnsupported(TransferError):
    """
    This kind of connection cannot end its output alone.

    Use ``loseConnection()``, or tell the partner in another way that this side has
    sent everything.
    """


class AlreadyReading(TransferError):
    """
    A read was asked for while an earlier one waits for its bytes.

    Wait for the earlier one, or cancel it.
    """


# The data.


class NotEnoughData(TransferError, Generic[AnyStr]):
    """
    The input ended before everything that was asked for had come.

    Ask for less, or for as much as there is.

    :ivar expected: how many bytes (characters, for text) were asked for.
    :ivar partial: what a read got instead; it is given only here.  Empty if the
        data went to a destination.
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
    """
    A line is longer than the read allows; nothing of it was consumed.

    Read it with a larger limit, or by another method.
    """


class Undecodable(TransferError, ValueError):
    """
    The input is not valid in the channel's encoding.

    Set the encoding that the partner uses.

    :ivar encoding: the name of the encoding.
    :ivar offset: the place of the first invalid byte, in bytes since the encoding
        was set (0 is the first).
    :ivar detail: what the codec says is wrong with it.
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

    Do what the kind of the problem asks for: choose another target, or allow or make
    room for it.

    :ivar kind: the kind of the problem: ``"exists"`` (the target exists and may not
        be replaced), ``"busy"`` (another transfer writes to it), ``"place"``
        (nothing can be stored there), ``"too-large"`` (more than is allowed), or
        ``"storing"`` (storing failed after it began).
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
    """
    The source cannot be read.

    The message names it, and says why: make it readable, or send another one.
    """


class QueueAborted(TransferError):
    """
    A request was not carried out, because an earlier one of the queue has failed.

    Nothing of it was sent: put it into a new queue.

    :ivar cause: the error of the earlier request; also the ``__cause__``.
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
    The partner does not use receipts: it sends something else first.

    It may send the bytes of a file and nothing else, or be another program: use
    ``--raw`` (``raw=True``) at both ends or at neither.
    """


class PartnerProtocolError(TransferError):
    """
    The partner uses receipts, in a way that this side cannot go on with.

    It has sent what the protocol does not allow at that place, knows only other
    versions of it, or also sends (or receives) as this side does: use the same
    version of this library, and one sender and one receiver.
    """


class ReceiptMismatch(TransferError):
    """
    The receipt is for something else than what was sent.

    The partner has stored other data: send it again.
    """


class PartnerFailed(TransferError):
    """
    The partner has ended the transfer, and says why.

    The message says what to do about this kind of failure.

    :ivar kind: the kind of the failure: a value of
        :class:`~twisted_transfer.receipts.FailureKind`.
    :ivar reason: why, in the partner's words; safe to print.
    :ivar filler: how many of the last bytes that have come are not of the file.
    """

    def __init__(self, kind: str, reason: str, filler: int = 0) -> None:
        super().__init__(kind, reason, filler)
        self.kind = kind
        self.reason = reason
        self.filler = filler

    def __str__(self) -> str:
        said = f": {self.reason}" if self.reason else ""
        todo = _TODO.get(self.kind, "try again")
        return f"the partner has failed ({self.kind}){said}; {todo}"


# What to do, by the kinds of PartnerFailed.
_TODO = {
    "refused": "ask there what it takes, and send that",
    "too-large": "the partner has to make room, or to allow more by --max-size and "
    "--max-total",
    "exists": "the partner has to choose another name, or give --force",
    "storing": "find out there why, and send it again",
    "source": "the partner has to make its file readable, and send it again",
    "cancelled": "agree with the partner, and try again",
    "mismatch": "send it again when it changes no more",
    "protocol": "use the same version of twisted_transfer at both ends",
}
