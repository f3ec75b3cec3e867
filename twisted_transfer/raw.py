"""
Sending raw: the connection carries the bytes and nothing else.

Its orderly end is the end of the data, so any program can be the partner; the
other direction is :func:`twisted_transfer.copying.receive`.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel import TransferChannel
from twisted_transfer.copying import Progress, copy, gone
from twisted_transfer.errors import HalfCloseUnsupported
from twisted_transfer.interfaces import ISource

LINGER = 5.0
"""Seconds for which a raw sender that is done lets its partner close first."""


@implementer(IHalfCloseableProtocol)
class _Discarding(Protocol):
    """
    Reads what nobody wants, and so sees the end of the connection.

    :ivar ended: fires when the partner sends no more.
    """

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def readConnectionLost(self) -> None:
        """The partner sends no more."""
        if not self.ended.called:
            self.ended.callback(None)

    def writeConnectionLost(self) -> None:
        """This side's last byte is on its way."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; the channel knows how it went."""
        self.readConnectionLost()


def sendRaw(
    reactor: IReactorTime,
    source: ISource,
    channel: TransferChannel,
    progress: Progress | None = None,
    linger: float = LINGER,
) -> Deferred[int]:
    """
    Send everything that a source has, end the data, and close.

    What the partner sends is read and dropped from the beginning to the end:
    to close a TCP socket on which something waits to be read sends a reset
    (RFC 1122, section 4.2.2.13), which can destroy what is still on its way to
    the partner.  For the same reason the partner may close first, as one does
    that has read to the end.

    :param reactor: measures the time.
    :param source: gives the bytes.
    :param channel: takes them; closed afterwards, or aborted when anything
        fails, so that the partner does not take the part for everything.
    :param progress: called after each block.
    :param linger: how many seconds the partner has for closing first.
    :returns: a Deferred with the number of bytes, when the connection has
        ended in an orderly way.  It fails with ``SourceError`` or
        ``Truncated``.  It may be cancelled.
    """
    return Deferred.fromCoroutine(_sendRaw(reactor, source, channel, progress, linger))


async def _sendRaw(
    reactor: IReactorTime,
    source: ISource,
    channel: TransferChannel,
    progress: Progress | None,
    linger: float,
) -> int:
    try:
        partner = channel.start(_Discarding())
        count = await copy(source, channel, progress)
        try:
            channel.writeEOF()
        except HalfCloseUnsupported:
            pass
        else:
            await _atMost(reactor, linger, partner.ended)
        channel.loseConnection()
        await channel.whenClosed()
    except Exception:
        source.close()
        channel.abortConnection()
        await gone(channel)
        raise
    return count


async def _atMost(reactor: IReactorTime, seconds: float, event: Deferred[None]) -> None:
    """Wait for an event, but not longer than that."""
    over: Deferred[None] = Deferred()

    def end(ignored: object = None) -> None:
        if not over.called:
            over.callback(None)

    timeout = reactor.callLater(seconds, end)
    event.addCallback(end)
    try:
        await over
    finally:
        if timeout.active():
            timeout.cancel()
