"""
Sources and destinations, and the copies between them and a channel.
"""

from twisted_transfer.data.copying import copy
from twisted_transfer.data.copyqueue import CopyQueue
from twisted_transfer.data.destinations import (
    BytesDestination,
    CallableDestination,
    FileDestination,
)
from twisted_transfer.data.iterables import IterableSource
from twisted_transfer.data.progress import Progress
from twisted_transfer.data.receiving import receive
from twisted_transfer.data.sources import BytesSource, FileSource, TextSource
from twisted_transfer.data.streams import StreamDestination, StreamSource

__all__ = [
    "BytesDestination",
    "BytesSource",
    "CallableDestination",
    "CopyQueue",
    "FileDestination",
    "FileSource",
    "IterableSource",
    "Progress",
    "StreamDestination",
    "StreamSource",
    "TextSource",
    "copy",
    "receive",
]
