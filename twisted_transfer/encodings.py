"""
The names of character encodings: Tcl's and Python's.

The tables are Python's.  They agree with those of Tcl 8.6 but for what stands
here; Tcl's bytes and characters are named first.

- Bytes that an encoding leaves undefined (81 in cp1252, 80 to FF in ascii) Tcl
  passes through as the character of the same number, both ways; here they are
  :class:`~twisted_transfer.errors.Undecodable`.
- Tcl has other characters for: macGreek 9C FF, macRomania AF BD BF DB DE DF and
  macUkraine FF (from before Apple's newer tables); koi8-u B4 (Ѓ for Є); gb2312
  and euc-cn A1AC (∥ for ‖); big5 A15A A1C3 A1C5 A1FE A240 A2CC A2CE (U+FFFD).
- Only Tcl has: shiftjis 96FF (a misprint), cp936 80 (€), euc-kr A4D4 (a filler;
  here it begins a composed syllable).
- Only Python has: JIS X 0212 in euc-jp; €, ® and composed syllables in euc-kr;
  the private use area in cp932; kana and Cyrillic from C6A1 on in cp950.  Tcl
  reads but does not write 7F in ascii, and 7F to A0 in tis-620.
- Where cp932 and cp950 hold a character twice, Tcl writes the second place and
  Python the one that Windows writes.  Both are read.
- Tcl writes some characters where others are read: U+2225 U+FF0D U+FF5E U+FFE0
  U+FFE1 U+FFE2 in euc-jp, iso2022-jp and shiftjis; U+00A2 U+00A3 U+00AC U+2016
  U+2212 U+301C in cp932.  Here they are refused, and so are those that Python's
  codecs would treat like that (:func:`changedCharacters`).
- Tcl's iso2022-jp goes beyond RFC 1468: more character sets, and bytes above 7F.
  Its iso2022-kr puts the header of RFC 1557 also before text without Korean, and
  writes U+0080 to U+00FF as single bytes.
- Tcl's utf-8 takes surrogates, overlong forms and stray bytes, and may spoil a
  character above U+FFFF that does not come in one piece.  Tcl's unicode takes
  lone surrogates.
"""

from __future__ import annotations

import codecs
import difflib
import sys
from encodings.aliases import aliases

from twisted_transfer.errors import BadOption

_TCL = {
    "maccenteuro": "mac_latin2",
    "maccroatian": "mac_croatian",
    "macromania": "mac_romanian",
    "macukraine": "mac_cyrillic",
    # Tcl 8.6's name for UTF-16 in this machine's byte order.  It neither writes
    # nor looks for a byte order mark.
    "unicode": "utf_16_le" if sys.byteorder == "little" else "utf_16_be",
}

#: What Tcl knows and Python does not, or (ksc5601) knows as something else.
_TCL_ONLY = frozenset(
    [
        "cns11643",
        "dingbats",
        "ebcdic",
        "gb12345",
        "gb1988",
        "gb2312-raw",
        "identity",
        "iso2022",
        "jis0201",
        "jis0208",
        "jis0212",
        "ksc5601",
        "macdingbats",
        "macjapan",
        "macthai",
        "symbol",
    ]
)

#: What Python calls a text encoding and a stream of text cannot use: not made
#: for streams, or (utf-7) with characters that do not begin at a byte.
_NOT_FOR_STREAMS = frozenset(
    [
        "charmap",
        "idna",
        "punycode",
        "raw-unicode-escape",
        "undefined",
        "unicode-escape",
        "utf-7",
    ]
)

#: Characters that Python's codec writes as bytes which it reads as something
#: else, without a word.
_CHANGED = {
    "cp932": "\xa2\xa3\xac\u2016\u2212\u301c",
    "cp950": "\xa2\xa3\xa5\u2022\u203e\u223c\u2609\u2641\uff64",
    "euc_jp": "\xa5\u203e",
    "euc_kr": "\u3164",
    "iso2022_jp": "\x1b",
    "iso2022_jp_1": "\x1b",
    "iso2022_jp_2": "\x1b",
    "iso2022_jp_2004": "\x1b",
    "iso2022_jp_3": "\x1b\u9b1d",
    "iso2022_jp_ext": "\x1b",
    "iso2022_kr": "\x0e\x0f\x1b",
    "shift_jis": "\xa5\u203e",
}


def codecName(name: str) -> str | None:
    """
    Find the Python codec for an encoding.

    :param name: Tcl's name or any of Python's, upper or lower case.
    :returns: the codec's name; None for ``"binary"`` and, as in Tcl, ``""``:
        bytes as they are.
    :raises BadOption: if there is no such encoding, or none that can be used.
    """
    if not isinstance(name, str):
        raise BadOption(f"encoding {name!r} is not a name; give one such as 'utf-8'")
    key = name.lower()
    if key in ("", "binary"):
        return None
    if key in _TCL_ONLY:
        raise BadOption(
            f"encoding {name!r} exists in Tcl only; take 'binary' and convert the "
            "bytes, or use an encoding such as 'utf-8' on both sides"
        )
    found = _lookup(_TCL.get(key, key))
    if found is None:
        raise BadOption(
            f"encoding {name!r} is not one that a text channel can use; "
            f"did you mean {_alike(key)}?"
        )
    return found


def changedCharacters(codec: str) -> str:
    """
    Say what a codec would write as something else.

    :param codec: what :func:`codecName` returned.
    :returns: the characters that come back as others when they are encoded
        and decoded again, though the codec does not complain.
    """
    return _CHANGED.get(codec, "")


def _alike(key: str) -> str:
    """:returns: the names that are most like a misspelt one."""
    known = {one.replace("_", "-") for pair in aliases.items() for one in pair}
    near = difflib.get_close_matches(key, [*_TCL, *sorted(known)], n=6)
    names = [one if one in _TCL else _lookup(one) for one in near]
    # An encoding has many names; one of them is enough.
    good = list(dict.fromkeys(name for name in names if name is not None))
    return ", ".join(good or ["utf-8", "iso8859-1", "cp1252", "binary"])


def _lookup(name: str) -> str | None:
    """:returns: the codec's own name, or None if it cannot carry text."""
    try:
        # str.encode() refuses the codecs that are not from str to bytes.
        "".encode(name)
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    if info.name in _NOT_FOR_STREAMS:
        return None
    if info.incrementaldecoder is None or info.incrementalencoder is None:
        return None
    return info.name
