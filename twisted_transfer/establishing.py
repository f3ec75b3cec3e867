"""
The two ways to get a connection: dialling and waiting.

Each is an attempt for one partner, and leaves nothing behind however it ends:
with a good connection, with an error, or cancelled at any of its steps.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import Any, TypeVar
from typing import Protocol as TypingProtocol

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError, ConnectError, DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_transfer.addressfilters import AddressFilter
from twisted_transfer.admission import CANDIDATE_TIMEOUT, Admission
from twisted_transfer.errors import PartnerTimeout, PeerRefused
from twisted_transfer.identity import refusedForGood
from twisted_transfer.link import Link
from twisted_transfer.mtlsclient import MutualTLSClientEndpoint
from twisted_transfer.waiting import Waiters

_T = TypeVar("_T")
_log = Logger()


class Attempt(TypingProtocol):
    """One attempt to get one partner."""

    async def run(self) -> Link:
        """:returns: the good connection, with its reading paused."""

    def cleared(self) -> Deferred[None]:
        """:returns: fires when nothing of the attempt but its result is left."""


class _Leftovers:
    """What still has to go away, and whoever waits for that."""

    def __init__(self) -> None:
        self._count = 0
        self._cleared: Waiters[None] = Waiters()

    def add(self, going: Deferred[Any]) -> Deferred[Any]:
        """
        :param going: fires when one thing is gone; a failure is logged.
        :returns: the same.
        """
        self._count += 1

        def gone(result: object) -> None:
            if isinstance(result, Failure):
                _log.failure("while closing a connection attempt", result)
            self._count -= 1
            if not self._count:
                self._cleared.fire(None)

        return going.addBoth(gone)

    def cleared(self) -> Deferred[None]:
        return self._cleared.wait() if self._count else succeed(None)


def _severed(source: Deferred[_T], dispose: Callable[[_T], object]) -> Deferred[_T]:
    """
    Wait for something whose own cancelling cannot be relied on.

    Some endpoints answer a cancel with another error (a host name that is
    being looked up: ``DNSLookupError``), or bring a result all the same.

    :param source: what is waited for.
    :param dispose: gets a result that comes when nobody waits any more.
    :returns: a Deferred with the source's result, or ``CancelledError``.
    """
    cut = False

    def cancel(ignored: Deferred[_T]) -> None:
        nonlocal cut
        cut = True
        source.cancel()

    front: Deferred[_T] = Deferred(cancel)

    def arrived(result: _T | Failure) -> None:
        if not cut:
            front.callback(result)
        elif not isinstance(result, Failure):
            dispose(result)

    source.addBoth(arrived)
    return front


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
        self._leftovers = _Leftovers()

    def cleared(self) -> Deferred[None]:
        return self._leftovers.cleared()

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
            protocol = await _severed(
                maybeDeferred(self._endpoint.connect, factory), lambda ignored: None
            )
            # An endpoint may wrap our protocol, and give its wrapper.
            link = protocol if isinstance(protocol, Link) else factory.links[-1]
            await _within(
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
                self._leftovers.add(self._endpoint.whenIdle())
            for each in factory.links:
                if each is not winner:
                    if each.transport is not None:
                        self._leftovers.add(each.whenGone())
                    each.abort()


def _within(
    clock: IReactorTime, waited: Deferred[_T], seconds: float, what: str
) -> Deferred[_T]:
    """
    :param waited: fires with the result; it is cancelled when the time is up.
    :param what: what had happened by then, for the message.
    :returns: the same, failing with ``PartnerTimeout`` after so many seconds.
    """

    def expired(result: _T | Failure, timeout: float) -> _T:
        if isinstance(result, Failure):
            result.trap(CancelledError)
            raise PartnerTimeout(f"{what} in {timeout:g} seconds")
        return result

    return waited.addTimeout(seconds, clock, onTimeoutCancel=expired)


class Wait:
    """Listens for exactly one partner."""

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamServerEndpoint,
        onListening: Callable[[IAddress], None],
        addressFilter: AddressFilter | None = None,
    ) -> None:
        """
        :param reactor: measures the time.
        :param endpoint: what to listen on.
        :param onListening: gets the bound address as soon as it is known.
        :param addressFilter: where the partner may come from.
        """
        self._endpoint = endpoint
        self._onListening = onListening
        self._leftovers = _Leftovers()
        self.admission = Admission(reactor, addressFilter)

    def cleared(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._clear())

    async def _clear(self) -> None:
        await self._leftovers.cleared()
        # While the port was closing, some may have come late.
        while not (leaving := self.admission.close()).called:
            await self._leftovers.add(leaving)

    async def run(self) -> Link:
        """
        :raises CannotListenError: (or another one of the endpoint's own) if
            there can be no port.
        """
        link: Link | None = None
        try:
            port = await _severed(
                maybeDeferred(self._endpoint.listen, self.admission), self._stop
            )
            # A port that has our factory has it without a wrapper around it.
            self.admission.wrapped = (
                getattr(port, "factory", self.admission) is not self.admission
            )
            try:
                self._onListening(port.getHost())
                link = await self.admission.winner
            finally:
                self._stop(port)
                self._leftovers.add(self.admission.close())
            # The partner must find the port closed from the moment on in which
            # the user hears of it.
            await self.cleared()
        except Exception as error:
            self._leftovers.add(self.admission.close())
            if link is not None:
                self._leftovers.add(link.whenGone())
                link.abort()
            if isinstance(error, OSError) and not isinstance(error, CannotListenError):
                raise CannotListenError(None, error.filename, error) from error
            raise
        return link

    def _stop(self, port: Any) -> None:
        # Standard input is listened on without a port that could be stopped.
        stop = getattr(port, "stopListening", None)
        if stop is not None:
            self._leftovers.add(maybeDeferred(stop))
