"""
The dialling side of mutual TLS, as an endpoint.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.gate import Gate
from twisted_transfer.mutualtls import Policy
from twisted_transfer.waiting import Waiters


class _GateFactory(Factory):
    """Makes a gate for each connection of one dial."""

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        policy: Policy,
        factory: IProtocolFactory,
        timeout: float,
        onConnected: Callable[[Gate], object],
        confirms: bool,
    ) -> None:
        self._arguments = (clock, policy, factory)
        self._more = (timeout, onConnected, confirms)
        self._abandoned = False
        self.gate: Gate | None = None

    def buildProtocol(self, addr: IAddress | None) -> Gate:
        self.gate = Gate(*self._arguments, addr, *self._more)
        if self._abandoned:
            self.gate.abandon()
        return self.gate

    def abandon(self) -> None:
        """Nobody waits for the connection any more, whether it is there or not."""
        self._abandoned = True
        if self.gate is not None:
            self.gate.abandon()


@implementer(IStreamClientEndpoint)
class MutualTLSClientEndpoint:
    """Dials through another endpoint, and has both sides prove who they are."""

    def __init__(
        self,
        clock: IReactorTime,
        policy: Policy,
        endpoint: IStreamClientEndpoint,
        timeout: float = 30.0,
        *,
        confirms: bool = False,
    ) -> None:
        """
        :param clock: measures the time.
        :param policy: who this side is and whom it accepts.
        :param endpoint: what is dialled.
        :param timeout: seconds for the TLS handshake.
        :param confirms: whether the partner is known to send session tickets
            to whom it accepts, as each one does that made an invitation.  Then
            its silence is no consent, however long its answer is on its way.
        """
        self._clock = clock
        self._policy = policy
        self._endpoint = endpoint
        self._timeout = timeout
        self._confirms = confirms
        self._shut: set[Gate] = set()
        self._idle: Waiters[None] = Waiters()

    def whenIdle(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when there is no connection which a
            protocol does not have.
        """
        return self._idle.wait() if self._shut else succeed(None)

    def _connected(self, gate: Gate) -> None:
        self._shut.add(gate)

        def settled(ignored: object) -> None:
            self._shut.discard(gate)
            if not self._shut:
                self._idle.fire(None)

        gate.gone.addCallback(settled)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        :param protocolFactory: makes the protocol, when both sides are content.
        :returns: a Deferred with the protocol.  It fails as the endpoint does
            that is dialled, or with ``PeerRefused`` if the partner does not
            accept this side, ``NotAdmitted`` if this side does not accept the
            partner, ``PartnerTimeout`` if the handshake takes too long.
        """
        gates = _GateFactory(
            self._clock,
            self._policy,
            protocolFactory,
            self._timeout,
            self._connected,
            self._confirms,
        )
        connecting = maybeDeferred(
            self._endpoint.connect,
            TLSMemoryBIOFactory(self._policy, True, gates, clock=self._clock),
        )

        def reached(ignored: object) -> Deferred[IProtocol]:
            assert gates.gate is not None
            return gates.gate.opened

        def cancel(ignored: object) -> None:
            # The endpoint may have its connection all the same, and late.
            gates.abandon()
            connecting.cancel()

        def fire(result: IProtocol | Failure) -> None:
            if not opened.called:
                opened.callback(result)

        opened: Deferred[IProtocol] = Deferred(cancel)
        connecting.addCallback(reached).addBoth(fire)
        return opened
