"""
The contract of every channel, for every kind of connection.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPullProducer,
    IPushProducer,
    ITransport,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from twisted_transfer import (
    AlreadyReading,
    HalfCloseUnsupported,
    LineTooLong,
    NotEnoughData,
    TransferChannel,
    Truncated,
)


class Recorder(Protocol):
    """Keeps what it gets, and fires a Deferred at the end."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.reasons: list[Failure] = []
        self.ended: Deferred[None] = Deferred()
        self.waiting: list[tuple[int, Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        for entry in list(self.waiting):
            if len(self.data) >= entry[0]:
                self.waiting.remove(entry)
                entry[1].callback(None)

    def has(self, count: int) -> Deferred[None]:
        """:returns: a Deferred that fires when so many bytes are here."""
        here: Deferred[None] = Deferred()
        if len(self.data) >= count:
            here.callback(None)
        else:
            self.waiting.append((count, here))
        return here

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.reasons.append(reason)
        self.ended.callback(None)


@implementer(IHalfCloseableProtocol)
class HalfRecorder(Recorder):
    """A recorder that provides ``IHalfCloseableProtocol``."""

    def __init__(self) -> None:
        super().__init__()
        self.inputEnded: Deferred[None] = Deferred()
        self.outputEnded: Deferred[None] = Deferred()

    def readConnectionLost(self) -> None:
        self.inputEnded.callback(None)

    def writeConnectionLost(self) -> None:
        self.outputEnded.callback(None)


@implementer(IPushProducer)
class Pusher:
    """Writes blocks until it is told to pause, up to a number of bytes."""

    def __init__(self, channel: TransferChannel, total: int) -> None:
        self.channel = channel
        self.left = total
        self.paused = False
        self.pausedOnce: Deferred[None] = Deferred()
        self.done: Deferred[None] = Deferred()
        self.stopped = False
        self._busy = False

    def resumeProducing(self) -> None:
        self.paused = False
        if self._busy:
            return
        self._busy = True
        while self.left and not self.paused:
            block = min(self.left, 16384)
            self.left -= block
            self.channel.write(b"x" * block)
        self._busy = False
        if not self.left and not self.done.called:
            self.channel.unregisterProducer()
            self.done.callback(None)

    def pauseProducing(self) -> None:
        self.paused = True
        if not self.pausedOnce.called:
            self.pausedOnce.callback(None)

    def stopProducing(self) -> None:
        self.stopped = True
        self.left = 0


@implementer(IPullProducer)
class Puller:
    """Writes one block each time that it is resumed."""

    def __init__(self, channel: TransferChannel, blocks: list[bytes]) -> None:
        self.channel = channel
        self.blocks = blocks
        self.stopped = False

    def resumeProducing(self) -> None:
        if self.blocks:
            self.channel.write(self.blocks.pop(0))
        if not self.blocks:
            self.channel.unregisterProducer()

    def stopProducing(self) -> None:
        self.stopped = True


class ChannelContract:
    """
    The tests.  Mixed with a ``TestCase`` whose ``pair()`` gives two channels
    that are connected with each other.
    """

    halfCloses = True
    resets = True  # an abort can be told from an end at the other side
    timeout = 5  # seconds for one test; trial's own bound is 120

    async def pair(self) -> tuple[TransferChannel, TransferChannel]:
        """:returns: two ends of one new connection."""
        raise NotImplementedError

    async def finish(self, *channels: TransferChannel) -> None:
        """Close both ends and wait until they are gone."""
        for channel in channels:
            channel.loseConnection()
        for channel in channels:
            with contextlib.suppress(Truncated):
                await channel.whenClosed()

    async def test_interfaces(self: Any) -> None:
        """A channel provides what it declares."""
        left, right = await self.pair()
        for interface in (ITransport, IConsumer, IPushProducer):
            self.assertTrue(verifyObject(interface, left))
        await self.finish(left, right)

    async def test_bothWays(self: Any) -> None:
        """Bytes go both ways, all of them, in order."""
        left, right = await self.pair()
        there, back = os.urandom(300_000), os.urandom(200_000)
        left.write(there)
        right.writeSequence([back[:1000], back[1000:]])
        self.assertEqual(await right.readExactly(len(there)), there)
        self.assertEqual(await left.readExactly(len(back)), back)
        await self.finish(left, right)

    async def test_keptForTheReader(self: Any) -> None:
        """What arrives before there is a reader is kept, and read first."""
        left, right = await self.pair()
        left.write(b"early ")
        await right.readExactly(1)  # so it has arrived
        left.write(b"late")
        recorder = right.start(Recorder())
        await recorder.has(9)
        self.assertEqual(bytes(recorder.data), b"arly late")
        await self.finish(left, right)

    async def test_read(self: Any) -> None:
        """read() gives at least one byte and at most the number requested."""
        left, right = await self.pair()
        left.write(b"abcdef")
        got = b""
        while len(got) < 6:
            piece = await right.read(4)
            self.assertIn(len(piece), range(1, 5))
            got += piece
        self.assertEqual(got, b"abcdef")
        await self.finish(left, right)

    async def test_readLine(self: Any) -> None:
        """readLine() gives lines with their newlines, and the rest at the end."""
        left, right = await self.pair()
        left.write(b"one\ntw")
        self.assertEqual(await right.readLine(), b"one\n")
        left.write(b"o\n\nrest")
        left.loseConnection()
        self.assertEqual(await right.readLine(), b"two\n")
        self.assertEqual(await right.readLine(), b"\n")
        self.assertEqual(await right.readLine(), b"rest")
        self.assertEqual(await right.readLine(), b"")
        await self.finish(left, right)

    async def test_readLineTooLong(self: Any) -> None:
        """A line above the limit is an error, and nothing of it is taken."""
        left, right = await self.pair()
        left.write(b"x" * 100 + b"\n")
        with self.assertRaises(LineTooLong):
            await right.readLine(limit=100)
        self.assertEqual(await right.readLine(limit=101), b"x" * 100 + b"\n")
        await self.finish(left, right)

    async def test_iteration(self: Any) -> None:
        """``async for`` gives everything up to the end."""
        left, right = await self.pair()
        data = os.urandom(250_000)
        left.write(data)
        left.loseConnection()
        got = [chunk async for chunk in right]
        self.assertEqual(b"".join(got), data)
        await self.finish(left, right)

    async def test_notEnough(self: Any) -> None:
        """An end before the requested number is an error that has the rest."""
        left, right = await self.pair()
        left.write(b"abc")
        left.loseConnection()
        with self.assertRaises(NotEnoughData) as caught:
            await right.readExactly(4)
        error: Any = caught.exception
        self.assertEqual((error.expected, error.partial), (4, b"abc"))
        self.assertEqual(await right.read(), b"")
        await self.finish(left, right)

    async def test_oneReader(self: Any) -> None:
        """Two reads cannot wait at the same time."""
        left, right = await self.pair()
        waiting = right.read()
        self.assertRaises(AlreadyReading, right.read)
        self.assertRaises(AlreadyReading, right.start, Recorder())
        left.write(b"x")
        self.assertEqual(await waiting, b"x")
        right.start(Recorder())
        self.assertRaises(AlreadyReading, right.read)
        self.assertRaises(AlreadyReading, right.start, Recorder())
        await self.finish(left, right)

    async def test_cancelledRead(self: Any) -> None:
        """A cancelled read consumes nothing."""
        left, right = await self.pair()
        waiting = right.readExactly(6)
        left.write(b"abc")
        await oneTurn(left)
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        left.write(b"def")
        self.assertEqual(await right.readExactly(6), b"abcdef")
        await self.finish(left, right)

    async def test_backPressure(self: Any) -> None:
        """A reader that does not read causes back-pressure; nothing is lost."""
        left, right = await self.pair()
        total = 64 * 1024 * 1024
        pusher = Pusher(left, total)
        left.registerProducer(pusher, True)
        pusher.resumeProducing()
        await pusher.pausedOnce
        for _ in range(100):
            # Each answer to a byte sent the other way proves another turn of
            # the reactor in which the writer could have gone on.
            right.write(b".")
            await left.readExactly(1)
        self.assertTrue(pusher.paused)
        self.assertGreater(pusher.left, total // 2)
        got = 0
        while got < total:
            got += len(await right.read(1 << 20))
        await pusher.done
        self.assertEqual(got, total)
        await self.finish(left, right)

    async def test_pausedProtocol(self: Any) -> None:
        """A protocol that pauses gets nothing until it resumes."""
        left, right = await self.pair()
        recorder = right.start(Recorder())
        right.pauseProducing()
        left.write(b"held")
        right.write(b"?")
        await left.readExactly(1)
        self.assertEqual(bytes(recorder.data), b"")
        right.resumeProducing()
        await recorder.has(4)
        self.assertEqual(bytes(recorder.data), b"held")
        await self.finish(left, right)

    async def test_protocolTakesMuch(self: Any) -> None:
        """A protocol gets everything, also large blocks."""
        left, right = await self.pair()
        recorder = right.start(Recorder())
        data = os.urandom(3_000_000)
        left.write(data)
        await recorder.has(len(data))
        self.assertEqual(bytes(recorder.data), data)
        await self.finish(left, right)

    async def test_pullProducer(self: Any) -> None:
        """A pull producer is resumed until it has written everything."""
        left, right = await self.pair()
        blocks = [os.urandom(50_000) for _ in range(20)]
        everything = b"".join(blocks)
        left.registerProducer(Puller(left, blocks), False)
        self.assertEqual(await right.readExactly(len(everything)), everything)
        await self.finish(left, right)

    async def test_closeWaitsForProducer(self: Any) -> None:
        """loseConnection() lets a registered producer write to its end."""
        left, right = await self.pair()
        pusher = Pusher(left, 1_000_000)
        left.registerProducer(pusher, True)
        left.loseConnection()
        pusher.resumeProducing()
        got = b"".join([chunk async for chunk in right])
        self.assertEqual(len(got), 1_000_000)
        await self.finish(left, right)
        self.assertIsNone(await left.whenClosed())

    async def test_closeSendsEverything(self: Any) -> None:
        """What was written before loseConnection() arrives, and nothing after."""
        left, right = await self.pair()
        data = os.urandom(2_000_000)
        left.write(data)
        left.loseConnection()
        left.write(b"too late")
        got = b"".join([chunk async for chunk in right])
        self.assertEqual(got, data)
        await self.finish(left, right)

    async def test_orderlyEnd(self: Any) -> None:
        """An orderly end is orderly for both sides, whenever they ask."""
        left, right = await self.pair()
        before = left.whenClosed()
        left.write(b"bye")
        left.loseConnection()
        self.assertEqual(await right.readExactly(3), b"bye")
        self.assertEqual(await right.read(), b"")
        right.loseConnection()
        for closed in (before, left.whenClosed(), right.whenClosed()):
            self.assertIsNone(await closed)
        self.assertIsNone(await right.whenClosed())

    async def test_abort(self: Any) -> None:
        """
        An abort is a truncation for both sides, never an orderly end.
        """
        left, right = await self.pair()
        left.write(b"some")
        self.assertEqual(await right.readExactly(4), b"some")
        waiting = right.read()
        left.abortConnection()
        with self.assertRaises(Truncated):
            await left.whenClosed()
        if not self.resets:
            self.assertEqual(await waiting, b"")
            await self.finish(right)
            return
        with self.assertRaises(Truncated):
            await waiting
        with self.assertRaises(Truncated):
            await right.whenClosed()
        with self.assertRaises(Truncated):
            await right.read()

    async def test_halfClose(self: Any) -> None:
        """One direction ends and the other goes on, or writeEOF() raises."""
        left, right = await self.pair()
        left.write(b"question")
        if not self.halfCloses:
            self.assertRaises(HalfCloseUnsupported, left.writeEOF)
            self.assertEqual(await right.readExactly(8), b"question")
            right.write(b"fine")
            self.assertEqual(await left.readExactly(4), b"fine")
            await self.finish(left, right)
            return
        left.writeEOF()
        left.writeEOF()
        self.assertEqual(await right.readExactly(8), b"question")
        self.assertEqual(await right.read(), b"")
        answer = os.urandom(500_000)
        right.write(answer)
        right.loseConnection()
        self.assertEqual(await left.readExactly(len(answer)), answer)
        self.assertEqual(await left.read(), b"")
        left.loseConnection()
        self.assertIsNone(await left.whenClosed())
        self.assertIsNone(await right.whenClosed())

    async def test_halfCloseableProtocol(self: Any) -> None:
        """A protocol that can half-close is told of both halves."""
        if not self.halfCloses:
            left, right = await self.pair()
            half = right.start(HalfRecorder())
            left.loseConnection()
            await half.ended
            self.assertIsNotNone(half.reasons[0].check(ConnectionDone))
            await self.finish(left, right)
            return
        left, right = await self.pair()
        half = right.start(HalfRecorder())
        other = left.start(HalfRecorder())
        left.write(b"x")
        left.writeEOF()
        await other.outputEnded
        await half.inputEnded
        right.write(b"y")
        await other.has(1)
        right.loseConnection()
        left.loseConnection()
        for protocol in (half, other):
            await protocol.ended
            self.assertIsNotNone(protocol.reasons[0].check(ConnectionDone))

    async def test_protocolEnd(self: Any) -> None:
        """
        Any other protocol's channel is closed at the partner's end, after what
        the protocol wrote last; it hears of the end once.
        """
        left, right = await self.pair()

        class LastWord(Recorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                assert self.transport is not None
                self.transport.write(b"echo " + data)

        protocol = right.start(LastWord())
        left.write(b"hello")
        self.assertEqual(await left.readExactly(10), b"echo hello")
        left.loseConnection()
        await protocol.ended
        self.assertIsNotNone(protocol.reasons[0].check(ConnectionDone))
        self.assertEqual(len(protocol.reasons), 1)
        await left.whenClosed()

    async def failing(self: Any, **settings: str) -> None:
        """An error in a protocol is logged, told to it, and a reset for the partner."""
        left, right = await self.pair()
        right.configure(**settings)

        class Broken(Recorder):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError("in the user's code")

        broken = right.start(Broken())
        left.write(b"xx")
        await broken.ended
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        broken.reasons[0].trap(ZeroDivisionError)
        with self.assertRaises(Truncated):
            await right.whenClosed()
        if self.resets:
            with self.assertRaises(Truncated):
                await left.read()
        await self.finish(left)

    async def test_failingProtocol(self: Any) -> None:
        """A protocol's error ends the connection with a reset."""
        await self.failing()

    async def test_failingTextProtocol(self: Any) -> None:
        """So it does with text settings."""
        await self.failing(encoding="latin-1")

    async def test_closedByPartner(self: Any) -> None:
        """A producer is stopped when the connection goes."""
        left, right = await self.pair()
        pusher = Pusher(left, 64 * 1024 * 1024)
        left.registerProducer(pusher, True)
        pusher.resumeProducing()
        await right.readExactly(100)
        right.abortConnection()
        with self.assertRaises(Truncated):
            await left.whenClosed()
        self.assertTrue(pusher.stopped)
        with self.assertRaises(Truncated):
            await right.whenClosed()

    async def test_configureBetweenReads(self: Any) -> None:
        """
        New text settings hold from the first byte that was not read: a text
        header, then bytes.
        """
        left, right = await self.pair()
        body = os.urandom(1000)
        left.configure(encoding="utf-8", translation="crlf")
        left.write("größe 1000\n")
        left.configure(translation="binary")
        left.write(body)
        right.configure(encoding="utf-8", translation="auto")
        self.assertEqual(await right.readLine(), "größe 1000\n")
        right.configure(translation="binary")
        self.assertEqual(await right.readExactly(1000), body)
        await self.finish(left, right)

    async def test_wrongType(self: Any) -> None:
        """Text on a channel without an encoding is an error at once."""
        left, right = await self.pair()
        self.assertRaises(TypeError, left.write, "text")
        left.configure(encoding="utf-8")
        self.assertRaises(TypeError, left.write, b"bytes")
        await self.finish(left, right)

    async def test_addresses(self: Any) -> None:
        """The addresses are known, also when the connection is gone."""
        left, right = await self.pair()
        addresses = (left.getHost(), left.getPeer(), right.getHost())
        await self.finish(left, right)
        self.assertEqual((left.getHost(), left.getPeer(), right.getHost()), addresses)


async def oneTurn(channel: TransferChannel) -> None:
    """Wait for one turn of the reactor."""
    turned: Deferred[None] = Deferred()
    channel._link.clock.callLater(0, turned.callback, None)
    await turned
