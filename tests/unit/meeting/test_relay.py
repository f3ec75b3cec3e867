"""
Tests for :mod:`twisted_transfer.meeting.relay`.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import HostnameAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionDone,
    DNSLookupError,
    NoProtocol,
)
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twisted_transfer.deferreds import Leftovers
from twisted_transfer.errors import PartnerTimeout, RelayFailed
from twisted_transfer.meeting.relay import (
    CLIENT,
    LONGEST_ANSWER,
    LONGEST_DELAY,
    SERVER,
    SHORTEST_DELAY,
    RelayClientEndpoint,
    RelayServerEndpoint,
)
from twisted_transfer.testing import MemoryListener, Relay, settle

TOKEN = "t" * 64
ADDRESS = HostnameAddress(b"relay.example", 4001)


class Recorder(Protocol):
    """
    Notes what it gets.

    :ivar received: the pieces.
    :ivar reason: why the connection has ended; None until then.
    """

    def __init__(self) -> None:
        self.received = b""
        self.reason: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason


class Application(Factory):
    """
    A user's factory.

    :ivar made: the protocols that it has made.
    :ivar starts: how many times it is in use.
    """

    protocol: Any = Recorder
    noisy = False

    def __init__(self, protocol: Any = Recorder) -> None:
        self.protocol = protocol
        self.made: list[Any] = []
        self.starts = 0

    def doStart(self) -> None:
        self.starts += 1

    def doStop(self) -> None:
        self.starts -= 1

    def buildProtocol(self, addr: Any) -> Any:
        self.made.append(self.protocol())
        return self.made[-1]


class Scripted(Protocol):
    """
    A relay that says what a test wants.

    :ivar said: what it was asked for.
    """

    def __init__(self) -> None:
        self.said = b""
        self.ended = False

    def dataReceived(self, data: bytes) -> None:
        self.said += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = True


class RelayTestCase(SynchronousTestCase):
    """A test with a relay in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.listener = MemoryListener(self.clock)
        self.below: Any = self.listener.client()

    def honest(self) -> Relay:
        """:returns: an honest relay, which listens."""
        relay = Relay(self.clock)
        self.successResultOf(self.listener.listen(relay))
        return relay

    def scripted(self) -> list[Scripted]:
        """:returns: the connections to a relay that the test plays."""
        factory = Application(Scripted)
        self.successResultOf(self.listener.listen(factory))
        return factory.made

    def client(self, token: str = TOKEN, timeout: float = 30.0) -> RelayClientEndpoint:
        """:returns: a client endpoint."""
        return RelayClientEndpoint(self.clock, self.below, ADDRESS, token, timeout)

    def server(self, token: str = TOKEN) -> RelayServerEndpoint:
        """:returns: a server endpoint."""
        return RelayServerEndpoint(self.clock, self.below, ADDRESS, token)

    def settle(self, seconds: float = 0) -> None:
        """Let time go by, and what happens at once happen."""
        settle(self.clock)
        if seconds:
            self.clock.advance(seconds)
            settle(self.clock)

    def assertNothingLeft(self) -> None:
        """Nothing waits for the clock."""
        self.settle()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class MeetingTests(RelayTestCase):
    """A client and a server that meet."""

    def meet(self, server: Any = Recorder, client: Any = Recorder) -> tuple[Any, Any]:
        """:returns: the protocols of a server and a client that have met."""
        self.relay = self.honest()
        self.serving = Application(server)
        self.port: Any = self.successResultOf(self.server().listen(self.serving))
        self.settle()
        self.dialling = Application(client)
        connecting = self.client().connect(self.dialling)
        self.settle()
        return self.serving.made[0], self.successResultOf(connecting)

    def test_stream(self) -> None:
        """What is sent arrives whole on the other side, in both directions."""
        server, client = self.meet()
        for one, other in ((server, client), (client, server)):
            one.transport.write(b"x" * 100_000)
            one.transport.write(b"ok\n")
            self.settle()
            self.assertEqual(other.received, b"x" * 100_000 + b"ok\n")

    def test_nothingBetween(self) -> None:
        """The transports are the relay's connections, and have the user's protocols."""
        for protocol in self.meet():
            transport = protocol.transport
            self.assertIs(transport.protocol, protocol)
            self.assertEqual(transport.bufferSize, type(transport).bufferSize)
            self.assertEqual(transport.getPeer(), self.listener.address)

    def test_coalesced(self) -> None:
        """What comes in one piece with the relay's ok is the protocol's first."""
        relays = self.scripted()
        connecting = self.client().connect(Application())
        self.settle()
        self.assertEqual(
            relays[0].said, f"please relay {TOKEN} for side {CLIENT}\n".encode()
        )
        assert relays[0].transport is not None
        relays[0].transport.write(b"ok\nfirst")
        self.settle()
        protocol: Any = self.successResultOf(connecting)
        self.assertEqual(protocol.received, b"first")

    def test_bytewise(self) -> None:
        """An ok in three pieces is one."""
        relays = self.scripted()
        connecting = self.client().connect(Application())
        self.settle()
        for piece in (b"o", b"k", b"\nrest"):
            self.assertNoResult(connecting)
            relays[0].transport.write(piece)  # type: ignore[union-attr]
            self.settle()
        protocol: Any = self.successResultOf(connecting)
        self.assertEqual(protocol.received, b"rest")

    def test_pausesAtFirst(self) -> None:
        """A protocol that pauses when it is connected gets nothing until it resumes."""

        class Pausing(Recorder):
            def connectionMade(self) -> None:
                self.transport.pauseProducing()  # type: ignore[union-attr]

        relays = self.scripted()
        connecting = self.client().connect(Application(Pausing))
        self.settle()
        relays[0].transport.write(b"ok\nfirst")  # type: ignore[union-attr]
        self.settle()
        protocol: Any = self.successResultOf(connecting)
        self.assertEqual(protocol.received, b"")
        protocol.transport.resumeProducing()
        self.settle()
        self.assertEqual(protocol.received, b"first")

    def test_wholeTransport(self) -> None:
        """A transport that gives all at once loses nothing either."""
        relays = self.scripted()
        connecting = self.client().connect(Application())
        self.settle()
        end: Any = relays[0].transport
        end.other.protocol.dataReceived(b"ok\nfirst")
        protocol: Any = self.successResultOf(connecting)
        self.assertEqual(protocol.received, b"first")

    def test_ends(self) -> None:
        """The end of one side is the end of the other, and of the client's factory."""
        server, client = self.meet()
        client.transport.loseConnection()
        self.settle()
        for protocol in (server, client):
            self.assertIsNotNone(protocol.reason.check(ConnectionDone))
        self.assertEqual((self.dialling.starts, self.serving.starts), (0, 1))

    def test_nextMeeting(self) -> None:
        """The server meets one after the other, and waits between them."""
        self.meet()
        for number in range(2, 5):
            self.settle(0.2)
            connecting = self.client().connect(Application())
            self.settle()
            self.successResultOf(connecting)
            self.assertEqual(len(self.serving.made), number)

    def test_othersToken(self) -> None:
        """Whoever has another token is met by nobody."""
        self.meet()
        self.settle(0.2)
        connecting = self.client("u" * 64, timeout=5).connect(Application())
        self.settle(4.9)
        self.assertNoResult(connecting)
        self.settle(0.1)
        self.failureResultOf(connecting, PartnerTimeout)
        self.assertEqual(len(self.serving.made), 1)

    def test_oneKind(self) -> None:
        """Neither two clients meet, nor two servers."""
        relay = self.honest()
        self.assertNotEqual(CLIENT, SERVER)
        first, second = (self.client().connect(Application()) for _ in range(2))
        self.settle()
        self.assertNoResult(first)
        self.assertNoResult(second)
        for connecting in (first, second):
            connecting.cancel()
            self.failureResultOf(connecting, ConnectingCancelledError)
        self.settle()
        servers = [Application() for _ in range(2)]
        for each in servers:
            self.server().listen(each)
        self.settle()
        self.assertEqual([each.made for each in servers], [[], []])
        self.assertEqual(len(relay.waiting), 2)


