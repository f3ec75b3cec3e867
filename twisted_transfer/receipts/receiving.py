"""
The receiver's side of a transfer with receipts.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorThreads

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.destinations import (
    BoundedDestination,
    BytesDestination,
    CallableDestination,
    FileDestination,
    finishTogether,
)
from twisted_transfer.data.parts import (
    AnyPath,
    Part,
    raising,
)
from twisted_transfer.data.progress import Meter, quietly
from twisted_transfer.data.streams import StreamDestination
from twisted_transfer.deferreds import deferring
from twisted_transfer.errors import (
    DestinationError,
    PartnerFailed,
    PartnerProtocolError,
    ReceiptMismatch,
    TransferError,
    Truncated,
)
from twisted_transfer.interfaces import Destination
from twisted_transfer.receipts.digest import RunningDigest, prover
from twisted_transfer.receipts.frames import Data
from twisted_transfer.receipts.messages import (
    DIGEST_SIZE,
    Accept,
    Begin,
    Challenge,
    Delivered,
    End,
    FailureKind,
    Finished,
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

# Any other destination promises by finish() that everything is stored for good.
_GIVE_AWAY = (BytesDestination, CallableDestination, StreamDestination)


class DigestedDestination(BoundedDestination):
    """
    Store in another destination, with the digest of what goes into it.

    One is good for one transfer: :meth:`open`, :meth:`prove`, :meth:`start`,
    any number of :meth:`write`, then :meth:`finish`; after anything else
    :meth:`abort` or :meth:`interrupt`.

    :ivar size: how many bytes are stored, with those that were there already.
    """

    def __init__(
        self,
        destination: Destination,
        reactor: IReactorThreads | None = None,
        maxSize: int | None = None,
    ) -> None:
        """
        :param destination: stores the bytes.
        :param reactor: with one, its threads hash.
        :param maxSize: how many bytes are taken at most; None: any number.
        """
        super().__init__(destination, maxSize)
        self._digest = RunningDigest(reactor)

    @property
    def delivers(self) -> bool:
        """Whether the bytes are given away, and not stored in a file."""
        return isinstance(self.destination, _GIVE_AWAY)

    def digest(self) -> bytes:
        """:returns: the BLAKE3 of all that is stored, 32 bytes."""
        return self._digest.digest()

    def resemble(self, offer: Offer) -> None:
        """
        Keep what the sender tells of its file, where the destination can.

        :param offer: what the sender tells.
        """

    def checkRoom(self, size: int) -> None:
        """
        Check that the destination, which is open, has room for the file.

        :param size: how many bytes it will have.
        :raises DestinationError: of the kind ``"too-large"``, if it has not.
        """

    @property
    def found(self) -> int:
        """How many bytes there are already, with which a transfer may go on."""
        return 0

    def prove(self, nonce: bytes) -> Deferred[bytes]:
        """
        :param nonce: what the sender was told.
        :returns: a Deferred with the proof that is right for :attr:`found` bytes.
        """
        raise NotImplementedError

    @property
    def proved(self) -> int:
        """How many bytes :meth:`prove` has read by now."""
        return self._digest.hashed

    def start(self, offset: int) -> None:
        """
        Say where the next bytes go; called once before the first :meth:`write`.

        :param offset: :attr:`found`, to go on; or 0, to forget what is there and
            start over.
        """

    def write(self, data: bytes) -> Deferred[None] | None:
        waiting = super().write(data)
        self._digest.updateStored(data, self.fd)
        return waiting

    def stored(self, count: int) -> None:
        self._digest.follow(self.fd)
        self._digest.advance(count)
        super().stored(count)

    def caughtUp(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when everything that is stored is digested; it
            may be cancelled.
        """
        return self._digest.caughtUp()

    def forget(self, count: int) -> None:
        """
        :param count: how many of the last bytes are not of the file.
        """

    def interrupt(self) -> None:
        """
        Keep what a later transfer can go on with, if it can; otherwise abort.
        """
        self.abort()


