"""
Measure what the library costs on top of Twisted, in one process on one reactor.

    python -m benchmarks.overhead

- own Python calls for each 64 KiB chunk that is received, by ``sys.setprofile``;
- 4,000 round trips of a message of 64 bytes, 200 MB through a protocol at both ends,
  and the set-up and end of connections, plain and over ``mtls``: each compared with
  Twisted's own endpoints, in turn, as ratios of the medians.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    clientFromString,
    serverFromString,
    wrapClientTLS,
    wrapServerTLS,
)
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import react
from twisted.python.failure import Failure
from zope.interface import implementer

import twisted_transfer
from benchmarks.speed.keys import makeKeys
from benchmarks.speed.peers.with_twisted import clientTLS, serverTLS
from twisted_transfer import FileDestination, TransferConnector, receive

CHUNK = bytes(65536)
OWN = str(Path(twisted_transfer.__file__).parent) + os.sep


@implementer(IHandshakeListener)
class Ended(Protocol):
    """
    A protocol whose :attr:`ended` fires when its connection has ended, and
    :attr:`proven` when a handshake of TLS has.
    """

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()
        self.proven: Deferred[None] = Deferred()

    def handshakeCompleted(self) -> None:
        """Say so."""
        self.proven.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say so."""
        self.ended.callback(None)


class Echo(Protocol):
    """Sends back what it receives."""

    def dataReceived(self, data: bytes) -> None:
        """Send it back."""
        assert self.transport is not None
        self.transport.write(data)


class Pinger(Ended):
    """Sends a message again each time that it is echoed."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self._rounds = rounds
        self._missing = 0

    def connectionMade(self) -> None:
        """Send the first one."""
        self._send()

    def _send(self) -> None:
        assert self.transport is not None
        self._missing = 64
        self.transport.write(CHUNK[:64])

    def dataReceived(self, data: bytes) -> None:
        """Send the next one when all of this one is back."""
        self._missing -= len(data)
        if not self._missing:
            self._rounds -= 1
            if self._rounds:
                self._send()
            else:
                assert self.transport is not None
                self.transport.loseConnection()


class Sink(Ended):
    """Counts what comes."""

    size = 0

    def dataReceived(self, data: bytes) -> None:
        """Count it."""
        self.size += len(data)


class Feeder(Ended):
    """Writes chunks with back-pressure, then closes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._left = size // len(CHUNK)

    def connectionMade(self) -> None:
        """Produce when asked."""
        assert self.transport is not None
        self.transport.registerProducer(self, False)  # type: ignore[attr-defined]

    def resumeProducing(self) -> None:
        """Write one chunk."""
        transport: Any = self.transport
        if self._left:
            self._left -= 1
            transport.write(CHUNK)
        else:
            transport.unregisterProducer()
            transport.loseConnection()

    def stopProducing(self) -> None:
        """The connection has ended."""


class One(Factory):
    """Makes an existing protocol the protocol of the first connection."""

    noisy = False

    def __init__(self, protocol: Protocol, accepted: Deferred[None]) -> None:
        self._protocol = protocol
        self._accepted = accepted

    def buildProtocol(self, addr: object) -> Protocol:
        """Say that the connection is there."""
        self._accepted.callback(None)
        return self._protocol


Pair = Callable[[Any, Protocol, Protocol], Awaitable[None]]
"""Connects two protocols, the first of which listens."""


async def plain(reactor: Any, server: Protocol, client: Protocol) -> None:
    """Connect two protocols by Twisted's own endpoints; the port is closed then."""
    accepted: Deferred[None] = Deferred()

    port = await TCP4ServerEndpoint(reactor, 0).listen(One(server, accepted))
    dialling = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    factory = Factory.forProtocol(lambda: client)
    factory.noisy = False
    await dialling.connect(factory)
    await accepted
    await port.stopListening()


async def transfer(reactor: Any, server: Protocol, client: Protocol) -> None:
    """Connect two protocols by connectors."""
    listening = TCP4ServerEndpoint(reactor, 0)
    waiter = TransferConnector(reactor, "passive", socketCommand=listening)
    waiting = waiter.connect()
    address: Any = await waiter.whenListening()
    dialler = TransferConnector(reactor, host="127.0.0.1", port=address.port)
    near = await dialler.connect()
    far = await waiting
    far.start(server)
    near.start(client)