class ClientTests(RelayTestCase):
    """What becomes of a client."""

    def answered(self, answer: bytes) -> str:
        """:returns: why a client fails that gets an answer."""
        relays = self.scripted()
        factory = Application()
        leftovers = Leftovers()
        connecting = self.client().connect(factory, leftovers)
        self.settle()
        relays[0].transport.write(answer)  # type: ignore[union-attr]
        self.settle()
        error = self.failureResultOf(connecting, RelayFailed).value
        self.assertTrue(relays[0].ended)
        self.assertEqual((factory.made, factory.starts), ([], 0))
        self.successResultOf(leftovers.cleared())
        self.assertNothingLeft()
        return str(error)

    def test_badHandshake(self) -> None:
        """The relay does not take the request."""
        said = self.answered(b"bad handshake\n")
        self.assertIn("relay.example:4001 answered 'bad handshake'", said)
        self.assertIn("check the token", said)

    def test_impatient(self) -> None:
        """The relay got data too early."""
        said = self.answered(b"impatient\n")
        self.assertIn("answered 'impatient'", said)
        self.assertIn("before the partner was there", said)

    def test_anythingElse(self) -> None:
        """What is no relay is not shown to a terminal as it is."""
        said = self.answered(b"SSH-2.0-\x1b[2J\xff\n")
        self.assertIn(r"'SSH-2.0-\x1b[2J\xff'", said)
        self.assertIn("no answer of a transit relay", said)

    def test_almostOk(self) -> None:
        """Only the word ok, alone on its line, is the partner."""
        for answer in (b"okay\n", b"OK\n", b"ok\r\n", b"\n", b" ok\n"):
            self.assertIn("no answer of a transit relay", self.answered(answer))
            self.setUp()

    def test_tooLong(self) -> None:
        """An answer without an end is waited for up to a bound."""
        said = self.answered(b"x" * (LONGEST_ANSWER + 1))
        self.assertIn("without an end of the line", said)

    def test_endless(self) -> None:
        """However much a relay sends, little of it is kept."""
        relays = self.scripted()
        connecting = self.client().connect(Application())
        self.settle()
        relays[0].transport.write(b"x" * 10_000_000)  # type: ignore[union-attr]
        self.settle()
        self.assertLess(len(str(self.failureResultOf(connecting).value)), 400)

    def test_hangsUp(self) -> None:
        """The relay ends the connection before the partner is there."""
        relays = self.scripted()
        connecting = self.client().connect(Application())
        self.settle()
        relays[0].transport.loseConnection()  # type: ignore[union-attr]
        self.settle()
        error = self.failureResultOf(connecting, RelayFailed).value
        self.assertIn("before the partner was there", str(error))
        self.assertNothingLeft()

    def test_notReached(self) -> None:
        """The relay does not listen."""
        connecting = self.client().connect(Application())
        self.settle()
        error = self.failureResultOf(connecting, RelayFailed).value
        self.assertIn("relay.example:4001 could not be reached", str(error))
        self.assertNothingLeft()

    def test_nobodyComes(self) -> None:
        """The partner is waited for up to a bound; then nothing is left."""
        relay = self.honest()
        connecting = self.client(timeout=7).connect(Application())
        self.settle(6.9)
        self.assertNoResult(connecting)
        self.settle(0.1)
        error = self.failureResultOf(connecting, PartnerTimeout).value
        self.assertIn("did not come to the relay relay.example:4001 in 7", str(error))
        self.assertEqual(relay.waiting, [])
        self.assertNothingLeft()

    def test_cancel(self) -> None:
        """Cancelled at any step, nothing is left, and the partner is not met."""
        for steps in range(8):
            self.setUp()
            relay = self.honest()
            factory, leftovers = Application(), Leftovers()
            connecting = self.client().connect(factory, leftovers)
            for _ in range(steps):
                self.clock.advance(0)
            connecting.cancel()
            error = self.failureResultOf(connecting, ConnectingCancelledError).value
            self.assertEqual(error.address, ADDRESS)
            self.settle()
            self.successResultOf(leftovers.cleared())
            self.assertEqual((relay.waiting, factory.made), ([], []))
            self.assertNothingLeft()

    def test_cancelFromWithin(self) -> None:
        """Cancelled by the protocol that it has just connected, it is cancelled."""
        waiting: list[Deferred[Any]] = []

        class Cancelling(Recorder):
            def connectionMade(self) -> None:
                waiting[0].cancel()

        relays = self.scripted()
        factory = Application(Cancelling)
        waiting.append(self.client().connect(factory))
        self.settle()
        relays[0].transport.write(b"ok\n")  # type: ignore[union-attr]
        self.settle()
        self.failureResultOf(waiting[0], ConnectingCancelledError)
        self.assertIsNotNone(factory.made[0].reason)
        self.assertNothingLeft()

    def test_noProtocol(self) -> None:
        """A factory that makes no protocol ends the connection."""
        relays = self.scripted()
        connecting = self.client().connect(Application(lambda: None))
        self.settle()
        relays[0].transport.write(b"ok\n")  # type: ignore[union-attr]
        self.settle()
        self.failureResultOf(connecting, NoProtocol)
        self.assertTrue(relays[0].ended)
        self.assertNothingLeft()

    def test_protocolFails(self) -> None:
        """What the protocol raises when it is connected is the dial's error."""

        class Failing(Recorder):
            def connectionMade(self) -> None:
                raise LookupError("a mistake in the test")

        relays = self.scripted()
        connecting = self.client().connect(Application(Failing))
        self.settle()
        relays[0].transport.write(b"ok\n")  # type: ignore[union-attr]
        self.settle()
        self.failureResultOf(connecting, LookupError)
        self.assertTrue(relays[0].ended)
        self.assertNothingLeft()

    @given(
        st.sampled_from((b"", b"o", b"ok", b"ok\n")),
        st.lists(st.binary(max_size=100), max_size=5),
    )
    def test_anyAnswer(self, first: bytes, pieces: list[bytes]) -> None:
        """
        Whatever a relay says, in whatever pieces: it is ok, and all behind that is the
        protocol's, or it is an error in words; in both cases nothing is left.
        """
        self.setUp()
        answer = first + b"".join(pieces)
        relays = self.scripted()
        factory = Application()
        connecting = self.client().connect(factory)
        self.settle()
        end: Any = relays[0].transport
        for piece in (first, *pieces):
            end.write(piece)
            self.settle()
        end.loseConnection()
        self.settle()
        if answer.startswith(b"ok\n"):
            protocol: Any = self.successResultOf(connecting)
            self.assertEqual(protocol.received, answer[3:])
        else:
            error = self.failureResultOf(connecting, RelayFailed).value
            self.assertTrue(str(error).isprintable())
            self.assertEqual(factory.made, [])
        self.assertEqual(factory.starts, 0)
        self.assertNothingLeft()


