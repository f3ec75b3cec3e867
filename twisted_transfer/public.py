"""
The public names, which :mod:`twisted_transfer` hands on.
"""

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.connecting.connector import Mode, TransferConnector
from twisted_transfer.data.copying import copy
from twisted_transfer.data.copyqueue import CopyQueue
from twisted_transfer.data.destinations import (
    BytesDestination,
    CallableDestination,
    FileDestination,
)
from twisted_transfer.data.iterables import IterableSource
from twisted_transfer.data.receiving import receive
from twisted_transfer.data.sources import BytesSource, FileSource, TextSource
from twisted_transfer.data.streams import StreamDestination, StreamSource
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
    PartnerStalled,
    PartnerTimeout,
    PeerRefused,
    QueueAborted,
    ReceiptMismatch,
    SourceError,
    TransferError,
    Truncated,
    Unclosed,
    Undecodable,
)
from twisted_transfer.receipts.receipt import Receipt
from twisted_transfer.transfers.bridging import Bridged, bridge, join
from twisted_transfer.transfers.folder import FolderDestination
from twisted_transfer.transfers.transfers import (
    Receiver,
    Transmitter,
    receiveFile,
    sendFile,
)

__all__ = [
    "AlreadyConnecting",
    "AlreadyReading",
    "BadDescription",
    "BadOption",
    "Bridged",
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
    "PartnerStalled",
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
    "Unclosed",
    "Undecodable",
    "bridge",
    "copy",
    "join",
    "receive",
    "receiveFile",
    "sendFile",
]
