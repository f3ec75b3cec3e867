"""
Tests for :mod:`twisted_transfer.connecting.dialling`, and for connectors in whatever
may happen to them.
"""

from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.interfaces import IAddress
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder
from tests.support.mtlsends import Hand, serverContext
from tests.support.simulatedendpoints import (
    SimulatedClientEndpoint,
    SimulatedPort,
    SimulatedServerEndpoint,
)
from tests.support.simulation import (
    SimulatedReactor,
    SimulatedSocket,
    TLSPartner,
    connected,
)
from tests.support.steps import allSteps, notedSteps
from tests.support.tlsends import Identities
from twisted_transfer import TransferChannel, TransferConnector
from twisted_transfer.channel.link import Link, LinkState
from twisted_transfer.connecting.admission import (
    CANDIDATE_TIMEOUT,
    MAX_CANDIDATES,
    Admission,
)
from twisted_transfer.connecting.connector import CONNECTOR_STEPS, ConnectorState
from twisted_transfer.connecting.dialling import dial
from twisted_transfer.connecting.listening import listen
from twisted_transfer.deferreds import Leftovers
from twisted_transfer.errors import (
    AlreadyConnecting,
    NotAdmitted,
    PartnerTimeout,
    PeerRefused,
)
from twisted_transfer.tls.client import MutualTLSClientEndpoint
from twisted_transfer.tls.keys import Identity
from twisted_transfer.tls.policy import Policy


