"""
Endpoint-description strings of any type, read and written.

A :class:`Description` means what Twisted takes its text for
(:func:`twisted.internet.endpoints.serverFromString`).  It shows no secret in an
error message, a ``repr`` or a ``str``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import NamedTuple

from twisted_transfer.descriptions.values import UnfitError, isAddress
from twisted_transfer.errors import BadDescription
from twisted_transfer.printable import HIDDEN, concealed, printable

_SECRET_WORDS = ("secret", "passphrase", "password", "passwd")

# A description within a description is quoted once more, so real ones are a
# few levels deep.  Text can be made to look deeper ("k=k=k=..."); below this
# many levels it is hidden whole and not looked into.
_DEEPEST = 32


class Field(NamedTuple):
    """
    One argument of a description, with its quoting taken off.

    :ivar position: where it starts, in characters from the start (0).
    :ivar key: the name of a keyword; ``None`` for a positional argument.
    :ivar value: the argument, or the value of the keyword.
    """

    position: int
    key: str | None
    value: str


def quote(argument: str) -> str:
    """
    Write a string so that a description parser reads it back unchanged.

    Unlike :func:`twisted.internet.endpoints.quoteStringArgument` this
    escapes the equals sign too, which otherwise turns a positional argument
    into a keyword, and ends the name of a keyword early.

    :param argument: any string: a positional argument, the name of a keyword
        or its value.
    :returns: the quoted string.
    """
    return re.sub(r"([\\:=])", r"\\\1", argument)


def quoteValue(value: str) -> str:
    """
    Write the value of a keyword.

    As :func:`quote`, but equals signs stay as they are: only the first one of
    an argument has a meaning, and it stands in front of the value.

    :param value: any string.
    :returns: the quoted string.
    """
    return re.sub(r"([\\:])", r"\\\1", value)


def split(text: str) -> tuple[list[Field], int | None]:
    """
    Split a description, valid or not, into its arguments.

    :param text: the description.
    :returns: its arguments (always at least one), and the position of a lone
        backslash at the end, which quotes nothing and is an error, or
        ``None``.  Such a backslash stays in the value.
    """
    fields: list[Field] = []
    start = 0
    key: str | None = None
    current: list[str] = []
    lone: int | None = None
    characters = iter(enumerate(text))
    for position, character in characters:
        if character == "\\":
            following = next(characters, None)
            if following is None:
                lone = position
            current.append("\\" if following is None else following[1])
        elif character == ":":
            fields.append(Field(start, key, "".join(current)))
            start, key, current = position + 1, None, []
        elif character == "=" and key is None:
            key, current = "".join(current), []
        else:
            current.append(character)
    fields.append(Field(start, key, "".join(current)))
    return fields, lone


def _namesSecret(key: str) -> bool:
    """Tell whether a keyword of this name, or of this misspelling, is secret."""
    letters = re.sub("[^a-z]", "", key.lower())
    if any(word in letters for word in _SECRET_WORDS):
        return True
    # The length bound keeps the comparison, which is quadratic, short.
    return len(letters) <= 20 and bool(
        get_close_matches(letters, _SECRET_WORDS, n=1, cutoff=0.8)
    )


def _hide(text: str, depth: int) -> str:
    """Hide the secrets of a description and of those that are quoted in it."""
    if depth == 0:
        return HIDDEN if "=" in text else text
    fields, _ = split(text)
    if fields == [Field(0, None, text)]:
        return concealed(text)
    shown: list[str] = []
    changed = False
    for part in fields:
        value = _hide(part.value, depth - 1)
        if part.key is None:
            shown.append(quote(value))
            changed = changed or value != part.value
            continue
        key = _hide(part.key, depth - 1)
        if _namesSecret(part.key):
            value = HIDDEN
        shown.append(f"{quote(key)}={quoteValue(value)}")
        changed = changed or (key, value) != (part.key, part.value)
    return ":".join(shown) if changed else text


def redact(text: str) -> str:
    """
    Hide the secrets of a description.

    Secret are the values of all keywords whose name contains ``secret``,
    ``passphrase`` or ``password``, or nearly so: a misspelt name must not show
    the value either; and whatever looks like the secret of an invitation, under
    any name.  Descriptions that are quoted in this one, at any depth,
    are treated alike.  The text need not be a valid description.

    :param text: the description.
    :returns: the description with ``…`` for each secret; the text itself if it
        holds none.
    """
    return _hide(text, _DEEPEST)


def shown(text: str) -> str:
    """
    Write a description, or a part of one, for an error message.

    :param text: the description.
    :returns: it in quotation marks, without its secrets, printable.
    """
    return f"'{printable(redact(text))}'"


class Written:
    """What can be written as a description; people are shown no secret of it."""

    def toString(self) -> str:
        """Write the description, with its secrets."""
        raise NotImplementedError

    def redacted(self) -> str:
        """
        Write the description for people.

        :returns: as :meth:`toString`, with ``…`` for each secret, also in
            descriptions that are quoted in this one.
        """
        return redact(self.toString())

    def __str__(self) -> str:
        return self.redacted()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {shown(self.toString())}>"


@dataclass(frozen=True, repr=False)
class Description(Written):
    """
    What an endpoint description says.

    :ivar args: the positional arguments; the first one is the type.
    :ivar keywords: the keywords and their values, in order, read-only.
    :raises BadDescription: if there is no type, or the name of a keyword is not
        ASCII, which Twisted does not accept.
    """

    args: tuple[str, ...]
    keywords: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", tuple(self.args))
        object.__setattr__(self, "keywords", MappingProxyType(dict(self.keywords)))
        if not self.args or not self.args[0]:
            raise BadDescription(
                f"{shown(self.toString())} names no type; the type of the endpoint "
                "stands first, as in 'tcp:host=192.0.2.7:port=4000'"
            )
        for key in self.keywords:
            if not key.isascii():
                raise BadDescription(
                    f"the keyword {shown(key)} in {shown(self.toString())} is not "
                    "ASCII; no endpoint has such a keyword"
                )

    @property
    def kind(self) -> str:
        """The type of the endpoint, in lower case."""
        return self.args[0].lower()

    def __hash__(self) -> int:
        return hash((self.args, frozenset(self.keywords.items())))

    @classmethod
    def parse(cls, text: str) -> Description:
        """
        Read a description.

        Each string that Twisted accepts means the same here, except that a
        keyword may be given only once: Twisted silently takes the last.

        :param text: the description.
        :returns: what it says.
        :raises BadDescription: if it names no type, ends in a lone backslash,
            or gives a keyword twice.
        :raises TypeError: if it is not a ``str``.
        """
        if not isinstance(text, str):
            raise TypeError(f"a description is a str, not {type(text).__name__}")
        parts, lone = split(text)
        if lone is not None:
            raise BadDescription(
                f"the backslash at character {lone + 1}, the last, of {shown(text)} "
                "quotes nothing; write \\\\ for a backslash, or leave it out"
            )
        args = tuple(part.value for part in parts if part.key is None)
        given: dict[str, Field] = {}
        for part in parts:
            first = part if part.key is None else given.setdefault(part.key, part)
            if first is not part:
                raise BadDescription(
                    f"{printable(redact(str(part.key)))}= stands at character "
                    f"{first.position + 1} and again at character "
                    f"{part.position + 1} of {shown(text)}; give it once"
                )
        return cls(args, {key: part.value for key, part in given.items()})

    def toString(self) -> str:
        """
        Write the description, with its secrets.

        :returns: a string that :meth:`parse` and Twisted read back as this.
        """
        return ":".join(
            [quote(argument) for argument in self.args]
            + [f"{quote(k)}={quoteValue(v)}" for k, v in self.keywords.items()]
        )


# The options with hosts or addresses, of all endpoint types.
_HOSTS = ("host", "hostname", "interface", "bindAddress", "admit")

_HOST_TYPES = {"tcp", "tcp6", "ssl", "tls", "mtls"}
"""Those that take a host or an address without its name."""


def _misquoted(pieces: Sequence[str]) -> str | None:
    """Give the IPv6 addresses of which these are the pieces, if they are not quoted."""
    given = ":".join(pieces)
    bare = given.removeprefix("[").removesuffix("]")
    # A piece with a colon was quoted, and needs nothing unless it has brackets.
    if any(":" in piece for piece in pieces) and (len(pieces) > 1 or bare == given):
        return None
    addresses = [re.sub(r"/\d+$", "", each) for each in bare.split(",")]
    return bare if ":" in bare and all(map(isAddress, addresses)) else None


def _withAddress(description: Description) -> Description | None:
    """
    Find an IPv6 address whose colons were not quoted, or that stands in brackets.

    An argument ends at each of the colons, so the rest of the address has become
    positional arguments.

    :returns: the description with the address as it should be, or ``None``.
    """
    args, keywords = description.args, description.keywords
    end = len(args)
    for option in _HOSTS:
        # 9: from the colons in front of "::1:2:3:4:5:6:7" there are two empty ones.
        for first in range(max(1, end - 8), end + 1) if option in keywords else ():
            address = _misquoted([keywords[option], *args[first:]])
            if address is not None:
                return Description(args[:first], {**keywords, option: address})
    # Without a name it stands behind the type, or behind the port of a server; a port
    # may stand behind it.  "80::50" is a port, no interface and a backlog.
    for last in (end - 1, end):
        for first in range(max(1, last - 9), last):
            address = _misquoted(args[first:last])
            port = args[first].isdigit() and (
                last == end or re.search("[a-f]", address or "", re.I) is None
            )
            near = {each.lower() for each in args[max(0, first - 2) : first]}
            if address is not None and not port and near & _HOST_TYPES:
                corrected = (*args[:first], address, *args[last:])
                return Description(corrected, keywords)
    return None


def checkAddresses(description: Description) -> None:
    """
    Require that the colons of IPv6 addresses are quoted.

    :param description: a description, of which ``host=::1`` has become several
        arguments.
    :raises BadDescription: if those of an address are not.
    """
    corrected = _withAddress(description)
    if corrected is not None:
        raise BadDescription(
            f"a colon in an address needs a backslash in front of it, and no brackets "
            f"stand around the address; write {shown(corrected.toString())}"
        )


def refusal(
    description: Description, unfit: UnfitError, value: str | None = None
) -> BadDescription:
    """
    Make the error for an invalid value.

    :param description: the description that the value stands in.
    :param unfit: the option, and what would be right.
    :param value: the value; by default that of the keyword.
    :returns: the error, whose message shows no secret.
    """
    where = shown(description.toString())
    if unfit.option is None:
        return BadDescription(f"{where}: {unfit}")
    if value is None:
        value = description.keywords.get(unfit.option)
    option = quote(unfit.option)
    if value is not None:
        option = redact(f"{option}={quoteValue(value)}")
    return BadDescription(f"{printable(option)} in {where}: {unfit}")
