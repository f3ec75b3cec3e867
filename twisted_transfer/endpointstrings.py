"""
Any endpoint-description string, read and written.

A :class:`Description` has the meaning that Twisted gives to its text
(:func:`twisted.internet.endpoints.serverFromString`), whatever its type.  It
shows no secret in an error message, a ``repr`` or a ``str``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from twisted_transfer.errors import BadDescription
from twisted_transfer.optionvalues import UnfitError
from twisted_transfer.quoting import printable, quote, quoteValue, redact, shown, split


def _noType(text: str) -> BadDescription:
    """Make the error for a description that names no type."""
    return BadDescription(
        f"{shown(text)} names no type; the type of the endpoint stands first, as in "
        "'tcp:host=192.0.2.7:port=4000'"
    )


def _notASCII(key: str, where: str) -> BadDescription:
    """Make the error for the name of a keyword that Twisted does not accept."""
    return BadDescription(
        f"the keyword {shown(key)} {where} is not ASCII; no endpoint has such a keyword"
    )


@dataclass(frozen=True, repr=False)
class Description:
    """
    What an endpoint description says.

    :ivar args: the positional arguments; the first one is the type.
    :ivar keywords: the keywords and their values, in order, read-only.
    :raises BadDescription: where there is no type, or the name of a keyword is
        not ASCII, which Twisted does not accept.
    """

    args: tuple[str, ...]
    keywords: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", tuple(self.args))
        object.__setattr__(self, "keywords", MappingProxyType(dict(self.keywords)))
        for text in (*self.args, *self.keywords, *self.keywords.values()):
            if not isinstance(text, str):
                raise TypeError(
                    f"the parts of a description are str, not {type(text).__name__}"
                )
        if not self.args or not self.args[0]:
            raise _noType(self.toString())
        for key in self.keywords:
            if not key.isascii():
                raise _notASCII(key, f"in {shown(self.toString())}")

    def __hash__(self) -> int:
        return hash((self.args, frozenset(self.keywords.items())))

    @classmethod
    def parse(cls, text: str) -> Description:
        """
        Read a description.

        Each string that Twisted accepts means the same here, except that a
        keyword may be given only once; Twisted silently takes the last.

        :param text: the description.
        :returns: what it says.
        :raises BadDescription: where it is empty, ends in a lone backslash,
            names no type, or gives a keyword twice.
        :raises TypeError: where it is not a ``str``.
        """
        if not isinstance(text, str):
            raise TypeError(f"a description is a str, not {type(text).__name__}")
        parts, lone = split(text)
        if lone is not None:
            raise BadDescription(
                f"the backslash at character {lone + 1}, the last, of {shown(text)} "
                "quotes nothing; write \\\\ for a backslash, or leave it out"
            )
        keywords: dict[str, str] = {}
        positions: dict[str, int] = {}
        for part in parts:
            if part.key is None:
                continue
            if part.key in keywords:
                raise BadDescription(
                    f"{printable(redact(part.key))}= stands at character "
                    f"{positions[part.key] + 1} and again at character "
                    f"{part.position + 1} of {shown(text)}; give it once"
                )
            if not part.key.isascii():
                raise _notASCII(
                    part.key, f"at character {part.position + 1} of {shown(text)}"
                )
            keywords[part.key] = part.value
            positions[part.key] = part.position
        args = tuple(part.value for part in parts if part.key is None)
        if not args or not args[0]:
            raise _noType(text)
        return cls(args, keywords)

    def toString(self) -> str:
        """
        Write the description, with its secrets.

        :returns: a string that :meth:`parse`, and Twisted, read back as this.
        """
        return ":".join(
            [quote(argument) for argument in self.args]
            + [f"{quote(k)}={quoteValue(v)}" for k, v in self.keywords.items()]
        )

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


def refusal(
    description: Description, unfit: UnfitError, value: str | None = None
) -> BadDescription:
    """
    Make the error for a value that cannot be.

    :param description: the description that the value stands in.
    :param unfit: the option, and what would be right.
    :param value: the value; by default that of the keyword.
    :returns: the error, whose message shows no secret.
    """
    where = shown(description.toString())
    if unfit.option is None:
        return BadDescription(f"{where}: {unfit.reason}")
    if value is None:
        value = description.keywords.get(unfit.option)
    option = quote(unfit.option)
    if value is not None:
        option = redact(f"{option}={quoteValue(value)}")
    return BadDescription(f"{printable(option)} in {where}: {unfit.reason}")
