"""
Bytes to text and text to bytes, chunk by chunk, as Tcl 8.6's channels do it.

Nothing here reads or writes: chunks are fed in and chunks come out, and any way
of cutting the input gives the same output.  The order is Tcl's: the input is
decoded, searched for the end-of-file character, and then its newlines are
translated (manual page *fconfigure(n)*).

For valid input everything is as in Tcl 8.6, with these exceptions:

- Bytes that are not valid in the encoding are
  :class:`~twisted_transfer.errors.Undecodable`; Tcl passes them through.
- A LF behind the CR that ``auto`` took for a newline belongs to that newline
  also if the settings are changed between the two.  In Tcl this depends on
  whether both had come, and ``gets`` has taken it and ``read`` has not.
"""

from __future__ import annotations

import codecs
import copy
import difflib
import re
import sys
from encodings.aliases import aliases

from twisted_transfer.errors import BadOption, Undecodable

_ILLEGAL = "illegal multibyte sequence"


class Decoder:
    """
    Decodes input: bytes to ``str``, or to ``bytes`` where there is no encoding.

    :ivar ended: whether the end-of-file character was seen.  It and what
        follows are not data; they stay in :meth:`pending`, so stop feeding.
    """

    def __init__(
        self,
        encoding: str | None,
        translation: str,
        eofChar: str | None,
        after: Decoder | None = None,
    ) -> None:
        """See :meth:`twisted_transfer.text.settings.TextSettings.newDecoder`."""
        self.ended = False
        self._encoding = encoding
        self._translation = translation
        self._eofChar = eofChar
        self._plain = (encoding, translation, eofChar) == (None, "lf", None)
        # Bytes are Latin-1, in and out again.
        factory = codecs.getincrementaldecoder(encoding or "latin-1")
        self._codec = factory()  # a tool: its state is set before each use
        self._raw = b""  # taken in and not given out
        self._state = self._codec.getstate()[1]  # the codec's, before _raw
        self._offset = 0  # how many bytes there were before _raw
        self._sawCR = False  # a LF now belongs to a newline that was given out
        self._escapes = (encoding or "").startswith("iso2022")
        self._bad: tuple[str, int, str] | None = None  # the error that comes next
        if after is not None:
            self._sawCR = after._sawCR
            if after._encoding == encoding:
                self._state, self._offset = after._state, after._offset

    def copy(self) -> Decoder:
        """
        Copy this decoder.

        :returns: an independent decoder in the same state.
        """
        return copy.copy(self)

    def pending(self) -> bytes:
        """
        Return the bytes that were fed and not decoded yet.

        :returns: these bytes: part of a character, a CR that may begin a CRLF, or
            everything from an end-of-file character or an invalid byte on.
        """
        return self._raw

    def feed(self, data: bytes) -> str | bytes:
        """
        Decode some more.

        :param data: the next bytes.
        :returns: what is ready now, up to an invalid byte if there is one.
        :raises Undecodable: if the next byte is known to be invalid; ``data``
            is not taken then.
        """
        self._check()
        if self.ended:
            self._raw += data
            return self._given("")
        if self._plain and not self._sawCR:
            self._offset += len(data)
            return data
        raw = self._raw + data
        text, used = self._decode(raw)
        at = self._eofAt(text)
        if at is not None:
            self.ended, self._bad = True, None
            text, used = text[:at], self._locate(raw[:used], at)
        elif self._bad is None and self._translation == "crlf" and text[-1:] == "\r":
            text = text[:-1]
            used = self._locate(raw[:used], len(text))
        self._moveOn(raw, used)
        text = self._newlines(text)
        if self.ended:
            self._sawCR = False
        return self._given(text)

    def finish(self) -> str | bytes:
        """
        Decode what is left: the input has ended.

        :returns: the rest: a CR that was held back, or nothing.
        :raises Undecodable: if there is an invalid byte, or the input ended
            inside a character; :meth:`pending` has what was not given out.
        """
        self._check()
        if self.ended:
            return self._given("")
        self._codec.setstate((b"", self._state))
        try:
            text = self._codec.decode(self._raw, True)
        except UnicodeError as error:
            used, reason = self._invalid(error, self._raw)
            name = str(self._encoding)
            raise Undecodable(name, self._offset + used, reason) from None
        self._moveOn(self._raw, len(self._raw))
        return self._given(self._newlines(text))

    def advanced(self, data: bytes, count: int) -> Decoder:
        """
        Decode no more than so many characters.

        :param data: the next bytes.
        :param count: how many characters (bytes, where there is no encoding) of
            what ``feed(data)`` would return.
        :returns: a decoder that gave out these and has everything else of
            ``data`` in :meth:`pending`.  This one is not changed.
        """
        new = self.copy()
        raw = self._raw + data
        if count < 1:
            new._raw = raw
            return new
        text, used = new._decode(raw)
        new._bad = None  # it will be met again
        at = self._eofAt(text)
        text = text[:at]
        skipped = 1 if self._sawCR and text[:1] == "\n" else 0
        end = count + skipped
        if self._translation in ("auto", "crlf"):
            while (more := count + skipped + text.count("\r\n", 0, end)) > end:
                end = more
            if text[end - 1 : end + 1] == "\r\n":
                end += 1
        new._moveOn(raw, new._locate(raw[:used], end))
        new._newlines(text[:end])
        new._sawCR = new._sawCR and end != at
        return new

    def _check(self) -> None:
        if self._bad is not None:
            raise Undecodable(*self._bad)

    def _given(self, text: str) -> str | bytes:
        return text.encode("latin-1") if self._encoding is None else text

    def _eofAt(self, text: str) -> int | None:
        if self._eofChar is None:
            return None
        at = text.find(self._eofChar)
        if self._translation == "crlf" and self._eofChar == "\n":
            # Tcl looks for a newline first: this LF must stand alone.
            while at > 0 and text[at - 1] == "\r":
                at = text.find("\n", at + 1)
        return None if at < 0 else at

    # Each of these leaves the codec behind the bytes that it reports on.

    def _tried(self, raw: bytes) -> str:
        """:returns: what the codec makes of these bytes."""
        self._codec.setstate((b"", self._state))
        return self._codec.decode(raw)

    def _decode(self, raw: bytes) -> tuple[str, int]:
        """:returns: what can be decoded, and how many bytes that takes."""
        try:
            text = self._tried(raw)
            used = len(raw) - len(self._codec.getstate()[0])
        except UnicodeError as error:
            used, reason = self._invalid(error, raw)
            self._bad = str(self._encoding), self._offset + used, reason
            text = self._tried(raw[:used])
        if self._escapes and "\x1b" in text:
            # Python's codecs let an escape go through that begins no sequence.
            at = text.index("\x1b")
            text, used = text[:at], self._locate(raw[:used], at)
            self._bad = str(self._encoding), self._offset + used, _ILLEGAL
        return text, used

    def _invalid(self, error: UnicodeError, raw: bytes) -> tuple[int, str]:
        """:returns: how many bytes are valid, and what the next one is."""
        if isinstance(error, UnicodeDecodeError) and "overflow" not in error.reason:
            # A codec may show only the end of what it was given.
            return len(raw) - len(error.object) + error.start, error.reason
        # UTF-16 without its mark; an escape sequence that overflows the codec's
        # buffer (in Python 3.13 this too tells a place).
        low, high = 0, len(raw)
        while high - low > 1:
            middle = (low + high) // 2
            try:
                self._tried(raw[:middle])
                low = middle
            except UnicodeError:
                high = middle
        self._tried(raw[:low])
        used = low - len(self._codec.getstate()[0])
        return used, _ILLEGAL if self._escapes else str(error)

    def _locate(self, raw: bytes, index: int) -> int:
        """:returns: where a character begins; the end if there is no such one."""

        def reached(length: int) -> bool:
            return len(self._tried(raw[:length])) > index

        high, step = len(raw), 1
        if not reached(high):
            return high
        while high >= step and reached(high - step):  # mostly it is near the end
            high, step = high - step, step * 2
        low = max(0, high - step + 1)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if reached(middle) else (middle + 1, high)
        # Its last byte is the one before.  The codec keeps its others, but not
        # what only changes the state.
        self._tried(raw[: low - 1])
        return low - 1 - len(self._codec.getstate()[0])

    def _moveOn(self, raw: bytes, used: int) -> None:
        """Note that so many bytes were given out, and the codec is behind them."""
        self._state = self._codec.getstate()[1]
        self._offset += used
        self._raw = raw[used:]

    def _newlines(self, text: str) -> str:
        """:returns: the text with its newlines as ``"\\n"``."""
        if text and self._sawCR:
            text, self._sawCR = text.removeprefix("\n"), False
        if self._translation == "auto":
            self._sawCR = self._sawCR or text.endswith("\r")
        if self._translation in ("auto", "crlf"):
            text = text.replace("\r\n", "\n")
        if self._translation in ("auto", "cr"):
            text = text.replace("\r", "\n")
        return text


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
_TCL_ONLY = re.compile(
    "cns11643|dingbats|ebcdic|gb12345|gb1988|gb2312-raw|identity|iso2022|jis0201|"
    "jis0208|jis0212|ksc5601|macdingbats|macjapan|macthai|symbol"
)

