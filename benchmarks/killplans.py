"""
What is to happen in a round, and what comes of it.
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
    What is to happen in a round.

    :ivar transport: ``plain`` or ``mtls``.
    :ivar victim: who is killed: ``sender`` or ``receiver``.
    :ivar dialler: who dials; the other one listens.
    :ivar counted: whose bytes are counted.
    :ivar at: behind how many of them the victim is killed.
    :ivar lost: whether what the victim had still on its way is lost with it, as
        if its machine had stopped, too.
    :ivar force: whether there is an old target, to be replaced.
    :ivar second: whether another receiver wants the same target just before.
    :ivar spoil: whether somebody changes the part before the next try.
    :ivar nextDialler: who dials in the next try.
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
    What came of a round.

    :ivar late: whether everything had ended before the byte came; then nothing
        was tried.
    :ivar wrong: what should not have been, in words.
    :ivar torn: whether the target was neither old, new, nor absent.
    :ivar hung: whether a process did not end.
    :ivar waited: whether the survivor had not admitted the victim yet, and went
        on waiting.
    :ivar stored: whether the new target was there after the kill.
    :ivar untold: whether it was, and the sender did not know.
    :ivar second: whether another receiver was turned away before the kill.
    :ivar spoiled: whether the part was changed.
    :ivar survivor: the seconds from the kill until the survivor had ended.
    :ivar passed: the sender's bytes that came through before the end.
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
    """:returns: the sender for the receiver, and the other way round."""
    return "receiver" if side == "sender" else "sender"
