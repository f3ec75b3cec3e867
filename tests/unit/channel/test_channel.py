"""
Tests for :mod:`twisted_transfer.channel.channel`,
beyond the contract that every kind of channel is put through.
"""

from __future__ import annotations

import contextlib
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    INegotiated,
    IPullProducer,
    IPushProducer,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
    ITransport,
    IUNIXTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer
from zope.interface.verify import verifyObject

from tests.support.contract import Puller, Pusher
from tests.support.simulation import (
    CAPACITY,
    Partner,
    SimulatedReactor,
    SimulatedSocket,
    TLSPartner,
    connected,
)
from tests.support.steps import allSteps, notedSteps
from tests.support.tlsends import Identities, overTLS, serverLink
from twisted_transfer.channel.channel import OUTPUT_STEPS, Output, TransferChannel
from twisted_transfer.channel.link import Link
from twisted_transfer.errors import (
    BadOption,
    HalfCloseUnsupported,
    NotEnoughData,
    Truncated,
)
from twisted_transfer.text.settings import TextSettings


class ChannelTestCase(SynchronousTestCase):
    """A test with a channel whose partner is driven by hand."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.socket, self.partner, self.channel = self.connect()

    def connect(
        self, *interfaces: Any, capacity: int = CAPACITY
    ) -> tuple[SimulatedSocket, Partner, TransferChannel]:
        """:returns: a channel on a socket that provides these interfaces, too."""
        socket, partner = connected(self.reactor, capacity)
        alsoProvides(socket, *interfaces)
        link = Link(self.reactor)
        socket.attach(link)
        return socket, partner, TransferChannel(link)

    def sent(self) -> bytes:
        """:returns: what has come to the partner since this was asked last."""
        self.reactor.run(3)
        return self.partner.take()


class TransportTests(ChannelTestCase):
    """A channel as a transport."""

    def test_interfaces(self) -> None:
        """It provides what a transport, a consumer and a producer has to."""
        for interface in (ITransport, IConsumer, IPushProducer):
            self.assertTrue(verifyObject(interface, self.channel))

    def test_transportInterfaces(self) -> None:
        """It provides what its own transport does, and nothing else."""
        known = {
            INegotiated,
            ISSLTransport,
            ISystemHandle,
            ITCPTransport,
            ITLSTransport,
            IUNIXTransport,
        }
        for interface in known:
            _, _, channel = self.connect(interface)
            for other in known:
                self.assertEqual(
                    other.providedBy(channel),
                    other.providedBy(channel._transport),
                    (interface, other),
                )

    def test_delegated(self) -> None:
        """What those interfaces name is asked of the transport."""
        socket: Any = self.socket
        socket.getTcpNoDelay = lambda: "delay"
        socket.sendFileDescriptor = lambda descriptor: ("sent", descriptor)
        channel: Any = self.channel
        self.assertEqual(channel.getTcpNoDelay(), "delay")
        self.assertEqual(channel.sendFileDescriptor(7), ("sent", 7))

    def test_whatProgramsUse(self) -> None:
        """So is everything else that it has: programs use more than interfaces."""
        channel: Any = self.channel
        self.assertEqual(channel.connected, 1)
        self.assertIs(channel.reactor, self.reactor)
        self.assertIn(self.socket, self.reactor.readers)
        channel.stopReading()
        self.assertNotIn(self.socket, self.reactor.readers)
        channel.startReading()
        self.assertIn(self.socket, self.reactor.readers)
        self.assertEqual(channel.fileno(), self.socket.fileno())

    def test_notDelegated(self) -> None:
        """What is private is not: the transport's own matters stay its own."""
        socket: Any = self.socket
        socket._secret = "x"
        error = self.assertRaises(AttributeError, getattr, self.channel, "_secret")
        self.assertIn("_secret", str(error))

    def test_notThere(self) -> None:
        """What the transport does not have is missing here, too."""
        self.assertFalse(hasattr(self.channel, "getTcpKeepAlive"))
        self.assertFalse(hasattr(self.channel, "getPeerCertificate"))

    def test_repr(self) -> None:
        """It shows the addresses and the state, and no data."""
        self.partner.send(b"secret in")
        self.channel.write(b"secret out")
        self.reactor.run(2)
        shown = repr(self.channel)
        self.assertIn("TransferChannel open", shown)
        self.assertIn("192.0.2.1", shown)
        self.assertIn("192.0.2.2", shown)
        self.assertNotIn("secret", shown)
        self.channel.abortConnection()
        self.reactor.turn()
        self.assertIn("TransferChannel lost", repr(self.channel))

    def test_addresses(self) -> None:
        """The addresses are those of the transport."""
        self.socket.peer = UNIXAddress("/x")
        self.assertEqual(self.channel.getPeer(), UNIXAddress("/x"))
        self.assertEqual(self.channel.getHost(), self.socket.host)

    def test_withoutConnector(self) -> None:
        """One that no connector has made says so."""
        self.assertIsNone(self.channel.connector)
        self.assertIsNone(self.channel.peerIdentity)

    def test_disconnecting(self) -> None:
        """Protocols can see that they have closed it."""
        self.assertFalse(self.channel.disconnecting)
        self.channel.loseConnection()
        self.assertTrue(self.channel.disconnecting)