class PortTests(RelayTestCase):
    """What becomes of a server."""

    def listen(self, protocol: Any = Recorder) -> Any:
        """:returns: the port of a server at the relay."""
        self.factory = Application(protocol)
        port = self.successResultOf(self.server().listen(self.factory))
        self.settle()
        return port

    def warnings(self) -> list[str]:
        """:returns: the list that gets what is logged as a warning."""
        said: list[str] = []

        def note(event: Any) -> None:
            if event["log_level"] is LogLevel.warn:
                said.append(event["log_format"].format(**event))

        observer: Any = note
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return said

    def test_interface(self) -> None:
        """It is a port, at the address of the relay."""
        port = self.listen()
        self.assertTrue(verifyObject(IListeningPort, port))
        self.assertEqual(port.getHost(), ADDRESS)
        self.assertIs(port.factory, self.factory)
        self.successResultOf(port.stopListening())

    def test_waits(self) -> None:
        """It waits for as long as it takes."""
        relay = self.honest()
        self.listen()
        self.settle(86400)
        self.assertEqual(len(relay.waiting), 1)

    def test_comesLater(self) -> None:
        """A relay that is not there yet is dialled until it is."""
        said = self.warnings()
        self.listen()
        for _ in range(10):
            self.settle(5)
        (text,) = said  # once, however many times it is dialled
        self.assertIn("could not be reached", text)
        relay = self.honest()
        self.settle(LONGEST_DELAY)
        self.assertEqual(len(relay.waiting), 1)

    def test_told(self) -> None:
        """Another reason is told, and the same one again after a meeting."""
        relays = self.scripted()
        said = self.warnings()
        self.listen()
        for answer in (b"no\n", b"no\n", b"never\n", b"ok\n", b"never\n"):
            relays[-1].transport.write(answer)  # type: ignore[union-attr]
            self.settle(2)
        self.assertEqual(
            [text.split("'")[1] for text in said], ["no", "never", "never"]
        )

    def test_backsOff(self) -> None:
        """A relay that refuses is dialled less and less, and never given up."""
        relays = self.scripted()
        self.listen()
        dials = []
        for _ in range(600):
            for each in relays:
                if not each.ended:
                    each.transport.write(b"bad handshake\n")  # type: ignore[union-attr]
            self.settle(1)
            dials.append(len(relays))
        self.assertLess(dials[-1], 30)
        self.assertGreater(dials[-1], dials[-int(LONGEST_DELAY) - 3])

    def test_longWait(self) -> None:
        """A relay that is lost after a long time is dialled again at once."""
        relays = self.scripted()
        self.listen()
        for number in range(1, 20):
            self.settle(LONGEST_DELAY + 1)
            self.assertEqual(len(relays), number)
            relays[-1].transport.loseConnection()  # type: ignore[union-attr]
            self.settle()
            self.settle(0.3)

    def test_atOnce(self) -> None:
        """After a meeting that was waited for, the next one is waited for at once."""
        relays = self.scripted()
        self.listen()
        for number in range(1, 5):
            self.settle(SHORTEST_DELAY)
            self.assertEqual(len(relays), number)
            relays[-1].transport.write(b"ok\n")  # type: ignore[union-attr]
            self.settle()
            self.assertEqual(len(relays), number + 1)

    def test_okToAll(self) -> None:
        """A relay that says ok to everybody cannot keep this side busy."""
        relays = self.scripted()
        self.listen()
        for _ in range(100):
            for each in relays:
                each.transport.write(b"ok\n")  # type: ignore[union-attr]
            self.settle(0.01)
        self.assertLess(len(relays), 12)

    def test_noProtocol(self) -> None:
        """A partner for whom the factory makes no protocol is hung up on."""
        relays = self.scripted()
        self.listen(lambda: None)
        relays[0].transport.write(b"ok\n")  # type: ignore[union-attr]
        self.settle(0.3)
        self.assertEqual([each.ended for each in relays], [True, False])

    def test_protocolFails(self) -> None:
        """An error of the user's is logged, and the next one is waited for."""

        class Failing(Recorder):
            def connectionMade(self) -> None:
                raise LookupError("a mistake in the test")

        relays = self.scripted()
        self.listen(Failing)
        relays[0].transport.write(b"ok\n")  # type: ignore[union-attr]
        self.settle(0.3)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.assertEqual([each.ended for each in relays], [True, False])

    def test_stop(self) -> None:
        """Stopped at any step, nothing is left; it may be stopped again."""
        for steps in range(8):
            self.setUp()
            relay = self.honest()
            factory = Application()
            port: Any = self.successResultOf(self.server().listen(factory))
            for _ in range(steps):
                self.clock.advance(0)
            stopping = port.stopListening()
            self.settle()
            self.successResultOf(stopping)
            self.assertEqual((relay.waiting, factory.starts), ([], 0))
            self.successResultOf(port.stopListening())
            self.assertNothingLeft()

    def test_stopBetween(self) -> None:
        """Stopped while it waits for the next dial, it does not dial."""
        port = self.listen()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.successResultOf(port.stopListening())
        self.assertNothingLeft()

    def test_stopFromWithin(self) -> None:
        """A connection that stops the port goes on."""
        ports: list[Any] = []

        class Stopping(Recorder):
            def connectionMade(self) -> None:
                ports[0].stopListening()

        relays = self.scripted()
        ports.append(self.listen(Stopping))
        relays[0].transport.write(b"ok\nfirst")  # type: ignore[union-attr]
        self.settle(600)
        self.assertEqual(self.factory.made[0].received, b"first")
        self.assertEqual(([each.ended for each in relays]), [False])
        self.assertEqual(self.factory.starts, 0)
        self.assertNothingLeft()

    def test_lookup(self) -> None:
        """A name that is not found yet may be found later."""

        dials = []

        class Unknown:
            def connect(self, factory: Any) -> Deferred[Any]:
                dials.append(factory)
                failed: Deferred[Any] = Deferred()
                failed.errback(DNSLookupError("no such name"))
                return failed

        said = self.warnings()
        self.below = Unknown()
        port = self.listen()
        for _ in range(5):
            self.settle(1)
        self.assertGreater(len(dials), 2)
        self.assertIn("no such name", said[0])
        self.successResultOf(port.stopListening())
        self.assertNothingLeft()
