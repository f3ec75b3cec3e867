"""Wait for one partner on a port that the system chooses, and say which."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import react

from twisted_transfer import TransferConnector


async def main(reactor: Any) -> None:
    connector = TransferConnector(reactor, mode="passive", port=0)
    waiting = connector.connect()
    address = await connector.whenListening()
    print(f"listening on port {address.port}", flush=True)
    channel = await waiting  # the port is closed by now
    line = await channel.readLine()
    print(f"the partner says {line.decode().strip()}")
    channel.write(b"welcome\n")
    channel.loseConnection()
    await channel.whenClosed()


react(main)
