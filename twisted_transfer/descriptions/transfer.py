"""
The strings of this library's own endpoint type, ``transfer:``.

Behind the mode stands the socket command, any other endpoint description, as
it is: ``transfer:passive:tls:/etc/pems:port=443:within=30``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from twisted_transfer.descriptions.strings import Description, refusal, shown
from twisted_transfer.descriptions.values import (
    UnfitError,
    addressOrNetwork,
    blaming,
    clientPort,
    hostName,
    serverPort,
)
from twisted_transfer.errors import BadDescription

#: The keywords that are taken out of a ``transfer:`` string, wherever they
#: stand; all others belong to the socket command.
OWN_KEYWORDS = (
    "within",
    "retryFor",
    "admit",
    "again",
    "translation",
    "encoding",
    "eofChar",
)

# Kept as they were written: the text settings are judged where they are used.
_RAW = ("translation", "encoding", "eofChar")

_T = TypeVar("_T")


def _seconds(text: str) -> float:
    """Read a number of seconds."""
    try:
        return float(text)
    except ValueError:
        raise UnfitError("this is a number of seconds, such as 30 or 2.5") from None


def _portReader(active: bool) -> Callable[[str], int]:
    """Give the reader of a port of either side."""

    def read(text: str) -> int:
        (clientPort if active else serverPort)(text)
        return int(text)

    return read


def _yesOrNo(text: str) -> bool:
    """Read a yes or a no."""
    if text.lower() not in ("yes", "true", "1", "no", "false", "0"):
        raise UnfitError("this is yes or no")
    return text.lower() in ("yes", "true", "1")


def _addresses(text: str) -> tuple[str, ...]:
    """Read a list of addresses."""
    return tuple(entry.strip() for entry in text.split(","))


def _written(value: object) -> str:
    """Write the value of an own keyword, the reverse of the readers above."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(value)
    # 30 seconds are 30, not 30.0
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _take(
    keywords: dict[str, str], option: str, read: Callable[[str], _T]
) -> _T | None:
    """Take an option out of the keywords, read; ``None`` where it is not given."""
    value = keywords.pop(option, None)
    if value is None:
        return None
    with blaming(option):
        return read(value)


