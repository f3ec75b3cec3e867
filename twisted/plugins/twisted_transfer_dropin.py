"""
What Twisted finds: the endpoint types ``transfer``, ``mtls`` and ``relay``, and the
``transfer`` command.

Every ``twist`` and ``twistd`` imports this module, whatever it then runs, and
chooses its reactor afterwards.  So there are instances here and nothing else,
and nothing on the way here imports the global reactor.
"""

from __future__ import annotations

from twisted.application.service import ServiceMaker

from twisted_transfer.twist.parsers import EndpointParser

transferEndpoints = EndpointParser("transfer", "twisted_transfer.twist.endpoints")
mutualTLSEndpoints = EndpointParser("mtls", "twisted_transfer.descriptions.mtls")
relayEndpoints = EndpointParser("relay", "twisted_transfer.descriptions.relay")

transferService = ServiceMaker(
    "Twisted Transfer",
    "twisted_transfer.twist.service",
    "Move data between two partners, whichever of them dials.",
    "transfer",
)
