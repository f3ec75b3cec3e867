"""
Tests for :mod:`twisted_transfer.channel.wires`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.support.contract import Pusher
from tests.support.simulation import (
    CAPACITY,
    SimulatedReactor,
    SimulatedSocket,
    TLSPartner,
    connected,
    socketPair,
)
from tests.support.tlsends import Identities, KeyUpdater, One, overTLS, serverLink
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.channel.link import Link
from twisted_transfer.channel.wires import (
    ANSWERS_INTERVAL,
    AT_ONCE,
    CLOSE_TIMEOUT,
    LARGE,
    MOST_ANSWERS,
    TAKE_TIMEOUT,
    StandardIOWire,
    UNIXWire,
    Wire,
    hearThrough,
    unsentOf,
)
from twisted_transfer.errors import HalfCloseUnsupported, Truncated, Unclosed
from twisted_transfer.layers import bottomOf, layersUnder


class WireTests(SynchronousTestCase):
    """A connection of no special kind."""

    def test_writesDirectly(self) -> None:
        """Nothing of ours is called for each piece that is written."""
        transport = StringTransport()
        self.assertEqual(Wire(Clock(), transport).write, transport.write)

    def test_passesOn(self) -> None:
        """What is asked for is what the transport is asked for."""
        transport = StringTransport()
        wire = Wire(Clock(), transport)
        wire.write(b"some")
        self.assertEqual(transport.value(), b"some")
        wire.close()
        self.assertTrue(transport.disconnecting)
        wire.abort()
        self.assertTrue(transport.disconnected)
        wire.gone()

    def test_closeWrite(self) -> None:
        """One direction is ended alone where the transport can do that."""
        reactor = SimulatedReactor()
        socket, partner = connected(reactor)
        socket.attach(Protocol())
        wire = Wire(reactor, socket)
        wire.checkHalfClose()
        wire.closeWrite()
        reactor.run(2)
        self.assertTrue(partner.incoming.ended)
        self.assertFalse(partner.incoming.deaf)
        self.assertFalse(socket.disconnected)

    def test_noCloseWrite(self) -> None:
        """Where it cannot, that is said, with what to do instead."""

        class Whole:
            """Cannot be ended in parts."""

            def write(self, data: bytes) -> None:
                """Take some bytes."""

        wire = Wire(Clock(), Whole())
        error = self.assertRaises(HalfCloseUnsupported, wire.checkHalfClose)
        self.assertIn("loseConnection()", str(error))

    def test_noAbort(self) -> None:
        """A transport that knows no abort is closed instead."""
        closed: list[bool] = []

        class Gentle:
            """Knows one end."""

            def write(self, data: bytes) -> None:
                """Take some bytes."""

            def loseConnection(self) -> None:
                closed.append(True)

        Wire(Clock(), Gentle()).abort()
        self.assertEqual(closed, [True])


class UNIXWireTests(SynchronousTestCase):
    """UNIX sockets whose partner may be gone."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.socket, self.partner = connected(self.reactor, capacity=10)
        self.socket.attach(Protocol())
        self.wire = UNIXWire(self.reactor, self.socket)

    def test_turn(self) -> None:
        """
        What is to be written is first given its turn to be; nothing is missing
        then, even if the connection is reported as broken.
        """
        self.wire.write(b"last word")
        self.wire.close()
        self.assertFalse(self.socket.disconnecting)
        self.reactor.turn()
        self.assertEqual(self.partner.take(), b"last word")
        self.reactor.turn()
        self.assertTrue(self.socket.disconnecting)
        self.assertTrue(self.wire.complete)
        self.assertFalse(self.wire.outputLost)

    def test_readsNothing(self) -> None:
        """What comes in these turns is not read, as after any other closing."""
        self.wire.close()
        self.partner.send(b"too late")
        self.reactor.run(3)
        self.assertEqual(self.partner.outgoing.data, b"too late")
        self.assertTrue(self.socket.disconnected)

    def test_notEverything(self) -> None:
        """If that was not enough for everything, something may be missing."""
        self.wire.write(b"many last words")
        self.wire.close()
        self.reactor.run(2)
        self.assertTrue(self.socket.disconnecting)
        self.assertFalse(self.wire.complete)

    def test_notRead(self) -> None:
        """What the partner had not read when it closed is lost."""
        self.wire.write(b"not read")
        self.reactor.turn()
        self.partner.close()
        self.wire.close()
        self.reactor.run(2)
        self.assertTrue(self.wire.outputLost)

    def test_goneMeanwhile(self) -> None:
        """A connection that has gone in the meantime is not closed again."""
        self.wire.close()
        self.wire.gone()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.reactor.run(3)
        self.assertFalse(self.socket.disconnecting)


