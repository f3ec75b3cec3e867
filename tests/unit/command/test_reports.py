"""Tests for :mod:`twisted_transfer.command.reports`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from io import StringIO

import tqdm.std
import twisted.internet.error
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
    TCPTimedOutError,
    TimeoutError,
    UnknownHostError,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer import errors as ours
from twisted_transfer.command.reports import (
    ConsoleReport,
    ProgressBar,
    sayable,
    sizeText,
    statusOf,
    summary,
    wordsFor,
)
from twisted_transfer.errors import (
    AlreadyConnecting,
    BadDescription,
    BadOption,
    DestinationError,
    NotAdmitted,
    NotAReceiptPartner,
    NotEnoughData,
    PartnerFailed,
    PartnerProtocolError,
    PartnerTimeout,
    PeerRefused,
    ReceiptMismatch,
    SourceError,
    Truncated,
)
from twisted_transfer.receipts.messages import FailureKind


class Terminal(StringIO):
    """A terminal that keeps what was written to it, as long as it takes it."""

    broken: Exception | None = None

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.broken is not None:
            raise self.broken
        return super().write(text)


class ConsoleReportTests(SynchronousTestCase):
    """Telling a person, or a script."""

    def setUp(self) -> None:
        self.stream = Terminal()
        self.patch(os, "environ", {**os.environ, "TERM": "xterm"})

    def test_say(self) -> None:
        """What is said is a line."""
        ConsoleReport(self.stream).say("listening")
        self.assertEqual(self.stream.getvalue(), "listening\n")

    def test_complain(self) -> None:
        """A complaint says whose it is."""
        ConsoleReport(self.stream).complain("no")
        self.assertEqual(self.stream.getvalue(), "twisted-transfer: no\n")

    def test_printable(self) -> None:
        """Nothing that is written can move a terminal's cursor, whatever it is."""
        report = ConsoleReport(self.stream)
        error = Failure(ValueError("\x1b[2J"))
        for tell in (report.say, report.tellSecret, report.complain):
            tell("connected to /\x1b[2J\n\tor \x9b2J")
        report.bug(error)
        written = self.stream.getvalue()
        self.assertEqual(
            {each for each in written if not each.isprintable()}, {*"\n\t"}
        )
        self.assertEqual(written.count("connected to /\\x1b[2J\n\tor \\x9b2J\n"), 3)
        self.assertIn("ValueError: \\x1b[2J\n", written)

    def test_bug(self) -> None:
        """A bug comes with everything that helps to find it."""
        try:
            raise ZeroDivisionError("oops")
        except ZeroDivisionError:
            ConsoleReport(self.stream).bug(Failure())
        for text in ("bug", "Traceback", "ZeroDivisionError", "oops", "test_bug"):
            self.assertIn(text, self.stream.getvalue())

    def test_quiet(self) -> None:
        """Quiet, it tells errors only."""
        report = ConsoleReport(self.stream, quiet=True)
        report.say("listening")
        self.assertIsNone(report.progress("sending"))
        self.assertEqual(self.stream.getvalue(), "")
        report.complain("no")
        self.assertEqual(self.stream.getvalue(), "twisted-transfer: no\n")

    def test_progress(self) -> None:
        """There is a bar on a terminal."""
        progress = ConsoleReport(self.stream).progress("sending")
        assert progress is not None
        progress(1, 2)
        progress.close()
        self.assertIn("sending", self.stream.getvalue())

    def test_noTerminal(self) -> None:
        """There is none in a pipe, nor on a terminal that cannot go back."""
        self.assertIsNone(ConsoleReport(StringIO()).progress("sending"))
        os.environ["TERM"] = "dumb"
        self.assertIsNone(ConsoleReport(self.stream).progress("sending"))

    def test_broken(self) -> None:
        """A terminal that takes nothing more stops nothing."""
        report = ConsoleReport(self.stream)
        progress = report.progress("sending")
        assert progress is not None
        for error in (
            BlockingIOError(11, "Resource temporarily unavailable"),
            BrokenPipeError(32, "Broken pipe"),
            ValueError("I/O operation on closed file"),
        ):
            self.stream.broken = error
            report.say("listening")
            report.complain("no")
            progress(1, 2)
        progress.close()
        self.assertEqual(self.stream.getvalue(), "")

    def test_none(self) -> None:
        """Without standard error, as Python has it then, nothing is told."""
        report = ConsoleReport(None)
        report.say("listening")
        report.complain("no")
        self.assertIsNone(report.progress("sending"))

    def test_closed(self) -> None:
        """A stream that was closed is no terminal."""
        stream = StringIO()
        stream.close()
        self.assertIsNone(ConsoleReport(stream).progress("sending"))


