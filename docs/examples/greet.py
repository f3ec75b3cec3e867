"""Exchange names with a partner: python greet.py NAME DESCRIPTION"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react

from twisted_transfer import TransferChannel, TransferConnector


async def greet(channel: TransferChannel, name: str) -> str:
    """Tell the partner a name, and get its name."""
    channel.write(f"{name}\n".encode())
    line = await channel.readLine()
    channel.loseConnection()
    await channel.whenClosed()
    return str(line, "utf-8").strip()


async def main(reactor: Any, name: str, description: str) -> None:
    connector = TransferConnector.fromString(reactor, description)
    channel = await connector.connect()
    print(f"the partner is {await greet(channel, name)}")


if __name__ == "__main__":
    react(main, sys.argv[1:])
