"""
Kill either side of a transfer at random bytes, and check what is left.

In each round two processes of the command transfer a file through a relay.  After a
certain byte the relay kills one of them (SIGKILL).  Then it forwards the remaining
data, ends and resets; or it drops the data of the victim that is still on its way, and
sends an end instead.  The survivor has to end with the right status and message, or to
continue to wait if it had not admitted its partner.  The target has to be old, new or
absent.  The next try has to succeed, and to send only what the part does not have.  In
three of four rounds the byte is any of the sender's; in the others it is one of the
receiver's, or one of the sender's last.  In some rounds another receiver has the same
target meanwhile, or the part is changed before the next try, which then has to send
everything::

    python -m benchmarks.kills --count 200 --size 64M --plain
    python -m benchmarks.kills --count 200 --size 64M --mtls
    python -m benchmarks.kills --mtls --seed 1 --only 4711

The victim, the byte, the loss, the side that dials, and whether there is an old target
that --force replaces, are made from the seed and the number of the round alone, so that
a round can be repeated, except for its exact timing.  The targets are in a temporary
folder, below ``TMPDIR``.  The exit status is 1 if a check failed, or if the parts have
less than half of the data that had been forwarded.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path

from benchmarks.kills.plans import Outcome, Plan, Source, Totals, other
from benchmarks.kills.rounds import HANG, Round, Try
from twisted_transfer.command.options import readSize

_DRAWS = 10
"""How many plans a round may have, if everything is over before the kill."""


def makeSource(folder: Path, size: int) -> Source:
    """
    :param folder: where to.
    :param size: how many bytes.
    :returns: a file of random bytes.
    """
    path = folder / "source"
    digest = sha256()
    with path.open("wb") as file:
        for start in range(0, size, 2**20):
            block = os.urandom(min(2**20, size - start))
            digest.update(block)
            file.write(block)
    return Source(path, size, digest.digest())


def measure(source: Source, folder: Path, transport: str) -> Totals:
    """
    Transfer without a kill, and count the bytes.

    :param source: what is sent.
    :param folder: where to.
    :param transport: ``plain`` or ``mtls``.
    :returns: how many bytes each side sends.
    """
    totals: Totals = {}
    for dialler in ("sender", "receiver"):
        target = folder / "measured"
        with ExitStack() as stack:
            whole = Try(stack, source.path, target)
            whole.listen(other(dialler), False, transport)
            whole.dial(False)
            for name, side in whole.sides.items():
                if side.end(HANG) != 0:
                    raise SystemExit(f"without a kill, the {name} fails: {side.said}")
            whole.relay.wait(HANG)
            for name in whole.sides:
                totals[dialler, name] = whole.passed(name)
        target.unlink()
    return totals


class Rounds:
    """
    All rounds over one transport.

    :ivar plans: the plan of each.
    :ivar outcomes: the outcome of each.
    """

    def __init__(self, seed: int, source: Source, folder: Path, transport: str) -> None:
        """
        :param seed: of all of them.
        :param source: what is sent.
        :param folder: where to.
        :param transport: ``plain`` or ``mtls``.
        """
        self.plans: list[Plan] = []
        self.outcomes: list[Outcome] = []
        self._seed = seed
        self._source = source
        self._folder = folder
        self._transport = transport
        self._totals = measure(source, folder, transport)

    def run(self, numbers: Iterable[int], jobs: int) -> None:
        """
        :param numbers: of the rounds.
        :param jobs: how many at a time.
        """
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for _ in pool.map(self._one, numbers):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _one(self, number: int) -> None:
        rng = random.Random((self._seed << 64) | number)
        for draw in range(_DRAWS):
            plan = Plan.draw(rng, self._transport, self._totals)
            folder = self._folder / f"{self._transport}-{number}-{draw}"
            outcome = Round(self._source, folder, plan).run()
            for words in outcome.wrong:
                print(f"round {number}, {plan}:\n  {words}", flush=True)
            if not outcome.late or outcome.wrong:
                break
        self.plans.append(plan)
        self.outcomes.append(outcome)

    def summary(self) -> Iterable[str]:
        """:returns: a summary of the rounds, line by line."""
        outs, size = self.outcomes, self._source.size
        kills = Counter(
            f"{plan.victim} ({'dials' if plan.victim == plan.dialler else 'waits'})"
            for plan, out in zip(self.plans, outs, strict=True)
            if not out.late
        )
        again = [out.again for out in outs if out.again is not None]
        ends = [out.survivor for out in outs if out.survivor is not None]
        yield f"{self._transport}: {len(outs)} rounds with {size} bytes"
        yield "killed: " + ", ".join(
            f"{victim} {count}" for victim, count in sorted(kills.items())
        )
        yield f"torn targets: {sum(out.torn for out in outs)}"
        yield f"hangs: {sum(out.hung for out in outs)}"
        yield f"rounds in which anything was wrong: {sum(bool(o.wrong) for o in outs)}"
        yield f"without a kill: {sum(out.late for out in outs)}"
        yield (
            "the survivor had not admitted the victim, and waited for the next try: "
            f"{sum(out.waited for out in outs)}"
        )
        yield (
            f"stored before the end: {sum(out.stored for out in outs)}, of which the "
            f"sender could not know: {sum(out.untold for out in outs)}"
        )
        yield f"a second receiver was turned away: {sum(out.second for out in outs)}"
        yield (
            f"of {self.passed} bytes that had come through, {self.kept} were in parts; "
            f"{sum(out.spoiled for out in outs)} parts were then changed"
        )
        yield (
            f"next tries: {len(again)}, with {sum(again)} of {len(again) * size} "
            f"bytes: {len(again) * size - sum(again)} saved"
        )
        if ends:
            yield (
                f"from the kill to the survivor's end: median "
                f"{statistics.median(ends):.2f} s, at most {max(ends):.2f} s"
            )

    @property
    def passed(self) -> int:
        """How many bytes of senders were forwarded, for files that were not stored."""
        return sum(out.passed for out in self.outcomes if not out.stored)

    @property
    def kept(self) -> int:
        """How many of these bytes were in parts."""
        return sum(out.kept for out in self.outcomes if not out.stored)

    @property
    def good(self) -> bool:
        """Whether no check failed, and most of the forwarded data was kept."""
        bad = any(out.late or out.wrong for out in self.outcomes)
        return not bad and self.kept >= self.passed // 2


def main() -> int:
    """Run the rounds; the result is the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kills",
        description=__doc__.strip().splitlines()[0],
    )
    parser.add_argument("--count", type=int, default=200, help="how many rounds each")
    size = partial(readSize, "--size")
    parser.add_argument("--size", type=size, default="64M", help="such as 64M")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one round")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--plain", action="store_true", help="over plain TCP only")
    parser.add_argument("--mtls", action="store_true", help="over mtls only")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    transports = [name for name in ("plain", "mtls") if vars(given)[name]]
    numbers = range(given.count) if given.only is None else (given.only,)
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = makeSource(folder, given.size)
        for transport in transports or ("plain", "mtls"):
            start = time.monotonic()
            rounds = Rounds(given.seed, source, folder, transport)
            rounds.run(numbers, given.jobs)
            print("\n  ".join(rounds.summary()))
            print(f"  in {time.monotonic() - start:.1f} s", flush=True)
            good = good and rounds.good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
