"""
Endpoints by which two programs meet at a transit relay of magic-wormhole's.

Both dial the relay and send ``please relay TOKEN for side SIDE``.  The relay answers
``ok`` to two that have the token and different sides, and from then on forwards what
each sends.  See docs/transit.md of
https://github.com/magic-wormhole/magic-wormhole-transit-relay.

The relay tells neither side who the other one is.  So all servers have one side here
and all clients have the other: a server never meets another server, nor itself on a
connection of which the relay does not know yet that it is broken.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import HostnameAddress
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectingCancelledError, NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.addresses import addressText
from twisted_transfer.deferreds import (
    CountingClientEndpoint,
    Leftovers,
    Promise,
    backOff,
    deferring,
    severed,
    within,
)
from twisted_transfer.errors import RelayFailed
from twisted_transfer.layers import keepAlive, nameInLog
from twisted_transfer.printable import printable, reasonOf
from twisted_transfer.states import State

CLIENT, SERVER = "0" * 16, "1" * 16
"""The sides of all clients and of all servers: the relay takes 16 letters or digits."""

LONGEST_ANSWER = 100
"""Bytes of an answer of the relay's for whose end this side waits."""

SHORTEST_DELAY = 0.1
"""Seconds between two dials, at least: a relay that says ok to everybody at once does
not keep this side busy."""

LONGEST_DELAY = 60.0
"""Seconds after which a relay that cannot be used is dialled again, at most.  A relay
that was waited at for longer is dialled again as after the first failure."""

_OK = b"ok\n"

_REFUSALS = {
    b"bad handshake": "it does not accept the request; check the token",
    b"impatient": "it got data from this side before the partner was there",
}


class MeetingState(State):
    """How far a meeting is."""

    CONNECTED = "the relay was reached"
    WAITING = "the partner is not there yet"
    MET = "the user's protocol has the connection"
    ENDED = "there will be no meeting on this connection"


MEETING_STEPS = {
    MeetingState.CONNECTED: {MeetingState.WAITING, MeetingState.ENDED},
    MeetingState.WAITING: {MeetingState.MET, MeetingState.ENDED},
    MeetingState.MET: set(),
    MeetingState.ENDED: set(),
}
"""The states that may follow each state."""


