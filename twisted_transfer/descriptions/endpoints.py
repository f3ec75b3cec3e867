"""
Socket commands: from a description to an endpoint of Twisted.

What this library knows of Twisted's own types is checked here before Twisted
sees it, so that a mistake ends in one clear sentence.  Every other type belongs
to a plugin, and whatever that raises becomes such a sentence as well.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    clientFromString,
    serverFromString,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import getPlugins
from zope.interface import implementer

from twisted_transfer.descriptions.strings import Description, redact, refusal, shown
from twisted_transfer.descriptions.types import CLIENT_TYPES, SERVER_TYPES, EndpointType
from twisted_transfer.descriptions.values import UnfitError
from twisted_transfer.errors import BadDescription, BadOption, TransferError
from twisted_transfer.printable import printable

# Twisted looks these up as they are written when it listens; in all other
# cases upper and lower case mean the same.
_EXACT_WHEN_LISTENING = ("tcp", "ssl", "unix")


@dataclass(frozen=True)
class _Side:
    """What is special about one side."""

    verb: str
    types: Mapping[str, EndpointType]
    parser: type
    other: str

    def knownType(self, name: str) -> EndpointType | None:
        """Find a type of Twisted's own."""
        folded = name.lower()
        if folded in _EXACT_WHEN_LISTENING and self is _PASSIVE and name != folded:
            return None
        return self.types.get(folded)

    def pluginTypes(self) -> set[str]:
        """Give the types that plugins bring, in lower case."""
        prefixes = set()
        plugins: Iterable[Any] = getPlugins(self.parser)
        for plugin in plugins:
            prefix = plugin.prefix
            text = prefix.decode("utf-8") if isinstance(prefix, bytes) else prefix
            prefixes.add(text.lower())
        return prefixes


_ACTIVE = _Side(
    "dial", CLIENT_TYPES, IStreamClientEndpointStringParserWithReactor, "listen"
)
_PASSIVE = _Side("listen", SERVER_TYPES, IStreamServerEndpointStringParser, "dial")


def _checkType(description: Description, side: _Side) -> EndpointType | None:
    """Look the type up; ``None`` where it is a plugin's."""
    name = description.args[0]
    known = side.knownType(name)
    if known is not None:
        return known
    plugins = side.pluginTypes()
    if name.lower() in plugins:
        return None
    names = sorted(plugins | set(side.types))
    other = _PASSIVE if side is _ACTIVE else _ACTIVE
    where = f"the type {shown(name)} in {shown(description.toString())}"
    only = set(other.types) | other.pluginTypes()
    if name.lower() in only.difference(names):
        raise BadDescription(
            f"{where} can {side.other} but not {side.verb}; to {side.verb} there "
            f"are: {', '.join(names)}"
        )
    near = get_close_matches(name.lower(), names, n=1)
    guess = f" (did you mean '{near[0]}'?)" if near else ""
    raise BadDescription(
        f"{where}, with which a description begins, is not known{guess}; to "
        f"{side.verb} there are: {', '.join(names)}"
    )


def _check(description: Description, side: _Side) -> None:
    """Raise :class:`BadDescription` for all that can be known to be wrong."""
    known = _checkType(description, side)
    if known is None:
        return
    if description.args[0].lower() == "haproxy":
        _checkWrapped(description)
        return
    options: dict[str, str] = {}
    try:
        options = known.assign(description.args[1:], description.keywords)
        known.check(options)
    except UnfitError as unfit:
        value = None if unfit.option is None else options.get(unfit.option)
        raise refusal(description, unfit, value) from unfit
    if description.args[0].lower() == "tls" and "endpoint" in options:
        try:
            _check(Description.parse(options["endpoint"]), _ACTIVE)
        except BadDescription as error:
            raise BadDescription(
                f"endpoint in {shown(description.toString())}: {error}"
            ) from error


def _checkWrapped(description: Description) -> None:
    """
    Check what ``haproxy`` wraps.

    It writes the description of it anew from the arguments it was given, and
    leaves equals signs as they are, so that in some places they would now
    begin the value of a keyword.
    """
    where = shown(description.toString())
    if len(description.args) == 1:
        raise BadDescription(
            f"{where} does not say what is to be wrapped; write the description of "
            "a server behind it, as in 'haproxy:tcp:port=8000'"
        )
    for argument in (*description.args[1:], *description.keywords):
        if "=" in argument:
            raise BadDescription(
                f"{shown(argument)} in {where}: haproxy would take this for a keyword "
                "and its value; give it as the value of a keyword, as in "
                "'haproxy:unix:address=PATH'"
            )
    _check(Description(description.args[1:], description.keywords), _PASSIVE)


