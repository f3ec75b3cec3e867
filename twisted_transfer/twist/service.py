"""
``twist transfer`` and ``twistd transfer``: the command as a service.

The dropin names this module, and ``twist`` imports it while it is still
choosing a reactor, so the global reactor is imported in functions only.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_transfer.command.commandline import (
    STANDARD,
    CommandLine,
    useMonotonicTime,
)
from twisted_transfer.command.job import Job, Request
from twisted_transfer.command.options import (
    ReceiveOptions,
    SendOptions,
    TransferOptions,
)
from twisted_transfer.command.reports import BUG, Status
from twisted_transfer.printable import printableLines


class Options(CommandLine):
    """The command line behind ``twist transfer``."""

    program = "twist transfer"
    longdesc = (
        "Make one transfer and stop; the exit status is that of twisted-transfer. "
        "What happens is told in the log."
    )
    subCommands: ClassVar[list[list[Any]]] = [
        ["send", None, SendOptions, "Send files, or standard input, to the partner."],
        ["receive", None, ReceiveOptions, "Receive files, or to standard output."],
    ]


_log = Logger("twisted_transfer")


class _LogReport:
    """Writes to Twisted's log."""

    confidential = False

    def say(self, text: str) -> None:
        """Log a line."""
        _log.info("{text}", text=printableLines(text))

    def tellSecret(self, text: str) -> None:
        """Refuse: a log is not confidential."""
        raise AssertionError("a secret is not to be logged")

    def complain(self, text: str) -> None:
        """Log an error."""
        _log.error("{text}", text=printableLines(text))

    def bug(self, failure: Failure) -> None:
        """Log a traceback."""
        _log.failure(BUG, failure=failure)

    def progress(self, label: str) -> None:
        """Show no bar: a log is no place for one."""


class TransferService(Service):
    """
    Makes one transfer, and stops the reactor when it has ended.

    Stopping the service cancels the transfer and waits until all is closed.
    """

    def __init__(self, request: Request) -> None:
        """
        :param request: the transfer to make.
        """
        self.setName("transfer")  # type: ignore[no-untyped-call]
        self.request = request
        self._doing: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin the transfer."""
        super().startService()  # type: ignore[no-untyped-call]
        from twisted.internet import reactor

        useMonotonicTime(reactor)
        job = Job(reactor, self.request, _LogReport())
        self._doing = job.run().addCallbacks(self._ended, self._failed, (reactor,))

    def stopService(self) -> Deferred[None] | None:
        """End the transfer, if it has not ended."""
        super().stopService()  # type: ignore[no-untyped-call]
        doing = self._doing
        if doing is not None:
            doing.cancel()
        return doing

    def _ended(self, status: int, reactor: Any) -> None:
        if status != Status.DONE:
            _exitWith(status)
        # It may have failed before the reactor runs, in which it cannot stop.
        reactor.callWhenRunning(self._stop, reactor)

    def _stop(self, reactor: Any) -> None:
        self._doing = None
        # A signal may have been quicker.
        with suppress(ReactorNotRunning):
            reactor.stop()

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            _LogReport().bug(failure)
            _exitWith(Status.BUG)


def _exitWith(status: int) -> None:
    """
    Let the process end with a status.

    ``twist`` and ``twistd`` return 0 from their main function whatever the
    service says, and log an exception that is raised while the reactor runs.
    An exit handler cannot change the status, but it can end the process.  The
    handlers that were registered before it do not run then, so what they would
    do for the standard library is done here.
    """

    def leave() -> None:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(status)

    atexit.register(leave)


def _withOutputApart(request: Request) -> Request:
    """
    Keep standard output for the data, if they go there.

    ``twist`` writes its log there; from here on the log goes to standard error.
    """
    if request.sends or STANDARD not in request.paths or sys.__stdout__ is None:
        return request
    sys.__stdout__.flush()
    data = os.dup(request.standardOutput)
    os.dup2(2, request.standardOutput)
    return replace(request, standardOutput=data)


def makeService(options: Options) -> TransferService:
    """
    Make the service; ``twist`` calls this.

    :param options: the options, parsed already.
    :returns: a service that makes one transfer.
    """
    chosen = options.subOptions
    assert isinstance(chosen, TransferOptions)
    return TransferService(_withOutputApart(chosen.request))
