"""Tests for :mod:`twisted_transfer.receipts.messages`, and for what is said of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols import amp
from twisted.protocols.amp import AmpBox, Argument
from twisted.trial.unittest import SynchronousTestCase

from tests.support.receiptcases import box, messages
from twisted_transfer.errors import PartnerFailed, TransferError
from twisted_transfer.receipts.messages import (
    Accept,
    BadMessage,
    Begin,
    Choice,
    Digest,
    End,
    Failed,
    FailureKind,
    Finished,
    Hello,
    Message,
    Number,
    Offer,
    Role,
    Stored,
    Text,
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
            "the partner has failed (storing): disk full; the partner has to make "
            "room, or choose another place",
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


class ArgumentTests(SynchronousTestCase):
    """What may stand in an argument, in both directions."""

    def refused(self, argument: Argument, *strings: bytes) -> None:
        """None of these may come."""
        for string in strings:
            self.assertRaises(ValueError, argument.fromString, string)

    def unsaid(self, argument: Argument, *values: Any) -> None:
        """None of these may be sent."""
        for value in values:
            self.assertRaises(ValueError, argument.toString, value)

    @given(st.integers(0, 1000))
    def test_number(self, value: int) -> None:
        """A number is written in digits, and read back."""
        self.assertEqual(Number(1000).toString(value), str(value).encode())
        self.assertEqual(Number(1000).fromString(str(value).encode()), value)

    def test_numberRefused(self) -> None:
        """A number has digits only, no zeros in front, and a bound."""
        self.refused(
            Number(1000),
            *(b"", b"-1", b"+1", b" 1", b"1 ", b"1\n", b"01", b"00", b"1_0", b"1.0"),
            *(b"1e2", b"0x1", b"a", b"\xb2", "\u0661".encode(), b"1001", b"9" * 5000),
        )
        self.refused(Number(2**63 - 1), b"%d" % 2**63, b"1" * 20)
        self.unsaid(Number(1000), -1, 1001, 1.0, True, "1", b"1", None)

    def test_digest(self) -> None:
        """A digest has 32 bytes, whichever."""
        digest = bytes(range(224, 256))
        self.assertEqual(Digest().fromString(digest), digest)
        self.assertEqual(Digest().toString(digest), digest)
        self.refused(Digest(), b"", bytes(31), bytes(33), b"a" * 64)
        self.unsaid(Digest(), b"", bytes(31), bytes(33), "a" * 32, 32)

    def test_text(self) -> None:
        """A text is UTF-8, with a bound on its bytes and on its characters."""
        argument = Text(1, 8, 4)
        for text, written in (("a", b"a"), ("\u00e4" * 4, b"\xc3\xa4" * 4)):
            self.assertEqual(argument.toString(text), written)
            self.assertEqual(argument.fromString(written), text)
        self.refused(argument, b"", b"aaaaa", b"\xc3\xa4" * 4 + b"a", b"\xff", b"\xc3")
        self.refused(argument, b"\xed\xa0\x80", b"\xc0\xaf")
        self.unsaid(argument, "", "aaaaa", "\U0001f600" * 3, "\udc80", b"a", None)

    def test_choice(self) -> None:
        """A word is one of those that there are."""
        self.assertEqual(Choice(Role).toString(Role.SENDS), b"sends")
        self.assertIs(Choice(Role).fromString(b"receives"), Role.RECEIVES)
        self.refused(Choice(Role), b"", b"Sends", b"sends ", b"SENDS", b"refused")
        self.unsaid(Choice(Role), "sends", b"sends", FailureKind.REFUSED, None)

    def test_named(self) -> None:
        """An error names the key."""
        for strings, words in (
            ({}, "size is missing"),
            ({b"size": b"x"}, "size is not a number from 0 to 9"),
        ):
            error = self.assertRaises(
                BadMessage, Number(9).fromBox, b"size", AmpBox(strings), {}, None
            )
            self.assertEqual(str(error), words)
        error = self.assertRaises(
            BadMessage, Number(9).toBox, b"size", AmpBox(), {"size": 10}, None
        )
        self.assertEqual(str(error), "size is not a number from 0 to 9")

    def test_optional(self) -> None:
        """What may be missing is None then."""
        objects: dict[str, Any] = {}
        Number(9, optional=True).fromBox(b"size", AmpBox(), objects, None)
        self.assertEqual(objects, {"size": None})
        strings = AmpBox()
        Number(9, optional=True).toBox(b"size", strings, {"size": None}, None)
        self.assertEqual(strings, AmpBox())


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
    (Accept(), b"\0\x08_command\0\x06Accept\0\x06offset\0\x010\0\0"),
    (
        Accept(300, _DIGEST),
        b"\0\x08_command\0\x06Accept\0\x06digest\0\x20" + _DIGEST + b"\0\x06offset"
        b"\0\x03300\0\0",
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
        Failed(FailureKind.TOO_LARGE, "5 > 4"),
        b"\0\x08_command\0\x06Failed\0\x04kind\0\x09too-large"
        b"\0\x06reason\0\x055 > 4\0\0",
    ),
    (
        Failed(FailureKind.CANCELLED),
        b"\0\x08_command\0\x06Failed\0\x04kind\0\x09cancelled\0\x06reason\0\0\0\0",
    ),
    (Finished(), b"\0\x08_command\0\x08Finished\0\0"),
]

# What each message needs, and what it may have as well.
_KEYS: dict[bytes, tuple[dict[bytes, bytes], dict[bytes, bytes]]] = {
    b"Hello": ({b"version": b"1", b"role": b"sends"}, {}),
    b"Offer": ({}, {b"name": b"a", b"size": b"5"}),
    b"Accept": ({b"offset": b"5"}, {b"digest": _DIGEST}),
    b"Begin": ({b"offset": b"5"}, {}),
    b"End": ({b"size": b"5", b"digest": _DIGEST}, {}),
    b"Stored": ({b"size": b"5", b"digest": _DIGEST}, {}),
    b"Failed": ({b"kind": b"refused", b"reason": b"no"}, {}),
    b"Finished": ({}, {}),
}

# What may not stand in a value.
_WRONG: dict[bytes, list[bytes]] = {
    b"version": [b"", b"-1", b"65536", b"1.0", b"01", b"one", b"9" * 20],
    b"role": [b"", b"send", b"SENDS", b"sends\n"],
    b"name": [b"", b"x" * 1025, b"\xff", b"\xed\xa0\x80"],
    b"size": [b"", b"-1", b"+1", b"9223372036854775808", b"1" * 20, b"5 ", b"05"],
    b"offset": [b"", b"-1", b"+1", b"9223372036854775808", b"1" * 20, b"5 ", b"05"],
    b"digest": [b"", _DIGEST[1:], _DIGEST + b"x", _DIGEST.hex().encode()],
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
                    self.assertIn(f"{command.decode()} has no {more[:40]!r}", words)

    def test_unknownMessage(self) -> None:
        """A message that there is not is refused."""
        for command in (b"", b"hello", b"Data", b"\x1b[2J", b"x" * 8000, b"\xff"):
            words = self.refused(self.made(command, {}))
            self.assertIn(f"none of the messages: {command[:40]!r}", words)
        self.assertIn("none of the messages: b''", self.refused(box((b"size", b"5"))))
        self.assertIn("none of the messages: b''", self.refused(b"\0\0"))

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
        digest: Any = "x" * 32
        role: Any = "sends"
        wrong: list[Message] = [
            *(Hello(-1, Role.SENDS), Hello(65536, Role.SENDS), Hello(1, role)),
            *(Offer("", 1), Offer("x" * 1025), Offer("\udc80"), Offer("a", -1)),
            *(Offer("a", 2**63), Accept(-1), Accept(1, b"x"), Accept(1, digest)),
            *(Begin(2**63), End(-1, _DIGEST), End(1, b""), Stored(1, _DIGEST * 2)),
            Failed(FailureKind.REFUSED, "x" * 1001),
            Failed(FailureKind.REFUSED, "\ud800"),
        ]
        for message in wrong:
            self.assertRaises(BadMessage, encode, message)
