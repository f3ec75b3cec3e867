"""Tests for :mod:`twisted_transfer.data.receiving`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from tests.support.dataends import ListDestination, ListSource
from tests.unit.data.test_copying import ChannelTestCase, Told
from twisted_transfer.data.copying import copy
from twisted_transfer.data.destinations import BytesDestination, CallableDestination
from twisted_transfer.data.receiving import receive
from twisted_transfer.errors import (
    BadOption,
    DestinationError,
    NotEnoughData,
    Truncated,
)


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
        told: list[tuple[int, int | None, float]] = []
        receiving = receive(
            self.ours, ListDestination(), lambda *args: told.append(args)
        )
        for piece in (b"some", b"one"):
            self.clock.advance(1)
            self.theirs.write(piece)
            self.settle()
        self.assertEqual(told, [(4, None, 4.0), (7, None, 3.5)])
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

    def test_raises(self) -> None:
        """
        So does one that raises what it should not; and one whose ``abort()``
        raises, too, which is logged.
        """
        for method in ("open", "write", "finish"):
            for size in (None, 4):
                self.setUp()
                destination = ListDestination()
                for broken in (method, "abort"):
                    self.patch(destination, broken, lambda *args: 1 / 0)
                receiving = receive(self.ours, destination, size=size)
                self.theirs.write(b"data")
                self.theirs.writeEOF()
                self.assertReset(self.theirs)
                self.failureResultOf(receiving, ZeroDivisionError)
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

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

    def test_callable(self) -> None:
        """A callable that waits holds the partner back, and is told of the end."""
        pieces: list[bytes] = []
        room: list[Deferred[None]] = []

        def take(piece: bytes) -> Deferred[None]:
            pieces.append(piece)
            room.append(Deferred())
            return room[-1]

        destination = CallableDestination(take, lambda: pieces.append(b"."))
        receiving = receive(self.ours, destination)
        sending = copy(bytes(1_000_000), self.theirs)
        sending.addCallback(lambda _: self.theirs.loseConnection())
        self.settle()
        self.assertEqual(len(pieces), 1)
        while not receiving.called:
            room[-1].callback(None)
            self.settle()
        self.assertEqual(b"".join(pieces), bytes(1_000_000) + b".")
        self.successResultOf(receiving)

    def test_text(self) -> None:
        """A channel that carries text is refused, and nothing happens to it."""
        self.ours.configure(encoding="utf-8")
        destination = ListDestination()
        error = self.failureResultOf(receive(self.ours, destination), BadOption).value
        self.assertIn("binary", str(error))
        self.assertEqual(destination.events, [])
        self.ours.write("text")
        self.assertEqual(self.readAll(self.theirs), b"text")


class SizeTests(ChannelTestCase):
    """Exactly so many bytes."""

    @given(
        st.lists(st.binary(min_size=1, max_size=20), max_size=8),
        st.integers(0, 100),
        st.booleans(),
        st.booleans(),
    )
    def test_exact(
        self, pieces: list[bytes], size: int, before: bool, slow: bool
    ) -> None:
        """
        However they come, so many are stored, and what is behind them is read
        from the channel as if nothing had been; or there are too few, and that
        is an error.
        """
        self.setUp()
        data = b"".join(pieces)
        destination = ListDestination(slow=slow)
        told = Told()
        receiving: Deferred[int] | None = None
        if not before:
            receiving = receive(self.ours, destination, told, size)
        for piece in pieces:
            self.theirs.write(piece)
            self.settle()
        if receiving is None:
            receiving = receive(self.ours, destination, told, size=size)
        self.theirs.writeEOF()
        self.settle()
        while destination.full is not None and not destination.full.called:
            destination.full.callback(None)
            self.settle()
        self.assertEqual(destination.content, data[:size])
        self.assertEqual(told.counts[-1], len(data[:size]))
        self.assertLessEqual(told.totals, {size})
        if size > len(data):
            error = self.failureResultOf(receiving, NotEnoughData).value
            self.assertEqual((error.expected, error.available), (size, len(data)))
            self.assertEqual(destination.events, ["open", "abort"])
        else:
            self.assertEqual(self.successResultOf(receiving), size)
            self.assertEqual(destination.events, ["open", "finish"])
            self.assertEqual(self.readAll(self.ours), data[size:])
            self.ours.write(b"answer")
            self.assertEqual(self.readAll(self.theirs), b"answer")

    def test_oneAfterTheOther(self) -> None:
        """Several can stand in one stream, and a protocol's data behind them."""
        self.theirs.write(b"onetwothree")
        for wanted in (b"one", b"two"):
            destination = BytesDestination()
            receiving = receive(self.ours, destination, size=3)
            self.settle()
            self.assertEqual(self.successResultOf(receiving), 3)
            self.assertEqual(destination.data, wanted)
        last = ListDestination()
        receiving = receive(self.ours, last)
        self.theirs.loseConnection()
        self.settle()
        self.assertEqual(self.successResultOf(receiving), 5)
        self.assertEqual(last.content, b"three")

    def test_noEnd(self) -> None:
        """It is done with the last byte, and waits for nothing more."""
        destination = ListDestination()
        receiving = receive(self.ours, destination, size=4)
        self.theirs.write(b"dat")
        self.settle()
        self.assertNoResult(receiving)
        self.theirs.write(b"a")
        self.settle()
        self.assertEqual(self.successResultOf(receiving), 4)
        self.assertEqual(destination.events, ["open", "finish"])

    def test_pace(self) -> None:
        """A destination that is full holds the partner back."""
        destination = ListDestination(slow=True)
        receiving = receive(self.ours, destination, size=10_000_000)
        source = ListSource([bytes(50_000)] * 300)
        sending = copy(source, self.theirs)
        self.settle()
        self.assertLess(source.given, 20)
        while not receiving.called:
            assert destination.full is not None
            destination.full.callback(None)
            self.settle()
        self.assertEqual(self.successResultOf(receiving), 10_000_000)
        self.assertEqual(len(self.readAll(self.ours)), 5_000_000)
        self.successResultOf(sending)

    def test_truncated(self) -> None:
        """A connection that breaks off before is a truncation."""
        destination = ListDestination()
        receiving = receive(self.ours, destination, size=5)
        self.theirs.write(b"data")
        self.settle()
        self.theirs.abortConnection()
        self.settle()
        self.failureResultOf(receiving, Truncated)
        self.assertEqual(destination.events, ["open", "abort"])

    def test_refused(self) -> None:
        """A destination that fails ends the connection, and not in order."""
        for method in ("open", "write", "finish"):
            self.setUp()
            destination = ListDestination(refuses=method)
            receiving = receive(self.ours, destination, size=4)
            self.theirs.write(b"data")
            self.assertReset(self.theirs)
            self.failureResultOf(receiving, DestinationError)
            self.assertEqual(destination.events[-1], "abort")

    def test_cancelled(self) -> None:
        """Cancelling gives everything up, and the partner sees it."""
        for slow in (False, True):
            self.setUp()
            destination = ListDestination(slow=slow)
            receiving = receive(self.ours, destination, size=10)
            self.theirs.write(b"data")
            self.settle()
            receiving.cancel()
            self.assertReset(self.theirs)
            self.failureResultOf(receiving, CancelledError)
            self.assertEqual(destination.events, ["open", "abort"])
            self.assertTrue(destination.full is None or destination.full.called)

    def test_badSize(self) -> None:
        """What is no size is said at once, and nothing happens."""
        for size in (-1, 1.5, "5"):
            destination = ListDestination()
            wrong: Any = size
            receiving = receive(self.ours, destination, size=wrong)
            error = self.failureResultOf(receiving, BadOption).value
            self.assertIn("size", str(error))
            self.assertEqual(destination.events, [])
