"""
Connections on which nothing moves for too long.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

_LOOKS = 4
"""How often to look within the time: a stall is found that much later, at most."""


class IdleWatch:
    """
    Looks from time to time whether anything has moved.

    What has moved is noted by the functions that the watch puts around those that
    receive and send; of what was handed to the system, the system tells how much it
    still has.
    """

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        socket: int | None,
        held: Callable[[int], bool],
        stalled: Callable[[float], None],
    ) -> None:
        """
        Begin.

        :param clock: measures the time.
        :param seconds: for how long nothing may move.
        :param socket: the descriptor of the connection's socket, if it has one.
        :param held: is given the number of bytes that the system has, and tells whether
            nothing moves because of this side; that time does not count.
        :param stalled: called once with the seconds when nothing has moved for so long.
        """
        self._clock = clock
        self._seconds = seconds
        self._socket = socket
        self._held = held
        self._stalled = stalled
        self._moved = False
        self._queued = self._queue()
        self._since = clock.seconds()
        self._call: IDelayedCall | None = None
        self._wait()

    def around(self, function: Callable[[Any], None]) -> Callable[[Any], None]:
        """
        :param function: receives or sends.
        :returns: a function that does so, and notes it.
        """

        def noted(data: Any) -> None:
            self._moved = True
            function(data)

        return noted

    def stop(self) -> None:
        """Look no more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _wait(self) -> None:
        self._call = self._clock.callLater(self._seconds / _LOOKS, self._look)

    def _look(self) -> None:
        self._call = None
        queued = self._queue()
        now = self._clock.seconds()
        if self._moved or queued != self._queued or self._held(queued):
            self._since = now
        self._moved, self._queued = False, queued
        if now - self._since >= self._seconds:
            self._stalled(self._seconds)
        else:
            self._wait()

    def _queue(self) -> int:
        """:returns: how many bytes wait in the system, as SIOCOUTQ tells (tcp(7))."""
        if self._socket is None:
            return 0
        try:
            answer = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))
        except OSError:
            return 0
        [count] = struct.unpack("i", answer)
        return int(count)
