"""
A relay between two partners that counts their bytes, and acts after one of them.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

_HOST = "127.0.0.1"
_BLOCK = 2**18  # bytes that are read at once
_PATIENCE = 30.0  # seconds for its own end, when everybody else has gone
# Bytes that wait in a socket of its own, so that little is on its way.
_QUEUE = 2**17


@dataclass(frozen=True)
class Strike:
    """
    The action in the middle of a connection.

    :ivar byDialler: whether the bytes of the side that dials are counted, or those
        of the other side.
    :ivar at: after how many of them, from 1 on.
    :ivar blow: the action; meanwhile nothing is forwarded.
    :ivar loses: the side of which what is still on its way is lost then: whether
        it is the dialler, or None if nothing is.  The other side gets what has
        passed, and an end.
    """

    byDialler: bool
    at: int
    blow: Callable[[], None]
    loses: bool | None = None


class _Way:
    """One direction."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.waiting = memoryview(b"")
        self.passed = 0
        self.ended = False


class Relay:
    """
    Takes one connection, dials on, and passes everything on as it comes: bytes,
    ends of one direction, and resets.

    :ivar port: where it listens, on 127.0.0.1.
    """

    def __init__(self, port: int, strike: Strike | None = None) -> None:
        """
        :param port: where to dial, on 127.0.0.1.
        :param strike: what is to happen in the middle.
        """
        self._target = port
        self._strike = strike
        self._ways: list[_Way] = []
        self._error: BaseException | None = None
        self._listening = socket.create_server((_HOST, 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE)
        self.port: int = self._listening.getsockname()[1]
        self._waking, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def passed(self, byDialler: bool) -> int:
        """
        :param byDialler: whose bytes.
        :returns: how many of them were passed on.
        """
        return self._ways[0 if byDialler else 1].passed if self._ways else 0

    def wait(self, seconds: float) -> bool:
        """
        :param seconds: how long to wait at most.
        :returns: whether the connection has ended on both sides by then.
        """
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        """
        Cut what is still connected.

        :raises BaseException: what has gone wrong in here, if anything has.
        """
        self._wake.close()
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "the relay does not end"
        self._waking.close()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._listening:
                self._ways = self._connect()
            while any(not way.ended for way in self._ways):
                if not self._turn():
                    break
        except BaseException as error:
            self._error = error
        finally:
            inOrder = all(way.ended for way in self._ways)
            for way in self._ways:
                _close(way.source, inOrder)

    def _connect(self) -> list[_Way]:
        ready, _, _ = select.select([self._listening, self._waking], [], [])
        if self._waking in ready:
            return []
        dialler, _ = self._listening.accept()
        waiter = socket.socket()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            waiter.setsockopt(socket.SOL_SOCKET, option, _QUEUE)
        dialler.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUE)
        try:
            waiter.connect((_HOST, self._target))
        except ConnectionRefusedError:
            waiter.close()
            _close(dialler, False)
            return []
        for sock in (dialler, waiter):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return [_Way(dialler, waiter), _Way(waiter, dialler)]

    def _turn(self) -> bool:
        """:returns: whether there is still a connection."""
        open_ = [way for way in self._ways if not way.ended]
        reading = [way.source for way in open_ if not way.waiting]
        writing = [way.target for way in open_ if way.waiting]
        readable, writable, _ = select.select([*reading, self._waking], writing, [])
        if self._waking in readable:
            return False
        try:
            for way in open_:
                if way.ended:
                    continue
                if way.source in readable and not way.waiting:
                    self._read(way)
                elif way.target in writable and way.waiting:
                    self._write(way)
        except (ConnectionResetError, BrokenPipeError):
            return False
        return True

    def _read(self, way: _Way) -> None:
        most = _BLOCK
        if self._counts(way):
            assert self._strike is not None
            most = min(most, self._strike.at - way.passed)
        data = way.source.recv(most)
        way.waiting = memoryview(data)
        if data:
            self._write(way)
        else:
            way.ended = True
            # The other side may have gone by itself.
            with suppress(OSError):
                way.target.shutdown(socket.SHUT_WR)

    def _write(self, way: _Way) -> None:
        try:
            count = way.target.send(way.waiting)
        except BlockingIOError:
            return
        way.waiting = way.waiting[count:]
        way.passed += count
        if self._counts(way) and self._strike and way.passed == self._strike.at:
            strike, self._strike = self._strike, None
            strike.blow()
            if strike.loses is not None:
                self._outlive(self._ways[1 if strike.loses else 0].source)

    def _outlive(self, survivor: socket.socket) -> None:
        """Go on with one side only."""
        with suppress(OSError):
            survivor.shutdown(socket.SHUT_WR)
        while True:
            readable, _, _ = select.select([survivor, self._waking], [], [])
            if self._waking in readable or not survivor.recv(_BLOCK):
                break
        for way in self._ways:
            way.ended = True

    def _counts(self, way: _Way) -> bool:
        """Whether a strike waits for bytes of this direction."""
        return self._strike is not None and (
            way is self._ways[0 if self._strike.byDialler else 1]
        )


def _close(sock: socket.socket, inOrder: bool) -> None:
    """Close a connection, with a reset if its end is not orderly."""
    if not inOrder:
        linger = struct.pack("ii", 1, 0)
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    sock.close()
