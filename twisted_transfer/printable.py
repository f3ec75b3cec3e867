"""
What a person is shown of text from outside.
"""

from __future__ import annotations

import os
import re


def printable(text: str, limit: int | None = None) -> str:
    """
    Escape what would garble a terminal or a log line, and bound the length.

    :param text: any string, of any length.
    :param limit: the most characters of the result, at least 1; ``None`` for
        no bound.
    :returns: the text, with control and format characters, lone surrogates and
        the like written as in a Python string.  A result that is too long is
        cut, but not within an escape, and ends in ``…``.
    """
    if text.isprintable() and (limit is None or len(text) <= limit):
        return text
    pieces: list[str] = []
    length = 0
    for character in text:
        if not character.isprintable():
            character = character.encode("unicode_escape").decode("ascii")
        pieces.append(character)
        length += len(character)
        if limit is not None and length > limit:
            while length > limit - 1:
                length -= len(pieces.pop())
            pieces.append("…")
            break
    return "".join(pieces)


def printableLines(text: str, limit: int | None = None) -> str:
    """
    Make a text of several lines printable; it may have tabs.

    :param text: any string.
    :param limit: the most characters of what stands between two tabs of a line.
    :returns: the lines, each as by :func:`printable`.
    """
    return re.sub("[^\n\t]+", lambda found: printable(found[0], limit), text)


def reasonOf(error: object) -> str:
    """
    Say in words what the system, Twisted or Python says about an error.

    :param error: any error; Twisted's have the system's number or error in them.
    :returns: its words, printable, in one line without numbers, names of classes and
        full stop; those of its documentation if it has none.
    """
    number = getattr(error, "osError", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    words = getattr(error, "strerror", None)
    if words is None and isinstance(error, BaseException):
        # Twisted's are a sentence about nothing, or about what is behind it.
        words = str(error) or (type(error).__doc__ or "").partition("\n\n")[0]
        words = words.replace("``", "")
    text = " ".join(str(words or "for a reason that is not said").split())
    return printable(text.removesuffix("."))


HIDDEN = "…"
"""Stands in place of a secret in everything that is shown."""

# A secret is as long as a pin, and what we say of one begins so.
_SECRET = re.compile(r"(?<![\w-])(?<!pin )[\w-]{43,}", re.ASCII)


def concealed(text: str) -> str:
    """
    Hide what looks like a secret, wherever it stands.

    :param text: any text.
    :returns: the text with ``…`` for each run of 43 characters of URL-safe base64,
        as the secret of an invitation is, or more: a colon may be missing.
    """
    return _SECRET.sub(HIDDEN, text)
