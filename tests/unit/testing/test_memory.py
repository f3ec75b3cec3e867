"""
Tests for :mod:`twisted_transfer.testing.memory`, beyond the contract.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectingCancelledError,
    ConnectionClosed,
    ConnectionDone,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IConsumer,
    IListeningPort,
    IPushProducer,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data
from zope.interface.verify import verifyObject

from tests.support.contract import Puller, Pusher
from twisted_transfer import BadOption
from twisted_transfer.errors import Truncated
from twisted_transfer.testing.memory import (
    MemoryListener,
    MemoryTransport,
    memoryPair,
    settle,
)


class MemoryPairTests(SynchronousTestCase):
    """Two channels without a network, with a clock that is told what to do."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.left, self.right = memoryPair(self.clock)

    def test_interfaces(self) -> None:
        """Its transports provide what they declare."""
        transport = self.left._transport
        self.assertIsInstance(transport, MemoryTransport)
        for interface in (ITransport, IConsumer, IPushProducer):
            self.assertTrue(verifyObject(interface, transport))

    def test_later(self) -> None:
        """Bytes arrive later, not from within the call, and without real time."""
        reading = self.right.read()
        self.left.write(b"x")
        self.assertNoResult(reading)
        settle(self.clock)
        self.assertEqual(self.successResultOf(reading), b"x")
        self.assertEqual(self.clock.seconds(), 0)

    def test_bytesOnly(self) -> None:
        """As a real transport, it takes bytes and nothing else."""
        for bad in ("text", 7, None, bytearray(b"x")):
            self.assertRaises(TypeError, self.left._transport.write, bad)

    def test_waitingPullProducer(self) -> None:
        """A pull producer that has nothing yet is not asked again and again."""

        class Waiting(Puller):
            asked = 0

            def resumeProducing(self) -> None:
                self.asked += 1

        waiting = Waiting(self.left, [])
        self.left.registerProducer(waiting, False)
        settle(self.clock, 10)
        asked = waiting.asked
        self.left.write(b"now")
        settle(self.clock, 10)
        self.assertEqual(waiting.asked, asked + 1)
        self.assertEqual(self.successResultOf(self.right.read()), b"now")

    def test_pushProducer(self) -> None:
        """A push producer is paused as long as the other end does not read."""
        pusher = Pusher(self.left, 1_000_000)
        self.left.registerProducer(pusher, True)
        pusher.resumeProducing()
        settle(self.clock)
        self.assertTrue(pusher.paused)
        kept = 1_000_000 - pusher.left
        self.assertLess(kept, 300_000)
        reading = self.right.readExactly(1_000_000)
        settle(self.clock)
        self.assertEqual(len(self.successResultOf(reading)), 1_000_000)
        self.successResultOf(pusher.done)

    def test_closedAgainst(self) -> None:
        """
        What is written to an end that has closed is lost, and this is no
        success, as with a socket.
        """
        self.right.loseConnection()
        self.left.write(b"into the void")
        settle(self.clock)
        self.failureResultOf(self.left.whenClosed(), Truncated)
        self.assertIsNone(self.successResultOf(self.right.whenClosed()))

    def test_bothClose(self) -> None:
        """
        Where both ends write and close at the same time, neither reads what
        the other one has written, and neither waits for it.
        """
        for channel in (self.left, self.right):
            channel.write(b"nobody will read this")
            channel.loseConnection()
        settle(self.clock)
        for channel in (self.left, self.right):
            self.failureResultOf(channel.whenClosed(), Truncated)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_abort(self) -> None:
        """Nothing comes any more to an end that has aborted."""
        got: list[bytes] = []

        class Getting(Protocol):
            def dataReceived(self, data: bytes) -> None:
                got.append(data)

        self.right.start(Getting())
        self.left.write(b"x")
        self.right.abortConnection()
        settle(self.clock)
        self.assertEqual(got, [])
        for channel in (self.left, self.right):
            self.failureResultOf(channel.whenClosed(), Truncated)

    def test_nothingLeft(self) -> None:
        """After the end nothing is left to do."""
        for end in ("loseConnection", "abortConnection"):
            left, right = memoryPair(self.clock)
            left.write(b"x" * 100_000)
            getattr(left, end)()
            right.loseConnection()
            settle(self.clock)
            for channel in (left, right):
                channel.whenClosed().addErrback(lambda failure: None)
            self.assertEqual(self.clock.getDelayedCalls(), [])


