"""
``twisted-transfer demo``: an invitation and a receipt, seen on one machine.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.python.usage import Completer, Completions, UsageError

from twisted_transfer.command.commandline import Versioned
from twisted_transfer.command.reports import ConsoleReport, Report, Status, sayable
from twisted_transfer.deferreds import Promise, atMost, deferring

_PATIENCE = 5.0
"""Seconds that a process has to end by itself after SIGTERM."""

_MEBIBYTE = 1024 * 1024

# It listens on this machine only, and not for ever if the other process fails.
_WAITS = "transfer:passive:mtls:port=0:interface=127.0.0.1:within=60"

_INVITED = "partner: "
"""What stands before the command that invites the partner."""


class _Process(ProcessProtocol):
    """
    A ``twisted-transfer`` process whose lines are passed on.

    :ivar invited: has the description that lets the partner in, or None if the
        process ended without one.
    :ivar ended: has the exit status: 128 and the number of the signal if one ended
        the process.
    """

    def __init__(self, tell: Callable[[str], object], stdin: str) -> None:
        """
        :param tell: called with each line that the process writes.
        :param stdin: what the process reads.
        """
        self.invited: Promise[str | None] = Promise()
        self.ended: Promise[int] = Promise()
        self._tell = tell
        self._stdin = stdin
        self._unfinished = b""

    def connectionMade(self) -> None:
        """Give the process its standard input."""
        assert self.transport is not None
        self.transport.write(self._stdin.encode())
        self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Pass on whole lines, and take the invitation from its line."""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in map(os.fsdecode, lines):
            self._tell(line)
            if line.startswith(_INVITED):
                self.invited.fire(shlex.split(line)[-1])

    def processEnded(self, reason: Failure) -> None:
        """Pass on the exit status."""
        value: Any = reason.value
        self.invited.fire(None)
        self.ended.fire(128 + value.signal if value.signal else value.exitCode)

    @deferring
    async def end(self, reactor: Any) -> None:
        """
        End the process if it runs, by force if that takes too long.

        :returns: a Deferred that fires when it has ended.
        """
        self._signal("TERM")
        await atMost(reactor, _PATIENCE, self.ended.wait())
        self._signal("KILL")
        await self.ended.wait()

    def _signal(self, name: str) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)  # type: ignore[union-attr]


def _readSize(text: str) -> int:
    """
    Read the value of ``--size``.

    :param text: the value.
    :returns: the number of MiB.
    :raises UsageError: if it is invalid.
    """
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"--size {text}: give a whole number of MiB, 1 or more")
    return int(text)


class DemoOptions(Versioned):
    """The options of ``demo``."""

    synopsis = "[options]"
    longdesc = (
        "Move a generated file between two processes on this machine, each time by "
        "an invitation and with a receipt: first the sender dials, then the receiver. "
        "Everything is made in a temporary folder and removed at the end."
    )
    compData = Completions(optActions={"size": Completer()})
    optParameters: ClassVar[list[list[Any]]] = [
        ["size", "s", 64, "The size of the file in MiB.", _readSize],
    ]

    def job(self, reactor: Any, report: Report) -> Demo:
        """:returns: the demonstration, which has not begun."""
        return Demo(reactor, self["size"])


class Demo:
    """Two transfers between two processes each."""

    def __init__(self, reactor: Any, mebibytes: int) -> None:
        """
        :param reactor: runs the processes.
        :param mebibytes: the size of the file.
        """
        self._reactor = reactor
        self._mebibytes = mebibytes
        self._show = ConsoleReport(sys.stdout).say
        self._complain = ConsoleReport(sys.stderr).complain
        self._folder = Path()
        self._processes: list[_Process] = []

    @deferring
    async def run(self) -> int:
        """
        Show both transfers.

        :returns: a Deferred with the exit status, when every process has ended
            and the folder is gone; it may be cancelled.
        """
        try:
            with TemporaryDirectory(prefix="twisted-transfer-demo-") as folder:
                self._folder = Path(folder)
                try:
                    return await self._inFolder()
                finally:
                    await gatherResults([p.end(self._reactor) for p in self._processes])
        except OSError as error:
            self._complain(f"the demonstration has failed: {error}")
            return Status.LOCAL

    async def _inFolder(self) -> int:
        self._show(
            f"Two processes on this machine move a file of {self._mebibytes} MiB.  The "
            "one that waits\ninvites the other, and nobody else gets in."
        )
        with open(self._folder / "original", "xb") as file:
            for _ in range(self._mebibytes):
                file.write(os.urandom(_MEBIBYTE))
                await self._breathe()
        directions = [("receiver", "sender"), ("sender", "receiver")]
        for number, (waits, dials) in enumerate(directions, 1):
            self._show(f"\n{number}. The {waits} waits, the {dials} dials.")
            status = await self._transfer(f"received-{number}", waits, dials)
            if status != Status.DONE:
                return status
        self._show(
            "\nBoth worked: which side dials says nothing about who sends.\n"
            "Next: twisted-transfer send FILE, and on another machine the command that "
            "it prints."
        )
        return Status.DONE

    async def _transfer(self, received: str, waits: str, dials: str) -> int:
        """
        Move the file once, and compare it.

        :param received: the name that it gets.
        :param waits: the side that waits: ``sender`` or ``receiver``.
        :param dials: the other one.
        :returns: the exit status.
        """
        words = {"sender": ["send", "original"], "receiver": ["receive", received]}
        waiting = self._start(waits, [*words[waits], _WAITS])
        invitation = await waiting.invited.wait()
        if invitation is None:
            return await waiting.ended.wait()
        # Others can see command lines, so the secret is given by standard input.
        dialling = self._start(dials, [*words[dials], "-"], f"{invitation}\n")
        for process in (dialling, waiting):
            status = await process.ended.wait()
            if status != Status.DONE:
                return status
        digest = await self._digest("original")
        if await self._digest(received) != digest:
            self._complain("the received file is not the one that was sent")
            return Status.TRUNCATED
        self._show(f"   Both files have the same SHA-256, {digest[:16]}...")
        (self._folder / received).unlink()
        return Status.DONE

    def _start(self, role: str, words: list[str], stdin: str = "") -> _Process:
        """Start ``twisted-transfer`` in the folder, as a user would type it."""
        self._show(f"   $ twisted-transfer {shlex.join(words)}")
        if stdin:
            self._show(f"     description: {sayable(stdin.strip())}")
        process = _Process(
            lambda line: self._show(f"     {role + ':':9} {sayable(line)}"), stdin
        )
        self._reactor.spawnProcess(
            process,
            sys.executable,
            # Python looks for modules in the folder where -m is given: in this
            # one there is only what was made here, in the caller's anything.
            [sys.executable, "-m", "twisted_transfer", *words],
            env=None,
            path=str(self._folder),
        )
        self._processes.append(process)
        return process

    async def _digest(self, name: str) -> str:
        """:returns: the digest of a file in the folder."""
        digest = hashlib.sha256()
        with open(self._folder / name, "rb") as file:
            while block := file.read(_MEBIBYTE):
                digest.update(block)
                await self._breathe()
        return digest.hexdigest()

    def _breathe(self) -> Deferred[None]:
        """Let the reactor do what else is due, such as a signal's work."""
        return deferLater(self._reactor, 0)
