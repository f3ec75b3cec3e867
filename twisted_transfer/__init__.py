"""
One connection between two partners, whichever of them dials.
"""

from twisted_transfer.channel import TransferChannel
from twisted_transfer.connector import Mode, TransferConnector
from twisted_transfer.copying import copy
from twisted_transfer.copyqueue import CopyQueue
from twisted_transfer.destinations import (
    BytesDestination,
    CallableDestination,
    FileDestination,
    StreamDestination,
)
from twisted_transfer.errors import (
    AlreadyConnecting,
    AlreadyReading,
    BadDescription,
    BadOption,
    DestinationError,
    HalfCloseUnsupported,
    LineTooLong,
    NotAdmitted,
    NotAReceiptPartner,
    NotEnoughData,
    PartnerFailed,
    PartnerProtocolError,
    PartnerTimeout,
    PeerRefused,
    QueueAborted,
    ReceiptMismatch,
    SourceError,
    TransferError,
    Truncated,
    Undecodable,
)
from twisted_transfer.folders import FolderDestination
from twisted_transfer.outcomes import Receipt
from twisted_transfer.receiving import receive
from twisted_transfer.sources import (
    BytesSource,
    FileSource,
    IterableSource,
    StreamSource,
    TextSource,
)
from twisted_transfer.transfers import Receiver, Transmitter, receiveFile, sendFile

__all__ = [
    "AlreadyConnecting",
    "AlreadyReading",
    "BadDescription",
    "BadOption",
    "BytesDestination",
    "BytesSource",
    "CallableDestination",
    "CopyQueue",
    "DestinationError",
    "FileDestination",
    "FileSource",
    "FolderDestination",
    "HalfCloseUnsupported",
    "IterableSource",
    "LineTooLong",
    "Mode",
    "NotAReceiptPartner",
    "NotAdmitted",
    "NotEnoughData",
    "PartnerFailed",
    "PartnerProtocolError",
    "PartnerTimeout",
    "PeerRefused",
    "QueueAborted",
    "Receipt",
    "ReceiptMismatch",
    "Receiver",
    "SourceError",
    "StreamDestination",
    "StreamSource",
    "TextSource",
    "TransferChannel",
    "TransferConnector",
    "TransferError",
    "Transmitter",
    "Truncated",
    "Undecodable",
    "copy",
    "receive",
    "receiveFile",
    "sendFile",
]
