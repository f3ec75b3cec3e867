"""
The reading side of a channel, as a user sees it.
"""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol

from twisted_transfer.intake import Intake
from twisted_transfer.unread import Data

_P = TypeVar("_P", bound=IProtocol)
_Self = TypeVar("_Self", bound="Readable")


class Readable:
    """
    What can be read, in two ways, one at a time: by a protocol, or by asking.
    """

    _intake: Intake

    def start(self, protocol: _P) -> _P:
        """
        Hand the connection to a protocol.

        It gets everything that nobody has read yet.  When the partner ends
        its output, a protocol that provides ``IHalfCloseableProtocol`` is told
        so; for any other one the channel is closed after what it wrote.  With
        an encoding set, ``dataReceived`` gets ``str``.

        :param protocol: gets this channel as its transport.
        :returns: the protocol.
        :raises AlreadyReading: if there is a protocol already, or a read waits.
        """
        self._intake.start(protocol)
        return protocol

    def read(self, n: int = 65536) -> Deferred[Any]:
        """
        Wait for data.

        :param n: at most so many bytes, or characters if an encoding is set.
        :returns: a Deferred with ``bytes`` (``str``): at least one unit, or an
            empty one after an orderly end.  It fails with ``Truncated`` when
            everything that came before a truncation was read, and with
            ``Undecodable`` at input that is not valid in the encoding.
            Cancelling it takes nothing.
        :raises AlreadyReading: if another read waits, or a protocol reads.
        """
        if n < 1:
            raise ValueError(f"read() of {n}: ask for at least 1")
        return self._intake.inbox.read(n)

    def readExactly(self, n: int) -> Deferred[Any]:
        """
        Wait for exactly so much data.

        :param n: so many bytes, or characters if an encoding is set.
        :returns: as for :meth:`read`; it fails with ``NotEnoughData`` when the
            partner ends before.
        :raises AlreadyReading: if another read waits, or a protocol reads.
        """
        if n < 0:
            raise ValueError(f"readExactly() of {n}: ask for 0 or more")
        return self._intake.inbox.readExactly(n)

    def readLine(self, limit: int = 65536) -> Deferred[Any]:
        """
        Wait for a line.

        :param limit: the longest line to take, with its newline.
        :returns: as for :meth:`read`: the line with its newline, the rest if
            there is no newline before the end, empty at the end.  It fails
            with ``LineTooLong``, and then nothing was taken.
        :raises AlreadyReading: if another read waits, or a protocol reads.
        """
        return self._intake.inbox.readLine(limit)

    def __aiter__(self: _Self) -> _Self:
        """Read chunk by chunk up to the end."""
        return self

    async def __anext__(self) -> Any:
        chunk: Data = await self.read()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def pauseProducing(self) -> None:
        """Stop giving data to the protocol; the partner has to wait."""
        self._intake.pause()

    def resumeProducing(self) -> None:
        """Go on giving data to the protocol."""
        self._intake.resume()