class PipesTransport:
    """Like standard input and output: two pipes, and an end that waits."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.lost: list[Failure] = []
        self.asked = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def loseConnection(self) -> None:
        self.asked += 1

    def loseWriteConnection(self) -> None:
        raise AssertionError("the other side would not hear of it")

    def connectionLost(self, reason: Failure) -> None:
        self.lost.append(reason)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        self.producer: object = producer

    def unregisterProducer(self) -> None:
        self.producer = None


class StandardIOWireTests(SynchronousTestCase):
    """Standard input and output."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.pipes = PipesTransport()
        self.wire = StandardIOWire(self.clock, self.pipes)

    def ended(self) -> Any:
        """:returns: the error with which it has ended, or None."""
        self.clock.advance(0)
        return self.pipes.lost[0].value if self.pipes.lost else None

    def test_closed(self) -> None:
        """With both pipes open, it ends in Twisted's way."""
        self.wire.close()
        self.assertEqual(self.pipes.asked, 1)
        self.assertIsNone(self.ended())

    def test_closedAfterOutput(self) -> None:
        """With the output pipe closed it ends in an orderly way all the same."""
        self.wire.outputEnded()
        self.wire.close()
        self.assertEqual(self.pipes.lost, [])  # not from within the call
        self.assertIsInstance(self.ended(), ConnectionDone)

    def test_aborted(self) -> None:
        """An abort does not wait until somebody reads what was written."""
        self.wire.abort()
        self.assertEqual(self.pipes.lost, [])
        self.assertIsInstance(self.ended(), ConnectionAborted)

    def test_goneMeanwhile(self) -> None:
        """One that has gone in the meantime does not end again."""
        self.wire.abort()
        self.wire.gone()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_noHalfClose(self) -> None:
        """The output cannot be ended alone, for its reader would not see that."""
        error = self.assertRaises(HalfCloseUnsupported, self.wire.checkHalfClose)
        self.assertIn("loseConnection()", str(error))

    def test_nobodyReads(self) -> None:
        """What is written when the output pipe has no reader is lost."""
        self.wire.write(b"read")
        self.wire.outputEnded()
        self.assertFalse(self.wire.outputLost)
        self.wire.write(b"not read")
        self.assertTrue(self.wire.outputLost)
        self.assertEqual(self.pipes.written, [b"read"])

    def test_nobodyReadsProducer(self) -> None:
        """A producer is stopped when the output pipe has no reader any more."""
        nowhere: Any = None
        producer = Pusher(nowhere, 10)
        self.wire.registerProducer(producer, True)
        self.assertIs(self.pipes.producer, producer)
        self.assertIs(self.wire.producer, producer)
        self.wire.outputEnded()
        self.assertTrue(producer.stopped)
        self.assertIsNone(self.pipes.producer)
        self.assertIsNone(self.wire.producer)
        self.assertTrue(self.wire.outputLost)


def wrapped(times: int) -> tuple[Protocol, list[Any], StringTransport]:
    """:returns: a protocol under so many wrappers, these, and the transport."""
    protocol = Protocol()
    factory: Any = One(protocol)
    for _ in range(times):
        factory = WrappingFactory(factory)
    outermost = factory.buildProtocol(None)
    transport = StringTransport()
    outermost.makeConnection(transport)
    wrappers: list[Any] = []
    while outermost is not protocol:
        wrappers.insert(0, outermost)
        outermost = outermost.wrappedProtocol
    return protocol, wrappers, transport


class LayersTests(SynchronousTestCase):
    """What is between a protocol and its socket."""

    def test_none(self) -> None:
        """Without layers the transport is the bottom."""
        protocol, _, transport = wrapped(0)
        self.assertEqual(layersUnder(protocol.transport), [])
        assert protocol.transport is not None
        self.assertIs(bottomOf(protocol.transport), transport)

    def test_several(self) -> None:
        """The layers come in order, the protocol's own first."""
        protocol, wrappers, transport = wrapped(3)
        self.assertEqual(layersUnder(protocol.transport), wrappers)
        assert protocol.transport is not None
        self.assertIs(bottomOf(protocol.transport), transport)

    def test_notConnected(self) -> None:
        """A layer without a transport is the bottom of what there is."""
        wrapper: Any = ProtocolWrapper(WrappingFactory(None), Protocol())
        self.assertIs(bottomOf(wrapper), wrapper)
        self.assertEqual(layersUnder(wrapper), [wrapper])


@implementer(IHalfCloseableProtocol, IFileDescriptorReceiver)
class Listener(Protocol):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def readConnectionLost(self) -> None:
        self.heard.append("read")

    def writeConnectionLost(self) -> None:
        self.heard.append("write")

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.heard.append(descriptor)


