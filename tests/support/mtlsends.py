"""
Partners over mutual TLS that a test drives by hand, byte by byte if necessary.

They use Python's :mod:`ssl`, and not the library's TLS implementation.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.support.simulation import Partner
from twisted_transfer.tls.keys import Identity

ALL = 1 << 30


def identityFiles(folder: Path, identity: Identity, name: str) -> tuple[Path, Path]:
    """
    :param folder: where to.
    :param identity: what to write.
    :param name: the names of the files.
    :returns: the paths of its certificate and its private key, both PEM.
    """
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(identity.certificate.public_bytes(Encoding.PEM))
    key.touch(0o600)
    key.write_bytes(
        identity.privateKey.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    return certificate, key


def ofVersion1(
    certificate: x509.Certificate, issuer: Ed25519PrivateKey
) -> x509.Certificate:
    """
    :param certificate: of version 3, without extensions, signed with Ed25519.
    :param issuer: the key that signed it.
    :returns: one with the same content, of version 1 (RFC 5280, section 4.1.2.1).
    """

    def sequence(content: bytes) -> bytes:
        size = len(content).to_bytes(2, "big")
        return b"\x30\x82" + size + content

    tbs = certificate.tbs_certificate_bytes
    content = tbs[tbs.index(b"\xa0\x03\x02\x01\x02") + 5 :]
    algorithm = b"\x30\x05\x06\x03\x2b\x65\x70"
    # What is long enough for two bytes of length has them.
    assert len(content) > 255
    old = sequence(content)
    signature = b"\x03\x41\x00" + issuer.sign(old)
    return x509.load_der_x509_certificate(sequence(old + algorithm + signature))


def unreadableFiles(
    folder: Path, identity: Identity, issuer: Ed25519PrivateKey
) -> tuple[Path, Path]:
    """
    :param folder: where to.
    :param identity: the identity whose certificate is made invalid.
    :param issuer: what signed it, and signs what comes of it.
    :returns: the paths of a certificate of version 6, which OpenSSL reads and
        cryptography does not, and of its private key, both PEM.
    """
    certificate, key = identityFiles(folder, identity, "unreadable")
    good = identity.certificate.tbs_certificate_bytes
    # RFC 5280, section 4.1: version [0] EXPLICIT INTEGER, 2 for version 3.
    assert good.count(b"\xa0\x03\x02\x01\x02") == 1
    bad = good.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05")
    whole = identity.certificate.public_bytes(Encoding.DER).replace(good, bad)
    whole = whole.replace(identity.certificate.signature, issuer.sign(bad))
    certificate.write_text(ssl.DER_cert_to_PEM_cert(whole))
    return certificate, key


def _context(
    protocol: int, folder: Path, identity: Identity | None, newest: ssl.TLSVersion
) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.maximum_version = newest
    if identity is not None:
        context.load_cert_chain(*identityFiles(folder, identity, "hand"))
    return context


def clientContext(
    folder: Path,
    identity: Identity | None,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    """
    :param folder: for the files that are needed for a moment.
    :param identity: the client's identity; None: no certificate.
    :param newest: the newest version that it speaks.
    :returns: the context of a client that accepts every server.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, folder, identity, newest)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def serverContext(
    folder: Path,
    identity: Identity,
    accepted: Identity | None,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    *,
    tickets: int = 2,
) -> ssl.SSLContext:
    """
    :param folder: for the files that are needed for a moment.
    :param identity: the server's identity.
    :param accepted: the one client that it accepts; None: every one.
    :param newest: the newest version that it speaks.
    :param tickets: how many session tickets it sends in TLS 1.3.
    :returns: the context of such a server.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, folder, identity, newest)
    context.num_tickets = tickets
    if accepted is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        pem = accepted.certificate.public_bytes(Encoding.PEM).decode()
        context.load_verify_locations(cadata=pem)
    return context


class Hand:
    """
    One end of a TLS connection.

    :ivar raw: the connection under it.
    :ivar proved: whether its handshake is complete.
    :ivar failed: why there is no TLS any more, or None.
    :ivar received: the data that have come.
    :ivar ended: whether the other side's ``close_notify`` has come.
    """

    def __init__(self, raw: Partner, context: ssl.SSLContext, *, server: bool) -> None:
        """
        :param raw: the connection under it.
        :param context: its TLS context.
        :param server: whether it was dialled.
        """
        self.raw = raw
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server)
        self._pending = bytearray()
        self.proved = False
        self.failed: ssl.SSLError | None = None
        self.received = b""
        self.ended = False

    @property
    def pending(self) -> int:
        """How many bytes wait to be sent."""
        return len(self._pending)

    def read(self, most: int = ALL) -> None:
        """
        Go on with what has come.

        :param most: how many bytes to take from the connection at most.
        """
        self._in.write(self.raw.take(most))
        if self.failed is not None or self.ended:
            return
        try:
            if not self.proved:
                self._tls.do_handshake()
                self.proved = True
            while data := self._tls.read(65536):
                self.received += data
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self.failed = error
        self._pending += self._out.read()

    def send(self, most: int = ALL) -> None:
        """
        Send what waits for that.

        :param most: how many bytes to send at most.
        """
        self.raw.send(bytes(self._pending[:most]))
        del self._pending[:most]

    def step(self, most: int = ALL) -> None:
        """Go on with at most so many bytes in each direction."""
        self.read(most)
        self.send(most)

    def say(self, data: bytes) -> None:
        """Have some data sent, after a complete handshake."""
        self._tls.write(data)
        self._pending += self._out.read()

    def closeNotify(self) -> None:
        """Have it said that nothing more is sent."""
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._pending += self._out.read()
