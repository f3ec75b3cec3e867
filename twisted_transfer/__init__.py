"""
One connection between two partners, whichever of them dials.
"""

from twisted_transfer.channel import TransferChannel
from twisted_transfer.connector import Mode, TransferConnector
from twisted_transfer.errors import (
    AlreadyConnecting,
    AlreadyReading,
    BadDescription,
    BadOption,
    DestinationError,
    HalfCloseUnsupported,
    LineTooLong,
    NotAdmitted,
    NotEnoughData,
    PartnerTimeout,
    PeerRefused,
    SourceError,
    TransferError,
    Truncated,
    Undecodable,
)

__all__ = [
    "AlreadyConnecting",
    "AlreadyReading",
    "BadDescription",
    "BadOption",
    "DestinationError",
    "HalfCloseUnsupported",
    "LineTooLong",
    "Mode",
    "NotAdmitted",
    "NotEnoughData",
    "PartnerTimeout",
    "PeerRefused",
    "SourceError",
    "TransferChannel",
    "TransferConnector",
    "TransferError",
    "Truncated",
    "Undecodable",
]
