"""
The ways to name a file, made one.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.python.filepath import FilePath

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes] | FilePath[Any]
"""What is accepted where a file is to be named."""


def pathText(path: AnyPath) -> str:
    """
    :param path: a path in any of its forms; Twisted's ``FilePath`` is one, but
        is no ``os.PathLike``.
    :returns: the same path as ``str``.
    """
    return os.fsdecode(path.path if isinstance(path, FilePath) else path)


def reasonText(error: OSError) -> str:
    """
    :returns: what the system says about an error, without its number and
        without the path, which the message around it names already.
    """
    return error.strerror or str(error)
