"""
Twisted's reusable tests of ports, over ``transfer:passive`` as a server.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.selectreactor import SelectReactor
from twisted.python import log
from twisted.trial.unittest import SynchronousTestCase

pytest.importorskip("hamcrest", reason="Twisted's tests need PyHamcrest")

from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.internet.test.test_tcp import (
    ConnectToTCPListenerMixin,
    StreamTransportTestsMixin,
)

from tests.twisted.cells import MTLS, TCP, TLS, UNIX, Kind


class PortTestCase(StreamTransportTestsMixin, ReactorBuilder):
    """
    Twisted's cases for each port.

    :cvar kind: what is listened on.
    :cvar closed: how the log calls the port in the end.
    """

    reactorFactory = SelectReactor
    timeout = 10
    kind: Kind
    closed: str

    def observe(self) -> Any:
        """Leave out that the factory is started, which comes before the port."""
        messages: list[Any] = []

        def observer(event: Any) -> None:
            if event["message"]:
                messages.append(event)

        log.addObserver(observer)
        self.addCleanup(log.removeObserver, observer)  # type: ignore[attr-defined]
        return messages

    def getListeningPort(self, reactor: Any, factory: Any) -> Any:
        """Listen."""
        description = self.kind.listens(self.kind.places())
        endpoint = serverFromString(reactor, f"transfer:passive:{description}")
        return self.successResultOf(endpoint.listen(factory))  # type: ignore[attr-defined]

    def place(self, port: Any) -> object:
        """:returns: where the port listens, as the log says it."""
        return port.getHost().port

    def getExpectedStartListeningLogMessage(self, port: Any, factory: str) -> str:
        """Name the factory and the place."""
        return f"{factory} starting on {self.place(port)}"

    def getExpectedConnectionLostLogMsg(self, port: Any) -> str:
        """Name the kind of port and the place."""
        return f"({self.closed} Port {self.place(port)} Closed)"


class TCPPortTests(ConnectToTCPListenerMixin, PortTestCase, SynchronousTestCase):
    """A TCP port."""

    kind = TCP
    closed = "TCP"


class UNIXPortTests(PortTestCase, SynchronousTestCase):
    """A port on a UNIX socket."""

    kind = UNIX
    closed = "UNIX"

    def getExpectedStartListeningLogMessage(self, port: Any, factory: str) -> str:
        """Quote the path."""
        return f"{factory} starting on {self.place(port)!r}"

    def place(self, port: Any) -> object:
        """:returns: the path."""
        return port.getHost().name.decode()

    def connectToListener(self, reactor: Any, address: Any, factory: Any) -> Any:
        """Dial."""
        return reactor.connectUNIX(address.name, factory)


class TLSPortTests(ConnectToTCPListenerMixin, PortTestCase, SynchronousTestCase):
    """A port that speaks TLS."""

    kind = TLS
    closed = "TLS"

    def getExpectedStartListeningLogMessage(self, port: Any, factory: str) -> str:
        """Say that it is TLS."""
        return super().getExpectedStartListeningLogMessage(port, f"{factory} (TLS)")


class MTLSPortTests(TLSPortTests):
    """A port that speaks mutual TLS."""

    kind = MTLS
    closed = "TCP"