class HearThroughTests(SynchronousTestCase):
    """What is told to an outer protocol reaches the one inside."""

    def test_deaf(self) -> None:
        """A wrapper that passes nothing on does then, and says that it does."""
        listener = Listener()
        outer: Any = ProtocolWrapper(WrappingFactory(None), listener)
        hearThrough(outer, listener, IHalfCloseableProtocol, IFileDescriptorReceiver)
        self.assertTrue(IHalfCloseableProtocol.providedBy(outer))
        self.assertTrue(IFileDescriptorReceiver.providedBy(outer))
        self.assertFalse(IHandshakeListener.providedBy(outer))
        outer.readConnectionLost()
        outer.writeConnectionLost()
        outer.fileDescriptorReceived(7)
        self.assertEqual(listener.heard, ["read", "write", 7])

    def test_forwarding(self) -> None:
        """
        One that passes it on to the next one, as the wrappers of Twisted's
        endpoints do, but does not say so, is passed over: the next one may be
        deaf.
        """

        class Forwarding(Protocol):
            def __init__(self, inner: Any) -> None:
                self.inner = inner

            def readConnectionLost(self) -> None:
                self.inner.readConnectionLost()

        listener = Listener()
        outer: Any = Forwarding(ProtocolWrapper(WrappingFactory(None), listener))
        hearThrough(outer, listener, IHalfCloseableProtocol)
        outer.readConnectionLost()
        self.assertEqual(listener.heard, ["read"])

    def test_alreadyProvided(self) -> None:
        """One that says that it does is left alone."""
        listener, outer = Listener(), Listener()
        hearThrough(outer, listener, IHalfCloseableProtocol)
        outer.readConnectionLost()
        self.assertEqual((outer.heard, listener.heard), (["read"], []))

    def test_itself(self) -> None:
        """A listener that is the outermost protocol hears by itself."""
        listener = Listener()
        hearThrough(listener, listener, IHandshakeListener)
        self.assertFalse(IHandshakeListener.providedBy(listener))


class TLSTestCase(SynchronousTestCase):
    """A test with a channel over TLS."""

    newest = SSL.TLS1_3_VERSION

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.identities = Identities(self)

    def channel(
        self, capacity: int = CAPACITY
    ) -> tuple[TransferChannel, TLSPartner, SimulatedSocket]:
        """:returns: a channel, its partner, and the socket between."""
        link, socket, partner = serverLink(
            self.reactor, self.identities, 1 << 20, self.newest
        )
        partner.handshake(self.reactor)
        partner.raw.incoming.capacity = capacity
        return TransferChannel(link), partner, socket

    def orderly(self, channel: TransferChannel) -> None:
        """The channel has ended in an orderly way, and nothing is left of it."""
        self.assertIsNone(self.successResultOf(channel.whenClosed()))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def truncated(self, channel: TransferChannel, words: str = "") -> None:
        """The channel has ended in another way, and nothing is left of it."""
        failure = self.failureResultOf(channel.whenClosed(), Truncated)
        self.assertIn(words, str(failure.value))
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class PieceTests(TLSTestCase):
    """TLS has records of 16 KiB; here nobody has to see them."""

    def test_read(self) -> None:
        """What has come at once is handed on as one piece."""
        channel, partner, _ = self.channel()
        pieces: list[bytes] = []
        protocol = channel.start(Protocol())
        protocol.dataReceived = pieces.append  # type: ignore[method-assign, assignment]
        self.reactor.run(3)
        content = os.urandom(50_000)
        for start in range(0, len(content), 10_000):
            partner.tls.send(content[start : start + 10_000])
        partner.raw.send(partner.tls.bio_read(1 << 20))
        self.reactor.run(3)
        self.assertEqual(pieces, [content])

    def test_written(self) -> None:
        """What is written in one turn is one record, if it is not large."""
        channel, partner, _ = self.channel(1 << 20)
        self.reactor.run(3)
        partner.raw.take()
        for piece in (b"some", b"more", b"words"):
            channel.write(piece)
        self.reactor.run(3)
        sent = partner.raw.take()
        # A record's header has its length in its last two bytes (RFC 8446, 5.1).
        self.assertEqual(int.from_bytes(sent[3:5], "big"), len(sent) - 5)
        partner.tls.bio_write(sent)
        self.assertEqual(partner.tls.recv(100), b"somemorewords")

    def test_large(self) -> None:
        """What is large does not wait for the next turn."""
        channel, _, socket = self.channel(1 << 20)
        self.reactor.run(3)
        channel.write(b"first")
        channel.write(bytes(LARGE))
        self.assertGreater(unsentOf(socket)[0], LARGE)

    def test_block(self) -> None:
        """A block of a file is sent at once, with what encryption adds to it."""
        channel, _, socket = self.channel(1 << 20)
        self.reactor.run(3)
        channel.write(bytes(AT_ONCE))
        unsent = unsentOf(socket)[0]
        self.assertGreater(unsent, AT_ONCE)
        self.assertLessEqual(unsent, socket.SEND_LIMIT)


