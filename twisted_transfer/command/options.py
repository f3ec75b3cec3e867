"""
The options of ``send`` and ``receive``, for the command and for ``twist``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from getopt import GetoptError, gnu_getopt
from typing import Any, ClassVar, NoReturn, TextIO

from twisted.python.usage import Options, UsageError

from twisted_transfer.command.job import STANDARD, Request
from twisted_transfer.command.reports import ConsoleReport, Status, sayable
from twisted_transfer.descriptions import values
from twisted_transfer.descriptions.exposed import exposure
from twisted_transfer.descriptions.transfer import TransferDescription
from twisted_transfer.descriptions.values import UnfitError
from twisted_transfer.errors import BadDescription
from twisted_transfer.printable import concealed, reasonOf
from twisted_transfer.transfers.folder import MAX_FILES

_LONGEST = 65536

# Also within a description that is quoted in another one.
_SECRET = re.compile(r"secret\\*=", re.IGNORECASE)

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


def readDescription(argument: str, standardInput: TextIO | None) -> str:
    """
    Read the description that an argument stands for.

    By ``@FILE`` and ``-`` a secret stays off the command line, where other users
    of the machine see it.  A file with a secret that others can read is told.

    :param argument: a description, ``@FILE`` or ``-``.
    :param standardInput: for ``-``.
    :returns: the description, without white space around it.
    :raises UsageError: if it cannot be read.
    """
    if argument != STANDARD and not argument.startswith("@"):
        return argument
    where = "standard input" if argument == STANDARD else argument[1:]
    try:
        if argument != STANDARD:
            with open(where, encoding="utf-8") as file:
                text = file.read(_LONGEST + 1)
                warning = exposure(where, file.fileno(), "a secret")
            if warning is not None and _SECRET.search(text):
                ConsoleReport(sys.stderr).complain(f"warning: {warning}")
        elif standardInput is None:
            raise ValueError("it is closed")
        else:
            if standardInput.isatty():
                print("description: ", end="", file=sys.stderr, flush=True)
            text = standardInput.readline(_LONGEST + 1)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"cannot read the description from {where}: it is no text in UTF-8; give "
            "one line with a transfer: description"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read the description from {where}: {reasonOf(error)}"
        ) from error
    if len(text) > _LONGEST:
        raise UsageError(f"{where} is too long for a description: give one line")
    # Editors of other systems begin a file with a byte order mark.
    lines = text.removeprefix("\ufeff").strip().splitlines()
    if len(lines) != 1:
        raise UsageError(
            f"{where} has {len(lines) or 'no'} lines; "
            "give one line with a transfer: description"
        )
    # It may have been pasted with the quotes that a shell needs.
    return lines[0].removeprefix("'").removesuffix("'")


def parseDescription(text: str) -> TransferDescription:
    """
    Parse a description that stands on a command line.

    :param text: the description.
    :returns: what it says.
    :raises UsageError: if it is invalid.
    """
    try:
        return TransferDescription.parse(text)
    except BadDescription as error:
        raise UsageError(str(error)) from error


class Versioned(Options):
    """Options that show the version of this library, not of Twisted."""

    longdesc = ""

    def opt_version(self) -> NoReturn:
        """Show the version and exit."""
        # Imported for this alone, for it takes a while.
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("twisted_transfer")
        except PackageNotFoundError:
            number = "(not installed)"
        print(f"twisted-transfer {number}")
        sys.exit(Status.DONE)


TALK: list[list[str | None]] = [
    ["quiet", "q", "Say nothing but errors, and what the partner needs."],
    ["verbose", "v", "Show the log of the library on standard error."],
]
"""The options by which the command talks less, or more."""


class CommandLine(Versioned):
    """
    The options of a program that has commands.

    :cvar program: what a user types to run it.
    :cvar subCommands: as Twisted has them.
    """

    program: ClassVar[str]
    synopsis = "COMMAND [options]"
    subCommands: ClassVar[list[list[Any]]]

    def getSynopsis(self) -> str:
        """Leave ``COMMAND [options]`` out before the synopsis of a command."""
        whole: str = super().getSynopsis()
        if self.subCommand is None:
            return whole
        return whole.removesuffix(CommandLine.synopsis).rstrip()

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Exit with the status of a wrong command line, and say what is wrong."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except UsageError as error:
            command = f" {self.subCommand}" if self.subCommand else ""
            said = sayable(concealed(str(error)))
            ConsoleReport(sys.stderr).complain(
                f"{said}\n(see: {self.program}{command} --help)"
            )
            sys.exit(Status.USAGE)

    def postOptions(self) -> None:
        """Refuse a command line without a command."""
        if self.subCommand is None:
            *names, last = [row[0] for row in self.subCommands]
            raise UsageError(f"which command: {', '.join(names)} or {last}?")


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


class Worded(Versioned):
    """Options that may stand behind the words that a command takes."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Accept options behind the words, too."""
        given = list(sys.argv[1:] if options is None else options)
        # What is wrong with an option, or is for a shell that completes words, is
        # Twisted's to say.
        with suppress(GetoptError):
            flags, words = gnu_getopt(given, self.shortOpt, self.longOpt)
            valued = [name for name in self.longOpt if name.endswith("=")]
            given = [
                f"{name}={value}" if f"{name[2:]}=" in valued else name
                for name, value in flags
            ]
            given += ["--", *words]
        super().parseOptions(given)  # type: ignore[no-untyped-call]


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
        )

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
    optFlags: ClassVar[list[list[str | None]]] = [
        ["force", "f", "Replace what exists at PATH."],
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