class DialTests(SynchronousTestCase):
    """Dialling."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.endpoint = SimulatedClientEndpoint(self.reactor)

    def dial(self, retryFor: float | None = None) -> tuple[Leftovers, Deferred[Link]]:
        leftovers = Leftovers()
        return leftovers, dial(self.reactor, self.endpoint, retryFor, leftovers)

    def cleared(self, leftovers: Leftovers) -> None:
        """Nothing of the attempt is left."""
        self.reactor.run(3)
        self.successResultOf(leftovers.cleared())
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers | self.reactor.writers, set())

    def test_succeeds(self) -> None:
        """The result is the link, good; its first bytes are kept, and then it waits."""
        leftovers, dialling = self.dial()
        self.assertNoResult(dialling)
        socket, partner = self.endpoint.succeed()
        link = self.successResultOf(dialling)
        self.assertIs(socket.protocol, link)
        self.assertIs(link.state, LinkState.OPEN)
        self.assertIn(socket, self.reactor.readers)
        partner.send(b"early")
        self.reactor.turn()
        self.assertNotIn(socket, self.reactor.readers)
        self.successResultOf(leftovers.cleared())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_fails(self) -> None:
        """Without retryFor the endpoint's error is the result."""
        for error in (ConnectionRefusedError(), DNSLookupError(), LookupError()):
            leftovers, dialling = self.dial()
            self.endpoint.fail(error)
            self.assertIs(self.failureResultOf(dialling).value, error)
            self.cleared(leftovers)

    def test_failsAtOnce(self) -> None:
        """So it is with an endpoint that raises it."""

        class Raising(SimulatedClientEndpoint):
            def connect(self, protocolFactory: Any) -> Deferred[Any]:
                raise ZeroDivisionError

        self.endpoint = Raising(self.reactor)
        leftovers, dialling = self.dial()
        self.failureResultOf(dialling, ZeroDivisionError)
        self.cleared(leftovers)

    def test_wrapper(self) -> None:
        """An endpoint may give a wrapper around the protocol that it made."""
        _, dialling = self.dial()
        socket, _ = connected(self.reactor)
        wrapper: Any = WrappingFactory(self.endpoint._factory).buildProtocol(None)
        socket.attach(wrapper)
        self.endpoint.connecting.callback(wrapper)
        self.assertIs(self.successResultOf(dialling), wrapper.wrappedProtocol)

    def test_severalConnections(self) -> None:
        """
        Of several connections that an endpoint makes at a time, as for the
        addresses of a name, all but the one that it gives are ended.
        """
        leftovers, dialling = self.dial()
        first, _ = connected(self.reactor)
        first.attach(self.endpoint._factory.buildProtocol(None))
        second, _ = self.endpoint.succeed()
        self.assertIs(self.successResultOf(dialling), second.protocol)
        clearing = leftovers.cleared()
        self.assertNoResult(clearing)
        self.reactor.run(2)
        self.successResultOf(clearing)
        self.assertTrue(first.disconnected)
        self.assertFalse(second.disconnected)

    def test_retryDelays(self) -> None:
        """The tries come at growing intervals, up to a bound, for their time."""
        _, dialling = self.dial(retryFor=120)
        times = []
        while not dialling.called:
            if not self.endpoint.connecting.called:
                times.append(self.reactor.seconds())
                self.endpoint.fail(ConnectError())
            self.reactor.turn(0.05)
        self.failureResultOf(dialling, PartnerTimeout)
        intervals = [after - before for before, after in pairwise(times)]
        self.assertLess(intervals[0], 1.5)
        self.assertLess(max(intervals), 6.2)
        self.assertGreater(sum(intervals[-5:-1]) / 4, 4)
        self.assertLess(self.reactor.seconds(), 121)
        self.assertGreater(self.reactor.seconds(), 119)

    def test_retryOnlyWhatMayPass(self) -> None:
        """Who was reached and is not the partner is not tried again."""
        for error in (LookupError(), CancelledError(), ValueError()):
            leftovers, dialling = self.dial(retryFor=60)
            self.endpoint.fail(error)
            self.assertIs(self.failureResultOf(dialling).value, error)
            self.cleared(leftovers)

    def test_lastTry(self) -> None:
        """The last try is made when the time is over, not before."""
        leftovers, dialling = self.dial(retryFor=0.01)
        self.endpoint.fail(ConnectionRefusedError())
        self.reactor.turn(0.02)
        self.assertEqual(self.endpoint.dials, 2)
        self.endpoint.fail(ConnectionRefusedError())
        error = self.failureResultOf(dialling, PartnerTimeout).value
        self.assertIn("0.01 seconds and 2 tries", str(error))
        self.assertIsInstance(error.__cause__, ConnectionRefusedError)
        self.cleared(leftovers)

    def test_cancelled(self) -> None:
        """Cancelling ends the dial, and the waiting for the next one."""
        leftovers, dialling = self.dial()
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        self.assertTrue(self.endpoint.connecting.called)
        self.cleared(leftovers)
        leftovers, dialling = self.dial(retryFor=60)
        self.endpoint.fail(ConnectionRefusedError())
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        self.cleared(leftovers)

    def test_cancelledWithAnotherError(self) -> None:
        """
        An endpoint that answers a cancel with another error, as Twisted's for
        names do, does not make it a failed dial that is tried again.
        """
        _, dialling = self.dial(retryFor=60)
        self.endpoint.connecting.addErrback(lambda f: Failure(DNSLookupError()))
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        self.assertEqual(self.endpoint.dials, 1)

    def test_lateConnection(self) -> None:
        """
        An endpoint that cannot be cancelled, and connects late: its connection
        is ended at once.
        """
        self.endpoint = SimulatedClientEndpoint(self.reactor, stubborn=True)
        leftovers, dialling = self.dial()
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        socket, _ = self.endpoint.succeed()
        self.reactor.run(2)
        self.assertTrue(socket.disconnected)
        self.cleared(leftovers)

    def test_lateConnectionOfAnEarlyProtocol(self) -> None:
        """So is that of a protocol which it had made before."""
        self.endpoint = SimulatedClientEndpoint(self.reactor, stubborn=True)
        leftovers, dialling = self.dial()
        protocol = self.endpoint._factory.buildProtocol(None)
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        socket, _ = connected(self.reactor)
        socket.attach(protocol)
        self.endpoint.connecting.callback(protocol)
        self.reactor.run(2)
        self.assertTrue(socket.disconnected)
        self.cleared(leftovers)

    def test_lateError(self) -> None:
        """An error that comes late is nobody's any more, and not logged."""
        self.endpoint = SimulatedClientEndpoint(self.reactor, stubborn=True)
        leftovers, dialling = self.dial()
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        self.endpoint.fail(ConnectionRefusedError())
        self.cleared(leftovers)


