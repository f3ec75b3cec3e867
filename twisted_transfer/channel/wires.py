"""
The kinds of connections, which are written to and ended in different ways.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from typing import Protocol as TypingProtocol

from OpenSSL import SSL
from twisted.internet import endpoints
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProducer,
    IProtocol,
    IPullProducer,
    IReactorTime,
    ISystemHandle,
    ITransport,
    IUNIXTransport,
)
from twisted.internet.stdio import StandardIO
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer
from zope.interface.interface import InterfaceClass

from twisted_transfer.errors import HalfCloseUnsupported
from twisted_transfer.layers import bottomOf, layersUnder, takeError
from twisted_transfer.tls.policy import handshakeOf


class Wire:
    """
    A connection of no special kind: TCP, or whatever a plugin has made.

    :ivar write: sends bytes to the partner; here the transport's own method.
    :ivar producer: what is registered to write, or None.
    :ivar paused: whether the partner has to wait.
    :ivar silent: whether what still comes is to be dropped.
    :ivar outputLost: whether something was written that cannot arrive.
    :ivar unclosed: whether the partner has ended it over TLS without a
        ``close_notify``, but not by a reset.
    :ivar unanswered: whether the partner did not answer the end over TLS in time.
    :ivar complete: whether nothing is missing although the connection may be
        reported as broken.
    """

    write: Callable[[bytes], None]
    producer: IProducer | None = None
    paused = False
    silent = False
    outputLost = False
    unclosed = False
    unanswered = False
    complete = False

    def __init__(self, clock: IReactorTime, transport: Any) -> None:
        """
        :param clock: measures the time.
        :param transport: the transport of the connection.
        """
        self._clock = clock
        self._transport = transport
        self._later: IDelayedCall | None = None
        self._begin()

    def _begin(self) -> None:
        """Choose how bytes are written."""
        self.write = self._transport.write

    def pause(self) -> None:
        """Stop reading: the partner has to wait."""
        self.paused = True
        self._tell("pauseProducing")

    def resume(self) -> None:
        """Go on reading."""
        self.paused = False
        self._tell("resumeProducing")

    def _tell(self, what: str) -> None:
        # Wrappers and standard input have the methods without the interface.
        method = getattr(self._transport, what, None)
        if method is not None:
            method()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Let a producer write; see ``IConsumer``."""
        # A pull producer is asked, and may be through, before this returns.
        before, self.producer = self.producer, producer
        try:
            self._transport.registerProducer(producer, streaming)
        except BaseException:
            self.producer = before
            raise

    def unregisterProducer(self) -> None:
        """The producer writes no more; see ``IConsumer``."""
        self.producer = None
        self._transport.unregisterProducer()

    def stopProducer(self) -> None:
        """Stop a producer that is registered: there is nobody to write for."""
        producer = self.producer
        if producer is not None:
            self.unregisterProducer()
            producer.stopProducing()

    def checkHalfClose(self) -> None:
        """
        :raises HalfCloseUnsupported: if the output cannot be ended alone.
        """
        if not hasattr(self._transport, "loseWriteConnection"):
            raise HalfCloseUnsupported(
                "this kind of connection cannot end its sending side alone: "
                "use loseConnection()"
            )

    def closeWrite(self) -> None:
        """End the output alone, after what was written."""
        self._transport.loseWriteConnection()

    def close(self) -> None:
        """End the connection after what was written."""
        self._transport.loseConnection()

    @property
    def nothingToSend(self) -> bool:
        """Whether it is known that everything was handed to the system."""
        bottom = bottomOf(self._transport)
        isSocket = type(self) is Wire and ISystemHandle.providedBy(bottom)
        return isSocket and self.producer is None and not unsentOf(bottom)[0]

    def abort(self) -> None:
        """End the connection at once."""
        transport = self._transport
        getattr(transport, "abortConnection", transport.loseConnection)()

    @property
    def refusal(self) -> str | None:
        """Why this side did not accept the partner's certificate, if so."""
        return None

    def outputEnded(self) -> None:
        """Output has ended, by this side or because the partner reads no more."""

    def gone(self) -> None:
        """The connection has ended: stop every timer."""
        self.producer = None  # the transport has stopped it
        if self._later is not None and self._later.active():
            self._later.cancel()


