"""
Certificate and private key, as the options of one description name them.

Each function looks at all options of a description of Twisted's own TLS types
and raises :class:`~twisted_transfer.optionvalues.UnfitError`, with the option at
fault, where the identity that they name is of no use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted_transfer.optionvalues import UnfitError, blaming
from twisted_transfer.pemfiles import checkPair, loadCertificate, loadKey, readFile

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
