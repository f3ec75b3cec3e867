"""
The PEM files that options of TLS endpoint types name.

Nothing here asks for a passphrase, as OpenSSL would do on the terminal.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.python.filepath import FilePath, LinkError

from twisted_transfer.descriptions.exposed import exposure
from twisted_transfer.descriptions.values import UnfitError, blaming
from twisted_transfer.printable import printable
from twisted_transfer.tls.alpn import select
from twisted_transfer.tls.keys import Identity, PrivateKey

_log = Logger()

_ENCRYPTED = UnfitError(
    "the private key is encrypted, and there is nobody to ask for its passphrase; "
    "decrypt it first: openssl pkey -in KEY -out DECRYPTED"
)


def _why(error: Exception) -> str:
    """Say in a few words what the system or OpenSSL found."""
    if isinstance(error, SSL.Error):
        return ", ".join(reason for _, _, reason in error.args[0])
    return printable(getattr(error, "strerror", None) or str(error))


def readFile(path: str, secret: bool = False) -> bytes:
    """
    Read a file that an option names.

    :param path: its path.
    :param secret: whether to log a warning if others can read a private key in it.
    :returns: its content.
    :raises UnfitError: if it is unreadable, or not a regular file: such files
        are read more than once, which a pipe does not allow.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnfitError("this is not a regular file; give the path of a PEM file")
        with open(path, "rb") as file:
            data = file.read()
            warning = exposure(path, file.fileno(), "a private key")
    except (OSError, ValueError) as error:
        raise UnfitError(
            f"the file cannot be read ({_why(error)}); give the path of a PEM file "
            "that this program may read"
        ) from error
    if secret and warning is not None and b"PRIVATE KEY-----" in data:
        _log.warn("{warning}", warning=warning)
    return data


def loadKey(data: bytes) -> PrivateKey:
    """
    Load the first private key of some PEM text.

    :param data: the PEM text.
    :returns: the key.
    :raises UnfitError: if there is none, or it needs a passphrase.
    """
    try:
        return cast(PrivateKey, load_pem_private_key(data, None))
    except TypeError:
        raise _ENCRYPTED from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnfitError(
            "there is no private key in PEM format here; add :privateKey=PATH with "
            "the file that holds it"
        ) from None


def loadCertificates(data: bytes) -> list[x509.Certificate]:
    """
    Load all certificates of some PEM text.

    :param data: the PEM text.
    :returns: the certificates, at least one.
    :raises UnfitError: if there is none, or one is broken.
    """
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise UnfitError("there is no certificate in PEM format here") from None


def loadIdentity(
    options: Mapping[str, str], certificateOption: str = "certificate"
) -> Identity | None:
    """
    Load a certificate and its private key.

    :param options: the options of a description.  That of the key is
        ``privateKey``; without it the file of the certificate holds the key.
    :param certificateOption: the name of the option of the certificate.
    :returns: the identity; ``None`` if the options name neither.
    :raises UnfitError: if OpenSSL could not prove an identity with them.
    """
    keyOption = "privateKey" if "privateKey" in options else certificateOption
    if certificateOption not in options:
        if keyOption in options:
            raise UnfitError(
                "a private key is of no use without "
                f"{certificateOption}=; add :{certificateOption}=PATH",
                keyOption,
            )
        return None
    with blaming(certificateOption):
        certificates = loadCertificates(readFile(options[certificateOption]))
    with blaming(keyOption):
        key = loadKey(readFile(options[keyOption], secret=True))
        _checkPair(certificates[0], key)
    return Identity(key, certificates[0], tuple(certificates[1:]))


def _checkPair(certificate: x509.Certificate, key: PrivateKey) -> None:
    """Require that a key and a certificate belong together, and are safe to use."""
    try:
        matches = certificate.public_key() == key.public_key()
        _checkCertificate(certificate)
    except (SSL.Error, ValueError, UnsupportedAlgorithm) as error:
        raise UnfitError(
            f"OpenSSL will not use this certificate ({_why(error)}); make a new one"
        ) from error
    if not matches:
        raise UnfitError(
            "the private key and the certificate do not belong together; give the "
            "key that the certificate was made for"
        )
    _checkKind(_Pair(certificate, key))


@lru_cache(maxsize=64)
def _checkCertificate(certificate: x509.Certificate) -> None:
    SSL.Context(SSL.TLS_METHOD).use_certificate(certificate)


@dataclass(frozen=True)
class _Pair:
    """A certificate and its key, known by the certificate."""

    certificate: x509.Certificate
    key: PrivateKey = field(compare=False)


