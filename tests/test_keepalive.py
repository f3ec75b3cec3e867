"""
Tests for :mod:`twisted_transfer.keepalive`.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.folders import newFolder
from twisted_transfer import TransferChannel, TransferConnector
from twisted_transfer.inside import transportOf
from twisted_transfer.keepalive import keepAlive
from twisted_transfer.layers import bottomOf
from twisted_transfer.testing import memoryPair

reactor: Any = _reactor


class KeepAliveTests(TestCase):
    """The system asks now and then whether the partner is there."""

    async def pair(self, command: str) -> tuple[TransferChannel, TransferChannel]:
        """:returns: two ends of a connection."""
        waiter = TransferConnector(reactor, "passive", socketCommand=command)
        waiting = waiter.connect()
        invitation = await waiter.invitation()
        left = await TransferConnector.fromString(reactor, invitation).connect()
        return left, await waiting

    async def test_tcp(self) -> None:
        """Of TCP, also under TLS, it is noticed within two minutes."""
        for command in ("tcp:port=0:interface=127.0.0.1", "mtls:interface=127.0.0.1:0"):
            left, right = await self.pair(command)
            keepAlive(left)
            handle: socket.socket = bottomOf(transportOf(left)).getHandle()  # type: ignore[attr-defined]
            self.assertEqual(
                handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1
            )
            idle, interval, count = (
                handle.getsockopt(socket.IPPROTO_TCP, option)
                for option in (
                    socket.TCP_KEEPIDLE,
                    socket.TCP_KEEPINTVL,
                    socket.TCP_KEEPCNT,
                )
            )
            self.assertLessEqual(idle + interval * count, 120)
            for end in (left, right):
                end.loseConnection()
            for end in (left, right):
                await end.whenClosed()

    async def test_others(self) -> None:
        """Other connections are left alone."""
        left, right = await self.pair(f"unix:{newFolder(self)}/socket")
        keepAlive(left)
        for end in (left, right):
            end.loseConnection()
        for end in (left, right):
            await end.whenClosed()
        keepAlive(memoryPair(Clock())[0])

    async def test_gone(self) -> None:
        """One that has ended already is no error."""
        left, right = await self.pair("tcp:port=0:interface=127.0.0.1")
        for end in (left, right):
            end.loseConnection()
        for end in (left, right):
            await end.whenClosed()
            keepAlive(end)
