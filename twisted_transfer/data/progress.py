"""
Tell users how far a transfer is and how fast it goes, whatever their code raises.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger

from twisted_transfer.errors import BadOption

Progress = Callable[[int, "int | None", float], object]
"""Called with the number of bytes so far, the number of all of them or None
where that is unknown, and the rate in bytes per second."""

WINDOW = 3.0
"""The seconds over which the rate is measured."""

_STEP = 0.1  # seconds between two samples, so that their number is bounded


log = Logger()


def quietly(call: Callable[[], object], what: str) -> bool:
    """
    Call users' code whose errors must not change what becomes of a transfer.

    :param call: what to call.
    :param what: its name in the log.
    :returns: whether it has succeeded; an error is logged.
    """
    try:
        call()
    except Exception:
        log.failure("{what} has failed", what=what)
        return False
    return True


@dataclass(eq=False)
class Meter:
    """
    Measure one transfer, and tell a function how far it is.

    :ivar clock: measures the time, from here on.
    :ivar progress: is told, unless it is None; after an error of its own, which is
        logged, it is not called again, and the transfer goes on.
    :ivar total: how many bytes there will be, or None if that is unknown.
    :ivar count: how many there were in the beginning, which says nothing of the
        rate.
    """

    clock: Any
    progress: Progress | None
    total: int | None
    count: int = 0

    def __post_init__(self) -> None:
        self._samples = deque([(self.clock.seconds(), self.count)])

    def tell(self, count: int) -> None:
        """
        :param count: how many bytes have moved, since the beginning.
        """
        if self.progress is None:
            return
        now = self.clock.seconds()
        samples = self._samples
        # The first one is the last that is older than the window.
        while len(samples) > 1 and samples[1][0] <= now - WINDOW:
            samples.popleft()
        since, before = samples[0]
        if now >= samples[-1][0] + _STEP:
            samples.append((now, count))
        rate = (count - before) / (now - since) if now > since else 0.0
        try:
            self.progress(count, self.total, rate)
        except Exception:
            log.failure("progress has failed, and is not called again")
            self.progress = None


def checkNumber(
    option: str, value: object, lowest: int = 0, highest: int | None = None
) -> None:
    """
    :param option: the name of the option, for the message.
    :param value: what was given for it.
    :param lowest: the lowest number that it may be.
    :param highest: the highest one, or None.
    :raises BadOption: if it is no such number.
    """
    fits = isinstance(value, int) and not isinstance(value, bool)
    if fits and lowest <= value and (highest is None or value <= highest):  # type: ignore[operator]
        return
    upTo = "" if highest is None else f" and at most {highest}"
    raise BadOption(
        f"{option}={value!r} is no number of bytes; give a whole number, at least "
        f"{lowest}{upTo}"
    )
