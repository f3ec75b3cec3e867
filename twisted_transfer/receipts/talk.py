"""
A conversation with receipts on a channel: messages out, messages in.

This is what :mod:`twisted_transfer.receipts.sending` and
:mod:`twisted_transfer.receipts.receiving` have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredQueue, TimeoutError
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.data.progress import Meter
from twisted_transfer.data.receiving import Storing, gone
from twisted_transfer.deferreds import Promise, atMost, deferring
from twisted_transfer.errors import (
    NotAReceiptPartner,
    PartnerStalled,
    TransferError,
    Truncated,
)
from twisted_transfer.interfaces import Destination
from twisted_transfer.receipts import messages
from twisted_transfer.receipts.conversation import Conversation, Event
from twisted_transfer.receipts.frames import Data
from twisted_transfer.receipts.messages import BadMessage
from twisted_transfer.receipts.receipt import Receipt, Watch

if TYPE_CHECKING:
    from twisted_transfer.data.pacing import Pace

_T = TypeVar("_T")
_E = TypeVar("_E", bound=Event)

ANSWER_TIMEOUT = 60.0
"""Seconds for the partner's next message, where it waits for nobody: before the data
of each file.  They begin anew when it says Working."""

WORKING = 1.0
"""Seconds between two messages by which the partner knows that this side is busy."""

_FRAME = 4 * 1024 * 1024
"""The most bytes in a frame that is sent: whoever gives up in the middle of one has to
fill the rest before it can say so."""

_WORTH = 64 * 1024
"""How many bytes of a frame have to be left to have the kernel store them."""

GREETING_TIMEOUT = 10.0
"""Seconds in which the partner has to say Hello; it waits for nothing before that."""

LINGER = 5.0
"""Seconds that the other side has to read the last word and close, and again that
the connection has to end."""


class _State(Enum):
    """Where a talk stands."""

    TALKING = "what the partner says is kept until next() is called"
    FAILED = "an error has come; what comes behind it is dropped"
    LEAVING = "the connection is being closed; what comes is dropped"


def whole(talk: Talk, watch: Watch, small: messages.Small, delivered: bool) -> Receipt:
    """
    Make the receipt for a small file, and tell a watch, which has not heard of it.

    :param talk: what has moved it.
    :param watch: is told.
    :param small: the file.
    :param delivered: see :class:`~twisted_transfer.receipts.receipt.Receipt`.
    :returns: the receipt.
    """
    size = small.size or 0
    progress = watch.begins(small.name, size, 0)
    Meter(talk.clock, progress, size).tell(size)
    receipt = Receipt(small.name, size, small.digest, size, delivered)
    watch.ends(receipt)
    return receipt


@implementer(IHalfCloseableProtocol)
class Talk(Protocol):
    """
    One conversation.

    What has come is kept until :meth:`next` is called, and the partner is paused.

    :ivar clock: measures the time.
    :ivar consumer: where a producer of what is written has to register.
    :ivar owed: how many bytes of a frame that this side has begun are not sent yet.
    :ivar pace: with one, data are stored no faster.
    """

    owed = 0
    pace: Pace | None = None

    def __init__(
        self, clock: IReactorTime, channel: TransferChannel, role: messages.Role
    ):
        """
        :param clock: measures the time.
        :param channel: carries the bytes, without an encoding.
        :param role: what this side does with the data.
        """
        self.clock = clock
        self.consumer = channel
        self._channel = channel
        self._conversation = Conversation(role)
        self._state = _State.TALKING
        self._events: DeferredQueue[Event] = DeferredQueue()
        self._error: TransferError | None = None  # once it has failed
        self._alarm: Callable[[], object] | None = None  # called at an error
        self._over: Promise[None] = Promise()  # nothing more comes
        self._paused = False
        self._limit: IDelayedCall | None = None  # of the wait for an answer
        self._storing: Storing | None = None  # takes the data

    # Both sides' beginning.

    async def begin(self) -> None:
        """
        Say Hello, and wait for the partner's.

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

        await self.next(messages.Hello).addTimeout(GREETING_TIMEOUT, self.clock, silent)

    # What this side says.

    def say(self, message: messages.Message) -> None:
        """
        Send a message.

        :param message: any but Hello.
        :raises TransferError: if something is wrong with the partner.
        """
        self._channel.write(self._conversation.send(message))

    def write(self, payload: bytes, follow: int = 0) -> None:
        """
        Send some bytes of the file, in frames.

        :param payload: the bytes.  They are dropped after an error, since a source may
            be told of that too late.
        :param follow: how many more are known to follow.
        """
        while payload and self._state is _State.TALKING:
            if not self.owed:
                self.frame(len(payload) + follow)
            piece, payload = payload[: self.owed], payload[self.owed :]
            self.owed -= len(piece)
            self._channel.write(piece)

    def frame(self, length: int) -> int:
        """
        Begin a frame of data.

        :param length: how many bytes there are.
        :returns: how many of them the frame has, which are :attr:`owed` now.
        """
        self.owed = min(length, _FRAME)
        self._channel.write(self._conversation.dataHeader(self.owed))
        return self.owed

    def breakOff(self, error: TransferError) -> None:
        """
        Let what :meth:`unless` waits for end, and fail with an error.

        :param error: why this side cannot go on.
        """
        self._heard([error])

    # What the partner says.

    async def answer(self, *kinds: type[_E]) -> _E:
        """
        Wait for what a partner says that has nothing to wait for.

        :param kinds: as for :meth:`next`.
        :returns: what it says.
        :raises PartnerStalled: if it says nothing in time.
        :raises TransferError: as :meth:`next`.
        """
        answer = self.next(*kinds)
        self._limit = limit = self.clock.callLater(ANSWER_TIMEOUT, answer.cancel)
        try:
            return await answer
        except CancelledError:
            if limit.active():
                raise
            raise PartnerStalled(
                f"the partner has said nothing for {ANSWER_TIMEOUT:g} seconds, when it "
                "had to answer at once; see what it waits for, and try again"
            ) from None
        finally:
            self._limit = None
            if limit.active():
                limit.cancel()

    @deferring
    async def next(self, *kinds: type[_E]) -> _E:
        """
        Wait for what the partner says next.

        :param kinds: what may come now; the conversation refuses everything
            else.
        :returns: a Deferred with what the partner says, which may be cancelled.
        :raises TransferError: what has gone wrong, now and at any later call.
        """
        if not self._events.pending:
            self._pause(False)
        event = await self._events.get()
        if isinstance(event, TransferError):
            self._events.put(event)
            raise event
        assert isinstance(event, kinds), event
        # A failure of the partner is noticed also while next() is not called.
        self._regulate()
        return event

    async def store(
        self, destination: Destination, tell: Callable[[int], object]
    ) -> messages.End:
        """
        Store what the sender has, up to its End.

        :param destination: gets the data.
        :param tell: called after each piece.
        :returns: the End.
        :raises DestinationError: if the destination does not take the data.
        :raises TransferError: what has gone wrong with the partner.
        """
        self._storing = Storing(self.paced(destination), tell, self._regulate)
        try:
            # What has come behind Begin.
            events, self._events.pending = self._events.pending, []
            self._handOn(events)
            self._regulate()
            await self.unless(self._storing.done)
        finally:
            self._storing.stop()
            self._storing = None
        return await self.next(messages.End)

    def paced(self, destination: Destination) -> Destination:
        """
        :param destination: where data go.
        :returns: what stores them there at this side's pace, if it has one.
        """
        return destination if self.pace is None else self.pace.destination(destination)

    def _byKernel(self) -> None:
        """Have the kernel store the rest of a frame, if it can."""
        left = self._conversation.dataLeft
        if self._storing is not None and left > _WORTH and not self._paused:
            self._storing.byKernel(self._channel, self._conversation.skip, left)

    async def unless(self, doing: Deferred[_T]) -> _T:
        """
        Wait for something local, and fail as soon as the partner breaks off, or
        :meth:`breakOff` is called.

        :param doing: what is waited for; it is cancelled then.
        :returns: its result.
        :raises TransferError: what has gone wrong with the partner.
        """
        self._alarm = doing.cancel
        try:
            if self._error is not None:
                doing.cancel()
            return await doing
        except Exception as error:
            if self._error is not None:
                # The partner's own words are better than those of a producer
                # that has lost its connection.
                raise self._error from error
            raise
        finally:
            self._alarm = None

    @deferring
    async def working(
        self, doing: Deferred[_T], tell: Callable[[], object] = lambda: None
    ) -> _T:
        """
        Wait for something local for which the partner waits as well, and let it know
        from time to time that this side works.

        :param doing: what is waited for.
        :param tell: called each time.
        :returns: a Deferred with its result, which may be cancelled.
        """

        def tick() -> None:
            tell()
            # What is wrong with the partner is told by the next wait for it.
            with suppress(TransferError, BadMessage):
                self.say(messages.Working())

        loop = LoopingCall(tick)
        loop.clock = self.clock
        loop.start(WORKING, now=False)
        try:
            return await doing
        finally:
            loop.stop()

    def dataReceived(self, data: bytes) -> None:
        """Take what the partner says."""
        self._heard(self._conversation.receive(data))
        self._byKernel()

    def readConnectionLost(self) -> None:
        """Note that the partner has closed its end in order."""
        try:
            self._conversation.ended()
        except TransferError as error:
            self._heard([error])
        self._over.fire(None)

    def writeConnectionLost(self) -> None:
        """Do nothing: the end of the connection tells more."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Find out from the channel how the connection has ended."""
        self._channel.whenClosed().addCallbacks(
            lambda ignored: self.readConnectionLost(), self._broken
        )

    def _broken(self, failure: Failure) -> None:
        error: Any = failure.value
        if not self._conversation.finished:
            stalled = isinstance(error, PartnerStalled)
            if self._conversation.version is None and not stalled:
                # A raw partner takes this side's Hello for a file.
                error = Truncated(
                    "the partner broke the connection off before it said Hello: it "
                    "may have refused this side, as one without a certificate that "
                    "it asks for, or one side gives --raw and the other does not; "
                    "find out there why"
                )
                error.__cause__ = failure.value
            self._heard([error])
        self._over.fire(None)

    def _heard(self, events: list[Event]) -> None:
        if self._state is not _State.TALKING:
            return
        if events and isinstance(events[-1], TransferError):
            self._state, self._error = _State.FAILED, events[-1]
        self._handOn(events)
        if self._error is not None and self._alarm is not None:
            self._alarm()
        self._regulate()

    def _handOn(self, events: list[Event]) -> None:
        """Let what stores the data have them, and next() everything else."""
        for event in events:
            if isinstance(event, messages.Working):
                if self._limit is not None:
                    self._limit.reset(ANSWER_TIMEOUT)
                continue
            # An event may be what makes it wait for data.
            storing = self._storing
            if storing is not None and isinstance(event, Data):
                storing.write(event.payload)
                continue
            self._events.put(event)
            if storing is not None:
                storing.end()

    def _regulate(self, busy: bool = False) -> None:
        """Have the partner wait while something is to be taken before what it sends."""
        # A failure of the partner is noticed while the destination is busy.
        full = self._storing is not None and self._storing.full
        waits = full or bool(self._events.pending)
        # What comes behind an error is dropped, so it is not held back.
        self._pause(waits and self._state is _State.TALKING)

    def _pause(self, pause: bool) -> None:
        if pause != self._paused and not self._over.fired:
            self._paused = pause
            if pause:
                self._channel.pauseProducing()
            else:
                self._channel.resumeProducing()

    # Both sides' end.

    async def end(self) -> None:
        """
        Say Finished, since everything is stored, and close.

        It takes a bounded time, less if it is cancelled, and raises no error if
        the partner breaks off.
        """
        sends = self._conversation.role is messages.Role.SENDS
        with suppress(TransferError):
            self.say(messages.Finished())
            if sends:
                with suppress(CancelledError, TimeoutError):
                    await self.next(messages.Finished).addTimeout(LINGER, self.clock)
        # The sender hears the last word, and so is the one who closes.
        await self._leave(linger=not sends)

    async def giveUp(self, kind: messages.FailureKind, reason: object) -> None:
        """
        Tell the partner why it is over, if it can still be told, and close.

        :param kind: what has happened.
        :param reason: in words, without anything that is none of the partner's
            business.
        """
        # A partner that has not said Hello may be any program.
        tells = self._conversation.mayFail and self._conversation.version is not None
        if tells:
            filler, self.owed = self.owed, 0
            self._channel.write(bytes(filler))
            self.say(messages.Failed.because(kind, reason, filler or None))
        # To close while something is unread would be a reset, which can
        # destroy what is on its way to the partner (RFC 1122, section
        # 4.2.2.13); so the partner has some time to close first.
        await self._leave(linger=tells)

    async def _leave(self, linger: bool) -> None:
        """
        Drop what the partner says, and close in order, in a bounded time.

        :param linger: whether the partner may close first, unless this is
            cancelled.
        """
        self._events.pending.clear()
        self._alarm = None
        self._state = _State.LEAVING
        self._pause(False)
        if linger:
            try:
                await atMost(self.clock, LINGER, self._over.wait())
            except CancelledError:
                self._channel.abortConnection()
        self._channel.loseConnection()
        with suppress(CancelledError):
            await atMost(self.clock, LINGER, gone(self._channel))
        self._channel.abortConnection()
        await gone(self._channel)