class AnswersTests(TLSTestCase):
    """A partner that makes TLS itself send something, and does not read."""

    LENGTH = 27  # of a request for a key update, and of the answer

    def updating(self) -> tuple[TransferChannel, TLSPartner, SimulatedSocket]:
        """:returns: a channel whose partner can send :meth:`updates`."""
        context = self.identities.clientContext()
        self.updater = KeyUpdater(context)
        socket, raw = connected(self.reactor, 1 << 20)
        link, partner = Link(self.reactor), TLSPartner(raw, context)
        socket.attach(overTLS(self.reactor, self.identities.server, link))
        partner.handshake(self.reactor)
        self.assertEqual(partner.tls.get_cipher_name(), "TLS_AES_256_GCM_SHA384")
        partner.raw.take()
        partner.raw.incoming.capacity = 0
        return TransferChannel(link), partner, socket

    def flood(self, partner: TLSPartner, count: int) -> None:
        """Send so many requests for a key update."""
        partner.raw.send(b"".join(self.updater.update() for _ in range(count)))

    def unsent(self, socket: SimulatedSocket) -> int:
        """:returns: how many bytes wait at a socket."""
        return len(socket.dataBuffer) - socket.offset + socket._tempDataLen

    def test_notRead(self) -> None:
        """
        Nothing more is read until the partner reads; everything that it has sent
        comes then.
        """
        channel, partner, socket = self.updating()
        reading = channel.read()
        self.flood(partner, 10_000)
        partner.raw.send(self.updater.record(b"at last", 23))
        self.reactor.run(10)
        self.assertNotIn(socket, self.reactor.readers)
        self.assertLess(self.unsent(socket), MOST_ANSWERS + 65536)
        channel.pauseProducing()
        channel.resumeProducing()
        self.reactor.turn(60)
        self.assertNotIn(socket, self.reactor.readers)
        self.assertNoResult(reading)
        partner.raw.incoming.capacity = 1 << 20
        answers = b""
        for _ in range(10):
            self.reactor.turn(ANSWERS_INTERVAL)
            answers += partner.raw.take()
        self.assertEqual(self.successResultOf(reading), b"at last")
        # OpenSSL answers a request when the next record has come.
        self.assertGreaterEqual(len(answers), 9_999 * self.LENGTH)

    def test_read(self) -> None:
        """Nor do they pile up in OpenSSL if the partner reads them."""
        channel, partner, _ = self.updating()
        partner.raw.incoming.capacity = 1 << 20
        self.assertNoResult(channel.read())
        self.flood(partner, 7_000)
        self.reactor.run(6)
        self.assertGreaterEqual(len(partner.raw.take()), 6_999 * self.LENGTH)

    def test_paused(self) -> None:
        """When the partner has read, a reader that has paused is still paused."""
        channel, partner, socket = self.updating()
        channel.start(Protocol())
        self.flood(partner, 5_000)
        self.reactor.run(6)
        channel.pauseProducing()
        partner.raw.incoming.capacity = 1 << 20
        self.reactor.turn(ANSWERS_INTERVAL)
        self.reactor.turn(ANSWERS_INTERVAL)
        self.assertNotIn(socket, self.reactor.readers)
        channel.resumeProducing()
        self.assertIn(socket, self.reactor.readers)

    def test_lost(self) -> None:
        """The end of the connection is the end of that."""
        channel, partner, _ = self.updating()
        self.flood(partner, 5_000)
        channel.start(Protocol())
        self.reactor.run(6)
        channel.abortConnection()
        self.reactor.run(3)
        self.truncated(channel)

    def test_written(self) -> None:
        """
        What a protocol has written does not count, even if it is written while
        something comes: partners may write as much as they like before they read.
        """
        channel, partner, _ = self.channel(capacity=0)
        echo = channel.start(Echo())
        for _ in range(40):
            partner.write(b"x" * 16_000)
            self.reactor.turn()
        self.assertEqual(echo.count, 40 * 16_000)


class Echo(Protocol):
    """Sends back what it receives."""

    count = 0

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        self.transport.write(data)  # type: ignore[union-attr]


