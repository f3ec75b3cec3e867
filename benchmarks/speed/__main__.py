"""
Measure how fast this library is, beside the programs and libraries that do as much.

    python -m benchmarks.speed
    python -m benchmarks.speed --write
    python -m benchmarks.speed --quick
    python -m benchmarks.speed --parts plain,mtls --size 4G --rounds 3

In each scene the subjects have their turns one after the other, and then again; the
figures are medians.  Time and CPU are those of whole processes: from the start of the
sender, with the receiver listening, to the end of both.  *Inside* is from the first
byte to the last, as the processes say that look at the clock.  The data are random, and
what arrives is compared with them afterwards, outside of the time.

Without ``--parts`` it measures everything.  ``--write`` puts the tables and the picture
into the documentation.  The exit status is 1 if a subject has failed.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from benchmarks.speed import report
from benchmarks.speed.asked import Figures
from benchmarks.speed.peers.common import MIB
from benchmarks.speed.running import Failed, floor
from benchmarks.speed.scenes import GIB, Found, Workplace, parts
from benchmarks.speed.subjects import BRIDGES, MANY, ROOT, SUBJECTS
from benchmarks.startup import startUp

PAGE = ROOT / "docs" / "explanation"
TABLES, PICTURE = "speed-tables.txt", "speed.svg"
START_UP, OVERHEAD, WAITING = "start-up", "overhead", "waiting"
_UNITS = {"K": 10, "M": 20, "G": 30}


def size(text: str) -> int:
    """:returns: a number of bytes, which may end in K, M or G."""
    unit = _UNITS.get(text[-1:].upper(), 0)
    return int(text[:-1] if unit else text) << unit


def place(folder: str | None) -> str:
    """:returns: the folder for the data: in memory, if that is possible."""
    if folder is None and os.access("/dev/shm", os.W_OK):
        return "/dev/shm"
    return folder or tempfile.gettempdir()


def versions() -> dict[str, str]:
    """:returns: of what the figures are, but for the name of the machine."""
    found = {
        "processors": str(os.cpu_count()),
        platform.system(): platform.release().partition("-")[0],
        platform.python_implementation(): platform.python_version(),
        **{name: metadata.version(name) for name in ("Twisted", "pyOpenSSL")},
        "OpenSSL of Python": ssl.OPENSSL_VERSION.split()[1],
    }
    for name, words, pattern in (
        ("socat", ("socat", "-V"), r"socat version (\S+)"),
        ("ncat", ("ncat", "--version"), r"Version (\S+)"),
    ):
        try:
            ran = subprocess.run(words, capture_output=True, text=True)
        except FileNotFoundError:
            found[name] = "missing"
            continue
        said = re.search(pattern, ran.stdout + ran.stderr)
        found[name] = said[1] if said else "unknown"
    return found


def overhead(rounds: int) -> dict[str, float]:
    """:returns: what ``python -m benchmarks.overhead`` prints."""
    command = [sys.executable, "-m", "benchmarks.overhead", f"--rounds={rounds}"]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = re.findall(r"^(.+): ([\d.]+)$", ran.stdout, re.M)
    return {name: float(value) for name, value in found}


def waiting(rounds: int) -> dict[str, float]:
    """:returns: the bytes of memory that ``python -m benchmarks.waiting`` prints."""
    command = [sys.executable, "-m", "benchmarks.waiting", f"--runs={rounds}"]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = re.findall(r"^ *(\d+) (connector|port) +(\d+) B ", ran.stdout, re.M)
    return {
        f"bytes of a waiting {kind}, {count} of them": float(size)
        for count, kind, size in found
    }


def options() -> argparse.Namespace:
    """:returns: what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [*parts(None, GIB, 0), START_UP, OVERHEAD, WAITING]
    every = {*SUBJECTS, *BRIDGES, *MANY}
    add = parser.add_argument
    add("--rounds", type=int, help="turns of each subject (5)")
    add("--size", type=size, help="of all large transfers, such as 64M (1G or 2G)")
    add("--most", type=size, help="the size for which memory is measured (4G)")
    add("--files", type=int, help="how many small files (10000)")
    add("--parts", help=f"some of {','.join(names)}, with commas between them")
    add("--subjects", help=f"some of {', '.join(sorted(every))}")
    add(
        "--folder",
        help="where the data are (/dev/shm, which is memory, if it is there)",
    )
    add("--quick", action="store_true", help="small sizes and two rounds")
    add(
        "--write",
        nargs="?",
        const=PAGE,
        type=Path,
        metavar="FOLDER",
        help="write the tables and the picture into a folder (the documentation's)",
    )
    given = parser.parse_args()
    quick = given.quick
    given.rounds = given.rounds or (2 if quick else 5)
    given.size = given.size or (64 * MIB if quick else None)
    given.most = given.most or (256 * MIB if quick else 4 * GIB)
    given.files = given.files or (500 if quick else 10_000)
    given.parts = given.parts.split(",") if given.parts else names
    given.subjects = given.subjects.split(",") if given.subjects else every
    for kind, known in (("parts", names), ("subjects", every)):
        for name in getattr(given, kind):
            if name not in known:
                parser.error(f"--{kind}: there is no {name}")
    return given


