"""
Connections that are cut at any byte, as a user of the command sees it.
"""

from __future__ import annotations

import os
import random
import re
import sys
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.trial.unittest import TestCase

from tests.peers.processes import Program
from tests.support.certificates import Authority
from tests.support.cutting import After, Cutter, Where, WithinCloseNotify
from tests.support.folders import newFolder, partOf
from tests.support.programs import ROOT

reactor: Any = _reactor

_SIZE = 3_000_000
_WAITS = "transfer:passive:{}:port=0:interface=127.0.0.1"


class CommandTests(TestCase):
    """Status 5, an error in words, and no file."""

    timeout = 60

    def setUp(self) -> None:
        self.chance = random.Random(self.id())
        self.folder = newFolder(self)
        self.content = self.chance.randbytes(_SIZE)
        (self.folder / "source").write_bytes(self.content)
        self.target = self.folder / "target"
        self.part = partOf(self.folder / "target")

    def program(self, sends: bool, raw: bool, description: str) -> Program:
        """:returns: one side, started."""
        words = ["send", "source"] if sends else ["receive", "target"]
        words += ["--raw"][: int(raw)]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        program = Program(
            self,
            *(sys.executable, "-m", "twisted_transfer", *words, "-"),
            folder=self.folder,
            environment={"PYTHONPATH": path},
        )
        program.write(f"{description}\n".encode())
        return program

    async def transfer(
        self,
        waits: str,
        *,
        dials: str | None = None,
        kind: str = "reset",
        where: Where | None = None,
        raw: bool = False,
        senderDials: bool = True,
    ) -> dict[bool, Program]:
        """
        Transfer through something that cuts.

        :param waits: how the one side waits.
        :param dials: how the other one dials, with a gap for the port; None:
            as the first one says.
        :param kind: see :class:`~tests.support.cutting.Cutter`.
        :param where: among the bytes of the sender.
        :param raw: without receipts.
        :param senderDials: or the receiver does.
        :returns: the sender (True), and the receiver (False).
        """
        waiter = self.program(not senderDials, raw, waits)
        port = int(await waiter.says(r"^listening on .*:(\d+)$"))
        if dials is None:
            told = await waiter.says(r"^partner: .* '?(transfer:[^ ']*)'?$")
            dials = re.sub(r":port=\d+", ":port={}", told)
        cutter = Cutter(
            self, reactor, port, kind=kind, ofDialler=senderDials, where=where
        )
        dialler = self.program(senderDials, raw, dials.format(cutter.port))
        sides = {senderDials: dialler, not senderDials: waiter}
        for side in sides.values():
            await side.ended()
        return sides

    async def assertTruncated(self, sides: dict[bool, Program]) -> None:
        """Both say that it is truncated, in words, and there is no file."""
        for side in sides.values():
            await side.endsWith(5)
            said = await side.says(
                "^(twisted-transfer: .*(?:too early|broke|before|close_notify).*)"
            )
            self.assertNotIn("Traceback", said)
        self.assertFalse(self.target.exists())

    async def test_resetWithReceipts(self) -> None:
        """
        A reset in the middle leaves a part, and the next try goes on there.
        """
        for senderDials in (True, False):
            at = self.chance.randint(100_000, _SIZE // 3)
            waits = _WAITS.format("tcp")
            sides = await self.transfer(waits, where=After(at), senderDials=senderDials)
            await self.assertTruncated(sides)
            part = self.part.read_bytes()
            self.assertEqual(part, self.content[: len(part)])
        again = await self.transfer(waits)
        for side in again.values():
            await side.endsWith(0)
        self.assertEqual(self.target.read_bytes(), self.content)
        self.assertFalse(self.part.exists())
        kept = await again[True].says(r"^sent .* after the (\d+) of an earlier try")
        self.assertEqual(int(kept), len(part))

    async def test_mtls(self) -> None:
        """An end of TCP that is no end of TLS leaves a part as well."""
        for senderDials in (True, False):
            sides = await self.transfer(
                _WAITS.format("mtls"),
                kind="end",
                where=After(self.chance.randint(100_000, _SIZE // 3)),
                senderDials=senderDials,
            )
            await self.assertTruncated(sides)
            part = self.part.read_bytes()
            self.assertEqual(part, self.content[: len(part)])

    async def test_rawOverTLS(self) -> None:
        """
        Raw, a receiver leaves nothing, also if only the end of TLS is missing.
        """
        authority = Authority(self.folder / "ca")
        certificate, key = authority.issue()
        for kind, where in (
            ("end", WithinCloseNotify(self.chance.randint(0, 23), _SIZE)),
            ("reset", After(self.chance.randint(100_000, _SIZE))),
        ):
            sides = await self.transfer(
                f"{_WAITS.format('ssl')}:privateKey={key}:certKey={certificate}",
                dials="transfer:active:tls:host=127.0.0.1:port={}"
                f":trustRoots={authority.trustRoots}",
                kind=kind,
                where=where,
                raw=True,
            )
            await sides[False].endsWith(5)
            await sides[False].says(
                "^(twisted-transfer: .*(?:broke off|close_notify).*)"
            )
            self.assertFalse(self.target.exists())
            self.assertFalse(self.part.exists())