class ClosedHereTests(TLSTestCase):
    """This side closes first."""

    def test_answered(self) -> None:
        """A partner that answers has ended the connection in order."""
        channel, partner, _ = self.channel()
        channel.write(b"everything")
        channel.loseConnection()
        self.reactor.run(3)
        self.assertEqual(partner.read(), b"everything")
        self.assertTrue(partner.ended)
        partner.closeNotify()
        self.reactor.run(3)
        self.orderly(channel)

    def test_hungUpAfterwards(self) -> None:
        """
        A partner that got everything and hangs up without a close_notify of
        its own, as Tcl's does, has missed nothing.
        """
        channel, partner, _ = self.channel()
        channel.write(b"everything")
        channel.loseConnection()
        self.reactor.run(3)
        partner.raw.close()
        self.reactor.run(3)
        self.orderly(channel)

    def test_resetAfterwards(self) -> None:
        """
        The same with a reset, which the system sends for a partner that has
        not read the close_notify.
        """
        channel, partner, _ = self.channel()
        channel.loseConnection()
        self.reactor.run(3)
        partner.raw.reset()
        self.reactor.run(3)
        self.orderly(channel)

    def test_hungUpBefore(self) -> None:
        """One that hangs up before everything was sent has missed something."""
        channel, partner, _ = self.channel(capacity=1000)
        channel.write(b"x" * 100_000)
        channel.loseConnection()
        self.reactor.run(3)
        partner.raw.close()
        self.reactor.run(3)
        self.truncated(channel)

    def test_closedMeanwhile(self) -> None:
        """
        So has one that closes before everything was sent, be it in an orderly
        way: it reads nothing of what is still to come.
        """
        channel, partner, _ = self.channel(capacity=1000)
        channel.write(b"x" * 100_000)
        channel.loseConnection()
        self.reactor.run(3)
        partner.closeNotify()
        for _ in range(200):
            partner.raw.take()
            self.reactor.turn()
        self.truncated(channel, "before everything was sent")

    def test_bothAtOnce(self) -> None:
        """Two that close at the same time, with nothing on its way, agree."""
        channel, partner, _ = self.channel()
        channel.write(b"all")
        self.reactor.run(3)
        self.assertEqual(partner.read(), b"all")
        partner.closeNotify()
        channel.loseConnection()
        self.reactor.run(3)
        self.orderly(channel)

    def test_bothAtOnceSlowly(self) -> None:
        """Also if the system takes only a part of the close_notify at first."""
        channel, partner, _ = self.channel()
        channel.write(b"all")
        self.reactor.run(3)
        self.assertEqual(partner.read(), b"all")
        partner.raw.incoming.capacity = 10
        channel.loseConnection()
        self.reactor.run(2)
        partner.closeNotify()
        self.reactor.run(3)
        partner.raw.incoming.capacity = 1000
        self.reactor.run(3)
        self.orderly(channel)

    def test_twice(self) -> None:
        """Closing it again while it is being closed changes nothing."""
        channel, partner, _ = self.channel()
        for _ in range(3):
            channel._link.close()
        self.reactor.run(3)
        partner.closeNotify()
        self.reactor.run(3)
        self.orderly(channel)

    def test_silent(self) -> None:
        """
        A partner that does not answer is left after the time for it, and was
        perhaps not told: that is no orderly end.
        """
        channel, _, socket = self.channel()
        channel.loseConnection()
        self.reactor.run(3)
        self.reactor.turn(CLOSE_TIMEOUT - 0.1)
        self.assertFalse(socket.disconnected)
        self.reactor.turn(0.2)
        self.reactor.turn()
        self.truncated(channel, "did not answer")

    def test_silentAndLate(self) -> None:
        """What was sent is not destroyed by that: it is there when it is read."""
        channel, partner, _ = self.channel()
        channel.write(b"all of it")
        channel.loseConnection()
        self.reactor.run(3)
        self.reactor.turn(CLOSE_TIMEOUT)
        self.reactor.run(3)
        self.truncated(channel, "did not answer")
        self.assertFalse(partner.raw.incoming.broken)
        self.assertEqual(partner.read(), b"all of it")
        self.assertTrue(partner.ended)

    def test_deaf(self) -> None:
        """One that takes nothing of what is to be sent is left, but much later."""
        channel, _, socket = self.channel(capacity=0)
        channel.write(b"much")
        channel.loseConnection()
        self.reactor.run(3)
        self.reactor.turn(TAKE_TIMEOUT - 1)
        self.assertFalse(socket.aborted)
        self.reactor.turn(TAKE_TIMEOUT)
        self.reactor.turn(TAKE_TIMEOUT)
        self.reactor.turn()
        self.assertTrue(socket.aborted)
        self.truncated(channel, "before everything was sent")

    def test_deafToAnswers(self) -> None:
        """It is not waited for so long if this side has written nothing."""
        channel, _, socket = self.channel(capacity=0)
        channel.loseConnection()
        self.reactor.run(3)
        self.reactor.turn(CLOSE_TIMEOUT)
        self.reactor.turn(CLOSE_TIMEOUT)
        self.reactor.turn()
        self.assertTrue(socket.aborted)

    def test_talking(self) -> None:
        """That it goes on sending does not give it more time."""
        channel, partner, socket = self.channel()
        channel.loseConnection()
        self.reactor.run(3)
        for _ in range(int(CLOSE_TIMEOUT)):
            partner.write(b"more and more")
            self.reactor.turn(0.99)
        self.assertFalse(socket.disconnected)
        self.reactor.turn(1)
        self.reactor.turn()
        self.truncated(channel)

    def test_talkingBeforehand(self) -> None:
        """What it had sent before it hears of the end does not matter."""
        channel, partner, _ = self.channel()
        channel.loseConnection()
        partner.write(b"crossing")
        self.reactor.run(3)
        partner.closeNotify()
        self.reactor.run(3)
        self.orderly(channel)

    def test_slow(self) -> None:
        """A partner that still takes something is waited for."""
        channel, partner, _ = self.channel(capacity=4096)
        data = b"slowly" * 20_000
        channel.write(data)
        channel.loseConnection()
        got = b""
        while not partner.ended:
            got += partner.read()
            self.reactor.turn(CLOSE_TIMEOUT - 1)
            self.reactor.turn()
        self.assertGreater(self.reactor.seconds(), 10 * CLOSE_TIMEOUT)
        partner.closeNotify()
        self.reactor.run(3)
        self.orderly(channel)
        self.assertEqual(got, data)

    def test_readerPaused(self) -> None:
        """Nobody has to read for the connection to end."""
        channel, partner, _ = self.channel()
        channel.pauseProducing()
        partner.write(b"never read")
        channel.loseConnection()
        self.reactor.run(3)
        partner.closeNotify()
        self.reactor.run(3)
        self.orderly(channel)


