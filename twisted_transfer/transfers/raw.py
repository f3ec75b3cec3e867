"""
Raw transfers: the connection carries the bytes and nothing else.

Its orderly end is the end of the data, so any program can be the partner.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred

from twisted_transfer import errors
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.copying import copy
from twisted_transfer.data.destinations import BoundedDestination
from twisted_transfer.data.progress import Progress, quietly
from twisted_transfer.data.receiving import gone, receive
from twisted_transfer.deferreds import atMost, deferring
from twisted_transfer.interfaces import Destination, Source
from twisted_transfer.receipts.frames import SIGNATURE, looksLikeReceipts

LINGER = 5.0
"""Seconds that the partner of a raw sender has to close first."""


async def _discard(channel: TransferChannel, first: bytearray) -> None:
    """
    Read and drop what the partner sends, until it ends.

    :param channel: is read from.
    :param first: gets the beginning, by which a partner with receipts is known.
    """
    # How the connection ends is told by whenClosed().
    with suppress(errors.TransferError):
        async for data in channel:
            # A partner with receipts needs a channel without an encoding.
            if isinstance(data, bytes):
                first += data[: len(SIGNATURE) - len(first)]


@deferring
async def sendRaw(
    reactor: Any,
    source: Source,
    channel: TransferChannel,
    progress: Progress | None = None,
) -> int:
    """
    Send everything that a source has, end the data, and close.

    What the partner sends is read and dropped all the time: to close a TCP
    socket on which something waits to be read sends a reset (RFC 1122, section
    4.2.2.13), which can destroy what is still on its way to the partner.  For
    the same reason the partner has ``LINGER`` seconds to close first.

    :param reactor: measures the time.
    :param source: gives the bytes.
    :param channel: takes them; closed afterwards, or aborted when anything
        fails, so that the partner does not take the part for everything.
    :param progress: called after each block.
    :returns: a Deferred with the number of bytes, when the connection has
        ended in an orderly way.  It fails with ``SourceError`` or
        ``Truncated``, and with ``PartnerProtocolError`` if the partner expects
        a transfer with receipts.  It may be cancelled.
    """
    first = bytearray()
    ended = Deferred.fromCoroutine(_discard(channel, first))
    try:
        count = await copy(source, channel, progress=progress)
        try:
            channel.writeEOF()
        except errors.HalfCloseUnsupported:
            pass
        else:
            await atMost(reactor, LINGER, ended)
        channel.loseConnection()
        await channel.whenClosed()
    except Exception as error:
        quietly(source.close, "close() of a source")
        channel.abortConnection()
        await gone(channel)
        if looksLikeReceipts(bytes(first)) and isinstance(error, errors.Truncated):
            raise _usesReceipts() from error
        raise
    if looksLikeReceipts(bytes(first)):
        raise _usesReceipts()
    return count


def _usesReceipts() -> errors.PartnerProtocolError:
    return errors.PartnerProtocolError(
        "the partner uses receipts, and this side does not; leave out --raw, or let "
        "the partner give it"
    )


class _WantsReceipts(errors.DestinationError):
    """What comes is the signature of a partner that uses receipts, and no file."""


class _Guarded(BoundedDestination):
    """Pass data to a destination, unless it begins with the receipts' signature."""

    _first = b""

    def write(self, data: bytes) -> Deferred[None] | None:
        if len(self._first) < len(SIGNATURE):
            self._first += data[: len(SIGNATURE)]
            if looksLikeReceipts(self._first):
                raise _WantsReceipts("this is no file")
        return super().write(data)

    @property
    def fd(self) -> int:
        return super().fd if len(self._first) >= len(SIGNATURE) else -1


@deferring
async def receiveRaw(
    channel: TransferChannel,
    destination: Destination,
    progress: Progress | None = None,
    maxSize: int | None = None,
    size: int | None = None,
) -> int:
    """
    Store everything that the partner sends up to its orderly end, then close.

    :param channel: see :func:`~twisted_transfer.data.receiving.receive`.
    :param destination: gets the bytes.
    :param progress: called after each block.
    :param maxSize: how many bytes are stored at most; None: any number.
    :param size: exactly so many bytes are stored, in whichever way the connection
        ends after them, and what comes behind is dropped; None: everything up to
        the end.
    :returns: a Deferred with the number of bytes, when they are stored.  It
        fails as that of ``receive`` does, with ``DestinationError`` of the kind
        ``"too-large"`` if there are more than ``maxSize``, and with
        ``PartnerProtocolError`` if the partner expects a transfer with receipts.
    """
    guarded = _Guarded(destination, maxSize)
    try:
        count = await receive(channel, guarded, progress, size)
    except _WantsReceipts as error:
        raise _usesReceipts() from error
    if size is not None:
        channel.loseConnection()
        await atMost(channel.clock, LINGER, gone(channel))
        channel.abortConnection()
        await gone(channel)
    return count
