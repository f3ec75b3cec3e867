"""Tests for :mod:`twisted_transfer.copying`."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.channel import TransferChannel
from twisted_transfer.copying import copy, receive
from twisted_transfer.errors import DestinationError, SourceError, Truncated
from twisted_transfer.testing import memoryPair, settle

from .dataends import ListDestination, ListSource


class ChannelTestCase(SynchronousTestCase):
    """Two channels in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ours, self.theirs = memoryPair(self.clock)

    def settle(self) -> None:
        """Let everything happen that is to happen now."""
        settle(self.clock)

    def readAll(self, channel: TransferChannel) -> bytes:
        """:returns: everything that comes on a channel, up to now."""
        received = bytearray()
        while True:
            reading: Deferred[Any] = channel.read()
            self.settle()
            if not reading.called:
                reading.cancel()
                self.failureResultOf(reading, CancelledError)
                return bytes(received)
            piece = self.successResultOf(reading)
            if not piece:
                return bytes(received)
            received += piece

    def assertReset(self, channel: TransferChannel) -> None:
        """The connection has broken off for the other side."""
        self.settle()
        closed = channel.whenClosed()
        reading: Deferred[Any] = channel.readExactly(1 << 30)
        self.settle()
        self.failureResultOf(reading, Truncated)
        self.failureResultOf(closed, Truncated)


class CopyTests(ChannelTestCase):
    """From a source into a channel."""

    def test_whole(self) -> None:
        """All bytes are handed over and counted; the channel stays open."""
        content = os.urandom(1_000_000)
        pieces = [content[i : i + 50_000] for i in range(0, len(content), 50_000)]
        copying = copy(ListSource(pieces), self.ours)
        self.assertEqual(self.readAll(self.theirs), content)
        self.assertEqual(self.successResultOf(copying), len(content))
        self.ours.write(b"more")
        self.assertEqual(self.readAll(self.theirs), b"more")

    def test_nothing(self) -> None:
        """An empty source is 0 bytes."""
        self.assertEqual(self.successResultOf(copy(ListSource([]), self.ours)), 0)

    def test_pace(self) -> None:
        """A partner that does not read holds the source back."""
        source = ListSource([bytes(50_000)] * 1000)
        copying = copy(source, self.ours)
        self.settle()
        self.assertNoResult(copying)
        self.assertLess(source.given, 20)
        self.assertEqual(len(self.readAll(self.theirs)), 50_000_000)
        self.assertEqual(self.successResultOf(copying), 50_000_000)

    def test_progress(self) -> None:
        """Each block is told, with the size as far as it is known."""
        for size in (7, None):
            told: list[tuple[int, int | None]] = []
            copying = copy(
                ListSource([b"some", b"one"], size=size),
                self.ours,
                lambda count, total, told=told: told.append((count, total)),  # type: ignore[misc]
            )
            self.successResultOf(copying)
            self.assertEqual(told, [(4, size), (7, size)])

    def test_unopenable(self) -> None:
        """A source that cannot be opened says so."""
        copying = copy(ListSource([], unopenable=True), self.ours)
        self.failureResultOf(copying, SourceError)

    def test_sourceFails(self) -> None:
        """What the source fails with is what the copy fails with."""
        error = SourceError("the disk is broken")
        copying = copy(ListSource([b"data"], error=error), self.ours)
        self.assertIs(self.failureResultOf(copying).value, error)

    def test_linkLost(self) -> None:
        """A connection that goes while the source is full is a truncation."""
        copying = copy(ListSource([bytes(50_000)] * 1000), self.ours)
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(copying, Truncated)

    def test_linkLostIdle(self) -> None:
        """So is one that goes while the source has nothing."""
        source = ListSource([b"data"], idle=True)
        copying = copy(source, self.ours)
        reading: Deferred[Any] = self.ours.read()
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(reading, Truncated)
        self.failureResultOf(copying, Truncated)
        self.assertTrue(source.closed)

    def test_sourceNotStopped(self) -> None:
        """So is one whose transport does not tell the source."""

        class Deaf(ListSource):
            def stopProducing(self) -> None:
                pass

        source = Deaf([b"data"], idle=True)
        copying = copy(source, self.ours)
        self.ours.abortConnection()
        self.settle()
        error = self.failureResultOf(copying, Truncated).value
        self.assertIn("again", str(error))
        self.assertTrue(source.closed)

    def test_cancelled(self) -> None:
        """Cancelling stops the source; the channel stays open."""
        source = ListSource([b"data"], idle=True)
        copying = copy(source, self.ours)
        copying.cancel()
        self.failureResultOf(copying, CancelledError)
        self.assertTrue(source.closed)
        self.ours.write(b" and more")
        self.assertEqual(self.readAll(self.theirs), b"data and more")


