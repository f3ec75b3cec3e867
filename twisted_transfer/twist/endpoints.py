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
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError, NoProtocol
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

from twisted_transfer.addresses import partnerText
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.connecting.connector import Mode, TransferConnector
from twisted_transfer.deferreds import deferring
from twisted_transfer.descriptions.mtls import makesInvitation
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.descriptions.transfer import TransferDescription
from twisted_transfer.errors import BadDescription, Truncated
from twisted_transfer.printable import reasonOf


def serve(
    channel: TransferChannel, factory: IProtocolFactory, client: bool
) -> IProtocol | None:
    """
    Connect a factory's protocol to the channel.

    The factory is in use until the connection has ended.

    :param channel: a new connection.
    :param factory: makes the protocol.
    :param client: whether the protocol is the client of the connection, whichever
        side has dialled.
    :returns: the protocol, with the channel as its transport; or ``None`` if the
        factory makes none: the channel is closed then.
    :raises Exception: whatever the factory or the protocol's ``connectionMade``
        raises; the channel is aborted then.
    """
    factory.doStart()
    ended = channel.whenClosed().addErrback(_truncated)
    ended.addBoth(lambda ignored: factory.doStop())
    try:
        protocol: IProtocol | None = factory.buildProtocol(channel.getPeer())
        if protocol is None:
            channel.loseConnection()
        else:
            channel.start(protocol, client)
    except BaseException:
        channel.abortConnection()
        raise
    return protocol


def _truncated(failure: Failure) -> None:
    """Ignore a truncation, of which the protocol has been told."""
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
        connector.serveBy(factory)
        self._address: IAddress = IPv4Address("TCP", "0.0.0.0", 0)
        self._search: Deferred[None] = Deferred()

    def __repr__(self) -> str:
        return f"<TransferPort {self._connector.mode.value} {self._address}>"

    # IListeningPort.

    def startListening(self) -> None:
        """Do nothing: the endpoint has started the search."""

    def stopListening(self) -> Deferred[None]:
        """
        End the search for a partner; this may be called any number of times.

        :returns: a Deferred that fires when the search has ended.
        """
        self._search.cancel()
        return self._connector.close()

    def getHost(self) -> IAddress:
        """
        :returns: passive: the address that is listened on; active: this side's
            address of the connection, and 0.0.0.0 port 0 while there is none,
            as the system says of a socket that is not bound.
        """
        return self._address

    # The search.

    def search(self, again: bool = False) -> Deferred[IListeningPort]:
        """
        Search for a partner and serve it.

        :param again: whether to dial again whenever a connection has ended or
            could not be made.
        :returns: a Deferred with this port.  It fires when the real port is
            bound (passive), when the partner was reached (active), or at once
            (``again``), or fails with what went wrong before.
        """
        listening: Deferred[IListeningPort] = Deferred(
            lambda ignored: self._search.cancel()
        )

        def succeeded(ignored: None) -> None:
            if not listening.called:
                listening.callback(self)

        def failed(failure: Failure) -> None:
            if not listening.called:
                listening.errback(failure)
            elif not failure.check(CancelledError):
                self._log.failure("no partner was served", failure)

        def bound(address: IAddress) -> None:
            self._address = address
            succeeded(None)

        self._factory.doStart()
        steps = self._dialAgainAndAgain() if again else self._serveOne()
        self._search = Deferred.fromCoroutine(steps)
        if again:
            succeeded(None)
        elif self._connector.mode is Mode.PASSIVE and not self._search.called:
            # Not before, for until it connects the connector would give the
            # address of an earlier time.
            self._connector.whenListening().addCallbacks(bound, lambda ignored: None)
        self._search.addCallbacks(succeeded, failed)
        self._search.addBoth(lambda ignored: self._factory.doStop())
        return listening

    async def _serveOne(self) -> None:
        self._serve(await self._connector.connect())

    async def _dialAgainAndAgain(self) -> None:
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
                    error=reasonOf(error),
                )
            else:
                failures = 0
                try:
                    self._serve(channel)
                except Exception:
                    self._log.failure("the partner could not be served")
                if self._search.called:
                    return  # stopped from within the protocol
                await channel.whenClosed().addErrback(_truncated)
            await deferLater(self._reactor, delays(failures))

    def _serve(self, channel: TransferChannel) -> None:
        if self._connector.mode is Mode.ACTIVE:
            self._address = channel.getHost()
        if serve(channel, self._factory, client=False) is None:
            self._log.info(
                "{factory} makes no protocol for {peer}: the connection is closed",
                factory=self._factory,
                peer=partnerText(channel.getPeer()),
            )


