"""
Tests for :mod:`twisted_transfer.channel.delivery`: what a protocol gets.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.support.simulation import (
    Partner,
    SimulatedReactor,
    SimulatedSocket,
    connected,
)
from tests.support.steps import allSteps, notedSteps
from tests.support.tlsends import Identities, serverLink
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.channel.delivery import READER_STEPS, Delivery, Reader
from twisted_transfer.channel.inbox import FULL
from twisted_transfer.channel.link import Link
from twisted_transfer.errors import AlreadyReading, Truncated, Undecodable


class Noting(Protocol):
    """Notes what it is told, and does at each step what it was given to do."""

    def __init__(self, **steps: Callable[[Any], object]) -> None:
        """
        :param steps: by the name of a method, what to do in it: ``made``,
            ``data``, ``lost``, ``input``, ``output``.
        """
        self.told: list[Any] = []
        self._steps = steps

    @property
    def channel(self) -> TransferChannel:
        transport: Any = self.transport
        assert isinstance(transport, TransferChannel)
        return transport

    def step(self, name: str, told: object) -> None:
        self.told.append(told)
        if name in self._steps:
            self._steps[name](self)

    def connectionMade(self) -> None:
        self.step("made", "made")

    def dataReceived(self, data: bytes) -> None:
        self.step("data", data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.step("lost", reason.type)


@implementer(IHalfCloseableProtocol)
class HalfNoting(Noting):
    """Goes on when the partner sends no more."""

    def readConnectionLost(self) -> None:
        self.step("input", "input ended")

    def writeConnectionLost(self) -> None:
        self.step("output", "output ended")


def failing(protocol: Any) -> None:
    """An error in the user's code."""
    raise ZeroDivisionError


def calling(method: str) -> Callable[[Any], None]:
    """
    :param method: one of a channel's.
    :returns: what calls it on a protocol's channel.
    """

    def call(protocol: Any) -> None:
        getattr(protocol.channel, method)()

    return call


