"""
Measure how long the command takes to begin, beside the import of Twisted's reactor.

    python -m benchmarks.startup

Each is run in turn, and the medians are shown: the import, ``twisted-transfer --help``,
``twisted-transfer receive`` until it listens, ``twist web`` until it listens, with our
plugin and without, and the CPU time that this plugin takes of each ``twist``, whatever
that runs.  It has to be an installation that can be edited: from another one our plugin
is not to be taken away.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
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
PLUGIN = "our plugin in a twist web, CPU"

# Twisted looks for plugins in all of sys.path.
_TWIST = """\
import os, runpy, sys
sys.path.remove("")
if {without}:
    own = "twisted/plugins/twisted_transfer_dropin.py"
    sys.path[:] = [each for each in sys.path if not os.path.exists(f"{{each}}/{{own}}")]
runpy.run_path({twist!r}, run_name="__main__")
"""
# What a "twist web" imports, and then our plugin.
_PLUGIN = """
import time
import twisted.application.twist._twist, twisted.web.server, twisted.plugins.twisted_web
began = time.process_time()
import twisted.plugins.twisted_transfer_dropin
print(time.process_time() - began)
"""


def _receive(kind: str, folder: Path) -> float:
    port = freePort()
    where = f"transfer:passive:{kind}:port={port}:interface={HOST}"
    words = ("receive", "--quiet", str(folder / "target"), where)
    return untilListening([*command(), *words], port)


def _web(without: bool) -> float:
    port = freePort()
    twist = str(Path(sys.executable).with_name("twist"))
    code = _TWIST.format(without=without, twist=twist)
    words = ("web", "--listen", f"tcp:{port}:interface={HOST}")
    return untilListening([sys.executable, "-c", code, *words], port)


def startUp(folder: Path, rounds: int) -> dict[str, float]:
    """
    Start each program in turn.

    :param folder: where a received file would go.
    :param rounds: how many times.
    :returns: by what was started, the median of the seconds.
    :raises Failed: if a program fails.
    """
    # Python has to find its bytecode, as in an installation.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    reactor = [sys.executable, "-c", "from twisted.internet import reactor"]
    plugin = [sys.executable, "-c", _PLUGIN]
    measures: dict[str, Callable[[], float]] = {
        REACTOR: lambda: timed(reactor),
        HELP: lambda: timed([*command(), "--help"]),
        RECEIVE: lambda: _receive("tcp", folder),
        INVITE: lambda: _receive("mtls", folder),
        WEB_WITHOUT: lambda: _web(True),
        WEB: lambda: _web(False),
        PLUGIN: lambda: float(subprocess.check_output(plugin)),
    }
    found: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(rounds + 1):
        for name, measure in measures.items():
            seconds = measure()
            if turn:  # the first compiles, and fills Twisted's cache of plugins
                found[name].append(seconds)
    return {name: statistics.median(times) for name, times in found.items()}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=11)
    with tempfile.TemporaryDirectory() as folder:
        found = startUp(Path(folder), parser.parse_args().runs)
    for name, seconds in found.items():
        print(f"{name:62} {seconds * 1000:6.1f} ms {seconds / found[REACTOR]:6.2f}")


if __name__ == "__main__":
    main()
