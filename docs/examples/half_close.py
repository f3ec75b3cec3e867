"""Have a partner sort some lines: python half_close.py DESCRIPTION"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react

from twisted_transfer import TransferConnector


async def main(reactor: Any, description: str) -> None:
    channel = await TransferConnector.fromString(reactor, description).connect()
    channel.write(b"pears\napples\nplums\n")
    channel.writeEOF()  # that is all; now it is the partner's turn
    async for chunk in channel:
        print(chunk.decode(), end="")
    channel.loseConnection()
    await channel.whenClosed()


react(main, sys.argv[1:])
