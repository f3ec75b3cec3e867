"""
Waiting until the partner has accepted this side, too.

In TLS 1.3 the dialling side completes its handshake before the listening side
has judged its certificate (RFC 8446, section 4.4.2.4 and appendix E.1.2), so a
completed handshake says nothing about being accepted.  A server sends its
session tickets after that judgement, and a refused client never sees one.  So
a :class:`Gate` keeps the user's protocol from the connection until

- the first ticket comes,
- or data comes, which a server sends to those whom it has accepted,
- or, with a server that sends no tickets and waits for the client to speak,
  :data:`CONFIRM_TIMEOUT` has passed without a refusal (but not if the server is
  known to send tickets, as the one that made an invitation is),
- or at once with TLS 1.2, where the server judges first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.deferreds import (
    CountingClientEndpoint,
    Leftovers,
    Promise,
    connect,
)
from twisted_transfer.errors import NotAdmitted, PartnerTimeout, PeerRefused
from twisted_transfer.layers import nameInLog
from twisted_transfer.states import State
from twisted_transfer.tls.policy import (
    Policy,
    gaveReason,
    handshakeError,
    handshakeOf,
)

CONFIRM_TIMEOUT = 2.0
"""Seconds for which a server that sends no tickets may still refuse."""


class Confirmation(State):
    """How far both sides are in accepting each other."""

    HANDSHAKE = "the handshake is under way"
    UNCONFIRMED = "this side accepts the partner"
    CONFIRMED = "the partner accepts this side, too"
    OPEN = "the user's protocol gets the connection"
    REFUSED = "there will be no connection"


CONFIRMATION_STEPS = {
    Confirmation.HANDSHAKE: {
        Confirmation.UNCONFIRMED,
        Confirmation.OPEN,
        Confirmation.REFUSED,
    },
    Confirmation.UNCONFIRMED: {
        Confirmation.CONFIRMED,
        Confirmation.OPEN,
        Confirmation.REFUSED,
    },
    Confirmation.CONFIRMED: {Confirmation.OPEN},
    Confirmation.OPEN: set(),
    Confirmation.REFUSED: set(),
}
"""The states that may follow each state."""


@implementer(IHandshakeListener)
class Gate(Protocol):
    """
    Stands in for the user's protocol until the partner has accepted this side.

    :ivar state: how far that is.
    :ivar opened: fires with the user's protocol when it has the connection, or
        fails with ``PeerRefused``, ``NotAdmitted`` or ``PartnerTimeout``.
    :ivar gone: fires when the gate has no connection any more: it has ended, or
        is the protocol's.
    """

    def __init__(
        self,
        endpoint: MutualTLSClientEndpoint,
        factory: IProtocolFactory,
        address: IAddress | None,
        gates: Leftovers,
    ) -> None:
        """
        :param endpoint: whom this side accepts, and how long it waits.
        :param factory: makes the user's protocol.
        :param address: the partner's, for the factory.
        :param gates: counts the connections that no protocol has yet.
        """
        self.state = Confirmation.HANDSHAKE
        self.opened: Deferred[IProtocol] = Deferred(lambda ignored: self.abandon())
        self.gone: Promise[None] = Promise()
        self._endpoint = endpoint
        self._factory = factory
        self._address = address
        self._gates = gates
        self._early: list[bytes] = []
        self._refusal: NotAdmitted | PartnerTimeout | None = None
        self._call: IDelayedCall | None = endpoint.clock.callLater(
            endpoint.timeout, self._late
        )

    def _step(self, state: Confirmation) -> None:
        self.state = self.state.then(state, CONFIRMATION_STEPS)

    def connectionMade(self) -> None:
        """Have a look after each of the pieces that come."""
        assert isinstance(self.transport, TLSMemoryBIOProtocol)
        self._receive: Callable[[bytes], None] = self.transport.dataReceived
        self.transport.dataReceived = self._received
        self._gates.add(self.gone.wait())
        if self.state is Confirmation.REFUSED:
            self.transport.abortConnection()

    def _received(self, data: bytes) -> None:
        """Open when the piece that held the ticket has been read."""
        self._receive(data)
        if self.state is Confirmation.CONFIRMED:
            self._open()

    def abandon(self) -> None:
        """End the connection, or the one that comes: nobody waits for it."""
        self._refuse(None)

    def _refuse(self, refusal: NotAdmitted | PartnerTimeout | None) -> None:
        if self.state in (Confirmation.OPEN, Confirmation.REFUSED):
            return
        self._step(Confirmation.REFUSED)
        self._refusal = refusal
        self._stopClock()
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def _late(self) -> None:
        self._refuse(
            PartnerTimeout(
                "the partner did not complete the TLS handshake in "
                f"{self._endpoint.timeout:g} seconds"
            )
        )

    def _stopClock(self) -> None:
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()

    def handshakeCompleted(self) -> None:
        """This side has accepted the partner; does the partner accept it?"""
        if self.state is not Confirmation.HANDSHAKE:
            return
        assert isinstance(self.transport, TLSMemoryBIOProtocol)
        connection = self.transport.getHandle()
        if connection.get_protocol_version() < SSL.TLS1_3_VERSION:
            self._open()
            return
        self._step(Confirmation.UNCONFIRMED)
        handshake = handshakeOf(connection)
        assert handshake is not None
        handshake.onTicket = self._confirmed
        if not self._endpoint.confirms:
            self._stopClock()
            self._call = self._endpoint.clock.callLater(CONFIRM_TIMEOUT, self._open)

    def _confirmed(self) -> None:
        # This is called from within OpenSSL, which is not the place from which
        # to let a user's protocol write to the same connection.  A later turn of
        # the reactor would be too late: behind the ticket there may be the end.
        if self.state is Confirmation.UNCONFIRMED:
            self._step(Confirmation.CONFIRMED)

    def dataReceived(self, data: bytes) -> None:
        """Take data for consent: a server sends it to whom it has accepted."""
        self._early.append(data)
        self._open()

    def _open(self) -> None:
        """Put the user's protocol in this one's place."""
        if self.state in (Confirmation.OPEN, Confirmation.REFUSED):
            return
        self._stopClock()
        transport = self.transport
        assert isinstance(transport, TLSMemoryBIOProtocol)
        transport.dataReceived = self._receive
        self._step(Confirmation.OPEN)
        try:
            protocol = self._factory.buildProtocol(self._address)
            if protocol is None:
                raise NoProtocol()
            transport.wrappedProtocol = protocol
            self.gone.fire(None)
            nameInLog(transport, self.logPrefix(), protocol)
            protocol.makeConnection(transport)
            if IHandshakeListener.providedBy(protocol):
                protocol.handshakeCompleted()
            if self.opened.called:
                raise CancelledError()  # from within one of these calls
        except BaseException:
            if not self.opened.called:
                self.opened.errback()
            transport.abortConnection()
            return
        self.opened.callback(protocol)
        for data in self._early:
            protocol.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It ended before it was accepted on both sides."""
        # From here on TLS 1.3 lets through only what the verified partner says.
        verified = self.state is Confirmation.UNCONFIRMED
        self._refuse(None)
        self.gone.fire(None)
        if self.opened.called:
            return
        if self._refusal is not None:
            self.opened.errback(self._refusal)
            return
        assert isinstance(self.transport, TLSMemoryBIOProtocol)
        handshake = handshakeOf(self.transport.getHandle())
        refusal = None if handshake is None else handshake.refusal
        error = handshakeError(reason, refusal)
        if isinstance(error, PeerRefused):
            error.proven = verified and gaveReason(error)
        self.opened.errback(error)


