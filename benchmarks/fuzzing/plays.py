"""
Make the messages that two partners in a transfer with receipts exchange.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from benchmarks.fuzzing.sides import File, Plan, Side
from twisted_transfer.receipts.frames import SIGNATURE
from twisted_transfer.receipts.messages import Failed, FailureKind, Role


def _plans() -> list[Plan]:
    """Make plans of valid transfers."""
    rng = random.Random(0)
    text = "report.pdf"
    long = rng.randbytes(300)
    whole = File(b"hello", text, True, b"")
    plans = [
        (whole,),
        (),
        (File(b"", None, True, b""), whole),
        (File(long, "\u00e4" * 512, False, b""),),
        (File(long, text, True, long[:100]),),
        (File(long, None, True, long), File(long, text, False, long[:299])),
        (File(long, "../\x1b[31m", True, b"x" * 50), whole),
        (File(b"a", None, False, b"changed"),),
        (
            *(File(each, text, True, b"", small=True) for each in (b"a", b"", long)),
            whole,
        ),
    ]
    failed = [
        (Role.SENDS, Failed(FailureKind.SOURCE, "\x1b]0;gone\x07\u202e" * 60)),
        (Role.RECEIVES, Failed(FailureKind.STORING, "disk full")),
        (Role.RECEIVES, Failed(FailureKind.TOO_LARGE)),
        (Role.SENDS, Failed(FailureKind.CANCELLED, "\U0001f600" * 1000)),
    ]
    return [Plan(files) for files in plans] + [Plan((whole,), ends) for ends in failed]


@dataclass(frozen=True)
class Play:
    """
    A plan, and the messages of the partner in it.

    :ivar role: the role of the side that reads.
    :ivar said: the partner's signature, and its frames.
    """

    role: Role
    plan: Plan
    said: tuple[bytes, ...]


def plays() -> list[Play]:
    """Run transfers between real partners, and keep what each of them sends."""
    found = []
    for plan in _plans():
        sides = [Side(role, plan) for role in Role]
        read = [0, 0]
        while any(read[i] < len(sides[1 - i].said) for i in (0, 1)):
            for i in (0, 1):
                frames = sides[1 - i].said[read[i] :]
                read[i] += len(frames)
                sides[i].feed(b"".join(frames))
        for side, other in (sides, sides[::-1]):
            hello = other.said[0][len(SIGNATURE) :]
            said = (SIGNATURE, hello, *other.said[1:])
            found.append(Play(side.conversation.role, plan, said))
    return found
