"""
One of the processes of the demonstration: this very program once more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from twisted_transfer.statuses import Status

_PATIENCE = 5.0
"""Seconds that a process has for ending itself when it is told to."""


class DemoProcess(ProcessProtocol):
    """A ``twisted-transfer`` process whose lines are passed on."""

    def __init__(self, reactor: Any, tell: Callable[[str], None]) -> None:
        """
        :param reactor: runs it.
        :param tell: is called with each line that it says.
        """
        self._reactor = reactor
        self._tell = tell
        self._buffer = b""
        self._lines: list[str] = []
        self._status: int | None = None
        self._lineWaiters: list[tuple[str, Deferred[str | None]]] = []
        self._endWaiters: list[Deferred[int]] = []

    def spawn(self, words: list[str]) -> None:
        """
        Start it.

        :param words: the command line behind the name of the program.
        """
        self._reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-m", "twisted_transfer", *words],
            env=None,
            childFDs={0: "w", 1: "r", 2: "r"},
        )

    def connectionMade(self) -> None:
        """It runs; there is nothing for it to read."""
        self.transport.closeStdin()  # type: ignore[union-attr]

    def whenSaid(self, beginning: str) -> Deferred[str | None]:
        """
        :param beginning: of a line.
        :returns: a Deferred with the first line that begins so, or None when
            the process has ended without it.
        """
        waiter: Deferred[str | None] = Deferred()
        said = [line for line in self._lines if line.startswith(beginning)]
        if said or self._status is not None:
            waiter.callback(said[0] if said else None)
        else:
            self._lineWaiters.append((beginning, waiter))
        return waiter

    def whenEnded(self) -> Deferred[int]:
        """
        :returns: a Deferred with the exit status; 128 and the number of the
            signal if one has ended it.
        """
        waiter: Deferred[int] = Deferred()
        if self._status is not None:
            waiter.callback(self._status)
        else:
            self._endWaiters.append(waiter)
        return waiter

    def end(self) -> Deferred[int]:
        """
        End it if it runs, by force if it takes too long.

        :returns: as :meth:`whenEnded`.
        """
        ended = self.whenEnded()
        if self._status is None:
            self._signal("TERM")
            force = self._reactor.callLater(_PATIENCE, self._signal, "KILL")

            def calm(status: int) -> int:
                if force.active():
                    force.cancel()
                return status

            ended.addCallback(calm)
        return ended

    def _signal(self, name: str) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)  # type: ignore[union-attr]

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It says something."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._said(os.fsdecode(line))

    def _said(self, line: str) -> None:
        self._lines.append(line)
        self._tell(line)
        waiters, self._lineWaiters = self._lineWaiters, []
        for beginning, waiter in waiters:
            if line.startswith(beginning):
                waiter.callback(line)
            else:
                self._lineWaiters.append((beginning, waiter))

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and has said everything."""
        assert isinstance(reason.value, ProcessDone | ProcessTerminated)
        code, number = reason.value.exitCode, reason.value.signal
        self._status = Status.BUG if number is None else 128 + number
        if code is not None:
            self._status = code
        lineWaiters, self._lineWaiters = self._lineWaiters, []
        for _, lineWaiter in lineWaiters:
            lineWaiter.callback(None)
        endWaiters, self._endWaiters = self._endWaiters, []
        for endWaiter in endWaiters:
            endWaiter.callback(self._status)
