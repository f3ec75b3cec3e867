"""
A channel between each real socket and its protocol, for Twisted's own tests.

Nothing here is for use outside of tests: :func:`install` replaces the two places
at which Twisted brings a protocol and the transport of a socket together.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import base, tcp, unix
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.channel.link import Link
from twisted_transfer.layers import bottomOf

channels = 0
"""How many channels were put between a socket and a protocol so far."""


class _Channel(TransferChannel):
    """
    A channel that looks like the socket, and takes the one setting which tests
    make to a socket.
    """

    def __repr__(self) -> str:
        return repr(self.bottom)

    @property
    def bufferSize(self) -> int:
        """How much of what was written waits before a producer is paused."""
        return int(self.bottom.bufferSize)

    @bufferSize.setter
    def bufferSize(self, size: int) -> None:
        self.bottom.bufferSize = size


def _between(protocol: Any, transport: Any) -> None:
    """Connect a protocol to a transport with a channel in between."""
    from twisted.internet import reactor

    link = Link(reactor)
    link.factory = getattr(protocol, "factory", None)
    if transport.protocol is protocol:
        transport.protocol = link
    else:
        transport.wrappedProtocol = link
    link.makeConnection(transport)

    def start(ignored: None) -> None:
        global channels
        channels += 1
        bottom: Any = bottomOf(transport)
        # A socket's own transport says so of itself, as for startTLS.
        client = isinstance(bottom, tcp.Client | unix.Client)
        _Channel(link, dialled=client).start(protocol)

    def failed(failure: Failure) -> None:
        # A protocol that was there before its handshake hears Twisted's reason.
        error = failure.value
        assert error is not None
        protocol.connectionLost(Failure(error.__cause__ or error))

    if link.secure:
        link.whenReady().addCallbacks(start, failed)
    else:
        # What connectionMade raises is the caller's, as without a channel.
        start(None)


def intercept(protocol: Any) -> None:
    """
    Have the next transport that the protocol gets be a channel.

    :param protocol: a protocol that is about to get the transport of a socket;
        below TLS that Twisted has put around it, the protocol inside.
    """
    while isinstance(protocol, TLSMemoryBIOProtocol):
        protocol = protocol.wrappedProtocol
    if protocol is None or "makeConnection" in vars(protocol):
        return

    def makeConnection(transport: Any) -> None:
        del protocol.makeConnection
        _between(protocol, transport)

    protocol.makeConnection = makeConnection


def install() -> None:
    """Put channels in from now on, in this process."""
    buildProtocol = base.BaseConnector.buildProtocol
    serve = tcp.Server.__init__

    def buildAndIntercept(self: Any, addr: Any) -> Any:
        protocol = buildProtocol(self, addr)
        intercept(protocol)
        return protocol

    def serveAndIntercept(self: Any, sock: Any, protocol: Any, *more: Any) -> None:
        serve(self, sock, protocol, *more)
        intercept(protocol)

    base.BaseConnector.buildProtocol = buildAndIntercept  # type: ignore[method-assign]
    tcp.Server.__init__ = serveAndIntercept  # type: ignore
