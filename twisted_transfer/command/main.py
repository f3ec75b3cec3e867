"""
The ``twisted-transfer`` program.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, ClassVar, TextIO

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny
from zope.interface import provider

from twisted import logger
from twisted_transfer.command.commandline import CommandLine, useMonotonicTime
from twisted_transfer.command.reports import ConsoleReport, Report, Status
from twisted_transfer.printable import printableLines

_GRACE = 0.5
"""Seconds after the first signal in which others count as the same one: some
terminals and launchers send it twice."""


class Run:
    """
    Runs the reactor until the work is done, or a signal has ended it.

    SIGINT, SIGTERM and SIGHUP cancel the work, and the reactor goes on until
    everything is closed.  Another signal after a grace period ends the process
    at once.
    """

    def __init__(
        self, reactor: Any, work: Callable[[], Deferred[int]], report: Report
    ) -> None:
        """
        :param reactor: the global one, not running.
        :param work: started when the reactor runs; gives the exit status.
        :param report: is told about bugs.
        """
        self._reactor = reactor
        self._work = work
        self._report = report
        self._doing: Deferred[None] | None = None
        self._signal: int | None = None
        self._signalTime = 0.0
        self._signals: list[signal.Signals] = []
        self._status: int = Status.BUG

    def untilDone(self) -> int:
        """
        Run the reactor.

        :returns: the exit status: of the work, or 128 and the number of the
            signal that has cancelled it, as shells count.
        """
        # What nohup(1) or a script has told this process to ignore stays ignored.
        self._signals = [
            number
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) != signal.SIG_IGN
        ]
        self._handleSignals()
        self._reactor.callWhenRunning(self._start)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._shutDown)
        self._reactor.run()
        return self._status

    def _handleSignals(self) -> None:
        for number in self._signals:
            signal.signal(number, self._signalled)

    def _start(self) -> None:
        # The reactor has set its own handlers by now; they would stop it
        # before the work is cancelled, and not say which signal it was.
        self._handleSignals()
        self._doing = self._work().addCallbacks(self._done, self._failed)
        self._doing.addBoth(self._stop)

    def _stop(self, ignored: object) -> None:
        self._doing = None
        # It may be stopping already, and wait for this.
        with suppress(ReactorNotRunning):
            self._reactor.stop()

    def _shutDown(self) -> Deferred[None] | None:
        """Cancel the work if something else stops the reactor, and wait for it."""
        if self._doing is not None and self._signal is None:
            self._signal = signal.SIGTERM
            self._cancel()
        return self._doing

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if self._signal is None:
            self._signal = number
            self._signalTime = time.monotonic()
            # A signal handler may only do what callFromThread may.
            self._reactor.callFromThread(self._cancel)
        elif time.monotonic() - self._signalTime > _GRACE:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _cancel(self) -> None:
        if self._doing is not None:
            self._doing.cancel()

    def _done(self, status: int) -> None:
        self._status = status

    def _failed(self, failure: Failure) -> None:
        if self._signal is not None and isinstance(failure.value, CancelledError):
            self._status = 128 + self._signal
        else:
            self._report.bug(failure)


def _options(name: str) -> Callable[[], Any]:
    """
    Make what makes the options of a command.

    :param name: the module in this package, and the class of the options.  It is
        imported when the command is chosen, for a command needs little of the others.
    :returns: a function that makes them.
    """
    return lambda: namedAny(f"twisted_transfer.command.{name}")()


class CommandOptions(CommandLine):
    """The command line as a whole."""

    program = "twisted-transfer"
    synopsis = f"Usage: twisted-transfer {CommandLine.synopsis}"
    subCommands: ClassVar[list[list[Any]]] = [
        [
            "send",
            None,
            _options("options.SendCommand"),
            "Send files, or standard input, to the partner.",
        ],
        [
            "receive",
            None,
            _options("options.ReceiveCommand"),
            "Receive files, or to standard output.",
        ],
        [
            "bridge",
            None,
            _options("bridging.BridgeOptions"),
            "Join two connections both ways.",
        ],
        [
            "demo",
            None,
            _options("demo.DemoOptions"),
            "Show both directions on this machine.",
        ],
    ]

    def getUsage(self, width: int | None = None) -> str:
        """Add a summary and the exit statuses."""
        usage = super().getUsage(width)
        if self.subCommand is not None:
            return usage
        return f"""\
{usage}
One connection between two partners; either can dial, whoever sends.

  twisted-transfer help COMMAND      the options of one command, with an example
  twisted-transfer demo              see it work

Exit status: 0 done, 2 usage, 3 the partner never came, 4 refused or not proven,
5 truncated or no receipt, 6 local input or output, 130 Ctrl-C, 143 terminated.
"""


def _beginLogging(report: Report, verbose: bool) -> None:
    """
    Show Twisted's log on standard error, or only what the user has to know of it:
    errors, and this library's warnings.
    """

    @provider(logger.ILogObserver)
    def inWords(event: logger.LogEvent) -> None:
        level = event.get("log_level", logger.LogLevel.debug)
        ours = str(event.get("log_namespace")).startswith("twisted_transfer.")
        if level is logger.LogLevel.warn and ours:
            report.say(logger.formatEvent(event))
        if level < logger.LogLevel.error:
            return
        if "log_failure" in event:
            report.bug(event["log_failure"])
        else:
            report.complain(logger.formatEvent(event))

    def whole(event: logger.LogEvent) -> str | None:
        text = logger.formatEventAsClassicLogText(event)
        return None if text is None else printableLines(text)

    observer = logger.FileLogObserver(sys.stderr, whole) if verbose else inWords
    logger.globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command.

    :param arguments: the words behind its name; the default is ``sys.argv``'s.
    :returns: the exit status.
    """
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        # Before the reactor runs, which has handlers of its own.
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Nobody reads the help; everything else is written with care.
        return Status.LOCAL
    finally:
        for stream in (sys.stdout, sys.stderr):
            _letGo(stream)


def _letGo(stream: TextIO | None) -> None:
    """
    Keep Python from complaining at exit about what it cannot write.

    This is the way of Python's own manual (library/signal, "Note on SIGPIPE").
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
    options.parseOptions(arguments)
    chosen: Any = options.subOptions
    report = ConsoleReport(sys.stderr, quiet=bool(chosen.get("quiet")))
    _beginLogging(report, bool(chosen.get("verbose")))

    from twisted.internet import reactor

    useMonotonicTime(reactor)
    return Run(reactor, chosen.job(reactor, report).run, report).untilDone()
