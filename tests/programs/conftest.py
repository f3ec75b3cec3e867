"""
What the tests of this library's own programs share.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import programs
from tests.support.forks import Forks


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[None]:
    """Have the command imported once for all its processes."""
    programs.forks = Forks()
    yield
    programs.forks.close()
