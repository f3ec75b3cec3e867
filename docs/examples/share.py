# mypy: disallow-untyped-calls=False
"""Send a file, as the description says: python share.py PATH DESCRIPTION"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react
from twisted.protocols.basic import FileSender

from twisted_transfer import TransferConnector


async def main(reactor: Any, path: str, description: str) -> None:
    connector = TransferConnector.fromString(reactor, description)
    channel = await connector.connect()
    with open(path, "rb") as file:
        await FileSender().beginFileTransfer(file, channel)
    channel.loseConnection()
    await channel.whenClosed()
    print(f"{path} is sent")


react(main, sys.argv[1:])
