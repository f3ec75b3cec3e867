"""Tests for :mod:`twisted_transfer.twist.service`; a program test runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO

from twisted.application.service import IService
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.support.programs import ROOT
from twisted_transfer.twist import service
from twisted_transfer.twist.service import Options, TransferService, makeService


class OptionsTests(SynchronousTestCase):
    """The command line behind ``twist transfer``."""

    def setUp(self) -> None:
        self.err = StringIO()
        self.patch(sys, "stderr", self.err)

    def test_usage(self) -> None:
        """
        What is wrong ends the process with the command's status, not with
        that of ``twist``, and says where the help is.
        """
        for words, said, way in (
            ([], "send or receive", "twist transfer --help"),
            (["demo"], "demo", "twist transfer --help"),
            (
                ["send", "x", "y"],
                "'y', is no desc",
                "twist transfer send --help",
            ),
        ):
            self.err.truncate(0)
            error = self.assertRaises(SystemExit, Options().parseOptions, words)
            self.assertEqual(error.code, 2)
            self.assertIn(said, self.err.getvalue())
            self.assertIn(way, self.err.getvalue())


class ReportTests(SynchronousTestCase):
    """What is told in the log."""

    def test_printable(self) -> None:
        """A partner's address or name is printable there."""
        report = service._LogReport()
        with capturedLogs() as events:
            report.say("connected to /run/\x1b[2J")
            report.complain("no \x9b2J")
        self.assertEqual(
            [formatEvent(event) for event in events],
            ["connected to /run/\\x1b[2J", "no \\x9b2J"],
        )


class MakeServiceTests(SynchronousTestCase):
    """The service."""

    def test_service(self) -> None:
        """Making it opens nothing yet; its name is that of the command."""
        options = Options()
        options.parseOptions(["send", "--raw", "missing", "transfer:passive:port=0"])
        service = makeService(options)
        self.assertIsInstance(service, TransferService)
        self.assertTrue(IService.providedBy(service))
        self.assertEqual(service.name, "transfer")
        self.assertFalse(service.running)

    def test_neverStarted(self) -> None:
        """One that was never started can be stopped."""
        options = Options()
        options.parseOptions(["send", "--raw", "missing", "transfer:passive:port=0"])
        self.assertIsNone(makeService(options).stopService())

    def test_outputApart(self) -> None:
        """
        Where the data go to standard output, whatever else is written there
        goes to standard error from then on.
        """
        program = """if True:
            import os
            from twisted_transfer.twist.service import Options, makeService
            options = Options()
            options.parseOptions(["receive", "--raw", "-", "transfer:passive:port=0"])
            print("before")
            service = makeService(options)
            print("log")
            os.write(service.request.standardOutput, b"data")
        """
        process = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            timeout=30,
        )
        self.assertEqual((process.returncode, process.stderr), (0, b"log\n"))
        self.assertEqual(process.stdout, b"before\ndata")

    def test_exitHandlers(self) -> None:
        """
        A status that is not 0 is that of the process, and what was written to
        the standard streams until then is not lost.
        """
        program = """if True:
            import sys
            from twisted_transfer.twist.service import Options, makeService
            from twisted.internet import reactor
            options = Options()
            words = ["send", "--raw", "missing", "transfer:passive:port=0"]
            options.parseOptions(words)
            service = makeService(options)
            service.startService()
            reactor.run()
            print("the end")
            sys.stderr.write("no newline")
        """
        process = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
                "PYTHONUNBUFFERED": "",
            },
            timeout=30,
        )
        self.assertEqual(process.returncode, 6)
        self.assertEqual(process.stdout, b"the end\n")
        self.assertTrue(process.stderr.endswith(b"no newline"))
