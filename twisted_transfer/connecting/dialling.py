"""
Dialling one partner.

An attempt leaves nothing behind however it ends: with a connection, with an
error, or cancelled at any of its steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from twisted_transfer.channel.link import Link, LinkState
from twisted_transfer.connecting.admission import CANDIDATE_TIMEOUT, discard
from twisted_transfer.deferreds import (
    Leftovers,
    backOff,
    connect,
    deferring,
    severed,
    within,
)
from twisted_transfer.errors import (
    NotAdmitted,
    PartnerTimeout,
    PeerRefused,
    RelayFailed,
    TransferError,
)
from twisted_transfer.printable import reasonOf
from twisted_transfer.tls.alpn import nameProtocols

_MAY_PASS = (
    *(ConnectError, DNSLookupError, NotAdmitted),
    *(PartnerTimeout, PeerRefused, RelayFailed),
)
"""What a dial may end with although the partner will be there soon."""


class _Dialling(Factory):
    """Make the links of one dial: several if a name has several addresses."""

    noisy = False

    def __init__(self, clock: IReactorTime, protocols: Sequence[bytes]) -> None:
        self._clock = clock
        nameProtocols(self, protocols)
        self.links: list[Link] = []
        self.over = False

    def buildProtocol(self, addr: IAddress | None) -> Link:
        link = Link(self._clock)
        link.factory = self
        self.links.append(link)
        if self.over:
            link.abort()  # as soon as it is connected
        return link


def dial(
    reactor: Any,
    endpoint: IStreamClientEndpoint,
    retryFor: float | None,
    leftovers: Leftovers,
    protocols: Sequence[bytes] = (),
) -> Deferred[Link]:
    """
    Dial, and dial again for a while if the partner is not there yet.

    :param reactor: measures the time.
    :param endpoint: the endpoint to dial.
    :param retryFor: for how many seconds to try again; ``None``: not at all.
    :param leftovers: gets the connections that are dropped.
    :param protocols: the application protocols that TLS offers (ALPN).
    :returns: a Deferred with the connection, with its set-up over.  It fails with
        ``ConnectError`` (or another error of the endpoint's) if the partner cannot be
        reached; with ``PartnerTimeout`` if it could not be reached in ``retryFor``, or
        did not complete the handshake; with ``PeerRefused`` if it ended the TLS
        handshake; with ``NotAdmitted`` if its certificate was not accepted; with
        ``RelayFailed`` if the relay cannot be reached at which it is met.  It may be
        cancelled.

    With ``retryFor`` only the last try's error counts, but for a ``PeerRefused``
    that is proven: whatever else is said in a handshake may come from somebody
    else, who sits on the way or has the port for the moment.
    """
    if retryFor is None:
        return _dialOnce(reactor, endpoint, leftovers, protocols)
    return _dialAgain(reactor, endpoint, retryFor, leftovers, protocols)


@deferring
async def _dialAgain(
    reactor: Any,
    endpoint: IStreamClientEndpoint,
    retryFor: float,
    leftovers: Leftovers,
    protocols: Sequence[bytes],
) -> Link:
    started = reactor.seconds()
    delays = backOff(0.1, 5.0)
    tries = 0
    while True:
        try:
            return await _dialOnce(reactor, endpoint, leftovers, protocols)
        except _MAY_PASS as error:
            proven = isinstance(error, PeerRefused) and error.proven
            if proven:
                raise
            tries += 1
            left = started + retryFor - reactor.seconds()
            if left <= 0:
                if isinstance(error, TransferError):
                    raise type(error)(
                        f"{error} (the last of {tries} tries in {retryFor:g} seconds)"
                    ) from error
                raise PartnerTimeout(
                    f"the partner could not be reached in {retryFor:g} seconds and "
                    f"{tries} tries (retryFor); the last: {reasonOf(error)}; check "
                    "the address, and whether the partner listens there"
                ) from error
            delay = min(delays(tries), left)
        await deferLater(reactor, delay)


def _dialOnce(
    reactor: Any,
    endpoint: IStreamClientEndpoint,
    leftovers: Leftovers,
    protocols: Sequence[bytes],
) -> Deferred[Link]:
    factory = _Dialling(reactor, protocols)
    dialling: Deferred[Any] = severed(
        connect(endpoint, factory, leftovers), lambda ignored: None
    )
    dialling.addCallback(_setUp, reactor, factory)
    return dialling.addBoth(_dropOthers, factory, leftovers)


def _setUp(protocol: object, reactor: Any, factory: _Dialling) -> Any:
    """Wait until the set-up of what was dialled is over."""
    # An endpoint may wrap our protocol, and give its wrapper.
    link = protocol if isinstance(protocol, Link) else factory.links[-1]
    if link.state is LinkState.OPEN:
        return link
    return within(
        reactor,
        link.whenReady(),
        CANDIDATE_TIMEOUT,
        lambda: (
            "the partner answered, but did not complete the TLS handshake in "
            f"{CANDIDATE_TIMEOUT:g} seconds"
        ),
    ).addCallback(lambda ignored: link)


def _dropOthers(
    result: Link | Failure, factory: _Dialling, leftovers: Leftovers
) -> Link | Failure:
    """Drop what was dialled but for the result."""
    factory.over = True
    for each in factory.links:
        if each is not result:
            discard(each, leftovers)
    return result
