"""
What the command lines of all commands have in common.
"""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from getopt import GetoptError, gnu_getopt
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TextIO

from twisted.python.usage import Options, UsageError

from twisted_transfer.command.reports import ConsoleReport, Status, sayable
from twisted_transfer.errors import BadDescription
from twisted_transfer.printable import concealed, reasonOf

if TYPE_CHECKING:
    from twisted_transfer.descriptions.transfer import TransferDescription

STANDARD = "-"
"""The word that stands for standard input or output."""

_LONGEST = 65536

# What Twisted's error for it begins with.
_UNKNOWN = "Unknown command: "

# Also within a description that is quoted in another one.
_SECRET = re.compile(r"secret\\*=", re.IGNORECASE)


def useMonotonicTime(reactor: Any) -> None:
    """
    Have the timers of a reactor run by a clock that nobody sets.

    By default Twisted's reactors run theirs by the time of day, and a timer waits for
    an hour more if that is set back by one.

    :param reactor: is this program's own, and not running yet.
    """
    reactor.seconds = time.monotonic


def readDescription(argument: str, standardInput: TextIO | None) -> str:
    """
    Read the description that an argument stands for.

    By ``@FILE`` and ``-`` a secret stays off the command line, where other users
    of the machine see it.  A file with a secret that others can read is told.

    :param argument: a description, ``@FILE`` or ``-``.
    :param standardInput: for ``-``.
    :returns: the description, without white space around it; also out of the whole
        command that the partner's side shows.
    :raises UsageError: if it cannot be read.
    """
    if argument != STANDARD and not argument.startswith("@"):
        return argument
    where = "standard input" if argument == STANDARD else argument[1:]
    try:
        if argument != STANDARD:
            from twisted_transfer.descriptions.exposed import exposure

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
    return _pasted(lines[0])


def _pasted(line: str) -> str:
    """
    :param line: a description, maybe in the quotes that a shell needs; or the whole
        command that the partner's side shows, as ``partner: twisted-transfer ...``.
    :returns: the description.
    """
    description = line.removeprefix("'").removesuffix("'")
    if not description.startswith("transfer:"):
        with suppress(ValueError):  # its quotes are not closed
            last = shlex.split(line)[-1]
            if last.startswith("transfer:"):
                return last
    return description


def parseDescription(text: str) -> TransferDescription:
    """
    Parse a description that stands on a command line.

    :param text: the description.
    :returns: what it says.
    :raises UsageError: if it is invalid.
    """
    # So that what shows its help needs nothing of this.
    from twisted_transfer.descriptions.transfer import TransferDescription

    try:
        return TransferDescription.parse(text)
    except BadDescription as error:
        raise UsageError(str(error)) from error


def _meant(word: str, names: Sequence[str], dashes: str = "") -> str:
    """
    Ask whether something else was meant.

    :param word: what is unknown.
    :param names: what is known.
    :param dashes: what stands before each of them on a command line.
    :returns: the question, to be put behind an error; empty if nothing is similar.
    """
    from difflib import get_close_matches

    begun = [name for name in names if name.startswith(word)]
    similar = [dashes + name for name in begun or get_close_matches(word, names)]
    *others, last = similar or [""]
    choice = f"{', '.join(others)} or {last}" if others else last
    return choice and f"; did you mean {choice}?"


class Versioned(Options):
    """
    Options that show the version of this library, not of Twisted, and know ``-h``.
    """

    longdesc = ""

    opt_h = Options.opt_help

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Ask whether a similar option was meant, if one is unknown."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except UsageError as error:
            unknown = error.__context__
            if not isinstance(unknown, GetoptError):
                raise
            names = sorted(name.removesuffix("=") for name in self.longOpt)
            if unknown.opt in names or len(unknown.opt) < 2:
                raise
            meant = _meant(unknown.opt, names, "--")
            raise UsageError(f"{error}{meant}") from error

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
        """
        Take ``help`` and ``help COMMAND`` for ``--help``; exit with the status of a
        wrong command line, and say what is wrong.
        """
        given = list(sys.argv[1:] if options is None else options)
        if given[:1] == ["help"]:
            given = [*given[1:], "--help"]
        try:
            super().parseOptions(given)
        except UsageError as error:
            command = f" {self.subCommand}" if self.subCommand else ""
            said = str(error)
            word = said.removeprefix(_UNKNOWN)
            if word != said:
                said += _meant(word, [row[0] for row in self.subCommands])
            said = sayable(concealed(said))
            ConsoleReport(sys.stderr).complain(
                f"{said}\n(see: {self.program}{command} --help)"
            )
            sys.exit(Status.USAGE)

    def postOptions(self) -> None:
        """Refuse a command line without a command."""
        if self.subCommand is None:
            *names, last = [row[0] for row in self.subCommands]
            raise UsageError(f"which command: {', '.join(names)} or {last}?")


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
        super().parseOptions(given)
