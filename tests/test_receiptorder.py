"""Tests for :mod:`twisted_transfer.receiptorder`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.errors import PartnerProtocolError, ReceiptMismatch
from twisted_transfer.receiptmessages import (
    Accept,
    BadMessage,
    Begin,
    End,
    Failed,
    FailureKind,
    Finished,
    Hello,
    Message,
    Offer,
    Role,
    Stored,
)
from twisted_transfer.receiptorder import Order

_S, _R = Role.SENDS, Role.RECEIVES
_DIGEST, _OTHER = bytes(32), bytes(31) + b"x"

# A transfer of one file of five bytes as it goes well, and what is said in it;
# a number stands for so much data.
_Step = tuple[Role, "Message | int"]
_STEPS: list[_Step] = [
    (_S, Hello(1, _S)),
    (_R, Hello(1, _R)),
    (_S, Offer("a", 5)),
    (_R, Accept(2, _DIGEST)),
    (_S, Begin(2)),
    (_S, 3),
    (_S, End(5, _DIGEST)),
    (_R, Stored(5, _DIGEST)),
    (_S, Finished()),
    (_R, Finished()),
]

_EVERYTHING: list[_Step] = [
    (role, said)
    for role in Role
    for said in (
        *(Hello(1, role), Offer("a", 5), Accept(0), Begin(0), 1, End(5, _DIGEST)),
        *(Stored(5, _DIGEST), Finished(), Failed(FailureKind.CANCELLED)),
    )
]

# After so many steps: who may say what.
_ALLOWED: list[set[tuple[Role, str]]] = [
    {(_S, "Hello"), (_R, "Hello")},
    {(_R, "Hello"), (_S, "Failed")},
    {(_S, "Offer"), (_S, "Finished"), (_S, "Failed"), (_R, "Failed")},
    {(_R, "Accept"), (_S, "Failed"), (_R, "Failed")},
    {(_S, "Begin"), (_S, "Failed"), (_R, "Failed")},
    {(_S, "data"), (_S, "Failed"), (_R, "Failed")},  # End only when all has come
    {(_S, "End"), (_S, "Failed"), (_R, "Failed")},
    {(_R, "Stored"), (_S, "Failed"), (_R, "Failed")},
    {(_S, "Offer"), (_S, "Finished"), (_S, "Failed"), (_R, "Failed")},
    {(_R, "Finished"), (_R, "Failed")},
    set(),
]


def _say(order: Order, mine: Role, step: _Step) -> None:
    role, said = step
    if isinstance(said, int):
        order.data(said, mine=role is mine)
    else:
        order.take(said, mine=role is mine)


def _after(count: int, mine: Role) -> Order:
    """What one of the two has got to after so many steps."""
    order = Order(mine)
    for step in _STEPS[:count]:
        _say(order, mine, step)
    return order


class OrderTests(SynchronousTestCase):
    """Which message may come when."""

    def test_table(self) -> None:
        """At each place, everything but what may come there is refused."""
        for mine in Role:
            for count, allowed in enumerate(_ALLOWED):
                found = set()
                for step in _EVERYTHING:
                    said = step[1]
                    name = "data" if isinstance(said, int) else type(said).__name__
                    try:
                        _say(_after(count, mine), mine, step)
                    except BadMessage:
                        continue
                    found.add((step[0], name))
                self.assertEqual(found, allowed, f"after {count}, {mine}")

    def test_unchanged(self) -> None:
        """What is refused changes nothing: the transfer goes on as it would have."""
        for mine in Role:
            order = Order(mine)
            for count, step in enumerate(_STEPS):
                for wrong in _EVERYTHING:
                    name = type(wrong[1]).__name__
                    name = "data" if name == "int" else name
                    if (wrong[0], name) not in _ALLOWED[count]:
                        self.assertRaises(BadMessage, _say, order, mine, wrong)
                _say(order, mine, step)
            self.assertTrue(order.isDone(mine=True) and order.isDone(mine=False))

    def test_failed(self) -> None:
        """Failed is the last word of who says it; the other's may cross it."""
        for count in range(2, 9):
            for role in Role:
                order = _after(count, _S)
                _say(order, _S, (role, Failed(FailureKind.CANCELLED)))
                for step in _EVERYTHING:
                    if step[0] is role:
                        self.assertRaises(BadMessage, _say, order, _S, step)
                other = _R if role is _S else _S
                _say(order, _S, (other, Failed(FailureKind.STORING)))

    def test_words(self) -> None:
        """What is refused is said together with what was expected."""
        for count, step, words in (
            (
                2,
                (_R, Accept(0)),
                "Accept of the receiver comes where Offer or Finished",
            ),
            (4, (_S, 1), "data of the sender comes where Begin of the sender is"),
            (
                6,
                (_R, Stored(5, _DIGEST)),
                "where data or End of the sender is expected",
            ),
            (0, (_S, Offer()), "Offer comes before Hello"),
            (1, (_S, Hello(1, _S)), "Hello comes twice"),
            (9, (_S, Offer()), "Offer comes behind the last word"),
        ):
            error = self.assertRaises(BadMessage, _say, _after(count, _R), _R, step)
            self.assertIn(words, str(error))


class HelloTests(SynchronousTestCase):
    """Whether the two can work together."""

    def test_version(self) -> None:
        """The lower version counts; today that is always 1."""
        for theirs in (1, 2, 65535):
            order = _after(1, _S)
            self.assertIsNone(order.version)
            order.take(Hello(theirs, _R), mine=False)
            self.assertEqual(order.version, 1)

    def test_unknownVersion(self) -> None:
        """If that one is unknown, the error names what each knows."""
        error = self.assertRaises(
            PartnerProtocolError, _after(1, _S).take, Hello(0, _R), mine=False
        )
        self.assertIn("up to version 0, and this side knows 1 to 1", str(error))

    def test_sameRole(self) -> None:
        """Two senders, and two receivers, are told so."""
        for role in Role:
            error = self.assertRaises(
                PartnerProtocolError, Order(role).take, Hello(1, role), mine=False
            )
            self.assertIn(f"the partner {role.value} as well", str(error))


