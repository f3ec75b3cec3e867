"""
Tests for :mod:`tests.twisted.whole`, and its short form.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

pytest.importorskip("hamcrest", reason="Twisted's tests need PyHamcrest")

from tests.twisted import whole

_DIFFERS = (
    "twisted.test.test_tcp.PauseProducingTests.test_pauseProducingInConnectionMade"
)
_ROOT = Path(__file__).resolve().parents[2]


class WholeTests(SynchronousTestCase):
    """Twisted's own tests with channels in them."""

    def test_short(self) -> None:
        """
        What talks over TCP, UNIX sockets and TLS ends as it does without, but for
        the differences that the table explains.
        """
        modules = ("test_tcp", "test_unix", "test_ssl", "test_amp")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.twisted.whole",
                *(f"twisted.test.{module}" for module in modules),
            ],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, said)
        self.assertRegex(said, r"test_tcp: \d+ tests, \d\d with channels")

    def test_unexplained(self) -> None:
        """A difference that the table does not explain is a failure."""
        self.patch(whole, "readTable", dict)
        with redirect_stdout(StringIO()) as out:
            good = whole.compare([_DIFFERS], 1, False)
        self.assertFalse(good)
        self.assertIn(f"DIFFERS {_DIFFERS}", out.getvalue())
