"""
Tests for :mod:`twisted_transfer.channel.link`.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IUNIXTransport
from twisted.internet.protocol import Factory
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer

from tests.support.simulation import (
    Flow,
    Partner,
    SimulatedReactor,
    SimulatedSocket,
    TLSPartner,
    connected,
)
from tests.support.steps import allSteps, notedSteps
from tests.support.tlsends import Identities, One, overTLS, serverLink
from twisted_transfer.channel.link import LINK_STEPS, Link, LinkState
from twisted_transfer.channel.proxied import ProxiedServerEndpoint
from twisted_transfer.channel.wires import CLOSE_TIMEOUT
from twisted_transfer.errors import NotAdmitted, PeerRefused, Truncated


class User:
    """Writes down what a link tells."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def bytesArrived(self, data: bytes) -> None:
        self.told.append(data)

    def inputEnded(self) -> None:
        self.told.append("input ended")

    def outputEnded(self) -> None:
        self.told.append("output ended")

    def handshakeCompleted(self) -> None:
        self.told.append("handshake")

    def linkLost(self, reason: Failure) -> None:
        self.told.append(("lost", reason.type))

    def descriptorArrived(self, descriptor: int) -> bool:
        self.told.append(descriptor)
        return True


class LinkTestCase(SynchronousTestCase):
    """A test with a link over a simulated socket."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.link = Link(self.reactor)
        self.socket, self.partner = connected(self.reactor)


class PlainTests(LinkTestCase):
    """Connections that are good at once."""

    def setUp(self) -> None:
        super().setUp()
        self.ready = self.link.whenReady()
        self.assertNoResult(self.ready)
        self.socket.attach(self.link)

    def user(self) -> list[Any]:
        """:returns: what a user of the link is told from here on."""
        user = User()
        self.link.attach(user)
        return user.told

    def test_ready(self) -> None:
        """A plain connection is good when it is made, for all who ask."""
        self.assertIs(self.link.state, LinkState.OPEN)
        self.assertFalse(self.link.secure)
        self.assertIsNone(self.link.peerIdentity)
        self.successResultOf(self.ready)
        self.successResultOf(self.link.whenReady())

    def test_waits(self) -> None:
        """Until somebody takes them, the first bytes are kept, and no more are read."""
        self.assertFalse(self.link.paused)
        self.partner.send(b"early")
        self.reactor.turn()
        self.assertTrue(self.link.paused)
        self.partner.send(b"behind")
        self.reactor.run(3)
        told = self.user()
        self.reactor.run(3)
        self.assertEqual(told, [b"early"])
        self.link.resume()
        self.reactor.turn()
        self.assertEqual(told, [b"early", b"behind"])
        self.link.pause()
        self.partner.send(b"late")
        self.reactor.run(3)
        self.assertEqual(told, [b"early", b"behind"])

    def test_held(self) -> None:
        """
        What comes nevertheless is kept, with the end behind it, in order; some
        transports cannot be paused.
        """
        self.link.dataReceived(b"one")
        self.link.dataReceived(b"two")
        self.link.readConnectionLost()
        self.link.connectionLost(Failure(ConnectionDone()))
        told = self.user()
        self.assertEqual(
            told, [b"one", b"two", "input ended", ("lost", ConnectionDone)]
        )

    def test_writes(self) -> None:
        """What is written goes to the partner, and nothing goes after the end."""
        self.link.wire.write(b"data")
        self.reactor.turn()
        self.assertEqual(self.partner.take(), b"data")
        self.link.close()
        self.reactor.run(3)
        self.link.wire.write(b"late")
        self.reactor.run(3)
        self.assertEqual(self.partner.take(), b"")

    def test_halfCloses(self) -> None:
        """Either direction ends alone, and the user is told."""
        told = self.user()
        self.link.resume()
        self.link.wire.closeWrite()
        self.reactor.run(2)
        self.assertTrue(self.partner.incoming.ended)
        self.partner.send(b"answer")
        self.partner.end()
        self.reactor.run(3)
        self.assertEqual(told, ["output ended", b"answer", "input ended"])
        self.assertFalse(self.link.lost)
        self.link.close()
        self.reactor.turn()
        self.assertEqual(told[3:], [("lost", ConnectionDone)])

    def test_close(self) -> None:
        """Closing lets go what was written; asking again changes nothing."""
        gone = self.link.whenGone()
        self.link.wire.write(b"last")
        self.link.close()
        self.link.close()
        self.assertNoResult(gone)
        self.reactor.run(3)
        self.assertEqual(self.partner.take(), b"last")
        self.assertTrue(self.partner.incoming.ended)
        self.assertFalse(self.partner.incoming.broken)
        self.successResultOf(gone)
        self.successResultOf(self.link.whenGone())
        self.assertIsNone(self.link.truncation)
        self.link.close()
        self.link.abort()
        self.assertIsNone(self.link.truncation)

    def test_abort(self) -> None:
        """An abort is a reset for the partner and a truncation for this side."""
        self.link.wire.write(b"not sent")
        self.link.abort()
        self.link.abort()
        self.link.close()
        self.reactor.run(3)
        self.assertTrue(self.partner.incoming.broken)
        self.assertIsInstance(self.link.truncation, Truncated)
        self.successResultOf(self.link.whenGone())

    def test_broken(self) -> None:
        """A reset by the partner is a truncation, and the user is told why."""
        told = self.user()
        self.link.resume()
        self.partner.reset()
        self.reactor.run(3)
        self.assertEqual(told, [("lost", ConnectionLost)])
        self.assertIsInstance(self.link.truncation, Truncated)

    def test_descriptor(self) -> None:
        """A file descriptor goes to the user; without one it is closed."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.link.fileDescriptorReceived(writer)
        self.assertRaises(OSError, os.fstat, writer)
        told = self.user()
        self.link.fileDescriptorReceived(reader)
        self.assertEqual(told, [reader])
        os.fstat(reader)

    def test_addresses(self) -> None:
        """The addresses are known, also when the transport has forgotten."""
        before = self.link.addresses()
        self.assertEqual(before, (self.socket.host, self.socket.peer))
        self.link.close()
        self.reactor.run(3)
        self.socket.peer = IPv4Address("TCP", "0.0.0.0", 0)
        self.assertEqual(self.link.addresses(), before)

    def test_addressesOfALostLink(self) -> None:
        """Also if nobody had asked for them before."""
        self.link.connectionLost(Failure(ConnectionDone()))
        self.socket.peer = IPv4Address("TCP", "0.0.0.0", 0)
        self.assertEqual(
            self.link.addresses()[1], IPv4Address("TCP", "192.0.2.2", 2000)
        )

    def test_lost(self) -> None:
        """A transport that is gone is asked for nothing more."""
        self.link.connectionLost(Failure(ConnectionDone()))
        self.link.transport = None
        link: Any = self.link
        link.transport = object()
        for method in ("pause", "resume", "close", "abort"):
            getattr(self.link, method)()
        self.assertIsNone(self.link.truncation)
        self.reactor.run(3)
        self.assertFalse(self.socket.disconnecting)

    def test_logPrefix(self) -> None:
        """In the log it has the name that users know."""
        self.assertEqual(self.link.logPrefix(), "TransferChannel")


