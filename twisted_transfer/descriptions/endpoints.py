"""
Socket commands: from a description to an endpoint of Twisted.

Whatever an endpoint type raises becomes one sentence for a person.  Of Twisted's
own types only those values are checked before that Twisted would take silently
or find out about too late.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

from OpenSSL import SSL
from twisted.internet import endpoints, interfaces, ssl
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import CannotListenError, ConnectBindError
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.plugin import getPlugins
from twisted.python.compat import nativeString
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from twisted.python.reflect import namedAny
from zope.interface import implementer

from twisted_transfer.channel.proxied import ProxiedServerEndpoint
from twisted_transfer.descriptions import inherited, pem, values
from twisted_transfer.descriptions.strings import (
    Description,
    checkAddresses,
    redact,
    refusal,
    shown,
)
from twisted_transfer.descriptions.transfer import OWN_KEYWORDS
from twisted_transfer.descriptions.values import UnfitError, blaming
from twisted_transfer.errors import BadDescription, BadOption, TransferError
from twisted_transfer.printable import printable
from twisted_transfer.tls.policy import Policy


class Options(NamedTuple):
    """
    The names of the options of one endpoint type, on one side.

    :ivar positional: those that may be given by position, in order.
    :ivar others: those that are given as keywords only.
    """

    positional: tuple[str, ...]
    others: tuple[str, ...] = ()

    @classmethod
    def named(cls, positional: str, others: str = "") -> Options:
        """Make one from names with spaces between them."""
        return cls(tuple(positional.split()), tuple(others.split()))


# As in twisted.internet.endpoints.  What is not listed here is left to Twisted.
_CLIENTS = {
    "tcp": Options.named("host port", "timeout bindAddress"),
    "ssl": Options.named(
        "host port", "timeout bindAddress certKey privateKey caCertsDir hostname"
    ),
    "tls": Options.named(
        "host port timeout bindAddress certificate privateKey trustRoots endpoint"
    ),
    "unix": Options.named("path", "lockfile timeout"),
}
_SERVERS = {
    "tcp": Options.named("port interface backlog"),
    "tcp6": Options.named("port backlog interface"),
    "ssl": Options.named(
        "port privateKey certKey sslmethod interface backlog extraCertChain "
        "dhParameters"
    ),
    "tls": Options.named("path port backlog interface"),
    "unix": Options.named("address mode backlog lockfile"),
    "systemd": Options.named("domain index name"),
}


class _Side(NamedTuple):
    """What differs between dialling and listening."""

    verb: str
    types: Mapping[str, Options]
    interface: type
    parserName: str
    fromString: Callable[[Any, str], Any]
    mutualTLS: str

    def plugins(self) -> dict[str, Callable[..., Any]]:
        """Find the parsers of the types that are plugins, by their names."""
        found: dict[str, Callable[..., Any]] = {}
        plugins: Iterable[Any] = getPlugins(self.interface)
        for plugin in plugins:
            name = nativeString(plugin.prefix).lower()
            found.setdefault(name, getattr(plugin, self.parserName))
        return found


_ACTIVE = _Side(
    "dial",
    _CLIENTS,
    interfaces.IStreamClientEndpointStringParserWithReactor,
    "parseStreamClient",
    endpoints.clientFromString,
    "twisted_transfer.descriptions.mtls.clientEndpoint",
)
_PASSIVE = _Side(
    "listen",
    _SERVERS,
    interfaces.IStreamServerEndpointStringParser,
    "parseStreamServer",
    endpoints.serverFromString,
    "twisted_transfer.descriptions.mtls.serverEndpoint",
)

# The types that are no plugins: Twisted makes them of text only.
_BUILT_IN = ("tcp", "ssl", "unix")


# The options.


def assigned(description: Description, names: Options) -> dict[str, str]:
    """
    Find out which option each argument is.

    :param description: the description.
    :param names: the options of its type.
    :returns: the value of each option that is given.
    :raises UnfitError: if there is one argument too many, or one is given twice.
    """
    args, positional = description.args[1:], names.positional
    if len(args) == 1 and "host" in description.keywords:
        # Twisted reads "tcp:host=h:80" so; its "tls" does not.
        positional = ("port",) if positional == ("host", "port") else positional
    if len(args) > len(positional):
        raise UnfitError(
            f"{shown(args[len(positional)])} is one argument too many; "
            f"without a name it takes {', '.join(names.positional)}"
        )
    options = dict(zip(positional, args, strict=False))
    for name, value in description.keywords.items():
        if name in options:
            raise UnfitError(
                f"{name} is given without its name too ({shown(options[name])}); "
                "give it once",
                name,
            )
        options[name] = value
    return options


def noSuchOption(name: str, names: Options | None) -> UnfitError:
    """
    Make the error for an unknown option.

    :param name: the option.
    :param names: those that its type has; ``None`` for a type of a plugin.
    :returns: the error.
    """
    if name in OWN_KEYWORDS:
        reason = "this is an option of a transfer: string, not of what it opens"
        return UnfitError(reason, name)
    reason = "there is no such option"
    if names is not None:
        reason += f"; the options are: {', '.join((*names.positional, *names.others))}"
    return UnfitError(reason, name)


def checkNames(
    options: Mapping[str, str], names: Options, needed: Iterable[str]
) -> None:
    """
    Require that there are no other options, and all that are needed.

    :param options: the options that are given.
    :param names: those that the type has.
    :param needed: those that have to be given.
    :raises UnfitError: if there is another one, or one is missing.
    """
    for name in options:
        if name not in (*names.positional, *names.others):
            raise noSuchOption(name, names)
    for name in needed:
        if name not in options:
            raise UnfitError(f"{name} is missing; add :{name}=VALUE")


_LONGEST_PATH = 107
"""Bytes of the path of a UNIX socket, without the NUL at its end (unix(7))."""


def _path(value: str) -> None:
    """Check the path of a UNIX socket; on Linux a NUL begins an abstract name."""
    if not value or "\0" in value[1:]:
        raise UnfitError("give a path, which is not empty and has no NUL character")
    try:
        path = os.fsencode(value)
    except UnicodeEncodeError:
        raise UnfitError("this cannot be a path: it has half a character") from None
    if len(path) > _LONGEST_PATH + value.startswith("\0"):
        raise UnfitError(
            f"the path of a UNIX socket has at most {_LONGEST_PATH} bytes; give a "
            "shorter one, such as one relative to the folder that this runs in"
        )


def _mode(value: str) -> None:
    """Check the permissions of a UNIX socket: Twisted sets all bits for -1."""
    if re.fullmatch("(0o)?[0-7]{1,4}", value) is None:
        raise UnfitError("a mode is an octal number such as 660")


def _whole(lowest: int, subject: str) -> Callable[[str], object]:
    """Make the check of a whole number."""
    return lambda text: values.number(values.whole(text), lowest, 2**31 - 1, subject)


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "host": values.hostName,
    "hostname": values.hostName,
    "bindAddress": values.hostName,
    "interface": lambda text: values.hostName(text or "0.0.0.0"),
    "timeout": _whole(1, "a timeout is a whole number of seconds"),
    "backlog": _whole(0, "a backlog is a number"),
    "index": _whole(0, "an index is a number"),
    "mode": _mode,
    "path": _path,
    "address": _path,
}


def _checkFamily(kind: str, options: Mapping[str, str]) -> None:
    """Refuse to dial from an address of another family; Python has a TypeError."""
    host, bind = options.get("host", ""), options.get("bindAddress", "")
    # Twisted's tcp looks a name up for IPv4 only.
    known = values.isAddress(host) or (kind == "tcp" and host)
    if known and values.isAddress(bind) and (":" in host) != (":" in bind):
        raise UnfitError(
            "this address is of another family than the host; give one of the same, "
            "or leave it out",
            "bindAddress",
        )


@contextmanager
def optionsOf(description: Description, names: Options) -> Iterator[dict[str, str]]:
    """
    Check the options whose values Twisted would not refuse in time.

    Each :class:`UnfitError` that is raised within becomes a :class:`BadDescription`.

    :param description: a description.
    :param names: the options of its type.
    :returns: the value of each option that is given.
    :raises BadDescription: if an argument is no option, or a value is invalid.
    """
    options: dict[str, str] = {}
    # A type that has a host dials; 0 is a port to listen on only.
    lowestPort = 1 if "host" in names.positional else 0
    try:
        options.update(assigned(description, names))
        for name, text in options.items():
            with blaming(name):
                if name == "port":
                    values.port(values.whole(text), lowest=lowestPort)
                elif name in _CHECKS:
                    _CHECKS[name](text)
        _checkFamily(description.kind, options)
        yield options
    except UnfitError as unfit:
        raise refusal(description, unfit, options.get(unfit.option or "")) from None


def _sslServer(reactor: Any, options: dict[str, str]) -> IStreamServerEndpoint:
    """
    Make the server endpoint of Twisted's ``ssl``, of PEM files that are read here.

    Twisted reads them in another way each, none of them with a byte order mark, and
    asks for passphrases on the terminal.

    :raises UnfitError: if a file is of no use, or an option is missing.
    """
    checkNames(options, _SERVERS["ssl"], ("port",))
    # As Twisted does where they are not given.
    options.setdefault("privateKey", "server.pem")
    options.setdefault("certKey", options["privateKey"])
    given: dict[str, Any] = {}
    if "dhParameters" in options:
        with blaming("dhParameters"):
            path = options["dhParameters"]
            pem.checkDHParameters(path)
            given["dhParameters"] = ssl.DiffieHellmanParameters.fromFile(FilePath(path))
    if "extraCertChain" in options:
        with blaming("extraCertChain"):
            chain = pem.loadCertificates(pem.readFile(options["extraCertChain"]))
            given["extraCertChain"] = chain
    if "sslmethod" in options:
        with blaming("sslmethod"):
            given["method"] = _sslMethod(options["sslmethod"])
    identity = pem.loadIdentity(options, "certKey")
    assert identity is not None
    context = pem.serverOptions(identity.certificate, identity.privateKey, **given)
    endpoint: IStreamServerEndpoint = endpoints.SSL4ServerEndpoint(
        reactor,
        int(options["port"]),
        context,
        int(options.get("backlog", "50")),
        options.get("interface", ""),
    )
    return endpoint


def _tlsServer(reactor: Any, options: dict[str, str]) -> IStreamServerEndpoint:
    """
    Make the server endpoint of Twisted's ``tls``, of PEM files that are read here.

    Twisted's own TLS contexts would end the handshake of a client that offers
    application protocols where none is named.

    :raises UnfitError: if a file is of no use, or an option is missing.
    """
    checkNames(options, _SERVERS["tls"], ("path",))
    with blaming("path"):
        served = pem.loadServed(options["path"])
    below = endpoints.TCP6ServerEndpoint(
        reactor,
        int(options.get("port", "443")),
        int(options.get("backlog", "50")),
        options.get("interface", "::"),
    )
    return endpoints.wrapServerTLS(served, below, clock=reactor)


def _sslMethod(name: str) -> int:
    """Find a method of OpenSSL's by pyOpenSSL's name for it."""
    names = [each for each in vars(SSL) if each.endswith("_METHOD")]
    if name not in names:
        raise UnfitError(f"a method is one of {', '.join(sorted(names))}")
    method: int = vars(SSL)[name]
    return method


# The endpoints.


def _make(reactor: Any, description: Description, side: _Side) -> Any:
    """Make the endpoint of a description for one side, or fail in any way."""
    kind, args = description.kind, description.args[1:]
    keywords = description.keywords
    if kind == "haproxy" and side is _PASSIVE:
        # Twisted would write the description anew, and get equals signs wrong.
        below = _endpoint(reactor, Description(args, keywords), side)
        return ProxiedServerEndpoint(below)
    if kind in side.types:
        with optionsOf(description, side.types[kind]) as options:
            if kind == "systemd":
                checkNames(options, side.types[kind], ("domain",))
                parser = side.plugins()[kind]
                return inherited.adopting(parser, reactor, options)
            if kind in ("ssl", "tls"):
                if side is _ACTIVE:
                    return _tlsClient(reactor, kind, options)
                make = _sslServer if kind == "ssl" else _tlsServer
                return make(reactor, options)
    if kind == "mtls":
        # As by its plugin, which Twisted would look for on the disk each time.
        return namedAny(side.mutualTLS)(reactor, description)
    if kind in _BUILT_IN:
        text = Description((kind, *args), keywords).toString()
        return side.fromString(reactor, text)
    plugins = side.plugins()
    if kind not in plugins:
        raise _unknownType(description, side, [*plugins, *_BUILT_IN])
    return plugins[kind](reactor, *args, **keywords)


def _tlsClient(
    reactor: Any, kind: str, options: Mapping[str, str]
) -> IStreamClientEndpoint:
    """
    Make the client endpoint of Twisted's TLS types, with checks of our own.

    Where the check of a name raises what Twisted does not expect, as for a certificate
    without any name, Twisted logs that and accepts the certificate.

    :raises UnfitError: if the options would accept any server, or a file is of no use.
    """
    checkNames(options, _CLIENTS[kind], ("host", "port"))
    certificate, roots = "certificate", "trustRoots"
    if kind == "ssl":
        certificate, roots = "certKey", "caCertsDir"
        if "hostname" not in options:
            raise UnfitError(
                "without hostname= this would not verify who the partner is; use "
                "tls:host=NAME:port=NUMBER, or add :hostname=NAME"
            )
    authorities = None
    if roots in options:
        with blaming(roots):
            authorities = tuple(pem.loadAuthorities(options[roots], ".pem"))
    identity = pem.loadIdentity(options, certificate)
    policy = Policy(identity, trustRoots=authorities, host=serverOf(options))
    return endpoints.wrapClientTLS(policy, clientBelow(reactor, options), clock=reactor)


def serverOf(options: Mapping[str, str]) -> str:
    """
    :param options: the options of a TLS client, which are valid.
    :returns: the host that the server's certificate has to be for: without a zone,
        which is this machine's.
    """
    name = "hostname" if "hostname" in options else "host"
    return options[name].partition("%")[0]


def clientBelow(reactor: Any, options: Mapping[str, str]) -> IStreamClientEndpoint:
    """
    Make the endpoint that dials under TLS.

    :param reactor: the reactor that the endpoint uses.
    :param options: the options of a TLS client, which are valid.
    :returns: the endpoint that ``endpoint=`` describes, or one for the host.
    """
    if "endpoint" in options:
        return clientEndpoint(reactor, Description.parse(options["endpoint"]))
    timeout = int(options.get("timeout", "30"))
    host, port = options["host"], int(options["port"])
    return plainClientEndpoint(reactor, host, port, timeout, options.get("bindAddress"))


def _endpoint(reactor: Any, description: Description, side: _Side) -> Any:
    """Make the endpoint of a description for one side, or say what is wrong."""
    checkAddresses(description)
    try:
        return _make(reactor, description, side)
    except TransferError:
        raise
    except Exception as error:
        failure = error
    # What a parser says may quote a secret, and so may its traceback.  This
    # stands outside of the except clause so that the error is not chained.
    if redact(description.toString()) != description.toString():
        raise _explained(description, side, failure, "its text may hold a secret")
    raise _explained(description, side, failure, str(failure)) from failure


def _unknownType(
    description: Description, side: _Side, names: list[str]
) -> BadDescription:
    """Make the error for a type that is unknown, or known to the other side only."""
    other = _PASSIVE if side is _ACTIVE else _ACTIVE
    near = get_close_matches(description.kind, sorted(names), n=1)
    guess = f" (did you mean '{near[0]}'?)" if near else ""
    problem = f", with which a description begins, is not known{guess}"
    if description.kind in other.plugins():
        problem = f" can {other.verb} but not {side.verb}"
    return BadDescription(
        f"the type {shown(description.args[0])} in {shown(description.toString())}"
        f"{problem}; to {side.verb} there are: {', '.join(sorted(names))}"
    )


# What Python says of arguments that a parser does not take.
_UNEXPECTED = re.compile(
    r"(?:unexpected keyword argument |multiple values for argument "
    r"|unrecognized keyword arguments present', \[)'(\w+)'"
)
_MISSING = re.compile(r"missing \d+ required [\w-]+ arguments?: '(\w+)'")


def _explained(
    description: Description, side: _Side, failure: Exception, said: str
) -> BadDescription:
    """
    Put the error of an endpoint type into words.

    :param description: the description that the type does not accept.
    :param side: the side that it is for.
    :param failure: what the parser of the type raised.
    :param said: what of its text may be shown.
    """
    if isinstance(failure, TypeError):
        unexpected = _UNEXPECTED.search(str(failure))
        if unexpected and unexpected[1] in description.keywords:
            names = side.types.get(description.kind)
            return refusal(description, noSuchOption(unexpected[1], names))
        missing = _MISSING.search(said)
        if missing:
            reason = f"{missing[1]} is missing; add :{missing[1]}=VALUE"
            return refusal(description, UnfitError(reason))
    return BadDescription(
        f"the endpoint type {shown(description.args[0])} does not accept "
        f"{shown(description.toString())} ({type(failure).__name__}: "
        f"{printable(said)}); see what is written about that type"
    )


def clientEndpoint(reactor: object, description: Description) -> IStreamClientEndpoint:
    """
    Make the endpoint through which an active side dials.

    :param reactor: the reactor that the endpoint uses.
    :param description: the client description.
    :returns: the endpoint; nothing has been dialled.
    :raises BadDescription: if the description is invalid.
    """
    endpoint: IStreamClientEndpoint = _endpoint(reactor, description, _ACTIVE)
    return endpoint


def serverEndpoint(reactor: object, description: Description) -> IStreamServerEndpoint:
    """
    Make the endpoint with which a passive side listens.

    :param reactor: the reactor that the endpoint uses.
    :param description: the server description.
    :returns: the endpoint; it does not listen yet.
    :raises BadDescription: if the description is invalid.
    """
    endpoint: IStreamServerEndpoint = _endpoint(reactor, description, _PASSIVE)
    return endpoint


# The address of a connector.


def withAddress(
    description: Description, *, host: str | None, port: int | None
) -> Description:
    """
    Add the address of a connector to its socket command.

    :param description: the socket command.
    :param host: the host, or ``None`` if the connector was given none.
    :param port: the port, or ``None`` if the connector was given none.
    :returns: the description with ``host=`` and ``port=`` as keywords.
    :raises BadOption: if one of these has another value already.
    """
    keywords = dict(description.keywords)
    for option, value in (("host", host), ("port", port)):
        if value is None:
            continue
        given = keywords.setdefault(option, str(value))
        if value not in (given, values.whole(given)):
            raise BadOption(
                f"{option}={printable(str(value))}: the socket command "
                f"{shown(description.toString())} gives {shown(given)} already; "
                "give it in one place"
            )
    return Description(description.args, keywords)


BACKLOG = 512
"""How many connections the system keeps until they are accepted, by default.
Twisted's own 50 are full in a moment in a flood; then Linux drops the partner's
first segment, too, which comes again only a second later."""

_WITHOUT_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


@cache
def _fresh() -> bool:
    with socket.socket(socket.AF_INET6) as fresh:
        return bool(fresh.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


def _onlyIPv6() -> bool:
    """
    Tell whether a new IPv6 socket is for IPv6 alone, as the system has it set when
    this is asked first: a socket takes as long as all else.
    """
    with suppress(OSError):
        return _fresh()
    return False


@implementer(IStreamServerEndpoint)
class DualStackServerEndpoint:
    """
    Listen on IPv6 and IPv4 at once if the system has IPv6, else on IPv4.

    One port serves both, also where ``net.ipv6.bindv6only`` is set.
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

    def listen(self, protocolFactory: interfaces.IProtocolFactory) -> Deferred[Any]:
        """
        Listen.

        :param protocolFactory: makes the protocols of the connections.
        :returns: a Deferred with the port, or a ``CannotListenError``.
        """
        if _onlyIPv6():
            return execute(self._listenForBoth, protocolFactory)
        six = endpoints.TCP6ServerEndpoint(self._reactor, self._port, self._backlog)
        listening: Deferred[Any] = six.listen(protocolFactory)
        return listening.addErrback(self._withoutIPv6, protocolFactory)

    def _withoutIPv6(
        self, failure: Failure, protocolFactory: interfaces.IProtocolFactory
    ) -> Any:
        """Listen on IPv4 if there is no IPv6."""
        failure.trap(CannotListenError)
        error: Any = failure.value
        if getattr(error.socketError, "errno", None) not in _WITHOUT_IPV6:
            return failure
        four = endpoints.TCP4ServerEndpoint(self._reactor, self._port, self._backlog)
        return four.listen(protocolFactory)

    def _listenForBoth(self, protocolFactory: interfaces.IProtocolFactory) -> Any:
        """Listen on a socket that Twisted does not make: it takes the setting."""
        six = socket.AF_INET6
        try:
            with socket.create_server(
                ("::", self._port),
                family=six,
                backlog=self._backlog,
                dualstack_ipv6=True,
            ) as both:
                both.setblocking(False)
                return self._reactor.adoptStreamPort(
                    both.fileno(), six, protocolFactory
                )
        except OSError as error:
            raise CannotListenError("::", self._port, error) from error


