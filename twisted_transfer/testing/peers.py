"""
What all hostile peers have in common: those that come to an open port besides
the partner, or that answer in its place.

Each is a Twisted protocol that does one bad thing to the other side, and tells
afterwards how that went.  They are for tests, of this library and of yours; all
their names are in :mod:`twisted_transfer.testing`.

How it went stands in ``outcome``, in these words:

``left``
    It ended the connection by itself, when it had done what it came for.
``end of file``
    The other side ended the connection, in an orderly way.
``reset``
    The other side reset the connection, or the link was lost.
``stayed``
    The patience of who sent it was at an end before the other side hung up.
``refused``
    Nobody listened there (any more).
``not reached``
    It could not dial, for another reason; ``reason`` has it.
``admitted``, ``no TLS``, ``alert: …``
    What the impostors learn besides.
"""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IDelayedCall, IPullProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.deferreds import Waiters

RECORD_LIMIT = 4096
"""How many of the bytes that it receives a hostile peer keeps."""


class HostilePeer(Protocol):
    """
    What all hostile peers have in common.  A subclass says in :meth:`begin`
    what it does to the other side; one instance is good for one connection.

    :ivar outcome: how it ended, one of the words below "Outcomes" in the reference;
        None until then.
    :ivar reason: the same as Twisted says it; None until then.
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

    def __init__(self) -> None:
        self._whenEnded: Waiters[None] = Waiters()
        self._leaving = False
        self._stayed = False

    # What a subclass does.

    def begin(self) -> None:
        """The connection is made: do it."""

    def finish(self) -> None:
        """The connection is gone: leave nothing behind."""

    def send(self, data: bytes) -> None:
        """
        :param data: goes to the other side, and is counted.
        """
        assert self.transport is not None
        self.sent += len(data)
        self.transport.write(data)

    def leave(self) -> None:
        """End the connection in an orderly way."""
        assert self.transport is not None
        self._leaving = True
        self.transport.loseConnection()

    # What anybody may ask.

    @property
    def ended(self) -> Deferred[None]:
        """
        Fires when the connection is gone, or was not to be had.  Each time it
        is asked for it is another Deferred, which is the asker's own.
        """
        return succeed(None) if self.outcome else self._whenEnded.wait()

    def abort(self) -> None:
        """End the connection at once, with a reset; safe in every state."""
        self._leaving = True
        if self.transport is None or self.outcome:
            return
        # A few transports have no such thing.
        abort = getattr(self.transport, "abortConnection", None)
        (abort or self.transport.loseConnection)()

    def giveUp(self) -> None:
        """The other side should have hung up by now: say so, and abort."""
        self._stayed = True
        self.abort()

    # Its life.

    def connectionMade(self) -> None:
        """Begin, unless it was aborted before."""
        if self._leaving:
            self.abort()
        else:
            self.begin()

    def dataReceived(self, data: bytes) -> None:
        """Keep the first of it."""
        self.receivedCount += len(data)
        self.received += data[: RECORD_LIMIT - len(self.received)]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Find out how it ended, and tell."""
        self._end(self._outcomeOf(reason), reason)

    def notReached(self, reason: Failure) -> None:
        """
        There is no connection, and there will be none.

        :param reason: why it could not dial.
        """
        refused = reason.check(ConnectionRefusedError)
        self._end("refused" if refused else "not reached", reason)

    def _outcomeOf(self, reason: Failure) -> str:
        if self._stayed:
            return "stayed"
        if self._leaving:
            return "left"
        return "end of file" if reason.check(ConnectionDone) else "reset"

    def _end(self, outcome: str, reason: Failure) -> None:
        self.outcome = outcome
        self.reason = reason
        self.finish()
        self._whenEnded.fire(None)


_RECORD = 2**14  # what one record carries at most: RFC 8446, section 5.1

_SUITES = (
    0x1301,  # TLS_AES_128_GCM_SHA256
    0x1302,  # TLS_AES_256_GCM_SHA384
    0x1303,  # TLS_CHACHA20_POLY1305_SHA256
    0xC02B,  # TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    0xC02F,  # TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
)
_SIGNATURES = (
    0x0403,  # ecdsa_secp256r1_sha256
    0x0807,  # ed25519
    0x0804,  # rsa_pss_rsae_sha256
    0x0401,  # rsa_pkcs1_sha256
)
_X25519 = 0x001D
_SECP256R1 = 0x0017  # of most ECDSA certificates

# Kinds of extensions: RFC 8446, section 4.2; padding: RFC 7685.
_SUPPORTED_GROUPS = 10
_SIGNATURE_ALGORITHMS = 13
_PADDING = 21
_SUPPORTED_VERSIONS = 43
_KEY_SHARE = 51


def _number(value: int, size: int = 2) -> bytes:
    return value.to_bytes(size, "big")


def _vector(content: bytes, size: int = 2) -> bytes:
    """A vector as TLS writes it: its length in so many bytes, then itself."""
    return _number(len(content), size) + content


def _numbers(values: tuple[int, ...]) -> bytes:
    return _vector(b"".join(map(_number, values)))


def _extension(kind: int, content: bytes) -> bytes:
    return _number(kind) + _vector(content)


def clientHello(random: bytes = bytes(range(32))) -> bytes:
    """
    :param random: 32 bytes; they are the ClientHello's random, its session
        identifier and its X25519 key share.
    :returns: a record of the largest size, 16,389 bytes, that holds nothing
        but a ClientHello for TLS 1.3 and 1.2, padded.
    """
    beginning = (
        b"\x03\x03"  # TLS 1.2, as every ClientHello says
        + random
        + _vector(random, 1)
        + _numbers(_SUITES)
        + _vector(b"\x00", 1)  # no compression
    )
    extensions = (
        _extension(_SUPPORTED_VERSIONS, _vector(b"\x03\x04\x03\x03", 1))
        + _extension(_SUPPORTED_GROUPS, _numbers((_X25519, _SECP256R1)))
        + _extension(_SIGNATURE_ALGORITHMS, _numbers(_SIGNATURES))
        + _extension(_KEY_SHARE, _vector(_number(_X25519) + _vector(random)))
    )
    # Before the padding's own bytes: 4 of the message's header, 2 of the
    # length of all extensions, 4 of the padding's header.
    used = 4 + len(beginning) + 2 + len(extensions) + 4
    extensions += _extension(_PADDING, bytes(_RECORD - used))
    message = b"\x01" + _vector(beginning + _vector(extensions), 3)
    return b"\x16\x03\x01" + _vector(message)


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
