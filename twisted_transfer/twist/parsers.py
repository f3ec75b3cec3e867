"""
The endpoint types ``transfer`` and ``mtls``, as Twisted finds them.

Every ``twist`` command imports this module, so it imports the rest of the
package only in functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

    from twisted_transfer.descriptions.transfer import TransferDescription


@implementer(
    IPlugin,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
class TransferParser:
    """
    Make endpoints of ``transfer:active:…`` and ``transfer:passive:…``.

    :ivar prefix: what such strings begin with.
    """

    def __init__(self, prefix: str) -> None:
        """
        :param prefix: what the strings begin with.
        """
        self.prefix = prefix

    # ``self`` and ``reactor`` are positional-only, for a keyword in the string
    # may have just that name.

    def parseStreamClient(  # type: ignore[override]
        self, reactor: Any, /, *args: str, **kwargs: str
    ) -> IStreamClientEndpoint:
        """
        Make a client endpoint.

        :param reactor: the reactor that the endpoint uses.
        :param args: the positional arguments, without the prefix.
        :param kwargs: the keywords.
        :returns: the endpoint.
        :raises BadDescription: if the string is invalid.
        """
        from twisted_transfer.connecting.connector import TransferConnector
        from twisted_transfer.errors import BadDescription
        from twisted_transfer.twist.endpoints import TransferClientEndpoint

        description = self._read(args, kwargs)
        if description.again:
            raise BadDescription(
                "again=yes is for servers: a client connects once each time it is "
                "told to; leave it out"
            )
        connector = TransferConnector.fromDescription(reactor, description)
        return TransferClientEndpoint(connector)

    def parseStreamServer(  # type: ignore[override]
        self, reactor: Any, /, *args: str, **kwargs: str
    ) -> IStreamServerEndpoint:
        """
        Make a server endpoint.

        :param reactor: the reactor that the endpoint uses.
        :param args: the positional arguments, without the prefix.
        :param kwargs: the keywords.
        :returns: the endpoint.
        :raises BadDescription: if the string is invalid.
        """
        from twisted_transfer.connecting.connector import TransferConnector
        from twisted_transfer.twist.endpoints import TransferServerEndpoint

        description = self._read(args, kwargs)
        connector = TransferConnector.fromDescription(reactor, description)
        return TransferServerEndpoint(reactor, connector, description.again)

    @staticmethod
    def _read(args: tuple[str, ...], kwargs: dict[str, str]) -> TransferDescription:
        """Read a description, and refuse what an endpoint cannot do."""
        from twisted_transfer.descriptions.mtls import makesInvitation
        from twisted_transfer.descriptions.transfer import TransferDescription
        from twisted_transfer.errors import BadDescription

        description = TransferDescription.fromArguments(args, kwargs)
        command = description.socketCommand
        if (
            description.mode == "passive"
            and command is not None
            and makesInvitation(command)
        ):
            raise BadDescription(
                "transfer:passive:mtls without certificate= makes an invitation, which "
                "this program has nowhere to show; add certificate=PATH, or use "
                "TransferConnector.fromString in code"
            )
        if description.encoding is not None:
            raise BadDescription(
                f"encoding={description.encoding}: a Twisted protocol takes bytes, "
                "not text; leave encoding= out, or use TransferConnector.fromString "
                "in code"
            )
        return description


@implementer(
    IPlugin,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
class MutualTLSParser:
    """
    Make endpoints of ``mtls:…``, where both sides prove who they are.

    :ivar prefix: what such strings begin with.
    """

    def __init__(self, prefix: str) -> None:
        """
        :param prefix: what the strings begin with.
        """
        self.prefix = prefix

    def parseStreamClient(  # type: ignore[override]
        self, reactor: Any, /, *args: str, **kwargs: str
    ) -> IStreamClientEndpoint:
        """
        Make a client endpoint.

        :param reactor: the reactor that the endpoint uses.
        :param args: the positional arguments, without the prefix.
        :param kwargs: the keywords.
        :returns: the endpoint.
        :raises BadDescription: if the string is invalid.
        """
        from twisted_transfer.descriptions.mtls import mtlsClient
        from twisted_transfer.descriptions.strings import Description

        return mtlsClient(reactor, Description((self.prefix, *args), kwargs))

    def parseStreamServer(  # type: ignore[override]
        self, reactor: Any, /, *args: str, **kwargs: str
    ) -> IStreamServerEndpoint:
        """
        Make a server endpoint.

        :param reactor: the reactor that the endpoint uses.
        :param args: the positional arguments, without the prefix.
        :param kwargs: the keywords.
        :returns: the endpoint.
        :raises BadDescription: if the string is invalid.
        """
        from twisted_transfer.descriptions.mtls import mtlsServer
        from twisted_transfer.descriptions.strings import Description

        return mtlsServer(reactor, Description((self.prefix, *args), kwargs))