class ClosedHereTLS12Tests(ClosedHereTests):
    """The same in TLS 1.2."""

    newest = SSL.TLS1_2_VERSION


class UnclosedTests(TLSTestCase):
    """The partner ends the connection without a close_notify."""

    def ended(
        self,
        accept: bool,
        before: Callable[[TLSPartner], object] = lambda partner: None,
    ) -> TransferChannel:
        """:returns: a channel whose partner has ended it after some data."""
        link, _, partner = serverLink(self.reactor, self.identities, 1 << 20)
        partner.handshake(self.reactor)
        partner.write(b"all")
        before(partner)
        partner.raw.end()
        self.reactor.run(3)
        return TransferChannel(link, acceptUnclosed=accept)

    def reader(self, channel: TransferChannel) -> None:
        """Have everything read up to the end."""
        channel.start(Protocol())
        self.reactor.run(3)

    def test_refused(self) -> None:
        """By default it may have been anybody, and the data may not be whole."""
        channel = self.ended(False)
        self.assertEqual(self.successResultOf(channel.read()), b"all")
        self.reactor.run(2)
        self.failureResultOf(channel.read(), Unclosed)
        self.truncated(channel, "--accept-unclosed")

    def test_accepted(self) -> None:
        """It is an orderly end for one who says so."""
        channel = self.ended(True)
        self.assertEqual(self.successResultOf(channel.read()), b"all")
        self.reactor.run(2)
        self.assertEqual(self.successResultOf(channel.read()), b"")
        self.orderly(channel)

    def test_early(self) -> None:
        """Also if it came before there was a channel."""
        link, _, partner = serverLink(self.reactor, self.identities, 1 << 20)
        partner.handshake(self.reactor)
        partner.raw.end()
        self.reactor.run(3)
        self.assertTrue(link.lost)
        channel = TransferChannel(link, acceptUnclosed=True)
        self.assertEqual(self.successResultOf(channel.read()), b"")
        self.orderly(channel)

    def test_protocol(self) -> None:
        """A protocol is told of an orderly end."""
        for accept, reason in ((True, ConnectionDone), (False, ConnectionLost)):
            told: list[object] = []
            protocol = Protocol()
            protocol.connectionLost = lambda why, to=told: to.append(why.type)  # type: ignore[method-assign, misc, assignment]
            self.ended(accept).start(protocol)
            self.reactor.run(2)
            self.assertEqual(told, [reason])

    def test_notReset(self) -> None:
        """A reset is none: it may overtake data."""
        channel = self.ended(True, lambda partner: partner.raw.reset())
        self.reader(channel)
        error = self.failureResultOf(channel.whenClosed(), Truncated).value
        self.assertNotIsInstance(error, Unclosed)

    def test_notGarbage(self) -> None:
        """Nor is what is no TLS."""
        channel = self.ended(True, lambda partner: partner.raw.send(b"garbage" * 9))
        self.reader(channel)
        error = self.failureResultOf(channel.whenClosed(), Truncated).value
        self.assertNotIsInstance(error, Unclosed)

    def test_notWhileSending(self) -> None:
        """Nor is an end before this side has sent everything."""
        link, _, partner = serverLink(self.reactor, self.identities, 1 << 20)
        partner.handshake(self.reactor)
        partner.raw.incoming.capacity = 0
        channel = TransferChannel(link, acceptUnclosed=True)
        channel.write(b"x" * 100_000)
        self.reactor.run(3)
        partner.raw.end()
        self.reader(channel)
        error = self.failureResultOf(channel.whenClosed(), Truncated).value
        self.assertNotIsInstance(error, Unclosed)


