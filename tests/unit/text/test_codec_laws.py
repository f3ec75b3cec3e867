"""
Tests for :mod:`twisted_transfer.text.codec`: what holds for every input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.textcases import (
    STATELESS,
    asText,
    codecs,
    cut,
    decoderOf,
    eofChars,
    inputs,
    inputTranslations,
    places,
    settingsOf,
    texts,
    writable,
)
from twisted_transfer.errors import Undecodable
from twisted_transfer.text.codec import Decoder
from twisted_transfer.text.settings import TextSettings


@dataclass
class _Outcome:
    """What came of an input."""

    given: str
    error: tuple[object, ...] | None
    ended: bool
    left: bytes  # what nothing came of, taken in or not


def _outcome(decoder: Decoder, *pieces: bytes, given: str = "") -> _Outcome:
    """Feed the pieces, and then say that it was all."""
    rest = list(pieces)
    error: tuple[object, ...] | None = None
    try:
        while rest:
            given += asText(decoder.feed(rest[0]))
            del rest[0]
        given += asText(decoder.finish())
    except Undecodable as failure:
        error = failure.args
    return _Outcome(given, error, decoder.ended, decoder.pending() + b"".join(rest))


_CASES = st.tuples(inputTranslations, codecs | st.just(""), eofChars).flatmap(
    lambda case: st.tuples(
        st.just(settingsOf(*case)), inputs(case[1] or "latin-1"), places
    )
)


class LawsTests(SynchronousTestCase):
    """What holds for every input by every setting."""

    @given(_CASES)
    def test_cutting(self, case: tuple[TextSettings, bytes, list[int]]) -> None:
        """
        Any cutting of any input gives the same output, and then the same error
        with the same offset, or the same end.
        """
        settings, raw, cuts = case
        whole = _outcome(settings.newDecoder(), raw)
        self.assertEqual(_outcome(settings.newDecoder(), *cut(raw, cuts)), whole)
        every = list(range(len(raw)))
        self.assertEqual(_outcome(settings.newDecoder(), *cut(raw, every)), whole)

    @given(_CASES)
    def test_copy(self, case: tuple[TextSettings, bytes, list[int]]) -> None:
        """
        A copy goes on as the decoder would have, whatever the other is fed.
        """
        settings, raw, cuts = case
        whole = _outcome(settings.newDecoder(), raw)
        first, *rest = cut(raw, cuts) or [b""]
        decoder = settings.newDecoder()
        given = asText(decoder.feed(first))
        copy = decoder.copy()
        _outcome(decoder.copy(), b"\x81\x1b$B\r\x1a")
        self.assertEqual(_outcome(decoder, *rest, given=given), whole)
        self.assertEqual(_outcome(copy, *rest, given=given), whole)

    @given(_CASES)
    def test_pending(self, case: tuple[TextSettings, bytes, list[int]]) -> None:
        """
        A new decoder that comes after another, and is fed first what that had
        pending, makes no difference.
        """
        settings, raw, cuts = case
        first, *rest = cut(raw, cuts) or [b""]
        decoder = settings.newDecoder()
        given = asText(decoder.feed(first))
        new = settings.newDecoder(decoder)
        self.assertEqual(
            _outcome(new, decoder.pending(), *rest, given=given),
            _outcome(settings.newDecoder(), raw),
        )

    @given(_CASES)
    def test_pendingAlone(self, case: tuple[TextSettings, bytes, list[int]]) -> None:
        """
        Where there is no state behind the bytes that are pending, these are all
        that a new decoder needs; it counts from the first of them.
        """
        settings, raw, cuts = case
        if settings.encoding not in (None, *STATELESS):
            settings = settings.replaced(encoding="utf-8")
        if settings.inputTranslation == "auto":
            settings = settings.replaced(translation="crlf")
        first, *rest = cut(raw, cuts) or [b""]
        decoder = settings.newDecoder()
        given = asText(decoder.feed(first))
        pending = decoder.pending()
        ours = _outcome(settings.newDecoder(), pending, *rest, given=given)
        whole = _outcome(settings.newDecoder(), raw)
        if whole.error is not None:
            name, offset, detail = whole.error
            assert isinstance(offset, int)
            whole.error = (name, offset - (len(first) - len(pending)), detail)
        self.assertEqual(ours, whole)

    @given(_CASES, st.data())
    def test_advanced(
        self, case: tuple[TextSettings, bytes, list[int]], data: st.DataObject
    ) -> None:
        """
        A decoder can be advanced by any part of what a feed would give, and
        what comes after makes it the same as before; the one that was asked
        does not move.
        """
        settings, raw, cuts = case
        whole = _outcome(settings.newDecoder(), raw)
        first, second, *rest = [*cut(raw, cuts), b"", b""]
        decoder = settings.newDecoder()
        given = asText(decoder.feed(first))
        try:
            come = asText(decoder.copy().feed(second))
        except Undecodable:
            come = ""
        count = data.draw(st.integers(0, len(come)))
        advanced = decoder.advanced(second, count)
        new = settings.newDecoder(advanced)
        ours = _outcome(new, advanced.pending(), *rest, given=given + come[:count])
        self.assertEqual(ours, whole)
        self.assertTrue((decoder.pending() + second).endswith(advanced.pending()))
        self.assertEqual(_outcome(decoder, second, *rest, given=given), whole)

    @given(texts, codecs, inputTranslations, eofChars)
    def test_meaning(
        self, text: str, codec: str, translation: str, eofChar: str
    ) -> None:
        """
        Valid input is decoded, ends before the end-of-file character, and then
        has its newlines translated.
        """
        text = writable(text, codec)
        raw = text.encode(codec, "ignore")
        text = raw.decode(codec)
        if eofChar:
            # A LF that is half of a newline does not end the input.
            alone = "(?<!\r)\n" if translation == "crlf" else "\n"
            search = alone if eofChar == "\n" else re.escape(eofChar)
            text = re.split(search, text, maxsplit=1)[0]
        newline = {"auto": "\r\n?", "cr": "\r", "crlf": "\r\n", "lf": "\n"}[translation]
        expected = re.sub(newline, "\n", text)
        self.assertEqual(
            _outcome(decoderOf(translation, codec, eofChar), raw).given, expected
        )

    @given(st.data(), st.sampled_from(STATELESS))
    def test_offset(self, data: st.DataObject, codec: str) -> None:
        """
        The error of invalid input names the first bad byte, and everything
        before it was given.
        """
        raw = data.draw(inputs(codec))
        try:
            expected = _Outcome(raw.decode(codec), None, False, b"")
        except UnicodeDecodeError as error:
            good = raw[: error.start]
            expected = _Outcome(
                good.decode(codec),
                (codec, error.start, error.reason),
                False,
                raw[error.start :],
            )
        self.assertEqual(_outcome(decoderOf("lf", codec), raw), expected)
