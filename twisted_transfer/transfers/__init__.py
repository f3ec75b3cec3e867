"""
Whole transfers, from a connector to data that is stored.
"""

from twisted_transfer.transfers.folder import FolderDestination
from twisted_transfer.transfers.raw import receiveRaw, sendRaw
from twisted_transfer.transfers.transfers import (
    Receiver,
    Transmitter,
    receiveFile,
    sendFile,
)

__all__ = [
    "FolderDestination",
    "Receiver",
    "Transmitter",
    "receiveFile",
    "receiveRaw",
    "sendFile",
    "sendRaw",
]
