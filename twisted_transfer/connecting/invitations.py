"""
Invitations: the descriptions that passive connectors make for their partners.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import wrapServerTLS
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from twisted_transfer.addresses import hostText
from twisted_transfer.descriptions.mtls import makesInvitation
from twisted_transfer.descriptions.pem import loadCertificates, readFile
from twisted_transfer.descriptions.relay import partnersWay
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.descriptions.values import UnfitError, hostName
from twisted_transfer.errors import BadOption
from twisted_transfer.tls.keys import Identity, Secret, pinOf
from twisted_transfer.tls.policy import Policy

_UNBOUND = ("0.0.0.0", "::", "")

# Addresses for documentation (RFC 5737, RFC 3849): nothing is sent to them,
# the system only says which of its own addresses it would send from.
_ELSEWHERE = (
    (socket.AF_INET, ("192.0.2.1", 9)),
    (socket.AF_INET6, ("2001:db8::1", 9)),
)


def reachableHosts(bound: str) -> list[str]:
    """
    List the hosts that a partner may try to dial.

    :param bound: the host of the address that is listened on.
    :returns: the host that is bound.  If that stands for all addresses of this
        machine: those from which it sends to the outside, then those of its
        other networks; without a network its loopback addresses, or its name.
    """
    if bound not in _UNBOUND:
        return [bound]
    found: list[str] = []
    for address in [*_outward(), *_assigned()]:
        if address not in found and _isFor(bound, address):
            found.append(address)
    outside = [each for each in found if not ipaddress.ip_address(each).is_loopback]
    return outside or found or [socket.gethostname()]


def _isFor(bound: str, address: str) -> bool:
    """Tell whether an address reaches a port that is bound to all addresses."""
    parsed = ipaddress.ip_address(address)
    # A link-local address means nothing without the name that the partner's
    # machine has for the network between the two (RFC 4007, section 11).
    if parsed.is_unspecified or parsed.is_multicast or parsed.is_link_local:
        return False
    return parsed.version == 4 or bound != "0.0.0.0"


def _outward() -> Iterator[str]:
    """List the addresses from which this machine sends to the outside."""
    for family, elsewhere in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect(elsewhere)
                yield str(asking.getsockname()[0]).partition("%")[0]
        except OSError:
            continue  # there is no way to the outside by this family


def _assigned() -> Iterator[str]:
    """List the addresses of all network interfaces, IPv4 before IPv6."""
    # Loads a library of the system, which most runs do not need.
    import ifaddr

    addresses = [each.ip for adapter in ifaddr.get_adapters() for each in adapter.ips]
    yield from (each for each in addresses if isinstance(each, str))
    yield from (each[0] for each in addresses if not isinstance(each, str))


_CLIENTS = {
    "": (),
    "tcp": ("tcp",),
    "tcp6": ("tcp",),
    "ssl": ("tls",),
    "tls": ("tls",),
    "mtls": ("mtls",),
}
"""The client type for each server type; plain TCP has none."""


def invitation(
    socketCommand: object,
    address: IAddress,
    host: str | None,
    proof: Mapping[str, str] | None = None,
) -> str:
    """
    Write the description that reaches what a passive connector listens on.

    :param socketCommand: the socket command of the connector: a description, an
        endpoint object, or ``None`` for plain TCP.
    :param address: where it listens.
    :param host: the host that the partner is to dial; ``None`` for all that may reach
        this side, where :func:`namesAll`, or for this side's best guess.
    :param proof: keywords by which the partner proves itself and knows this
        side; they hold a secret.
    :returns: a description for the partner's side.
    :raises BadOption: if no description surely reaches it.
    """
    args, keywords = _dialling(socketCommand, address, host)
    if proof is None:
        proof = _ownPin(socketCommand)
    return Description(("transfer", "active", *args), {**keywords, **proof}).toString()


def _ownPin(socketCommand: object) -> Mapping[str, str]:
    """Give the keyword by which a partner knows this side without any authority."""
    if not isinstance(socketCommand, Description) or socketCommand.kind != "mtls":
        return {}
    path = socketCommand.keywords.get("certificate")
    return {} if path is None else {"pin": pinOf(loadCertificates(readFile(path))[0])}


_NEEDED = {
    "mtls": (
        "certificate=CERTIFICATE:privateKey=KEY",
        """\
(The partner puts the paths of its own certificate and private key in the places of
CERTIFICATE and KEY; this side has to accept that certificate.)""",
    ),
    "tls": (
        "trustRoots=FOLDER",
        """\
