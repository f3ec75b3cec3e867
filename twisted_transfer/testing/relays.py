"""
Transit relays, an honest one and hostile ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from twisted_transfer.interfaces import StreamProtocol
from twisted_transfer.testing.memory import MemoryTransport

_REQUEST = re.compile(rb"please relay (\w{64}) for side (\w{16})")

_OPERATOR = IPv4Address("TCP", "192.0.2.3", 4001)


class Caller(LineReceiver):
    """
    One connection to a relay.

    :ivar token: the token that it gave; empty before that.
    :ivar side: the side that it gave.
    :ivar other: gets what it sends, once it has met somebody.
    """

    delimiter = b"\n"
    MAX_LENGTH = 1024
    factory: Relay

    def __init__(self) -> None:
        self.token = self.side = b""
        self.other: Any = None

    def lineReceived(self, line: bytes) -> None:
        """Take the request."""
        found = _REQUEST.fullmatch(line)
        if found is None:
            self.refuse(b"bad handshake\n")
            return
        self.token, self.side = found.groups()
        self.setRawMode()  # type: ignore[no-untyped-call]
        self.factory.arrived(self)

    def rawDataReceived(self, data: bytes) -> None:
        """Take what it sends to whom it has met."""
        if self.other is None:
            self.refuse(b"impatient\n")
        else:
            self.factory.forward(self, data)

    def refuse(self, answer: bytes) -> None:
        """
        End the connection.

        :param answer: what the caller is told.
        """
        self.send(answer)
        self.hangUp()

    def send(self, data: bytes) -> None:
        """
        :param data: is sent to the caller.
        """
        self.transport.write(data)  # type: ignore[union-attr]

    def hangUp(self) -> None:
        """End the connection when all that was sent has gone."""
        self.transport.loseConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget it, and end the connection of whom it has met."""
        self.factory.left(self)
        other, self.other = self.other, None
        if other is not None:
            other.hangUp()


class Relay(Factory):
    """
    A transit relay that does what magic-wormhole's does.

    It is a server's factory: have a port listen with it, or a
    :class:`~twisted_transfer.testing.MemoryListener`.

    :ivar waiting: the connections that have met nobody.
    :ivar meetings: how many times two have met.
    """

    noisy = False

    def __init__(self, clock: Any) -> None:
        """
        :param clock: measures the time: a ``Clock``, or a reactor.
        """
        self.clock = clock
        self.waiting: list[Caller] = []
        self.meetings = 0

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Take a caller in."""
        caller = Caller()
        caller.factory = self
        return caller

    def arrived(self, caller: Caller) -> None:
        """
        Have a caller meet one who waits, or wait.

        :param caller: has given its token and its side.
        """
        for other in self.waiting:
            if self.suits(caller, other):
                self.waiting.remove(other)
                self.join(caller, other)
                return
        self.waiting.append(caller)

    def suits(self, caller: Caller, other: Caller) -> bool:
        """
        :param caller: has arrived.
        :param other: waits.
        :returns: whether the two are to meet.
        """
        return caller.token == other.token and caller.side != other.side

    def join(self, caller: Caller, other: Caller) -> None:
        """
        Have two meet.

        :param caller: one of them.
        :param other: the other one.
        """
        self.meetings += 1
        for each, another in (caller, other), (other, caller):
            each.other = another
            each.send(b"ok\n")
            another.transport.registerProducer(each.transport, True)  # type: ignore[union-attr]

    def forward(self, caller: Caller, data: bytes) -> None:
        """
        Send on what a caller has sent.

        :param caller: has met somebody.
        :param data: what it has sent.
        """
        caller.other.send(data)

    def left(self, caller: Caller) -> None:
        """
        Forget a caller.

        :param caller: its connection has ended.
        """
        if caller in self.waiting:
            self.waiting.remove(caller)


class SwappingRelay(Relay):
    """Lets those meet who have different tokens: each gets another one's partner."""

    def suits(self, caller: Caller, other: Caller) -> bool:
        """:returns: whether they have different tokens and sides."""
        return caller.token != other.token and caller.side != other.side


