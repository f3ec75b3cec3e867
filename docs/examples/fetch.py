"""Dial a partner, and store what it sends in a file: python fetch.py PATH"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react

from twisted_transfer import TransferConnector


async def main(reactor: Any, path: str) -> None:
    connector = TransferConnector(reactor, host="localhost", port=4000)
    channel = await connector.connect()
    with open(path, "wb") as file:
        async for chunk in channel:
            file.write(chunk)
    channel.loseConnection()
    await channel.whenClosed()
    print(f"{path} is received")


react(main, sys.argv[1:])
