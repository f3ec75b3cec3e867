"""The ways to read a channel by asking."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import react

from twisted_transfer import NotEnoughData
from twisted_transfer.testing import memoryPair


async def main(reactor: Any) -> None:
    ours, partner = memoryPair(reactor)

    partner.write(b"a line\n12345and more")
    print(await ours.readLine())
    print(await ours.readExactly(5))
    print(await ours.read())

    partner.write(b"one two three")
    partner.loseConnection()
    async for chunk in ours:
        print("chunk", chunk)
    print("at the end", await ours.read())
    try:
        await ours.readExactly(10)
    except NotEnoughData as error:
        print(error)
    ours.loseConnection()
    await ours.whenClosed()


react(main)
