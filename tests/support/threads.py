"""
A reactor's thread pool that a test runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure


class HeldThreads:
    """
    Replaces a reactor and its thread pool; there are no threads.

    :ivar work: the queued work.
    """

    def __init__(self) -> None:
        self.work: deque[Callable[[], object]] = deque()

    def getThreadPool(self) -> Any:
        return self

    def callInThread(self, work: Callable[..., object], *args: Any) -> None:
        self.work.append(lambda: work(*args))

    def callInThreadWithCallback(
        self, onResult: Callable[..., object], work: Callable[..., object], *args: Any
    ) -> None:
        def run() -> None:
            try:
                result = work(*args)
            except Exception:
                onResult(False, Failure())
            else:
                onResult(True, result)

        self.work.append(run)

    def callFromThread(self, call: Callable[..., object], *args: Any) -> None:
        call(*args)

    def run(self) -> None:
        """Run all queued work."""
        while self.work:
            self.work.popleft()()