class UNIXWire(Wire):
    """
    A UNIX socket.

    The system reports one whose partner has closed as broken as soon as it is
    polled for writing, even if nothing is to be written.
    """

    def close(self) -> None:
        """
        Close two turns of the reactor later, and read nothing more.

        By then what was written has been handed to the system, so that a broken
        connection says nothing about it.
        """
        self._transport.pauseProducing()
        self._later = self._clock.callLater(0, self._close, 1)

    def _close(self, turns: int) -> None:
        if turns:
            self._later = self._clock.callLater(0, self._close, turns - 1)
            return
        self.complete = not getattr(self._transport, "dataBuffer", b"")
        # The system's note that a partner which has closed left data unread.
        self.outputLost = takeError(self._transport) != 0 or self.outputLost
        self._transport.loseConnection()


class StandardIOWire(Wire):
    """
    Standard input and output, which are two pipes.

    Twisted's own ways to end it wait for the output pipe, for ever if that has
    ended before.
    """

    _ended = False

    def _begin(self) -> None:
        self.write = self._write

    def _write(self, data: bytes) -> None:
        """Write, or note what Twisted would drop in silence."""
        if self._ended:
            self.outputLost = True
        else:
            self._transport.write(data)

    def checkHalfClose(self) -> None:
        """
        :raises HalfCloseUnsupported: always.  Twisted stops writing, and leaves
            the pipe open until the program ends.
        """
        raise HalfCloseUnsupported(
            "standard output cannot be ended before the program ends: use "
            "loseConnection()"
        )

    def close(self) -> None:
        """End both pipes after what was written."""
        if self._ended:
            self._end(ConnectionDone())
        else:
            super().close()

    def abort(self) -> None:
        """End both pipes at once."""
        self._end(ConnectionAborted())

    def outputEnded(self) -> None:
        """The output pipe is closed: its producer has nobody to write for."""
        self._ended = True
        if self.producer is not None:
            self.outputLost = True
            self.stopProducer()

    def _end(self, reason: Exception) -> None:
        lose = self._transport.connectionLost
        self._later = self._clock.callLater(0, lose, Failure(reason))


def takePlace(listener: IProtocol) -> None:
    """
    Have the transport under a new protocol tell it everything.

    Twisted's endpoints put a protocol of their own between the two, which has done
    its work when the connection is made: the listener takes its place.  A wrapper
    stays, and passes on what it did not.

    :param listener: a protocol that was just connected.
    """
    transport: Any = listener.transport  # type: ignore[attr-defined]
    bottom: Any = bottomOf(transport)
    outer = getattr(bottom, "protocol", listener)
    if bottom is transport and type(outer).__module__ == endpoints.__name__:
        bottom.protocol = listener
    else:
        hearThrough(outer, listener, IHalfCloseableProtocol, IFileDescriptorReceiver)


def hearThrough(outer: object, listener: object, *interfaces: InterfaceClass) -> None:
    """
    Have a protocol that stands between a transport and a listener pass on what
    the interfaces tell.

    A ``ProtocolWrapper`` passes on nothing of it, and what Twisted's endpoints
    wrap around a protocol passes on what it hears only to the next one.

    :param outer: the protocol that the transport knows.
    :param listener: the one that is to hear of it.
    :param interfaces: what the listener provides.
    """
    for interface in interfaces:
        if outer is listener or interface.providedBy(outer):
            continue
        for name in interface.names():
            setattr(outer, name, getattr(listener, name))
        alsoProvides(outer, interface)


AT_ONCE = 256 * 1024
"""How many bytes of a TLS connection go through the system at once, at most."""

LARGE = 64 * 1024
"""How many bytes that were written are encrypted without waiting for more."""

CLOSE_TIMEOUT = 60.0
"""Seconds that a TLS partner has to answer when this side has closed and everything was
handed to the system; one whose reader pauses has not read all of it yet."""

TAKE_TIMEOUT = 600.0
"""Seconds without progress after which a TLS connection that is being closed is aborted
although something is still to be sent."""


MOST_ANSWERS = 65536
"""The number of bytes that TLS itself has to send, such as answers to key updates, from
which on nothing is read until the partner has taken them."""

ANSWERS_INTERVAL = 0.1
"""Seconds until it is looked again whether it has."""


