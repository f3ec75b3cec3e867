"""Tests for :mod:`twisted_transfer.command`, without a reactor."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.command import main

from .programs import COMMAND, ROOT


class MainTests(SynchronousTestCase):
    """What needs no partner."""

    def setUp(self) -> None:
        self.out, self.err = StringIO(), StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def test_help(self) -> None:
        """Help is on standard output, for the whole and for each command."""
        for words in ([], ["send"], ["receive"], ["demo"]):
            self.out.truncate(0)
            error = self.assertRaises(SystemExit, main, [*words, "--help"])
            self.assertIn(error.code, (0, None))
            shown = self.out.getvalue().lstrip("\0")
            self.assertTrue(
                shown.startswith(" ".join(["Usage: twisted-transfer", *words])), shown
            )
            for line in shown.splitlines():
                self.assertLessEqual(len(line), 80)
        self.assertEqual(self.err.getvalue(), "")

    def test_helpOfTheWhole(self) -> None:
        """It names the commands and the exit statuses."""
        self.assertRaises(SystemExit, main, ["--help"])
        for text in ("send", "receive", "demo", "Exit status: 0 done, 2 usage"):
            self.assertIn(text, self.out.getvalue())

    def test_version(self) -> None:
        """The version is that of this library, also behind a command."""
        try:
            expected = version("twisted_transfer")
        except PackageNotFoundError:
            expected = "(not installed)"
        for words in (["--version"], ["send", "--version"], ["demo", "--version"]):
            self.out.truncate(0)
            error = self.assertRaises(SystemExit, main, words)
            self.assertEqual(error.code, 0)
            shown = self.out.getvalue().lstrip("\0")
            self.assertEqual(shown, f"twisted-transfer {expected}\n")

    def test_usage(self) -> None:
        """What is wrong is on standard error, with the way to the help."""
        for words, said, way in (
            ([], "which command", "twisted-transfer --help"),
            (["fetch"], "fetch", "twisted-transfer --help"),
            (["--fast"], "--fast", "twisted-transfer --help"),
            (["send"], "PATH...", "twisted-transfer send --help"),
            (["send", "x", "y:z"], "y", "twisted-transfer send --help"),
            (["send", "--raw", "x", "y"], "y", "twisted-transfer send --help"),
            (["receive"], "PATH", "twisted-transfer receive --help"),
            (["receive", "x", "y"], "y", "twisted-transfer receive --help"),
            (
                ["receive", "--max-size=x", "x"],
                "--max-size=x",
                "twisted-transfer receive --help",
            ),
            (["demo", "--size=x"], "--size x", "twisted-transfer demo --help"),
            (["demo", "--size=0"], "--size 0", "twisted-transfer demo --help"),
            (["demo", "--size=-1"], "--size -1", "twisted-transfer demo --help"),
            (["demo", "file"], "Wrong number", "twisted-transfer demo --help"),
        ):
            self.err.truncate(0)
            self.assertEqual(main(words), 2)
            self.assertIn(said, self.err.getvalue())
            self.assertIn(way, self.err.getvalue())
        self.assertEqual(self.out.getvalue(), "")

    def test_interrupted(self) -> None:
        """Ctrl-C while it reads a description is no reason for a traceback."""

        def readline(size: int) -> str:
            raise KeyboardInterrupt

        stream = StringIO()
        self.patch(sys, "stdin", stream)
        self.patch(stream, "readline", readline)
        self.assertEqual(main(["receive", "x", "-"]), 130)
        self.assertEqual(self.err.getvalue(), "")


class LogTests(SynchronousTestCase):
    """What becomes of Twisted's log."""

    def said(self, *words: str) -> str:
        """
        :returns: what is on standard error when the log has a warning and two
            errors in it.
        """
        program = """if True:
            import sys
            from twisted.internet.defer import fail
            from twisted.logger import Logger
            from twisted_transfer import command

            class Work:
                def __init__(self, *args):
                    pass

                def run(self):
                    log = Logger("test")
                    log.warn("harmless {x}", x=1)
                    log.error("broken {x}", x=2)
                    fail(ZeroDivisionError("unseen"))
                    from twisted.internet.defer import succeed
                    return succeed(0)

            command.Job = Work
            sys.exit(command.main(sys.argv[1:]))
        """
        process = subprocess.run(
            [
                *(sys.executable, "-c", program, "send", *words),
                *("x", "transfer:passive:port=0"),
            ],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            text=True,
            timeout=30,
        )
        self.assertEqual(process.returncode, 0)
        return process.stderr

    def test_errors(self) -> None:
        """Errors that nobody has handled are told, in words; nothing else."""
        said = self.said()
        self.assertIn("twisted-transfer: broken 2\n", said)
        self.assertIn("bug", said)
        self.assertIn("ZeroDivisionError: unseen", said)
        self.assertNotIn("harmless", said)

    def test_verbose(self) -> None:
        """``--verbose`` shows the log as it is."""
        for option in ("--verbose", "-v"):
            said = self.said(option)
            self.assertIn("[test#warn] harmless 1\n", said)
            self.assertIn("[test#error] broken 2\n", said)


class ModuleTests(SynchronousTestCase):
    """``python -m twisted_transfer``."""

    def test_same(self) -> None:
        """It is the same program."""
        process = subprocess.run(
            [*COMMAND, "--help"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            text=True,
            timeout=30,
        )
        self.assertEqual(process.returncode, 0)
        self.assertTrue(process.stdout.startswith("Usage: twisted-transfer COMMAND"))
