"""
The sender's side of a transfer with receipts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorThreads
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.parts import inThread, reasonText
from twisted_transfer.data.progress import Meter, quietly
from twisted_transfer.data.sources import FileSource
from twisted_transfer.deferreds import deferring
from twisted_transfer.errors import SourceError
from twisted_transfer.interfaces import ISource, Source
from twisted_transfer.receipts.digest import RunningDigest, prover
from twisted_transfer.receipts.messages import (
    MAX_BATCH,
    MAX_SMALL,
    Accept,
    Begin,
    Challenge,
    Delivered,
    End,
    Offer,
    Proof,
    Role,
    Small,
    Stored,
)
from twisted_transfer.receipts.receipt import Receipt, Watch, told
from twisted_transfer.receipts.talk import Talk, whole

if TYPE_CHECKING:
    from twisted_transfer.data.pacing import Pace

_BATCH = 1024 * 1024
"""How many bytes of small files are in memory at once."""


@implementer(IConsumer)
class _Digesting:
    """
    A consumer that hands on what a source writes, and has it digested.

    :ivar frame: see :meth:`Talk.frame`.
    """

    def __init__(self, consumer: Any, digest: RunningDigest) -> None:
        """
        :param consumer: gets everything.
        :param digest: gets it, too.
        """
        self.registerProducer = consumer.registerProducer
        self.unregisterProducer = consumer.unregisterProducer
        self.bareOutput = getattr(consumer, "bareOutput", None)
        self.frame = getattr(consumer, "frame", None)
        self._consumer = consumer
        self._digest = digest

    def write(self, data: bytes) -> None:
        """
        :param data: the source's next block.
        """
        self._digest.update(data)
        self._consumer.write(data)

    def sent(self, count: int) -> None:
        """
        :param count: how many bytes of a file have gone to the socket without
            :meth:`write`.
        """
        self._digest.advance(count)
        self._consumer.sent(count)


@implementer(ISource)
class DigestedSource:
    """
    Send another source, with the digest of what it gives.

    Of a file only the rest is sent if the partner has its beginning.  What is no
    file cannot go back to prove how it begins, so all of it is sent.

    :ivar offset: how many bytes are not sent, since the partner has them; see
        :meth:`startAt`.
    """

    offset = 0

    def __init__(
        self,
        source: Source,
        reactor: IReactorThreads | None = None,
        pace: Pace | None = None,
    ) -> None:
        """
        :param source: gives the bytes.
        :param reactor: with one, its threads hash.
        :param pace: with one, they are sent no faster.
        """
        self._source = source
        self._pace = pace
        self._digest = RunningDigest(reactor)
        self._reading: Deferred[int] | None = None

    @property
    def size(self) -> int | None:
        """How many bytes there are, with those that are not sent; or None."""
        return self._source.size

    @property
    def count(self) -> int:
        """How many bytes the digest is of: those not sent, and those sent."""
        return self._digest.count

    def describe(self, name: str | None) -> Offer:
        """
        :param name: what the partner may call it, or None.
        :returns: what the partner is told of the source, which is open.
        """
        file = self._source
        if isinstance(file, FileSource):
            return Offer(name, file.size, file.modified, file.executable)
        return Offer(name, file.size)

    def digest(self) -> bytes:
        """:returns: the BLAKE3 of the first :attr:`count` bytes, 32 bytes."""
        return self._digest.digest()

    def open(self) -> None:
        """
        Open the source.

        :raises SourceError: if it cannot be read.
        """
        self._source.open()

    @deferring
    async def prove(self, length: int, nonce: bytes) -> bytes | None:
        """
        Prove to the partner how the source begins.

        The beginning of a file is read and hashed once, in a thread; the digest of
        the whole goes on from there.

        :param length: how many bytes the partner has.
        :param nonce: what it has chosen.
        :returns: a Deferred with the proof; None if there is no such beginning.  It
            fails with ``SourceError`` if it cannot be read.  It may be cancelled.
        """
        file = self._source
        if not isinstance(file, FileSource):
            return None
        file.open()
        if file.size is None or length > file.size:
            return None
        proof = prover(nonce, length)
        try:
            self._reading = self._digest.hashFile(file.fd, length, proof)
            count = await self._reading
        except OSError as error:
            raise file.cannotRead(error) from error
        if count < length:
            raise SourceError(
                f"{file.path} has shrunk while it was looked at: it had {file.size} "
                f"bytes, but ends after {count}; send it again when it changes no more"
            )
        return proof.digest()

    @property
    def proved(self) -> int:
        """How many bytes :meth:`prove` has read by now."""
        return self._digest.hashed

    def small(self, name: str | None) -> tuple[Small, bytes] | None:
        """
        Read a file that may be sent without asking, and close it.

        :param name: what the partner may call it, or None.
        :returns: what the partner is told of it, and everything that it has; None if it
            is no file, or none that is small, or is sent at a pace.
        :raises SourceError: if it cannot be read.
        """
        file = self._source
        if not isinstance(file, FileSource) or self._pace is not None:
            return None
        file.open()
        if file.size is None or file.size > MAX_SMALL:
            return None
        content = file.whole()
        digest = blake3(content).digest()
        return Small(name, file.size, file.modified, file.executable, digest), content

    def startAt(self, offset: int) -> None:
        """
        Say how many bytes are not sent.

        :param offset: 0, or those that were proved to the partner.
        """
        if offset == 0:
            self._digest.startOver()
        elif isinstance(self._source, FileSource):
            self.offset = self._source.offset = offset

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Write everything from :attr:`offset` on to the consumer.

        :param consumer: gets it.
        :returns: see :class:`~twisted_transfer.interfaces.ISource`.
        """
        file = self._source
        if self._pace is not None:
            file = self._pace.source(file)
        elif isinstance(file, FileSource) and getattr(consumer, "bareOutput", None):
            # What the kernel sends is not seen here.
            file.open()
            self._digest.follow(file.fd)
        return file.startProducing(_Digesting(consumer, self._digest))

    def caughtUp(self) -> Deferred[None]:
        """
        Wait until everything that was sent is digested.

        :returns: a Deferred that fails with ``SourceError`` if the file cannot be read
            any more.  It may be cancelled.
        """

        def explain(failure: Failure) -> None:
            error = failure.value
            if isinstance(error, OSError):
                raise SourceError(
                    f"cannot read {getattr(self._source, 'name', 'the source')} again: "
                    f"{reasonText(error)}; send it again"
                ) from error
            failure.raiseException()

        return self._digest.caughtUp().addErrback(explain)

    def close(self) -> None:
        """Close the source."""
        if self._reading is not None:
            # No thread reads the file when this has returned.
            self._reading.cancel()
        self._digest.close()
        self._source.close()


