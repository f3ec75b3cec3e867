"""
Whole transfers: get the partner, move the data, know that it has arrived.

They are what ``transfer::transmitter`` and ``transfer::receiver`` are in Tcl's
tcllib, with receipts and resumption besides.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from twisted.internet.defer import Deferred

from twisted_transfer.accepting import accept
from twisted_transfer.channel import TransferChannel
from twisted_transfer.connector import TransferConnector
from twisted_transfer.counts import checkNumber
from twisted_transfer.destinations import FileDestination
from twisted_transfer.digested import DigestedDestination, DigestingDestination
from twisted_transfer.errors import BadOption
from twisted_transfer.folders import FolderDestination
from twisted_transfer.inside import reactorOf
from twisted_transfer.interfaces import IDestination, ISource
from twisted_transfer.measuring import Progress
from twisted_transfer.offering import Outgoing, offer
from twisted_transfer.outcomes import Receipt, Watch
from twisted_transfer.paths import AnyPath
from twisted_transfer.prefixes import ResumableFileSource, digestedSource
from twisted_transfer.raw import receiveRaw, sendRaw
from twisted_transfer.receiptmessages import MAX_NAME, Offer
from twisted_transfer.resuming import digestedDestination
from twisted_transfer.sources import FileSource
from twisted_transfer.transferring import Transfer


class Transmitter(Transfer):
    """
    Sends to one partner, and is done when the partner has stored it.

    It is the counterpart of ``transfer::transmitter`` of Tcl's tcllib.

    :ivar receipts: in the end, a :class:`~twisted_transfer.outcomes.Receipt`
        for each file.
    """

    def __init__(
        self,
        connector: TransferConnector,
        source: ISource | Sequence[ISource],
        *,
        raw: bool = False,
        progress: Progress | None = None,
        watch: Watch | None = None,
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
        :raises BadOption: if the options do not go together.
        """
        super().__init__(connector, raw, progress, watch)
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
        self._files = [
            Outgoing(nameOf(each), digestedSource(each, self._reactor))
            for each in sources
        ]
        self._sources = sources

    def _open(self) -> None:
        if self._raw:
            self._sources[0].open()
        else:
            for file in self._files:
                file.source.open()
                if len(self._files) > 1 and isinstance(
                    file.source, ResumableFileSource
                ):
                    # It can be read; there may be more files than descriptors.
                    file.source.close()

    def _release(self) -> None:
        for file in self._files:
            file.source.close()
        for source in self._sources:
            source.close()

    async def _move(self, channel: TransferChannel) -> list[Receipt]:
        if not self._raw:
            return await offer(self._reactor, channel, self._files, self._watch)
        [source] = self._sources
        progress = self._watch.begins(None, source.size, 0)
        return self._rawly(await sendRaw(self._reactor, source, channel, progress))


class Receiver(Transfer):
    """
    Receives from one partner, and is done when everything is stored.

    It is the counterpart of ``transfer::receiver`` of Tcl's tcllib.

    :ivar receipts: in the end, a :class:`~twisted_transfer.outcomes.Receipt`
        for each file.
    """

    def __init__(
        self,
        connector: TransferConnector,
        destination: IDestination | FolderDestination,
        *,
        raw: bool = False,
        maxSize: int | None = None,
        progress: Progress | None = None,
        watch: Watch | None = None,
    ) -> None:
        """
        :param connector: gets the partner.
        :param destination: where it goes; a folder, with receipts only, for
            any number of files, which get the names that the partner suggests.
        :param raw: take the bytes and nothing else, so that any program can
            send them.
        :param maxSize: how many bytes a file may have; None: any number.
        :param progress: see :class:`Transmitter`.
        :param watch: the same.
        :raises BadOption: if the options do not go together.
        """
        super().__init__(connector, raw, progress, watch)
        if maxSize is not None:
            checkNumber("maxSize", maxSize)
        if not isinstance(destination, FolderDestination) and not (
            IDestination.providedBy(destination)
        ):
            raise BadOption(
                f"{type(destination).__name__} is no destination; for the path of a "
                "file give FileDestination(path), for a folder FolderDestination(path)"
            )
        self._maxSize = maxSize
        self._folder: FolderDestination | None = None
        self._plain: IDestination | None = None
        self._digested: DigestingDestination | None = None
        if isinstance(destination, FolderDestination):
            if raw:
                raise BadOption(
                    "a folder goes with receipts only, for a raw sender suggests no "
                    "names: give the path of a file, or leave raw= out"
                )
            self._folder = destination
        elif raw and maxSize is None:
            self._plain = destination
        elif raw and not isinstance(destination, DigestingDestination):
            self._digested = DigestedDestination(destination, self._reactor, maxSize)
        else:
            self._digested = digestedDestination(destination, self._reactor, maxSize)

    def _open(self) -> None:
        target = self._folder or self._plain or self._digested
        assert target is not None
        target.open()

    def _release(self) -> None:
        # What is finished is not touched by this, nor what is kept.
        for target in (self._plain, self._digested):
            if target is not None:
                target.abort()

    def _choose(self, offer: Offer) -> DigestingDestination:
        if self._folder is not None:
            return self._folder.choose(self._reactor, offer, self._maxSize)
        assert self._digested is not None
        return self._digested

    async def _move(self, channel: TransferChannel) -> list[Receipt]:
        if not self._raw:
            many = self._folder is not None
            return await accept(self._reactor, channel, self._choose, self._watch, many)
        target = self._plain or self._digested
        assert target is not None
        progress = self._watch.begins(None, None, 0)
        return self._rawly(await receiveRaw(channel, target, progress))


def nameOf(source: ISource) -> str | None:
    """
    :param source: what is sent.
    :returns: what the partner may call it: the name of a file without its
        folder; None for what is no file.
    """
    path = getattr(source, "path", None)
    name = os.path.basename(path) if isinstance(path, str) else ""
    try:
        fits = 0 < len(name.encode()) <= MAX_NAME
    except UnicodeEncodeError:
        return None  # it is not UTF-8, and the partner could not be told
    return name if fits else None


def sendFile(
    connector: TransferConnector,
    path: AnyPath,
    *,
    raw: bool = False,
    progress: Progress | None = None,
) -> Deferred[int]:
    """
    Send a file.

    :param connector: gets the partner.
    :param path: the file.
    :param raw: see :class:`Transmitter`.
    :param progress: the same.
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
    progress: Progress | None = None,
) -> Deferred[int]:
    """
    Receive into a file, which appears when it is stored, and not before.

    :param connector: gets the partner.
    :param path: the file.
    :param force: whether it may be there already and is replaced then.
    :param raw: see :class:`Receiver`.
    :param maxSize: the same.
    :param progress: the same.
    :returns: see :meth:`Receiver.start`.
    """
    return Receiver(
        connector,
        FileDestination(path, force, reactorOf(connector)),
        raw=raw,
        maxSize=maxSize,
        progress=progress,
    ).start()
