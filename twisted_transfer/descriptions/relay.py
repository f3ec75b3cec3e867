"""
The endpoint type ``relay``: from a description to an endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from twisted.internet.address import HostnameAddress

from twisted_transfer.descriptions import endpoints, values
from twisted_transfer.descriptions.strings import Description, refusal
from twisted_transfer.descriptions.values import UnfitError, blaming
from twisted_transfer.meeting.relay import RelayClientEndpoint, RelayServerEndpoint

_NEEDED = "host port token"
_CLIENT = endpoints.Options.named(_NEEDED, "timeout plain")
_SERVER = endpoints.Options.named(_NEEDED, "plain")


def checkToken(token: str) -> None:
    """
    Check a token, which is shown to nobody.

    :param token: the token.
    :raises UnfitError: if relays do not take it.
    """
    if re.fullmatch(r"\w{64}", token, re.ASCII) is None:
        raise UnfitError(
            "a token has 64 letters, digits or underscores, and nobody but the two "
            "sides knows it; make one with: openssl rand -hex 32"
        )


def splitAddress(text: str) -> tuple[str, int]:
    """
    Read the address of a relay.

    :param text: ``HOST:PORT``; brackets may stand around an IPv6 address.
    :returns: host and port.
    :raises UnfitError: if it is invalid.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        raise UnfitError(r"write the address of the relay as HOST\:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    values.hostName(host)
    values.port(values.whole(port), lowest=1)
    return host, int(port)


def relayClient(
    reactor: Any, host: str, port: int, token: str, timeout: int = 30
) -> RelayClientEndpoint:
    """
    Make the endpoint that meets a server at a relay.

    :param reactor: the reactor that the endpoint uses.
    :param host: the host of the relay, valid.
    :param port: its port.
    :param token: the token, valid.
    :param timeout: seconds for each address of the relay, and then for the partner.
    :returns: the endpoint.
    """
    below = endpoints.plainClientEndpoint(reactor, host, port, timeout)
    return RelayClientEndpoint(reactor, below, _address(host, port), token, timeout)


def relayServer(reactor: Any, host: str, port: int, token: str) -> RelayServerEndpoint:
    """
    Make the endpoint that waits for clients at a relay.

    :param reactor: the reactor that the endpoint uses.
    :param host: the host of the relay, valid.
    :param port: its port.
    :param token: the token, valid.
    :returns: the endpoint.
    """
    below = endpoints.plainClientEndpoint(reactor, host, port)
    return RelayServerEndpoint(reactor, below, _address(host, port), token)


def _address(host: str, port: int) -> HostnameAddress:
    return HostnameAddress(host.encode("utf-8"), port)


def _check(options: Mapping[str, str], names: endpoints.Options) -> None:
    """Check what :func:`endpoints.optionsOf` does not know."""
    endpoints.checkNames(options, names, names.positional)
    with blaming("token"):
        checkToken(options["token"])
    if options.get("plain") not in (None, "yes", "no"):
        raise UnfitError("this is yes or no", "plain")


def clientEndpoint(reactor: Any, description: Description) -> RelayClientEndpoint:
    """
    Make a client endpoint of ``relay``.

    :param reactor: the reactor that the endpoint uses.
    :param description: the client description.
    :returns: the endpoint.
    :raises BadDescription: if the description is invalid.
    """
    with endpoints.optionsOf(description, _CLIENT) as options:
        _check(options, _CLIENT)
    host, port, token = options["host"], int(options["port"]), options["token"]
    return relayClient(reactor, host, port, token, int(options.get("timeout", "30")))


def serverEndpoint(reactor: Any, description: Description) -> RelayServerEndpoint:
    """
    Make a server endpoint of ``relay``.

    :param reactor: the reactor that the endpoint uses.
    :param description: the server description.
    :returns: the endpoint.
    :raises BadDescription: if the description is invalid.
    """
    with endpoints.optionsOf(description, _SERVER) as options:
        _check(options, _SERVER)
    host, port, token = options["host"], int(options["port"]), options["token"]
    return relayServer(reactor, host, port, token)


def partnersWay(description: Description) -> Description:
    """
    Find the client description for a server description.

    :param description: a server description of ``relay``, valid.
    :returns: the description with which the partner comes to the same relay.
    """
    return Description(("relay",), endpoints.assigned(description, _SERVER))


def requirePlain(description: Description) -> None:
    """
    Require that a connection without TLS through a relay was asked for.

    :param description: the socket command of a transfer.
    :raises BadDescription: if it is a relay alone, and does not say ``plain=yes``.
    """
    # haproxy: stands before what it takes the connections from.
    kind = next((each for each in description.args if each.lower() != "haproxy"), "")
    if kind.lower() == "relay" and description.keywords.get("plain") != "yes":
        raise refusal(
            description,
            UnfitError(
                "whoever runs the relay could read everything, and change it, without "
                "the two sides noticing; use mtls with "
                r"relay=HOST\:PORT, or add plain=yes if that does not matter"
            ),
        )
