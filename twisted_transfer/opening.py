"""
How a connector's socket is opened: from its arguments to an endpoint.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

from twisted_transfer.arguments import Mode, checkedHost, checkedPort
from twisted_transfer.descriptions import Description
from twisted_transfer.errors import BadOption
from twisted_transfer.mtlsstrings import inviting
from twisted_transfer.plain import DualStackServerEndpoint, plainClientEndpoint
from twisted_transfer.socketcommands import (
    clientEndpoint,
    serverEndpoint,
    withAddress,
)

SocketCommand = str | IStreamClientEndpoint | IStreamServerEndpoint | None
"""How the socket is opened: by a description, by an endpoint object, or as
plain TCP."""


def openingEndpoint(
    reactor: Any,
    mode: Mode,
    host: str | None,
    port: int | None,
    socketCommand: SocketCommand,
) -> Any:
    """
    :param reactor: does everything.
    :param mode: which kind of endpoint is needed.
    :param host: as the connector was given it.
    :param port: the same.
    :param socketCommand: the same.
    :returns: a client endpoint in active mode, a server endpoint in passive
        mode.
    :raises BadOption: if there can be none.
    """
    if host is not None:
        checkedHost(host)
    if port is not None:
        checkedPort(port, lowest=0)
    active = mode is Mode.ACTIVE
    if socketCommand is None:
        if not active:
            return DualStackServerEndpoint(reactor, port or 0)
        return plainClientEndpoint(
            reactor,
            "localhost" if host is None else host,
            checkedPort(port or 0, lowest=1),
        )
    if isinstance(socketCommand, str):
        description = withAddress(
            Description.parse(socketCommand), host=host if active else None, port=port
        )
        if active:
            return clientEndpoint(reactor, description)
        return inviting(reactor, description) or serverEndpoint(reactor, description)
    needed = IStreamClientEndpoint if active else IStreamServerEndpoint
    if not needed.providedBy(socketCommand):
        raise BadOption(
            f"socketCommand={type(socketCommand).__name__} object: in {mode.value} "
            f"mode it is a description, or an object that provides {needed.__name__}"
        )
    if port is not None or (host is not None and active):
        raise BadOption(
            "host= and port= cannot be added to an endpoint object: make the "
            "endpoint with them"
        )
    return socketCommand