@implementer(IConsumer)
@dataclass(eq=False)
class _Framing:
    """
    The consumer that puts a source into frames, and tells how far it is.

    :ivar talk: sends the frames.
    :ivar source: what is sent; it has counted what comes here.
    :ivar tell: called with its count after each piece.
    """

    talk: Talk
    source: DigestedSource
    tell: Callable[[int], object]

    def __post_init__(self) -> None:
        channel = self.talk.consumer
        self.registerProducer = channel.registerProducer
        self.unregisterProducer = channel.unregisterProducer
        self.bareOutput = channel.bareOutput
        self.frame = self.talk.frame

    def write(self, data: bytes) -> None:
        """
        :param data: the source's next block.
        """
        size = self.source.size
        if size is not None and self.source.count > size:
            self.talk.breakOff(_otherSize(size, "more"))
            return
        self.talk.write(data, 0 if size is None else size - self.source.count)
        self.tell(self.source.count)

    def sent(self, count: int) -> None:
        """
        :param count: how many of them have gone.
        """
        self.talk.owed -= count
        self.tell(self.source.count)


@dataclass(frozen=True)
class Outgoing:
    """
    One file to send.

    :ivar name: what the partner may call it, or None.
    :ivar source: gives the bytes.
    """

    name: str | None
    source: DigestedSource


