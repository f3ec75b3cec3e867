# mypy: disallow-untyped-calls=False
"""Hand a channel to a protocol: here one that answers each line in capitals."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import react
from twisted.protocols.basic import LineOnlyReceiver

from twisted_transfer.testing import memoryPair


class Shout(LineOnlyReceiver):
    """Answers each line in capitals."""

    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line.upper())


async def main(reactor: Any) -> None:
    ours, partner = memoryPair(reactor)

    partner.write(b"kept until somebody reads\n")
    ours.start(Shout())
    print(await partner.readLine())

    partner.write(b"hello\n")
    print(await partner.readLine())
    partner.loseConnection()
    await ours.whenClosed()


react(main)