class DialTLSTests(SynchronousTestCase):
    """Dialling with TLS."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.identities = Identities(self)
        self.dial()

    def dial(self, retryFor: float | None = None) -> None:
        """Dial somebody who answers."""
        self.endpoint = SimulatedClientEndpoint(self.reactor)
        self.leftovers = Leftovers()
        self.dialling = dial(self.reactor, self.endpoint, retryFor, self.leftovers)
        self.answer()

    def answer(self) -> None:
        """Somebody answers."""
        endpoint = self.endpoint
        factory: Any = TLSMemoryBIOFactory(
            self.identities.client(), True, endpoint._factory, clock=self.reactor
        )
        self.socket, raw = connected(self.reactor)
        protocol = factory.buildProtocol(None)
        self.socket.attach(protocol)
        endpoint.connecting.callback(protocol.wrappedProtocol)
        self.partner = TLSPartner(raw, self.identities.serverContext(), client=False)

    def over(self) -> None:
        """The connection has ended, and nothing is left."""
        self.reactor.run(3)
        self.assertTrue(self.socket.disconnected)
        self.successResultOf(self.leftovers.cleared())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_handshake(self) -> None:
        """The result is there when the handshake is complete."""
        self.assertNoResult(self.dialling)
        self.partner.handshake(self.reactor)
        link = self.successResultOf(self.dialling)
        self.assertTrue(link.secure)
        self.assertIsNotNone(link.peerIdentity)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_silent(self) -> None:
        """A partner that answers, but not in TLS, is not waited for for ever."""
        self.reactor.turn(CANDIDATE_TIMEOUT - 0.1)
        self.assertNoResult(self.dialling)
        self.reactor.turn(0.2)
        failure = self.failureResultOf(self.dialling, PartnerTimeout)
        self.assertIn("handshake in 10 seconds", str(failure.value))
        self.over()

    def test_refused(self) -> None:
        """One that hangs up in the handshake has refused."""
        self.partner.raw.close()
        self.reactor.run(3)
        self.failureResultOf(self.dialling, PeerRefused)
        self.over()

    def test_oneEndpoint(self) -> None:
        """A dial does not wait for the handshake of another at the same endpoint."""
        policy = Policy(Identity.ephemeral(), frozenset({"0" * 64}))
        endpoint = MutualTLSClientEndpoint(self.reactor, policy, self.endpoint)
        silent, failing = Leftovers(), Leftovers()
        dialling = dial(self.reactor, endpoint, None, silent)
        self.endpoint.succeed()
        refused = dial(self.reactor, endpoint, None, failing)
        self.endpoint.fail(ConnectionRefusedError())
        self.failureResultOf(refused, ConnectionRefusedError)
        self.successResultOf(failing.cleared())
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        clearing = silent.cleared()
        self.assertNoResult(clearing)
        self.reactor.run(2)
        self.successResultOf(clearing)

    def test_retry(self) -> None:
        """
        With retryFor, one that hangs up in the handshake without a word is
        dialled again: a flood of others may have driven this side out.
        """
        self.cancelled()
        self.dial(retryFor=60)
        first = self.partner
        first.raw.close()
        self.reactor.run(3)
        self.assertNoResult(self.dialling)
        self.reactor.turn(1)
        self.answer()
        self.partner.handshake(self.reactor)
        link = self.successResultOf(self.dialling)
        self.assertIs(link.state, LinkState.OPEN)
        self.successResultOf(self.leftovers.cleared())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_retryInVain(self) -> None:
        """But only for so long."""
        self.cancelled()
        self.dial(retryFor=1)
        self.partner.raw.close()
        self.reactor.run(3)
        self.reactor.turn(1)
        self.answer()
        self.partner.raw.close()
        self.reactor.run(3)
        failure = self.failureResultOf(self.dialling, PeerRefused)
        self.assertIn("2 tries in 1 seconds", str(failure.value))
        self.assertIn("ended the connection", str(failure.value))
        self.over()

    def test_unprovenWords(self) -> None:
        """
        With retryFor nothing that anybody on the way, or on the partner's port
        before it, can say ends the dial: no alert, no garbage, no silence, no
        certificate.
        """
        self.cancelled()
        self.dial(retryFor=60)
        alert = bytes.fromhex("15 03 03 00 02 02 28")
        for word in (alert, b"SSH-2.0-x\r\n", b"\0" * 100, b"", None):
            if word is None:
                self.reactor.turn(CANDIDATE_TIMEOUT)
            else:
                self.partner.raw.send(word)
                self.partner.raw.end()
            self.reactor.run(3)
            self.assertNoResult(self.dialling)
            self.reactor.turn(2)
            self.answer()
        stranger = Identities(self).serverContext()
        self.partner = TLSPartner(self.partner.raw, stranger, client=False)
        with contextlib.suppress(SSL.Error):
            self.partner.handshake(self.reactor)
        self.reactor.run(3)
        self.assertNoResult(self.dialling)
        self.reactor.turn(5)
        self.answer()
        self.partner.handshake(self.reactor)
        link = self.successResultOf(self.dialling)
        self.assertIs(link.state, LinkState.OPEN)
        self.successResultOf(self.leftovers.cleared())

    def test_provenRefusal(self) -> None:
        """A partner that has proven itself and refuses this side is not asked again."""
        self.cancelled()
        here, there = Identity.ephemeral(), Identity.ephemeral()
        policy = Policy(here, frozenset({there.pin}))
        below = SimulatedClientEndpoint(self.reactor)
        endpoint = MutualTLSClientEndpoint(self.reactor, policy, below)
        dialling = dial(self.reactor, endpoint, 60, self.leftovers)
        self.socket, raw = below.succeed()
        context = serverContext(newFolder(self), there, Identity.ephemeral())
        hand = Hand(raw, context, server=True)
        for _ in range(4):
            hand.step()
            self.reactor.turn()
        self.failureResultOf(dialling, PeerRefused)
        self.assertEqual(below.dials, 1)
        self.over()

    def test_notAdmittedInVain(self) -> None:
        """What the last one was is the error, and not that nobody was there."""
        self.cancelled()
        self.dial(retryFor=0.01)
        for _ in range(2):
            self.partner.raw.send(b"SSH-2.0-x\r\n")
            self.reactor.run(3)
            self.reactor.turn(0.2)
            if not self.dialling.called:
                self.answer()
        failure = self.failureResultOf(self.dialling, NotAdmitted)
        self.assertIn("2 tries in 0.01 seconds", str(failure.value))
        self.assertIn("speaks TLS", str(failure.value))
        self.over()

    def cancelled(self) -> None:
        """The dial without retryFor is not the one that this is about."""
        self.dialling.cancel()
        self.failureResultOf(self.dialling, CancelledError)
        self.over()

    def test_notAdmitted(self) -> None:
        """One that does not speak TLS is not admitted."""
        self.partner.raw.send(b"SSH-2.0-x\r\n")
        self.reactor.run(3)
        self.failureResultOf(self.dialling, NotAdmitted)
        self.over()

    def test_cancelled(self) -> None:
        """Cancelling in the handshake ends the connection."""
        self.reactor.turn()
        self.dialling.cancel()
        self.failureResultOf(self.dialling, CancelledError)
        clearing = self.leftovers.cleared()
        self.assertNoResult(clearing)
        self.over()
        self.successResultOf(clearing)


class WaitTests(SynchronousTestCase):
    """Waiting."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.bound: list[IAddress] = []

    def wait(
        self, **how: bool
    ) -> tuple[Leftovers, SimulatedServerEndpoint, Deferred[Link]]:
        endpoint = SimulatedServerEndpoint(self.reactor, **how)
        admission = Admission(self.reactor)
        waiting = listen(endpoint, admission, self.bound.append)
        return admission.leftovers, endpoint, waiting

    def test_succeeds(self) -> None:
        """The result is there when the port is closed."""
        leftovers, endpoint, waiting = self.wait(stopsAtOnce=False)
        [port] = endpoint.ports
        self.assertEqual(self.bound, [port.getHost()])
        socket, _ = endpoint.arrive()
        assert socket is not None
        self.assertEqual(len(port.stopping), 1)
        self.reactor.run(3)
        self.assertNoResult(waiting)
        late, _ = endpoint.arrive()
        self.assertIsNone(late)
        port.close()
        self.assertIs(self.successResultOf(waiting), socket.protocol)
        self.successResultOf(leftovers.cleared())

    def test_lateOnesAreGone(self) -> None:
        """Those who came late, and had to be connected for that, are gone, too."""

        class Wrapping(SimulatedServerEndpoint):
            def listen(self, protocolFactory: Any) -> Deferred[Any]:
                return super().listen(WrappingFactory(protocolFactory))

        endpoint = Wrapping(self.reactor)
        waiting = listen(endpoint, Admission(self.reactor), self.bound.append)
        factory = endpoint._factory
        sockets = []
        for _ in range(5):  # in one wake-up of the port
            socket, _ = connected(self.reactor)
            socket.attach(factory.buildProtocol(socket.peer))
            sockets.append(socket)
        self.reactor.run(3)
        self.successResultOf(waiting)
        gone = [socket.disconnected for socket in sockets]
        self.assertEqual(gone, [0, 1, 1, 1, 1])

    def test_cannotListen(self) -> None:
        """The endpoint's error is the result."""
        leftovers, endpoint, waiting = self.wait(atOnce=False)
        error = CannotListenError("", 4000, OSError(98, "in use"))
        endpoint.listening.errback(error)
        self.assertIs(self.failureResultOf(waiting).value, error)
        self.successResultOf(leftovers.cleared())
        self.assertEqual(self.bound, [])

    def test_systemError(self) -> None:
        """An error of the system's that is not Twisted's becomes one."""

        class Raising(SimulatedServerEndpoint):
            def listen(self, protocolFactory: Any) -> Deferred[Any]:
                raise PermissionError(13, "Permission denied", "/run/x")

        admission = Admission(self.reactor)
        waiting = listen(Raising(self.reactor), admission, self.bound.append)
        failure = self.failureResultOf(waiting, CannotListenError)
        self.assertIn("/run/x", str(failure.value))
        self.assertIsInstance(failure.value.socketError, PermissionError)

    def test_cancelled(self) -> None:
        """Cancelling closes the port."""
        leftovers, endpoint, waiting = self.wait(stopsAtOnce=False)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        [port] = endpoint.ports
        self.assertEqual(len(port.stopping), 1)
        clearing = leftovers.cleared()
        self.assertNoResult(clearing)
        port.close()
        self.successResultOf(clearing)

    def test_cancelledBeforeThePort(self) -> None:
        """Before there is a port, nothing is left to close."""
        leftovers, endpoint, waiting = self.wait(atOnce=False)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertTrue(endpoint.listening.called)
        self.successResultOf(leftovers.cleared())

    def test_latePort(self) -> None:
        """
        An endpoint that cannot be cancelled, and has its port late: it is
        closed at once.
        """
        leftovers, endpoint, waiting = self.wait(
            atOnce=False, stubborn=True, stopsAtOnce=False
        )
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        port = endpoint.bind()
        self.assertEqual(len(port.stopping), 1)
        self.assertEqual(self.bound, [])
        clearing = leftovers.cleared()
        self.assertNoResult(clearing)
        port.close()
        self.successResultOf(clearing)

    def test_portThatFailsToStop(self) -> None:
        """A port that cannot be closed is logged, and does not hold it up."""

        class Failing(SimulatedPort):
            def stopListening(self) -> Deferred[None]:
                raise ZeroDivisionError

        leftovers, endpoint, waiting = self.wait(atOnce=False)
        endpoint.listening.callback(Failing(endpoint._factory, True))
        protocol = endpoint._factory.buildProtocol(None)
        socket, _ = connected(self.reactor)
        socket.attach(protocol)
        self.successResultOf(waiting)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.successResultOf(leftovers.cleared())

    def test_withoutPort(self) -> None:
        """Standard input is listened on without anything that can be stopped."""

        class Pipes:
            def getHost(self) -> str:
                return "pipes"

        _, endpoint, waiting = self.wait(atOnce=False)
        socket, _ = connected(self.reactor)
        protocol = endpoint._factory.buildProtocol(None)
        socket.attach(protocol)
        endpoint.listening.callback(Pipes())
        self.assertIs(self.successResultOf(waiting), protocol)
        self.assertEqual(self.bound, ["pipes"])


