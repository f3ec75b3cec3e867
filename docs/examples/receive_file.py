"""Receive a file: python receive_file.py PATH DESCRIPTION"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react

from twisted_transfer import TransferConnector, receiveFile


async def main(reactor: Any, path: str, description: str) -> None:
    connector = TransferConnector.fromString(reactor, description)
    print("received", await receiveFile(connector, path), "bytes")


react(main, sys.argv[1:])