class WriteTests(ChannelTestCase):
    """Writing."""

    def test_write(self) -> None:
        """What is written is sent, in order."""
        self.channel.write(b"one")
        self.channel.writeSequence([b" two", b" three"])
        self.channel.writeSequence(iter([b" four"]))
        self.assertEqual(self.sent(), b"one two three four")

    def test_afterClose(self) -> None:
        """What is written after the end is dropped, as Twisted's transports do."""
        self.channel.write(b"in time")
        self.channel.loseConnection()
        self.channel.write(b" too late")
        self.assertEqual(self.sent(), b"in time")
        self.channel.write(b"much too late")
        self.reactor.run(3)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_afterAbort(self) -> None:
        """So it is after an abort."""
        self.channel.abortConnection()
        self.channel.write(b"too late")
        self.assertEqual(self.sent(), b"")

    def test_afterWriteEOF(self) -> None:
        """And after the end of the output alone."""
        self.channel.writeEOF()
        self.channel.write(b"too late")
        self.assertEqual(self.sent(), b"")
        self.assertTrue(self.partner.incoming.ended)

    def test_wrongType(self) -> None:
        """Neither is text data, nor the other way round, also after the end."""
        self.assertRaises(TypeError, self.channel.write, "text")
        self.channel.configure(encoding="utf-8")
        self.assertRaises(TypeError, self.channel.write, b"bytes")
        self.channel.loseConnection()
        self.assertRaises(TypeError, self.channel.write, b"bytes")
        self.assertEqual(self.sent(), b"")

    def test_afterWriteEOFAndLoss(self) -> None:
        """Ending the output of a connection that is gone does nothing."""
        self.partner.reset()
        self.reactor.run(2)
        self.channel.writeEOF()
        self.reactor.run(2)
        self.assertEqual(self.reactor.writers, set())


class TextTests(ChannelTestCase):
    """Text settings of the output, and what is special at the end."""

    def test_newlinesAndEncoding(self) -> None:
        """Text is written as the settings say."""
        self.channel.configure(encoding="utf-8", translation=("auto", "crlf"))
        self.channel.write("größe\n")
        self.channel.configure(translation=("auto", "cr"))
        self.channel.write("a\nb")
        self.assertEqual(self.sent(), "größe\r\na\rb".encode())

    def test_fromTheBeginning(self) -> None:
        """The settings can be given when the channel is made."""
        socket, partner = connected(self.reactor)
        link = Link(self.reactor)
        socket.attach(link)
        settings = TextSettings.BINARY.replaced(encoding="utf-8", translation="crlf")
        channel = TransferChannel(link, None, settings)
        channel.write("ä\n")
        partner.send("ö\r\n".encode())
        self.reactor.run(2)
        self.assertEqual(partner.take(), "ä\r\n".encode())
        self.assertEqual(self.successResultOf(channel.read()), "ö\n")

    def test_input(self) -> None:
        """They hold for what is read, too."""
        self.partner.send("ä\r\nö".encode("cp1252"))
        self.reactor.turn()
        self.channel.configure(encoding="cp1252", translation="auto")
        self.assertEqual(self.successResultOf(self.channel.readLine()), "ä\n")
        self.channel.configure(encoding="binary")
        self.assertEqual(self.successResultOf(self.channel.read()), b"\xf6")

    def test_refused(self) -> None:
        """A setting that cannot be changes nothing."""
        self.channel.configure(encoding="utf-8")
        for bad in (
            {"encoding": "klingon"},
            {"translation": "unix"},
            {"eofChar": "toolong"},
            {"encoding": "cp1252", "translation": "unix"},
        ):
            self.assertRaises(BadOption, self.channel.configure, **bad)
        self.channel.write("ä")
        self.assertEqual(self.sent(), "ä".encode())

    def test_states(self) -> None:
        """An encoding with states is brought back before another one begins."""
        self.channel.configure(encoding="iso2022-jp")
        self.channel.write("日本")
        self.channel.configure(encoding="utf-8")
        self.channel.write("x")
        self.assertEqual(self.sent(), "日本".encode("iso2022-jp") + b"x")

    def test_statesAtTheEnd(self) -> None:
        """And at the end of the output."""
        for end in ("loseConnection", "writeEOF"):
            _, self.partner, channel = self.connect()
            channel.configure(encoding="iso2022-jp")
            channel.write("日本")
            getattr(channel, end)()
            self.assertEqual(self.sent(), "日本".encode("iso2022-jp"))

    def test_statesAfterTheEnd(self) -> None:
        """Nothing of that is sent after the end."""
        self.channel.configure(encoding="iso2022-jp")
        self.channel.write("日本")
        self.channel.writeEOF()
        self.channel.configure(encoding="utf-8")
        self.assertEqual(self.sent(), "日本".encode("iso2022-jp"))

    def test_eofChar(self) -> None:
        """The end-of-file character is written at the end, once."""
        for ends in (
            ["loseConnection"],
            ["writeEOF", "loseConnection"],
            ["writeEOF", "writeEOF", "loseConnection", "loseConnection"],
            ["stopProducing"],
        ):
            _, self.partner, channel = self.connect()
            channel.configure(eofChar=("", "\x1a"))
            channel.write(b"data")
            for end in ends:
                getattr(channel, end)()
            self.assertEqual(self.sent(), b"data\x1a", ends)
            self.assertTrue(self.partner.incoming.ended)

    def test_eofCharAfterProducer(self) -> None:
        """It comes behind what a producer still writes."""
        self.channel.configure(eofChar=("", "\x1a"))
        pusher = Pusher(self.channel, 3)
        self.channel.registerProducer(pusher, True)
        self.channel.loseConnection()
        self.assertEqual(self.sent(), b"")
        pusher.resumeProducing()
        self.assertEqual(self.sent(), b"xxx\x1a")

    def test_noEOFCharInAnAbort(self) -> None:
        """An aborted output has no end."""
        self.channel.configure(eofChar=("", "\x1a"))
        self.channel.abortConnection()
        self.channel.loseConnection()
        self.assertEqual(self.sent(), b"")

    def test_unwritable(self) -> None:
        """A character that the encoding lacks is an error, nothing is written."""
        self.channel.configure(encoding="ascii")
        self.channel.write("a")
        self.assertRaises(UnicodeEncodeError, self.channel.write, "bä")
        self.channel.write("c")
        self.assertEqual(self.sent(), b"ac")


