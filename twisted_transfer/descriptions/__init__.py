"""
Endpoint descriptions: the strings that say how a connection is opened.
"""

from twisted_transfer.descriptions.strings import Description, quote
from twisted_transfer.descriptions.transfer import TransferDescription

__all__ = ["Description", "TransferDescription", "quote"]