class UnwantedTests(LinkTestCase):
    """A link that is not wanted any more before it has a connection."""

    def test_plain(self) -> None:
        """Its connection is aborted as soon as there is one."""
        self.link.abort()
        self.socket.attach(self.link)
        self.reactor.run(3)
        self.assertIsNot(self.link.state, LinkState.OPEN)
        self.assertTrue(self.socket.disconnected)
        self.failureResultOf(self.link.whenReady(), PeerRefused)

    def test_tls(self) -> None:
        """So it is with TLS, and no handshake is begun."""
        identities = Identities(self)
        self.link.abort()
        self.socket.attach(
            overTLS(self.reactor, identities.client(), self.link, client=True)
        )
        self.reactor.run(3)
        self.assertTrue(self.socket.disconnected)
        self.failureResultOf(self.link.whenReady(), PeerRefused)
        self.assertEqual(self.partner.take(), b"")


class UNIXTests(LinkTestCase):
    """What is special about UNIX sockets."""

    def test_brokenWhenClosed(self) -> None:
        """
        A UNIX socket whose partner has closed is reported as broken when it is
        closed here; with nothing more to send that is an orderly end.
        """
        alsoProvides(self.socket, IUNIXTransport)
        self.socket.attach(self.link)
        user = User()
        self.link.attach(user)
        self.link.resume()
        self.partner.send(b"all")
        self.partner.close()
        self.reactor.run(3)
        self.link.close()
        self.socket.doWrite = lambda: ConnectionLost()  # type: ignore[method-assign]
        self.reactor.run(5)
        self.assertTrue(self.link.lost)
        self.assertIsNone(self.link.truncation)
        self.assertEqual(user.told, [b"all", "input ended", ("lost", ConnectionLost)])

    def test_brokenUnseen(self) -> None:
        """So it is if nobody was reading, who would have seen the partner's end."""
        alsoProvides(self.socket, IUNIXTransport)
        self.socket.attach(self.link)
        self.partner.close()
        self.link.close()
        self.reactor.run(5)
        self.assertTrue(self.link.lost)
        self.assertIsNone(self.link.truncation)

    def test_notRead(self) -> None:
        """With something that the partner has not read it is none."""
        alsoProvides(self.socket, IUNIXTransport)
        self.socket.attach(self.link)
        self.link.wire.write(b"answer")
        self.reactor.run(2)
        self.partner.close()
        self.link.close()
        self.reactor.run(5)
        self.assertIsInstance(self.link.truncation, Truncated)

    def test_somethingToSend(self) -> None:
        """With something more to send it is none, either."""
        alsoProvides(self.socket, IUNIXTransport)
        self.socket.attach(self.link)
        self.link.resume()
        self.partner.close()
        self.reactor.run(3)
        self.link.wire.write(b"answer")
        self.link.close()
        self.reactor.run(5)
        self.assertTrue(self.link.lost)
        self.assertIsInstance(self.link.truncation, Truncated)