#: What Python calls a text encoding and a stream of text cannot use: not made
#: for streams, or (utf-7) with characters that do not begin at a byte.
_NOT_FOR_STREAMS = re.compile(
    "charmap|idna|punycode|raw-unicode-escape|undefined|unicode-escape|utf-7"
)

#: Characters that Python's codec writes as bytes which it reads as something
#: else, without an error.
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
    if _TCL_ONLY.fullmatch(key):
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
    Return the characters that a codec writes as others, without an error.

    :param codec: what :func:`codecName` returned.
    :returns: the characters that are others when they are encoded and decoded
        again.
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
    if _NOT_FOR_STREAMS.fullmatch(info.name):
        return None
    if info.incrementaldecoder is None or info.incrementalencoder is None:
        return None
    return info.name


_NEWLINES = {"cr": "\r", "crlf": "\r\n", "lf": "\n"}


class Encoder:
    """
    Encodes output: ``str``, or ``bytes`` where there is no encoding, to bytes.
    """

    def __init__(
        self,
        encoding: str | None,
        translation: str,
        eofChar: str | None,
        after: Encoder | None = None,
    ) -> None:
        """See :meth:`twisted_transfer.text.settings.TextSettings.newEncoder`."""
        self._encoding = encoding
        self._newline = _NEWLINES[translation]
        self._eofChar = eofChar
        changed = changedCharacters(encoding or "")
        self._changed = re.compile(f"[{re.escape(changed)}]") if changed else None
        self._codec = codecs.getincrementalencoder(encoding or "latin-1")()
        self._first = self._codec.getstate()
        if after is not None and after._encoding == encoding:
            self._codec.setstate(after._codec.getstate())

    def encode(self, text: str | bytes) -> bytes:
        """
        Encode some more.

        :param text: ``str``, or ``bytes`` where there is no encoding.
        :returns: the bytes to write now.
        :raises TypeError: for the other one of ``str`` and ``bytes``.
        :raises UnicodeEncodeError: for a character that the encoding lacks;
            nothing of ``text`` was encoded then.
        """
        if self._encoding is None:
            if not isinstance(text, bytes):
                raise TypeError(
                    f"this channel carries bytes, not {type(text).__name__}; encode "
                    "it, or set an encoding with configure(encoding=...)"
                )
            return text.replace(b"\n", self._newline.encode("ascii"))
        if not isinstance(text, str):
            raise TypeError(
                f"this channel carries text in {self._encoding}, not "
                f"{type(text).__name__}; decode it, or set "
                "configure(encoding='binary')"
            )
        if not text:
            return b""  # not even a byte order mark
        changed = self._changed and self._changed.search(text)
        if changed:
            reason = "it would be read as another character"
            raise UnicodeEncodeError(self._encoding, text, *changed.span(), reason)
        translated = text.replace("\n", self._newline)
        before = self._codec.getstate()
        try:
            return self._codec.encode(translated)
        except UnicodeEncodeError as error:
            self._codec.setstate(before)
            # The codec counts in the translated text, and may have kept a
            # character of an earlier one before it.
            kept = len(error.object) - len(translated)
            start, end = error.start - kept, error.end - kept
            shift = (len(self._newline) - 1) * translated.count("\n", 0, start)
            raise UnicodeEncodeError(
                self._encoding, text, start - shift, end - shift, error.reason
            ) from None

    def flush(self) -> bytes:
        """
        Bring an encoding with states back to its first one.

        :returns: the bytes to write before another encoding is used.
        """
        if self._codec.getstate() == self._first:
            return b""  # nothing was written
        return self._codec.encode("", True)

    def finish(self) -> bytes:
        """
        Encode what the output ends with.

        :returns: the bytes to write last: the end-of-file character, if one is
            set.
        """
        if self._eofChar is None:
            return self.flush()
        return self._codec.encode(self._eofChar, True)
