"""
Fuzz the protocol of transfers with receipts.

Each input is made from its number and the seed alone, so that an input that shows a
defect can be reproduced::

    python -m benchmarks.fuzzing --count 1000000 --seed 1
    python -m benchmarks.fuzzing --seed 1 --only 4711

An input is random bytes, or the output of a real partner with changes in its bytes,
its frames, or the values in its messages.  A sender or a receiver reads it, and
answers as a real one does.  A defect is an exception that is not documented, an
invalid event, unescaped text, too much memory, too much time, or a result that
depends on how the input was divided into chunks.
"""

from __future__ import annotations

import argparse
import random
import signal
import time
import tracemalloc
from collections import Counter
from types import FrameType

from benchmarks.fuzzing.changes import CHANGES, PLAYS, cut, cutFrames
from benchmarks.fuzzing.plays import Play
from benchmarks.fuzzing.sides import Defect, Side, demand
from twisted_transfer.errors import NotAReceiptPartner
from twisted_transfer.receipts.frames import looksLikeReceipts

_LONGEST = 10.0  # seconds for one input
_MOST_MEMORY = 2**20  # bytes for one input, beside what it is itself
# Every so many inputs one is run in other cuttings, or with its memory measured.
_CUT_AGAIN = 8
_MEASURE = 2000


def _run(play: Play, pieces: list[bytes]) -> tuple[str, Side]:
    side = Side(play.role, play.plan)
    for piece in pieces:
        side.feed(piece)
    return side.end(), side


def _compare(play: Play, data: bytes, rng: random.Random) -> None:
    """
    Check that the result does not depend on how the input is divided into chunks.

    Frames are not joined: that changes the result, for a partner that does not wait
    for answers.
    """
    runs = [_run(play, cutFrames(rng, data)) for _ in range(2)]
    outcomes = [outcome for outcome, _ in runs]
    demand(len(set(outcomes)) == 1, f"by the cutting it is one of {outcomes}")
    first, second = (_described(side) for _, side in runs)
    demand(first == second, f"by the cutting it is {first} or {second}")


def _described(side: Side) -> list[object]:
    """List what a side has received and sent, but for what depends on the chunks."""
    return [
        type(event) if isinstance(event, NotAReceiptPartner) else repr(event)
        for event in side.heard
    ] + [b"".join(side.said)]


def _stop(number: int, frame: FrameType | None) -> None:
    raise Defect(f"it takes more than {_LONGEST} s")


def fuzz(seed: int, index: int) -> str:
    """
    Make an input, and run it.

    :param seed: the seed of the whole run.
    :param index: the number of the input.
    :returns: the result, in one word.
    :raises Defect: if the result is invalid; other exceptions are defects, too.
    """
    rng = random.Random((seed << 64) | index)
    play = rng.choice(PLAYS)
    data = rng.choice(CHANGES)(rng, list(play.said))
    pieces = (cut if rng.random() < 0.2 else cutFrames)(rng, data)
    measured = index % _MEASURE == 0
    try:
        signal.setitimer(signal.ITIMER_REAL, _LONGEST)
        if measured:
            tracemalloc.start()
        outcome, side = _run(play, pieces)
        if measured:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            demand(peak <= _MOST_MEMORY + 4 * len(data), f"it takes {peak} bytes")
        if index % _CUT_AGAIN == 0:
            _compare(play, data, rng)
        isNot = outcome == "NotAReceiptPartner" and side.conversation.version is None
        looks = looksLikeReceipts(data)
        demand(
            isNot == (looks is False or (looks is None and data != b"")),
            f"looksLikeReceipts() is {looks}, and it ends as {outcome}",
        )
    except Exception:
        print(f"input {index} of seed {seed}, for one that {play.role.value}:")
        print(data.hex())
        print(f"cut into {[len(piece) for piece in pieces]}", flush=True)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if tracemalloc.is_tracing():
            tracemalloc.stop()
    return outcome


def main() -> None:
    """Run the inputs, and print the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzzing",
        description=__doc__.strip().splitlines()[0],
    )
    parser.add_argument("--count", type=int, default=100_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one input")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, _stop)
    numbers = range(options.count) if options.only is None else (options.only,)
    outcomes: Counter[str] = Counter()
    start = time.monotonic()
    for index in numbers:
        outcomes[fuzz(options.seed, index)] += 1
    seconds = time.monotonic() - start
    for outcome, count in outcomes.most_common():
        print(f"{count:9} {outcome}")
    total = sum(outcomes.values())
    print(f"{total} inputs, no defect, in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
