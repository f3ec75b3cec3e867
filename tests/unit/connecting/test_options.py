"""
Tests for :mod:`twisted_transfer.connecting.options`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.connecting.options import (
    Mode,
    checkedHost,
    checkedMode,
    checkedPort,
    checkedSeconds,
)
from twisted_transfer.errors import BadOption


class ModeTests(SynchronousTestCase):
    """Which side dials."""

    def test_good(self) -> None:
        """A mode is given by its word or as what it is."""
        for mode in Mode:
            self.assertIs(checkedMode(mode), mode)
            self.assertIs(checkedMode(mode.value), mode)
        self.assertEqual([mode.value for mode in Mode], ["active", "passive"])

    def test_bad(self) -> None:
        """Anything else is shown, with the words that there are."""
        for bad in ("Active", "", "listen", None, 1, True, b"active", ["active"]):
            error = self.assertRaises(BadOption, checkedMode, bad)
            for word in (f"mode={bad!r}", "'active'", "'passive'"):
                self.assertIn(word, str(error))


class SecondsTests(SynchronousTestCase):
    """Times."""

    @given(
        st.floats(min_value=0, exclude_min=True, allow_infinity=False)
        | st.integers(1, 10**9)
    )
    def test_good(self, seconds: float) -> None:
        """Every finite number above 0 is one."""
        checked = checkedSeconds("within", seconds)
        self.assertIsInstance(checked, float)
        self.assertEqual(checked, float(seconds))

    def test_none(self) -> None:
        """None is no bound, and so is 0 where that makes sense."""
        self.assertIsNone(checkedSeconds("within", None))
        for none in (None, 0, 0.0):
            self.assertIsNone(checkedSeconds("retryFor", none, zero=True))
        for bad in (False, -1, "0"):
            error = self.assertRaises(
                BadOption, checkedSeconds, "retryFor", bad, zero=True
            )
            self.assertIn("0 or more", str(error))

    @given(
        st.floats(max_value=0)
        | st.integers(max_value=0)
        | st.sampled_from((float("nan"), float("inf"), True, "5", b"5", [5], {}))
    )
    def test_bad(self, seconds: object) -> None:
        """Anything else is shown with the name of the option."""
        error = self.assertRaises(BadOption, checkedSeconds, "retryFor", seconds)
        self.assertIn(f"retryFor={seconds!r}", str(error))
        self.assertIn("above 0", str(error))


class PortTests(SynchronousTestCase):
    """Port numbers."""

    @given(st.integers(1, 65535))
    def test_good(self, port: int) -> None:
        """What fits into 16 bits is one."""
        self.assertEqual(checkedPort(port, lowest=0), port)
        self.assertEqual(checkedPort(port, lowest=1), port)

    def test_zero(self) -> None:
        """The system can choose where one listens, not where one dials."""
        self.assertEqual(checkedPort(0, lowest=0), 0)
        error = self.assertRaises(BadOption, checkedPort, 0, lowest=1)
        self.assertIn("port=0: a port is a number from 1 to 65535", str(error))

    @given(
        st.integers(max_value=-1)
        | st.integers(min_value=65536)
        | st.sampled_from(("80", b"80", 80.0, None, True, False, [80]))
    )
    def test_bad(self, port: object) -> None:
        """Anything else is shown, with the numbers that there are."""
        for lowest in (0, 1):
            error = self.assertRaises(BadOption, checkedPort, port, lowest=lowest)
            self.assertIn(f"port={port!r}", str(error))
            self.assertIn(f"{lowest} to 65535", str(error))


class HostTests(SynchronousTestCase):
    """Names and addresses."""

    def test_good(self) -> None:
        """A host is kept as it was given."""
        for host in ("localhost", "192.0.2.7", "2001:db8::7", "bücher.example", "a."):
            self.assertEqual(checkedHost(host), host)

    def test_bad(self) -> None:
        """What cannot be one is shown, with an example."""
        for host in ("", " ", "a b", "a\tb", "a\0b", "a\x7f", "a\n"):
            error = self.assertRaises(BadOption, checkedHost, host)
            self.assertIn(f"host={host!r}", str(error))
            self.assertIn("192.0.2.7", str(error))
        for host in ("x" * 64, "a..b", ".", f"{'x' * 62}." * 4 + "xxx"):
            error = self.assertRaises(BadOption, checkedHost, host)
            self.assertIn(f"host={host!r}", str(error))
            self.assertIn("253", str(error))
        for other in (None, 7, b"localhost", ["h"]):
            error = self.assertRaises(BadOption, checkedHost, other)
            self.assertIn(f"host={other!r}", str(error))
