"""
Certificates for tests: a new authority, and identities that it has signed.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


class Authority:
    """
    A certificate authority in a folder.

    :ivar folder: has all files that it makes.
    :ivar trustRoots: a folder with its certificate, ``ca.pem``, alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        self.trustRoots = folder / "roots"
        self.trustRoots.mkdir(parents=True)
        (self.trustRoots / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        begin: float = -1,
        end: float = 24,
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(hours=begin))
            .not_valid_after(now + datetime.timedelta(hours=end))
        )

    def issue(
        self,
        name: str = "server",
        *,
        begin: float = -1,
        end: float = 24,
        use: x509.ObjectIdentifier | None = None,
        named: bool = True,
    ) -> tuple[Path, Path]:
        """
        :param name: the names of the files.
        :param begin: in how many hours it becomes valid.
        :param end: in how many hours it expires.
        :param use: the only use for which it is valid; None: all uses.
        :param named: whether it has names; else it has no subjectAltName.
        :returns: the paths of a certificate for localhost, 127.0.0.1 and ::1,
            and of its private key, both PEM.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName(
            [
                x509.DNSName("localhost"),
                x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                x509.IPAddress(ipaddress.ip_address("::1")),
            ]
        )
        builder = self._builder(subject, key.public_key(), begin, end)
        if named:
            builder = builder.add_extension(names, critical=False)
        if use is not None:
            usage = x509.ExtendedKeyUsage([use])
            builder = builder.add_extension(usage, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        certificatePath = self.folder / f"{name}.pem"
        keyPath = self.folder / f"{name}.key"
        certificatePath.write_bytes(certificate.public_bytes(Encoding.PEM))
        keyPath.touch(0o600)
        keyPath.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return certificatePath, keyPath