class ResumableFileDestination(DigestedDestination):
    """
    Store in a file that appears when all of it is stored, and not before; of
    which an interrupted transfer leaves a part, to go on with.

    The part is ``NAME.twisted-transfer-part`` beside it.  It is held by a lock from
    :meth:`open` to the end, so that no two transfers write the same file.

    :ivar path: the file that is to appear; symbolic links are followed when it
        is opened.
    """

    def __init__(
        self,
        path: AnyPath,
        force: bool = False,
        reactor: IReactorThreads | None = None,
        maxSize: int | None = None,
        follow: bool = True,
    ) -> None:
        """
        :param path: the file that is to appear.
        :param force: whether it may be there already and is replaced then.  A
            part of it may be there in any case.
        :param reactor: with one, its threads hash, and wait for the disk.
        :param maxSize: how many bytes it may have; None: any number.
        :param follow: whether the path may be a symbolic link to the place;
            otherwise the file appears by that name, or not at all.
        """
        self._file = FileDestination(path, force, reactor, follow=follow)
        self._reactor = reactor
        super().__init__(self._file, reactor, maxSize)
        self.path = self._file.path
        self._reading: Deferred[int] | None = None

    def resemble(self, offer: Offer) -> None:
        """
        Give the file the time and the executable bit that it has at the sender.

        :param offer: what the sender tells.
        """
        self._file.modified = offer.modified
        self._file.executable = offer.executable

    def checkRoom(self, size: int) -> None:
        """
        Check that the disk has room for the file; what is there of it counts.

        :param size: how many bytes it will have.
        :raises DestinationError: of the kind ``"too-large"``, if it has not.
        """
        self._file.checkRoom(size)

    def open(self) -> None:
        """
        Take the lock, and look whether the file could be stored.

        :raises DestinationError: of the kind ``"exists"``, ``"busy"`` or
            ``"place"``, if it cannot.
        """
        self._file.resume()

    @property
    def found(self) -> int:
        """
        How many bytes an interrupted transfer has left.

        A part that is larger than the file may be counts as none.
        """
        found = self._file.resume().found
        return 0 if self._maxSize is not None and found > self._maxSize else found

    @deferring
    async def prove(self, nonce: bytes) -> bytes:
        """
        Compute the proof that is right for the part.

        It is read and hashed once, in a thread; the digest of the whole goes on from
        there.

        :param nonce: what the sender was told.
        :returns: a Deferred with the proof.  It fails with ``DestinationError`` if the
            part cannot be read.  It may be cancelled.
        """
        part = self._file.resume()
        proof = prover(nonce, part.found)
        with raising(part.cannotRead):
            self._reading = self._digest.hashFile(part.fd, part.found, proof)
            await self._reading
        return proof.digest()

    def start(self, offset: int) -> None:
        """
        Say where the next bytes go; called once before the first :meth:`write`.

        :param offset: :attr:`found`, to go on; or 0, to forget what is there and
            start over.
        :raises DestinationError: if the part cannot be written to.
        """
        self._file.startAt(offset)
        if offset == 0:
            self._digest.startOver()
        self.size = offset

    @deferring
    async def caughtUp(self) -> None:
        """
        Wait until everything that is stored is digested.

        :returns: a Deferred that fails with ``DestinationError`` if the part cannot be
            read.  It may be cancelled.
        """
        with raising(self._file.resume().cannotRead):
            await super().caughtUp()

    def finish(self) -> Deferred[None]:
        """
        Flush everything to the disk and let the target appear.

        :returns: see :func:`~twisted_transfer.data.destinations.finishTogether`.
        """
        return finishTogether(self._reactor, [self])

    def ended(self) -> Part:
        """
        :returns: the part, which nothing more is written to.
        :raises DestinationError: if there is none, and none can be made.
        """
        self._digest.close()
        return self._file.ended()

    async def publish(self) -> None:
        """
        Let the target appear.  Everything is flushed.

        If another program has opened the part meanwhile, what is in it by now is
        hashed once more.

        :raises DestinationError: if it cannot, or the part was changed.
        """
        part = self._file.resume()
        if part.shared:
            stored = RunningDigest(self._reactor)
            with raising(part.cannotRead):
                self._reading = stored.hashFile(part.fd, self.size)
                await self._reading
            if stored.digest() != self.digest():
                raise part.changed()
        await self._file.publish()

    def forget(self, count: int) -> None:
        """
        Take the last bytes off the part.

        :param count: how many.
        """
        self._file.startAt(max(self.size - count, 0))

    def interrupt(self) -> None:
        """
        Leave the part for a later transfer, and give back the lock.

        If the machine stops too, what is left may differ from what has come; its
        digest will tell.
        """
        self._release()
        self._file.interrupt()

    def abort(self) -> None:
        """
        Remove the part, or leave it as it was found if it was not written to.
        """
        self._release()
        super().abort()

    def _release(self) -> None:
        """Have no thread read the part from here on."""
        if self._reading is not None:
            self._reading.cancel()
        self._digest.close()


