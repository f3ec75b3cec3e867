"""
One connection as Twisted delivers it: its set-up, its bytes and its end.

A :class:`Link` is the protocol at the bottom of every connection.  It knows
when the connection is good (plain: at once; TLS: when the handshake is
complete and was not refused), holds the bytes back until somebody takes them,
and tells an orderly end from a truncation.
"""

from __future__ import annotations

import os
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.channel.wires import (
    Wire,
    bottomOf,
    hearThrough,
    layersUnder,
    wireOf,
)
from twisted_transfer.deferreds import Waiters
from twisted_transfer.errors import Truncated
from twisted_transfer.tls.keys import PeerIdentity
from twisted_transfer.tls.policy import handshakeError


def judge(reason: Failure, *, complete: bool, outputLost: bool) -> Truncated | None:
    """
    Tell an orderly end from a truncation.

    :param reason: what Twisted says of the end.
    :param complete: whether this side had written everything, and the end was
        known on both sides before this.
    :param outputLost: whether something was written that did not get away.
    :returns: None for an orderly end.
    """
    if outputLost:
        truncation = Truncated(
            "the connection was aborted, or ended by the partner, before "
            "everything was sent; transfer again"
        )
    elif reason.check(ConnectionDone):
        return None
    elif complete and reason.check(ConnectionLost):
        # A TLS partner that hangs up without a close_notify of its own, after
        # it got everything, has missed nothing; Tcl's tls does so.
        return None
    else:
        truncation = Truncated(
            "the connection broke off: the partner did not end it in an orderly "
            "way, so what came may not be everything; transfer again"
        )
    truncation.__cause__ = reason.value
    return truncation


class ILinkUser(TypingProtocol):
    """What a link tells its user, once there is one."""

    def bytesArrived(self, data: bytes) -> None:
        """Some bytes came."""

    def inputEnded(self) -> None:
        """The partner sends no more, in an orderly way."""

    def outputEnded(self) -> None:
        """This side's half-close is done."""

    def linkLost(self, reason: Failure, truncation: Truncated | None) -> None:
        """The connection is gone; ``truncation`` is None for an orderly end."""

    def descriptorArrived(self, descriptor: int) -> None:
        """A file descriptor came; it is the user's to close."""


