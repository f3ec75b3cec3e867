"""Greet from an asyncio program: python asyncio_greet.py NAME DESCRIPTION"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

import asyncio
import sys
from typing import Any

from greet import greet
from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred

from twisted_transfer import TransferConnector


async def meet(reactor: Any, name: str, description: str) -> str:
    """Twisted's part: here Deferreds are awaited."""
    connector = TransferConnector.fromString(reactor, description)
    return await greet(await connector.connect(), name)


async def main(name: str, description: str) -> None:
    """asyncio's part: here futures are awaited."""
    loop = asyncio.get_running_loop()
    asyncioreactor.install(loop)
    from twisted.internet import reactor as installed

    reactor: Any = installed
    reactor.startRunning(installSignalHandlers=False)
    meeting = Deferred.fromCoroutine(meet(reactor, name, description))
    try:
        partner = await asyncio.wait_for(meeting.asFuture(loop), timeout=60)
        print(f"the partner is {partner}")
    finally:
        reactor.fireSystemEvent("shutdown")


asyncio.run(main(*sys.argv[1:]))
