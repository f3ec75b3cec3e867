"""
Tests for :mod:`twisted_transfer.connecting.connector`, without a network.
"""

from __future__ import annotations

import errno
import traceback
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import (
    CannotListenError,
    ConnectionDone,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import (
    MemoryReactorClock,
    RaisingMemoryReactor,
    StringTransportWithDisconnection,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_transfer import (
    AlreadyConnecting,
    BadDescription,
    BadOption,
    Mode,
    PartnerTimeout,
    TransferChannel,
    TransferConnector,
)
from twisted_transfer.command import reports
from twisted_transfer.connecting import connector as connectors
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.tls.keys import Secret

PARTNER = IPv4Address("TCP", "192.0.2.7", 5000)


def connectTo(factory: Any, address: Any = PARTNER) -> Any:
    """:returns: the transport of a new connection, None if it was refused."""
    protocol = factory.buildProtocol(address)
    if protocol is None:
        return None
    transport = StringTransportWithDisconnection(peerAddress=address)
    transport.protocol = protocol
    protocol.makeConnection(transport)
    return transport


class OptionTests(SynchronousTestCase):
    """What a connector can be told, and what it refuses at once."""

    def refused(self, *words: str, **options: Any) -> None:
        """The options are refused, in these words."""
        error = self.assertRaises(
            BadOption, TransferConnector, MemoryReactorClock(), **options
        )
        for word in words:
            self.assertIn(word, str(error))

    def test_modes(self) -> None:
        """A mode is a string or a Mode, and active unless told otherwise."""
        reactor = MemoryReactorClock()
        self.assertIs(TransferConnector(reactor, port=1).mode, Mode.ACTIVE)
        for mode in ("passive", Mode.PASSIVE):
            self.assertIs(TransferConnector(reactor, mode).mode, Mode.PASSIVE)

    def test_unknownMode(self) -> None:
        """An unknown mode is named, with those that there are."""
        for bad in ("Active", "", "listen", None, 1, True, b"active", ["active"]):
            self.refused(f"mode={bad!r}", "'active'", "'passive'", mode=bad)

    def test_ports(self) -> None:
        """A port that cannot be is named, with the range that there is."""
        for port in (70000, -1, "x", 80.5, True):
            self.refused(f"port={port!r}", "65535", port=port)
            self.refused(f"port={port!r}", "65535", mode="passive", port=port)

    def test_activeNeedsPort(self) -> None:
        """There is nothing to dial without a port, and none at port 0."""
        self.refused("port=None", "a port is needed", "port=NUMBER")
        self.refused("port=0", "1 to 65535", port=0)

    def test_hosts(self) -> None:
        """A host that cannot be is named."""
        for host in ("", "a b", "x." * 150, "a\nb", 7):
            self.refused(f"host={host!r}", host=host, port=1)

    def test_seconds(self) -> None:
        """Times are numbers of seconds above 0."""
        for seconds in (-1, "5", float("nan"), float("inf"), True, False):
            self.refused(f"within={seconds!r}", port=1, within=seconds)
            self.refused(f"retryFor={seconds!r}", port=1, retryFor=seconds)
        self.refused("within=0", port=1, within=0)
        TransferConnector(MemoryReactorClock(), port=1, retryFor=0)

    def test_wrongMode(self) -> None:
        """An option of the other mode is refused, not ignored."""
        self.refused("admit", "passive", port=1, admit=["192.0.2.1"])
        self.refused("retryFor", "active", mode="passive", retryFor=5)

    def test_admit(self) -> None:
        """What is no address and no network is named."""
        self.refused("'example.org'", mode="passive", admit=["example.org"])
        self.refused("list", mode="passive", admit="192.0.2.1")
        self.refused("admit=7", "list", mode="passive", admit=7)
        self.refused("admit=[]", "nobody", mode="passive", admit=[])

    def test_text(self) -> None:
        """Text settings that cannot be are refused at once."""
        self.refused("encoding", "klingon", port=1, encoding="klingon")
        self.refused("translation", port=1, translation="unix")

    def test_socketCommands(self) -> None:
        """A socket command of another kind or direction is refused."""
        reactor = MemoryReactorClock()
        server = TCP4ServerEndpoint(reactor, 0)
        client = TCP4ClientEndpoint(reactor, "h", 1)
        self.refused("IStreamClientEndpoint", socketCommand=server)
        self.refused("IStreamServerEndpoint", mode="passive", socketCommand=client)
        self.refused("socketCommand", socketCommand=7)
        self.refused("port", socketCommand=client, port=5)
        self.refused("nosuch", socketCommand="nosuch:1")

    def test_addressIsAdded(self) -> None:
        """Host and port are added to a socket command in a string."""
        reactor = MemoryReactorClock()
        TransferConnector(
            reactor, host="h.example", port=4000, socketCommand="tcp:timeout=7"
        ).connect().addErrback(lambda ignored: None)
        self.assertEqual(reactor.tcpClients[0][:2], ("h.example", 4000))
        TransferConnector(
            reactor, "passive", "ignored", 4001, "tcp:interface=127.0.0.1"
        ).connect()
        port, _, _, interface = reactor.tcpServers[0]
        self.assertEqual((port, interface), (4001, "127.0.0.1"))

    def test_fromString(self) -> None:
        """A description sets the options."""
        connector = TransferConnector.fromString(
            MemoryReactorClock(), "transfer:passive:tcp:port=0:admit=192.0.2.0/24"
        )
        self.assertIs(connector.mode, Mode.PASSIVE)

    def test_badStrings(self) -> None:
        """A description that cannot be is an error at once that says what."""
        for description, word in (
            ("transfer:pasive:tcp:port=0", "pasive"),
            ("transfer:active:tcp:host=h:port=70000", "70000"),
            ("transfer:active:tcp:host=h:port=x", "port=x"),
            ("transfer:active:tcp:port=80", "host"),
            ("transfer:active:nosuch:host=h", "nosuch"),
            ("transfer:active:tcp:host=h:port=1:encoding=klingon", "klingon"),
            ("transfer:passive:ssl:port=0:privateKey=/nonexistent/k", "privateKey"),
            ("tcp:host=h:port=1", "transfer:"),
        ):
            error = self.assertRaises(
                BadOption,
                TransferConnector.fromString,
                MemoryReactorClock(),
                description,
            )
            self.assertIn(word, str(error), description)
            self.assertIsInstance(error, ValueError)

    def test_badDescriptionIsBadOption(self) -> None:
        """One class of error covers strings and arguments."""
        self.assertTrue(issubclass(BadDescription, BadOption))


_SECRET = Secret.fresh().text

# What descriptions are made of, and what they are made of by mistake.
_pieces = st.one_of(
    st.sampled_from(("transfer", "active", "passive", "tcp", "tcp6", "tls", "ssl")),
    st.sampled_from(("unix", "systemd", "haproxy", "mtls", "host", "port", "path")),
    st.sampled_from(("secret", "scrt", "pin", "within", "admit", "endpoint", "index")),
    st.sampled_from((":", ":", ":", "=", "=", "\\", "-x", "my_host", "a/b", "xn--a")),
    st.sampled_from(("::1", "[::1]", "%eth0", "192.0.2.7", "4000", "0", "-1", "nan")),
    st.sampled_from(("x" * 110, "\0", "\x1b[2J", "bücher", "\ud800", "INET", _SECRET)),
    st.text(max_size=3),
)
_inputs = st.one_of(
    st.lists(_pieces, max_size=12).map("".join),
    st.tuples(
        st.sampled_from(("transfer:active:", "transfer:passive:")),
        st.sampled_from(("tcp:", "tls:", "unix:", "mtls:", "haproxy:tcp:", "")),
        st.sampled_from(("host=", "port=0:", "path=", f"port=1:secret={_SECRET}:")),
        st.lists(_pieces, max_size=4).map("".join),
        st.sampled_from(("", ":port=4000", f":pin={_SECRET}:secret={_SECRET}")),
    ).map("".join),
)


class InputTests(SynchronousTestCase):
    """Whatever is given as a description."""

    @settings(max_examples=300, report_multiple_bugs=False)
    @given(_inputs)
    @example("transfer:active:host=my_host:port=4000")
    @example("transfer:active:host=-x:port=4000")
    @example("transfer:active:host=a/b:port=4000")
    @example(f"transfer:active:mtls:host=é_x:port=1:pin={_SECRET}:secret={_SECRET}")
    @example("transfer:active:unix:" + "x" * 108)
    def test_noBug(self, string: str) -> None:
        """It is refused without its secrets, or fails for a reason that has words."""
        reactor = MemoryReactorClock()
        try:
            connector = TransferConnector.fromString(reactor, string)
        except BadOption as error:
            self.assertNotIn(_SECRET, "".join(traceback.format_exception(error)))
            return
        results: list[Any] = []
        connector.connect().addBoth(results.append)
        for result in results:
            self.assertNotEqual(reports.statusOf(result.value), reports.Status.BUG)
            self.assertNotIn(_SECRET, reports.wordsFor(result.value))
        connector.close()


class ActiveTests(SynchronousTestCase):
    """A connector that dials."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def dial(self, **options: Any) -> tuple[TransferConnector, Deferred[Any]]:
        connector = TransferConnector(
            self.reactor, host="192.0.2.7", port=4000, **options
        )
        return connector, connector.connect()

    def refuse(self) -> None:
        """Nobody is there."""
        factory: Any = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    def answer(self) -> Any:
        """The partner is there."""
        return connectTo(self.reactor.tcpClients[-1][2])

    def test_connects(self) -> None:
        """The Deferred fires with a channel on the connection."""
        connector, connecting = self.dial()
        self.assertEqual(self.reactor.tcpClients[0][:2], ("192.0.2.7", 4000))
        self.assertNoResult(connecting)
        transport = self.answer()
        channel = self.successResultOf(connecting)
        self.assertIsInstance(channel, TransferChannel)
        self.assertIs(channel.connector, connector)
        channel.write(b"hello")
        self.assertEqual(transport.value(), b"hello")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_refusedConnection(self) -> None:
        """Twisted's own error passes through."""
        _, connecting = self.dial()
        self.refuse()
        self.failureResultOf(connecting, ConnectionRefusedError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_retries(self) -> None:
        """With retryFor it dials again, more and more slowly, until it works."""
        _, connecting = self.dial(retryFor=60)
        for dials in range(1, 6):
            self.assertEqual(len(self.reactor.tcpClients), dials)
            self.refuse()
            self.assertEqual(len(self.reactor.tcpClients), dials)
            self.assertNoResult(connecting)
            self.reactor.advance(3)
        self.answer()
        self.successResultOf(connecting)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_retriesEnd(self) -> None:
        """When retryFor is over the partner is said not to have come."""
        _, connecting = self.dial(retryFor=10)
        while not connecting.called and len(self.reactor.tcpClients) < 1000:
            self.refuse()
            self.reactor.advance(0.5)
        failure = self.failureResultOf(connecting, PartnerTimeout)
        self.assertIsInstance(failure.value.__cause__, ConnectionRefusedError)
        self.assertIn("10 seconds", str(failure.value))
        self.assertLess(self.reactor.seconds(), 12)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_within(self) -> None:
        """The whole set-up has its time."""
        _, connecting = self.dial(within=5)
        self.reactor.advance(4.9)
        self.assertNoResult(connecting)
        self.reactor.advance(0.2)
        failure = self.failureResultOf(connecting, PartnerTimeout)
        self.assertIn("within 5 seconds", str(failure.value))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_withinCoversRetrying(self) -> None:
        """The time for the whole set-up ends the retrying, too."""
        _, connecting = self.dial(within=5, retryFor=60)
        self.refuse()
        self.reactor.advance(5)
        self.failureResultOf(connecting, PartnerTimeout)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """A dial that is cancelled ends, as CancelledError."""
        connector, connecting = self.dial(within=60)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.successResultOf(connector.close())

    def test_cancelledWhileRetrying(self) -> None:
        """So does one that waits for its next try."""
        _, connecting = self.dial(retryFor=60)
        self.refuse()
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_closed(self) -> None:
        """close() ends the dial, and may be asked again and again."""
        connector, connecting = self.dial(retryFor=60)
        self.successResultOf(connector.close())
        self.failureResultOf(connecting, CancelledError)
        self.successResultOf(connector.close())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_alreadyConnecting(self) -> None:
        """One connect() at a time."""
        connector, connecting = self.dial()
        self.assertRaises(AlreadyConnecting, connector.connect)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)

    def test_again(self) -> None:
        """After the end, in whichever way, the connector can be used again."""
        connector, connecting = self.dial()
        self.refuse()
        self.failureResultOf(connecting, ConnectionRefusedError)
        for _ in range(2):
            connecting = connector.connect()
            self.answer()
            self.successResultOf(connecting)

    def test_noAddressToTell(self) -> None:
        """Who dials listens nowhere."""
        connector, connecting = self.dial()
        self.assertRaises(BadOption, connector.whenListening)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)


class PassiveTests(SynchronousTestCase):
    """A connector that listens."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def listen(self, **options: Any) -> tuple[TransferConnector, Deferred[Any]]:
        connector = TransferConnector(
            self.reactor, "passive", socketCommand="tcp:4000", **options
        )
        return connector, connector.connect()

    @property
    def factory(self) -> Any:
        return self.reactor.tcpServers[-1][1]

    def test_dualStack(self) -> None:
        """Without a socket command both families are listened on."""
        connector = TransferConnector(self.reactor, "passive", port=7)
        connecting = connector.connect()
        port, _, _, interface = self.reactor.tcpServers[0]
        self.assertEqual((port, interface), (7, "::"))
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)

    def test_withoutIPv6(self) -> None:
        """On a system without IPv6, IPv4 is listened on."""

        class OldReactor(MemoryReactorClock):
            def listenTCP(
                self, port: Any, factory: Any, backlog: Any = 50, interface: Any = ""
            ) -> Any:
                if ":" in interface:
                    error = OSError(errno.EAFNOSUPPORT, "no IPv6")
                    raise CannotListenError(interface, port, error)
                return super().listenTCP(port, factory, backlog, interface)

        self.reactor = OldReactor()
        connecting = TransferConnector(self.reactor, "passive", port=7).connect()
        self.assertEqual(self.reactor.tcpServers[0][3], "")
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)

    def test_admitsFirst(self) -> None:
        """On plain TCP the first connection is the partner."""
        _, connecting = self.listen()
        transport = connectTo(self.factory)
        channel = self.successResultOf(connecting)
        self.assertEqual(channel.getPeer(), PARTNER)
        transport.protocol.dataReceived(b"hello")
        self.assertEqual(self.successResultOf(channel.read()), b"hello")

    def test_othersInTheSameWakeUp(self) -> None:
        """
        Of ten connections that a port accepts in one go, one is the partner,
        and nine get nothing.
        """
        connector, connecting = self.listen()
        got = [connectTo(self.factory) for _ in range(10)]
        self.successResultOf(connecting)
        self.assertIsNotNone(got[0])
        self.assertEqual(got[1:], [None] * 9)
        counters = connector.candidates
        assert counters is not None
        self.assertEqual(
            (counters.accepted, counters.admitted, counters.dropped["late"]),
            (10, 1, 9),
        )

    def test_portClosedFirst(self) -> None:
        """The Deferred fires only when the port is closed."""
        stopped: Deferred[None] = Deferred()

        class SlowPort:
            def getHost(self) -> IPv4Address:
                return IPv4Address("TCP", "0.0.0.0", 4000)

            def stopListening(self) -> Deferred[None]:
                return stopped

        class SlowReactor(MemoryReactorClock):
            def listenTCP(self, *args: Any, **kw: Any) -> Any:
                super().listenTCP(*args, **kw)
                return SlowPort()

        self.reactor = SlowReactor()
        _, connecting = self.listen()
        connectTo(self.factory)
        self.assertNoResult(connecting)
        stopped.callback(None)
        self.successResultOf(connecting)

    def test_cancelledWhenAdmitted(self) -> None:
        """
        A cancel between the admission and the end of the port ends the
        admitted connection.
        """
        stopped: Deferred[None] = Deferred()

        class SlowReactor(MemoryReactorClock):
            def listenTCP(self, *args: Any, **kw: Any) -> Any:
                port = super().listenTCP(*args, **kw)
                port.stopListening = lambda: stopped
                return port

        self.reactor = SlowReactor()
        connector, connecting = self.listen()
        transport = connectTo(self.factory)
        connecting.cancel()
        self.assertFalse(transport.connected)
        closing = connector.close()
        self.assertNoResult(closing)
        stopped.callback(None)
        self.successResultOf(closing)
        self.failureResultOf(connecting, CancelledError)

    def test_address(self) -> None:
        """The bound address may be asked before and after connect()."""
        connector = TransferConnector(self.reactor, "passive", socketCommand="tcp:0")
        before = [connector.whenListening() for _ in range(2)]
        for waiting in before:
            self.assertNoResult(waiting)
        connecting = connector.connect()
        for waiting in [*before, connector.whenListening()]:
            self.assertIsInstance(self.successResultOf(waiting), IPv4Address)
        connectTo(self.factory)
        self.successResultOf(connecting)
        self.successResultOf(connector.whenListening())

    def test_cannotListen(self) -> None:
        """Twisted's own error passes through, to all who wait."""
        connector = TransferConnector(
            RaisingMemoryReactor(
                listenException=CannotListenError("", 4000, OSError(98, "in use"))
            ),
            "passive",
            socketCommand="tcp:4000",
        )
        waiting = connector.whenListening()
        connecting = connector.connect()
        self.failureResultOf(connecting, CannotListenError)
        self.failureResultOf(waiting, CannotListenError)

    def test_cancelled(self) -> None:
        """A wait that is cancelled ends, and later candidates get nothing."""
        connector, connecting = self.listen(within=60)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertIsNone(connectTo(self.factory))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.successResultOf(connector.close())

    def test_closedInEveryState(self) -> None:
        """close() is safe before, while and after, any number of times."""
        connector = TransferConnector(self.reactor, "passive", socketCommand="tcp:1")
        self.successResultOf(connector.close())
        connecting = connector.connect()
        first, second = connector.close(), connector.close()
        self.successResultOf(first)
        self.successResultOf(second)
        self.failureResultOf(connecting, CancelledError)
        connecting = connector.connect()
        connectTo(self.factory)
        channel = self.successResultOf(connecting)
        self.successResultOf(connector.close())
        channel.write(b"still open")

    def test_within(self) -> None:
        """A partner that never comes is an error when the time is over."""
        _, connecting = self.listen(within=5)
        self.reactor.advance(5)
        self.failureResultOf(connecting, PartnerTimeout)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_withinAndStrangers(self) -> None:
        """The error counts who came and was not admitted, by the reason."""
        connector = TransferConnector(
            self.reactor,
            "passive",
            socketCommand="tcp:4000",
            within=5,
            admit=["192.0.2.7"],
        )
        connecting = connector.connect()
        for _ in range(3):
            self.factory.buildProtocol(IPv4Address("TCP", "198.51.100.1", 7))
        self.reactor.advance(5)
        error = self.failureResultOf(connecting, PartnerTimeout).value
        self.assertEqual(
            str(error),
            "no partner was admitted within 5 seconds; 3 came and were not (an "
            "address not in admit=: 3): the lines in the log say which, and why",
        )

    def test_withinIsOver(self) -> None:
        """The time does not matter to a channel that was got within it."""
        _, connecting = self.listen(within=5)
        transport = connectTo(self.factory)
        self.successResultOf(connecting)
        self.reactor.advance(10)
        self.assertTrue(transport.connected)

    def test_again(self) -> None:
        """The next connect() is for the next partner."""
        connector, connecting = self.listen()
        self.assertRaises(AlreadyConnecting, connector.connect)
        connectTo(self.factory)
        self.successResultOf(connecting)
        connecting = connector.connect()
        self.assertEqual(len(self.reactor.tcpServers), 2)
        connectTo(self.factory)
        self.successResultOf(connecting)

    def test_admitByAddress(self) -> None:
        """
        Only listed addresses may come; the others do not use the port up, in
        either order.
        """
        connector, connecting = self.listen(admit=["192.0.2.0/25", "2001:db8::7"])
        strangers = [
            IPv4Address("TCP", "192.0.2.200", 1),
            IPv6Address("TCP", "2001:db8::8", 1),
            IPv6Address("TCP", "::ffff:192.0.2.200", 1),
            UNIXAddress("/x"),
        ]
        for stranger in strangers:
            self.assertIsNone(connectTo(self.factory, stranger))
            self.assertNoResult(connecting)
        counters = connector.candidates
        assert counters is not None
        self.assertEqual(counters.dropped["address"], len(strangers))
        friend = IPv6Address("TCP", "::ffff:192.0.2.7", 1)
        self.assertIsNotNone(connectTo(self.factory, friend))
        channel = self.successResultOf(connecting)
        self.assertEqual(channel.getPeer(), friend)

    def test_lostAtOnce(self) -> None:
        """A partner that goes at once is a channel at its end, not an error."""
        _, connecting = self.listen()
        transport = connectTo(self.factory)
        transport.protocol.connectionLost(Failure(ConnectionDone()))
        channel = self.successResultOf(connecting)
        self.assertEqual(self.successResultOf(channel.read()), b"")
        self.successResultOf(channel.whenClosed())


def openingEndpoint(
    reactor: Any, mode: Mode, host: str | None, port: int | None, command: Any
) -> Any:
    """:returns: the endpoint for these arguments of a connector."""
    if isinstance(command, str):
        command = Description.parse(command)
    return connectors.openingEndpoint(reactor, mode, host, port, command)


class OpeningTests(SynchronousTestCase):
    """From a connector's arguments to an endpoint."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def active(
        self, host: str | None, port: int | None, command: Any = None
    ) -> tuple[str, int]:
        """:returns: what is dialled."""
        endpoint = openingEndpoint(self.reactor, Mode.ACTIVE, host, port, command)
        self.assertTrue(IStreamClientEndpoint.providedBy(endpoint))
        endpoint.connect(Factory()).addErrback(lambda ignored: None)
        dialled: tuple[str, int] = self.reactor.tcpClients.pop()[:2]
        for call in self.reactor.getDelayedCalls():
            call.cancel()
        return dialled

    def passive(
        self, host: str | None, port: int | None, command: Any = None
    ) -> tuple[int, str]:
        """:returns: what is listened on."""
        endpoint = openingEndpoint(self.reactor, Mode.PASSIVE, host, port, command)
        self.assertTrue(IStreamServerEndpoint.providedBy(endpoint))
        endpoint.listen(Factory())
        number, _, _, interface = self.reactor.tcpServers.pop()
        return number, interface

    def refused(self, *arguments: Any) -> str:
        """:returns: how these are refused."""
        return str(
            self.assertRaises(BadOption, openingEndpoint, self.reactor, *arguments)
        )

    def test_plain(self) -> None:
        """Without a socket command it is plain TCP, to this host by default."""
        # The memory reactor's resolver gives 127.0.0.1 for every name.
        self.assertEqual(self.active(None, 4000), ("127.0.0.1", 4000))
        self.assertEqual(self.active("192.0.2.7", 4000), ("192.0.2.7", 4000))
        self.assertEqual(self.passive(None, None), (0, "::"))
        self.assertEqual(self.passive("ignored", 4000), (4000, "::"))

    def test_description(self) -> None:
        """Host and port are added to a description; passive, only the port."""
        self.assertEqual(self.active("h", 4000, "tcp:timeout=3"), ("h", 4000))
        self.assertEqual(self.active(None, None, "tcp:h:4000"), ("h", 4000))
        self.assertEqual(self.active(None, 4000, "tcp:host=h"), ("h", 4000))
        self.assertEqual(
            self.passive("ignored", 4000, "tcp:interface=127.0.0.1"),
            (4000, "127.0.0.1"),
        )
        self.assertEqual(self.passive(None, None, "tcp:5000"), (5000, ""))

    def test_object(self) -> None:
        """An endpoint object is taken as it is."""

        @implementer(IStreamClientEndpoint)
        class Mine:
            def connect(self, protocolFactory: object) -> Deferred[Any]:
                return Deferred()

        mine = Mine()
        got = openingEndpoint(self.reactor, Mode.ACTIVE, None, None, mine)
        self.assertIs(got, mine)
        server = TCP4ServerEndpoint(self.reactor, 5000)
        self.assertEqual(self.passive("ignored", None, server), (5000, ""))

    def test_objectWithAddress(self) -> None:
        """It has its address, and can be given no other."""
        client = TCP4ClientEndpoint(self.reactor, "h", 1)
        server = TCP4ServerEndpoint(self.reactor, 5000)
        for arguments in (
            (Mode.ACTIVE, "h", None, client),
            (Mode.ACTIVE, None, 4000, client),
            (Mode.PASSIVE, None, 4000, server),
        ):
            self.assertIn("cannot be added", self.refused(*arguments))

    def test_wrongObject(self) -> None:
        """What is not an endpoint of the right kind says what is needed."""
        client = TCP4ClientEndpoint(self.reactor, "h", 1)
        server = TCP4ServerEndpoint(self.reactor, 5000)
        for mode, bad, needed in (
            (Mode.ACTIVE, server, "IStreamClientEndpoint"),
            (Mode.PASSIVE, client, "IStreamServerEndpoint"),
            (Mode.ACTIVE, 7, "IStreamClientEndpoint"),
            (Mode.PASSIVE, b"tcp:1", "IStreamServerEndpoint"),
        ):
            said = self.refused(mode, None, None, bad)
            self.assertIn(needed, said)
            self.assertIn(mode.value, said)
            self.assertIn(type(bad).__name__, said)

    def test_badDescription(self) -> None:
        """A description that cannot be is refused before anything is dialled."""
        for mode, command in (
            (Mode.ACTIVE, "nosuch:h:1"),
            (Mode.ACTIVE, "tcp:h"),
            (Mode.PASSIVE, "tcp:port=x"),
            (Mode.PASSIVE, ""),
        ):
            self.assertRaises(
                BadDescription,
                openingEndpoint,
                self.reactor,
                mode,
                None,
                None,
                command,
            )
        self.assertEqual(self.reactor.tcpClients + self.reactor.tcpServers, [])

    def test_unverified(self) -> None:
        """
        Twisted's ``ssl`` client takes any server for the right one unless it is
        told whom to expect; that is refused, with what to write.
        """
        for command in ("ssl:h:443", "ssl:host=h:port=443", "SSL:h:443"):
            said = self.refused(Mode.ACTIVE, None, None, command)
            self.assertIn("verify", said)
            self.assertIn("tls:host=", said)
            self.assertIn("hostname=", said)
        self.assertEqual(
            self.reactor.tcpClients, [], "nothing may be dialled meanwhile"
        )
        openingEndpoint(
            self.reactor, Mode.ACTIVE, None, None, "ssl:h:443:hostname=h"
        ).connect(Factory())
        self.assertEqual(self.reactor.tcpClients[0][1], 443)
        self.assertIn(
            "verify",
            self.refused(Mode.ACTIVE, None, None, "tls:h:443:endpoint=ssl\\:h\\:443"),
        )

    def test_badAddress(self) -> None:
        """So are hosts and ports that are invalid, in either mode."""
        for mode in Mode:
            for said, host, port, command in (
                ("port=70000", None, 70000, None),
                ("port='x'", None, "x", "tcp:h"),
                ("host=''", "", 1, None),
            ):
                error = self.assertRaises(
                    BadOption,
                    TransferConnector,
                    self.reactor,
                    mode,
                    host,
                    port,
                    command,
                )
                self.assertIn(said, str(error))
