"""
What went wrong, as an exit status and in words.
"""

from __future__ import annotations

import re
from enum import IntEnum

from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectError,
    DNSLookupError,
)

from twisted_transfer.announced import printable
from twisted_transfer.errors import (
    BadOption,
    DestinationError,
    NotAdmitted,
    NotAReceiptPartner,
    NotEnoughData,
    PartnerFailed,
    PartnerProtocolError,
    PartnerTimeout,
    PeerRefused,
    ReceiptMismatch,
    SourceError,
    Truncated,
)


class Status(IntEnum):
    """The exit statuses of the command."""

    DONE = 0
    BUG = 1
    USAGE = 2
    NO_PARTNER = 3
    REFUSED = 4
    TRUNCATED = 5
    LOCAL = 6


_STATUSES: tuple[tuple[type[BaseException], Status], ...] = (
    # The first that fits counts: ConnectBindError is a ConnectError, and
    # DNSLookupError an OSError.
    (BadOption, Status.USAGE),
    (PartnerTimeout, Status.NO_PARTNER),
    (ConnectBindError, Status.LOCAL),
    (ConnectError, Status.NO_PARTNER),
    (DNSLookupError, Status.NO_PARTNER),
    (PeerRefused, Status.REFUSED),
    (NotAdmitted, Status.REFUSED),
    (PartnerFailed, Status.TRUNCATED),
    (Truncated, Status.TRUNCATED),
    (ReceiptMismatch, Status.TRUNCATED),
    (NotAReceiptPartner, Status.TRUNCATED),
    (PartnerProtocolError, Status.TRUNCATED),
    (NotEnoughData, Status.LOCAL),
    (CannotListenError, Status.LOCAL),
    (SourceError, Status.LOCAL),
    (DestinationError, Status.LOCAL),
    (OSError, Status.LOCAL),
)


# By the kinds of PartnerFailed: the partner did not want to begin.
_REFUSALS = frozenset({"refused", "too-large", "exists"})


def statusOf(error: BaseException) -> Status:
    """
    :param error: why a transfer has failed.
    :returns: the exit status that says so; ``BUG`` for what should not happen.
    """
    if isinstance(error, PartnerFailed) and error.kind in _REFUSALS:
        return Status.REFUSED
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return Status.BUG


_LONGEST = 20_000  # characters of a line; a path has 4096 bytes at most
_SECRET = re.compile(r"(secret=)[^:\s'\"]+", re.IGNORECASE)


def sayable(text: str) -> str:
    """
    :param text: a message, with words of the command line in it.
    :returns: the same without what would do something to a terminal, and
        without a secret that was put in the wrong place.
    """
    lines = _SECRET.sub(r"\1…", text).split("\n")
    return "\n".join(printable(line, _LONGEST) for line in lines)


def wordsFor(error: BaseException) -> str:
    """
    :param error: why a transfer has failed; not a bug.
    :returns: one line for a person, with what to do about it.
    """
    words = sayable(" ".join(str(error).split())) or type(error).__name__
    if isinstance(error, ConnectError | DNSLookupError) and not isinstance(
        error, ConnectBindError
    ):
        return (
            f"the partner could not be reached: {words} Check the address; if the "
            "partner may start later, add retryFor=SECONDS to the description."
        )
    if isinstance(error, CannotListenError):
        return f"{words} Choose another port or path, or port=0 for any free port."
    return words