class TLSTests(SynchronousTestCase):
    """Connections that are good when their handshake is complete."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.identities = Identities(self)

    def test_readyWhenComplete(self) -> None:
        """Not when the connection is made, not with its first bytes."""
        link, _, partner = serverLink(self.reactor, self.identities)
        ready = link.whenReady()
        for _ in range(2):
            self.assertNoResult(ready)
            self.assertTrue(link.secure)
            partner.handshake(self.reactor, 1)
        partner.handshake(self.reactor, 1)
        self.successResultOf(ready)
        self.assertIs(link.state, LinkState.OPEN)

    def test_drip(self) -> None:
        """A handshake whose bytes come one by one is complete with the last."""
        link, _, partner = serverLink(self.reactor, self.identities)
        sent = 0
        for _ in range(3):
            partner.do(partner.tls.do_handshake)
            flight = bytes(partner.raw.outgoing.data)
            partner.raw.outgoing.data.clear()
            for byte in flight:
                self.assertIsNot(link.state, LinkState.OPEN)
                partner.raw.send(bytes([byte]))
                self.reactor.turn()
                sent += 1
        self.assertIs(link.state, LinkState.OPEN)
        self.assertGreater(sent, 100)

    def test_peerIdentity(self) -> None:
        """The partner's certificate is known then, if it has shown one."""
        link, _, partner = serverLink(self.reactor, self.identities)
        partner.handshake(self.reactor)
        self.assertIsNone(link.peerIdentity)
        socket, raw = connected(self.reactor)
        dialled = Link(self.reactor)
        socket.attach(
            overTLS(self.reactor, self.identities.client(), dialled, client=True)
        )
        server = TLSPartner(raw, self.identities.serverContext(), client=False)
        server.handshake(self.reactor)
        identity = dialled.peerIdentity
        assert identity is not None
        own = server.tls.get_certificate()
        assert own is not None
        self.assertEqual(identity.certificate, own.to_cryptography())

    def test_refusedInTheEnd(self) -> None:
        """
        Twisted tells of a completed handshake also if the partner was refused
        by what looked at the handshake; such a link is never ready.
        """
        told: list[str] = []

        class Telling(Link):
            def handshakeCompleted(self) -> None:
                told.append("completed")
                super().handshakeCompleted()

        @implementer(IOpenSSLClientConnectionCreator)
        class Distrustful:
            def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
                def look(connection: Any, where: int, result: int) -> None:
                    if where & SSL.SSL_CB_HANDSHAKE_DONE:
                        tlsProtocol.failVerification(Failure(NotAdmitted("no")))

                context = SSL.Context(SSL.TLS_METHOD)
                context.set_info_callback(look)
                return SSL.Connection(context, None)

        socket, raw = connected(self.reactor)
        link = Telling(self.reactor)
        ready = link.whenReady()
        socket.attach(overTLS(self.reactor, Distrustful(), link, client=True))
        server = TLSPartner(raw, self.identities.serverContext(), client=False)
        server.handshake(self.reactor, 2)
        self.reactor.run(3)
        self.assertEqual(told, ["completed"])
        self.assertIsNot(link.state, LinkState.OPEN)
        self.failureResultOf(ready, NotAdmitted)
        self.failureResultOf(link.whenReady(), NotAdmitted)

    def test_refusedHostName(self) -> None:
        """A link whose server is not the one that was dialled is never ready."""
        socket, raw = connected(self.reactor)
        link = Link(self.reactor)
        options = self.identities.client("other.example")
        socket.attach(overTLS(self.reactor, options, link, client=True))
        server = TLSPartner(raw, self.identities.serverContext(), client=False)
        server.handshake(self.reactor, 2)
        self.reactor.run(3)
        self.assertIsNot(link.state, LinkState.OPEN)
        self.assertTrue(socket.aborted)
        self.failureResultOf(link.whenReady(), NotAdmitted)

    def test_dataWithTheHandshake(self) -> None:
        """Data that come together with the end of the handshake are kept."""
        link, _, partner = serverLink(self.reactor, self.identities)
        partner.handshake(self.reactor, 1)
        partner.do(partner.tls.do_handshake)
        partner.write(b"eager")
        self.reactor.run(3)
        user = User()
        link.attach(user)
        self.assertEqual(user.told, [b"eager"])

    def test_within(self) -> None:
        """
        With TLS in TLS, the handshake that counts is the inner one, which is
        the one with the partner.
        """
        socket, raw = connected(self.reactor)
        link = Link(self.reactor)
        inner = TLSMemoryBIOFactory(
            self.identities.server, False, One(link), clock=self.reactor
        )
        outer = TLSMemoryBIOFactory(
            self.identities.server, False, inner, clock=self.reactor
        )
        socket.attach(outer.buildProtocol(None))
        tunnel = TLSPartner(raw, self.identities.clientContext())
        tunnel.handshake(self.reactor)
        tunnel.do(tunnel.tls.do_handshake)  # it is complete: nothing to do
        self.assertIsNot(link.state, LinkState.OPEN)
        there, back = Flow(1 << 20), Flow(1 << 20)
        partner = TLSPartner(Partner(back, there), self.identities.clientContext())
        for _ in range(2):
            self.assertIsNot(link.state, LinkState.OPEN)
            partner.do(partner.tls.do_handshake)
            tunnel.write(bytes(there.data))
            there.data.clear()
            self.reactor.run(3)
            back.data += tunnel.read()
        self.assertIs(link.state, LinkState.OPEN)


