"""
A folder for files whose names the partner suggests.
"""

from __future__ import annotations

import os
import re
import unicodedata
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorThreads
from zope.interface import implementer

from twisted_transfer.data.parts import (
    SUFFIX,
    AnyPath,
    cannotStore,
    checkWritable,
    exists,
    heldBy,
    inThread,
    noPlace,
    partPath,
    pathText,
    raising,
    reasonText,
    resolved,
    roomOn,
)
from twisted_transfer.data.progress import checkNumber
from twisted_transfer.deferreds import deferring
from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import IDestination
from twisted_transfer.printable import printable
from twisted_transfer.receipts.messages import Offer
from twisted_transfer.receipts.receiving import (
    DigestedDestination,
    ResumableFileDestination,
)

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@implementer(IDestination)
class ExistingFile:
    """
    Accept a file that is there already, and no other.

    What comes is compared and not stored.  The sender learns nothing of the file
    but that it exists, and that only after it has sent everything, however much of
    it was equal.

    :ivar path: the file; it is only read.
    """

    _fd = -1
    _count = 0
    _same = True

    def __init__(self, path: str, reactor: IReactorThreads | None = None) -> None:
        """
        :param path: the file.
        :param reactor: with one, its threads wait for the disk.
        """
        self.path = path
        self._reactor = reactor

    def _status(self) -> tuple[int, int]:
        """The size, and when it was last changed."""
        status = os.fstat(self._fd)
        return status.st_size, status.st_mtime_ns

    def open(self) -> None:
        """
        Open the file.

        :raises DestinationError: if it cannot be read.
        """
        if self._fd != -1:
            return
        try:
            self._fd = os.open(self.path, _FLAGS)
        except OSError as error:
            raise exists(self.path) from error
        self._found = self._status()

    def write(self, data: bytes) -> None:
        """
        Compare some bytes.

        :param data: the next bytes.
        """
        self._same &= os.pread(self._fd, len(data), self._count) == data
        self._count += len(data)

    @deferring
    async def finish(self) -> None:
        """
        Flush the file to the disk, if it is what has come.

        :returns: a Deferred that fires when the file is on the disk; it fails with
            ``DestinationError`` if it differs from what has come, or was changed
            meanwhile.
        """
        if not self._same or (self._count, self._found[1]) != self._status():
            raise exists(self.path)
        with raising(partial(cannotStore, self.path)):
            await inThread(self._reactor, partial(os.fsync, self._fd))
        self.abort()

    def abort(self) -> None:
        """Leave the file as it is."""
        fd, self._fd = self._fd, -1
        if fd != -1:
            os.close(fd)


MAX_NAME = 255
"""The most bytes that a suggested name has in UTF-8, as in most file systems."""

# Controls; what is not seen but changes how the rest is seen, such as bidi
# overrides; halves of a pair; ends of a line or of a paragraph.
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Persian, Hindi and emoji need these two of the unseen ones, within a word.
_JOINERS = "\u200c\u200d"
# What Windows takes for a device, with whatever extension: "Naming Files, Paths,
# and Namespaces" of its documentation.
_DEVICE = re.compile(
    r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9\u00b9\u00b2\u00b3]) *(\..*)?",
    re.IGNORECASE | re.DOTALL,
)


def suggestedName(text: str) -> str | None:
    """
    Check a suggested name for a file; it is taken as it is, or refused.

    Refused are

    - the empty name, ``.`` and ``..``, slashes and backslashes, and what begins
      with the letter of a drive (``C:``);
    - what begins with a dot, a hyphen, a tilde, an at sign or ``transfer:``:
      such files are hidden, or mean something else on a command line;
    - dots at the end, and spaces at the beginning and at the end;
    - control and format characters, among them line ends and bidi overrides,
      but for the two joiners U+200C and U+200D;
    - what is not UTF-8, and what is longer than :data:`MAX_NAME` bytes;
    - the names of Windows' devices, such as ``nul`` and ``COM1.txt``;
    - :data:`~twisted_transfer.data.parts.SUFFIX` at the end, for that is what this
      library calls what is not whole yet.

    :param text: the name as it was announced; or that of a file which is to be
        announced.
    :returns: the same text if it is the name of a file, in whatever folder
        there is, or None.
    """
    if not text or re.search(r"[/\\]|\A[.~@-]|\A[A-Za-z]:|\.\Z", text, re.DOTALL):
        return None
    if text.casefold().startswith("transfer:"):
        return None
    if text != text.strip() or text.lower().endswith(SUFFIX):
        return None
    if any(
        unicodedata.category(character) in _REFUSED and character not in _JOINERS
        for character in text
    ):
        return None
    if len(text.encode()) > MAX_NAME or _DEVICE.fullmatch(text):
        return None
    return text


MAX_FILES = 10_000
"""How many files a folder takes in one transfer, if nothing else is said."""

SPARED = 20
"""One part in so many of a disk's free space is not filled by a transfer, if nothing
else is said: a system without any space left stops working."""


