"""
Files over plain sockets: by the kernel, and by reading and writing, with one contract.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
from collections.abc import Callable
from typing import Any

from blake3 import blake3
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support.folders import newFolder
from tests.support.programs import reset
from twisted_transfer import (
    DestinationError,
    FileDestination,
    FileSource,
    PartnerFailed,
    ReceiptMismatch,
    SourceError,
    TransferChannel,
    TransferConnector,
    Truncated,
    copy,
)
from twisted_transfer.channel import channel as channels
from twisted_transfer.data import kernel
from twisted_transfer.receipts import digest
from twisted_transfer.receipts.receipt import Receipt
from twisted_transfer.receipts.receiving import ResumableFileDestination, accept
from twisted_transfer.receipts.sending import DigestedSource, Outgoing, offer
from twisted_transfer.transfers.raw import receiveRaw, sendRaw
from twisted_transfer.transfers.transfers import Receiver, Transmitter, Unwatched

reactor: Any = _reactor

_SIZE = 20_000_003


class MovingMixin:
    """
    What a file transfer over a plain socket owes, whatever moves the bytes.

    :cvar byKernel: whether the kernel moves them.
    :cvar tcp: whether the socket is a TCP one, or a UNIX one.
    """

    byKernel: bool
    patch: Callable[..., Any]

    tcp = True
    # What a side fails with when the other one has given up.
    left: tuple[type[Exception], ...] = (Truncated,)

    def setUp(self) -> None:
        """Make a file, and note what the kernel is asked for."""
        case: Any = self
        self.folder = newFolder(case)
        self.source = self.folder / "source"
        self.target = self.folder / "target"
        self.content = os.urandom(65536) * (_SIZE // 65536) + bytes(_SIZE % 65536)
        self.source.write_bytes(self.content)
        self.moved = {"sendfile": 0, "splice": 0}
        for name in self.moved:
            self.patch(os, name, self.counting(name, getattr(os, name)))
        if not self.byKernel:
            self.patch(channels, "isBare", lambda transport: False)

    def counting(self, name: str, function: Callable[..., int]) -> Callable[..., int]:
        """:returns: a function of the system, counted."""

        def call(*arguments: Any, **keywords: Any) -> int:
            count = function(*arguments, **keywords)
            self.moved[name] += count
            return count

        return call

    async def pair(self) -> tuple[TransferChannel, TransferChannel]:
        """:returns: two channels that are connected, the dialling one first."""
        command = "tcp:port=0" if self.tcp else f"unix:{self.folder}/socket"
        waiting = TransferConnector(reactor, "passive", socketCommand=command)
        there = waiting.connect()
        address = await waiting.whenListening()
        if self.tcp:
            command = f"tcp:host=127.0.0.1:port={address.port}"
        here = await TransferConnector(reactor, socketCommand=command).connect()
        return here, await there

    def sends(self, channel: TransferChannel, **options: Any) -> Deferred[int]:
        """Send the file raw."""
        return sendRaw(reactor, FileSource(self.source), channel, **options)

    def stores(self, channel: TransferChannel, **options: Any) -> Deferred[int]:
        """Receive the file raw."""
        return receiveRaw(channel, FileDestination(self.target), **options)

    async def test_whole(self) -> None:
        """All bytes arrive in their order, are counted, and are told of."""
        case: Any = self
        told: dict[str, list[int]] = {"sent": [], "stored": []}

        def tell(side: str) -> Callable[..., None]:
            return lambda count, total, rate: told[side].append(count)

        here, there = await self.pair()
        stored = self.stores(there, progress=tell("stored"))
        sent = self.sends(here, progress=tell("sent"))
        case.assertEqual((await sent, await stored), (_SIZE, _SIZE))
        case.assertTrue(self.target.read_bytes() == self.content)
        for counts in told.values():
            case.assertEqual(counts, sorted(set(counts)))
            case.assertEqual(counts[-1], _SIZE)
        for count in self.moved.values():
            # Some come before the kernel is asked, on each side.
            case.assertEqual(count > _SIZE / 2, self.byKernel)

    async def ends(self, *ended: TransferChannel) -> None:
        """Abort, and wait for the end."""
        for each in ended:
            each.abortConnection()
        for each in ended:
            with contextlib.suppress(Truncated):
                await each.whenClosed()

    async def test_shrinks(self) -> None:
        """A file that gets shorter is an error, and nothing is stored."""
        case: Any = self
        here, there = await self.pair()

        def shrink(*ignored: object) -> None:
            os.truncate(self.source, 3_000_000)

        stored = self.stores(there)
        with case.assertRaisesRegex(SourceError, "has shrunk"):
            await self.sends(here, progress=shrink)
        await self.afterAbort(stored)

    async def fails(self, deferred: Deferred[int], *kinds: type[Exception]) -> None:
        """Require an error, and that no file has appeared."""
        case: Any = self
        await case.assertFailure(deferred, *kinds)
        case.assertFalse(self.target.exists())

    async def test_full(self) -> None:
        """A file that cannot grow is the receiver's error; the sender hears of it."""
        case: Any = self
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9_000_000, before[1]))
        case.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, before)
        here, there = await self.pair()
        sent, stored = self.sends(here), self.stores(there)
        await self.fails(stored, DestinationError)
        await case.assertFailure(sent, *self.left)

    async def test_tooMuch(self) -> None:
        """More than the receiver allows is an error."""
        case: Any = self
        here, there = await self.pair()
        sent, stored = self.sends(here), self.stores(there, maxSize=9_000_000)
        await self.fails(stored, DestinationError)
        await case.assertFailure(sent, *self.left)

    async def test_senderAborts(self) -> None:
        """A connection that breaks off is an error for both sides."""
        case: Any = self
        here, there = await self.pair()

        def abort(count: int, total: int | None, rate: float) -> None:
            if count > 5_000_000:
                here.abortConnection()

        sent, stored = self.sends(here, progress=abort), self.stores(there)
        await case.assertFailure(sent, *self.left)
        await self.afterAbort(stored)

    async def afterAbort(self, stored: Deferred[int]) -> None:
        """Require what the partner sees: a UNIX socket has no reset, but an end."""
        case: Any = self
        if self.tcp or PartnerFailed in self.left:
            await self.fails(stored, *self.left)
        else:
            case.assertLess(await stored, _SIZE)

    async def test_receiverAborts(self) -> None:
        """A connection that the receiver breaks off is an error for both sides."""
        case: Any = self
        here, there = await self.pair()

        def abort(count: int, total: int | None, rate: float) -> None:
            if count > 5_000_000:
                there.abortConnection()

        sent, stored = self.sends(here), self.stores(there, progress=abort)
        await self.fails(stored, Truncated)
        await case.assertFailure(sent, *self.left)

    async def test_cancelled(self) -> None:
        """Either side can be cancelled in the middle."""
        case: Any = self
        for side in ("sender", "receiver"):
            here, there = await self.pair()
            transfers: dict[str, Deferred[int]] = {}

            def cancel(
                count: int,
                total: int | None,
                rate: float,
                side: str = side,
                transfers: dict[str, Deferred[int]] = transfers,
            ) -> None:
                if count > 5_000_000:
                    transfers[side].cancel()

            transfers["receiver"] = self.stores(there, progress=cancel)
            transfers["sender"] = self.sends(here)
            if side == "sender":
                await case.assertFailure(transfers["sender"], CancelledError)
                await self.afterAbort(transfers["receiver"])
                self.target.unlink(missing_ok=True)
            else:
                await self.fails(transfers["receiver"], CancelledError)
                await case.assertFailure(transfers["sender"], *self.left)


