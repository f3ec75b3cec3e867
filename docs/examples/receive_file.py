"""Receive a file: python receive_file.py PATH DESCRIPTION"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react

from twisted_transfer import TransferConnector
from twisted_transfer.copying import receive
from twisted_transfer.destinations import FileDestination


async def main(reactor: Any, path: str, description: str) -> None:
    connector = TransferConnector.fromString(reactor, description)
    channel = await connector.connect()
    destination = FileDestination(path, reactor=reactor)
    print("received", await receive(channel, destination), "bytes")


react(main, sys.argv[1:])