def plainClientEndpoint(
    reactor: Any,
    host: str,
    port: int,
    timeout: int = 30,
    bindAddress: str | None = None,
) -> IStreamClientEndpoint:
    """
    Make an endpoint that dials plain TCP.

    :param reactor: the reactor that the endpoint uses.
    :param host: a name or an address of either family, valid.
    :param port: the port number there.
    :param timeout: seconds for each address.
    :param bindAddress: the address from which to dial; ``None``: the system's choice.
    :returns: an endpoint that tries a name's addresses side by side (RFC 8305), or
        the address, with its zone, without asking a resolver.
    """
    bind = None if bindAddress is None else (bindAddress, 0)
    kind: Any = _NameEndpoint
    if isIPAddress(host):
        kind = endpoints.TCP4ClientEndpoint
    elif isIPv6Address(host):
        kind = endpoints.TCP6ClientEndpoint
    endpoint: IStreamClientEndpoint = kind(reactor, host, port, timeout, bind)
    return endpoint


@implementer(IStreamClientEndpoint)
class _NameEndpoint:
    """
    Dial a host by its name.

    ``HostnameEndpoint`` takes only what :rfc:`5891` allows as a name; hosts have
    others too, such as those with an underscore.  Those are dialled over IPv4, as by
    Twisted's ``tcp``.
    """

    def __init__(self, *arguments: Any) -> None:
        """
        :param arguments: those of ``HostnameEndpoint``.
        """
        self._arguments = arguments

    def connect(self, protocolFactory: interfaces.IProtocolFactory) -> Deferred[Any]:
        """
        Connect.

        :param protocolFactory: makes the protocol of the connection.
        :returns: a Deferred with the protocol.
        """
        endpoint: Any = endpoints.HostnameEndpoint(*self._arguments)
        connecting: Deferred[Any] = endpoint.connect(protocolFactory)
        if not connecting.called:
            return connecting.addErrback(_boundElsewhere)

        def dialIPv4(failure: Failure) -> Any:
            failure.trap(ValueError)  # "invalid hostname"
            endpoint = endpoints.TCP4ClientEndpoint(*self._arguments)
            return endpoint.connect(protocolFactory)

        return connecting.addErrback(dialIPv4).addErrback(_boundElsewhere)


def _boundElsewhere(failure: Failure) -> None:
    """Say what Python's words for it do not: one cannot dial IPv4 from IPv6."""
    failure.trap(TypeError)
    raise ConnectBindError(
        string="bindAddress= is an IPv6 address, and the host has an IPv4 address"
    )
