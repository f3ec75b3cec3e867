"""
Noticing that a silent partner is no longer there.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from twisted_transfer.channel import TransferChannel
from twisted_transfer.inside import transportOf
from twisted_transfer.layers import bottomOf

# Seconds until the first question, between two of them, and how many are asked.
_QUESTIONS = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


def keepAlive(channel: TransferChannel) -> None:
    """
    Have the system find out, within two minutes, that the partner is no longer
    there (RFC 1122, section 4.2.3.6); where it has no such thing, do nothing.

    :param channel: a connected one.
    """
    bottom: Any = bottomOf(transportOf(channel))
    # A UNIX socket says of itself that it is TCP, too; and one that has gone
    # meanwhile has no socket any more.
    with suppress(AttributeError, OSError):
        handle = bottom.getHandle()
        if handle.family not in (socket.AF_INET, socket.AF_INET6):
            return
        bottom.setTcpKeepAlive(True)
        for option, value in _QUESTIONS.items():
            if hasattr(socket, option):
                handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
