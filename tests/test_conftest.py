"""
Tests for ``conftest.py``: which tests are run, and that one which leaves something
behind fails, whatever it leaves.

Each of the tests in ``leaking.py`` leaves one thing.  They are run in a process
of their own, and looked at from here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support import peers

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
    """

    reports: dict[str, str]
    passed: frozenset[str]


def _pytest(*options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """
    Run pytest.

    :param path: where it looks for programs; None: where this process does.
    """
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=_PROJECT,
        env=os.environ | ({} if path is None else {"PATH": path}),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> _Run:
    """Run the tests of ``leaking.py`` under the reactor of this run."""
    reactor = request.config.getoption("reactor") or "default"
    xml = tmp_path_factory.mktemp("leaking") / "report.xml"
    result = _pytest(
        f"--reactor={reactor}", f"--junit-xml={xml}", "tests/support/leaking.py"
    )
    if reactor != "default":
        assert re.search(f"reactor: {reactor}\\w*Reactor;", result.stdout, re.I)
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
    return _Run(reports, frozenset(passed) - reports.keys())


@pytest.mark.reactor
@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("leak", LEAKS)
def test_leak(run: _Run, leak: str, kind: str) -> None:
    """A test of any kind that leaves anything fails, and says what was left."""
    assert LEAKS[leak] in run.reports[f"{kind}.test_{leak}"]


@pytest.mark.reactor
@pytest.mark.parametrize("kind", _HELD_KINDS)
def test_heldByTestCase(run: _Run, kind: str) -> None:
    """An error in a Deferred is found where the test case itself holds it."""
    assert "LookupError: held" in run.reports[f"{kind}.test_HeldError"]


@pytest.mark.reactor
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


# Which tests are run.


def _collected(*options: str) -> tuple[Counter[str], str]:
    """How many tests of which folders would be run, and the output."""
    # The others are as good as any, and collected sooner.
    some = ("--ignore=tests/unit", "--ignore-glob=tests/*/test_[!ps]*.py")
    result = _pytest("--collect-only", "-q", *some, *options)
    assert result.returncode == 0, result.stdout
    folders = Counter(re.findall(r"(?m)^tests/(\w+)\S*::", result.stdout))
    return folders, result.stdout


def test_leftOut() -> None:
    """
    What starts programs is left out and counted, and the way to run it is named:
    with ``--all`` nothing is left out, and nothing is said of that.
    """
    everything, output = _collected("--all")
    assert "left out" not in output
    programs, peers = everything.pop("programs"), everything.pop("peers")
    kept, output = _collected()
    assert kept == everything
    assert kept.keys() >= {"reactors", "twisted"}
    *_, counts, way, _closing = output.splitlines()
    assert re.fullmatch(
        rf"{programs} tests of .* and {peers} of programs of others .*", counts
    )
    assert way.endswith("python -m pytest --all")


def test_withoutPeers(tmp_path: Path) -> None:
    """
    What is named is not left out; and where no program of others is installed,
    each test says which it wants.
    """
    result = _pytest(
        "tests/peers", "-k", "not OurRawSide and not TransitRelay", path=str(tmp_path)
    )
    assert result.returncode == 0, result.stdout
    assert "left out" not in result.stdout
    assert re.search(r"\n=+ \d+ skipped, \d+ deselected in ", result.stdout)
    wanted = re.findall(r"SKIPPED .*: install the package (\S+)", result.stdout)
    assert set(wanted) == {"curl", "ncat", "openssl", "socat", "tcl", "tcllib"}


def test_peersRequired(tmp_path: Path) -> None:
    """Where they are required, nothing is run, and all that are missing are named."""
    named = ("tests/peers/test_socat.py", "tests/peers/test_tcltls.py")
    result = _pytest(*named, "--peers=required", path=str(tmp_path))
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "the packages socat tcl-tls tcllib\n" in result.stderr


@pytest.mark.parametrize("script", ["exit 1", "exec /bin/sleep 1000"])
def test_bareTcl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A Tcl without the packages is found out soon, whether it fails or hangs."""
    tclsh = tmp_path / "tclsh"
    tclsh.write_text(f"#!/bin/sh\n{script}\n")
    tclsh.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(peers, "_LONGEST", 0.2)
    peers.isHere.cache_clear()
    assert peers.isHere("tcl")
    assert not peers.isHere("tcllib")
    assert not peers.isHere("tcl-tls")
    peers.isHere.cache_clear()