class ClosedThereTests(TLSTestCase):
    """The partner closes first."""

    def test_nothingWritten(self) -> None:
        """With nothing on its way that is an orderly end."""
        channel, partner, _ = self.channel()
        partner.write(b"all")
        partner.closeNotify()
        self.reactor.run(3)
        self.assertEqual(self.successResultOf(channel.read()), b"all")
        self.assertEqual(self.successResultOf(channel.read()), b"")
        channel.loseConnection()
        self.orderly(channel)

    def test_everythingWritten(self) -> None:
        """So it is when everything had come there before."""
        channel, partner, _ = self.channel()
        channel.write(b"everything")
        self.reactor.run(3)
        partner.closeNotify()
        self.reactor.run(3)
        self.orderly(channel)

    def test_writtenAfterwards(self) -> None:
        """What is written after that is lost, and this is no success."""
        channel, partner, _ = self.channel(capacity=1000)
        channel.write(b"x" * 30_000)
        self.reactor.run(3)
        partner.closeNotify()
        self.reactor.turn()
        channel.write(b"more")
        for _ in range(100):
            partner.raw.take()
            self.reactor.turn()
        self.truncated(channel, "before everything was sent")

    def test_writtenAfterEverything(self) -> None:
        """Also if everything before it had come there."""
        channel, partner, socket = self.channel()
        partner.read()
        partner.raw.incoming.capacity = 0  # its end is not answered yet
        partner.closeNotify()
        self.reactor.turn()
        self.assertFalse(socket.disconnected)
        channel.write(b"more")
        partner.raw.incoming.capacity = 1000
        self.reactor.run(3)
        self.truncated(channel, "before everything was sent")
        self.assertEqual(partner.read(), b"")

    def test_closedAndSilent(self) -> None:
        """
        A partner that has closed, and then takes nothing of what is still to
        be sent, is not waited for for ever when this side closes, too.
        """
        channel, partner, socket = self.channel(capacity=1000)
        channel.write(b"x" * 30_000)
        self.reactor.run(3)
        partner.closeNotify()
        self.reactor.run(3)
        self.assertFalse(socket.disconnected)
        channel.loseConnection()
        self.reactor.turn(CLOSE_TIMEOUT - 0.1)
        self.assertFalse(socket.aborted)
        self.reactor.turn(0.2)
        self.reactor.turn()
        self.truncated(channel, "before everything was sent")

    def test_producing(self) -> None:
        """A producer is stopped, and this is no success either."""
        channel, partner, _ = self.channel()
        pusher = Pusher(channel, 1 << 30)
        channel.registerProducer(pusher, True)
        pusher.resumeProducing()
        self.reactor.run(3)
        self.assertTrue(pusher.paused)
        partner.closeNotify()
        for _ in range(10):
            partner.raw.take()
            self.reactor.turn()
        self.assertTrue(pusher.stopped)
        self.truncated(channel, "before everything was sent")

    def test_registeringAfterwards(self) -> None:
        """One that comes after the partner's end is stopped at once."""
        channel, partner, _ = self.channel()
        partner.closeNotify()
        self.reactor.turn()
        pusher = Pusher(channel, 100)
        channel.registerProducer(pusher, True)
        self.assertTrue(pusher.stopped)
        self.reactor.run(3)
        self.orderly(channel)

    def test_crossing(self) -> None:
        """What crosses with the partner's end is not read there, either."""
        channel, partner, _ = self.channel()
        partner.closeNotify()
        channel.write(b"in the same turn")
        self.reactor.run(3)
        self.truncated(channel, "before everything was sent")

    def test_answeredTooLate(self) -> None:
        """
        An answer to what came together with the end is dropped by Twisted,
        which was still gathering it, and this is no success.
        """
        channel, partner, _ = self.channel()
        reading = channel.read()
        reading.addCallback(lambda question: channel.write(b"answer"))
        partner.write(b"question")
        partner.closeNotify()
        self.reactor.run(3)
        self.assertTrue(reading.called)
        self.assertEqual(partner.read(), b"")
        self.truncated(channel, "before everything was sent")

    def test_waitingInTheSystem(self) -> None:
        """What was still waiting here when the end came is not read there."""
        channel, partner, _ = self.channel(capacity=1000)
        channel.write(b"x" * 30_000)
        self.reactor.run(5)
        partner.closeNotify()
        for _ in range(100):
            partner.raw.take()
            self.reactor.turn()
        self.truncated(channel, "before everything was sent")

    def test_withoutCloseNotify(self) -> None:
        """A bare end of the connection is a truncation."""
        channel, partner, _ = self.channel()
        partner.write(b"some")
        partner.raw.close()
        self.reactor.run(3)
        self.assertEqual(self.successResultOf(channel.read()), b"some")
        self.failureResultOf(channel.read(), Truncated)
        self.truncated(channel, "not everything may have arrived")

    def test_reset(self) -> None:
        """So is a reset."""
        channel, partner, _ = self.channel()
        partner.raw.reset()
        self.reactor.run(3)
        self.truncated(channel, "not everything may have arrived")

    def test_resetAfterWriting(self) -> None:
        """Nothing is left to do then for what was just written."""
        channel, partner, socket = self.channel()
        partner.raw.reset()
        reading = channel.read()
        channel.write(b"just now")
        self.reactor.turn()
        self.assertTrue(socket.disconnected)
        self.failureResultOf(reading, Truncated)
        wire = channel._link.wire
        left = [
            call
            for call in self.reactor.getDelayedCalls()
            if getattr(call.func, "__self__", None) is wire  # type: ignore[attr-defined]
        ]
        self.assertEqual(left, [])
        self.reactor.turn()
        self.truncated(channel)


