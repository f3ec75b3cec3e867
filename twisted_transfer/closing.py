"""
How a connection ends: in order or not, and a TLS one in bounded time.

TLS ends a connection with an exchange of ``close_notify`` alerts (RFC 8446,
section 6.1).  Twisted waits for the partner's without a bound (Twisted
#7926), so a silent partner would keep the connection for ever.  A
:class:`CloseGuard` gives the partner a time without progress, then aborts.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IPullProducer,
    IReactorTime,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.errors import Truncated
from twisted_transfer.layers import bottomOf

CLOSE_TIMEOUT = 10.0
"""Seconds without progress after which a TLS connection that is being closed
is aborted."""


def backlogOf(bottom: ITransport) -> tuple[int, int]:
    """
    :param bottom: a transport without layers.
    :returns: something that changes whenever it gets bytes away, ``(0, 0)`` if
        it has none left over from an earlier turn of the reactor.
    """
    return len(getattr(bottom, "dataBuffer", b"")), getattr(bottom, "offset", 0)


@implementer(IPullProducer)
class CloseGuard:
    """
    Watches the end of one connection after this side's last byte was written.

    It stands at the bottom transport as a pull producer, for this is how a
    Twisted transport tells that its buffer has run empty.

    :ivar flushed: whether everything was handed to the operating system.
    """

    def __init__(
        self,
        clock: IReactorTime,
        transport: ITransport,
        onTimeout: Callable[[], None],
        timeout: float = CLOSE_TIMEOUT,
    ) -> None:
        """
        :param clock: measures the time.
        :param transport: the connection; its own closing has already begun.
        :param onTimeout: what to call when the time is over.
        :param timeout: how many seconds may pass without any progress.
        """
        self.flushed = False
        self._clock = clock
        self._timeout = timeout
        self._onTimeout = onTimeout
        self._bottom = bottomOf(transport)
        self._seen = backlogOf(self._bottom)
        self._call: IDelayedCall | None = clock.callLater(timeout, self._expired)
        self._armed = False
        if IConsumer.providedBy(self._bottom):
            # Registering asks for data at once, whatever is still buffered;
            # only the requests after that one mean that the buffer ran empty.
            self._bottom.registerProducer(self, False)
            self._armed = True

    def _expired(self) -> None:
        """Abort, unless the partner is merely slow in taking what is left."""
        self._call = None
        backlog = backlogOf(self._bottom)
        if not self.flushed and backlog != self._seen:
            self._seen = backlog
            self._call = self._clock.callLater(self._timeout, self._expired)
            return
        self._onTimeout()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty: all was handed to the system."""
        if not self._armed or self.flushed:
            return
        self.flushed = True
        self._bottom.unregisterProducer()  # type: ignore[attr-defined]
        if self._call is not None:
            self._call.reset(self._timeout)

    def stopProducing(self) -> None:
        """The connection is gone; there is nothing to produce."""

    def stop(self) -> None:
        """Stop watching: the connection has ended."""
        if self._call is not None:
            self._call.cancel()
            self._call = None


def judge(reason: Failure, *, complete: bool, outputLost: bool) -> Truncated | None:
    """
    Tell an orderly end from a truncation.

    :param reason: what Twisted says of the end.
    :param complete: whether this side had written everything, and the end was
        known on both sides before this.
    :param outputLost: whether something was written that did not get away.
    :returns: None for an orderly end.
    """
    if outputLost:
        truncation = Truncated(
            "the connection was aborted, or ended by the partner, before "
            "everything was sent; transfer again"
        )
    elif reason.check(ConnectionDone):
        return None
    elif complete and reason.check(ConnectionLost):
        # A TLS partner that hangs up without a close_notify of its own, after
        # it got everything, has missed nothing; Tcl's tls does so.
        return None
    else:
        truncation = Truncated(
            "the connection broke off: the partner did not end it in an orderly "
            "way, so what came may not be everything; transfer again"
        )
    truncation.__cause__ = reason.value
    return truncation
