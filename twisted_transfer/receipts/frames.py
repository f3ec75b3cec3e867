"""
The stream of a transfer with receipts: the signature, and frames.

A frame is a header of four bytes, with its kind and its length, and so many
bytes.  Data is handed on as it comes; a message, which is short, when it is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from twisted_transfer.errors import NotAReceiptPartner, PartnerProtocolError, Truncated

SIGNATURE = b"\x92twisted_transfer receipts\r\n\x1a\n"
"""What each side sends first."""

MESSAGE = ord("M")
"""The first byte of a frame that is a message."""

DATA = ord("D")
"""The first byte of a frame of data."""

HEADER_SIZE = 4
"""The bytes of a header."""

MAX_MESSAGE = 2**13
"""The most bytes of a message, without the header."""

MAX_DATA = 2**24 - 1
"""The most bytes of a frame of data, without the header."""

_SHOWN = 40
"""The most bytes of a stranger's that an error shows."""

# The part that survives a change of line ends, of the eighth bit or of the encoding.
_PLAIN = SIGNATURE[1 : SIGNATURE.index(b"\r")]


@dataclass(frozen=True)
class Data:
    """
    Some bytes of the file.

    :ivar payload: the bytes, at least one.
    """

    payload: bytes


@dataclass(frozen=True)
class DataHeader:
    """
    A frame of data begins.

    :ivar length: how many bytes it has.
    """

    length: int


def header(kind: int, length: int) -> bytes:
    """
    Write the header of a frame.

    :param kind: :data:`MESSAGE` or :data:`DATA`.
    :param length: how many bytes follow, from 1 to what that kind may have.
    :returns: the header of a frame.
    """
    return bytes((kind,)) + length.to_bytes(3, "big")


def looksLikeReceipts(first: bytes) -> bool | None:
    """
    Tell whether a partner that should send raw bytes wants receipts instead.

    :param first: the first bytes that it has sent.
    :returns: True if it wants receipts, False if it does not, and None if
        there are too few bytes to know.
    """
    if not SIGNATURE.startswith(first[: len(SIGNATURE)]):
        return False
    return True if len(first) >= len(SIGNATURE) else None


class _Part(Enum):
    """What the next bytes belong to."""

    SIGNATURE = "the signature"
    HEADER = "a header"
    MESSAGE = "a message"
    DATA = "data"


_KINDS = {MESSAGE: (_Part.MESSAGE, MAX_MESSAGE), DATA: (_Part.DATA, MAX_DATA)}


class Deframer:
    """
    Divides the partner's bytes into frames, as they come.
    """

    def __init__(self) -> None:
        self._part = _Part.SIGNATURE
        # How many bytes the part still needs, and those that have come of it,
        # unless it is data.
        self._wanted = len(SIGNATURE)
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Data | DataHeader | bytes]:
        """
        Take some bytes.

        :param data: the next bytes, of any number.
        :returns: what they complete, in order: ``bytes`` are a whole message, an
            AMP box.
        :raises NotAReceiptPartner: at the first byte that is not as in the
            signature.
        :raises PartnerProtocolError: at an invalid header.
        """
        position = 0
        while position < len(data):
            piece = data[position : position + self._wanted]
            position += len(piece)
            self._wanted -= len(piece)
            if self._part is _Part.DATA:
                yield Data(piece)
            else:
                self._held += piece
            if self._part is _Part.SIGNATURE:
                self._checkSignature(data[position : position + _SHOWN])
            elif self._part is _Part.HEADER and self._held[0] not in _KINDS:
                raise broken(f"no frame begins with the byte {self._held[0]:#04x}")
            if not self._wanted:
                yield from self._complete()

    def _checkSignature(self, rest: bytes) -> None:
        """Compare what has come of it; the rest is only shown in the error."""
        if SIGNATURE.startswith(self._held):
            return
        shown = bytes(self._held + rest)[:_SHOWN]
        if _PLAIN in shown:
            raise NotAReceiptPartner(
                "something on the way changes bytes as if they were text (the "
                f"partner's first ones came as {_asText(shown)}); use a connection "
                "that leaves them as they are"
            )
        raise NotAReceiptPartner(
            f"the partner does not use receipts (it begins with {_asText(shown)}); "
            "if it is the right one, give --raw, or let it use receipts too"
        )

    def _complete(self) -> Iterator[DataHeader | bytes]:
        """Go on to the next part."""
        part, held = self._part, bytes(self._held)
        self._held.clear()
        self._part, self._wanted = _Part.HEADER, HEADER_SIZE
        if part is _Part.MESSAGE:
            yield held
        elif part is _Part.HEADER:
            self._part, most = _KINDS[held[0]]
            self._wanted = int.from_bytes(held[1:], "big")
            if not 0 < self._wanted <= most:
                raise broken(f"a frame has {self._wanted} bytes, not 1 to {most}")
            if self._part is _Part.DATA:
                yield DataHeader(self._wanted)

    @property
    def dataLeft(self) -> int:
        """How many bytes of a frame of data have not come yet; 0 outside of one."""
        return self._wanted if self._part is _Part.DATA else 0

    def skip(self, count: int) -> None:
        """
        Go on behind some of :attr:`dataLeft`, which have come in another way.

        :param count: how many bytes.
        """
        self._wanted -= count
        if not self._wanted:
            self._part, self._wanted = _Part.HEADER, HEADER_SIZE

    def ended(self) -> None:
        """
        Note that no more bytes come.

        :raises NotAReceiptPartner: if there was no whole signature.
        :raises Truncated: if nothing has come at all.
        """
        if self._part is not _Part.SIGNATURE:
            return
        if not self._held:
            raise Truncated(
                "the partner ended the connection before it sent anything; find out "
                "there why, and try again"
            )
        raise NotAReceiptPartner(
            "the partner does not use receipts (all that it sent is "
            f"{_asText(self._held)}); if it is the right one, give --raw, or let "
            "it use receipts too"
        )


def _asText(data: bytes | bytearray) -> str:
    """:returns: bytes as they may be shown, in quotes."""
    return repr(bytes(data))[1:]


def broken(detail: str) -> PartnerProtocolError:
    """
    Make the error for a partner that breaks the protocol.

    :param detail: what the partner has done.
    :returns: the error, which says what to do.
    """
    return PartnerProtocolError(
        f"the partner breaks the protocol of receipts: {detail}; use the same "
        "version of twisted_transfer at both ends, and report it if you do"
    )
