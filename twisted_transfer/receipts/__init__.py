"""
Transfers that end with a receipt.
"""

from twisted_transfer.receipts.messages import FailureKind
from twisted_transfer.receipts.receipt import Receipt, Watch

__all__ = ["FailureKind", "Receipt", "Watch"]
