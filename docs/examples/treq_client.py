"""Get a page over a description: python treq_client.py DESCRIPTION URL"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

import sys
from typing import Any

from treq.client import HTTPClient
from twisted.internet.endpoints import clientFromString
from twisted.internet.task import react
from twisted.web.client import Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer


@implementer(IAgentEndpointFactory)
class ByDescription:
    """Connects in the way that a description says, whatever the URL is."""

    def __init__(self, reactor: Any, description: str) -> None:
        self._endpoint = clientFromString(reactor, description)

    def endpointForURI(self, uri: Any) -> Any:
        """:returns: the endpoint, which connects for each request."""
        return self._endpoint


async def main(reactor: Any, description: str, url: str) -> None:
    factory = ByDescription(reactor, description)
    agent: Any = Agent.usingEndpointFactory(reactor, factory)
    response = await HTTPClient(agent).get(url)
    print(await response.text(), end="")


react(main, sys.argv[1:])
