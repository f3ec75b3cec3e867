"""
Measure what connectors cost that wait, beside bare ports of Twisted.

    python -m benchmarks.waiting
    python -m benchmarks.waiting --runs 5 --counts 100 1000 10000

For each count and kind, a process makes so many of them, which gives the memory for
one, and then some more, which gives the CPU time for one while so many wait.  The
processes alternate, and the medians are shown.  They are told their
ports: to find a free one among many that are taken takes the system longer than all
else.  In the end all the connectors get their partners, a hundred at a time;
the CPU time for one is that of both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from twisted_transfer import TransferConnector

KINDS = {"port": None, "connector": None, "tcp:": "tcp:interface=127.0.0.1"}
_FIRST = 10000
_MORE = 500
_AT_A_TIME = 100


def memory() -> int:
    """:returns: the bytes of memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def freePorts() -> Iterator[int]:
    """:returns: ports that nobody has, but for those that the system chooses."""
    for port in range(_FIRST, 32768):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            yield port


async def serve(reactor: Any, connector: TransferConnector, channel: Any) -> None:
    """Let a partner come, and take its byte."""
    address = await connector.whenListening()
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", address.port)
    partner: Any = await connectProtocol(endpoint, Protocol())
    partner.transport.write(b"x")
    partner.transport.loseConnection()
    served = await channel
    if await served.read(1) != b"x":
        raise AssertionError("another partner")
    served.loseConnection()
    await served.whenClosed()


async def measure(reactor: Any, kind: str, count: int) -> None:
    """Make them, print the results as JSON, and serve them."""

    def make(port: int) -> tuple[Any, Any]:
        if kind == "port":
            return reactor.listenTCP(port, Factory()), None
        connector = TransferConnector(
            reactor, "passive", port=port, socketCommand=KINDS[kind]
        )
        return connector, connector.connect()

    ports = iter([*islice(freePorts(), 20 + count + _MORE)])
    made = [*map(make, islice(ports, 20))]
    size = memory()
    made += map(make, islice(ports, count))
    result = [(memory() - size) / count]
    began = time.process_time()
    made += map(make, islice(ports, _MORE))
    result.append((time.process_time() - began) / _MORE * 1e6)
    began = time.process_time()
    if kind != "port":
        for start in range(0, len(made), _AT_A_TIME):
            await gatherResults(
                [
                    Deferred.fromCoroutine(serve(reactor, *each))
                    for each in made[start : start + _AT_A_TIME]
                ]
            )
    result.append((time.process_time() - began) / len(made) * 1e6)
    print(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if arguments.child:
        kind, count = arguments.child
        react(measure, (kind, int(count)))
    if hard < max(arguments.counts) + _MORE + 3 * _AT_A_TIME:
        sys.exit(f"this process may open {hard} descriptors, which is too few")
    rows: dict[tuple[int, str], list[list[float]]] = {
        (count, kind): [] for count in arguments.counts for kind in KINDS
    }
    for _ in range(arguments.runs):
        for (count, kind), results in rows.items():
            words = [sys.executable, "-m", "benchmarks.waiting"]
            words += ["--child", kind, str(count)]
            results.append(json.loads(subprocess.check_output(words)))
    print("  wait            memory   to make one   more than a port   to serve one")
    for count in arguments.counts:
        bare = 0.0
        for kind in KINDS:
            each = zip(*rows[count, kind], strict=True)
            size, making, serving = map(statistics.median, each)
            bare = bare or making
            print(
                f"{count:6} {kind:9} {size:6.0f} B  {making:9.0f} us  "
                f"{making - bare:14.0f} us  {serving:10.0f} us"
            )


if __name__ == "__main__":
    main()
