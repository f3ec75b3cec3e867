"""Tests for :mod:`twisted_transfer.data.progress`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.data.progress import WINDOW, Meter, checkNumber
from twisted_transfer.errors import BadOption


class MeterTests(SynchronousTestCase):
    """How far it is, of how much, and how fast."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[int, int | None, float]] = []

    def meter(self, total: int | None = None) -> Meter:
        """:returns: one that begins now."""
        return Meter(self.clock, lambda *args: self.told.append(args), total)

    def test_told(self) -> None:
        """The count and the total are told as they are."""
        meter = self.meter(total=100)
        meter.tell(30)
        self.clock.advance(1)
        meter.tell(100)
        self.assertEqual(self.told, [(30, 100, 0.0), (100, 100, 100.0)])

    def test_noTime(self) -> None:
        """Where no time has passed there is no rate, and no error."""
        meter = self.meter()
        meter.tell(1)
        meter.tell(2)
        self.assertEqual(self.told, [(1, None, 0.0), (2, None, 0.0)])

    def test_backwards(self) -> None:
        """A clock that is set back does not make it negative."""
        meter = self.meter()
        self.clock.rightNow -= 10
        meter.tell(1)
        self.assertEqual(self.told, [(1, None, 0.0)])

    def test_steady(self) -> None:
        """What comes steadily has that rate, from the first second on."""
        meter = self.meter()
        for second in range(1, 60):
            self.clock.advance(1)
            meter.tell(second * 500)
        self.assertEqual({rate for _, _, rate in self.told}, {500.0})

    def test_goneOn(self) -> None:
        """What was there before does not count as fast."""
        meter = Meter(self.clock, lambda *args: self.told.append(args), 2000, 1000)
        meter.tell(1000)
        self.clock.advance(1)
        meter.tell(1500)
        self.assertEqual(self.told, [(1000, 2000, 0.0), (1500, 2000, 500.0)])

    def test_faster(self) -> None:
        """What was long ago does not count."""
        meter = self.meter()
        count = 0
        for rate in (10, 1000):
            for _ in range(10 * int(WINDOW)):
                self.clock.advance(1)
                count += rate
                meter.tell(count)
        self.assertEqual(self.told[-1][2], 1000.0)

    def test_stalled(self) -> None:
        """A pause counts: the rate is over the time that has passed."""
        meter = self.meter()
        self.clock.advance(1)
        meter.tell(1000)
        self.clock.advance(100)
        meter.tell(1100)
        self.assertEqual(self.told[-1][2], 1.0)

    @given(
        st.lists(
            st.tuples(st.floats(0, 10), st.integers(0, 10**9)), min_size=1, max_size=99
        )
    )
    def test_bounds(self, steps: list[tuple[float, int]]) -> None:
        """The rate is between that of the slowest and that of the fastest step."""
        self.setUp()
        meter = self.meter()
        count = 0
        rates = []
        for seconds, more in steps:
            # What comes in no time is a part of what comes after it.
            self.clock.advance(seconds + 0.001)
            count += more
            rates.append(more / (seconds + 0.001))
            meter.tell(count)
        rate = self.told[-1][2]
        self.assertGreaterEqual(rate, min(rates) * 0.999)
        self.assertLessEqual(rate, max(rates) * 1.001)

    def test_memory(self) -> None:
        """However often it is told, it remembers a few moments."""
        meter = self.meter()
        for count in range(100_000):
            self.clock.advance(0.001)
            meter.tell(count)
        self.assertLess(len(meter._samples), 100)

    def test_nobody(self) -> None:
        """Nobody has to be told."""
        Meter(self.clock, None, 5).tell(5)

    def test_error(self) -> None:
        """Who fails is logged, once, and not told again."""
        calls: list[int] = []

        def fail(count: int, total: int | None, rate: float) -> None:
            calls.append(count)
            raise ZeroDivisionError

        meter = Meter(self.clock, fail, None)
        meter.tell(1)
        meter.tell(2)
        self.assertEqual(calls, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class CheckNumberTests(SynchronousTestCase):
    """What is a number of bytes."""

    def test_fits(self) -> None:
        """Whole numbers from the lowest to the highest."""
        for value in (0, 1, 2**70):
            checkNumber("size", value)
        for value in (1, 8):
            checkNumber("size", value, 1, 8)

    def test_others(self) -> None:
        """Everything else is an error that names the option and the value."""
        for value in (-1, 1.0, "5", None, True, b"", 2j):
            error = self.assertRaises(BadOption, checkNumber, "size", value)
            self.assertIn(f"size={value!r}", str(error))
        for value in (0, 9):
            error = self.assertRaises(BadOption, checkNumber, "n", value, 1, 8)
            self.assertIn("at least 1 and at most 8", str(error))
