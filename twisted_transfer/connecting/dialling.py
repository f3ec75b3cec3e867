"""
The two ways to get a connection: dialling and waiting.

Each is an attempt for one partner, and leaves nothing behind however it ends:
with a good connection, with an error, or cancelled at any of its steps.
"""

from __future__ import annotations

from random import random
from typing import Any

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from twisted_transfer.channel.link import Link, LinkState
from twisted_transfer.connecting.admission import CANDIDATE_TIMEOUT
from twisted_transfer.deferreds import Leftovers, severed, within
from twisted_transfer.errors import PartnerTimeout, PeerRefused
from twisted_transfer.tls.client import MutualTLSClientEndpoint
from twisted_transfer.tls.policy import refusedForGood


class _Dialling(Factory):
    """Makes the links of one dial; a host name's addresses may make several."""

    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.links: list[Link] = []
        self.over = False

    def buildProtocol(self, addr: IAddress | None) -> Link:
        link = Link(self._clock)
        link.factory = self
        self.links.append(link)
        if self.over:
            link.abort()  # as soon as it is connected
        return link


class Dial:
    """Dials, and dials again for a while if the partner is not there yet."""

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        retryFor: float | None = None,
    ) -> None:
        """
        :param reactor: measures the time.
        :param endpoint: what to dial.
        :param retryFor: for how many seconds to try again; None: not at all.
        """
        self._reactor = reactor
        self._endpoint = endpoint
        self._retryFor = retryFor
        self.leftovers = Leftovers()

    async def run(self) -> Link:
        """
        :raises ConnectError: (or another one of the endpoint's own) if the
            partner cannot be reached.
        :raises PartnerTimeout: if it could not be reached in ``retryFor``.
        :raises PeerRefused: if it ended the TLS handshake; with ``retryFor``
            only if it said why.  Who is pushed out by a flood of others hears
            no reason, and comes in by trying again.
        :raises NotAdmitted: if its certificate was not accepted.
        """
        started = self._reactor.seconds()
        delays = backoffPolicy(0.1, 5.0, 1.5, jitter=lambda: random() / 10)
        tries = 0
        while True:
            try:
                return await self._dial()
            except (ConnectError, DNSLookupError, PeerRefused) as error:
                if self._retryFor is None or refusedForGood(error):
                    raise
                tries += 1
                left = started + self._retryFor - self._reactor.seconds()
                if left <= 0:
                    raise PartnerTimeout(
                        f"the partner could not be reached in {self._retryFor:g} "
                        f"seconds and {tries} tries (retryFor); the last: {error}"
                    ) from error
                delay = min(delays(tries), left)
            await deferLater(self._reactor, delay)

    async def _dial(self) -> Link:
        factory = _Dialling(self._reactor)
        winner: Link | None = None
        try:
            protocol = await severed(
                maybeDeferred(self._endpoint.connect, factory), lambda ignored: None
            )
            # An endpoint may wrap our protocol, and give its wrapper.
            link = protocol if isinstance(protocol, Link) else factory.links[-1]
            if link.state is not LinkState.OPEN:
                await within(
                    self._reactor,
                    link.whenReady(),
                    CANDIDATE_TIMEOUT,
                    "the partner answered, but did not complete the TLS handshake",
                )
            winner = link
            return link
        finally:
            factory.over = True
            if isinstance(self._endpoint, MutualTLSClientEndpoint):
                # It has connections of which no link knows yet.
                self.leftovers.add(self._endpoint.gates.cleared())
            for each in factory.links:
                if each is not winner:
                    if each.transport is not None:
                        self.leftovers.add(each.whenGone())
                    each.abort()
