"""Send files: python send_file.py DESCRIPTION PATH..."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react

from twisted_transfer import FileSource, TransferConnector, Transmitter


async def main(reactor: Any, description: str, *paths: str) -> None:
    connector = TransferConnector.fromString(reactor, description)
    transmitter = Transmitter(connector, [FileSource(path) for path in paths])
    await transmitter.start()
    for receipt in transmitter.receipts:
        print(receipt.name, "is stored,", receipt.size, "bytes")


react(main, sys.argv[1:])
