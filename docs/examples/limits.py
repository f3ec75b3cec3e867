"""Three limits: for how long to wait, for how long to dial, and whom to take."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import react

from twisted_transfer import PartnerTimeout, TransferConnector


async def nobodyComes(reactor: Any) -> int:
    """Wait for half a second for a partner who never comes."""
    connector = TransferConnector(reactor, mode="passive", within=0.5)
    waiting = connector.connect()
    address = await connector.whenListening()
    try:
        await waiting
    except PartnerTimeout as error:
        print(error)
    return int(address.port)  # closed again


async def nobodyAnswers(reactor: Any, port: int) -> None:
    """Dial again and again for half a second."""
    connector = TransferConnector(reactor, port=port, retryFor=0.5)
    try:
        await connector.connect()
    except PartnerTimeout as error:
        print(error)


async def onlyOneAddress(reactor: Any) -> None:
    """Two dial, and only the second one comes from where the partner may."""
    waiter = TransferConnector(reactor, mode="passive", admit=["127.0.0.2"])
    waiting = waiter.connect()
    address = await waiter.whenListening()
    dial = f"tcp:host=127.0.0.1:port={address.port}"
    stranger = await TransferConnector(reactor, socketCommand=dial).connect()
    print("the stranger reads", await stranger.read())
    dial += ":bindAddress=127.0.0.2"
    partner = await TransferConnector(reactor, socketCommand=dial).connect()
    partner.write(b"hello\n")
    channel = await waiting
    print("the waiter reads", await channel.readLine())
    assert waiter.candidates is not None
    print("dropped:", dict(waiter.candidates.dropped))
    for each in (stranger, partner, channel):
        each.loseConnection()
        await each.whenClosed()


async def main(reactor: Any) -> None:
    port = await nobodyComes(reactor)
    await nobodyAnswers(reactor, port)
    await onlyOneAddress(reactor)


react(main)
