"""
Tests for :mod:`twisted_transfer.wires`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.simulation import SimulatedReactor, connected
from twisted_transfer.errors import HalfCloseUnsupported
from twisted_transfer.wires import StandardIOWire, UNIXWire, Wire


class WireTests(SynchronousTestCase):
    """A connection of no special kind."""

    def test_passesOn(self) -> None:
        """What is asked for is what the transport is asked for."""
        transport = StringTransport()
        wire = Wire(Clock(), transport)
        self.assertTrue(wire.write(b"some"))
        self.assertEqual(transport.value(), b"some")
        wire.close(False)
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

        wire = Wire(Clock(), Whole())
        error = self.assertRaises(HalfCloseUnsupported, wire.checkHalfClose)
        self.assertIn("loseConnection()", str(error))

    def test_noAbort(self) -> None:
        """A transport that knows no abort is closed instead."""
        closed: list[bool] = []

        class Gentle:
            """Knows one end."""

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
        for inputEnded in (False, True):
            self.setUp()
            self.wire.write(b"last word")
            self.wire.close(inputEnded)
            self.assertFalse(self.socket.disconnecting)
            self.reactor.turn()
            self.assertEqual(self.partner.take(), b"last word")
            self.reactor.turn()
            self.assertTrue(self.socket.disconnecting)
            self.assertTrue(self.wire.complete)
            self.assertFalse(self.wire.outputLost)

    def test_notEverything(self) -> None:
        """If that was not enough for everything, something may be missing."""
        self.wire.write(b"many last words")
        self.wire.close(True)
        self.reactor.run(2)
        self.assertTrue(self.socket.disconnecting)
        self.assertFalse(self.wire.complete)

    def test_notRead(self) -> None:
        """What the partner had not read when it closed is lost."""
        self.wire.write(b"not read")
        self.reactor.turn()
        self.partner.close()
        self.wire.close(False)
        self.reactor.run(2)
        self.assertTrue(self.wire.outputLost)

    def test_goneMeanwhile(self) -> None:
        """A connection that has gone in the meantime is not closed again."""
        self.wire.close(True)
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
        self.wire.close(False)
        self.assertEqual(self.pipes.asked, 1)
        self.assertIsNone(self.ended())

    def test_closedAfterOutput(self) -> None:
        """With the output pipe closed it ends in an orderly way all the same."""
        self.wire.outputEnded()
        self.wire.close(True)
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
        self.assertTrue(self.wire.write(b"read"))
        self.wire.outputEnded()
        self.assertFalse(self.wire.outputLost)
        self.assertFalse(self.wire.write(b"not read"))
        self.assertTrue(self.wire.outputLost)
        self.assertEqual(self.pipes.written, [b"read"])
