"""
Tests for :mod:`twisted_transfer.tls.client`, without a network and without real time.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionRefusedError, NoProtocol
from twisted.internet.interfaces import IHandshakeListener, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.support.folders import newFolder
from tests.support.mtlsends import Hand, serverContext, unreadableFiles
from tests.support.simulatedendpoints import SimulatedClientEndpoint
from tests.support.simulation import SimulatedReactor, SimulatedSocket
from tests.support.steps import allSteps, notedSteps
from tests.support.tlsends import One
from twisted_transfer import NotAdmitted, PartnerTimeout, PeerRefused
from twisted_transfer.descriptions import endpoints, mtls
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.tls.client import (
    CONFIRM_TIMEOUT,
    CONFIRMATION_STEPS,
    NEXT_HOST,
    Confirmation,
    FirstProvenClientEndpoint,
    Gate,
    MutualTLSClientEndpoint,
)
from twisted_transfer.tls.keys import Identity, Secret
from twisted_transfer.tls.policy import Policy

_TLS12 = ssl.TLSVersion.TLSv1_2
_TIMEOUT = 7.0


@implementer(IHandshakeListener)
class Recorder(Protocol):
    """Writes down what happens to it, in order."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connectionMade(self) -> None:
        self.events.append("made")

    def handshakeCompleted(self) -> None:
        self.events.append("handshake")

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.events.append("lost")