class ReentrantTests(SynchronousTestCase):
    """Those who are told of the address may do anything at once."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.endpoint = SimulatedServerEndpoint(self.reactor, stopsAtOnce=False)
        self.connector = TransferConnector(
            self.reactor, "passive", socketCommand=self.endpoint, within=60
        )

    def ended(self, connecting: Deferred[Any]) -> None:
        """The attempt was cancelled, and nothing is left of it."""
        [port] = self.endpoint.ports
        self.assertEqual(len(port.stopping), 1)
        self.assertNoResult(connecting)
        closing = self.connector.close()
        port.close()
        self.failureResultOf(connecting, CancelledError)
        self.successResultOf(closing)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_close(self) -> None:
        """They may close the connector."""
        closing: list[Deferred[None]] = []
        self.connector.whenListening().addCallback(
            lambda address: closing.append(self.connector.close())
        )
        connecting = self.connector.connect()
        self.assertNoResult(closing[0])
        self.ended(connecting)
        self.successResultOf(closing[0])

    def test_connect(self) -> None:
        """They cannot connect once more."""
        errors: list[Exception] = []

        def connect(address: IAddress) -> None:
            try:
                self.connector.connect()
            except AlreadyConnecting as error:
                errors.append(error)

        self.connector.whenListening().addCallback(connect)
        connecting = self.connector.connect()
        self.assertEqual(len(errors), 1)
        connecting.cancel()
        self.ended(connecting)

    def test_whileThePortCloses(self) -> None:
        """So may who closes the port: the partner that was admitted is let go."""
        connecting = self.connector.connect()
        [port] = self.endpoint.ports
        stop = port.stopListening

        def stopListening() -> Deferred[None]:
            stopped = stop()
            self.connector.close()
            return stopped

        port.stopListening = stopListening  # type: ignore[method-assign]
        socket, _ = self.endpoint.arrive()
        assert socket is not None
        closing = self.connector.close()
        port.close()
        self.assertNoResult(connecting)
        self.assertNoResult(closing)
        self.reactor.run(2)
        self.failureResultOf(connecting, CancelledError)
        self.successResultOf(closing)
        self.assertTrue(socket.aborted)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cancelledTwice(self) -> None:
        """Cancelling once more does not make it seem over before it is."""
        connecting = self.connector.connect()
        connecting.cancel()
        connecting.cancel()
        self.connector.close()
        self.ended(connecting)

    def test_connectAgain(self) -> None:
        """
        One who hears that there will be no port may connect anew: the cancelled
        attempt is over all the same, and so is what waits for it.
        """
        endpoint = SimulatedServerEndpoint(SimulatedReactor(), atOnce=False)
        connector = TransferConnector(
            SimulatedReactor(), "passive", socketCommand=endpoint
        )
        first = connector.connect()
        again: list[Deferred[TransferChannel]] = []
        connector.whenListening().addErrback(
            lambda ignored: again.append(connector.connect())
        )
        closing = connector.close()
        self.failureResultOf(first, CancelledError)
        self.successResultOf(closing)
        [second] = again
        second.cancel()
        self.failureResultOf(second, CancelledError)


class StepsTests(SynchronousTestCase):
    """Which states of a connector follow each other."""

    def test_all(self) -> None:
        """
        Whatever happens in whatever state: all of the table's steps are taken, and
        no other one.
        """
        before: dict[ConnectorState, list[str]] = {
            ConnectorState.IDLE: [],
            ConnectorState.CONNECTING: ["connect"],
            ConnectorState.CANCELLED: ["connect", "cancel"],
        }
        events = ("connect", "cancel", "close", "arrive", "portCloses", "time")
        taken = notedSteps(self, TransferConnector, "_state")
        for state, way in before.items():
            for first in events:
                for second in events:
                    self.reactor = SimulatedReactor()
                    self.endpoint = SimulatedServerEndpoint(
                        self.reactor, stopsAtOnce=False
                    )
                    self.connector = TransferConnector(
                        self.reactor, "passive", socketCommand=self.endpoint, within=5
                    )
                    self.connecting: Deferred[Any] = Deferred()
                    for each in way:
                        self.happens(each)
                    self.assertIs(self.connector._state, state)
                    self.happens(first)
                    self.happens(second)
                    self.over()
        self.assertEqual(taken, allSteps(CONNECTOR_STEPS))

    def test_again(self) -> None:
        """Only an idle one can be used: not as long as something is not gone yet."""
        reactor = SimulatedReactor()
        endpoint = SimulatedServerEndpoint(reactor, stopsAtOnce=False)
        connector = TransferConnector(reactor, "passive", socketCommand=endpoint)
        connecting = connector.connect()
        self.assertRaises(AlreadyConnecting, connector.connect)
        connecting.cancel()
        self.assertRaises(AlreadyConnecting, connector.connect)
        endpoint.ports[0].close()
        self.failureResultOf(connecting, CancelledError)
        again = connector.connect()
        endpoint.arrive()
        endpoint.ports[1].close()
        self.successResultOf(again)

    def over(self) -> None:
        """Close the connector; then nothing is left."""
        closing = self.connector.close()
        self.happens("portCloses")
        self.reactor.run(3)
        self.successResultOf(closing)
        self.assertIs(self.connector._state, ConnectorState.IDLE)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def happens(self, event: str) -> None:
        """Have something happen to the connector."""
        if event == "connect":
            with contextlib.suppress(AlreadyConnecting):
                self.connecting = self.connector.connect()
                self.connecting.addErrback(lambda failure: None)
        elif event == "cancel":
            self.connecting.addErrback(lambda failure: None)
            self.connecting.cancel()
        elif event == "close":
            self.connector.close()
        elif event == "arrive":
            self.endpoint.arrive()
        elif event == "portCloses":
            for port in self.endpoint.ports:
                port.close()
        else:
            self.reactor.turn(5)


class PassiveMachine(RuleBasedStateMachine):
    """
    Whatever happens to a passive connector over TLS: at most one is admitted
    in each connect(), the Deferred fires once, and in the end nothing is left.
    """

    identities: Identities

    @initialize(within=st.sampled_from((None, 5.0, 30.0)), stopsAtOnce=st.booleans())
    def begin(self, within: float | None, stopsAtOnce: bool) -> None:
        self.reactor = SimulatedReactor()
        machine = self

        class TLSEndpoint(SimulatedServerEndpoint):
            def listen(self, protocolFactory: Any) -> Deferred[Any]:
                return super().listen(
                    TLSMemoryBIOFactory(
                        machine.identities.server,
                        False,
                        protocolFactory,
                        clock=machine.reactor,
                    )
                )

        self.endpoint = TLSEndpoint(self.reactor, stopsAtOnce=stopsAtOnce)
        self.connector = TransferConnector(
            self.reactor, "passive", socketCommand=self.endpoint, within=within
        )
        self.within = within
        self.results: list[list[Any]] = []
        self.connecting: Deferred[Any] | None = None
        self.began = 0.0
        self.candidates: list[tuple[SimulatedSocket, TLSPartner]] = []
        self.sockets: list[SimulatedSocket] = []
        self.channels: list[TransferChannel] = []
        self.closings: list[list[None]] = []

    @property
    def waiting(self) -> bool:
        """Whether the latest connect() has no result yet."""
        return bool(self.results) and not self.results[-1]

    @precondition(lambda self: not self.waiting)
    @rule()
    def connect(self) -> None:
        """Wait for the next partner."""
        self.candidates.clear()
        results: list[Any] = []
        self.results.append(results)
        self.began = self.reactor.seconds()
        self.connecting = self.connector.connect()
        self.connecting.addBoth(results.append)

    @precondition(lambda self: self.waiting)
    @rule()
    def connectAgain(self) -> None:
        """One at a time."""
        try:
            self.connector.connect()
        except AlreadyConnecting:
            return
        raise AssertionError("two at a time")

    @rule(count=st.sampled_from((1, 1, 2, 5, MAX_CANDIDATES)))
    def arrive(self, count: int) -> None:
        """Somebody dials."""
        for _ in range(count):
            socket, partner = self.endpoint.arrive()
            if socket is not None:
                self.sockets.append(socket)
                context = self.identities.clientContext()
                self.candidates.append((socket, TLSPartner(partner, context)))

    @precondition(lambda self: self.candidates)
    @rule(index=st.integers(0, 200), turns=st.integers(1, 4))
    def prove(self, index: int, turns: int) -> None:
        """One of them goes on with its handshake, perhaps to its end."""
        socket, partner = self.candidates[index % len(self.candidates)]
        try:
            partner.handshake(self.reactor, turns)
        except Exception:  # dropped, or in the wrong order
            self.candidates.remove((socket, partner))

    @precondition(lambda self: self.candidates)
    @rule(
        index=st.integers(0, 200),
        how=st.sampled_from(("end", "close", "reset", "nonsense")),
    )
    def failing(self, index: int, how: str) -> None:
        """One of them hangs up or talks nonsense."""
        _, partner = self.candidates.pop(index % len(self.candidates))
        if how == "nonsense":
            partner.raw.send(b"GET / HTTP/1.0\r\n\r\n")
        else:
            getattr(partner.raw, how)()

    @rule(seconds=st.sampled_from((0, 0, 0.1, 3.0, 8.0)))
    def passTime(self, seconds: float) -> None:
        """Time passes."""
        self.reactor.turn(seconds)

    @precondition(lambda self: self.endpoint.ports)
    @rule()
    def portCloses(self) -> None:
        """A port that is being closed is closed."""
        for port in self.endpoint.ports:
            if port.stopping:
                port.close()

    @precondition(lambda self: self.connecting is not None)
    @rule()
    def cancel(self) -> None:
        """Whoever waits gives up, perhaps too late."""
        assert self.connecting is not None
        self.connecting.cancel()

    @rule()
    def close(self) -> None:
        """The connector is closed, in whatever state."""
        fired: list[None] = []
        self.closings.append(fired)
        self.connector.close().addCallback(fired.append)

    @rule()
    def useAndDrop(self) -> None:
        """The partner that was found is no longer needed."""
        for results in self.results:
            if results and isinstance(results[0], TransferChannel):
                results[0].abortConnection()

    @invariant()
    def firesOnce(self) -> None:
        """Nobody is told twice."""
        for results in getattr(self, "results", []):
            assert len(results) <= 1, results

    @invariant()
    def admitsOne(self) -> None:
        """Each time there is one partner at most."""
        admission = getattr(self, "connector", None) and self.connector.candidates
        if not admission:
            return
        assert admission.admitted <= 1
        assert sum(admission.dropped.values()) <= admission.accepted

    @invariant()
    def knownResults(self) -> None:
        """A result is a channel, a time-out or a cancellation."""
        for results in getattr(self, "results", []):
            for result in results:
                if isinstance(result, Failure):
                    result.trap(CancelledError, PartnerTimeout)
                    if result.check(PartnerTimeout):
                        assert self.within is not None
                else:
                    assert isinstance(result, TransferChannel), result

    @invariant()
    def portClosedFirst(self) -> None:
        """Who has a partner has no port any more."""
        results = getattr(self, "results", [])
        if results and results[-1]:
            assert all(port.stopped for port in self.endpoint.ports)

    def teardown(self) -> None:
        """In the end nothing is left: no timer, no socket, no port."""
        if not hasattr(self, "connector"):
            return
        self.close()
        for _ in range(5):
            self.portCloses()
            self.reactor.turn()
        self.useAndDrop()
        self.reactor.run(5)
        for results in self.results:
            assert len(results) == 1, "it has never fired"
        for fired in self.closings:
            assert fired == [None]
        assert self.reactor.getDelayedCalls() == []
        assert all(socket.disconnected for socket in self.sockets)
        assert self.reactor.readers | self.reactor.writers == set()


class PassiveMachineTests(SynchronousTestCase):
    """The machine, run."""

    def test_whateverHappens(self) -> None:
        """See :class:`PassiveMachine`."""
        PassiveMachine.identities = Identities(self)
        case = PassiveMachine.TestCase
        case.settings = settings(stateful_step_count=30)
        case().runTest()
