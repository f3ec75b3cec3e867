"""
Destinations that know the SHA-256 of all that they have stored: what a
receiver's receipt says.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorThreads
from zope.interface import implementer

from twisted_transfer.digesting import RunningDigest
from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import IDestination

Offer = tuple[int, "bytes | None"]
"""How many bytes there are already, and their SHA-256 if there are any."""


@implementer(IDestination)
class DigestingDestination:
    """
    What all of them have in common.

    One is good for one transfer: :meth:`open`, :meth:`offer`, :meth:`start`,
    any number of :meth:`write`, then :meth:`finish`; after anything else
    :meth:`abort` or :meth:`interrupt`.
    """

    def __init__(self, reactor: IReactorThreads | None, maxSize: int | None) -> None:
        """
        :param reactor: with one, its threads hash.
        :param maxSize: how many bytes are taken at most; None: any number.
        """
        self._maxSize = maxSize
        self._digest = RunningDigest(reactor)

    @property
    def size(self) -> int:
        """How many bytes are stored, with those that were there already."""
        return self._digest.count

    def digest(self) -> bytes:
        """:returns: the SHA-256 of all that is stored, 32 bytes."""
        return self._digest.digest()

    def checkSize(self, size: int) -> None:
        """
        :param size: how many bytes are announced, or have come.
        :raises DestinationError: of the kind ``"too-large"``, if that is more
            than may be.
        """
        if self._maxSize is not None and size > self._maxSize:
            raise DestinationError(
                f"the partner sends more than the {self._maxSize} bytes that "
                "--max-size (maxSize=) allows; allow more, or ask for less",
                "too-large",
                f"it is larger than the {self._maxSize} bytes that the receiver takes",
            )

    def open(self) -> None:
        """
        Make sure that bytes can be stored.

        :raises DestinationError: if they cannot.
        """
        raise NotImplementedError

    def offer(self) -> Deferred[Offer]:
        """
        :returns: a Deferred with how much there is already, and its digest;
            ``(0, None)`` for nothing.
        """
        return succeed((0, None))

    def start(self, offset: int) -> None:
        """
        Say where the next bytes go; without this they go to the beginning.

        :param offset: what :meth:`offer` has said, to go on; or 0, to forget
            what is there and start over.
        :raises ValueError: if it is neither.
        """
        if offset != 0:
            raise ValueError(f"{offset} bytes were not offered; start at 0")

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Store some bytes.

        :param data: the next ones.
        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        :raises DestinationError: of the kind ``"too-large"`` or ``"storing"``,
            if they cannot be stored.
        """
        self.checkSize(self.size + len(data))
        waiting = self._store(data)
        self._digest.update(data)
        return waiting

    def _store(self, data: bytes) -> Deferred[None] | None:
        raise NotImplementedError

    def finish(self) -> Deferred[None]:
        """
        Everything has come: make it last.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        raise NotImplementedError

    def interrupt(self) -> None:
        """
        The connection broke, and the rest may come later: keep what can be
        gone on with.  What cannot is given up, as by :meth:`abort`.
        """
        self.abort()

    def abort(self) -> None:
        """The rest will not come: leave nothing behind that looks whole."""
        raise NotImplementedError


class DigestedDestination(DigestingDestination):
    """Any destination, with the digest of what goes into it."""

    def __init__(
        self,
        destination: IDestination,
        reactor: IReactorThreads | None = None,
        maxSize: int | None = None,
    ) -> None:
        """
        :param destination: stores the bytes.
        :param reactor: with one, its threads hash.
        :param maxSize: how many bytes are taken at most; None: any number.
        """
        super().__init__(reactor, maxSize)
        self._destination = destination

    def open(self) -> None:
        self._destination.open()

    def _store(self, data: bytes) -> Deferred[None] | None:
        return self._destination.write(data)

    def finish(self) -> Deferred[None]:
        return self._destination.finish()

    def abort(self) -> None:
        self._destination.abort()
