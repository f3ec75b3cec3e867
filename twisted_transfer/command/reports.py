"""
What the command tells a person or a log: lines, progress, errors, exit statuses.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import Any, Protocol, TextIO

from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectError,
    DNSLookupError,
)
from twisted.python.failure import Failure

from twisted_transfer import errors
from twisted_transfer.printable import concealed, printable, printableLines, reasonOf

_KIB = 1024.0


def sizeText(count: float) -> str:
    """
    Write a number of bytes in the unit that leaves few digits.

    :param count: the number.
    :returns: the text, such as ``3.2 MiB``.
    """
    if count < _KIB:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= _KIB
        if count < _KIB:
            return f"{count:.1f} {unit}"
    return f"{count / _KIB:.1f} TiB"


# Seconds: what is not shown as 0.00.
_SHORTEST = 0.005


def summary(done: str, count: int, seconds: float) -> str:
    """
    Write the closing line of a file.

    :param done: what was done: ``sent`` or ``received``.
    :param count: how many bytes.
    :param seconds: how long it took.
    :returns: the line, without the rate if it took too short a time to tell one.
    """
    rate = f", {sizeText(count / seconds)}/s" if seconds >= _SHORTEST else ""
    return f"{done} {count} bytes in {seconds:.2f} s{rate}"


BUG = "this is a bug in twisted_transfer, please report it with what follows"


class Report(Protocol):
    """
    Shows or logs the messages about one transfer.

    :ivar confidential: whether only the user sees them, and they are not stored.
    """

    confidential: bool

    def say(self, text: str) -> None:
        """Report a step of the transfer, or its success."""

    def tellSecret(self, text: str) -> None:
        """Report what the user has to pass on; only if this is confidential."""

    def complain(self, text: str) -> None:
        """Report why the transfer has failed: an error that the user can mend."""

    def bug(self, failure: Failure) -> None:
        """Report an error of this library."""

    def progress(self, label: str) -> ProgressBar | None:
        """Make a bar that shows the progress; None where there is no terminal."""


class ConsoleReport:
    """
    Writes lines for a person, or for a script that reads them, all printable.

    What cannot be written is dropped: a terminal that has gone away, or a pipe
    that nobody reads, is no reason to end a transfer.
    """

    confidential = True

    def __init__(self, stream: TextIO | None, quiet: bool = False) -> None:
        """
        :param stream: where to write; None for nowhere.
        :param quiet: whether to write errors only.
        """
        self._stream = stream
        self._quiet = quiet

    def _write(self, text: str) -> None:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                print(printableLines(text), file=self._stream, flush=True)

    def say(self, text: str) -> None:
        """Write a line, unless this is quiet."""
        if not self._quiet:
            self._write(text)

    def tellSecret(self, text: str) -> None:
        """Write a line, also if this is quiet: the partner needs it."""
        self._write(text)

    def complain(self, text: str) -> None:
        """Write a line that names the program."""
        self._write(f"twisted-transfer: {text}")

    def bug(self, failure: Failure) -> None:
        """Write the traceback."""
        self._write(f"twisted-transfer: {BUG}\n{failure.getTraceback()}")

    def progress(self, label: str) -> ProgressBar | None:
        """Make a bar, on a terminal only."""
        stream = self._stream
        # A dumb terminal cannot go back to the beginning of a line to draw a bar;
        # a stream that was closed is no terminal.
        with suppress(ValueError):
            if stream and stream.isatty() and os.environ.get("TERM") != "dumb":
                return None if self._quiet else ProgressBar(label, stream)
        return None


class ProgressBar:
    """
    A bar on a terminal, for one transfer.

    It is made at the first call, so that nothing is shown before something
    moves, and wiped out at the end.  It does not matter if the terminal takes
    nothing: one that is stopped (Ctrl-S) and shared with a standard input that
    is being read refuses output with EAGAIN.
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
        Show the progress.

        :param count: how many bytes have moved.
        :param total: how many there are, or None if unknown.
        :param rate: how many a second; the bar measures that by itself.
        """
        with suppress(OSError, ValueError):
            if self._bar is None:
                self._bar = self._make(count, total)
            self._bar.update(count - self._bar.n)

    def _make(self, count: int, total: int | None) -> Any:
        # tqdm costs more than the rest of the program together to import, and
        # is needed only on a terminal.
        from tqdm import tqdm

        # No thread that watches over bars which are not updated.
        tqdm.monitor_interval = 0
        # The default is shared with other processes and costs a semaphore.
        tqdm.set_lock(threading.RLock())
        return tqdm(
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

    def goOn(self, label: str, skipped: int) -> None:
        """
        Go on with the next of several files.

        :param label: what is going on.
        :param skipped: how many of its bytes an earlier try has moved, which says
            nothing of the rate.
        """
        self._label = label
        with suppress(OSError, ValueError):
            if self._bar is not None:
                self._bar.initial += skipped
                self._bar.n += skipped
                self._bar.last_print_n += skipped
                self._bar.set_description(label)

    def aside(self, say: Callable[[], object]) -> None:
        """
        Have the bar make room for a line.

        :param say: writes it.
        """
        with suppress(OSError, ValueError):
            if self._bar is not None:
                self._bar.clear()
        say()
        with suppress(OSError, ValueError):
            if self._bar is not None:
                self._bar.refresh()

    def close(self) -> None:
        """Wipe the bar out."""
        if self._bar is not None:
            with suppress(OSError, ValueError):
                self._bar.close()


class Status(IntEnum):
    """The exit statuses of the command."""

    DONE = 0
    BUG = 1
    USAGE = 2
    NO_PARTNER = 3
    REFUSED = 4
    TRUNCATED = 5
    LOCAL = 6


# The first that fits counts: ConnectBindError is a ConnectError, and
# DNSLookupError an OSError.
_STATUSES: tuple[tuple[Status, tuple[type[BaseException], ...]], ...] = (
    (Status.USAGE, (errors.BadOption,)),
    (Status.LOCAL, (ConnectBindError,)),
    (Status.TRUNCATED, (errors.PartnerStalled,)),
    (Status.NO_PARTNER, (errors.PartnerTimeout, ConnectError, DNSLookupError)),
    (Status.NO_PARTNER, (socket.gaierror, errors.RelayFailed)),
    (Status.REFUSED, (errors.PeerRefused, errors.NotAdmitted)),
    (Status.TRUNCATED, (errors.PartnerFailed, errors.Truncated)),
    (Status.TRUNCATED, (errors.ReceiptMismatch, errors.NotAReceiptPartner)),
    (Status.TRUNCATED, (errors.PartnerProtocolError,)),
    (Status.LOCAL, (errors.NotEnoughData, errors.SourceError)),
    (Status.LOCAL, (errors.DestinationError, CannotListenError, OSError)),
)

# The kinds of PartnerFailed by which the partner does not even begin.
_REFUSALS = frozenset({"refused", "too-large", "exists"})


def statusOf(error: BaseException) -> Status:
    """
    Find the exit status for a failure.

    :param error: why a transfer has failed.
    :returns: the status; ``BUG`` for what should not happen.
    """
    if isinstance(error, errors.PartnerFailed) and error.kind in _REFUSALS:
        return Status.REFUSED
    for status, kinds in _STATUSES:
        if isinstance(error, kinds):
            return status
    return Status.BUG


_LONGEST = 20_000  # characters of a line; a path has 4096 bytes at most
_SECRET = re.compile(r"(secret=)[^:\s'\"]+", re.IGNORECASE)


def tellError(report: Report, error: BaseException) -> Status:
    """
    Report the error that has ended the work, from within its handler.

    :param report: is told.
    :param error: the error.
    :returns: the exit status.
    """
    status = statusOf(error)
    if status is Status.BUG:
        report.bug(Failure())
    else:
        report.complain(wordsFor(error))
    return status


def sayable(text: str) -> str:
    """
    Make a message printable, line by line, and hide secrets in it.

    :param text: a message, with words of the command line in it.
    :returns: the message as it may be shown.
    """
    return printableLines(_SECRET.sub(r"\1…", text), _LONGEST)


def wordsFor(error: BaseException) -> str:
    """
    Write what a person is told of a failure.

    :param error: why a transfer has failed; not a bug.
    :returns: one line, with what to do about it.
    """
    if isinstance(error, errors.TransferError):
        return sayable(concealed(" ".join(str(error).split()))) or reasonOf(error)
    words = sayable(concealed(reasonOf(error)))
    if isinstance(error, ConnectBindError):
        return (
            f"cannot dial from the address of bindAddress=: {words}; give one of this "
            "machine that fits the host, or leave it out"
        )
    if isinstance(error, socket.gaierror):
        return (
            f"the partner could not be reached: {words}; check host=, and the zone of "
            "an address (behind the %), which is a network interface of this machine"
        )
    if isinstance(error, ConnectError | DNSLookupError):
        return (
            f"the partner could not be reached: {words}; check the address; if the "
            "partner may start later, add retryFor=SECONDS to the description"
        )
    if isinstance(error, CannotListenError):
        return _cannotListen(error)
    return words


def _cannotListen(error: CannotListenError) -> str:
    """Write where this side cannot listen, why, and what else to try."""
    cause = error.socketError
    words = sayable(reasonOf(cause))
    if isinstance(error.port, int):
        host = printable(error.interface)
        place = f"[{host}]:{error.port}" if ":" in host else f"{host}:{error.port}"
        place = place if host else f"port {error.port}"
        todo = "choose another port, or port=0 for any free port"
        if isinstance(cause, socket.gaierror) or (
            getattr(cause, "errno", None) == errno.EADDRNOTAVAIL
        ):
            todo = "give an interface= that is an address of this machine"
        return f"cannot listen on {place}: {words}; {todo}"
    # The lock of a UNIX socket is a link; what it points to stands in the error first.
    path = getattr(cause, "filename2", None) or error.port
    name = printable(os.fsdecode(path)).removesuffix(".lock")
    return (
        f"cannot listen on the UNIX socket {name}: {words}; choose another path, in a "
        "folder that exists and that you may write to"
    )