@implementer(IHalfCloseableProtocol, IHandshakeListener, IFileDescriptorReceiver)
class Link(Protocol):
    """
    The protocol of one connection.

    :ivar secure: whether the connection is TLS.
    :ivar peerIdentity: who the partner is by TLS, or None.
    :ivar ready: whether the set-up is over and was good.
    :ivar lost: whether the connection is gone.
    :ivar truncation: how it went wrong, if it is gone and did.
    """

    secure = False
    ready = False
    lost = False
    peerIdentity: PeerIdentity | None = None
    truncation: Truncated | None = None
    _wire: Wire  # made with the connection

    def __init__(self, clock: IReactorTime) -> None:
        """
        :param clock: measures the time.
        """
        self._clock = clock
        self._whenReady: Waiters[None] = Waiters()
        self._whenGone: Waiters[None] = Waiters()
        self._user: ILinkUser | None = None
        self._held: list[bytes] = []
        self._heard = False
        self._inputEnded = False
        self._reason: Failure | None = None
        self._refusal: str | None = None
        self._closing = False
        self._aborted = False
        self._addresses: tuple[IAddress, IAddress] | None = None

    @property
    def clock(self) -> IReactorTime:
        """What measures the time of this connection."""
        return self._clock

    def logPrefix(self) -> str:
        """Name this in Twisted's log as what the user knows."""
        return "TransferChannel"

    # Set-up.

    def connectionMade(self) -> None:
        """Plain connections are good at once; TLS has its handshake before it."""
        transport: Any = self.transport
        self.secure = ISSLTransport.providedBy(transport)
        self._wire = wireOf(self._clock, transport, self)
        if self._aborted:
            self._wire.abort()
        elif not self.secure:
            outermost = getattr(bottomOf(transport), "protocol", self)
            hearThrough(
                outermost, self, IHalfCloseableProtocol, IFileDescriptorReceiver
            )
            self._becomeReady()

    def handshakeCompleted(self) -> None:
        """
        The TLS handshake is complete.

        Twisted calls this also when the partner was refused by what looked at
        its handshake; then the connection is being aborted already, and
        ``connectionLost`` brings the reason.
        """
        transport: Any = self.transport
        if self.ready:
            return
        if any(layer.disconnecting for layer in layersUnder(transport)):
            return
        certificate = transport.getPeerCertificate()
        if certificate is not None:
            self.peerIdentity = PeerIdentity(certificate.to_cryptography())
        self._becomeReady()

    def _becomeReady(self) -> None:
        self.ready = True
        self._noteAddresses()
        # Whatever the partner sends from here on is for the channel, which
        # does not exist yet: the partner has to wait.
        self.pause()
        self._whenReady.fire(None)

    def whenReady(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when the set-up is over, or fails with
            ``PeerRefused`` or ``NotAdmitted``.
        """
        if self.ready:
            return succeed(None)
        if self._reason is not None:
            return fail(handshakeError(self._reason, self._refusal))
        return self._whenReady.wait()

    # Bytes.

    def attach(self, user: ILinkUser) -> None:
        """
        Hand everything that came and that will come to the user.

        :param user: who gets it; one a link.
        """
        self._user = user
        held, self._held = self._held, []
        for data in held:
            user.bytesArrived(data)
        if self._inputEnded:
            user.inputEnded()
        if self._reason is not None:
            user.linkLost(self._reason, self.truncation)

    def dataReceived(self, data: bytes) -> None:
        """Pass the bytes on, or keep them: reading is paused by then."""
        if self._wire.silent:
            return
        if not self._heard:
            # Behind a PROXY header the addresses are known by now.
            self._heard = True
            self._noteAddresses()
        if self._user is None:
            self._held.append(data)
        else:
            self._user.bytesArrived(data)

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Pass the descriptor on; with nobody to take it, close it."""
        if self._user is None:
            os.close(descriptor)
        else:
            self._user.descriptorArrived(descriptor)

    def pause(self) -> None:
        """Let the partner wait."""
        self._tell("pauseProducing")

    def resume(self) -> None:
        """Let the partner go on."""
        self._tell("resumeProducing")

    def _tell(self, what: str) -> None:
        # Wrappers and standard input have the methods without the interface.
        method = getattr(self.transport, what, None)
        if method is not None and not self.lost:
            method()

    def write(self, data: bytes) -> bool:
        """
        :param data: goes to the partner.
        :returns: False if it does not, because the partner has closed.
        """
        return self.lost or self._wire.write(data)

    # The end.

    def checkHalfClose(self) -> None:
        """
        :raises HalfCloseUnsupported: if the output cannot be ended alone.
        """
        self._wire.checkHalfClose()

    def closeWrite(self) -> None:
        """End this side's output alone."""
        self._wire.closeWrite()

    def close(self) -> None:
        """End the connection after what was written, in bounded time."""
        if self._closing or self.lost:
            return
        self._closing = True
        self._wire.close(self._inputEnded)
        if self._wire.silent:
            self.resume()

    def abort(self) -> None:
        """
        End the connection at once; what is not sent yet is lost.

        One that does not exist yet is ended when it does.
        """
        if self._aborted or self.lost:
            return
        self._aborted = self._closing = True
        if self.transport is not None:
            self._wire.abort()

    def whenGone(self) -> Deferred[None]:
        """
        :returns: a Deferred that fires when the connection is gone, in
            whichever way.
        """
        return succeed(None) if self.lost else self._whenGone.wait()

    def readConnectionLost(self) -> None:
        """The partner has ended its output."""
        self._inputEnded = True
        if self._user is not None:
            self._user.inputEnded()

    def writeConnectionLost(self) -> None:
        """Output has ended: by this side, or because nobody reads it."""
        self._wire.outputEnded()
        if self._user is not None:
            self._user.outputEnded()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; find out how it went."""
        self.lost = True
        self._wire.gone()
        self.truncation = judge(
            reason,
            complete=self._wire.complete,
            outputLost=self._aborted or self._wire.outputLost,
        )
        if self.truncation is None:
            reason = connectionDone
        self._reason, self._refusal = reason, self._wire.refusal
        if not self.ready:
            self._whenReady.fail(handshakeError(reason, self._refusal))
        if self._user is not None:
            self._user.linkLost(reason, self.truncation)
        self._whenGone.fire(None)

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
