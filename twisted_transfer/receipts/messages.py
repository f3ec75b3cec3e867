"""
The messages of a transfer with receipts, and the AMP boxes that carry them.

A message is a dataclass.  On the wire its name is the command of a box, and each
of its fields is a key.  A field whose default is None may be missing there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, cast, get_args

from twisted_transfer.printable import printable

MAX_SIZE = 2**63 - 1
"""The largest size of a file, and the largest offset in one, in bytes."""

MAX_VERSION = 2**16 - 1
"""The highest number that a version can have."""

MAX_NAME = 1024
"""The most bytes of an announced name in UTF-8."""

MAX_REASON = 1000
"""The most characters of a reason."""

MAX_SMALL = 2**16
"""The most bytes of a file that is announced by Small."""

MAX_BATCH = 64
"""The most files that are announced by Small before an End: the receiver has them all
open."""

DIGEST_SIZE = 32
"""The bytes of a digest, of a proof, and of a nonce."""


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
    #: the transfer was cancelled.
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

    :ivar name: the name that it suggests, or None.  Check it before it is used:
        :func:`~twisted_transfer.transfers.folder.suggestedName`.
    :ivar size: how many bytes it has, or None if that is not known.
    :ivar modified: when it was modified, in nanoseconds since 1970, or None.
    :ivar executable: whether its owner may execute it, or None if it is no file.
    """

    name: str | None = None
    size: int | None = None
    modified: int | None = None
    executable: bool | None = None


@dataclass(frozen=True)
class Small(Offer):
    """
    The sender has a small file, and sends it without asking.

    Its data follow.  Behind them comes the next small file, or the End of the batch,
    which the receiver answers.  The size has to be given.

    :ivar digest: the BLAKE3 of the file.
    """

    digest: bytes = b""


@dataclass(frozen=True)
class Challenge:
    """
    The receiver has a part that may be the beginning of the offered file.

    It says nothing of what is in the part: that has to be proved to it.

    :ivar offset: how many bytes the part has.
    :ivar nonce: 32 random bytes, for this proof alone.
    """

    offset: int
    nonce: bytes


@dataclass(frozen=True)
class Proof:
    """
    The sender knows the beginning of its file.

    :ivar digest: see :func:`~twisted_transfer.receipts.digest.prover`; None if the
        sender cannot go back, or its file is shorter.
    """

    digest: bytes | None = None


@dataclass(frozen=True)
class Accept:
    """
    The receiver wants the offered file.

    :ivar offset: how many bytes of it the receiver has already: those of the
        challenge, if the proof is right, else 0.
    """

    offset: int = 0


@dataclass(frozen=True)
class Begin:
    """
    The sender begins to send the accepted file.

    :ivar offset: the byte at which it begins: where the receiver wants it.
    """

    offset: int = 0


@dataclass(frozen=True)
class End:
    """
    The sender has sent all of the file, or all of a batch of small ones.

    :ivar size: how many bytes the whole file has, or all of a batch.
    :ivar digest: the BLAKE3 of the whole file; of a batch that of the digests of its
        files.
    """

    size: int
    digest: bytes


@dataclass(frozen=True)
class Stored:
    """
    The receipt: the receiver has the file, or all files of a batch, on its disk.

    :ivar size: how many bytes it has stored, all in all.
    :ivar digest: the BLAKE3 of all that it has stored; of a batch as in End.
    """

    size: int
    digest: bytes


@dataclass(frozen=True)
class Delivered(Stored):
    """
    The receipt of what is no file at the receiver: it has given everything to a
    program or a device, and does not know what becomes of it.
    """


@dataclass(frozen=True)
class Working:
    """
    This side is still busy with what the other one waits for: it reads a part again, or
    writes the file to its disk.
    """


@dataclass(frozen=True)
class Failed:
    """
    The transfer is over, and this side knows why.

    :ivar kind: what kind of failure it is.
    :ivar reason: in words, for a person.
    :ivar filler: how many of the last bytes of data are not of the file, but only fill
        the frame within which the sender has failed; None: none.
    """

    kind: FailureKind
    reason: str = ""
    filler: int | None = None

    @classmethod
    def because(
        cls, kind: FailureKind, reason: object, filler: int | None = None
    ) -> Failed:
        """
        :param kind: what kind of failure it is.
        :param reason: an error, or words of any length.
        :param filler: see above.
        :returns: the message with as much of the words as it can carry.
        """
        return cls(kind, printable(str(reason), MAX_REASON), filler)


@dataclass(frozen=True)
class Finished:
    """The sender has no more files; or the receiver knows that it has not."""


Message = (
    Hello
    | Offer
    | Small
    | Challenge
    | Proof
    | Accept
    | Begin
    | End
    | Stored
    | Delivered
    | Working
    | Failed
    | Finished
)
"""Any of the messages."""


