"""
Transfers with receipts, as a stream of bytes: the signature and the frames.

A frame is a header of four bytes, which tells its kind and its length, and so
many bytes.  Those of data are given on as they come; those of a message are
collected first, and are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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

# The most bytes of a stranger's that an error shows.
_SHOWN = 40
# What no change of line ends, of the eighth bit or of the encoding touches.
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


@dataclass(frozen=True)
class Box:
    """
    A message has come whole.

    :ivar payload: its bytes.
    """

    payload: bytes


def header(kind: int, length: int) -> bytes:
    """
    :param kind: :data:`MESSAGE` or :data:`DATA`.
    :param length: how many bytes follow, from 1 to what that kind may have.
    :returns: the header of a frame.
    """
    assert 0 < length <= (MAX_MESSAGE if kind == MESSAGE else MAX_DATA)
    return bytes((kind,)) + length.to_bytes(3, "big")


def looksLikeReceipts(first: bytes) -> bool | None:
    """
    Tell what a partner is that was expected to send the bytes of a file alone.

    :param first: the first bytes that it has sent.
    :returns: True if it wants receipts, False if it does not, and None if
        there are too few bytes to know.
    """
    if not SIGNATURE.startswith(first[: len(SIGNATURE)]):
        return False
    return True if len(first) >= len(SIGNATURE) else None


class Deframer:
    """
    Takes the partner's bytes apart, as they come.

    :ivar dataLeft: how many bytes of the present frame of data are still to
        come.
    """

    def __init__(self) -> None:
        self.dataLeft = 0
        self._signed = False
        # What has come of the signature, of a header or of a message, and how
        # many bytes of it are wanted.
        self._held = bytearray()
        self._wanted = len(SIGNATURE)
        self._inMessage = False

    @property
    def held(self) -> int:
        """How many bytes are kept until more come."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[Data | DataHeader | Box]:
        """
        :param data: the next bytes, of any number.
        :returns: what they are, as far as it can be told.
        :raises NotAReceiptPartner: at the first byte that is not as in the
            signature.
        :raises PartnerProtocolError: at a header that cannot be.
        """
        position = 0
        while position < len(data):
            if self.dataLeft:
                piece = data[position : position + self.dataLeft]
                position += len(piece)
                self.dataLeft -= len(piece)
                yield Data(piece)
                continue
            wanted = position + self._wanted - len(self._held)
            self._held += data[position:wanted]
            if not self._signed:
                self._checkSignature(data[wanted : wanted + _SHOWN])
            elif not self._inMessage:
                self._checkKind()
            position = wanted
            if len(self._held) == self._wanted:
                yield from self._complete()

    def _checkSignature(self, rest: bytes) -> None:
        """See whether what has come of it is right; the rest helps to say so."""
        if SIGNATURE.startswith(self._held):
            return
        shown = bytes(self._held + rest)[:_SHOWN]
        if _PLAIN in shown:
            raise NotAReceiptPartner(
                "something on the way changes bytes as if they were text (the "
                f"partner's first ones came as {shown!r}); use a connection that "
                "leaves them as they are"
            )
        raise NotAReceiptPartner(
            f"the partner does not use receipts (what it sent begins with {shown!r}); "
            "if it is the right one, give --raw, or let it use receipts too"
        )

    def _checkKind(self) -> None:
        if self._held[0] not in (MESSAGE, DATA):
            raise broken(f"no frame begins with the byte {self._held[0]:#04x}")

    def _complete(self) -> Iterator[DataHeader | Box]:
        """What was wanted is there."""
        held = bytes(self._held)
        self._held.clear()
        self._wanted = HEADER_SIZE
        if not self._signed:
            self._signed = True
        elif self._inMessage:
            self._inMessage = False
            yield Box(held)
        else:
            length = int.from_bytes(held[1:], "big")
            most = MAX_MESSAGE if held[0] == MESSAGE else MAX_DATA
            if not 0 < length <= most:
                raise broken(f"a frame has {length} bytes, not 1 to {most}")
            if held[0] == MESSAGE:
                self._inMessage = True
                self._wanted = length
            else:
                self.dataLeft = length
                yield DataHeader(length)

    def ended(self) -> None:
        """
        There will be no more bytes.

        :raises NotAReceiptPartner: if there was no whole signature.
        :raises Truncated: if nothing has come at all.
        """
        if self._signed:
            return
        if not self._held:
            raise Truncated(
                "the partner ended the connection before it sent anything; find out "
                "there why, and try again"
            )
        raise NotAReceiptPartner(
            "the partner does not use receipts (all that it sent is "
            f"{bytes(self._held)!r}); if it is the right one, give --raw, or let it "
            "use receipts too"
        )


def broken(detail: str) -> PartnerProtocolError:
    """
    :param detail: what the partner has done.
    :returns: the error that says so, and what to do.
    """
    return PartnerProtocolError(
        f"the partner breaks the protocol of receipts: {detail}; use the same "
        "version of twisted_transfer at both ends, and report it if you do"
    )