def digestedDestination(
    destination: Destination,
    reactor: IReactorThreads | None = None,
    maxSize: int | None = None,
) -> DigestedDestination:
    """
    :param destination: any destination, not opened.
    :param reactor: with one, its threads hash.
    :param maxSize: how many bytes are taken at most; None: any number.
    :returns: what stores in it for a transfer with a receipt.  A file can be gone on
        with in the middle.
    """
    if isinstance(destination, FileDestination):
        return ResumableFileDestination(
            destination.path, destination.force, reactor, maxSize
        )
    return DigestedDestination(destination, reactor, maxSize)


Choose = Callable[[Offer], DigestedDestination]
"""Chooses the destination of an offered file, or raises ``DestinationError``."""


@deferring
async def accept(
    reactor: Any,
    channel: TransferChannel,
    choose: Choose,
    watch: Watch,
    many: bool = False,
    pace: Pace | None = None,
) -> list[Receipt]:
    """
    Receive what the partner offers, and give receipts for it.

    A receipt is given when the file is on the disk, and not before.

    :param reactor: measures the time.
    :param channel: carries bytes, and nothing else yet; closed in the end.
    :param choose: is asked for each file where it goes.
    :param watch: is told how it goes on.
    :param many: whether there may be more than one file.
    :param pace: with one, data are taken no faster.
    :returns: a Deferred with the receipts, when the partner has no more files.
        It fails with ``DestinationError`` if one of them cannot be stored,
        which the partner is told; with ``PartnerFailed`` if the partner says
        that it cannot send it, with ``NotAReceiptPartner`` if it does not use
        receipts, with ``ReceiptMismatch`` if what came is not what was sent,
        with ``PartnerProtocolError`` or ``Truncated``.  When it is cancelled,
        the partner is told, too.  A file that breaks off is kept to go on with.
    """
    talk = Talk(reactor, channel, Role.RECEIVES)
    talk.pace = pace
    receipts: list[Receipt] = []
    try:
        await talk.begin()
        while isinstance(offer := await talk.answer(Offer, Small, Finished), Offer):
            if not many and (receipts or isinstance(offer, Small)):
                raise DestinationError(
                    "the partner has more than one file; give a folder for them",
                    "refused",
                    "the receiver takes one file; it has to give a folder for more",
                )
            if isinstance(offer, Small):
                receipts += await _batch(talk, offer, choose, watch)
            else:
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


async def _one(talk: Talk, offer: Offer, choose: Choose, watch: Watch) -> Receipt:
    destination = choose(offer)
    try:
        destination.open()
        if offer.size is not None:
            destination.checkSize(offer.size)
            destination.checkRoom(offer.size)
        destination.resemble(offer)
        return await _store(talk, offer, destination, watch)
    except Exception as error:
        if isinstance(error, PartnerFailed) and error.filler:
            forget = partial(destination.forget, error.filler)
            quietly(forget, "forget() of a destination")
        end = destination.interrupt if _mayGoOn(error) else destination.abort
        quietly(end, "abort() of a destination")
        raise


async def _batch(
    talk: Talk, first: Small, choose: Choose, watch: Watch
) -> list[Receipt]:
    """Receive small files; they are flushed together, and so have one receipt."""
    batch: list[tuple[Small, DigestedDestination]] = []
    digests = blake3()
    try:
        said: Small | End = first
        while isinstance(said, Small):
            batch.append((said, await _small(talk, said, choose)))
            digests.update(said.digest)
            said = await talk.next(Small, End)
        size = sum(destination.size for _, destination in batch)
        stored = Stored(size, digests.digest())
        _compare(stored, said)
    except Exception:
        # What is whole is stored, as it is when it comes alone.
        with suppress(DestinationError):
            await _finishBatch(talk.clock, batch)
        raise
    await talk.working(_finishBatch(talk.clock, batch))
    with suppress(TransferError):
        talk.say(stored)
    return [whole(talk, watch, small, False) for small, _ in batch]


