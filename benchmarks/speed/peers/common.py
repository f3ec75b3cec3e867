"""
What the small programs share; it imports little, so that they start fast.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import NamedTuple

HOST = "127.0.0.1"
MIB = 1 << 20


class Task(NamedTuple):
    """
    The words of the command line.

    :ivar role: ``send``, ``receive`` or ``relay``.
    :ivar transport: ``plain``, ``unix`` or ``mtls``.
    :ivar address: the port, or the path of the UNIX socket; of a relay the port on
        which it listens and the one that it dials, with a colon between.
    :ivar path: the file; ``-``: standard input or output.
    :ivar keys: the folder with ``certificate.pem`` and ``key.pem``, which both sides
        have, and which is the only one that both trust.
    """

    role: str
    transport: str
    address: str
    path: str
    keys: str

    @property
    def certificate(self) -> str:
        """The path of the certificate."""
        return f"{self.keys}/certificate.pem"

    @property
    def key(self) -> str:
        """The path of its private key."""
        return f"{self.keys}/key.pem"

    def open(self) -> int:
        """:returns: a descriptor of the file, to read from or to write to."""
        if self.role == "send":
            return 0 if self.path == "-" else os.open(self.path, os.O_RDONLY)
        if self.path == "-":
            return 1
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def task() -> Task:
    """:returns: what this process was asked to do."""
    return Task(*sys.argv[1:])


class Meter:
    """Measures from its beginning to :meth:`stop`."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._cpu = time.process_time()

    def stop(self, cipher: str = "") -> None:
        """Say what it took, on standard error."""
        cpu = time.process_time() - self._cpu
        figures = f"{self._start:.6f} {time.monotonic():.6f} {cpu:.6f}"
        print("figures", figures, cipher, file=sys.stderr)


def listen(transport: str, address: str) -> socket.socket:
    """:returns: a socket that listens."""
    if transport == "unix":
        port = socket.socket(socket.AF_UNIX)
        port.bind(address)
        port.listen()
        return port
    return socket.create_server((HOST, int(address)))


def connect(task: Task) -> socket.socket:
    """:returns: the connection with the partner, which the sender dials."""
    if task.role != "send":
        with listen(task.transport, task.address) as port:
            return port.accept()[0]
    if task.transport == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(task.address)
        return connection
    return socket.create_connection((HOST, int(task.address)))
