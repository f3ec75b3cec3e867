"""Tests for :mod:`twisted_transfer.data.copyqueue`."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from tests.support.dataends import ListSource
from tests.unit.data.test_copying import ChannelTestCase
from twisted_transfer.data.copyqueue import CopyQueue
from twisted_transfer.errors import (
    BadOption,
    NotEnoughData,
    QueueAborted,
    SourceError,
    Truncated,
)


class CopyQueueTests(ChannelTestCase):
    """One copy after the other."""

    def setUp(self) -> None:
        super().setUp()
        self.status: list[tuple[int, bool]] = []
        self.queue = CopyQueue(self.ours, lambda *args: self.status.append(args))

    def assertIdle(self) -> None:
        """There is nothing to do, and that was told."""
        self.assertEqual((self.queue.pending, self.queue.busy), (0, False))
        self.assertEqual(self.status[-1:] or [(0, False)], [(0, False)])

    def test_order(self) -> None:
        """Nothing of a request is written before all of those before it."""
        first = ListSource([b"some"], idle=True)
        copies = [
            self.queue.put(first),
            self.queue.put(b"more"),
            self.queue.put("Größe", size=4, encoding="utf-8"),
        ]
        self.assertEqual(self.readAll(self.theirs), b"some")
        self.assertEqual((self.queue.pending, self.queue.busy), (2, True))
        first.give(b"thing ")
        self.assertEqual(self.readAll(self.theirs), b"thing ")
        first.finish()
        self.assertEqual([self.successResultOf(d) for d in copies], [10, 4, 4])
        self.assertEqual(self.readAll(self.theirs), b"moreGr\xc3\xb6\xc3\x9f")
        self.assertIdle()

    def test_options(self) -> None:
        """A request takes everything that copy() takes."""
        told: list[Any] = []
        copying = self.queue.put(
            "a\nbcd",
            4,
            3,
            lambda *args: told.append(args),
            translation="crlf",
            encoding="utf-16-le",
            eofChar="x",
        )
        self.assertEqual(self.successResultOf(copying), 4)
        self.assertEqual(told, [(3, 4, 0.0), (4, 4, 0.0)])
        self.assertEqual(self.readAll(self.theirs), "a\r\nbc".encode("utf-16-le"))

    def test_status(self) -> None:
        """Each change of what is pending or busy is told, and nothing else."""
        source = ListSource([b"some"], idle=True)
        self.queue.put(source)
        self.assertEqual(self.status, [(0, True)])
        waiting = self.queue.put(b"more")
        self.queue.put(b"last")
        self.assertEqual(self.status[1:], [(1, True), (2, True)])
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.status[3:], [(1, True)])
        source.finish()
        self.assertEqual(self.status[4:], [(0, True), (0, False)])

    def test_statusFails(self) -> None:
        """An error of who is told is logged and harms nothing."""

        def fail(pending: int, busy: bool) -> None:
            raise ZeroDivisionError

        queue = CopyQueue(self.ours, fail)
        self.assertEqual(self.successResultOf(queue.put(b"data")), 4)
        self.assertEqual(self.successResultOf(queue.put(b"more")), 4)
        self.assertEqual(self.readAll(self.theirs), b"datamore")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 4)

    def test_nobodyTold(self) -> None:
        """Nobody has to be told."""
        queue = CopyQueue(self.ours)
        self.assertEqual(self.successResultOf(queue.put(b"data")), 4)

    def test_many(self) -> None:
        """
        10,000 requests behind one that waits, and each in the callback of the
        one before it: in order, and without a deep call.
        """
        count = 10_000
        self.assertGreater(count, 5 * sys.getrecursionlimit())
        source = ListSource([], idle=True)
        self.queue.put(source)
        ended: list[int] = []

        def end(ignored: int, index: int) -> None:
            ended.append(index)

        for index in range(count):
            copying = self.queue.put(b"%05d" % index)
            copying.addCallback(end, index)
        self.assertEqual(self.queue.pending, count)
        source.finish()
        wire = self.readAll(self.theirs)
        self.assertEqual(wire, b"".join(b"%05d" % index for index in range(count)))
        self.assertEqual(ended, list(range(count)))
        self.assertIdle()

        source = ListSource([], idle=True)
        copying = self.queue.put(source)

        def another(ignored: int, index: int) -> None:
            if index < count:
                self.queue.put(b"%05d" % index).addCallback(another, index + 1)

        copying.addCallback(another, 0)
        source.finish()
        self.assertEqual(self.readAll(self.theirs), wire)
        self.assertIdle()

    def test_putWhenTold(self) -> None:
        """Who puts the next one when it is idle makes no deep call either."""
        count = 3 * sys.getrecursionlimit()
        left = list(range(count))

        def told(pending: int, busy: bool) -> None:
            if not busy and left:
                queue.put(b"%05d" % left.pop(0))

        queue = CopyQueue(self.ours, told)
        queue.put(b"begin")
        wire = b"begin" + b"".join(b"%05d" % index for index in range(count))
        self.assertEqual(self.readAll(self.theirs), wire)
        self.assertFalse(queue.busy)

    def test_cancelMany(self) -> None:
        """Taking out any of many is quick, and leaves the others in order."""
        source = ListSource([], idle=True)
        self.queue.put(source)
        copies = [self.queue.put(b"%05d" % index) for index in range(10_000)]
        for copying in copies[1::2]:
            copying.cancel()
            self.failureResultOf(copying, CancelledError)
        self.assertEqual(self.queue.pending, 5000)
        source.finish()
        wire = b"".join(b"%05d" % index for index in range(0, 10_000, 2))
        self.assertEqual(self.readAll(self.theirs), wire)
        self.assertEqual({self.successResultOf(d) for d in copies[::2]}, {5})

    def test_failure(self) -> None:
        """
        After a failure nothing more is written: what waits fails in order, with
        the cause, and so does what comes later; all sources are closed.
        """
        error = SourceError("the disk is broken")
        first = ListSource([b"some"], idle=True, error=error)
        behind = [ListSource([b"more"]) for _ in range(3)]
        ended: list[tuple[int, Failure]] = []

        def end(failure: Failure, index: int) -> None:
            ended.append((index, failure))

        for index, source in enumerate([first, *behind]):
            self.queue.put(source).addErrback(end, index)
        first.finish()
        self.assertEqual([index for index, _ in ended], [0, 1, 2, 3])
        self.assertIs(ended[0][1].value, error)
        later = ListSource([b"last"])
        refused = self.failureResultOf(self.queue.put(later), QueueAborted)
        for failure in (*(failure for _, failure in ended[1:]), refused):
            failure.trap(QueueAborted)
            self.assertIs(failure.value.cause, error)
            self.assertIs(failure.value.__cause__, error)
            self.assertIn("the disk is broken", str(failure.value))
        self.assertTrue(all(source.closed for source in [*behind, later]))
        self.assertEqual(self.readAll(self.theirs), b"some")
        self.assertIdle()

    def test_closeFails(self) -> None:
        """
        Sources whose ``close()`` raises keep no Deferred from firing: not that of
        one that fails, that waits behind it, that comes later or is cancelled.
        """

        class Broken(ListSource):
            def close(self) -> None:
                raise ZeroDivisionError

        cancelled = self.queue.put(Broken([], idle=True))
        behindIt = self.queue.put(Broken([], idle=True))
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        first = Broken([b"some"], idle=True, error=SourceError("no more"))
        failing, behind = self.queue.put(first), self.queue.put(Broken([b"more"]))
        behindIt.cancel()
        self.failureResultOf(behindIt, CancelledError)
        first.finish()
        self.failureResultOf(failing, SourceError)
        self.failureResultOf(behind, QueueAborted)
        self.failureResultOf(self.queue.put(Broken([b"last"])), QueueAborted)
        self.assertIdle()
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_sourceRaises(self) -> None:
        """Nor does a source that raises where it should fail in another way."""
        for method in ("open", "startProducing"):
            self.setUp()
            source = ListSource([b"some"])
            self.patch(source, method, lambda *args: 1 / 0)
            failing, behind = self.queue.put(source), self.queue.put(b"more")
            self.failureResultOf(failing, ZeroDivisionError)
            self.failureResultOf(behind, QueueAborted)
            self.assertIdle()

    def test_anotherQueue(self) -> None:
        """Whoever knows better makes a new queue for the channel."""
        self.failureResultOf(self.queue.put(b"some", size=5), NotEnoughData)
        self.failureResultOf(self.queue.put(b"more"), QueueAborted)
        queue = CopyQueue(self.ours)
        self.assertEqual(self.successResultOf(queue.put(b"last")), 4)
        self.assertEqual(self.readAll(self.theirs), b"last")

    def test_putWhileItFails(self) -> None:
        """What is put in the callback of one that has failed is refused."""
        first = ListSource([], error=SourceError("broken"), idle=True)
        put: list[Deferred[int]] = []
        copying = self.queue.put(first)
        copying.addErrback(lambda _: put.append(self.queue.put(b"again")))
        second = self.queue.put(b"more")
        copying.addErrback(lambda failure: None)
        first.finish()
        self.failureResultOf(put[0], QueueAborted)
        self.failureResultOf(second, QueueAborted)
        self.assertEqual(self.readAll(self.theirs), b"")

    def test_cancelWhileItFails(self) -> None:
        """What is cancelled in the callback of one that has failed is cancelled."""
        first = ListSource([], error=SourceError("broken"), idle=True)
        copying = self.queue.put(first)
        second = self.queue.put(b"more")
        third = self.queue.put(b"more")
        copying.addErrback(lambda _: second.cancel())
        first.finish()
        self.failureResultOf(second, CancelledError)
        self.failureResultOf(third, QueueAborted)

    def test_badOption(self) -> None:
        """A request that cannot be is refused, and the others go on."""
        copying = self.queue.put(b"data", size=-1)
        self.assertIn("size", str(self.failureResultOf(copying, BadOption).value))
        self.assertEqual(self.successResultOf(self.queue.put(b"data")), 4)

    def test_settingsChange(self) -> None:
        """Whether a request goes with the settings counts when it begins."""
        source = ListSource([], idle=True)
        self.queue.put(source)
        copying = self.queue.put(b"data")
        self.ours.configure(encoding="utf-8")
        source.finish()
        self.failureResultOf(copying, BadOption)

    def test_cancelPending(self) -> None:
        """Cancelling what has not begun takes it out, and nothing else."""
        first = ListSource([b"some"], idle=True)
        copies = [self.queue.put(first)]
        middle = ListSource([b"NOT THIS"])
        cancelled = self.queue.put(middle)
        copies.append(self.queue.put(b"more"))
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.assertEqual((middle.given, middle.closed), (0, True))
        first.finish()
        self.assertEqual([self.successResultOf(d) for d in copies], [4, 4])
        self.assertEqual(self.readAll(self.theirs), b"somemore")

    def test_cancelRunning(self) -> None:
        """Cancelling what is written in part is a failure as any other."""
        first = ListSource([b"some"], idle=True)
        running = self.queue.put(first)
        behind = self.queue.put(b"more")
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertTrue(first.closed)
        error = self.failureResultOf(behind, QueueAborted).value
        self.assertIsInstance(error.cause, CancelledError)
        self.assertIn("CancelledError", str(error))
        self.failureResultOf(self.queue.put(b"later"), QueueAborted)
        self.assertEqual(self.readAll(self.theirs), b"some")
        self.assertIdle()

    def test_cancelUnwritten(self) -> None:
        """Cancelling what runs and has written nothing takes it out."""
        first = ListSource([], idle=True)
        running = self.queue.put(first)
        behind = self.queue.put(b"more")
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertTrue(first.closed)
        self.assertEqual(self.successResultOf(behind), 4)
        self.assertEqual(self.readAll(self.theirs), b"more")
        self.assertIdle()

    def test_cancelWhenTold(self) -> None:
        """It may be cancelled by who is told that it begins, or how far it is."""
        first = ListSource([], idle=True)
        self.queue.put(first)
        second = ListSource([b"NOT THIS"])
        cancelled = self.queue.put(second)
        self.queue._onStatusChange = lambda pending, busy: cancelled.cancel()
        third: Deferred[int] = self.queue.put(
            b"abc", blockSize=1, progress=lambda count, *_: third.cancel()
        )
        last = self.queue.put(b"last")
        first.finish()
        self.failureResultOf(cancelled, CancelledError)
        self.assertEqual((second.given, second.closed), (0, True))
        self.failureResultOf(third, CancelledError)
        self.failureResultOf(last, QueueAborted)
        self.assertEqual(self.readAll(self.theirs), b"a")

    def test_lost(self) -> None:
        """A connection that breaks off is a failure, also while it is idle."""
        copies = [self.queue.put(bytes(1_000_000)), self.queue.put(b"more")]
        self.settle()
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(copies[0], Truncated)
        self.failureResultOf(copies[1], QueueAborted)
        self.setUp()
        self.theirs.abortConnection()
        self.settle()
        self.ours.abortConnection()
        self.settle()
        self.failureResultOf(self.queue.put(b"more"), Truncated)
        self.failureResultOf(self.queue.put(b"more"), QueueAborted)

    @given(
        st.lists(
            st.one_of(
                st.tuples(
                    st.sampled_from(["bytes", "text", "slow", "fails", "few"]),
                    st.sampled_from([0, 1, 5, 40_000, 200_000]),
                ),
                st.tuples(st.just("cancel"), st.integers(0, 20)),
                st.tuples(st.sampled_from(["read", "end"]), st.just(0)),
            ),
            max_size=25,
        )
    )
    def test_law(self, steps: list[tuple[str, int]]) -> None:
        """
        Whatever is put, cancelled and read: each request ends once, in order;
        what has succeeded is on the wire, whole and in order, and nothing is
        behind what was cut; the channel's settings are its own again.
        """
        self.setUp()
        self.ours.configure(encoding="latin-1", translation="cr")
        wire = bytearray()
        wanted: list[bytes] = []
        slow: list[ListSource] = []
        copies: list[Deferred[int]] = []
        ended: list[int] = []
        results: dict[int, Any] = {}

        def end(result: Any, index: int) -> None:
            self.assertNotIn(index, results)
            results[index] = result
            ended.append(index)

        for what, number in steps:
            if what == "read":
                wire += self.readAll(self.theirs)
            elif what == "end":
                for source in slow:
                    if source.given == 2 and not source.closed:
                        source.finish()
            elif what == "cancel":
                if copies:
                    copies[number % len(copies)].cancel()
            else:
                index = len(copies)
                copying, data = self._put(what, index, number, slow)
                copies.append(copying)
                wanted.append(data)
                copying.addBoth(end, index)
        while self.queue.busy:
            for source in slow:
                if source.given == 2 and not source.closed:
                    source.finish()
            wire += self.readAll(self.theirs)
        wire += self.readAll(self.theirs)

        self.assertEqual(sorted(results), list(range(len(copies))))
        self.assertEqual(len(ended), len(copies))
        done = [index for index in ended if isinstance(results[index], int)]
        self.assertEqual(done, sorted(done))
        whole = b"".join(wanted[index] for index in done)
        self.assertTrue(bytes(wire).startswith(whole))
        cut = bytes(wire[len(whole) :])
        aborted = [
            index
            for index, result in results.items()
            if isinstance(result, Failure) and result.check(QueueAborted)
        ]
        others = set(results) - set(done) - set(aborted)
        if cut:
            self.assertTrue(any(wanted[index].startswith(cut) for index in others))
            self.failureResultOf(self.queue.put("later"), QueueAborted)
        if aborted:
            self.assertGreater(min(aborted), max(done, default=-1))
        self.assertIdle()
        self.ours.write("ü\n")
        self.assertEqual(self.readAll(self.theirs), b"\xfc\r")

    def _put(
        self, what: str, index: int, number: int, slow: list[ListSource]
    ) -> tuple[Deferred[int], bytes]:
        """Put something, and say what it should be on the wire."""
        if what == "text":
            text = chr(0x430 + index) * number + "\n"
            copying = self.queue.put(text, encoding="utf-8", translation="crlf")
            return copying, text.encode().replace(b"\n", b"\r\n")
        data = bytes([index]) * number + b"."
        if what == "bytes":
            return self.queue.put(data, blockSize=30_000, translation="binary"), data
        if what == "few":
            copying = self.queue.put(
                data, size=len(data) + 1, translation="binary", encoding="binary"
            )
            return copying, b""
        error = SourceError("broken") if what == "fails" else None
        source = ListSource([data[:7], data[7:]], idle=what == "slow", error=error)
        if what == "slow":
            slow.append(source)
        return self.queue.put(source, translation="binary"), data
