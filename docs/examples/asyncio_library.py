"""Answer a partner with an asyncio library: python asyncio_library.py DESCRIPTION"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

import asyncio
import sys
from typing import Any

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from twisted_transfer import TransferConnector


async def think(question: str) -> str:
    """Stands for the library, whose functions only asyncio can await."""
    await asyncio.sleep(0.1)
    return question.upper()


async def main(reactor: Any, description: str) -> None:
    connector = TransferConnector.fromString(reactor, description)
    channel = await connector.connect()
    question: bytes = await channel.readLine()
    thinking = asyncio.ensure_future(think(question.decode()))
    answer = await Deferred.fromFuture(thinking)
    channel.write(answer.encode())
    channel.loseConnection()
    await channel.whenClosed()


asyncioreactor.install()
react(main, sys.argv[1:])
