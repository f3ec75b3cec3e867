"""
The options of ``send`` and ``receive``, for the command and for ``twist``.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from twisted.python.usage import CompleteFiles, Completer, Completions, UsageError

from twisted_transfer.command.commandline import (
    STANDARD,
    TALK,
    Worded,
    parseDescription,
    readDescription,
)
from twisted_transfer.command.job import Job, Request
from twisted_transfer.command.reports import Report
from twisted_transfer.descriptions import values
from twisted_transfer.descriptions.values import UnfitError
from twisted_transfer.transfers.folder import MAX_FILES

_DESCRIPTIONS = """\
DESCRIPTION says who dials, and how:
  transfer:active:host=192.0.2.7:port=4000  dial that host and port
  transfer:passive:port=4000                wait on that port for the partner
  transfer:passive:port=0                   ... on any free port, and say which
  transfer:active:tls:host=example.org:port=4000:trustRoots=ca
                                            over TLS; what stands behind active:
                                            or passive: can be any endpoint
                                            description of Twisted
  transfer:passive:mtls:port=0              both sides prove who they are, by an
                                            invitation that this side makes
  ...:within=SECONDS                        give up if nobody has come by then
  ...:retryFor=SECONDS                      keep trying to dial for so long
  @FILE                                     take the description from a file
  -                                         take it from standard input
"""


_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def readSize(option: str, text: str) -> int:
    """
    Read a number of bytes.

    :param option: the option, for the error.
    :param text: its value.
    :returns: the number of bytes.
    :raises UsageError: if the value is invalid.
    """
    found = re.fullmatch(r"(\d{1,18})([KMGT]?)(?:i?B)?", text, re.IGNORECASE | re.ASCII)
    if found is None:
        raise UsageError(
            f"{option}={text}: give a number of bytes, or one with K, M, G or T "
            "(powers of 1024), such as 10M"
        )
    return int(found[1]) << _UNITS[found[2].upper()]


def _readRate(text: str) -> int:
    """
    Read the value of ``--limit-rate``.

    :raises UsageError: if the value is invalid.
    """
    rate = readSize("--limit-rate", text)
    if rate == 0:
        raise UsageError("--limit-rate 0: give 1 or more, or leave it out")
    return rate


def _readCount(text: str) -> int:
    """
    Read the value of ``--max-files``.

    :raises UsageError: if the value is invalid.
    """
    if not re.fullmatch(r"[1-9]\d{0,17}", text, re.ASCII):
        raise UsageError(f"--max-files {text}: give a whole number, 1 or more")
    return int(text)


def readSeconds(text: str) -> float:
    """
    Read the value of ``--idle``.

    :param text: the value.
    :returns: the number of seconds.
    :raises UsageError: if the value is invalid.
    """
    seconds = values.decimal(text)
    try:
        values.seconds(seconds)
    except UnfitError as unfit:
        raise UsageError(f"--idle {text}: {unfit}") from None
    return float(seconds)


class TransferOptions(Worded):
    """
    The options that ``send`` and ``receive`` have in common.

    :ivar request: the transfer to make, once the options have been read.
    :cvar byDefault: the description if none is given; None: it is required.
    """

    request: Request
    epilogue = ""
    sends = False
    byDefault: ClassVar[str | None] = None

    # What zsh completes: a value is no file, and a word may be one.
    compData = Completions(
        optActions={name: Completer() for name in ("idle", "limit-rate")},
        extraActions=[CompleteFiles(repeat=True)],
    )

    # Twisted collects these along the classes.
    optFlags: ClassVar[list[list[str | None]]] = [
        ["raw", None, "Carry the bytes and nothing else: no receipt, any partner."],
    ]

    optParameters: ClassVar[list[list[Any]]] = [
        [
            "idle",
            None,
            None,
            "End when nothing has moved for so many seconds, in either direction.",
            readSeconds,
        ],
        [
            "limit-rate",
            None,
            None,
            "Move no more than so many bytes a second: 500k, 2M.",
            _readRate,
        ],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._words: tuple[str, ...] = ()

    def getUsage(self, width: int | None = None) -> str:
        """Add an example, and the forms of a description."""
        return f"{super().getUsage(width)}\n{self.epilogue}\n{_DESCRIPTIONS}"

    def parseArgs(self, *words: str) -> None:
        """Keep PATH and DESCRIPTION; what they are depends on the options."""
        self._words = words

    def postOptions(self) -> None:
        """Divide the words, and read the description."""
        paths, argument = self._divide(self._words)
        if "" in paths:
            raise UsageError("PATH is empty; give the path of a file, or -")
        if self.sends and argument == STANDARD and STANDARD in paths:
            raise UsageError(
                "standard input can give the data or the description, not both: "
                "use @FILE for the description"
            )
        description = parseDescription(readDescription(argument, sys.stdin))
        unclosed = bool(self.get("accept-unclosed", False))
        size = self.get("size")
        if not self["raw"] and (unclosed or size is not None):
            raise UsageError(
                "--size and --accept-unclosed are for --raw: with receipts the sender "
                "says how much it is and when it has sent everything"
            )
        sha256 = bool(self.get("sha256", False))
        if sha256 and STANDARD in paths:
            raise UsageError(
                "--sha256 is for what is stored in a file; for standard output there "
                "is sha256sum"
            )
        if sha256 and self.get("quiet", False):
            raise UsageError("--quiet would hide what --sha256 shows; leave one out")
        if self["idle"] is not None:
            description = replace(description, idle=self["idle"])
        if unclosed:
            description = replace(description, acceptUnclosed=True)
        self.request = Request(
            self.sends,
            paths,
            description,
            raw=bool(self["raw"]),
            force=bool(self.get("force", False)),
            maxSize=self.get("max-size"),
            maxFiles=self.get("max-files", MAX_FILES),
            maxTotal=self.get("max-total"),
            size=size,
            limitRate=self["limit-rate"],
            sha256=sha256,
        )

    def job(self, reactor: Any, report: Report) -> Job:
        """:returns: the transfer, which has not begun."""
        return Job(reactor, self.request, report)

    def _divide(self, words: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
        """
        Tell the paths from the description.

        :returns: the paths, and the description or the default one.
        :raises UsageError: if there are too few or too many, or if it is not
            clear which is which.
        """
        several = self.sends and not self["raw"]
        last = words[-1] if words else ""
        # A single word is a path; so is the last of several that looks like one.
        described = len(words) > 1 and (
            not several
            or last == STANDARD
            or last.startswith(("transfer:", "@"))
            or (":" in last and not os.path.exists(last))
        )
        paths = words[:-1] if described else words
        if described and last != STANDARD and os.path.lexists(last):
            # Another user may have made that file, so that PATH as a pattern (*)
            # becomes its name.
            raise UsageError(
                f"there is a file with the name {last!r}, which is a description as "
                f"well; write ./{last} for the file, and behind it a description"
            )
        for word in paths:
            if word.startswith("transfer:") and not os.path.lexists(word):
                raise UsageError(
                    "a description stands where PATH is wanted; PATH comes first"
                )
        if not described and self.byDefault is None and paths:
            raise UsageError(
                "PATH and DESCRIPTION are needed, and the last of the words, "
                f"{last!r}, is no description: it begins with transfer:active: or "
                "transfer:passive:, or is @FILE or -"
                if several and len(words) > 1
                else "PATH and DESCRIPTION are needed, two words, not 1"
            )
        if not paths or (len(paths) > 1 and not several):
            what = "PATH..." if several else "PATH"
            raise UsageError(
                f"{what} and, if need be, DESCRIPTION are wanted, and "
                f"{len(words) or 'no'} words are given; put a word with spaces or "
                "other special characters in 'quotes'"
            )
        return paths, last if described else self.byDefault or ""


class SendOptions(TransferOptions):
    """The options of ``send``."""

    sends = True
    synopsis = "[options] PATH...|- DESCRIPTION"
    epilogue = """\
