"""
The receiver's side of a transfer with receipts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from twisted_transfer.channel import TransferChannel
from twisted_transfer.digested import DigestingDestination
from twisted_transfer.errors import (
    DestinationError,
    PartnerFailed,
    PartnerProtocolError,
    ReceiptMismatch,
    TransferError,
    Truncated,
)
from twisted_transfer.measuring import Meter
from twisted_transfer.outcomes import Receipt, Watch, told
from twisted_transfer.receiptmessages import (
    Accept,
    Begin,
    End,
    FailureKind,
    Finished,
    Offer,
    Role,
    Stored,
)
from twisted_transfer.receiptwire import Data
from twisted_transfer.talking import Talk

Choose = Callable[[Offer], DigestingDestination]
"""Says where an offered file goes, or raises ``DestinationError``."""


def accept(
    reactor: Any,
    channel: TransferChannel,
    choose: Choose,
    watch: Watch,
    many: bool = False,
) -> Deferred[list[Receipt]]:
    """
    Receive what the partner offers, and give receipts for it.

    A receipt is given when the file is on the disk, and not before.

    :param reactor: measures the time.
    :param channel: carries bytes, and nothing else yet; closed in the end.
    :param choose: is asked for each file where it goes.
    :param watch: is told how it goes on.
    :param many: whether there may be more than one file.
    :returns: a Deferred with the receipts, when the partner has no more files.
        It fails with ``DestinationError`` if one of them cannot be stored,
        which the partner is told; with ``PartnerFailed`` if the partner says
        that it cannot send it, with ``NotAReceiptPartner`` if it does not use
        receipts, with ``ReceiptMismatch`` if what came is not what was sent,
        with ``PartnerProtocolError`` or ``Truncated``.  When it is cancelled,
        the partner is told, too.  A file that breaks off is kept to go on with.
    """
    return Deferred.fromCoroutine(_accept(reactor, channel, choose, watch, many))


async def _accept(
    reactor: Any,
    channel: TransferChannel,
    choose: Choose,
    watch: Watch,
    many: bool,
) -> list[Receipt]:
    talk = Talk(reactor, channel, Role.RECEIVES)
    receipts: list[Receipt] = []
    try:
        await talk.begin()
        while isinstance(offer := await talk.next(Offer, Finished), Offer):
            if receipts and not many:
                raise _onlyOne()
            receipts.append(await _one(talk, offer, choose, watch))
        if not receipts and not many:
            raise PartnerProtocolError(
                "the partner has finished without a file; let it send one"
            )
    except Exception as error:
        await talk.giveUp(*told(error))
        if receipts and not many and isinstance(error, Truncated | PartnerFailed):
            # All that there was to come is stored, whether or not the sender
            # knows.
            return receipts
        raise
    await talk.end()
    return receipts


def _onlyOne() -> DestinationError:
    return DestinationError(
        "the partner has more than one file; give a folder for them",
        "refused",
        "the receiver takes one file; it has to give a folder for more",
    )


async def _one(talk: Talk, offer: Offer, choose: Choose, watch: Watch) -> Receipt:
    destination = choose(offer)
    try:
        destination.open()
        if offer.size is not None:
            destination.checkSize(offer.size)
        return await _store(talk, offer, destination, watch)
    except Exception as error:
        if _mayGoOn(error):
            destination.interrupt()
        else:
            destination.abort()
        raise


async def _store(
    talk: Talk, offer: Offer, destination: DigestingDestination, watch: Watch
) -> Receipt:
    offset, digest = await talk.unless(destination.offer())
    if offer.size is not None and offset > offer.size:
        offset, digest = 0, None  # of another file, or of an older one
    talk.say(Accept(offset, digest))
    begin = await talk.next(Begin)
    assert isinstance(begin, Begin)
    destination.start(begin.offset)
    progress = watch.begins(offer.name, offer.size, begin.offset)
    meter = Meter(talk.clock, progress, offer.size, begin.offset)
    meter.tell(begin.offset)
    while isinstance(event := await talk.next(Data, End), Data):
        waiting = destination.write(event.payload)
        if waiting is not None:
            await talk.unless(waiting)
        meter.tell(destination.size)
    assert isinstance(event, End)
    stored = Stored(destination.size, destination.digest())
    if (stored.size, stored.digest) != (event.size, event.digest):
        raise ReceiptMismatch(
            f"{stored.size} bytes with the SHA-256 {stored.digest.hex()} have come, "
            f"and {event.size} with {event.digest.hex()} were sent; send it again"
        )
    await destination.finish()
    # The file is stored, even if the partner has given up meanwhile; what it has
    # said is heard next.
    with suppress(TransferError):
        talk.say(stored)
    receipt = Receipt(
        offer.name, stored.size, stored.digest, stored.size - begin.offset
    )
    watch.ends(receipt)
    return receipt


def _mayGoOn(error: BaseException) -> bool:
    """Whether another try may go on where this one has ended."""
    if isinstance(error, DestinationError):
        return error.kind == "storing"
    if isinstance(error, PartnerFailed):
        return error.kind in (FailureKind.CANCELLED.value, FailureKind.SOURCE.value)
    return isinstance(error, Truncated | CancelledError)
