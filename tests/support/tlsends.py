"""
The two ends of TLS connections over simulated sockets.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet import ssl
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.simulation import (
    CAPACITY,
    SimulatedReactor,
    SimulatedSocket,
    TLSPartner,
    connected,
)
from twisted_transfer.channel.link import Link


class Identities:
    """
    A server's identity, and TLS contexts of both sides.

    :ivar server: Twisted's options for the server.
    """

    def __init__(self, case: Any) -> None:
        """
        :param case: a test case; the files go when it has ended.
        """
        self.authority = Authority(newFolder(case))
        self._paths = self.authority.issue()
        pem, keyPEM = (path.read_bytes() for path in self._paths)
        # Twisted's annotations know only what pyOpenSSL deprecates.
        key: Any = load_pem_private_key(keyPEM, None)
        certificate: Any = x509.load_pem_x509_certificate(pem)
        self.server = ssl.CertificateOptions(privateKey=key, certificate=certificate)

    def client(self, host: str = "localhost") -> Any:
        """:returns: Twisted's options for a client that dials the host."""
        root = ssl.Certificate.loadPEM(
            (self.authority.trustRoots / "ca.pem").read_bytes()
        )
        return ssl.optionsForClientTLS(host, trustRoot=root)

    def serverContext(self) -> SSL.Context:
        """:returns: how a partner driven by hand is the server."""
        context = SSL.Context(SSL.TLS_METHOD)
        certificate, key = self._paths
        context.use_certificate_file(str(certificate))
        context.use_privatekey_file(str(key))
        return context

    def clientContext(self, newest: int = SSL.TLS1_3_VERSION) -> SSL.Context:
        """:returns: how a partner driven by hand is the client."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(newest)
        return context


class One(Factory):
    """Returns an existing protocol."""

    noisy = False

    def __init__(self, protocol: Any) -> None:
        self.one = protocol

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self.one


def overTLS(
    reactor: SimulatedReactor, options: Any, protocol: Any, *, client: bool = False
) -> Any:
    """
    :param options: Twisted's options for this side.
    :param protocol: goes over the TLS.
    :param client: whether this side has begun the connection.
    :returns: the protocol to attach to a socket.
    """
    return TLSMemoryBIOFactory(
        options, client, One(protocol), clock=reactor
    ).buildProtocol(None)


def serverLink(
    reactor: SimulatedReactor,
    identities: Identities,
    capacity: int = CAPACITY,
    newest: int = SSL.TLS1_3_VERSION,
) -> tuple[Link, SimulatedSocket, TLSPartner]:
    """
    :param capacity: how much the system keeps for the partner.
    :param newest: the newest version that the partner speaks.
    :returns: a link that was just connected, its socket, and the client that it
        serves, driven by hand.
    """
    socket, partner = connected(reactor, capacity)
    link = Link(reactor)
    socket.attach(overTLS(reactor, identities.server, link))
    return link, socket, TLSPartner(partner, identities.clientContext(newest))