Send files to the partner, or what comes on standard input (-).  It is done when
the partner has stored them.

Example, to a partner who is waiting on port 4000:
  twisted-transfer send plan.pdf transfer:active:host=192.0.2.7:port=4000
"""


class ReceiveOptions(TransferOptions):
    """The options of ``receive``."""

    synopsis = "[options] PATH|FOLDER|- DESCRIPTION"
    compData = Completions(
        optActions={
            name: Completer() for name in ("max-size", "max-files", "max-total", "size")
        },
    )
    optFlags: ClassVar[list[list[str | None]]] = [
        ["force", "f", "Replace what exists at PATH."],
        ["sha256", None, "Read each stored file once more, and show its SHA-256."],
        [
            "accept-unclosed",
            None,
            "With --raw over TLS: take what has come although the partner ended the "
            "connection without saying that this is the end (close_notify), as tcl-tls "
            "does.  This gives up a protection: whoever can break the connection can "
            "cut the data short, and you do not notice.  --size is better.",
        ],
    ]
    optParameters: ClassVar[list[list[Any]]] = [
        [
            "max-size",
            None,
            None,
            "Take no file of more bytes: 5000, 10M, 2G.",
            partial(readSize, "--max-size"),
        ],
        [
            "max-files",
            None,
            MAX_FILES,
            "Take no more files than that into a folder.",
            _readCount,
        ],
        [
            "max-total",
            None,
            None,
            "Take no more bytes into a folder: 5000, 10M, 2G; else as many as the disk "
            "has room for, but for a twentieth.",
            partial(readSize, "--max-total"),
        ],
        [
            "size",
            None,
            None,
            "With --raw: take exactly so many bytes, and do not mind how the "
            "connection ends then.",
            partial(readSize, "--size"),
        ],
    ]
    epilogue = """\
Receive from the partner into a file, into a folder by the names that the
partner suggests, or to standard output (-).  A file appears when everything has
come; until then it is PATH.twisted-transfer-part, and the next try goes on from
there.

Example, waiting for the partner on port 4000:
  twisted-transfer receive plan.pdf transfer:passive:port=4000
"""


_INVITING = "transfer:passive:mtls:port=0"
_WITHOUT = """
Without DESCRIPTION it waits on any free port, and shows the command that lets
the partner in, and nobody else: both sides prove who they are (mtls).
"""


class SendCommand(SendOptions):
    """``send``, with the options that only the command has."""

    optFlags = TALK
    byDefault = _INVITING
    synopsis = "[options] PATH...|- [DESCRIPTION]"
    epilogue = SendOptions.epilogue + _WITHOUT


class ReceiveCommand(ReceiveOptions):
    """``receive``, with the options that only the command has."""

    optFlags = TALK
    byDefault = _INVITING
    synopsis = "[options] PATH|FOLDER|- [DESCRIPTION]"
    epilogue = ReceiveOptions.epilogue + _WITHOUT
