"""
Key pairs that prove who this side is, and the secrets they are derived from.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from twisted_transfer.errors import BadOption

PrivateKey = (
    DSAPrivateKey
    | EllipticCurvePrivateKey
    | Ed25519PrivateKey
    | Ed448PrivateKey
    | RSAPrivateKey
)
"""The kinds of private keys that OpenSSL takes for TLS."""

SECRET_BYTES = 32
"""How long a secret is: as much as an Ed25519 key holds."""

_PURPOSE = b"twisted_transfer invitation, key of the partner, version 1"
_RELAY_PURPOSE = b"twisted_transfer invitation, token at a relay, version 1"

# A pin is for a key, whatever a clock says: no certificate made here expires.
_BEGIN = datetime.datetime(1970, 1, 2, tzinfo=datetime.timezone.utc)
_END = datetime.datetime(9999, 12, 31, tzinfo=datetime.timezone.utc)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(name: str, text: str, length: int) -> bytes:
    """
    Decode what :func:`_encode` made, and nothing else.

    :param name: the option that the text was given for.
    :param text: the text.
    :param length: how many bytes it has to stand for.
    :raises BadOption: if it does not.  The text is not shown, for it may be a
        secret.
    """
    try:
        data = base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True
        )
    except (UnicodeError, binascii.Error):
        data = b""
    if len(data) != length or _encode(data) != text:
        characters = len(_encode(bytes(length)))
        raise BadOption(
            f"{name}=: this is not one; it has {characters} letters, digits, "
            "hyphens and underscores: copy it whole"
        )
    return data


def pinOf(certificate: x509.Certificate) -> str:
    """
    Compute the pin of a certificate's key.

    :param certificate: the certificate.
    :returns: the SHA-256 digest of its SubjectPublicKeyInfo (RFC 7469, section
        2.4), as unpadded URL-safe base64 (RFC 4648, section 5): 43 characters.
    """
    info = certificate.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return _encode(hashlib.sha256(info).digest())


def checkedPin(pin: str) -> str:
    """
    Check what a user gave as a pin.

    :param pin: the text.
    :returns: the text.
    :raises BadOption: if it is no pin.
    """
    _decode("pin", pin, hashlib.sha256().digest_size)
    return pin


@dataclass(frozen=True)
class Secret:
    """
    The secret of an invitation, from which the partner derives its key.

    Only :attr:`text` shows it.
    """

    _data: bytes

    def __repr__(self) -> str:
        return "<Secret>"

    @classmethod
    def fresh(cls) -> Secret:
        """:returns: a new random secret."""
        return cls(os.urandom(SECRET_BYTES))

    @classmethod
    def fromText(cls, text: str) -> Secret:
        """
        Read a secret.

        :param text: what :attr:`text` gave.
        :returns: the secret.
        :raises BadOption: if the text is no secret.
        """
        return cls(_decode("secret", text, SECRET_BYTES))

    @property
    def text(self) -> str:
        """The secret as unpadded URL-safe base64: 43 characters."""
        return _encode(self._data)

    def identity(self) -> Identity:
        """
        Derive the identity of the partner.

        :returns: the identity, the same each time: its Ed25519 private key is the
            HKDF-SHA256 (RFC 5869) of the secret.
        """
        derived = self._derived(_PURPOSE, SECRET_BYTES)
        return Identity.selfSigned(Ed25519PrivateKey.from_private_bytes(derived))

    def relayToken(self) -> str:
        """
        Derive the token by which the two sides meet at a relay.

        :returns: the token, the same each time, in hexadecimal digits: by it the relay
            learns neither the secret nor a key.
        """
        return self._derived(_RELAY_PURPOSE, 32).hex()

    def _derived(self, purpose: bytes, length: int) -> bytes:
        return HKDF(SHA256(), length, salt=None, info=purpose).derive(self._data)


@dataclass(frozen=True, repr=False)
class Identity:
    """
    A certificate with its private key.

    :ivar privateKey: the private key.
    :ivar certificate: the certificate for it.
    :ivar chain: the certificates between this one and an authority, in order.
    """

    privateKey: PrivateKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    def __repr__(self) -> str:
        return f"<Identity {self.pin}>"

    @property
    def pin(self) -> str:
        """The pin by which a partner knows this identity."""
        return pinOf(self.certificate)

    @classmethod
    def ephemeral(cls, names: Sequence[x509.GeneralName] = ()) -> Identity:
        """
        Make a new identity: an Ed25519 key that is stored nowhere.

        :param names: the subjectAltNames (RFC 5280, section 4.2.1.6) of its
            certificate; none are needed where a pin proves it.
        :returns: the identity.
        """
        return cls.selfSigned(Ed25519PrivateKey.generate(), names)

    @classmethod
    def selfSigned(
        cls, key: Ed25519PrivateKey, names: Sequence[x509.GeneralName] = ()
    ) -> Identity:
        """
        Make a certificate for a key, signed by itself.

        :param key: the private key.
        :param names: the subjectAltNames of the certificate.
        :returns: the key with its certificate.
        """
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "twisted_transfer")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(_BEGIN)
            .not_valid_after(_END)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return cls(key, builder.sign(key, None))

    def showIn(self, context: SSL.Context) -> None:
        """
        Have a TLS context show this identity.

        :param context: OpenSSL's context, of a client or a server.
        """
        context.use_certificate(self.certificate)
        for certificate in self.chain:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(self.privateKey)


@dataclass(frozen=True)
class PeerIdentity:
    """
    The identity that the partner showed in its TLS handshake.

    :ivar certificate: the partner's own certificate.
    """

    certificate: x509.Certificate

    @property
    def pin(self) -> str:
        """The pin of the key, as ``pin=`` takes it."""
        return pinOf(self.certificate)
