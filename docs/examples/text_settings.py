"""Text on a channel: newlines, an encoding and an end-of-file character."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import react

from twisted_transfer import Undecodable
from twisted_transfer.testing import memoryPair


async def main(reactor: Any) -> None:
    ours, partner = memoryPair(reactor)

    ours.configure(translation=("auto", "crlf"), encoding="utf-8")
    ours.write("Grüße\n")
    print("on the wire:", await partner.read())

    partner.write(b"Zeile 1\r\nZeile 2\rZeile 3\n")
    for _ in range(3):
        print("a line:", repr(await ours.readLine()))

    ours.configure(eofChar=("\x1a", ""))
    partner.write(b"the end\x1aand what comes behind it")
    print("up to the end:", repr(await ours.read()), repr(await ours.read()))

    ours.configure(translation="binary")
    print("as bytes again:", await ours.read())

    ours.configure(encoding="ascii")
    partner.write("Grüße\n".encode())
    print("before the error:", repr(await ours.read()))
    try:
        await ours.read()
    except Undecodable as error:
        print(error)
    ours.abortConnection()


react(main)
