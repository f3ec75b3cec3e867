"""Copy from sources of every kind into a channel, and from it again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.task import react

from twisted_transfer import (
    BytesDestination,
    CallableDestination,
    FileSource,
    IterableSource,
    NotEnoughData,
    copy,
    receive,
)
from twisted_transfer.testing import memoryPair


def countdown() -> Iterator[bytes]:
    for number in range(3, 0, -1):
        yield b"%d..." % number


async def main(reactor: Any) -> None:
    ours, partner = memoryPair(reactor)

    # Bytes that are in memory; four of them, and no more.
    print("copied", await copy(b"some bytes", ours, size=4))

    # Whatever gives bytes piece by piece, also an async generator.
    print("copied", await copy(IterableSource(countdown()), ours))

    # Text, by settings that hold for this copy only.
    count = await copy("Grüße\n", ours, encoding="utf-8", translation="crlf")
    print("copied", count, "characters")

    # A file: an invalid size is an error before anything is written.
    with open("list.txt", "wb") as file:
        file.write(b"milk\nbread\n")
    try:
        await copy(FileSource("list.txt"), ours, size=100)
    except NotEnoughData as error:
        print(error)

    # A function can be told how far it is.
    def progress(count: int, total: int | None, rate: float) -> None:
        print("  ", count, "of", total)

    await copy(FileSource("list.txt"), ours, blockSize=8, progress=progress)
    ours.loseConnection()

    # The other side takes a part, and then the rest.
    first = BytesDestination(maxSize=1000)
    await receive(partner, first, size=4)
    print("received", first.data)
    await receive(partner, CallableDestination(print))


react(main)
