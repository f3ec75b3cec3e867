"""
A listener that admits whoever has its invitation, and nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import wrapServerTLS
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from twisted_transfer.keys import Identity, Secret
from twisted_transfer.mutualtls import Policy


@implementer(IStreamServerEndpoint)
class InvitingServerEndpoint:
    """
    Listens with a new identity and a new secret each time.

    The partner's key is derived from the secret, so this side knows in advance
    the one key that it will accept.
    """

    def __init__(self, reactor: Any, endpoint: IStreamServerEndpoint) -> None:
        """
        :param reactor: measures the time.
        :param endpoint: what is listened on under TLS.
        """
        self._reactor = reactor
        self._endpoint = endpoint
        self._invitation: tuple[str, Secret] | None = None

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        :param protocolFactory: makes the protocols of the connections.
        :returns: a Deferred with the port.
        """
        identity, secret = Identity.ephemeral(), Secret.fresh()
        self._invitation = identity.pin, secret
        policy = Policy(identity, frozenset({secret.identity().pin}))
        endpoint = wrapServerTLS(policy, self._endpoint, clock=self._reactor)
        return maybeDeferred(endpoint.listen, protocolFactory)

    def proof(self) -> Mapping[str, str]:
        """
        :returns: what the partner needs beside the address, as the keywords of
            an ``mtls`` client description.  It holds a secret.
        """
        if self._invitation is None:
            return {}
        pin, secret = self._invitation
        return {"pin": pin, "secret": secret.text}
