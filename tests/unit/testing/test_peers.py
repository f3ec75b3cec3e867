"""
Tests for :mod:`twisted_transfer.testing.peers`, without a network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import example, given
from hypothesis.strategies import binary, integers
from OpenSSL import SSL
from twisted.internet.error import (
    ConnectBindError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.hostilities import Server, join, serverContext
from twisted_transfer.testing.memory import settle
from twisted_transfer.testing.peers import (
    RECORD_LIMIT,
    Dripper,
    Flooder,
    Garbler,
    HostilePeer,
    Resetter,
    Scanner,
    Staller,
    clientHello,
)


class _MemoryTestCase(SynchronousTestCase):
    """Attacks servers in memory."""

    def setUp(self) -> None:
        self.clock = Clock()

    def attacked(self, peer: HostilePeer) -> Server:
        """:returns: a server of no protocol that the peer has connected to."""
        server = Server()
        join(self.clock, server, peer)
        return server

    def assertNothingLeft(self) -> None:
        """There is no timer, and nothing in motion."""
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LifeTests(_MemoryTestCase):
    """What all hostile peers owe to whoever uses them."""

    def test_endOfFile(self) -> None:
        """A server that ends the connection in order is told from others."""
        peer = HostilePeer()
        server = self.attacked(peer)
        self.assertIsNone(peer.outcome)
        server.transport.loseConnection()
        settle(self.clock)
        self.assertEqual(peer.outcome, "end of file")
        self.assertIsInstance(peer.reason and peer.reason.value, ConnectionDone)

    def test_reset(self) -> None:
        """So is one that resets it."""
        peer = HostilePeer()
        server = self.attacked(peer)
        server.transport.abortConnection()
        settle(self.clock)
        self.assertEqual(peer.outcome, "reset")
        self.assertIsInstance(peer.reason and peer.reason.value, ConnectionLost)

    def test_abort(self) -> None:
        """An abort is a reset for the server, and is done once."""
        peer = HostilePeer()
        server = self.attacked(peer)
        peer.abort()
        peer.abort()
        settle(self.clock)
        self.assertEqual(peer.outcome, "left")
        self.assertIsInstance(peer.reason and peer.reason.value, ConnectionAborted)
        self.assertIsInstance(server.reason and server.reason.value, ConnectionLost)
        peer.abort()
        self.assertNothingLeft()

    def test_abortBefore(self) -> None:
        """Aborted before it is connected, a peer does nothing when it is."""
        peer = Garbler()
        peer.abort()
        server = self.attacked(peer)
        self.assertEqual((peer.outcome, peer.sent), ("left", 0))
        self.assertIsInstance(server.reason and server.reason.value, ConnectionLost)

    def test_giveUp(self) -> None:
        """A peer that was never sent away has stayed."""
        peer = HostilePeer()
        self.attacked(peer)
        peer.giveUp()
        settle(self.clock)
        self.assertEqual(peer.outcome, "stayed")

    def test_transportWithoutAbort(self) -> None:
        """A transport that cannot abort is closed."""

        class Closing:
            closed = 0

            def loseConnection(self) -> None:
                self.closed += 1

        peer = HostilePeer()
        transport: Any = Closing()
        peer.makeConnection(transport)
        peer.abort()
        self.assertEqual(transport.closed, 1)

    def test_ended(self) -> None:
        """Each who asks has a Deferred of its own, also after the end."""
        peer = HostilePeer()
        first, second, given = peer.ended, peer.ended, peer.ended
        given.cancel()
        self.failureResultOf(given)
        server = self.attacked(peer)
        self.assertNoResult(first)
        server.transport.loseConnection()
        settle(self.clock)
        for each in (first, second, peer.ended):
            self.assertIsNone(self.successResultOf(each))

    def test_notReached(self) -> None:
        """A dial that fails is an end, too, and says how."""
        for error, outcome in (
            (ConnectionRefusedError(), "refused"),
            (ConnectBindError(), "not reached"),
        ):
            peer = HostilePeer()
            ended = peer.ended
            peer.notReached(Failure(error))
            self.successResultOf(ended)
            self.assertEqual(peer.outcome, outcome)
            self.assertIs(peer.reason and peer.reason.value, error)

    @given(binary(min_size=1, max_size=50), integers(1, 3 * RECORD_LIMIT))
    def test_received(self, pattern: bytes, count: int) -> None:
        """The first bytes are kept, and all are counted, however they come."""
        sent = (pattern * count)[:count]
        peer = HostilePeer()
        while sent[peer.receivedCount :]:
            peer.dataReceived(sent[peer.receivedCount :][: len(pattern) * 100])
        self.assertEqual(peer.receivedCount, count)
        self.assertEqual(peer.received, sent[:RECORD_LIMIT])

    def test_iosim(self) -> None:
        """Twisted's own memory transports do as well."""
        kinds: list[tuple[Callable[[], HostilePeer], str]] = [
            (Scanner, "left"),
            (Resetter, "left"),
            (Staller, "end of file"),
            (lambda: Dripper(self.clock), "end of file"),
            (Garbler, "end of file"),
            (lambda: Flooder(200_000), "left"),
        ]
        for makePeer, outcome in kinds:
            server, peer = Server(), makePeer()
            pump = iosim.connect(
                server, iosim.makeFakeServer(server), peer, iosim.makeFakeClient(peer)
            )
            for _ in range(10):
                pump.pump()
            server.transport.loseConnection()
            pump.flush()
            self.assertEqual(peer.outcome, outcome, peer)
            self.assertEqual(len(server.data), peer.sent)


