"""
Run two processes that transfer something, and measure what they take.
"""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.speed.peers.common import HOST, MIB

LONGEST = 120.0
"""Seconds after which a process hangs, and is killed."""

_LISTENS = "0A"  # the state of a TCP socket, in /proc/net/tcp
_ACCEPTS = 0x10000  # a flag of a UNIX socket, in /proc/net/unix


class Failed(Exception):
    """A run has failed; the message says which, and how."""


@dataclass(frozen=True)
class Used:
    """
    What a process has used.

    :ivar cpu: CPU seconds, in user and system mode.
    :ivar memory: the largest resident memory, in MiB.
    """

    cpu: float
    memory: float


@dataclass(frozen=True)
class Run:
    """
    The figures of one run.

    :ivar seconds: from the start of the sender to the end of both processes.
    :ivar sender: what it has used.
    :ivar receiver: what it has used; of a bridge, what that has used.
    :ivar inside: from the first byte to the last, as the processes say, if they do.
    :ivar insideCPU: what CPU seconds both have used meanwhile.
    :ivar first: seconds from the start of the sender to the first byte of the
        output, where that is a pipe.
    """

    seconds: float
    sender: Used
    receiver: Used
    inside: float | None = None
    insideCPU: float | None = None
    first: float | None = None

    @property
    def cpu(self) -> float:
        """CPU seconds of both."""
        return self.sender.cpu + self.receiver.cpu

    @property
    def memory(self) -> float:
        """MiB of the larger one."""
        return max(self.sender.memory, self.receiver.memory)


