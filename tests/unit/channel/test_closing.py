"""
Tests for :mod:`twisted_transfer.channel.wires`.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    FileDescriptorOverrun,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.simulation import (
    Partner,
    SimulatedReactor,
    SimulatedSocket,
    connected,
)
from twisted_transfer.channel.link import judge
from twisted_transfer.channel.wires import CLOSE_TIMEOUT, CloseGuard, Wire
from twisted_transfer.errors import Truncated


class CloseGuardTests(SynchronousTestCase):
    """The time that a partner has for the end of a connection."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.timeouts = 0

    def guarded(self, data: bytes) -> tuple[CloseGuard, SimulatedSocket, Partner]:
        """Begin to close a connection on which something is to be sent still."""
        socket, partner = connected(self.reactor, capacity=100)
        socket.attach(Protocol())
        socket.write(data)
        return CloseGuard(self.reactor, socket, self.timedOut), socket, partner

    def timedOut(self) -> None:
        self.timeouts += 1

    def test_silent(self) -> None:
        """A partner that takes nothing at all is given up, once."""
        guard, _, _ = self.guarded(b"x" * 1000)
        self.reactor.run(3)
        self.reactor.turn(CLOSE_TIMEOUT - 0.1)
        # The first bytes, which the system took at once, were progress.
        self.reactor.turn(0.2)
        self.assertEqual(self.timeouts, 0)
        self.reactor.turn(CLOSE_TIMEOUT - 0.1)
        self.assertEqual(self.timeouts, 0)
        self.reactor.turn(0.2)
        self.assertEqual(self.timeouts, 1)
        self.assertFalse(guard.flushed)
        self.reactor.turn(100)
        self.assertEqual(self.timeouts, 1)

    def test_slow(self) -> None:
        """
        One that takes a little now and then is waited for, however long it
        takes in all.
        """
        guard, _, partner = self.guarded(b"x" * 1000)
        for _ in range(9):
            self.assertFalse(guard.flushed)
            self.reactor.turn(CLOSE_TIMEOUT - 1)
            partner.take(100)
            self.reactor.run(2)
        self.assertEqual(self.timeouts, 0)
        self.assertTrue(guard.flushed)

    def test_flushed(self) -> None:
        """When all is sent, the time for the answer begins."""
        guard, _, partner = self.guarded(b"x" * 150)
        self.reactor.turn(CLOSE_TIMEOUT - 1)
        partner.take()
        self.reactor.run(2)
        self.assertTrue(guard.flushed)
        self.reactor.turn(CLOSE_TIMEOUT - 1)
        self.assertEqual(self.timeouts, 0)
        self.reactor.turn(2)
        self.assertEqual(self.timeouts, 1)

    def test_notFlushedAtOnce(self) -> None:
        """That a transport asks for data at once says nothing of its buffer."""
        guard, _, _ = self.guarded(b"x" * 1000)
        self.assertFalse(guard.flushed)

    def test_flushedEmpty(self) -> None:
        """What was sent in the turn before is on its way with the next one."""
        guard, _, _ = self.guarded(b"x")
        self.reactor.turn()
        self.assertTrue(guard.flushed)

    def test_stop(self) -> None:
        """When the connection has ended there is nothing left to do."""
        guard, socket, _ = self.guarded(b"x" * 1000)
        guard.stop()
        guard.stop()
        socket.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.timeouts, 0)

    def test_unknownTransport(self) -> None:
        """A transport that tells nothing of its buffer has one time, too."""

        class Plain:
            """Provides nothing."""

        clock = Clock()
        transport = Plain()
        CloseGuard(clock, transport, self.timedOut)  # type: ignore[arg-type]
        clock.advance(CLOSE_TIMEOUT)
        self.assertEqual(self.timeouts, 1)

    def test_otherTimeout(self) -> None:
        """The time can be another one."""
        clock = Clock()
        transport = StringTransport()
        CloseGuard(clock, transport, self.timedOut, patience=3)
        clock.advance(2.9)
        self.assertEqual(self.timeouts, 0)
        clock.advance(0.2)
        self.assertEqual(self.timeouts, 1)


class JudgeTests(SynchronousTestCase):
    """Orderly ends, and all others."""

    def judged(
        self,
        error: Exception,
        *,
        complete: bool = False,
        outputLost: bool = False,
        unanswered: bool = False,
        aborted: bool = False,
    ) -> Truncated | None:
        wire = Wire(Clock(), StringTransport())
        wire.complete, wire.outputLost = complete, outputLost
        wire.unanswered = unanswered
        return judge(Failure(error), wire, aborted)

    def test_orderly(self) -> None:
        """An end that both sides wanted is orderly."""
        self.assertIsNone(self.judged(ConnectionDone()))
        self.assertIsNone(self.judged(ConnectionDone(), complete=True))

    def test_broken(self) -> None:
        """A lost connection is a truncation, whose cause is what was lost."""
        for error in (ConnectionLost(), ConnectionAborted(), OSError(5, "x")):
            truncation = self.judged(error)
            assert truncation is not None
            self.assertIs(truncation.__cause__, error)
            self.assertIn("not everything may have arrived", str(truncation))

    def test_complete(self) -> None:
        """
        If everything was sent and its end was said, a partner that just hangs
        up has missed nothing.
        """
        self.assertIsNone(self.judged(ConnectionLost(), complete=True))

    def test_unanswered(self) -> None:
        """An end that was not answered in time is none, although all was sent."""
        for error in (ConnectionDone(), ConnectionLost()):
            truncation = self.judged(error, complete=True, unanswered=True)
            self.assertIn("did not answer", str(truncation))

    def test_completeButFailed(self) -> None:
        """That is so for a lost connection only, not for what has caused the loss."""
        for error in (CancelledError(), FileDescriptorOverrun()):
            self.assertIsNotNone(self.judged(error, complete=True))

    def test_outputLost(self) -> None:
        """Whatever the end was like: what was not sent is missing."""
        for error in (ConnectionDone(), ConnectionLost()):
            truncation = self.judged(error, complete=True, outputLost=True)
            assert truncation is not None
            self.assertIs(truncation.__cause__, error)
            self.assertIn("before everything was sent", str(truncation))

    def test_aborted(self) -> None:
        """An abort by this side is none, however Twisted reports the end."""
        for error in (ConnectionDone(), ConnectionLost(), ConnectionAborted()):
            truncation = self.judged(error, complete=True, aborted=True)
            assert truncation is not None
            self.assertIs(truncation.__cause__, error)
            self.assertIn("aborted", str(truncation))