class PlainTests(_MemoryTestCase):
    """What the peers that need no TLS do to a server."""

    def test_scanner(self) -> None:
        """A scanner sends nothing, and ends the connection in order."""
        peer = Scanner()
        server = self.attacked(peer)
        self.assertEqual((peer.outcome, bytes(server.data)), ("left", b""))
        self.assertIsInstance(server.reason and server.reason.value, ConnectionDone)

    def test_resetter(self) -> None:
        """A resetter sends nothing, and resets the connection."""
        peer = Resetter()
        server = self.attacked(peer)
        self.assertEqual((peer.outcome, bytes(server.data)), ("left", b""))
        self.assertIsInstance(server.reason and server.reason.value, ConnectionLost)

    def test_staller(self) -> None:
        """A staller does nothing at all, for ever."""
        peer = Staller()
        server = self.attacked(peer)
        self.assertNothingLeft()
        self.clock.advance(100_000)
        self.assertEqual(bytes(server.data), b"")
        self.assertIsNone(peer.outcome)

    def test_dripper(self) -> None:
        """A dripper sends a byte at once, and one more each interval."""
        peer = Dripper(self.clock, interval=0.5)
        server = self.attacked(peer)
        for count in range(1, 30):
            self.assertEqual(bytes(server.data), clientHello()[:count])
            self.clock.advance(0.25)
            settle(self.clock)
            self.assertEqual(len(server.data), count)
            self.clock.advance(0.25)
            settle(self.clock)
        server.transport.loseConnection()
        settle(self.clock)
        self.assertEqual(peer.outcome, "end of file")
        self.assertNothingLeft()

    def test_dripperInterval(self) -> None:
        """Unless told otherwise, a dripper sends ten bytes a second."""
        server = self.attacked(Dripper(self.clock))
        for _ in range(49):
            self.clock.advance(0.1)
            settle(self.clock)
        self.assertEqual(len(server.data), 50)

    def test_dripperData(self) -> None:
        """It drips what it is told to, all of it, then stays in silence."""
        peer = Dripper(self.clock, data=b"USER")
        server = self.attacked(peer)
        for _ in range(10):
            self.clock.advance(0.1)
            settle(self.clock)
        self.assertEqual(bytes(server.data), b"USER")
        self.assertNothingLeft()
        self.assertIsNone(peer.outcome)

    def test_garbler(self) -> None:
        """A garbler sends so many bytes, the same for the same seed."""
        datas = []
        for seed in (1, 1, 2):
            peer = Garbler(seed, size=300)
            server = self.attacked(peer)
            self.assertEqual((len(server.data), peer.sent), (300, 300))
            self.assertIsNone(peer.outcome)
            datas.append(bytes(server.data))
        self.assertEqual(datas[0], datas[1])
        self.assertNotEqual(datas[0], datas[2])

    def test_garblerData(self) -> None:
        """It sends what it is told to, also nothing."""
        for data in (b"\0\0\0\0\xff", b""):
            self.assertEqual(bytes(self.attacked(Garbler(data=data)).data), data)
        self.assertEqual(bytes(self.attacked(Garbler(size=0)).data), b"")

    def test_http(self) -> None:
        """One form of it is a request for a web page."""
        server = self.attacked(Garbler.http("example.org"))
        lines = bytes(server.data).split(b"\r\n")
        self.assertEqual(lines[0], b"GET / HTTP/1.1")
        self.assertIn(b"Host: example.org", lines)
        self.assertEqual(lines[-2:], [b"", b""])

    def test_flooder(self) -> None:
        """A flooder sends exactly so much, and leaves when all is taken."""
        for total in (0, 1, 65536, 1_000_001):
            peer = Flooder(total)
            server = self.attacked(peer)
            self.assertEqual(bytes(server.data), bytes(total))
            self.assertEqual((peer.outcome, peer.sent), ("left", total))
            self.assertIsInstance(server.reason and server.reason.value, ConnectionDone)

    def test_flooderPace(self) -> None:
        """It sends no more than the server takes."""

        class Pausing(Server):
            def connectionMade(self) -> None:
                self.transport.pauseProducing()

        peer = Flooder(2**40)
        join(self.clock, Pausing(), peer)
        self.assertGreater(peer.sent, 0)
        self.assertLessEqual(peer.sent, 2 * 65536)
        taken = peer.sent
        peer.abort()
        settle(self.clock)
        self.assertEqual((peer.outcome, peer.sent), ("left", taken))

    def test_flooderReset(self) -> None:
        """A flooder that is sent away has not left."""

        class Refusing(Server):
            def dataReceived(self, data: bytes) -> None:
                self.transport.abortConnection()

        peer = Flooder(2**40)
        join(self.clock, Refusing(), peer)
        self.assertEqual(peer.outcome, "reset")
        self.assertNothingLeft()

    def test_flooderOnTransportWithoutAbort(self) -> None:
        """
        On a transport that cannot abort, an aborted flooder stops, or it would
        never be closed.
        """

        class Closing:
            written = 0

            def __init__(self) -> None:
                self.calls: list[str] = []

            def registerProducer(self, producer: Any, streaming: bool) -> None:
                self.calls.append("register")

            def unregisterProducer(self) -> None:
                self.calls.append("unregister")

            def loseConnection(self) -> None:
                self.calls.append("lose")

            def write(self, data: bytes) -> None:
                self.written += len(data)

        peer = Flooder(2**40)
        transport: Any = Closing()
        peer.makeConnection(transport)
        peer.resumeProducing()
        written = transport.written
        self.assertGreater(written, 0)
        peer.abort()
        peer.resumeProducing()
        self.assertEqual(transport.calls, ["register", "lose", "unregister"])
        self.assertEqual(transport.written, written)


