"""
Tests for :mod:`twisted_transfer.tls.alpn`; handshakes are in ``tests/reactors``.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_transfer import TransferConnector
from twisted_transfer.tls.alpn import nameProtocols, protocolsOf
from twisted_transfer.twist.endpoints import (
    TransferClientEndpoint,
    TransferServerEndpoint,
)


@implementer(IProtocolNegotiationFactory)
class Naming(Factory):
    """Names two protocols."""

    def acceptableProtocols(self) -> list[bytes]:
        return [b"h2", b"http/1.1"]


class Failing(Naming):
    """Fails to name any."""

    def acceptableProtocols(self) -> list[bytes]:
        raise ZeroDivisionError()


class NameTests(SynchronousTestCase):
    """What a factory names."""

    def test_named(self) -> None:
        """They are found under the layers around the factory, such as a proxy's."""
        layers: Any = WrappingFactory(WrappingFactory(Naming()))
        for factory in (Naming(), layers):
            self.assertEqual(protocolsOf(factory), (b"h2", b"http/1.1"))

    def test_none(self) -> None:
        """A factory that is not asked for names, or has none, names none."""
        without = Factory()
        nameProtocols(without, ())
        self.assertFalse(IProtocolNegotiationFactory.providedBy(without))
        layer: Any = WrappingFactory(without)
        for factory in (without, layer):
            self.assertEqual(protocolsOf(factory), ())

    def test_failing(self) -> None:
        """What a factory raises when it is asked is the error, before anything else."""
        for mode, port in (("active", 4000), ("passive", 0)):
            reactor = MemoryReactorClock()
            connector = TransferConnector(reactor, mode, port=port)
            for start in (
                TransferClientEndpoint(connector).connect,
                TransferServerEndpoint(reactor, connector).listen,
            ):
                deferred: Any = start(Failing())
                self.failureResultOf(deferred, ZeroDivisionError)
            self.assertEqual(reactor.tcpClients + reactor.tcpServers, [])
