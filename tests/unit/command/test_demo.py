"""
Tests for :mod:`twisted_transfer.command.demo`; the demo itself is run in
``tests/programs``.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.command.demo import _Process


class _Child:
    """A process that a signal may end."""

    def __init__(self, process: _Process, mortal: str) -> None:
        """
        :param process: is told of the end.
        :param mortal: the signal that ends it.
        """
        self._process = process
        self._mortal = mortal
        self._gone = False
        self.signals: list[str] = []

    def signalProcess(self, name: str) -> None:
        """Take a signal, as Twisted's transport of a process does."""
        if self._gone:
            raise ProcessExitedAlready()
        self.signals.append(name)
        if name == self._mortal:
            self._gone = True
            number = {"TERM": 15, "KILL": 9}[name]
            self._process.processEnded(Failure(ProcessTerminated(signal=number)))


class EndTests(SynchronousTestCase):
    """A process is ended, by force if need be."""

    def ended(self, mortal: str, seconds: float) -> _Child:
        """:returns: a process that was told to end, so many seconds ago."""
        clock = Clock()
        process: Any = _Process(lambda line: None, "")
        child = process.transport = _Child(process, mortal)
        ending = process.end(clock)
        clock.advance(seconds)
        self.assertIsNone(self.successResultOf(ending))
        self.assertEqual(clock.getDelayedCalls(), [])
        return child

    def test_willing(self) -> None:
        """SIGTERM is enough for a process that heeds it."""
        self.assertEqual(self.ended("TERM", 0).signals, ["TERM"])

    def test_unwilling(self) -> None:
        """A process that ignores SIGTERM gets SIGKILL some seconds later."""
        self.assertEqual(self.ended("KILL", 5).signals, ["TERM", "KILL"])

    def test_over(self) -> None:
        """A process that has ended gets no signal, and its status is known."""
        process: Any = _Process(lambda line: None, "")
        child = process.transport = _Child(process, "TERM")
        process.end(Clock())
        self.assertIsNone(self.successResultOf(process.end(Clock())))
        self.assertEqual(child.signals, ["TERM"])
        self.assertEqual(self.successResultOf(process.ended.wait()), 128 + 15)

    def test_status(self) -> None:
        """The exit status of a process that ends by itself is passed on."""
        process = _Process(lambda line: None, "")
        process.processEnded(Failure(ProcessDone(0)))
        self.assertEqual(self.successResultOf(process.ended.wait()), 0)
        self.assertIsNone(self.successResultOf(process.invited.wait()))
