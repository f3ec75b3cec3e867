"""
The strings of this library's own endpoint type, ``transfer:``.

Behind the mode stands the socket command, any other endpoint description, as
it is: ``transfer:passive:tls:/etc/pems:port=443:within=30``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted_transfer.descriptions import values
from twisted_transfer.descriptions.strings import (
    Description,
    Written,
    checkAddresses,
    refusal,
    shown,
)
from twisted_transfer.descriptions.values import UnfitError, blaming
from twisted_transfer.errors import BadDescription


def _yesOrNo(text: str) -> bool | str:
    """Read a yes or a no; any other text is left as it is, and refused later."""
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False}
    return {**words, "0": False}.get(text.lower(), text)


def _addresses(text: str) -> tuple[str, ...]:
    """Read a list of addresses."""
    return tuple(entry.strip() for entry in text.split(","))


# How the text of each own keyword is read.  That of the text settings is kept:
# it is judged where they are used.
_READERS: Mapping[str, Callable[[str], Any]] = {
    "within": values.decimal,
    "retryFor": values.decimal,
    "admit": _addresses,
    "again": _yesOrNo,
    "translation": str,
    "encoding": str,
    "eofChar": str,
    "acceptUnclosed": _yesOrNo,
    "idle": values.decimal,
}

OWN_KEYWORDS = tuple(_READERS)
"""The keywords that are taken out of a ``transfer:`` string, wherever they
stand; all others belong to the socket command."""


def _written(value: object) -> str:
    """Write the value of an own keyword, the reverse of the readers above."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(value)
    # 30 seconds are 30, not 30.0
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


_ONE_SIDED = {
    "retryFor": ("active", "only an active side tries again; leave it out"),
    "again": ("active", "only an active side dials again; leave it out"),
    "admit": ("passive", "only a passive side admits; leave it out"),
}

_CHECKS: dict[str, Callable[[Any], object]] = {
    "host": values.hostName,
    "within": values.seconds,
    "retryFor": partial(values.seconds, zero=True),
    "idle": values.seconds,
}


def checkOptions(
    mode: str, socketCommand: object, options: Mapping[str, object]
) -> None:
    """
    Check the options of a transfer, but for the entries of ``admit``.

    :param mode: ``"active"`` or ``"passive"``.
    :param socketCommand: ``None`` for plain TCP.
    :param options: the values of ``host``, ``port`` and the own keywords, of any
        type; ``None`` for one that is not given.
    :raises UnfitError: if one is invalid, or is not for this mode.
    """
    for option, (only, reason) in _ONE_SIDED.items():
        value = options.get(option)
        if mode != only and value is not None and value is not False:
            raise UnfitError(reason, option)
    for option, check in _CHECKS.items():
        value = options.get(option)
        if value is not None:
            with blaming(option):
                check(value)
    if options.get("port") is not None:
        with blaming("port"):
            values.port(options["port"], lowest=1 if mode == "active" else 0)
    elif mode == "active" and socketCommand is None:
        raise UnfitError("to dial, a port is needed; add port=NUMBER", "port")