class _GateFactory(Factory):
    """
    Makes the gate of one connection that is dialled.

    :ivar wrappedFactory: makes the protocol behind the gate.
    """

    noisy = False

    def __init__(
        self,
        endpoint: MutualTLSClientEndpoint,
        factory: IProtocolFactory,
        gates: Leftovers,
    ) -> None:
        self._endpoint = endpoint
        self.wrappedFactory = factory
        self._gates = gates
        self._abandoned = False
        self.gate: Gate | None = None

    def doStart(self) -> None:
        self.wrappedFactory.doStart()

    def doStop(self) -> None:
        self.wrappedFactory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Gate:
        self.gate = Gate(self._endpoint, self.wrappedFactory, addr, self._gates)
        if self._abandoned:
            self.gate.abandon()
        return self.gate

    def abandon(self) -> None:
        """Nobody waits for the connection any more, whether it is there or not."""
        self._abandoned = True
        if self.gate is not None:
            self.gate.abandon()


@implementer(IStreamClientEndpoint)
class MutualTLSClientEndpoint(CountingClientEndpoint):
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
        self.clock = clock
        self.policy = policy
        self.timeout = timeout
        self.confirms = confirms
        self._endpoint = endpoint

    def connect(
        self, protocolFactory: IProtocolFactory, leftovers: Leftovers | None = None
    ) -> Deferred[IProtocol]:
        """
        :param protocolFactory: makes the protocol, when both sides are content.
        :param leftovers: counts the connections of this dial that no protocol has
            yet; None: nobody waits for them to be gone.
        :returns: a Deferred with the protocol.  It fails as the endpoint does
            that is dialled, or with ``PeerRefused`` if the partner does not
            accept this side, ``NotAdmitted`` if this side does not accept the
            partner, ``PartnerTimeout`` if the handshake takes too long.
        """
        leftovers = leftovers or Leftovers()
        gates = _GateFactory(self, protocolFactory, leftovers)
        factory = TLSMemoryBIOFactory(self.policy, True, gates, clock=self.clock)
        connecting = connect(self._endpoint, factory, leftovers)

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


