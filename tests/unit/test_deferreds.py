"""
Tests for :mod:`twisted_transfer.deferreds`.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.deferreds import Waiters, atMost


class WaitersTests(SynchronousTestCase):
    """Many that wait for one event."""

    def setUp(self) -> None:
        self.waiters: Waiters[int] = Waiters()

    def test_fire(self) -> None:
        """Everybody gets the result, and nobody before it is there."""
        waiting = [self.waiters.wait() for _ in range(3)]
        for each in waiting:
            self.assertNoResult(each)
        self.waiters.fire(7)
        self.assertEqual([self.successResultOf(each) for each in waiting], [7, 7, 7])

    def test_fail(self) -> None:
        """Everybody gets the error."""
        waiting = [self.waiters.wait() for _ in range(2)]
        error = LookupError("gone")
        self.waiters.fail(error)
        for each in waiting:
            self.assertIs(self.failureResultOf(each, LookupError).value, error)

    def test_nobody(self) -> None:
        """An event without anybody who waits for it is nothing special."""
        self.waiters.fire(1)
        self.waiters.fail(LookupError())

    def test_nextEvent(self) -> None:
        """Who begins to wait after an event waits for the next one."""
        self.waiters.fire(1)
        waiting = self.waiters.wait()
        self.assertNoResult(waiting)
        self.waiters.fire(2)
        self.assertEqual(self.successResultOf(waiting), 2)

    def test_cancelled(self) -> None:
        """One that is cancelled is told so, and the others still wait."""
        first, second, third = (self.waiters.wait() for _ in range(3))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.waiters.fire(3)
        self.assertEqual(self.successResultOf(first), 3)
        self.assertEqual(self.successResultOf(third), 3)

    def test_waitingAgain(self) -> None:
        """Who waits anew when it is told waits for the event after that."""
        again: list[Deferred[int]] = []
        self.waiters.wait().addCallback(
            lambda result: again.append(self.waiters.wait())
        )
        self.waiters.fire(1)
        self.assertNoResult(again[0])
        self.waiters.fire(2)
        self.assertEqual(self.successResultOf(again[0]), 2)

    def test_cancellingAnother(self) -> None:
        """One that is told may cancel another, whether that was told or not."""
        first = self.waiters.wait()
        second = self.waiters.wait()
        first.addCallback(lambda result: second.cancel())
        second.addErrback(lambda failure: failure.trap(CancelledError))
        third = self.waiters.wait()
        third.addCallback(lambda result: first.cancel())
        self.waiters.fire(1)
        for each in (first, second, third):
            self.assertTrue(each.called)


class AtMostTests(SynchronousTestCase):
    """An event is waited for, but not for ever."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.event: Deferred[None] = Deferred()

    def test_happens(self) -> None:
        """It happens in time, and no timer is left."""
        waiting = atMost(self.clock, 5, self.event)
        self.clock.advance(4.9)
        self.assertNoResult(waiting)
        self.event.callback(None)
        self.successResultOf(waiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hasHappened(self) -> None:
        """So it is if it has happened before."""
        self.event.callback(None)
        self.successResultOf(atMost(self.clock, 5, self.event))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_tooLate(self) -> None:
        """The time is over, and nothing is wrong; the event may still happen."""
        waiting = atMost(self.clock, 5, self.event)
        self.clock.advance(5)
        self.successResultOf(waiting)
        self.event.callback(None)
        self.successResultOf(self.event)

    def test_cancelled(self) -> None:
        """Who waits may give up; the event is not touched by that."""
        waiting = atMost(self.clock, 5, self.event)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNoResult(self.event)
        self.event.callback(None)

    def test_again(self) -> None:
        """One event may be waited for several times."""
        first = atMost(self.clock, 5, self.event)
        second = atMost(self.clock, 7, self.event)
        self.clock.advance(6)
        self.successResultOf(first)
        self.assertNoResult(second)
        self.event.callback(None)
        self.successResultOf(second)
        self.assertEqual(self.clock.getDelayedCalls(), [])
