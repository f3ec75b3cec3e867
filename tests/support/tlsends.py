"""
The two ends of TLS connections over simulated sockets.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
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


class KeyUpdater:
    """
    Makes the records of a TLS 1.3 client that asks for key updates without end.

    OpenSSL sends as many as it is told to, but pyOpenSSL cannot tell it.  The format
    is that of RFC 8446, sections 4.6.3, 5.2, 7.2 and 7.3.
    """

    def __init__(self, context: SSL.Context) -> None:
        """
        :param context: of the client; the handshake comes later.
        """
        self._secret = b""
        context.set_keylog_callback(self._log)

    def _log(self, connection: SSL.Connection, line: bytes) -> None:
        label, _, secret = line.split()
        if label == b"CLIENT_TRAFFIC_SECRET_0":
            self._secret = bytes.fromhex(secret.decode())

    def _derived(self, label: bytes, length: int) -> bytes:
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(SHA384(), length, info).derive(self._secret)

    def record(self, content: bytes, kind: int) -> bytes:
        """
        :param content: what the first record under the present key has.
        :param kind: its content type.
        :returns: the record.
        """
        plain = content + bytes([kind])
        head = b"\x17\x03\x03" + (len(plain) + 16).to_bytes(2, "big")
        key, nonce = self._derived(b"key", 32), self._derived(b"iv", 12)
        return head + AESGCM(key).encrypt(nonce, plain, head)

    def update(self) -> bytes:
        """:returns: a request for a key update; the next record has a new key."""
        record = self.record(b"\x18\0\0\1\1", 22)
        self._secret = self._derived(b"traffic upd", 48)
        return record
