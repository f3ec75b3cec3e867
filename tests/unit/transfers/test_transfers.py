"""Tests for :mod:`twisted_transfer.transfers.transfers`."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase

import twisted_transfer
from tests.support.dataends import ListDestination, ListSource
from tests.support.folders import leavePart, newFolder, partOf
from tests.support.talks import KeepingWatch, ThreadedClock, secondsUntil
from twisted_transfer import TransferConnector
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.destinations import BytesDestination, FileDestination
from twisted_transfer.data.progress import Progress
from twisted_transfer.data.sources import BytesSource, FileSource
from twisted_transfer.errors import (
    AlreadyConnecting,
    BadOption,
    DestinationError,
    PartnerFailed,
    PartnerTimeout,
    SourceError,
    Truncated,
)
from twisted_transfer.interfaces import IDestination
from twisted_transfer.receipts.receipt import Receipt
from twisted_transfer.testing.memory import MemoryListener, memoryPair, settle
from twisted_transfer.transfers.folder import FolderDestination
from twisted_transfer.transfers.transfers import (
    Receiver,
    Transmitter,
    Unwatched,
    nameOf,
    prepareSocket,
    receiveFile,
    sendFile,
)


class TransferTestCase(SynchronousTestCase):
    """Both sides in memory, but for their files."""

    def setUp(self) -> None:
        self.makeNetwork()
        self.folder = newFolder(self)
        self.target, self.part = self.folder / "target", partOf(self.folder / "target")

    def makeNetwork(self) -> None:
        """Begin anew, with other connectors."""
        self.clock: Any = ThreadedClock()
        listener = MemoryListener(self.clock)
        self.passive = TransferConnector(self.clock, "passive", socketCommand=listener)
        self.active = TransferConnector(self.clock, socketCommand=listener.client())

    def settle(self) -> None:
        settle(self.clock, 100_000)

    def source(self, size: int, name: str = "source") -> tuple[Path, bytes]:
        """:returns: a file of random bytes, and these."""
        path, content = self.folder / name, os.urandom(size)
        path.write_bytes(content)
        return path, content

    def over(self, *runs: Deferred[Any]) -> list[Any]:
        """:returns: the results of what has to succeed, without waiting."""
        for run in runs:
            secondsUntil(self.clock, run, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return [self.successResultOf(run) for run in runs]


class OptionTests(TransferTestCase):
    """What goes together."""

    def test_sources(self) -> None:
        """There is one source, or there are several with receipts."""
        for sources, raw in (
            ([], False),
            ([], True),
            ([BytesSource(b""), BytesSource(b"")], True),
        ):
            error = self.assertRaises(
                BadOption, Transmitter, self.active, sources, raw=raw
            )
            self.assertIn(f"{len(sources)} sources", str(error))

    def test_noSource(self) -> None:
        """What is no source is refused, with what would be one."""
        for wrong in (b"data", "path", [b"data"], None):
            error = self.assertRaises(BadOption, Transmitter, self.active, wrong)
            self.assertIn("BytesSource", str(error))

    def test_rawFolder(self) -> None:
        """A raw sender suggests no name, so there has to be a file."""
        error = self.assertRaises(
            BadOption,
            Receiver,
            self.passive,
            FolderDestination(self.folder),
            raw=True,
        )
        self.assertIn("raw=", str(error))

    def test_maxSize(self) -> None:
        """It is a number of bytes."""
        for wrong in (-1, 1.5, True, "1"):
            self.assertRaises(
                BadOption, Receiver, self.passive, BytesDestination(), maxSize=wrong
            )

    def test_size(self) -> None:
        """It is a number of bytes, and with receipts the sender says it."""
        for wrong, raw in ((-1, True), ("1", True), (1, False)):
            self.assertRaises(
                BadOption,
                Receiver,
                self.passive,
                BytesDestination(),
                raw=raw,
                size=wrong,
            )

    def test_public(self) -> None:
        """They are the ones that the package offers."""
        for each in (Transmitter, Receiver, sendFile, receiveFile, FolderDestination):
            self.assertIs(getattr(twisted_transfer, each.__name__), each)


class NameTests(SynchronousTestCase):
    """What a source is called."""

    def test_several(self) -> None:
        """
        Names that no folder takes are refused before anybody is dialled, where
        several files are sent; one file alone may go to a path.
        """
        folder = newFolder(self)
        for name, said in (
            (".bashrc", "does not take that one"),
            ("\udcff", "does not take that one"),
            ("sub/good", "two of them have the name good"),
        ):
            (folder / name).parent.mkdir(exist_ok=True)
            for each in (folder / "good", folder / name):
                each.touch()
            sources = [FileSource(folder / "good"), FileSource(folder / name)]
            reactor = MemoryReactorClock()
            connector = TransferConnector(reactor, host="192.0.2.1", port=1)
            sending = Transmitter(connector, sources).start()
            error = self.failureResultOf(sending, SourceError).value
            self.assertIn(f"cannot send {folder / name} with", str(error))
            self.assertIn(said, str(error))
            self.assertEqual(reactor.tcpClients, [])
            alone = Transmitter(connector, sources[1]).start()
            self.assertEqual(len(reactor.tcpClients), 1)
            alone.cancel()
            self.failureResultOf(alone, CancelledError)

    def test_names(self) -> None:
        """
        The name of a file without its folder; whether others can have a file
        of that name is theirs to say.
        """
        for path, name in (
            ("/home/me/plan.pdf", "plan.pdf"),
            ("plan.pdf", "plan.pdf"),
            ("/home/me/.secret", ".secret"),
            ("/home/me/plan.pdf.part", "plan.pdf.part"),
            ("/home/me/", None),
            ("/home/me/" + "a" * 1025, None),
            ("/home/me/\udcff", None),
        ):
            self.assertEqual(nameOf(FileSource(path)), name)

    def test_noPath(self) -> None:
        """What is no file has none."""
        self.assertIsNone(nameOf(BytesSource(b"data")))


class FileTests(TransferTestCase):
    """Files, in the shortest way."""

    def test_file(self) -> None:
        """A file is sent and stored, with receipts or raw, whoever dials."""
        for raw in (False, True):
            for turned in (False, True):
                self.makeNetwork()
                path, content = self.source(300_000)
                one, two = self.passive, self.active
                if turned:
                    sending = sendFile(one, path, raw=raw)
                    receiving = receiveFile(two, self.target, raw=raw)
                else:
                    receiving = receiveFile(one, self.target, raw=raw)
                    sending = sendFile(two, path, raw=raw)
                self.assertFalse(self.target.exists())
                self.assertEqual(self.over(sending, receiving), [300_000] * 2)
                self.assertEqual(self.target.read_bytes(), content)
                self.assertFalse(self.part.exists())
                self.target.unlink()

    def test_modeAndTime(self) -> None:
        """With receipts, a program is one, and as old as it was; never set-id."""
        self.addCleanup(os.umask, os.umask(0o022))
        for mode, expected in ((0o6755, 0o755), (0o640, 0o644)):
            self.makeNetwork()
            path, _ = self.source(10)
            os.chmod(path, mode)
            os.utime(path, ns=(0, 10**18))
            receiving = receiveFile(self.passive, self.target)
            self.over(receiving, sendFile(self.active, path))
            status = self.target.stat()
            self.assertEqual(status.st_mode & 0o7777, expected)
            self.assertEqual(status.st_mtime_ns, 10**18)
            self.target.unlink()

    def test_progress(self) -> None:
        """Both can be watched by a function."""
        for raw in (False, True):
            self.makeNetwork()
            path, _ = self.source(300_000)
            told: dict[str, list[Any]] = {"sent": [], "received": []}
            receiving = receiveFile(
                self.passive,
                self.target,
                raw=raw,
                force=True,
                progress=lambda *args, to=told["received"]: to.append(args),
            )
            sending = sendFile(
                self.active,
                path,
                raw=raw,
                progress=lambda *args, to=told["sent"]: to.append(args),
            )
            self.over(sending, receiving)
            for side, calls in told.items():
                total = None if raw and side == "received" else 300_000
                self.assertEqual(calls[-1][:2], (300_000, total))
                counts = [count for count, _, _ in calls]
                self.assertEqual(counts, sorted(counts))

    def test_size(self) -> None:
        """A raw transfer may be of so many bytes, whatever the sender has."""
        path, content = self.source(1000)
        told: list[Any] = []
        receiving = receiveFile(
            self.passive,
            self.target,
            raw=True,
            size=600,
            progress=lambda *args: told.append(args[:2]),
        )
        sending = sendFile(self.active, path, raw=True)
        self.settle()
        self.assertEqual(self.successResultOf(receiving), 600)
        self.assertEqual(self.target.read_bytes(), content[:600])
        self.assertEqual(told[-1], (600, 600))
        sending.addErrback(lambda failure: failure.trap(Truncated))

    def test_exists(self) -> None:
        """A file that is there is an error before anybody is asked."""
        self.target.write_bytes(b"precious")
        for raw in (False, True):
            running = receiveFile(self.passive, self.target, raw=raw)
            error = self.failureResultOf(running, DestinationError).value
            self.assertIn("--force", str(error))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.target.read_bytes(), b"precious")

    def test_force(self) -> None:
        """It may be replaced if that is asked for."""
        for raw in (False, True):
            self.makeNetwork()
            self.target.write_bytes(b"old")
            path, content = self.source(1000)
            receiving = receiveFile(self.passive, self.target, raw=raw, force=True)
            self.over(receiving, sendFile(self.active, path, raw=raw))
            self.assertEqual(self.target.read_bytes(), content)

    def test_maxSize(self) -> None:
        """Too large a file is refused, and the sender hears of that."""
        path, _ = self.source(1001)
        for raw in (False, True):
            self.makeNetwork()
            receiving = receiveFile(self.passive, self.target, raw=raw, maxSize=1000)
            sending = sendFile(self.active, path, raw=raw)
            self.settle()
            error = self.failureResultOf(receiving, DestinationError).value
            self.assertEqual(error.kind, "too-large")
            failed = self.failureResultOf(sending, PartnerFailed, Truncated).value
            self.assertEqual(isinstance(failed, Truncated), raw)
            self.assertFalse(self.target.exists())
            self.assertFalse(self.part.exists())

    def test_noRoom(self) -> None:
        """
        What the disk has no room for is refused before the first byte, and the sender
        hears of that; a raw receiver that knows the size does not even listen.
        """
        for offered in (True, False):
            self.makeNetwork()
            receiver = Receiver(
                self.passive,
                FileDestination(self.target, False, self.clock),
                raw=not offered,
                size=None if offered else 1 << 60,
            )
            receiving = receiver.start()
            if offered:
                source = ListSource([b"x"], size=1 << 60)
                sending = Transmitter(self.active, source).start()
                self.settle()
                failed = self.failureResultOf(sending, PartnerFailed).value
                self.assertEqual(failed.kind, "too-large")
                self.assertIn("disk has no room for it", str(failed))
                self.assertNotIn(str(self.folder), str(failed))
                self.assertEqual(source.given, 0)
            error = self.failureResultOf(receiving, DestinationError).value
            self.assertEqual(error.kind, "too-large")
            self.assertIn(str(self.target), str(error))
            self.assertEqual(os.listdir(self.folder), [])

    def test_receipts(self) -> None:
        """Both sides have the same receipt."""
        path, content = self.source(1000)
        sender = Transmitter(self.active, FileSource(path))
        receiver = Receiver(self.passive, FileDestination(self.target))
        self.assertEqual((sender.receipts, receiver.receipts), ([], []))
        self.over(receiver.start(), sender.start())
        expected = Receipt("source", 1000, blake3(content).digest(), 1000)
        self.assertEqual(sender.receipts, [expected])
        self.assertEqual(receiver.receipts, [expected])

    def test_rawReceipts(self) -> None:
        """Raw, there is only what one side has seen."""
        path, _ = self.source(1000)
        sender = Transmitter(self.active, FileSource(path), raw=True)
        receiver = Receiver(self.passive, FileDestination(self.target), raw=True)
        self.over(receiver.start(), sender.start())
        for transfer in (sender, receiver):
            self.assertEqual(transfer.receipts, [Receipt(None, 1000, None, 1000)])

    def test_leftover(self) -> None:
        """
        What an earlier try has left stays there, if nobody comes, and is gone on
        with, if somebody does.
        """
        path, content = self.source(1000)
        leavePart(self.target, content[:400])
        receiving = receiveFile(self.passive, self.target)
        receiving.cancel()
        self.settle()
        self.failureResultOf(receiving, CancelledError)
        self.assertEqual(self.part.read_bytes(), content[:400])
        sender = Transmitter(self.active, FileSource(path))
        receiving = receiveFile(self.passive, self.target)
        self.assertEqual(self.over(receiving, sender.start()), [1000, 1000])
        self.assertEqual(sender.receipts[0].moved, 600)
        self.assertEqual(self.target.read_bytes(), content)

    def test_twoAtOnce(self) -> None:
        """Two receivers of one file cannot mix."""
        first = receiveFile(self.passive, self.target)
        clock = self.clock
        self.makeNetwork()
        second = receiveFile(self.passive, self.target)
        error = self.failureResultOf(second, DestinationError).value
        self.assertEqual(error.kind, "busy")
        first.cancel()
        settle(clock)
        self.failureResultOf(first, CancelledError)


class FolderTests(TransferTestCase):
    """Several files."""

    def send(self, paths: Sequence[Path], **options: Any) -> Deferred[int]:
        """Send these files."""
        self.watch = KeepingWatch()
        sources = [FileSource(path) for path in paths]
        self.sender = Transmitter(self.active, sources, watch=self.watch)
        return self.sender.start()

    def receive(self, force: bool = False, **options: Any) -> Deferred[int]:
        """Receive into a folder."""
        self.inbox = self.folder / "inbox"
        self.inbox.mkdir(exist_ok=True)
        self.receiver = Receiver(
            self.passive, FolderDestination(self.inbox, force), **options
        )
        return self.receiver.start()

    def test_several(self) -> None:
        """Each gets its name, and the sizes are summed up."""
        files = [self.source(size, f"file{size}") for size in (1000, 0, 200_000)]
        receiving = self.receive()
        sending = self.send([path for path, _ in files])
        self.assertEqual(self.over(receiving, sending), [201_000] * 2)
        self.assertEqual(len(os.listdir(self.inbox)), 3)
        for path, content in files:
            self.assertEqual((self.inbox / path.name).read_bytes(), content)
        self.assertEqual(self.sender.receipts, self.receiver.receipts)
        self.assertEqual(
            [receipt.name for receipt in self.sender.receipts],
            [path.name for path, _ in files],
        )

    def test_many(self) -> None:
        """There may be more files than a process may have open."""
        paths = [self.source(1, f"file{i}")[0] for i in range(200)]
        before = len(os.listdir("/proc/self/fd"))
        receiving = self.receive()
        sending = self.send(paths)
        self.assertLess(len(os.listdir("/proc/self/fd")) - before, 10)
        self.assertEqual(self.over(receiving, sending), [200, 200])
        self.assertEqual(len(os.listdir(self.inbox)), 200)

    def test_oneMissing(self) -> None:
        """One that cannot be read is an error before anybody is asked."""
        path, _ = self.source(10)
        running = self.send([path, self.folder / "missing"])
        error = self.failureResultOf(running, SourceError).value
        self.assertIn("missing", str(error))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_exists(self) -> None:
        """One that is there already ends it; those before it are stored."""
        files = [self.source(10, name) for name in ("one", "two", "three")]
        receiving = self.receive()
        (self.inbox / "two").write_bytes(b"precious")
        sending = self.send([path for path, _ in files])
        self.settle()
        self.failureResultOf(receiving, DestinationError)
        error = self.failureResultOf(sending, PartnerFailed).value
        self.assertEqual(error.kind, "exists")
        self.assertEqual(sorted(os.listdir(self.inbox)), ["one", "two"])
        self.assertEqual((self.inbox / "two").read_bytes(), b"precious")
        self.assertEqual((self.inbox / "one").read_bytes(), files[0][1])

    def test_intoFile(self) -> None:
        """Several do not go into one file."""
        files = [self.source(10, name) for name in ("one", "two")]
        receiving = receiveFile(self.passive, self.target)
        sending = self.send([path for path, _ in files])
        self.settle()
        self.failureResultOf(receiving, DestinationError)
        error = self.failureResultOf(sending, PartnerFailed).value
        self.assertIn("folder", error.reason)

    def test_noFolder(self) -> None:
        """Without a folder nobody is asked."""
        missing = FolderDestination(self.folder / "missing")
        running = Receiver(self.passive, missing).start()
        self.failureResultOf(running, DestinationError)

    def test_folderVanishes(self) -> None:
        """One that is gone when the file comes is told to both."""
        path, _ = self.source(10)
        receiving = self.receive()
        self.inbox.rmdir()
        sending = self.send([path])
        self.settle()
        error = self.failureResultOf(receiving, DestinationError).value
        self.assertEqual(error.kind, "place")
        failed = self.failureResultOf(sending, PartnerFailed).value
        self.assertEqual(failed.kind, "storing")

    def test_maxSize(self) -> None:
        """The bound holds for each file alone."""
        files = [self.source(size, f"file{size}")[0] for size in (1000, 999, 1001)]
        receiving = self.receive(maxSize=1000)
        sending = self.send(files)
        self.settle()
        error = self.failureResultOf(receiving, DestinationError).value
        self.assertEqual(error.kind, "too-large")
        self.assertEqual(self.failureResultOf(sending).value.kind, "too-large")
        self.assertEqual(sorted(os.listdir(self.inbox)), ["file1000", "file999"])

    def test_goesOn(self) -> None:
        """A file of a folder is gone on with as well."""
        path, content = self.source(1000)
        receiving = self.receive()
        leavePart(self.inbox / "source", content[:300])
        self.over(receiving, self.send([path]))
        self.assertEqual(self.receiver.receipts[0].moved, 700)
        self.assertEqual((self.inbox / "source").read_bytes(), content)


class LimitTests(TransferTestCase):
    """Transfers that move no more than so many bytes a second."""

    def moves(self, sizes: Sequence[int], raw: bool, **limits: int) -> None:
        """Some files move, each side has its limit, and it takes the time it has to."""
        self.makeNetwork()
        folder = newFolder(self)
        sources = [self.source(size, f"file{i}") for i, size in enumerate(sizes)]
        target: Any = FolderDestination(folder)
        if raw:
            target = FileDestination(folder / "file0", False, self.clock)
        receiver = Receiver(
            self.passive, target, raw=raw, limitRate=limits.get("receiver")
        )
        sender = Transmitter(
            self.active,
            [FileSource(path) for path, _ in sources],
            raw=raw,
            limitRate=limits.get("sender"),
        )
        runs = [receiver.start(), sender.start()]
        while not all(run.called for run in runs):
            self.settle()
            if not all(run.called for run in runs):
                self.clock.advance(0.05)
        self.over(*runs)
        for path, content in sources:
            self.assertEqual((folder / path.name).read_bytes(), content)
        needed = sum(sizes) / 10_000
        self.assertLessEqual(abs(self.clock.seconds() - needed), 0.4)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_rates(self) -> None:
        """Either side's limit holds, with receipts and without."""
        for limits in (
            {"sender": 10_000},
            {"receiver": 10_000},
            {"sender": 10_000, "receiver": 10_000},
        ):
            for raw in (False, True):
                self.moves([20_000], raw, **limits)

    def test_files(self) -> None:
        """It holds for all files together, large and small."""
        sizes = [700] * 30 + [70_000, 0]
        for side in ("sender", "receiver"):
            self.moves(sizes, False, **{side: 10_000})

    def test_goesOn(self) -> None:
        """What was there does not count."""
        path, content = self.source(30_000)
        leavePart(self.target, content[:20_000])
        destination = FileDestination(self.target, False, self.clock)
        receiving = Receiver(self.passive, destination).start()
        sending = Transmitter(self.active, FileSource(path), limitRate=10_000).start()
        while not sending.called:
            self.settle()
            self.clock.advance(0.05)
        self.over(receiving, sending)
        self.assertLessEqual(abs(self.clock.seconds() - 1.0), 0.4)
        self.assertEqual(self.target.read_bytes(), content)

    def test_invalid(self) -> None:
        """No rate, or none at all, is refused."""
        for wrong in (0, -1, 1.5, True):
            for kind, *words in (
                (Transmitter, self.active, BytesSource(b"")),
                (Receiver, self.passive, BytesDestination()),
            ):
                error = self.assertRaises(BadOption, kind, *words, limitRate=wrong)
                self.assertIn("limitRate=", str(error))


