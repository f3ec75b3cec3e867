"""
A short run of ``benchmarks.fuzzing``, and that it finds what it should.
"""

from __future__ import annotations

import re
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.support.programs import ROOT

_FUZZER = "benchmarks.fuzzing"

# Breaks something, and runs the fuzzer.
_BROKEN = """\
import runpy, sys
from twisted_transfer.receipts import conversation, frames
{}
sys.argv[1:] = ["--count", "3000", "--seed", "7"]
runpy.run_module({!r}, run_name="__main__")
"""


class FuzzTests(SynchronousTestCase):
    """What a partner should not send."""

    def run_(self, *words: str) -> subprocess.CompletedProcess[str]:
        """:returns: what became of Python with these words."""
        return subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def broken(self, code: str) -> str:
        """:returns: what the fuzzer finds when something is broken by this code."""
        program = _BROKEN.format(code, _FUZZER)
        result = self.run_("-c", program)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stdout, r"^input \d+ of seed 7, for one that ")
        return result.stderr.splitlines()[-1]

    def test_noDefect(self) -> None:
        """A thousand inputs show no defect, and end in every way there is."""
        result = self.run_("-m", _FUZZER, "--count", "1000", "--seed", "42")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("1000 inputs, no defect, in ", result.stdout)
        counts = re.findall(r"^ *(\d+) (.+)$", result.stdout, re.MULTILINE)
        self.assertEqual(
            {outcome for _, outcome in counts if "inputs" not in outcome},
            {
                *("finished", "gave up", "NotAReceiptPartner", "PartnerFailed"),
                *("PartnerProtocolError", "ReceiptMismatch", "Truncated"),
            },
        )

    def test_bound(self) -> None:
        """A message that is kept beyond its bound is found."""
        found = self.broken(
            "frames._KINDS[frames.MESSAGE] = (frames._Part.MESSAGE, 2**24)"
        )
        self.assertIn("Defect: too much is held", found)

    def test_shown(self) -> None:
        """Words of the partner that garble the terminal are found."""
        found = self.broken("conversation.printable = lambda text, limit: text")
        self.assertIn("Defect: this would be shown: ", found)

    def test_exception(self) -> None:
        """An exception that is not documented, and not caught any more, is found."""
        found = self.broken("conversation.BadMessage = KeyError")
        self.assertIn("BadMessage: ", found)

    def test_offered(self) -> None:
        """Data beyond what was offered is found."""
        found = self.broken(
            "check = conversation.Conversation._check\n"
            "conversation.Conversation._check = lambda self, said, actor: ("
            "setattr(self, '_position', self._position + said.length)"
            " if isinstance(said, frames.DataHeader)"
            " else check(self, said, actor))"
        )
        self.assertIn("Defect: ", found)
