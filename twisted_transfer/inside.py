"""
What this library itself needs of channels and connectors, beyond what a user sees
of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocolFactory, IReactorTime

from twisted_transfer.channel import TransferChannel

if TYPE_CHECKING:
    from twisted_transfer.connector import TransferConnector
    from twisted_transfer.text import TextSettings


def clockOf(channel: TransferChannel) -> IReactorTime:
    """
    :param channel: any channel.
    :returns: what measures its time.
    """
    return channel._link.clock


def transportOf(channel: TransferChannel) -> Any:
    """
    :param channel: any channel.
    :returns: what carries its bytes, with all its layers.
    """
    return channel._transport


def reactorOf(connector: TransferConnector) -> Any:
    """
    :param connector: any connector.
    :returns: the reactor that does its work.
    """
    return connector._reactor


def serveBy(connector: TransferConnector, factory: IProtocolFactory) -> None:
    """
    Say who will have the connections.

    :param connector: any connector, before it connects.
    :param factory: makes the protocols.
    """
    connector._served = factory


def settingsOf(channel: TransferChannel) -> TextSettings:
    """
    :param channel: any channel.
    :returns: its text settings.
    """
    return channel._settings


@contextmanager
def writingBy(channel: TransferChannel, settings: TextSettings) -> Iterator[None]:
    """
    Write by other text settings for a while; reading goes on as before.

    :param channel: is to be written.
    :param settings: hold for what is written in the block of this context.
    """
    if settings == channel._settings:
        yield
        return
    _write(channel, settings)
    try:
        yield
    finally:
        _write(channel, channel._settings)


def _write(channel: TransferChannel, settings: TextSettings) -> None:
    # An encoding with states is brought back to its first one before another
    # one begins.
    flushed = channel._encoder.flush()
    if flushed and not channel._outputDone:
        channel._link.write(flushed)
    channel._encoder = settings.newEncoder(channel._encoder)
