"""
The endpoint types that Twisted brings, and their options.

Twisted itself has no such list: each parser is a function, and what does not
fit it ends in a ``TypeError`` or is silently ignored.  The lists here are those
of Twisted 26.4 to 26.10, :mod:`twisted.internet.endpoints`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from twisted_transfer.descriptions import pem, values
from twisted_transfer.descriptions.pem import clientIdentity, sslServerIdentity
from twisted_transfer.descriptions.strings import shown
from twisted_transfer.descriptions.transfer import OWN_KEYWORDS
from twisted_transfer.descriptions.values import Check, UnfitError, blaming

#: Looks at all options of a description, raises :class:`UnfitError`.
Together = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True)
class EndpointType:
    """
    The options of one endpoint type, on one side.

    :ivar options: each option, and what its value may be.
    :ivar positionals: the options that may be given by position, in order.
    :ivar required: the options that must be given.
    :ivar together: what else must hold.
    :ivar portAlone: whether the only positional argument is the port where the
        host is given as a keyword.
    """

    options: Mapping[str, Check]
    positionals: tuple[str, ...]
    required: tuple[str, ...] = ()
    together: Together | None = None
    portAlone: bool = False

    def assign(
        self, args: Sequence[str], keywords: Mapping[str, str]
    ) -> dict[str, str]:
        """
        Find out which option each argument is.

        :param args: the positional arguments, without the type.
        :param keywords: the keywords.
        :returns: the value of each option that is given.
        :raises UnfitError: where there are too many, unknown ones, or one twice.
        """
        names = self.positionals
        if self.portAlone and len(args) == 1 and "host" in keywords:
            names = ("port",)
        if not names and list(args) == [""]:
            args = ()  # "stdio:", as Twisted's documentation writes it
        if len(args) > len(names):
            raise UnfitError(
                f"{shown(args[len(names)])} is one argument too many; "
                f"without a name it takes {', '.join(names) or 'nothing'}"
            )
        options = dict(zip(names, args, strict=False))
        for name, value in keywords.items():
            if name not in self.options:
                raise UnfitError(self._unknown(name), name)
            if name in options:
                raise UnfitError(
                    f"{name} is given without its name too "
                    f"({shown(options[name])}); give it once",
                    name,
                )
            options[name] = value
        return options

    def check(self, options: Mapping[str, str]) -> None:
        """
        Check the values of the options.

        :param options: what :meth:`assign` returned.
        :raises UnfitError: where one is missing or has a value that it cannot have.
        """
        for name in self.required:
            if name not in options:
                raise UnfitError(f"{name} is missing; add :{name}={_EXAMPLES[name]}")
        for name, value in options.items():
            with blaming(name):
                self.options[name](value)
        if self.together is not None:
            self.together(options)

    def _unknown(self, name: str) -> str:
        """Say what an unknown option might have been."""
        if name in OWN_KEYWORDS:
            return "this is an option of a transfer: string, not of what it opens"
        candidates = [*self.options, *OWN_KEYWORDS]
        near = get_close_matches(name, candidates, n=1, cutoff=0.7)
        guess = f" (did you mean {near[0]}=?)" if near else ""
        known = ", ".join(self.options) or "none"
        return f"there is no such option{guess}; the options are: {known}"


_EXAMPLES = {
    "host": "NAME",
    "port": "NUMBER",
    "path": "PATH",
    "address": "PATH",
    "domain": "INET",
}


def systemdSocket(options: Mapping[str, str]) -> None:
    """
    Check that a socket of systemd is named in one way.

    :param options: the options of a ``systemd`` description.
    :raises UnfitError: unless it has either an index or a name.
    """
    if ("index" in options) == ("name" in options):
        raise UnfitError("give either index= or name=, to say which socket is meant")


_sslClientIdentity = clientIdentity("certKey")


def sslClient(options: Mapping[str, str]) -> None:
    """
    Check that an ``ssl`` client verifies its server, and its own identity.

    :param options: the options of an ``ssl`` client description.
    :raises UnfitError: where Twisted would take any server for the right one,
        or the identity is of no use.
    """
    _sslClientIdentity(options)
    if "hostname" not in options:
        raise UnfitError(
            "without hostname= this would not verify who the partner is; use "
            "tls:host=NAME:port=NUMBER, or add :hostname=NAME"
        )


_DIALLED: dict[str, Check] = {"host": values.hostName, "port": values.clientPort}
_DIALLING: dict[str, Check] = {
    "timeout": values.timeout,
    "bindAddress": values.hostName,
}
_LISTENING: dict[str, Check] = {
    "port": values.serverPort,
    "interface": values.interface,
    "backlog": values.backlog,
}

#: What an active side can dial through, by the type in lower case.
CLIENT_TYPES: Mapping[str, EndpointType] = {
    "tcp": EndpointType(
        {**_DIALLED, **_DIALLING}, ("host", "port"), ("host", "port"), portAlone=True
    ),
    "ssl": EndpointType(
        {
            **_DIALLED,
            **_DIALLING,
            "certKey": values.anything,
            "privateKey": values.anything,
            "caCertsDir": pem.checkTrustRoots,
            "hostname": values.hostName,
        },
        ("host", "port"),
        ("host", "port"),
        sslClient,
        portAlone=True,
    ),
    "tls": EndpointType(
        {
            **_DIALLED,
            **_DIALLING,
            "certificate": values.anything,
            "privateKey": values.anything,
            "trustRoots": pem.checkTrustRoots,
            "endpoint": values.anything,
        },
        (
            "host",
            "port",
            "timeout",
            "bindAddress",
            "certificate",
            "privateKey",
            "trustRoots",
            "endpoint",
        ),
        ("host", "port"),
        clientIdentity("certificate"),
    ),
    "unix": EndpointType(
        {
            "path": values.socketPath,
            "lockfile": values.lockfile,
            "timeout": values.timeout,
        },
        ("path",),
        ("path",),
    ),
}

#: What a passive side can listen with, by the type in lower case.  ``haproxy``
#: has no options of its own: all it is given belongs to what it wraps.
SERVER_TYPES: Mapping[str, EndpointType] = {
    "tcp": EndpointType(_LISTENING, ("port", "interface", "backlog"), ("port",)),
    "tcp6": EndpointType(_LISTENING, ("port", "backlog", "interface"), ("port",)),
    "ssl": EndpointType(
        {
            **_LISTENING,
            "privateKey": values.anything,
            "certKey": values.anything,
            "sslmethod": values.sslMethod,
            "extraCertChain": pem.checkChain,
            "dhParameters": pem.checkDHParameters,
        },
        (
            "port",
            "privateKey",
            "certKey",
            "sslmethod",
            "interface",
            "backlog",
            "extraCertChain",
            "dhParameters",
        ),
        ("port",),
        sslServerIdentity,
    ),
    "tls": EndpointType(
        {"path": pem.checkServerDirectory, **_LISTENING},
        ("path", "port", "backlog", "interface"),
        ("path",),
    ),
    "unix": EndpointType(
        {
            "address": values.socketPath,
            "mode": values.fileMode,
            "backlog": values.backlog,
            "lockfile": values.lockfile,
        },
        ("address", "mode", "backlog", "lockfile"),
        ("address",),
    ),
    "systemd": EndpointType(
        {
            "domain": values.addressFamily,
            "index": values.index,
            "name": values.anything,
        },
        ("domain", "index", "name"),
        ("domain",),
        systemdSocket,
    ),
    "stdio": EndpointType({}, ()),
    "haproxy": EndpointType({}, ()),
}
