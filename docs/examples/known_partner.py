# mypy: disallow-untyped-calls=False
"""Wait on port 4000 for a partner whose certificate is from our own authority."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.ssl import Certificate, PrivateCertificate
from twisted.internet.task import react

from twisted_transfer import TransferConnector


async def main(reactor: Any) -> None:
    pem = Path("server.pem").read_bytes() + Path("server.key").read_bytes()
    ourselves = PrivateCertificate.loadPEM(pem)
    authority = Certificate.loadPEM(Path("ca.pem").read_bytes())
    endpoint = SSL4ServerEndpoint(reactor, 4000, ourselves.options(authority))
    connector = TransferConnector(reactor, mode="passive", socketCommand=endpoint)
    waiting = connector.connect()
    await connector.whenListening()
    print("listening on port 4000", flush=True)
    channel = await waiting
    assert channel.peerIdentity is not None
    subject = channel.peerIdentity.certificate.subject.rfc4514_string()
    print(f"{subject} says {await channel.readLine()}")
    assert connector.candidates is not None
    print(f"turned away: {connector.candidates.dropped['unproven']}")
    channel.write(b"Ada\n")
    channel.loseConnection()
    await channel.whenClosed()


react(main)
