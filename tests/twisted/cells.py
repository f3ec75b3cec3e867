"""
The four ways to use a ``transfer:`` string, as the endpoints of Twisted's tests.

Twisted's reusable cases take an ``EndpointCreator``: it makes a server endpoint,
and then a client endpoint that reaches its port.  Two pairs make the four cells:
:class:`Listening` listens as the server and dials as the client, as everybody
does; with :class:`Dialling` the server dials, and the client listens.
"""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.test.connectionmixins import EndpointCreator, findFreePort
from twisted.internet.test.test_tls import ContextGeneratingMixin
from zope.interface import implementer

from tests.support.certificates import Authority
from twisted_transfer.descriptions.strings import quote


@dataclass(frozen=True)
class Kind:
    """
    A kind of socket.

    :ivar name: its endpoint type.
    :ivar listens: gives the server description for a place.
    :ivar dials: gives the client description for a place.
    :ivar places: gives a new place: a free port, or a path.
    """

    name: str
    listens: Callable[[str], str]
    dials: Callable[[str], str]
    places: Callable[[], str]


@lru_cache
def _folder() -> Path:
    """:returns: a folder, with a short path, that goes when the tests have ended."""
    folder = mkdtemp(prefix="tt-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@lru_cache
def _identity() -> tuple[Path, Path, Path]:
    """:returns: the paths of an authority, and of a certificate and its key."""
    authority = Authority(_folder())
    return authority.trustRoots, *authority.issue()


_numbers = count()


def _freePath() -> str:
    return str(_folder() / str(next(_numbers)))


def _freePort() -> str:
    return str(findFreePort()[1])


def _tcp(place: str) -> str:
    return f"tcp:host=127.0.0.1:port={place}"


def _sslListens(place: str) -> str:
    _, certificate, key = _identity()
    return (
        f"ssl:port={place}:interface=127.0.0.1:certKey={certificate}:privateKey={key}"
    )


def _tlsDials(place: str) -> str:
    roots, _, _ = _identity()
    return f"tls:localhost:{place}:trustRoots={roots}:endpoint={quote(_tcp(place))}"


def _mtls(place: str) -> str:
    roots, certificate, key = _identity()
    return (
        f"mtls:port={place}:certificate={certificate}:privateKey={key}"
        f":trustRoots={roots}"
    )


TCP = Kind("tcp", lambda at: f"tcp:{at}:interface=127.0.0.1", _tcp, _freePort)
UNIX = Kind("unix", lambda at: f"unix:{at}", lambda at: f"unix:{at}", _freePath)
TLS = Kind("tls", _sslListens, _tlsDials, _freePort)
MTLS = Kind(
    "mtls",
    lambda at: _mtls(at) + ":interface=127.0.0.1",
    lambda at: f"{_mtls(at)}:host=localhost:endpoint={quote(_tcp(at))}",
    _freePort,
)


class Listening(EndpointCreator):
    """``transfer:passive`` as the server and ``transfer:active`` as the client."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._place = ""

    def server(self, reactor: Any) -> Any:
        self._place = self._kind.places()
        listens = self._kind.listens(self._place)
        return serverFromString(reactor, f"transfer:passive:{listens}")

    def client(self, reactor: Any, serverAddress: IAddress) -> Any:
        return clientFromString(
            reactor, f"transfer:active:{self._kind.dials(self._place)}"
        )


class Dialling(EndpointCreator):
    """``transfer:active`` as the server and ``transfer:passive`` as the client."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def server(self, reactor: Any) -> Any:
        place = self._kind.places()
        self._client = clientFromString(
            reactor, f"transfer:passive:{self._kind.listens(place)}"
        )
        self._server = DiallingLater(
            serverFromString(reactor, f"transfer:active:{self._kind.dials(place)}")
        )
        return self._server

    def client(self, reactor: Any, serverAddress: IAddress) -> Any:
        return ListeningFirst(self._client, self._server)


@implementer(IStreamServerEndpoint, IListeningPort)
class DiallingLater:
    """
    A server endpoint that dials, and a port of it before it has.

    Twisted's cases wait for the port before they connect the client; this server
    needs the client to dial it.
    """

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        """
        :param endpoint: dials.
        """
        self._endpoint = endpoint
        self._factory: Any = None
        self._port: Any = None

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """:returns: a Deferred that has fired with this, as the port."""
        self._factory = protocolFactory
        return succeed(self)

    def dial(self) -> None:
        """Dial, now that there is somebody."""

        def reached(port: IListeningPort) -> None:
            self._port = port

        self._endpoint.listen(self._factory).addCallback(reached)

    def startListening(self) -> None:
        """It has begun."""

    def stopListening(self) -> Any:
        """Stop the real port, if there is one by now."""
        return None if self._port is None else self._port.stopListening()

    def getHost(self) -> Any:
        """There is no address that the client would need."""
        return None


@implementer(IStreamClientEndpoint)
class ListeningFirst:
    """A client endpoint that listens, and then has the server dial it."""

    def __init__(self, endpoint: IStreamClientEndpoint, server: DiallingLater) -> None:
        """
        :param endpoint: listens, as soon as it connects.
        :param server: dials it.
        """
        self._endpoint = endpoint
        self._server = server

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """:returns: the endpoint's Deferred."""
        connecting = self._endpoint.connect(protocolFactory)
        self._server.dial()
        return connecting


class StartingTLS(EndpointCreator, ContextGeneratingMixin):
    """Endpoints whose protocols start TLS before anything else, as STARTTLS does."""

    def __init__(self, cells: EndpointCreator) -> None:
        """
        :param cells: make the connections.
        """
        self._cells = cells

    def server(self, reactor: Any) -> Any:
        return Starting(self._cells.server(reactor), self.getServerContext())

    def client(self, reactor: Any, serverAddress: IAddress) -> Any:
        endpoint = self._cells.client(reactor, serverAddress)
        return Starting(endpoint, self.getClientContext())


@implementer(IStreamServerEndpoint, IStreamClientEndpoint)
class Starting:
    """An endpoint of either side that starts TLS on its connections."""

    def __init__(self, endpoint: Any, context: Any) -> None:
        """
        :param endpoint: makes the connections.
        :param context: what ``startTLS`` takes.
        """
        self._endpoint = endpoint
        self._context = context

    def listen(self, protocolFactory: Any) -> Any:
        """Listen with the factory's protocols, which start TLS."""
        return self._endpoint.listen(self._starting(protocolFactory))

    def connect(self, protocolFactory: Any) -> Any:
        """Connect the factory's protocol, which starts TLS."""
        return self._endpoint.connect(self._starting(protocolFactory))

    def _starting(self, factory: Any) -> Factory:
        starting = Factory()

        def buildProtocol(address: Any) -> Any:
            protocol = factory.buildProtocol(address)
            connectionMade = protocol.connectionMade

            def startTLS() -> None:
                protocol.transport.startTLS(self._context)
                connectionMade()

            protocol.connectionMade = startTLS
            return protocol

        starting.buildProtocol = buildProtocol  # type: ignore
        return starting
