"""
Twisted's reusable tests of endpoints, over ``transfer:`` strings in memory.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, providedBy

pytest.importorskip("hamcrest", reason="Twisted's tests need PyHamcrest")

from twisted.internet.test.test_endpoints import (
    ClientEndpointTestCaseMixin,
    ServerEndpointTestCaseMixin,
)


class Lenient:
    """
    An endpoint that makes do with ``object()`` for a factory.

    Twisted's own endpoints start the factory of a user only when the reactor
    tells them to, which the one in memory never does, and so its tests give them
    what could not be started.
    """

    def __init__(self, endpoint: Any) -> None:
        directlyProvides(self, providedBy(endpoint))
        self._endpoint = endpoint

    def connect(self, protocolFactory: Any) -> Any:
        """Connect the factory, or one in its place."""
        return self._endpoint.connect(self._fit(protocolFactory))

    def listen(self, protocolFactory: Any) -> Any:
        """Have the factory listen, or one in its place."""
        return self._endpoint.listen(self._fit(protocolFactory))

    def _fit(self, factory: Any) -> Any:
        fit = IProtocolFactory.providedBy(factory)
        return factory if fit else Factory.forProtocol(Protocol)


class ActiveClientTests(ClientEndpointTestCaseMixin, SynchronousTestCase):
    """``transfer:active`` as a client endpoint."""

    expectedAddress = "192.0.2.7"

    def createClientEndpoint(
        self, reactor: Any, clientFactory: Any, **connectArgs: Any
    ) -> tuple[Any, tuple[object, ...], IPv4Address]:
        """Dial by TCP."""
        address = IPv4Address("TCP", self.expectedAddress, 4000)
        options = "".join(f":{key}={value}" for key, value in connectArgs.items())
        endpoint = clientFromString(
            reactor, f"transfer:active:tcp:{address.host}:{address.port}{options}"
        )
        bind = connectArgs.get("bindAddress")
        arguments = (
            address.host,
            address.port,
            clientFactory,
            connectArgs.get("timeout", 30),
            None if bind is None else (bind, 0),
        )
        return Lenient(endpoint), arguments, address

    def connectArgs(self) -> dict[str, object]:
        """Some options of the string."""
        return {"timeout": 10, "bindAddress": "192.0.2.1"}

    def expectedClients(self, reactor: Any) -> Any:
        """What was dialled."""
        return reactor.tcpClients

    def assertConnectArgs(self, receivedArgs: Any, expectedArgs: Any) -> None:
        """All but the factory are the same."""
        for index in (0, 1, 3, 4):
            self.assertEqual(receivedArgs[index], expectedArgs[index])

    def test_endpointConnectSuccess(self) -> None:
        """
        As Twisted's test of this name, with a protocol and a transport instead
        of the objects that it passes around.
        """
        from twisted.internet.testing import MemoryReactorClock

        reactor = MemoryReactorClock()
        factory = Factory.forProtocol(Protocol)
        endpoint, expected, _ = self.createClientEndpoint(reactor, factory)
        connecting = endpoint.connect(factory)
        dialling = self.retrieveConnectedFactory(reactor)
        dialling.buildProtocol(None).makeConnection(StringTransport())
        protocol: Any = self.successResultOf(connecting)
        self.assertIs(protocol.factory, factory)
        [dialled] = self.expectedClients(reactor)
        self.assertConnectArgs(dialled, expected)


class PassiveServerTests(ServerEndpointTestCaseMixin, SynchronousTestCase):
    """``transfer:passive`` as a server endpoint."""

    def createServerEndpoint(
        self, reactor: Any, serverFactory: Any, **listenArgs: Any
    ) -> tuple[Any, tuple[object, ...], IPv4Address]:
        """Listen by TCP."""
        options = "".join(f":{key}={value}" for key, value in listenArgs.items())
        endpoint = serverFromString(reactor, f"transfer:passive:tcp:0{options}")
        arguments = (0, listenArgs.get("backlog", 50), listenArgs.get("interface", ""))
        return Lenient(endpoint), arguments, IPv4Address("TCP", "0.0.0.0", 0)

    def listenArgs(self) -> dict[str, object]:
        """Some options of the string."""
        return {"backlog": 100, "interface": "127.0.0.1"}

    def expectedServers(self, reactor: Any) -> list[tuple[object, ...]]:
        """What is listened on, without the factory."""
        return [
            (port, backlog, interface)
            for port, _, backlog, interface in reactor.tcpServers
        ]