def unsentOf(bottom: Any) -> tuple[int, int]:
    """
    :param bottom: a transport without layers.
    :returns: how many bytes it has still to send, and how many of them were written
        in this turn of the reactor.  Twisted's transports do not tell that in public;
        0 for any other one.
    """
    recent = getattr(bottom, "_tempDataLen", 0)
    length, offset = backlogOf(bottom)
    return length - offset + recent, recent


def backlogOf(bottom: ITransport) -> tuple[int, int]:
    """
    :param bottom: a transport without layers.
    :returns: something that changes whenever it gets bytes away, ``(0, 0)`` if
        it has none left over from an earlier turn of the reactor.
    """
    return len(getattr(bottom, "dataBuffer", b"")), getattr(bottom, "offset", 0)


@implementer(IPullProducer)
class CloseGuard:
    """
    Watches the end of one connection after this side's last byte was written.

    It stands at the bottom transport as a pull producer, for this is how a
    Twisted transport tells that its buffer has run empty.

    :ivar flushed: whether everything was handed to the operating system.
    """

    def __init__(
        self,
        clock: IReactorTime,
        transport: ITransport,
        onTimeout: Callable[[], None],
        patience: float = CLOSE_TIMEOUT,
    ) -> None:
        """
        :param clock: measures the time.
        :param transport: the connection; its own closing has already begun.
        :param onTimeout: what to call when the time is over.
        :param patience: how many seconds may pass without any progress until
            everything is handed to the operating system.
        """
        self.flushed = False
        self._clock = clock
        self._patience = patience
        self._onTimeout = onTimeout
        self._bottom = bottomOf(transport)
        self._seen = backlogOf(self._bottom)
        self._call: IDelayedCall | None = clock.callLater(patience, self._expired)
        self._armed = False
        if IConsumer.providedBy(self._bottom):
            # Registering asks for data at once, whatever is still buffered;
            # only the requests after that one mean that the buffer ran empty.
            self._bottom.registerProducer(self, False)
            self._armed = True

    def _expired(self) -> None:
        """Abort, unless the partner is merely slow in taking what is left."""
        self._call = None
        backlog = backlogOf(self._bottom)
        if not self.flushed and backlog != self._seen:
            self._seen = backlog
            self._call = self._clock.callLater(self._patience, self._expired)
            return
        self._onTimeout()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty: all was handed to the system."""
        if not self._armed or self.flushed:
            return
        self.flushed = True
        self._bottom.unregisterProducer()  # type: ignore[attr-defined]
        if self._call is not None:
            self._call.reset(CLOSE_TIMEOUT)

    def stopProducing(self) -> None:
        """The connection is gone; there is nothing to produce."""

    def stop(self) -> None:
        """Stop watching: the connection has ended."""
        if self._call is not None:
            self._call.cancel()
            self._call = None


class IWireListener(TypingProtocol):
    """What a TLS connection tells."""

    def handshakeCompleted(self) -> None:
        """The handshake is complete."""

    def gather(self) -> None:
        """What has come at once is decrypted from here on."""

    def deliver(self) -> None:
        """All of it is."""


class TLSWire(Wire):
    """A connection whose nearest layer, or one under it, is TLS."""

    def __init__(
        self,
        clock: IReactorTime,
        transport: Any,
        layer: TLSMemoryBIOProtocol,
        listener: IWireListener,
    ) -> None:
        """
        :param clock: measures the time.
        :param transport: the transport of the connection.
        :param layer: the TLS layer, which was just connected.
        :param listener: is told what is decrypted at once.
        """
        self._layer = layer
        self._bottom: Any = bottomOf(layer)
        self._listener = listener
        self._plain: list[bytes] = []  # is to be encrypted
        self._plainSize = 0
        # What Twisted's sockets move at once is little more than a TLS record.  What is
        # sent of a block has to include the bytes that encryption adds to it.
        for name, size in ("bufferSize", AT_ONCE), ("SEND_LIMIT", 2 * AT_ONCE):
            if hasattr(self._bottom, name):
                setattr(self._bottom, name, size)
        self._partnerClosed = False
        self._wrote = False
        self._turns = 0  # of the reactor, until what was written is on its way
        self._written = 0  # bytes, by the user, since the last turn
        self._answers = 0  # bytes that TLS itself has still to send, at most
        self._look: IDelayedCall | None = None  # while it has too many
        self._guard: CloseGuard | None = None
        self._nothingToLose = False
        super().__init__(clock, transport)
        # There is no other way to hear of a close_notify when it comes.
        self._receive: Callable[[bytes], None] = layer.dataReceived
        layer.dataReceived = self._received  # type: ignore[method-assign]
        # Twisted reports a FIN without a close_notify as it does a reset.
        self._lose: Callable[[Failure], None] = layer.connectionLost
        layer.connectionLost = self._ended  # type: ignore[method-assign]

    def _begin(self) -> None:
        self.write = self._write
        self._send = self._transport.write
        if self._transport is self._layer:
            self._send = self._keep

    @property
    def refusal(self) -> str | None:
        """Why this side did not accept the partner's certificate, if so."""
        handshake = handshakeOf(self._layer.getHandle())
        return None if handshake is None else handshake.refusal

    @property
    def _unsent(self) -> bool:
        """Whether something that was written is known to be here still."""
        if self._turns:
            return True
        return self._wrote and backlogOf(self._bottom) != (0, 0)

    def _write(self, data: bytes) -> None:
        """Write, and note that something is on its way."""
        if not isinstance(data, bytes):  # Twisted 26.4 sees it a turn later
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        if self._partnerClosed:
            # Twisted resumes a producer that was paused, and then drops in silence
            # what it writes, with nothing to pause or to stop it.
            self.outputLost = True
            self.stopProducer()
            return
        # Twisted gathers what is written in one turn of the reactor, and hands
        # it to the system in the next.
        self._wrote = True
        self._written += len(data)
        if not self._turns:
            self._later = self._clock.callLater(0, self._nextTurn)
        self._turns = 2
        self._send(data)

    def _keep(self, data: bytes) -> None:
        """
        Encrypt what is large at once, and what is small together with what else is
        written in this turn of the reactor.

        Twisted's layer does so, too, but record by record.
        """
        self._plain.append(data)
        self._plainSize += len(data)
        if self._plainSize >= LARGE:
            self._encrypt()

    def _encrypt(self) -> None:
        """Encrypt what was written, and send it."""
        plain = b"".join(self._plain)
        self._plain.clear()
        self._plainSize = 0
        handle = self._layer.getHandle()
        if not plain or handle is None:
            return
        sent = 0
        with memoryview(plain) as view:
            try:
                while sent < len(plain):
                    sent += handle.send(view[sent : sent + AT_ONCE])
            except SSL.Error:
                # The layer knows how to wait for the partner, and to report an error.
                self._send = self._transport.write
        self._sendEncrypted(handle, len(plain))
        if sent < len(plain):
            self._send(plain[sent:])

    def _sendEncrypted(self, handle: SSL.Connection, size: int) -> None:
        """
        Send what TLS has made.

        :param size: how many bytes were written.
        """
        # A record has at most 16 KiB, and no more than 256 bytes beside them.
        wanted = size + (size // 16384 + 2) * 256
        with suppress(SSL.WantReadError):
            while True:
                encrypted = handle.bio_read(wanted)
                self._layer.transport.write(encrypted)  # type: ignore[union-attr]
                if len(encrypted) < wanted:
                    return

    def _nextTurn(self) -> None:
        self._encrypt()
        self._written = 0
        self._turns -= 1
        if self._turns:
            self._later = self._clock.callLater(0, self._nextTurn)

    def _received(self, data: bytes) -> None:
        """Let the layer have what came, and see whether it was the end."""
        before = getattr(self._bottom, "_tempDataLen", 0)  # as unsentOf() has it
        self._listener.gather()
        try:
            self._receive(data)
        finally:
            self._listener.deliver()
        if getattr(self._bottom, "_tempDataLen", 0) > before:
            self._answered(before)
        handle = self._layer.getHandle()  # None when the connection is gone
        if self._partnerClosed or handle is None:
            return
        if not handle.get_shutdown() & SSL.RECEIVED_SHUTDOWN:
            return
        # A partner that has closed reads nothing that is still on its way.
        self._partnerClosed = True
        if self._unsent and not (self._nothingToLose or self.complete):
            self.outputLost = True

    def _ended(self, reason: Failure) -> None:
        """Note how the connection under TLS has ended."""
        self.unclosed = reason.type is ConnectionDone and not (
            self._partnerClosed or self._unsent
        )
        self._lose(reason)

    def _answered(self, before: int) -> None:
        """
        Stop reading when the partner does not take what it makes TLS answer.

        It is not stopped because of what the user has written: both sides may write
        much before they read.
        """
        handle = self._layer.getHandle()
        if handle is not None:
            # The layer sends no more than 32 KiB of it at a time.
            self._sendEncrypted(handle, 65536)
        unsent, recent = unsentOf(self._bottom)
        grown = recent - before
        # What was written becomes a little longer by encryption.
        answers = max(0, grown - 2 * self._written)
        self._answers = min(self._answers, unsent - grown) + answers
        if self._answers > MOST_ANSWERS and self._look is None:
            self._tell("pauseProducing")
            self._look = self._clock.callLater(ANSWERS_INTERVAL, self._lookAgain)

    def _lookAgain(self) -> None:
        """Go on reading when the partner has taken the answers."""
        self._look = None
        if unsentOf(self._bottom)[0] > MOST_ANSWERS:
            self._look = self._clock.callLater(ANSWERS_INTERVAL, self._lookAgain)
        elif not self.paused:
            self.resume()

    def resume(self) -> None:
        """Go on reading, unless the partner has to take answers first."""
        if self._look is None:
            super().resume()
        self.paused = False

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """Whether this side has closed and everything is on its way."""
        return self._guard is not None and self._guard.flushed

    def unregisterProducer(self) -> None:
        """The producer writes no more; a connection being closed ends now."""
        super().unregisterProducer()
        if self.silent:
            self._end()

    def checkHalfClose(self) -> None:
        """
        :raises HalfCloseUnsupported: always.  ``loseWriteConnection`` would
            send a bare FIN, which the partner has to take for a truncation.
        """
        raise HalfCloseUnsupported(
            "a TLS connection cannot end its sending side alone: use "
            "loseConnection() when the answer is complete, or mark the end of the "
            "data in the protocol"
        )

    def close(self) -> None:
        """
        End the connection in bounded time, after what was written.

        A registered producer writes to its end first, as with Twisted's own TLS;
        but Twisted must not know yet: it drops what a producer writes in the turn
        in which it unregisters.
        """
        self.silent = True
        if self.producer is None:
            self._end()

    def _end(self) -> None:
        """Say the end, and bound the time in which the partner has to answer."""
        if self._guard is None and self._layer.getHandle() is not None:
            # The partner's close_notify comes behind what it still sends.  If it is
            # here Twisted ends the connection, but waits for what is to be sent.
            self._nothingToLose = not self._unsent
            self._encrypt()
            self._transport.loseConnection()
            taken = not self._wrote or self._partnerClosed
            self._guard = CloseGuard(
                self._clock,
                self._bottom,
                self._timedOut,
                CLOSE_TIMEOUT if taken else TAKE_TIMEOUT,
            )

    def _timedOut(self) -> None:
        if self.complete:
            # An abort would destroy what the system has still for the partner.
            self.unanswered = True
            self._bottom.loseConnection()
        else:
            self.outputLost = True
            self.abort()

    def gone(self) -> None:
        """The connection has ended: stop every timer."""
        super().gone()
        if self._look is not None:
            self._look.cancel()
        if self._guard is not None:
            self._guard.stop()


def wireOf(
    clock: IReactorTime,
    transport: Any,
    listener: IWireListener,
    started: object = None,
) -> Wire:
    """
    Find out what a connection is made of.

    :param clock: measures the time.
    :param transport: the connection's transport.
    :param listener: over TLS, is told of it.
    :param started: the layer that ``startTLS`` has put above the transport.
    :returns: the kind of wire.
    """
    for layer in [*layersUnder(transport), started]:
        if isinstance(layer, TLSMemoryBIOProtocol):
            # Its handshake cannot be complete before that of one under it.
            hearThrough(layer.wrappedProtocol, listener, IHandshakeListener)
            return TLSWire(clock, transport, layer, listener)
    if IUNIXTransport.providedBy(transport):
        return UNIXWire(clock, transport)
    if isinstance(transport, StandardIO):
        return StandardIOWire(clock, transport)
    return Wire(clock, transport)
