"""
What Twisted finds: endpoint types, and the ``twist`` command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted_transfer.twist.endpoints import (
        TransferClientEndpoint as TransferClientEndpoint,
    )
    from twisted_transfer.twist.endpoints import (
        TransferServerEndpoint as TransferServerEndpoint,
    )

__all__ = ["TransferClientEndpoint", "TransferServerEndpoint"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is used, as :mod:`twisted_transfer` does."""
    if name in __all__:
        from twisted_transfer.twist import endpoints

        return getattr(endpoints, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
