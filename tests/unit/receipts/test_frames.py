"""Tests for :mod:`twisted_transfer.receipts.frames`."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.receiptcases import SIGNATURE, cuts, pieces
from twisted_transfer.errors import NotAReceiptPartner, PartnerProtocolError, Truncated
from twisted_transfer.receipts import frames as receiptwire
from twisted_transfer.receipts.frames import (
    Data,
    DataHeader,
    Deframer,
    header,
    looksLikeReceipts,
)

_STRANGERS = (
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"\x89PNG\r\n\x1a\n",
    b"\x1f\x8b\x08\x00",
    b"\x7fELF",
    b"\x00",
    b"\xef\xbb\xbftext",
)


def _signed() -> Deframer:
    """One that has got the signature."""
    deframer = Deframer()
    assert list(deframer.feed(SIGNATURE)) == []
    return deframer


class SignatureTests(SynchronousTestCase):
    """What each side sends first."""

    def test_bytes(self) -> None:
        """It is as it is documented."""
        self.assertEqual(receiptwire.SIGNATURE, SIGNATURE)
        self.assertEqual(len(SIGNATURE), 30)

    def test_notText(self) -> None:
        """No text begins so, in ASCII or in UTF-8; and it shows damage to text."""
        self.assertRaises(UnicodeDecodeError, SIGNATURE[:1].decode, "utf-8")
        self.assertGreater(SIGNATURE[0], 0x7F)
        self.assertTrue(SIGNATURE.endswith(b"\r\n\x1a\n"))
        self.assertIn(b"twisted_transfer", SIGNATURE)

    def test_firstWrongByte(self) -> None:
        """A stranger is known at the first byte that is wrong, wherever it is."""
        for place in range(len(SIGNATURE)):
            for wrong in (b"\x00", b"x", b"\xff"):
                deframer = Deframer()
                self.assertEqual(list(deframer.feed(SIGNATURE[:place])), [])
                with self.assertRaises(NotAReceiptPartner):
                    list(deframer.feed(wrong))

    def test_strangers(self) -> None:
        """What other programs say first is not waited for to the end."""
        for said in _STRANGERS:
            with self.assertRaises(NotAReceiptPartner) as caught:
                list(Deframer().feed(said))
            self.assertIn(repr(said[:40])[1:-1], str(caught.exception))
            self.assertIn("--raw", str(caught.exception))

    def test_shown(self) -> None:
        """Nothing that a stranger sends gets to the terminal, and not much of it."""
        with self.assertRaises(NotAReceiptPartner) as caught:
            list(Deframer().feed(b"\x1b[2J\x07\xff\x9b" * 1000))
        said = str(caught.exception)
        self.assertTrue(said.isascii() and said.isprintable(), said)
        self.assertIn(repr((b"\x1b[2J\x07\xff\x9b" * 9)[:40])[1:], said)

    def test_damage(self) -> None:
        """Where bytes are changed as if they were text, the error says so."""
        for damaged in (
            SIGNATURE.replace(b"\r\n", b"\n"),
            SIGNATURE.replace(b"\n", b"\r\n"),
            SIGNATURE.replace(b"\x1a", b""),
            SIGNATURE.replace(b"\x92", b"\x12"),
            SIGNATURE.decode("latin-1").encode("utf-8"),
            SIGNATURE.decode("utf-8", "replace").encode("utf-8"),
        ):
            with self.assertRaises(NotAReceiptPartner) as caught:
                list(Deframer().feed(damaged))
            self.assertIn("as if they were text", str(caught.exception))

    def test_end(self) -> None:
        """An end within the signature is no partner; an end before it is one."""
        for length in range(1, len(SIGNATURE)):
            deframer = Deframer()
            list(deframer.feed(SIGNATURE[:length]))
            self.assertRaises(NotAReceiptPartner, deframer.ended)
        self.assertRaises(Truncated, Deframer().ended)
        _signed().ended()


class LooksLikeReceiptsTests(SynchronousTestCase):
    """The other way round: who expects raw bytes."""

    def test_partner(self) -> None:
        """A partner that wants receipts is known by the whole signature."""
        for length in range(len(SIGNATURE)):
            self.assertIsNone(looksLikeReceipts(SIGNATURE[:length]))
        self.assertIs(looksLikeReceipts(SIGNATURE), True)
        self.assertIs(looksLikeReceipts(SIGNATURE + b"M\0\0"), True)

    def test_raw(self) -> None:
        """Everything else is known at its first wrong byte."""
        for said in _STRANGERS:
            self.assertIs(looksLikeReceipts(said), False)
        for place in range(len(SIGNATURE)):
            self.assertIs(looksLikeReceipts(SIGNATURE[:place] + b"\xfe"), False)


class FrameTests(SynchronousTestCase):
    """Headers, and what is behind them."""

    def test_header(self) -> None:
        """It is the kind, and the length in three bytes."""
        self.assertEqual(header(receiptwire.MESSAGE, 1), b"M\x00\x00\x01")
        self.assertEqual(header(receiptwire.MESSAGE, 8192), b"M\x00\x20\x00")
        self.assertEqual(header(receiptwire.DATA, 0x010203), b"D\x01\x02\x03")
        self.assertEqual(header(receiptwire.DATA, 2**24 - 1), b"D\xff\xff\xff")

    def test_frames(self) -> None:
        """Messages come whole, and data as it comes."""
        deframer = _signed()
        self.assertEqual(
            list(deframer.feed(b"M\x00\x00\x03abcD\x00\x00\x05hel")),
            [b"abc", DataHeader(5), Data(b"hel")],
        )
        self.assertEqual(
            list(deframer.feed(b"loM\x00\x00\x01xM\x00")), [Data(b"lo"), b"x"]
        )
        self.assertEqual(list(deframer.feed(b"\x00\x01y")), [b"y"])

    @given(
        st.lists(
            st.tuples(st.booleans(), st.binary(min_size=1, max_size=300)), max_size=9
        ),
        cuts,
    )
    def test_cutting(self, frames: list[tuple[bool, bytes]], places: list[int]) -> None:
        """Any cutting gives the same messages, and the same data."""
        stream = SIGNATURE
        wanted: list[object] = []
        for isData, payload in frames:
            length = len(payload).to_bytes(3, "big")
            stream += (b"D" if isData else b"M") + length + payload
            wanted += (
                [DataHeader(len(payload)), *(bytes((byte,)) for byte in payload)]
                if isData
                else [payload]
            )
        deframer = Deframer()
        found: list[object] = []
        for piece in pieces(stream, places):
            for unit in deframer.feed(piece):
                found += (
                    [bytes((byte,)) for byte in unit.payload]
                    if isinstance(unit, Data)
                    else [unit]
                )
        self.assertEqual(found, wanted)
        self.assertEqual(list(deframer.feed(b"M\0\0\1x")), [b"x"])

    def test_skip(self) -> None:
        """Bytes of a frame of data may come in another way, up to its end."""
        deframer = Deframer()
        self.assertEqual(deframer.dataLeft, 0)
        header = receiptwire.header(receiptwire.DATA, 10)
        list(deframer.feed(SIGNATURE + header + b"12"))
        self.assertEqual(deframer.dataLeft, 8)
        deframer.skip(5)
        self.assertEqual(list(deframer.feed(b"8")), [Data(b"8")])
        deframer.skip(2)
        self.assertEqual(deframer.dataLeft, 0)
        message = receiptwire.header(receiptwire.MESSAGE, 1) + b"x"
        self.assertEqual(list(deframer.feed(message)), [b"x"])

    def test_kind(self) -> None:
        """A frame of another kind is refused at its first byte."""
        for kind in set(range(256)) - set(b"MD"):
            with self.assertRaises(PartnerProtocolError) as caught:
                list(_signed().feed(bytes((kind,))))
            self.assertIn(f"{kind:#04x}", str(caught.exception))

    def test_length(self) -> None:
        """A length that cannot be is refused before anything of it comes."""
        for wrong in (b"M\0\0\0", b"D\0\0\0", b"M\0\x20\x01", b"M\xff\xff\xff"):
            deframer = _signed()
            self.assertEqual(list(deframer.feed(wrong[:3])), [])
            self.assertRaises(PartnerProtocolError, list, deframer.feed(wrong[3:]))

    def test_longest(self) -> None:
        """The longest message and the longest data are taken."""
        (box,) = _signed().feed(b"M\x00\x20\x00" + b"x" * 8192)
        self.assertEqual(box, b"x" * 8192)
        first, second = _signed().feed(b"D\xff\xff\xff" + b"x" * 9)
        self.assertEqual((first, second), (DataHeader(2**24 - 1), Data(b"x" * 9)))

    def test_memory(self) -> None:
        """Data is not kept, and of a message no more than its bound."""
        deframer = _signed()
        chunk = bytes(2**16)
        tracemalloc.start()
        try:
            for _ in range(3):
                list(deframer.feed(b"D\xff\xff\xff"))
                for _ in range(255):
                    list(deframer.feed(chunk))
                list(deframer.feed(chunk[:-1]))
            list(deframer.feed(b"M\x00\x20\x00"))
            for _ in range(8191):
                list(deframer.feed(b"x"))
            self.assertLess(tracemalloc.get_traced_memory()[1], 300_000)
        finally:
            tracemalloc.stop()
