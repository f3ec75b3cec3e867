"""
A relay between two programs that forwards as much as a test requires.
"""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress

from twisted.trial.unittest import SynchronousTestCase

from tests.support.programs import accept, dial, listener, reset

_BLOCK = 1 << 16
_DEADLINE = 30.0


class Relay:
    """
    One connection through a test, in the thread of the test.

    :ivar port: where it listens, on 127.0.0.1.
    :ivar passed: how many bytes it has forwarded, in both directions.
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        """
        :param case: closes everything at its end.
        """
        self.passed = 0
        self._case = case
        self._listening, self.port = listener(case)
        self._others: dict[socket.socket, socket.socket] = {}
        self._reading: set[socket.socket] = set()

    def connect(self, port: int) -> None:
        """
        Wait for one side, and dial the other.

        :param port: where the other side listens.
        """
        # Little is to be on its way while nothing is passed on.
        one = accept(self._case, self._listening)
        two = dial(self._case, port)
        self._others = {one: two, two: one}
        self._reading = {one, two}

    def forward(self, limit: int | None = None) -> None:
        """
        Forward data, ends, and resets.

        :param limit: until so many bytes were passed on altogether; None: until
            both sides have ended.
        """
        deadline = time.monotonic() + _DEADLINE
        while self._reading and (limit is None or self.passed < limit):
            left = deadline - time.monotonic()
            ready = select.select(list(self._reading), [], [], max(left, 0))[0]
            if not ready:
                raise AssertionError(f"nothing comes behind {self.passed} bytes")
            for source in ready:
                if source in self._reading:
                    self._pass(source, self._others[source])

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            data = source.recv(_BLOCK)
        except ConnectionResetError:
            self._reading.clear()
            reset(target)
            return
        # Who has closed needs to get nothing more.
        with suppress(BrokenPipeError, ConnectionResetError, OSError):
            if data:
                target.sendall(data)
                self.passed += len(data)
            else:
                target.shutdown(socket.SHUT_WR)
        if not data:
            self._reading.discard(source)
