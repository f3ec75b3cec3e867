"""
A conversation with receipts on a channel: messages out, messages in.

It is what :mod:`twisted_transfer.receipts.sending` and
:mod:`twisted_transfer.receipts.receiving` have in common.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.receiving import gone
from twisted_transfer.deferreds import atMost
from twisted_transfer.errors import NotAReceiptPartner, TransferError, Truncated
from twisted_transfer.receipts.conversation import Conversation, Event
from twisted_transfer.receipts.messages import (
    Failed,
    FailureKind,
    Finished,
    Hello,
    Message,
    Role,
)

_T = TypeVar("_T")

GREETING_TIMEOUT = 10.0
"""Seconds in which the partner has to say Hello, for which it waits for nothing."""

LINGER = 5.0
"""Seconds for which the side that has said its last word lets the other one read
it, and close."""


@implementer(IHalfCloseableProtocol)
class Talk(Protocol):
    """
    One conversation.

    What has come and was not asked for waits, and the partner with it.

    :ivar clock: measures the time.
    """

    def __init__(self, clock: IReactorTime, channel: TransferChannel, role: Role):
        """
        :param clock: measures the time.
        :param channel: carries the bytes, without an encoding.
        :param role: what this side does with the data.
        """
        self.clock = clock
        self._channel = channel
        self._conversation = Conversation(role)
        self._events: deque[Event] = deque()
        self._waiting: Deferred[None] | None = None
        self._alarm: Callable[[], object] | None = None
        self._error: TransferError | None = None
        self._over: Deferred[None] = Deferred()  # nothing more comes
        self._paused = False
        self._dropping = False  # nobody listens any more

    # Both sides' beginning.

    async def begin(self) -> None:
        """
        Say Hello, and hear it.

        :raises TransferError: ``NotAReceiptPartner``, if the partner says something
            else, or nothing in time; or for whatever else it does.
        """
        self._channel.write(self._conversation.begin())
        self._channel.start(self)

        def silent(result: object, seconds: float) -> None:
            raise NotAReceiptPartner(
                f"the partner has said nothing for {seconds:g} seconds, so it does "
                "not use receipts; if it is the right one, give --raw, or let it "
                "use receipts too"
            )

        await Deferred.fromCoroutine(self.next(Hello)).addTimeout(
            GREETING_TIMEOUT, self.clock, onTimeoutCancel=silent
        )

    # What this side says.

    def say(self, message: Message) -> None:
        """
        :param message: is sent.
        :raises TransferError: if something is wrong with the partner.
        """
        self._channel.write(self._conversation.send(message))

    def write(self, payload: bytes) -> None:
        """
        :param payload: bytes of the file; at most what a frame may have.  They
            are dropped when it is over, of which a source may hear too late.
        """
        if payload and not self._dropping and self._error is None:
            header = self._conversation.dataHeader(len(payload))
            self._channel.writeSequence([header, payload])

    def breakOff(self, error: TransferError) -> None:
        """
        Let what :meth:`unless` waits for end, and fail with an error.

        :param error: why this side cannot go on.
        """
        self._heard([error])

    @property
    def consumer(self) -> TransferChannel:
        """Where a producer of what is written has to register."""
        return self._channel

    # What the partner says.

    async def next(self, *kinds: type[Event]) -> Event:
        """
        Wait for what the partner says next.

        :param kinds: what may come now; the conversation sees to it that
            nothing else does.
        :returns: it.
        :raises TransferError: what has gone wrong.
        """
        while not self._events:
            self._pause(False)
            self._waiting = Deferred()
            try:
                await self._waiting
            finally:
                self._waiting = None
        event = self._events[0]
        if isinstance(event, TransferError):
            raise event
        assert isinstance(event, kinds), event
        self._events.popleft()
        # Also while nobody asks, it is good to hear that the partner fails.
        self._pause(bool(self._events))
        return event

    async def unless(self, doing: Deferred[_T]) -> _T:
        """
        Wait for something of this side's, unless the partner breaks off, or
        :meth:`breakOff` is called.

        :param doing: what is waited for; it is cancelled if the partner does.
        :returns: what comes of it.
        :raises TransferError: what has gone wrong with the partner.
        """
        self._alarm = doing.cancel
        try:
            if self._error is not None:
                doing.cancel()
            return await doing
        except Exception as error:
            # Whatever a producer says of a connection that has gone, the
            # partner's own words about it are better.
            if self._error is not None:
                raise self._error from error
            raise
        finally:
            self._alarm = None

    def dataReceived(self, data: bytes) -> None:
        """The partner says something."""
        self._heard(self._conversation.receive(data))

    def readConnectionLost(self) -> None:
        """The partner says no more, in order."""
        try:
            self._conversation.ended()
        except TransferError as error:
            self._heard([error])
        self._end()

    def writeConnectionLost(self) -> None:
        """Nobody asks for that."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; the channel knows how it went."""
        self._channel.whenClosed().addCallbacks(
            lambda ignored: self.readConnectionLost(), self._broken
        )

    def _broken(self, failure: Failure) -> None:
        error = failure.value
        if self._error is None and not self._conversation.finished:
            assert isinstance(error, TransferError)
            if self._conversation.version is None:
                # It may be a raw partner, which has understood this side's
                # Hello for what it is.
                silent = Truncated(
                    "the partner broke the connection off before it said Hello; if "
                    "it gives --raw, give it here too, or let it leave that out"
                )
                silent.__cause__ = error
                error = silent
            self._heard([error])
        self._end()

    def _end(self) -> None:
        if not self._over.called:
            self._over.callback(None)

    def _heard(self, events: list[Event]) -> None:
        if self._dropping:
            return
        for event in events:
            if self._error is None:
                self._events.append(event)
                if isinstance(event, TransferError):
                    self._error = event
        if self._events and self._waiting is not None:
            self._waiting.callback(None)
        if self._error is not None and self._alarm is not None:
            self._alarm()
        # An error waits for nobody, and what comes behind it is dropped.
        self._pause(bool(self._events) and self._error is None)

    def _pause(self, pause: bool) -> None:
        if pause != self._paused and not self._over.called:
            self._paused = pause
            if pause:
                self._channel.pauseProducing()
            else:
                self._channel.resumeProducing()

    # Both sides' end.

    async def end(self) -> None:
        """
        Everything is stored: say Finished, and close.

        It takes a bounded time, of which the rest is saved when it is cancelled;
        how it goes does not count any more.
        """
        with suppress(TransferError):
            self.say(Finished())
            if self._conversation.role is Role.SENDS:
                with suppress(CancelledError, TimeoutError):
                    await Deferred.fromCoroutine(self.next(Finished)).addTimeout(
                        LINGER, self.clock
                    )
        self._drop()
        if self._conversation.role is Role.RECEIVES:
            # The sender hears the last word, and so is the one who closes.
            await self._linger()
        await self._leave()

    async def giveUp(self, kind: FailureKind, reason: object) -> None:
        """
        Tell the partner why it is over, if it can still be told, and close.

        :param kind: what has happened.
        :param reason: in words, without anything that is none of the partner's
            business.
        """
        self._drop()
        # Who has not said Hello may be anybody.
        if self._conversation.mayFail and self._conversation.version is not None:
            self.say(Failed.because(kind, reason))
            # To close while something is unread would be a reset, which can
            # destroy what is on its way to the partner (RFC 1122, section
            # 4.2.2.13); so the partner closes, who has that much time.
            await self._linger()
        await self._leave()

    def _drop(self) -> None:
        """Nobody asks for what the partner says any more."""
        self._events.clear()
        self._alarm = None
        self._dropping = True
        self._pause(False)

    async def _linger(self) -> None:
        """Let the partner close; who cancels this has no time for that."""
        try:
            await atMost(self.clock, LINGER, self._over)
        except CancelledError:
            self._channel.abortConnection()

    async def _leave(self) -> None:
        """Close in order, but not for longer than that takes."""
        self._channel.loseConnection()
        with suppress(CancelledError):
            await atMost(self.clock, LINGER, gone(self._channel))
        self._channel.abortConnection()
        await gone(self._channel)
