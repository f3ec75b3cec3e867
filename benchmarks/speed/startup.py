"""
Measure how long programs take to start.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed.peers.common import HOST
from benchmarks.speed.running import freePort, timed, untilListening
from benchmarks.speed.subjects import command

REACTOR = 'python -c "from twisted.internet import reactor"'
HELP = "twisted-transfer --help"
RECEIVE = "twisted-transfer receive over plain TCP, until it listens"
INVITE = "twisted-transfer receive with an invitation, until it listens"
WEB = "twist web, until it listens"
WEB_WITHOUT = f"{WEB}, without our plugin"

# Twisted looks for plugins in all of sys.path.
_TWIST = """\
import os, runpy, sys
sys.path.remove("")
if {without}:
    own = "twisted/plugins/twisted_transfer_dropin.py"
    sys.path[:] = [each for each in sys.path if not os.path.exists(f"{{each}}/{{own}}")]
runpy.run_path({twist!r}, run_name="__main__")
"""


def _twistWeb(without: bool, port: int) -> list[str]:
    twist = str(Path(sys.executable).with_name("twist"))
    code = _TWIST.format(without=without, twist=twist)
    return [
        sys.executable,
        "-c",
        code,
        "web",
        "--listen",
        f"tcp:{port}:interface={HOST}",
    ]


def startUp(folder: Path, rounds: int) -> dict[str, float]:
    """
    Start each program in turn.

    :param folder: where a received file would go.
    :param rounds: how many times.
    :returns: by what was started, the median of the seconds.
    """

    def receive(kind: str) -> float:
        port = freePort()
        where = f"transfer:passive:{kind}:port={port}:interface={HOST}"
        words = ("receive", "--quiet", str(folder / "target"), where)
        return untilListening([*command(), *words], port)

    def web(without: bool) -> float:
        port = freePort()
        return untilListening(_twistWeb(without, port), port)

    reactor = [sys.executable, "-c", "from twisted.internet import reactor"]
    measures: dict[str, Callable[[], float]] = {
        REACTOR: lambda: timed(reactor),
        HELP: lambda: timed([*command(), "--help"]),
        RECEIVE: lambda: receive("tcp"),
        INVITE: lambda: receive("mtls"),
        WEB_WITHOUT: lambda: web(True),
        WEB: lambda: web(False),
    }
    found: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(rounds + 1):
        for name, measure in measures.items():
            seconds = measure()
            if turn:  # the first compiles, and fills Twisted's cache of plugins
                found[name].append(seconds)
    return {name: statistics.median(times) for name, times in found.items()}