class Child:
    """A process, and its standard error."""

    def __init__(
        self,
        command: Sequence[str],
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
    ) -> None:
        """Start it."""
        self._command = " ".join(command)[:300]
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=self._said
        )
        self._killer = threading.Timer(LONGEST, self._process.kill)
        self._killer.daemon = True
        self._killer.start()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def check(self) -> None:
        """
        Fail if it has ended.

        :raises Failed: if so.
        """
        if self._process.poll() is not None:
            raise Failed(f"too early an end of {self._command}:\n{self.said()}")

    def wait(self, stopped: bool = False) -> Used:
        """
        Wait for its end.

        :param stopped: whether it was told to end.
        :returns: what it has used.
        :raises Failed: if its status says that it has failed.
        """
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._killer.cancel()
        if self._process.returncode and not stopped:
            raise Failed(
                f"status {self._process.returncode} of {self._command}:\n{self.said()}"
            )
        return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def said(self) -> str:
        """:returns: what it has written to standard error."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace")

    def close(self) -> None:
        """Kill it if it still runs."""
        self._killer.cancel()
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def stop(self) -> None:
        """Tell it to end, and wait until it has."""
        self._process.send_signal(signal.SIGTERM)
        self.wait(stopped=True)
        self.close()


def freePort() -> int:
    """
    :returns: a TCP port on which nothing listens, and which Linux usually gives to
        nobody who asks for any: a program may take a while until it listens there.
    """
    while True:
        port = random.randrange(20_000, 32_768)
        with socket.socket() as found, suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((HOST, port))
            return port


def _isListening(address: str) -> bool:
    if not address.isdecimal():
        with open("/proc/net/unix", encoding="utf-8") as sockets:
            for line in sockets:
                if line.endswith(f" {address}\n"):
                    return bool(int(line.split()[3], 16) & _ACCEPTS)
        return False
    sought = f":{int(address):04X}"
    for table in filter(os.path.exists, ("/proc/net/tcp", "/proc/net/tcp6")):
        with open(table, encoding="ascii") as sockets:
            next(sockets)
            for line in sockets:
                _, local, _, state, *_ = line.split()
                if state != _LISTENS:
                    break  # those that listen come first; the others may be many
                if local.endswith(sought):
                    return True
    return False


def awaitListening(address: str, child: Child) -> None:
    """
    Wait until a process listens, which is seen without connecting to it.

    :param address: a port, or the path of a UNIX socket.
    :param child: the process.
    :raises Failed: if it ends instead.
    """
    while not _isListening(address):
        child.check()
        time.sleep(0.0005)


class Pipes:
    """
    A file that is fed into one pipe, and a file that another pipe is stored in.

    Both are done by the kernel, in threads of this process.
    """

    def __init__(self, source: Path, target: Path) -> None:
        """Make the pipes, of the size that Linux gives."""
        self.first: float | None = None
        self.stdin, self._feeds = os.pipe()
        self._drains, self.stdout = os.pipe()
        self._feeding = threading.Thread(target=self._feed, args=(source,))
        self._draining = threading.Thread(target=self._drain, args=(target,))

    def start(self) -> None:
        """Begin to feed; the processes have their ends."""
        os.close(self.stdin)
        os.close(self.stdout)
        self._draining.start()
        self._feeding.start()

    def _feed(self, source: Path) -> None:
        with source.open("rb", buffering=0) as file, os.fdopen(self._feeds, "wb"):
            try:
                while os.splice(file.fileno(), self._feeds, MIB):
                    pass
            except BrokenPipeError:
                pass  # the reader has failed, and says why

    def _drain(self, target: Path) -> None:
        with target.open("wb", buffering=0) as file, os.fdopen(self._drains, "rb"):
            while os.splice(self._drains, file.fileno(), MIB):
                if self.first is None:
                    self.first = time.monotonic()

    def join(self) -> None:
        """Wait until everything has come."""
        self._feeding.join()
        self._draining.join()


def _figures(child: Child) -> tuple[float, float, float] | None:
    """:returns: what a process says of itself: start, end, CPU seconds."""
    found = re.search(r"^figures (\S+) (\S+) (\S+)", child.said(), re.M)
    return (
        None if found is None else (float(found[1]), float(found[2]), float(found[3]))
    )


def transfer(
    receiving: Sequence[str],
    sending: Sequence[str],
    address: str,
    pipes: Pipes | None = None,
) -> Run:
    """
    Run a receiver, and when it listens a sender.

    :param receiving: the command of the receiver.
    :param sending: the command of the sender.
    :param address: where the receiver listens.
    :param pipes: the input of one and the output of the other.
    :returns: what they have taken.
    :raises Failed: if one of them has failed.
    """
    devNull = subprocess.DEVNULL
    receiver = Child(receiving, stdout=pipes.stdout if pipes else devNull)
    sender = None
    try:
        awaitListening(address, receiver)
        start = time.monotonic()
        sender = Child(sending, stdin=pipes.stdin if pipes else devNull)
        if pipes is not None:
            pipes.start()
        sent = sender.wait()
        received = receiver.wait()
        if pipes is not None:
            pipes.join()
        seconds = time.monotonic() - start
        ours, theirs = _figures(sender), _figures(receiver)
        inside = insideCPU = None
        if ours is not None and theirs is not None:
            inside, insideCPU = theirs[1] - ours[0], theirs[2] + ours[2]
        first = pipes.first - start if pipes and pipes.first else None
        return Run(seconds, sent, received, inside, insideCPU, first)
    except Failed as why:
        raise Failed(f"{why}\nthe receiver has said:\n{receiver.said()}") from why
    finally:
        receiver.close()
        if sender is not None:
            sender.close()


def bridged(
    relaying: Sequence[str],
    receiving: Sequence[str],
    sending: Sequence[str],
    addresses: tuple[str, str],
) -> Run:
    """
    Run a receiver, then a bridge that dials it, and when that listens a sender.

    :param relaying: the command of the bridge.
    :param receiving: the command of the receiver.
    :param sending: the command of the sender.
    :param addresses: where the bridge listens, and where the receiver does.
    :returns: what they have taken; CPU and memory of the bridge alone.
    :raises Failed: if one of them has failed.
    """
    children = [Child(receiving)]
    try:
        awaitListening(addresses[1], children[0])
        children.append(Child(relaying))
        awaitListening(addresses[0], children[1])
        start = time.monotonic()
        children.append(Child(sending))
        children[2].wait()
        children[0].wait()
        seconds = time.monotonic() - start
        used = children[1].wait()
        return Run(seconds, Used(0, 0), used)
    finally:
        for child in children:
            child.close()


def timed(command: Sequence[str]) -> float:
    """:returns: the seconds that a command takes."""
    start = time.monotonic()
    child = Child(command)
    try:
        child.wait()
        return time.monotonic() - start
    finally:
        child.close()


def untilListening(command: Sequence[str], port: int) -> float:
    """:returns: the seconds after which a command listens; then it is ended."""
    start = time.monotonic()
    child = Child(command)
    try:
        awaitListening(str(port), child)
        seconds = time.monotonic() - start
        child.stop()
        return seconds
    finally:
        child.close()


def floor() -> float:
    """:returns: the least MiB of memory that can be seen, those of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def python(module: str, *words: str) -> list[str]:
    """:returns: the command of a module."""
    return [sys.executable, "-m", module, *words]