def securely(reactor: Any, folder: Path) -> tuple[Pair, Pair]:
    """
    Make all that can be used again, over TLS with the same keys.

    :param folder: where the keys are.
    :returns: what connects two protocols by Twisted's own endpoints, and what does so
        by connectors.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    own = f"certificate={certificate}:privateKey={key}:trustRoots={certificate}"
    ourPort: Any = serverFromString(
        reactor, f"mtls:port={port}:interface=127.0.0.1:{own}"
    )
    ourDialling: Any = clientFromString(
        reactor, f"mtls:host=127.0.0.1:port={port}:hostname=localhost:{own}"
    )
    theirPort = wrapServerTLS(
        serverTLS(str(certificate), str(key)),
        TCP4ServerEndpoint(reactor, port, interface="127.0.0.1"),
    )
    theirDialling = wrapClientTLS(
        clientTLS(str(certificate), str(key)),
        TCP4ClientEndpoint(reactor, "127.0.0.1", port),
    )

    async def twisted(reactor: Any, server: Protocol, client: Protocol) -> None:
        accepted: Deferred[None] = Deferred()
        listening: Any = await theirPort.listen(One(server, accepted))
        factory: Any = Factory.forProtocol(lambda: client)
        factory.noisy = False
        await theirDialling.connect(factory)
        assert isinstance(server, Ended) and isinstance(client, Ended)
        await DeferredList([accepted, server.proven, client.proven])
        await listening.stopListening()

    async def connectors(reactor: Any, server: Protocol, client: Protocol) -> None:
        waiter = TransferConnector(reactor, "passive", socketCommand=ourPort)
        waiting = waiter.connect()
        await waiter.whenListening()
        near = await TransferConnector(reactor, socketCommand=ourDialling).connect()
        far = await waiting
        far.start(server)
        near.start(client)

    return twisted, connectors


async def echo(reactor: Any, pair: Pair) -> float:
    """:returns: the seconds that 4,000 round trips take."""
    pinger = Pinger(4000)
    start = time.perf_counter()
    await pair(reactor, Echo(), pinger)
    await pinger.ended
    return time.perf_counter() - start


async def bulk(reactor: Any, pair: Pair) -> float:
    """:returns: the seconds that 200 MB take."""
    size = 200_000_000 // len(CHUNK) * len(CHUNK)
    sink, feeder = Sink(), Feeder(size)
    start = time.perf_counter()
    await pair(reactor, sink, feeder)
    await DeferredList([sink.ended, feeder.ended])
    assert sink.size == size, sink.size
    return time.perf_counter() - start


async def setUp(reactor: Any, pair: Pair) -> float:
    """:returns: the CPU seconds of 300 connections, one after the other."""
    start = time.process_time()
    for _ in range(300):
        one, other = Ended(), Ended()
        await pair(reactor, one, other)
        assert other.transport is not None
        other.transport.loseConnection()
        await DeferredList([one.ended, other.ended])
    return time.process_time() - start


class OwnCalls:
    """
    Counts calls of this library's own Python functions, within a block.

    :ivar count: how many there were.
    :ivar reads: how many chunks were read from a socket meanwhile.
    """

    count = reads = 0

    def __enter__(self) -> OwnCalls:
        sys.setprofile(self._see)
        return self

    def __exit__(self, *ignored: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OWN):
            self.count += 1
        elif event == "c_call" and argument.__name__ == "recv":
            self.reads += 1


async def calls(reactor: Any, inFile: bool) -> float:
    """
    :param inFile: whether ``receive()`` stores the data, or a protocol gets it.
    :returns: the own calls for each chunk, start and end shared out among 1,000.
    """
    waiter = TransferConnector(reactor, "passive")
    waiting = waiter.connect()
    address: Any = await waiter.whenListening()
    with socket.create_connection(("127.0.0.1", address.port)) as partner:
        channel = await waiting
        size = 1000 * len(CHUNK)

        def send() -> None:
            partner.sendall(bytes(size))
            partner.shutdown(socket.SHUT_WR)

        reactor.callInThread(send)
        with OwnCalls() as own:
            if inFile:
                with tempfile.TemporaryDirectory() as folder:
                    await receive(channel, FileDestination(f"{folder}/target"))
            else:
                await channel.start(Sink()).ended
    # What the kernel moves is not read.
    return own.count / max(own.reads, 1000)


async def ratio(
    reactor: Any,
    measure: Callable[[Any, Pair], Awaitable[float]],
    rounds: int,
    pairs: tuple[Pair, Pair] = (plain, transfer),
) -> float:
    """
    Measure both ways in turn.

    :param pairs: Twisted's own, and that of connectors.
    :returns: the rate through connectors, as a part of plain Twisted's.
    """
    times: dict[Pair, list[float]] = {pair: [] for pair in pairs}
    for turn in range(rounds + 1):
        for pair, found in times.items():
            seconds = await measure(reactor, pair)
            if turn:  # the first warms up
                found.append(seconds)
    one, other = (statistics.median(found) for found in times.values())
    return one / other


async def main(reactor: Any, rounds: int) -> None:
    """Measure everything and print it."""
    for text, inFile in (("a protocol", False), ("receive() into a file", True)):
        count = await calls(reactor, inFile)
        print(f"own calls a 64 KiB chunk, {text}: {count:.1f}", flush=True)
    for text, measure in (
        ("4,000 round trips of 64 bytes", echo),
        ("200 MB through protocols", bulk),
        ("set-ups a CPU second", setUp),
    ):
        found = await ratio(reactor, measure, rounds)
        print(f"{text}, plain Twisted = 1: {found:.2f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        makeKeys(Path(folder))
        pairs = securely(reactor, Path(folder))
        found = await ratio(reactor, setUp, rounds, pairs)
    print(f"mtls set-ups a CPU second, Twisted's TLS = 1: {found:.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs (5)")
    options = parser.parse_args()
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, options.rounds)))