class IntakeTestCase(SynchronousTestCase):
    """A test with a channel whose partner is driven by hand."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.socket, self.partner, self.channel = self.connect()

    def connect(self) -> tuple[SimulatedSocket, Partner, TransferChannel]:
        socket, partner = connected(self.reactor)
        link = Link(self.reactor)
        socket.attach(link)
        return socket, partner, TransferChannel(link)

    def send(self, *pieces: bytes) -> None:
        """Let the pieces come one by one."""
        for piece in pieces:
            self.partner.send(piece)
            self.reactor.turn()


class DeliveryTests(IntakeTestCase):
    """Data for a protocol."""

    def test_inPieces(self) -> None:
        """It comes as it has come, before start() and after it."""
        self.send(b"one", b"two")
        noting = self.channel.start(Noting())
        self.send(b"three")
        self.reactor.run(2)
        self.assertEqual(noting.told, ["made", b"one", b"two", b"three"])

    def test_notFromWithinStart(self) -> None:
        """
        What is here already is delivered when whoever starts the protocol has
        it in hand, as Twisted's endpoints do it.
        """
        self.send(b"early")
        noting = self.channel.start(Noting())
        self.assertEqual(noting.told, ["made"])
        self.reactor.turn()
        self.assertEqual(noting.told, ["made", b"early"])

    def test_notFromWithinResume(self) -> None:
        """
        Nor is it from within a call of the protocol's own: a producer is told
        to go on, it does not do so at once.
        """
        self.send(b"one", b"two")
        noting = self.channel.start(Noting(made=lambda p: p.channel.pauseProducing()))
        self.reactor.run(2)
        self.assertEqual(noting.told, ["made"])
        self.channel.resumeProducing()
        self.assertEqual(noting.told, ["made"])
        self.reactor.turn()
        self.assertEqual(noting.told, ["made", b"one", b"two"])

    def test_restOfARead(self) -> None:
        """What a read has left goes to the protocol."""
        self.send(b"header body")
        self.assertEqual(self.successResultOf(self.channel.readExactly(7)), b"header ")
        noting = self.channel.start(Noting())
        self.reactor.turn()
        self.assertEqual(noting.told, ["made", b"body"])

    def test_lines(self) -> None:
        """Twisted's protocols for lines find what they look for."""
        got: list[bytes] = []

        class Lines(LineReceiver):
            delimiter = b"\n"

            def lineReceived(self, line: bytes) -> None:
                got.append(line)
                self.sendLine(line.upper())
                if line == b"bye":
                    channel.loseConnection()

        channel = self.channel
        channel.start(Lines())
        self.send(b"hello\nwo", b"rld\nbye\nnot read\n")
        self.reactor.run(3)
        self.assertEqual(got, [b"hello", b"world", b"bye"])
        self.assertEqual(self.partner.take(), b"HELLO\nWORLD\nBYE\n")
        self.assertTrue(self.partner.incoming.ended)

    def test_text(self) -> None:
        """With an encoding it gets text, across the borders of the pieces."""
        self.channel.configure(encoding="utf-8", translation="auto")
        noting = self.channel.start(Noting())
        euro = "€\r\n".encode()
        self.send(euro[:1], euro[1:4], euro[4:])
        self.assertEqual(noting.told, ["made", "€\n"])

    def test_configured(self) -> None:
        """New settings from within count for everything behind that piece."""
        noting = self.channel.start(
            Noting(data=lambda p: p.channel.configure(encoding="cp1252"))
        )
        self.send(b"\xe4", b"\xe4")
        self.assertEqual(noting.told, ["made", b"\xe4", "ä"])

    def test_configuredInVain(self) -> None:
        """They are also tried on what could not be decoded before."""
        self.channel.configure(encoding="utf-8")
        noting = self.channel.start(Noting(made=lambda p: p.channel.pauseProducing()))
        self.send(b"\xe4")
        self.channel.configure(encoding="cp1252")
        self.channel.resumeProducing()
        self.reactor.turn()
        self.assertEqual(noting.told, ["made", "ä"])

    def test_configuredFromOutside(self) -> None:
        """What makes sense only by the new settings is delivered."""
        self.channel.configure(encoding="utf-8")
        noting = self.channel.start(Noting())
        self.send(b"a\xe2\x82")
        self.assertEqual(noting.told, ["made", "a"])
        self.channel.configure(encoding="cp1252")
        self.assertEqual(noting.told, ["made", "a"])
        self.reactor.turn()
        self.assertEqual(noting.told[2:], [b"\xe2\x82".decode("cp1252")])

    def test_oneReader(self) -> None:
        """A protocol that has a channel has it alone, also from within."""
        errors: list[Exception] = []

        def another(protocol: Noting) -> None:
            try:
                protocol.channel.start(Noting())
            except AlreadyReading as error:
                errors.append(error)

        noting = self.channel.start(Noting(made=another, data=another))
        self.send(b"x")
        self.assertEqual(noting.told, ["made", b"x"])
        self.assertEqual(len(errors), 2)
        self.assertRaises(AlreadyReading, self.channel.read)


class PaceTests(IntakeTestCase):
    """How fast a protocol gets its data."""

    def test_pausedFromWithin(self) -> None:
        """One that pauses gets nothing more, of what is here already either."""
        self.send(b"one", b"two", b"three")
        noting = self.channel.start(Noting(data=lambda p: p.channel.pauseProducing()))
        for count in (2, 3, 4):
            self.reactor.run(3)
            self.assertEqual(len(noting.told), count)
            self.channel.resumeProducing()
        self.assertEqual(noting.told, ["made", b"one", b"two", b"three"])

    def test_pausedAndResumedFromWithin(self) -> None:
        """One that pauses and resumes at once goes on."""

        def shortly(protocol: Noting) -> None:
            protocol.channel.pauseProducing()
            protocol.channel.resumeProducing()

        noting = self.channel.start(Noting(made=shortly, data=shortly))
        self.send(b"one", b"two")
        self.assertEqual(noting.told, ["made", b"one", b"two"])

    def test_pauseReachesThePartner(self) -> None:
        """Nothing is read from the system as long as a protocol pauses."""
        noting = self.channel.start(Noting())
        self.channel.pauseProducing()
        self.send(*[b"x" * 10_000] * 20)
        self.assertEqual(len(self.partner.outgoing.data), 200_000)
        self.channel.resumeProducing()
        self.reactor.run(10)
        self.assertEqual(len(self.partner.outgoing.data), 0)
        self.assertEqual(len(b"".join(noting.told[1:])), 200_000)

    def test_nobodyReads(self) -> None:
        """Without a reader, so much is read as there is room for."""
        self.send(*[b"x" * 10_000] * 20)
        read = 200_000 - len(self.partner.outgoing.data)
        self.assertGreaterEqual(read, FULL)
        self.assertLess(read, FULL + 10_000)
        self.channel.start(Noting())
        self.reactor.run(10)
        self.assertEqual(len(self.partner.outgoing.data), 0)

    def test_noPausesInBetween(self) -> None:
        """Large pieces that are taken at once are no reason to pause."""
        pauses = 0
        pause = self.socket.pauseProducing

        def counted() -> None:
            nonlocal pauses
            pauses += 1
            pause()

        self.socket.pauseProducing = counted  # type: ignore[method-assign]
        self.channel.start(Noting())
        self.reactor.run(2)
        self.send(*[b"x" * 65536] * 5)
        self.assertEqual(pauses, 0)


