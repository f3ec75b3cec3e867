"""
The hostile peers that need no TLS for what they do, to any kind of server.
"""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPullProducer, IReactorTime
from zope.interface import implementer

from twisted_transfer.clienthello import clientHello
from twisted_transfer.hostile import HostilePeer

_ALL_BUT_ONE = clientHello()[:-1]
_BLOCK = b"\0" * 65536


class Scanner(HostilePeer):
    """
    Connects, and hangs up.

    It shows that whoever merely finds the port open does not use it up.
    """

    def begin(self) -> None:
        """Hang up."""
        self.leave()


class Resetter(HostilePeer):
    """
    Connects, and resets the connection: on a socket, ``SO_LINGER`` with 1, 0.

    It shows that an error on the first connection does not end the wait for
    the second.
    """

    def begin(self) -> None:
        """Reset."""
        self.abort()


class Staller(HostilePeer):
    """
    Connects, and says nothing for as long as it is let.

    It shows that a server bounds the time, or the number, of those that have
    not proved themselves.
    """


class Dripper(HostilePeer):
    """
    Sends one byte after the other, slowly, and never the last one.

    It shows that a server's deadline is an absolute one.  A deadline that each
    byte puts off lets it stay for 27 minutes with what it sends by default,
    which is the longest TLS ClientHello there is, without its last byte.  With
    the bytes all sent it stays on in silence.
    """

    def __init__(
        self, clock: IReactorTime, interval: float = 0.1, data: bytes | None = None
    ) -> None:
        """
        :param clock: measures the time.
        :param interval: seconds from one byte to the next; the first comes at
            once.
        :param data: what to send, all of it, for servers that do not speak
            TLS.
        """
        super().__init__()
        self._clock = clock
        self._interval = interval
        self._data = _ALL_BUT_ONE if data is None else data
        self._call: IDelayedCall | None = None

    def begin(self) -> None:
        """Send the next byte, and so on."""
        self._call = None
        if self.sent < len(self._data):
            self.send(self._data[self.sent : self.sent + 1])
            self._call = self._clock.callLater(self._interval, self.begin)

    def finish(self) -> None:
        """Stop the dripping."""
        if self._call is not None:
            self._call.cancel()
            self._call = None


class Garbler(HostilePeer):
    """
    Sends at once what cannot be TLS, then waits for what comes of it.

    It shows that a server turns nonsense away at its first bytes, and goes on.
    """

    def __init__(
        self, seed: int = 0, size: int = 1024, data: bytes | None = None
    ) -> None:
        """
        :param seed: of the random bytes; the same seed gives the same bytes.
        :param size: how many random bytes.
        :param data: what to send instead of random bytes.
        """
        super().__init__()
        if data is None:
            data = Random(seed).randbytes(size)
            # By its first byte a server takes it for TLS (20 to 24: RFC 8446,
            # section 5.1) or SSL 2 (from 128 on), by its second one for a
            # record of a kind that is yet unknown (3), and may wait for the
            # rest.
            first = bytes(0x40 | byte & 0x3F for byte in data[:2])
            data = first + data[2:]
        self._data = data

    @classmethod
    def http(cls, host: str = "localhost") -> Garbler:
        """
        :param host: what it asks for the page of.
        :returns: a peer that takes the port for that of a web server, as
            browsers, scanners and health checks do.
        """
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n"
        return cls(data=request.encode("ascii"))

    def begin(self) -> None:
        """Send it."""
        self.send(self._data)


@implementer(IPullProducer)
class Flooder(HostilePeer):
    """
    Sends zeros as fast as the other side takes them, then hangs up.

    It shows that a server hangs up on it (``left``: it took everything), or
    that it takes no more than it can use: ``sent`` stays near what the
    system's buffers hold while nobody reads, whatever the total.
    """

    def __init__(self, total: int = 16 * 2**20) -> None:
        """
        :param total: how many bytes at most.
        """
        super().__init__()
        self._total = total

    def begin(self) -> None:
        """Let the transport ask for more and more."""
        consumer: Any = self.transport
        consumer.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        consumer: Any = self.transport
        if self._leaving:
            # A transport that cannot be aborted waits for this.
            consumer.unregisterProducer()
        elif self.sent < self._total:
            self.send(_BLOCK[: self._total - self.sent])
        else:
            consumer.unregisterProducer()
            self.leave()

    def stopProducing(self) -> None:
        """The connection is gone."""
