"""
The results of a transfer: receipts, or a failure of which both sides are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import CancelledError

from twisted_transfer import errors
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.connecting.connector import TransferConnector
from twisted_transfer.data.progress import Progress
from twisted_transfer.receipts.messages import FailureKind


@dataclass(frozen=True)
class Receipt:
    """
    One file has arrived, and is stored or delivered.

    :ivar name: what the sender calls it; None if it gave no name, and for raw
        transfers.
    :ivar size: how many bytes it has.
    :ivar digest: its BLAKE3, 32 bytes, on which both sides agree; None for raw
        transfers, which compare none.
    :ivar moved: how many of its bytes this transfer has moved; fewer than
        ``size`` where an earlier one had begun.
    :ivar delivered: whether the receiver has only given them to something else than a
        file, such as a program or a device, and does not know what becomes of them.
    """

    name: str | None
    size: int
    digest: bytes | None
    moved: int
    delivered: bool = False


class Watch(Protocol):
    """Is called at each step of a transfer, file by file."""

    def connecting(self, connector: TransferConnector) -> None:
        """
        The transfer dials, or listens.

        :param connector: may be asked for its address and its invitation.
        """

    def connected(self, channel: TransferChannel) -> None:
        """
        The partner is connected.

        :param channel: the connection, which must not be written to or read from.
        """

    def checks(self, name: str | None, size: int) -> Progress:
        """
        This side reads what is there of a file, before it goes on with it.

        :param name: what the sender calls it, as for :meth:`begins`.
        :param size: how many bytes are there.
        :returns: is called each second with the bytes that were read.
        """

    def begins(self, name: str | None, size: int | None, offset: int) -> Progress:
        """
        A file begins to move.

        :param name: what the sender calls it; may be shown only by
            ``printable`` in ``twisted_transfer.printable``.
        :param size: how many bytes it has, or None if that is not known.
        :param offset: how many of them are there already.
        :returns: is called after each block, with the bytes that are there.
        """

    def ends(self, receipt: Receipt) -> None:
        """
        The file has arrived.

        :param receipt: for it.
        """


# The kinds of DestinationError that are told as another one than STORING.
_STORING = {
    "exists": FailureKind.EXISTS,
    "busy": FailureKind.REFUSED,
    "refused": FailureKind.REFUSED,
    "too-large": FailureKind.TOO_LARGE,
}

_UNREADABLE = "what is to be sent cannot be read to its end"

# What the partner is told of an error, but for DestinationError; no words: those of
# the error.  They never have a path of this machine.
_TOLD: tuple[tuple[type[BaseException], FailureKind, str], ...] = (
    (errors.SourceError, FailureKind.SOURCE, _UNREADABLE),
    (errors.NotEnoughData, FailureKind.SOURCE, _UNREADABLE),
    (CancelledError, FailureKind.CANCELLED, "the transfer was cancelled there"),
    (errors.ReceiptMismatch, FailureKind.MISMATCH, ""),
    (errors.PartnerProtocolError, FailureKind.PROTOCOL, ""),
    (errors.NotAReceiptPartner, FailureKind.PROTOCOL, ""),
    (
        errors.PartnerStalled,
        FailureKind.CANCELLED,
        "nothing has come there for too long",
    ),
    (
        errors.Truncated,
        FailureKind.PROTOCOL,
        "the connection has ended too early there",
    ),
)


def told(error: BaseException) -> tuple[FailureKind, str]:
    """
    Say what the partner is told when this side gives up.

    :param error: why this side gives up.
    :returns: the kind of failure, and the reason without any path of this machine.
    """
    if isinstance(error, errors.DestinationError):
        return _STORING.get(error.kind, FailureKind.STORING), error.reason
    for kind, failure, words in _TOLD:
        if isinstance(error, kind):
            return failure, words or str(error)
    return FailureKind.CANCELLED, "something went wrong there that should not"
