"""
A connector as a Twisted endpoint: any program chooses its side by a string.

============ =================================== ==============================
mode         as a client endpoint                as a server endpoint
============ =================================== ==============================
active       dials                               dials, serves the connection
passive      waits for the partner, then is the  listens, serves one partner,
             client                              stops listening
============ =================================== ==============================
"""

from __future__ import annotations

from typing import Any

from twisted.application.internet import backoffPolicy
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.connecting.connector import TransferConnector, serveBy
from twisted_transfer.connecting.options import Mode
from twisted_transfer.errors import BadDescription, Truncated


def serve(channel: TransferChannel, factory: IProtocolFactory) -> IProtocol:
    """
    Let a factory's protocol have the channel.

    :param channel: a new connection.
    :param factory: makes the protocol.
    :returns: the protocol, with the channel as its transport.
    :raises NoProtocol: if the factory makes none; the channel is aborted then.
    """
    try:
        protocol: IProtocol | None = factory.buildProtocol(channel.getPeer())
        if protocol is None:
            raise NoProtocol()
    except BaseException:
        channel.abortConnection()
        raise
    channel.start(protocol)
    return protocol


def _truncated(failure: Failure) -> None:
    """Nobody asks how a connection ended that a protocol had."""
    failure.trap(Truncated)


@implementer(IListeningPort)
class TransferPort:
    """
    Serves one partner, or with ``again`` one after the other.

    Stopping it ends the search for a partner.  A connection that is being
    served goes on, as with every port of Twisted's.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, connector: TransferConnector, factory: IProtocolFactory
    ) -> None:
        """
        :param reactor: measures the time between dials.
        :param connector: gets the partner.
        :param factory: makes the protocol that serves it.
        """
        self._reactor = reactor
        self._connector = connector
        self._factory = factory
        serveBy(connector, factory)
        self._address: IAddress = IPv4Address("TCP", "0.0.0.0", 0)
        self._running: Deferred[Any] | None = None
        self._users = 0  # the search, and each connection

    def __repr__(self) -> str:
        return f"<TransferPort {self._connector.mode.value} {self._address}>"

    # IListeningPort.

    def startListening(self) -> None:
        """The endpoint has started it already."""

    def stopListening(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when nobody is sought any more.  It may
            be asked any number of times.
        """
        if self._running is not None:
            self._running.cancel()
        return self._connector.close()

    def getHost(self) -> IAddress:
        """
        :returns: passive: the address that is listened on; active: this side's
            address of the connection, and 0.0.0.0 port 0 while there is none,
            as the system says of a socket that is not bound.
        """
        return self._address

    # The factory is in use as long as somebody is sought or served.

    def _use(self) -> None:
        self._users += 1
        if self._users == 1:
            self._factory.doStart()

    def _release(self, result: Any = None) -> Any:
        self._users -= 1
        if self._users == 0:
            self._factory.doStop()
        return result

    def _serve(self, channel: TransferChannel) -> Deferred[None]:
        """:returns: a Deferred that fires when the partner was served."""
        self._use()
        # Whoever waits for the end may be cancelled; the use goes on until then.
        channel.whenClosed().addErrback(_truncated).addBoth(self._release)
        serve(channel, self._factory)
        return channel.whenClosed().addErrback(_truncated)

    # The three ways of getting partners.

    def dial(self) -> Deferred[IListeningPort]:
        """:returns: a Deferred that fires when the partner was reached."""
        self._use()

        def connected(channel: TransferChannel) -> IListeningPort:
            self._address = channel.getHost()
            self._serve(channel)
            return self

        connecting = maybeDeferred(self._connector.connect)
        return connecting.addCallback(connected).addBoth(self._release)

    def wait(self) -> Deferred[IListeningPort]:
        """:returns: a Deferred that fires when the real port is bound."""
        self._use()
        connecting = maybeDeferred(self._connector.connect)
        bound: Deferred[IListeningPort] = Deferred(lambda ignored: connecting.cancel())

        def isBound(address: IAddress) -> None:
            self._address = address
            if not bound.called:
                bound.callback(self)

        def failed(failure: Failure) -> None:
            if not bound.called:
                bound.errback(failure)
            elif not failure.check(CancelledError):
                # Nobody waits any more who could be told.
                self._log.failure("no partner was served", failure)

        connecting.addCallback(self._serve).addErrback(failed).addBoth(self._release)
        if not bound.called:
            # The connector is asked only when it has begun, for before that it
            # would give the address of an earlier time.
            listening = self._connector.whenListening()
            listening.addCallbacks(isBound, lambda ignored: None)
        return bound

    def dialAgainAndAgain(self) -> Deferred[IListeningPort]:
        """:returns: a Deferred that has fired: there is always another try."""
        self._use()
        self._running = Deferred.fromCoroutine(self._dialForEver())
        self._running.addErrback(lambda failure: failure.trap(CancelledError))
        self._running.addErrback(
            lambda failure: self._log.failure("dialling again has ended", failure)
        )
        self._running.addBoth(self._release)
        port: Deferred[IListeningPort] = Deferred()
        port.callback(self)
        return port

    async def _dialForEver(self) -> None:
        delays = backoffPolicy(initialDelay=0.5, maxDelay=60.0, factor=1.5)
        failures = 0
        while True:
            try:
                channel = await self._connector.connect()
            except CancelledError:
                raise
            except Exception as error:
                failures += 1
                self._log.warn(
                    "the partner could not be reached ({error}); dialling again",
                    error=error,
                )
            else:
                failures = 0
                self._address = channel.getHost()
                try:
                    await self._serve(channel)
                except CancelledError:
                    raise
                except Exception:
                    self._log.failure("the partner could not be served")
            await deferLater(self._reactor, delays(failures))


