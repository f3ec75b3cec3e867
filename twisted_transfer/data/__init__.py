"""
Sources and destinations, and the copies between them and a channel.
"""

from twisted_transfer.data.progress import Progress

__all__ = ["Progress"]
