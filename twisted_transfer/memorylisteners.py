"""
A network that is only in memory: a program that listens, and others that dial it.
"""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
from collections.abc import Iterator

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from twisted_transfer.errors import BadOption
from twisted_transfer.memoryports import Dial, MemoryPort

_EPHEMERAL = range(49152, 65536)  # RFC 6335, section 6


def _address(host: str, port: int) -> IPv4Address | IPv6Address:
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        raise BadOption(
            f"host={host!r}: give an IPv4 or IPv6 address, such as '127.0.0.2'"
        ) from None
    kind = IPv4Address if parsed.version == 4 else IPv6Address
    return kind("TCP", host, port)


@implementer(IStreamServerEndpoint)
class MemoryListener:
    """
    An address in memory, for a program to listen on and for others to dial.

    Whatever takes an endpoint to listen on takes this one, and
    :meth:`client` gives the endpoints that dial it, from any address::

        listener = MemoryListener(clock)
        connector = TransferConnector(clock, "passive", socketCommand=listener)
        waiting = connector.connect()
        attacking = attack(clock, listener.client("127.0.0.2"), Staller)
        settle(clock)

    For TLS put ``wrapServerTLS`` and ``wrapClientTLS`` around them, of
    ``twisted.internet.endpoints``, both with the clock.

    Those who dial are connected, or refused, when the clock goes on, in the
    order in which they have dialled.  One whom the program has no protocol for
    sees an end of file, as with a socket.

    :ivar address: the address.
    """

    def __init__(
        self, clock: IReactorTime, host: str = "127.0.0.1", port: int = 4000
    ) -> None:
        """
        :param clock: moves everything: a ``twisted.internet.task.Clock``, or a
            reactor.
        :param host: the address, IPv4 or IPv6.
        :param port: its port.
        :raises BadOption: if the host is no address.
        """
        self.address = _address(host, port)
        self._clock = clock
        self._ports: Iterator[int] = itertools.cycle(_EPHEMERAL)
        self._port: MemoryPort | None = None

    @property
    def port(self) -> MemoryPort | None:
        """The port that is listened on; None while nobody listens."""
        if self._port is not None and self._port.closed:
            self._port = None
        return self._port

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        :param protocolFactory: makes the protocols of those who dial.
        :returns: a Deferred with the port.  It fails with
            ``CannotListenError`` if there is one already.
        """
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        if self.port is not None:
            inUse = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            raise CannotListenError(self.address.host, self.address.port, inUse)
        self._port = MemoryPort(self._clock, self.address, factory)
        return self._port

    def client(self, host: str = "127.0.0.1") -> IStreamClientEndpoint:
        """
        :param host: the address from which to dial, IPv4 or IPv6; the port is
            another one each time.
        :returns: the endpoint that dials from there.
        :raises BadOption: if the host is no address.
        """
        _address(host, 0)
        return _MemoryClient(self, host)

    def dial(self, host: str, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        What the endpoints do.

        :param host: the address from which to dial.
        :param factory: makes the protocol of who dials.
        :returns: a Deferred with the protocol, when it is connected.  It fails
            with ``ConnectionRefusedError`` if nobody listens.
        """
        dial = Dial(factory, _address(host, next(self._ports)), self.address)
        if self.port is not None:
            self.port.arrive(dial)
        else:
            self._clock.callLater(0, self._refuse, dial)
        return dial.connecting

    def _refuse(self, dial: Dial) -> None:
        if not dial.connecting.called:
            dial.fail(ConnectionRefusedError())


@implementer(IStreamClientEndpoint)
class _MemoryClient:
    """Dials a memory listener from one address."""

    def __init__(self, listener: MemoryListener, host: str) -> None:
        self._listener = listener
        self._host = host

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._listener.dial(self._host, protocolFactory)
