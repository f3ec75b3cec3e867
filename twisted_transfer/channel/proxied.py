"""
The PROXY header: what a proxy says of its client, before the client's first byte.

See https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt.  Twisted's own layer
for it closes the connection if the first piece that comes is short, and has the
protocol connected before there is a header, so that whoever connects and closes, as
health checks do, would be the partner.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.deferreds import Promise
from twisted_transfer.errors import NotAdmitted

_TEXT = b"PROXY "
_TEXT_LENGTH = 107  # bytes at most, with the end of the line
_BINARY = b"\r\n\r\n\0\r\nQUIT\n"
_BINARY_START = 16  # bytes, the last two of which say how many follow

_NONE = (
    "there was no PROXY header, for which haproxy: waits; have the proxy send one "
    "(send-proxy or send-proxy-v2 in HAProxy)"
)
_INVALID = "the PROXY header is invalid"
_NO_CLIENT = "the PROXY header names no client, as that of a health check"


def headerLength(data: bytes | bytearray) -> int | None:
    """
    Find the end of a header.

    :param data: the first bytes of a connection, any number of them.
    :returns: how many bytes the header has; None if more of them have to come.
    :raises ValueError: if there is no header.
    """
    if data[: len(_BINARY)] == _BINARY[: len(data)]:
        if len(data) < _BINARY_START:
            return None
        length = _BINARY_START + int.from_bytes(data[14:_BINARY_START], "big")
        return length if len(data) >= length else None
    if data[: len(_TEXT)] != _TEXT[: len(data)]:
        raise ValueError(_NONE)
    end = data.find(b"\r\n", 0, _TEXT_LENGTH)
    if end < 0 and len(data) >= _TEXT_LENGTH:
        raise ValueError(_INVALID)
    return None if end < 0 else end + 2


def _inText(line: bytes) -> tuple[IAddress, IAddress]:
    """Read version 1 of the header (section 2.1)."""
    words = line.decode("ascii").removesuffix("\r\n").split(" ")
    if words[1] == "UNKNOWN":
        raise ValueError(_NO_CLIENT)
    _, kind, *hosts, client, server = words
    made = {"TCP4": _v4, "TCP6": _v6}[kind]
    source, target = (ipaddress.ip_address(host).packed for host in hosts)
    return made(source, int(client)), made(target, int(server))


def _inBinary(header: bytes) -> tuple[IAddress, IAddress]:
    """Read version 2 of the header (section 2.2)."""
    command, kind, body = header[12], header[13], header[_BINARY_START:]
    if command not in (0x20, 0x21):
        raise ValueError(_INVALID)
    if command == 0x20 or kind == 0:
        raise ValueError(_NO_CLIENT)
    if kind == 0x31:
        client, server = struct.unpack_from("108s108s", body)
        return UNIXAddress(client.rstrip(b"\0")), UNIXAddress(server.rstrip(b"\0"))
    made, form = {0x11: (_v4, "!4s4sHH"), 0x21: (_v6, "!16s16sHH")}[kind]
    source, target, sourcePort, targetPort = struct.unpack_from(form, body)
    return made(source, sourcePort), made(target, targetPort)


def _v4(packed: bytes, port: int) -> IAddress:
    return IPv4Address("TCP", str(ipaddress.IPv4Address(packed)), _port(port))


def _v6(packed: bytes, port: int) -> IAddress:
    return IPv6Address("TCP", str(ipaddress.IPv6Address(packed)), _port(port))


def _port(number: int) -> int:
    if not 0 <= number < 2**16:
        raise ValueError(_INVALID)
    return number


def addressesIn(header: bytes) -> tuple[IAddress, IAddress]:
    """
    Read a header.

    :param header: all bytes of it.
    :returns: the address of the client, and the one that it has connected to.
    :raises ValueError: if it is invalid, or names no client.
    """
    try:
        return (_inBinary if header.startswith(_BINARY) else _inText)(header)
    except ValueError as error:
        known = str(error) == _NO_CLIENT
        raise ValueError(_NO_CLIENT if known else _INVALID) from None
    except (LookupError, struct.error):
        raise ValueError(_INVALID) from None


class ProxyHeader(ProtocolWrapper):
    """
    The layer of one connection that takes the header off.

    :ivar read: fires when there was a header that names a client, or fails with
        ``NotAdmitted``; the connection is aborted then.
    """

    def __init__(self, factory: Any, wrappedProtocol: IProtocol) -> None:
        """
        :param factory: made this.
        :param wrappedProtocol: gets everything behind the header.
        """
        super().__init__(factory, wrappedProtocol)
        self.read: Promise[None] = Promise()
        self._header = bytearray()
        self._addresses: tuple[IAddress, IAddress] | None = None

    def dataReceived(self, data: bytes) -> None:
        """Collect the header, and pass on what is behind it."""
        if self.read.fired:
            return  # it is being aborted
        header = self._header
        header += data
        try:
            length = headerLength(header)
            if length is None:
                return
            self._addresses = addressesIn(bytes(header[:length]))
        except ValueError as error:
            self.read.fire(Failure(NotAdmitted(str(error))))
            self.abortConnection()
            return
        rest = bytes(header[length:])
        header.clear()
        self.dataReceived = super().dataReceived  # type: ignore[method-assign]
        self.read.fire(None)
        if rest:
            self.dataReceived(rest)  # type: ignore[no-untyped-call]

    def getPeer(self) -> IAddress:
        """:returns: the client's address; before there is a header, the proxy's."""
        if self._addresses is not None:
            return self._addresses[0]
        peer: IAddress = super().getPeer()  # type: ignore[no-untyped-call]
        return peer

    def getHost(self) -> IAddress:
        """:returns: the address to which the client has connected, likewise."""
        if self._addresses is not None:
            return self._addresses[1]
        host: IAddress = super().getHost()  # type: ignore[no-untyped-call]
        return host


class _ProxyHeaderFactory(WrappingFactory[ProxyHeader]):
    """Puts the layer on each connection."""

    protocol = ProxyHeader
    noisy = False


@implementer(IStreamServerEndpoint)
class ProxiedServerEndpoint:
    """Listens for connections that come by a proxy."""

    def __init__(self, endpoint: IStreamServerEndpoint) -> None:
        """
        :param endpoint: where the proxy connects.
        """
        self._endpoint = endpoint

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        :param protocolFactory: makes the protocols.
        :returns: a Deferred with the port.
        """
        factory: Any = _ProxyHeaderFactory(protocolFactory)  # type: ignore[no-untyped-call]
        listening: Deferred[IListeningPort] = self._endpoint.listen(factory)
        return listening
