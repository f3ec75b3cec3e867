"""
What a test leaves behind that was not there before it.

:class:`Watch` takes a :class:`Snapshot` of the process before a test and names
afterwards whatever is new: descriptors, threads, child processes, what the
global reactor still has to do, and errors that were not handled.

The global reactor is only ever looked at where something else has imported it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from twisted.internet import tcp
from twisted.internet.protocol import ServerFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, eventAsText, globalLogBeginner
from twisted.python.log import theLogPublisher
from zope.interface import implementer

from twisted_transfer.data.openings import openings

_DESCRIPTORS = "/proc/self/fd"

# What a descriptor stands for: its device and inode.
_Identity = tuple[int, int]


@dataclass(frozen=True)
class Snapshot:
    """What the process had at one moment."""

    descriptors: dict[int, _Identity]
    threads: frozenset[threading.Thread]
    children: frozenset[int]
    handlers: dict[signal.Signals, Any]
    reactor: Any


@implementer(ILogObserver)
class _LoggedFailures:
    """
    The failures that were logged while no trial test was listening.

    Those that are logged while one runs are trial's: it knows which of them
    the test has flushed, and reports the others itself.  They are kept as
    text, so that nothing is kept alive by having been logged.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        """Keep an event that says that something failed."""
        if "log_failure" in event and not self._trialListens():
            text = eventAsText(event, includeTimestamp=False, includeSystem=False)
            self._texts.append(f"logged failure: {text.strip()}")

    def _trialListens(self) -> bool:
        owners = (getattr(o, "__self__", None) for o in theLogPublisher.observers)
        return any(type(o).__module__.startswith("twisted.trial.") for o in owners)

    def take(self) -> list[str]:
        """What was logged since this was last asked."""
        taken, self._texts = self._texts, []
        return taken


class Watch:
    """
    Looks at the process before and after each test.

    There is one in a test run, because it takes part in the global log.
    """

    def __init__(self) -> None:
        self._failures = _LoggedFailures()
        # Until logging begins, Twisted keeps the last events, and with them
        # whatever they mention: a Deferred among that would not be collected,
        # and its error not be seen.
        showwarning = warnings.showwarning
        globalLogBeginner.beginLoggingTo(
            [self._failures], discardBuffer=True, redirectStandardIO=False
        )
        warnings.showwarning = showwarning
        _openReserve()
        _openNotice()

    def before(self) -> Snapshot:
        """Look at the process before a test."""
        return _snapshot()

    def after(self, before: Snapshot) -> list[str]:
        """
        Name what is left after a test, and clear away what can be.

        :param before: what :meth:`before` returned before that test.
        """
        left = [
            *_collectGarbage(),
            *self._failures.take(),
            *_clearReactor(_installedReactor()),
        ]
        now = _snapshot()
        left += _newThreads(before, now)
        left += _newChildren(before, now)
        left += _newDescriptors(before, now)
        for number, handler in before.handlers.items():
            # Each run of a reactor puts its own in place and leaves it there,
            # where it would make Ctrl-C do nothing between two tests.
            if now.handlers[number] is not handler:
                signal.signal(number, handler)
        return left


def _snapshot() -> Snapshot:
    return Snapshot(
        descriptors=dict(_descriptors()),
        threads=frozenset(threading.enumerate()),
        children=frozenset(_children()),
        handlers={n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)},
        reactor=_installedReactor(),
    )


def _collectGarbage() -> list[str]:
    """
    Collect all garbage now, so that what it logs is still this test's.

    :returns: what failed in that, among it what the warning filters make an
        error: to leave the closing of something to the garbage collector.
    """
    failed: list[str] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda args: failed.append(
        f"found as garbage: {args.object!r}: {args.exc_value!r}"
    )
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook
    return failed


def _openReserve() -> None:
    """
    Have Twisted open what its first port opens for good.

    It is a descriptor to give up when there are no more of them.
    """
    reactor = MemoryReactorClock()
    port = tcp.Port(0, ServerFactory(), interface="127.0.0.1", reactor=reactor)
    port.startListening()
    port.stopListening()
    reactor.advance(0)


def _openNotice() -> None:
    """Have the library open what its first part of a file opens for good."""
    with tempfile.TemporaryFile() as file:
        watch = openings().watch(file.fileno())
        openings().forget(watch)


# The reactor.


def _installedReactor() -> Any:
    """The global reactor, or None as long as nothing has imported it."""
    return sys.modules.get("twisted.internet.reactor")


def _clearReactor(reactor: Any) -> Iterator[str]:
    """Name what the reactor was still to do, and take it away from it."""
    if reactor is None:
        return
    for call in reactor.getDelayedCalls():
        yield f"delayed call: {call}"
        call.cancel()
    for selectable in reactor.removeAll():
        yield f"in the reactor: {selectable!r}"


# Threads and processes.


def _newThreads(before: Snapshot, now: Snapshot) -> Iterator[str]:
    pool = getattr(now.reactor, "threadpool", None)
    tolerated = before.threads.union(pool.threads if pool is not None else ())
    for thread in now.threads - tolerated:
        yield f"thread: {thread!r}"


def _children() -> Iterator[int]:
    """The process ids of this process's children, ended ones included."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return  # There are none.  That was quick, and is nearly always so.
    for name in os.listdir("/proc"):
        if name.isdigit():
            with (
                contextlib.suppress(FileNotFoundError, ProcessLookupError),
                open(f"/proc/{name}/stat", "rb") as file,
            ):
                # After the name, which may have anything in it: state, parent.
                parent = file.read().rpartition(b")")[2].split()[1]
                if int(parent) == os.getpid():
                    yield int(name)


def _newChildren(before: Snapshot, now: Snapshot) -> Iterator[str]:
    for child in sorted(now.children - before.children):
        with open(f"/proc/{child}/cmdline", "rb") as file:
            command = file.read().replace(b"\0", b" ").decode(errors="replace")
        yield f"child process: {child} {command or '(ended, not waited for)'}"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


# Descriptors.


def _descriptors() -> Iterator[tuple[int, _Identity]]:
    for name in os.listdir(_DESCRIPTORS):
        # One of the names is that of the descriptor that listed them.
        with contextlib.suppress(OSError):
            status = os.fstat(int(name))
            yield int(name), (status.st_dev, status.st_ino)


def _newDescriptors(before: Snapshot, now: Snapshot) -> Iterator[str]:
    # What the reactor waits for when all else has been taken from it are its
    # own wakers.  It makes new ones as it likes; a waker is both ends of a pipe.
    readers = now.reactor.getReaders() if now.reactor else ()
    wakers = {now.descriptors[reader.fileno()] for reader in readers}
    # Counted, not compared: what was open may since have got another number.
    had = Counter(before.descriptors.values())
    for number, target in sorted(now.descriptors.items()):
        if had[target]:
            had[target] -= 1
            continue
        description = _describe(number)
        isReactor = now.reactor is not before.reactor and "[eventpoll]" in description
        if target not in wakers and not isReactor:
            yield f"descriptor: {number} {description}"


def _describe(number: int) -> str:
    """Say what a descriptor stands for; of a socket, its two addresses."""
    target = os.readlink(f"{_DESCRIPTORS}/{number}")
    if target.startswith("socket:"):
        with socket.socket(fileno=os.dup(number)) as duplicate:
            target = f"{target} of {duplicate.family.name} at"
            target = f"{target} {duplicate.getsockname()!r}"
            with contextlib.suppress(OSError):
                target = f"{target} to {duplicate.getpeername()!r}"
    return target
