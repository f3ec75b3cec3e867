"""
One piece of work in one process: the reactor runs until it is done.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from twisted_transfer.reports import Report
from twisted_transfer.statuses import Status

_GRACE = 2.0
"""Seconds after the first signal in which others are taken for the same one:
some terminals and launchers send it twice."""


class Run:
    """
    The work, the signals that end it, and the exit status.

    SIGINT, SIGTERM and SIGHUP cancel the work, and the reactor goes on until
    everything is closed.  A signal that comes when that has taken longer than
    the grace ends the process at once.
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
        self._stopping = False
        self._status: int = Status.BUG

    def untilDone(self) -> int:
        """
        Run the reactor.

        :returns: the exit status: of the work, or 128 and the number of the
            signal that has cancelled it, as shells count.
        """
        # nohup(1) and background jobs of a script ignore some; so be it.
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
        if not self._stopping:
            self._reactor.stop()

    def _shutDown(self) -> Deferred[None] | None:
        """Something else stops the reactor: a SIGTERM before the start, or so."""
        self._stopping = True
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
