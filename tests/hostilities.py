"""
What the tests of the hostile peers attack: in memory, and over real sockets.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.certificates import Authority
from twisted_transfer.testing import MemoryTransport

HERE = IPv4Address("TCP", "192.0.2.1", 4000)
THERE = IPv4Address("TCP", "192.0.2.66", 40000)


def join(clock: Any, server: IProtocol, peer: IProtocol) -> None:
    """Connect two protocols in memory; the server is told first."""
    left = MemoryTransport(clock, HERE, THERE)
    right = MemoryTransport(clock, THERE, HERE)
    left.other, right.other = right, left
    # Neither end may move anything before both protocols are there, and none
    # does: bytes move by the clock.
    left.attach(server)
    right.attach(peer)


@implementer(IHandshakeListener)
class Server(Protocol):
    """
    Writes down what comes.

    :ivar made: fires with the server when it is connected.
    :ivar ended: fires when it no longer is.
    :ivar proved: whether a TLS handshake was completed with it.
    """

    transport: Any

    def __init__(self) -> None:
        self.data = bytearray()
        self.reason: Failure | None = None
        self.made: Deferred[Server] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.proved = False

    def connectionMade(self) -> None:
        self.made.callback(self)

    def handshakeCompleted(self) -> None:
        self.proved = True

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self.ended.callback(None)


@implementer(IOpenSSLServerConnectionCreator)
class Creator:
    """Makes the server's TLS connections from one context."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)


def serverContext(authority: Authority, *, verify: bool) -> SSL.Context:
    """
    :param verify: whether clients have to show a certificate of the authority.
    :returns: what a TLS server of TLS 1.2 and 1.3 needs.
    """
    certificate, key = authority.issue()
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate_file(str(certificate))
    context.use_privatekey_file(str(key))
    context.set_session_id(b"test")
    if verify:
        context.load_verify_locations(str(authority.trustRoots / "ca.pem"))
        context.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
            lambda connection, certificate, error, depth, ok: bool(ok),
        )
    return context


def overTLS(clock: Clock, context: SSL.Context, factory: IProtocolFactory) -> Any:
    """:returns: a factory that puts TLS around what another one makes."""
    return TLSMemoryBIOFactory(Creator(context), False, factory, clock=clock)


def options(authority: Authority, *, verify: bool) -> CertificateOptions:
    """:returns: the same as :func:`serverContext`, for Twisted's endpoints."""
    certificate, key = authority.issue()
    identity = PrivateCertificate.loadPEM(certificate.read_bytes() + key.read_bytes())
    roots = Certificate.loadPEM((authority.trustRoots / "ca.pem").read_bytes())
    made: CertificateOptions = identity.options(*([roots] if verify else []))
    return made
