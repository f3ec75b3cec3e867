"""
The messages of a transfer with receipts, as bytes.

Each is a command of AMP that wants no answer (:mod:`twisted.protocols.amp`): a
box with ``_command`` and the arguments.
"""

from __future__ import annotations

from typing import ClassVar, cast

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

from twisted_transfer.receiptarguments import Choice, Digest, Number, Text
from twisted_transfer.receiptmessages import (
    MAX_NAME,
    MAX_REASON,
    MAX_SIZE,
    MAX_VERSION,
    Accept,
    BadMessage,
    Begin,
    End,
    Failed,
    FailureKind,
    Finished,
    Hello,
    Message,
    Offer,
    Role,
    Stored,
)

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
