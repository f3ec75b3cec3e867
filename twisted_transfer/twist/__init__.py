"""
What Twisted finds: endpoint types, and the ``twist`` command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_transfer.handing import handOn

if TYPE_CHECKING:
    from twisted_transfer.twist.endpoints import (
        TransferClientEndpoint as TransferClientEndpoint,
    )
    from twisted_transfer.twist.endpoints import (
        TransferServerEndpoint as TransferServerEndpoint,
    )
else:
    __getattr__, __dir__, __all__ = handOn(
        __name__, {"endpoints": "TransferClientEndpoint TransferServerEndpoint"}
    )
