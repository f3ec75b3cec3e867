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

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.arguments import Mode
from twisted_transfer.channel import TransferChannel
from twisted_transfer.connector import TransferConnector
from twisted_transfer.errors import BadDescription
from twisted_transfer.ports import TransferPort, serve


@implementer(IStreamClientEndpoint)
class TransferClientEndpoint:
    """Gets a partner and is the client of that connection."""

    def __init__(self, connector: TransferConnector) -> None:
        """
        :param connector: gets the partner.
        """
        self._connector = connector

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
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

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
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
