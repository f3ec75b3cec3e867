"""
The channel: one connection between two partners.
"""

from twisted_transfer.channel.channel import TransferChannel

__all__ = ["TransferChannel"]
