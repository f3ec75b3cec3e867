"""
The endpoint type ``mtls``: from a description to an endpoint.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from cryptography import x509
from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    wrapServerTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

from twisted_transfer.descriptions import endpoints, pem, relay
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.descriptions.values import UnfitError, blaming
from twisted_transfer.tls.client import (
    FirstProvenClientEndpoint,
    MutualTLSClientEndpoint,
)
from twisted_transfer.tls.keys import Identity, Secret, checkedPin
from twisted_transfer.tls.policy import Policy

_PROOF = "certificate privateKey trustRoots pin endpoint relay token"
_CLIENT = endpoints.Options.named(
    "host port", f"timeout bindAddress hostname secret {_PROOF}"
)
_SERVER = endpoints.Options.named("port", f"interface backlog {_PROOF}")

# What says how the partner is reached; a relay stands in place of all of these.
_WAYS = ("host", "port", "bindAddress", "interface", "backlog", "endpoint")


def _identity(options: Mapping[str, str]) -> Identity:
    """Load the identity that the options name, by files or by a secret."""
    if "secret" not in options:
        loaded = pem.loadIdentity(options)
        if loaded is None:
            raise UnfitError(
                "nothing says who this side is; add certificate=PATH:privateKey=PATH, "
                "or use an invitation, which a passive TransferConnector makes"
            )
        return loaded
    if "certificate" in options or "privateKey" in options:
        raise UnfitError(
            "it stands for an identity of its own; leave certificate= and "
            "privateKey= out, or secret=",
            "secret",
        )
    with blaming("secret"):
        return Secret.fromText(options["secret"]).identity()


def _pins(options: Mapping[str, str]) -> frozenset[str]:
    """Read the pins of the partner's keys."""
    with blaming("pin"):
        given = [pin for pin in options.get("pin", "").split(",") if pin]
        if "pin" in options and not given:
            raise UnfitError("give the pin of the partner's key, or leave it out")
        return frozenset(map(checkedPin, given))


def _trustRoots(options: Mapping[str, str]) -> tuple[x509.Certificate, ...] | None:
    """Load the authorities in a file, or in a folder."""
    if "trustRoots" not in options:
        return None
    path = options["trustRoots"]
    with blaming("trustRoots"):
        if os.path.isdir(path):
            return tuple(pem.loadAuthorities(path, ".pem", ".crt"))
        return tuple(pem.loadCertificates(pem.readFile(path)))


def clientEndpoint(reactor: Any, description: Description) -> IStreamClientEndpoint:
    """
    Make a client endpoint of ``mtls``.

    :param reactor: the reactor that the endpoint uses.
    :param description: the client description; its ``host=`` may be several hosts of
        the partner, with commas between them.
    :returns: the endpoint.
    :raises BadDescription: if the description is invalid.
    """
    separate = _separate(description)
    if len(separate) == 1:
        return _oneHost(reactor, description)
    return FirstProvenClientEndpoint(
        reactor, [_oneHost(reactor, each) for each in separate]
    )


def _separate(description: Description) -> list[Description]:
    """:returns: a description for each of the hosts."""
    args, keywords = description.args, description.keywords
    if "endpoint" in keywords or "relay" in keywords:
        return [description]  # host= is the name in the certificate alone
    if "host" in keywords:
        return [
            Description(args, {**keywords, "host": host})
            for host in keywords["host"].split(",")
        ]
    return [
        Description((args[0], host, *args[2:]), keywords)
        for host in "".join(args[1:2]).split(",")
    ]


def _oneHost(reactor: Any, description: Description) -> MutualTLSClientEndpoint:
    """Make a client endpoint for one host."""
    with endpoints.optionsOf(description, _CLIENT) as options:
        _checkWay(options, _CLIENT)
        identity = _identity(options)
        pins, roots = _pins(options), _trustRoots(options)
        if "secret" in options and not pins:
            raise UnfitError("it is missing; copy the whole invitation", "pin")
        host = _partnerName(options)
        policy = Policy(identity, pins, roots, host)
        if host is None and policy.byAuthority:
            raise UnfitError(
                "no host is dialled, so nothing says for whom the partner's "
                "certificate has to be; add hostname=NAME, or the pin= of its key "
                "without trustRoots="
            )
        below = _clientBelow(reactor, options)
    timeout = int(options.get("timeout", "30"))
    # A partner that made an invitation uses this library, and sends tickets.
    return MutualTLSClientEndpoint(
        reactor, policy, below, timeout, confirms="secret" in options
    )


def _partnerName(options: Mapping[str, str]) -> str | None:
    """Find the host that a server's certificate has to be for, if one is given."""
    given = "host" in options or "hostname" in options
    return endpoints.serverOf(options) if given else None


