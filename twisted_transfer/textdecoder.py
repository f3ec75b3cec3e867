"""
Bytes to text, chunk by chunk, as Tcl 8.6's channels read it.

Nothing here reads or writes: chunks are fed in and chunks come out, and any way
of cutting the input gives the same output.  The order is Tcl's: the input is
decoded, searched for the end-of-file character, and then its newlines are
translated.

For input that is valid everything is as in Tcl 8.6, but for these:

- Bytes that are not valid in the encoding are
  :class:`~twisted_transfer.errors.Undecodable`; Tcl passes them through.
- A LF behind the CR that ``auto`` took for a newline belongs to that newline
  also if the settings are changed between the two.  In Tcl this depends on
  whether both had come, and ``gets`` has taken it and ``read`` has not.

The code tables are those of :mod:`twisted_transfer.encodings`.
"""

from __future__ import annotations

import codecs
import copy

from twisted_transfer.errors import Undecodable

_ILLEGAL = "illegal multibyte sequence"


class Decoder:
    """
    Turns the bytes that come into what the reader gets: ``str``, or ``bytes``
    where there is no encoding.

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
        """See :meth:`twisted_transfer.text.TextSettings.newDecoder`."""
        self.ended = False
        self._encoding = encoding
        self._translation = translation
        self._eofChar = eofChar
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
        """:returns: an independent decoder in the same state."""
        return copy.copy(self)

    def pending(self) -> bytes:
        """
        :returns: the bytes that were taken in and that nothing came out for:
            part of a character, a CR that may begin a CRLF, and, from there
            on, everything behind an end-of-file character or an invalid byte.
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
        if self._untouched:
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
        The input has ended.

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
        Decode only so much.

        :param data: the next bytes.
        :param count: how many characters (bytes, where there is no encoding) of
            what ``feed(data)`` would return.
        :returns: a decoder that gave out these and has everything else of
            ``data`` in :meth:`pending`.  This one is left as it is.
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

    @property
    def _untouched(self) -> bool:
        """Whether everything goes through as it is."""
        if self._encoding is not None or self._eofChar is not None:
            return False
        return self._translation == "lf" and not self._sawCR

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

    # These leave the codec where the bytes end that they tell of.

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
        """So many bytes were given out, and the codec is there."""
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
