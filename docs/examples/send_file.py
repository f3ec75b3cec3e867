"""Send a file and nothing else: python send_file.py PATH DESCRIPTION"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.task import react

from twisted_transfer import TransferConnector
from twisted_transfer.raw import sendRaw
from twisted_transfer.sources import FileSource


async def main(reactor: Any, path: str, description: str) -> None:
    source = FileSource(path)
    source.open()  # what cannot be read is known before anybody is dialled
    channel = await TransferConnector.fromString(reactor, description).connect()
    print("sent", await sendRaw(reactor, source, channel), "bytes")


react(main, sys.argv[1:])