class ClosedThereTLS12Tests(ClosedThereTests):
    """The same in TLS 1.2."""

    newest = SSL.TLS1_2_VERSION


class HalfCloseTests(TLSTestCase):
    """TLS ends both directions together."""

    def test_refused(self) -> None:
        """
        Ending one alone is refused, sends nothing, and leaves the connection
        as it was, the end-of-file character included.
        """
        channel, partner, _ = self.channel()
        channel.configure(eofChar="\x1a")
        partner.raw.take()
        for end in (channel.writeEOF, channel.loseWriteConnection):
            error = self.assertRaises(HalfCloseUnsupported, end)
            self.assertIn("loseConnection()", str(error))
        self.reactor.run(3)
        self.assertEqual(partner.raw.take(), b"")
        self.assertFalse(partner.raw.incoming.ended)
        channel.write(b"on")
        channel.loseConnection()
        self.reactor.run(3)
        self.assertEqual(partner.read(), b"on\x1a")


class PairTests(TLSTestCase):
    """Two of this library's own."""

    def pair(self) -> tuple[TransferChannel, TransferChannel]:
        """:returns: two channels that are connected over TLS."""
        left, right = socketPair(self.reactor)
        links = Link(self.reactor), Link(self.reactor)
        client = self.identities.client()
        right.attach(overTLS(self.reactor, self.identities.server, links[1]))
        left.attach(overTLS(self.reactor, client, links[0], client=True))
        self.reactor.run(6)
        return TransferChannel(links[0]), TransferChannel(links[1])

    def test_closedByOne(self) -> None:
        """The other one answers, also if nobody has asked it to."""
        left, right = self.pair()
        left.write(b"x" * 100_000)
        left.loseConnection()
        reading = right.readExactly(100_000)
        self.reactor.run(20)
        self.assertEqual(len(self.successResultOf(reading)), 100_000)
        self.reactor.run(5)
        self.orderly(left)
        self.orderly(right)

    def test_readerPauses(self) -> None:
        """
        One whose reader pauses at the end, as for a pipe that nobody reads, is waited
        for, whether or not the system has taken everything: nothing is lost.
        """
        for size in (1000, 1_000_000):
            left, right = self.pair()
            got: list[bytes] = []
            reader = right.start(Protocol())
            reader.dataReceived = got.append  # type: ignore[method-assign, assignment]
            left.write(b"x" * size)
            self.reactor.run(3)
            right.pauseProducing()
            left.write(b"the end")
            left.loseConnection()
            self.reactor.run(3)
            for _ in range(50):
                self.reactor.turn(1)
            right.resumeProducing()
            self.reactor.run(100)
            self.assertTrue(b"".join(got) == b"x" * size + b"the end")
            self.orderly(left)
            self.orderly(right)

    def test_closedByBoth(self) -> None:
        """Both at once, when all was read, is an orderly end for both."""
        left, right = self.pair()
        left.write(b"there")
        right.write(b"back")
        self.reactor.run(5)
        left.loseConnection()
        right.loseConnection()
        self.reactor.run(5)
        self.orderly(left)
        self.orderly(right)

    def test_closedAgainst(self) -> None:
        """One that closes while the other one writes is no success for that."""
        left, right = self.pair()
        pusher = Pusher(left, 1 << 30)
        left.registerProducer(pusher, True)
        pusher.resumeProducing()
        self.reactor.run(5)
        right.loseConnection()
        self.reactor.run(20)
        self.assertTrue(pusher.stopped)
        self.truncated(left)
