"""An echo server for one partner, as a service: twistd -ny echo_service.py"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

application = Application("echo")
endpoint = serverFromString(reactor, "transfer:passive:tcp:port=4000")
service = StreamServerEndpointService(endpoint, Factory.forProtocol(Echo))
service.setServiceParent(application)
