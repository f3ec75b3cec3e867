"""
Run everything that has to hold before a change is accepted.

``run``, beside this, starts it.  It is made of rows, of which a few run at a time,
each with its output in a file that is printed whole when the row has ended.  A
list of all rows, with what became of each, ends the run.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from pythons import VERSIONS, findOthers

PROJECT = Path(__file__).resolve().parent.parent
# The default reactor, epoll, is that of all other rows.
REACTORS = ("asyncio", "poll", "select")
# Where the README's two commands stand, in the order in which a reader types them.
README_COMMANDS = (
    r"```\w*\n([^`]*twisted-transfer demo\n)```",
    r"<!-- test-command -->\s*```\w*\n([^`]*)```",
)
PYTEST = ("python", "-m", "pytest")
NO_PROGRAMS = ("tests/unit", "tests/reactors")
REACTOR_TESTS = (*PYTEST, "-m", "reactor", *NO_PROGRAMS)
# One row meets as many hostile peers; what a reactor does with them shows with fewer.
WHOLE_SIEGE = "SIEGE=10000"
# What holds for all inputs does so on each Python: few examples do on most of them.
FEW_EXAMPLES = "EXAMPLES=10"
WATCH = "tests/test_conftest.py"
# Programs as users write them.
USER = ("docs/examples", "tests/typing/user.py")
# How many rows run at a time: two more than there are processors, for each waits
# now and then, for the network or for a program.
AT_A_TIME = (os.cpu_count() or 1) + 2
# Seconds after which a row has failed.
LONGEST = 540

_NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "venv", "__pycache__", "*.egg-info", "dropin.cache", ".*_cache"
)


# The processes, each the first of a group, that the rows are waiting for.
_running: set[int] = set()


class RowError(Exception):
    """A row has failed; the message says how."""


@dataclass(frozen=True)
class Environment:
    """
    A copy of the project's tree, and a folder of programs that come first there.

    There is a copy for each, because an editable install and Twisted's plugin
    cache write into the tree.
    """

    tree: Path
    programs: Path

    @classmethod
    def make(cls, folder: Path) -> Environment:
        """Make one with this Python as ``python3``, and no virtual environment."""
        shutil.copytree(PROJECT, folder / "tree", ignore=_NOT_COPIED)
        programs = folder / "bin"
        programs.mkdir()
        python = programs / "python3"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        return cls(folder / "tree", programs)

    @classmethod
    def makeVirtual(cls, python: str, folder: Path) -> Environment:
        """Make one with a virtual environment with nothing in it, not even pip."""
        command = [python, "-m", "venv", "--without-pip", str(folder / "venv")]
        subprocess.run(command, check=True)
        shutil.copytree(PROJECT, folder / "tree", ignore=_NOT_COPIED)
        return cls(folder / "tree", folder / "venv" / "bin")


class Log:
    """Where a row's commands run, and what they print."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._until = time.monotonic() + LONGEST

    def run(self, where: Environment, *command: str) -> None:
        """
        Run a command in an environment.

        :raises RowError: if it fails, or if the row has taken too long.
        """
        environment = os.environ | {
            "CI": "true",
            "PATH": f"{where.programs}:{os.environ['PATH']}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            # Nothing is installed outside of virtual environments.
            "PIP_REQUIRE_VIRTUALENV": "1",
            # Only what is imported is compiled.  "No" is how to say yes to
            # --no-compile here.
            "PIP_NO_COMPILE": "no",
            "PIP_QUIET": "1",
        }
        with self._path.open("ab") as output:
            output.write(f"$ {shlex.join(command)}\n".encode())
            output.flush()
            process = subprocess.Popen(
                command,
                cwd=where.tree,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        _running.add(process.pid)
        try:
            status = process.wait(self._until - time.monotonic())
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise RowError(f"still running after {LONGEST} s") from None
        finally:
            _running.remove(process.pid)
        if status != 0:
            raise RowError(f"{command[0]} ended with status {status}")

    def note(self, text: str) -> None:
        """Add a line to the output."""
        with self._path.open("a", encoding="utf-8") as output:
            output.write(f"{text}\n")

    def read(self) -> str:
        """All that was printed."""
        if not self._path.exists():
            return ""
        return self._path.read_text(encoding="utf-8", errors="replace")


Row = Callable[[Log], None]


def setup() -> configparser.ConfigParser:
    """The project's metadata."""
    parser = configparser.ConfigParser()
    parser.read(PROJECT / "setup.cfg", encoding="utf-8")
    return parser


def oldest() -> str:
    """Constraints that hold each dependency to the oldest version admitted."""
    wanted = setup()["options"]["install_requires"]
    return re.sub(r"(?m)^([\w-]+)(?:\[\w+\])?>=", r"\1==", wanted.strip()) + "\n"


def readmeRow(folder: Path) -> Row:
    """What the README tells its reader to type, in a new copy of the tree."""

    def run(log: Log) -> None:
        readme = (PROJECT / "README.md").read_text(encoding="utf-8")
        where = Environment.make(folder)
        for pattern in README_COMMANDS:
            found = re.search(pattern, readme, re.MULTILINE)
            if found is None:
                raise RowError(f"README.md has nothing that matches {pattern!r}")
            log.run(where, "bash", "-euc", found[1])

    return run


class Tools:
    """
    The environment that has all the tools, which the rows that use it wait for.

    :ivar where: the environment.
    """

    def __init__(self, folder: Path) -> None:
        self.where = Environment.make(folder)
        self._folder = folder
        self._installed: Future[None] = Future()

    def install(self, log: Log) -> None:
        """Install all that the project, its tests and its developers need."""
        try:
            log.run(self.where, "python3", "-m", "venv", str(self._folder / "venv"))
            self.where = replace(self.where, programs=self._folder / "venv" / "bin")
            pip = ("python", "-m", "pip", "install")
            log.run(self.where, *pip, "-e", ".[dev,test]")
        except BaseException:
            self._installed.set_exception(RowError("the tools are not installed"))
            raise
        self._installed.set_result(None)

    def row(self, *commands: tuple[str, ...]) -> Row:
        """Commands of the tools'."""

        def run(log: Log) -> None:
            self._installed.result()
            for command in commands:
                log.run(self.where, *command)

        return run

    def pythonRow(self, python: str, folder: Path, isOldest: bool, *tests: str) -> Row:
        """Tests that start no programs, by a command of its own, on another Python."""

        def run(log: Log) -> None:
            self._installed.result()
            where = Environment.makeVirtual(python, folder)
            constraints = folder / "constraints.txt"
            constraints.write_text(oldest() if isOldest else "")
            log.note(constraints.read_text())
            # The tools' pip, as making another one takes longer than its use.
            pip = (str(self.where.programs / "python"), "-m", "pip")
            there = ("--python", str(where.programs / "python"))
            log.run(
                where, *pip, *there, "install", "-c", str(constraints), "-e", ".[test]"
            )
            log.run(where, "env", FEW_EXAMPLES, *tests)

        return run


def checkRows(tools: Tools) -> dict[str, Row]:
    """What looks at the project without running it."""
    version = setup()["metadata"]["version"]
    return {
        "ruff": tools.row(("ruff", "format", "--check", "."), ("ruff", "check", ".")),
        "mypy": tools.row(("mypy", ".", ".ci/gate.py", ".ci/pythons.py")),
        "types as a user sees them": tools.row(
            # Without the project's settings, and so without any plugin.
            ("mypy", "--strict", "--config-file=", "--cache-dir=/dev/null", *USER),
            ("basedpyright", *USER),
        ),
        "shellcheck": tools.row(
            ("shellcheck", ".ci/run"),
            ("shellcheck", "share/bash-completion/completions/twisted-transfer"),
        ),
        "changelog": tools.row(("towncrier", "build", "--draft", "--version", version)),
        "documentation": tools.row(
            ("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build"),
        ),
    }


def runAll(rows: dict[str, Row], work: Path) -> dict[str, str]:
    """
    Run the rows, some at a time, and print what each has printed.

    :returns: what became of each, of which only "ok" is good.
    """

    def runOne(name: str) -> tuple[str, str, int]:
        start = time.monotonic()
        log = Log(work / f"{name}.log")
        try:
            rows[name](log)
            result = "ok"
        except Exception as error:
            result = f"FAILED: {error}"
        print(f"\n===== {name}: {result}\n{log.read()}", flush=True)
        return name, result, round(time.monotonic() - start)

    results: dict[str, str] = {}
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            for ended in as_completed([pool.submit(runOne, name) for name in rows]):
                name, result, seconds = ended.result()
                results[name] = result
                print(f"===== {name}: {result}, after {seconds} s", flush=True)
        except BaseException:
            # This run is interrupted; what it has started ends with it.
            pool.shutdown(wait=False, cancel_futures=True)
            for group in list(_running):
                os.killpg(group, signal.SIGKILL)
            raise
    return results


def main() -> int:
    """Run the gate; the result is the exit status."""
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tools = Tools(work / "tools")
        # The longest come first, so that those that run together end together.
        rows: dict[str, Row] = {
            "tools": tools.install,
            "README": readmeRow(work / "readme"),
            "programs": tools.row((*PYTEST, "--peers=required", "tests/programs")),
        }
        others, absent = findOthers()
        # The first of them, or this one, has the oldest that setup.cfg admits.
        isOldest = True
        reactors = [*REACTORS]
        for version, python in (others or {"again": sys.executable}).items():
            name = f"Python {version}" + (", oldest dependencies" if isOldest else "")
            tests: tuple[str, ...] = (*PYTEST, *NO_PROGRAMS)
            if not (isOldest or version == VERSIONS[-1]):
                # One between the oldest and the newest runs what uses the reactor, and
                # has another one than they.
                reactor = reactors.pop(0)
                name += f", reactor {reactor}"
                tests = (WHOLE_SIEGE, *REACTOR_TESTS, "--reactor", reactor)
            rows[name] = tools.pythonRow(python, work / version, isOldest, *tests)
            isOldest = False
        rows["peers"] = tools.row((*PYTEST, "--peers=required", "tests/peers"))
        for reactor in reactors:
            command = (*REACTOR_TESTS, "--reactor", reactor)
            rows[f"reactor {reactor}"] = tools.row(command)
        # What the tests' own watch finds, under the reactor that differs most.
        watch = (*PYTEST, "--reactor", "asyncio", "-m", "reactor", WATCH)
        rows["watch"] = tools.row(watch)
        rows |= checkRows(tools)
        results = runAll(rows, work)

    print("\n===== All rows")
    for name, result in results.items():
        print(f"{name}: {result}")
    for version in absent:
        print(f"Python {version}: NOT TESTED, it is not on this machine")
    print(f"{time.monotonic() - start:.0f} s")
    return int(set(results.values()) != {"ok"})


if __name__ == "__main__":
    sys.exit(main())
