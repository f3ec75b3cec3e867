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


def targetPath(path: str, follow: bool = True) -> str:
    """
    :param path: of a file that is to appear.
    :param follow: whether its last part may be a symbolic link.
    :returns: its absolute path, in which symbolic links are followed.
    :raises ValueError: if it can only be the path of a folder, or of nothing;
        the words say what would be right.
    """
    # realpath() drops the slash by which a folder is meant.
    folder, name = os.path.split(path)
    if not name:
        raise ValueError(f"{path!r} is to be a folder; give the path of a file in it")
    try:
        if not follow:
            return os.path.join(os.path.realpath(folder), name)
        return os.path.realpath(path)
    except ValueError as error:
        raise ValueError(f"{path!r} is no path: {error}") from error


def reasonText(error: OSError) -> str:
    """
    :returns: what the system says about an error, without its number and
        without the path, which the message around it names already.
    """
    return error.strerror or str(error)
