"""
A short run of ``benchmarks.speed``: what it compares still runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder
from tests.support.programs import ROOT

pytestmark = pytest.mark.needs("openssl")


class SpeedTests(SynchronousTestCase):
    """The benchmark, with as little data as can be, where only few programs are."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.programs = newFolder(self)
        for name in ("sh", "openssl", "cmp"):
            self.install(name, name)

    def install(self, name: str, original: str) -> None:
        """Install a program, by this name."""
        found = shutil.which(original)
        assert found is not None
        (self.programs / name).unlink(missing_ok=True)
        (self.programs / name).symlink_to(found)

    def measure(self, parts: str, *subjects: str) -> subprocess.CompletedProcess[str]:
        """:returns: what became of the benchmark."""
        words = ("--rounds=1", "--size=1K", f"--write={self.folder}")
        return subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.speed", *words),
                *(f"--parts={parts}", f"--subjects={','.join(subjects)}"),
            ],
            cwd=ROOT,
            env={**os.environ, "PATH": str(self.programs)},
            capture_output=True,
            text=True,
            timeout=100,
        )

    def test_measured(self) -> None:
        """
        It measures what is there, compares it, and says which cipher suite is taken;
        what is missing is named.
        """
        bare, library = "sendfile + splice loop", "library --raw"
        result = self.measure("plain,mtls", bare, library, "Python's ssl", "socat")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, rf"\| {library} +\| \d+\.\d{{3}} ")
        self.assertIn("over TLS: TLS_AES_256_GCM_SHA384\n", result.stdout)
        self.assertIn("socat is missing: install the package socat", result.stdout)
        self.assertRegex(
            result.stdout,
            r"\| plain, first to last byte: library --raw / .* \| \d+\.\d\d ",
        )
        tables = (self.folder / "speed-tables.txt").read_text("utf-8")
        self.assertIn("- library ``--raw``\n", tables)
        picture = ElementTree.fromstring((self.folder / "speed.svg").read_text("utf-8"))
        shown = [text.text for text in picture.iter() if text.tag.endswith("text")]
        self.assertEqual(shown.count(library), 2)

    def test_spoiled(self) -> None:
        """Data that arrives changed is a failure, and no figure."""
        self.install("cmp", "false")
        result = self.measure("plain", "sendfile + splice loop")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("what has arrived is not what was sent", result.stderr)
        self.assertIn("it has failed", result.stdout)