(The partner puts a folder with the authority of this side's certificate, in a .pem
file, in the place of FOLDER; leave trustRoots= out for a well-known authority.  host=
has to be a name or an address that the certificate is for.)""",
    ),
}


def partnersPart(socketCommand: object) -> tuple[str, str]:
    """
    Tell what the partner has to add to an invitation.

    :param socketCommand: as for :func:`invitation`.
    :returns: keywords with placeholders, and what these stand for; both are empty
        if the invitation is complete.
    """
    if not isinstance(socketCommand, Description) or makesInvitation(socketCommand):
        return "", ""
    return _NEEDED.get("".join(_CLIENTS.get(socketCommand.kind, ())), ("", ""))


def namesAll(socketCommand: object) -> bool:
    """
    Tell whether an invitation names all hosts by which this side may be reached.

    Only over ``mtls`` all can be tried: the first that answers may be another machine,
    which has that address in the partner's network.

    :param socketCommand: as for :func:`invitation`.
    """
    return (
        isinstance(socketCommand, Description)
        and socketCommand.kind == "mtls"
        and "endpoint" not in socketCommand.keywords
    )


def _dialling(
    socketCommand: object, address: IAddress, host: str | None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """
    Find the client description for a port.

    :returns: its positional arguments and its keywords; the former are empty
        for plain TCP without a type.
    """
    kind = ""
    if isinstance(socketCommand, Description):
        kind = socketCommand.kind
        if kind == "mtls" and "endpoint" in socketCommand.keywords:
            wrapped = Description.parse(socketCommand.keywords["endpoint"])
            below = Description(*_dialling(wrapped, address, host))
            return ("mtls",), {"endpoint": below.toString()}
        if kind == "relay" or "relay" in socketCommand.keywords:
            if host is not None:
                raise BadOption("host=: the partner dials the relay; leave it out")
            if kind == "relay":
                return ("relay",), dict(partnersWay(socketCommand).keywords)
            meeting = ("relay", "token")
            given = socketCommand.keywords
            return ("mtls",), {each: given[each] for each in meeting if each in given}
    elif socketCommand is not None:
        kind = type(socketCommand).__name__
    if kind == "unix" and isinstance(address, UNIXAddress):
        if host is not None:
            raise BadOption("host=: a UNIX socket is reached by its path alone")
        return ("unix",), {"path": _unixPath(address)}
    if kind not in _CLIENTS or not isinstance(address, (IPv4Address, IPv6Address)):
        raise BadOption(
            f"no client description surely reaches what {kind or 'this'} listens on, "
            f"{address}: tell the partner how to dial it"
        )
    if host is not None:
        for each in host.split(",") if namesAll(socketCommand) else [host]:
            _checkDialled(each)
    else:
        hosts = reachableHosts(hostText(address))
        host = ",".join(hosts) if namesAll(socketCommand) else hosts[0]
    return _CLIENTS[kind], {"host": host, "port": str(address.port)}


def _unixPath(address: UNIXAddress) -> str:
    """Give the path of a UNIX socket, if it has one."""
    name = address.name
    if name is None or name[:1] == b"\0":
        raise BadOption(f"the UNIX socket {address} has no path that could be told")
    return name.decode("utf-8", "surrogateescape")


def _checkDialled(host: str) -> None:
    """Refuse what is no host, or stands for all addresses of a machine."""
    try:
        hostName(host)
        address = ipaddress.ip_address(host)
    except UnfitError as unfit:
        raise BadOption(f"host={host!r}: {unfit}") from None
    except ValueError:
        return  # a name
    if address.is_unspecified:
        raise BadOption(f"host={host!r} is no host that a partner could dial")


@implementer(IStreamServerEndpoint)
class InvitingServerEndpoint:
    """
    Listen with a new identity and a new secret each time.

    The partner's key is derived from the secret, so this side knows in advance
    the one key that it will accept.
    """

    def __init__(
        self, reactor: Any, below: Callable[[Secret], IStreamServerEndpoint]
    ) -> None:
        """
        :param reactor: the clock of the handshakes.
        :param below: makes the endpoint that listens under TLS, by the secret.
        """
        self._reactor = reactor
        self._below = below
        self._pinAndSecret: tuple[str, Secret] | None = None

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Listen, with a new identity and a new secret.

        :param protocolFactory: makes the protocols of the connections.
        :returns: a Deferred with the port.
        """
        identity, secret = Identity.ephemeral(), Secret.fresh()
        self._pinAndSecret = identity.pin, secret
        policy = Policy(identity, frozenset({secret.identity().pin}))
        endpoint = wrapServerTLS(policy, self._below(secret), clock=self._reactor)
        return maybeDeferred(endpoint.listen, protocolFactory)

    def proof(self) -> Mapping[str, str]:
        """
        Give what the partner needs beside the address.

        :returns: keywords of an ``mtls`` client description, with a secret;
            none before :meth:`listen`.
        """
        if self._pinAndSecret is None:
            return {}
        pin, secret = self._pinAndSecret
        return {"pin": pin, "secret": secret.text}
