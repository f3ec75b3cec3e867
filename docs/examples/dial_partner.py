"""Dial a partner on this machine: python dial_partner.py PORT"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react

from twisted_transfer import TransferConnector


async def main(reactor: Any, port: str) -> None:
    connector = TransferConnector(reactor, host="localhost", port=int(port))
    channel = await connector.connect()
    channel.write(b"hello\n")
    line = await channel.readLine()
    print(f"the partner says {line.decode().strip()}")
    channel.loseConnection()
    await channel.whenClosed()


react(main, sys.argv[1:])