class SizeTextTests(SynchronousTestCase):
    """Numbers of bytes for people."""

    def test_units(self) -> None:
        """The unit is that of powers of 1024 (IEC 80000-13), with few digits."""
        for count, text in (
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024**2, "1.0 MiB"),
            (3.25 * 1024**3, "3.2 GiB"),
            (1024**4, "1.0 TiB"),
            (5000 * 1024**4, "5000.0 TiB"),
        ):
            self.assertEqual(sizeText(count), text)


class SummaryTests(SynchronousTestCase):
    """The closing line."""

    def test_line(self) -> None:
        """It has the exact number of bytes, the seconds and the rate."""
        self.assertEqual(
            summary("sent", 3 * 1024**2, 2.0),
            "sent 3145728 bytes in 2.00 s, 1.5 MiB/s",
        )

    def test_noTime(self) -> None:
        """What took too short a time to measure has no rate."""
        for seconds in (0.0, 0.004):
            self.assertEqual(
                summary("received", 9, seconds), "received 9 bytes in 0.00 s"
            )


class ProgressBarTests(SynchronousTestCase):
    """A bar on a terminal."""

    def test_nothingMoved(self) -> None:
        """Nothing is shown before something has moved."""
        stream = StringIO()
        ProgressBar("sending", stream).close()
        self.assertEqual(stream.getvalue(), "")

    def test_known(self) -> None:
        """It shows how much of how much, and is wiped out at the end."""
        stream = StringIO()
        bar = ProgressBar("sending", stream)
        bar(1024**2, 4 * 1024**2)
        self.assertIn("sending:", stream.getvalue())
        self.assertIn("/4.00M", stream.getvalue())
        bar.close()
        last = stream.getvalue().rstrip("\r").rpartition("\r")[2]
        self.assertEqual(last.strip(), "")

    def test_aside(self) -> None:
        """A line gets a place of its own, and the bar is drawn again below it."""
        stream = StringIO()
        bar = ProgressBar("sending", stream)
        bar.aside(lambda: print("first", file=stream))
        self.assertEqual(stream.getvalue(), "first\n")
        bar(1024**2, 4 * 1024**2)
        bar.aside(lambda: print("second", file=stream))
        before, _, after = stream.getvalue().partition("second\n")
        self.assertEqual(before.rstrip("\r").rpartition("\r")[2].strip(), "")
        self.assertIn("/4.00M", after)

    def test_unknown(self) -> None:
        """Where the size is unknown it shows how much, and no part of it."""
        stream = StringIO()
        bar = ProgressBar("receiving", stream)
        seconds = [0.0]
        self.patch(tqdm.std, "time", lambda: seconds[0])
        # It is drawn ten times a second at most.
        for step in range(3):
            seconds[0] = float(step)
            bar(step * 3 * 1024**2, None)
        self.assertIn("receiving: 6.00MiB [00:02, ", stream.getvalue())
        self.assertNotIn("%", stream.getvalue())
        bar.close()

    def test_goneOn(self) -> None:
        """What was there already counts as done, but not as fast."""
        stream = StringIO()
        bar = ProgressBar("receiving", stream)
        seconds = [0.0]
        self.patch(tqdm.std, "time", lambda: seconds[0])
        for step in range(3):
            seconds[0] = float(step)
            bar(1024**3 + step * 1024**2, 2 * 1024**3)
        self.assertIn(" 50%", stream.getvalue())
        self.assertRegex(stream.getvalue(), r"1\.0\dMiB/s")
        self.assertNotIn("G/s", stream.getvalue())
        bar.close()

    def test_nextFile(self) -> None:
        """
        For the next file it has another label; what was there of that counts as done,
        but not as fast.
        """
        stream = StringIO()
        bar = ProgressBar("sending 1 of 2", stream)
        seconds = [0.0]
        self.patch(tqdm.std, "time", lambda: seconds[0])
        for step in range(3):
            seconds[0] = float(step)
            bar(step * 1024**2, 2 * 1024**3)
        bar.goOn("sending 2 of 2", 1024**3)
        for step in range(3, 5):
            seconds[0] = float(step)
            bar(1024**3 + step * 1024**2, 2 * 1024**3)
        last = stream.getvalue().rpartition("\r")[2]
        self.assertRegex(last, r"^sending 2 of 2:  50%.*1\.\d\dG/2\.00G.*1\.0\dMiB/s")
        self.assertNotIn("G/s", stream.getvalue())
        bar.close()

    def test_noThread(self) -> None:
        """No thread is started to watch over it."""
        before = threading.active_count()
        bar = ProgressBar("sending", StringIO())
        bar(1, 2)
        self.assertEqual(threading.active_count(), before)
        bar.close()

    def test_late(self) -> None:
        """The bar's library is only imported when there is one to show."""
        program = (
            "import sys, twisted_transfer.command.main; sys.exit('tqdm' in sys.modules)"
        )
        status = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(sys.path)},
            timeout=30,
        ).returncode
        self.assertEqual(status, 0)


