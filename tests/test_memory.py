"""
Tests for :mod:`twisted_transfer.memory`, beyond the contract.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.contract import Puller, Pusher
from twisted_transfer.errors import Truncated
from twisted_transfer.memory import MemoryTransport, memoryPair, settle


class MemoryPairTests(SynchronousTestCase):
    """Two channels without a network, with a clock that is told what to do."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.left, self.right = memoryPair(self.clock)

    def test_interfaces(self) -> None:
        """Its transports provide what they declare."""
        transport = self.left._transport
        self.assertIsInstance(transport, MemoryTransport)
        for interface in (ITransport, IConsumer, IPushProducer):
            self.assertTrue(verifyObject(interface, transport))

    def test_later(self) -> None:
        """Bytes arrive later, not from within the call, and without real time."""
        reading = self.right.read()
        self.left.write(b"x")
        self.assertNoResult(reading)
        settle(self.clock)
        self.assertEqual(self.successResultOf(reading), b"x")
        self.assertEqual(self.clock.seconds(), 0)

    def test_addresses(self) -> None:
        """The two ends see each other."""
        self.assertEqual(self.left.getHost(), self.right.getPeer())
        self.assertEqual(self.left.getPeer(), self.right.getHost())
        self.assertNotEqual(self.left.getHost(), self.left.getPeer())

    def test_bytesOnly(self) -> None:
        """As a real transport, it takes bytes and nothing else."""
        for bad in ("text", 7, None, bytearray(b"x")):
            self.assertRaises(TypeError, self.left._transport.write, bad)

    def test_waitingPullProducer(self) -> None:
        """A pull producer that has nothing yet is not asked again and again."""

        class Waiting(Puller):
            asked = 0

            def resumeProducing(self) -> None:
                self.asked += 1

        waiting = Waiting(self.left, [])
        self.left.registerProducer(waiting, False)
        settle(self.clock, 10)
        asked = waiting.asked
        self.left.write(b"now")
        settle(self.clock, 10)
        self.assertEqual(waiting.asked, asked + 1)
        self.assertEqual(self.successResultOf(self.right.read()), b"now")

    def test_pushProducer(self) -> None:
        """A push producer is paused as long as the other end does not read."""
        pusher = Pusher(self.left, 1_000_000)
        self.left.registerProducer(pusher, True)
        pusher.resumeProducing()
        settle(self.clock)
        self.assertTrue(pusher.paused)
        kept = 1_000_000 - pusher.left
        self.assertLess(kept, 300_000)
        reading = self.right.readExactly(1_000_000)
        settle(self.clock)
        self.assertEqual(len(self.successResultOf(reading)), 1_000_000)
        self.successResultOf(pusher.done)

    def test_closedAgainst(self) -> None:
        """
        What is written to an end that has closed is lost, and this is no
        success, as with a socket.
        """
        self.right.loseConnection()
        self.left.write(b"into the void")
        settle(self.clock)
        self.failureResultOf(self.left.whenClosed(), Truncated)
        self.assertIsNone(self.successResultOf(self.right.whenClosed()))

    def test_bothClose(self) -> None:
        """
        Where both ends write and close at the same time, neither reads what
        the other one has written, and neither waits for it.
        """
        for channel in (self.left, self.right):
            channel.write(b"nobody will read this")
            channel.loseConnection()
        settle(self.clock)
        for channel in (self.left, self.right):
            self.failureResultOf(channel.whenClosed(), Truncated)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_abort(self) -> None:
        """Nothing comes any more to an end that has aborted."""
        got: list[bytes] = []

        class Getting(Protocol):
            def dataReceived(self, data: bytes) -> None:
                got.append(data)

        self.right.start(Getting())
        self.left.write(b"x")
        self.right.abortConnection()
        settle(self.clock)
        self.assertEqual(got, [])
        for channel in (self.left, self.right):
            self.failureResultOf(channel.whenClosed(), Truncated)

    def test_nothingLeft(self) -> None:
        """After the end nothing is left to do."""
        for end in ("loseConnection", "abortConnection"):
            left, right = memoryPair(self.clock)
            left.write(b"x" * 100_000)
            getattr(left, end)()
            right.loseConnection()
            settle(self.clock)
            for channel in (left, right):
                channel.whenClosed().addErrback(lambda failure: None)
            self.assertEqual(self.clock.getDelayedCalls(), [])


class PairTests(SynchronousTestCase):
    """Two protocols without a network."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.addresses = [IPv4Address("TCP", f"192.0.2.{i}", 4000) for i in (1, 2)]
        self.ends = MemoryTransport.pair(self.clock, *self.addresses)
        for end in self.ends:
            end.attach(Protocol())

    def test_addresses(self) -> None:
        """Each end has its own address, and the other one's for its peer's."""
        left, right = self.ends
        first, second = self.addresses
        self.assertEqual((left.getHost(), left.getPeer()), (first, second))
        self.assertEqual((right.getHost(), right.getPeer()), (second, first))

    def test_disconnecting(self) -> None:
        """Twisted's protocols ask their transport whether it was told to close."""
        left, right = self.ends
        self.assertFalse(left.disconnecting)
        left.loseConnection()
        self.assertTrue(left.disconnecting)
        settle(self.clock)
        self.assertFalse(right.disconnecting)

    def test_whenGone(self) -> None:
        """
        Who waits for an end to be gone hears of it after its protocol, also
        afterwards, and may cease to wait.
        """
        left, right = self.ends
        heard: list[str] = []

        class Last(Protocol):
            def connectionLost(self, reason: object = None) -> None:
                heard.append("protocol")

        left.attach(Last())
        left.whenGone().addCallback(lambda ignored: heard.append("waiter"))
        ceasing = right.whenGone()
        ceasing.cancel()
        self.failureResultOf(ceasing, CancelledError)
        left.loseConnection()
        self.assertEqual(heard, [])
        settle(self.clock)
        self.assertEqual(heard, ["protocol", "waiter"])
        for end in self.ends:
            self.assertIsNone(self.successResultOf(end.whenGone()))


class SettleTests(SynchronousTestCase):
    """Running everything that is due."""

    def test_settles(self) -> None:
        """What is due now runs, and what follows from it; nothing later does."""
        clock = Clock()
        ran: list[int] = []

        def step(count: int) -> None:
            ran.append(count)
            if count:
                clock.callLater(0, step, count - 1)

        clock.callLater(0, step, 3)
        clock.callLater(1, step, 0)
        settle(clock)
        self.assertEqual(ran, [3, 2, 1, 0])
        self.assertEqual(len(clock.getDelayedCalls()), 1)

    def test_endless(self) -> None:
        """What never comes to an end is an error, not a hanging test."""

        clock = Clock()

        def again() -> None:
            clock.callLater(0, again)

        again()
        error = self.assertRaises(AssertionError, settle, clock, 10)
        self.assertIn("10 steps", str(error))