class StepsTests(SynchronousTestCase):
    """Which states follow each other."""

    def test_all(self) -> None:
        """
        Whatever happens in whatever state: all of the table's steps are taken, and
        no other one.
        """
        identities = Identities(self)
        before: dict[LinkState, list[str]] = {
            LinkState.SETUP: [],
            LinkState.OPEN: ["handshake"],
            LinkState.CLOSING: ["handshake", "close"],
            LinkState.ABORTING: ["abort"],
            LinkState.GONE: ["reset"],
        }
        events = ("handshake", "close", "abort", "reset", "closeNotify", "data", "time")
        taken = notedSteps(self, Link, "state")
        for state, way in before.items():
            for event in events:
                self.reactor = SimulatedReactor()
                self.link, _, self.partner = serverLink(self.reactor, identities)
                for each in way:
                    self.happens(each)
                self.assertIs(self.link.state, state)
                self.happens(event)
                self.reactor.run(3)
                self.happens("abort")
                self.reactor.run(3)
                self.assertTrue(self.link.lost)
        self.assertEqual(taken, allSteps(LINK_STEPS))

    def happens(self, event: str) -> None:
        """Have something happen to the link."""
        if event == "handshake":
            self.partner.handshake(self.reactor)
        elif event == "closeNotify":
            with contextlib.suppress(SSL.Error):  # not in a handshake
                self.partner.closeNotify()
        elif event == "data":
            self.partner.raw.send(b"no TLS at all, and long enough for a record")
        elif event == "reset":
            self.partner.raw.reset()
            self.reactor.run(2)
        elif event == "time":
            self.reactor.turn(CLOSE_TIMEOUT)
        else:
            getattr(self.link, event)()


