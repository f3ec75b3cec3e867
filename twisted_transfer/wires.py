"""
The kinds of connections, as far as they are written to and ended differently.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from twisted_transfer.errors import HalfCloseUnsupported


class Wire:
    """
    A connection of no special kind: TCP, or whatever a plugin has made.

    :ivar silent: whether what still comes is not wanted any more.
    :ivar outputLost: whether something was written that cannot arrive.
    :ivar complete: whether nothing is missing although the connection may be
        reported as broken.
    """

    silent = False
    outputLost = False
    complete = False

    def __init__(self, clock: IReactorTime, transport: Any) -> None:
        """
        :param clock: measures the time.
        :param transport: the transport of the connection.
        """
        self._clock = clock
        self._transport = transport
        self._later: IDelayedCall | None = None

    def write(self, data: bytes) -> bool:
        """
        :param data: goes to the partner.
        :returns: False if it does not, because the partner has closed.
        """
        self._transport.write(data)
        return True

    def checkHalfClose(self) -> None:
        """
        :raises HalfCloseUnsupported: if the output cannot be ended alone.
        """
        if not hasattr(self._transport, "loseWriteConnection"):
            raise HalfCloseUnsupported(
                "this kind of connection cannot end its sending side alone: "
                "use loseConnection()"
            )

    def closeWrite(self) -> None:
        """End this side's output alone."""
        self._transport.loseWriteConnection()

    def close(self, inputEnded: bool) -> None:
        """
        End the connection after what was written.

        :param inputEnded: whether the partner sends no more.
        """
        self._transport.loseConnection()

    def abort(self) -> None:
        """End the connection at once."""
        transport = self._transport
        getattr(transport, "abortConnection", transport.loseConnection)()

    @property
    def refusal(self) -> str | None:
        """Why this side did not accept the partner's certificate, if so."""
        return None

    def outputEnded(self) -> None:
        """Output has ended, by this side or because nobody reads it."""

    def gone(self) -> None:
        """The connection has ended."""
        if self._later is not None and self._later.active():
            self._later.cancel()


class UNIXWire(Wire):
    """
    A UNIX socket.

    One whose partner is gone is reported as broken as soon as it is looked at
    for writing, even if nothing is to be written.
    """

    def close(self, inputEnded: bool) -> None:
        """What is to be written gets its turn of the reactor first."""
        self._later = self._clock.callLater(0, self._close, 1)

    def _close(self, turns: int) -> None:
        if turns:
            self._later = self._clock.callLater(0, self._close, turns - 1)
            return
        self.complete = not getattr(self._transport, "dataBuffer", b"")
        # The system's note of what a partner that has closed had not read.
        error = self._transport.getHandle().getsockopt(
            socket.SOL_SOCKET, socket.SO_ERROR
        )
        self.outputLost = self.outputLost or error != 0
        self._transport.loseConnection()


class StandardIOWire(Wire):
    """
    Standard input and output, which are two pipes.

    Twisted's own ways to end it wait for the output pipe, for ever if that has
    ended before.
    """

    _ended = False

    def write(self, data: bytes) -> bool:
        """Twisted drops in silence what nobody reads."""
        if self._ended:
            self.outputLost = True
            return False
        return super().write(data)

    def checkHalfClose(self) -> None:
        """
        :raises HalfCloseUnsupported: always.  Twisted stops to write, and leaves
            the pipe open until the program ends.
        """
        raise HalfCloseUnsupported(
            "standard output cannot be ended before the program ends: use "
            "loseConnection()"
        )

    def close(self, inputEnded: bool) -> None:
        """End both."""
        if self._ended:
            self._end(ConnectionDone())
        else:
            super().close(inputEnded)

    def abort(self) -> None:
        """End both now."""
        self._end(ConnectionAborted())

    def outputEnded(self) -> None:
        """The output pipe is closed."""
        self._ended = True

    def _end(self, reason: Exception) -> None:
        lose = self._transport.connectionLost
        self._later = self._clock.callLater(0, lose, Failure(reason))
