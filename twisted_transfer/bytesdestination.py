"""
Memory as a destination.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from twisted_transfer.counts import checkNumber
from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import IDestination

MAX_SIZE = 64 * 1024 * 1024
"""How many bytes are collected at most, unless another bound is given."""


@implementer(IDestination)
class BytesDestination:
    """
    Collects what comes, up to a bound.

    :ivar data: everything, once it is finished; empty before, and if it never
        is.
    """

    data = b""

    def __init__(self, maxSize: int = MAX_SIZE) -> None:
        """
        :param maxSize: how many bytes may come; more are a
            ``DestinationError``.
        :raises BadOption: if it is no number of bytes.
        """
        checkNumber("maxSize", maxSize)
        self._maxSize = maxSize
        self._collected = bytearray()
        self._over = False

    def _check(self) -> None:
        if self._over:
            raise DestinationError(
                "a BytesDestination is good for one transfer; make a new one"
            )

    def open(self) -> None:
        """
        Do nothing: there is always memory.

        :raises DestinationError: if it was used before.
        """
        self._check()

    def write(self, data: bytes) -> None:
        """
        Add some bytes.

        :param data: the next bytes.
        :returns: None: the next ones may come at once.
        :raises DestinationError: if there are too many by now; they are not
            kept.
        """
        self._check()
        if len(self._collected) + len(data) > self._maxSize:
            raise DestinationError(
                f"more than the {self._maxSize} bytes have come that maxSize allows; "
                "raise it, or take a FileDestination"
            )
        self._collected += data

    def finish(self) -> Deferred[None]:
        """
        Let everything appear in :attr:`data`.

        :returns: see :class:`~twisted_transfer.interfaces.IDestination`.
        """
        try:
            self._check()
        except DestinationError as error:
            return fail(error)
        self._over = True
        self.data = bytes(self._collected)
        self._collected.clear()
        return succeed(None)

    def abort(self) -> None:
        """Forget what has come, unless it was everything."""
        self._over = True
        self._collected.clear()