class FolderDestination:
    """
    A folder in which received files get the names that the partner suggests.

    A name is never a path: what is not the plain name of a file is refused,
    and so is one that is a symbolic link in the folder.  Nothing outside the
    folder is touched.

    :ivar path: the folder.
    """

    def __init__(
        self,
        path: AnyPath,
        force: bool = False,
        *,
        maxFiles: int = MAX_FILES,
        maxTotal: int | None = None,
    ) -> None:
        """
        :param path: the folder, which has to be there.
        :param force: whether files that are there may be replaced; but never
            those of the same transfer.
        :param maxFiles: how many files are taken at most.
        :param maxTotal: how many bytes all files may have that are stored; None: what
            is free on the disk, but for a twentieth.
        :raises BadOption: if one of these is invalid.
        """
        checkNumber("maxFiles", maxFiles, 1)
        if maxTotal is not None:
            checkNumber("maxTotal", maxTotal)
        self.path = pathText(path)
        self._force = force
        self._maxFiles = maxFiles
        self._maxTotal = maxTotal
        self._beginAnew(maxTotal)

    def _beginAnew(self, most: int | None) -> None:
        """
        Forget the files of an earlier transfer.

        :param most: how many bytes all files of the next one may have; None: any
            number.
        """
        self._files = self._total = 0
        self._most = most
        self._last: ResumableFileDestination | None = None
        # By what a file system may take for one name: letters of either case, and
        # either form of what has an accent.
        self._names: dict[str, list[str]] = {}

    def open(self) -> None:
        """
        Make sure that there is such a folder, and that files can be made in it.

        :raises DestinationError: if there is not, or they cannot.
        """
        if not os.path.isdir(self.path):
            raise DestinationError(
                f"{self.path} is no folder; make it, or give another one",
                "place",
                "the receiver has no folder there",
            )
        try:
            resolved(self.path)
        except OSError as error:
            raise noPlace(self.path, reasonText(error)) from error
        checkWritable(self.path)
        most = self._maxTotal
        if most is None:
            room = roomOn(self.path)
            most = None if room is None else room - room // SPARED
        self._beginAnew(most)

    def choose(
        self, reactor: Any, offer: Offer, maxSize: int | None
    ) -> DigestedDestination:
        """
        :param reactor: has the threads that hash and wait for the disk.
        :param offer: what the partner has.
        :param maxSize: how many bytes it may have; None: any number.
        :returns: where it goes.  A file that is there already is good if it is
            the same, as after a transfer that was interrupted behind it.
        :raises DestinationError: if it cannot have that name here.
        """
        if offer.name is None:
            raise self._refused(
                "the partner's data has come without a name: it is no file, or its "
                "name is not UTF-8; give the path of a file to receive it into",
                "the data was sent without a name: it is no file, or its name is not "
                "UTF-8; the receiver has to give the path of a file for it",
            )
        self._files += 1
        if self._files > self._maxFiles:
            raise self._refused(
                f"the partner sends more than the {self._maxFiles} files that "
                "--max-files (maxFiles=) allows; allow more, or ask for fewer",
                f"the receiver takes {self._maxFiles} files at most",
            )
        shown = f"the name '{printable(offer.name, MAX_NAME)}'"
        name = suggestedName(offer.name)
        if name is None:
            raise self._refused(
                f"the partner's file has {shown}, which cannot be one in a folder; "
                "give the path of a file to receive it into",
                f"the receiver cannot give a file {shown}",
            )
        target = os.path.join(self.path, name)
        key = unicodedata.normalize("NFC", name.casefold())
        twins = self._names.setdefault(key, [])
        if any(self._isTwin(name, twin) for twin in twins):
            raise self._refused(
                f"the partner sends two files that would both have {shown} here; let "
                "it send them one by one",
                f"two files of this transfer would have {shown} there",
            )
        if os.path.islink(target):
            raise self._refused(
                f"{target} is a symbolic link, which is not followed for a name that "
                "the partner chose; remove it, or give the path of a file",
                f"the receiver cannot store anything by {shown}",
            )
        twins.append(name)
        if not self._force and os.path.isfile(target):
            return DigestedDestination(ExistingFile(target, reactor), reactor, maxSize)
        if self._most is not None and self._maxTotal is None:
            # What an earlier try has left takes room on the disk already.
            self._most += heldBy(partPath(target))
        self._last = ResumableFileDestination(
            target, self._force, reactor, self._atMost(offer, maxSize), follow=False
        )
        return self._last

    def _atMost(self, offer: Offer, maxSize: int | None) -> int | None:
        """
        :returns: how many bytes of a file may be stored.
        :raises DestinationError: if what was offered is more than all files may have.
        """
        if self._last is not None:
            self._total += self._last.size
            self._last = None
        if self._most is None:
            return maxSize
        left = max(self._most - self._total, 0)
        if (offer.size or 0) > left:
            raise DestinationError(
                f"the partner's files have more than the {self._most} bytes that "
                "--max-total (maxTotal=) allows, or the disk has room for; allow more, "
                "or make room",
                "too-large",
                "all files together are larger than the receiver takes",
            )
        return left if maxSize is None else min(left, maxSize)

    def _isTwin(self, name: str, other: str) -> bool:
        """:returns: whether a file by one of the names is in the way of the other."""
        if name == other:
            return True
        # As different as they are, to this file system they may be one.
        with suppress(OSError):
            paths = (os.path.join(self.path, each) for each in (name, other))
            return os.path.samefile(*paths)
        return False

    @staticmethod
    def _refused(message: str, reason: str) -> DestinationError:
        return DestinationError(message, "refused", reason)