NEXT_HOST = 0.25
"""Seconds after which the next host is dialled, while one has not answered: the
Connection Attempt Delay of RFC 8305, section 5."""


@implementer(IStreamClientEndpoint)
class FirstProvenClientEndpoint(CountingClientEndpoint):
    """
    Dial several hosts of one partner, and take the first that is proven.

    Another machine may have one of the addresses in the network where this is used, so
    who answers first is not the partner, but who proves it.
    """

    def __init__(
        self, clock: IReactorTime, endpoints: Sequence[MutualTLSClientEndpoint]
    ) -> None:
        """
        :param clock: measures the time.
        :param endpoints: dial the hosts, the most probable first.
        """
        self._clock = clock
        self._endpoints = endpoints

    def connect(
        self, protocolFactory: IProtocolFactory, leftovers: Leftovers | None = None
    ) -> Deferred[IProtocol]:
        """
        :param protocolFactory: makes the protocol.
        :param leftovers: as for :meth:`MutualTLSClientEndpoint.connect`.
        :returns: a Deferred with the protocol.  It fails when none is left, with the
            error of the host that came furthest.
        """
        dials = [
            partial(each.connect, protocolFactory, leftovers)
            for each in self._endpoints
        ]
        race = _Race(self._clock, dials)
        race.dialNext()
        return race.won


class _Race:
    """
    Several dials, of which one is needed.

    :ivar won: fires with the protocol of the first that succeeds.
    """

    def __init__(
        self, clock: IReactorTime, dials: Sequence[Callable[[], Deferred[IProtocol]]]
    ) -> None:
        self.won: Deferred[IProtocol] = Deferred(lambda ignored: self._stop())
        self._clock = clock
        self._dials = [*dials]
        self._running: list[Deferred[IProtocol]] = []
        self._next: IDelayedCall | None = None
        self._failures: list[Failure] = []

    def dialNext(self) -> None:
        """Dial the next host, and soon the one after it."""
        dialling = self._dials.pop(0)()
        self._running.append(dialling)
        if self._dials:
            self._next = self._clock.callLater(NEXT_HOST, self.dialNext)
        dialling.addBoth(self._ended, dialling)

    def _ended(
        self, result: IProtocol | Failure, dialling: Deferred[IProtocol]
    ) -> None:
        if dialling not in self._running:
            return  # it was stopped
        self._running.remove(dialling)
        if not isinstance(result, Failure):
            self._stop()
            self.won.callback(result)
            return
        self._failures.append(result)
        if self._dials:
            self._stopWaiting()
            self.dialNext()
        elif not self._running:
            self.won.errback(max(self._failures, key=_distance))

    def _stop(self) -> None:
        """Dial nobody any more."""
        self._dials.clear()
        self._stopWaiting()
        running, self._running = self._running, []
        for dialling in running:
            dialling.cancel()

    def _stopWaiting(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()


def _distance(failure: Failure) -> int:
    """:returns: how far a dial has come that has failed."""
    error = failure.value
    if isinstance(error, PeerRefused):
        return 2 + error.proven
    return int(isinstance(error, (NotAdmitted, PartnerTimeout)))
