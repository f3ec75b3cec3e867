"""
The plan of a round, and its outcome.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

TAIL = 500
"""How many bytes of the sender count as its last."""

Totals = dict[tuple[str, str], int]
"""How many bytes a whole transfer has, by who dials and whose bytes they are."""


@dataclass(frozen=True)
class Source:
    """
    The file that is sent.

    :ivar path: where it is.
    :ivar size: how many bytes it has.
    :ivar digest: their SHA-256.
    """

    path: Path
    size: int
    digest: bytes


@dataclass(frozen=True)
class Plan:
    """
    The plan of a round.

    :ivar transport: ``plain`` or ``mtls``.
    :ivar victim: the side that is killed: ``sender`` or ``receiver``.
    :ivar dialler: the side that dials; the other one listens.
    :ivar counted: the side whose bytes are counted.
    :ivar at: after how many of them the victim is killed.
    :ivar lost: whether the victim's data that is still on its way is lost, as if its
        machine had crashed.
    :ivar force: whether there is an old target, to be replaced.
    :ivar second: whether another receiver tries to use the target just before.
    :ivar spoil: whether the part is changed before the next try.
    :ivar nextDialler: the side that dials in the next try.
    """

    transport: str
    victim: str
    dialler: str
    counted: str
    at: int
    lost: bool
    force: bool
    second: bool
    spoil: bool
    nextDialler: str

    @classmethod
    def draw(cls, rng: random.Random, transport: str, totals: Totals) -> Plan:
        """
        Most are killed at any byte of the sender, where the data are.  Some at
        any of the receiver's, which are few and each of them matters, or at one
        of the sender's last.

        :param rng: what to choose by.
        :param transport: see above.
        :param totals: of this transport.
        :returns: a plan.
        """
        sides = ("sender", "receiver")
        dialler = rng.choice(sides)
        counted, first = "sender", 1
        match rng.randrange(8):
            case 0:
                counted = "receiver"
            case 1:
                first = max(1, totals[dialler, counted] - TAIL)
        return cls(
            transport=transport,
            victim=rng.choice(sides),
            dialler=dialler,
            counted=counted,
            at=rng.randint(first, totals[dialler, counted]),
            lost=rng.random() < 0.5,
            force=rng.random() < 0.4,
            second=rng.random() < 0.125,
            spoil=rng.random() < 0.125,
            nextDialler=rng.choice(sides),
        )


@dataclass
class Outcome:
    """
    The outcome of a round.

    :ivar late: whether the transfer ended before that byte; then nothing was checked.
    :ivar wrong: the checks that failed, in words.
    :ivar torn: whether the target was neither old, new, nor absent.
    :ivar hung: whether a process did not end.
    :ivar waited: whether the survivor had not admitted the victim yet, and continued
        to wait.
    :ivar stored: whether the new target was there after the kill.
    :ivar untold: whether it was there, and the sender did not know.
    :ivar second: whether another receiver was refused before the kill.
    :ivar spoiled: whether the part was changed.
    :ivar survivor: the seconds from the kill until the survivor had ended.
    :ivar passed: the sender's bytes that were forwarded before the end.
    :ivar kept: the bytes in the part.
    :ivar again: the sender's bytes of the next try; None: there was none.
    """

    late: bool = False
    wrong: list[str] = field(default_factory=list)
    torn: bool = False
    hung: bool = False
    waited: bool = False
    stored: bool = False
    untold: bool = False
    second: bool = False
    spoiled: bool = False
    survivor: float | None = None
    passed: int = 0
    kept: int = 0
    again: int | None = None


def other(side: str) -> str:
    """:returns: the other side: the sender for the receiver, and vice versa."""
    return "receiver" if side == "sender" else "sender"