async def _small(talk: Talk, small: Small, choose: Choose) -> DigestedDestination:
    """:returns: the destination that has all of a small file."""
    destination = choose(small)
    size = small.size or 0
    try:
        destination.open()
        destination.checkSize(size)
        destination.resemble(small)
        destination.start(0)
        paced = talk.paced(destination)
        while destination.size < size:
            waiting = paced.write((await talk.next(Data)).payload)
            if waiting is not None:
                await talk.unless(talk.working(waiting))
        _compare(
            Stored(destination.size, destination.digest()), End(size, small.digest)
        )
    except Exception:
        quietly(destination.abort, "abort() of a destination")
        raise
    return destination


@deferring
async def _finishBatch(
    reactor: Any, batch: Sequence[tuple[Small, DigestedDestination]]
) -> None:
    """
    Let all files of a batch appear, or see that they are there.

    :raises DestinationError: if one of them cannot; those before it are stored, unless
        the disk is what is wrong.
    """
    files: list[ResumableFileDestination] = []
    error: DestinationError | None = None
    try:
        for _, each in batch:
            if isinstance(each, ResumableFileDestination):
                files.append(each)
                continue
            try:
                await each.finish()
            except DestinationError as problem:
                error = problem
                break
        await finishTogether(reactor, files)
        if error is not None:
            raise error
    except Exception:
        for _, each in batch:
            quietly(each.abort, "abort() of a destination")
        raise


async def _store(
    talk: Talk, offer: Offer, destination: DigestedDestination, watch: Watch
) -> Receipt:
    offset = destination.found
    if offer.size is not None and offset > offer.size:
        offset = 0  # of another file, or of an older one
    if offset and not await _proves(talk, offer, destination, watch):
        offset = 0
    talk.say(Accept(offset))
    begin = await talk.answer(Begin)
    destination.start(begin.offset)
    progress = watch.begins(offer.name, offer.size, begin.offset)
    meter = Meter(talk.clock, progress, offer.size, begin.offset)
    meter.tell(begin.offset)
    storing = Deferred.fromCoroutine(
        talk.store(destination, lambda count: meter.tell(destination.size))
    )
    # The sender cannot see that this side takes its time on purpose.
    end = await (storing if talk.pace is None else talk.working(storing))
    # All of it is here, whatever becomes of the partner now.
    await talk.working(destination.caughtUp())
    receives = Delivered if destination.delivers else Stored
    stored = receives(destination.size, destination.digest())
    _compare(stored, end)
    await talk.working(destination.finish())
    # The file is stored, even if the partner has given up meanwhile; what it has
    # said is heard next.
    with suppress(TransferError):
        talk.say(stored)
    receipt = Receipt(
        offer.name,
        stored.size,
        stored.digest,
        stored.size - begin.offset,
        destination.delivers,
    )
    watch.ends(receipt)
    return receipt


def _compare(stored: Stored, end: End) -> None:
    """
    :raises ReceiptMismatch: if what has come is not what was sent.
    """
    if (stored.size, stored.digest) != (end.size, end.digest):
        raise ReceiptMismatch(
            f"{stored.size} bytes with the BLAKE3 {stored.digest.hex()} have come, "
            f"and {end.size} with {end.digest.hex()} were sent; send it again"
        )


async def _proves(
    talk: Talk, offer: Offer, destination: DigestedDestination, watch: Watch
) -> bool:
    """
    Let the sender prove that it knows what a part has.

    A part may have been begun with another partner, who is not to be told of by its
    digest, nor to be believed.
    """
    nonce = os.urandom(DIGEST_SIZE)
    found = destination.found
    talk.say(Challenge(found, nonce))
    checking = Meter(talk.clock, watch.checks(offer.name, found), found)
    right = await talk.unless(
        talk.working(
            destination.prove(nonce), lambda: checking.tell(destination.proved)
        )
    )
    proof = await talk.answer(Proof)
    return proof.digest is not None and hmac.compare_digest(proof.digest, right)


def _mayGoOn(error: BaseException) -> bool:
    """Whether a later transfer may go on where this one has ended."""
    if isinstance(error, DestinationError):
        return error.kind == "storing"
    if isinstance(error, PartnerFailed):
        return error.kind in (FailureKind.CANCELLED.value, FailureKind.SOURCE.value)
    return isinstance(error, Truncated | CancelledError)
