"""
Valid messages of a transfer with receipts, for tests.
"""

from __future__ import annotations

import itertools

from blake3 import blake3
from hypothesis import strategies as st

from twisted_transfer.receipts.messages import (
    Accept,
    Begin,
    Challenge,
    End,
    Failed,
    FailureKind,
    Finished,
    Hello,
    Message,
    Offer,
    Proof,
    Role,
    Small,
    Stored,
    Working,
)

# As the reference has it, written here once more.
SIGNATURE = (
    b"\x92\x74\x77\x69\x73\x74\x65\x64\x5f\x74\x72\x61\x6e\x73\x66\x65"
    b"\x72\x20\x72\x65\x63\x65\x69\x70\x74\x73\x0d\x0a\x1a\x0a"
)
SENDER_HELLO = (
    b"M\x00\x00\x2c\x00\x08_command\x00\x05Hello\x00\x04role\x00\x05sends"
    b"\x00\x07version\x00\x011\x00\x00"
)
RECEIVER_HELLO = (
    b"M\x00\x00\x2f\x00\x08_command\x00\x05Hello\x00\x04role\x00\x08receives"
    b"\x00\x07version\x00\x011\x00\x00"
)

numbers = st.integers(0, 2**63 - 1) | st.sampled_from([0, 1, 9, 10, 2**63 - 1])
digests = st.binary(min_size=32, max_size=32)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=256)
reasons = st.text(st.characters(codec="utf-8"), max_size=1000)

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, st.integers(0, 65535), st.sampled_from(Role)),
    st.builds(Offer, st.none() | names, st.none() | numbers),
    st.builds(Small, names, numbers, digest=digests),
    st.builds(Challenge, numbers, digests),
    st.builds(Proof, st.none() | digests),
    st.builds(Accept, numbers),
    st.builds(Begin, numbers),
    st.builds(End, numbers, digests),
    st.builds(Stored, numbers, digests),
    st.builds(Failed, st.sampled_from(FailureKind), reasons, st.none() | numbers),
    st.builds(Working),
    st.builds(Finished),
)


NONCE = bytes(range(32))


def proofOf(prefix: bytes, nonce: bytes = NONCE) -> bytes:
    """:returns: the proof of a prefix, written as in the reference."""
    context = "twisted_transfer 2026-11 receipts version 1, proof of a prefix"
    size = len(prefix).to_bytes(8, "big")
    key = blake3(nonce + size, derive_key_context=context).digest()
    return blake3(prefix, key=key).digest()


def pieces(data: bytes, places: list[int]) -> list[bytes]:
    """:returns: the data, cut at the places, which may be anywhere."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


cuts = st.lists(st.integers(0, 10_000), max_size=12)


def message(payload: bytes) -> bytes:
    """:returns: a frame of that payload, written as in the reference."""
    return b"M" + len(payload).to_bytes(3, "big") + payload


def box(*pairs: tuple[bytes, bytes]) -> bytes:
    """:returns: an AMP box of these keys and values, in this order."""
    written = b""
    for pair in pairs:
        for part in pair:
            written += len(part).to_bytes(2, "big") + part
    return written + b"\x00\x00"
