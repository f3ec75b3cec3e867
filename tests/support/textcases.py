"""
Cases for tests of text settings: every codec, and data for it.
"""

from __future__ import annotations

import encodings
import pkgutil
from itertools import pairwise
from typing import AnyStr

from hypothesis import strategies as st

from twisted_transfer.errors import BadOption
from twisted_transfer.text.codec import Decoder, changedCharacters, codecName
from twisted_transfer.text.settings import TextSettings

NEWLINES = ("\r", "\n", "\r\n", "\r\r\n", "\n\r")


def settingsOf(
    translation: str = "lf", encoding: str = "", eofChar: str = ""
) -> TextSettings:
    """The settings with these options, all of them given."""
    return TextSettings.BINARY.replaced(
        translation=translation, encoding=encoding, eofChar=eofChar
    )


def decoderOf(
    translation: str = "lf", encoding: str = "", eofChar: str = ""
) -> Decoder:
    """A decoder by these options."""
    return settingsOf(translation, encoding, eofChar).newDecoder()


def asText(result: str | bytes) -> str:
    """Bytes as one character each, so that they compare like text."""
    return result if isinstance(result, str) else result.decode("latin-1")


def _all() -> list[str]:
    """The codecs in Python's own ``encodings`` that can be used."""
    found = set()
    for module in pkgutil.iter_modules(encodings.__path__):
        try:
            name = codecName(module.name)
        except BadOption:
            continue
        assert name is not None
        found.add(name)
    return sorted(found)


CODECS = _all()

#: Codecs that begin anew at any character.
STATELESS = [
    name
    for name in CODECS
    if not name.startswith(("iso2022", "hz"))
    and name not in ("utf-16", "utf-32")
    # The byte order mark comes first, and only there.
    and name != "utf-8-sig"
]

codecs = st.sampled_from(CODECS)
inputTranslations = st.sampled_from(("auto", "cr", "crlf", "lf"))
eofChars = st.sampled_from(("", "", "\x1a", "e", "\r", "\n"))
places = st.lists(st.integers(0, 2**16), max_size=12)

_pieces = st.one_of(
    st.sampled_from(NEWLINES),
    st.sampled_from("abcde\x1a é€яあｱ漢한\u0304Ê\U0001f600"),
    st.characters(exclude_categories=["Cs"]),
)
texts = st.lists(_pieces, max_size=24).map("".join)


#: Not valid in most codecs, and some almost so.
_STRAY = (
    *(b"\x1b", b"\x1b$", b"\x1b$B", b"\x1b$)", b"\x1b(B", b"\x1b.A", b"\x0e", b"\x0f"),
    *(b"~", b"~{", b"~}", b"\x8e", b"\x8f\xa2", b"\x81", b"\x81\x30", b"\xa4\xd4"),
    *(b"\xed\xa0", b"\xf4\x90", b"\xc0\x80", b"\xff\xfe", b"\x00\xd8", b"\xef\xbb"),
)


def cut(data: AnyStr, places: list[int]) -> list[AnyStr]:
    """Cut the data into pieces; the places are taken modulo its length."""
    cuts = {0, len(data), *(place % (len(data) + 1) for place in places)}
    return [data[a:b] for a, b in pairwise(sorted(cuts))]


def writable(text: str, codec: str) -> str:
    """The characters of a text that a codec has, one by one."""
    refused = changedCharacters(codec)
    return "".join(
        char for char in text if char not in refused and char.encode(codec, "ignore")
    )


@st.composite
def inputs(draw: st.DrawFn, codec: str) -> bytes:
    """Bytes of which most are valid in the codec."""
    pieces = []
    for _ in range(draw(st.integers(0, 4))):
        pieces.append(writable(draw(texts), codec).encode(codec, "ignore"))
        pieces.append(
            draw(st.just(b"") | st.sampled_from(_STRAY) | st.binary(max_size=3))
        )
    whole = b"".join(pieces)
    return whole[: len(whole) - draw(st.sampled_from((0, 0, 0, 1, 2)))]
