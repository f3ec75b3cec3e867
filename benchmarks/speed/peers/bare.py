"""
The bare loops: ``sendfile(2)`` to send, ``splice(2)`` to receive and to relay.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading

from benchmarks.speed.peers.common import HOST, MIB, Meter, Task, connect, listen, task

_MOST = 1 << 30  # bytes that one sendfile(2) may take


def send(task: Task, fd: int, to: int) -> None:
    """Send a file, or what comes from a pipe."""
    if task.path == "-":
        while os.splice(fd, to, MIB):
            pass
    else:
        while os.sendfile(to, fd, None, _MOST):
            pass


def throughPipe(source: int, target: int) -> None:
    """Move everything from a socket to a file or another socket."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, MIB)
    while count := os.splice(source, writing, MIB):
        while count:
            count -= os.splice(reading, target, count)


def relay(task: Task) -> None:
    """Join two connections, both ways."""
    inner, outer = task.address.split(":")
    with listen(task.transport, inner) as port:
        one = port.accept()[0]
    other = socket.create_connection((HOST, int(outer)))

    def forward(source: socket.socket, target: socket.socket) -> None:
        throughPipe(source.fileno(), target.fileno())
        target.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=forward, args=(other, one))
    back.start()
    forward(one, other)
    back.join()


def main(task: Task) -> None:
    """Do what was asked for."""
    if task.role == "relay":
        return relay(task)
    connection = connect(task)
    meter = Meter()
    fd = task.open()
    if task.role == "send":
        send(task, fd, connection.fileno())
    elif task.path == "-":
        while os.splice(connection.fileno(), fd, MIB):
            pass
    else:
        throughPipe(connection.fileno(), fd)
    os.close(fd)
    connection.close()
    meter.stop()


if __name__ == "__main__":
    main(task())
