"""
A forwarder between two partners, over real sockets, that cuts their connection.
"""

from __future__ import annotations

import fcntl
import socket
import sys
import termios
from collections.abc import Callable
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

_HOST = "127.0.0.1"
# What waits in its sockets, so that little is on its way.
_QUEUE = 65536

# TLS 1.3 (RFC 8446, section 5): the header of a record, its type, and how many
# bytes follow in one that has an alert: itself, its type, and a tag.
_HEADER, _CLOSE_NOTIFY = 5, b"\x17\x03\x03\x00\x13"


class Where(TypingProtocol):
    """Decides where the cut is."""

    def look(self, data: bytes) -> int | None:
        """
        :param data: the next bytes.
        :returns: how many of them still pass before the cut; None: all of them,
            and it is not here yet.
        """


class After:
    """A cut after a number of bytes."""

    def __init__(self, count: int) -> None:
        """
        :param count: how many, from 1 on.
        """
        self._left = count

    def look(self, data: bytes) -> int | None:
        if len(data) >= self._left:
            return self._left
        self._left -= len(data)
        return None


class WithinCloseNotify:
    """A cut in the record of TLS 1.3 that has one side's close_notify."""

    def __init__(self, count: int, after: int) -> None:
        """
        :param count: how many bytes of that record pass, from 0 on.
        :param after: how many bytes come before it at least; for other alerts,
            and messages of so few bytes, look the same.
        """
        self._count = count
        self._after = after
        self._seen = 0
        self._header = b""
        self._left = 0  # of the present record

    def look(self, data: bytes) -> int | None:
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
            else:
                step = 1
                self._header += data[at : at + 1]
            at += step
            self._seen += step
            if len(self._header) == _HEADER and not self._left:
                header, self._header = self._header, b""
                self._left = int.from_bytes(header[3:], "big")
                if header == _CLOSE_NOTIFY and self._seen > self._after:
                    # Some of the header may have passed already.
                    return max(0, at - _HEADER + self._count)
        return None


@implementer(IHalfCloseableProtocol)
class _End(Protocol):
    """
    One of the two connections of a cutter.

    :ivar passed: how many of the bytes received here were forwarded.
    :ivar over: fires when it is gone.
    """

    transport: Any
    other: _End

    def __init__(self, cutter: Cutter) -> None:
        self._cutter = cutter
        self.passed = 0
        self.over: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """Pause until the other connection is there."""
        self.transport.pauseProducing()
        raw = self.transport.getHandle()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            raw.setsockopt(socket.SOL_SOCKET, option, _QUEUE)

    def join(self, other: _End) -> None:
        """Forward to another one, with back-pressure."""
        self.other = other
        other.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        """Pass it on, up to the cut."""
        self._cutter.passOn(self, data)

    def send(self, data: bytes) -> None:
        """Pass this on to the other one."""
        self.passed += len(data)
        self.other.transport.write(data)

    def readConnectionLost(self) -> None:
        """Forward the end of the input."""
        if not self._cutter.isCut:
            self.other.transport.unregisterProducer()
            self.other.transport.loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """That was passed on."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forward the end of the connection."""
        if not self._cutter.isCut and not reason.check(ConnectionDone):
            self.other.transport.abortConnection()
        self.over.callback(None)


class _Door(Factory):
    """Accepts one connection."""

    noisy = False

    def __init__(self, cutter: Cutter) -> None:
        self._cutter = cutter

    def buildProtocol(self, addr: IAddress | None) -> _End:
        return self._cutter.accept()


@implementer(IPullProducer)
class _WhenSent:
    """Is resumed when everything was handed to the system."""

    def __init__(self, transport: Any, then: Callable[[], None]) -> None:
        self._then = then
        self._asked = False
        self._transport = transport
        transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        # The first time is for being registered.
        if self._asked:
            self._transport.unregisterProducer()
            self._then()
        self._asked = True

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._then()


class Cutter:
    """
    Accepts one connection, dials the target, and forwards data up to the cut.

    :ivar port: where it listens, on 127.0.0.1.
    :ivar isCut: whether the cut was made.
    """

    def __init__(
        self,
        case: Any,
        reactor: Any,
        port: int,
        *,
        kind: str = "reset",
        ofDialler: bool = True,
        where: Where | None = None,
    ) -> None:
        """
        :param case: a test case; at its end nothing of this is left.
        :param reactor: a real one.
        :param port: where to dial.
        :param kind: ``reset``: both get a reset, once they can read what has
            passed.  ``end``: the end of TCP (FIN) stands behind what has
            passed, for both; what they still send is read and dropped.
        :param ofDialler: whose bytes are looked at.
        :param where: where among them the cut is made; None: nowhere.
        """
        self.isCut = False
        self._reactor = reactor
        self._target = port
        self._kind = kind
        self._ofDialler = ofDialler
        self._where = where
        self._ends: list[_End] = []
        self._listening = reactor.listenTCP(0, _Door(self), interface=_HOST)
        self._connecting: Deferred[Any] | None = None
        self.port: int = self._listening.getHost().port
        case.addCleanup(self.close)

    def passed(self, ofDialler: bool) -> int:
        """
        :param ofDialler: whose bytes.
        :returns: how many of them were passed on.
        """
        return self._ends[0 if ofDialler else 1].passed if self._ends else 0

    def accept(self) -> _End:
        """:returns: the protocol of the one connection that this takes."""
        self._listening.stopListening()
        dialler, waiter = _End(self), _End(self)
        self._ends = [dialler, waiter]

        def go(ignored: object) -> None:
            dialler.join(waiter)
            waiter.join(dialler)
            dialler.transport.resumeProducing()
            waiter.transport.resumeProducing()

        def refused(ignored: object) -> None:
            dialler.transport.abortConnection()
            waiter.over.callback(None)

        endpoint = TCP4ClientEndpoint(self._reactor, _HOST, self._target)
        self._connecting = connectProtocol(endpoint, waiter).addCallbacks(go, refused)
        return dialler

    def passOn(self, end: _End, data: bytes) -> None:
        """Some bytes have come to an end of this."""
        if self.isCut:
            return
        most: int | None = None
        if end is self._ends[0 if self._ofDialler else 1] and self._where is not None:
            most = self._where.look(data)
        end.send(data[:most])
        if most is not None:
            self._cut(end)

    def _cut(self, end: _End) -> None:
        self.isCut = True
        for each in self._ends:
            each.transport.unregisterProducer()
            if self._kind == "reset":
                each.transport.pauseProducing()
            else:
                each.transport.resumeProducing()
        if self._kind == "reset":
            transport = end.other.transport
            _WhenSent(transport, lambda: self._whenArrived(transport))
        else:
            for each in self._ends:
                each.transport.loseWriteConnection()

    def _whenArrived(self, transport: Any) -> None:
        """Reset once nothing is left in the system that a reset would destroy."""
        if transport.connected:
            left = fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, bytes(4))
            if int.from_bytes(left, sys.byteorder):
                # Only by asking again is it known when the other side has taken it.
                self._reactor.callLater(0.001, self._whenArrived, transport)
                return
        self._reset()

    def _reset(self) -> None:
        for each in self._ends:
            if each.transport is not None:
                each.transport.abortConnection()

    def close(self) -> Deferred[None]:
        """
        End whatever there still is.

        :returns: a Deferred that fires when all connections are gone.
        """
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        await maybeDeferred(self._listening.stopListening)
        if self._connecting is not None:
            await self._connecting
        self._reset()
        await self.gone()

    async def gone(self) -> None:
        """Wait until both connections are gone."""
        await DeferredList([end.over for end in self._ends])
