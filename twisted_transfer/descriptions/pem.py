"""
The files that TLS options name: is what they hold of use?

Twisted reads these files too, but says little about what is wrong with them,
skips some that it cannot read, finds out about others at the first handshake,
and lets OpenSSL ask on the terminal for the passphrase of a key.  So each file
is looked at before.  Faults are raised as
:class:`~twisted_transfer.descriptions.values.UnfitError`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.python.filepath import FilePath, LinkError

from twisted_transfer.descriptions.values import UnfitError, blaming
from twisted_transfer.printable import printable

# What a PEM reader of OpenSSL raises, directly or from within a callback.
_UNREADABLE = (crypto.Error, SSL.Error, ValueError, TypeError)


def _whyNot(error: Exception) -> str:
    """Say in a few words what the system or OpenSSL found."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if error.args and isinstance(error.args[0], list):
        return ", ".join(entry[-1] for entry in error.args[0] if entry[-1]) or "?"
    return str(error)


def readFile(path: str) -> bytes:
    """
    Read a file that an option names.

    :param path: its path.
    :returns: what it holds.
    :raises UnfitError: where it cannot be read, or is not a regular file: such files
        are read more than once, which a pipe does not allow.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnfitError("this is not a regular file; give the path of a PEM file")
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise UnfitError(
            f"the file cannot be read ({printable(_whyNot(error))}); give the path "
            "of a PEM file that this program may read"
        ) from error


def loadKey(data: bytes) -> crypto.PKey:
    """
    Load the first private key of some PEM text, without asking anybody.

    :param data: the PEM text.
    :returns: the key.
    :raises UnfitError: where there is none, or it needs a passphrase.
    """
    asked = False

    def passphrase(*_: object) -> bytes:
        nonlocal asked
        asked = True
        return b""

    failure: Exception | None = None
    try:
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, data, passphrase)
    except _UNREADABLE as error:
        failure = error
    if asked:
        raise UnfitError(
            "the private key is encrypted, and there is nobody to ask for its "
            "passphrase; decrypt it first: openssl pkey -in KEY -out DECRYPTED"
        )
    if failure is not None:
        raise UnfitError(
            f"there is no private key in PEM format here ({_whyNot(failure)})"
        ) from failure
    return key


def loadCertificate(data: bytes) -> x509.Certificate:
    """
    Load the first certificate of some PEM text.

    :param data: the PEM text.
    :returns: the certificate.
    :raises UnfitError: where there is none.
    """
    try:
        loaded = crypto.load_certificate(crypto.FILETYPE_PEM, data)
        return loaded.to_cryptography()
    except _UNREADABLE as error:
        raise UnfitError(
            f"there is no certificate in PEM format here ({_whyNot(error)})"
        ) from error


def loadCertificates(data: bytes) -> list[x509.Certificate]:
    """
    Load all certificates of some PEM text.

    :param data: the PEM text.
    :returns: the certificates, at least one.
    :raises UnfitError: where there is none, or one is broken.
    """
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise UnfitError(
            f"there is no certificate in PEM format here ({printable(str(error))})"
        ) from error


def _publicKey(key: crypto.PKey) -> bytes:
    """Give the public half of a key, comparable."""
    return crypto.dump_publickey(crypto.FILETYPE_ASN1, key)


def checkPair(certificate: x509.Certificate, key: crypto.PKey) -> None:
    """
    Check that OpenSSL can prove an identity with this certificate and key.

    :param certificate: the certificate.
    :param key: the private key.
    :raises UnfitError: where they do not belong together, or OpenSSL will not have
        them, for example because the key is too short to be safe.
    """
    certified = crypto.X509.from_cryptography(certificate).get_pubkey()
    if _publicKey(certified) != _publicKey(key):
        raise UnfitError(
            "the private key and the certificate do not belong together; give the "
            "key that the certificate was made for"
        )
    try:
        SSL.Context(SSL.TLS_METHOD).use_certificate(certificate)
    except _UNREADABLE as error:
        raise UnfitError(
            f"OpenSSL will not use this certificate ({_whyNot(error)}); make a new one"
        ) from error


def checkChain(path: str) -> None:
    """
    Check a file of intermediate certificates.

    :param path: its path.
    :raises UnfitError: where it cannot be read or one of its certificates is broken.
    """
    # The pattern is that of Twisted, which for example wants no CRLF here.
    blocks = re.findall(
        rb"-----BEGIN CERTIFICATE-----\n.+?\n-----END CERTIFICATE-----",
        readFile(path),
        flags=re.DOTALL,
    )
    if not blocks:
        raise UnfitError("there is no certificate in PEM format here")
    for block in blocks:
        loadCertificate(block)


def checkDHParameters(path: str) -> None:
    """
    Check a file of Diffie-Hellman parameters.

    :param path: its path.
    :raises UnfitError: where it cannot be read or holds none.
    """
    readFile(path)
    try:
        SSL.Context(SSL.TLS_METHOD).load_tmp_dh(path)
    except _UNREADABLE as error:
        raise UnfitError(
            f"there are no Diffie-Hellman parameters here ({_whyNot(error)}); make "
            "some: openssl dhparam -out FILE 2048"
        ) from error


def checkTrustRoots(path: str) -> None:
    """
    Check a directory of certificate authorities.

    Twisted reads the first certificate of each ``*.pem`` in it, and passes
    over what it cannot read; where nothing is left, nobody is trusted.

    :param path: its path.
    :raises UnfitError: where it is no directory or nobody would be trusted.
    """
    try:
        names = os.listdir(path)
    except (OSError, ValueError) as error:
        raise UnfitError(
            f"the directory cannot be read ({printable(_whyNot(error))}); give a "
            "directory of .pem files, one certificate authority in each"
        ) from error
    faults: list[str] = []
    for name in sorted(names):
        if name.split(".")[-1].lower() != "pem":
            continue
        try:
            loadCertificate(readFile(os.path.join(path, name)))
        except UnfitError as unfit:
            faults.append(f"{printable(name)}: {unfit.reason}")
        else:
            return
    found = "; ".join(faults[:3]) or "it has no file whose name ends in .pem"
    raise UnfitError(
        "this directory holds no certificate authority that can be read, so that "
        f"nobody would be trusted ({found})"
    )


def _blocks(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Cut PEM text into certificates and all else, exactly as Twisted does."""
    certificates: list[bytes] = []
    others: list[bytes] = []
    current = [b""]
    for line in data.splitlines(keepends=True):
        if line.startswith(b"-----BEGIN"):
            current = certificates if b"CERTIFICATE" in line else others
            current.append(b"")
        current[-1] += line
    return certificates, others


