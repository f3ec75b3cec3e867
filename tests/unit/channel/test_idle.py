"""Tests for :mod:`twisted_transfer.channel.idle`."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.dataends import ListDestination, ListSource
from tests.support.talks import KeepingWatch
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.channel.idle import IdleWatch
from twisted_transfer.channel.link import Link
from twisted_transfer.data.copying import copy
from twisted_transfer.errors import PartnerStalled, PartnerTimeout, Truncated
from twisted_transfer.receipts import talk
from twisted_transfer.receipts.receiving import DigestedDestination, accept
from twisted_transfer.receipts.sending import DigestedSource, Outgoing, offer
from twisted_transfer.testing import settle
from twisted_transfer.testing.memory import MemoryTransport


class ChannelCase(SynchronousTestCase):
    """Two channels, of which one is told for how long nothing may move."""

    def setUp(self) -> None:
        self.clock = Clock()
        addresses = [IPv4Address("TCP", f"192.0.2.{n}", n) for n in (1, 2)]
        links = [Link(self.clock) for _ in addresses]
        ends = MemoryTransport.pair(self.clock, *addresses)
        for end, link in zip(ends, links, strict=True):
            end.attach(link)
        self.ours = TransferChannel(links[0], idle=8.0)
        self.theirs = TransferChannel(links[1])
        self.ended = self.ours.whenClosed()

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.clock.advance(1)
            settle(self.clock)


class ChannelTests(ChannelCase):
    """A channel that is told for how long nothing may move."""

    def test_stalls(self) -> None:
        """It is aborted in time, and whoever reads gets an error that says so."""
        reading = self.ours.read()
        self.wait(7)
        self.assertNoResult(self.ended)
        self.wait(3)
        error = self.failureResultOf(self.ended, PartnerStalled).value
        self.assertIsInstance(error, PartnerTimeout)
        self.assertIsInstance(error, Truncated)
        self.assertIn("for 8 seconds", str(error))
        self.failureResultOf(reading, PartnerStalled)
        self.failureResultOf(self.theirs.whenClosed(), Truncated)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_moves(self) -> None:
        """What comes and what goes keeps it."""
        for _ in range(3):
            reading = self.ours.read()
            self.wait(6)
            self.theirs.write(b"x")
            self.wait(1)
            self.assertEqual(self.successResultOf(reading), b"x")
            self.wait(6)
            self.ours.write(b"y")
        self.assertNoResult(self.ended)
        self.wait(11)
        self.failureResultOf(self.ended, PartnerStalled)

    def test_held(self) -> None:
        """The time in which this side takes nothing does not count."""
        self.ours.pauseProducing()
        self.wait(60)
        self.assertNoResult(self.ended)
        self.ours.resumeProducing()
        self.wait(11)
        self.failureResultOf(self.ended, PartnerStalled)

    def test_fed(self) -> None:
        """The time in which a source gives nothing to send does not count."""
        source = ListSource([b"some"], idle=True)
        copying = copy(source, self.ours)
        self.wait(60)
        self.assertNoResult(self.ended)
        # But that does in which the partner does not take what it has given.
        self.theirs.pauseProducing()
        source.give(bytes(1_000_000))
        self.wait(11)
        self.failureResultOf(self.ended, PartnerStalled)
        self.failureResultOf(copying, Truncated)

    def test_fedBefore(self) -> None:
        """When a copy is over, all time counts again."""
        self.successResultOf(copy(b"data", self.ours))
        self.wait(11)
        self.failureResultOf(self.ended, PartnerStalled)

    def test_ends(self) -> None:
        """A connection that has ended is not looked at any more."""
        self.theirs.loseConnection()
        self.ours.loseConnection()
        settle(self.clock)
        self.assertIsNone(self.successResultOf(self.ended))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ReceiptTests(ChannelCase):
    """Transfers with receipts over such a channel."""

    def offer(self, source: ListSource) -> Deferred[Any]:
        """Send this."""
        outgoing = [Outgoing("name", DigestedSource(source))]
        return offer(self.clock, self.ours, outgoing, KeepingWatch())

    def accept(self, destination: ListDestination) -> Deferred[Any]:
        """Receive into this."""
        digested = DigestedDestination(destination)
        return accept(self.clock, self.theirs, lambda _: digested, KeepingWatch())

    def test_flushing(self) -> None:
        """A partner that takes longer to bring a file to its disk has not stalled."""
        finishing: Deferred[None] = Deferred()
        offering = self.offer(ListSource([b"data"]))
        accepting = self.accept(ListDestination(finishing=finishing))
        self.wait(60)
        self.assertNoResult(offering)
        finishing.callback(None)
        self.wait(1)
        self.assertEqual(len(self.successResultOf(offering)), 1)
        self.assertEqual(len(self.successResultOf(accepting)), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent(self) -> None:
        """One that does not say that it works has."""
        self.patch(talk, "WORKING", 1000.0)
        finishing: Deferred[None] = Deferred()
        offering = self.offer(ListSource([b"data"]))
        accepting = self.accept(ListDestination(finishing=finishing))
        self.wait(11)
        self.failureResultOf(offering, PartnerStalled)
        finishing.callback(None)
        self.wait(1)
        self.failureResultOf(self.ended, PartnerStalled)
        # The partner has stored it.
        self.assertEqual(len(self.successResultOf(accepting)), 1)

    def test_fed(self) -> None:
        """The time in which the source gives nothing does not count."""
        source = ListSource([b"some"], idle=True)
        offering = self.offer(source)
        accepting = self.accept(ListDestination())
        self.wait(60)
        self.assertNoResult(offering)
        source.finish()
        self.wait(1)
        self.assertEqual(len(self.successResultOf(offering)), 1)
        self.successResultOf(accepting)


class SocketTests(SynchronousTestCase):
    """What was handed to the system."""

    def test_taken(self) -> None:
        """Bytes that the partner takes from the system's buffer have moved."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        stalls: list[float] = []
        clock = Clock()
        for _ in range(10):
            ours.send(bytes(1000))  # the system counts whole ones
        IdleWatch(clock, 4, ours.fileno(), lambda queued: False, stalls.append)
        for _ in range(10):
            theirs.recv(1000)
            clock.advance(1)
        self.assertEqual(stalls, [])
        for _ in range(4):
            clock.advance(1)
        self.assertEqual(stalls, [4])
