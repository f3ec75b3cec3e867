"""Tests for :mod:`twisted_transfer.transferring`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer import Receiver, TransferConnector, Transmitter
from twisted_transfer.bytesdestination import BytesDestination
from twisted_transfer.channel import TransferChannel
from twisted_transfer.errors import (
    AlreadyConnecting,
    BadOption,
    DestinationError,
    PartnerTimeout,
    SourceError,
    Truncated,
)
from twisted_transfer.measuring import Progress
from twisted_transfer.outcomes import Receipt
from twisted_transfer.sources import BytesSource
from twisted_transfer.testing import MemoryListener, settle
from twisted_transfer.transferring import Unwatched

from .dataends import ListDestination, ListSource
from .talks import KeepingWatch, ThreadedClock, secondsUntil


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