class GateTestCase(SynchronousTestCase):
    """One dial."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.reactor = SimulatedReactor()
        self.here, self.there = Identity.ephemeral(), Identity.ephemeral()
        self.stranger = Identity.ephemeral()
        self.protocol = Recorder()

    def dial(
        self, *, stubborn: bool = False, factory: Any = None, invited: bool = False
    ) -> tuple[SimulatedClientEndpoint, Deferred[Any]]:
        """Dial, with nobody there yet."""
        below = SimulatedClientEndpoint(self.reactor, stubborn=stubborn)
        endpoint: IStreamClientEndpoint
        if invited:
            secret = Secret.fresh()
            self.here = secret.identity()
            self.patch(endpoints, "clientEndpoint", lambda reactor, description: below)
            options = {"host": "h", "port": "1", "endpoint": "any"}
            options |= {"timeout": f"{_TIMEOUT:g}"}
            options |= {"pin": self.there.pin, "secret": secret.text}
            description = Description(("mtls",), options)
            endpoint = mtls.clientEndpoint(self.reactor, description)
        else:
            policy = Policy(self.here, frozenset({self.there.pin}))
            endpoint = MutualTLSClientEndpoint(self.reactor, policy, below, _TIMEOUT)
        return below, endpoint.connect(factory or One(self.protocol))

    def reach(
        self,
        *,
        identity: Identity | None = None,
        accepts: Identity | None = None,
        factory: Any = None,
        invited: bool = False,
        **how: Any,
    ) -> tuple[SimulatedSocket, Hand, Deferred[Any]]:
        """Dial, with somebody there, who has done nothing yet."""
        below, opened = self.dial(factory=factory, invited=invited)
        socket, raw = below.succeed()
        context = serverContext(
            self.folder, identity or self.there, accepts or self.here, **how
        )
        return socket, Hand(raw, context, server=True), opened

    def named(self, names: bytes) -> Identity:
        """
        :param names: a subjectAltName (RFC 5280, section 4.2.1.6), as DER.
        :returns: an identity that signed a certificate with it for itself.
        """
        key, name = Ed25519PrivateKey.generate(), self.there.certificate.subject
        extension = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("2.5.29.17"), names
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(self.there.certificate.not_valid_before_utc)
            .not_valid_after(self.there.certificate.not_valid_after_utc)
            .add_extension(extension, critical=False)
            .sign(key, None)
        )
        return Identity(key, certificate)

    def prove(self, hand: Hand) -> None:
        """Go on with the handshake until what is to be sent is its last piece."""
        while not hand.proved:
            hand.send()
            self.reactor.turn()
            hand.read()
            self.assertIsNone(hand.failed)

    def assertNothingLeft(self, socket: SimulatedSocket) -> None:
        """There is no connection and no timer."""
        self.assertTrue(socket.disconnected)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class AcceptedTests(GateTestCase):
    """The server is content."""

    def test_ticket(self) -> None:
        """The protocol has the connection at the first ticket, not before."""
        _, hand, opened = self.reach()
        self.prove(hand)
        self.reactor.run(3)
        self.assertEqual(self.protocol.events, [])
        self.assertNoResult(opened)
        hand.send()
        self.reactor.turn()
        self.assertIs(self.successResultOf(opened), self.protocol)
        self.assertEqual(self.protocol.events, ["made", "handshake"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_bytewise(self) -> None:
        """The same if each byte comes alone."""
        _, hand, opened = self.reach()
        while not self.protocol.events:
            hand.step(1)
            self.reactor.turn()
        self.assertTrue(hand.proved)
        self.assertIs(self.successResultOf(opened), self.protocol)

    def test_dataBehindTheTicket(self) -> None:
        """What comes in one piece with the ticket comes once, in order."""
        _, hand, opened = self.reach()
        self.prove(hand)
        hand.say(b"one")
        hand.say(b"two")
        hand.send()
        self.reactor.turn()
        self.successResultOf(opened)
        self.assertEqual(self.protocol.events[:2], ["made", "handshake"])
        self.assertEqual(b"".join(self.protocol.events[2:]), b"onetwo")

    def test_endBehindTheTicket(self) -> None:
        """
        A server that has nothing to say, and closes at once, has accepted this
        side all the same, also if its ticket and its end come in one piece.
        """
        socket, hand, opened = self.reach()
        self.prove(hand)
        hand.closeNotify()
        hand.send()
        hand.raw.end()
        self.reactor.run(3)
        self.assertIs(self.successResultOf(opened), self.protocol)
        self.assertEqual(self.protocol.events, ["made", "handshake", "lost"])
        self.assertNothingLeft(socket)

    def test_noTicketButData(self) -> None:
        """Who sends data is content."""
        _, hand, opened = self.reach(tickets=0)
        self.prove(hand)
        hand.say(b"data")
        hand.send()
        self.reactor.turn()
        self.successResultOf(opened)
        self.assertEqual(self.protocol.events, ["made", "handshake", b"data"])

    def test_neither(self) -> None:
        """Who sends neither, and does not refuse in time, is content."""
        _, hand, opened = self.reach(tickets=0)
        self.prove(hand)
        hand.send()
        self.reactor.turn()
        self.reactor.turn(CONFIRM_TIMEOUT - 0.01)
        self.assertNoResult(opened)
        self.reactor.turn(0.02)
        self.successResultOf(opened)
        self.assertEqual(self.protocol.events, ["made", "handshake"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_writes(self) -> None:
        """The protocol may write from its first moment on."""

        class Greeter(Recorder):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(b"hello")

        self.protocol = Greeter()
        _, hand, opened = self.reach()
        for _ in range(4):
            hand.step()
            self.reactor.turn()
        hand.read()
        self.successResultOf(opened)
        self.assertEqual(hand.received, b"hello")


class NotAcceptedTests(GateTestCase):
    """One of the sides is not content, or nobody waits any more."""

    def refused(
        self, socket: SimulatedSocket, opened: Deferred[Any], *kind: Any
    ) -> Any:
        """The protocol has seen nothing, and nothing is left."""
        error = self.failureResultOf(opened, *kind).value
        self.assertEqual(self.protocol.events, [])
        self.assertNothingLeft(socket)
        return error

    def test_refused(self) -> None:
        """The server does not accept this side's key."""
        socket, hand, opened = self.reach(accepts=self.stranger)
        for _ in range(4):
            hand.step()
            self.reactor.turn()
        error = self.refused(socket, opened, PeerRefused)
        self.assertTrue(error.proven)

    def test_refusedByAnybody(self) -> None:
        """
        What is not said under keys that the server has proven may be said by
        anybody on the way: an alert before the handshake, one that is not
        encrypted behind the server's Finished, and a mere end.
        """
        alert = bytes.fromhex("15 03 03 00 02 02 28")
        for proves in (False, True):
            for word in (alert, b"", b"SSH-2.0-x\r\n"):
                socket, hand, opened = self.reach()
                if proves:
                    self.prove(hand)
                hand.raw.send(word)
                hand.raw.end()
                self.reactor.run(3)
                error = self.refused(socket, opened, PeerRefused, NotAdmitted)
                self.assertFalse(getattr(error, "proven", False))

    def test_refusedBefore(self) -> None:
        """So may the alert of a server that this side would not accept."""
        socket, hand, opened = self.reach(
            identity=self.stranger, newest=_TLS12, accepts=self.stranger
        )
        for _ in range(4):
            hand.step()
            self.reactor.turn()
        error = self.refused(socket, opened, PeerRefused)
        self.assertFalse(error.proven)

    def invited(self, accepts: Identity | None) -> tuple[SimulatedSocket, Hand, Any]:
        """
        Dial with an invitation, and hold back what is answered to this side's
        proof for as long as may be.
        """
        socket, hand, opened = self.reach(accepts=accepts, invited=True)
        while not (hand.proved or hand.failed):
            hand.send()
            self.reactor.turn()
            hand.read()
        self.reactor.turn(_TIMEOUT - 0.1)
        self.assertNoResult(opened)
        self.assertEqual(self.protocol.events, [])
        return socket, hand, opened

    def test_lateTicket(self) -> None:
        """
        Who made an invitation sends a ticket to whom it accepts, and its
        silence until then is no consent.
        """
        _, hand, opened = self.invited(None)
        hand.send()
        self.reactor.turn()
        self.assertIs(self.successResultOf(opened), self.protocol)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_lateRefusal(self) -> None:
        """It refuses as late: that is a refusal, not the end of a connection."""
        socket, hand, opened = self.invited(self.stranger)
        hand.send()
        self.reactor.turn()
        self.refused(socket, opened, PeerRefused)

    def test_neverConfirmed(self) -> None:
        """It says nothing: it is given up when the time for the handshake is over."""
        socket, _, opened = self.invited(None)
        self.reactor.turn(0.2)
        self.reactor.turn()
        self.refused(socket, opened, PartnerTimeout)

    def test_endWithoutTicket(self) -> None:
        """An end alone is no sign that this side was accepted."""
        for ending in ("end", "reset"):
            socket, hand, opened = self.reach(tickets=0)
            self.prove(hand)
            getattr(hand.raw, ending)()
            self.reactor.run(3)
            self.refused(socket, opened, PeerRefused)

    def test_impostor(self) -> None:
        """The server has another key than the one that is expected."""
        socket, hand, opened = self.reach(identity=self.stranger)
        for _ in range(4):
            hand.step()
            self.reactor.turn()
        error = self.refused(socket, opened, NotAdmitted)
        self.assertIn(self.stranger.pin, str(error))

    def test_unreadable(self) -> None:
        """The server's certificate is one that cryptography does not read."""
        key = Ed25519PrivateKey.generate()
        self.there = Identity.selfSigned(key)
        below, opened = self.dial()
        socket, raw = below.succeed()
        context = serverContext(self.folder, self.there, self.here)
        context.load_cert_chain(*unreadableFiles(self.folder, self.there, key))
        hand = Hand(raw, context, server=True)
        for _ in range(4):
            hand.step()
            self.reactor.turn()
        error = self.refused(socket, opened, NotAdmitted)
        self.assertIn("cannot be read", str(error))
        hand.read()
        self.assertIn("ALERT", str(hand.failed))

    def test_unreadableName(self) -> None:
        """The names in its certificate, which its authority signed, are not."""
        for names in (
            b"\x87\x05\x01\x02\x03\x04\x05",  # an address of five bytes
            b"\x82\x04a\xff.b",  # a name that is not ASCII
        ):
            server = self.named(bytes((0x30, len(names))) + names)
            below = SimulatedClientEndpoint(self.reactor)
            policy = Policy(
                self.here, frozenset(), (server.certificate,), "host.example"
            )
            endpoint = MutualTLSClientEndpoint(self.reactor, policy, below, _TIMEOUT)
            opened = endpoint.connect(One(self.protocol))
            socket, raw = below.succeed()
            context = serverContext(self.folder, server, self.here)
            hand = Hand(raw, context, server=True)
            for _ in range(4):
                hand.step()
                self.reactor.turn()
            error = self.refused(socket, opened, NotAdmitted)
            # An older service-identity finds no name at all in the first one.
            self.assertRegex(str(error), "cannot be read|for another host")

    def test_oldTLS(self) -> None:
        """Where only pins count, TLS 1.2 is not spoken."""
        socket, hand, opened = self.reach(newest=_TLS12)
        for _ in range(4):
            hand.step()
            self.reactor.turn()
        self.refused(socket, opened, PeerRefused)

    def test_silent(self) -> None:
        """A server that says nothing, and one that drips, are given up in time."""
        for drips in (False, True):
            socket, hand, opened = self.reach()
            for _ in range(int(_TIMEOUT) * 10 - 1):
                if drips:
                    hand.step(1)
                self.reactor.turn(0.1)
            self.assertNoResult(opened)
            self.reactor.turn(0.2)
            self.reactor.turn()
            self.refused(socket, opened, PartnerTimeout)

    def test_unreachable(self) -> None:
        """What the endpoint fails with is passed on."""
        below, opened = self.dial()
        below.fail(ConnectionRefusedError())
        self.failureResultOf(opened, ConnectionRefusedError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_noProtocol(self) -> None:
        """A factory that gives no protocol, and one that fails."""

        class Failing(Factory):
            def buildProtocol(self, addr: Any) -> Any:
                raise ZeroDivisionError

        for factory, error in ((One(None), NoProtocol), (Failing(), ZeroDivisionError)):
            socket, hand, opened = self.reach(factory=factory)
            for _ in range(4):
                hand.step()
                self.reactor.turn()
            self.refused(socket, opened, error)

    def test_failingProtocol(self) -> None:
        """One that fails when it gets the connection, or is cancelled from there."""
        for method in ("connectionMade", "handshakeCompleted"):
            for tickets in (0, 2):  # opened by a timer, or by what came
                dials: list[Deferred[Any]] = []

                def fail(dials: list[Deferred[Any]] = dials) -> None:
                    raise ZeroDivisionError

                def cancel(dials: list[Deferred[Any]] = dials) -> None:
                    dials[0].cancel()

                for step, error in (
                    (fail, ZeroDivisionError),
                    (cancel, CancelledError),
                ):
                    self.protocol = Recorder()
                    setattr(self.protocol, method, step)
                    socket, hand, opened = self.reach(tickets=tickets)
                    dials[:] = [opened]
                    for _ in range(4):
                        hand.step()
                        self.reactor.turn()
                    self.reactor.turn(CONFIRM_TIMEOUT)
                    self.reactor.turn()
                    self.failureResultOf(opened, error)
                    self.assertEqual(self.protocol.events[-1], "lost")
                    self.assertNothingLeft(socket)

    def test_cancelled(self) -> None:
        """Cancelling ends the connection, at whatever point of the handshake."""
        for steps in range(3):
            socket, hand, opened = self.reach(tickets=0)
            for _ in range(steps):
                hand.step()
                self.reactor.turn()
            opened.cancel()
            self.reactor.run(2)
            self.refused(socket, opened, CancelledError)

    def test_cancelledBefore(self) -> None:
        """Cancelling before anybody was reached ends the dial."""
        below, opened = self.dial()
        opened.cancel()
        self.failureResultOf(opened, CancelledError)
        self.assertTrue(below.connecting.called)

    def test_late(self) -> None:
        """
        An endpoint that cannot be cancelled, and has its connection late: it
        is ended at once.
        """
        below, opened = self.dial(stubborn=True)
        opened.cancel()
        self.failureResultOf(opened, CancelledError)
        socket, _ = below.succeed()
        self.assertTrue(socket.aborted)
        self.reactor.turn()
        self.assertNothingLeft(socket)
        self.assertEqual(self.protocol.events, [])

    def test_lateFailure(self) -> None:
        """The same endpoint fails late: nobody is told."""
        below, opened = self.dial(stubborn=True)
        opened.cancel()
        self.failureResultOf(opened, CancelledError)
        below.fail(ConnectionRefusedError())

    def test_abandoned(self) -> None:
        """
        One that nobody waits for any more is never opened, be it that its end
        takes its time and the partner goes on meanwhile.
        """
        for proved in (False, True):
            for tickets in (0, 2):
                built: list[Any] = []

                class Counting(Factory):
                    def buildProtocol(self, addr: Any) -> Any:
                        self.built.append(addr)

                    built: list[Any]

                Counting.built = built
                socket, hand, opened = self.reach(factory=Counting(), tickets=tickets)
                if proved:
                    self.prove(hand)
                socket.abortConnection = lambda: None  # type: ignore[method-assign]
                opened.cancel()
                self.failureResultOf(opened, CancelledError)
                for _ in range(4):
                    hand.step()
                    self.reactor.turn()
                if proved:
                    hand.say(b"data")
                    hand.step()
                self.reactor.turn(CONFIRM_TIMEOUT)
                self.reactor.turn(_TIMEOUT)
                SimulatedSocket.abortConnection(socket)
                self.reactor.run(2)
                self.assertEqual(built, [])
                self.assertNothingLeft(socket)


class StepsTests(GateTestCase):
    """Which states of the confirmation follow each other."""

    def setUp(self) -> None:
        super().setUp()
        names = b"\x82\x0chost.example"
        self.server = self.named(bytes((0x30, len(names))) + names)

    def test_all(self) -> None:
        """
        Whatever happens in whatever state: all of the table's steps are taken, and
        no other one.
        """
        before: dict[Confirmation, list[str]] = {
            Confirmation.HANDSHAKE: [],
            Confirmation.UNCONFIRMED: ["prove"],
            Confirmation.OPEN: ["prove", "ticket"],
            Confirmation.REFUSED: ["cancel"],
        }
        events = ("prove", "ticket", "data", "nonsense", "reset", "cancel", "time")
        taken = notedSteps(self, Gate, "state")
        for state, way in before.items():
            for event in events:
                gate = self.gate(One(Recorder()))
                for each in way:
                    self.happens(each)
                self.assertIs(gate.state, state)
                self.happens(event)
                self.over()
        # Confirmed it is only until the piece with the ticket was read.
        self.assertIn((Confirmation.CONFIRMED, Confirmation.OPEN), taken)
        self.gate(One(None))
        self.happens("prove")
        self.happens("ticket")
        self.failureResultOf(self.opened, NoProtocol)
        self.over()
        # In TLS 1.2 there is nothing to wait for.
        gate = self.gate(One(Recorder()), _TLS12)
        self.happens("prove")
        self.happens("ticket")
        self.assertIs(gate.state, Confirmation.OPEN)
        self.over()
        self.assertEqual(taken, allSteps(CONFIRMATION_STEPS))

    def gate(
        self, factory: Any, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ) -> Gate:
        """:returns: a gate that was just connected."""
        below = SimulatedClientEndpoint(self.reactor)
        policy = Policy(
            self.here, frozenset(), (self.server.certificate,), "host.example"
        )
        endpoint = MutualTLSClientEndpoint(self.reactor, policy, below, _TIMEOUT)
        self.opened = endpoint.connect(factory)
        self.socket, raw = below.succeed()
        context = serverContext(self.folder, self.server, self.here, newest)
        self.hand = Hand(raw, context, server=True)
        protocol: Any = self.socket.protocol
        assert isinstance(protocol.wrappedProtocol, Gate)
        return protocol.wrappedProtocol

    def over(self) -> None:
        """End the connection, in whatever state."""
        self.opened.addErrback(lambda failure: None)
        self.opened.cancel()
        self.socket.abortConnection()
        self.reactor.run(3)
        self.assertNothingLeft(self.socket)

    def happens(self, event: str) -> None:
        """Have something happen to the gate."""
        hand = self.hand
        if event == "prove":
            for _ in range(4):
                if not hand.proved:
                    hand.send()
                    self.reactor.turn()
                    hand.read()
        elif event == "ticket":
            hand.step()
            self.reactor.turn()
        elif event == "data":
            with contextlib.suppress(ssl.SSLError):
                hand.say(b"data")
            hand.send()
            self.reactor.turn()
        elif event == "nonsense":
            hand.raw.send(b"no TLS at all, and long enough for a record")
            self.reactor.run(2)
        elif event == "reset":
            hand.raw.reset()
            self.reactor.run(2)
        elif event == "cancel":
            self.opened.cancel()
            self.opened.addErrback(lambda failure: None)
            self.reactor.run(2)
        else:
            self.reactor.turn(CONFIRM_TIMEOUT)
            self.reactor.turn(_TIMEOUT)


class _Host:
    """A host that answers as the test says."""

    def __init__(self) -> None:
        self.dials: list[Deferred[Any]] = []
        self.cancelled = 0

    def connect(self, factory: Any, leftovers: Any) -> Deferred[Any]:
        def cancel(dialling: Deferred[Any]) -> None:
            self.cancelled += 1

        self.dials.append(Deferred(cancel))
        return self.dials[-1]


class FirstProvenTests(SynchronousTestCase):
    """Several hosts of one partner."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.hosts = [_Host() for _ in range(3)]
        endpoints: Any = self.hosts
        endpoint = FirstProvenClientEndpoint(self.clock, endpoints)
        verifyObject(IStreamClientEndpoint, endpoint)
        factory: Any = None
        self.connecting = endpoint.connect(factory)

    def dialled(self) -> list[int]:
        """:returns: how often each was dialled."""
        return [len(host.dials) for host in self.hosts]

    def test_first(self) -> None:
        """The first alone is dialled, if it answers soon."""
        protocol = Protocol()
        self.hosts[0].dials[0].callback(protocol)
        self.assertIs(self.successResultOf(self.connecting), protocol)
        self.assertEqual(self.dialled(), [1, 0, 0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow(self) -> None:
        """While one does not answer the next ones are dialled, and the others end."""
        self.clock.advance(NEXT_HOST)
        self.assertEqual(self.dialled(), [1, 1, 0])
        self.clock.advance(NEXT_HOST)
        self.assertEqual(self.dialled(), [1, 1, 1])
        protocol = Protocol()
        self.hosts[1].dials[0].callback(protocol)
        self.assertIs(self.successResultOf(self.connecting), protocol)
        self.assertEqual([host.cancelled for host in self.hosts], [1, 0, 1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_fails(self) -> None:
        """Where one fails, the next one is dialled at once."""
        self.hosts[0].dials[0].errback(NotAdmitted("another machine"))
        self.assertEqual(self.dialled(), [1, 1, 0])
        self.clock.advance(NEXT_HOST / 2)
        self.assertEqual(self.dialled(), [1, 1, 0])
        self.hosts[1].dials[0].callback(Protocol())
        self.successResultOf(self.connecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_allFail(self) -> None:
        """The error is that of the host which came furthest."""
        refused = PeerRefused("not you")
        refused.proven = True
        for errors, expected in (
            ([ConnectError(), NotAdmitted("other"), ConnectError()], NotAdmitted),
            ([PeerRefused("?"), refused, NotAdmitted("other")], PeerRefused),
            ([ConnectError(), ConnectError(), ConnectError()], ConnectError),
        ):
            self.setUp()
            for host, error in zip(self.hosts, errors, strict=True):
                host.dials[0].errback(error)
            found = self.failureResultOf(self.connecting).value
            self.assertIsInstance(found, expected)
            self.assertTrue(expected is not PeerRefused or found is refused)

    def test_cancelled(self) -> None:
        """Cancelled, it dials nobody any more."""
        self.hosts[0].dials[0].errback(NotAdmitted("another machine"))
        self.clock.advance(NEXT_HOST)
        self.connecting.cancel()
        self.failureResultOf(self.connecting, CancelledError)
        self.assertEqual([host.cancelled for host in self.hosts], [0, 1, 1])
        self.assertEqual(self.clock.getDelayedCalls(), [])
