"""
Whole transfers, from a connector to data that is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_transfer.handing import handOn

if TYPE_CHECKING:
    from twisted_transfer.transfers.raw import receiveRaw as receiveRaw
    from twisted_transfer.transfers.raw import sendRaw as sendRaw
else:
    __getattr__, __dir__, __all__ = handOn(__name__, {"raw": "receiveRaw sendRaw"})
