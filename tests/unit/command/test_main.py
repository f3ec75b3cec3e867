"""Tests for :mod:`twisted_transfer.command.main`, without a reactor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.trial.unittest import SynchronousTestCase

from tests.support.programs import COMMAND, ROOT
from twisted_transfer.command.main import Run, main
from twisted_transfer.command.reports import ConsoleReport


class MainTests(SynchronousTestCase):
    """What needs no partner."""

    def setUp(self) -> None:
        self.out, self.err = StringIO(), StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def test_help(self) -> None:
        """Help is on standard output, for the whole and for each command."""
        for words, asked in (
            ([], ["--help"]),
            ([], ["-h"]),
            ([], ["help"]),
            (["send"], ["send", "--help"]),
            (["send"], ["send", "-h"]),
            (["receive"], ["help", "receive"]),
            (["bridge"], ["bridge", "-h"]),
            (["demo"], ["help", "demo"]),
        ):
            self.out.truncate(0)
            error = self.assertRaises(SystemExit, main, asked)
            self.assertIn(error.code, (0, None))
            shown = self.out.getvalue().lstrip("\0")
            self.assertTrue(
                shown.startswith(" ".join(["Usage: twisted-transfer", *words])), shown
            )
            for line in shown.splitlines():
                self.assertLessEqual(len(line), 80)
        self.assertEqual(self.err.getvalue(), "")

    def test_helpOfTheWhole(self) -> None:
        """It names the commands and the exit statuses."""
        self.assertRaises(SystemExit, main, ["--help"])
        for text in ("send", "receive", "demo", "Exit status: 0 done, 2 usage"):
            self.assertIn(text, self.out.getvalue())

    def test_version(self) -> None:
        """The version is that of this library, also behind a command."""
        try:
            expected = version("twisted_transfer")
        except PackageNotFoundError:
            expected = "(not installed)"
        for words in (["--version"], ["send", "--version"], ["demo", "--version"]):
            self.out.truncate(0)
            error = self.assertRaises(SystemExit, main, words)
            self.assertEqual(error.code, 0)
            shown = self.out.getvalue().lstrip("\0")
            self.assertEqual(shown, f"twisted-transfer {expected}\n")

    def test_usage(self) -> None:
        """What is wrong is on standard error, with the way to the help."""
        for words, said, way in (
            ([], "which command", "twisted-transfer --help"),
            (["fetch"], "fetch", "twisted-transfer --help"),
            (["--fast"], "--fast", "twisted-transfer --help"),
            (["send"], "PATH...", "twisted-transfer send --help"),
            (["send", "x", "y:z"], "y", "twisted-transfer send --help"),
            (["send", "--raw", "x", "y"], "y", "twisted-transfer send --help"),
            (["receive"], "PATH", "twisted-transfer receive --help"),
            (["receive", "x", "y"], "y", "twisted-transfer receive --help"),
            (
                ["receive", "--max-size=x", "x"],
                "--max-size=x",
                "twisted-transfer receive --help",
            ),
            (["demo", "--size=x"], "--size x", "twisted-transfer demo --help"),
            (["demo", "--size=0"], "--size 0", "twisted-transfer demo --help"),
            (["demo", "--size=-1"], "--size -1", "twisted-transfer demo --help"),
            (["demo", "file"], "Wrong number", "twisted-transfer demo --help"),
        ):
            self.err.truncate(0)
            error = self.assertRaises(SystemExit, main, words)
            self.assertEqual(error.code, 2)
            self.assertIn(said, self.err.getvalue())
            self.assertIn(way, self.err.getvalue())
        self.assertEqual(self.out.getvalue(), "")

    def test_meant(self) -> None:
        """An unknown word is told with those that it resembles, if there are any."""
        for words, said in (
            (["sned"], "Unknown command: sned; did you mean send?"),
            (["help", "recieve"], "did you mean receive?"),
            (["frobnicate"], "Unknown command: frobnicate"),
            (
                ["send", "--idel=3"],
                "option --idel not recognized; did you mean --idle?",
            ),
            (
                ["receive", "--max", "x"],
                "did you mean --max-files, --max-size or --max-total?",
            ),
            (["receive", "--max-size"], "option --max-size requires argument"),
            (["send", "--frobnicate"], "option --frobnicate not recognized"),
            (["--versoin"], "did you mean --version?"),
        ):
            self.err.truncate(0)
            error = self.assertRaises(SystemExit, main, words)
            self.assertEqual(error.code, 2)
            self.assertTrue(
                self.err.getvalue().split("\n")[0].endswith(said), self.err.getvalue()
            )

    def test_interrupted(self) -> None:
        """Ctrl-C while it reads a description is no reason for a traceback."""

        def readline(size: int) -> str:
            raise KeyboardInterrupt

        stream = StringIO()
        self.patch(sys, "stdin", stream)
        self.patch(stream, "readline", readline)
        self.assertEqual(main(["receive", "x", "-"]), 130)
        self.assertEqual(self.err.getvalue(), "")


class LogTests(SynchronousTestCase):
    """What becomes of Twisted's log."""

    def said(self, *words: str) -> str:
        """
        :returns: what is on standard error when the log has a warning and two
            errors in it.
        """
        program = """if True:
            import sys
            from twisted.internet.defer import fail
            from twisted.logger import Logger
            from twisted_transfer.command import main as command, options

            class Work:
                def __init__(self, *args):
                    pass

                def run(self):
                    log = Logger("test")
                    log.warn("harmless {x}", x=1)
                    log.error("broken {x}", x="2\\x1b[2J")
                    fail(ZeroDivisionError("unseen"))
                    from twisted.internet.defer import succeed
                    return succeed(0)

            options.Job = Work
            sys.exit(command.main(sys.argv[1:]))
        """
        process = subprocess.run(
            [
                *(sys.executable, "-c", program, "send", *words),
                *("x", "transfer:passive:port=0"),
            ],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            text=True,
            timeout=30,
        )
        self.assertEqual(process.returncode, 0)
        return process.stderr

    def test_errors(self) -> None:
        """Errors that nobody has handled are told, in words; nothing else."""
        said = self.said()
        self.assertIn("twisted-transfer: broken 2\\x1b[2J\n", said)
        self.assertIn("bug", said)
        self.assertIn("ZeroDivisionError: unseen", said)
        self.assertNotIn("harmless", said)

    def test_verbose(self) -> None:
        """``--verbose`` shows the log as it is, but printable."""
        for option in ("--verbose", "-v"):
            said = self.said(option)
            self.assertIn("[test#warn] harmless 1\n", said)
            self.assertIn("[test#error] broken 2\\x1b[2J\n", said)


class ModuleTests(SynchronousTestCase):
    """``python -m twisted_transfer``."""

    def test_same(self) -> None:
        """It runs the program."""
        process = subprocess.run(
            [*COMMAND, "--help"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            text=True,
            timeout=30,
        )
        self.assertEqual(process.returncode, 0)
        self.assertTrue(process.stdout.startswith("Usage: twisted-transfer COMMAND"))


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
        if not self._running:
            raise ReactorNotRunning
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
            from twisted_transfer.command import main
            from twisted_transfer.command.reports import ConsoleReport

            def close(failure):
                print("closing", flush=True)
                return Deferred()

            main._GRACE = 0.0
            work = Deferred()
            work.addErrback(close)
            reactor.callWhenRunning(print, "running", flush=True)
            main.Run(reactor, lambda: work, ConsoleReport(None)).untilDone()
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