def main() -> int:
    """Measure, and print; the result is the exit status."""
    given = options()
    # Programs and data that are still there are removed then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.chdir(ROOT)
    began = time.monotonic()
    found: dict[str, list[Found]] = {}
    starts: dict[str, float] = {}
    within: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=place(given.folder)) as name:
        workplace = Workplace(Path(name))
        for part, scenes in parts(given.size, given.most, given.files).items():
            if part in given.parts:
                found[part] = [
                    each
                    for scene in scenes
                    for each in workplace.measure(scene, given.subjects, given.rounds)
                ]
        # What has been found is shown, whatever fails behind it.
        failed = False
        try:
            if START_UP in given.parts:
                starts = startUp(Path(name), 3 * given.rounds)
            if OVERHEAD in given.parts:
                within = overhead(given.rounds)
            if WAITING in given.parts:
                within |= waiting(given.rounds)
        except (Failed, subprocess.CalledProcessError) as why:
            print(why, file=sys.stderr)
            failed = True
    every = [each for several in found.values() for each in several]
    about = [
        ", ".join(f"{name} {value}" for name, value in versions().items()),
        f"data in {'memory' if place(given.folder) == '/dev/shm' else 'files'}; "
        f"{given.rounds} rounds",
    ]
    ciphers = {each.cipher for each in every if each.cipher}
    if ciphers:
        about.append(f"over TLS: {', '.join(sorted(ciphers))}")
    tables = [report.figures(every, floor())] if every else []
    tables += [report.starts(starts)] if starts else []
    tables += [report.within(within)] if within else []
    rows = [each.row for each in Figures(found, starts, within).asked()]
    head = ("figure", "has to be", "is", "enough")
    tables.append(
        report.Table(
            "What it has to reach, and what it reaches", head, rows, (64, 12, 14, 10)
        )
    )
    print("\n".join(about), end="\n\n")
    print("\n".join(table.markdown() for table in tables))
    print(f"measured in {(time.monotonic() - began) / 60:.1f} minutes")
    if given.write is not None:
        lines = [*(f"- {line}" for line in about), ""]
        lines += [table.restructured() for table in reversed(tables)]
        (given.write / TABLES).write_text("\n".join(lines), encoding="utf-8")
        large = ("plain", "mtls", "unix", "pipes", "bridge")
        shown = [each for name in large for each in found.get(name, ())]
        (given.write / PICTURE).write_text(report.picture(shown), encoding="utf-8")
    return 1 if failed or any(each.failed for each in every) else 0


if __name__ == "__main__":
    sys.exit(main())
