"""
Folders for tests.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted_transfer.data.parts import MARK, SUFFIX


def newFolder(case: Any) -> Path:
    """
    :param case: a test case.
    :returns: an empty folder of its own, with a short path (the name of a UNIX
        socket has room for 107 bytes), that goes when the test has ended.
    """
    folder = Path(tempfile.mkdtemp(prefix="tt-"))
    case.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    return folder


def partOf(target: Path | str) -> Path:
    """
    :param target: the path of a file that is to be received.
    :returns: where it is until it is complete.
    """
    return Path(f"{target}{SUFFIX}")


def leavePart(target: Path | str, content: bytes) -> Path:
    """
    Leave what an interrupted transfer leaves.

    :param target: the path of the file that was to be received.
    :param content: what has come of it.
    :returns: the path of the part.
    """
    part = partOf(target)
    part.write_bytes(content)
    part.chmod(MARK)
    return part