@implementer(IStreamClientEndpoint)
class TransferClientEndpoint:
    """Gets a partner and is the client of that connection."""

    def __init__(self, connector: TransferConnector) -> None:
        """
        :param connector: gets the partner.
        """
        self._connector = connector

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """
        :param protocolFactory: makes the protocol.
        :returns: a Deferred with the connected protocol; it fails as
            ``TransferConnector.connect`` does, and can be cancelled at any time.
        """
        protocolFactory.doStart()
        connecting = maybeDeferred(self._connector.connect)

        def connected(channel: TransferChannel) -> IProtocol:
            protocol = serve(channel, protocolFactory)
            channel.whenClosed().addBoth(lambda ignored: protocolFactory.doStop())
            return protocol

        def failed(failure: Failure) -> Failure:
            protocolFactory.doStop()
            return failure

        return connecting.addCallback(connected).addErrback(failed)


@implementer(IStreamServerEndpoint)
class TransferServerEndpoint:
    """Gets a partner and serves that connection."""

    def __init__(
        self, reactor: Any, connector: TransferConnector, again: bool = False
    ) -> None:
        """
        :param reactor: measures the time between dials.
        :param connector: gets the partner.
        :param again: active mode: when the connection has ended, or could not
            be made, dial again, until the port is told to stop.
        """
        if again and connector.mode is Mode.PASSIVE:
            raise BadDescription(
                "again=yes is for the active mode: it dials anew when the connection "
                "has ended; to listen for many, use the server endpoint itself"
            )
        self._reactor = reactor
        self._connector = connector
        self._again = again

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """
        :param protocolFactory: makes the protocol that serves the partner.
        :returns: a Deferred with a port.  In passive mode it fires when the
            real port is bound, in active mode when the partner is reached
            (with ``again``: at once), or with what went wrong.
        """
        port = TransferPort(self._reactor, self._connector, protocolFactory)
        if self._again:
            return port.dialAgainAndAgain()
        if self._connector.mode is Mode.ACTIVE:
            return port.dial()
        return port.wait()
