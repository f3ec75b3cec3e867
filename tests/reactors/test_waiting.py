"""
Many connectors that wait at once, over real sockets.

``python -m benchmarks.waiting`` does it with ten thousand, and measures it.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from twisted_transfer import TransferConnector

reactor: Any = _reactor

# With the connections that are open at a time, as many descriptors as select() takes.
COUNT = 800
_AT_A_TIME = 50


class _Asking(Protocol):
    """Sends a number, and has what comes back, up to the end."""

    def __init__(self, number: int) -> None:
        self.answered: Deferred[bytes] = Deferred()
        self._number = number
        self._got = b""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"%d\n" % self._number)

    def dataReceived(self, data: bytes) -> None:
        self._got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.answered.callback(self._got)


class WaitingTests(TestCase):
    """Connectors that wait for their partners."""

    timeout = 60

    def waiting(self) -> TransferConnector:
        """:returns: a connector that listens."""
        connector = TransferConnector(reactor, "passive", port=0)
        self.channels.append(connector.connect())
        return connector

    def setUp(self) -> None:
        self.channels: list[Deferred[Any]] = []

    async def ask(self, number: int, connector: TransferConnector) -> None:
        """Be the partner of one, which sends back what it gets."""
        address = await connector.whenListening()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", address.port)
        asking = _Asking(number)
        await connectProtocol(endpoint, asking)
        channel = await self.channels[number]
        channel.write(await channel.readLine())
        channel.loseConnection()
        self.assertEqual(await asking.answered, b"%d\n" % number)
        await channel.whenClosed()

    async def test_served(self) -> None:
        """Each of many that wait at once gets its partner, in whichever order."""
        connectors = [self.waiting() for _ in range(COUNT)]
        numbers = [number for each in range(7) for number in range(each, COUNT, 7)]
        for start in range(0, COUNT, _AT_A_TIME):
            await gatherResults(
                [
                    Deferred.fromCoroutine(self.ask(number, connectors[number]))
                    for number in numbers[start : start + _AT_A_TIME]
                ],
                consumeErrors=True,
            )

    def bytesFor(self, listen: Callable[[], Any]) -> float:
        """:returns: the bytes for one that listens."""
        count, kept = 100, [listen()]
        gc.collect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        kept += [listen() for _ in range(count)]
        gc.collect()
        size = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
        return size

    async def test_memory(self) -> None:
        """One that waits takes at most 3 KiB more than a port of Twisted's."""
        ports: list[Any] = []

        def raw() -> None:
            ports.append(reactor.listenTCP(0, Factory()))

        connectors: list[TransferConnector] = []
        more = self.bytesFor(lambda: connectors.append(self.waiting()))
        # An object with attributes takes more in Python 3.10.
        most = 3.0 if sys.version_info >= (3, 11) else 3.5
        self.assertLess(more - self.bytesFor(raw), most * 1024)
        for port in ports:
            await port.stopListening()
        for connector, channel in zip(connectors, self.channels, strict=True):
            channel.addErrback(lambda failure: None)
            await connector.close()