class BadMessage(ValueError):
    """A message is invalid, or comes out of order; the text says how."""


_SHOWN = 40
"""The most bytes of an unknown word that an error shows."""

# As many digits as MAX_SIZE has.
_DIGITS = re.compile(rb"0|[1-9][0-9]{0,18}")


def _number(most: int) -> Callable[[bytes], int]:
    """Read decimal digits, without zeros in front."""

    def read(raw: bytes) -> int:
        if not _DIGITS.fullmatch(raw) or int(raw) > most:
            raise ValueError(f"is not a number from 0 to {most}")
        return int(raw)

    return read


def _text(bounds: range, mostCharacters: int) -> Callable[[bytes], str]:
    """Read UTF-8 of a bounded length."""

    def read(raw: bytes) -> str:
        if len(raw) not in bounds:
            raise ValueError(f"has not {bounds[0]} to {bounds[-1]} bytes")
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise ValueError("is not UTF-8") from error
        if len(text) > mostCharacters:
            raise ValueError(f"has more than {mostCharacters} characters")
        return text

    return read


def _choice(kind: type[Role] | type[FailureKind]) -> Callable[[bytes], Enum]:
    """Read one of a few words."""
    words = {word.value.encode(): word for word in kind}

    def read(raw: bytes) -> Enum:
        if raw not in words:
            raise ValueError(f"is not one of {b', '.join(words).decode()}")
        return words[raw]

    return read


def _boolean(raw: bytes) -> bool:
    """Read a truth value, as AMP's ``Boolean`` writes it."""
    if raw not in (b"True", b"False"):
        raise ValueError("is not one of True, False")
    return raw == b"True"


def _digest(raw: bytes) -> bytes:
    """Read a digest or a nonce, which is written as it is."""
    if len(raw) != DIGEST_SIZE:
        raise ValueError(f"has not {DIGEST_SIZE} bytes")
    return raw


# How the value of a key is read, in whichever message; a ValueError says what is
# wrong with it.
_VALUES: dict[str, Callable[[bytes], object]] = {
    "version": _number(MAX_VERSION),
    "role": _choice(Role),
    "name": _text(range(1, MAX_NAME + 1), MAX_NAME),
    "size": _number(MAX_SIZE),
    "modified": _number(MAX_SIZE),
    "executable": _boolean,
    "offset": _number(MAX_SIZE),
    "filler": _number(MAX_SIZE),
    "digest": _digest,
    "nonce": _digest,
    "kind": _choice(FailureKind),
    "reason": _text(range(4 * MAX_REASON + 1), MAX_REASON),
}

_KINDS: dict[bytes, Any] = {kind.__name__.encode(): kind for kind in get_args(Message)}


def encode(message: Message) -> bytes:
    """
    Write a message.

    :param message: any of the messages.
    :returns: the AMP box that says it.
    :raises BadMessage: if one of its values is invalid.
    """
    from twisted_transfer.receipts import boxes

    name = type(message).__name__
    values: dict[bytes, bytes] = {}
    for field in fields(message):
        value = getattr(message, field.name)
        if value is None and field.default is None:
            continue
        try:
            raw = value
            if not isinstance(value, bytes):
                raw = str(getattr(value, "value", value)).encode()
            read = _VALUES[field.name](raw)
            if type(read) is not type(value) or read != value:
                raise ValueError(f"is of the type {type(value).__name__}")
        except ValueError as error:
            raise BadMessage(f"in {name}, {field.name} {error}") from error
        values[field.name.encode()] = raw
    return boxes.pack(name.encode(), values)


def decode(payload: bytes) -> Message:
    """
    Read a message.

    :param payload: an AMP box.
    :returns: the message that it says.
    :raises BadMessage: if it is no message, or an invalid one.  Unknown keys are
        ignored in Hello only, by which versions that have more keys are told.
    """
    from twisted_transfer.receipts import boxes

    try:
        name, box = boxes.unpack(payload)
    except ValueError as error:
        raise BadMessage(str(error)) from error
    if name not in _KINDS:
        raise BadMessage(f"it is none of the messages: {repr(name[:_SHOWN])[1:]}")
    kind = _KINDS[name]
    values = {}
    for field in fields(kind):
        raw = box.pop(field.name.encode(), None)
        try:
            if raw is not None:
                values[field.name] = _VALUES[field.name](raw)
            elif field.default is not None:
                raise ValueError("is missing")
        except ValueError as error:
            raise BadMessage(f"in {kind.__name__}, {field.name} {error}") from error
    if box and kind is not Hello:
        raise BadMessage(f"{kind.__name__} has no {repr(min(box)[:_SHOWN])[1:]}")
    return cast(Message, kind(**values))
