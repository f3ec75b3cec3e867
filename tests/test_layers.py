"""
Tests for :mod:`twisted_transfer.layers`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
)
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.tlsends import One
from twisted_transfer.layers import bottomOf, hearThrough, layersUnder


def wrapped(times: int) -> tuple[Protocol, list[Any], StringTransport]:
    """:returns: a protocol under so many wrappers, these, and the transport."""
    protocol = Protocol()
    factory: Any = One(protocol)
    for _ in range(times):
        factory = WrappingFactory(factory)
    outermost = factory.buildProtocol(None)
    transport = StringTransport()
    outermost.makeConnection(transport)
    wrappers: list[Any] = []
    while outermost is not protocol:
        wrappers.insert(0, outermost)
        outermost = outermost.wrappedProtocol
    return protocol, wrappers, transport


class LayersTests(SynchronousTestCase):
    """What is between a protocol and its socket."""

    def test_none(self) -> None:
        """Without layers the transport is the bottom."""
        protocol, _, transport = wrapped(0)
        self.assertEqual(layersUnder(protocol.transport), [])
        assert protocol.transport is not None
        self.assertIs(bottomOf(protocol.transport), transport)

    def test_several(self) -> None:
        """The layers come in order, the protocol's own first."""
        protocol, wrappers, transport = wrapped(3)
        self.assertEqual(layersUnder(protocol.transport), wrappers)
        assert protocol.transport is not None
        self.assertIs(bottomOf(protocol.transport), transport)

    def test_notConnected(self) -> None:
        """A layer without a transport is the bottom of what there is."""
        wrapper: Any = ProtocolWrapper(WrappingFactory(None), Protocol())
        self.assertIs(bottomOf(wrapper), wrapper)
        self.assertEqual(layersUnder(wrapper), [wrapper])


@implementer(IHalfCloseableProtocol, IFileDescriptorReceiver)
class Listener(Protocol):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def readConnectionLost(self) -> None:
        self.heard.append("read")

    def writeConnectionLost(self) -> None:
        self.heard.append("write")

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.heard.append(descriptor)


class HearThroughTests(SynchronousTestCase):
    """What is told to an outer protocol reaches the one inside."""

    def test_deaf(self) -> None:
        """A wrapper that passes nothing on does then, and says that it does."""
        listener = Listener()
        outer: Any = ProtocolWrapper(WrappingFactory(None), listener)
        hearThrough(outer, listener, IHalfCloseableProtocol, IFileDescriptorReceiver)
        self.assertTrue(IHalfCloseableProtocol.providedBy(outer))
        self.assertTrue(IFileDescriptorReceiver.providedBy(outer))
        self.assertFalse(IHandshakeListener.providedBy(outer))
        outer.readConnectionLost()
        outer.writeConnectionLost()
        outer.fileDescriptorReceived(7)
        self.assertEqual(listener.heard, ["read", "write", 7])

    def test_forwarding(self) -> None:
        """
        One that passes it on to the next one, as the wrappers of Twisted's
        endpoints do, but does not say so, is passed over: the next one may be
        deaf.
        """

        class Forwarding(Protocol):
            def __init__(self, inner: Any) -> None:
                self.inner = inner

            def readConnectionLost(self) -> None:
                self.inner.readConnectionLost()

        listener = Listener()
        outer: Any = Forwarding(ProtocolWrapper(WrappingFactory(None), listener))
        hearThrough(outer, listener, IHalfCloseableProtocol)
        outer.readConnectionLost()
        self.assertEqual(listener.heard, ["read"])

    def test_alreadyProvided(self) -> None:
        """One that says that it does is left alone."""
        listener, outer = Listener(), Listener()
        hearThrough(outer, listener, IHalfCloseableProtocol)
        outer.readConnectionLost()
        self.assertEqual((outer.heard, listener.heard), (["read"], []))

    def test_itself(self) -> None:
        """A listener that is the outermost protocol hears by itself."""
        listener = Listener()
        hearThrough(listener, listener, IHandshakeListener)
        self.assertFalse(IHandshakeListener.providedBy(listener))
