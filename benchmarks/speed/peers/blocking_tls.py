"""
Python's ``ssl`` on blocking sockets, with blocks of 1 MiB, both sides verified.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress

from benchmarks.speed.peers.common import MIB, Meter, Task, connect, task


def context(task: Task) -> ssl.SSLContext:
    """:returns: one that has a certificate, and demands one."""
    client = task.role == "send"
    kind = ssl.PROTOCOL_TLS_CLIENT if client else ssl.PROTOCOL_TLS_SERVER
    made = ssl.SSLContext(kind)
    made.load_cert_chain(task.certificate, task.key)
    made.load_verify_locations(task.certificate)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def main(task: Task) -> None:
    """Do what was asked for."""
    client = task.role == "send"
    connection = context(task).wrap_socket(
        connect(task),
        server_side=not client,
        server_hostname="localhost" if client else None,
    )
    meter = Meter()
    fd = task.open()
    if client:
        while block := os.read(fd, MIB):
            connection.sendall(block)
    else:
        buffer = bytearray(MIB)
        view = memoryview(buffer)
        while count := connection.recv_into(buffer):
            while count:
                written = os.write(fd, view[:count])
                view = view[written:]
                count -= written
            view = memoryview(buffer)
    os.close(fd)
    # The partner may have gone already.
    with suppress(OSError):
        connection.unwrap()
    cipher = connection.cipher()
    meter.stop(cipher[0] if cipher else "")


if __name__ == "__main__":
    main(task())