@implementer(IPullProducer)
class Slow:
    """A pull producer that has nothing when it is asked for the first time."""

    def __init__(self, channel: TransferChannel) -> None:
        self.channel = channel
        self.asked = 0
        self.stopped = False

    def resumeProducing(self) -> None:
        self.asked += 1

    def stopProducing(self) -> None:
        self.stopped = True


class ProducerTests(ChannelTestCase):
    """Producers that write into a channel."""

    def test_pauses(self) -> None:
        """A push producer is paused when the partner does not take it."""
        pusher = Pusher(self.channel, 1_000_000)
        self.channel.registerProducer(pusher, True)
        pusher.resumeProducing()
        self.reactor.run(5)
        self.assertTrue(pusher.paused)
        got = 0
        while pusher.left or not pusher.done.called:
            got += len(self.partner.take())
            self.reactor.turn()
        got += len(self.sent()) + len(self.sent()) + len(self.sent())
        self.assertEqual(got, 1_000_000)

    def test_onlyOne(self) -> None:
        """There is one at a time; the first one goes on."""
        pusher = Pusher(self.channel, 3)
        self.channel.registerProducer(pusher, True)
        self.assertRaises(
            RuntimeError,
            self.channel.registerProducer,
            Pusher(self.channel, 3),
            True,
        )
        self.channel.loseConnection()
        pusher.resumeProducing()
        self.assertEqual(self.sent(), b"xxx")
        self.assertTrue(self.partner.incoming.ended)

    def test_pull(self) -> None:
        """A pull producer is asked when there is room."""
        puller = Puller(self.channel, [b"a" * 50_000, b"b" * 50_000, b"c"])
        self.channel.registerProducer(puller, False)
        self.reactor.run(3)
        self.assertEqual(len(puller.blocks), 1)
        self.assertEqual(len(self.sent()), 65536)
        self.assertEqual(self.sent()[-1:], b"c")

    def test_pullAtOnce(self) -> None:
        """
        One that has given everything when it is asked for the first time is
        no longer waited for.
        """
        puller = Puller(self.channel, [b"everything"])
        self.channel.registerProducer(puller, False)
        self.channel.loseConnection()
        self.assertEqual(self.sent(), b"everything")
        self.assertTrue(self.partner.incoming.ended)

    def test_tooLate(self) -> None:
        """One that comes after the end is stopped at once."""
        for end in ("loseConnection", "abortConnection", "writeEOF"):
            _, self.partner, channel = self.connect()
            getattr(channel, end)()
            for streaming in (True, False):
                slow = Slow(channel)
                channel.registerProducer(slow, streaming)
                self.assertTrue(slow.stopped)
            self.reactor.run(2)
            slow = Slow(channel)
            channel.registerProducer(slow, True)
            self.assertTrue(slow.stopped)

    def test_nobodyReads(self) -> None:
        """
        One whose output has ended at the partner is stopped when the link finds
        out, and no longer waited for, be it with text settings.
        """
        for encoding in ("binary", "utf-8"):
            _, partner, channel = self.connect()
            channel.configure(encoding=encoding)
            pusher = Pusher(channel, 1_000_000)
            channel.registerProducer(pusher, True)
            channel._link.wire.stopProducer()
            self.assertTrue(pusher.stopped)
            channel.loseConnection()
            self.reactor.run(2)
            self.assertTrue(partner.incoming.ended)
            self.assertIsNone(self.successResultOf(channel.whenClosed()))

    def test_stopConsuming(self) -> None:
        """One that has nothing more to give may close the connection with that."""
        self.channel.configure(encoding="utf-8", eofChar=("", "\x1a"))
        pusher = Pusher(self.channel, 3)
        self.channel.registerProducer(pusher, True)
        self.channel.stopConsuming()
        self.assertEqual(self.sent(), b"\x1a")
        self.assertTrue(self.partner.incoming.ended)
        self.assertFalse(pusher.stopped)

    def test_loss(self) -> None:
        """One whose connection goes is stopped."""
        pusher = Pusher(self.channel, 100)
        self.channel.registerProducer(pusher, True)
        self.partner.reset()
        self.reactor.run(2)
        self.assertTrue(pusher.stopped)

    def test_closeWaitsForText(self) -> None:
        """With text settings closing waits for it, and takes all that it writes."""
        self.channel.configure(encoding="latin-1", eofChar=("", "\x1a"))
        channel: Any = self.channel
        slow = Slow(channel)
        channel.registerProducer(slow, True)
        channel.write("y")
        channel.loseConnection()
        channel.loseConnection()
        self.assertEqual(self.sent(), b"y")
        self.assertFalse(self.partner.incoming.ended)
        channel.write("x" * 10)
        channel.unregisterProducer()
        channel.write("too late")
        self.assertEqual(self.sent(), b"x" * 10 + b"\x1a")
        self.assertTrue(self.partner.incoming.ended)
        self.assertFalse(slow.stopped)
        self.assertIsNone(self.successResultOf(channel.whenClosed()))

    def test_closingKeepsNothing(self) -> None:
        """
        What comes while closing waits for the producer is dropped: with text
        settings, too, a partner cannot fill the memory meanwhile.
        """
        self.channel.configure(encoding="latin-1")
        self.channel.registerProducer(Slow(self.channel), True)
        self.partner.send(b"before")
        self.reactor.turn()
        self.channel.loseConnection()
        for _ in range(3):
            self.partner.send(b"after")
            self.reactor.turn()
        self.channel.unregisterProducer()
        self.reactor.run(3)
        self.assertEqual(self.successResultOf(self.channel.read()), "before")
        self.assertEqual(self.successResultOf(self.channel.read()), "")

    def test_closeWaitsForPaused(self) -> None:
        """Closing waits for one that was paused, and takes all that it writes."""
        pusher = Pusher(self.channel, 300_000)
        self.channel.registerProducer(pusher, True)
        self.channel.write(b"y")
        pusher.resumeProducing()
        self.assertTrue(pusher.paused)
        self.channel.loseConnection()
        got = b"".join(self.sent() for _ in range(5))
        self.assertEqual(got, b"y" + b"x" * 300_000)
        self.assertTrue(self.partner.incoming.ended)
        self.assertIsNone(self.successResultOf(self.channel.whenClosed()))

    def test_closeWaitsForPull(self) -> None:
        """So it does for a pull producer, which may take its time."""
        slow = Slow(self.channel)
        self.channel.registerProducer(slow, False)
        self.channel.loseConnection()
        self.reactor.run(3)
        self.assertFalse(self.partner.incoming.ended)
        self.channel.write(b"last")
        self.channel.unregisterProducer()
        self.assertEqual(self.sent(), b"last")
        self.assertTrue(self.partner.incoming.ended)
        self.assertFalse(slow.stopped)
        self.assertIsNone(self.successResultOf(self.channel.whenClosed()))

    def test_closeStopsIdle(self) -> None:
        """
        A push producer that is not paused is not waited for, as by Twisted's
        transports: what was written is sent, then it is stopped.
        """
        pusher = Pusher(self.channel, 100_000)
        self.channel.registerProducer(pusher, True)
        self.channel.write(b"y")
        self.channel.loseConnection()
        self.assertEqual(self.sent(), b"y")
        self.assertTrue(pusher.stopped)
        self.assertTrue(self.partner.incoming.ended)
        self.assertIsNone(self.successResultOf(self.channel.whenClosed()))

    def test_writeEOFWaits(self) -> None:
        """So does ending the output alone."""
        self.channel.configure(eofChar=("", "\x1a"))
        pusher = Pusher(self.channel, 100_000)
        self.channel.registerProducer(pusher, True)
        self.channel.writeEOF()
        self.reactor.run(3)
        self.assertFalse(self.partner.incoming.ended)
        pusher.resumeProducing()
        got = b"".join(self.sent() for _ in range(5))
        self.assertEqual(got, b"x" * 100_000 + b"\x1a")
        self.assertTrue(self.partner.incoming.ended)
        self.assertFalse(self.socket.disconnected)
        self.partner.send(b"answer")
        self.reactor.turn()
        self.assertEqual(self.successResultOf(self.channel.read()), b"answer")

    def test_unregisteredAfterTheEnd(self) -> None:
        """One that was stopped by the end of the connection may say so later."""
        link, socket, partner = serverLink(self.reactor, Identities(self))
        partner.handshake(self.reactor)
        channel = TransferChannel(link)
        pusher = Pusher(channel, 100)
        channel.registerProducer(pusher, True)
        channel.abortConnection()
        self.reactor.run(2)
        self.assertTrue(pusher.stopped)
        self.assertTrue(socket.disconnected)
        channel.unregisterProducer()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_writeEOFOfALostOne(self) -> None:
        """Nothing is left to end if the connection was lost meanwhile."""
        pusher = Pusher(self.channel, 1)
        self.channel.registerProducer(pusher, True)
        self.channel.writeEOF()
        self.partner.reset()
        self.reactor.turn()
        self.assertTrue(pusher.stopped)
        self.channel.unregisterProducer()
        self.assertEqual(self.reactor.writers, set())

    def test_stopProducing(self) -> None:
        """
        A channel whose consumer is gone stops its own producer, which may be
        that very consumer, as in ``twisted.protocols.portforward``.
        """
        link, _, partner = serverLink(self.reactor, Identities(self))
        partner.handshake(self.reactor)
        secure = TransferChannel(link)
        for channel, settings in (
            (self.channel, {}),
            (self.connect()[2], {"encoding": "latin-1"}),
            (secure, {}),
        ):
            channel.configure(**settings)
            slow = Slow(channel)
            channel.registerProducer(slow, True)
            channel.stopProducing()
            self.assertTrue(slow.stopped)
            self.reactor.run(3)
            partner.read()
            partner.closeNotify()
            self.reactor.run(3)
            self.assertIsNone(self.successResultOf(channel.whenClosed()))
        self.assertTrue(partner.ended)

    def test_abortDoesNotWait(self) -> None:
        """An abort stops it."""
        pusher = Pusher(self.channel, 100)
        self.channel.registerProducer(pusher, True)
        self.channel.abortConnection()
        self.reactor.run(2)
        self.assertTrue(pusher.stopped)
        self.assertTrue(self.socket.disconnected)

    def test_tls(self) -> None:
        """Over TLS it is no different."""
        link, _, partner = serverLink(self.reactor, Identities(self), 1 << 20)
        partner.handshake(self.reactor)
        channel = TransferChannel(link)
        pusher = Pusher(channel, 300_000)
        channel.registerProducer(pusher, True)
        channel.loseConnection()
        self.reactor.run(3)
        self.assertFalse(partner.ended)
        pusher.resumeProducing()
        got = b""
        for _ in range(20):
            self.reactor.turn()
            got += partner.read()
        self.assertEqual(got, b"x" * 300_000)
        self.assertTrue(partner.ended)
        partner.closeNotify()
        self.reactor.run(3)
        self.assertIsNone(self.successResultOf(channel.whenClosed()))


