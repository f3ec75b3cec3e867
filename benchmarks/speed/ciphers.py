"""
See which cipher suite the two sides of a TLS connection agree on.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from benchmarks.speed.peers.common import HOST
from benchmarks.speed.running import freePort

_NAMES = {
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
}
_HEADERS = 5 + 4  # a record's and a handshake message's (RFC 8446, 5.1 and 4)


class Listener:
    """
    Forwards one connection, and reads the server's first message (RFC 8446, 4.1.3).

    :ivar port: where it listens.
    """

    def __init__(self, port: int) -> None:
        """:param port: the port of the server, which is dialled when a client comes."""
        self.port = freePort()
        self._far = port
        self._first = bytearray()
        self._socket = socket.create_server((HOST, self.port))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):  # it is not needed any more
            one, _ = self._socket.accept()
            with one, socket.create_connection((HOST, self._far)) as other:
                back = threading.Thread(target=self._forward, args=(other, one))
                back.start()
                self._forward(one, other)
                back.join()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        toClient = source.getpeername()[1] == self._far
        with suppress(OSError):  # one of them has reset it
            while data := source.recv(1 << 16):
                if toClient and len(self._first) < 512:
                    self._first += data
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def cipher(self) -> str:
        """:returns: the name of the cipher suite, when the connection has ended."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        hello = self._first[_HEADERS:]
        session = hello[34]  # behind the version and 32 random bytes
        number = int.from_bytes(hello[35 + session : 37 + session], "big")
        return _NAMES.get(number, f"cipher suite {number:#06x}")
