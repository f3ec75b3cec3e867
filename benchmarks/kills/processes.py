"""
One side of a transfer: the command in a process of its own.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]


class TooLong(Exception):
    """An event did not happen in time."""


class TooEarly(Exception):
    """A process has ended too early."""


class Side:
    """
    A process, and its standard error.

    :ivar said: its output so far.
    """

    def __init__(self, words: Sequence[str], description: str) -> None:
        """
        :param words: what stands between the name of the program and the
            description.
        :param description: is given on standard input, for it may hold a secret.
        """
        self.said = ""
        self._errors, stderr = os.pipe()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "twisted_transfer", *words, "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, "PYTHONPATH": path},
                cwd=ROOT,  # -m looks in it for modules
            )
        finally:
            os.close(stderr)
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(f"{description}\n".encode())

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it, if it still runs."""
        self.kill()
        os.close(self._errors)

    def kill(self) -> bool:
        """
        End it by SIGKILL, and wait until it has gone.

        :returns: whether it still ran; False if it had ended by itself.
        """
        self._process.kill()
        return self._process.wait() < 0

    def _hear(self, seconds: float) -> bool:
        """:returns: whether there is more output, or its end."""
        ready, _, _ = select.select([self._errors], [], [], max(seconds, 0))
        if not ready:
            return False
        data = os.read(self._errors, 65536)
        self.said += data.decode(errors="replace")
        return bool(data)

    def hasSaid(self, text: str) -> bool:
        """
        :param text: some words.
        :returns: whether they are among what it has written by now.
        """
        while self._hear(0):
            pass
        return text in self.said

    def invitation(self, seconds: float) -> tuple[int, str]:
        """
        Wait until it listens.

        :param seconds: how long at most.
        :returns: on which port, and the description for its partner.
        :raises TooLong: if it does not.
        :raises TooEarly: if it ends instead.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = re.search(r"^partner: (.*)\n", self.said, re.MULTILINE)
            if found is not None:
                break
            if not self._hear(deadline - time.monotonic()):
                status = self.end(deadline - time.monotonic())
                raise TooEarly(f"it ends with {status}; it has said:\n{self.said}")
        description = shlex.split(found[1])[-1]
        port = re.search(r":port=(\d+)", description)
        assert port is not None, description
        return int(port[1]), description

    def end(self, seconds: float) -> int:
        """
        Wait for its end.

        :param seconds: how long at most.
        :returns: its exit status, negative for a signal.
        :raises TooLong: if it goes on.
        """
        deadline = time.monotonic() + seconds
        while self._hear(deadline - time.monotonic()):
            pass
        try:
            return self._process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            raise TooLong(f"it goes on; it has said:\n{self.said}") from None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None
