"""How little stands between a channel and a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.support.folders import newFolder
from tests.unit.data.test_copying import ChannelTestCase
from twisted_transfer import data
from twisted_transfer.data.copying import copy
from twisted_transfer.data.destinations import FileDestination
from twisted_transfer.data.progress import Progress
from twisted_transfer.data.receiving import receive
from twisted_transfer.data.sources import FileSource

_ROOM = str(Path(data.__file__).parent)
_CHUNK = 65536
_CHUNKS = 20


def calls(doing: Callable[[], object]) -> int:
    """:returns: how many functions of the folder ``data`` are called."""
    count = 0

    def called(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.startswith(_ROOM)

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        doing()
    finally:
        sys.setprofile(before)
    return count


class CallTests(ChannelTestCase):
    """The Python calls that one chunk costs in these rooms."""

    def progress(self) -> tuple[tuple[Progress | None, int], ...]:
        """:returns: each way to be told or not, and how many calls that adds."""
        return (None, 0), (lambda count, total, rate: None, 1)

    def test_receive(self) -> None:
        """A chunk received into a file: two, and one more to tell of it."""
        for progress, more in self.progress():
            self.setUp()
            destination = FileDestination(newFolder(self) / "x")
            receiving = receive(self.ours, destination, progress)
            self.theirs.write(bytes(_CHUNK))
            self.settle()

            def arrive() -> None:
                for _ in range(_CHUNKS):
                    self.theirs.write(bytes(_CHUNK))
                    self.settle()

            self.assertEqual(calls(arrive), _CHUNKS * (2 + more))
            self.theirs.loseConnection()
            self.settle()
            self.assertEqual(self.successResultOf(receiving), _CHUNK * (_CHUNKS + 1))

    def test_copy(self) -> None:
        """A block of a file copied: two, and one more to tell of it."""
        path = newFolder(self) / "x"
        path.write_bytes(bytes(_CHUNK * _CHUNKS))

        def taken(data: bytes) -> None:
            """Take everything at once."""

        for progress, more in self.progress():
            self.setUp()
            self.patch(self.ours, "write", taken)
            copying: list[Any] = []

            def begin(told: Progress | None = progress, done: Any = copying) -> None:
                done.append(copy(FileSource(path), self.ours, None, _CHUNK, told))

            count = calls(begin)
            self.assertEqual(self.successResultOf(copying[0]), _CHUNK * _CHUNKS)
            begins = calls(lambda: copy(b"", self.ours))
            self.assertLess(count, begins + 10 + _CHUNKS * (2 + more))
