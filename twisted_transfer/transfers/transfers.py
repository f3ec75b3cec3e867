"""
Whole transfers: get the partner, move the data, know that it has arrived.

They are what ``transfer::transmitter`` and ``transfer::receiver`` are in Tcl's
tcllib, with receipts and resumption besides.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.connecting.connector import TransferConnector
from twisted_transfer.data.destinations import FileDestination
from twisted_transfer.data.parts import AnyPath
from twisted_transfer.data.progress import Progress, checkNumber, quietly
from twisted_transfer.data.receiving import gone
from twisted_transfer.data.sources import FileSource
from twisted_transfer.errors import AlreadyConnecting, BadOption, SourceError
from twisted_transfer.interfaces import Destination, IDestination, ISource, Source
from twisted_transfer.layers import keepAlive
from twisted_transfer.receipts.messages import MAX_NAME, Offer
from twisted_transfer.receipts.receipt import Receipt, Watch
from twisted_transfer.receipts.receiving import (
    DigestedDestination,
    accept,
    digestedDestination,
)
from twisted_transfer.receipts.sending import DigestedSource, Outgoing, offer
from twisted_transfer.text.settings import TextSettings
from twisted_transfer.transfers.folder import FolderDestination, suggestedName

if TYPE_CHECKING:
    from twisted_transfer.data.pacing import Pace

_T = TypeVar("_T")


def prepareSocket(channel: TransferChannel) -> None:
    """
    Let the system send what is small at once (RFC 1122, section 4.2.3.4), and find out
    that the partner is no longer there.  Do nothing where it cannot.

    Otherwise a small file would wait for the acknowledgement of the message before it,
    which takes a partner 40 ms.

    :param channel: a connected channel.
    """
    bottom: Any = channel.bottom
    # Twisted's transport for a UNIX socket is one for TCP, too, and one that has
    # been closed meanwhile has no socket any more.
    with suppress(AttributeError, OSError):
        handle = bottom.getHandle()
        if handle.family not in (socket.AF_INET, socket.AF_INET6):
            return
        bottom.setTcpNoDelay(True)
        keepAlive(bottom)


class Unwatched:
    """Tell nothing but the progress, and that to one function at most."""

    def __init__(self, progress: Progress | None = None) -> None:
        """
        :param progress: called after each block of each file.
        """
        self._progress: Progress = progress or (lambda count, total, rate: None)

    def connecting(self, connector: TransferConnector) -> None:
        """Do nothing."""

    def connected(self, channel: TransferChannel) -> None:
        """Do nothing."""

    def ends(self, receipt: Receipt) -> None:
        """Do nothing."""

    def checks(self, name: str | None, size: int) -> Progress:
        """:returns: what does nothing; progress is that of the transfer."""
        return lambda count, total, rate: None

    def begins(self, name: str | None, size: int | None, offset: int) -> Progress:
        """:returns: what is called after each block."""
        return self._progress


class _State(Enum):
    """Where a transfer stands."""

    NEW = "it was not started"
    BUSY = "it goes on"
    OVER = "it has ended"


class Transfer:
    """
    One transfer: a partner, and the data that move to it or from it.

    :ivar receipts: in the end, a :class:`~twisted_transfer.receipts.receipt.Receipt`
        for each file.
    """

    def __init__(
        self,
        connector: TransferConnector,
        raw: bool,
        progress: Progress | None,
        watch: Watch | None,
        limitRate: int | None,
    ) -> None:
        """
        :param connector: gets the partner.
        :param raw: whether it is without receipts.
        :param progress: called after each block of each file, with the bytes
            so far, those of the whole file or None, and the bytes per second.
        :param watch: is told more than that.
        :param limitRate: how many bytes may move in a second; None: any number.
        :raises BadOption: if both are given, or the rate is invalid.
        """
        if progress is not None and watch is not None:
            raise BadOption("progress= and watch= tell the same; give one of them")
        self.receipts: list[Receipt] = []
        self._connector = connector
        self._reactor = connector.reactor
        self._pace: Pace | None = None
        if limitRate is not None:
            checkNumber("limitRate", limitRate, 1)
            from twisted_transfer.data.pacing import Pace

            self._pace = Pace(self._reactor, limitRate)
        self._raw = raw
        self._watch: Watch = watch or Unwatched(progress)
        self._state = _State.NEW
        # What waits for the connector's port, and the error that ends that wait.
        self._asked: list[Deferred[Any]] = []
        self._error: Exception | None = None

    @property
    def busy(self) -> bool:
        """Whether it has been started, and is not over."""
        return self._state is _State.BUSY

    def start(self) -> Deferred[int]:
        """
        Get the partner and do the transfer.

        The local end is opened first: what cannot be read or stored is an
        error before this side dials or listens.

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
        if self._state is not _State.NEW:
            raise AlreadyConnecting(
                f"a {type(self).__name__} is good for one transfer; make another one"
            )
        self._state = _State.BUSY
        return Deferred.fromCoroutine(self._run())

    async def _run(self) -> int:
        try:
            self._open()
            channel = await self._connect()
            try:
                self._watch.connected(channel)
                self._check(channel)
                prepareSocket(channel)
                self.receipts = await self._move(channel)
            except Exception:
                # An error of the watch has not closed it.
                channel.abortConnection()
                await gone(channel)
                raise
        except Exception as error:
            self._error = error
            for asked in self._asked:
                asked.cancel()
            raise
        finally:
            self._release()
            self._state = _State.OVER
        return sum(receipt.size for receipt in self.receipts)

    async def _connect(self) -> TransferChannel:
        # A connector that is busy already is left alone: this raises an error.
        connecting = self._connector.connect()
        try:
            self._watch.connecting(self._connector)
            return await connecting
        except Exception:
            # After an error of the watch this Deferred is not waited for.
            connecting.addErrback(lambda failure: None)
            await self._connector.close()
            raise

    def _check(self, channel: TransferChannel) -> None:
        if not self._raw and channel.settings != TextSettings.BINARY:
            raise BadOption(
                "a transfer with receipts carries bytes as they are; leave out "
                "translation=, encoding= and eofChar=, or give --raw (raw=True)"
            )

    def whenListening(self) -> Deferred[Any]:
        """
        Wait for the address; see :meth:`TransferConnector.whenListening`.

        :returns: a Deferred with it, which fails as :meth:`start` does if that
            fails before there is one.
        """
        return self._ask(self._connector.whenListening())

    def invitation(self, host: str | None = None) -> Deferred[str]:
        """
        Wait for the invitation; see :meth:`TransferConnector.invitation`.

        :param host: the host to invite the partner to; None: the most probable.
        :returns: a Deferred with it, which fails as :meth:`start` does if that
            fails before there is one.
        """
        return self._ask(self._connector.invitation(host))

    def _ask(self, asked: Deferred[_T]) -> Deferred[_T]:
        def explain(failure: Failure) -> Failure:
            return failure if self._error is None else Failure(self._error)

        self._asked.append(asked)
        if self._error is not None:
            asked.cancel()
        return asked.addErrback(explain)

    def _open(self) -> None:
        """Open the local end, before this side dials or listens."""

    def _release(self) -> None:
        """Close the local end."""

    async def _move(self, channel: TransferChannel) -> list[Receipt]:
        """Move the data, on a channel on which nothing has been said yet."""
        raise NotImplementedError

    def _rawly(self, count: int) -> list[Receipt]:
        """Make the receipt of a transfer that has none from the partner."""
        receipt = Receipt(None, count, None, count)
        self._watch.ends(receipt)
        return [receipt]


