"""
Tests for :mod:`twisted_transfer.descriptions.values`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.descriptions import values
from twisted_transfer.descriptions.values import UnfitError


class SecondsTests(SynchronousTestCase):
    """Times."""

    @given(
        st.floats(min_value=0, exclude_min=True, allow_infinity=False)
        | st.integers(1, 10**9)
    )
    def test_good(self, seconds: float) -> None:
        """Every finite number above 0 is one."""
        values.seconds(seconds)

    def test_zero(self) -> None:
        """0 is one where that makes sense."""
        for none in (0, 0.0):
            values.seconds(none, zero=True)
        for bad in (False, -1, "0", None):
            error = self.assertRaises(UnfitError, values.seconds, bad, zero=True)
            self.assertIn("0 or more", str(error))

    @given(
        st.floats(max_value=0)
        | st.integers(max_value=0)
        | st.sampled_from((float("nan"), float("inf"), True, "5", b"5", [5], {}))
    )
    def test_bad(self, seconds: object) -> None:
        """Anything else is refused."""
        error = self.assertRaises(UnfitError, values.seconds, seconds)
        self.assertIn("above 0", str(error))


class PortTests(SynchronousTestCase):
    """Port numbers."""

    @given(st.integers(1, 65535))
    def test_good(self, port: int) -> None:
        """What fits into 16 bits is one."""
        values.port(port, lowest=0)
        values.port(port, lowest=1)

    def test_zero(self) -> None:
        """The system can choose where one listens, not where one dials."""
        values.port(0, lowest=0)
        error = self.assertRaises(UnfitError, values.port, 0, lowest=1)
        self.assertEqual("a port is a number from 1 to 65535", str(error))

    @given(
        st.integers(max_value=-1)
        | st.integers(min_value=65536)
        | st.sampled_from(("80", b"80", 80.0, None, True, False, [80]))
    )
    def test_bad(self, port: object) -> None:
        """Anything else is refused, with the numbers that there are."""
        for lowest in (0, 1):
            error = self.assertRaises(UnfitError, values.port, port, lowest=lowest)
            self.assertIn(f"{lowest} to 65535", str(error))


class HostTests(SynchronousTestCase):
    """Names and addresses."""

    def test_good(self) -> None:
        """Names and addresses of both families are hosts."""
        for host in ("localhost", "192.0.2.7", "2001:db8::7", "bücher.example", "a."):
            values.hostName(host)
        for host in ("my_host", "_a._tcp.example", "r3---sn.example", "fe80::1%eth0"):
            values.hostName(host)

    def test_bad(self) -> None:
        """What is no host is refused, with an example."""
        for host in ("", " ", "a b", "a\tb", "a\0b", "a\x7f", "a\n", None, 7, b"h"):
            error = self.assertRaises(UnfitError, values.hostName, host)
            self.assertIn("192.0.2.7", str(error))
        # No resolver is to see these.
        for host in ("-x", "*", "/x", "a/b", "a:b", "a@b", "[::1]", "fe80::1%"):
            error = self.assertRaises(UnfitError, values.hostName, host)
            self.assertIn("192.0.2.7", str(error))
        for host in ("x" * 64, "a..b", ".", f"{'x' * 62}." * 4 + "xxx"):
            error = self.assertRaises(UnfitError, values.hostName, host)
            self.assertIn("253", str(error))