@dataclass(frozen=True, repr=False)
class TransferDescription(Written):
    """
    What a ``transfer:`` string says.

    :ivar mode: ``"active"`` or ``"passive"``.
    :ivar socketCommand: how the socket is opened, or ``None`` for plain TCP
        without a type, ``transfer:active:host=h:port=4000``.
    :ivar host: the host to dial, only without a socket command and active;
        ``None`` if none is given.
    :ivar port: the port, only without a socket command; passive, 0 lets the
        system choose and is the default.
    :ivar within: seconds for the whole set-up, or ``None`` for no bound.
    :ivar retryFor: seconds for which an active side keeps trying, or ``None``.
    :ivar admit: addresses and networks from which a passive side takes its
        partner, or ``None`` for everywhere.
    :ivar again: whether an active side dials again after the end.
    :ivar translation: newlines, as it was written, or ``None``.
    :ivar encoding: the encoding, as it was written, or ``None``.
    :ivar eofChar: the end-of-file character, as it was written, or ``None``.
    :ivar acceptUnclosed: whether the end of a TLS connection is orderly also without
        a ``close_notify``.
    :ivar idle: seconds after which a connection on which nothing moves is aborted, or
        ``None``.
    :raises BadDescription: if one of these is invalid, or two contradict each
        other.
    """

    mode: str
    socketCommand: Description | None = None
    host: str | None = None
    port: int | None = None
    within: float | None = None
    retryFor: float | None = None
    admit: tuple[str, ...] | None = None
    again: bool = False
    translation: str | None = None
    encoding: str | None = None
    eofChar: str | None = None
    acceptUnclosed: bool = False
    idle: float | None = None

    def __post_init__(self) -> None:
        if self.mode == "passive" and self.socketCommand is None and self.port is None:
            object.__setattr__(self, "port", 0)
        try:
            self._check()
        except UnfitError as unfit:
            raise refusal(self._asDescription(), unfit) from None

    def _check(self) -> None:
        """Raise :class:`UnfitError` for an invalid field or a contradiction."""
        if self.mode not in ("active", "passive"):
            raise UnfitError(
                "the mode stands first: transfer:active:... dials, "
                "transfer:passive:... listens"
            )
        if self.socketCommand is not None and self.socketCommand.kind == "transfer":
            raise UnfitError(
                "a transfer cannot be opened through another transfer; after the "
                "mode stands the type of a socket, such as tcp or tls"
            )
        if self.mode == "passive" and self.host is not None:
            raise UnfitError(
                "a passive side dials no host; to listen on one address write "
                "transfer:passive:tcp:port=NUMBER:interface=ADDRESS",
                "host",
            )
        checkOptions(self.mode, self.socketCommand, vars(self))
        for option in ("again", "acceptUnclosed"):
            if not isinstance(getattr(self, option), bool):
                raise UnfitError("this is yes or no", option)
        if self.admit is not None:
            values.networks(self.admit)

    @classmethod
    def parse(cls, text: str) -> TransferDescription:
        """
        Read a ``transfer:`` string.

        :param text: such as ``transfer:passive:tls:/etc/pems:port=443:within=30``.
        :returns: what it says.
        :raises BadDescription: if it is invalid.
        :raises TypeError: if it is not a ``str``.
        """
        return cls.of(Description.parse(text))

    @classmethod
    def of(cls, description: Description) -> TransferDescription:
        """
        Read a description whose type is ``transfer``.

        :param description: the description.
        :returns: what it says.
        :raises BadDescription: if it is invalid, or of another type.
        """
        if description.kind != "transfer":
            raise BadDescription(
                f"{shown(description.toString())} does not begin with 'transfer:'; "
                "write transfer:active:... to dial or transfer:passive:... to listen"
            )
        checkAddresses(description)
        mode, *command = description.args[1:] or ("",)
        readers = _READERS
        if not command:
            readers = {**_READERS, "host": str, "port": values.whole}
        rest = dict(description.keywords)
        given = {
            name: readers[name](rest.pop(name)) for name in readers if name in rest
        }
        if command:
            given["socketCommand"] = Description(tuple(command), rest)
        elif rest:
            unknown = UnfitError(
                "without a type behind the mode there is only host=, port= and "
                f"{'=, '.join(OWN_KEYWORDS)}=",
                next(iter(rest)),
            )
            raise refusal(description, unknown)
        return cls(mode, **given)

    def _asDescription(self) -> Description:
        """Give the plain description of this."""
        command = self.socketCommand
        keywords = {} if command is None else dict(command.keywords)
        for option in ("host", "port", *OWN_KEYWORDS):
            value = getattr(self, option)
            if value is not None and value is not False:
                keywords[option] = _written(value)
        args = () if command is None else command.args
        return Description(("transfer", self.mode, *args), keywords)

    def toString(self) -> str:
        """
        Write the string, with its secrets.

        :returns: a string that :meth:`parse` reads back as this.
        """
        return self._asDescription().toString()