class Transmitter(Transfer):
    """
    Sends to one partner, and is done when the partner has stored it.

    It is the counterpart of ``transfer::transmitter`` of Tcl's tcllib.

    :ivar receipts: in the end, a :class:`~twisted_transfer.receipts.receipt.Receipt`
        for each file.
    """

    def __init__(
        self,
        connector: TransferConnector,
        source: Source | Sequence[Source],
        *,
        raw: bool = False,
        progress: Progress | None = None,
        watch: Watch | None = None,
        limitRate: int | None = None,
    ) -> None:
        """
        :param connector: gets the partner.
        :param source: what to send; several, one after the other, with
            receipts only.
        :param raw: send the bytes and nothing else, so that any program can
            receive them; then nobody knows whether they were stored.
        :param progress: called after each block of each file, with the bytes
            so far, those of the whole file or None, and the bytes per second.
        :param watch: is told more than that.
        :param limitRate: send no more than so many bytes a second, of all files
            together; None: as fast as it goes.
        :raises BadOption: if the options do not go together.
        """
        super().__init__(connector, raw, progress, watch, limitRate)
        sources = [*source] if isinstance(source, Sequence) else [source]
        for each in sources:
            if not ISource.providedBy(each):
                raise BadOption(
                    f"a source is an ISource, not {type(each).__name__}; for what is "
                    "in memory there is BytesSource"
                )
        if not sources or (raw and len(sources) > 1):
            raise BadOption(
                f"{len(sources)} sources: give one, or with receipts (raw=False) "
                "several"
            )
        files: Any = sources
        if not raw:
            files = [
                DigestedSource(each, self._reactor, self._pace) for each in sources
            ]
        self._files = [*map(Outgoing, map(nameOf, sources), files)]
        self._sources = sources

    def _open(self) -> None:
        if len(self._sources) > 1:
            self._checkNames()
        for source in self._sources:
            source.open()
            if len(self._sources) > 1 and isinstance(source, FileSource):
                # It can be read; there may be more files than descriptors.
                source.close()

    def _checkNames(self) -> None:
        """
        Refuse names that no folder takes, since several files go into a folder.

        :raises SourceError: for the first of them.
        """
        names: set[str] = set()
        for file, source in zip(self._files, self._sources, strict=True):
            path = getattr(source, "name", "what is no file")
            if file.name is None or suggestedName(file.name) is None:
                raise SourceError(
                    f"cannot send {path} with others: the receiver stores them by "
                    "their names, and does not take that one; rename it, or send it "
                    "alone"
                )
            if file.name in names:
                raise SourceError(
                    f"cannot send {path} with the others: two of them have the name "
                    f"{file.name}; send them one by one"
                )
            names.add(file.name)

    def _release(self) -> None:
        for file in self._files:
            quietly(file.source.close, "close() of a source")

    async def _move(self, channel: TransferChannel) -> list[Receipt]:
        if not self._raw:
            return await offer(self._reactor, channel, self._files, self._watch)
        # Imported here, for most transfers have receipts.
        from twisted_transfer.transfers.raw import sendRaw

        source: Source = self._files[0].source
        if self._pace is not None:
            source = self._pace.source(source)
        progress = self._watch.begins(None, source.size, 0)
        return self._rawly(await sendRaw(self._reactor, source, channel, progress))


