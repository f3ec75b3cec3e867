"""
What the partner announces, made safe to use: its names, and its words.

Nothing here trusts the partner.  A name is at most that, never a path; and
words are shown without doing anything to the terminal.
"""

from __future__ import annotations

import re
import unicodedata

from twisted_transfer.quoting import printable as _escaped

MAX_NAME = 250
"""The most bytes that a suggested name has in UTF-8.  File systems take 255, and
while a file is received five of them are for ``.part``."""

# Controls; what is not seen but changes how the rest is seen, such as bidi
# overrides; halves of a pair; ends of a line or of a paragraph.
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Persian, Hindi and emoji need these two of the unseen ones, within a word.
_JOINERS = "\u200c\u200d"
# What Windows takes for a device, with whatever extension: "Naming Files, Paths,
# and Namespaces" of its documentation.
_DEVICE = re.compile(
    r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3]) *(\..*)?",
    re.IGNORECASE | re.DOTALL,
)


def suggestedName(text: str) -> str | None:
    """
    Take a name that somebody suggests for a file, or leave it.

    It is never changed: a name that is not good as it is may be meant to be
    something else than a name.  Refused are

    - the empty name, ``.`` and ``..``, slashes and backslashes, and what begins
      with the letter of a drive (``C:``);
    - what begins with a dot, a hyphen, a tilde, an at sign or ``transfer:``:
      such files are hidden, or mean something else on a command line;
    - dots at the end, and spaces at the beginning and at the end;
    - control and format characters, among them line ends and bidi overrides,
      but for the two joiners U+200C and U+200D;
    - what is not UTF-8, and what is longer than :data:`MAX_NAME` bytes;
    - the names of Windows' devices, such as ``nul`` and ``COM1.txt``;
    - ``.part`` at the end, for that is what this library calls what is not
      whole yet.

    :param text: the name as it was announced; or that of a file which is to be
        announced.
    :returns: the same text if it is the name of a file, in whatever folder
        there is, or None.
    """
    if not text or re.search(r"[/\\]|\A[.~@-]|\A[A-Za-z]:|\.\Z", text, re.DOTALL):
        return None
    if text.casefold().startswith("transfer:"):
        return None
    if text != text.strip() or text.lower().endswith(".part"):
        return None
    if any(
        unicodedata.category(character) in _REFUSED and character not in _JOINERS
        for character in text
    ):
        return None
    if len(text.encode()) > MAX_NAME or _DEVICE.fullmatch(text):
        return None
    return text


def printable(text: str, limit: int) -> str:
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
        pieces.append(_escaped(character))
        length += len(pieces[-1])
        if length > limit:
            while length > limit - 1:
                length -= len(pieces.pop())
            pieces.append("…")
            break
    return "".join(pieces)
