"""
Twisted alone: ``FileSender``, and a protocol that writes a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import endpoints, ssl
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import react
from twisted.protocols import portforward
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure

from benchmarks.speed.peers.common import HOST, Meter, Task, task


def serverTLS(certificate: str, key: str) -> Any:
    """:returns: what has a certificate, and demands the same of clients."""
    trusted = ssl.Certificate.loadPEM(Path(certificate).read_bytes())
    return _own(certificate, key).options(trusted)


def clientTLS(certificate: str, key: str) -> Any:
    """:returns: what demands the certificate of the server, and has the same."""
    trusted = ssl.Certificate.loadPEM(Path(certificate).read_bytes())
    return ssl.optionsForClientTLS("localhost", trusted, _own(certificate, key))


def _own(certificate: str, key: str) -> Any:
    both = Path(certificate).read_bytes() + Path(key).read_bytes()
    return ssl.PrivateCertificate.loadPEM(both)


def listening(reactor: Any, task: Task) -> Any:
    """:returns: the endpoint of the receiver."""
    if task.transport == "unix":
        return endpoints.UNIXServerEndpoint(reactor, task.address)
    port = endpoints.TCP4ServerEndpoint(reactor, int(task.address), interface=HOST)
    if task.transport == "plain":
        return port
    return endpoints.wrapServerTLS(serverTLS(task.certificate, task.key), port)


def dialling(reactor: Any, task: Task) -> Any:
    """:returns: the endpoint of the sender."""
    if task.transport == "unix":
        return endpoints.UNIXClientEndpoint(reactor, task.address)
    port = endpoints.TCP4ClientEndpoint(reactor, HOST, int(task.address))
    if task.transport == "plain":
        return port
    return endpoints.wrapClientTLS(clientTLS(task.certificate, task.key), port)


class Sink(Protocol):
    """Stores what comes."""

    def __init__(self, task: Task, ended: Deferred[None]) -> None:
        self._task = task
        self._ended = ended

    def connectionMade(self) -> None:
        """Open the file."""
        self._meter = Meter()
        self._file = os.fdopen(self._task.open(), "wb", buffering=0)
        self.dataReceived = self._file.write  # type: ignore[assignment]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Close it."""
        self._file.close()
        self._meter.stop()
        self._ended.callback(None)


class Source(Protocol):
    """Sends a file."""

    def __init__(self, task: Task, ended: Deferred[None]) -> None:
        self._task = task
        self._ended = ended

    def connectionMade(self) -> None:
        """Begin to send, with the handshake still under way on TLS."""
        self._meter = Meter()
        transport: Any = self.transport
        file = os.fdopen(self._task.open(), "rb")
        sending = FileSender().beginFileTransfer(file, transport)
        sending.addCallback(lambda last: transport.loseConnection())
        sending.addErrback(self._ended.errback)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The file has been sent."""
        self._meter.stop()
        self._ended.callback(None)


def _factory(build: Callable[[], Protocol]) -> Any:
    factory: Any = Factory.forProtocol(build)
    factory.noisy = False
    return factory


async def relay(reactor: Any, task: Task) -> None:
    """Join two connections, both ways."""
    inner, outer = map(int, task.address.split(":"))
    ended: Deferred[None] = Deferred()

    class Far(portforward.ProxyClient):
        def connectionLost(self, reason: Failure = connectionDone) -> None:
            super().connectionLost(reason)  # type: ignore[no-untyped-call]
            ended.callback(None)

    class FarFactory(portforward.ProxyClientFactory):
        noisy = False
        protocol = Far

    class Near(portforward.ProxyServer):
        clientProtocolFactory = FarFactory

    factory = portforward.ProxyFactory(HOST, outer)
    factory.noisy = False
    factory.protocol = Near
    port = reactor.listenTCP(inner, factory, interface=HOST)
    await ended
    await port.stopListening()


async def main(reactor: Any, task: Task) -> None:
    """Do what was asked for."""
    if task.role == "relay":
        return await relay(reactor, task)
    ended: Deferred[None] = Deferred()
    if task.role == "send":
        source = _factory(lambda: Source(task, ended))
        await dialling(reactor, task).connect(source)
        await ended
    else:
        sink = _factory(lambda: Sink(task, ended))
        port = await listening(reactor, task).listen(sink)
        await ended
        await port.stopListening()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, task())))
