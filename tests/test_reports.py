"""Tests for :mod:`twisted_transfer.reports`."""

from __future__ import annotations

import os
from io import StringIO

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.reports import ConsoleReport


class Terminal(StringIO):
    """A terminal that keeps what was written to it, as long as it takes it."""

    broken: Exception | None = None

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.broken is not None:
            raise self.broken
        return super().write(text)


class ConsoleReportTests(SynchronousTestCase):
    """Telling a person, or a script."""

    def setUp(self) -> None:
        self.stream = Terminal()
        self.patch(os, "environ", {**os.environ, "TERM": "xterm"})

    def test_say(self) -> None:
        """What is said is a line."""
        ConsoleReport(self.stream).say("listening")
        self.assertEqual(self.stream.getvalue(), "listening\n")

    def test_complain(self) -> None:
        """A complaint says whose it is."""
        ConsoleReport(self.stream).complain("no")
        self.assertEqual(self.stream.getvalue(), "twisted-transfer: no\n")

    def test_bug(self) -> None:
        """A bug comes with everything that helps to find it."""
        try:
            raise ZeroDivisionError("oops")
        except ZeroDivisionError:
            ConsoleReport(self.stream).bug(Failure())
        for text in ("bug", "Traceback", "ZeroDivisionError", "oops", "test_bug"):
            self.assertIn(text, self.stream.getvalue())

    def test_quiet(self) -> None:
        """Quiet, it tells errors only."""
        report = ConsoleReport(self.stream, quiet=True)
        report.say("listening")
        self.assertIsNone(report.progress("sending"))
        self.assertEqual(self.stream.getvalue(), "")
        report.complain("no")
        self.assertEqual(self.stream.getvalue(), "twisted-transfer: no\n")

    def test_progress(self) -> None:
        """There is a bar on a terminal."""
        progress = ConsoleReport(self.stream).progress("sending")
        assert progress is not None
        progress(1, 2)
        progress.close()
        self.assertIn("sending", self.stream.getvalue())

    def test_noTerminal(self) -> None:
        """There is none in a pipe, nor on a terminal that cannot go back."""
        self.assertIsNone(ConsoleReport(StringIO()).progress("sending"))
        os.environ["TERM"] = "dumb"
        self.assertIsNone(ConsoleReport(self.stream).progress("sending"))

    def test_broken(self) -> None:
        """A terminal that takes nothing more stops nothing."""
        report = ConsoleReport(self.stream)
        progress = report.progress("sending")
        assert progress is not None
        for error in (
            BlockingIOError(11, "Resource temporarily unavailable"),
            BrokenPipeError(32, "Broken pipe"),
            ValueError("I/O operation on closed file"),
        ):
            self.stream.broken = error
            report.say("listening")
            report.complain("no")
            progress(1, 2)
        progress.close()
        self.assertEqual(self.stream.getvalue(), "")

    def test_none(self) -> None:
        """Without standard error, as Python has it then, nothing is told."""
        report = ConsoleReport(None)
        report.say("listening")
        report.complain("no")
        self.assertIsNone(report.progress("sending"))

    def test_closed(self) -> None:
        """A stream that was closed is no terminal."""
        stream = StringIO()
        stream.close()
        self.assertIsNone(ConsoleReport(stream).progress("sending"))
