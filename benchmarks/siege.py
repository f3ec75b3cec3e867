"""
Measure how much hostile peers of every kind delay the admission of the partner.

A passive ``mtls`` connector listens in this process; the hostile peers connect from a
second process, and the partner, with the invitation, from a third.  The result is the
time from the partner's dialling to its channel, without hostile peers and with them.
It also prints the memory of the listening process after each tenth of them, and checks
that the port is closed at the end.

    python benchmarks/siege.py
    python benchmarks/siege.py --count 10000 --concurrency 256 --runs 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater, react
from twisted.python.failure import Failure

from twisted_transfer import TransferConnector
from twisted_transfer.testing.attacks import siege
from twisted_transfer.testing.peers import (
    Dripper,
    Flooder,
    Garbler,
    HostilePeer,
    Resetter,
    Scanner,
    Staller,
)
from twisted_transfer.testing.tlspeers import Impostor

reactor: Any = _reactor

KINDS: dict[str, Callable[[], HostilePeer]] = {
    "scanner": Scanner,
    "resetter": Resetter,
    "staller": Staller,
    "dripper": lambda: Dripper(reactor),
    "garbler": Garbler,
    "http": Garbler.http,
    "flooder": Flooder,
    "impostor": lambda: Impostor(reactor),
    "bare impostor": lambda: Impostor(reactor, certificate=False),
    "old impostor": lambda: Impostor(reactor, version="1.2"),
}

PATIENCE = 2.0
"""Seconds for which those that only wait stay."""


class Child(ProcessProtocol):
    """A process of this benchmark, whose output is a few words."""

    def __init__(self, *arguments: str) -> None:
        self.output = b""
        self._ready: Deferred[None] = Deferred()
        self.ended: Deferred[str] = Deferred()
        command = [sys.executable, __file__, *arguments]
        reactor.spawnProcess(
            self, command[0], command, os.environ, childFDs={0: "w", 1: "r", 2: 2}
        )

    async def tell(self, line: str) -> None:
        """Give it a line to go on with, when it is ready for one."""
        await self._ready
        assert self.transport is not None
        self.transport.write(f"{line}\n".encode())

    def outReceived(self, data: bytes) -> None:
        self.output += data
        if not self._ready.called and b"\n" in self.output:
            self.output = self.output.partition(b"\n")[2]
            self._ready.callback(None)

    def processEnded(self, reason: Failure) -> None:
        if reason.check(ProcessDone):
            self.ended.callback(self.output.decode().strip())
        else:
            self.ended.errback(reason)


async def beSiege(count: int, concurrency: int) -> None:
    """Be the second process: connect the hostile peers."""
    print("ready", flush=True)
    port = int(sys.stdin.readline())
    outcomes = await siege(
        reactor,
        lambda: TCP4ClientEndpoint(reactor, "127.0.0.1", port),
        list(KINDS.values()),
        count,
        concurrency,
        PATIENCE,
    )
    print(", ".join(f"{words} {number}" for words, number in outcomes.most_common()))


async def bePartner() -> None:
    """Be the third process: dial, and print how many seconds it took."""
    print("ready", flush=True)
    connector = TransferConnector.fromString(reactor, sys.stdin.readline().strip())
    started = reactor.seconds()
    channel = await connector.connect()
    print(reactor.seconds() - started)
    channel.loseConnection()
    await channel.whenClosed()


def resident() -> float:
    """:returns: how many MiB of memory this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


async def admit(count: int, concurrency: int, early: float) -> tuple[float, str]:
    """
    Listen for the partner once.

    :param count: how many hostile peers come, in all; 0 for none.
    :param early: at which part of them the partner dials.
    :returns: its seconds, and what happened.
    """
    connector = TransferConnector.fromString(
        reactor, "transfer:passive:mtls:port=0:interface=127.0.0.1"
    )
    partner = Child("--partner")
    besiegers = Child("--siege", f"--count={count}", f"--concurrency={concurrency}")
    waiting = connector.connect()
    invitation = await connector.invitation()
    address: Any = await connector.whenListening()
    candidates = connector.candidates
    assert candidates is not None
    memory: list[float] = []
    if count:
        await besiegers.tell(str(address.port))
        for tenth in range(1, 11):
            while candidates.accepted < count * early * tenth / 10:
                await deferLater(reactor, 0.001)
            memory.append(resident())
    at = candidates.accepted
    retrying = invitation.replace("transfer:active:", "transfer:active:retryFor=60:", 1)
    await partner.tell(retrying)
    channel = await waiting
    channel.loseConnection()
    await channel.whenClosed()
    seconds = float(await partner.ended)
    if not count:
        await besiegers.tell(str(address.port))
    outcomes = await besiegers.ended
    assert not waiting.called or candidates.admitted == 1
    lines = [
        f"the partner dialled after {at} of them, admitted among "
        f"{candidates.accepted}; dropped: {dict(candidates.dropped)}",
        "resident MiB after each tenth: " + " ".join(f"{m:.1f}" for m in memory),
        f"they saw: {outcomes}",
    ]
    return seconds, "\n    ".join(lines)


async def compare(count: int, concurrency: int, runs: int, early: float) -> None:
    """Admit with and without a siege, in turn, and compare."""
    quiet: list[float] = []
    besieged: list[float] = []
    for run in range(1, runs + 1):
        quiet.append((await admit(0, concurrency, early))[0])
        seconds, story = await admit(count, concurrency, early)
        besieged.append(seconds)
        print(
            f"run {run}: {quiet[-1] * 1000:.1f} ms alone, "
            f"{seconds * 1000:.1f} ms besieged\n    {story}",
            flush=True,
        )
    alone, among = statistics.median(quiet), statistics.median(besieged)
    print(
        f"\n{count} hostile peers, {concurrency} at a time; medians of {runs} runs:\n"
        f"the partner is admitted {alone * 1000:.1f} ms after it dials when it is "
        f"alone, {among * 1000:.1f} ms (at most {max(besieged) * 1000:.1f} ms) "
        f"besieged: {(among - alone) * 1000:.1f} ms later"
    )


def main() -> None:
    """Read the command line, and run one of the three processes."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--early", type=float, default=0.9, help="when the partner dials, 0 to 1"
    )
    parser.add_argument("--siege", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--partner", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()

    async def run() -> None:
        if given.siege:
            await beSiege(given.count, given.concurrency)
        elif given.partner:
            await bePartner()
        else:
            await compare(given.count, given.concurrency, given.runs, given.early)

    react(lambda ignored: Deferred.fromCoroutine(run()))


if __name__ == "__main__":
    main()