class EndTests(IntakeTestCase):
    """The end of the input, and of the connection."""

    def test_closed(self) -> None:
        """
        When the partner sends no more, the connection of a protocol that knows
        of no halves is closed after what it has written.
        """
        noting = self.channel.start(Noting(data=lambda p: p.channel.write(b"answer")))
        self.partner.send(b"question")
        self.partner.end()
        self.reactor.run(5)
        self.assertEqual(noting.told, ["made", b"question", ConnectionDone])
        self.assertEqual(self.partner.take(), b"answer")
        self.assertTrue(self.partner.incoming.ended)

    def test_halves(self) -> None:
        """One that knows of them is told, and goes on."""
        noting = self.channel.start(HalfNoting())
        self.partner.end()
        self.reactor.run(3)
        self.assertEqual(noting.told, ["made", "input ended"])
        self.channel.write(b"on")
        self.channel.writeEOF()
        self.reactor.run(3)
        self.assertEqual(self.partner.take(), b"on")
        self.assertEqual(noting.told[2:], ["output ended"])
        self.channel.loseConnection()
        self.reactor.run(3)
        self.assertEqual(noting.told[3:], [ConnectionDone])

    def test_pausedAtTheEnd(self) -> None:
        """A paused protocol is told of the end of the input when it resumes."""
        for protocol, end in (
            (HalfNoting(), "input ended"),
            (Noting(), ConnectionDone),
        ):
            self.socket, self.partner, self.channel = self.connect()
            self.channel.start(protocol)
            self.send(b"data")
            # Its reading was not paused in time for the end.
            self.channel.pauseProducing()
            self.channel._link.readConnectionLost()
            self.reactor.run(3)
            self.assertEqual(protocol.told, ["made", b"data"])
            self.channel.resumeProducing()
            self.reactor.run(3)
            self.assertEqual(protocol.told[2:], [end])
            self.channel.abortConnection()
            self.reactor.turn()

    def test_lostWhilePaused(self) -> None:
        """What had come before the connection was lost is delivered before."""
        noting = self.channel.start(Noting(data=lambda p: p.channel.pauseProducing()))
        self.send(b"one")
        self.channel._link.dataReceived(b"two")
        self.channel._link.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(noting.told, ["made", b"one", b"two", ConnectionLost])

    def test_lostBefore(self) -> None:
        """A connection that is gone already is told of as any other one."""
        self.send(b"all")
        self.partner.reset()
        self.reactor.run(2)
        self.failureResultOf(self.channel.whenClosed(), Truncated)
        noting = self.channel.start(Noting())
        self.assertEqual(noting.told, ["made"])
        self.reactor.turn()
        self.assertEqual(noting.told, ["made", b"all", ConnectionLost])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_lostFromWithin(self) -> None:
        """One that closes gets nothing more but the end."""
        for method in ("loseConnection", "abortConnection", "stopProducing"):
            self.socket, self.partner, self.channel = self.connect()
            self.send(b"one", b"two")
            noting = self.channel.start(Noting(data=calling(method)))
            self.reactor.run(3)
            self.assertEqual(noting.told[:2], ["made", b"one"])
            self.assertEqual(len(noting.told), 3, noting.told)
            self.assertTrue(
                issubclass(noting.told[2], (ConnectionDone, ConnectionLost))
            )
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_lostFromWithinTheStart(self) -> None:
        """So does one that closes when it is connected."""
        for method in ("loseConnection", "abortConnection"):
            self.socket, self.partner, self.channel = self.connect()
            self.send(b"one")
            noting = self.channel.start(Noting(made=calling(method)))
            self.reactor.run(3)
            self.assertEqual(len(noting.told), 2, noting.told)
            self.assertTrue(self.socket.disconnected)

    def test_goneAtOnce(self) -> None:
        """
        A connection that ends from within the protocol's call is told of at once,
        as by Twisted's transports; with text settings, when that call is over.
        """
        for encoding, within in (("binary", [True]), ("latin-1", [])):
            self.socket, self.partner, self.channel = self.connect()
            self.channel.configure(encoding=encoding)
            self.goneAtOnce(within)

    def goneAtOnce(self, within: list[bool]) -> None:
        """
        :param within: what is noted when the protocol hears of the end.
        """
        inside: list[bool] = []

        def close(protocol: HalfNoting) -> None:
            inside.append(True)
            # With its output ended, Twisted's socket is gone at once.
            protocol.channel.loseConnection()
            inside.pop()

        noting = self.channel.start(
            HalfNoting(data=close, lost=lambda p: p.told.append(list(inside)))
        )
        self.channel.writeEOF()
        self.reactor.run(2)
        self.send(b"x")
        self.assertEqual(noting.told[:2], ["made", "output ended"])
        self.assertIn(noting.told[2], (b"x", "x"))
        self.assertEqual(noting.told[3:], [ConnectionDone, within])

    def test_toldOnceFromWithin(self) -> None:
        """
        So is the end of a transport that ends within the protocol's own call,
        whether what the protocol gets had waited for it or not.
        """
        for early in (b"", b"early"):
            transport = StringTransportWithDisconnection()
            link = transport.protocol = Link(self.reactor)
            link.makeConnection(transport)
            link.dataReceived(early)

            def goOnAndClose(protocol: Noting) -> None:
                protocol.channel.pauseProducing()
                protocol.channel.resumeProducing()
                protocol.channel.loseConnection()

            noting = TransferChannel(link).start(Noting(data=goOnAndClose))
            self.reactor.turn()
            if not early:
                link.dataReceived(b"late")
            self.assertEqual(noting.told, ["made", early or b"late", ConnectionDone])

    def test_toldOnce(self) -> None:
        """Each of the ends is told of once, whatever is done afterwards."""

        def stir() -> None:
            self.channel.pauseProducing()
            self.channel.resumeProducing()
            self.channel.configure(translation="lf")
            self.reactor.run(3)

        noting = self.channel.start(HalfNoting())
        self.partner.end()
        self.reactor.run(3)
        stir()
        self.assertEqual(noting.told, ["made", "input ended"])
        self.channel.loseConnection()
        self.reactor.run(3)
        stir()
        self.assertEqual(noting.told, ["made", "input ended", ConnectionDone])

    def test_lostMeanwhile(self) -> None:
        """A connection that goes before the first data are delivered."""
        self.send(b"data")
        noting = self.channel.start(Noting())
        self.channel._link.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(noting.told, ["made", b"data", ConnectionLost])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_outputOfOneWithoutHalves(self) -> None:
        """A protocol that knows of no halves is not told of its own."""
        noting = self.channel.start(Noting())
        self.channel.writeEOF()
        self.reactor.run(3)
        self.assertEqual(noting.told, ["made"])

    def test_eofChar(self) -> None:
        """An end-of-file character is an end of the input."""
        for protocol, end in (
            (HalfNoting(), "input ended"),
            (Noting(), ConnectionDone),
        ):
            self.socket, self.partner, self.channel = self.connect()
            self.channel.configure(eofChar=("\x1a", ""))
            self.channel.start(protocol)
            self.send(b"a\x1ab", b"c")
            self.reactor.run(3)
            self.assertEqual(protocol.told, ["made", b"a", end])
            self.channel.abortConnection()
            self.reactor.turn()

    def test_eofCharWhilePaused(self) -> None:
        """One that has paused before it is told when it resumes."""
        self.channel.configure(eofChar=("\x1a", ""))
        noting = self.channel.start(
            HalfNoting(data=lambda p: p.channel.pauseProducing())
        )
        self.send(b"a\x1a")
        self.assertEqual(noting.told, ["made", b"a"])
        self.channel.resumeProducing()
        self.reactor.run(2)
        self.assertEqual(noting.told, ["made", b"a", "input ended"])

    def test_undecodable(self) -> None:
        """
        Input that cannot be decoded ends the connection; the protocol is told
        why.
        """
        self.channel.configure(encoding="utf-8")
        noting = self.channel.start(Noting())
        self.send(b"ab\xffcd")
        self.reactor.run(2)
        self.assertEqual(noting.told, ["made", "ab", Undecodable])
        self.assertTrue(self.partner.incoming.broken)