@implementer(IPushProducer)
class OwnProducer(Protocol):
    """Is its own push producer, as HTTP's protocols and relays are."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def connectionMade(self) -> None:
        channel: Any = self.transport
        channel.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        self.told.append(data)

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.told.append(reason.type)


class OwnProducerTests(ChannelTestCase):
    """Protocols that are registered at their own channel as long as it is open."""

    def setUp(self) -> None:
        super().setUp()
        self.protocol = self.channel.start(OwnProducer())

    def test_partnerCloses(self) -> None:
        """They hear of it at once, as a producer and as a protocol."""
        self.partner.end()
        self.reactor.run(2)
        self.assertEqual(self.protocol.told, ["stop", ConnectionDone])
        self.assertTrue(self.socket.disconnected)
        self.assertIsNone(self.successResultOf(self.channel.whenClosed()))

    def test_partnerClosesWithText(self) -> None:
        """So they do with text settings, which write the end of the output."""
        self.channel.configure(encoding="latin-1", eofChar=("", "\x1a"))
        self.partner.end()
        self.reactor.run(2)
        self.assertEqual(self.protocol.told, ["stop", ConnectionDone])
        self.assertEqual(self.partner.take(), b"\x1a")

    def test_partnerClosesOnPaused(self) -> None:
        """What was written is sent all the same, and nobody is asked for more."""
        self.channel.write(b"x" * 300_000)
        self.partner.end()
        got = b"".join(self.sent() for _ in range(6))
        self.assertEqual(len(got), 300_000)
        self.assertEqual(self.protocol.told, ["pause", "stop", ConnectionDone])
        self.assertIsNone(self.successResultOf(self.channel.whenClosed()))

    def test_closes(self) -> None:
        """They may close it without unregistering."""
        self.channel.write(b"last")
        self.channel.loseConnection()
        self.assertEqual(self.sent(), b"last")
        self.assertEqual(self.protocol.told, ["stop", ConnectionDone])
        self.assertIsNone(self.successResultOf(self.channel.whenClosed()))

    def test_partnerResets(self) -> None:
        """They hear of a loss, too."""
        self.partner.reset()
        self.reactor.run(2)
        self.assertEqual(self.protocol.told, ["stop", ConnectionLost])

    def test_partnerClosesTLS(self) -> None:
        """Over TLS the partner's close_notify is such an end."""
        link, socket, partner = serverLink(self.reactor, Identities(self))
        partner.handshake(self.reactor)
        channel = TransferChannel(link)
        protocol = channel.start(OwnProducer())
        partner.closeNotify()
        self.reactor.run(3)
        self.assertEqual(protocol.told, ["stop", ConnectionDone])
        self.assertTrue(socket.disconnected)
        self.assertIsNone(self.successResultOf(channel.whenClosed()))


