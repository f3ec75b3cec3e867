"""
Sockets that systemd has opened and handed on (systemd.socket(5)).

Each is looked at before it is used: Twisted takes it for what the description says.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.error import AlreadyListened
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from twisted_transfer.descriptions.values import UnfitError, blaming

_DOMAINS = ("INET", "INET6", "UNIX")


def adopting(
    parser: Callable[..., Any], reactor: Any, options: Mapping[str, str]
) -> IStreamServerEndpoint:
    """
    Make the endpoint of the type ``systemd``.

    :param parser: Twisted's parser; it alone knows what systemd has handed on.
    :param reactor: the reactor that the endpoint uses.
    :param options: ``domain``, and ``index`` or ``name``, checked one by one.
    :returns: the endpoint, which can listen once.
    :raises UnfitError: if there is no such socket, or it is not one that listens for
        connections in that domain.
    """
    if options["domain"] not in _DOMAINS:
        raise UnfitError(f"a domain is {', '.join(_DOMAINS)}", "domain")
    if ("index" in options) == ("name" in options):
        raise UnfitError("give exactly one of descriptor index or name")
    try:
        endpoint = parser(reactor, **options)
    except LookupError:
        raise UnfitError(
            "systemd has handed no such socket to this process; give the "
            "FileDescriptorName= of one in its unit, or index=0 for the only one",
            "index" if "index" in options else "name",
        ) from None
    with blaming("domain"):
        _check(endpoint.fileno, options["domain"])
    if options["domain"] == "UNIX":
        return _UNIXEndpoint(reactor, endpoint.fileno)
    return endpoint  # type: ignore[no-any-return]


def _check(descriptor: int, domain: str) -> None:
    """Require that a descriptor is a socket that listens in a domain."""
    try:
        looked = socket.socket(fileno=descriptor)
    except OSError as error:
        raise UnfitError(
            f"what systemd has handed on is no open socket ({error.strerror})"
        ) from error
    try:
        if looked.family != getattr(socket, f"AF_{domain}"):
            right = looked.family.name.removeprefix("AF_")
            raise UnfitError(f"the socket is of another domain; give domain={right}")
        if looked.type != socket.SOCK_STREAM or not looked.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            raise UnfitError(
                "the socket does not listen for connections; have ListenStream= "
                "and Accept=no in its unit"
            )
    finally:
        looked.detach()


class _Inherited(socket.socket):
    """
    A socket that listens already, and that others go on to use.

    Twisted's port of its kind would bind it, and shut it down in the end.
    """

    def bind(self, address: Any) -> None:
        """Do nothing."""

    def listen(self, backlog: int = 0) -> None:
        """Do nothing."""

    def shutdown(self, how: int) -> None:
        """Do nothing."""


@implementer(IStreamServerEndpoint)
class _UNIXEndpoint:
    """Listen on a UNIX socket of another program's, whose path stays."""

    def __init__(self, reactor: Any, descriptor: int) -> None:
        self._reactor = reactor
        self._descriptor: int | None = descriptor

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Listen.

        :param protocolFactory: makes the protocols of the connections.
        :returns: a Deferred with the port.
        """
        return execute(self._listen, protocolFactory)

    def _listen(self, protocolFactory: IProtocolFactory) -> IListeningPort:
        if self._descriptor is None:
            raise AlreadyListened()
        listening = _Inherited(fileno=self._descriptor)
        self._descriptor = None
        listening.setblocking(False)
        # Where there are no UNIX sockets there is no such module.
        from twisted.internet.unix import Port

        class InheritedPort(Port):
            """A port with a socket of its own choice."""

            def createInternetSocket(self) -> socket.socket:
                return listening

        # Twisted unlinks the path of its port in the end; an abstract name has none.
        port: Any = InheritedPort(b"\0", protocolFactory, reactor=self._reactor)
        port.startListening()
        return port  # type: ignore[no-any-return]