class FailingTests(IntakeTestCase):
    """Errors in the protocol."""

    def failed(self, protocol: Noting, told: list[Any]) -> None:
        """An error was logged, the connection aborted, the protocol told."""
        self.reactor.run(3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(self.socket.aborted)
        self.failureResultOf(self.channel.whenClosed(), Truncated)
        self.assertEqual(len(protocol.told), len(told) + 1)
        self.assertEqual(protocol.told[:-1], told)
        self.assertIs(protocol.told[-1], ZeroDivisionError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_data(self) -> None:
        """After an error it gets nothing more but the end."""
        self.send(b"one", b"two", b"three")
        noting = self.channel.start(Noting(data=failing))
        self.failed(noting, ["made", b"one"])

    def test_dataAfterTheLoss(self) -> None:
        """So it is when the connection is gone already."""
        self.send(b"one", b"two")
        self.partner.reset()
        self.reactor.run(2)
        noting = self.channel.start(Noting(data=failing))
        self.reactor.run(3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(noting.told, ["made", b"one", ZeroDivisionError])
        self.failureResultOf(self.channel.whenClosed(), Truncated)

    def test_inputEnded(self) -> None:
        """An error at the end of the input is one, too."""
        noting = self.channel.start(HalfNoting(input=failing))
        self.partner.end()
        self.failed(noting, ["made", "input ended"])

    def test_made(self) -> None:
        """
        An error when it is connected goes to whoever has started it, and the
        connection is aborted.
        """
        self.send(b"one")
        noting = Noting(made=failing)
        self.assertRaises(ZeroDivisionError, self.channel.start, noting)
        self.reactor.run(3)
        self.assertTrue(self.socket.aborted)
        self.assertEqual(noting.told[0], "made")
        self.assertEqual(len(noting.told), 2)
        self.failureResultOf(self.channel.whenClosed(), Truncated)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_lost(self) -> None:
        """An error when it is told of the end is logged."""
        noting = self.channel.start(Noting(lost=failing))
        self.partner.end()
        self.reactor.run(3)
        self.assertEqual(noting.told, ["made", ConnectionDone])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNone(self.successResultOf(self.channel.whenClosed()))


class DescriptorTests(IntakeTestCase):
    """File descriptors, as they come over UNIX sockets."""

    def descriptor(self) -> int:
        """:returns: a descriptor that somebody has to close."""
        reader, writer = os.pipe()
        os.close(writer)
        return reader

    def test_received(self) -> None:
        """They go to a protocol that takes them."""

        @implementer(IFileDescriptorReceiver)
        class Taking(Noting):
            def fileDescriptorReceived(self, descriptor: int) -> None:
                self.step("descriptor", descriptor)

        noting = self.channel.start(Taking())
        descriptor = self.descriptor()
        self.channel._link.fileDescriptorReceived(descriptor)
        self.assertEqual(noting.told, ["made", descriptor])
        os.close(descriptor)

    def test_unwanted(self) -> None:
        """Without such a protocol they are closed, and the log says so."""
        for start in (False, True):
            if start:
                self.channel.start(Noting())
            descriptor = self.descriptor()
            with capturedLogs() as events:
                self.channel._link.fileDescriptorReceived(descriptor)
            self.assertRaises(OSError, os.fstat, descriptor)
            [said] = map(formatEvent, events)
            self.assertIn("descriptor from 192.0.2.2:2000 is closed", str(said))

    def test_failing(self) -> None:
        """An error of the protocol's is logged and ends the connection."""

        @implementer(IFileDescriptorReceiver)
        class Failing(Noting):
            def fileDescriptorReceived(self, descriptor: int) -> None:
                os.close(descriptor)
                raise ZeroDivisionError

        self.channel.start(Failing())
        self.channel._link.fileDescriptorReceived(self.descriptor())
        self.reactor.run(3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.failureResultOf(self.channel.whenClosed(), Truncated)


class DirectTests(IntakeTestCase):
    """Bytes that nothing has to look at, with nothing that waits."""

    def test_nothingBetween(self) -> None:
        """The protocol is called from one call of ours, with what was read."""
        depths: list[int] = []

        def look(protocol: Noting) -> None:
            stack = traceback.extract_stack()
            depths.append(
                sum("twisted_transfer/channel" in frame.filename for frame in stack)
            )

        self.channel.start(Noting(data=look))
        self.send(b"one", b"two")
        self.assertEqual(depths, [1, 1])

    def test_error(self) -> None:
        """
        The protocol's error is logged, aborts the connection, and is what the
        protocol hears of its end.
        """
        noting = self.channel.start(Noting(data=failing))
        self.partner.send(b"one")
        self.reactor.run(2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(noting.told, ["made", b"one", ZeroDivisionError])
        self.assertTrue(self.socket.aborted)
        self.failureResultOf(self.channel.whenClosed(), Truncated)

    def test_afterText(self) -> None:
        """
        After text has been read, a LF that belongs to a CR which was given out as
        a newline is no byte of what follows.
        """
        self.channel.configure(translation="auto", encoding="ascii")
        noting = self.channel.start(Noting())
        self.send(b"a\r")
        self.channel.configure(translation="binary")
        self.send(b"\nb")
        self.assertEqual(noting.told, ["made", "a\n", b"b"])

    def test_errorInText(self) -> None:
        """With text settings it is logged, and the connection aborted."""
        self.channel.configure(encoding="latin-1")
        noting = self.channel.start(Noting(data=failing))
        self.send(b"one")
        self.reactor.run(2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(noting.told[:2], ["made", "one"])
        self.assertTrue(self.socket.aborted)


class StepsTests(IntakeTestCase):
    """Which states of the reader follow each other."""

    def test_all(self) -> None:
        """
        Whatever happens in whatever state: all of the table's steps are taken, and
        no other one.
        """
        before: dict[Reader, list[str]] = {
            Reader.NOBODY: [],
            Reader.QUEUED: ["text", "start"],
            Reader.DIRECT: ["start"],
            Reader.ENDED: ["start", "end"],
            Reader.OVER: ["start", "reset"],
        }
        events = (
            *("start", "read", "text", "binary", "data", "end", "reset"),
            *("pauseProducing", "resumeProducing", "loseConnection"),
            *("abortConnection", "writeEOF"),
        )
        taken = notedSteps(self, Delivery, "_state")
        for state, way in before.items():
            for event in events:
                for behind in ("abortConnection", "binary"):
                    self.socket, self.partner, self.channel = self.connect()
                    for each in way:
                        self.happens(each)
                    self.assertIs(self.channel._delivery._state, state)
                    self.happens(event)
                    self.happens(behind)
                    self.happens("abortConnection")
                    self.reactor.run(3)
        self.assertEqual(taken, allSteps(READER_STEPS))

    def happens(self, event: str) -> None:
        """Have something happen to the channel."""
        if event == "start":
            with contextlib.suppress(AlreadyReading):
                self.channel.start(HalfNoting())
        elif event == "read":
            with contextlib.suppress(AlreadyReading):
                self.channel.read().addErrback(lambda failure: failure.trap(Truncated))
        elif event in ("text", "binary"):
            how = "binary" if event == "binary" else "latin-1"
            self.channel.configure(encoding=how)
        elif event == "data":
            self.send(b"one", b"two")
        elif event in ("end", "reset"):
            getattr(self.partner, event)()
            self.reactor.run(2)
        else:
            getattr(self.channel, event)()


class HandshakeTests(SynchronousTestCase):
    """Protocols that want to hear of the TLS handshake."""

    def test_told(self) -> None:
        """They are told when they are connected, for it is complete by then."""

        @implementer(IHandshakeListener)
        class Listening(Noting):
            def handshakeCompleted(self) -> None:
                self.told.append("handshake")
                self.channel.write(b"hello")

        reactor = SimulatedReactor()
        link, _, partner = serverLink(reactor, Identities(self))
        partner.handshake(reactor)
        partner.write(b"x")
        noting = TransferChannel(link).start(Listening())
        reactor.run(3)
        self.assertEqual(noting.told, ["made", "handshake", b"x"])
        self.assertEqual(partner.read(), b"hello")

    def test_notTold(self) -> None:
        """Without TLS there is nothing to tell."""

        @implementer(IHandshakeListener)
        class Listening(Noting):
            def handshakeCompleted(self) -> None:
                self.told.append("handshake")

        reactor = SimulatedReactor()
        socket, _ = connected(reactor)
        link = Link(reactor)
        socket.attach(link)
        noting = TransferChannel(link).start(Listening())
        self.assertEqual(noting.told, ["made"])
