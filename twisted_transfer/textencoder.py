"""
Text to bytes, chunk by chunk, as Tcl 8.6's channels write it.

Nothing here reads or writes: chunks are fed in and chunks come out, and any way
of cutting the text gives the same bytes.  The order is Tcl's: newlines are
translated, and the result is encoded.

Everything is as in Tcl 8.6, but for these:

- A character that the encoding lacks is a ``UnicodeEncodeError``; Tcl writes
  ``?``.
- The end-of-file character is written in the encoding.  Tcl writes one byte,
  also in UTF-16, where no reader can see it (nor does Tcl itself).

The code tables are those of :mod:`twisted_transfer.encodings`.
"""

from __future__ import annotations

import codecs
import re

from twisted_transfer.encodings import changedCharacters

_NEWLINES = {"cr": "\r", "crlf": "\r\n", "lf": "\n"}


class Encoder:
    """
    Turns what the writer gives into bytes: ``str``, or ``bytes`` where there is
    no encoding.
    """

    def __init__(
        self,
        encoding: str | None,
        translation: str,
        eofChar: str | None,
        after: Encoder | None = None,
    ) -> None:
        """See :meth:`twisted_transfer.text.TextSettings.newEncoder`."""
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
            if self._newline == "\n":
                return text
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
        The output ends.

        :returns: the bytes to write last: the end-of-file character, if one is
            set.
        """
        if self._eofChar is None:
            return self.flush()
        return self._codec.encode(self._eofChar, True)
