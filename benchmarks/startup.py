"""
Measure how long the command takes to begin, beside the import of Twisted's reactor.

    python -m benchmarks.startup

Each is run in turn, and the medians are shown: the import, ``twisted-transfer --help``,
``twisted-transfer receive`` until it has said that it listens, and the CPU time that
this library's plugin takes of each ``twist``, whatever that runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_REACTOR = "from twisted.internet import reactor"
_COMMAND = (str(Path(sys.executable).with_name("twisted-transfer")),)
# What a "twist web" imports, and then our plugin.
_PLUGIN = """
import time
import twisted.application.twist._twist, twisted.web.server, twisted.plugins.twisted_web
began = time.process_time()
import twisted.plugins.twisted_transfer_dropin
print(time.process_time() - began)
"""


def run(*words: str) -> float:
    """:returns: the seconds until a program has ended."""
    began = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def listen() -> float:
    """:returns: the seconds until the receiver has said that it listens."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*_COMMAND, "receive", f"{folder}/x", "transfer:passive:port=0"]
        began = time.perf_counter()
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            if not process.stderr.readline().startswith("listening on "):
                raise AssertionError("it does not listen")
            seconds = time.perf_counter() - began
            process.kill()
    return seconds


def plugin() -> float:
    """:returns: the seconds of CPU time that the import of the plugin takes."""
    return float(subprocess.check_output([sys.executable, "-c", _PLUGIN]))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    # Python has to find its bytecode, as in an installation.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    measures: dict[str, Callable[[], float]] = {
        "the reactor's import": lambda: run(sys.executable, "-c", _REACTOR),
        "twisted-transfer --help": lambda: run(*_COMMAND, "--help"),
        "receive, until it listens": listen,
        "our plugin, CPU": plugin,
    }
    found: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(runs + 1):
        for name, measure in measures.items():
            seconds = measure()
            if turn:  # the first fills the caches
                found[name].append(seconds)
    bare = statistics.median(found["the reactor's import"])
    for name, times in found.items():
        median = statistics.median(times)
        print(f"{name:26} {median * 1000:6.1f} ms {median / bare:6.2f}")


if __name__ == "__main__":
    main()
