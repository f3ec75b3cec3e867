"""
A receiver that is killed, run as a program of its own.

``python -m tests.support.mortal steps TARGET`` reads lines ``STEP FORCE``.  For each it
receives :data:`CONTENT` in a child process that is killed (SIGKILL) before its
system call number STEP, and prints the result of the child: its signal or,
negative, its exit status.

``python -m tests.support.mortal stream TARGET`` receives its standard input.  It prints
``open``, and then, before it reads, the length of the part that it resumes.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from tests.support.receiptcases import NONCE, proofOf
from twisted_transfer.receipts.receiving import ResumableFileDestination

CONTENT = bytes(range(256)) * 5
PIECE = 300

# All that is done to the file and its folder.
_CALLS = (
    *("open", "ftruncate", "lseek", "pread", "write", "fchmod", "fsync", "link"),
    *("rename", "replace", "unlink", "close"),
)


def begun(target: str, content: bytes, force: bool) -> ResumableFileDestination:
    """:returns: a destination that goes on if what is there fits the content."""
    destination = ResumableFileDestination(target, force)
    destination.open()
    found = destination.found
    destination.start(
        found if _proved(destination) == [proofOf(content[:found])] else 0
    )
    return destination


def _proved(destination: ResumableFileDestination) -> list[bytes]:
    """:returns: the proof that is right for what is there, if anything is."""
    proofs: list[bytes] = []
    if destination.found:
        destination.prove(NONCE).addCallback(proofs.append)
    return proofs


def _countDown(step: int) -> None:
    """Kill this process before a certain system call."""
    left = [step]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in _CALLS:
        setattr(os, name, counted(getattr(os, name)))
    fcntl.flock = counted(fcntl.flock)


def _steps(target: str) -> None:
    for line in sys.stdin:
        step, force = map(int, line.split())
        child = os.fork()
        if child == 0:
            _countDown(step)
            destination = begun(target, CONTENT, bool(force))
            while destination.size < len(CONTENT):
                destination.write(CONTENT[destination.size :][:PIECE])
            destination.finish()
            os._exit(0 if os.path.exists(target) else 1)
        _, status = os.waitpid(child, 0)
        print(-os.waitstatus_to_exitcode(status), flush=True)


def _stream(target: str) -> None:
    destination = ResumableFileDestination(target, True)
    destination.open()
    print("open", flush=True)
    _proved(destination)
    destination.start(destination.found)
    print(destination.size, flush=True)
    while data := os.read(0, 5000):
        destination.write(data)
    destination.finish()


if __name__ == "__main__":
    {"steps": _steps, "stream": _stream}[sys.argv[1]](sys.argv[2])