class ProtocolTests(ChannelTestCase):
    """The protocol that has a channel, and one that takes over."""

    def test_protocol(self) -> None:
        """It can be asked for: nobody, the one that was started, nobody."""
        self.assertIsNone(self.channel.protocol)
        protocol = self.channel.start(OwnProducer())
        self.assertIs(self.channel.protocol, protocol)
        self.partner.end()
        self.reactor.run(2)
        self.assertIsNone(self.channel.protocol)

    def test_inLog(self) -> None:
        """Twisted's log names the protocol, by its own word if it has one."""

        class Named(Protocol):
            def logPrefix(self) -> str:
                return "mine"

        class Nameless:
            """As a protocol of another library may be."""

            def makeConnection(self, transport: object) -> None:
                """It is connected."""

        for protocol, name in (
            (Named(), "mine"),
            (OwnProducer(), "OwnProducer"),
            (Nameless(), "Nameless"),
        ):
            socket: Any
            socket, _, channel = self.connect()
            socket.logstr = "TransferChannel,7,192.0.2.2"
            started: Any = protocol
            channel.start(started)
            self.assertEqual(socket.logstr, f"{name},7,192.0.2.2")

    def test_another(self) -> None:
        """Another one in its place gets what comes, and the end; that one nothing."""
        for encoding, data in (("binary", b"new"), ("latin-1", "new")):
            _, partner, channel = self.connect()
            channel.configure(encoding=encoding)
            first, second = OwnProducer(), OwnProducer()
            channel.start(first)
            partner.send(b"old")
            self.reactor.turn()
            channel.unregisterProducer()
            second.makeConnection(channel)
            channel.protocol = second
            partner.send(b"new")
            self.reactor.turn()
            partner.end()
            self.reactor.run(3)
            self.assertEqual(len(first.told), 1)
            self.assertEqual(second.told, [data, "stop", ConnectionDone])

    def test_fromWithin(self) -> None:
        """So it is if it takes over with the first piece, as HTTP's upgrades do."""
        for early in (False, True):
            _, partner, channel = self.connect()
            second = OwnProducer()

            class Upgrading(OwnProducer):
                def dataReceived(self, data: bytes) -> None:
                    super().dataReceived(data)
                    channel: Any = self.transport
                    channel.unregisterProducer()
                    second = self.second
                    second.makeConnection(channel)
                    channel.protocol = second

                second: OwnProducer

            first = Upgrading()
            first.second = second
            if early:
                for piece in (b"upgrade", b"new"):
                    channel._link.dataReceived(piece)
            channel.start(first)
            if not early:
                for piece in (b"upgrade", b"new"):
                    partner.send(piece)
                    self.reactor.turn()
            self.reactor.run(2)
            self.assertEqual(first.told, [b"upgrade"])
            self.assertEqual(second.told, [b"new"])
            channel.abortConnection()
            self.reactor.run(2)


