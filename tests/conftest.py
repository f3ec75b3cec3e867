"""
How all tests are run: under which reactor, and that each leaves nothing behind.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path

import hypothesis
import pytest
from twisted.trial.unittest import TestCase

from tests.support.leaks import Snapshot, Watch

_REACTORS = {
    "asyncio": "twisted.internet.asyncioreactor",
    "default": "twisted.internet.default",
    "epoll": "twisted.internet.epollreactor",
    "poll": "twisted.internet.pollreactor",
    "select": "twisted.internet.selectreactor",
}
_TESTS = Path(__file__).resolve().parent
# No deadlines: how long an example takes says more about the machine than about
# the code.  In CI every run tries the same examples, so that a failure there is
# of the change; elsewhere new ones are tried each time, and a failing one is
# printed so that it can be tried again.
hypothesis.settings.register_profile(
    "twisted_transfer",
    deadline=None,
    derandomize="CI" in os.environ,
    print_blob=True,
)
hypothesis.settings.load_profile("twisted_transfer")

_watch = pytest.StashKey[Watch]()
_before = pytest.StashKey[Snapshot]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--reactor``."""
    parser.addoption(
        "--reactor",
        choices=sorted(_REACTORS),
        help="the Twisted reactor to run the tests under",
    )


def pytest_configure(config: pytest.Config) -> None:
    """
    Install the reactor before a test module can import the default one, and
    see to it that Ctrl-C works in the programs that tests start: a shell has
    its background jobs, and all that they start, ignore it.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Mark what has to be run under every reactor: all that uses the real one; what
    talks to the programs of others; and what starts this library's own.
    """
    for item in items:
        case = getattr(item, "cls", None)
        peers = _TESTS / "peers" in item.path.parents
        if peers:
            item.add_marker("peers")
        if peers or (case and issubclass(case, TestCase)):
            item.add_marker("reactor")
        if _TESTS / "programs" in item.path.parents:
            item.add_marker("programs")


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
