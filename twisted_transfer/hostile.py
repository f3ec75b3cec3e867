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

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from twisted_transfer.waiting import Waiters

RECORD_LIMIT = 4096
"""How many of the bytes that it receives a hostile peer keeps."""


class HostilePeer(Protocol):
    """
    What all hostile peers have in common.  A subclass says in :meth:`begin`
    what it does to the other side; one instance is good for one connection.

    :ivar outcome: how it ended, in the words of :mod:`twisted_transfer.hostile`;
        None until then.
    :ivar reason: the same as Twisted says it; None until then.
    :ivar received: the first :data:`RECORD_LIMIT` bytes that the other side
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