def _clientBelow(reactor: Any, options: Mapping[str, str]) -> IStreamClientEndpoint:
    """Make the endpoint that dials under TLS."""
    if "relay" not in options:
        return endpoints.clientBelow(reactor, options)
    secret = Secret.fromText(options["secret"]) if "secret" in options else None
    host, port, token = _meeting(options, secret)
    timeout = int(options.get("timeout", "30"))
    return relay.relayClient(reactor, host, port, token, timeout)


def _meeting(options: Mapping[str, str], secret: Secret | None) -> tuple[str, int, str]:
    """
    Find out where the partner is met.

    :param options: the options, with ``relay``.
    :param secret: the secret of the invitation, if there is one.
    :returns: the host and the port of the relay, and the token.
    """
    with blaming("relay"):
        host, port = relay.splitAddress(options["relay"])
    if secret is not None:
        if "token" in options:
            raise UnfitError("it comes from the invitation; leave it out", "token")
        return host, port, secret.relayToken()
    if "token" not in options:
        raise UnfitError(
            "without an invitation both sides need one token; add :token=VALUE, made "
            "with: openssl rand -hex 32"
        )
    with blaming("token"):
        relay.checkToken(options["token"])
    return host, port, options["token"]


def _checkWay(options: Mapping[str, str], names: endpoints.Options) -> None:
    """
    Require what says how the partner is reached, and that it is said once.

    :param options: the options that are given.
    :param names: those that the type has.
    :raises UnfitError: if one is missing, or one too many.
    """
    isWhole = "relay" in options or "endpoint" in options
    endpoints.checkNames(options, names, () if isWhole else names.positional)
    if "relay" not in options and "token" in options:
        raise UnfitError(
            r"it is for a meeting at a relay; add relay=HOST\:PORT, or leave it out",
            "token",
        )
    for option in _WAYS if "relay" in options else ():
        if option in options:
            raise UnfitError(
                "the partner is met at the relay, so leave this out, or relay=", option
            )


def serverEndpoint(reactor: Any, description: Description) -> IStreamServerEndpoint:
    """
    Make a server endpoint of ``mtls``.

    :param reactor: the reactor that the endpoint uses.
    :param description: the server description.
    :returns: the endpoint.
    :raises BadDescription: if the description is invalid.
    """
    with endpoints.optionsOf(description, _SERVER) as options:
        _checkWay(options, _SERVER)
        identity = _identity(options)
        pins, roots = _pins(options), _trustRoots(options)
        if not pins and roots is None:
            raise UnfitError(
                "nothing says whom to accept; add trustRoots=PATH with the authority "
                "that issues the partners' certificates, or pin= with the pin of a "
                "partner's key"
            )
        below = _serverBelow(reactor, options)
    return wrapServerTLS(Policy(identity, pins, roots), below, clock=reactor)


def makesInvitation(description: Description) -> bool:
    """
    Tell whether a passive connector makes an invitation.

    :param description: its socket command.
    :returns: whether it is one of ``mtls`` that names no identity.
    """
    return description.kind == "mtls" and "certificate" not in description.keywords


def belowInvitation(
    reactor: Any, description: Description
) -> Callable[[Secret], IStreamServerEndpoint]:
    """
    Make the endpoints that invitations lead to, without the TLS on them.

    :param reactor: the reactor that the endpoints use.
    :param description: a server description that makes an invitation.
    :returns: a function from the secret of an invitation to the endpoint.
    :raises BadDescription: if the description is invalid.
    """
    with endpoints.optionsOf(description, _SERVER) as options:
        _checkWay(options, _SERVER)
        for option in ("privateKey", "pin", "trustRoots"):
            if option in options:
                raise UnfitError(
                    "without certificate= this side makes an identity and an "
                    "invitation, and admits who has that; leave it out, or add "
                    "certificate=PATH",
                    option,
                )
        # Here, so that an invalid one is refused at once.
        below = _serverBelow(reactor, options, Secret.fresh())
    if "relay" not in options:
        return lambda secret: below
    return lambda secret: _serverBelow(reactor, options, secret)


def _serverBelow(
    reactor: Any, options: Mapping[str, str], secret: Secret | None = None
) -> IStreamServerEndpoint:
    """Make the endpoint that listens under TLS."""
    if "relay" in options:
        return relay.relayServer(reactor, *_meeting(options, secret))
    if "endpoint" in options:
        return endpoints.serverEndpoint(reactor, Description.parse(options["endpoint"]))
    port, backlog = int(options["port"]), int(options.get("backlog", endpoints.BACKLOG))
    interface = options.get("interface")
    if interface is None:
        return endpoints.DualStackServerEndpoint(reactor, port, backlog)
    kind = TCP6ServerEndpoint if ":" in interface else TCP4ServerEndpoint
    endpoint: IStreamServerEndpoint = kind(reactor, port, backlog, interface)
    return endpoint