class ReplayingRelay(Relay):
    """
    Lets two meet once, and sends what each of them said to all who come later.

    :ivar recorded: what was said in the first meeting, by side.
    """

    def __init__(self, clock: Any) -> None:
        """
        :param clock: measures the time.
        """
        super().__init__(clock)
        self.recorded: dict[bytes, list[bytes]] = {}

    def arrived(self, caller: Caller) -> None:
        """Tell a caller at once what its partner said to another one."""
        if not self.meetings:
            super().arrived(caller)
            return
        caller.other = _Deaf()
        caller.send(b"ok\n")
        for side, pieces in self.recorded.items():
            if side != caller.side:
                caller.send(b"".join(pieces))

    def forward(self, caller: Caller, data: bytes) -> None:
        """Keep what is said in the first meeting."""
        if not isinstance(caller.other, _Deaf):
            self.recorded.setdefault(caller.side, []).append(data)
        super().forward(caller, data)


class _Deaf:
    """Stands for somebody who hears nothing."""

    def send(self, data: bytes) -> None:
        """Drop it."""

    def hangUp(self) -> None:
        """Do nothing: there is no connection."""


class _Operator(Protocol):
    """The relay's end of a connection to a stranger that it makes."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def send(self, data: bytes) -> None:
        """Send it to the stranger."""
        self.transport.write(data)  # type: ignore[union-attr]

    def hangUp(self) -> None:
        """End the connection to the stranger."""
        self.transport.loseConnection()  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Send it to the caller."""
        self._caller.send(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the connection of the caller."""
        self._caller.hangUp()


class JoiningRelay(Relay):
    """
    Lets nobody meet anybody: each one meets a stranger, whom the relay makes.

    :ivar strangers: all of them.
    """

    def __init__(self, clock: Any, stranger: Callable[[IAddress], Any]) -> None:
        """
        :param clock: measures the time, and moves the strangers' bytes.
        :param stranger: makes a protocol for each one who comes, such as a hostile
            peer, of the caller's address.
        """
        super().__init__(clock)
        self._stranger = stranger
        self.strangers: list[StreamProtocol] = []

    def arrived(self, caller: Caller) -> None:
        """Have a caller meet a stranger."""
        self.meetings += 1
        peer: Any = caller.transport.getPeer()  # type: ignore[union-attr]
        near, far = MemoryTransport.pair(self.clock, _OPERATOR, peer)
        caller.other = _Operator(caller)
        caller.send(b"ok\n")
        near.attach(caller.other)
        stranger = self._stranger(peer)
        self.strangers.append(stranger)
        far.attach(stranger)


class DroppingRelay(Relay):
    """Ends each meeting when so many bytes have passed."""

    def __init__(self, clock: Any, after: int) -> None:
        """
        :param clock: measures the time.
        :param after: how many bytes of each caller are sent on.
        """
        super().__init__(clock)
        self._after = after
        self._passed: dict[Caller, int] = {}

    def forward(self, caller: Caller, data: bytes) -> None:
        """Send it on, up to the end."""
        passed = self._passed.get(caller, 0)
        self._passed[caller] = passed + len(data)
        super().forward(caller, data[: max(0, self._after - passed)])
        if self._passed[caller] > self._after:
            caller.hangUp()

    def left(self, caller: Caller) -> None:
        """Forget how much it has sent."""
        super().left(caller)
        self._passed.pop(caller, None)


class DelayingRelay(Relay):
    """Sends everything on late."""

    def __init__(self, clock: Any, seconds: float) -> None:
        """
        :param clock: measures the time.
        :param seconds: how late.
        """
        super().__init__(clock)
        self._seconds = seconds

    def forward(self, caller: Caller, data: bytes) -> None:
        """Send it on when the time has come."""
        self.clock.callLater(self._seconds, self._late, caller, data)

    def _late(self, caller: Caller, data: bytes) -> None:
        if caller.other is not None:
            super().forward(caller, data)
