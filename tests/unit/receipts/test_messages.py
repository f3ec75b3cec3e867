"""Tests for :mod:`twisted_transfer.receipts.messages`, and for what is said of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase

from tests.support.receiptcases import box, messages
from twisted_transfer.errors import PartnerFailed, TransferError
from twisted_transfer.receipts.messages import (
    Accept,
    BadMessage,
    Begin,
    Challenge,
    Delivered,
    End,
    Failed,
    FailureKind,
    Finished,
    Hello,
    Message,
    Offer,
    Proof,
    Role,
    Stored,
    Working,
    decode,
    encode,
)


class FailedTests(SynchronousTestCase):
    """A failure that is told."""

    @given(st.sampled_from(FailureKind), st.text(max_size=3000))
    def test_because(self, kind: FailureKind, reason: str) -> None:
        """Whatever the words are, they can be sent."""
        failed = Failed.because(kind, reason)
        self.assertEqual(decode(encode(failed)), failed)

    def test_words(self) -> None:
        """An error's words are sent, and not more of them than may be."""
        error = OSError(28, "No space left")
        self.assertEqual(
            Failed.because(FailureKind.STORING, error).reason,
            "[Errno 28] No space left",
        )
        long = Failed.because(FailureKind.SOURCE, "x" * 1001).reason
        self.assertEqual(long, "x" * 999 + "…")
        self.assertEqual(
            Failed.because(FailureKind.SOURCE, "a\n\udcff").reason, "a\\n\\udcff"
        )


class PartnerFailedTests(SynchronousTestCase):
    """The error at the other end."""

    def test_words(self) -> None:
        """It says the kind, the reason, and what to do."""
        error = PartnerFailed("storing", "disk full")
        self.assertIsInstance(error, TransferError)
        self.assertEqual((error.kind, error.reason), ("storing", "disk full"))
        self.assertEqual(
            str(error),
            "the partner has failed (storing): disk full; find out there why, "
            "and send it again",
        )
        self.assertEqual(
            str(PartnerFailed("cancelled", "")),
            "the partner has failed (cancelled); agree with the partner, and try again",
        )

    def test_advice(self) -> None:
        """There is another advice for each kind."""
        advice = {
            str(PartnerFailed(kind.value, "")).split(";")[1] for kind in FailureKind
        }
        self.assertEqual(len(advice), len(FailureKind))


_DIGEST = bytes(range(100, 132))

# Each message, and its bytes as the reference describes them.
_WRITTEN: list[tuple[Message, bytes]] = [
    (
        Hello(1, Role.SENDS),
        b"\0\x08_command\0\x05Hello\0\x04role\0\x05sends\0\x07version\0\x011\0\0",
    ),
    (
        Hello(65535, Role.RECEIVES),
        b"\0\x08_command\0\x05Hello\0\x04role\0\x08receives\0\x07version\0\x0565535\0\0",
    ),
    (
        Offer("caf\u00e9", 2**63 - 1),
        b"\0\x08_command\0\x05Offer\0\x04name\0\x05caf\xc3\xa9"
        b"\0\x04size\0\x139223372036854775807\0\0",
    ),
    (Offer(None, 0), b"\0\x08_command\0\x05Offer\0\x04size\0\x010\0\0"),
    (Offer("a", None), b"\0\x08_command\0\x05Offer\0\x04name\0\x01a\0\0"),
    (Offer(), b"\0\x08_command\0\x05Offer\0\0"),
    (
        Offer(None, None, 10**18, True),
        b"\0\x08_command\0\x05Offer\0\x0aexecutable\0\x04True"
        b"\0\x08modified\0\x131000000000000000000\0\0",
    ),
    (
        Offer(executable=False),
        b"\0\x08_command\0\x05Offer\0\x0aexecutable\0\x05False\0\0",
    ),
    (Accept(), b"\0\x08_command\0\x06Accept\0\x06offset\0\x010\0\0"),
    (Accept(300), b"\0\x08_command\0\x06Accept\0\x06offset\0\x03300\0\0"),
    (
        Challenge(300, _DIGEST),
        b"\0\x08_command\0\x09Challenge\0\x05nonce\0\x20" + _DIGEST + b"\0\x06offset"
        b"\0\x03300\0\0",
    ),
    (Proof(), b"\0\x08_command\0\x05Proof\0\0"),
    (
        Proof(_DIGEST),
        b"\0\x08_command\0\x05Proof\0\x06digest\0\x20" + _DIGEST + b"\0\0",
    ),
    (Begin(300), b"\0\x08_command\0\x05Begin\0\x06offset\0\x03300\0\0"),
    (
        End(5, _DIGEST),
        b"\0\x08_command\0\x03End\0\x06digest\0\x20"
        + _DIGEST
        + b"\0\x04size\0\x015\0\0",
    ),
    (
        Stored(5, _DIGEST),
        b"\0\x08_command\0\x06Stored\0\x06digest\0\x20"
        + _DIGEST
        + b"\0\x04size\0\x015\0\0",
    ),
    (
        Delivered(5, _DIGEST),
        b"\0\x08_command\0\x09Delivered\0\x06digest\0\x20"
        + _DIGEST
        + b"\0\x04size\0\x015\0\0",
    ),
    (
        Failed(FailureKind.TOO_LARGE, "5 > 4"),
        b"\0\x08_command\0\x06Failed\0\x04kind\0\x09too-large"
        b"\0\x06reason\0\x055 > 4\0\0",
    ),
    (
        Failed(FailureKind.CANCELLED),
        b"\0\x08_command\0\x06Failed\0\x04kind\0\x09cancelled\0\x06reason\0\0\0\0",
    ),
    (Working(), b"\0\x08_command\0\x07Working\0\0"),
    (Finished(), b"\0\x08_command\0\x08Finished\0\0"),
]

