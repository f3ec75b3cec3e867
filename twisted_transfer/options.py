"""
The options of ``send`` and ``receive``, for the command and for ``twist``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar, NoReturn, TextIO

from twisted.python.usage import Options, UsageError

from twisted_transfer.descriptions import TransferDescription
from twisted_transfer.errors import BadDescription
from twisted_transfer.jobs import Request
from twisted_transfer.localends import STANDARD
from twisted_transfer.statuses import Status

_LONGEST = 65536

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
    Find the description that an argument stands for.

    A secret does not have to stand on a command line, where other users of
    the machine see it.

    :param argument: a description, ``@FILE`` or ``-``.
    :param standardInput: for ``-``.
    :returns: the description, without white space around it.
    :raises UsageError: if there is none to be had.
    """
    if argument == STANDARD:
        if standardInput is None:
            raise UsageError("the description is to come from standard input, closed")
        where = "standard input"
        try:
            if standardInput.isatty():
                print("description: ", end="", file=sys.stderr, flush=True)
            text = standardInput.readline(_LONGEST + 1)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"cannot read the description from {where}: {error}"
            ) from error
    elif argument.startswith("@"):
        where = argument[1:]
        try:
            with open(where, encoding="utf-8") as file:
                text = file.read(_LONGEST + 1)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"cannot read the description from {where}: {error}"
            ) from error
    else:
        return argument
    if len(text) > _LONGEST:
        raise UsageError(f"{where} is too long for a description: give one line")
    lines = text.strip().splitlines()
    if len(lines) != 1:
        raise UsageError(
            f"{where} has {len(lines) or 'no'} lines; "
            "give one line with a transfer: description"
        )
    # It may have been pasted with the quotes that a shell needs.
    return lines[0].removeprefix("'").removesuffix("'")


class Versioned(Options):
    """Options that show the version of this library, not of Twisted."""

    longdesc = ""

    def opt_version(self) -> NoReturn:
        """Show the version and exit."""
        try:
            number = version("twisted_transfer")
        except PackageNotFoundError:
            number = "(not installed)"
        print(f"twisted-transfer {number}")
        sys.exit(Status.DONE)


class RawOptions(Versioned):
    """
    What sending and receiving have in common.

    :ivar request: what is to be done, once the options have been read.
    :cvar byDefault: the description if none is given; None: one has to be.
    """

    request: Request
    epilogue = ""
    sends = False
    byDefault: ClassVar[str | None] = None

    # Twisted collects these along the classes.
    optFlags: ClassVar[list[list[str | None]]] = [
        ["raw", None, "Carry the bytes and nothing else (required in this version)."],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._words: tuple[str, ...] = ()

    def getUsage(self, width: int | None = None) -> str:
        """Add what cannot be said in one line per option."""
        return f"{super().getUsage(width)}\n{self.epilogue}\n{_DESCRIPTIONS}"

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Take options also behind PATH and DESCRIPTION; none has a value."""
        given = list(sys.argv[1:] if options is None else options)
        if "--_shell-completion" not in given:
            end = given.index("--") if "--" in given else len(given)
            flags = [w for w in given[:end] if w.startswith("-") and w != STANDARD]
            words = [w for w in given[:end] if not w.startswith("-") or w == STANDARD]
            given = [*flags, "--", *words, *given[end + 1 :]]
        super().parseOptions(given)  # type: ignore[no-untyped-call]

    def parseArgs(self, *words: str) -> None:
        """Keep PATH and DESCRIPTION for later."""
        self._words = words

    def postOptions(self) -> None:
        """Check that everything is there, and read the description."""
        if not self["raw"]:
            raise UsageError(
                "without --raw a transfer ends with a receipt from the receiver, and "
                "receipts are not part of this version: give --raw, which carries "
                "the bytes and nothing else"
            )
        words = self._words
        if len(words) == 1 and self.byDefault is not None:
            words = (*words, self.byDefault)
        if len(words) != 2:
            raise UsageError(
                f"PATH and DESCRIPTION are needed, two words, not {len(words)}; "
                "put a word with spaces or other special characters in 'quotes'"
            )
        path, argument = words
        if self.sends and path == argument == STANDARD:
            raise UsageError(
                "standard input can give the data or the description, not both: "
                "use @FILE for the description"
            )
        try:
            description = TransferDescription.parse(
                readDescription(argument, sys.stdin)
            )
        except BadDescription as error:
            raise UsageError(str(error)) from error
        self.request = Request(
            self.sends, path, description, bool(self.get("force", False))
        )


class SendOptions(RawOptions):
    """The options of ``send``."""

    sends = True
    synopsis = "[options] --raw PATH|- DESCRIPTION"
    epilogue = """\
Send a file to the partner, or what comes on standard input (-).

Example, to a partner who is waiting on port 4000:
  twisted-transfer send --raw plan.pdf transfer:active:host=192.0.2.7:port=4000
"""


class ReceiveOptions(RawOptions):
    """The options of ``receive``."""

    synopsis = "[options] --raw PATH|- DESCRIPTION"
    optFlags: ClassVar[list[list[str | None]]] = [
        ["force", "f", "Replace PATH if it exists, and what is left of an older try."],
    ]
    epilogue = """\
Receive from the partner into a file, or to standard output (-).  The file
appears when everything has come; until then it is PATH.part.

Example, waiting for the partner on port 4000:
  twisted-transfer receive --raw plan.pdf transfer:passive:port=4000
"""
