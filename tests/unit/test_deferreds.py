"""
Tests for :mod:`twisted_transfer.deferreds`.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.deferreds import (
    Leftovers,
    Promise,
    atMost,
    severed,
    within,
)
from twisted_transfer.errors import PartnerTimeout


class PromiseTests(SynchronousTestCase):
    """Many that wait for one result."""

    def setUp(self) -> None:
        self.promise: Promise[int] = Promise()

    def test_fire(self) -> None:
        """Everybody gets the result, and nobody before it is there."""
        waiting = [self.promise.wait() for _ in range(3)]
        for each in waiting:
            self.assertNoResult(each)
        self.assertFalse(self.promise.fired)
        self.promise.fire(7)
        self.assertEqual([self.successResultOf(each) for each in waiting], [7, 7, 7])

    def test_afterwards(self) -> None:
        """Who asks when the result is known has it at once."""
        self.promise.fire(7)
        self.assertTrue(self.promise.fired)
        for _ in range(2):
            self.assertEqual(self.successResultOf(self.promise.wait()), 7)

    def test_failure(self) -> None:
        """The result may be a failure, for those who wait and those who will."""
        before = self.promise.wait()
        error = LookupError("gone")
        self.promise.fire(Failure(error))
        for each in (before, self.promise.wait()):
            self.assertIs(self.failureResultOf(each, LookupError).value, error)

    def test_failureOfNobody(self) -> None:
        """A failure that nobody waits for is not logged."""
        self.promise.fire(Failure(LookupError()))
        self.promise = Promise()
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_once(self) -> None:
        """There is one result; a second one changes nothing."""
        waiting = self.promise.wait()
        self.promise.fire(1)
        self.promise.fire(2)
        self.promise.fire(Failure(LookupError()))
        self.assertEqual(self.successResultOf(waiting), 1)
        self.assertEqual(self.successResultOf(self.promise.wait()), 1)

    def test_cancelled(self) -> None:
        """One that is cancelled is told so, and the others still wait."""
        first, second, third = (self.promise.wait() for _ in range(3))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.promise.fire(3)
        self.assertEqual(self.successResultOf(first), 3)
        self.assertEqual(self.successResultOf(third), 3)

    def test_eachHasItsOwn(self) -> None:
        """What one makes of the result is not what the others get."""
        first, second = self.promise.wait(), self.promise.wait()
        first.addCallback(lambda result: result / 0)
        self.promise.fire(3)
        self.failureResultOf(first, ZeroDivisionError)
        self.assertEqual(self.successResultOf(second), 3)
        self.assertEqual(self.successResultOf(self.promise.wait()), 3)

    def test_askingFromWithin(self) -> None:
        """Who asks again when it is told has the result, too."""
        again: list[int] = []
        self.promise.wait().addCallback(
            lambda result: self.promise.wait().addCallback(again.append)
        )
        self.promise.fire(1)
        self.assertEqual(again, [1])

    def test_cancellingAnother(self) -> None:
        """One that is told may cancel another, whether that was told or not."""
        first, second, third = (self.promise.wait() for _ in range(3))
        first.addCallback(lambda result: second.cancel())
        second.addErrback(lambda failure: failure.trap(CancelledError))
        third.addCallback(lambda result: first.cancel())
        self.promise.fire(1)
        for each in (first, second, third):
            self.assertTrue(each.called)


class LeftoversTests(SynchronousTestCase):
    """What has to be gone before something is over."""

    def setUp(self) -> None:
        self.leftovers = Leftovers()

    def test_nothing(self) -> None:
        """With nothing left there is nothing to wait for."""
        self.assertIsNone(self.successResultOf(self.leftovers.cleared()))
        self.leftovers.add(succeed("gone already"))
        self.assertIsNone(self.successResultOf(self.leftovers.cleared()))

    def test_everything(self) -> None:
        """Everything has to be gone, in whatever order, for all who wait."""
        things: list[Deferred[Any]] = [Deferred() for _ in range(3)]
        for thing in things:
            self.leftovers.add(thing)
        waiting = [self.leftovers.cleared() for _ in range(2)]
        things[2].callback("gone")
        things[0].callback(None)
        for each in waiting:
            self.assertNoResult(each)
        things[1].callback(None)
        for each in (*waiting, self.leftovers.cleared()):
            self.assertIsNone(self.successResultOf(each))

    def test_addedMeanwhile(self) -> None:
        """What comes to it while somebody waits is waited for, too."""
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()
        self.leftovers.add(first)
        waiting = self.leftovers.cleared()
        self.leftovers.add(second)
        first.callback(None)
        self.assertNoResult(waiting)
        second.callback(None)
        self.successResultOf(waiting)

    def test_again(self) -> None:
        """After it was cleared, the next thing is waited for as the first one."""
        self.leftovers.add(succeed(None))
        thing: Deferred[None] = Deferred()
        self.leftovers.add(thing)
        waiting = self.leftovers.cleared()
        self.assertNoResult(waiting)
        thing.callback(None)
        self.successResultOf(waiting)

    def test_cancelled(self) -> None:
        """A wait that is cancelled touches nothing that is waited for."""
        thing: Deferred[None] = Deferred()
        self.leftovers.add(thing)
        waiting = self.leftovers.cleared()
        other = self.leftovers.cleared()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertNoResult(thing)
        self.assertNoResult(other)
        thing.callback(None)
        self.assertIsNone(self.successResultOf(other))

    def test_fails(self) -> None:
        """What fails is gone, too; why is in the log."""
        for error in (ZeroDivisionError(), LookupError()):
            thing: Deferred[None] = Deferred()
            self.leftovers.add(thing)
            waiting = self.leftovers.cleared()
            thing.errback(error)
            self.assertIsNone(self.successResultOf(waiting))
            self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)


class Shielded(Deferred[Any]):
    """A Deferred that cannot be cancelled."""

    def cancel(self) -> None:
        """Do nothing: what is waited for takes the time that it takes."""


class SeveredTests(SynchronousTestCase):
    """A source whose own cancelling is not reliable."""

    def setUp(self) -> None:
        self.late: list[int] = []

    def severed(self, source: Deferred[int]) -> Deferred[int]:
        return severed(source, self.late.append)

    def test_result(self) -> None:
        """The source's result is the result, and is not disposed of."""
        source: Deferred[int] = Deferred()
        waiting = self.severed(source)
        self.assertNoResult(waiting)
        source.callback(3)
        self.assertEqual(self.successResultOf(waiting), 3)
        self.assertEqual(self.successResultOf(self.severed(succeed(4))), 4)
        self.assertEqual(self.late, [])

    def test_error(self) -> None:
        """So is its error."""
        source: Deferred[int] = Deferred()
        waiting = self.severed(source)
        source.errback(LookupError())
        self.failureResultOf(waiting, LookupError)

    def test_cancelled(self) -> None:
        """Cancelling cancels the source, and gives CancelledError alone."""

        def other(failure: Failure, error: Exception) -> Failure:
            return Failure(error)

        for error in (CancelledError(), LookupError()):
            source: Deferred[int] = Deferred()
            source.addErrback(other, error)
            waiting = self.severed(source)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            self.assertIsNone(self.successResultOf(source))

    def test_cancelledInVain(self) -> None:
        """It does so at once; a result that comes all the same is disposed of."""
        source: Deferred[int] = Shielded()
        waiting = self.severed(source)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.late, [])
        source.callback(3)
        self.assertEqual(self.late, [3])

    def test_lateError(self) -> None:
        """An error that comes then is nobody's, and not logged."""
        source: Deferred[int] = Shielded()
        waiting = self.severed(source)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        source.errback(LookupError())
        self.assertIsNone(self.successResultOf(source))
        self.assertEqual(self.late, [])


class WithinTests(SynchronousTestCase):
    """A wait that is bounded in time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.source: Deferred[int] = Deferred()
        self.waiting = within(
            self.clock, self.source, 5, lambda: "it has not come in 5 seconds"
        )

    def test_inTime(self) -> None:
        """A result in time is the result, and no timer is left."""
        self.clock.advance(4.9)
        self.source.callback(3)
        self.assertEqual(self.successResultOf(self.waiting), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_error(self) -> None:
        """So is an error."""
        self.source.errback(LookupError())
        self.failureResultOf(self.waiting, LookupError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_expired(self) -> None:
        """When the time is over the wait fails, and says what has not happened."""
        self.clock.advance(5)
        error = self.failureResultOf(self.waiting, PartnerTimeout).value
        self.assertIn("it has not come in 5 seconds", str(error))

    def test_cancelled(self) -> None:
        """One that is cancelled before was not too late."""
        self.waiting.cancel()
        self.failureResultOf(self.waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])


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
