"""
Hostile peers that speak no TLS, and what all hostile peers have in common.

A hostile peer comes to an open port besides the partner, or answers in the
partner's place.  Each is a Twisted protocol that does one bad thing to the other
side, and says afterwards how that went.  They are for tests, of this library and of
yours; all their names are in :mod:`twisted_transfer.testing`.

How it went stands in ``outcome``, in these words:

``left``
    It ended the connection by itself, when it had done what it came for.
``end of file``
    The other side ended the connection, in an orderly way.
``reset``
    The other side reset the connection, or the link was lost.
``stayed``
    The other side had not hung up when the attacker's patience was at an end.
``refused``
    Nobody listened there (any more).
``not reached``
    It could not dial, for another reason; ``reason`` has it.
``admitted``, ``no TLS``, ``alert: …``
    What the impostors learn besides.
"""

from __future__ import annotations

import contextlib
from functools import cache
from random import Random
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IDelayedCall, IPullProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.deferreds import Promise

RECORD_LIMIT = 4096
"""How many of the bytes that it receives a hostile peer keeps."""


class HostilePeer(Protocol):
    """
    The base of all hostile peers.

    A subclass says in :meth:`begin` what it does to the other side; one instance is
    good for one connection.

    :ivar outcome: how it ended, one of the words below "Outcomes" in the reference;
        None until then.
    :ivar reason: how it ended, as Twisted says it; None until then.
    :ivar received: the first ``RECORD_LIMIT`` bytes that the other side
        sent.
    :ivar receivedCount: how many bytes it sent.
    :ivar sent: how many bytes this peer has given to its transport.
    """

    outcome: str | None = None
    reason: Failure | None = None
    received = b""
    receivedCount = 0
    sent = 0
    _ending: str | None = None  # the outcome, once this side has decided to end

    def __init__(self) -> None:
        self._whenEnded: Promise[None] = Promise()

    # What a subclass does.

    def begin(self) -> None:
        """Begin the attack: the connection is made."""

    def finish(self) -> None:
        """Leave nothing behind: the connection is gone."""

    def send(self, data: bytes) -> None:
        """
        Send bytes to the other side, and count them.

        :param data: the bytes.
        """
        assert self.transport is not None
        self.sent += len(data)
        self.transport.write(data)

    def leave(self) -> None:
        """End the connection in an orderly way."""
        assert self.transport is not None
        self._ending = "left"
        self.transport.loseConnection()

    # For users.

    @property
    def ended(self) -> Deferred[None]:
        """
        A Deferred that fires when the connection is gone, or could not be made.
        Each time it is asked for it is a new one, which may be cancelled.
        """
        return self._whenEnded.wait()

    def abort(self) -> None:
        """End the connection at once, with a reset; safe in every state."""
        self._ending = self._ending or "left"
        if self.transport is not None and not self.outcome:
            # A few transports cannot be aborted.
            lose = self.transport.loseConnection
            getattr(self.transport, "abortConnection", lose)()

    def giveUp(self) -> None:
        """Abort, because the other side should have hung up by now."""
        self._ending = "stayed"
        self.abort()

    # Its life.

    def connectionMade(self) -> None:
        """Begin, unless it was aborted before."""
        if self._ending:
            self.abort()
        else:
            self.begin()

    def dataReceived(self, data: bytes) -> None:
        """Count what comes, and keep the first of it."""
        self.receivedCount += len(data)
        self.received += data[: RECORD_LIMIT - len(self.received)]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Find out how it ended, and tell."""
        self._end(self._outcomeOf(reason), reason)

    def notReached(self, reason: Failure) -> None:
        """
        End, because there will be no connection.

        :param reason: why it could not dial.
        """
        refused = reason.check(ConnectionRefusedError)
        self._end("refused" if refused else "not reached", reason)

    def _outcomeOf(self, reason: Failure) -> str:
        orderly = reason.check(ConnectionDone)
        return self._ending or ("end of file" if orderly else "reset")

    def _end(self, outcome: str, reason: Failure) -> None:
        self.outcome = outcome
        # Its traceback would keep the frames of the reactor, and what they hold.
        reason.cleanFailure()
        self.reason = reason
        self.finish()
        self._whenEnded.fire(None)


_RECORD = 2**14  # the bytes that one record holds at most: RFC 8446, section 5.1


@cache
def clientHello() -> bytes:
    """
    Make a ClientHello that fills a TLS record.

    It is OpenSSL's own, for TLS 1.3 and 1.2, with as many names of protocols (RFC
    7301) as it has room for.

    :returns: a record of the largest size, 16,389 bytes, the same in a process.
    """

    def hello(filling: int) -> bytes:
        """:returns: the record, with so many bytes of names (at least 2)."""
        short, more = b"x" * 127, b"x" * (1 + (filling - 2) % 128)
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_alpn_protos([short] * ((filling - 2) // 128) + [more])
        connection = SSL.Connection(context, None)
        connection.set_connect_state()
        with contextlib.suppress(SSL.WantReadError):
            connection.do_handshake()
        return connection.bio_read(2 * _RECORD)

    return hello(2 + 5 + _RECORD - len(hello(2)))


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
    Connects, and says nothing until the other side hangs up.

    It shows that a server bounds the time, or the number, of those that have
    not proved themselves.
    """


class Dripper(HostilePeer):
    """
    Sends one byte after the other, slowly, and never the last one.

    It shows that a server's deadline is an absolute one.  A deadline that each
    byte puts off lets it stay for 27 minutes with what it sends by default: a TLS
    ClientHello that fills a record, without its last byte.  When all bytes are sent
    it stays, in silence.
    """

    def __init__(
        self, clock: Any, interval: float = 0.1, data: bytes | None = None
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
        self._data = clientHello()[:-1] if data is None else data
        self._call: IDelayedCall | None = None

    def begin(self) -> None:
        """Send the next byte, and come back for the one after it."""
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
    Sends at once what is no valid TLS, then waits for what comes of it.

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
            # A first byte of TLS (20 to 24: RFC 8446, section 5.1) or SSL 2 (from
            # 128 on), or a second one of any TLS version (3), may let the server
            # wait for the rest of a record.
            first = bytes(0x40 | byte & 0x3F for byte in data[:2])
            data = first + data[2:]
        self._data = data

    @classmethod
    def http(cls, host: str = "localhost") -> Garbler:
        """
        Make a peer that asks for a web page, as browsers, scanners and health checks
        do.

        :param host: the name of the web server.
        :returns: the peer.
        """
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n"
        return cls(data=request.encode("ascii"))

    def begin(self) -> None:
        """Send the bytes."""
        self.send(self._data)


@implementer(IPullProducer)
class Flooder(HostilePeer):
    """
    Sends zeros as fast as the other side takes them, then hangs up.

    It shows that a server hangs up on it (if not, it has ``left``), or takes no more
    than it can use: while nobody reads, ``sent`` stays near what the system's buffers
    hold, whatever the total.
    """

    def __init__(self, total: int = 16 * 2**20) -> None:
        """
        :param total: how many bytes at most.
        """
        super().__init__()
        self._total = total

    def begin(self) -> None:
        """Let the transport ask for data whenever its buffer is empty."""
        consumer: Any = self.transport
        consumer.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Send the next zeros, or leave."""
        consumer: Any = self.transport
        if self._ending:
            # A transport without abortConnection() waits for this.
            consumer.unregisterProducer()
        elif self.sent < self._total:
            self.send(_BLOCK[: self._total - self.sent])
        else:
            consumer.unregisterProducer()
            self.leave()

    def stopProducing(self) -> None:
        """Do nothing: the connection is gone."""
