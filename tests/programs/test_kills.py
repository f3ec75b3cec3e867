"""
A short run of ``benchmarks.kills``: whichever side is killed, no target is torn.
"""

from __future__ import annotations

import re
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.support.programs import ROOT

# Four rounds with something of everything: both are killed, among the data and
# among the receiver's answers, a second receiver comes, a part is changed.
_SEED = 281


class KillTests(SynchronousTestCase):
    """The real commands, killed at any byte of their connection."""

    def kill(self, transport: str) -> None:
        """Some rounds over one transport."""
        words = [transport, "--count=4", "--size=8M", f"--seed={_SEED}"]
        result = subprocess.run(
            [sys.executable, "-m", "benchmarks.kills", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        counts = dict(re.findall(r"^ *(.+): (\d+)$", result.stdout, re.MULTILINE))
        for what in ("torn targets", "hangs", "without a kill"):
            self.assertEqual(counts[what], "0", result.stdout)
        [killed] = re.findall(r"killed: (.*)", result.stdout)
        kills = [int(count) for count in re.findall(r"\) (\d+)", killed)]
        self.assertEqual(sum(kills), 4, result.stdout)
        self.assertIn("sender", killed)
        self.assertIn("receiver", killed)
        self.assertNotEqual(counts["a second receiver was turned away"], "0")
        self.assertNotIn("; 0 parts were then changed", result.stdout)
        [saved] = re.findall(r"(\d+) saved$", result.stdout, re.MULTILINE)
        self.assertGreater(int(saved), 0, result.stdout)

    def test_plain(self) -> None:
        """Over plain TCP."""
        self.kill("--plain")

    def test_mtls(self) -> None:
        """Over ``mtls``."""
        self.kill("--mtls")
