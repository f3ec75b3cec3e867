"""
How far a transfer is, for a person: a bar on a terminal, and a closing line.
"""

from __future__ import annotations

import threading
from typing import Any, TextIO

_KIB = 1024.0


def sizeText(count: float) -> str:
    """
    :param count: a number of bytes.
    :returns: it in the unit that leaves few digits, such as ``3.2 MiB``.
    """
    if count < _KIB:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= _KIB
        if count < _KIB:
            return f"{count:.1f} {unit}"
    return f"{count / _KIB:.1f} TiB"


def summary(done: str, count: int, seconds: float) -> str:
    """
    :param done: what was done: ``sent`` or ``received``.
    :param count: how many bytes.
    :param seconds: in which time.
    :returns: the closing line.
    """
    rate = f", {sizeText(count / seconds)}/s" if seconds > 0 else ""
    return f"{done} {count} bytes in {seconds:.2f} s{rate}"


class ProgressBar:
    """
    A bar on a terminal, for one transfer.

    It is made at the first call, so that nothing is shown before something
    moves, and wiped out at the end.
    """

    def __init__(self, label: str, stream: TextIO) -> None:
        """
        :param label: what is going on, such as ``sending``.
        :param stream: the terminal.
        """
        self._label = label
        self._stream = stream
        self._bar: Any = None

    def __call__(self, count: int, total: int | None, rate: float = 0.0) -> None:
        """
        :param count: how many bytes have moved.
        :param total: how many there are, or None if unknown.
        :param rate: how many a second; the bar measures that by itself.
        """
        if self._bar is None:
            self._bar = self._make(count, total)
        self._bar.update(count - self._bar.n)

    def _make(self, count: int, total: int | None) -> Any:
        # tqdm costs more than the rest of the program together to import, and
        # is needed only on a terminal.
        from tqdm import tqdm

        class Bar(tqdm):  # type: ignore[type-arg]
            # No thread that watches over bars which are not updated.
            monitor_interval = 0

        # The default is shared with other processes and costs a semaphore.
        Bar.set_lock(threading.RLock())
        return Bar(
            total=total,
            # What an earlier try has moved says nothing of the rate.
            initial=count,
            desc=self._label,
            file=self._stream,
            unit="iB",
            unit_scale=True,
            unit_divisor=1024,
            dynamic_ncols=True,
            leave=False,
        )

    def close(self) -> None:
        """Wipe the bar out."""
        if self._bar is not None:
            self._bar.close()
