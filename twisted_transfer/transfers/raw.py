"""
Raw transfers: the connection carries the bytes and nothing else.

Its orderly end is the end of the data, so any program can be the partner.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.copying import copy
from twisted_transfer.data.progress import Progress
from twisted_transfer.data.receiving import gone, receive
from twisted_transfer.deferreds import atMost
from twisted_transfer.errors import (
    DestinationError,
    HalfCloseUnsupported,
    PartnerProtocolError,
    Truncated,
)
from twisted_transfer.interfaces import IDestination, ISource
from twisted_transfer.receipts.frames import SIGNATURE, looksLikeReceipts

LINGER = 5.0
"""Seconds for which a raw sender that is done lets its partner close first."""


@implementer(IHalfCloseableProtocol)
class _Discarding(Protocol):
    """
    Reads what nobody wants, and so sees the end of the connection.

    :ivar ended: fires when the partner sends no more.
    :ivar mistaken: whether the partner expects that this side uses receipts.
    """

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()
        self.mistaken = False
        self._first = b""

    def dataReceived(self, data: bytes) -> None:
        """Look at the beginning, and drop it all."""
        if len(self._first) < len(SIGNATURE):
            self._first += data[: len(SIGNATURE)]
            self.mistaken = looksLikeReceipts(self._first) is True

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
    reactor: Any,
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
        ``Truncated``, and with ``PartnerProtocolError`` if the partner expects
        a transfer with receipts.  It may be cancelled.
    """
    return Deferred.fromCoroutine(_sendRaw(reactor, source, channel, progress, linger))


async def _sendRaw(
    reactor: Any,
    source: ISource,
    channel: TransferChannel,
    progress: Progress | None,
    linger: float,
) -> int:
    partner = _Discarding()
    try:
        channel.start(partner)
        count = await copy(source, channel, progress=progress)
        try:
            channel.writeEOF()
        except HalfCloseUnsupported:
            pass
        else:
            await atMost(reactor, linger, partner.ended)
        channel.loseConnection()
        await channel.whenClosed()
        if partner.mistaken:
            raise _usesReceipts()
    except Exception as error:
        source.close()
        channel.abortConnection()
        await gone(channel)
        if partner.mistaken and isinstance(error, Truncated):
            raise _usesReceipts() from error
        raise
    return count


def _usesReceipts() -> PartnerProtocolError:
    return PartnerProtocolError(
        "the partner uses receipts, and this side does not; leave out --raw, or let "
        "the partner give it"
    )


@implementer(IDestination)
class _Suspicious:
    """Looks at the beginning of what another destination is to store."""

    def __init__(self, destination: IDestination) -> None:
        self._destination = destination
        self._held: bytes | None = b""  # the beginning, while it may be either
        self.mistaken = False

    def open(self) -> None:
        self._destination.open()

    def write(self, data: bytes) -> Deferred[None] | None:
        if self._held is None:
            return self._destination.write(data)
        self._held += data
        judgement = looksLikeReceipts(self._held)
        if judgement is None:
            return None
        if judgement:
            self.mistaken = True
            raise DestinationError("this is no file")
        return self._release()

    def _release(self) -> Deferred[None] | None:
        held, self._held = self._held, None
        return self._destination.write(held) if held else None

    def finish(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        waiting = self._release()
        if waiting is not None:
            await waiting
        await self._destination.finish()

    def abort(self) -> None:
        self._destination.abort()


def receiveRaw(
    channel: TransferChannel,
    destination: IDestination,
    progress: Progress | None = None,
) -> Deferred[int]:
    """
    Store everything that the partner sends up to its orderly end, then close.

    :param channel: see :func:`~twisted_transfer.data.receiving.receive`.
    :param destination: the same.
    :param progress: the same.
    :returns: the same; and it fails with ``PartnerProtocolError`` if the
        partner expects a transfer with receipts.
    """
    suspicious = _Suspicious(destination)

    def explain(failure: Failure) -> Failure:
        if suspicious.mistaken:
            raise _usesReceipts()
        return failure

    return receive(channel, suspicious, progress).addErrback(explain)
