"""
Transfers with receipts in memory: both sides, or one side and a partner that a test
controls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.connecting.connector import TransferConnector
from twisted_transfer.data.progress import Progress
from twisted_transfer.errors import TransferError
from twisted_transfer.receipts.conversation import Conversation, Event
from twisted_transfer.receipts.messages import Message, Role
from twisted_transfer.receipts.receipt import Receipt
from twisted_transfer.testing.memory import memoryPair, settle


class ThreadedClock(Clock):
    """
    A clock that stands for a reactor with threads: what they have to do is done
    one after the other, as the clock goes on.

    :ivar takes: how many seconds each piece of work takes.
    """

    takes = 0.0

    def getThreadPool(self) -> Any:
        return self

    def callInThread(self, work: Callable[..., object], *args: Any) -> None:
        self.callLater(self.takes, work, *args)

    def callInThreadWithCallback(
        self, onResult: Callable[..., object], work: Callable[..., object], *args: Any
    ) -> None:
        def run() -> None:
            try:
                result = work(*args)
            except Exception:
                onResult(False, Failure())
            else:
                onResult(True, result)

        self.callLater(self.takes, run)

    def callFromThread(self, call: Callable[..., object], *args: Any) -> None:
        call(*args)


@implementer(IHalfCloseableProtocol)
class Partner(Protocol):
    """
    The other side of a conversation, whose messages the test chooses.

    :ivar heard: what this side's partner has said, in order.
    :ivar raw: the messages as bytes.
    :ivar ended: whether it says no more.
    :ivar reason: how the connection went, once it is gone.
    """

    def __init__(
        self, channel: TransferChannel, role: Role, closes: bool = True
    ) -> None:
        """
        :param channel: its end of the connection.
        :param role: what it does with the data.
        :param closes: whether it closes when the other says no more.
        """
        self.heard: list[Event] = []
        self.raw = bytearray()
        self.ended = False
        self.reason: Failure | None = None
        self.channel = channel
        self.conversation = Conversation(role)
        self._closes = closes
        channel.start(self)

    @property
    def last(self) -> Event:
        """What was heard last."""
        return self.heard[-1]

    def begin(self) -> None:
        """Say Hello."""
        self.channel.write(self.conversation.begin())

    def say(self, *messages: Message) -> None:
        """Send a message that is valid now."""
        for message in messages:
            self.channel.write(self.conversation.send(message))

    def data(self, payload: bytes) -> None:
        """Send some of the file."""
        self.channel.write(self.conversation.dataHeader(len(payload)) + payload)

    def dataReceived(self, data: bytes) -> None:
        self.raw += data
        self.heard += self.conversation.receive(data)

    def readConnectionLost(self) -> None:
        self.ended = True
        try:
            self.conversation.ended()
        except TransferError as error:
            if error not in self.heard:
                self.heard.append(error)
        if self._closes:
            self.channel.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason


class KeepingWatch:
    """
    Records all calls.

    :ivar events: what happened, in order.
    """

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def connecting(self, connector: TransferConnector) -> None:
        self.events.append(("connecting",))

    def connected(self, channel: TransferChannel) -> None:
        self.events.append(("connected",))

    def checks(self, name: str | None, size: int) -> Progress:
        def checked(count: int, total: int | None, rate: float) -> None:
            self.events.append(("checked", name, count, total))

        return checked

    def begins(self, name: str | None, size: int | None, offset: int) -> Progress:
        self.events.append(("begins", name, size, offset))

        def progress(count: int, total: int | None, rate: float) -> None:
            self.events.append(("progress", count, total))

        return progress

    def ends(self, receipt: Receipt) -> None:
        self.events.append(("ends", receipt))

    def counts(self) -> list[int]:
        """:returns: the numbers of bytes that were told, in order."""
        return [event[1] for event in self.events if event[0] == "progress"]

    def totals(self) -> set[int | None]:
        """:returns: how many bytes it was said that there would be."""
        return {event[2] for event in self.events if event[0] == "progress"}


def runFor(clock: Clock, seconds: float) -> None:
    """Advance the clock, and run all calls when they are due."""
    settle(clock)
    end = clock.seconds() + seconds
    while clock.calls and clock.calls[0].getTime() <= end:
        clock.advance(max(clock.calls[0].getTime() - clock.seconds(), 0))
        settle(clock)
    clock.advance(end - clock.seconds())
    settle(clock)


class TalkTestCase(SynchronousTestCase):
    """Two channels in memory, between which a conversation goes on."""

    def setUp(self) -> None:
        self.clock: Any = ThreadedClock()
        self.ours, self.theirs = memoryPair(self.clock)

    def settle(self) -> None:
        """Run all calls that are due now."""
        settle(self.clock, 100_000)

    def pass_(self, seconds: float) -> None:
        """Advance the clock."""
        runFor(self.clock, seconds)

    def assertGone(self, *channels: TransferChannel) -> None:
        """Check that the connection is gone, and that no call is left."""
        self.settle()
        for channel in channels or (self.ours,):
            closed = channel.whenClosed()
            self.assertTrue(closed.called, "the connection is still there")
            closed.addErrback(lambda failure: failure.trap(TransferError))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def timeOf(self, event: Deferred[Any], most: float) -> float:
        """
        :param event: what is waited for.
        :param most: how many seconds it may take.
        :returns: after how many seconds of the clock it happens.
        """
        return secondsUntil(self.clock, event, most)


def secondsUntil(clock: Clock, event: Deferred[Any], most: float) -> float:
    """
    :param clock: goes on until then.
    :param event: what is waited for.
    :param most: how many seconds it may take.
    :returns: after how many seconds of the clock it happens.
    """
    begun = clock.seconds()
    settle(clock, 100_000)
    while not event.called or event.paused:
        calls = clock.getDelayedCalls()
        assert calls, "it waits for nothing that will happen"
        clock.advance(max(min(c.getTime() for c in calls) - clock.seconds(), 0))
        settle(clock, 100_000)
        assert clock.seconds() - begun <= most, "it takes too long"
    return clock.seconds() - begun
