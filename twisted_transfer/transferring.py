"""
What all whole transfers have in common, in whichever direction.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from twisted_transfer.channel import TransferChannel
from twisted_transfer.connector import TransferConnector
from twisted_transfer.errors import AlreadyConnecting, BadOption
from twisted_transfer.inside import reactorOf, settingsOf
from twisted_transfer.keepalive import keepAlive
from twisted_transfer.measuring import Progress
from twisted_transfer.outcomes import Receipt, Watch
from twisted_transfer.receiving import gone
from twisted_transfer.text import TextSettings


class Unwatched:
    """Tells nobody, or one function, how a transfer goes on."""

    def __init__(self, progress: Progress | None = None) -> None:
        """
        :param progress: called after each block of each file.
        """
        self._progress: Progress = progress or (lambda count, total, rate: None)

    def connecting(self, connector: TransferConnector) -> None:
        """Nobody is told."""

    def connected(self, channel: TransferChannel) -> None:
        """Nobody is told."""

    def begins(self, name: str | None, size: int | None, offset: int) -> Progress:
        """:returns: what is called after each block."""
        return self._progress

    def ends(self, receipt: Receipt) -> None:
        """Nobody is told."""


class Transfer:
    """
    One transfer: a partner, and the data that move to it or from it.

    :ivar receipts: in the end, a :class:`~twisted_transfer.outcomes.Receipt`
        for each file.
    """

    def __init__(
        self,
        connector: TransferConnector,
        raw: bool,
        progress: Progress | None,
        watch: Watch | None,
    ) -> None:
        """
        :param connector: gets the partner.
        :param raw: whether it is without receipts.
        :param progress: called after each block of each file, with the bytes
            so far, those of the whole file or None, and the bytes per second.
        :param watch: is told more than that.
        :raises BadOption: if both are given.
        """
        if progress is not None and watch is not None:
            raise BadOption("progress= and watch= tell the same; give one of them")
        self.receipts: list[Receipt] = []
        self._connector = connector
        self._reactor = reactorOf(connector)
        self._raw = raw
        self._watch: Watch = watch or Unwatched(progress)
        self._started = False
        self._busy = False

    @property
    def busy(self) -> bool:
        """Whether it has been started, and is not over."""
        return self._busy

    def start(self) -> Deferred[int]:
        """
        Get the partner and do the transfer.

        What is local is looked at first: what cannot be read or stored is an
        error before anybody is dialled or listened for.

        :returns: a Deferred with the number of bytes of all files, when all
            are stored and, with receipts, both sides know it.  It fails with
            whatever ``connect()`` fails with; with ``SourceError`` or
            ``DestinationError`` if this side cannot go on; with
            ``PartnerFailed`` if the partner cannot, and says so; with
            ``Truncated`` if the connection breaks; and, with receipts, with
            ``NotAReceiptPartner``, ``ReceiptMismatch`` or
            ``PartnerProtocolError``.  It may be cancelled at any time, which
            the partner is told.
        :raises AlreadyConnecting: the second time.
        """
        if self._started:
            raise AlreadyConnecting(
                f"a {type(self).__name__} is good for one transfer; make another one"
            )
        self._started = self._busy = True
        return Deferred.fromCoroutine(self._run())

    async def _run(self) -> int:
        try:
            self._open()
            # Not closed if it is busy, for then it is somebody else's.
            connecting = self._connector.connect()
            try:
                self._watch.connecting(self._connector)
                channel = await connecting
            except Exception:
                # If it is whoever watches that has failed, nobody waits for it.
                connecting.addErrback(lambda failure: None)
                await self._connector.close()
                raise
            try:
                self._watch.connected(channel)
                self._check(channel)
                keepAlive(channel)
                self.receipts = await self._move(channel)
            except Exception:
                # Nobody else would, if it is an error of whoever watches.
                channel.abortConnection()
                await gone(channel)
                raise
        finally:
            self._release()
            self._busy = False
        return sum(receipt.size for receipt in self.receipts)

    def _check(self, channel: TransferChannel) -> None:
        if not self._raw and settingsOf(channel) != TextSettings.BINARY:
            raise BadOption(
                "a transfer with receipts carries bytes as they are; leave out "
                "translation=, encoding= and eofChar=, or give --raw (raw=True)"
            )

    def whenListening(self) -> Deferred[IAddress]:
        """:returns: see :meth:`TransferConnector.whenListening`."""
        return self._connector.whenListening()

    def invitation(self, host: str | None = None) -> Deferred[str]:
        """
        :param host: see :meth:`TransferConnector.invitation`.
        :returns: the same.
        """
        return self._connector.invitation(host)

    def _open(self) -> None:
        """Get the local end ready, before anybody is dialled or listened for."""
        raise NotImplementedError

    def _release(self) -> None:
        """Give back what that took."""
        raise NotImplementedError

    async def _move(self, channel: TransferChannel) -> list[Receipt]:
        """Do it, on a channel on which nothing has been said yet."""
        raise NotImplementedError

    def _rawly(self, count: int) -> list[Receipt]:
        """:returns: what is known of a transfer of so many bytes without receipts."""
        receipt = Receipt(None, count, None, count)
        self._watch.ends(receipt)
        return [receipt]
