"""
Transfers that end with a receipt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_transfer.handing import handOn

if TYPE_CHECKING:
    from twisted_transfer.receipts.messages import FailureKind as FailureKind
    from twisted_transfer.receipts.receipt import Watch as Watch
else:
    __getattr__, __dir__, __all__ = handOn(
        __name__, {"messages": "FailureKind", "receipt": "Watch"}
    )
