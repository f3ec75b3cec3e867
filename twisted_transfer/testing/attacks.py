"""
Attack a server, or a program that dials, with one hostile peer or with many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from twisted.internet import interfaces
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from twisted_transfer.deferreds import deferring, severed
from twisted_transfer.errors import BadOption
from twisted_transfer.interfaces import ClientEndpoint, ServerEndpoint
from twisted_transfer.testing.peers import HostilePeer, Scanner

_P = TypeVar("_P", bound=HostilePeer)

PATIENCE = 60.0
"""Seconds for which a hostile peer stays at most, unless told otherwise."""

CONCURRENCY = 256
"""How many hostile peers are in a siege at a time, unless told otherwise."""


class _OnePeer(Factory, Generic[_P]):
    """
    Gives its peer to the first connection, and hangs up on every other one.

    :ivar taken: fires at the first connection.
    """

    noisy = False

    def __init__(self, peer: _P) -> None:
        self._peer = peer
        self.taken: Deferred[None] = Deferred()

    def buildProtocol(self, addr: interfaces.IAddress | None) -> HostilePeer:
        if self.taken.called:
            return Scanner()
        self.taken.callback(None)
        return self._peer


async def _ended(reactor: Any, peer: HostilePeer, patience: float) -> None:
    """
    Wait until the connection of a peer is gone.

    :param reactor: measures the time.
    :param peer: the peer; it is connected, or has ended.
    :param patience: after how many seconds it gives up.
    :raises CancelledError: when the connection is gone, if this was cancelled:
        that aborts it.
    """
    cancelled = False
    impatience = reactor.callLater(patience, peer.giveUp)
    while peer.outcome is None:
        try:
            await peer.ended
        except CancelledError:
            cancelled = True
            peer.abort()
    if impatience.active():
        impatience.cancel()
    # The transport goes on after it told the peer.
    await deferLater(reactor, 0)
    if cancelled:
        raise CancelledError()


def thiefEndpoint(
    reactor: Any, host: str, port: int, bindAddress: str = "127.0.0.2"
) -> TCP4ClientEndpoint:
    """
    Make the endpoint of a thief: one that dials from where no partner comes from.

    With any peer it shows whether a server checks the addresses of its clients,
    and with one that stays, whether it keeps the port from others::

        thief = await attack(
            reactor, thiefEndpoint(reactor, "127.0.0.1", port), Staller
        )

    :param reactor: dials.
    :param host: whom to dial: an IPv4 address or a name that has one, of this
        machine.
    :param port: which port to dial.
    :param bindAddress: where to dial from.  On Linux all of 127.0.0.0/8 are
        addresses of the machine itself; elsewhere they may have to be added.
    :returns: the endpoint.
    """
    return TCP4ClientEndpoint(reactor, host, port, bindAddress=(bindAddress, 0))


@deferring
async def attack(
    reactor: Any,
    endpoint: interfaces.IStreamClientEndpoint | ClientEndpoint,
    makePeer: Callable[[], _P],
    patience: float = PATIENCE,
) -> _P:
    """
    Attack a server with one hostile peer.

    :param reactor: the one that the endpoint uses.
    :param endpoint: whom to attack.
    :param makePeer: makes the peer: its class, or a function.
    :param patience: for how many seconds the peer stays connected at most; it
        has to be more than those after which the server has to hang up.
    :returns: a Deferred with the peer, when its connection is gone: look at
        its ``outcome``.  A server that cannot be dialled is an outcome, too.
        Cancelling it resets the connection, and it fails with
        ``CancelledError`` when nothing is left.
    """
    peer = makePeer()
    factory = _OnePeer(peer)
    unexpected: Exception | None = None
    try:
        connecting = maybeDeferred(endpoint.connect, factory)
        await severed(connecting, lambda late: None)
    except Exception as error:
        if not isinstance(error, (ConnectError, DNSLookupError)):
            unexpected = error
        if factory.taken.called:
            peer.abort()  # the endpoint has failed after it connected
        else:
            factory.taken.callback(None)
            peer.notReached(Failure())
    await _ended(reactor, peer, patience)
    if unexpected is not None:
        raise unexpected
    return peer


def siege(
    reactor: Any,
    makeEndpoint: Callable[[], interfaces.IStreamClientEndpoint | ClientEndpoint],
    makePeers: Sequence[Callable[[], HostilePeer]],
    count: int,
    concurrency: int = CONCURRENCY,
    patience: float = PATIENCE,
) -> Deferred[Counter[str]]:
    """
    Attack a server with many hostile peers, so many at a time::

        besieging = siege(
            reactor,
            lambda: TCP4ClientEndpoint(reactor, "127.0.0.1", port),
            [Scanner, Resetter, Staller, lambda: Dripper(reactor)],
            10_000,
        )
        ...  # the server does its work all the same
        outcomes = await besieging
        assert outcomes["admitted"] == outcomes["stayed"] == 0

    It is over when all have come and gone.  (Of the connections that wait to
    be accepted when a port is closed, the system may leave some standing; a
    Staller on one of these has ``stayed``.  A server whose ``backlog`` has
    room for all that come at a time has none.)

    :param reactor: the one that the endpoints use.
    :param makeEndpoint: makes the endpoint for each peer: whom to attack.
    :param makePeers: make the peers, each in turn.
    :param count: how many come, in all.
    :param concurrency: how many are there at a time.
    :param patience: for how many seconds each stays connected at most.
    :returns: a Deferred with how many had which ``outcome``.  Cancelling it
        resets the connections that there are, and it fails with
        ``CancelledError`` when nothing is left.  What ``makeEndpoint`` or one
        of ``makePeers`` raises ends the siege in the same way.
    :raises BadOption: if there are none to come, or none at a time.
    """
    if not makePeers or count < 0 or concurrency < 1:
        raise BadOption(
            f"makePeers={makePeers!r}, count={count!r}, concurrency={concurrency!r}: "
            "a siege takes one kind of peers at least, a count of 0 or more, and "
            "at least 1 at a time"
        )
    outcomes: Counter[str] = Counter()
    failures: list[Failure] = []
    turns = iter(range(count))

    @deferring
    async def column() -> None:
        """Send one peer after the other, as long as there are any."""
        for turn in turns:
            makePeer = makePeers[turn % len(makePeers)]
            peer = await attack(reactor, makeEndpoint(), makePeer, patience)
            outcomes[str(peer.outcome)] += 1

    def broken(failure: Failure) -> None:
        """Stop the other columns, too."""
        failures.append(failure)
        if len(failures) == 1:
            for each in columns:
                each.cancel()

    columns = [column() for _ in range(min(count, concurrency))]
    for each in columns:
        each.addErrback(broken)
    return DeferredList(columns).addCallback(
        lambda ignored: failures[0] if failures else outcomes
    )


def ambush(
    reactor: Any,
    endpoint: interfaces.IStreamServerEndpoint | ServerEndpoint,
    makePeer: Callable[[], _P],
    patience: float = PATIENCE,
) -> Deferred[tuple[interfaces.IAddress, Deferred[_P]]]:
    """
    Let a hostile peer wait for a program that dials::

        address, meeting = await ambush(
            reactor, endpoint, lambda: ImpostorServer(reactor)
        )
        ...  # let the program dial the address
        peer = await meeting
        assert peer.outcome == "alert: unknown ca"

    The first client meets it; then the port is closed.

    :param reactor: the one that the endpoint uses.
    :param endpoint: where to listen.  An
        :class:`~twisted_transfer.testing.ImpostorServer` brings its own TLS.
    :param makePeer: makes the peer: its class, or a function.
    :param patience: for how many seconds the peer stays connected at most; it
        has to be more than those after which the program has to hang up.
    :returns: a Deferred with the address that is listened on, and a Deferred
        with the peer when its connection is gone, and the port as well: look
        at its ``outcome``.  Cancelling the latter closes the port and resets
        the connection, and it fails with ``CancelledError`` when nothing is
        left.  The former fails with ``CannotListenError`` if there can be no
        port.
    """
    peer = makePeer()
    factory = _OnePeer(peer)

    @deferring
    async def meet(port: Any) -> _P:
        try:
            try:
                await factory.taken
            finally:
                stopping = maybeDeferred(port.stopListening)
            await _ended(reactor, peer, patience)
        finally:
            await stopping
        return peer

    def listening(port: Any) -> tuple[interfaces.IAddress, Deferred[_P]]:
        return port.getHost(), meet(port)

    return maybeDeferred(endpoint.listen, factory).addCallback(listening)
