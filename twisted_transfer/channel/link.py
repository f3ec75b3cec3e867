"""
One connection as Twisted delivers it: its set-up, its bytes and its end.

A :class:`Link` is the protocol at the bottom of every connection.  It knows when
the set-up is over (plain: at once; TLS: when the handshake is complete and was not
refused), keeps what comes before there is a reader, and tells an orderly end from
a truncation.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
    ISSLTransport,
    ISystemHandle,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface.declarations import Provides

from twisted_transfer.addresses import partnerText
from twisted_transfer.channel.idle import IdleWatch
from twisted_transfer.channel.proxied import ProxyHeader
from twisted_transfer.channel.wires import (
    Wire,
    takePlace,
    unsentOf,
    wireOf,
)
from twisted_transfer.deferreds import Promise
from twisted_transfer.errors import PartnerStalled, Truncated, Unclosed
from twisted_transfer.layers import bottomOf, endNow, layersUnder, takeError
from twisted_transfer.states import State
from twisted_transfer.tls.keys import PeerIdentity
from twisted_transfer.tls.policy import handshakeError


class LinkState(State):
    """The states of a connection."""

    SETUP = "set-up"
    OPEN = "open"
    CLOSING = "closing"
    ABORTING = "aborting"
    GONE = "gone"


LINK_STEPS = {
    LinkState.SETUP: {LinkState.OPEN, LinkState.ABORTING, LinkState.GONE},
    LinkState.OPEN: {LinkState.CLOSING, LinkState.ABORTING, LinkState.GONE},
    LinkState.CLOSING: {LinkState.ABORTING, LinkState.GONE},
    LinkState.ABORTING: {LinkState.GONE},
    LinkState.GONE: set(),
}
"""The states that may follow each state."""


def judge(reason: Failure, wire: Wire, aborted: bool) -> Truncated | None:
    """
    Tell an orderly end from a truncation.

    :param reason: what Twisted says of the end.
    :param wire: how the connection was written to.
    :param aborted: whether this side has aborted it.
    :returns: None for an orderly end.
    """
    if aborted or wire.outputLost:
        truncation = Truncated(
            "the connection was aborted, or ended by the partner, before "
            "everything was sent; transfer again"
        )
    elif wire.unanswered:
        truncation = Truncated(
            "everything was handed to the system, but the partner did not answer the "
            "end of the connection in time, so it may not have read everything; find "
            "out there whether it has"
        )
    elif isinstance(reason.value, ConnectionDone):
        return None
    elif wire.complete and reason.type is ConnectionLost:
        # A TLS partner that closes without a close_notify of its own, after it
        # got everything, has missed nothing; Tcl's tls does so.
        return None
    elif wire.unclosed and reason.type is ConnectionLost:
        truncation = Unclosed(
            "the partner ended the connection without TLS's close_notify, so not "
            "everything may have arrived; if the partner never sends one, give the "
            "size of the data (--size, size=), or --accept-unclosed (acceptUnclosed)"
        )
    else:
        truncation = Truncated(
            "the connection broke off: the partner did not end it in an orderly "
            "way, so not everything may have arrived; transfer again"
        )
    truncation.__cause__ = reason.value
    return truncation


class ILinkUser(TypingProtocol):
    """What a link tells the one that it is attached to."""

    def bytesArrived(self, data: bytes) -> None:
        """Some bytes have come."""

    def inputEnded(self) -> None:
        """The partner sends no more, in an orderly way."""

    def outputEnded(self) -> None:
        """This side's half-close is done."""

    def handshakeCompleted(self) -> None:
        """TLS that was started on the open connection has its handshake."""

    def linkLost(self, reason: Failure) -> None:
        """The connection is gone."""

    def descriptorArrived(self, descriptor: int) -> bool:
        """
        A file descriptor has come.

        :returns: whether somebody has taken it, who has to close it.
        """


