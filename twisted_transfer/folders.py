"""
A folder for files whose names the partner suggests.
"""

from __future__ import annotations

import os
from typing import Any

from twisted_transfer.announced import MAX_NAME, printable, suggestedName
from twisted_transfer.digested import DigestingDestination
from twisted_transfer.errors import DestinationError
from twisted_transfer.existing import ExistingFile
from twisted_transfer.paths import AnyPath, pathText
from twisted_transfer.receiptmessages import Offer
from twisted_transfer.resuming import ResumableFileDestination


class FolderDestination:
    """
    A folder in which received files get the names that the partner suggests.

    A name is never a path: what is not the plain name of a file is refused,
    and so is one that is a symbolic link in the folder.  Nothing outside the
    folder is touched.

    :ivar path: the folder.
    """

    def __init__(self, path: AnyPath, force: bool = False) -> None:
        """
        :param path: the folder, which has to be there.
        :param force: whether files that are there may be replaced; but never
            those of the same transfer.
        """
        self.path = pathText(path)
        self._force = force
        self._names: set[str] = set()

    def open(self) -> None:
        """
        Make sure that there is such a folder.

        :raises DestinationError: if there is not.
        """
        if not os.path.isdir(self.path):
            raise DestinationError(
                f"{self.path} is no folder; make it, or give another one",
                "place",
                "the receiver has no folder there",
            )

    def choose(
        self, reactor: Any, offer: Offer, maxSize: int | None
    ) -> DigestingDestination:
        """
        :param reactor: has the threads that hash and wait for the disk.
        :param offer: what the partner has.
        :param maxSize: how many bytes it may have; None: any number.
        :returns: where it goes.  A file that is there already is good if it is
            the same, as after a transfer that was interrupted behind it.
        :raises DestinationError: if it cannot have that name here.
        """
        shown = "no name"
        if offer.name is not None:
            shown = f"the name '{printable(offer.name, MAX_NAME)}'"
        name = None if offer.name is None else suggestedName(offer.name)
        if name is None:
            raise self._refused(
                f"the partner's file has {shown}, which cannot be one in a folder; "
                "give the path of a file to receive it into",
                f"the receiver cannot give a file {shown}",
            )
        if name.casefold() in self._names:
            raise self._refused(
                f"the partner sends two files that would both have {shown}; let it "
                "send them one by one",
                f"two files of this transfer have {shown}",
            )
        target = os.path.join(self.path, name)
        if os.path.islink(target):
            raise self._refused(
                f"{target} is a symbolic link, which is not followed for a name that "
                "the partner chose; remove it, or give the path of a file",
                f"the receiver cannot store anything by {shown}",
            )
        self._names.add(name.casefold())
        if not self._force and os.path.isfile(target):
            return ExistingFile(target, reactor)
        return ResumableFileDestination(
            target, self._force, reactor, maxSize, follow=False
        )

    @staticmethod
    def _refused(message: str, reason: str) -> DestinationError:
        return DestinationError(message, "refused", reason)