class SequenceTests(ChannelTestCase):
    """Several pieces in one write."""

    def test_once(self) -> None:
        """The transport gets them at once, and pauses nobody twice."""
        writes: list[bytes] = []
        write = SimulatedSocket.write

        def noting(socket: SimulatedSocket, data: bytes) -> None:
            writes.append(data)
            write(socket, data)

        self.patch(SimulatedSocket, "write", noting)
        for settings in ({}, {"encoding": "latin-1"}):
            self.socket, self.partner, channel = self.connect()
            channel.configure(**settings)
            protocol = channel.start(OwnProducer())
            pieces: list[Any] = [b"x" * 50_000] * 4
            if settings:
                pieces = ["x" * 50_000] * 4
            channel.writeSequence(iter(pieces))
            self.assertEqual(writes, [b"x" * 200_000])
            self.assertEqual(protocol.told, ["pause"])
            writes.clear()


class OutputStepsTests(ChannelTestCase):
    """Which states of the output follow each other."""

    def test_all(self) -> None:
        """
        Whatever is done in whatever state: all of the table's steps are taken,
        and no other one.
        """
        before: dict[Output, list[str]] = {
            Output.OPEN: [],
            Output.ENDING: ["register", "writeEOF"],
            Output.LOSING: ["register", "loseConnection"],
            Output.ENDED: ["writeEOF"],
            Output.CLOSED: ["loseConnection"],
        }
        events = (
            *("register", "unregisterProducer", "writeEOF", "loseConnection"),
            *("abortConnection", "stopProducing", "stopConsuming", "write"),
            *("configure", "end", "reset", "turn"),
        )
        taken = notedSteps(self, TransferChannel, "_output")
        for state, way in before.items():
            for event in events:
                for started in (False, True):
                    self.socket, self.partner, self.channel = self.connect()
                    if started:
                        self.channel.start(Protocol())
                    for each in way:
                        self.happens(each)
                    self.assertIs(self.channel._output, state)
                    self.happens(event)
                    self.happens("abortConnection")
                    self.reactor.run(3)
        self.assertEqual(taken, allSteps(OUTPUT_STEPS))

    def happens(self, event: str) -> None:
        """Have something happen to the channel."""
        if event == "register":
            with contextlib.suppress(RuntimeError):  # there is one already
                self.channel.registerProducer(Slow(self.channel), False)
        elif event == "write":
            self.channel.write(b"x")
        elif event == "configure":
            self.channel.configure(translation="lf")
        elif event == "turn":
            self.reactor.turn()
        elif event in ("end", "reset"):
            getattr(self.partner, event)()
            self.reactor.run(2)
        else:
            getattr(self.channel, event)()


