"""
What of a text from outside may be shown to a person.
"""

from __future__ import annotations


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


def printableUpTo(text: str, limit: int) -> str:
    """
    Escape what would garble a terminal or a log line, and bound the length.

    :param text: any string from the partner, of any length.
    :param limit: the most characters of the result, at least 1.
    :returns: the text with control and format characters, lone surrogates and
        the like written as in a Python string.  If that is too long, as much
        of its beginning as fits, and ``…``.
    """
    if len(text) <= limit and text.isprintable():
        return text
    pieces: list[str] = []
    length = 0
    for character in text:
        pieces.append(printable(character))
        length += len(pieces[-1])
        if length > limit:
            while length > limit - 1:
                length -= len(pieces.pop())
            pieces.append("…")
            break
    return "".join(pieces)