class RawMixin(MovingMixin):
    """What is owed where the channel carries the bytes and nothing else."""

    async def test_part(self) -> None:
        """A copy with a size ends there, and the channel goes on."""
        case: Any = self
        size = 10_000_001
        here, there = await self.pair()
        reading = there.readExactly(size + 4)
        case.assertEqual(await copy(FileSource(self.source), here, size), size)
        here.write(b"next")
        case.assertTrue(await reading == self.content[:size] + b"next")
        await self.ends(here, there)

    async def test_closedBefore(self) -> None:
        """A channel that is told to close while a file is copied sends all of it."""
        case: Any = self
        here, there = await self.pair()
        stored = self.stores(there)

        def close(count: int, total: int | None, rate: float) -> None:
            here.loseConnection()

        case.assertEqual(
            await copy(FileSource(self.source), here, None, None, close), _SIZE
        )
        case.assertEqual(await stored, _SIZE)
        await here.whenClosed()


class ReceiptsMixin(MovingMixin):
    """What a transfer with receipts owes beside that."""

    left = (Truncated, PartnerFailed)

    def sends(self, channel: TransferChannel, **options: Any) -> Deferred[int]:
        """Send the file with a receipt."""
        files = [Outgoing(None, DigestedSource(FileSource(self.source), reactor))]
        receipts = offer(reactor, channel, files, Unwatched(**options))
        return receipts.addCallback(self.sizeOf)

    def stores(
        self, channel: TransferChannel, maxSize: int | None = None, **options: Any
    ) -> Deferred[int]:
        """Receive the file with a receipt."""
        target = ResumableFileDestination(self.target, True, reactor, maxSize)
        receipts = accept(reactor, channel, lambda offer: target, Unwatched(**options))
        return receipts.addCallback(self.sizeOf)

    def sizeOf(self, receipts: list[Receipt]) -> int:
        """:returns: the size in the one receipt; its digest is checked."""
        case: Any = self
        [receipt] = receipts
        case.assertEqual(receipt.digest, blake3(self.content).digest())
        return receipt.size

    async def test_goesOn(self) -> None:
        """A sender that gives up within a frame leaves a part to go on with."""
        case: Any = self
        here, there = await self.pair()

        def give(count: int, total: int | None, rate: float) -> None:
            if count > 6_000_000:
                sent.cancel()

        stored = self.stores(there)
        sent = self.sends(here, progress=give)
        await case.assertFailure(sent, CancelledError)
        await self.fails(stored, PartnerFailed)
        begun: list[int] = []
        here, there = await self.pair()
        stored = self.stores(there, progress=lambda *now: begun.append(now[0]))
        case.assertEqual(await self.sends(here), _SIZE)
        case.assertEqual(await stored, _SIZE)
        case.assertGreater(begun[0], 6_000_000)
        case.assertTrue(self.target.read_bytes() == self.content)