class StepTests(SynchronousTestCase):
    """Something happens at any step of a transfer, which has fewer than 40."""

    CONTENT = bytes(range(256)) * 1200

    def begin(self, force: bool) -> None:
        """Begin a transfer of two files, one of them resumed, into a folder."""
        self.clock: Any = ThreadedClock()
        self.folder = newFolder(self)
        self.inbox = self.folder / "inbox"
        self.inbox.mkdir()
        paths = [self.folder / "one", self.folder / "two"]
        for path in paths:
            path.write_bytes(self.CONTENT)
        if force:
            (self.inbox / "two").write_bytes(b"old")
        leavePart(self.inbox / "two", self.CONTENT[:100_000])
        listener = MemoryListener(self.clock)
        self.channels: list[TransferChannel] = []
        watches = [KeepingWatch(), KeepingWatch()]
        for watch in watches:
            self.patch(watch, "connected", self.channels.append)
        self.receiver = Receiver(
            TransferConnector(self.clock, "passive", socketCommand=listener),
            FolderDestination(self.inbox, force),
            watch=watches[0],
        )
        self.sender = Transmitter(
            TransferConnector(self.clock, socketCommand=listener.client()),
            [FileSource(path) for path in paths],
            watch=watches[1],
        )
        self.runs = [self.receiver.start(), self.sender.start()]
        self.force = force

    def steps(self, count: int) -> None:
        """Let so much happen of what is due."""
        for _ in range(count):
            now = self.clock.seconds()
            if self.clock.calls and self.clock.calls[0].getTime() <= now:
                call = self.clock.calls.pop(0)
                call.called = 1
                call.func(*call.args, **call.kw)

    def end(self) -> list[BaseException | None]:
        """
        :returns: what both sides fail with, the receiver first, when both are
            over; what they have to hold to is checked.
        """
        settle(self.clock, 100_000)
        if len(self.channels) < 2:
            # One of them may wait for the other for ever.
            for run in self.runs:
                run.cancel()
        for run in self.runs:
            secondsUntil(self.clock, run, 30)
        settle(self.clock, 100_000)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.receiver.busy or self.sender.busy)
        errors: list[BaseException | None] = []
        for run in self.runs:
            failures: list[Any] = []
            run.addErrback(failures.append)
            errors.append(failures[0].value if failures else None)
        one, two = self.inbox / "one", self.inbox / "two"
        for path in (one, two):
            old = b"old" if self.force and path == two else None
            now = path.read_bytes() if path.exists() else None
            self.assertIn(now, (old, self.CONTENT), "it is torn")
        self.assertLessEqual(
            set(os.listdir(self.inbox)),
            {"one", "two", partOf("one").name, partOf("two").name},
        )
        if errors[1] is None:
            # Who has all receipts can rely on them.
            for path in (one, two):
                self.assertEqual(path.read_bytes(), self.CONTENT)
            self.assertEqual(len(self.sender.receipts), 2)
        return errors

    def test_whole(self) -> None:
        """If nothing happens, they are all done."""
        self.begin(True)
        self.steps(40)
        self.assertTrue(all(run.called for run in self.runs))
        self.assertEqual(self.end(), [None, None])

    @given(st.integers(0, 40), st.integers(0, 1), st.booleans())
    def test_cancelled(self, step: int, side: int, force: bool) -> None:
        """
        Cancelled at any step on either side: both end, the other one with the
        reason once they have greeted, and nothing is torn.
        """
        self.begin(force)
        self.steps(step)
        greeted = any(self.inbox.glob("one*"))
        done = [run.called for run in self.runs]
        self.runs[side].cancel()
        errors = self.end()
        if not done[side] and errors[side] is not None:
            self.assertIsInstance(errors[side], CancelledError)
        other = errors[1 - side]
        if isinstance(other, PartnerFailed):
            self.assertEqual(other.kind, "cancelled")
        elif greeted and errors[side] is not None:
            self.assertIsNone(other)

    @given(st.integers(0, 40), st.integers(0, 1), st.booleans())
    def test_reset(self, step: int, side: int, force: bool) -> None:
        """A connection that breaks off at any step ends both sides."""
        self.begin(force)
        self.steps(step)
        if side < len(self.channels):
            self.channels[side].abortConnection()
        errors = self.end()
        for error in errors:
            self.assertIsInstance(error, Truncated | None)
        if errors[0] is None:
            # The receiver has heard that there is no more.
            self.assertIsNone(errors[1])

    @given(st.integers(0, 40), st.integers(0, 1))
    def test_goesOn(self, step: int, side: int) -> None:
        """However it ended, the next try has it all."""
        self.begin(True)
        self.steps(step)
        self.runs[side].cancel()
        self.end()
        listener = MemoryListener(self.clock)
        receiver = Receiver(
            TransferConnector(self.clock, "passive", socketCommand=listener),
            FolderDestination(self.inbox, True),
        )
        sender = Transmitter(
            TransferConnector(self.clock, socketCommand=listener.client()),
            [FileSource(self.folder / name) for name in ("one", "two")],
        )
        runs = [receiver.start(), sender.start()]
        for run in runs:
            secondsUntil(self.clock, run, 30)
            self.successResultOf(run)
        self.assertEqual(sorted(os.listdir(self.inbox)), ["one", "two"])
        for name in ("one", "two"):
            self.assertEqual((self.inbox / name).read_bytes(), self.CONTENT)


