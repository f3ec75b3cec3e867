"""
The sender's side of a transfer with receipts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProducer
from zope.interface import implementer

from twisted_transfer.channel import TransferChannel
from twisted_transfer.errors import SourceError
from twisted_transfer.measuring import Meter
from twisted_transfer.outcomes import Receipt, Watch, told
from twisted_transfer.prefixes import DigestedSource
from twisted_transfer.receiptmessages import (
    Accept,
    Begin,
    End,
    Offer,
    Role,
    Stored,
)
from twisted_transfer.talking import Talk

_BLOCK = 2**20
"""The most bytes in one frame: those of a source that gives more at once are
divided, for they are all in memory then."""


@dataclass(frozen=True)
class Outgoing:
    """
    One file to send.

    :ivar name: what the partner may call it, or None.
    :ivar source: gives the bytes.
    """

    name: str | None
    source: DigestedSource


@implementer(IConsumer)
class _Framing:
    """Puts what a source gives into frames, no faster than they are taken."""

    def __init__(self, talk: Talk, meter: Meter, count: int, size: int | None) -> None:
        self._talk = talk
        self._meter = meter
        self._count = count
        self._size = size

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        self._talk.consumer.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._talk.consumer.unregisterProducer()

    def write(self, data: bytes) -> None:
        if self._size is not None and len(data) > self._size - self._count:
            self._talk.breakOff(_otherSize(self._size, "more"))
            return
        for start in range(0, len(data), _BLOCK):
            self._talk.write(data[start : start + _BLOCK])
        self._count += len(data)
        self._meter.tell(self._count)


def offer(
    reactor: Any,
    channel: TransferChannel,
    files: Sequence[Outgoing],
    watch: Watch,
) -> Deferred[list[Receipt]]:
    """
    Send some files, and get the receipts for them.

    :param reactor: measures the time.
    :param channel: carries bytes, and nothing else yet; closed in the end.
    :param files: in this order.
    :param watch: is told how it goes on.
    :returns: a Deferred with the receipts, one for each file.  It fails with
        ``PartnerFailed`` when the partner says that it cannot take them, with
        ``NotAReceiptPartner`` if it does not use receipts, with
        ``ReceiptMismatch`` if its receipt is for something else, with
        ``PartnerProtocolError`` or ``Truncated``; and with ``SourceError`` if
        a file cannot be read, which the partner is told.  When it is
        cancelled, the partner is told, too.
    """
    return Deferred.fromCoroutine(_offer(reactor, channel, files, watch))


async def _offer(
    reactor: Any, channel: TransferChannel, files: Sequence[Outgoing], watch: Watch
) -> list[Receipt]:
    talk = Talk(reactor, channel, Role.SENDS)
    receipts = []
    try:
        await talk.begin()
        for file in files:
            receipts.append(await _one(talk, file, watch))
    except Exception as error:
        await talk.giveUp(*told(error))
        raise
    finally:
        for file in files:
            file.source.close()
    # With the last receipt everything is good, however they part.
    await talk.end()
    return receipts


async def _one(talk: Talk, file: Outgoing, watch: Watch) -> Receipt:
    source = file.source
    source.open()
    talk.say(Offer(file.name, source.size))
    accept = await talk.next(Accept)
    assert isinstance(accept, Accept)
    if accept.digest is not None:
        checking: Any = source.checkPrefix(accept.offset, accept.digest)
        await talk.unless(checking)
    talk.say(Begin(source.offset))
    offset = source.offset
    progress = watch.begins(file.name, source.size, offset)
    meter = Meter(talk.clock, progress, source.size, offset)
    meter.tell(offset)
    framing = _Framing(talk, meter, offset, source.size)
    await talk.unless(source.startProducing(framing))
    if source.size is not None and source.count != source.size:
        raise _otherSize(source.size, "fewer" if source.count < source.size else "more")
    end = End(source.count, source.digest())
    talk.say(end)
    await talk.next(Stored)
    receipt = Receipt(file.name, end.size, end.digest, end.size - offset)
    watch.ends(receipt)
    return receipt


def _otherSize(size: int, relation: str) -> SourceError:
    return SourceError(
        f"the source said that it has {size} bytes, and gives {relation}; let its size "
        "be what it gives, or None"
    )