@dataclass(frozen=True, repr=False)
class TransferDescription:
    """
    What a ``transfer:`` string says.

    :ivar mode: ``"active"`` or ``"passive"``.
    :ivar socketCommand: how the socket is opened, or ``None`` for plain TCP
        without a type, ``transfer:active:host=h:port=4000``.
    :ivar host: the host to dial, only without a socket command and active;
        ``None`` where none is given.
    :ivar port: the port, only without a socket command; passive, 0 lets the
        system choose and is what stands for none.
    :ivar within: seconds for the whole set-up, or ``None`` for no bound.
    :ivar retryFor: seconds for which an active side keeps trying, or ``None``.
    :ivar admit: addresses and networks from which a passive side takes its
        partner, or ``None`` for everywhere.
    :ivar again: whether an active side dials again after the end.
    :ivar translation: newlines, as it was written, or ``None``.
    :ivar encoding: the encoding, as it was written, or ``None``.
    :ivar eofChar: the end-of-file character, as it was written, or ``None``.
    :raises BadDescription: where these contradict each other.
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

    def __post_init__(self) -> None:
        if self.mode == "passive" and self.socketCommand is None and self.port is None:
            object.__setattr__(self, "port", 0)
        try:
            self._check()
        except UnfitError as unfit:
            raise refusal(self._asDescription(), unfit) from None

    def _check(self) -> None:
        """Raise :class:`UnfitError` where the fields do not fit together."""
        active = self.mode == "active"
        if not active and self.mode != "passive":
            raise UnfitError(
                "the mode stands first: transfer:active:... dials, "
                "transfer:passive:... listens"
            )
        if self.socketCommand is not None:
            self._checkSocketCommand(self.socketCommand)
        elif active:
            if self.host is not None:
                with blaming("host"):
                    hostName(self.host)
            if self.port is None:
                raise UnfitError(
                    "to dial, a port is needed: transfer:active:host=NAME:port=NUMBER"
                )
            with blaming("port"):
                clientPort(str(self.port))
        else:
            if self.host is not None:
                raise UnfitError(
                    "a passive side dials no host; to listen on one address write "
                    "transfer:passive:tcp:port=NUMBER:interface=ADDRESS",
                    "host",
                )
            with blaming("port"):
                serverPort(str(self.port))
        if self.within is not None and not 0 < self.within < math.inf:
            raise UnfitError("seconds are a finite number above 0", "within")
        if self.retryFor is not None:
            if not active:
                raise UnfitError(
                    "only an active side tries again; leave it out", "retryFor"
                )
            if not 0 <= self.retryFor < math.inf:
                raise UnfitError("seconds are a finite number, 0 or more", "retryFor")
        if self.admit is not None:
            if active:
                raise UnfitError("only a passive side admits; leave it out", "admit")
            if not self.admit:
                raise UnfitError("name an address, or leave it out", "admit")
            with blaming("admit"):
                for entry in self.admit:
                    addressOrNetwork(entry)
        if self.again and not active:
            raise UnfitError("only an active side dials again; leave it out", "again")

    def _checkSocketCommand(self, command: Description) -> None:
        """Raise :class:`UnfitError` where the socket command cannot stand here."""
        if command.args[0].lower() == "transfer":
            raise UnfitError(
                "a transfer cannot be opened through another transfer; after the "
                "mode stands the type of a socket, such as tcp or tls"
            )
        for option in ("host", "port"):
            if getattr(self, option) is not None:
                raise UnfitError("with a type, this is for the socket command", option)
        for option in OWN_KEYWORDS:
            if option in command.keywords:
                raise UnfitError("no socket command has this option", option)

    @classmethod
    def parse(cls, text: str) -> TransferDescription:
        """
        Read a ``transfer:`` string.

        :param text: such as ``transfer:passive:tls:/etc/pems:port=443:within=30``.
        :returns: what it says.
        :raises BadDescription: where it says something that cannot be.
        :raises TypeError: where it is not a ``str``.
        """
        whole = Description.parse(text)
        if whole.args[0].lower() != "transfer":
            raise BadDescription(
                f"{shown(text)} does not begin with 'transfer:'; write "
                "transfer:active:... to dial or transfer:passive:... to listen"
            )
        return cls.fromArguments(whole.args[1:], whole.keywords)

    @classmethod
    def fromArguments(
        cls, args: Sequence[str], keywords: Mapping[str, str]
    ) -> TransferDescription:
        """
        Read what Twisted hands to the parser of the prefix ``transfer``.

        :param args: the positional arguments behind the prefix.
        :param keywords: all keywords, those of the socket command included.
        :returns: what they say.
        :raises BadDescription: where they say something that cannot be.
        """
        whole = Description(("transfer", *args), keywords)
        rest = dict(keywords)
        command = host = port = None
        try:
            within = _take(rest, "within", _seconds)
            retryFor = _take(rest, "retryFor", _seconds)
            admit = _take(rest, "admit", _addresses)
            again = _take(rest, "again", _yesOrNo)
            raw = {option: rest.pop(option) for option in _RAW if option in rest}
            if args[1:]:
                command = Description(tuple(args[1:]), rest)
            else:
                host = _take(rest, "host", str)
                port = _take(rest, "port", _portReader(active="active" in args))
                for option in rest:
                    raise UnfitError(
                        "without a type behind the mode there is only host=, port= "
                        f"and {'=, '.join(OWN_KEYWORDS)}=",
                        option,
                    )
        except UnfitError as unfit:
            raise refusal(whole, unfit) from None
        return cls(
            args[0] if args else "",
            command,
            host,
            port,
            within,
            retryFor,
            admit,
            bool(again),
            **raw,
        )

    def _asDescription(self) -> Description:
        """Give the same as a plain description."""
        command = self.socketCommand
        keywords = {} if command is None else dict(command.keywords)
        for option in ("host", "port", *OWN_KEYWORDS):
            value = getattr(self, option)
            if value is not None and (option, value) != ("again", False):
                keywords[option] = _written(value)
        args = () if command is None else command.args
        return Description(("transfer", self.mode, *args), keywords)

    def toString(self) -> str:
        """
        Write the string, with its secrets.

        :returns: a string that :meth:`parse` reads back as this.
        """
        return self._asDescription().toString()

    def redacted(self) -> str:
        """
        Write the string for people.

        :returns: as :meth:`toString`, with ``…`` for each secret.
        """
        return self._asDescription().redacted()

    def __str__(self) -> str:
        return self.redacted()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {shown(self.toString())}>"