class Receiver(Transfer):
    """
    Receives from one partner, and is done when everything is stored.

    It is the counterpart of ``transfer::receiver`` of Tcl's tcllib.

    :ivar receipts: in the end, a :class:`~twisted_transfer.receipts.receipt.Receipt`
        for each file.
    """

    def __init__(
        self,
        connector: TransferConnector,
        destination: Destination | FolderDestination,
        *,
        raw: bool = False,
        maxSize: int | None = None,
        size: int | None = None,
        progress: Progress | None = None,
        watch: Watch | None = None,
        limitRate: int | None = None,
    ) -> None:
        """
        :param connector: gets the partner.
        :param destination: where it goes; a folder, with receipts only, for
            any number of files, which get the names that the partner suggests.
        :param raw: take the bytes and nothing else, so that any program can
            send them.
        :param maxSize: how many bytes a file may have; None: any number.
        :param size: of a raw transfer: take exactly so many bytes, in whichever way
            the connection ends after them; None: everything up to its end.
        :param progress: see :class:`Transmitter`.
        :param watch: see :class:`Transmitter`.
        :param limitRate: take no more than so many bytes a second; None: as fast as it
            goes.
        :raises BadOption: if the options do not go together.
        """
        super().__init__(connector, raw, progress, watch, limitRate)
        if maxSize is not None:
            checkNumber("maxSize", maxSize)
        if size is not None:
            checkNumber("size", size)
            if not raw:
                raise BadOption(
                    "size= is for a raw transfer (raw=True); with receipts the sender "
                    "says how much it is"
                )
        self._size = size
        if not isinstance(destination, FolderDestination) and not (
            IDestination.providedBy(destination)
        ):
            raise BadOption(
                f"{type(destination).__name__} is no destination; for the path of a "
                "file give FileDestination(path), for a folder FolderDestination(path)"
            )
        self._maxSize = maxSize
        self._folder: FolderDestination | None = None
        self._target: Any = destination
        if isinstance(destination, FolderDestination):
            if raw:
                raise BadOption(
                    "a folder goes with receipts only, for a raw sender suggests no "
                    "names: give the path of a file, or leave raw= out"
                )
            self._folder = destination
        elif not raw:
            self._target = digestedDestination(destination, self._reactor, maxSize)

    def _open(self) -> None:
        self._target.open()
        if self._size is not None and isinstance(self._target, FileDestination):
            self._target.checkRoom(self._size)

    def _release(self) -> None:
        # What is finished is not touched by this, nor what is kept.
        if self._folder is None:
            quietly(self._target.abort, "abort() of a destination")

    def _choose(self, offer: Offer) -> DigestedDestination:
        if self._folder is not None:
            return self._folder.choose(self._reactor, offer, self._maxSize)
        return cast(DigestedDestination, self._target)

    async def _move(self, channel: TransferChannel) -> list[Receipt]:
        if not self._raw:
            many = self._folder is not None
            return await accept(
                *(self._reactor, channel, self._choose, self._watch, many, self._pace)
            )
        from twisted_transfer.transfers.raw import receiveRaw

        target: Destination = self._target
        if self._pace is not None:
            target = self._pace.destination(target)
        progress = self._watch.begins(None, self._size, 0)
        return self._rawly(
            await receiveRaw(channel, target, progress, self._maxSize, self._size)
        )


