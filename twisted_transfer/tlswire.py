"""
TLS connections: how they end, and what is lost by that.

TLS has an end for each direction, ``close_notify`` (RFC 8446, section 6.1).
Twisted ends both when the partner ends one.  It says nothing of what it then
drops: what is written later, and what it was still gathering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IHandshakeListener,
    IReactorTime,
    IUNIXTransport,
)
from twisted.internet.stdio import StandardIO
from twisted.protocols.tls import TLSMemoryBIOProtocol

from twisted_transfer.closing import CloseGuard, backlogOf
from twisted_transfer.errors import HalfCloseUnsupported
from twisted_transfer.layers import bottomOf, hearThrough, layersUnder
from twisted_transfer.mutualtls import handshakeOf
from twisted_transfer.wires import StandardIOWire, UNIXWire, Wire


class TLSWire(Wire):
    """A connection whose nearest layer, or one under it, is TLS."""

    def __init__(
        self, clock: IReactorTime, transport: Any, layer: TLSMemoryBIOProtocol
    ) -> None:
        """
        :param clock: measures the time.
        :param transport: the transport of the connection.
        :param layer: the TLS layer, which was just connected.
        """
        super().__init__(clock, transport)
        self._layer = layer
        self._bottom = bottomOf(layer)
        self._partnerClosed = False
        self._wrote = False
        self._turns = 0  # of the reactor, until what was written is on its way
        self._guard: CloseGuard | None = None
        self._nothingToLose = False
        # There is no other way to hear of a close_notify when it comes.
        self._receive: Callable[[bytes], None] = layer.dataReceived
        layer.dataReceived = self._received  # type: ignore[method-assign]

    @property
    def refusal(self) -> str | None:
        """Why this side did not accept the partner's certificate, if so."""
        handshake = handshakeOf(self._layer.getHandle())
        return None if handshake is None else handshake.refusal

    @property
    def _closedByPartner(self) -> bool:
        """Whether the partner has sent its ``close_notify``."""
        handle = self._layer.getHandle()  # None when the connection is gone
        if handle is not None and not self._partnerClosed:
            self._partnerClosed = bool(handle.get_shutdown() & SSL.RECEIVED_SHUTDOWN)
        return self._partnerClosed

    @property
    def _unsent(self) -> bool:
        """Whether something that was written is known to be here still."""
        if self._turns:
            return True
        return self._wrote and backlogOf(self._bottom) != (0, 0)

    def write(self, data: bytes) -> bool:
        """Write, as long as there is somebody to read it."""
        if self._closedByPartner:
            self.outputLost = True
            return False
        # Twisted gathers what is written in one turn of the reactor, and hands
        # it to the system in the next.
        self._wrote = True
        if not self._turns:
            self._later = self._clock.callLater(0, self._nextTurn)
        self._turns = 2
        return super().write(data)

    def _nextTurn(self) -> None:
        self._turns -= 1
        if self._turns:
            self._later = self._clock.callLater(0, self._nextTurn)

    def _received(self, data: bytes) -> None:
        """Let the layer have what came, and see whether it was the end."""
        before, unsent = self._closedByPartner, self._unsent
        self._receive(data)
        if before or not self._closedByPartner:
            return
        # Whoever has closed reads nothing that is still on its way.
        if (unsent or self._turns) and not (self._nothingToLose or self.complete):
            self.outputLost = True

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """Whether this side has closed and everything is on its way."""
        return self._guard is not None and self._guard.flushed

    def checkHalfClose(self) -> None:
        """
        :raises HalfCloseUnsupported: always.  ``loseWriteConnection`` would
            send a bare FIN, which the partner has to take for a truncation.
        """
        raise HalfCloseUnsupported(
            "a TLS connection cannot end its sending side alone: use "
            "loseConnection() when the answer is complete, or mark the end of the "
            "data in the protocol"
        )

    def close(self, inputEnded: bool) -> None:
        """End the connection in bounded time."""
        # The partner's close_notify comes behind what it still sends.  If it is
        # here Twisted ends the connection, but waits for what is to be sent.
        self.silent = True
        self._nothingToLose = not self._unsent
        self._transport.loseConnection()
        if self._layer.getHandle() is not None:
            self._guard = CloseGuard(self._clock, self._bottom, self._timedOut)

    def _timedOut(self) -> None:
        self.outputLost = True
        self.abort()

    def gone(self) -> None:
        """There is nothing more to watch."""
        super().gone()
        if self._guard is not None:
            self._guard.stop()


def wireOf(clock: IReactorTime, transport: Any, listener: IHandshakeListener) -> Wire:
    """
    Find out what a connection is made of.

    :param clock: measures the time.
    :param transport: the connection's transport.
    :param listener: over TLS, is told when the handshake is complete.
    :returns: the kind of wire.
    """
    for layer in layersUnder(transport):
        if isinstance(layer, TLSMemoryBIOProtocol):
            # Its handshake cannot be complete before that of one under it.
            hearThrough(layer.wrappedProtocol, listener, IHandshakeListener)
            return TLSWire(clock, transport, layer)
    if IUNIXTransport.providedBy(transport):
        return UNIXWire(clock, transport)
    if isinstance(transport, StandardIO):
        return StandardIOWire(clock, transport)
    return Wire(clock, transport)
