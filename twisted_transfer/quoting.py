"""
The characters of an endpoint description: splitting, quoting, hiding.

A description is a list of arguments between colons.  An argument with an
equals sign in it is a keyword; a backslash takes the next character as it is
(:func:`twisted.internet.endpoints.serverFromString`).  Nothing here knows what
an argument means, except that some of them are secrets.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import NamedTuple

#: What stands in place of a secret in everything that is shown.
HIDDEN = "…"

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

    Other than :func:`twisted.internet.endpoints.quoteStringArgument` this
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
    Take a description apart, whatever it holds.

    :param text: the description.
    :returns: its arguments (always at least one), and the position of a lone
        backslash at the end, which quotes nothing and is an error, or
        ``None``.  Such a backslash is kept in the value as it is.
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
        return text
    shown: list[str] = []
    changed = False
    for field in fields:
        value = _hide(field.value, depth - 1)
        if field.key is None:
            shown.append(quote(value))
            changed = changed or value != field.value
            continue
        key = _hide(field.key, depth - 1)
        if _namesSecret(field.key):
            value = HIDDEN
        shown.append(f"{quote(key)}={quoteValue(value)}")
        changed = changed or (key, value) != (field.key, field.value)
    return ":".join(shown) if changed else text


def redact(text: str) -> str:
    """
    Hide the secrets of a description.

    Secret are the values of all keywords whose name contains ``secret``,
    ``passphrase`` or ``password``, or nearly so: a misspelt name must not show
    the value either.  Descriptions that are quoted in this one, at any depth,
    are treated alike.  The text need not be a valid description.

    :param text: the description.
    :returns: the same with ``…`` for each secret; the text itself where it
        holds none.
    """
    return _hide(text, _DEEPEST)


def printable(text: str) -> str:
    """
    Escape what would garble a terminal or a log line.

    :param text: any string.
    :returns: the text with control characters, lone surrogates and the like
        written as in a Python string.
    """
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shown(text: str) -> str:
    """
    Write a description, or a part of one, for an error message.

    :param text: the description.
    :returns: it in quotation marks, without its secrets, printable.
    """
    return f"'{printable(redact(text))}'"