def nameOf(source: Source) -> str | None:
    """
    Find the name that is suggested to the partner.

    :param source: what is sent.
    :returns: the name of a file without its folder; None for what is no file,
        and for a name that is not UTF-8 or too long for an Offer.
    """
    path = getattr(source, "path", None)
    name = os.path.basename(path) if isinstance(path, str) else ""
    with suppress(UnicodeEncodeError):
        if 0 < len(name.encode()) <= MAX_NAME:
            return name
    return None


def sendFile(
    connector: TransferConnector,
    path: AnyPath,
    *,
    raw: bool = False,
    progress: Progress | None = None,
) -> Deferred[int]:
    """
    Send a file to one partner.

    :param connector: gets the partner.
    :param path: the file.
    :param raw: see :class:`Transmitter`.
    :param progress: see :class:`Transmitter`.
    :returns: see :meth:`Transmitter.start`.
    """
    source = FileSource(path)
    return Transmitter(connector, source, raw=raw, progress=progress).start()


def receiveFile(
    connector: TransferConnector,
    path: AnyPath,
    *,
    force: bool = False,
    raw: bool = False,
    maxSize: int | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> Deferred[int]:
    """
    Receive into a file, which appears when it is stored, and not before.

    :param connector: gets the partner.
    :param path: the file.
    :param force: whether it may be there already and is replaced then.
    :param raw: see :class:`Receiver`.
    :param maxSize: see :class:`Receiver`.
    :param size: see :class:`Receiver`.
    :param progress: see :class:`Receiver`.
    :returns: see :meth:`Receiver.start`.
    """
    return Receiver(
        connector,
        FileDestination(path, force, connector.reactor),
        raw=raw,
        maxSize=maxSize,
        size=size,
        progress=progress,
    ).start()
