"""
Meetings at magic-wormhole's own transit relay.
"""

from __future__ import annotations

import os
import shlex
import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.peers.processes import Program
from tests.peers.programs import command, twist
from tests.support.folders import newFolder
from twisted_transfer import TransferChannel, TransferConnector

reactor: Any = _reactor

pytestmark = pytest.mark.needs("magic-wormhole-transit-relay")

_HOST = "127.0.0.1"


class TransitRelayTests(TestCase):
    """The relay of PyPI's magic-wormhole-transit-relay."""

    timeout = 60

    async def relay(self, port: int = 0) -> tuple[Program, int]:
        """:returns: the relay, and its port."""
        program = twist(
            self,
            newFolder(self),
            "transitrelay",
            f"--port=tcp:{port}:interface={_HOST}",
        )
        return program, int(await program.says(r"Factory starting on (\d+)"))

    async def exchange(self, waiting: Deferred[TransferChannel], dial: str) -> None:
        """Two partners meet, and each reads what the other one writes, to its end."""
        active = await TransferConnector.fromString(reactor, dial).connect()
        passive = await waiting
        for sender, receiver in ((active, passive), (passive, active)):
            data = os.urandom(300_000)
            sender.write(data)
            self.assertEqual(await receiver.readExactly(len(data)), data)
        active.loseConnection()
        self.assertEqual(await passive.read(), b"")
        passive.loseConnection()
        for channel in (active, passive):
            await channel.whenClosed()

    async def test_invitation(self) -> None:
        """Partners meet by an invitation; the relay may die while one waits."""
        program, port = await self.relay()
        waiter = TransferConnector.fromString(
            reactor, rf"transfer:passive:mtls:relay={_HOST}\:{port}"
        )
        for dies in (False, True):
            waiting = waiter.connect()
            invitation = await waiter.invitation()
            if dies:
                program.kill()
                await program.ended()
                await self.relay(port)
            await self.exchange(waiting, f"{invitation}:retryFor=30")

    async def test_plain(self) -> None:
        """Partners meet without TLS, if both ask for it."""
        _, port = await self.relay()
        way = f"relay:host={_HOST}:port={port}:token={os.urandom(32).hex()}:plain=yes"
        waiting = TransferConnector.fromString(
            reactor, f"transfer:passive:{way}"
        ).connect()
        await self.exchange(waiting, f"transfer:active:{way}")

    async def test_stranger(self) -> None:
        """
        One who has the token, and says what it likes, does not become the partner.
        """
        _, port = await self.relay()
        token = os.urandom(32).hex()
        waiter = TransferConnector.fromString(
            reactor,
            rf"transfer:passive:mtls:endpoint=relay\:host\={_HOST}\:port\={port}"
            rf"\:token\={token}",
        )
        waiting = waiter.connect()
        invitation = await waiter.invitation()

        def intrude() -> bytes:
            said = b""
            with socket.create_connection((_HOST, port)) as intruder:
                intruder.sendall(b"please relay %s\n" % token.encode())
                while not said.endswith(b"ok\n"):
                    said += intruder.recv(100)
                intruder.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while piece := intruder.recv(100):
                    said += piece
            return said

        self.assertTrue((await deferToThread(intrude)).startswith(b"ok\n"))
        await self.exchange(waiting, invitation)
        assert waiter.candidates is not None
        self.assertEqual(waiter.candidates.admitted, 1)
        self.assertGreaterEqual(sum(waiter.candidates.dropped.values()), 1)

    async def test_command(self) -> None:
        """The command sends a file by an invitation at a relay."""
        _, port = await self.relay()
        folder, elsewhere = newFolder(self), newFolder(self)
        content = os.urandom(1_000_000)
        Path(folder, "file").write_bytes(content)
        receiving = command(
            self,
            elsewhere,
            *("receive", "got", rf"transfer:passive:mtls:relay={_HOST}\:{port}"),
        )
        await receiving.says(r"^(waiting at the relay 127\.0\.0\.1:)")
        told = shlex.split(await receiving.says(r"^partner: (.*)"))
        sending = command(self, folder, "send", "file", told[-1])
        await sending.endsWith(0)
        await receiving.endsWith(0)
        self.assertEqual(Path(elsewhere, "got").read_bytes(), content)
