"""
A passive ``mtls`` connector among hostile peers, over real sockets.
"""

from __future__ import annotations

import ctypes
import gc
import os
import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.trial.unittest import TestCase

from tests.reactors.test_hostile import IMPOSTORS, KINDS, dripper, turn
from twisted_transfer import TransferConnector
from twisted_transfer.connecting import admission
from twisted_transfer.testing.attacks import attack, siege, thiefEndpoint
from twisted_transfer.testing.peers import HostilePeer, Staller

reactor: Any = _reactor

MIB = 2**20


def resident() -> int:
    """:returns: how many bytes of memory this process has, without garbage."""
    gc.collect()
    # The C library keeps what was freed, unless it is asked to give it back.
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class SiegeTests(TestCase):
    """The partner has the invitation, and gets in among those who have not."""

    timeout = 100

    async def wait(self, **more: Any) -> None:
        """Let a connector wait for the partner."""
        self.passive = TransferConnector(
            reactor,
            "passive",
            port=0,
            socketCommand="mtls:interface=127.0.0.1",
            **more,
        )
        self.waiting = self.passive.connect()
        self.invitation = await self.passive.invitation()
        address: Any = await self.passive.whenListening()
        self.port = address.port
        assert self.passive.candidates is not None
        self.counters = self.passive.candidates

    def endpoint(self) -> TCP4ClientEndpoint:
        """:returns: an endpoint that dials the connector."""
        return TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)

    async def until(self, attribute: str, count: int) -> None:
        """Let the reactor go on until so many have been counted."""
        while (
            sum(self.counters.dropped.values())
            if attribute == "dropped"
            else getattr(self.counters, attribute)
        ) < count:
            await turn()

    async def meet(self) -> None:
        """The partner comes, is admitted, and the port is closed."""
        left = await TransferConnector.fromString(reactor, self.invitation).connect()
        right = await self.waiting
        left.write(b"hello")
        self.assertEqual(await right.readExactly(5), b"hello")
        for channel in (left, right):
            channel.loseConnection()
        for channel in (left, right):
            await channel.whenClosed()
        self.assertEqual(self.counters.admitted, 1)
        late = await attack(reactor, self.endpoint(), Staller)
        self.assertEqual(late.outcome, "refused")

    async def test_siege(self) -> None:
        """
        Many of every kind come, 256 at a time.  None is admitted, each is
        counted, memory does not grow with them, and the partner is admitted while
        they go on.
        """
        count = int(os.environ.get("SIEGE", "2000"))
        first, last = count // 5, count // 2
        await self.wait()
        besieging = siege(
            reactor,
            self.endpoint,
            [makePeer for makePeer, _ in KINDS.values()],
            count,
            # Those that only wait go after a while: the deadline has tests of
            # its own.
            patience=0.5,
        )
        await self.until("accepted", first)
        before = resident()
        await self.until("accepted", last)
        # One connection with its TLS that is kept costs more than 32 KiB.
        self.assertLess(resident() - before, 32 * MIB)
        self.assertFalse(besieging.called)
        self.assertFalse(self.waiting.called)
        await self.meet()
        outcomes = await besieging
        self.assertEqual(sum(outcomes.values()), count)
        self.assertEqual(outcomes["admitted"], 0)
        self.assertGreater(outcomes["refused"], 0)
        self.assertEqual(
            self.counters.accepted, 1 + sum(self.counters.dropped.values())
        )
        self.assertGreater(self.counters.accepted, last)
        self.assertEqual(self.counters.dropped["evicted"], 0)
        for why in ("hung up", "unproven", "late"):
            self.assertGreater(self.counters.dropped[why], 0, why)

    async def test_drip(self) -> None:
        """A byte each 0.1 s puts no deadline off."""
        self.patch(admission, "CANDIDATE_TIMEOUT", 0.5)
        await self.wait()
        began = reactor.seconds()
        peer: HostilePeer = await attack(reactor, self.endpoint(), dripper)
        seconds = reactor.seconds() - began
        self.assertEqual(peer.outcome, "reset")
        self.assertEqual(self.counters.dropped, {"timeout": 1})
        self.assertGreater(peer.sent, 2)
        self.assertGreater(seconds, 0.49)
        self.assertLess(seconds, 3.0)
        await self.meet()

    async def test_silent(self) -> None:
        """A hundred silent ones do not keep the partner out."""
        await self.wait()
        silent = [attack(reactor, self.endpoint(), Staller) for _ in range(100)]
        await self.until("accepted", 100)
        await self.meet()
        for attacking in silent:
            self.assertEqual((await attacking).outcome, "reset")
        self.assertEqual(self.counters.dropped, {"late": 100})

    async def test_impostors(self) -> None:
        """Each impostor is turned away, and hears so."""
        await self.wait()
        for name, (makePeer, _) in IMPOSTORS.items():
            peer = await attack(reactor, self.endpoint(), makePeer)
            assert peer.outcome is not None
            # The key of an invitation is asked for under TLS 1.3 only.
            self.assertTrue(peer.outcome.startswith("alert: "), peer.outcome)
            if name.startswith("Old"):
                self.assertEqual(peer.outcome, "alert: protocol version")
        await self.until("dropped", len(IMPOSTORS))
        self.assertEqual(self.counters.dropped, {"unproven": len(IMPOSTORS)})
        await self.meet()

    async def test_thiefFirst(self) -> None:
        """A thief from another address is turned away before the partner comes."""
        await self.wait(admit=["127.0.0.1"])
        thief = thiefEndpoint(reactor, "127.0.0.1", self.port)
        for makePeer in (Staller, IMPOSTORS["Impostor"][0]):
            peer = await attack(reactor, thief, makePeer)
            self.assertIn(peer.outcome, ("end of file", "reset"))
            self.assertEqual(peer.receivedCount, 0)
        self.assertEqual(self.counters.dropped, {"address": 2})
        await self.meet()

    async def test_thiefWithTheInvitation(self) -> None:
        """Who has the invitation, but comes from elsewhere, is refused, too."""
        await self.wait(admit=["127.0.0.1"])
        stolen = f"{self.invitation}:bindAddress=127.0.0.2"
        failure = (
            await TransferConnector.fromString(reactor, stolen)
            .connect()
            .addBoth(lambda result: result.type.__name__)
        )
        self.assertEqual(failure, "PeerRefused")
        self.assertEqual(self.counters.dropped, {"address": 1})
        await self.meet()

    async def test_thiefAfter(self) -> None:
        """A thief that comes behind the partner finds the port closed."""
        await self.wait(admit=["127.0.0.1"])
        await self.meet()
        thief = thiefEndpoint(reactor, "127.0.0.1", self.port)
        self.assertEqual((await attack(reactor, thief, Staller)).outcome, "refused")

    async def test_pushedOut(self) -> None:
        """
        A partner that a flood pushes out in the middle of its handshake gets in
        by trying again, which ``retryFor`` does.
        """
        self.patch(admission, "candidateBound", lambda: 1)
        await self.wait()
        crowd: list[socket.socket] = []
        build = self.counters.buildProtocol

        def comeBehind(addr: Any) -> Any:
            """Somebody waits to be accepted before the partner can speak."""
            if not crowd:
                crowd.append(socket.create_connection(("127.0.0.1", self.port), 5))
                self.addCleanup(crowd[0].close)
            return build(addr)

        self.patch(self.counters, "buildProtocol", comeBehind)
        retrying = self.invitation.replace("active:", "active:retryFor=20:", 1)
        connecting = TransferConnector.fromString(reactor, retrying).connect()
        left = await connecting
        right = await self.waiting
        # The partner, the crowd that drove it out, and the partner again.
        self.assertEqual(self.counters.accepted, 3)
        self.assertEqual(self.counters.dropped, {"evicted": 2})
        for channel in (left, right):
            channel.loseConnection()
        for channel in (left, right):
            await channel.whenClosed()
