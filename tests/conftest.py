"""
How all tests are run: which of them, under which reactor, and that each leaves
nothing behind.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from twisted.trial.unittest import TestCase

from tests.support.leaks import Snapshot, Watch
from tests.support.peers import isHere
from twisted import plugin

_REACTORS = {
    "asyncio": "twisted.internet.asyncioreactor",
    "default": "twisted.internet.default",
    "epoll": "twisted.internet.epollreactor",
    "poll": "twisted.internet.pollreactor",
    "select": "twisted.internet.selectreactor",
}
_TESTS = Path(__file__).resolve().parent
# The folders whose tests are left out, unless they are asked for.
_PROGRAMS, _PEERS = _TESTS / "programs", _TESTS / "peers"
# Forty examples, unless a test says otherwise: forty more cost as much and hardly
# found more; the gate takes fewer on its further Pythons.  No deadlines: how long an
# example takes says more about the machine than about the code.  In CI every run
# tries the same examples, so that a failure there is of the change; elsewhere new
# ones are tried each time, and a failing one is printed so that it can be tried again.
hypothesis.settings.register_profile(
    "twisted_transfer",
    max_examples=int(os.environ.get("EXAMPLES", "40")),
    deadline=None,
    derandomize="CI" in os.environ,
    print_blob=True,
)
hypothesis.settings.load_profile("twisted_transfer")

_watch = pytest.StashKey[Watch]()
_before = pytest.StashKey[Snapshot]()
_leftOut = pytest.StashKey[list[pytest.Item]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--all``, ``--peers`` and ``--reactor``."""
    parser.addoption(
        "--all",
        action="store_true",
        help="also run the tests of this library's own programs and of others, "
        "which a run leaves out unless it is given a path in their folders",
    )
    parser.addoption(
        "--peers",
        choices=("available", "required"),
        default="available",
        help="whether a test is skipped if a program that it needs is not "
        "installed, which is the default, or the run fails",
    )
    parser.addoption(
        "--reactor",
        choices=sorted(_REACTORS),
        help="the Twisted reactor to run the tests under",
    )


def pytest_configure(config: pytest.Config) -> None:
    """
    Install the reactor before a test module can import the default one, and
    end the ignoring of signals, which the programs that tests start would
    inherit: a shell has its background jobs ignore SIGINT, and nohup has its
    program ignore SIGHUP.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        # This process goes on ignoring it.  A program that it executes has the
        # default action of each signal that is caught here.
        signal.signal(signal.SIGHUP, lambda *_: None)
    name = config.getoption("reactor")
    if name is not None:
        if "twisted.internet.reactor" in sys.modules:
            raise pytest.UsageError(
                "--reactor: something has imported the default reactor already; "
                "leave out the plugin that does"
            )
        import_module(_REACTORS[name]).install()
    config.stash[_watch] = Watch()


def pytest_report_header() -> str:
    """Say what the tests are run on, as far as a result may depend on it."""
    reactor = sys.modules.get("twisted.internet.reactor")
    name = "the default" if reactor is None else type(reactor).__name__
    names = ("Twisted", "pyOpenSSL", "cryptography", "service-identity")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return f"reactor: {name}; {versions}"


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """
    Mark what uses the real reactor, and so is run under every reactor; leave
    out what was not asked for; and skip what needs a program that is not here.
    """
    left = [item for item in items if not _isAskedFor(config, item.path)]
    config.stash[_leftOut] = left
    notAskedFor = set(left)
    items[:] = [item for item in items if item not in notAskedFor]
    if left:
        config.hook.pytest_deselected(items=left)
    absent: set[str] = set()
    for item in items:
        case = getattr(item, "cls", None)
        if case and issubclass(case, TestCase):
            item.add_marker("reactor")
        for mark in item.iter_markers("needs"):
            for package in mark.args:
                if not isHere(package):
                    absent.add(package)
                    reason = f"install the package {package}"
                    item.add_marker(pytest.mark.skip(reason=reason))
    if absent and config.getoption("peers") == "required":
        raise pytest.UsageError(
            "--peers=required: install the packages " + " ".join(sorted(absent))
        )


def _isAskedFor(config: pytest.Config, path: Path) -> bool:
    """Whether the tests of a file are to be run."""
    folder = next((f for f in (_PROGRAMS, _PEERS) if path.is_relative_to(f)), None)
    if folder is None or config.getoption("all"):
        return True
    here = config.invocation_params.dir
    named = [(here / arg.partition("::")[0]).resolve() for arg in config.args]
    return any(path.is_relative_to(n) and n.is_relative_to(folder) for n in named)


def pytest_collection_finish() -> None:
    """
    Let the garbage collector pass over all that was there before the tests.

    It then takes so little time that it can be run after each test.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Run the tests in an empty folder, as trial itself does.

    There trial makes the temporary files and folders of test cases.
    """
    # What Hypothesis has found stays where it is found again.
    os.environ.setdefault(
        "HYPOTHESIS_STORAGE_DIRECTORY", str(_TESTS.parent / ".hypothesis")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("trial"))
        yield


@pytest.fixture(scope="session", autouse=True)
def findPluginsOnce() -> Iterator[None]:
    """
    Look for Twisted's plugins only where no look was taken yet.

    Twisted looks through the file system for each description that it reads,
    which these tests have it do ten thousand times.
    """
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    getCache = plugin.getCache

    def getCacheOnce(package: ModuleType) -> dict[str, Any]:
        places = (package.__name__, *package.__path__)
        if places not in found:
            found[places] = getCache(package)
        return found[places]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugin, "getCache", getCacheOnce)
        yield


@pytest.fixture(autouse=True)
def lookBefore(request: pytest.FixtureRequest) -> None:
    """
    Look at the process before each test, whatever kind of test it is.

    This comes before the test's other fixtures and after those that it shares
    with other tests, so what the latter hold is not counted as left.
    """
    request.node.stash[_before] = request.config.stash[_watch].before()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Iterator[None]:
    """
    Fail each test that leaves something behind, and say what.

    This comes after all fixtures, while the output is still captured, as it was
    before.
    """
    instance = getattr(item, "instance", None)
    try:
        yield
    finally:
        if instance is not None:
            # It was made by the collection, so the garbage collector passes over
            # it; and nothing may hold back a Deferred whose error was not seen.
            vars(instance).clear()
        before = item.stash.get(_before, None)
        left = item.config.stash[_watch].after(before) if before else []
        if nextitem is None or nextitem.path != item.path:
            gc.freeze()  # What a module's tests keep, they keep for good.
        if left:
            pytest.fail("left behind:\n" + "\n".join(left), pytrace=False)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which tests were left out, and how to run them."""
    left = config.stash.get(_leftOut, [])
    if left:
        programs = sum(item.path.is_relative_to(_PROGRAMS) for item in left)
        terminalreporter.section("left out")
        terminalreporter.line(
            f"{programs} tests of this library's own programs (tests/programs) and "
            f"{len(left) - programs} of programs of others (tests/peers)."
        )
        terminalreporter.line("This runs all: python -m pytest --all")