class _Meeting(Protocol):
    """
    Has a connection to the relay until the partner is there.

    :ivar state: how far it is.
    :ivar gone: fires when the connection has ended, or is the user's.
    """

    def __init__(self, factory: IProtocolFactory, relay: str) -> None:
        """
        :param factory: makes the user's protocol.
        :param relay: the address of the relay, for people.
        """
        self.state = MeetingState.CONNECTED
        self.gone: Promise[None] = Promise()
        self._served = factory
        self._relay = relay
        self._answer = b""
        self._met: Deferred[IProtocol] = Deferred(lambda ignored: self.abandon())

    def _step(self, state: MeetingState) -> None:
        self.state = self.state.then(state, MEETING_STEPS)

    def ask(self, request: bytes) -> Deferred[IProtocol]:
        """
        Ask the relay for the partner.

        :param request: the line that the relay gets.
        :returns: a Deferred with the user's protocol, when the partner is there.  It
            fails with ``RelayFailed`` if the relay refuses or ends the connection,
            and with what the user's factory or protocol raises.
        """
        transport: Any = self.transport
        self._step(MeetingState.WAITING)
        if ITCPTransport.providedBy(transport):
            # A NAT on the way keeps a connection for its probes, too.
            keepAlive(transport)
        # As many as a TCP connection takes from its socket at a time: what is behind
        # the answer stays there for the user's protocol, which may pause at first.
        transport.bufferSize = len(_OK)
        transport.write(request)
        return self._met

    def dataReceived(self, data: bytes) -> None:
        """Collect the answer of the relay."""
        if self.state is not MeetingState.WAITING:
            return  # it is being aborted
        answer = self._answer = self._answer + data
        if answer.startswith(_OK):
            self._open(answer[len(_OK) :])
        elif b"\n" in answer or len(answer) > LONGEST_ANSWER:
            self._end(RelayFailed(self._refusal(answer)))
        else:
            transport: Any = self.transport
            transport.bufferSize = max(1, len(_OK) - len(answer))

    def _refusal(self, answer: bytes) -> str:
        """Say what an answer means that is not ``ok``."""
        line, end, _ = answer.partition(b"\n")
        text = printable(line.decode("utf-8", "backslashreplace"), 60)
        said = f"the relay {self._relay} answered '{text}'"
        if end and line in _REFUSALS:
            return f"{said}: {_REFUSALS[line]}"
        if not end:
            said += f" and more, without an end of the line in {LONGEST_ANSWER} bytes"
        return (
            f"{said}, which is no answer of a transit relay; check the host and the "
            "port of the relay"
        )

    def _open(self, rest: bytes) -> None:
        """Put the user's protocol in this one's place."""
        transport: Any = self.transport
        del transport.bufferSize
        if ITCPTransport.providedBy(transport):
            transport.setTcpKeepAlive(False)
        self._step(MeetingState.MET)
        try:
            protocol = self._served.buildProtocol(transport.getPeer())
            if protocol is None:
                raise NoProtocol()
            transport.protocol = protocol
            self.gone.fire(None)
            nameInLog(transport, type(self).__name__, protocol)
            protocol.makeConnection(transport)
        except BaseException:
            transport.abortConnection()
            if not self._met.called:
                self._met.errback()
            return
        if not self._met.called:  # cancelled from within one of these calls
            self._met.callback(protocol)
        if rest:  # of a transport that is no socket
            protocol.dataReceived(rest)

    def _end(self, error: RelayFailed) -> None:
        self.abandon()
        self._met.errback(error)

    def abandon(self) -> None:
        """End the connection, unless it is the user's: nobody waits for it."""
        if self.state in (MeetingState.CONNECTED, MeetingState.WAITING):
            transport: Any = self.transport
            self._step(MeetingState.ENDED)
            transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It has ended before the partner was there."""
        waited = self.state is MeetingState.WAITING
        self.gone.fire(None)
        if waited:
            self._step(MeetingState.ENDED)
            self._met.errback(
                RelayFailed(
                    f"the relay {self._relay} ended the connection before the partner "
                    f"was there ({reasonOf(reason.value)})"
                )
            )


class _MeetingFactory(Factory):
    """
    Makes the connections to the relay of one attempt.

    :ivar noisy: Twisted's log tells nobody that it starts and stops.
    """

    noisy = False

    def __init__(self, factory: IProtocolFactory, relay: str, dialled: bool) -> None:
        """
        :param factory: makes the user's protocol.
        :param relay: the address of the relay, for people.
        :param dialled: whether the user's factory is in use for as long as this one
            is, as that of a client is.
        """
        self._served = factory
        self._relay = relay
        self._dialled = dialled

    def doStart(self) -> None:
        if self._dialled:
            self._served.doStart()

    def doStop(self) -> None:
        if self._dialled:
            self._served.doStop()

    def buildProtocol(self, addr: IAddress | None) -> _Meeting:
        return _Meeting(self._served, self._relay)


class _Relayed:
    """What both endpoints have: a relay, a token, and a side there."""

    side: str

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        address: HostnameAddress,
        token: str,
    ) -> None:
        """
        :param reactor: measures the time.
        :param endpoint: dials the relay, with no TLS on the connection.
        :param address: the address of the relay.
        :param token: what this side and the partner have in common, and nobody else:
            64 letters, digits and underscores.
        """
        self._reactor = reactor
        self._endpoint = endpoint
        self.address = address
        self.name = addressText(address)
        self._request = f"please relay {token} for side {self.side}\n".encode("ascii")

    async def reach(
        self, factory: IProtocolFactory, leftovers: Leftovers
    ) -> tuple[_Meeting, Deferred[IProtocol]]:
        """
        Dial the relay, and ask for the partner.

        :param factory: makes the user's protocol.
        :param leftovers: counts the connection until it is gone, or the user's.
        :returns: the connection, and a Deferred with the user's protocol.
        :raises RelayFailed: if the relay cannot be reached.
        """
        meetings = _MeetingFactory(factory, self.name, self.side == CLIENT)
        dialling = maybeDeferred(self._endpoint.connect, meetings)
        try:
            meeting: Any = await severed(dialling, _Meeting.abandon)
        except CancelledError:
            raise
        except Exception as error:
            raise RelayFailed(
                f"the relay {self.name} could not be reached ({reasonOf(error)}); "
                "check its host and its port"
            ) from error
        leftovers.add(meeting.gone.wait())
        return meeting, meeting.ask(self._request)


@implementer(IStreamClientEndpoint)
class RelayClientEndpoint(_Relayed, CountingClientEndpoint):
    """Dials a relay, and is the client of the partner that it meets there."""

    side = CLIENT

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        address: HostnameAddress,
        token: str,
        timeout: float = 30.0,
    ) -> None:
        """
        :param reactor: measures the time.
        :param endpoint: dials the relay, with no TLS on the connection.
        :param address: the address of the relay.
        :param token: what this side and the partner have in common, and nobody else:
            64 letters, digits and underscores.
        :param timeout: seconds for which to wait at the relay for the partner.
        """
        super().__init__(reactor, endpoint, address, token)
        self._timeout = timeout

    @deferring
    async def connect(
        self, protocolFactory: IProtocolFactory, leftovers: Leftovers | None = None
    ) -> IProtocol:
        """
        Meet the partner; this may be called any number of times.

        :param protocolFactory: makes the protocol.
        :param leftovers: counts the connection of this dial until it is gone, or has
            the user's protocol; None: nobody waits for that.
        :returns: a Deferred with the protocol.  It fails with ``RelayFailed`` if the
            relay cannot be reached, or does not answer as it should, with
            ``PartnerTimeout`` if the partner does not come, with ``NoProtocol`` if
            the factory makes none, and with ``ConnectingCancelledError`` if it is
            cancelled.
        """
        meeting = None
        try:
            meeting, met = await self.reach(protocolFactory, leftovers or Leftovers())
            return await within(self._reactor, met, self._timeout, self._tooLate)
        except CancelledError:
            if meeting is not None:
                # It may be the user's: from within a call of its protocol's.
                meeting.transport.abortConnection()  # type: ignore[union-attr]
            raise ConnectingCancelledError(self.address) from None

    def _tooLate(self) -> str:
        return (
            f"the partner did not come to the relay {self.name} in "
            f"{self._timeout:g} seconds; start it first, and give both sides one token"
        )


@implementer(IListeningPort)
class RelayPort:
    """
    Waits at a relay for one partner after the other, until it is told to stop.

    :ivar factory: makes the protocols of the connections.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, endpoint: RelayServerEndpoint, factory: IProtocolFactory
    ) -> None:
        """
        :param reactor: measures the time.
        :param endpoint: reaches the relay.
        :param factory: makes the protocols of the connections.
        """
        self.factory = factory
        self._reactor = reactor
        self._endpoint = endpoint
        self._leftovers = Leftovers()
        self._waiting: Deferred[None] = Deferred()

    def __repr__(self) -> str:
        return f"<RelayPort at {self._endpoint.name}>"

    def startListening(self) -> None:
        """Begin to wait."""
        self.factory.doStart()
        self._waiting = Deferred.fromCoroutine(self._waitAgainAndAgain())
        self._waiting.addErrback(lambda failure: failure.trap(CancelledError))
        self._waiting.addBoth(lambda ignored: self._leftovers.then(self.factory.doStop))

    def stopListening(self) -> Deferred[None]:
        """
        Wait no longer; connections that were made go on.

        :returns: a Deferred that fires when no connection to the relay is left on
            which nobody was met.  It may be called any number of times.
        """
        self._waiting.cancel()
        return self._leftovers.cleared()

    def getHost(self) -> IAddress:
        """:returns: the address of the relay."""
        return self._endpoint.address

    async def _waitAgainAndAgain(self) -> None:
        delays = backOff(SHORTEST_DELAY, LONGEST_DELAY)
        failures, told = 0, ""
        while True:
            began = self._reactor.seconds()
            try:
                _, met = await self._endpoint.reach(self.factory, self._leftovers)
                await met
                failures, told = 0, ""
            except CancelledError:
                raise
            except RelayFailed as error:
                waited = self._reactor.seconds() - began
                if waited > LONGEST_DELAY:
                    failures, told = 0, ""
                failures += 1
                if str(error) != told:
                    told = str(error)
                    self._log.warn("{error}; it is dialled again", error=error)
            except NoProtocol:
                failures = 0
            except Exception:
                failures = 0
                self._log.failure(
                    "who came by the relay {relay} could not be served",
                    relay=self._endpoint.name,
                )
            # After a meeting at once, for then the relay sends away all but one of the
            # clients that come before this side.
            soonest = began + SHORTEST_DELAY - self._reactor.seconds()
            pause = delays(failures) if failures else max(0.0, soonest)
            await deferLater(self._reactor, pause)


@implementer(IStreamServerEndpoint)
class RelayServerEndpoint(_Relayed):
    """Waits at a relay, and is the server of each partner that it meets there."""

    side = SERVER

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Wait at the relay; this may be called any number of times.

        :param protocolFactory: makes the protocols of the connections.
        :returns: a Deferred with the port, which has fired: a relay that cannot be
            reached is dialled again, as one that is lost later.
        """
        port = RelayPort(self._reactor, self, protocolFactory)
        port.startListening()
        listening: Deferred[IListeningPort] = Deferred()
        listening.callback(port)
        return listening
