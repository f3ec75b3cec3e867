"""
Attacking a program that dials: a hostile peer lies in wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from twisted_transfer.hostile import HostilePeer
from twisted_transfer.hostileplain import Scanner
from twisted_transfer.sieges import PATIENCE

_P = TypeVar("_P", bound=HostilePeer)


class _Trap(Factory, Generic[_P]):
    """Has its peer for the first who comes."""

    noisy = False

    def __init__(self, peer: _P) -> None:
        self.peer = peer
        self.sprung: Deferred[None] = Deferred()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """:returns: the peer, the first time; then one that hangs up."""
        if self.sprung.called:
            return Scanner()
        self.sprung.callback(None)
        return self.peer


def ambush(
    reactor: Any,
    endpoint: IStreamServerEndpoint,
    makePeer: Callable[[], _P],
    patience: float = PATIENCE,
) -> Deferred[tuple[IAddress, Deferred[_P]]]:
    """
    Let a hostile peer lie in wait for a program that dials::

        address, meeting = await ambush(
            reactor, endpoint, lambda: ImpostorServer(reactor)
        )
        ...  # let the program dial the address
        peer = await meeting
        assert peer.outcome == "alert: unknown ca"

    The first who dials meets it; then the port is closed.

    :param reactor: the one that the endpoint uses.
    :param endpoint: where to listen.  An
        :class:`~twisted_transfer.testing.ImpostorServer` brings its own TLS.
    :param makePeer: makes the peer: its class, or a function.
    :param patience: for how many seconds the peer stays connected at most; it
        has to be more than those in which the program owes to hang up.
    :returns: a Deferred with the address that is listened on, and a Deferred
        with the peer when its connection is gone, and the port as well: look
        at its ``outcome``.  Cancelling the latter closes the port and resets
        the connection, and it fails with ``CancelledError`` when nothing is
        left.  The former fails with ``CannotListenError`` if there can be no
        port.
    """
    peer = makePeer()
    trap = _Trap(peer)

    async def meet(port: Any) -> _P:
        try:
            try:
                await trap.sprung
            finally:
                stopping = maybeDeferred(port.stopListening)
            impatience = reactor.callLater(patience, peer.giveUp)
            try:
                await peer.ended
            except CancelledError:
                peer.abort()
                await peer.ended
                raise
            finally:
                if impatience.active():
                    impatience.cancel()
        finally:
            await stopping
            # What the transport still does after it told the peer.
            await deferLater(reactor, 0)
        return peer

    def listening(port: Any) -> tuple[IAddress, Deferred[_P]]:
        return port.getHost(), Deferred.fromCoroutine(meet(port))

    return maybeDeferred(endpoint.listen, trap).addCallback(listening)
