"""
Connecting two partners, whichever of them dials.
"""

from twisted_transfer.connecting.admission import AddressFilter, Admission
from twisted_transfer.connecting.connector import Mode, TransferConnector

__all__ = ["AddressFilter", "Admission", "Mode", "TransferConnector"]
