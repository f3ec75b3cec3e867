"""
What the program imports, for that is most of the time that it takes to begin.

What Twisted's dropin imports is in :mod:`tests.programs.test_install`.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder

# The help first, and then a transfer, up to where it waits for the partner.
_SCRIPT = """
import os, signal, sys
from twisted_transfer.__main__ import run
from twisted_transfer.command.reports import ConsoleReport

def loaded():
    print(*sys.modules, file=sys.stderr)

def said(report, text):
    if text.startswith("listening on "):
        loaded()
        os.kill(os.getpid(), signal.SIGTERM)

ConsoleReport.say = said
sys.argv = ["twisted-transfer", "--help"]
try:
    run()
except SystemExit:
    loaded()
sys.argv = ["twisted-transfer", "receive", "x", "transfer:passive:port=0"]
sys.exit(run())
"""

_HELP = {
    "twisted_transfer",
    "twisted_transfer.__main__",
    "twisted_transfer.command",
    "twisted_transfer.command.commandline",
    "twisted_transfer.command.main",
    "twisted_transfer.command.reports",
    "twisted_transfer.errors",
    "twisted_transfer.handing",
    "twisted_transfer.printable",
}

# What no command needs, and what only other ones need, or a later step of this one.
_NEVER = {"hypothesis", "pytest", "twisted.trial", "twisted_transfer.testing"}
_OTHERS = {
    "ifaddr",
    "tqdm",
    "twisted.protocols.amp",
    "twisted.web",
    "twisted_transfer.command.bridging",
    "twisted_transfer.command.demo",
    "twisted_transfer.data.copying",
    "twisted_transfer.data.copyqueue",
    "twisted_transfer.data.iterables",
    "twisted_transfer.transfers.bridging",
    "twisted_transfer.transfers.raw",
    "twisted_transfer.twist",
}
_HEAVY = {"OpenSSL", "cryptography", "blake3", "ifaddr", "tqdm", "twisted.protocols"}


class ImportTests(SynchronousTestCase):
    """The modules that are there at a certain point."""

    def test_commands(self) -> None:
        """
        ``--help`` imports the words of the command and nothing that transfers;
        ``receive`` nothing that only other commands need, until it listens.
        """
        result = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            cwd=newFolder(self),
            capture_output=True,
            text=True,
        )
        self.assertEqual(result.returncode, 143, result.stderr)
        forHelp, forReceive = (set(line.split()) for line in result.stderr.splitlines())
        ours = {name for name in forHelp if name.startswith("twisted_transfer")}
        self.assertEqual(ours, _HELP)
        self.assertEqual(forHelp & (_HEAVY | _NEVER), set())
        self.assertIn("twisted_transfer.transfers.transfers", forReceive)
        self.assertEqual(forReceive & (_OTHERS | _NEVER), set())
