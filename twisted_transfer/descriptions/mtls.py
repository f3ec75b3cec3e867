"""
The endpoint type ``mtls``: from its options to endpoints.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from cryptography import x509
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    wrapServerTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

from twisted_transfer.descriptions import values
from twisted_transfer.descriptions.endpoints import (
    BACKLOG,
    DualStackServerEndpoint,
    clientEndpoint,
    serverEndpoint,
)
from twisted_transfer.descriptions.pem import (
    checkPair,
    loadCertificates,
    loadKey,
    readFile,
)
from twisted_transfer.descriptions.strings import Description, refusal
from twisted_transfer.descriptions.types import EndpointType
from twisted_transfer.descriptions.values import UnfitError, blaming
from twisted_transfer.errors import BadOption
from twisted_transfer.tls.client import MutualTLSClientEndpoint
from twisted_transfer.tls.keys import Identity, PrivateKey, Secret, checkedPin
from twisted_transfer.tls.policy import Policy, serverName

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


_PROOF = {
    "certificate": values.anything,
    "privateKey": values.anything,
    "trustRoots": values.anything,
    "pin": values.anything,
    "endpoint": values.anything,
}

CLIENT = EndpointType(
    {
        "host": values.hostName,
        "port": values.clientPort,
        "timeout": values.timeout,
        "bindAddress": values.hostName,
        "hostname": values.hostName,
        "secret": values.anything,
        **_PROOF,
    },
    ("host", "port"),
    ("host", "port"),
)
"""The options of a client description."""

SERVER = EndpointType(
    {
        "port": values.serverPort,
        "interface": values.interface,
        "backlog": values.backlog,
        **_PROOF,
    },
    ("port",),
)
"""The options of a server description."""


def _checked(
    kind: EndpointType, description: Description, make: Callable[[Options], _T]
) -> _T:
    """
    :raises BadDescription: for whatever is unfit, without a secret in it.
    """
    options: dict[str, str] = {}
    try:
        options = kind.assign(description.args[1:], description.keywords)
        kind.check(options)
        if kind is SERVER and not ({"port", "endpoint"} & set(options)):
            raise UnfitError("port is missing; add :port=NUMBER", "port")
        return make(options)
    except UnfitError as unfit:
        value = None if unfit.option is None else options.get(unfit.option)
        raise refusal(description, unfit, value) from None


def parseClient(
    reactor: Any, args: Sequence[str], keywords: Options
) -> IStreamClientEndpoint:
    """
    :param reactor: does everything.
    :param args: the type and the positionals.
    :param keywords: the keywords.
    :returns: a client endpoint.
    :raises BadDescription: if they say something that cannot be.
    """
    description = Description(tuple(args), keywords)
    return _checked(CLIENT, description, lambda given: clientOf(reactor, given))


def parseServer(
    reactor: Any, args: Sequence[str], keywords: Options
) -> IStreamServerEndpoint:
    """
    :param reactor: does everything.
    :param args: the type and the positionals.
    :param keywords: the keywords.
    :returns: a server endpoint.
    :raises BadDescription: if they say something that cannot be.
    """
    description = Description(tuple(args), keywords)
    return _checked(SERVER, description, lambda given: serverOf(reactor, given))


def makesInvitation(description: Description) -> bool:
    """
    :param description: a server description of a passive connector.
    :returns: whether it is one of ``mtls`` that names no identity.
    """
    return (
        description.args[0].lower() == "mtls"
        and "certificate" not in description.keywords
    )


def clientOf(reactor: Any, options: Options) -> IStreamClientEndpoint:
    """
    :param reactor: does everything.
    :param options: the options of a client description, checked.
    :returns: the endpoint.
    :raises UnfitError: if an option cannot be.
    """
    timeout = int(options.get("timeout", "30"))
    policy = clientPolicy(options)
    if "endpoint" in options:
        below = clientEndpoint(reactor, Description.parse(options["endpoint"]))
    else:
        bind = options.get("bindAddress")
        below = HostnameEndpoint(
            reactor,
            options["host"],
            int(options["port"]),
            timeout,
            None if bind is None else (bind, 0),
        )
    # Whoever makes an invitation listens with this library, and sends tickets.
    return MutualTLSClientEndpoint(
        reactor, policy, below, timeout, confirms="secret" in options
    )


def serverBelow(reactor: Any, options: Options) -> IStreamServerEndpoint:
    """
    :param reactor: does everything.
    :param options: the options of a server description, checked.
    :returns: what is listened on under TLS.
    """
    if "endpoint" in options:
        return serverEndpoint(reactor, Description.parse(options["endpoint"]))
    port, backlog = int(options["port"]), int(options.get("backlog", BACKLOG))
    interface = options.get("interface")
    if interface is None:
        return DualStackServerEndpoint(reactor, port, backlog)
    kind = TCP6ServerEndpoint if ":" in interface else TCP4ServerEndpoint
    endpoint: IStreamServerEndpoint = kind(reactor, port, backlog, interface)
    return endpoint


def serverOf(reactor: Any, options: Options) -> IStreamServerEndpoint:
    """
    :param reactor: does everything.
    :param options: the options of a server description, checked.
    :returns: the endpoint.
    :raises UnfitError: if an option cannot be.
    """
    policy = serverPolicy(options)
    return wrapServerTLS(policy, serverBelow(reactor, options), clock=reactor)