@lru_cache(maxsize=64)
def _checkKind(pair: _Pair) -> None:
    """
    Require that a handshake in memory can be completed with a key.

    That takes as long as one with a partner, so it is not done again for a certificate
    for which it was.  OpenSSL loads keys that no signature algorithm of TLS fits: RSA
    keys for PSS alone, and curves that are not among the named groups (RFC 8446,
    section 4.2.3).
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        context.use_certificate(pair.certificate)
        context.use_privatekey(pair.key)
        server = SSL.Connection(context, None)
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        server.set_accept_state()
        client.set_connect_state()
        # The client's hello, the server's answer, and the end of the client's part.
        for side, other in ((client, server), (server, client), (client, server)):
            with suppress(SSL.WantReadError):
                side.do_handshake()
            other.bio_write(side.bio_read(65536))
        server.do_handshake()
    except SSL.Error as error:
        raise UnfitError(
            f"no TLS handshake can be completed with this kind of key ({_why(error)}); "
            "make one of the kind P-256, as openssl ecparam -genkey -name prime256v1 "
            "does, and have a certificate issued for it"
        ) from error


def loadAuthorities(folder: str, *suffixes: str) -> list[x509.Certificate]:
    """
    Load the certificates of the authorities in a folder.

    :param folder: its path.
    :param suffixes: the ends of the names of the files to load, in lower case.
        Files that cannot be read are passed over: a folder of the system may
        hold dangling links.
    :returns: the certificates, at least one.
    :raises UnfitError: if there is none, so that nobody would be trusted.
    """
    names: list[str] = []
    with suppress(OSError, ValueError):
        names = sorted(os.listdir(folder))
    found: list[x509.Certificate] = []
    for name in names:
        if name.lower().endswith(suffixes):
            with suppress(UnfitError):
                found += loadCertificates(readFile(os.path.join(folder, name)))
    if not found:
        raise UnfitError(
            "there is no certificate in this folder that can be read, so that nobody "
            f"would be trusted; give a folder with files *{', *'.join(suffixes)}"
        )
    return found


def serverOptions(certificate: Any, key: Any, **others: Any) -> CertificateOptions:
    """
    Make Twisted's options for a server, which agrees on application protocols as the
    rest of this library does.

    :param certificate: the server's certificate, of cryptography's.  Twisted's
        annotations know only what pyOpenSSL deprecates.
    :param key: its private key.
    :param others: more options.
    :returns: the options.
    """
    options = CertificateOptions(key, certificate, **others)
    # A context takes no callback any more once there is a connection of it.
    options.getContext().set_alpn_select_callback(select)
    return options


_KEY = re.compile(
    rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?-----END [A-Z0-9 ]*PRIVATE KEY-----",
    re.DOTALL,
)


def loadServed(path: str) -> CertificateOptions:
    """
    Load what a ``tls`` server shows: a certificate for each name by which clients ask.

    Twisted itself listens without any key as well, and then no handshake succeeds; and
    it asks for a passphrase on the terminal, even while it serves.

    :param path: a folder of PEM files, or one file whose name ends in ``.pem``.
    :returns: Twisted's options for the server; the first certificate is for clients
        that ask for no name, or for one that is not there.
    :raises UnfitError: if no file holds a key with its certificate, or a key is
        encrypted, or of a kind with which no handshake can be completed.
    """
    files: list[Any] = []
    with suppress(OSError, ValueError, LinkError):
        files = [each for each in FilePath(path).walk() if each.isfile()]
    paths = [each.path for each in files if each.path.endswith(".pem")]
    texts = [readFile(each, secret=True) for each in paths]
    if any(b"ENCRYPTED" in text for text in texts):
        raise _ENCRYPTED
    keys: list[PrivateKey] = []
    certificates: list[x509.Certificate] = []
    for each, text in zip(paths, texts, strict=True):
        try:
            if b"PRIVATE KEY-----" in text:
                keys += map(loadKey, _KEY.findall(text) or [text])
            if b"BEGIN CERTIFICATE-----" in text:
                certificates += loadCertificates(text)
        except UnfitError:
            raise UnfitError(
                f"what stands in {printable(each)} cannot be read; write the file "
                "anew, or take it away"
            ) from None
    pairs = [
        (certificate, key)
        for key in keys
        for certificate in certificates
        if certificate.public_key() == key.public_key()
    ]
    if not pairs:
        raise UnfitError(
            "nothing here can be served: a .pem file with a certificate that has a "
            "DNS name (subjectAltName), and one with its private key, are needed"
        )
    served: dict[str, CertificateOptions] = {}

    def contextFor(name: bytes | None) -> SSL.Context | None:
        """Find the context for a name that a client asks for (RFC 6066, section 3)."""
        text = (name or b"").decode("ascii", "replace")
        found = served.get(text) or served.get(f"*.{text.partition('.')[2]}")
        return None if found is None else found.getContext()

    own = {certificate for certificate, _ in pairs}
    issuers = {each.subject: each for each in certificates if each not in own}
    made: list[CertificateOptions] = []
    for certificate, key in pairs:
        _checkKind(_Pair(certificate, key))
        chain = _chainOf(certificate, issuers)
        options = serverOptions(
            certificate, key, extraCertChain=chain, contextForServerName=contextFor
        )
        made.append(options)
        served.update(dict.fromkeys(_namesOf(certificate), options))
    return made[0]


def _chainOf(
    certificate: x509.Certificate, issuers: Mapping[x509.Name, x509.Certificate]
) -> list[x509.Certificate]:
    """:returns: the issuer of a certificate, that one's issuer, and so on."""
    chain = [certificate]
    while (issuer := issuers.get(chain[-1].issuer)) not in (None, *chain):
        chain.append(issuer)  # type: ignore[arg-type]
    return chain[1:]


def _namesOf(certificate: x509.Certificate) -> list[str]:
    """:returns: the DNS names that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.value.get_values_for_type(x509.DNSName)


def checkDHParameters(path: str) -> None:
    """
    Check a file of Diffie-Hellman parameters, which Twisted reads only to listen.

    :param path: its path.
    :raises UnfitError: if it is unreadable or holds none.
    """
    try:
        SSL.Context(SSL.TLS_METHOD).load_tmp_dh(path)
    except SSL.Error as error:
        raise UnfitError(
            f"there are no Diffie-Hellman parameters here ({_why(error)}); make "
            "some: openssl dhparam -out FILE 2048"
        ) from error
