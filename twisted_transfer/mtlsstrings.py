"""
The endpoint type ``mtls``: from its options to endpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    wrapServerTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

from twisted_transfer import optionvalues as values
from twisted_transfer.endpointstrings import Description, refusal
from twisted_transfer.endpointtypes import EndpointType
from twisted_transfer.inviting import InvitingServerEndpoint
from twisted_transfer.mtlsclient import MutualTLSClientEndpoint
from twisted_transfer.mtlspolicies import Options, clientPolicy, serverPolicy
from twisted_transfer.optionvalues import UnfitError
from twisted_transfer.plain import BACKLOG, DualStackServerEndpoint
from twisted_transfer.socketcommands import clientEndpoint, serverEndpoint

_T = TypeVar("_T")

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


def inviting(reactor: Any, description: Description) -> InvitingServerEndpoint | None:
    """
    :param reactor: does everything.
    :param description: a server description of a passive connector.
    :returns: an endpoint that makes invitations, if the description is one of
        ``mtls`` that names no identity; else None.
    :raises BadDescription: if it says something that cannot be.
    """
    if not makesInvitation(description):
        return None

    def make(options: Options) -> InvitingServerEndpoint:
        for option in ("privateKey", "pin", "trustRoots"):
            if option in options:
                raise UnfitError(
                    "without certificate= this side makes an identity and an "
                    "invitation, and admits who has that; leave it out, or add "
                    "certificate=PATH",
                    option,
                )
        return InvitingServerEndpoint(reactor, serverBelow(reactor, options))

    return _checked(SERVER, description, make)


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
