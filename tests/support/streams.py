"""
Pairs of open descriptors for tests.
"""

from __future__ import annotations

import os
import socket
import tty
from collections.abc import Iterator
from typing import Any


def streamPairs(case: Any) -> Iterator[tuple[int, int]]:
    """
    Open pairs of descriptors that block, one of each kind.

    :param case: a test case; at its end they are closed.
    :returns: of a pipe, of two sockets, and of a terminal both ways: what to read
        from, and what to write to.
    """
    ours, theirs = (sock.detach() for sock in socket.socketpair())
    master, slave = os.openpty()
    tty.setraw(slave)
    pairs = [os.pipe(), (ours, theirs), (master, slave), (slave, master)]
    for fd in {fd for pair in pairs for fd in pair}:
        case.addCleanup(os.close, fd)
    yield from pairs
