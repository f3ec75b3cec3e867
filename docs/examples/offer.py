# mypy: disallow-untyped-calls=False
"""Wait for one partner, and send it a file: python offer.py PATH"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react
from twisted.protocols.basic import FileSender

from twisted_transfer import TransferConnector


async def main(reactor: Any, path: str) -> None:
    connector = TransferConnector(reactor, mode="passive", port=4000)
    waiting = connector.connect()
    await connector.whenListening()
    print("waiting on port 4000", flush=True)
    channel = await waiting
    with open(path, "rb") as file:
        await FileSender().beginFileTransfer(file, channel)
    channel.loseConnection()
    await channel.whenClosed()
    print(f"{path} is sent")


react(main, sys.argv[1:])
