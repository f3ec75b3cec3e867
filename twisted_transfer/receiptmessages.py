"""
The messages of a transfer with receipts, and what they say.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from twisted_transfer.announced import printable

MAX_SIZE = 2**63 - 1
"""The most bytes that a file, or a place in it, can have."""

MAX_VERSION = 2**16 - 1
"""The highest number that a version can have."""

MAX_NAME = 1024
"""The most bytes of an announced name in UTF-8."""

MAX_REASON = 1000
"""The most characters of a reason."""

DIGEST_SIZE = 32
"""The bytes of a SHA-256."""


class Role(str, Enum):
    """What one side does with the data, whoever dialled."""

    SENDS = "sends"
    RECEIVES = "receives"


class FailureKind(str, Enum):
    """Why a transfer is over without success."""

    #: the receiver does not want the file.
    REFUSED = "refused"
    #: it has more bytes than the receiver takes.
    TOO_LARGE = "too-large"
    #: the receiver has such a file already.
    EXISTS = "exists"
    #: the receiver cannot store it.
    STORING = "storing"
    #: the sender cannot read it.
    SOURCE = "source"
    #: somebody has ended the transfer.
    CANCELLED = "cancelled"
    #: what was received is not what was sent.
    MISMATCH = "mismatch"
    #: this side has sent what the protocol does not allow.
    PROTOCOL = "protocol"


@dataclass(frozen=True)
class Hello:
    """
    The first message of both sides.

    :ivar version: the highest version of the protocol that this side knows.
    :ivar role: what this side does with the data.
    """

    version: int
    role: Role


@dataclass(frozen=True)
class Offer:
    """
    The sender has a file.

    :ivar name: what it suggests to call it, or None.  It is a suggestion of
        somebody else: see :func:`~twisted_transfer.announced.suggestedName`.
    :ivar size: how many bytes it has, or None if that is not known.
    """

    name: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Accept:
    """
    The receiver wants the offered file.

    :ivar offset: how many bytes of it the receiver has already.
    :ivar digest: their SHA-256; None if there are none.
    """

    offset: int = 0
    digest: bytes | None = None


@dataclass(frozen=True)
class Begin:
    """
    The sender begins to send the accepted file.

    :ivar offset: the byte at which it begins: where the receiver wants it, or
        0 if the sender has other bytes before that.
    """

    offset: int = 0


@dataclass(frozen=True)
class End:
    """
    The sender has sent all of the file.

    :ivar size: how many bytes the whole file has.
    :ivar digest: the SHA-256 of the whole file.
    """

    size: int
    digest: bytes


@dataclass(frozen=True)
class Stored:
    """
    The receipt: the receiver has the file on its disk.

    :ivar size: how many bytes it has stored, all in all.
    :ivar digest: the SHA-256 of all that it has stored.
    """

    size: int
    digest: bytes


@dataclass(frozen=True)
class Failed:
    """
    The transfer is over, and this side knows why.

    :ivar kind: what kind of failure it is.
    :ivar reason: in words, for a person.
    """

    kind: FailureKind
    reason: str = ""

    @classmethod
    def because(cls, kind: FailureKind, reason: object) -> Failed:
        """
        :param kind: what kind of failure it is.
        :param reason: an error, or words of any length.
        :returns: the message with as much of the words as it can carry.
        """
        return cls(kind, printable(str(reason), MAX_REASON))


@dataclass(frozen=True)
class Finished:
    """The sender has no more files; or the receiver knows that it has not."""


Message = Hello | Offer | Accept | Begin | End | Stored | Failed | Finished
"""Any of the messages."""


class BadMessage(ValueError):
    """A message, or its place, is not as the protocol says; the words say how."""
