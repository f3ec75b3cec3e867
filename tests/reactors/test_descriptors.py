"""
A passive connector in a process that has no file descriptor left.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import sys
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.tcp import Port
from twisted.trial.unittest import TestCase

from tests.peers.processes import Program
from tests.reactors.test_hostile import turn
from tests.support.folders import newFolder
from twisted_transfer import TransferConnector
from twisted_transfer.connecting.admission import MAX_CANDIDATES, candidateBound

reactor: Any = _reactor


class _LimitedTestCase(TestCase):
    """Can have few descriptors."""

    def limit(self, soft: int) -> None:
        """Allow this process so many descriptors, for one test."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))


class BoundTests(_LimitedTestCase):
    """How many candidates there may be, where descriptors are few."""

    def test_few(self) -> None:
        """They never take more than half of what the process may have."""
        self.limit(256)
        self.assertEqual(candidateBound(), 128)

    def test_many(self) -> None:
        """Beyond that there is a bound that holds everywhere."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        soft = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
        self.limit(soft)
        self.assertEqual(candidateBound(), min(MAX_CANDIDATES, soft // 2))


class ExhaustedTests(_LimitedTestCase):
    """All descriptors are in use when somebody comes."""

    timeout = 60

    def exhaust(self) -> None:
        """Use up every descriptor."""
        # Some more than there are, as any number is allowed to be.
        most = max(map(int, os.listdir("/proc/self/fd")))
        self.limit(most + 20)
        self.held: list[int] = []
        self.addCleanup(self.free)
        while True:
            try:
                self.held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError as error:
                self.assertEqual(error.errno, errno.EMFILE)
                return

    def free(self) -> None:
        """Give them all back."""
        while self.held:
            os.close(self.held.pop())

    def counted(self) -> list[None]:
        """:returns: gets an entry for each time that the port is looked at."""
        looks: list[None] = []
        ports = [each for each in reactor.getReaders() if isinstance(each, Port)]
        self.assertEqual(len(ports), 1)
        look = ports[0].doRead

        def counting() -> object:
            looks.append(None)
            return look()

        self.patch(ports[0], "doRead", counting)
        return looks

    async def test_partner(self) -> None:
        """
        Who comes meanwhile is hung up on, and there is no spin; the partner
        gets in as soon as there are some again.
        """
        folder = newFolder(self)
        (folder / "sent").write_bytes(b"everything")
        connector = TransferConnector.fromString(
            reactor, "transfer:passive:mtls:port=0:interface=127.0.0.1"
        )
        waiting = connector.connect()
        invitation = await connector.invitation()
        address: Any = await connector.whenListening()
        # What needs descriptors of this process comes first: the reactor, if
        # it was not running yet, and the partner.
        await turn()
        partner = Program(
            self,
            sys.executable,
            "-m",
            "twisted_transfer",
            "send",
            "--raw",
            folder / "sent",
            "-",
            folder=folder,
        )
        stranger = socket.socket()
        self.addCleanup(stranger.close)
        looks = self.counted()
        self.exhaust()
        stranger.connect(("127.0.0.1", address.port))
        stranger.setblocking(False)
        while True:
            await turn()
            try:
                data = stranger.recv(1)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                break
            self.assertEqual(data, b"")
            break
        seen = len(looks)
        self.assertGreater(seen, 0)
        for _ in range(100):
            await turn()
        self.assertEqual(len(looks), seen)

        retrying = invitation.replace("active:", "active:retryFor=30:", 1)
        # Its input stays open: to close it would give a descriptor back.
        partner.write(f"{retrying}\n".encode())
        while len(looks) < seen + 2:
            await turn()
        self.assertFalse(waiting.called)
        self.free()
        channel = await waiting
        self.assertEqual(await channel.read(), b"everything")
        self.assertEqual(await partner.ended(), 0)
        channel.loseConnection()
        await channel.whenClosed()
