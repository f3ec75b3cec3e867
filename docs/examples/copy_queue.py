"""Requests to copy that are carried out one after the other."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import react

from twisted_transfer import (
    BytesDestination,
    CopyQueue,
    FileSource,
    QueueAborted,
    receive,
)
from twisted_transfer.testing import memoryPair


def status(pending: int, busy: bool) -> None:
    print("busy" if busy else "idle", "with", pending, "pending")


async def main(reactor: Any) -> None:
    ours, partner = memoryPair(reactor)
    queue = CopyQueue(ours, onStatusChange=status)

    # More than the connection takes at once, so that the others have to wait.
    copies = [queue.put(bytes(2_000_000)), queue.put(b"second"), queue.put(b"third")]
    copies[1].cancel()
    copies[1].addErrback(lambda failure: print("cancelled"))

    destination = BytesDestination()
    await receive(partner, destination, size=2_000_005)
    print("received", destination.data[2_000_000:], [await one for one in copies])

    missing = queue.put(FileSource("there is no such file"))
    missing.addErrback(lambda failure: print(failure.value))
    try:
        await queue.put(b"fourth")
    except QueueAborted as error:
        print("not sent, because of", type(error.cause).__name__)
    ours.loseConnection()
    partner.loseConnection()


react(main)
