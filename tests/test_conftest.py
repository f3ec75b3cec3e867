"""
That a test which leaves something behind fails, whatever it leaves.

Each of the tests in ``leaking.py`` leaves one thing.  They are run in a process
of their own, and looked at from here.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

# Each leak, and how the report of the test that leaves it names it.
LEAKS = {
    "Port": "<class 'twisted.internet.tcp.Port'>",
    "Reader": "leaking._Reader object",
    "DelayedCall": "DelayedCall",
    "Socket": "AF_INET at ('127.0.0.1', ",
    "Pipe": "pipe:[",
    "Thread": "left-waiting",
    "Child": "time.sleep(1000)",
    "Zombie": "(ended, not waited for)",
    "Error": "LookupError: dropped",
    "ErrorInCycle": "LookupError: in a cycle",
    "LoggedFailure": "LookupError: logged",
    "GarbageSocket": "unclosed <socket.socket",
    "Coroutine": "'leakCoroutine.<locals>.forgotten' was never awaited",
}

_PROJECT = Path(__file__).resolve().parent.parent

# The kinds of test: plain functions, test cases without and with a reactor.
_KINDS = ("", ".SyncTests", ".AsyncTests")
_HELD_KINDS = (".HeldTests", ".HeldAsyncTests")


@dataclass(frozen=True)
class _Run:
    """
    A run of the tests in ``leaking.py``.

    :ivar reports: what was said of each test that did not pass.
    :ivar passed: the names of the others.
    :ivar output: what pytest printed.
    """

    reports: dict[str, str]
    passed: frozenset[str]
    output: str


def _run(folder: Path, *options: str) -> _Run:
    xml = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    command += [*options, f"--junit-xml={xml}", "tests/support/leaking.py"]
    result = subprocess.run(
        command, cwd=_PROJECT, capture_output=True, text=True, timeout=120
    )
    reports: dict[str, str] = {}
    passed = set()
    for case in ElementTree.parse(xml).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        name = name.removeprefix("tests.support.leaking")
        text = "".join(case.itertext())
        if len(case):
            reports[name] = reports.get(name, "") + text
        else:
            passed.add(name)
    return _Run(reports, frozenset(passed) - reports.keys(), result.stdout)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> _Run:
    """Run the tests under the default reactor."""
    return _run(tmp_path_factory.mktemp("leaking"))


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("leak", LEAKS)
def test_leak(run: _Run, leak: str, kind: str) -> None:
    """A test of any kind that leaves anything fails, and says what was left."""
    assert LEAKS[leak] in run.reports[f"{kind}.test_{leak}"]


@pytest.mark.parametrize("kind", _HELD_KINDS)
def test_heldByTestCase(run: _Run, kind: str) -> None:
    """An error in a Deferred is found where the test case itself holds it."""
    assert "LookupError: held" in run.reports[f"{kind}.test_HeldError"]


def test_innocent(run: _Run) -> None:
    """
    No test is blamed for what another left, or for what the reactor keeps.

    The clean tests stand between the leaking ones.  One of them flushes what it
    has logged, one has the reactor start its threads.
    """
    clean = {f"{kind}.test_{leak}_clean" for leak in LEAKS for kind in _KINDS}
    clean |= {f"{kind}.test_HeldError_clean" for kind in _HELD_KINDS}
    clean |= {f"{kind}.test_Flushed_clean" for kind in _HELD_KINDS}
    clean |= {".HeldAsyncTests.test_Running_clean"}
    clean |= {".HeldAsyncTests.test_Listening_clean"}
    clean |= {".HeldAsyncTests.test_NotListening_clean"}
    assert clean == run.passed


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("asyncio", "AsyncioSelectorReactor"),
        ("epoll", "EPollReactor"),
        ("poll", "PollReactor"),
        ("select", "SelectReactor"),
    ],
)
def test_reactors(tmp_path: Path, option: str, name: str) -> None:
    """Under each reactor the clean tests pass, and a port left there is found."""
    run = _run(tmp_path, "-k", "clean or test_Port", f"--reactor={option}")
    assert f"reactor: {name};" in run.output
    assert run.reports.keys() == {f"{kind}.test_Port" for kind in _KINDS}
