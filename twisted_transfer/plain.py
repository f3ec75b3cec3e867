"""
Plain TCP for those who name no socket command.
"""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import implementer

BACKLOG = 512
"""How many connections the system keeps until they are accepted, where nobody
says otherwise.  Twisted's own 50 are full in a moment in a flood; then Linux
drops the partner's first segment, too, which comes again only a second later."""

_WITHOUT_IPV6 = frozenset(
    {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}
)


@implementer(IStreamServerEndpoint)
class DualStackServerEndpoint:
    """
    Listens on IPv6 and IPv4 at once where the system has IPv6, else on IPv4.

    One port serves both where the system maps IPv4 into IPv6, as Linux does
    unless ``net.ipv6.bindv6only`` is set.
    """

    def __init__(self, reactor: Any, port: int, backlog: int = BACKLOG) -> None:
        """
        :param reactor: an ``IReactorTCP`` provider.
        :param port: the port number; 0 lets the system choose.
        :param backlog: how many connections the system keeps until they are
            accepted.
        """
        self._reactor = reactor
        self._port = port
        self._backlog = backlog

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        :param protocolFactory: makes the protocols of the connections.
        :returns: a Deferred with the port, or a ``CannotListenError``.
        """
        listening: Deferred[IListeningPort] = TCP6ServerEndpoint(
            self._reactor, self._port, self._backlog
        ).listen(protocolFactory)

        def withoutIPv6(failure: Any) -> Deferred[IListeningPort]:
            failure.trap(CannotListenError)
            if getattr(failure.value.socketError, "errno", None) not in _WITHOUT_IPV6:
                return failure  # type: ignore[no-any-return]
            fallback: Deferred[IListeningPort] = TCP4ServerEndpoint(
                self._reactor, self._port, self._backlog
            ).listen(protocolFactory)
            return fallback

        return listening.addErrback(withoutIPv6)


def plainClientEndpoint(reactor: Any, host: str, port: int) -> IStreamClientEndpoint:
    """
    :param reactor: does the dialling.
    :param host: a name or an address of either family.
    :param port: the port number there.
    :returns: an endpoint that tries the name's addresses side by side
        (RFC 8305).
    """
    endpoint: IStreamClientEndpoint = HostnameEndpoint(reactor, host, port)
    return endpoint
