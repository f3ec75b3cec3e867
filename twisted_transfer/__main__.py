"""
Where the program ``twisted-transfer`` begins, and ``python -m twisted_transfer``.

The latter looks for every module in the current folder first, as Python does with
``-m``.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process at once, with the status that a shell shows for a signal."""
    os._exit(128 + number)


def run() -> int:
    """
    Import the program, during which there is nothing yet to be closed, and run it.

    :returns: the exit status.
    """
    # A signal that the caller has had ignored stays ignored.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, _leave)
    from twisted_transfer.command.main import main

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return main()


if __name__ == "__main__":
    sys.exit(run())