@deferring
async def offer(
    reactor: Any,
    channel: TransferChannel,
    files: Sequence[Outgoing],
    watch: Watch,
) -> list[Receipt]:
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
    talk = Talk(reactor, channel, Role.SENDS)
    receipts: list[Receipt] = []
    groups = _groups(files)

    def ahead() -> Deferred[_Group | None]:
        return inThread(reactor if len(files) > 1 else None, lambda: next(groups, None))

    reading: Deferred[_Group | None] = succeed(None)
    try:
        await talk.begin()
        reading = ahead()
        while (group := await reading) is not None:
            # While the partner stores these, the next ones are read.
            reading = ahead()
            if isinstance(group, Outgoing):
                receipts.append(await _one(talk, group, watch))
            else:
                receipts += await _batch(talk, group, watch)
    except Exception as error:
        await talk.giveUp(*told(error))
        raise
    finally:
        with suppress(Exception):
            await reading
        for file in files:
            quietly(file.source.close, "close() of a source")
    # With the last receipt everything is good, however they part.
    await talk.end()
    return receipts


_Small = tuple[Small, bytes]
_Group = Outgoing | list[_Small]


def _groups(files: Sequence[Outgoing]) -> Iterator[_Group]:
    """
    Put small files together, if there are more than one.

    :param files: what is to be sent, in this order.
    :returns: single files, and batches of small ones with their contents.
    """
    batch: list[_Small] = []
    room = _BATCH
    for file in files:
        small = file.source.small(file.name) if len(files) > 1 else None
        fits = small is not None and len(batch) < MAX_BATCH and len(small[1]) <= room
        if batch and not fits:
            yield batch
            batch, room = [], _BATCH
        if small is None:
            yield file
        else:
            batch.append(small)
            room -= len(small[1])
    if batch:
        yield batch


async def _batch(talk: Talk, batch: Sequence[_Small], watch: Watch) -> list[Receipt]:
    """Send small files, and get the receipt for all of them."""
    size, digests = 0, blake3()
    for small, content in batch:
        talk.say(small)
        talk.write(content)
        size += len(content)
        digests.update(small.digest)
    talk.say(End(size, digests.digest()))
    delivered = isinstance(await talk.next(Stored, Delivered), Delivered)
    return [whole(talk, watch, small, delivered) for small, _ in batch]


async def _one(talk: Talk, file: Outgoing, watch: Watch) -> Receipt:
    source = file.source
    source.open()
    talk.say(source.describe(file.name))
    answer = await talk.answer(Accept, Challenge)
    if isinstance(answer, Challenge):
        check = watch.checks(file.name, answer.offset)
        checking = Meter(talk.clock, check, answer.offset)
        proving = source.prove(answer.offset, answer.nonce)
        proof = await talk.unless(
            talk.working(proving, lambda: checking.tell(source.proved))
        )
        talk.say(Proof(proof))
        answer = await talk.answer(Accept)
    assert isinstance(answer, Accept)
    source.startAt(answer.offset)
    talk.say(Begin(source.offset))
    offset = source.offset
    progress = watch.begins(file.name, source.size, offset)
    meter = Meter(talk.clock, progress, source.size, offset)
    meter.tell(offset)

    framing = _Framing(talk, source, meter.tell)
    with talk.consumer.fed():
        await talk.unless(source.startProducing(framing))
    await talk.unless(talk.working(source.caughtUp()))
    if source.size is not None and source.count != source.size:
        raise _otherSize(source.size, "fewer" if source.count < source.size else "more")
    end = End(source.count, source.digest())
    talk.say(end)
    delivered = isinstance(await talk.next(Stored, Delivered), Delivered)
    receipt = Receipt(file.name, end.size, end.digest, end.size - offset, delivered)
    watch.ends(receipt)
    return receipt


def _otherSize(size: int, relation: str) -> SourceError:
    return SourceError(
        f"the source said that it has {size} bytes, and gives {relation}; let its size "
        "be what it gives, or None"
    )