# What each message needs, and what it may have as well.
_KEYS: dict[bytes, tuple[dict[bytes, bytes], dict[bytes, bytes]]] = {
    b"Hello": ({b"version": b"1", b"role": b"sends"}, {}),
    b"Offer": ({}, {b"name": b"a", b"size": b"5"}),
    b"Challenge": ({b"offset": b"5", b"nonce": _DIGEST}, {}),
    b"Proof": ({}, {b"digest": _DIGEST}),
    b"Accept": ({b"offset": b"5"}, {}),
    b"Begin": ({b"offset": b"5"}, {}),
    b"End": ({b"size": b"5", b"digest": _DIGEST}, {}),
    b"Stored": ({b"size": b"5", b"digest": _DIGEST}, {}),
    b"Failed": ({b"kind": b"refused", b"reason": b"no"}, {}),
    b"Working": ({}, {}),
    b"Finished": ({}, {}),
}

# What may not stand in a value.
_WRONG: dict[bytes, list[bytes]] = {
    b"version": [
        *(b"", b"-1", b"+1", b" 1", b"1 ", b"1\n", b"01", b"00", b"1_0", b"1.0"),
        *(b"1e2", b"0x1", b"one", b"\xb2", "\u0661".encode(), b"65536", b"9" * 5000),
    ],
    b"role": [b"", b"send", b"Sends", b"SENDS", b"sends\n", b"sends ", b"refused"],
    b"name": [b"", b"x" * 1025, b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf"],
    b"size": [b"", b"-1", b"+1", b"9223372036854775808", b"1" * 20, b"5 ", b"05"],
    b"offset": [b"", b"-1", b"+1", b"9223372036854775808", b"1" * 20, b"5 ", b"05"],
    b"digest": [b"", _DIGEST[1:], _DIGEST + b"x", _DIGEST.hex().encode()],
    b"nonce": [b"", _DIGEST[1:], _DIGEST + b"x", _DIGEST.hex().encode()],
    b"kind": [b"", b"too large", b"Refused", b"unknown"],
    b"reason": [b"x" * 1001, b"\xff", "\u00e4".encode() * 1001],
}


class WrittenTests(SynchronousTestCase):
    """Each message, byte by byte."""

    def test_encode(self) -> None:
        """Each message is written as it is documented."""
        for message, written in _WRITTEN:
            self.assertEqual(encode(message), written)

    def test_decode(self) -> None:
        """And read back."""
        for message, written in _WRITTEN:
            self.assertEqual(decode(written), message)

    @given(messages)
    def test_roundTrip(self, message: Message) -> None:
        """Every message comes back as it was, within the bound of a message."""
        payload = encode(message)
        self.assertEqual(decode(payload), message)
        self.assertLessEqual(len(payload), 8192)

    @given(messages)
    def test_amp(self, message: Message) -> None:
        """What is written is one box of AMP."""
        (found,) = amp.parseString(encode(message))
        self.assertEqual(found[b"_command"], type(message).__name__.encode())

    def test_largest(self) -> None:
        """The longest message of all fits."""
        payload = encode(Failed(FailureKind.TOO_LARGE, "\U0001f600" * 1000))
        self.assertLessEqual(len(payload), 8192)
        payload = encode(Offer("x" * 1024, 2**63 - 1))
        self.assertLessEqual(len(payload), 8192)

    def test_order(self) -> None:
        """The keys may come in any order."""
        self.assertEqual(
            decode(box((b"size", b"5"), (b"_command", b"Offer"), (b"name", b"a"))),
            Offer("a", 5),
        )


class RefusedTests(SynchronousTestCase):
    """What is no message."""

    def refused(self, payload: bytes) -> str:
        """:returns: what is wrong with it, fit to be shown."""
        error = self.assertRaises(BadMessage, decode, payload)
        words = str(error)
        self.assertTrue(words.isprintable(), words)
        self.assertLess(len(words), 300)
        return words

    def made(self, command: bytes, keys: dict[bytes, bytes]) -> bytes:
        """:returns: a box."""
        return box((b"_command", command), *keys.items())

    def test_good(self) -> None:
        """What the other tests change is good as it is."""
        for command, (needed, more) in _KEYS.items():
            decode(self.made(command, needed))
            decode(self.made(command, needed | more))

    def test_missing(self) -> None:
        """Each key that is needed is missed."""
        for command, (needed, _) in _KEYS.items():
            for key in needed:
                rest = {k: v for k, v in needed.items() if k != key}
                words = self.refused(self.made(command, rest))
                self.assertIn(
                    f"in {command.decode()}, {key.decode()} is missing", words
                )

    def test_values(self) -> None:
        """Each value that is wrong is refused, and named."""
        seen = set()
        for command, (needed, more) in _KEYS.items():
            for key in needed | more:
                for wrong in _WRONG[key]:
                    keys = needed | more | {key: wrong}
                    words = self.refused(self.made(command, keys))
                    self.assertIn(f"in {command.decode()}, {key.decode()} ", words)
                    seen.add(key)
        self.assertEqual(seen, set(_WRONG))

    def test_unknownKey(self) -> None:
        """A key that a message has not is refused; Hello may have more."""
        for command, (needed, _) in _KEYS.items():
            for more in (b"x", b"_ask", b"_answer", b"Size", b"\x1b[2J" * 60):
                made = self.made(command, needed | {more: b"1"})
                if command == b"Hello":
                    self.assertEqual(decode(made), Hello(1, Role.SENDS))
                else:
                    words = self.refused(made)
                    self.assertIn(
                        f"{command.decode()} has no {repr(more[:40])[1:]}", words
                    )

    def test_unknownMessage(self) -> None:
        """A message that there is not is refused."""
        for command in (b"", b"hello", b"Data", b"\x1b[2J", b"x" * 8000, b"\xff"):
            words = self.refused(self.made(command, {}))
            self.assertIn(f"none of the messages: {repr(command[:40])[1:]}", words)
        self.assertIn("none of the messages: ''", self.refused(box((b"size", b"5"))))
        self.assertIn("none of the messages: ''", self.refused(b"\0\0"))

    def test_twice(self) -> None:
        """A key that stands twice is refused, also with the same value."""
        for second in (b"5", b"6"):
            self.refused(
                box((b"_command", b"Begin"), (b"offset", b"5"), (b"offset", second))
            )

    def test_cut(self) -> None:
        """A box that is not whole is refused, wherever it was cut."""
        for _, written in _WRITTEN:
            for length in range(len(written)):
                self.refused(written[:length])

    def test_behind(self) -> None:
        """There is nothing behind the box: no byte, and no other box."""
        for _, written in _WRITTEN:
            for more in (b"\0", b"\0\0", b"x", written):
                self.refused(written + more)

    def test_longKey(self) -> None:
        """A key has at most 255 bytes."""
        good = box((b"_command", b"Hello"), (b"role", b"sends"), (b"version", b"1"))
        for length in (255, 256, 8000):
            payload = good[:-2] + box((b"k" * length, b""))
            if length == 255:
                self.assertEqual(decode(payload), Hello(1, Role.SENDS))
            else:
                self.refused(payload)

    def test_unsaid(self) -> None:
        """What may not come cannot be said, either."""

        def of(value: object) -> Any:
            """:returns: what a type checker would refuse."""
            return value

        wrong: list[Message] = [
            *(Hello(-1, Role.SENDS), Hello(65536, Role.SENDS)),
            *(Hello(of(value), Role.SENDS) for value in (1.0, True, "1", b"1", None)),
            *(Hello(1, of(role)) for role in ("sends", b"sends", None)),
            Hello(1, of(FailureKind.REFUSED)),
            *(Offer("", 1), Offer("x" * 1025), Offer("\udc80"), Offer(of(b"a"))),
            *(Offer(modified=-1), Offer(modified=2**63), Offer(executable=of(1))),
            *(Offer("\u00e4" * 513), Offer("a", -1), Offer("a", 2**63)),
            *(Accept(-1), Accept(of(None)), Proof(b"x"), Proof(of("x" * 32))),
            *(Challenge(-1, _DIGEST), Challenge(1, b"x"), Challenge(1, of(None))),
            *(Begin(2**63), End(-1, _DIGEST), End(1, b""), Stored(1, _DIGEST * 2)),
            *(End(1, of(None)), End(1, of(32)), Failed(of("refused"))),
            Failed(FailureKind.REFUSED, "x" * 1001),
            Failed(FailureKind.REFUSED, "\ud800"),
        ]
        for message in wrong:
            self.assertRaises(BadMessage, encode, message)
