"""
Twisted's reusable tests of connections, over ``transfer:`` strings.

What these say of TCP, UNIX and TLS transports holds for a channel, too, in each
cell and with each kind of socket.
"""

from __future__ import annotations

from socket import socket
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.selectreactor import SelectReactor
from twisted.trial.unittest import SynchronousTestCase

pytest.importorskip("hamcrest", reason="Twisted's tests need PyHamcrest")

from twisted.internet.test import test_tcp, test_unix
from twisted.internet.test.connectionmixins import ConnectionTestsMixin
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.internet.test.test_tcp import (
    AbortConnectionMixin,
    TCPConnectionTestsBuilder,
    WriteSequenceTestsMixin,
)
from twisted.internet.test.test_unix import UNIXTestsBuilder
from twisted.test.test_tcp import MyClientFactory, MyServerFactory

from tests.twisted.cells import (
    MTLS,
    TCP,
    TLS,
    UNIX,
    Dialling,
    Kind,
    Listening,
    StartingTLS,
)


class Connections(ConnectionTestsMixin, AbortConnectionMixin, ReactorBuilder):
    """Every transport: its log prefix, its end, and its abort in any situation."""

    reactorFactory = SelectReactor
    timeout = 10
    endpoints: Any


class Writing(WriteSequenceTestsMixin, ReactorBuilder):
    """Producers, and ``writeSequence``."""

    reactorFactory = SelectReactor
    timeout = 10
    endpoints: Any

    def setWriteBufferSize(self, transport: Any, value: int) -> None:
        """Set it where the buffer is."""
        super().setWriteBufferSize(transport.bottom, value)

    def test_writeSequenceWithUnicodeRaisesException(self) -> None:
        """
        A piece that is no bytes raises ``TypeError``.  Twisted's test of this name
        also wants Twisted's words for it.
        """
        reactor = self.buildReactor()

        def connected(protocols: Any) -> None:
            _, server, _ = protocols
            try:
                server.transport.writeSequence(["Unicode is not kosher"])
            except TypeError as error:
                raised.append(error)
            server.transport.loseConnection()

        raised: list[TypeError] = []
        self.getConnectedClientAndServer(reactor).addCallback(connected)
        self.runReactor(reactor)
        [error] = raised
        assert "bytes" in str(error)

    def getConnectedClientAndServer(self, reactor: Any, *ignored: Any) -> Deferred[Any]:
        """
        :returns: a Deferred with the protocols of both sides; the reactor stops
            when both have lost their connection.
        """
        server, client = MyServerFactory(), MyClientFactory()
        made, lost = [], []
        for factory in (client, server):
            factory.protocolConnectionMade = Deferred()
            factory.protocolConnectionLost = Deferred()
            made.append(factory.protocolConnectionMade)
            lost.append(factory.protocolConnectionLost)

        async def run() -> Any:
            port = await self.endpoints.server(reactor).listen(server)
            await self.endpoints.client(reactor, port.getHost()).connect(client)
            return [*await gatherResults(made), port]

        connected: Deferred[Any] = Deferred()
        reactor.callWhenRunning(
            lambda: Deferred.fromCoroutine(run()).chainDeferred(connected)
        )
        gatherResults(lost).addBoth(lambda ignored: reactor.stop())
        return connected


class Descriptors(UNIXTestsBuilder):
    """File descriptors that are sent over UNIX sockets."""

    reactorFactory = SelectReactor
    timeout = 10
    endpoints: Any
    # The cases leave sockets to the garbage collector.
    pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
    # These are of ports alone, or made without endpoints.
    test_mode: Any = None
    test_listenOnLinuxAbstractNamespace: Any = None
    test_listenFailure: Any = None
    test_connectToLinuxAbstractNamespace: Any = None
    test_multiFileDescriptorReceivedPerRecvmsgOneCMSG: Any = None
    test_multiFileDescriptorReceivedPerRecvmsgTwoCMSGs: Any = None
    test_multiFileDescriptorReceivedPerRecvmsgBadCMSG: Any = None
    # It wants a line in the log for each descriptor that nobody takes.  The
    # channel closes them without one.
    test_avoidLeakingFileDescriptors: Any = None

    def setUp(self: Any) -> None:
        super().setUp()

        def opened() -> socket:
            kept = socket()
            self.addCleanup(kept.close)
            return kept

        self.patch(test_unix, "socket", opened)


class Ends(TCPConnectionTestsBuilder):
    """Pauses and half-closes at the end of a TCP connection."""

    reactorFactory = SelectReactor
    timeout = 10
    endpoints: Any
    # These look for the transport among the reactor's readers, where the socket is.
    test_resumeProducing: Any = None
    test_resumeProducingWhileDisconnecting: Any = None
    test_resumeProducingWhileDisconnected: Any = None
    test_stopStartReading: Any = None

    def setUp(self: Any) -> None:
        super().setUp()
        # The cases take it from there.
        self.patch(test_tcp, "TCPCreator", lambda: self.endpoints)


def _add(case: type, name: str, endpoints: Any, **more: Any) -> None:
    """Add a test case to this module: a mixin of Twisted's over some endpoints."""
    name = f"{name}{case.__name__}Tests"
    members = {
        "__module__": __name__,
        "__doc__": case.__doc__,
        "endpoints": endpoints,
        **more,
    }
    globals()[name] = type(name, (case, SynchronousTestCase), members)


def _without(kind: Kind, cells: type) -> dict[str, None]:
    """:returns: the tests that cannot hold of a kind of socket, as no tests."""
    names: tuple[str, ...] = ()
    if kind is TLS and cells is Listening:
        # A client that aborts as soon as its own handshake is over, before the
        # server has seen the end of it, never was a partner.
        names = (
            "test_fullWriteBuffer",
            "test_resumeProducingAbort",
            "test_resumeProducingThrows",
        )
    elif kind is UNIX:
        # There is no reset: the client sees an end of file.
        names = (
            "test_serverAbortsConnectionTwice",
            "test_serverAbortsConnectionThenLosesConnection",
        )
    return dict.fromkeys(names)


for _cells in (Listening, Dialling):
    for _kind in (TCP, UNIX, TLS, MTLS):
        _name = f"{_kind.name.upper()}{_cells.__name__}"
        _add(Connections, _name, _cells(_kind), **_without(_kind, _cells))
        if _kind in (TCP, UNIX):
            _add(Writing, _name, _cells(_kind))
            _add(Connections, f"StartTLS{_name}", StartingTLS(_cells(_kind)))
    _add(Descriptors, _cells.__name__, _cells(UNIX))
    _add(Ends, _cells.__name__, _cells(TCP))