_ADDRESS_IN_USE = OSError(98, "Address already in use")


class StatusTests(SynchronousTestCase):
    """What went wrong, as an exit status."""

    def test_statuses(self) -> None:
        """Each kind of failure has the status that the manual gives it."""
        for status, errors in (
            (2, [BadOption("x"), BadDescription("x")]),
            (
                3,
                [
                    PartnerTimeout("x"),
                    ConnectError(),
                    ConnectionRefusedError(),
                    TimeoutError(),
                    TCPTimedOutError(),
                    UnknownHostError(),
                    DNSLookupError("x"),
                ],
            ),
            (4, [PeerRefused("x"), NotAdmitted("x")]),
            # The partner did not want to begin.
            (
                4,
                [
                    PartnerFailed("refused", "x"),
                    PartnerFailed("exists", "x"),
                    PartnerFailed("too-large", "x"),
                ],
            ),
            (5, [Truncated("x")]),
            (
                5,
                [
                    NotAReceiptPartner("x"),
                    PartnerProtocolError("x"),
                    ReceiptMismatch("x"),
                    PartnerFailed("storing", "x"),
                    PartnerFailed("source", "x"),
                    PartnerFailed("cancelled", "x"),
                    PartnerFailed("mismatch", "x"),
                    PartnerFailed("protocol", "x"),
                ],
            ),
            (
                6,
                [
                    SourceError("x"),
                    DestinationError("x"),
                    NotEnoughData(2, b"x"),
                    CannotListenError("", 1, _ADDRESS_IN_USE),
                    # This side has not even got so far as to ask the partner.
                    ConnectBindError(),
                    OSError(24, "Too many open files"),
                ],
            ),
            (1, [ZeroDivisionError(), AlreadyConnecting("x"), CancelledError()]),
        ):
            for error in errors:
                self.assertEqual(statusOf(error), status, repr(error))


def _of(kind: type[BaseException]) -> list[BaseException]:
    """:returns: errors of a class, with words and, but for options, without."""
    if issubclass(kind, BadOption):
        return [kind("x y")]
    if issubclass(kind, ConnectError):
        return [kind(), kind(string="x y"), kind(111, "x y")]
    return [kind(), kind("x y")]