class OtherEndTests(TransferTestCase):
    """What is no file."""

    def moved(self, destination: IDestination, **options: Any) -> list[Any]:
        """Send some bytes into it."""
        receiver = Receiver(self.passive, destination, **options)
        source = ListSource([b"some", b"more"])
        sender = Transmitter(self.active, source)
        runs = [receiver.start(), sender.start()]
        self.settle()
        return runs

    def test_any(self) -> None:
        """Any destination gets all, and is finished before the receipt."""
        destination = ListDestination()
        self.over(*self.moved(destination))
        self.assertEqual(destination.content, b"somemore")
        self.assertEqual(destination.events.count("finish"), 1)

    def test_bounded(self) -> None:
        """And no more than it may."""
        destination = ListDestination()
        receiving, sending = self.moved(destination, maxSize=7)
        self.failureResultOf(receiving, DestinationError)
        self.failureResultOf(sending, PartnerFailed)
        self.assertEqual(destination.content, b"some")
        self.assertNotIn("finish", destination.events)


reactor: Any = _reactor


class KeepAliveTests(TestCase):
    """The system asks whether the partner is there, and holds nothing back."""

    async def pair(self, command: str) -> tuple[TransferChannel, TransferChannel]:
        """:returns: two ends of a connection."""
        waiter = TransferConnector(reactor, "passive", socketCommand=command)
        waiting = waiter.connect()
        invitation = await waiter.invitation()
        left = await TransferConnector.fromString(reactor, invitation).connect()
        return left, await waiting

    async def test_tcp(self) -> None:
        """Of TCP, also under TLS, an end is noticed in two minutes; nothing waits."""
        for command in ("tcp:port=0:interface=127.0.0.1", "mtls:interface=127.0.0.1:0"):
            left, right = await self.pair(command)
            prepareSocket(left)
            handle: socket.socket = left.bottom.getHandle()
            self.assertEqual(
                handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1
            )
            self.assertEqual(
                handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1
            )
            idle, interval, count = (
                handle.getsockopt(socket.IPPROTO_TCP, option)
                for option in (
                    socket.TCP_KEEPIDLE,
                    socket.TCP_KEEPINTVL,
                    socket.TCP_KEEPCNT,
                )
            )
            self.assertLessEqual(idle + interval * count, 120)
            for end in (left, right):
                end.loseConnection()
            for end in (left, right):
                await end.whenClosed()

    async def test_others(self) -> None:
        """Other connections are left alone."""
        left, right = await self.pair(f"unix:{newFolder(self)}/socket")
        prepareSocket(left)
        for end in (left, right):
            end.loseConnection()
        for end in (left, right):
            await end.whenClosed()
        prepareSocket(memoryPair(Clock())[0])

    async def test_gone(self) -> None:
        """One that has ended already is no error."""
        left, right = await self.pair("tcp:port=0:interface=127.0.0.1")
        for end in (left, right):
            end.loseConnection()
        for end in (left, right):
            await end.whenClosed()
            prepareSocket(end)


