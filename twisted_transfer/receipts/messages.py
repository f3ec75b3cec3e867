"""
The messages of a transfer with receipts, and what they say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, cast

from twisted.protocols.amp import (
    COMMAND,
    AmpBox,
    Argument,
    BinaryBoxProtocol,
    Command,
    IBoxReceiver,
    IBoxSender,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.printable import printable

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
        somebody else: see :func:`~twisted_transfer.transfers.folder.suggestedName`.
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


class _Field(Argument):
    """An argument of which an error names the key."""

    def __init__(self, optional: bool = False) -> None:
        self.optional = optional

    def fromBox(
        self, name: bytes, strings: AmpBox, objects: dict[str, Any], proto: None
    ) -> None:
        if name not in strings and not self.optional:
            raise BadMessage(f"{name.decode()} is missing")
        try:
            Argument.fromBox(self, name, strings, objects, proto)
        except ValueError as error:
            raise BadMessage(f"{name.decode()} {error}") from error

    def toBox(
        self, name: bytes, strings: AmpBox, objects: dict[str, Any], proto: None
    ) -> None:
        try:
            Argument.toBox(self, name, strings, objects, proto)
        except ValueError as error:
            raise BadMessage(f"{name.decode()} {error}") from error


class Number(_Field):
    """A number from 0 to a bound, in decimal digits, without zeros in front."""

    # As many digits as MAX_SIZE has.
    _DIGITS = re.compile(rb"0|[1-9][0-9]{0,18}")

    def __init__(self, most: int, optional: bool = False) -> None:
        super().__init__(optional)
        self._most = most

    def _checked(self, number: int) -> int:
        if type(number) is not int or not 0 <= number <= self._most:
            raise ValueError(f"is not a number from 0 to {self._most}")
        return number

    def fromString(self, inString: bytes) -> int:
        if not self._DIGITS.fullmatch(inString):
            raise ValueError(f"is not a number from 0 to {self._most}")
        return self._checked(int(inString))

    def toString(self, inObject: int) -> bytes:
        return b"%d" % self._checked(inObject)


class Digest(_Field):
    """A SHA-256, as it is."""

    def fromString(self, inString: bytes) -> bytes:
        if type(inString) is not bytes or len(inString) != DIGEST_SIZE:
            raise ValueError(f"has not {DIGEST_SIZE} bytes")
        return inString

    toString = fromString


class Text(_Field):
    """Words in UTF-8, of a bounded length."""

    def __init__(
        self,
        leastBytes: int,
        mostBytes: int,
        mostCharacters: int,
        optional: bool = False,
    ) -> None:
        super().__init__(optional)
        self._bytes = range(leastBytes, mostBytes + 1)
        self._mostCharacters = mostCharacters

    def fromString(self, inString: bytes) -> str:
        if len(inString) not in self._bytes:
            raise ValueError(f"has not {self._bytes[0]} to {self._bytes[-1]} bytes")
        try:
            text = inString.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError("is not UTF-8") from error
        if len(text) > self._mostCharacters:
            raise ValueError(f"has more than {self._mostCharacters} characters")
        return text

    def toString(self, inObject: str) -> bytes:
        if not isinstance(inObject, str):
            raise ValueError("is not a text")
        try:
            encoded = inObject.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError("cannot be written in UTF-8") from error
        self.fromString(encoded)
        return encoded


class Choice(_Field):
    """One word of a few."""

    def __init__(self, kind: type[Role] | type[FailureKind]) -> None:
        super().__init__()
        self._kind = kind
        self._words = {word.value.encode(): word for word in kind}
        self._wrong = f"is not one of {b', '.join(self._words).decode()}"

    def fromString(self, inString: bytes) -> Role | FailureKind:
        if inString not in self._words:
            raise ValueError(self._wrong)
        return self._words[inString]

    def toString(self, inObject: Role | FailureKind) -> bytes:
        if not isinstance(inObject, self._kind):
            raise ValueError(self._wrong)
        return str(inObject.value).encode()


_Arguments = list[tuple[bytes, Argument]]

# The most bytes of an unknown word that an error shows.
_SHOWN = 40


class _HelloCommand(Command):
    commandName = b"Hello"
    arguments: ClassVar[_Arguments] = [
        (b"version", Number(MAX_VERSION)),
        (b"role", Choice(Role)),
    ]


class _OfferCommand(Command):
    commandName = b"Offer"
    arguments: ClassVar[_Arguments] = [
        (b"name", Text(1, MAX_NAME, MAX_NAME, optional=True)),
        (b"size", Number(MAX_SIZE, optional=True)),
    ]


class _AcceptCommand(Command):
    commandName = b"Accept"
    arguments: ClassVar[_Arguments] = [
        (b"offset", Number(MAX_SIZE)),
        (b"digest", Digest(optional=True)),
    ]


class _BeginCommand(Command):
    commandName = b"Begin"
    arguments: ClassVar[_Arguments] = [(b"offset", Number(MAX_SIZE))]


class _EndCommand(Command):
    commandName = b"End"
    arguments: ClassVar[_Arguments] = [
        (b"size", Number(MAX_SIZE)),
        (b"digest", Digest()),
    ]


class _StoredCommand(Command):
    commandName = b"Stored"
    arguments = _EndCommand.arguments


class _FailedCommand(Command):
    commandName = b"Failed"
    arguments: ClassVar[_Arguments] = [
        (b"kind", Choice(FailureKind)),
        (b"reason", Text(0, 4 * MAX_REASON, MAX_REASON)),
    ]


class _FinishedCommand(Command):
    commandName = b"Finished"


_COMMANDS: dict[type[Message], type[Command]] = {
    Hello: _HelloCommand,
    Offer: _OfferCommand,
    Accept: _AcceptCommand,
    Begin: _BeginCommand,
    End: _EndCommand,
    Stored: _StoredCommand,
    Failed: _FailedCommand,
    Finished: _FinishedCommand,
}
_MESSAGES = {command.commandName: kind for kind, command in _COMMANDS.items()}


@implementer(IBoxReceiver)
class _Boxes:
    """
    Keeps the boxes that a parser finds.

    It stands for the parser's transport as well, of which the parser wants no
    more than to close it when a key is too long.
    """

    def __init__(self) -> None:
        self.boxes: list[AmpBox] = []

    def startReceivingBoxes(self, boxSender: IBoxSender) -> None:
        """There is nothing to prepare."""

    def ampBoxReceived(self, box: AmpBox) -> None:
        """Keep it."""
        self.boxes.append(box)

    def stopReceivingBoxes(self, reason: Failure) -> None:
        """There is nothing to clear away."""

    def loseConnection(self) -> None:
        """The parser goes no further; that it has not, is seen by itself."""


def _parse(payload: bytes) -> AmpBox:
    """
    Read one AMP box, and nothing before or behind it.

    :raises BadMessage: if that is not what there is.
    """
    found = _Boxes()
    parser = BinaryBoxProtocol(found)
    parser.makeConnection(found)
    parser.dataReceived(payload)
    # What was written twice, or behind the box, does not count in its length.
    if len(found.boxes) != 1 or len(payload) != 2 + sum(
        4 + len(key) + len(value) for key, value in found.boxes[0].items()
    ):
        raise BadMessage("it is not one AMP box with each key once")
    return found.boxes[0]


def encode(message: Message) -> bytes:
    """
    :param message: any of the messages.
    :returns: the AMP box that says it.
    :raises BadMessage: if there is something in it that cannot be said.
    """
    command = _COMMANDS[type(message)]
    box = command.makeArguments(dict(vars(message)), None)
    box[COMMAND] = command.commandName
    return cast(bytes, box.serialize())


def decode(payload: bytes) -> Message:
    """
    :param payload: an AMP box.
    :returns: the message that it says.
    :raises BadMessage: if it says none, or there is something in it that may
        not be.  Only in Hello unknown keys are left aside: it is the message
        by which versions with more keys are told.
    """
    box = _parse(payload)
    name = box.pop(COMMAND, b"")
    kind = _MESSAGES.get(name)
    if kind is None:
        raise BadMessage(f"it is none of the messages: {name[:_SHOWN]!r}")
    command = _COMMANDS[kind]
    try:
        arguments = command.parseArguments(box, None)
    except BadMessage as error:
        raise BadMessage(f"in {kind.__name__}, {error}") from error
    unknown = box.keys() - {key for key, argument in command.arguments}
    if unknown and kind is not Hello:
        raise BadMessage(f"{kind.__name__} has no {min(unknown)[:_SHOWN]!r}")
    return kind(**arguments)