class _Early:
    """Keeps the events of a link until it is attached to its user."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._events: list[tuple[Any, ...]] = []

    def bytesArrived(self, data: bytes) -> None:
        # The partner has to wait until there is a reader.
        self._link.pause()
        self._events.append(("bytesArrived", data))

    def inputEnded(self) -> None:
        self._events.append(("inputEnded",))

    def outputEnded(self) -> None:
        self._events.append(("outputEnded",))

    def handshakeCompleted(self) -> None:
        raise AssertionError("there is no channel yet that could start TLS")

    def linkLost(self, reason: Failure) -> None:
        self._events.append(("linkLost", reason))

    def descriptorArrived(self, descriptor: int) -> bool:
        return False

    def tell(self, user: ILinkUser) -> None:
        for name, *arguments in self._events:
            getattr(user, name)(*arguments)


class Link(Protocol):
    """
    The protocol of one connection.

    :ivar clock: measures the time of this connection.
    :ivar state: how far the connection is.
    :ivar wire: how it is written to; made with the connection.
    :ivar secure: whether the connection is TLS.
    :ivar peerIdentity: who the partner is by TLS, or None.
    :ivar acceptUnclosed: whether the end of a TLS connection is orderly also without a
        ``close_notify``.
    :ivar fed: whether a source alone gives what is sent, and the partner has nothing
        to say.
    """

    _log = Logger()
    secure = False
    peerIdentity: PeerIdentity | None = None
    acceptUnclosed = False
    fed = False
    wire: Wire

    def __init__(self, clock: IReactorTime) -> None:
        """
        :param clock: measures the time.
        """
        self.clock = clock
        self.state = LinkState.SETUP
        self._ready: Promise[None] = Promise()
        self._gone: Promise[None] = Promise()
        self._addresses: tuple[IAddress, IAddress] | None = None
        self._truncation: Truncated | None = None
        self._watch: IdleWatch | None = None
        self._gathered: list[bytes] = []
        self._gather = self._gathered.append
        self._use(_Early(self))

    def _use(self, user: ILinkUser) -> None:
        self._user = user
        closed = self.state is LinkState.CLOSING and self.wire.silent
        receive: Callable[[bytes], None] = self._drop if closed else user.bytesArrived
        if self._watch is not None:
            receive = self._watch.around(receive)
        self._receive = receive
        if self.dataReceived is not self._gather:
            self.dataReceived = receive  # type: ignore[method-assign, assignment]

    def gather(self) -> None:
        """Begin to gather what comes, for TLS decrypts it in records of 16 KiB."""
        self.dataReceived = self._gather  # type: ignore[method-assign, assignment]

    def deliver(self) -> None:
        """Pass on in one piece what was gathered."""
        self.dataReceived = self._receive  # type: ignore[method-assign, assignment]
        gathered = self._gathered
        if gathered:
            data = gathered[0] if len(gathered) == 1 else b"".join(gathered)
            gathered.clear()
            self._receive(data)

    def _step(self, state: LinkState) -> None:
        self.state = self.state.then(state, LINK_STEPS)

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self.state is LinkState.GONE

    def logPrefix(self) -> str:
        """Name this in Twisted's log by what the user knows."""
        return "TransferChannel"

    # Set-up.

    def connectionMade(self) -> None:
        """
        Complete the set-up of a plain connection; TLS has its handshake first, and
        whoever comes by a proxy its header.
        """
        transport: Any = self.transport
        self.__provides__ = _PROVIDED
        self.secure = ISSLTransport.providedBy(transport)
        self.wire = wireOf(self.clock, transport, self)
        if self.state is LinkState.ABORTING:
            self.wire.abort()
            return
        self._awaited = 1
        for layer in layersUnder(transport):
            if isinstance(layer, ProxyHeader):
                self._awaited += 1
                layer.read.wait().addCallbacks(self._proceed, self._refuse)
        if not self.secure:
            takePlace(self)
            self._proceed()

    def _proceed(self, ignored: None = None) -> None:
        """One part of the set-up is done."""
        self._awaited -= 1
        if not self._awaited and self.state is LinkState.SETUP:
            self._open()

    def _refuse(self, failure: Failure) -> None:
        """The set-up has failed."""
        self._ready.fire(failure)
        self.abort()

    def handshakeCompleted(self) -> None:
        """
        The TLS handshake is complete.

        Twisted calls this also when the partner was refused by what looked at
        its handshake; then the connection is being aborted already, and
        ``connectionLost`` brings the reason.
        """
        transport: Any = self.transport
        if any(layer.disconnecting for layer in layersUnder(transport)):
            return
        if self.state is LinkState.SETUP:
            self._identify()
            self._proceed()
        elif not self.secure:
            self.secure = True
            self._identify()
            self._user.handshakeCompleted()

    def _identify(self) -> None:
        transport: Any = self.transport
        certificate = transport.getPeerCertificate()
        if certificate is not None:
            self.peerIdentity = PeerIdentity(certificate.to_cryptography())

    @property
    def greeted(self) -> bool:
        """Whether it is TLS, and the partner's ClientHello has come."""
        # OpenSSL has a session from then on.
        return self.secure and self.transport.getHandle().client_random() is not None  # type: ignore[union-attr]

    def _open(self) -> None:
        self._step(LinkState.OPEN)
        self._noteAddresses()
        self._ready.fire(None)

    def whenReady(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when the set-up is over, or fails with
            ``PeerRefused`` or ``NotAdmitted``.
        """
        return self._ready.wait()

    def startTLS(self, start: Any, *arguments: Any) -> None:
        """
        Begin TLS on an open plain connection.

        :param start: the transport's ``startTLS``.
        :param arguments: what it takes.
        """
        transport: Any = self.transport
        start(*arguments)
        layer = getattr(bottomOf(transport), "protocol", None)
        plain = self.wire
        self.wire = wireOf(self.clock, transport, self, layer)
        if self._watch is not None:
            self.wire.write = self._watch.around(self.wire.write)
        # Twisted has a producer write over TLS from now on.
        self.wire.producer, self.wire.paused = plain.producer, plain.paused

    # Bytes.

    def attach(self, user: ILinkUser) -> None:
        """
        Hand everything that came and that will come to the user.

        :param user: who gets it; one a link.
        """
        early = self._user
        self._use(user)
        if isinstance(early, _Early):
            early.tell(user)

    def watchIdle(self, seconds: float) -> None:
        """
        Abort the connection when nothing has moved for some time.

        :param seconds: for how long; the time in which this side takes nothing, or is
            :attr:`fed` by a source that gives nothing, does not count.
        """
        transport: Any = self.transport
        bottom: Any = bottomOf(transport)
        isSocket = ISystemHandle.providedBy(bottom)
        socket: int | None = bottom.fileno() if isSocket else None
        self._watch = IdleWatch(self.clock, seconds, socket, self._holds, self._stall)
        self.wire.write = self._watch.around(self.wire.write)

    def _holds(self, queued: int) -> bool:
        """
        :param queued: how many bytes the system has still to send.
        :returns: whether nothing moves because of this side.
        """
        transport: Any = self.transport
        unsent = queued or unsentOf(bottomOf(transport))[0]
        return self.paused or (self.fed and not unsent)

    @property
    def watched(self) -> bool:
        """Whether it is noted what moves."""
        return self._watch is not None

    def _stall(self, seconds: float) -> None:
        self._truncation = PartnerStalled(
            f"nothing came from the partner, and it took nothing, for {seconds:g} "
            "seconds (idle), so the connection was aborted; see what the partner waits "
            "for, or allow more"
        )
        self.abort()

    def _drop(self, data: bytes) -> None:
        """Do nothing with bytes that come after this side has closed."""

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Pass a descriptor on, or close it if nobody takes it."""
        if not self._user.descriptorArrived(descriptor):
            self._log.info(
                "the protocol does not provide IFileDescriptorReceiver; a file "
                "descriptor from {peer} is closed",
                peer=partnerText(self.addresses()[1]),
            )
            os.close(descriptor)

    @property
    def paused(self) -> bool:
        """Whether the partner has to wait."""
        return self.wire.paused

    def pause(self) -> None:
        """Pause the transport, if there is one."""
        if self.transport is not None and not self.lost:
            self.wire.pause()

    def resume(self) -> None:
        """Resume the transport."""
        if not self.lost:
            self.wire.resume()

    # The end.

    def close(self) -> None:
        """End the connection after what was written; over TLS in bounded time."""
        if self.state is not LinkState.OPEN:
            return
        self._step(LinkState.CLOSING)
        self.wire.close()
        if self.wire.silent:
            self._use(self._user)
            self.resume()

    def abort(self) -> None:
        """
        End the connection at once; what is not sent yet is lost.

        One that does not exist yet is ended when it does.
        """
        if self.state in (LinkState.ABORTING, LinkState.GONE):
            return
        self._step(LinkState.ABORTING)
        if self.transport is not None:
            self.wire.abort()

    def whenGone(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when the connection is gone, in
            whichever way.
        """
        return self._gone.wait()

    @property
    def truncation(self) -> Truncated | None:
        """How the connection went wrong, if it is gone and did."""
        if self.acceptUnclosed and isinstance(self._truncation, Unclosed):
            return None
        return self._truncation

    def readConnectionLost(self) -> None:
        """The partner has ended its output; before the set-up is over that is all."""
        transport: Any = self.transport
        bottom = bottomOf(transport)
        if takeError(bottom):
            # Twisted's poll and epoll reactors take an error for the end of the input
            # when the system does not report both at once.
            endNow(bottom, CONNECTION_LOST)
        elif self.state is LinkState.SETUP:
            self.wire.close()
        else:
            self._user.inputEnded()
            if self.state is LinkState.CLOSING and self.wire.nothingToSend:
                endNow(bottom, CONNECTION_DONE)

    def writeConnectionLost(self) -> None:
        """Output has ended: by this side, or because nobody reads it."""
        self.wire.outputEnded()
        self._user.outputEnded()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Judge how the connection ended, and tell the user."""
        self.deliver()
        self.wire.gone()
        if self._watch is not None:
            self._watch.stop()
        aborted = self.state is LinkState.ABORTING
        if self._truncation is None:
            self._truncation = judge(reason, self.wire, aborted)
        else:
            reason = Failure(self._truncation)
        self._step(LinkState.GONE)
        if not self._ready.fired:
            self._ready.fire(Failure(handshakeError(reason, self.wire.refusal)))
        try:
            self._user.linkLost(reason)
        finally:
            if getattr(reason.value, "__traceback__", None) is not None:
                # It would keep the frames of the reactor, and what they hold.
                reason.cleanFailure()
            self._gone.fire(None)

    # Addresses.

    def _noteAddresses(self) -> None:
        transport: Any = self.transport
        self._addresses = (transport.getHost(), transport.getPeer())

    def addresses(self) -> tuple[IAddress, IAddress]:
        """
        :returns: this side's address and the partner's, as the transport says
            (behind a proxy: as the proxy said), also after the end.
        """
        if not self.lost:
            self._noteAddresses()
        assert self._addresses is not None
        return self._addresses


# Declared with the connection: for each of them that the class declares, Twisted's
# endpoints make a declaration anew, which takes a tenth of the whole set-up.
_PROVIDED = Provides(
    Link, IHalfCloseableProtocol, IHandshakeListener, IFileDescriptorReceiver
)