class PairTests(SynchronousTestCase):
    """Two protocols without a network."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.addresses = [IPv4Address("TCP", f"192.0.2.{i}", 4000) for i in (1, 2)]
        self.ends = MemoryTransport.pair(self.clock, *self.addresses)
        for end in self.ends:
            end.attach(Protocol())

    def test_addresses(self) -> None:
        """Each end has its own address, and the other one's for its peer's."""
        left, right = self.ends
        first, second = self.addresses
        self.assertEqual((left.getHost(), left.getPeer()), (first, second))
        self.assertEqual((right.getHost(), right.getPeer()), (second, first))

    def test_disconnecting(self) -> None:
        """Twisted's protocols ask their transport whether it was told to close."""
        left, right = self.ends
        self.assertFalse(left.disconnecting)
        left.loseConnection()
        self.assertTrue(left.disconnecting)
        settle(self.clock)
        self.assertFalse(right.disconnecting)

    def test_descriptor(self) -> None:
        """What programs do with Twisted's transports, as descriptors, is done."""
        left, right = self.ends
        noting = Noting()
        right.attach(noting)
        right.stopReading()
        left.write(b"some")
        settle(self.clock)
        self.assertEqual(noting.data, b"")
        right.startReading()
        settle(self.clock)
        self.assertEqual(noting.data, b"some")
        self.assertEqual((left.connected, left.disconnected), (1, 0))
        left.abortConnection()
        settle(self.clock)
        self.assertEqual((left.connected, left.disconnected), (0, 1))

    def test_endOfOneDirection(self) -> None:
        """
        A protocol that knows of no half-closed connections is lost when the other
        end sends no more, and then the other end is lost, too.
        """
        protocols = Noting(), Noting()
        for end, protocol in zip(self.ends, protocols, strict=True):
            end.attach(protocol)
        self.ends[0].loseWriteConnection()
        settle(self.clock)
        for protocol in protocols:
            [reason] = protocol.reasons
            self.assertIsInstance(reason, ConnectionDone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_endOfPullProducer(self) -> None:
        """A direction that is ended ends after what a pull producer still gives."""
        left, right = self.ends
        noting = Noting()
        right.attach(noting)

        class Giving:
            left = 3

            def resumeProducing(self) -> None:
                self.left -= 1
                transport.write(b"x" * 70_000)
                if not self.left:
                    transport.unregisterProducer()

            def stopProducing(self) -> None:
                """Never called: it has finished before."""

        transport: Any = left
        transport.registerProducer(Giving(), False)
        transport.loseWriteConnection()
        settle(self.clock)
        self.assertEqual(noting.data, b"x" * 210_000)
        [reason] = noting.reasons
        self.assertIsInstance(reason, ConnectionDone)
        transport.write(b"too late")
        settle(self.clock)
        self.assertEqual(len(noting.data), 210_000)

    def test_whenGone(self) -> None:
        """
        Who waits for an end to be gone hears of it after its protocol, also
        afterwards, and may cease to wait.
        """
        left, right = self.ends
        heard: list[str] = []

        class Last(Protocol):
            def connectionLost(self, reason: object = None) -> None:
                heard.append("protocol")

        left.attach(Last())
        left.whenGone().addCallback(lambda ignored: heard.append("waiter"))
        ceasing = right.whenGone()
        ceasing.cancel()
        self.failureResultOf(ceasing, CancelledError)
        left.loseConnection()
        self.assertEqual(heard, [])
        settle(self.clock)
        self.assertEqual(heard, ["protocol", "waiter"])
        for end in self.ends:
            self.assertIsNone(self.successResultOf(end.whenGone()))


class SettleTests(SynchronousTestCase):
    """Running everything that is due."""

    def test_settles(self) -> None:
        """What is due now runs, and what follows from it; nothing later does."""
        clock = Clock()
        ran: list[int] = []

        def step(count: int) -> None:
            ran.append(count)
            if count:
                clock.callLater(0, step, count - 1)

        clock.callLater(0, step, 3)
        clock.callLater(1, step, 0)
        settle(clock)
        self.assertEqual(ran, [3, 2, 1, 0])
        self.assertEqual(len(clock.getDelayedCalls()), 1)

    def test_endless(self) -> None:
        """What never comes to an end is an error, not a hanging test."""

        clock = Clock()

        def again() -> None:
            clock.callLater(0, again)

        again()
        error = self.assertRaises(AssertionError, settle, clock, 10)
        self.assertIn("10 steps", str(error))


class Noting(Protocol):
    """Notes what comes."""

    transport: Any

    def __init__(self) -> None:
        self.data = b""
        self.reasons: list[Any] = []

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reasons.append(reason.value)


class NotingFactory(Factory):
    """
    Notes what it is asked for.

    :ivar built: the protocols, in order.
    :ivar addresses: for whom they were.
    :ivar starts: how many times it was started.
    :ivar stops: how many times it was stopped.
    :ivar answers: what ``buildProtocol`` does the next times: gives None, or
        raises the exception; when there is nothing, it makes a protocol.
    """

    noisy = False

    def __init__(self, *answers: Exception | None) -> None:
        self.built: list[Noting] = []
        self.addresses: list[Any] = []
        self.starts = self.stops = 0
        self.answers = list(answers)

    def doStart(self) -> None:
        self.starts += 1

    def doStop(self) -> None:
        self.stops += 1

    def buildProtocol(self, addr: Any) -> Any:
        self.addresses.append(addr)
        if self.answers:
            answer = self.answers.pop(0)
            if answer is not None:
                raise answer
            return None
        self.built.append(Noting())
        return self.built[-1]


class _ListenerTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.listener = MemoryListener(self.clock)
        self.servers = NotingFactory()
        self.clients = NotingFactory()

    def listen(self) -> Any:
        """:returns: the port."""
        return self.successResultOf(self.listener.listen(self.servers))

    def dial(self, host: str = "127.0.0.1") -> Deferred[Any]:
        """:returns: a Deferred with the client's protocol."""
        return self.listener.client(host).connect(self.clients)

    def assertNothingLeft(self) -> None:
        """Nothing is in motion, and all factories are stopped."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.servers.starts, self.servers.stops)
        self.assertEqual(self.clients.starts, self.clients.stops)


class ListenerTests(_ListenerTestCase):
    """An address to listen on, and to dial."""

    def test_interfaces(self) -> None:
        """It is an endpoint, gives endpoints, and gives a port."""
        verifyObject(IStreamServerEndpoint, self.listener)
        verifyObject(IStreamClientEndpoint, self.listener.client())
        verifyObject(IListeningPort, self.listen())

    def test_connection(self) -> None:
        """
        Who dials is connected when the clock goes on, and data go both ways.
        """
        self.listen()
        dialling = self.dial()
        self.assertNoResult(dialling)
        self.assertEqual(self.servers.built, [])
        settle(self.clock)
        client = self.successResultOf(dialling)
        self.assertIs(client, self.clients.built[0])
        [server] = self.servers.built
        client.transport.write(b"ping")
        server.transport.write(b"pong")
        settle(self.clock)
        self.assertEqual((server.data, client.data), (b"ping", b"pong"))
        self.assertEqual(self.clock.seconds(), 0)

    def test_addresses(self) -> None:
        """Each side sees where the other one is; a client has a port its own."""
        self.listen()
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.2", "2001:db8::7"):
            self.dial(host)
        settle(self.clock)
        ports = set()
        for client, server, seen in zip(
            self.clients.built, self.servers.built, self.servers.addresses, strict=True
        ):
            self.assertEqual(server.transport.getPeer(), seen)
            self.assertEqual(client.transport.getHost(), seen)
            for address in (server.transport.getHost(), client.transport.getPeer()):
                self.assertEqual(address, IPv4Address("TCP", "127.0.0.1", 4000))
            ports.add(seen.port)
        self.assertEqual(
            [address.host for address in self.servers.addresses],
            ["127.0.0.1", "127.0.0.2", "127.0.0.2", "2001:db8::7"],
        )
        self.assertEqual(len(ports), 4)
        self.assertEqual(self.clients.addresses, [self.listener.address] * 4)

    def test_otherAddress(self) -> None:
        """The address may be any, IPv4 or IPv6, and is the port's."""
        for host, kind in (("192.0.2.1", IPv4Address), ("::1", IPv6Address)):
            listener = MemoryListener(self.clock, host, 443)
            port: Any = self.successResultOf(listener.listen(self.servers))
            self.assertEqual(port.getHost(), kind("TCP", host, 443))
            self.assertEqual(listener.address, port.getHost())

    def test_badAddress(self) -> None:
        """A name is no address, and is refused with one that would be right."""
        for bad in ("localhost", "", "127.0.0.1/8"):
            for make in (
                lambda bad=bad: MemoryListener(self.clock, bad),
                lambda bad=bad: self.listener.client(bad),
            ):
                error = self.assertRaises(BadOption, make)
                self.assertIn(f"host={bad!r}", str(error))
                self.assertIn("'127.0.0.2'", str(error))

    def test_nobodyListens(self) -> None:
        """Where nobody listens, who dials is refused, when the clock goes on."""
        dialling = self.dial()
        self.assertNoResult(dialling)
        settle(self.clock)
        self.failureResultOf(dialling, ConnectionRefusedError)
        self.assertEqual(self.clients.built, [])
        self.assertNothingLeft()

    def test_inUse(self) -> None:
        """There is one port at a time."""
        port = self.listen()
        others = NotingFactory()
        error = self.failureResultOf(self.listener.listen(others), CannotListenError)
        self.assertIn("127.0.0.1:4000", str(error.value))
        self.assertEqual(others.starts, 0)
        port.stopListening()
        self.failureResultOf(self.listener.listen(others), CannotListenError)
        settle(self.clock)
        self.successResultOf(self.listener.listen(others))
        self.dial()
        settle(self.clock)
        self.assertEqual((len(others.built), len(self.servers.built)), (1, 0))

    def test_stop(self) -> None:
        """
        Who dials a port that was stopped is refused; the connections that
        there are go on.
        """
        port = self.listen()
        self.assertIs(self.listener.port, port)
        earlier = self.dial()
        settle(self.clock)
        waiting = self.dial()
        stopping = [port.stopListening(), port.stopListening()]
        late = self.dial()
        self.assertEqual(self.servers.stops, 0)
        for each in stopping:
            self.assertNoResult(each)
        settle(self.clock)
        for each in (*stopping, port.stopListening()):
            self.assertIsNone(self.successResultOf(each))
        self.assertIsNone(self.listener.port)
        for each in (waiting, late):
            self.failureResultOf(each, ConnectionRefusedError)
        client = self.successResultOf(earlier)
        client.transport.write(b"still here")
        client.transport.loseConnection()
        settle(self.clock)
        [server] = self.servers.built
        self.assertEqual(server.data, b"still here")
        self.assertIsInstance(server.reasons[0], ConnectionDone)
        self.assertEqual(self.servers.stops, 1)
        self.assertNothingLeft()

    def test_stopInTheMiddle(self) -> None:
        """
        A port that is stopped by the first who comes still accepts those of
        the same turn, up to a hundred, as Twisted's do.
        """
        port = self.listen()
        build = self.servers.buildProtocol

        def stopThenBuild(addr: Any) -> Any:
            port.stopListening()
            return build(addr)

        self.servers.buildProtocol = stopThenBuild  # type: ignore[method-assign]
        dialling = [self.dial() for _ in range(105)]
        settle(self.clock)
        self.assertEqual(len(self.servers.built), 100)
        for each in dialling[:100]:
            self.successResultOf(each)
        for each in dialling[100:]:
            self.failureResultOf(each, ConnectionRefusedError)

    def test_many(self) -> None:
        """However many dial at once, all are accepted, in their order."""
        self.listen()
        dialling = [self.dial(f"127.0.1.{i}") for i in range(250)]
        settle(self.clock)
        for each in dialling:
            self.successResultOf(each)
        self.assertEqual(
            [address.host for address in self.servers.addresses],
            [f"127.0.1.{i}" for i in range(250)],
        )


class ProgramTests(_ListenerTestCase):
    """Programs that know nothing of this."""

    def test_web(self) -> None:
        """A web server of Twisted's serves its page, and ends in its time."""
        resource = Resource()
        resource.putChild(b"page", Data(b"a page", "text/plain"))
        site = Site(resource, reactor=self.clock, timeout=30)
        port: Any = self.successResultOf(self.listener.listen(site))
        dialling = self.dial()
        settle(self.clock)
        client = self.successResultOf(dialling)
        client.transport.write(b"GET /page HTTP/1.1\r\nHost: here\r\n\r\n")
        settle(self.clock)
        self.assertTrue(client.data.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(client.data.endswith(b"\r\n\r\na page"))
        self.assertEqual(client.reasons, [])
        self.clock.advance(30)
        settle(self.clock)
        self.assertEqual(len(client.reasons), 1)
        port.stopListening()
        settle(self.clock)
        self.assertNothingLeft()


class NoProtocolTests(_ListenerTestCase):
    """One of the two sides does not want the connection."""

    def test_server(self) -> None:
        """Who is not served is connected, and sees an end of file."""
        self.servers.answers.append(None)
        self.listen()
        dialling = self.dial()
        settle(self.clock)
        client = self.successResultOf(dialling)
        self.assertIsInstance(client.reasons[0], ConnectionDone)
        self.assertEqual(self.clients.stops, 1)

    def test_serverFails(self) -> None:
        """So does one for whom the factory fails, which is logged."""
        self.servers.answers.append(LookupError("a mistake in the test"))
        self.listen()
        dialling, other = self.dial(), self.dial()
        settle(self.clock)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertEqual(len(self.successResultOf(dialling).reasons), 1)
        self.assertEqual(self.successResultOf(other).reasons, [])

    def test_client(self) -> None:
        """A client that makes no protocol ends the connection, and hears why."""
        self.clients.answers += [None, LookupError("a mistake in the test")]
        self.listen()
        none, mistake = self.dial(), self.dial()
        settle(self.clock)
        self.failureResultOf(none, NoProtocol)
        self.failureResultOf(mistake, LookupError)
        for server in self.servers.built:
            self.assertIsInstance(server.reasons[0], ConnectionDone)
        self.assertEqual(self.clients.stops, 2)


class CancelTests(_ListenerTestCase):
    """A dial that is cancelled."""

    def test_waiting(self) -> None:
        """Cancelled before it is accepted, the server never sees it."""
        port = self.listen()
        dialling = self.dial()
        dialling.cancel()
        error = self.failureResultOf(dialling, ConnectingCancelledError).value
        self.assertEqual(error.address, self.listener.address)
        settle(self.clock)
        self.assertEqual(self.servers.built, [])
        port.stopListening()
        settle(self.clock)
        self.assertNothingLeft()

    def test_refused(self) -> None:
        """Cancelled before it is refused, it was cancelled."""
        dialling = self.dial()
        dialling.cancel()
        self.failureResultOf(dialling, ConnectingCancelledError)
        settle(self.clock)
        self.assertNothingLeft()

    def test_stopping(self) -> None:
        """Cancelled while the port is being closed, it was cancelled."""
        port = self.listen()
        dialling = self.dial()
        port.stopListening()
        dialling.cancel()
        settle(self.clock)
        self.failureResultOf(dialling, ConnectingCancelledError)
        self.assertNothingLeft()

    def test_whileConnecting(self) -> None:
        """Cancelled by its own protocol, the connection is ended."""
        port = self.listen()
        dialling: Deferred[Any]

        class Cancelling(Noting):
            def connectionMade(self) -> None:
                dialling.cancel()

        made = Cancelling()
        self.clients.buildProtocol = lambda addr: made  # type: ignore[method-assign]
        dialling = self.dial()
        settle(self.clock)
        self.failureResultOf(dialling, ConnectingCancelledError)
        for protocol in (made, *self.servers.built):
            self.assertIsInstance(protocol.reasons[0], ConnectionDone)
        port.stopListening()
        settle(self.clock)
        self.assertNothingLeft()

    def test_whileBuilding(self) -> None:
        """Cancelled by a factory that makes no protocol, it was cancelled."""
        self.listen()
        dialling: Deferred[Any]
        self.clients.buildProtocol = (  # type: ignore[method-assign]
            lambda addr: dialling.cancel()
        )
        dialling = self.dial()
        settle(self.clock)
        self.failureResultOf(dialling, ConnectingCancelledError)
        self.assertIsInstance(self.servers.built[0].reasons[0], ConnectionDone)
        self.assertEqual(self.clients.stops, 1)


class NetworkMachine(RuleBasedStateMachine):
    """
    Whatever is done in whichever order: each dial has one result, each end one
    end, and bytes arrive in order or not at all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.listener = MemoryListener(self.clock)
        self.servers = NotingFactory()
        self.clients = NotingFactory()
        self.port: Any = None
        self.results: list[list[Any]] = []
        self.dials: list[Deferred[Any]] = []
        self.sent: dict[Noting, bytes] = {}
        self.closed: set[Noting] = set()

    @precondition(lambda self: self.port is None)
    @rule()
    def listen(self) -> None:
        """Somebody listens, or the port of before is not closed yet."""

        def listening(port: Any) -> None:
            self.port = port

        self.listener.listen(self.servers).addCallback(listening).addErrback(
            lambda failure: failure.trap(CannotListenError)
        )

    @precondition(lambda self: self.port is not None)
    @rule()
    def stop(self) -> None:
        """The port is stopped."""
        self.port.stopListening()
        self.port = None

    @rule()
    def dial(self) -> None:
        """Somebody dials."""
        results: list[Any] = []
        self.results.append(results)
        self.dials.append(self.listener.client().connect(self.clients))
        self.dials[-1].addBoth(results.append)

    @precondition(lambda self: self.dials)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        """A dial is cancelled, in whichever state."""
        data.draw(st.sampled_from(self.dials)).cancel()

    @precondition(lambda self: self.servers.built)
    @rule(
        data=st.data(),
        atServer=st.booleans(),
        what=st.binary(min_size=1, max_size=20),
        times=st.sampled_from((1, 10_000)),
    )
    def write(self, data: Any, atServer: bool, what: bytes, times: int) -> None:
        """One end sends something."""
        end = self.some(data, atServer)
        if end not in self.closed and not end.reasons:
            self.sent[end] = self.sent.get(end, b"") + what * times
            end.transport.write(what * times)

    @precondition(lambda self: self.servers.built)
    @rule(data=st.data(), atServer=st.booleans())
    def lose(self, data: Any, atServer: bool) -> None:
        """One end is closed."""
        end = self.some(data, atServer)
        self.closed.add(end)
        end.transport.loseConnection()

    @precondition(lambda self: self.servers.built)
    @rule(data=st.data(), atServer=st.booleans())
    def abort(self, data: Any, atServer: bool) -> None:
        """One end is reset."""
        end = self.some(data, atServer)
        self.closed.add(end)
        end.transport.abortConnection()

    @rule()
    def step(self) -> None:
        """The clock goes on by one call."""
        if self.clock.calls:
            call = self.clock.calls.pop(0)
            call.called = 1
            call.func(*call.args, **call.kw)

    @rule()
    def settle(self) -> None:
        """The clock goes on until nothing is due."""
        settle(self.clock)

    def some(self, data: Any, atServer: bool) -> Any:
        """:returns: one of the ends that there are or were."""
        ends = self.servers.built if atServer else self.clients.built
        return data.draw(st.sampled_from(ends))

    @invariant()
    def orderly(self) -> None:
        """What has arrived is the beginning of what was sent."""
        for left, right in zip(self.servers.built, self.clients.built, strict=True):
            for sender, receiver in ((left, right), (right, left)):
                assert self.sent.get(sender, b"").startswith(receiver.data)
                assert len(receiver.reasons) <= 1
                # An end of file comes after everything.
                if receiver not in self.closed and any(
                    isinstance(reason, ConnectionDone) for reason in receiver.reasons
                ):
                    assert receiver.data == self.sent.get(sender, b"")
        for results in self.results:
            assert len(results) <= 1

    def teardown(self) -> None:
        """Everything comes to its end."""
        settle(self.clock)
        if self.port is not None:
            self.port.stopListening()
        for end in self.servers.built:
            self.closed.add(end)
            end.transport.loseConnection()
        settle(self.clock)
        self.orderly()
        for results in self.results:
            [result] = results
            assert isinstance(result, Noting) or result.check(
                ConnectionRefusedError, ConnectingCancelledError
            )
        for end in (*self.servers.built, *self.clients.built):
            [reason] = end.reasons
            assert isinstance(reason, ConnectionClosed)
        for factory in (self.servers, self.clients):
            assert factory.starts == factory.stops
        assert self.clock.getDelayedCalls() == []


NetworkTests = NetworkMachine.TestCase