class TLSServerTests(_MemoryTestCase):
    """What OpenSSL makes of what they send."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(newFolder(self))
        self.context = serverContext(self.authority, verify=False)

    def server(self) -> SSL.Connection:
        """:returns: the server's side of a connection, in memory."""
        connection = SSL.Connection(self.context, None)
        connection.set_accept_state()
        return connection

    def test_clientHello(self) -> None:
        """
        A server says nothing before the last byte of the ClientHello, and
        answers the last byte with a ServerHello, in TLS 1.3 and 1.2.
        """
        for version in (SSL.TLS1_3_VERSION, SSL.TLS1_2_VERSION):
            self.context = serverContext(self.authority, verify=False)
            self.context.set_max_proto_version(version)
            server = self.server()
            hello = clientHello()
            self.assertEqual(len(hello), 5 + 2**14)
            for i in range(len(hello) - 1):
                server.bio_write(hello[i : i + 1])
                self.assertRaises(SSL.WantReadError, server.do_handshake)
                self.assertRaises(SSL.WantReadError, server.bio_read, 1)
            server.bio_write(hello[-1:])
            self.assertRaises(SSL.WantReadError, server.do_handshake)
            answer = server.bio_read(6)
            # A record of the handshake, with a message of type 2 in it.
            self.assertEqual((answer[0], answer[5]), (22, 2))

    @given(integers(), integers(16, 5000))
    @example(1808880, 16)  # a record of TLS with another type, but for the mask
    def test_garbage(self, seed: int, size: int) -> None:
        """Whatever the seed, a garbler's bytes are refused at once."""
        transport = StringTransport()
        Garbler(seed, size).makeConnection(transport)
        server = self.server()
        server.bio_write(transport.value())
        error = self.assertRaises(SSL.Error, server.do_handshake)
        self.assertNotIsInstance(error, SSL.WantReadError)
        # No kind of TLS record, and no SSL 2, whatever follows.
        first = transport.value()[0]
        self.assertNotIn(first, range(20, 25))
        self.assertLess(first, 128)

    def test_http(self) -> None:
        """OpenSSL knows a web request when it sees one."""
        transport = StringTransport()
        Garbler.http().makeConnection(transport)
        server = self.server()
        server.bio_write(transport.value())
        error = self.assertRaises(SSL.Error, server.do_handshake)
        self.assertIn("http request", str(error))
