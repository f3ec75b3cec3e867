"""
How a channel carries text, as Tcl 8.6's ``fconfigure`` knows it (manual page
*fconfigure(n)*): newlines, encodings and end-of-file characters.

The settings mean what they mean in Tcl 8.6, with one exception: given at once, an
encoding and an end-of-file character hold beside the translation ``binary``; in
Tcl the order of the options decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from twisted_transfer.errors import BadOption
from twisted_transfer.text.codec import Decoder, Encoder, changedCharacters, codecName

_TRANSLATIONS = ("auto", "binary", "cr", "crlf", "lf")


@dataclass(frozen=True)
class TextSettings:
    """
    The text settings of a channel, as ``fconfigure`` keeps them.

    Begin with :attr:`BINARY` and make others with :meth:`replaced`, which
    checks what it is given.

    :ivar inputTranslation: ``auto``, ``cr``, ``crlf`` or ``lf``: what is taken
        for a newline.  ``auto``: CR, LF and CRLF; ``crlf``: only both together.
    :ivar outputTranslation: ``cr``, ``crlf`` or ``lf``: what a newline becomes.
    :ivar encoding: the name of Python's codec; None: the channel carries bytes.
    :ivar inputEOFChar: the character that ends the input, or None.
    :ivar outputEOFChar: the character that is written at the end, or None.
    """

    inputTranslation: str
    outputTranslation: str
    encoding: str | None
    inputEOFChar: str | None
    outputEOFChar: str | None

    #: A new channel's settings: bytes, untouched.
    BINARY: ClassVar[TextSettings]

    @property
    def isBinary(self) -> bool:
        """
        Whether bytes pass unchanged, so that no decoder and no encoder is needed.

        A decoder that ran before may still owe something to these settings: its
        ``pending()`` bytes, and a LF that belongs to a CR given out as a newline.
        """
        return self is TextSettings.BINARY or self == TextSettings.BINARY

    def replaced(
        self,
        *,
        translation: str | Sequence[str] | None = None,
        encoding: str | None = None,
        eofChar: str | Sequence[str] | None = None,
    ) -> TextSettings:
        """
        Change what is given and keep the rest.

        A pair is two strings, or one string as Tcl writes lists: ``"auto
        crlf"``, with ``{}`` for an empty one and ``\\x1a`` for a character by
        its number.

        :param translation: ``auto``, ``binary``, ``cr``, ``crlf`` or ``lf``, or a
            pair of them for (input, output); an empty one of a pair leaves its
            side as it is.  ``auto`` on output is ``crlf``, as on Tcl's sockets.
            ``binary`` is ``lf`` and also takes away the encoding and that
            side's end-of-file character, unless they are given too.
        :param encoding: Tcl's or Python's name; ``"binary"`` for none.
        :param eofChar: one ASCII character for both sides, ``""`` for none, or
            a pair of such.
        :returns: the new settings.
        :raises BadOption: if a value is invalid.
        """
        new = self
        if translation is not None:
            new = new._translated(translation)
        if encoding is not None:
            new = replace(new, encoding=codecName(encoding))
        if eofChar is not None:
            first, last = _eofChars(eofChar)
            new = replace(new, inputEOFChar=first, outputEOFChar=last)
        for char in (new.inputEOFChar, new.outputEOFChar):
            if not _exists(char, new.encoding):
                raise BadOption(
                    f"eofChar {char!r} cannot be written in encoding {new.encoding}; "
                    "take another character, such as '\\x1a'"
                )
        return new

    def _translated(self, translation: str | Sequence[str]) -> TextSettings:
        values = _listed(translation)
        if len(values) == 1 and values[0]:
            values *= 2
        if len(values) != 2 or any(
            value not in ("", *_TRANSLATIONS) for value in values
        ):
            raise BadOption(
                f"translation {translation!r} is none of {', '.join(_TRANSLATIONS)}, "
                "nor two of them, for input and output"
            )
        first, last = values
        new = self
        if "binary" in values:
            new = replace(new, encoding=None)
        if first == "binary":
            new = replace(new, inputTranslation="lf", inputEOFChar=None)
        elif first:
            new = replace(new, inputTranslation=first)
        if last == "binary":
            new = replace(new, outputTranslation="lf", outputEOFChar=None)
        elif last:
            new = replace(new, outputTranslation="crlf" if last == "auto" else last)
        return new

    def newDecoder(self, after: Decoder | None = None) -> Decoder:
        """
        Make a decoder for these settings.

        :param after: what decoded the input up to here, if the settings were
            changed on the way.  Feed the new one the old one's
            :meth:`~twisted_transfer.text.codec.Decoder.pending` first.
        :returns: the decoder.
        """
        return Decoder(self.encoding, self.inputTranslation, self.inputEOFChar, after)

    def newEncoder(self, after: Encoder | None = None) -> Encoder:
        """
        Make an encoder for these settings.

        :param after: what encoded the output up to here, if the settings were
            changed on the way.  Write the old one's
            :meth:`~twisted_transfer.text.codec.Encoder.flush` first.
        :returns: the encoder.
        """
        return Encoder(self.encoding, self.outputTranslation, self.outputEOFChar, after)


TextSettings.BINARY = TextSettings("lf", "lf", None, None, None)


def _listed(value: object) -> list[str]:
    """:returns: the elements of a pair, or of what Tcl writes for one."""
    if isinstance(value, str):
        words = ["" if word == "{}" else word for word in value.split()]
        return [re.sub(r"\\x([0-9A-Fa-f]{2})", _numbered, word) for word in words]
    if isinstance(value, Sequence) and all(isinstance(one, str) for one in value):
        return list(value)
    return []


def _numbered(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))


def _eofChars(eofChar: str | Sequence[str]) -> tuple[str | None, str | None]:
    alone = isinstance(eofChar, str) and len(eofChar) < 2  # also if it is a space
    values = [str(eofChar)] if alone else _listed(eofChar)
    if len(values) == 1:
        values *= 2
    if len(values) != 2 or any(
        len(value) > 1 or not value.isascii() or value == "\0" for value in values
    ):
        raise BadOption(
            f"eofChar {eofChar!r} is not one ASCII character other than NUL, an empty "
            "string for none, or two of these, for input and output"
        )
    return values[0] or None, values[1] or None


def _exists(char: str | None, encoding: str | None) -> bool:
    """Whether the character can be written, and read again."""
    if char is None or encoding is None:
        return True
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return char not in changedCharacters(encoding)