class ReceiveTests(ChannelTestCase):
    """From a channel into a destination."""

    def test_whole(self) -> None:
        """Everything is stored, then the channel is closed."""
        destination = ListDestination()
        receiving = receive(self.ours, destination)
        self.theirs.write(b"some")
        self.settle()
        self.theirs.write(b"more")
        self.settle()
        self.assertNoResult(receiving)
        self.assertEqual(destination.events, ["open"])
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(self.successResultOf(receiving), 8)
        self.assertEqual(destination.content, b"somemore")
        self.assertEqual(destination.events, ["open", "finish"])
        self.successResultOf(self.ours.whenClosed())

    def test_halfClosed(self) -> None:
        """A partner that ends its output sees the end when all is stored."""
        stored: Deferred[None] = Deferred()
        destination = ListDestination(finishing=stored)
        receiving = receive(self.ours, destination)
        self.theirs.write(b"data")
        self.theirs.writeEOF()
        end: Deferred[Any] = self.theirs.read()
        self.settle()
        self.assertEqual(destination.events, ["open", "finish"])
        self.assertNoResult(receiving)
        self.assertNoResult(end)
        stored.callback(None)
        self.settle()
        self.assertEqual(self.successResultOf(end), b"")
        self.assertEqual(self.successResultOf(receiving), 4)

    def test_before(self) -> None:
        """What came before the start, and the end itself, is received too."""
        self.theirs.write(b"data")
        self.theirs.loseConnection()
        self.settle()
        destination = ListDestination()
        receiving = receive(self.ours, destination)
        self.settle()
        self.assertEqual(self.successResultOf(receiving), 4)
        self.assertEqual(destination.content, b"data")

    def test_nothing(self) -> None:
        """A partner that sends nothing is 0 bytes, in an orderly way."""
        destination = ListDestination()
        receiving = receive(self.ours, destination)
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(self.successResultOf(receiving), 0)
        self.assertEqual(destination.events, ["open", "finish"])

    def test_progress(self) -> None:
        """Each block is told; how many there will be is unknown."""
        told: list[tuple[int, int | None]] = []
        receiving = receive(
            self.ours, ListDestination(), lambda *args: told.append(args)
        )
        for piece in (b"some", b"one"):
            self.theirs.write(piece)
            self.settle()
        self.assertEqual(told, [(4, None), (7, None)])
        receiving.cancel()
        self.settle()
        self.failureResultOf(receiving, CancelledError)

    def test_pace(self) -> None:
        """A destination that is full holds the partner back."""
        destination = ListDestination(slow=True)
        receiving = receive(self.ours, destination)
        source = ListSource([bytes(50_000)] * 1000)
        sending = copy(source, self.theirs)
        self.settle()
        self.assertLess(source.given, 20)
        sending.addCallback(lambda _: self.theirs.loseConnection())
        while not receiving.called:
            assert destination.full is not None
            destination.full.callback(None)
            self.settle()
        self.assertEqual(self.successResultOf(receiving), 50_000_000)
        self.assertEqual(len(destination.content), 50_000_000)

    def test_endWhileFull(self) -> None:
        """An end that comes while the destination is full does not skip it."""
        destination = ListDestination(slow=True)
        receiving = receive(self.ours, destination)
        self.theirs.write(b"some")
        self.settle()
        self.theirs.write(b"more")
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(destination.events, ["open"])
        while not receiving.called:
            assert destination.full is not None
            destination.full.callback(None)
            self.settle()
        self.assertEqual(destination.content, b"somemore")
        self.assertEqual(destination.events, ["open", "finish"])
        self.successResultOf(receiving)

    def test_truncated(self) -> None:
        """A connection that breaks off is never finished."""
        destination = ListDestination()
        receiving = receive(self.ours, destination)
        self.theirs.write(b"data")
        self.settle()
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(receiving, Truncated)
        self.assertEqual(destination.events, ["open", "abort"])

    def test_truncatedWhileFull(self) -> None:
        """Not even when the destination has still to take something."""
        destination = ListDestination(slow=True)
        receiving = receive(self.ours, destination)
        self.theirs.write(b"data")
        self.settle()
        self.theirs.abortConnection()
        assert destination.full is not None
        destination.full.callback(None)
        self.settle()
        self.failureResultOf(receiving, Truncated)
        self.assertEqual(destination.events, ["open", "abort"])

    def test_refused(self) -> None:
        """A destination that fails ends the connection, and not in order."""
        for method in ("open", "write", "finish"):
            self.setUp()
            destination = ListDestination(refuses=method)
            receiving = receive(self.ours, destination)
            self.theirs.write(b"data")
            self.theirs.writeEOF()
            self.assertReset(self.theirs)
            error = self.failureResultOf(receiving, DestinationError).value
            self.assertIn(method, str(error))
            self.assertEqual(destination.events[-1], "abort")

    def test_refusedLater(self) -> None:
        """The same when it finds out after a while."""
        destination = ListDestination(slow=True)
        receiving = receive(self.ours, destination)
        self.theirs.write(b"data")
        self.settle()
        assert destination.full is not None
        destination.full.errback(DestinationError("the reader has gone"))
        self.assertReset(self.theirs)
        self.failureResultOf(receiving, DestinationError)
        self.assertEqual(destination.events, ["open", "abort"])

    def test_cancelled(self) -> None:
        """Cancelling gives everything up, and the partner sees it."""
        for slow in (False, True):
            self.setUp()
            destination = ListDestination(slow=slow)
            receiving = receive(self.ours, destination)
            self.theirs.write(b"data")
            self.settle()
            receiving.cancel()
            # Not before the connection is gone.
            self.assertNoResult(receiving)
            self.assertReset(self.theirs)
            self.failureResultOf(receiving, CancelledError)
            self.assertEqual(destination.events, ["open", "abort"])
            # Nobody waits for the destination any more.
            self.assertTrue(destination.full is None or destination.full.called)

    def test_lateReset(self) -> None:
        """
        A reset after the orderly end of the data, while they are being stored,
        takes nothing away.
        """
        stored: Deferred[None] = Deferred()
        receiving = receive(self.ours, ListDestination(finishing=stored))
        self.theirs.write(b"data")
        self.theirs.writeEOF()
        self.settle()
        self.theirs.abortConnection()
        self.settle()
        stored.callback(None)
        self.settle()
        self.assertEqual(self.successResultOf(receiving), 4)
