"""
Folders for tests.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any


def newFolder(case: Any) -> Path:
    """
    :param case: a test case.
    :returns: an empty folder of its own, with a short path (the name of a UNIX
        socket has room for 107 bytes), that goes when the test has ended.
    """
    folder = Path(tempfile.mkdtemp(prefix="tt-"))
    case.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    return folder
