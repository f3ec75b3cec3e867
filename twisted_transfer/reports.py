"""
What a transfer tells while it runs, and to whom.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol, TextIO

from twisted.python.failure import Failure

from twisted_transfer.progress import ProgressBar

BUG = "this is a bug in twisted_transfer, please report it with what follows"


class ShowsProgress(Protocol):
    """Is called as a transfer goes on, and closed after it."""

    def __call__(self, count: int, total: int | None, rate: float = 0.0) -> None:
        """So many bytes have moved, of so many if that is known, at that rate."""

    def close(self) -> None:
        """The transfer is over."""


class Report(Protocol):
    """
    What is told about one transfer.

    :ivar confidential: whether what is told is for the user alone, and kept
        nowhere.
    """

    confidential: bool

    def say(self, text: str) -> None:
        """Everything is as it should be."""

    def tellSecret(self, text: str) -> None:
        """What the user has to pass on; only if this is confidential."""

    def complain(self, text: str) -> None:
        """The transfer has failed for a reason that a person can act upon."""

    def bug(self, failure: Failure) -> None:
        """Something happened that should not."""

    def progress(self, label: str) -> ShowsProgress | None:
        """Who wants to know how far it is; None for nobody."""


class ConsoleReport:
    """
    Tells a person, or a script that reads the lines.

    A terminal that has gone away, or a pipe that nobody reads, is no reason to
    end a transfer: what cannot be told is not told.
    """

    confidential = True

    def __init__(self, stream: TextIO | None, quiet: bool = False) -> None:
        """
        :param stream: where to write; None if there is nothing.
        :param quiet: whether to tell errors only.
        """
        self._stream = stream
        self._quiet = quiet

    def _write(self, text: str) -> None:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                print(text, file=self._stream, flush=True)

    def say(self, text: str) -> None:
        """Write a line, unless this is quiet."""
        if not self._quiet:
            self._write(text)

    def tellSecret(self, text: str) -> None:
        """Write a line, also if this is quiet: nobody could come without it."""
        self._write(text)

    def complain(self, text: str) -> None:
        """Write a line that says whose it is."""
        self._write(f"twisted-transfer: {text}")

    def bug(self, failure: Failure) -> None:
        """Write everything that helps to find it."""
        self._write(f"twisted-transfer: {BUG}\n{failure.getTraceback()}")

    def progress(self, label: str) -> ShowsProgress | None:
        """A bar, on a terminal only."""
        if self._quiet or self._stream is None or not self._isTerminal(self._stream):
            return None
        return _Careful(ProgressBar(label, self._stream))

    @staticmethod
    def _isTerminal(stream: TextIO) -> bool:
        try:
            # A dumb terminal has no way back to the beginning of a line that
            # a bar could be drawn with.
            return stream.isatty() and os.environ.get("TERM") != "dumb"
        except ValueError:
            return False


class _Careful:
    """
    Shows progress as long as the terminal takes it.

    A terminal that is stopped (Ctrl-S) and shared with a standard input that
    is being read refuses output with EAGAIN.
    """

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def __call__(self, count: int, total: int | None, rate: float = 0.0) -> None:
        with suppress(OSError, ValueError):
            self._bar(count, total, rate)

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self._bar.close()