class WordsTests(SynchronousTestCase):
    """What went wrong, in words."""

    def test_own(self) -> None:
        """The library's own errors say what to do already."""
        self.assertEqual(wordsFor(Truncated("transfer again")), "transfer again")

    def test_partner(self) -> None:
        """What the partner says is told as the partner's, with what to do."""
        for kind in FailureKind:
            words = wordsFor(PartnerFailed(kind.value, "no room"))
            self.assertRegex(words, rf"^the partner .*\({kind.value}\): no room; \w")

    def test_oneLine(self) -> None:
        """However an error is written, it is told in one line."""
        self.assertEqual(wordsFor(BadOption("one\n  two\n")), "one two")

    def test_everyError(self) -> None:
        """
        No error is told as an object, a class, a number or bytes, or not at all.

        That is each of this library's classes and of Twisted's that can pass through,
        with a message and without one, and the system's behind them.
        """
        given: dict[type[BaseException], list[BaseException]] = {
            ours.PartnerFailed: [ours.PartnerFailed("storing", "")],
            ours.NotEnoughData: [ours.NotEnoughData(2, b"x")],
            ours.Undecodable: [ours.Undecodable("utf-8", 3, "bad")],
            ours.QueueAborted: [ours.QueueAborted(ours.Truncated())],
            CannotListenError: [
                CannotListenError("", 1, _ADDRESS_IN_USE),
                CannotListenError(None, b"/run/x", OSError(2, "No such file", b"x")),
                CannotListenError(
                    None, "17", OSError(2, "No such file", "17", None, b"/run/x.lock")
                ),
                CannotListenError("fe80::1%no", 1, socket.gaierror(-2, "Not known")),
            ],
            OSError: [OSError(), OSError(5, "I/O error", b"x"), OSError("odd thing")],
            socket.gaierror: [socket.gaierror(-2, "Name or service not known")],
        }
        own = vars(ours).values()
        twisteds = vars(twisted.internet.error).values()
        kinds = [
            each
            for each in (*own, *twisteds)
            if isinstance(each, type)
            and issubclass(each, ours.TransferError | ConnectError | DNSLookupError)
        ]
        for kind in {*kinds, *given}:
            for error in given.get(kind) or _of(kind):
                said = wordsFor(error)
                self.assertRegex(said, r"\w+ \w+|x y")
                self.assertNotRegex(
                    said,
                    rf"{kind.__name__}\b|Errno|\bb['\"]|object at|\[\(|\.[.;]|"
                    r"(?<!port )(?<!:)\b\d+: |``|\.lock|\b17\b",
                )

    def test_unixSocket(self) -> None:
        """Who cannot listen on a UNIX socket is told its path, not that of its lock."""
        cause = OSError(2, "No such file or directory", "17", None, b"/run/x.lock")
        for port in ("17", b"/run/x"):
            words = wordsFor(CannotListenError(None, port, cause))
            self.assertIn("UNIX socket /run/x: No such file or directory; ", words)
            self.assertIn("choose another path, in a folder that exists", words)

    def test_noSuchHost(self) -> None:
        """A zone that is not known is no error of the file system's."""
        error = socket.gaierror(-2, "Name or service not known")
        self.assertEqual(statusOf(error), 3)
        self.assertIn("could not be reached: Name or service not", wordsFor(error))
        self.assertIn(
            "an interface= that is an address of this machine",
            wordsFor(CannotListenError("fe80::1%no", 1, error)),
        )

    def test_bind(self) -> None:
        """Who cannot dial from an address is not told of the partner."""
        words = wordsFor(ConnectBindError(99, "Cannot assign requested address"))
        self.assertIn("bindAddress=: Cannot assign requested address; give", words)
        words = wordsFor(ConnectBindError(string="it is of another family"))
        self.assertIn("it is of another family", words)

    def test_unreachable(self) -> None:
        """Who cannot reach the partner is told what to look at."""
        for error in (
            ConnectionRefusedError(osError=111, string="Connection refused"),
            DNSLookupError("no results for hostname lookup: nowhere"),
        ):
            words = wordsFor(error)
            self.assertIn("could not be reached", words)
            self.assertIn("retryFor", words)
            self.assertIn(error.args[-1], words)

    def test_cannotListen(self) -> None:
        """Who cannot listen is told where, why, and what else could be."""
        words = wordsFor(
            CannotListenError("127.0.0.1", 4000, OSError(*_ADDRESS_IN_USE.args))
        )
        for text in ("127.0.0.1:4000", "Address already in use", "port=0"):
            self.assertIn(text, words)


class SayableTests(SynchronousTestCase):
    """Words that came from outside."""

    def test_secret(self) -> None:
        """A secret is left out wherever it stands."""
        text = "cannot read transfer:active:mtls:secret=swordfish: no such file"
        self.assertEqual(
            sayable(text), "cannot read transfer:active:mtls:secret=…: no such file"
        )
        self.assertNotIn("swordfish", wordsFor(SourceError(text)))

    def test_terminal(self) -> None:
        """Nothing in it does anything to a terminal; lines stay lines."""
        said = sayable("a\x1b[2Jb\nc")
        self.assertEqual([line.isprintable() for line in said.split("\n")], [True] * 2)
        self.assertTrue(wordsFor(SourceError("\x1b[2J\u202e")).isprintable())

    def test_plain(self) -> None:
        """All else is as it was."""
        self.assertEqual(sayable("it's “this”: ä 日本"), "it's “this”: ä 日本")
