"""
The parsers of the endpoint types ``transfer``, ``mtls`` and ``relay``, as Twisted finds
them.

Every ``twist`` command imports this module, so the rest of the package is imported
only when there is a description to parse.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import implementer


@implementer(
    IPlugin,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
class EndpointParser:
    """
    Hand the descriptions of one type to the module that makes its endpoints.

    :ivar prefix: the type: how its descriptions begin.
    """

    def __init__(self, prefix: str, module: str) -> None:
        """
        :param prefix: the type.
        :param module: the name of a module with two functions, ``clientEndpoint``
            and ``serverEndpoint``, that take a reactor and a ``Description``.
        """
        self.prefix = prefix
        self._module = module

    # ``self`` and ``reactor`` are positional-only, for a keyword in the string
    # may have just that name.

    def parseStreamClient(  # type: ignore[override]
        self, reactor: Any, /, *args: str, **kwargs: str
    ) -> Any:
        """
        Make a client endpoint.

        :param reactor: the reactor that the endpoint uses.
        :param args: the positional arguments, without the prefix.
        :param kwargs: the keywords.
        :returns: the endpoint.
        :raises BadDescription: if the string is invalid.
        """
        return self._make("client", reactor, args, kwargs)

    def parseStreamServer(  # type: ignore[override]
        self, reactor: Any, /, *args: str, **kwargs: str
    ) -> Any:
        """
        Make a server endpoint; see :meth:`parseStreamClient`.
        """
        return self._make("server", reactor, args, kwargs)

    def _make(
        self, side: str, reactor: Any, args: tuple[str, ...], keywords: dict[str, str]
    ) -> Any:
        from twisted_transfer.descriptions.strings import Description

        description = Description((self.prefix, *args), keywords)
        return namedAny(f"{self._module}.{side}Endpoint")(reactor, description)
