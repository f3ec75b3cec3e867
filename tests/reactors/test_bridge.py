"""
Bridges between real sockets: by the kernel, and by reading and writing.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import TestCase

from twisted_transfer import (
    BadOption,
    Bridged,
    TransferChannel,
    TransferConnector,
    Truncated,
    bridge,
    join,
)
from twisted_transfer.channel import channel as channels
from twisted_transfer.transfers import bridging

reactor: Any = _reactor

_CONTENT = os.urandom(8_000_003)


class BridgeMixin:
    """
    What a bridge owes, whatever moves the bytes.

    :cvar command: the socket command of the partner who dials the bridge, behind
        ``mode:``.
    :cvar byKernel: whether the kernel moves the bytes.
    """

    command: str | None = None
    byKernel: bool
    patch: Any

    def setUp(self) -> None:
        """Count what the kernel moves, or keep it from that."""
        self.moved = 0
        splice = os.splice

        def counted(*arguments: Any, **keywords: Any) -> int:
            count = splice(*arguments, **keywords)
            self.moved += count
            return count

        self.patch(os, "splice", counted)
        if not self.byKernel:
            self.patch(channels, "isBare", lambda transport: False)

    async def begin(
        self, **options: Any
    ) -> tuple[Deferred[Bridged], TransferChannel, TransferChannel]:
        """
        Make a bridge that listens, and dials a service.

        :returns: its result, the channel of the partner who has dialled it, and that
            of the service.
        """
        service = TransferConnector(reactor, "passive", port=0)
        serving = service.connect()
        port = (await service.whenListening()).port
        near = TransferConnector(reactor, "passive", port=0, socketCommand=self.command)
        far = TransferConnector(reactor, host="127.0.0.1", port=port)
        bridged = bridge(near, far, **options)
        address = await near.whenListening()
        if self.command is None:
            dialler = TransferConnector(reactor, host="127.0.0.1", port=address.port)
        else:
            invitation = await near.invitation("127.0.0.1")
            dialler = TransferConnector.fromString(reactor, invitation)
        return bridged, await dialler.connect(), await serving

    async def test_both(self) -> None:
        """Both send much at once; an end is passed on, and the other way goes on."""
        case: Any = self
        told: list[Bridged] = []
        bridged, one, other = await self.begin(progress=told.append)
        there, back = other.readExactly(len(_CONTENT)), one.readExactly(3)
        one.write(_CONTENT)
        case.assertTrue(await there == _CONTENT)
        if self.command is None:
            one.writeEOF()
            case.assertEqual(await other.read(), b"")
        other.write(b"yes")
        case.assertEqual(await back, b"yes")
        other.loseConnection()
        case.assertEqual(await one.read(), b"")
        one.loseConnection()
        whole = Bridged(len(_CONTENT), 3)
        case.assertEqual(await bridged, whole)
        case.assertEqual(told[-1], whole)
        await gatherResults([one.whenClosed(), other.whenClosed()])
        case.assertEqual(self.moved > len(_CONTENT), self.byKernel)

    async def test_notRead(self) -> None:
        """Who does not read makes the other side wait; nothing is lost."""
        case: Any = self
        bridged, one, other = await self.begin()
        other.pauseProducing()
        one.write(_CONTENT)
        one.loseConnection()
        content = await other.readExactly(len(_CONTENT))
        case.assertTrue(content == _CONTENT)
        other.loseConnection()
        case.assertEqual((await bridged).there, len(_CONTENT))
        await gatherResults([one.whenClosed(), other.whenClosed()])

    async def test_breaksOff(self) -> None:
        """When one connection breaks off, so does the other."""
        case: Any = self
        for side in (0, 1):
            bridged, *ends = await self.begin()
            ends[0].write(b"some")
            await ends[1].read()
            ends[side].abortConnection()
            await case.assertFailure(bridged, Truncated)
            for end in ends:
                await case.assertFailure(end.whenClosed(), Truncated)

    async def test_cancelled(self) -> None:
        """Cancelling it aborts both."""
        case: Any = self
        bridged, one, other = await self.begin()
        one.write(b"some")
        await other.read()
        bridged.cancel()
        await case.assertFailure(bridged, CancelledError)
        for end in (one, other):
            await case.assertFailure(end.whenClosed(), Truncated)


class KernelBridgeTests(BridgeMixin, TestCase):
    """Between TCP sockets, by the kernel."""

    byKernel = True

    async def test_text(self) -> None:
        """Text is refused before anything is read."""
        bridged, one, other = await self.begin()
        one.configure(encoding="utf-8")
        with self.assertRaisesRegex(BadOption, "carries text in utf-8"):
            await join(one, other)
        bridged.cancel()
        await self.assertFailure(bridged, CancelledError)

    async def test_noService(self) -> None:
        """Whoever waits at the bridge hears that there is no service."""
        near = TransferConnector(reactor, "passive", port=0)
        far = TransferConnector(reactor, host="127.0.0.1", port=1)
        bridged = bridge(near, far)
        port = (await near.whenListening()).port
        one = await TransferConnector(reactor, host="127.0.0.1", port=port).connect()
        with self.assertRaisesRegex(Exception, "refused"):
            await bridged
        await self.assertFailure(one.whenClosed(), Truncated)

    async def test_eitherListener(self) -> None:
        """Of two that listen, whichever fails ends it."""
        for isFirst in (True, False):
            blocker = TransferConnector(reactor, "passive", port=0)
            blocking = blocker.connect()
            taken = (await blocker.whenListening()).port
            waits = TransferConnector(reactor, "passive", port=0)
            fails = TransferConnector(reactor, "passive", port=taken)
            pair = (fails, waits) if isFirst else (waits, fails)
            await self.assertFailure(bridge(*pair), CannotListenError)
            blocking.cancel()
            await self.assertFailure(blocking, CancelledError)


class ReadingBridgeTests(BridgeMixin, TestCase):
    """Between TCP sockets, by reading and writing."""

    byKernel = False


class MutualTLSBridgeTests(BridgeMixin, TestCase):
    """Between mtls and TCP."""

    command = "mtls"
    byKernel = False

    def setUp(self) -> None:
        """Have nobody wait for long."""
        super().setUp()
        self.patch(bridging, "LINGER", 0.05)

    async def test_silent(self) -> None:
        """Over TLS, the end of the other side closes it when it has been silent."""
        bridged, one, other = await self.begin()
        other.write(b"all")
        other.writeEOF()
        self.assertEqual(await one.readExactly(3), b"all")
        self.assertEqual(await one.read(), b"")
        self.assertEqual(await bridged, Bridged(0, 3))
        other.loseConnection()
        await gatherResults([one.whenClosed(), other.whenClosed()])
