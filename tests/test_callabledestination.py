"""Tests for :mod:`twisted_transfer.callabledestination`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twisted_transfer.destinations import CallableDestination
from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import IDestination


class CallableDestinationTests(SynchronousTestCase):
    """Handing each piece to the user's own function."""

    def setUp(self) -> None:
        self.events: list[Any] = []

    def made(self, callable: Any = None, **ends: Any) -> CallableDestination:
        """:returns: one that notes what happens, but for what is given."""
        ends.setdefault("onFinish", lambda: self.events.append("finish"))
        ends.setdefault("onAbort", lambda: self.events.append("abort"))
        return CallableDestination(callable or self.events.append, **ends)

    def test_interface(self) -> None:
        """It is a destination."""
        self.assertTrue(verifyObject(IDestination, self.made()))

    def test_whole(self) -> None:
        """Each piece is handed over, and then the end, once."""
        destination = self.made()
        destination.open()
        for piece in (b"some", b"more"):
            self.assertIsNone(destination.write(piece))
        self.successResultOf(destination.finish())
        destination.abort()
        self.assertEqual(self.events, [b"some", b"more", "finish"])

    def test_failed(self) -> None:
        """If not everything comes, that is told instead, once."""
        destination = self.made()
        destination.write(b"some")
        destination.abort()
        destination.abort()
        self.assertEqual(self.events, [b"some", "abort"])
        self.assertRaises(DestinationError, destination.open)
        self.assertRaises(DestinationError, destination.write, b"more")
        self.failureResultOf(destination.finish(), DestinationError)
        self.assertEqual(self.events, [b"some", "abort"])

    def test_onlyPieces(self) -> None:
        """Who does not care for the end is not told."""
        for end in ("finish", "abort"):
            pieces: list[bytes] = []
            destination = CallableDestination(pieces.append)
            destination.write(b"piece")
            ended = getattr(destination, end)()
            if ended is not None:
                self.successResultOf(ended)
            self.assertEqual(pieces, [b"piece"])

    def test_deferred(self) -> None:
        """A Deferred is waited for, whatever it fires with, in each place."""
        waiting: Deferred[Any] = Deferred()
        destination = self.made(lambda piece: waiting, onFinish=lambda: waiting)
        for waits in (lambda: destination.write(b"piece"), destination.finish):
            waiting = Deferred()
            ours = waits()
            assert ours is not None
            self.assertNoResult(ours)
            waiting.callback(5)
            self.assertIsNone(self.successResultOf(ours))

    def test_async(self) -> None:
        """So is an async function."""
        waiting: Deferred[Any] = Deferred()

        async def take(piece: bytes) -> None:
            self.events.append(piece)
            await waiting
            self.events.append("taken")

        ours = self.made(take).write(b"piece")
        assert ours is not None
        self.assertNoResult(ours)
        waiting.callback(None)
        self.assertIsNone(self.successResultOf(ours))
        self.assertEqual(self.events, [b"piece", "taken"])

    def test_otherResults(self) -> None:
        """What else it returns is not looked at."""
        self.assertIsNone(self.made(len).write(b"piece"))

    def test_raises(self) -> None:
        """What it raises is the cause of the error."""
        original = ZeroDivisionError("oops")

        def fail(*args: object) -> None:
            raise original

        destination = self.made(fail, onFinish=fail)
        error = self.assertRaises(DestinationError, destination.write, b"piece")
        self.assertIs(error.__cause__, original)
        self.assertIn("oops", str(error))
        error = self.failureResultOf(destination.finish(), DestinationError).value
        self.assertIs(error.__cause__, original)
        destination.abort()
        self.assertEqual(self.events, ["abort"])

    def test_fails(self) -> None:
        """The same for what its Deferred fails with, a cancellation among it."""
        for original in (ZeroDivisionError("oops"), CancelledError()):
            waiting: Deferred[Any] = Deferred()
            ours = self.made(lambda piece, waiting=waiting: waiting).write(b"piece")
            assert ours is not None
            waiting.errback(original)
            error = self.failureResultOf(ours, DestinationError).value
            self.assertIs(error.__cause__, original)

    def test_ownError(self) -> None:
        """A DestinationError is passed on as it is."""
        original = DestinationError("the shelf is full")

        def fail(piece: bytes) -> None:
            raise original

        error = self.assertRaises(DestinationError, self.made(fail).write, b"piece")
        self.assertIs(error, original)

    def test_cancelled(self) -> None:
        """Cancelling cancels what the callable waits for, as long as it does."""
        cancelled: list[object] = []
        waiting: Deferred[Any] = Deferred(cancelled.append)
        ours = self.made(lambda piece: waiting).write(b"piece")
        assert ours is not None
        ours.cancel()
        self.failureResultOf(ours, CancelledError)
        self.assertEqual(cancelled, [waiting])

    def test_cancelledAnyway(self) -> None:
        """One that does not care whether it is cancelled does no harm."""
        waiting: Deferred[Any] = Deferred(lambda d: d.callback("done"))
        ours = self.made(lambda piece: waiting).write(b"piece")
        assert ours is not None
        ours.cancel()
        self.failureResultOf(ours, CancelledError)

    def test_errorAtAbort(self) -> None:
        """An error at the very end is logged."""
        destination = self.made(onAbort=lambda: 1 / 0)
        destination.abort()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
