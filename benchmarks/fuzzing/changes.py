"""
Make invalid input for a transfer with receipts from valid input.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from twisted.protocols.amp import AmpBox, parseString

from benchmarks.fuzzing.plays import plays
from twisted_transfer.receipts.frames import SIGNATURE

PLAYS = plays()
"""What true partners send."""

# What is put into messages: numbers, words and lengths at the edges of all bounds.
_VALUES = (
    *(b"0", b"1", b"5", b"300", b"-1", b"+1", b" 1", b"1 ", b"01", b"1_0", b"0x1"),
    *(b"%d" % (2**63 - 1), b"%d" % 2**63, b"9" * 19, b"9" * 4400, b"1\n"),
    *("\u0661".encode(), b"1e3", b"65535", b"65536", b"2", b"", b"\0" * 32),
    *(b"x" * 31, b"x" * 32, b"x" * 33, b"x" * 1000, b"x" * 1001, b"x" * 1024),
    *(b"x" * 1025, b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80" * 1000, b"sends"),
    *(b"receives", b"Sends", b"protocol", b"too large", b"\x1b[2J", b"x" * 5000),
)
_KEYS = (
    *(b"_command", b"version", b"role", b"name", b"size", b"offset", b"digest"),
    *(b"nonce", b"kind", b"reason", b"_ask", b"_answer", b"_error", b"x", b"k" * 255),
)
_COMMANDS = (
    *(
        b"Hello",
        b"Offer",
        b"Small",
        b"Challenge",
        b"Proof",
        b"Accept",
        b"Begin",
        b"End",
        b"Stored",
        b"Failed",
    ),
    *(b"Finished", b"hello", b"", b"\x1b[2J", b"x" * 300),
)


def _frame(rng: random.Random, payload: bytes, kind: bytes = b"M") -> bytes:
    length = len(payload)
    if rng.random() < 0.05:
        length = rng.choice((0, 1, length + 1, length - 1, 8192, 8193, 2**24 - 1))
    return kind + max(length, 0).to_bytes(3, "big") + payload


def _changeBytes(rng: random.Random, frames: list[bytes]) -> bytes:
    """Change a few bytes."""
    data = bytearray(b"".join(frames))
    for _ in range(rng.randint(1, 4)):
        # Leave the signature alone most times, or little else would be tried.
        first = 0 if rng.random() < 0.1 else min(len(SIGNATURE), len(data) - 1)
        place = rng.randrange(first, len(data))
        how = rng.randrange(5)
        if how == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[place] = rng.randrange(256)
        elif how == 2:
            data[place:place] = rng.randbytes(rng.randint(1, 9))
        elif how == 3 and len(data) > 40:
            del data[place : place + rng.randint(1, 9)]
        else:
            data[place] = rng.choice(b"\0\1\x7f\x80\xffMD")
    return bytes(data)


def _changeFrames(rng: random.Random, frames: list[bytes]) -> bytes:
    """Leave out, double or exchange frames, or insert frames of other transfers."""
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(1, len(frames)) if len(frames) > 1 else 0
        other = rng.choice(PLAYS).said
        how = rng.randrange(5)
        if how == 0 and len(frames) > 1:
            del frames[place]
        elif how == 1:
            frames.insert(place, frames[place])
        elif how == 2:
            second = rng.randrange(1, len(frames)) if len(frames) > 1 else 0
            frames[place], frames[second] = frames[second], frames[place]
        elif how == 3:
            frames.insert(place + 1, rng.choice(other[1:]))
        else:
            data = rng.randbytes(rng.choice((1, 2, 5, 200)))
            frames.insert(place + 1, _frame(rng, data, b"D"))
    return b"".join(frames)


def _changeMessage(rng: random.Random, frames: list[bytes]) -> bytes:
    """Change the values in a message."""
    places = [i for i, frame in enumerate(frames) if frame[:1] == b"M"]
    if not places:
        return b"".join(frames)
    place = rng.choice(places)
    box: AmpBox = parseString(frames[place][4:])[0]
    for _ in range(rng.randint(1, 2)):
        key = rng.choice([*box, rng.choice(_KEYS)])
        how = rng.randrange(4)
        if how == 0:
            box.pop(key, None)
        elif how == 1 and key == b"_command":
            box[key] = rng.choice(_COMMANDS)
        else:
            box[key] = rng.choice(_VALUES)
    payload: bytes = box.serialize()
    if rng.random() < 0.1:
        payload = rng.choice((payload[:-2] * 2 + b"\0\0", payload * 2, payload[:-1]))
    frames[place] = _frame(rng, payload)
    return b"".join(frames)


def _cutOff(rng: random.Random, frames: list[bytes]) -> bytes:
    """End too early."""
    data = b"".join(frames)
    return data[: rng.randrange(len(data))]


def _leave(rng: random.Random, frames: list[bytes]) -> bytes:
    """Change nothing."""
    return b"".join(frames)


def _randomBytes(rng: random.Random, frames: list[bytes]) -> bytes:
    """Make random bytes, after a valid beginning or none."""
    beginning = b"".join(frames[: rng.randint(0, len(frames))])
    kind = rng.choice((b"", b"", b"M", b"D", b"M\0\0", b"D\0\0", b"M\0\x20\0"))
    return beginning + kind + rng.randbytes(rng.choice((1, 9, 80, 700, 9000)))


_Change = Callable[[random.Random, "list[bytes]"], bytes]
CHANGES: Sequence[_Change] = (
    *(_changeBytes, _changeBytes, _changeFrames, _changeFrames),
    *(_changeMessage, _changeMessage, _changeMessage),
    *(_cutOff, _leave, _randomBytes),
)


def cut(rng: random.Random, data: bytes) -> list[bytes]:
    """Cut the input, as a network does."""
    most = rng.choice((1, 9, 60, 60, 200, 200, 2**16, 2**16, 2**16, 2**16))
    if most < 10 and len(data) > 300:
        most = 100
    pieces = []
    while data:
        length = rng.randint(1, most) if most < 2**16 else most
        pieces.append(data[:length])
        data = data[length:]
    return pieces


def cutFrames(rng: random.Random, data: bytes) -> list[bytes]:
    """
    Cut the input, but never join frames.

    Frames that come together are read together, before a side can answer the
    first one; and most of what a partner sends is an answer to an answer.
    """
    pieces = []
    length = len(SIGNATURE)
    while data:
        pieces += cut(rng, data[:length])
        data = data[length:]
        length = 4 + int.from_bytes(data[1:4], "big")
    return pieces
