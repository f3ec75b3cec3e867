"""
Start the command in processes that have imported it already.

An interpreter takes a third of a second to start and to import the command, which the
tests of it would pay three hundred times.  One process imports it and forks for each
test instead.  What runs then is the program itself, in a process of its own.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
_STATUS = struct.Struct("=i")
_LONGEST = 200_000
"""Bytes of the longest request: arguments and environment."""


# In the process of the tests.


class Forks:
    """The process that forks."""

    def __init__(self) -> None:
        self._requests, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(there.fileno())],
                pass_fds=[there.fileno()],
                cwd=ROOT,
            )

    def close(self) -> None:
        """End it, and wait for its end."""
        self._requests.close()
        self._process.wait()

    def start(
        self,
        words: Sequence[str],
        stdin: int | IO[Any],
        stdout: int | IO[Any],
        stderr: int,
    ) -> ForkedProcess:
        """
        Start a process.

        :param words: the name of a module, which is run as by ``python -m``, and the
            arguments.
        :param stdin: as :class:`subprocess.Popen` takes it.
        :param stdout: as that takes it.
        :param stderr: a descriptor.
        """
        with contextlib.ExitStack() as passed:

            def pipe(given: int | IO[Any], mode: str) -> tuple[int, IO[Any] | None]:
                if given == subprocess.PIPE:
                    read, write = os.pipe()
                    ours, theirs = (read, write) if mode == "rb" else (write, read)
                    passed.callback(os.close, theirs)
                    return theirs, open(ours, mode)
                if given == subprocess.DEVNULL:
                    nowhere = os.open(os.devnull, os.O_RDWR)
                    passed.callback(os.close, nowhere)
                    return nowhere, None
                return given if isinstance(given, int) else given.fileno(), None

            source, toStdin = pipe(stdin, "wb")
            target, fromStdout = pipe(stdout, "rb")
            statuses, status = os.pipe()
            passed.callback(os.close, status)
            request = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
            ends = [source, target, stderr, status]
            socket.send_fds(self._requests, [request], ends)
        return ForkedProcess(statuses, toStdin, fromStdout)


class ForkedProcess:
    """
    One process, with what :class:`subprocess.Popen` has.

    :ivar pid: its process id.
    :ivar stdin: the pipe to its standard input, if there is one.
    :ivar stdout: the pipe from its standard output, if there is one.
    """

    def __init__(
        self, statuses: int, stdin: IO[Any] | None, stdout: IO[Any] | None
    ) -> None:
        self._statuses = statuses
        self.stdin = stdin
        self.stdout = stdout
        [self.pid] = _STATUS.unpack(os.read(self._statuses, _STATUS.size))
        self._status: int | None = None

    def poll(self) -> int | None:
        """:returns: the exit status, negative for a signal; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """
        Wait for its end.

        :param timeout: seconds.
        :returns: the exit status, negative for a signal.
        :raises subprocess.TimeoutExpired: if it does not end.
        """
        if self._status is None:
            if not select.select([self._statuses], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            [status] = _STATUS.unpack(os.read(self._statuses, _STATUS.size))
            os.close(self._statuses)
            self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, if it still runs."""
        self.send_signal(signal.SIGKILL)


# In the process that forks.


def _serve(requests: socket.socket) -> None:
    """Fork for each request, until there are no more."""
    # Ctrl-C at the tests' terminal is the tests' own matter.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    while True:
        request, ends, _flags, _address = socket.recv_fds(requests, _LONGEST, 4)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            words, folder, environment = json.loads(request)
            return _watch(words, folder, environment, ends)
        for end in ends:
            os.close(end)


def _watch(
    words: list[str], folder: str, environment: dict[str, str], ends: list[int]
) -> None:
    """Fork once more, and report the process and how it has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *standard, statuses = ends
    process = os.fork()
    if process == 0:
        os.close(statuses)
        return _become(words, folder, environment, standard)
    for end in standard:
        os.close(end)
    os.write(statuses, _STATUS.pack(process))
    os.write(statuses, _STATUS.pack(os.waitpid(process, 0)[1]))
    os._exit(0)


def _become(
    words: list[str], folder: str, environment: dict[str, str], ends: list[int]
) -> None:
    """Be the program."""
    for number, end in enumerate(ends):
        os.dup2(end, number)
        os.close(end)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def main() -> None:
    """Import the command, and fork."""
    import twisted.internet.epollreactor  # not the reactor, which is made in each
    import twisted.internet.ssl  # noqa: F401

    import twisted_transfer.command.bridging
    import twisted_transfer.command.demo
    import twisted_transfer.command.main
    import twisted_transfer.command.options
    import twisted_transfer.receipts.boxes
    import twisted_transfer.transfers.raw  # noqa: F401

    _serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