class InsideTests(ChannelTestCase):
    """What the rest of the package needs of a channel."""

    def text(self, **how: Any) -> TextSettings:
        return TextSettings.BINARY.replaced(**how)

    def test_clock(self) -> None:
        """The time is that of its connection."""
        self.assertIs(self.channel.clock, self.reactor)

    def test_settings(self) -> None:
        """The settings are those that were set last."""
        self.assertEqual(self.channel.settings, TextSettings.BINARY)
        how = {"encoding": "utf-8", "translation": ("auto", "cr")}
        self.channel.configure(**how)  # type: ignore[arg-type]
        self.assertEqual(self.channel.settings, self.text(**how))

    def test_bottom(self) -> None:
        """Under all layers there is the socket."""
        self.assertIs(self.channel.bottom, self.socket)
        link, socket, partner = serverLink(self.reactor, Identities(self))
        partner.handshake(self.reactor)
        self.assertIs(TransferChannel(link).bottom, socket)

    def test_writingBy(self) -> None:
        """Other settings hold in the block, also if that fails, and not after."""
        settings = self.text(encoding="utf-8", translation="crlf")
        for error in (None, ZeroDivisionError()):
            try:
                with self.channel.writingBy(settings):
                    write: Any = self.channel.write
                    write("ü\n")
                    if error is not None:
                        raise error
            except ZeroDivisionError:
                self.assertIsNotNone(error)
            self.channel.write(b"\xfc\n")
            self.assertEqual(self.sent(), b"\xc3\xbc\r\n\xfc\n")

    def test_same(self) -> None:
        """The channel's own settings change nothing, not even a byte order mark."""
        self.channel.configure(encoding="utf-16")
        self.channel.write("a")
        with self.channel.writingBy(self.channel.settings):
            self.channel.write("b")
        self.channel.write("c")
        self.assertEqual(self.sent(), "abc".encode("utf-16"))

    def test_changedMeanwhile(self) -> None:
        """Who configures the channel meanwhile has set what it is to be."""
        with self.channel.writingBy(self.text(encoding="utf-8")):
            self.channel.write("ü")
            self.channel.configure(encoding="latin-1")
            self.channel.write("ü")
        self.channel.write("ü")
        self.assertEqual(self.sent(), b"\xc3\xbc\xfc\xfc")

    def test_closedMeanwhile(self) -> None:
        """What an encoding with states has to end with is not written too late."""
        with self.channel.writingBy(self.text(encoding="iso2022-jp")):
            self.channel.write("あ")
            self.channel.loseConnection()
        self.assertEqual(self.sent(), "あ".encode("iso2022_jp"))


class HalfCloseTests(ChannelTestCase):
    """Ending the output alone."""

    def test_byEitherName(self) -> None:
        """As ITCPTransport calls it, it is the same."""
        self.channel.configure(eofChar=("", "\x1a"))
        self.channel.loseWriteConnection()
        self.assertEqual(self.sent(), b"\x1a")
        self.assertTrue(self.partner.incoming.ended)
        self.assertFalse(self.partner.incoming.deaf)

    def test_unsupported(self) -> None:
        """A transport that cannot do that is left as it was."""

        class Whole:
            """Knows one end for both directions."""

            written = b""

            def write(self, data: bytes) -> None:
                self.written += data

            def getHost(self) -> UNIXAddress:
                return UNIXAddress("/here")

            getPeer = getHost

        whole = Whole()
        link = Link(Clock())
        link.makeConnection(whole)
        channel = TransferChannel(link)
        channel.configure(eofChar="\x1a")
        self.assertRaises(HalfCloseUnsupported, channel.writeEOF)
        self.assertEqual(whole.written, b"")
        channel.write(b"on")
        self.assertEqual(whole.written, b"on")