@implementer(IStreamClientEndpoint)
class TransferClientEndpoint:
    """Gets a partner and is the client of that connection."""

    def __init__(self, connector: TransferConnector) -> None:
        """
        :param connector: gets the partner; while it is connecting, another one
            with the same options gets the next.
        """
        self._connector = connector

    @deferring
    async def connect(self, protocolFactory: Any) -> IProtocol:
        """
        Connect; this may be called any number of times, also at the same time.

        :param protocolFactory: makes the protocol.
        :returns: a Deferred with the connected protocol.  It fails as
            ``TransferConnector.connect`` does, with ``NoProtocol`` if the factory
            makes none, or with ``ConnectingCancelledError`` if it is cancelled.
        """
        connector = self._connector.idle()
        connector.serveBy(protocolFactory)
        protocolFactory.doStart()
        try:
            channel = await connector.connect()
        except CancelledError as error:
            # As it was dialled by Twisted, which knows the destination.
            address = getattr(error.__cause__, "address", None)
            raise ConnectingCancelledError(address) from None
        else:
            protocol = serve(channel, protocolFactory, client=True)
        finally:
            protocolFactory.doStop()
        if protocol is None:
            raise NoProtocol
        return protocol


@implementer(IStreamServerEndpoint)
class TransferServerEndpoint:
    """Gets a partner and serves that connection."""

    def __init__(
        self, reactor: Any, connector: TransferConnector, again: bool = False
    ) -> None:
        """
        :param reactor: measures the time between dials.
        :param connector: gets the partner; while it is connecting, another one
            with the same options gets the next.
        :param again: active mode: when the connection has ended, or could not
            be made, dial again, until the port is told to stop.
        :raises BadDescription: if ``again`` is given in passive mode.
        """
        if again and connector.mode is Mode.PASSIVE:
            raise BadDescription(
                "again=yes is for the active mode: it dials anew when the connection "
                "has ended; to listen for many, use the server endpoint itself"
            )
        self._reactor = reactor
        self._connector = connector
        self._again = again

    @deferring
    async def listen(self, protocolFactory: Any) -> IListeningPort:
        """
        Search for a partner; this may be called any number of times, also at the
        same time.

        :param protocolFactory: makes the protocol that serves the partner.
        :returns: a Deferred with a port.  In passive mode it fires when the
            real port is bound, in active mode when the partner is reached
            (with ``again``: at once), or fails with what went wrong.
        """
        port = TransferPort(self._reactor, self._connector.idle(), protocolFactory)
        return await port.search(self._again)


def _read(description: Description) -> TransferDescription:
    """Read a description, and refuse what an endpoint cannot do."""
    transfer = TransferDescription.of(description)
    command = transfer.socketCommand
    if transfer.mode == "passive" and command is not None and makesInvitation(command):
        raise BadDescription(
            "transfer:passive:mtls without certificate= makes an invitation, which "
            "this program has nowhere to show; add certificate=PATH, or use "
            "TransferConnector.fromString in code"
        )
    if transfer.encoding is not None:
        raise BadDescription(
            f"encoding={transfer.encoding}: a Twisted protocol takes bytes, not text; "
            "leave encoding= out, or use TransferConnector.fromString in code"
        )
    return transfer


def clientEndpoint(reactor: Any, description: Description) -> TransferClientEndpoint:
    """
    Make the client endpoint of a ``transfer:`` string.

    :param reactor: the reactor that the endpoint uses.
    :param description: the description.
    :returns: the endpoint.
    :raises BadDescription: if the description is invalid.
    """
    transfer = _read(description)
    if transfer.again:
        raise BadDescription(
            "again=yes is for servers: a client connects once each time it is told "
            "to; leave it out"
        )
    return TransferClientEndpoint(TransferConnector.fromDescription(reactor, transfer))


def serverEndpoint(reactor: Any, description: Description) -> TransferServerEndpoint:
    """
    Make the server endpoint of a ``transfer:`` string.

    :param reactor: the reactor that the endpoint uses.
    :param description: the description.
    :returns: the endpoint.
    :raises BadDescription: if the description is invalid.
    """
    transfer = _read(description)
    connector = TransferConnector.fromDescription(reactor, transfer)
    return TransferServerEndpoint(reactor, connector, transfer.again)
