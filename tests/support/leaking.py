"""
Tests that each leave something behind, for ``test_conftest`` to run.

This module's name keeps it out of the collection.  ``test_conftest`` runs it
in a process of its own, where every test here but those named ``clean`` has to
be found out, and the clean ones, which stand between the others, must not be
blamed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.test_conftest import LEAKS

# What is not to be closed by being forgotten.
_kept: list[object] = []


class _Cycle:
    """Something that only the garbage collector can free, with what it holds."""

    def __init__(self, held: object) -> None:
        self.held = held
        self.itself = self


class _Reader(FileDescriptor):
    """A reader that stays in the reactor until it is removed."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Say which descriptor the reactor is to wait for."""
        return self._descriptor


def leakPort() -> None:
    """Leave a port listening."""
    _kept.append(reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1"))


def leakReader() -> None:
    """Leave a reader in the reactor."""
    reader, writer = os.pipe()
    _kept.append(writer)
    reactor.addReader(_Reader(reader))


def leakDelayedCall() -> None:
    """Leave a call that is due in the far future."""
    reactor.callLater(1000, print)


def leakSocket() -> None:
    """Leave a socket open."""
    left = socket.socket()
    left.bind(("127.0.0.1", 0))
    _kept.append(left)


def leakPipe() -> None:
    """Leave both ends of a pipe open."""
    _kept.append(os.pipe())


def leakThread() -> None:
    """Leave a thread waiting."""
    threading.Thread(
        target=threading.Event().wait, name="left-waiting", daemon=True
    ).start()


def leakChild() -> None:
    """Leave a process running."""
    command = [sys.executable, "-c", "import time; time.sleep(1000)"]
    _kept.append(subprocess.Popen(command))


def leakZombie() -> None:
    """Leave a child process that has ended, without waiting for it."""
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    _kept.append(process)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.read()


def leakError() -> None:
    """Leave an error in a Deferred that is dropped."""
    fail(LookupError("dropped"))


def leakErrorInCycle() -> None:
    """Leave an error in a Deferred that only the garbage collector can find."""
    _Cycle(fail(LookupError("in a cycle")))


def leakLoggedFailure() -> None:
    """Log a failure, and leave it at that."""
    try:
        raise LookupError("logged")
    except LookupError:
        Logger().failure("it went wrong")


def leakGarbageSocket() -> None:
    """Leave a socket for the garbage collector to close."""
    left = socket.socket()
    left.bind(("127.0.0.1", 0))
    _Cycle(left)


def leakCoroutine() -> None:
    """Leave a coroutine that was never awaited to the garbage collector."""

    async def forgotten() -> None:
        """Do nothing."""

    _Cycle(forgotten())


_FUNCTIONS: dict[str, Callable[[], None]] = {
    name.removeprefix("leak"): leak
    for name, leak in globals().items()
    if name.startswith("leak")
}
assert _FUNCTIONS.keys() == LEAKS.keys()


def _test(leak: Callable[[], None]) -> Callable[[object], None]:
    """Make a function into a method, which would be handed its instance."""
    return lambda self: leak()


def _methods() -> dict[str, Callable[[object], None]]:
    """One test method for each leak, and a clean one after each."""
    methods: dict[str, Callable[[object], None]] = {}
    for name, leak in _FUNCTIONS.items():
        methods[f"test_{name}"] = _test(leak)
        methods[f"test_{name}_clean"] = _test(lambda: None)
    return methods


class _HeldCase(SynchronousTestCase):
    __test__ = False

    def test_HeldError(self) -> None:
        """Leave an error in a Deferred that the test case itself holds."""
        self.held: Deferred[object] = fail(LookupError("held"))

    def test_HeldError_clean(self) -> None:
        """Leave nothing."""

    def test_Flushed_clean(self) -> None:
        """Log a failure and flush it."""
        leakLoggedFailure()
        [_] = self.flushLoggedErrors(LookupError)


class HeldTests(_HeldCase):
    """What only a test case can leave."""

    __test__ = True


class HeldAsyncTests(_HeldCase, TestCase):
    """What a test case can leave whose tests run the reactor."""

    __test__ = True

    def test_NotListening_clean(self) -> None:
        """Fail to listen, which makes Twisted drop a socket."""
        cycle = _Cycle(None)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            number = taken.getsockname()[1]
            try:
                reactor.listenTCP(number, ServerFactory(), interface="127.0.0.1")
            except CannotListenError as error:
                cycle.held = error

    def test_Listening_clean(self) -> Deferred[None] | None:
        """Listen on a port, and stop."""
        port = reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1")
        return port.stopListening()

    def test_Running_clean(self) -> Deferred[object]:
        """Use what the reactor makes when it is first used: threads and all."""
        from twisted.internet.threads import deferToThread

        return deferToThread(os.getpid)


SyncTests = type("SyncTests", (SynchronousTestCase,), _methods())
AsyncTests = type("AsyncTests", (TestCase,), _methods())
for _name, _leak in _FUNCTIONS.items():
    globals()[f"test_{_name}"] = _leak
    globals()[f"test_{_name}_clean"] = lambda: None
