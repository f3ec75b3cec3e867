"""Ask the web server that dials this program: python ask.py PATH DESCRIPTION"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react

from twisted_transfer import TransferConnector


async def main(reactor: Any, path: str, description: str) -> None:
    channel = await TransferConnector.fromString(reactor, description).connect()
    channel.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    while await channel.readLine() != b"\r\n":
        pass  # the status, and one header a line, up to an empty line
    async for chunk in channel:
        print(chunk.decode(), end="")
    channel.loseConnection()
    await channel.whenClosed()


react(main, sys.argv[1:])
