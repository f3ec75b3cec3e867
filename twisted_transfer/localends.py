"""
What a path on the command line stands for: a file, a stream, a device.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import Any

from twisted_transfer.destinations import FileDestination, StreamDestination
from twisted_transfer.errors import DestinationError, SourceError
from twisted_transfer.interfaces import IDestination, ISource
from twisted_transfer.paths import reasonText
from twisted_transfer.sources import FileSource, StreamSource

STANDARD = "-"
"""The path that stands for standard input or output."""

# A named pipe or a terminal must not keep us waiting, nor become ours.
_OPEN = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def _isSpecial(path: str) -> bool:
    """Whether there is a pipe, a device or the like, and no file or folder."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def sourceAt(reactor: Any, path: str) -> ISource:
    """
    :param reactor: watches what is no file.
    :param path: ``-`` for standard input, or any path that can be read.
    :returns: the source, not opened yet unless it is special.
    :raises SourceError: if it is special and cannot be opened.
    """
    if path == STANDARD:
        # Python has None here if the descriptor was closed; its number may
        # belong to something else by now.
        if sys.__stdin__ is None:
            raise SourceError("standard input is closed; give the path of a file")
        return StreamSource(reactor, 0, name="standard input")
    if not _isSpecial(path):
        return FileSource(path)
    try:
        fd = os.open(path, os.O_RDONLY | _OPEN)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {reasonText(error)}") from error
    return StreamSource(reactor, fd, name=path, close=True)


def destinationAt(
    reactor: Any, path: str, force: bool, standardOutput: int = 1
) -> IDestination:
    """
    :param reactor: watches what is no file.
    :param path: ``-`` for standard output, or any path that can be written.
    :param force: whether a file that is there may be replaced.
    :param standardOutput: the descriptor that ``-`` stands for.
    :returns: the destination, not opened yet unless it is special.
    :raises DestinationError: if it is special and cannot be opened.
    """
    if path == STANDARD:
        if sys.__stdout__ is None:
            raise DestinationError("standard output is closed; give the path of a file")
        return StreamDestination(reactor, standardOutput, name="standard output")
    if not _isSpecial(path):
        return FileDestination(path, force, reactor)
    try:
        fd = os.open(path, os.O_WRONLY | _OPEN)
    except OSError as error:
        raise DestinationError(f"cannot write {path}: {reasonText(error)}") from error
    return StreamDestination(reactor, fd, name=path, close=True)
