"""
The ``twisted-transfer`` program.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.usage import UsageError
from zope.interface import implementer

from twisted_transfer.demo import Demo, DemoOptions
from twisted_transfer.jobs import Job
from twisted_transfer.options import (
    ReceiveOptions,
    SendOptions,
    Versioned,
)
from twisted_transfer.reports import ConsoleReport, Report
from twisted_transfer.running import Run
from twisted_transfer.statuses import Status, sayable

_TALK: list[list[str | None]] = [
    ["quiet", "q", "Say nothing but errors, and what the partner needs."],
    ["verbose", "v", "Show the log of the library on standard error."],
]


_INVITING = "transfer:passive:mtls:port=0"
_WITHOUT = """
Without DESCRIPTION it waits on any free port, and shows the command that lets
the partner in, and nobody else: both sides prove who they are (mtls).
"""


class _Send(SendOptions):
    """``send`` with what the command adds."""

    optFlags = _TALK
    byDefault = _INVITING
    synopsis = "[options] PATH...|- [DESCRIPTION]"
    epilogue = SendOptions.epilogue + _WITHOUT


class _Receive(ReceiveOptions):
    """``receive`` with what the command adds."""

    optFlags = _TALK
    byDefault = _INVITING
    synopsis = "[options] PATH|FOLDER|- [DESCRIPTION]"
    epilogue = ReceiveOptions.epilogue + _WITHOUT


class CommandOptions(Versioned):
    """The command line as a whole."""

    synopsis = "Usage: twisted-transfer COMMAND [options]"
    subCommands: ClassVar[list[list[Any]]] = [
        ["send", None, _Send, "Send files, or standard input, to the partner."],
        ["receive", None, _Receive, "Receive files, or to standard output."],
        ["demo", None, DemoOptions, "Show both directions on this machine."],
    ]

    def getUsage(self, width: int | None = None) -> str:
        """Add what a newcomer needs."""
        usage = super().getUsage(width)
        if self.subCommand is not None:
            return usage
        return f"""\
{usage}
One connection between two partners; either can dial, whoever sends.

  twisted-transfer COMMAND --help    the options of one command, with an example
  twisted-transfer demo              see it work

Exit status: 0 done, 2 usage, 3 the partner never came, 4 refused or not proven,
5 truncated or no receipt, 6 local input or output, 130 Ctrl-C, 143 terminated.
"""

    def getSynopsis(self) -> str:
        """Leave out, before the synopsis of a command, that it is a command."""
        return self.synopsis if self.subCommand is None else "Usage: twisted-transfer"

    def postOptions(self) -> None:
        """Insist on a command."""
        if self.subCommand is None:
            raise UsageError("which command: send, receive or demo?")


@implementer(ILogObserver)
class _ErrorsInWords:
    """Tells what Twisted logs as an error, which nobody has handled."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            self._report.bug(failure)
        else:
            self._report.complain(formatEvent(event))


def _beginLogging(report: Report, stream: TextIO, verbose: bool) -> None:
    """Decide what becomes of Twisted's log."""
    observer: ILogObserver
    if verbose:
        observer = textFileLogObserver(stream)
    else:
        observer = FilteringLogObserver(
            _ErrorsInWords(report),
            [LogLevelFilterPredicate(defaultLogLevel=LogLevel.error)],
        )
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command.

    :param arguments: the words behind its name; the default is ``sys.argv``'s.
    :returns: the exit status.
    """
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
    except BrokenPipeError:
        # Nobody reads the help; all else that is written looks after itself.
        return Status.LOCAL
    finally:
        for stream in (sys.stdout, sys.stderr):
            _letGo(stream)


def _letGo(stream: TextIO | None) -> None:
    """
    Keep Python from complaining at its end about what it cannot write.

    This is the way that Python's own manual has (library/signal, "Note on
    SIGPIPE").
    """
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _main(arguments: Sequence[str]) -> int:
    options = CommandOptions()  # type: ignore[no-untyped-call]
    report: Report = ConsoleReport(sys.stderr)
    try:
        options.parseOptions(arguments)  # type: ignore[no-untyped-call]
    except UsageError as error:
        command = f" {options.subCommand}" if options.subCommand else ""
        report.complain(
            f"{sayable(str(error))}\n(see: twisted-transfer{command} --help)"
        )
        return Status.USAGE
    except KeyboardInterrupt:
        # While waiting for a description on standard input.
        return 128 + signal.SIGINT
    chosen: Any = options.subOptions
    if isinstance(chosen, DemoOptions):
        verbose = False
    else:
        report = ConsoleReport(sys.stderr, quiet=bool(chosen["quiet"]))
        verbose = bool(chosen["verbose"])
    _beginLogging(report, sys.stderr, verbose)

    from twisted.internet import reactor

    if isinstance(chosen, DemoOptions):
        return Run(reactor, Demo(reactor, chosen.mebibytes).run, report).untilDone()
    return Run(reactor, Job(reactor, chosen.request, report).run, report).untilDone()
