"""
Processes: started, listened to, fed, and ended with their test.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

reactor: Any = _reactor

# A program that takes longer than this for anything has hung.
_DEADLINE = 30.0


class Program(ProcessProtocol):
    """
    One process.

    :ivar output: what it has written to its standard output, unless
        that is a file.
    :ivar began: fires with the first of it.
    """

    def __init__(
        self,
        case: TestCase,
        *words: str | Path,
        folder: Path,
        stdin: Path | None = None,
        stdout: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """
        :param case: kills the process at its end, if it still runs.
        :param words: the path of the program, and its arguments.
        :param folder: the current folder of the process.
        :param stdin: a file for its standard input, in place of a pipe that
            stays open.
        :param stdout: a file for its standard output, in place of a pipe.
        :param environment: is added to that of this process.
        """
        self.output = b""
        self.began: Deferred[None] = Deferred()
        self._errors = b""
        self._waiting: list[tuple[re.Pattern[str], Deferred[str]]] = []
        self._status: int | None = None
        self._ending: list[Deferred[int]] = []
        self._words = " ".join(map(str, words))
        descriptors: dict[int, Any] = {0: "w", 1: "r", 2: "r"}
        if stdin is not None:
            descriptors[0] = os.open(stdin, os.O_RDONLY)
        if stdout is not None:
            descriptors[1] = os.open(stdout, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            self._process = reactor.spawnProcess(
                self,
                str(words[0]),
                [str(word) for word in words],
                env={**os.environ, **(environment or {})},
                path=str(folder),
                childFDs=descriptors,
            )
        finally:
            for descriptor in descriptors.values():
                if isinstance(descriptor, int):
                    os.close(descriptor)
        case.addCleanup(self._cleanUp)

    def _cleanUp(self) -> Deferred[int] | None:
        if self._status is not None:
            return None
        # It may have gone without the end of its output having been heard yet.
        with suppress(ProcessExitedAlready):
            self.kill()
        return self.ended()

    # What it says.

    def _report(self) -> str:
        """Everything that a person wants to see of it in a failed test."""
        said = (self.output[-2000:] + self._errors[-5000:]).decode("utf-8", "replace")
        return f"{self._words}\nhas said:\n{said}"

    def outReceived(self, data: bytes) -> None:
        """It has written to its standard output."""
        first = not self.output
        self.output += data
        self._listen()
        if first:
            self.began.callback(None)

    def errReceived(self, data: bytes) -> None:
        """It has written to its standard error."""
        self._errors += data
        self._listen()

    def _find(self, pattern: re.Pattern[str]) -> str | None:
        for stream in (self._errors, self.output):
            # A line counts when all of it has come.
            for line in stream.decode("utf-8", "replace").split("\n")[:-1]:
                found = pattern.search(line)
                if found:
                    return found[1]
        return None

    def _listen(self) -> None:
        for entry in list(self._waiting):
            found = self._find(entry[0])
            if found is not None:
                self._waiting.remove(entry)
                entry[1].callback(found)

    def says(self, pattern: str) -> Deferred[str]:
        """
        Wait for a line on its standard error or output.

        :param pattern: a regular expression with one group.
        :returns: a Deferred with what is in the group in the first such line.
        """
        waiting: Deferred[str] = Deferred()
        self._waiting.append((re.compile(pattern), waiting))
        self._listen()
        if self._status is not None and not waiting.called:
            waiting.errback(self._silent(pattern))
        return self._soon(waiting, f"to say {pattern!r}")

    def _silent(self, pattern: str) -> AssertionError:
        return AssertionError(f"it ended without {pattern!r}: {self._report()}")

    def _soon(self, waiting: Deferred[Any], what: str) -> Deferred[Any]:
        """Bound a wait, and say what was waited for."""

        def tooLong(result: object, seconds: float) -> None:
            raise AssertionError(f"{seconds} s are not enough {what}: {self._report()}")

        return waiting.addTimeout(_DEADLINE, reactor, onTimeoutCancel=tooLong)

    # What it is told.

    def write(self, data: bytes, *, last: bool = False) -> None:
        """
        Write to its standard input.

        :param data: what to write.
        :param last: whether to close the input behind it.
        """
        self._process.write(data)
        if last:
            self._process.closeStdin()

    def feed(self, data: bytes) -> Deferred[None]:
        """
        Write to its standard input, and leave that open.

        :param data: what to write.
        :returns: a Deferred that fires when the system has taken all of it: the
            program has read it then, but for what a pipe can hold.
        """
        feeding = _Feeding(self._process.pipes[0], data)
        return self._soon(feeding.taken, "to take its input")

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.signalProcess("KILL")

    # Its end.

    def processEnded(self, reason: Failure) -> None:
        """Note its exit status; all of its output was received before."""
        value: Any = reason.value
        signalled = isinstance(value, ProcessTerminated) and value.signal
        status = -value.signal if signalled else value.exitCode
        self._status = status
        waiting, self._waiting = self._waiting, []
        for pattern, each in waiting:
            each.errback(self._silent(pattern.pattern))
        ending, self._ending = self._ending, []
        for every in ending:
            every.callback(status)

    def ended(self) -> Deferred[int]:
        """
        :returns: a Deferred with its exit status, negative for a signal.
        """
        ending: Deferred[int] = Deferred()
        if self._status is None:
            self._ending.append(ending)
        else:
            ending.callback(self._status)
        return self._soon(ending, "to end")

    async def endsWith(self, status: int) -> None:
        """
        Wait for its end.

        :param status: the exit status that is owed.
        :raises AssertionError: if it is another one.
        """
        found = await self.ended()
        if found != status:
            raise AssertionError(f"status {found}, not {status}: {self._report()}")


@implementer(IPullProducer)
class _Feeding:
    """
    Gives data to a pipe.

    A pull producer is asked for more when all that it gave was taken.

    :ivar taken: fires then.
    """

    def __init__(self, pipe: Any, data: bytes) -> None:
        self.taken: Deferred[None] = Deferred()
        self._pipe = pipe
        self._data = data
        pipe.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Give all of it, and the next time know that it was taken."""
        data, self._data = self._data, b""
        if data:
            self._pipe.write(data)
        else:
            self._pipe.unregisterProducer()
            self.taken.callback(None)

    def stopProducing(self) -> None:
        """Nobody reads it any more."""
        if not self.taken.called:
            self.taken.errback(AssertionError("it ended before it took its input"))
