"""
Raw transfers with ncat.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.trial.unittest import TestCase

from tests.peers import transfers
from tests.peers.processes import Program
from tests.peers.programs import freePort
from tests.peers.transfers import dialTCP, waitTCP

pytestmark = pytest.mark.needs("ncat")


class Ncat:
    """ncat over TCP."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.passive = waitTCP(host)

    async def waiting(
        self, case: TestCase, sends: bool, path: Path
    ) -> tuple[Program, str]:
        # It does not say which port the system chose; so it is given one, and our
        # side dials until it is there.
        port = freePort(self._host)
        program = self._run(case, sends, path, "-l", self._host, str(port))
        return program, f"{dialTCP(self._host, port)}:retryFor=20"

    def dialling(
        self, case: TestCase, sends: bool, path: Path, address: str
    ) -> Program:
        return self._run(case, sends, path, self._host, address)

    def _run(self, case: TestCase, sends: bool, path: Path, *words: str) -> Program:
        end = "--send-only" if sends else "--recv-only"
        family = "-6" if ":" in self._host else "-4"
        return Program(
            case,
            *("ncat", end, family, *words),
            folder=path.parent,
            stdin=path if sends else None,
            stdout=None if sends else path,
        )


class CommandTests(transfers.Transfers):
    """The command and ncat, over IPv4."""

    side = transfers.Command

    def makePeer(self) -> Ncat:
        return Ncat("127.0.0.1")


class IPv6CommandTests(transfers.Sends):
    """The command sends to ncat, over IPv6."""

    side = transfers.Command

    def makePeer(self) -> Ncat:
        return Ncat("::1")


class InProcessTests(transfers.Transfers):
    """A connector and ncat, over IPv4."""

    side = transfers.InProcess

    def makePeer(self) -> Ncat:
        return Ncat("127.0.0.1")
