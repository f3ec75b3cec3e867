"""
Transfers that end with a receipt.
"""

from twisted_transfer.receipts.receipt import Receipt, Watch

__all__ = ["Receipt", "Watch"]
