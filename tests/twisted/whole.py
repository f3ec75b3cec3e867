"""
Run Twisted's own test suite with channels in it, and say what differs.

Usage: ``python -m tests.twisted.whole [NAME …]``, where each NAME is a test
package, module, class or method of Twisted's; without one, all that use sockets.

Each module runs twice, in processes of its own: as it is, and with a channel of
this library between each real socket and its protocol (:mod:`.between`).  A test
that ends differently is printed with the reason that ``differences.txt`` gives; one
without a reason there is a fault.  A whole run also names the reasons that no test
has needed.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("differences.txt")

PACKAGES = (
    "twisted.application",
    "twisted.conch",
    "twisted.internet",
    "twisted.mail",
    "twisted.names",
    "twisted.protocols",
    "twisted.spread",
    "twisted.test",
    "twisted.web",
    "twisted.words",
)
"""What is run without a name."""

TEST_TIMEOUT = 10.0
"""Seconds for one test; Twisted's own 120 would be wasted on each that hangs."""

MODULE_TIMEOUT = 900.0
"""Seconds for one module."""


@dataclass
class Outcome:
    """
    How the tests of one run ended.

    :ivar results: ``ok``, ``skip``, ``fail`` or ``hang`` for each test.
    :ivar details: what went wrong, for those that did.
    :ivar channels: how many channels there were in each test that had some.
    """

    results: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)


# In the process that runs tests.


def _runTests(name: str, report: Path, channels: bool) -> None:
    """Run the tests of one name in this process."""
    from twisted.trial import util

    # Before Twisted's own test cases take the name over.
    util.DEFAULT_TIMEOUT_DURATION = TEST_TIMEOUT
    from twisted.python.failure import Failure
    from twisted.trial.reporter import TestResult
    from twisted.trial.runner import TestLoader, TrialRunner

    from tests.twisted import between

    if channels:
        between.install()
    out = report.open("w", encoding="utf-8")

    class Recorder(TestResult):
        """Writes a line at each end of a test."""

        result, detail, before = "ok", "", 0

        def __init__(self, *ignored: Any) -> None:
            super().__init__()

        def startTest(self, test: Any) -> None:
            super().startTest(test)
            self.result, self.detail = "ok", ""
            self.before = between.channels
            self.tell("hang", test)

        def stopTest(self, test: Any) -> None:
            super().stopTest(test)
            self.tell(self.result, test)

        def tell(self, result: str, test: Any) -> None:
            count = between.channels - self.before
            print(
                json.dumps([test.id(), result, count, self.detail]),
                file=out,
                flush=True,
            )

        # Errors are not kept: what they keep alive would fail a later test.

        def addError(self, test: Any, error: Any) -> None:
            if isinstance(error, tuple):  # from unittest itself
                error = Failure(error[1], error[0], error[2])
            self.result = "fail"
            self.detail += error.getTraceback()
            error.cleanFailure()
            # A Deferred's error that nobody has seen comes after the end.
            self.tell(self.result, test)

        addFailure = addError

        def addSkip(self, test: Any, reason: Any) -> None:
            super().addSkip(test, reason)
            self.result = "skip"

        def done(self) -> None:
            pass

    runner = TrialRunner(
        lambda *ignored: Recorder(),
        logfile="test.log",
        workingDirectory="trial",
        uncleanWarnings=True,
        forceGarbageCollection=True,
    )
    suite = TestLoader().loadByName(name, recurse=True)
    gc.collect()
    gc.freeze()
    runner.run(suite)
    out.close()
    sys.stdout.flush()
    os._exit(0)  # whatever threads a hanging test has left


# In the process that compares.


def _modules(names: Iterable[str]) -> Iterator[str]:
    """:returns: the test modules in each package; other names as they are."""
    for name in names:
        try:
            spec = find_spec(name)
        except ModuleNotFoundError:
            spec = None  # of a class or a method
        if spec is None or spec.submodule_search_locations is None:
            yield name
            continue
        path = spec.submodule_search_locations
        for module in walk_packages(path, f"{name}."):
            if ".test.test_" in module.name or ".test_" in module.name:
                yield module.name


def _run(name: str, channels: bool) -> Outcome:
    """Run the tests of one name in a process of their own."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    __spec__.name,
                    "--report",
                    str(report),
                    *(["--channels"] if channels else []),
                    name,
                ],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                timeout=MODULE_TIMEOUT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        lines = report.read_text().splitlines() if report.exists() else []
    for line in lines:
        test, result, count, detail = json.loads(line)
        outcome.results[test] = result
        if detail:
            outcome.details[test] = detail
        if count:
            outcome.channels[test] = count
    return outcome


def readTable(path: Path = TABLE) -> dict[str, str]:
    """
    :param path: has lines ``pattern`` each followed by indented reason lines.
    :returns: why the tests that a pattern names may end differently.
    """
    reasons: dict[str, str] = {}
    patterns: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            for pattern in patterns:
                reasons[pattern] = f"{reasons.get(pattern, '')} {line.strip()}".strip()
            continue
        if patterns and reasons.get(patterns[-1]):
            patterns = []
        patterns.append(line.strip())
    return reasons


def compare(names: Sequence[str], jobs: int, verbose: bool) -> bool:
    """
    Run everything twice and print what differs.

    :param names: test packages, modules, classes or methods.
    :param jobs: how many processes at a time.
    :param verbose: whether to print the tracebacks of unexplained differences.
    :returns: whether each difference is explained.
    """
    table = readTable()
    modules = list(dict.fromkeys(_modules(names)))
    tests = withChannels = 0
    unexplained: list[str] = []
    explained: dict[str, list[str]] = {}

    def both(name: str) -> tuple[str, Outcome, Outcome]:
        changed = _run(name, channels=True)
        if not changed.channels and "hang" not in changed.results.values():
            return name, changed, changed
        return name, _run(name, channels=False), changed

    with ThreadPoolExecutor(jobs) as pool:
        for name, plain, changed in pool.map(both, modules):
            tests += len(changed.results)
            withChannels += len(changed.channels)
            if changed.channels:
                print(
                    f"{name}: {len(changed.results)} tests, "
                    f"{len(changed.channels)} with channels",
                    flush=True,
                )
            for test, result in plain.results.items():
                now = changed.results.get(test, "not run")
                if now == result or result != "ok":
                    continue
                for pattern in table:
                    if fnmatch.fnmatchcase(test, pattern):
                        explained.setdefault(pattern, []).append(test)
                        break
                else:
                    unexplained.append(test)
                    print(f"  DIFFERS {test}: {result} without, {now} with channels")
                    if verbose:
                        print(changed.details.get(test, ""))
    for pattern, found in explained.items():
        print(f"explained {pattern} ({len(found)}): {table[pattern]}")
    if names is PACKAGES:
        for pattern in table.keys() - explained.keys():
            print(f"not needed: {pattern}")
    print(
        f"{tests} tests, {withChannels} of them with channels; differ: "
        f"{sum(map(len, explained.values()))} explained, {len(unexplained)} not"
    )
    return not unexplained


def main() -> int:
    """
    :returns: the exit status: 0 if each difference is explained.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("names", nargs="*", default=PACKAGES, metavar="NAME")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--verbose", action="store_true", help="print tracebacks")
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--channels", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.report is not None:
        [name] = given.names
        _runTests(name, given.report, given.channels)
    return 0 if compare(given.names, given.jobs, given.verbose) else 1


if __name__ == "__main__":
    sys.exit(main())
