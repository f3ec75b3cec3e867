"""
A certificate authority that lives as long as the demonstration.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """
    The files that TLS needs on the two sides, in PEM form.

    :ivar privateKey: of the listening side.
    :ivar certKey: its certificate, for ``localhost`` and 127.0.0.1.
    :ivar trustRoots: a folder with the certificate of the authority.
    """

    privateKey: str
    certKey: str
    trustRoots: str


def makeCertificates(folder: str) -> Certificates:
    """
    Make an authority, and a certificate that it has signed.

    The authority's key is forgotten at once, so nobody can make another one.

    :param folder: where the files are put; only the owner should see it.
    :returns: the files.
    """
    made = Certificates(
        os.path.join(folder, "key.pem"),
        os.path.join(folder, "cert.pem"),
        os.path.join(folder, "ca"),
    )
    authorityKey = ec.generate_private_key(ec.SECP256R1())
    authorityName = _name("twisted-transfer demonstration authority")
    authority = (
        _builder(authorityName, authorityName, authorityKey, authorityKey)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_use(signsCertificates=True), critical=True)
        .sign(authorityKey, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    )
    certificate = (
        _builder(_name("localhost"), authorityName, key, authorityKey)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_use(signsCertificates=False), critical=True)
        .add_extension(names, critical=False)
        .sign(authorityKey, hashes.SHA256())
    )
    os.mkdir(made.trustRoots)
    _write(
        os.path.join(made.trustRoots, "ca.pem"),
        authority.public_bytes(serialization.Encoding.PEM),
    )
    _write(made.certKey, certificate.public_bytes(serialization.Encoding.PEM))
    _write(
        made.privateKey,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _use(signsCertificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signsCertificates,
        key_cert_sign=signsCertificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuerKey: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    """Begin a certificate with what RFC 5280 (section 4.2.1) wants in each."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuerKey.public_key()),
            critical=False,
        )
    )


def _write(path: str, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
