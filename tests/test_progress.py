"""Tests for :mod:`twisted_transfer.progress`."""

from __future__ import annotations

import subprocess
import sys
import threading
from io import StringIO

import tqdm.std
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.progress import ProgressBar, sizeText, summary


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
        """What took no time has no rate."""
        self.assertEqual(summary("received", 0, 0.0), "received 0 bytes in 0.00 s")


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
            "import sys, twisted_transfer.command; sys.exit('tqdm' in sys.modules)"
        )
        status = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(sys.path)},
            timeout=30,
        ).returncode
        self.assertEqual(status, 0)