def _make(
    fromString: Callable[[object, str], object],
    reactor: object,
    description: Description,
) -> Any:
    """Let Twisted make the endpoint, and explain whatever it raises."""
    text = description.toString()
    try:
        return fromString(reactor, text)
    except TransferError:
        raise
    except Exception as error:
        failure = error
    # What a parser says may quote a secret, whole or in part, and so may its
    # traceback: then neither is shown.  This stands outside of the except
    # clause so that the error is not chained by itself.
    name = type(failure).__name__
    if redact(text) != text:
        detail = f"{name}; its text may hold a secret"
        raise BadDescription(_explain(description, failure, detail))
    detail = printable(f"{name}: {failure}")
    raise BadDescription(_explain(description, failure, detail)) from failure


def _explain(description: Description, failure: Exception, detail: str) -> str:
    """Say what an error of a parser is about, as far as that can be told."""
    where = shown(description.toString())
    kind = description.args[0].lower()
    for keyword in ("self", "reactor"):
        if keyword in description.keywords and isinstance(failure, TypeError):
            return (
                f"{keyword}= in {where}: no keyword can be called {keyword}, because "
                "Twisted hands an argument of that name to the endpoint itself; "
                f"leave it out ({detail})"
            )
    if kind == "tls" and isinstance(failure, UnicodeError):
        return (
            f"host in {where} cannot be the name of a host ({detail}); give a name "
            "that the DNS can hold, or an address"
        )
    if kind == "systemd":
        return (
            f"index or name in {where}: systemd handed no such socket to this "
            f"program, see systemd.socket(5) ({detail})"
        )
    return (
        f"the endpoint type {shown(description.args[0])} does not accept {where} "
        f"({detail}); see what is written about that type"
    )


def clientEndpoint(reactor: object, description: Description) -> IStreamClientEndpoint:
    """
    Make the endpoint through which an active side dials.

    :param reactor: the reactor that the endpoint uses.
    :param description: the client description.
    :returns: the endpoint; nothing has been dialled.
    :raises BadDescription: where the description cannot be dialled.
    """
    _check(description, _ACTIVE)
    endpoint: IStreamClientEndpoint = _make(clientFromString, reactor, description)
    return endpoint


def serverEndpoint(reactor: object, description: Description) -> IStreamServerEndpoint:
    """
    Make the endpoint with which a passive side listens.

    :param reactor: the reactor that the endpoint uses.
    :param description: the server description.
    :returns: the endpoint; it does not listen yet.
    :raises BadDescription: where nothing can listen with the description.
    """
    _check(description, _PASSIVE)
    endpoint: IStreamServerEndpoint = _make(serverFromString, reactor, description)
    return endpoint


def withAddress(
    description: Description, *, host: str | None, port: int | None
) -> Description:
    """
    Add the address of a connector to its socket command.

    :param description: the socket command.
    :param host: the host, or ``None`` where the connector was given none.
    :param port: the port, or ``None`` where the connector was given none.
    :returns: the description with ``host=`` and ``port=`` as keywords, where
        it does not say the same already.
    :raises BadOption: where it says something else, or where its type has no
        such option.
    """
    keywords = dict(description.keywords)
    wanted = {"host": host, "port": None if port is None else str(port)}
    there = _addressOf(description, host is not None)
    for option, value in wanted.items():
        if value is None:
            continue
        if option not in there:
            raise BadOption(
                f"{option}={printable(value)}: a socket command of the type "
                f"{shown(description.args[0])} has no such option; leave it out"
            )
        given = there[option]
        if given is None:
            keywords[option] = value
        elif not _same(given, value):
            raise BadOption(
                f"{option}={printable(value)}: the socket command "
                f"{shown(description.toString())} gives {shown(given)} already; "
                "give it in one place"
            )
    return Description(description.args, keywords)


def _same(given: str, wanted: str) -> bool:
    """Compare two hosts, or two ports however they are written."""
    if given.isdecimal() and wanted.isdecimal():
        return given.lstrip("0") == wanted.lstrip("0")
    return given == wanted


def _addressOf(description: Description, dialling: bool) -> dict[str, str | None]:
    """
    Find the host and port in a description of either side.

    :param description: the description.
    :param dialling: whether it is known to be that of an active side.
    :returns: what it gives for each of the two options that its type has.
    """
    name, *args = description.args
    folded = name.lower()
    keywords = description.keywords
    if folded == "haproxy" and args:
        return _addressOf(Description(tuple(args), keywords), dialling)
    if folded not in CLIENT_TYPES and folded not in SERVER_TYPES:
        return {option: keywords.get(option) for option in ("host", "port")}
    first = args[0] if args else ""
    # "tcp:4000" listens, "tcp:example.com" dials.
    dialling = dialling or bool(first and not first.isdecimal())
    types = (CLIENT_TYPES, SERVER_TYPES)
    dialled, listening = (each.get(folded) for each in types)
    known = (dialled or listening) if dialling else (listening or dialled)
    assert known is not None
    names = known.positionals
    if known.portAlone and len(args) == 1 and first.isdecimal():
        names = ("port",)
    options = {**dict(zip(names, args, strict=False)), **keywords}
    return {
        option: options.get(option)
        for option in ("host", "port")
        if option in known.options
    }


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
