"""
A short run of ``benchmarks.stream``: memory does not grow with a stream.
"""

from __future__ import annotations

import re
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.support.programs import ROOT


class StreamTests(SynchronousTestCase):
    """Much more than fits into all buffers passes from ``-`` to ``-``."""

    def measured(self, *words: str) -> str:
        """:returns: what the measurement says, which has found nothing wrong."""
        result = subprocess.run(
            [sys.executable, "-m", "benchmarks.stream", "--size", "160", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def test_plain(self) -> None:
        """Over TCP."""
        self.assertRegex(self.measured(), r"^160 MiB in \d+\.\d s")

    def test_mtls(self) -> None:
        """Over mutual TLS."""
        self.assertRegex(self.measured("--mtls"), r"^160 MiB in \d+\.\d s")

    def test_growth(self) -> None:
        """What grows is found out, in a receiver that keeps everything."""
        keeping = (
            "import runpy, sys\n"
            "from twisted_transfer.receipts import receiving\n"
            "kept = []\n"
            "write = receiving.DigestedDestination.write\n"
            "def keep(self, data):\n"
            "    kept.append(bytes(data))\n"
            "    return write(self, data)\n"
            "receiving.DigestedDestination.write = keep\n"
            "runpy.run_module('twisted_transfer', run_name='__main__')\n"
        )
        program = (
            "import sys\n"
            "from benchmarks import stream\n"
            f"stream.COMMAND = (sys.executable, '-c', {keeping!r})\n"
            "description = 'transfer:passive:tcp:port=0:interface=127.0.0.1'\n"
            "print(stream.measure(160, description).flat)\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
        )
        self.assertTrue(
            re.fullmatch("False\n", result.stdout), result.stdout + result.stderr
        )
