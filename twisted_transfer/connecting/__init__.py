"""
Connecting two partners, whichever of them dials.
"""

from twisted_transfer.connecting.admission import Admission
from twisted_transfer.connecting.connector import TransferConnector
from twisted_transfer.connecting.options import AddressFilter, Mode

__all__ = ["AddressFilter", "Admission", "Mode", "TransferConnector"]
