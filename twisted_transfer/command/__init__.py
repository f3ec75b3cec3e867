"""
The program ``twisted-transfer``.
"""

from twisted_transfer.command.reports import Status

__all__ = ["Status"]
