"""
Tests for :mod:`twisted_transfer.plain`.
"""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IHostnameResolver,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_transfer.plain import DualStackServerEndpoint, plainClientEndpoint


class RefusingReactor(MemoryReactorClock):
    """Cannot listen on IPv6, for a reason."""

    def __init__(self, reason: Exception) -> None:
        super().__init__()
        self._reason = reason

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> Any:
        if ":" in interface:
            raise CannotListenError(interface, port, self._reason)
        return super().listenTCP(port, factory, backlog, interface)


class ServerTests(SynchronousTestCase):
    """Listening on both families."""

    def listened(self, reactor: MemoryReactorClock) -> Any:
        """:returns: the Deferred of listening on port 7."""
        endpoint = DualStackServerEndpoint(reactor, 7, 300)
        self.assertTrue(IStreamServerEndpoint.providedBy(endpoint))
        return endpoint.listen(Factory())

    def test_both(self) -> None:
        """Listening on all addresses of IPv6 covers those of IPv4."""
        reactor = MemoryReactorClock()
        self.successResultOf(self.listened(reactor))
        [(port, _, backlog, interface)] = reactor.tcpServers
        self.assertEqual((port, backlog, interface), (7, 300, "::"))

    def test_withoutIPv6(self) -> None:
        """On a system without IPv6 those of IPv4 are listened on."""
        for number in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT):
            reactor = RefusingReactor(OSError(number, "no IPv6"))
            self.successResultOf(self.listened(reactor))
            [(port, _, backlog, interface)] = reactor.tcpServers
            self.assertEqual((port, backlog, interface), (7, 300, ""))

    def test_otherFailures(self) -> None:
        """
        Any other failure is one: a port in use is not tried in half of the
        world instead.
        """
        for reason in (
            OSError(errno.EADDRINUSE, "in use"),
            OSError(errno.EACCES, "denied"),
            Exception("no number"),
        ):
            reactor = RefusingReactor(reason)
            failure = self.failureResultOf(self.listened(reactor), CannotListenError)
            self.assertIs(failure.value.socketError, reason)
            self.assertEqual(reactor.tcpServers, [])


class ClientTests(SynchronousTestCase):
    """Dialling names and addresses."""

    def test_dials(self) -> None:
        """A name's addresses are tried, of whichever family."""
        reactor = MemoryReactorClock()
        endpoint = plainClientEndpoint(reactor, "partner.example", 4000)
        self.assertTrue(IStreamClientEndpoint.providedBy(endpoint))
        connecting = endpoint.connect(Factory())
        # The memory reactor's resolver gives 127.0.0.1 for every name.
        host, port, *_ = reactor.tcpClients[0]
        self.assertEqual((host, port), ("127.0.0.1", 4000))
        connecting.cancel()
        self.failureResultOf(connecting).trap(CancelledError, Exception)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_sideBySide(self) -> None:
        """Of a name's addresses the next one is tried while one is silent."""

        @implementer(IHostnameResolver)
        class Resolver:
            def resolveHostName(
                self, receiver: Any, hostName: str, portNumber: int = 0, *rest: Any
            ) -> Any:
                receiver.resolutionBegan(None)
                receiver.addressResolved(IPv6Address("TCP", "2001:db8::7", portNumber))
                receiver.addressResolved(IPv4Address("TCP", "192.0.2.7", portNumber))
                receiver.resolutionComplete()
                return receiver

        reactor = MemoryReactorClock()
        reactor.installNameResolver(Resolver())
        connecting = plainClientEndpoint(reactor, "both", 4000).connect(Factory())
        reactor.advance(1)
        dialled = [(host, port) for host, port, *_ in reactor.tcpClients]
        self.assertEqual(dialled, [("2001:db8::7", 4000), ("192.0.2.7", 4000)])
        connecting.cancel()
        self.failureResultOf(connecting)
        self.assertEqual(reactor.getDelayedCalls(), [])
