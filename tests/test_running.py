"""Tests for :mod:`twisted_transfer.running`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.reports import ConsoleReport
from twisted_transfer.running import Run

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class FakeReactor:
    """
    Runs what is to be run, and ends when it is stopped.

    :ivar busy: called while there is nothing else to do.
    """

    def __init__(self) -> None:
        self.busy: Callable[[], object] = lambda: None
        self._calls: list[Callable[..., Any]] = []
        self._atEnd: list[Callable[..., Any]] = []
        self._running = False

    def callWhenRunning(self, call: Callable[..., Any]) -> None:
        self._calls.append(call)

    def callFromThread(self, call: Callable[..., Any]) -> None:
        self._calls.append(call)

    def addSystemEventTrigger(
        self, phase: str, event: str, call: Callable[..., Any]
    ) -> None:
        assert (phase, event) == ("before", "shutdown")
        self._atEnd.append(call)

    def run(self) -> None:
        # As the real one does.
        signal.signal(signal.SIGTERM, lambda number, frame: self.stop())
        self._running = True
        while self._running:
            self._turn()
        over: list[object] = []
        waiting = [deferred for call in self._atEnd if (deferred := call())]
        for deferred in waiting:
            deferred.addBoth(over.append)
        while len(over) < len(waiting):
            self._turn()

    def _turn(self) -> None:
        if self._calls:
            self._calls.pop(0)()
        else:
            self.busy()

    def stop(self) -> None:
        assert self._running, "it cannot be stopped twice"
        self._running = False


class RunTests(SynchronousTestCase):
    """The work, the signals that end it, and the exit status."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.errors = StringIO()
        for number in _SIGNALS:
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def run_(self, work: Callable[[], Deferred[int]]) -> int:
        """:returns: the status."""
        return Run(self.reactor, work, ConsoleReport(self.errors)).untilDone()

    def test_status(self) -> None:
        """The status is that of the work, done at once or later."""
        self.assertEqual(self.run_(lambda: succeed(0)), 0)
        work: Deferred[int] = Deferred()
        self.reactor.busy = lambda: work.callback(5)
        self.assertEqual(self.run_(lambda: work), 5)

    def test_signals(self) -> None:
        """Each signal cancels the work, and the status says which it was."""
        for number in _SIGNALS:
            self.checkSignal(number)
        self.assertEqual(self.errors.getvalue(), "")

    def checkSignal(self, number: signal.Signals) -> None:
        """One of them."""
        cancelled: list[Deferred[int]] = []
        work: Deferred[int] = Deferred(cancelled.append)
        self.reactor = FakeReactor()
        self.reactor.busy = lambda: signal.raise_signal(number)
        self.assertEqual(self.run_(lambda: work), 128 + number)
        self.assertEqual(cancelled, [work])

    def test_waitsForClosing(self) -> None:
        """Other signals that come while it is being cancelled change nothing."""
        closing: Deferred[int] = Deferred()
        work: Deferred[int] = Deferred()
        chained = work.addErrback(
            lambda failure: closing.addCallback(lambda _: failure)
        )
        steps = iter([signal.SIGINT, signal.SIGINT, signal.SIGTERM])

        def busy() -> None:
            number = next(steps, None)
            if number is None:
                closing.callback(0)
            else:
                signal.raise_signal(number)

        self.reactor.busy = busy
        self.assertEqual(self.run_(lambda: chained), 128 + signal.SIGINT)

    def test_doneNevertheless(self) -> None:
        """Work that is done in spite of the signal is done."""
        work: Deferred[int] = Deferred(lambda work: work.callback(0))
        self.reactor.busy = lambda: signal.raise_signal(signal.SIGINT)
        self.assertEqual(self.run_(lambda: work), 0)

    def test_stoppedByOthers(self) -> None:
        """Whatever stops the reactor, the work is cancelled and waited for."""
        closing: Deferred[int] = Deferred()
        work: Deferred[int] = Deferred()
        chained = work.addErrback(
            lambda failure: closing.addCallback(lambda _: failure)
        )

        def busy() -> None:
            self.reactor.busy = lambda: closing.callback(0)
            self.reactor.stop()

        self.reactor.busy = busy
        self.assertEqual(self.run_(lambda: chained), 128 + signal.SIGTERM)
        self.assertTrue(closing.called)

    def test_ignoredSignals(self) -> None:
        """A signal that was ignored before stays ignored."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.run_(lambda: succeed(0))
        self.assertEqual(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)

    def test_bug(self) -> None:
        """What the work should not fail with is status 1, with the traceback."""
        self.assertEqual(self.run_(lambda: fail(ZeroDivisionError("oops"))), 1)
        self.assertIn("bug", self.errors.getvalue())
        self.assertIn("oops", self.errors.getvalue())

    def test_force(self) -> None:
        """A signal that comes when closing takes too long ends the process."""
        program = """if True:
            from twisted.internet import reactor
            from twisted.internet.defer import Deferred
            from twisted_transfer import running
            from twisted_transfer.reports import ConsoleReport

            def close(failure):
                print("closing", flush=True)
                return Deferred()

            running._GRACE = 0.0
            work = Deferred()
            work.addErrback(close)
            reactor.callWhenRunning(print, "running", flush=True)
            running.Run(reactor, lambda: work, ConsoleReport(None)).untilDone()
        """
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        for line in (b"running\n", b"closing\n"):
            self.assertEqual(process.stdout.readline(), line)
            process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), -signal.SIGINT)
