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
    :ivar partial: what there was instead; it is given only here.
    """

    def __init__(self, expected: int, partial: AnyStr) -> None:
        super().__init__(expected, partial)
        self.expected = expected
        self.partial: AnyStr = partial

    def __str__(self) -> str:
        return (
            f"the input ended after {len(self.partial)} of {self.expected} units; "
            "the rest was never sent"
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
    """What was received cannot be stored; the target is untouched."""


class SourceError(TransferError):
    """What is to be sent cannot be read."""