class LayersTests(SynchronousTestCase):
    """Wrappers between the socket and the link that hide what it has to hear."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.link = Link(self.reactor)

    def wrapping(self, factory: Any) -> Any:
        """:returns: what ``haproxy:`` makes of a factory."""
        made: list[Any] = []

        class Endpoint:
            def listen(self, protocolFactory: Any) -> None:
                made.append(protocolFactory)

        ProxiedServerEndpoint(Endpoint()).listen(factory)  # type: ignore[arg-type]
        return made[0]

    def attach(self, factory: Any) -> tuple[SimulatedSocket, Partner]:
        """Connect what the factory makes."""
        socket, partner = connected(self.reactor)
        socket.attach(factory.buildProtocol(socket.peer))
        return socket, partner

    def test_halfClose(self) -> None:
        """The link hears of half-closing through wrappers."""
        for times in (1, 2):
            link = Link(self.reactor)
            factory: Any = One(link)
            for _ in range(times):
                factory = WrappingFactory(factory)
            socket, partner = self.attach(factory)
            user = User()
            link.attach(user)
            link.resume()
            partner.send(b"x")
            partner.end()
            link.wire.closeWrite()
            self.reactor.run(3)
            self.assertEqual(
                sorted(map(str, user.told)), ["b'x'", "input ended", "output ended"]
            )
            self.assertFalse(socket.disconnected)
            link.close()
            self.reactor.run(2)

    def test_handshake(self) -> None:
        """And it hears of the completed handshake behind a PROXY header."""
        identities = Identities(self)
        factory = TLSMemoryBIOFactory(
            identities.server,
            False,
            self.wrapping(One(self.link)),
            clock=self.reactor,
        )
        _, raw = self.attach(factory)
        partner = TLSPartner(raw, identities.clientContext())
        self.assertIsNot(self.link.state, LinkState.OPEN)
        partner.handshake(self.reactor)
        self.assertIs(self.link.state, LinkState.SETUP)
        partner.write(b"PROXY TCP4 203.0.113.5 203.0.113.6 7 8\r\nhello")
        self.reactor.run(3)
        self.assertIs(self.link.state, LinkState.OPEN)
        user = User()
        self.link.attach(user)
        self.link.resume()
        self.assertEqual(user.told, [b"hello"])
        self.assertEqual(
            self.link.addresses(),
            (
                IPv4Address("TCP", "203.0.113.6", 8),
                IPv4Address("TCP", "203.0.113.5", 7),
            ),
        )

    def test_headerBeforeTLS(self) -> None:
        """A header may stand before the TLS; one alone does not complete the set-up."""
        identities = Identities(self)
        for header in (b"PROXY TCP4 203.0.113.5 203.0.113.6 7 8\r\n", b"PROXY x\r\n"):
            self.link = Link(self.reactor)
            tls = TLSMemoryBIOFactory(
                identities.server, False, One(self.link), clock=self.reactor
            )
            socket, raw = self.attach(self.wrapping(tls))
            raw.send(header)
            self.reactor.run(3)
            if b"TCP4" not in header:
                failure = self.failureResultOf(self.link.whenReady(), NotAdmitted)
                self.assertIn("PROXY header", str(failure.value))
                self.assertTrue(socket.disconnected)
                continue
            self.assertIs(self.link.state, LinkState.SETUP)
            partner = TLSPartner(raw, identities.clientContext())
            partner.handshake(self.reactor)
            self.assertIs(self.link.state, LinkState.OPEN)
            self.assertEqual(
                self.link.addresses()[1], IPv4Address("TCP", "203.0.113.5", 7)
            )

    def test_noHeader(self) -> None:
        """Without a header there is no set-up: who hangs up, or says another thing."""
        for word, kind in ((b"", PeerRefused), (b"hello", NotAdmitted)):
            self.link = Link(self.reactor)
            socket, partner = self.attach(self.wrapping(One(self.link)))
            ready = self.link.whenReady()
            self.assertNoResult(ready)
            partner.send(word)
            partner.end()
            self.reactor.run(3)
            self.failureResultOf(ready, kind)
            self.assertTrue(socket.disconnected)

    def test_twoHeaders(self) -> None:
        """Behind two proxies the header of each one is waited for."""
        _, partner = self.attach(self.wrapping(self.wrapping(One(self.link))))
        partner.send(b"PROXY TCP4 203.0.113.5 203.0.113.6 7 8\r\n")
        self.reactor.turn()
        self.assertIs(self.link.state, LinkState.SETUP)
        partner.send(b"PROXY TCP6 2001:db8::5 2001:db8::6 7 8\r\n")
        self.reactor.turn()
        self.assertIs(self.link.state, LinkState.OPEN)
        self.assertEqual(self.link.addresses()[1], IPv6Address("TCP", "2001:db8::5", 7))

    def test_proxyAddressAfterTheEnd(self) -> None:
        """What the PROXY header has said is known when the connection is gone."""
        _, partner = self.attach(self.wrapping(One(self.link)))
        user = User()
        self.link.attach(user)
        self.link.resume()
        partner.send(b"PROXY TCP4 203.0.113.5 203.0.113.6 7 8\r\nhello")
        self.reactor.turn()
        partner.reset()
        self.reactor.run(2)
        self.assertTrue(self.link.lost)
        self.assertEqual(self.link.addresses()[1], IPv4Address("TCP", "203.0.113.5", 7))


class FactoryTests(SynchronousTestCase):
    """How a link looks to a factory."""

    def test_isAProtocol(self) -> None:
        """It keeps what made it, as Twisted's log wants to know."""
        link = Link(SimulatedReactor())
        factory = Factory()
        link.factory = factory
        self.assertIs(link.factory, factory)
