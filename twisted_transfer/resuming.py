"""
Receiving a file of which an earlier transfer may have left a part.

What is on the disk, and when, is in :doc:`/explanation/atomicity`.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorThreads
from zope.interface import implementer

from twisted_transfer.destinations import FileDestination
from twisted_transfer.digested import (
    DigestedDestination,
    DigestingDestination,
    Offer,
)
from twisted_transfer.errors import BadOption
from twisted_transfer.interfaces import IDestination
from twisted_transfer.leftovers import ResumablePart
from twisted_transfer.partfile import targetMode, unfit
from twisted_transfer.paths import AnyPath, pathText, targetPath


@implementer(IDestination)
class ResumableFileDestination(DigestingDestination):
    """
    A file that appears when all of it is stored, and not before; of which an
    interrupted transfer leaves a part, to go on with.

    The part is ``NAME.part`` beside it.  It is held by a lock from
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
        super().__init__(reactor, maxSize)
        self.path = pathText(path)
        self._follow = follow
        self._force = force
        self._reactor = reactor
        self._part: ResumablePart | None = None
        self._mode = 0o600
        self._offered = 0
        self._reading: Deferred[int] | None = None
        self._started = False

    def open(self) -> None:
        """
        Take the lock, and look whether the file could be stored.

        :raises DestinationError: of the kind ``"exists"``, ``"busy"`` or
            ``"place"``, if it cannot.
        """
        self._opened()

    def _opened(self) -> ResumablePart:
        if self._part is None:
            try:
                target = targetPath(self.path, self._follow)
            except ValueError as error:
                raise unfit(str(error)) from error
            self._mode = targetMode(target, self._force)
            part = ResumablePart(target, self._force)
            part.create()
            self._part = part
        return self._part

    def offer(self) -> Deferred[Offer]:
        """
        Look what an interrupted transfer has left.

        It is read and hashed once, in a thread; the digest of the whole goes
        on from there.  A part that is larger than the file may be is not
        offered.

        :returns: a Deferred with how many bytes there are, and their SHA-256;
            ``(0, None)`` if there are none.  It fails with
            ``DestinationError`` if they cannot be read.  It may be cancelled.
        """
        return Deferred.fromCoroutine(self._offer())

    async def _offer(self) -> Offer:
        part = self._opened()
        if not part.found or (self._maxSize is not None and part.found > self._maxSize):
            return 0, None
        try:
            self._reading = self._digest.hashFile(part.fd, part.found)
            await self._reading
        except OSError as error:
            raise part.cannotRead(error) from error
        self._offered = self._digest.count
        return self._offered, self._digest.digest()

    def start(self, offset: int) -> None:
        """
        Say where the next bytes go; without this they go to the beginning.

        :param offset: what :meth:`offer` has said, to go on; or 0, to forget
            what is there and start over.
        :raises ValueError: if it is neither.
        :raises DestinationError: if the part cannot be written to.
        """
        if offset not in (0, self._offered):
            raise ValueError(
                f"{offset} bytes were not offered; start at 0 or {self._offered}"
            )
        self._opened().goOnAt(offset)
        if offset == 0:
            self._digest.startOver()
        self._started = True

    def _store(self, data: bytes) -> None:
        if not self._started:
            self.start(0)
        self._opened().write(data)

    def finish(self) -> Deferred[None]:
        """
        Flush everything to the disk and let the target appear.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        if not self._started:
            self.start(0)
        part = self._opened()
        part.check(self.size)
        await part.flush(self._mode, self._reactor)
        part.publish()

    def interrupt(self) -> None:
        """
        The rest may come later: give back the lock, and leave the part.

        It is not flushed to the disk.  If the machine stops too, what is left
        may differ from what has come; its digest will tell.
        """
        self._release()
        if self._part is not None:
            self._part.keep()

    def abort(self) -> None:
        """
        The rest will not come: remove the part.

        One that was found, and not written to, is left as it was: a partner
        who never came takes nothing away.
        """
        self._release()
        if self._part is not None:
            if self._started:
                self._part.discard()
            else:
                self._part.keep()

    def _release(self) -> None:
        """Let no thread use the part any more."""
        if self._reading is not None:
            self._reading.cancel()


def digestedDestination(
    destination: IDestination,
    reactor: IReactorThreads | None = None,
    maxSize: int | None = None,
) -> DigestingDestination:
    """
    :param destination: any destination, not opened.
    :param reactor: with one, its threads hash.
    :param maxSize: how many bytes are taken at most; None: any number.
    :returns: the same for a transfer with a receipt; a file can be gone on with
        in the middle.
    :raises BadOption: if it has a bound of its own.
    """
    if isinstance(destination, FileDestination):
        return ResumableFileDestination(
            destination.path, destination.force, reactor, maxSize
        )
    if not isinstance(destination, DigestingDestination):
        return DigestedDestination(destination, reactor, maxSize)
    if maxSize is not None:
        raise BadOption(
            "maxSize= is for destinations that know no bound themselves; give it to "
            "this one when it is made"
        )
    return destination
