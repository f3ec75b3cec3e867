"""
Servers and clients for hostile peers to attack, in memory and on real sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, CertificateOptions
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.support.certificates import Authority
from tests.support.tlsends import One
from twisted_transfer.testing.attacks import ambush
from twisted_transfer.testing.memory import MemoryListener, settle
from twisted_transfer.testing.peers import HostilePeer
from twisted_transfer.tls.keys import Identity


def join(clock: Clock, server: IProtocol, peer: IProtocol) -> None:
    """Connect a peer to a server in memory, and run all calls that are due."""
    listener = MemoryListener(clock)
    listener.listen(One(server))
    listener.client().connect(One(peer))
    settle(clock)


@implementer(IHandshakeListener)
class Server(Protocol):
    """
    Records what it receives.

    :ivar made: fires with the server when it is connected.
    :ivar ended: fires when its connection is lost.
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
    """:returns: as :func:`serverContext`, but for Twisted's endpoints."""
    # Twisted's annotations know only what pyOpenSSL deprecates.
    identity: Any = identityOf(*authority.issue())
    roots = Certificate.loadPEM((authority.trustRoots / "ca.pem").read_bytes())
    return CertificateOptions(
        privateKey=identity.privateKey,
        certificate=identity.certificate,
        trustRoot=roots if verify else None,
    )


def identityOf(certificate: Path, key: Path) -> Identity:
    """:returns: what an authority has issued."""
    private: Any = load_pem_private_key(key.read_bytes(), None)
    return Identity(private, x509.load_pem_x509_certificate(certificate.read_bytes()))


_P = TypeVar("_P", bound=HostilePeer)


class AmbushTestCase(SynchronousTestCase):
    """Programs that dial in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.listener = MemoryListener(self.clock)

    def ambushed(self, makePeer: Callable[[], _P], **more: Any) -> Deferred[_P]:
        """:returns: a Deferred with the peer that lies in wait from now on."""
        address, meeting = self.successResultOf(
            ambush(self.clock, self.listener, makePeer, **more)
        )
        self.assertEqual(address, self.listener.address)
        return meeting

    def dial(self, protocol: Protocol, tls: Any = None) -> None:
        """Let a program dial, and run all calls that are due."""
        endpoint: IStreamClientEndpoint = self.listener.client()
        if tls is not None:
            endpoint = wrapClientTLS(tls, endpoint, clock=self.clock)
        endpoint.connect(One(protocol))
        settle(self.clock)

    def assertNothingLeft(self) -> None:
        """There is no port and no timer."""
        self.assertIsNone(self.listener.port)
        self.assertEqual(self.clock.getDelayedCalls(), [])
