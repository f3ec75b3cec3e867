"""
What comes of a transfer: receipts, or a failure that both sides hear of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import CancelledError

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.connecting.connector import TransferConnector
from twisted_transfer.data.progress import Progress
from twisted_transfer.errors import (
    DestinationError,
    NotAReceiptPartner,
    NotEnoughData,
    PartnerProtocolError,
    ReceiptMismatch,
    SourceError,
    Truncated,
)
from twisted_transfer.receipts.messages import FailureKind


@dataclass(frozen=True)
class Receipt:
    """
    One file has arrived, and is stored.

    :ivar name: what the sender calls it; None if it gave no name, and for raw
        transfers.
    :ivar size: how many bytes it has.
    :ivar digest: its SHA-256, 32 bytes, on which both sides agree; None for raw
        transfers, where nobody compares.
    :ivar moved: how many of its bytes this transfer has moved; fewer than
        ``size`` where an earlier one had begun.
    """

    name: str | None
    size: int
    digest: bytes | None
    moved: int


class Watch(Protocol):
    """Is told how a transfer goes on, file by file."""

    def connecting(self, connector: TransferConnector) -> None:
        """
        It is dialling, or listens.

        :param connector: may be asked for its address and its invitation.
        """

    def connected(self, channel: TransferChannel) -> None:
        """
        The partner is there.

        :param channel: the connection, not to be written or read.
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


_KINDS = {
    "exists": FailureKind.EXISTS,
    "busy": FailureKind.REFUSED,
    "place": FailureKind.STORING,
    "refused": FailureKind.REFUSED,
    "too-large": FailureKind.TOO_LARGE,
    "storing": FailureKind.STORING,
}


def told(error: BaseException) -> tuple[FailureKind, str]:
    """
    :param error: why a side gives up.
    :returns: what its partner is told: the kind, and the reason without any
        path of this machine.
    """
    if isinstance(error, DestinationError):
        return _KINDS.get(error.kind, FailureKind.STORING), error.reason
    if isinstance(error, SourceError | NotEnoughData):
        return FailureKind.SOURCE, "what is to be sent cannot be read to its end"
    if isinstance(error, CancelledError):
        return FailureKind.CANCELLED, "the transfer was cancelled there"
    if isinstance(error, ReceiptMismatch):
        return FailureKind.MISMATCH, str(error)
    if isinstance(error, PartnerProtocolError | NotAReceiptPartner):
        return FailureKind.PROTOCOL, str(error)
    if isinstance(error, Truncated):
        return FailureKind.PROTOCOL, "the connection has ended too early there"
    return FailureKind.CANCELLED, "something went wrong there that should not"
