"""
Run the command in a process of its own, with plain sockets as its partner.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import select
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from twisted.trial.unittest import SynchronousTestCase

import twisted_transfer
from tests.support.forks import ForkedProcess, Forks

ROOT = Path(twisted_transfer.__file__).resolve().parent.parent
COMMAND = (sys.executable, "-m", "twisted_transfer")
TWIST = (sys.executable, "-m", "twisted", "--log-format=text", "--log-file=+")

# A process that takes longer than this has hung.
_DEADLINE = 30.0

forks: Forks | None = None
"""What starts those processes that need nothing of their own."""


class Program:
    """
    A process, and its standard error.

    :ivar said: its output there so far.
    """

    def __init__(
        self,
        case: SynchronousTestCase,
        words: Sequence[str],
        *,
        command: Sequence[str] = COMMAND,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] = subprocess.PIPE,
        terminal: bool = False,
        setUp: Callable[[], object] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """
        :param case: ends the process, if it does not end by itself.
        :param words: the command line after the name of the program.
        :param command: the program.
        :param stdin: its standard input.
        :param stdout: its standard output.
        :param terminal: whether its standard error is a terminal, not a pipe.
        :param setUp: called in the new process before the program.
        :param environment: is added to that of this process.  With it, even an empty
            one, with a ``setUp`` or another program the interpreter is started anew.
        """
        path = os.pathsep.join(
            filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])
        )
        self._errors, stderr = pty.openpty() if terminal else os.pipe()
        if terminal:
            size = struct.pack("HHHH", 24, 100, 0, 0)
            fcntl.ioctl(stderr, termios.TIOCSWINSZ, size)
        self.process: subprocess.Popen[Any] | ForkedProcess
        try:
            own = setUp is not None or environment is not None
            if forks and command is COMMAND and not own:
                module = [COMMAND[-1], *words]
                self.process = forks.start(module, stdin, stdout, stderr)
            else:
                self.process = subprocess.Popen(
                    [*command, *words],
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    preexec_fn=setUp,
                    env={**os.environ, "PYTHONPATH": path, **(environment or {})},
                )
        finally:
            os.close(stderr)
        self.said = ""
        self._read = 0
        case.addCleanup(self._cleanUp)

    def _cleanUp(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._errors)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                # What was not taken is lost with the process.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _hear(self, deadline: float) -> bool:
        """Read its next output; False at the end."""
        wait = max(deadline - time.monotonic(), 0)
        ready, _, _ = select.select([self._errors], [], [], wait)
        if not ready:
            raise AssertionError(f"it takes too long; it has said:\n{self.said}")
        try:
            data = os.read(self._errors, 65536)
        except OSError as error:
            # So ends a terminal whose other side is closed.
            if error.errno != errno.EIO:
                raise
            data = b""
        self.said += data.decode(errors="replace")
        return bool(data)

    def hears(self, text: str) -> None:
        """Wait until it has printed a text."""
        deadline = time.monotonic() + _DEADLINE
        while text not in self.said:
            if not self._hear(deadline):
                raise AssertionError(f"no {text!r}; it has said:\n{self.said}")

    def line(self, beginning: str) -> str:
        """
        Wait for a line.

        :param beginning: of the line.
        :returns: the rest of the next line that begins so.
        """
        deadline = time.monotonic() + _DEADLINE
        while True:
            *lines, _unfinished = self.said[self._read :].split("\n")
            for line in lines:
                self._read += len(line) + 1
                # Behind the time and the name that a log puts before it.
                _, found, rest = f"\n{line.rpartition('] ')[2]}".partition(
                    f"\n{beginning}"
                )
                if found:
                    return rest
            if not self._hear(deadline):
                raise AssertionError(f"no {beginning!r}; it has said:\n{self.said}")

    def port(self) -> int:
        """:returns: the port on which it says that it is listening."""
        return int(self.line("listening on ").rpartition(":")[2])

    def end(self) -> int:
        """
        Wait for its end.

        :returns: its exit status, negative for a signal.
        """
        deadline = time.monotonic() + _DEADLINE
        while self._hear(deadline):
            pass
        return self.process.wait(max(deadline - time.monotonic(), 1))

    def out(self) -> bytes:
        """:returns: everything on its standard output, up to its end."""
        assert self.process.stdout is not None
        out: bytes = self.process.stdout.read()
        return out


def listener(case: SynchronousTestCase) -> tuple[socket.socket, int]:
    """:returns: a socket that listens on a port of this machine, and the port."""
    sock = socket.socket()
    case.addCleanup(sock.close)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.settimeout(_DEADLINE)
    return sock, sock.getsockname()[1]


def dial(case: SynchronousTestCase, port: int) -> socket.socket:
    """:returns: a connection to a port of this machine."""
    sock = socket.create_connection(("127.0.0.1", port), _DEADLINE)
    case.addCleanup(sock.close)
    return sock


def accept(case: SynchronousTestCase, sock: socket.socket) -> socket.socket:
    """:returns: the next connection to a listening socket."""
    connection, _ = sock.accept()
    case.addCleanup(connection.close)
    connection.settimeout(_DEADLINE)
    return connection


def reset(sock: socket.socket) -> None:
    """Close a connection with a reset: whatever is on its way is lost."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def closedPort(case: SynchronousTestCase) -> int:
    """:returns: a port of this machine that refuses connections while the test runs."""
    sock = socket.socket()
    case.addCleanup(sock.close)
    sock.bind(("127.0.0.1", 0))
    port: int = sock.getsockname()[1]
    return port


def until(condition: Callable[[], object], what: str) -> None:
    """
    Wait for a condition of the system that has to be polled.

    :param condition: asks it.
    :param what: what is waited for.
    """
    deadline = time.monotonic() + _DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"it takes too long: {what}")
        select.select([], [], [], 0.005)


def dialled(port: int) -> int:
    """
    :returns: how many sockets on this machine wait for an answer from that
        port of 127.0.0.1: state SYN_SENT, as /proc/net/tcp has it.
    """
    host = "0100007F" if sys.byteorder == "little" else "7F000001"
    remote = f"{host}:{port:04X}"
    rows = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return sum(row.split()[2:4] == [remote, "02"] for row in rows)


def dropPrivileges() -> None:
    """
    Make permission bits apply to root, too; for the child of a fork.

    Without these capabilities (capabilities(7)) in its bounding set, a program
    that root executes does not get them.
    """
    if os.geteuid() == 0:
        import ctypes

        PR_CAPBSET_DROP = 24
        CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")
