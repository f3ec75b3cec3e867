"""
The options of ``mtls``: who this side is, and whom it accepts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from cryptography import x509

from twisted_transfer.errors import BadOption
from twisted_transfer.keys import Identity, PrivateKey, Secret, checkedPin
from twisted_transfer.mutualtls import Policy, serverName
from twisted_transfer.optionvalues import UnfitError, blaming
from twisted_transfer.pemfiles import (
    checkPair,
    loadCertificates,
    loadKey,
    readFile,
)

Options = Mapping[str, str]
"""The options of one description, by their names."""

_T = TypeVar("_T")


def _identity(options: Options) -> Identity | None:
    """The identity that the options name, by files or by a secret."""
    if "secret" in options:
        if "certificate" in options or "privateKey" in options:
            raise UnfitError(
                "it stands for an identity of its own; leave certificate= and "
                "privateKey= out, or secret=",
                "secret",
            )
        with blaming("secret"):
            return _fit(Secret.fromText, options["secret"]).identity()
    if "certificate" not in options:
        if "privateKey" in options:
            raise UnfitError("it is of no use without certificate=", "privateKey")
        return None
    with blaming("certificate"):
        text = readFile(options["certificate"])
        first, *chain = loadCertificates(text)
    keyOption = "privateKey" if "privateKey" in options else "certificate"
    with blaming(keyOption):
        key = loadKey(readFile(options[keyOption]))
        checkPair(first, key)
    return Identity(cast(PrivateKey, key.to_cryptography_key()), first, tuple(chain))


def _fit(make: Callable[[str], _T], text: str) -> _T:
    """Have a value read, and blame the option if it cannot be."""
    try:
        return make(text)
    except BadOption as error:
        raise UnfitError(str(error)) from None


def _pins(options: Options) -> frozenset[str]:
    with blaming("pin"):
        given = [pin for pin in options.get("pin", "").split(",") if pin]
        if "pin" in options and not given:
            raise UnfitError("give the pin of the partner's key, or leave it out")
        return frozenset(_fit(checkedPin, pin) for pin in given)


def _trustRoots(options: Options) -> tuple[x509.Certificate, ...] | None:
    """The authorities in a file, or in the ``.pem`` files of a folder."""
    if "trustRoots" not in options:
        return None
    path = options["trustRoots"]
    with blaming("trustRoots"):
        if not os.path.isdir(path):
            return tuple(loadCertificates(readFile(path)))
        found: list[x509.Certificate] = []
        for name in sorted(os.listdir(path)):
            if name.lower().endswith((".pem", ".crt")):
                try:
                    found += loadCertificates(readFile(os.path.join(path, name)))
                except UnfitError:
                    continue  # a folder of the system may hold dangling links
        if not found:
            raise UnfitError(
                "there is no certificate in this folder that can be read; give a "
                "PEM file, or a folder with *.pem files"
            )
        return tuple(found)


def clientPolicy(options: Options) -> Policy:
    """
    :param options: the options of a client description.
    :returns: who this side is and whom it accepts.
    :raises UnfitError: if they do not say both.
    """
    identity = _identity(options)
    if identity is None:
        raise UnfitError(
            "mtls proves who both sides are, and nothing says who this side is; add "
            "certificate=PATH:privateKey=PATH, or use an invitation, which has secret="
        )
    pins, roots = _pins(options), _trustRoots(options)
    if "secret" in options and not pins:
        raise UnfitError("it is missing; copy the whole invitation", "pin")
    option = "hostname" if "hostname" in options else "host"
    try:
        serverName(options[option])
    except UnicodeError:
        raise UnfitError(
            "this name has no form in ASCII letters (IDNA), which each host name "
            "has; see whether it is spelt right",
            option,
        ) from None
    return Policy(identity, pins, roots, options[option])


def serverPolicy(options: Options) -> Policy:
    """
    :param options: the options of a server description.
    :returns: who this side is and whom it accepts.
    :raises UnfitError: if they do not say both: a server accepts nobody that
        it cannot verify.
    """
    identity = _identity(options)
    if identity is None:
        raise UnfitError(
            "nothing says who this side is; add certificate=PATH:privateKey=PATH "
            "(only a passive TransferConnector, which makes an invitation, can do "
            "without)"
        )
    pins, roots = _pins(options), _trustRoots(options)
    if not pins and roots is None:
        raise UnfitError(
            "nothing says whom to accept; add trustRoots=PATH with the authority "
            "that issues the partners' certificates, or pin= with the pin of a "
            "partner's key"
        )
    return Policy(identity, pins, roots)
