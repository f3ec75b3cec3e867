"""
Start Tcl scripts, and our own programs.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from twisted.trial.unittest import TestCase

import twisted_transfer
from tests.peers.processes import Program

_CHECKOUT = Path(twisted_transfer.__file__).resolve().parent.parent


def tclScript(name: str) -> list[str]:
    """
    :param name: of a script beside this module.
    :returns: the words that run it.
    """
    return ["tclsh", str(Path(__file__).with_name(name))]


def _python(case: TestCase, folder: Path, *words: str | Path) -> Program:
    """Run a module, with this checkout's modules and plugin before all others."""
    path = filter(None, [str(_CHECKOUT), os.environ.get("PYTHONPATH", "")])
    return Program(
        case,
        *(sys.executable, "-m", *words),
        folder=folder,
        environment={"PYTHONPATH": os.pathsep.join(path)},
    )


def command(case: TestCase, folder: Path, *words: str | Path) -> Program:
    """
    Run the command of this library.

    :param case: kills it at its end.
    :param folder: its current folder.
    :param words: its arguments.
    :returns: the process.
    """
    return _python(case, folder, "twisted_transfer", *words)


def twist(case: TestCase, folder: Path, *words: str | Path) -> Program:
    """
    Run ``twist``, with its log on standard error.

    :param case: kills it at its end.
    :param folder: its current folder.
    :param words: its arguments.
    :returns: the process.
    """
    log = ("--log-format=text", "--log-file=+")
    return _python(case, folder, "twisted", *log, *words)


def freePort(host: str) -> int:
    """
    :param host: an address of this machine.
    :returns: a free port, for those programs that do not say
        which one the system chose.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port