class StartTests(SynchronousTestCase):
    """One transfer, from the first step to the last."""

    def setUp(self) -> None:
        self.clock: Any = ThreadedClock()
        self.listener = MemoryListener(self.clock)

    def passive(self, **options: Any) -> TransferConnector:
        """:returns: a connector that listens."""
        return TransferConnector(
            self.clock, "passive", socketCommand=self.listener, **options
        )

    def active(self, **options: Any) -> TransferConnector:
        """:returns: a connector that dials it."""
        return TransferConnector(
            self.clock, socketCommand=self.listener.client(), **options
        )

    def settle(self) -> None:
        settle(self.clock)

    def test_both(self) -> None:
        """Both sides have it, and are busy until then; either may dial."""
        for sends in (True, False):
            for raw in (True, False):
                destination = BytesDestination()
                one, two = self.passive(), self.active()
                sender = Transmitter(
                    one if sends else two, BytesSource(b"content"), raw=raw
                )
                receiver = Receiver(two if sends else one, destination, raw=raw)
                # Whoever listens has to be first.
                transfers = [sender, receiver] if sends else [receiver, sender]
                self.assertEqual([t.busy for t in transfers], [False, False])
                runs = [transfer.start() for transfer in transfers]
                self.assertEqual([t.busy for t in transfers], [True, True])
                for run in runs:
                    secondsUntil(self.clock, run, 0)
                self.assertEqual([self.successResultOf(run) for run in runs], [7, 7])
                self.assertEqual([t.busy for t in transfers], [False, False])
                self.assertEqual(destination.data, b"content")
                self.assertIsNone(self.listener.port)
                self.assertEqual(self.clock.getDelayedCalls(), [])
                for transfer in transfers:
                    [receipt] = transfer.receipts
                    self.assertEqual((receipt.size, receipt.moved), (7, 7))
                    self.assertEqual(receipt.digest is None, raw)

    def test_once(self) -> None:
        """One is good for one transfer."""
        receiver = Receiver(self.passive(), BytesDestination())
        running = receiver.start()
        self.assertRaises(AlreadyConnecting, receiver.start)
        running.cancel()
        self.settle()
        self.failureResultOf(running, CancelledError)
        self.assertRaises(AlreadyConnecting, receiver.start)
        self.assertIsNone(self.listener.port)

    def test_localFirst(self) -> None:
        """What is local is tried before anybody is asked, or could come."""
        source = ListSource([], unopenable=True)
        running = Transmitter(self.passive(), source).start()
        self.failureResultOf(running, SourceError)
        destination = ListDestination(refuses="open")
        for raw in (False, True):
            running = Receiver(self.passive(), destination, raw=raw).start()
            self.failureResultOf(running, DestinationError)
            self.assertIn("abort", destination.events)
        self.assertIsNone(self.listener.port)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_whileWaiting(self) -> None:
        """While it waits it can say where, and how to get there."""
        connector = TransferConnector(
            self.clock, "passive", socketCommand=self.listener
        )
        receiver = Receiver(connector, BytesDestination())
        waiting = receiver.whenListening()
        self.assertNoResult(waiting)
        running = receiver.start()
        self.assertEqual(self.successResultOf(waiting), self.listener.address)
        # This kind of endpoint has no description.
        self.failureResultOf(receiver.invitation(), BadOption)
        running.cancel()
        self.settle()
        self.failureResultOf(running, CancelledError)

    def test_failsEarly(self) -> None:
        """
        What was asked before it failed, and what is asked after, fails with the
        same error: there will be no address and no invitation.
        """
        destination = ListDestination(refuses="open")
        for transfer in (
            Receiver(self.passive(), destination),
            Receiver(self.passive(), destination, raw=True),
            Transmitter(self.passive(), ListSource([], unopenable=True)),
        ):
            asked = [transfer.whenListening(), transfer.invitation()]
            error = self.failureResultOf(transfer.start()).value
            asked += [transfer.whenListening(), transfer.invitation()]
            for each in asked:
                self.assertIs(self.failureResultOf(each).value, error)

    def test_cancelledEarly(self) -> None:
        """So it is when it ends in any other way before there is an address."""

        def listen(factory: object) -> Deferred[Any]:
            return Deferred()

        self.patch(self.listener, "listen", listen)
        transfer = Receiver(self.passive(), BytesDestination())
        running = transfer.start()
        asked = [transfer.whenListening(), transfer.invitation()]
        running.cancel()
        self.settle()
        self.failureResultOf(running, CancelledError)
        for each in asked:
            self.failureResultOf(each, CancelledError)

    def test_nobody(self) -> None:
        """Whom it cannot reach, or who never comes, is what it fails with."""
        source = ListSource([b"data"])
        running = Transmitter(self.active(), source).start()
        self.settle()
        self.failureResultOf(running, ConnectionRefusedError)
        self.assertTrue(source.closed)
        destination = ListDestination()
        running = Receiver(self.passive(within=5), destination).start()
        self.settle()
        self.clock.advance(5)
        self.settle()
        self.failureResultOf(running, PartnerTimeout)
        self.assertEqual(destination.events, ["open", "abort"])
        self.assertIsNone(self.listener.port)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_busyConnector(self) -> None:
        """A connector that somebody else is using is left to him."""
        connector = self.passive()
        theirs = connector.connect()
        running = Receiver(connector, BytesDestination()).start()
        self.failureResultOf(running, AlreadyConnecting)
        self.assertNoResult(theirs)
        self.assertIsNotNone(self.listener.port)
        theirs.cancel()
        self.settle()
        self.failureResultOf(theirs, CancelledError)

    def connected(self, transfer: Receiver | Transmitter) -> tuple[Any, Any]:
        """:returns: the transfer when it is connected, and the partner's channel."""
        running = transfer.start()
        connecting = self.active().connect()
        self.settle()
        return running, self.successResultOf(connecting)

    def test_textSettings(self) -> None:
        """A channel that would change the bytes cannot be used for receipts."""
        for options in (
            {"encoding": "utf-8"},
            {"translation": "crlf"},
            {"eofChar": "\x1a"},
        ):
            transfer = Receiver(self.passive(**options), BytesDestination())
            running, channel = self.connected(transfer)
            error = self.failureResultOf(running, BadOption).value
            self.assertIn("encoding=", str(error))
            self.failureResultOf(channel.whenClosed(), Truncated)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_watchFails(self) -> None:
        """An error of whoever watches ends it, with nothing left open."""

        class Blind(Unwatched):
            def connected(self, channel: TransferChannel) -> None:
                raise ZeroDivisionError

        for raw in (False, True):
            transfer = Receiver(
                self.passive(), BytesDestination(), raw=raw, watch=Blind()
            )
            running, channel = self.connected(transfer)
            self.failureResultOf(running, ZeroDivisionError)
            # The partner does not take that for an orderly end.
            self.failureResultOf(channel.whenClosed(), Truncated)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_watchFailsEarly(self) -> None:
        """Also while it waits for the partner."""

        class Blind(Unwatched):
            def connecting(self, connector: TransferConnector) -> None:
                raise ZeroDivisionError

        destination = ListDestination()
        transfer = Receiver(self.passive(), destination, watch=Blind())
        running = transfer.start()
        self.settle()
        self.failureResultOf(running, ZeroDivisionError)
        self.assertIsNone(self.listener.port)
        self.assertEqual(destination.events, ["open", "abort"])

    def test_told(self) -> None:
        """Whoever watches is told of each step."""
        watches = [KeepingWatch(), KeepingWatch()]
        source = BytesSource(b"content")
        receiver = Receiver(self.passive(), BytesDestination(), watch=watches[0])
        sender = Transmitter(self.active(), source, watch=watches[1])
        runs = [receiver.start(), sender.start()]
        self.settle()
        for run, watch, transfer in zip(runs, watches, (receiver, sender), strict=True):
            self.successResultOf(run)
            steps = [event[0] for event in watch.events]
            self.assertEqual(steps[:3], ["connecting", "connected", "begins"])
            [receipt] = transfer.receipts
            self.assertEqual(watch.events[-1], ("ends", receipt))
            self.assertEqual(receipt.name, None)

    def test_progress(self) -> None:
        """A function may be enough to watch it."""
        told: list[tuple[int, int | None]] = []

        def progress(count: int, total: int | None, rate: float) -> None:
            told.append((count, total))

        receiver = Receiver(self.passive(), BytesDestination())
        sender = Transmitter(self.active(), BytesSource(b"content"), progress=progress)
        runs = [receiver.start(), sender.start()]
        self.settle()
        for run in runs:
            self.successResultOf(run)
        self.assertEqual((told[0], told[-1]), ((0, 7), (7, 7)))

    def test_progressOrWatch(self) -> None:
        """Both are too much."""
        error = self.assertRaises(
            BadOption,
            Receiver,
            self.passive(),
            BytesDestination(),
            progress=lambda count, total, rate: None,
            watch=KeepingWatch(),
        )
        self.assertIn("watch=", str(error))


class UnwatchedTests(SynchronousTestCase):
    """Nobody, or one function, is told."""

    def test_nobody(self) -> None:
        """Everything can be told."""
        watch = Unwatched()
        progress: Progress = watch.begins("name", 1, 0)
        progress(1, 1, 0.0)
        watch.ends(Receipt("name", 1, None, 1))

    def test_function(self) -> None:
        """For each file it is the same function."""
        told: list[Any] = []

        def progress(*args: Any) -> None:
            told.append(args)

        watch = Unwatched(progress)
        for name in ("one", "two"):
            watch.begins(name, 1, 0)(1, 1, 0.0)
        self.assertEqual(told, [(1, 1, 0.0)] * 2)
