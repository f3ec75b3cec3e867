"""
Join two connections both ways.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import (
    Deferred,
    DeferredList,
    FirstError,
    gatherResults,
)
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.connecting.connector import Mode, TransferConnector
from twisted_transfer.data.kernel import Relaying
from twisted_transfer.data.receiving import gone
from twisted_transfer.deferreds import deferring
from twisted_transfer.errors import BadOption, HalfCloseUnsupported

LINGER = 5.0
"""Seconds without anything from a connection that cannot end its sending side alone,
after which it is closed when the other connection has ended its own."""


@dataclass(frozen=True)
class Bridged:
    """
    How much has passed a bridge.

    :ivar there: how many bytes have gone from the first connection to the second.
    :ivar back: how many have gone from the second to the first.
    """

    there: int
    back: int


@implementer(IHalfCloseableProtocol, IPushProducer)
class _Way(Protocol):
    """
    One direction of a bridge: what comes to one channel is written to another.

    Between plain sockets the kernel moves it, once that which was read before is sent.

    :ivar source: has no other reader.
    :ivar count: how many bytes have passed.
    :ivar reverse: the other direction.
    """

    reverse: _Way

    def __init__(
        self,
        source: TransferChannel,
        target: TransferChannel,
        tell: Callable[[], object],
    ) -> None:
        """
        :param source: where the bytes come from.
        :param target: where they go; nothing else writes to it.
        :param tell: called after each piece.
        """
        self.source = source
        self.count = 0
        self._target = target
        self._tell = tell
        self._ended = False
        self._relay: Relaying | None = None
        self._later: IDelayedCall | None = None
        # As a pull producer this is asked whenever everything is sent.
        self._pulled = target.bareOutput is not None

    def start(self) -> None:
        """Begin."""
        self.source.start(self)
        self._target.registerProducer(self, not self._pulled)

    def dataReceived(self, data: bytes) -> None:
        """Write what has come."""
        self._target.write(data)
        if self._pulled:
            self.source.pauseProducing()
        self._moved(len(data))

    def _moved(self, count: int) -> None:
        self.count += count
        self._tell()

    def pauseProducing(self) -> None:
        """Read no more: the target is full."""
        self.source.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on, or have the kernel move the rest, if it can."""
        if self._relay is not None or self._ended:
            return
        source, target = self.source.bareInput, self._target.bareOutput
        if self._pulled and source is not None and target is not None:
            self.source.pauseProducing()
            self._relay = Relaying(
                source, target, self._moved, self.source.resumeProducing
            )
        else:
            self.source.resumeProducing()

    def stopProducing(self) -> None:
        """Do nothing more: the target is gone."""
        self._stop()

    def readConnectionLost(self) -> None:
        """Tell the target that nothing more comes; close when that is so both ways."""
        if self._ended:
            return
        self._stop()
        if self.reverse._ended:
            self.source.loseConnection()
            self._target.loseConnection()
            return
        try:
            self._target.writeEOF()
        except HalfCloseUnsupported:
            self.reverse._closeWhenSilent()

    def _closeWhenSilent(self, before: int = -1) -> None:
        """Close the source when nothing has come from it for some time."""
        if self.count == before:
            self.source.loseConnection()
        elif not self._ended:
            self._later = self.source.clock.callLater(
                LINGER, self._closeWhenSilent, self.count
            )

    def writeConnectionLost(self) -> None:
        """Do nothing: it was this side that ended it."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Move nothing more; the channel knows how the connection has ended."""
        self._stop()

    def _stop(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._target.unregisterProducer()
        if self._relay is not None:
            self._relay.stop()
        if self._later is not None and self._later.active():
            self._later.cancel()


@deferring
async def join(
    one: TransferChannel,
    other: TransferChannel,
    progress: Callable[[Bridged], object] | None = None,
) -> Bridged:
    """
    Join two channels both ways, until both connections have ended.

    When one partner ends its output, the other one is told so, and may go on sending.
    A connection that cannot end its sending side alone, as TLS, is closed instead when
    nothing has come from it for ``LINGER`` seconds.

    :param one: carries bytes, and has no reader.
    :param other: carries bytes, and has no reader.
    :param progress: called with how much has passed, after each piece.
    :returns: a Deferred with how much has passed.  It fails with ``Truncated`` if one
        of the connections breaks off; the other one is aborted then, so that its
        partner notices.  Cancelling it aborts both.
    :raises BadOption: if a channel carries text.
    """
    for channel in (one, other):
        if channel.settings.encoding is not None:
            raise BadOption(
                "a bridge carries bytes, and a channel carries text in "
                f"{channel.settings.encoding}; leave encoding= out"
            )

    def passed() -> Bridged:
        return Bridged(there.count, back.count)

    def tell() -> None:
        if progress is not None:
            progress(passed())

    errors: list[Exception] = []

    def failed(failure: Failure, another: TransferChannel) -> None:
        error: Any = failure.value
        errors.append(error)
        another.abortConnection()

    there, back = _Way(one, other, tell), _Way(other, one, tell)
    there.reverse, back.reverse = back, there
    ends = DeferredList(
        [
            channel.whenClosed().addCallbacks(
                lambda ignored, another: another.loseConnection(),
                failed,
                callbackArgs=(another,),
                errbackArgs=(another,),
            )
            for channel, another in ((one, other), (other, one))
        ]
    )
    there.start()
    back.start()
    await ends
    for channel in (one, other):
        await gone(channel)
    if errors:
        raise errors[0]
    return passed()


@deferring
async def bridge(
    one: TransferConnector,
    other: TransferConnector,
    progress: Callable[[Bridged], object] | None = None,
) -> Bridged:
    """
    Get two partners, and join their connections both ways.

    A connector that dials does so when the other one, if that listens, has its partner.

    :param one: gets the first partner.
    :param other: gets the second one.
    :param progress: see :func:`join`.
    :returns: a Deferred with how much has passed, when both connections have ended.  It
        fails as ``connect()`` and :func:`join` do.  Cancelling it ends everything.
    """
    channels: dict[TransferConnector, TransferChannel] = {}

    def connect(connector: TransferConnector) -> Deferred[None]:
        return connector.connect().addCallback(partial(channels.__setitem__, connector))

    try:
        # Those that listen come first, and together: either may fail before the other
        # one has its partner.
        for mode in (Mode.PASSIVE, Mode.ACTIVE):
            connectors = [each for each in (one, other) if each.mode is mode]
            await gatherResults(map(connect, connectors), consumeErrors=True)
    except BaseException as error:
        for connector in (one, other):
            await connector.close()
        for channel in channels.values():
            channel.abortConnection()
            await gone(channel)
        if isinstance(error, FirstError):
            error.subFailure.raiseException()
        raise
    return await join(channels[one], channels[other], progress)
