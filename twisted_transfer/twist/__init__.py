"""
What Twisted finds: endpoint types, and the ``twist`` command.
"""

from twisted_transfer.twist.endpoints import (
    TransferClientEndpoint,
    TransferServerEndpoint,
)

__all__ = ["TransferClientEndpoint", "TransferServerEndpoint"]