class ReadTests(ChannelTestCase):
    """Reading by asking."""

    def test_nonsense(self) -> None:
        """Less than nothing cannot be read."""
        for count in (0, -1):
            self.assertRaises(ValueError, self.channel.read, count)
            self.assertRaises(ValueError, self.channel.readLine, count)
        self.assertRaises(ValueError, self.channel.readExactly, -1)
        self.assertEqual(self.successResultOf(self.channel.readExactly(0)), b"")

    def test_iteration(self) -> None:
        """``async for`` gives the data up to the end, or to the truncation."""
        got: list[bytes] = []

        async def iterate() -> None:
            async for chunk in self.channel:
                got.append(chunk)

        iterating = Deferred.fromCoroutine(iterate())
        for piece in (b"one", b"two"):
            self.partner.send(piece)
            self.reactor.turn()
        self.partner.reset()
        self.reactor.turn()
        self.failureResultOf(iterating, Truncated)
        self.assertEqual(got, [b"one", b"two"])

    def test_unpauses(self) -> None:
        """Who asks is not held back by an earlier pause."""
        self.channel.pauseProducing()
        self.partner.send(b"x")
        self.reactor.run(3)
        reading = self.channel.read()
        self.reactor.run(2)
        self.assertEqual(self.successResultOf(reading), b"x")

    def test_afterLoseConnection(self) -> None:
        """What was read from the system before the end can still be asked for."""
        self.partner.send(b"some")
        self.reactor.turn()
        self.channel.loseConnection()
        self.reactor.run(3)
        self.assertEqual(self.successResultOf(self.channel.readExactly(4)), b"some")
        error = self.failureResultOf(self.channel.readExactly(1), NotEnoughData)
        self.assertEqual(error.value.partial, b"")

    def test_endWhileWaiting(self) -> None:
        """Who waits when the channel is closed here is told of the end."""
        reading = self.channel.read()
        self.channel.loseConnection()
        self.reactor.run(3)
        self.assertEqual(self.successResultOf(reading), b"")


class ClosedTests(ChannelTestCase):
    """Waiting for the end."""

    def test_oftenAndLate(self) -> None:
        """It can be asked at any time and any number of times."""
        before = [self.channel.whenClosed() for _ in range(2)]
        self.channel.loseConnection()
        self.reactor.run(3)
        for closed in [*before, self.channel.whenClosed()]:
            self.assertIsNone(self.successResultOf(closed))

    def test_truncated(self) -> None:
        """Everybody hears of a truncation."""
        before = [self.channel.whenClosed() for _ in range(2)]
        self.partner.reset()
        self.reactor.run(2)
        for closed in [*before, self.channel.whenClosed()]:
            self.failureResultOf(closed, Truncated)

    def test_cancelled(self) -> None:
        """Who no longer wants to hear of it does not disturb the others."""
        first, second = self.channel.whenClosed(), self.channel.whenClosed()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.channel.loseConnection()
        self.reactor.run(3)
        self.assertIsNone(self.successResultOf(second))

    def test_abort(self) -> None:
        """An abort by this side is no orderly end, whatever was sent."""
        self.channel.write(b"x")
        self.reactor.run(3)
        self.channel.abortConnection()
        self.reactor.run(2)
        self.failureResultOf(self.channel.whenClosed(), Truncated)

    def test_abortWhileClosing(self) -> None:
        """Nor is one while it was being closed."""
        self.socket, self.partner, self.channel = self.connect(capacity=10)
        self.channel.write(b"x" * 100)
        self.channel.loseConnection()
        self.reactor.run(3)
        self.channel.abortConnection()
        self.reactor.run(2)
        self.failureResultOf(self.channel.whenClosed(), Truncated)
        self.assertTrue(self.partner.incoming.broken)

    def test_bothEnds(self) -> None:
        """After both halves have ended nothing is left to wait for."""
        self.partner.end()
        self.channel.writeEOF()
        self.reactor.run(3)
        self.assertEqual(self.successResultOf(self.channel.read()), b"")
        self.channel.loseConnection()
        self.assertIsNone(self.successResultOf(self.channel.whenClosed()))


class IdentityTests(SynchronousTestCase):
    """Who the partner is."""

    def test_peerIdentity(self) -> None:
        """Over TLS, what the partner has shown."""
        reactor = SimulatedReactor()
        identities = Identities(self)
        link, _, client = serverLink(reactor, identities)
        client.handshake(reactor)
        channel: Any = TransferChannel(link)
        self.assertIsNone(channel.peerIdentity)
        self.assertTrue(INegotiated.providedBy(channel))
        self.assertIsInstance(channel.getHandle(), SSL.Connection)
        socket, raw = connected(reactor)
        link = Link(reactor)
        socket.attach(overTLS(reactor, identities.client(), link, client=True))
        server = TLSPartner(raw, identities.serverContext(), client=False)
        server.handshake(reactor)
        identity = TransferChannel(link).peerIdentity
        assert identity is not None
        shown = server.tls.get_certificate()
        assert shown is not None
        self.assertEqual(identity.certificate, shown.to_cryptography())