def _dnsNames(certificate: x509.Certificate) -> Sequence[str]:
    """Give the DNS names that a certificate is for."""
    try:
        extension = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return ()
    except ValueError as error:
        raise UnfitError(f"a certificate is broken ({error})") from error
    return extension.value.get_values_for_type(x509.DNSName)


def checkServerDirectory(path: str) -> None:
    """
    Check the directory of certificates and keys of a TLS server.

    Twisted walks through it, and serves each certificate whose key it finds
    under the DNS names of the certificate.

    :param path: its path; that of a single ``.pem`` file works as well.
    :raises UnfitError: where a file cannot be read, or where there is nothing to
        serve.
    """
    root = FilePath(path)
    certificates: dict[bytes, x509.Certificate] = {}
    keys: list[crypto.PKey] = []
    try:
        os.stat(path)
        files = [each for each in root.walk() if each.basename().endswith(".pem")]
        for file in filter(FilePath.isfile, files):
            _collect(file.path, certificates, keys)
    except (OSError, ValueError, LinkError) as error:
        raise UnfitError(
            f"the directory cannot be read ({printable(_whyNot(error))}); give a "
            "directory of .pem files with certificates and their keys"
        ) from error
    pairs = [(certificates.get(_publicKey(key)), key) for key in keys]
    served = [(certificate, key) for certificate, key in pairs if certificate]
    for certificate, key in served:
        checkPair(certificate, key)
    if not any(_dnsNames(certificate) for certificate, _ in served):
        raise UnfitError(
            "nothing here can be served: a .pem file with a certificate that has a "
            "DNS name (subjectAltName), and one with its private key, are needed"
        )


def _collect(
    path: str, certificates: dict[bytes, x509.Certificate], keys: list[crypto.PKey]
) -> None:
    """Load all of a file; a fault names the file."""
    try:
        certificateBlocks, keyBlocks = _blocks(readFile(path))
        for block in certificateBlocks:
            certificate = loadCertificate(block)
            public = crypto.X509.from_cryptography(certificate).get_pubkey()
            certificates[_publicKey(public)] = certificate
        keys.extend(loadKey(block) for block in keyBlocks)
    except UnfitError as unfit:
        name = printable(os.path.basename(path))
        raise UnfitError(f"{name}: {unfit.reason}") from unfit


#: The file that Twisted's ``ssl`` server reads where none is named.
_DEFAULT_KEY = "server.pem"


def clientIdentity(certificateOption: str) -> Callable[[Mapping[str, str]], None]:
    """
    Make the check of the identity of a client.

    :param certificateOption: how the option of the certificate is called; that
        of the key is ``privateKey``, and where it is not given the key stands
        in the file of the certificate.
    :returns: the check.
    """

    def check(options: Mapping[str, str]) -> None:
        certificatePath = options.get(certificateOption)
        keyPath = options.get("privateKey")
        if certificatePath is None:
            if keyPath is not None:
                raise UnfitError(
                    "a private key without a certificate is not used; add "
                    f":{certificateOption}=PATH",
                    "privateKey",
                )
            return
        with blaming(certificateOption):
            text = readFile(certificatePath)
            certificate = loadCertificate(text)
            if keyPath is None and b"PRIVATE KEY" not in text:
                raise UnfitError(
                    "the file holds no private key; add :privateKey=PATH with its key"
                )
        with blaming(certificateOption if keyPath is None else "privateKey"):
            key = loadKey(text if keyPath is None else readFile(keyPath))
            checkPair(certificate, key)

    return check


def sslServerIdentity(options: Mapping[str, str]) -> None:
    """
    Check the identity of an ``ssl`` server.

    Twisted looks for the certificate and for the key in the file of the
    certificate first and then in that of the key.

    :param options: the options of an ``ssl`` server description.
    :raises UnfitError: where the files or what they hold are of no use.
    """
    keyPath = options.get("privateKey", _DEFAULT_KEY)
    certificateOption = "certKey" if "certKey" in options else "privateKey"
    try:
        with blaming("privateKey"):
            keyText = readFile(keyPath)
        with blaming(certificateOption):
            text = readFile(options.get("certKey", keyPath)) + b"\n" + keyText
            certificate = loadCertificate(text)
        with blaming("privateKey"):
            checkPair(certificate, loadKey(text))
    except UnfitError as unfit:
        if unfit.option in options:
            raise
        raise UnfitError(
            f"it is not given, so that {_DEFAULT_KEY} is read: {unfit.reason}",
            unfit.option,
        ) from unfit
