"""
Ports that are only in memory, and those who dial them.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.memory import MemoryTransport
from twisted_transfer.waiting import Waiters

_AT_ONCE = 100  # as many as a port of Twisted's accepts in one turn of the reactor


class Dial:
    """One who dials, from the first moment to the last of the connection."""

    def __init__(
        self, factory: IProtocolFactory, host: IAddress, peer: IAddress
    ) -> None:
        """
        :param factory: makes the protocol of who dials.
        :param host: the address of who dials.
        :param peer: the address that is dialled.
        """
        self.connecting: Deferred[IProtocol] = Deferred(self._cancelled)
        self.host = host
        self._peer = peer
        self._factory = factory
        self._transport: MemoryTransport | None = None
        factory.doStart()

    def _cancelled(self, ignored: Deferred[IProtocol]) -> None:
        self.fail(ConnectingCancelledError(self._peer))

    def fail(self, error: Exception | Failure) -> None:
        """
        :param error: why there is no connection.
        """
        if not self.connecting.called:
            self.connecting.errback(error)
        if self._transport is None:
            self._factory.doStop()
        else:
            self._transport.loseConnection()

    def connected(self, transport: MemoryTransport) -> None:
        """
        :param transport: this end of the connection.
        """
        self._transport = transport
        transport.whenGone().addCallback(lambda ignored: self._factory.doStop())
        try:
            protocol = self._factory.buildProtocol(self._peer)
            if protocol is None:
                raise NoProtocol()
        except Exception:
            transport.attach(Protocol())
            self.fail(Failure())
            return
        transport.attach(protocol)
        if not self.connecting.called:
            self.connecting.callback(protocol)


@implementer(IListeningPort)
class MemoryPort:
    """
    A port of a memory listener's.

    As one of Twisted's it accepts up to 100 of those who wait in one turn of
    the reactor, and does not look whether it was told to stop meanwhile.

    :ivar factory: makes the protocols of those who dial.
    """

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, address: IAddress, factory: IProtocolFactory
    ) -> None:
        """
        :param clock: has one turn after the other.
        :param address: the address that is listened on.
        :param factory: makes the protocols.
        """
        self._clock = clock
        self._address = address
        self.factory = factory
        self._waiting: list[Dial] = []
        self._accepting = False
        self._stopping = False
        self._closed = False
        self._whenClosed: Waiters[None] = Waiters()
        factory.doStart()

    @property
    def closed(self) -> bool:
        """Whether nobody can dial it any more."""
        return self._closed

    def arrive(self, dial: Dial) -> None:
        """
        :param dial: waits from now on to be accepted.
        """
        self._waiting.append(dial)
        self._acceptLater()

    def _acceptLater(self) -> None:
        if self._waiting and not self._accepting:
            self._accepting = True
            self._clock.callLater(0, self._acceptAll)

    def _acceptAll(self) -> None:
        self._accepting = False
        if self._stopping:
            return
        accepted, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
        for dial in accepted:
            if not dial.connecting.called:
                self._accept(dial)
        self._acceptLater()

    def _accept(self, dial: Dial) -> None:
        near, far = MemoryTransport.pair(self._clock, self._address, dial.host)
        try:
            protocol = self.factory.buildProtocol(dial.host)
        except Exception:
            self._log.failure("nobody serves {address}", address=dial.host)
            protocol = None
        near.attach(Protocol() if protocol is None else protocol)
        if protocol is None:
            near.loseConnection()
        dial.connected(far)

    # IListeningPort.

    def startListening(self) -> None:
        """The listener has started it already."""

    def stopListening(self) -> Deferred[None]:
        """
        Close the port.  Connections that there are go on.

        :returns: a Deferred that fires when it is closed.  It may be asked any
            number of times.
        """
        if not self._stopping:
            self._stopping = True
            self._clock.callLater(0, self._close)
        return succeed(None) if self._closed else self._whenClosed.wait()

    def _close(self) -> None:
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for dial in waiting:
            if not dial.connecting.called:
                dial.fail(ConnectionRefusedError())
        self.factory.doStop()
        self._whenClosed.fire(None)

    def getHost(self) -> IAddress:
        """:returns: the address that is listened on."""
        return self._address