class TCPMixin(RawMixin):
    """What is owed over TCP alone."""

    async def test_errorTakenForAnEnd(self) -> None:
        """
        A reset is an error also when the reactor takes it for the end.

        Its poll and epoll reactors do when the system reports the error before it
        reports that nothing more can be read.
        """
        case: Any = self
        waiting = TransferConnector(reactor, "passive", socketCommand="tcp:port=0")
        connecting = waiting.connect()
        partner = socket.create_connection(
            ("127.0.0.1", (await waiting.whenListening()).port)
        )
        channel = await connecting
        come: Deferred[None] = Deferred()

        def tell(count: int, total: int | None, rate: float) -> None:
            if count == 200_000:
                come.callback(None)

        stored = self.stores(channel, progress=tell)
        partner.sendall(bytes(200_000))
        await come
        await deferLater(reactor, 0)
        reset(partner)
        [reader] = [
            each
            for each in reactor.getReaders()
            if each is channel.bottom or isinstance(each, kernel.Receiving)
        ]
        case.assertEqual(isinstance(reader, kernel.Receiving), self.byKernel)
        reactor.removeReader(reader)
        lost = getattr(reader, "readConnectionLost", reader.connectionLost)
        lost(Failure(CONNECTION_DONE))
        await self.fails(stored, Truncated)


class KernelTCPTests(TCPMixin, TestCase):
    """Between TCP sockets, by the kernel."""

    byKernel = True


class ReadingTCPTests(TCPMixin, TestCase):
    """Between TCP sockets, by reading and writing."""

    byKernel = False


class KernelUNIXTests(RawMixin, TestCase):
    """Between UNIX sockets, by the kernel."""

    byKernel = True
    tcp = False


class ReadingUNIXTests(RawMixin, TestCase):
    """Between UNIX sockets, by reading and writing."""

    byKernel = False
    tcp = False


class KernelReceiptsTests(ReceiptsMixin, TestCase):
    """With receipts between TCP sockets, by the kernel."""

    byKernel = True

    async def test_changes(self) -> None:
        """A file that is changed behind what was sent of it is not taken for stored."""
        self.patch(digest, "FILE_WAKE", 2 * _SIZE)
        here, there = await self.pair()

        def change(count: int, total: int | None, rate: float) -> None:
            if count == _SIZE:
                with open(self.source, "r+b") as source:
                    source.write(b"changed")

        stored = self.stores(there)
        sent = self.sends(here, progress=change)
        await self.fails(stored, ReceiptMismatch)
        with self.assertRaisesRegex(PartnerFailed, "mismatch"):
            await sent


class ReadingReceiptsTests(ReceiptsMixin, TestCase):
    """With receipts between TCP sockets, by reading and writing."""

    byKernel = False


class LimitedTests(TestCase):
    """Between TCP sockets, by the kernel if that were asked."""

    async def test_notByKernel(self) -> None:
        """What has a limit does not go by the kernel, which knows of none."""
        asked: list[object] = []

        def refuse(*arguments: object, **keywords: object) -> int:
            asked.append(arguments)
            raise OSError(errno.EINVAL, "not here")

        for name in ("sendfile", "splice"):
            self.patch(os, name, refuse)
        folder = newFolder(self)
        source = folder / "source"
        source.write_bytes(os.urandom(3_000_000))
        for raw in (False, True):
            target = folder / f"target{raw}"
            waiting = TransferConnector(reactor, "passive", socketCommand="tcp:port=0")
            receiver = Receiver(
                waiting,
                FileDestination(target, False, reactor),
                raw=raw,
                limitRate=20_000_000,
            )
            began = reactor.seconds()
            receiving = receiver.start()
            address = await receiver.whenListening()
            dialling = TransferConnector(
                reactor, socketCommand=f"tcp:host=127.0.0.1:port={address.port}"
            )
            await Transmitter(
                dialling, FileSource(source), raw=raw, limitRate=20_000_000
            ).start()
            await receiving
            self.assertGreater(reactor.seconds() - began, 0.1)
            self.assertEqual(target.read_bytes(), source.read_bytes())
        self.assertEqual(asked, [])
