"""
One connection as Twisted delivers it: its set-up, its bytes and its end.

A :class:`Link` is the protocol at the bottom of every connection.  It knows
when the connection is good (plain: at once; TLS: when the handshake is
complete and was not refused), holds the bytes back until somebody takes them,
and tells an orderly end from a truncation.
"""

from __future__ import annotations

import os
from typing import Protocol as TypingProtocol

from OpenSSL import SSL
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IAddress,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
    ISSLTransport,
    ITransport,
    IUNIXTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import Interface, alsoProvides, implementer

from twisted_transfer.closing import CloseGuard, bottomOf, judge
from twisted_transfer.errors import HalfCloseUnsupported, Truncated
from twisted_transfer.identity import PeerIdentity, handshakeError
from twisted_transfer.waiting import Waiters

CLOSE_TIMEOUT = 10.0
"""Seconds without progress after which a TLS connection that is being closed
is aborted."""


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

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._whenReady: Waiters[None] = Waiters()
        self._whenGone: Waiters[None] = Waiters()
        self._user: ILinkUser | None = None
        self._held: list[bytes] = []
        self._inputEnded = False
        self._reason: Failure | None = None
        self._closing = False
        self._outputLost = False
        self._silent = False
        self._nothingLeft = False
        self._guard: CloseGuard | None = None
        self._addresses: tuple[IAddress, IAddress] | None = None

    def logPrefix(self) -> str:
        """Name this in Twisted's log as what the user knows."""
        return "TransferChannel"

    # Set-up.

    def connectionMade(self) -> None:
        """Plain connections are good at once; TLS has its handshake before it."""
        assert self.transport is not None
        self.secure = ISSLTransport.providedBy(self.transport)
        if self.secure:
            for layer in self._layers():
                if isinstance(layer, TLSMemoryBIOProtocol):
                    self._hear(layer.wrappedProtocol, IHandshakeListener)
        else:
            outermost = getattr(bottomOf(self.transport), "protocol", self)
            self._hear(outermost, IHalfCloseableProtocol)
            self._hear(outermost, IFileDescriptorReceiver)
            self._becomeReady()

    def _hear(self, outer: object, interface: Interface) -> None:
        """
        Have a protocol that stands between the transport and this one pass on
        what the interface tells.  Twisted's wrappers do not (ProtocolWrapper),
        or only for one interface of several (those of its endpoints).
        """
        if outer is self or interface.providedBy(outer):
            return
        for name in interface.names():
            if not hasattr(type(outer), name):
                setattr(outer, name, getattr(self, name))
        alsoProvides(outer, interface)

    def _layers(self) -> list[ITransport]:
        """The protocol wrappers under this protocol, nearest first."""
        layers: list[ITransport] = []
        layer = self.transport
        while isinstance(layer, ProtocolWrapper):
            layers.append(layer)
            layer = layer.transport
        return layers

    def handshakeCompleted(self) -> None:
        """
        The TLS handshake is complete.

        Twisted calls this also when the partner's certificate was verified
        and refused; then the connection is being aborted already, and
        ``connectionLost`` brings the reason.
        """
        if self.ready:
            return
        if any(getattr(layer, "disconnecting", False) for layer in self._layers()):
            return
        assert self.transport is not None
        certificate = self.transport.getPeerCertificate()  # type: ignore[attr-defined]
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
            return fail(handshakeError(self._reason))
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
        if self._silent:
            return
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
        # Wrappers and standard input have the method without the interface.
        pause = getattr(self.transport, "pauseProducing", None)
        if pause is not None and not self.lost:
            pause()

    def resume(self) -> None:
        """Let the partner go on."""
        resume = getattr(self.transport, "resumeProducing", None)
        if resume is not None and not self.lost:
            resume()

    @property
    def partnerClosed(self) -> bool:
        """
        Whether a TLS partner has sent its ``close_notify``.

        Twisted then ends both directions, and drops in silence what is
        written after it.
        """
        for layer in self._layers():
            if isinstance(layer, TLSMemoryBIOProtocol):
                handle = layer.getHandle()
                if handle is not None and not self._closing:
                    return bool(handle.get_shutdown() & SSL.RECEIVED_SHUTDOWN)
        return False

    def outputLost(self) -> None:
        """Something was written that the partner can no longer get."""
        self._outputLost = True

    # The end.

    def closeWrite(self) -> None:
        """
        End this side's output alone.

        :raises HalfCloseUnsupported: if the connection cannot do that.  Under
            TLS, ``loseWriteConnection`` would send a bare FIN, which the
            partner has to take for a truncation.
        """
        closer = getattr(self.transport, "loseWriteConnection", None)
        if self.secure:
            raise HalfCloseUnsupported(
                "a TLS connection cannot end its sending side alone: "
                "use loseConnection() when the answer is complete, or mark the end "
                "of the data in the protocol"
            )
        if closer is None:
            raise HalfCloseUnsupported(
                "this kind of connection cannot end its sending side alone: "
                "use loseConnection()"
            )
        closer()

    def close(self) -> None:
        """End the connection after what was written, in bounded time."""
        if self._closing or self.lost:
            return
        if self.partnerClosed:
            # Twisted ends this connection by itself; nothing to add.
            self._closing = True
            return
        self._closing = True
        assert self.transport is not None
        if self._inputEnded and IUNIXTransport.providedBy(self.transport):
            # A UNIX socket whose partner is gone is reported as broken as soon
            # as it is looked at for writing, even if nothing is to be written.
            # So what is to be written gets its turn of the reactor first.
            self._clock.callLater(0, self._clock.callLater, 0, self._closeUNIX)
            return
        self.transport.loseConnection()
        if self.secure and not self.lost:
            # The partner's close_notify comes behind what it still sends.
            self._silent = True
            self._guard = CloseGuard(
                self._clock, self.transport, CLOSE_TIMEOUT, self.abort
            )
            self.resume()

    def _closeUNIX(self) -> None:
        if not self.lost and self.transport is not None:
            self._nothingLeft = not getattr(self.transport, "dataBuffer", b"")
            self.transport.loseConnection()

    def abort(self) -> None:
        """End the connection at once; what is not sent yet is lost."""
        if self.transport is None or self.lost:
            return
        self._outputLost = True
        abort = getattr(self.transport, "abortConnection", None)
        (abort or self.transport.loseConnection)()

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
        """This side's output was ended."""
        if self._user is not None:
            self._user.outputEnded()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; find out how it went."""
        self.lost = True
        flushed = True
        if self._guard is not None:
            self._guard.stop()
            flushed = self._guard.flushed
        self.truncation = judge(
            reason,
            complete=self._nothingLeft or (self._silent and flushed),
            outputLost=self._outputLost,
        )
        if self.truncation is None:
            reason = connectionDone
        self._reason = reason
        if not self.ready:
            self._whenReady.fail(handshakeError(reason))
        if self._user is not None:
            self._user.linkLost(reason, self.truncation)
        self._whenGone.fire(None)

    # Addresses.

    def _noteAddresses(self) -> None:
        assert self.transport is not None
        self._addresses = (self.transport.getHost(), self.transport.getPeer())

    def addresses(self) -> tuple[IAddress, IAddress]:
        """
        :returns: this side's address and the partner's, as the transport says
            (behind a proxy: as the proxy said), also after the end.
        """
        if not self.lost:
            self._noteAddresses()
        assert self._addresses is not None
        return self._addresses
