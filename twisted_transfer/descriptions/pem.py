"""
The PEM files that options of TLS endpoint types name.

Nothing here asks for a passphrase, as OpenSSL would do on the terminal.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.logger import Logger
from twisted.python.filepath import FilePath, LinkError

from twisted_transfer.descriptions.exposed import exposure
from twisted_transfer.descriptions.values import UnfitError, blaming
from twisted_transfer.printable import printable
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
        SSL.Context(SSL.TLS_METHOD).use_certificate(certificate)
    except (SSL.Error, ValueError, UnsupportedAlgorithm) as error:
        raise UnfitError(
            f"OpenSSL will not use this certificate ({_why(error)}); make a new one"
        ) from error
    if not matches:
        raise UnfitError(
            "the private key and the certificate do not belong together; give the "
            "key that the certificate was made for"
        )
    _checkKind(certificate, key)


def _checkKind(certificate: x509.Certificate, key: PrivateKey) -> None:
    """
    Require that a handshake in memory can be completed with a key.

    OpenSSL loads keys that no signature algorithm of TLS fits: RSA keys for PSS alone,
    and curves that are not among the named groups (RFC 8446, section 4.2.3).
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        context.use_certificate(certificate)
        context.use_privatekey(key)
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


# What Twisted's tls server takes for a certificate or a key, and is one.
_BLOCKS = re.compile(rb"((X509 |TRUSTED )?CERTIFICATE|([A-Z0-9]+ )?PRIVATE KEY)")


def _checkBlocks(path: str, text: bytes) -> None:
    """
    Require of a file what Twisted's ``tls`` server cannot read it without.

    It takes every block for a certificate or a key, and does not see one that begins
    behind a byte order mark, as files that were joined have it in the middle too.

    :param path: the path of the file.
    :param text: its content.
    :raises UnfitError: if Twisted would read it wrongly.
    """
    problem = None
    if b"\xef\xbb\xbf-----BEGIN" in text:
        problem = "has a byte order mark"
        mend = r"s/^\xEF\xBB\xBF//"
    for found in re.finditer(rb"^-----BEGIN ([A-Z0-9 ]+)-----", text, re.MULTILINE):
        if problem is None and not _BLOCKS.fullmatch(found[1]):
            name = found[1].decode()
            problem = f"has a block {name}, which is neither a certificate nor a key"
            mend = f"/BEGIN {name}/,/END {name}/d"
    if problem is not None:
        raise UnfitError(
            f"{printable(path)} {problem}, and Twisted's tls server cannot read it so; "
            f"mend it with: sed -i {shlex.quote(mend)} {printable(shlex.quote(path))}"
        )


def checkServed(path: str) -> None:
    """
    Check what Twisted's ``tls`` server is to serve.

    Twisted listens without any key as well, and then no handshake succeeds; and
    it asks for a passphrase on the terminal, even while it serves.

    :param path: a folder of PEM files, or one file whose name ends in ``.pem``.
    :raises UnfitError: if no file holds a key, or a key is encrypted, or of a kind
        with which no handshake can be completed.
    """
    files: list[Any] = []
    with suppress(OSError, ValueError, LinkError):
        files = [each for each in FilePath(path).walk() if each.isfile()]
    paths = [each.path for each in files if each.path.endswith(".pem")]
    texts = [readFile(each, secret=True) for each in paths]
    if any(b"ENCRYPTED" in text for text in texts):
        raise _ENCRYPTED
    for each, text in zip(paths, texts, strict=True):
        _checkBlocks(each, text)
    if not any(b"PRIVATE KEY" in text for text in texts):
        raise UnfitError(
            "nothing here can be served: a .pem file with a certificate that has a "
            "DNS name (subjectAltName), and one with its private key, are needed"
        )
    keys: list[PrivateKey] = []
    certificates: list[x509.Certificate] = []
    for each, text in zip(paths, texts, strict=True):
        try:
            if b"PRIVATE KEY-----" in text:
                keys.append(loadKey(text))
            if b"BEGIN CERTIFICATE-----" in text:
                certificates += loadCertificates(text)
        except UnfitError:
            raise UnfitError(
                f"what stands in {printable(each)} cannot be read; write the file "
                "anew, or take it away"
            ) from None
    for key in keys:
        for certificate in certificates:
            if certificate.public_key() == key.public_key():
                _checkKind(certificate, key)


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
