"""
One connection between two partners, whichever of them dials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_transfer.handing import handOn

if TYPE_CHECKING:
    from twisted_transfer.channel.channel import TransferChannel as TransferChannel
    from twisted_transfer.connecting.connector import Mode as Mode
    from twisted_transfer.connecting.connector import (
        TransferConnector as TransferConnector,
    )
    from twisted_transfer.data.copying import copy as copy
    from twisted_transfer.data.copyqueue import CopyQueue as CopyQueue
    from twisted_transfer.data.destinations import BytesDestination as BytesDestination
    from twisted_transfer.data.destinations import (
        CallableDestination as CallableDestination,
    )
    from twisted_transfer.data.destinations import FileDestination as FileDestination
    from twisted_transfer.data.iterables import IterableSource as IterableSource
    from twisted_transfer.data.receiving import receive as receive
    from twisted_transfer.data.sources import BytesSource as BytesSource
    from twisted_transfer.data.sources import FileSource as FileSource
    from twisted_transfer.data.sources import TextSource as TextSource
    from twisted_transfer.data.streams import StreamDestination as StreamDestination
    from twisted_transfer.data.streams import StreamSource as StreamSource
    from twisted_transfer.errors import AlreadyConnecting as AlreadyConnecting
    from twisted_transfer.errors import AlreadyReading as AlreadyReading
    from twisted_transfer.errors import BadDescription as BadDescription
    from twisted_transfer.errors import BadOption as BadOption
    from twisted_transfer.errors import DestinationError as DestinationError
    from twisted_transfer.errors import HalfCloseUnsupported as HalfCloseUnsupported
    from twisted_transfer.errors import LineTooLong as LineTooLong
    from twisted_transfer.errors import NotAdmitted as NotAdmitted
    from twisted_transfer.errors import NotAReceiptPartner as NotAReceiptPartner
    from twisted_transfer.errors import NotEnoughData as NotEnoughData
    from twisted_transfer.errors import PartnerFailed as PartnerFailed
    from twisted_transfer.errors import PartnerProtocolError as PartnerProtocolError
    from twisted_transfer.errors import PartnerStalled as PartnerStalled
    from twisted_transfer.errors import PartnerTimeout as PartnerTimeout
    from twisted_transfer.errors import PeerRefused as PeerRefused
    from twisted_transfer.errors import QueueAborted as QueueAborted
    from twisted_transfer.errors import ReceiptMismatch as ReceiptMismatch
    from twisted_transfer.errors import RelayFailed as RelayFailed
    from twisted_transfer.errors import SourceError as SourceError
    from twisted_transfer.errors import TransferError as TransferError
    from twisted_transfer.errors import Truncated as Truncated
    from twisted_transfer.errors import Unclosed as Unclosed
    from twisted_transfer.errors import Undecodable as Undecodable
    from twisted_transfer.receipts.receipt import Receipt as Receipt
    from twisted_transfer.transfers.bridging import Bridged as Bridged
    from twisted_transfer.transfers.bridging import bridge as bridge
    from twisted_transfer.transfers.bridging import join as join
    from twisted_transfer.transfers.folder import FolderDestination as FolderDestination
    from twisted_transfer.transfers.transfers import Receiver as Receiver
    from twisted_transfer.transfers.transfers import Transmitter as Transmitter
    from twisted_transfer.transfers.transfers import receiveFile as receiveFile
    from twisted_transfer.transfers.transfers import sendFile as sendFile
else:
    __getattr__, __dir__, __all__ = handOn(
        __name__,
        {
            "channel.channel": "TransferChannel",
            "connecting.connector": "Mode TransferConnector",
            "data.copying": "copy",
            "data.copyqueue": "CopyQueue",
            "data.destinations": "BytesDestination CallableDestination FileDestination",
            "data.iterables": "IterableSource",
            "data.receiving": "receive",
            "data.sources": "BytesSource FileSource TextSource",
            "data.streams": "StreamDestination StreamSource",
            "errors": (
                "AlreadyConnecting AlreadyReading BadDescription BadOption "
                "DestinationError HalfCloseUnsupported LineTooLong "
                "NotAdmitted NotAReceiptPartner NotEnoughData PartnerFailed "
                "PartnerProtocolError PartnerStalled PartnerTimeout "
                "PeerRefused QueueAborted ReceiptMismatch RelayFailed SourceError "
                "TransferError Truncated Unclosed Undecodable"
            ),
            "receipts.receipt": "Receipt",
            "transfers.bridging": "Bridged bridge join",
            "transfers.folder": "FolderDestination",
            "transfers.transfers": "Receiver Transmitter receiveFile sendFile",
        },
    )