class FileTests(SynchronousTestCase):
    """What may be said of a file."""

    def order(self, *steps: Message | int, size: int | None = 5) -> Order:
        """:returns: a receiver's, in the middle of a file."""
        order = _after(2, _R)
        for said in (Offer("a", size), *steps):
            self.say(order, said)
        return order

    def say(self, order: Order, said: Message | int) -> None:
        """Go on."""
        role = _R if isinstance(said, Accept | Stored) else _S
        _say(order, _R, (role, said))

    def good(self, *steps: Message | int, size: int | None = 5) -> None:
        """All this may be said."""
        self.order(*steps, size=size)

    def wrong(self, *steps: Message | int, size: int | None = 5) -> None:
        """The last may not be said."""
        order = self.order(*steps[:-1], size=size)
        self.assertRaises(BadMessage, self.say, order, steps[-1])

    def test_accept(self) -> None:
        """The offset is not beyond the end, and needs a digest if it is not 0."""
        self.good(Accept(0))
        self.good(Accept(5, _DIGEST))
        self.good(Accept(2**63 - 1, _DIGEST), size=None)
        self.wrong(Accept(0, _DIGEST))
        self.wrong(Accept(1))
        self.wrong(Accept(6, _DIGEST))
        self.wrong(Accept(1, _DIGEST), size=0)

    def test_begin(self) -> None:
        """The sender begins where it was asked to, or at 0."""
        self.good(Accept(3, _DIGEST), Begin(3))
        self.good(Accept(3, _DIGEST), Begin(0))
        self.wrong(Accept(3, _DIGEST), Begin(2))
        self.wrong(Accept(3, _DIGEST), Begin(4))
        self.wrong(Accept(0), Begin(3))

    def test_data(self) -> None:
        """There is no more data than was offered."""
        self.good(Accept(0), Begin(0), 2, 3)
        self.wrong(Accept(0), Begin(0), 6)
        self.wrong(Accept(0), Begin(0), 2, 4)
        self.good(Accept(3, _DIGEST), Begin(3), 2)
        self.wrong(Accept(3, _DIGEST), Begin(3), 3)
        self.good(Accept(3, _DIGEST), Begin(0), 5)
        self.wrong(Accept(5, _DIGEST), Begin(5), 1)
        self.wrong(Accept(0), Begin(0), 1, size=0)

    def test_dataUnknown(self) -> None:
        """If no size was offered, there may be as much as can be counted."""
        self.good(Accept(0), Begin(0), 2**24 - 1, 2**24 - 1, size=None)
        most = 2**63 - 1
        self.good(Accept(most - 9, _DIGEST), Begin(most - 9), 9, size=None)
        self.wrong(Accept(most - 9, _DIGEST), Begin(most - 9), 10, size=None)

    def test_end(self) -> None:
        """The size at the end is what has come, and what was offered."""
        self.good(Accept(0), Begin(0), 5, End(5, _DIGEST))
        self.good(Accept(2, _DIGEST), Begin(2), 3, End(5, _DIGEST))
        self.good(Accept(5, _DIGEST), Begin(5), End(5, _DIGEST))
        self.good(Accept(0), Begin(0), End(0, _DIGEST), size=0)
        self.good(Accept(0), Begin(0), 7, End(7, _DIGEST), size=None)
        self.wrong(Accept(0), Begin(0), 5, End(4, _DIGEST))
        self.wrong(Accept(0), Begin(0), 4, End(5, _DIGEST))
        self.wrong(Accept(0), Begin(0), 4, End(4, _DIGEST))
        self.wrong(Accept(2, _DIGEST), Begin(2), 3, End(3, _DIGEST))
        self.wrong(Accept(2, _DIGEST), Begin(0), 3, End(5, _DIGEST))
        self.wrong(Accept(0), Begin(0), 7, End(6, _DIGEST), size=None)

    def test_second(self) -> None:
        """Nothing of one file counts for the next one."""
        first = (Accept(2, _DIGEST), Begin(2), 3, End(5, _DIGEST), Stored(5, _DIGEST))
        second = Offer(None, None)
        self.good(*first, second, Accept(0), Begin(0), 9, End(9, _OTHER))
        self.wrong(*first, second, Accept(0), Begin(2))
        self.wrong(*first, second, Accept(0), Begin(0), End(5, _DIGEST))
        rest = (Accept(0), Begin(0), End(0, _OTHER))
        self.wrong(*first, second, *rest, Stored(0, _DIGEST))

    def test_storedMine(self) -> None:
        """A receipt for something else is not given."""
        whole = (Accept(0), Begin(0), 5, End(5, _DIGEST))
        self.good(*whole, Stored(5, _DIGEST))
        self.wrong(*whole, Stored(4, _DIGEST))
        self.wrong(*whole, Stored(5, _OTHER))

    def test_storedTheirs(self) -> None:
        """A receipt for something else is not taken, and both are named."""
        for stored in (Stored(4, _DIGEST), Stored(5, _OTHER)):
            error = self.assertRaises(
                ReceiptMismatch, _after(7, _S).take, stored, mine=False
            )
            for part in (stored.size, stored.digest.hex(), 5, _DIGEST.hex()):
                self.assertIn(str(part), str(error))
