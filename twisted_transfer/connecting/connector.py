"""
The connector: one connection to one partner, whichever of them dials.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure

from twisted_transfer.channel.channel import Separator, TransferChannel
from twisted_transfer.channel.link import Link
from twisted_transfer.connecting.admission import Admission
from twisted_transfer.connecting.dialling import Dial
from twisted_transfer.connecting.invitations import (
    InvitingServerEndpoint,
    invitation,
    inviting,
)
from twisted_transfer.connecting.listening import Wait
from twisted_transfer.connecting.options import (
    AddressFilter,
    Mode,
    checkedHost,
    checkedMode,
    checkedPort,
    checkedSeconds,
)
from twisted_transfer.deferreds import Waiters
from twisted_transfer.descriptions.endpoints import (
    DualStackServerEndpoint,
    clientEndpoint,
    plainClientEndpoint,
    serverEndpoint,
    withAddress,
)
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.descriptions.transfer import TransferDescription
from twisted_transfer.errors import AlreadyConnecting, BadOption, PartnerTimeout
from twisted_transfer.interfaces import ClientEndpoint, ServerEndpoint
from twisted_transfer.text.settings import TextSettings

SocketCommand = (
    Description
    | IStreamClientEndpoint
    | IStreamServerEndpoint
    | ClientEndpoint
    | ServerEndpoint
    | None
)
"""How the socket is opened: by a description, by an endpoint object, or as
plain TCP."""


def openingEndpoint(
    reactor: Any,
    mode: Mode,
    host: str | None,
    port: int | None,
    socketCommand: SocketCommand,
) -> Any:
    """
    :param reactor: does everything.
    :param mode: which kind of endpoint is needed.
    :param host: as the connector was given it.
    :param port: the same.
    :param socketCommand: the same.
    :returns: a client endpoint in active mode, a server endpoint in passive
        mode.
    :raises BadOption: if there can be none.
    """
    active = mode is Mode.ACTIVE
    if host is not None:
        checkedHost(host)
    if port is not None:
        checkedPort(port, lowest=1 if active else 0)
    if socketCommand is None:
        if not active:
            return DualStackServerEndpoint(reactor, port or 0)
        return plainClientEndpoint(
            reactor,
            "localhost" if host is None else host,
            checkedPort(port or 0, lowest=1),
        )
    if isinstance(socketCommand, Description):
        description = withAddress(
            socketCommand, host=host if active else None, port=port
        )
        if active:
            return clientEndpoint(reactor, description)
        return inviting(reactor, description) or serverEndpoint(reactor, description)
    needed = IStreamClientEndpoint if active else IStreamServerEndpoint
    if not needed.providedBy(socketCommand):
        raise BadOption(
            f"socketCommand={type(socketCommand).__name__} object: in {mode.value} "
            f"mode it is a description, or an object that provides {needed.__name__}"
        )
    if port is not None or (host is not None and active):
        raise BadOption(
            "host= and port= cannot be added to an endpoint object: make the "
            "endpoint with them"
        )
    return socketCommand


class Attempt(TypingProtocol):
    """One attempt to get one partner."""

    async def run(self) -> Link:
        """:returns: the good connection, with its reading paused."""

    def cleared(self) -> Deferred[None]:
        """:returns: fires when nothing of the attempt but its result is left."""


class _Ending(Deferred[Any]):
    """Fires when an attempt that was cancelled is over."""

    def cancel(self) -> None:
        """Cancelling it once more makes it no shorter."""


class TransferConnector:
    """
    Gets one connection to one partner, by dialling or by waiting for it.

    It is the counterpart of ``transfer::connect`` in Tcl's tcllib.

    :ivar mode: the :class:`Mode`.
    """

    def __init__(
        self,
        reactor: Any,
        mode: str | Mode = Mode.ACTIVE,
        host: str | None = None,
        port: int | None = None,
        socketCommand: str | SocketCommand = None,
        *,
        translation: Separator = None,
        encoding: str | None = None,
        eofChar: Separator = None,
        within: float | None = None,
        retryFor: float | None = None,
        admit: Iterable[str] | None = None,
    ) -> None:
        """
        :param reactor: does everything.
        :param mode: ``"active"`` or ``"passive"``.
        :param host: whom to dial, a name or an address; by default
            ``"localhost"``.  Ignored in passive mode.
        :param port: which port to dial, or to listen on; in passive mode 0,
            the default, lets the system choose.
        :param socketCommand: how the socket is opened.  None: plain TCP.  An
            endpoint description, as a string or read already: host and port,
            where they are given here, are added to it as ``host=`` and
            ``port=`` (in passive mode ``port=`` only).  Or an endpoint object.
        :param translation: newlines, as for ``TransferChannel.configure``.
        :param encoding: the same; without one the channel carries bytes.
        :param eofChar: the same.
        :param within: seconds for the whole set-up; None: no bound.
        :param retryFor: active: seconds for which to try again when the
            partner is not there yet; None: not at all.
        :param admit: passive: addresses and networks from which the partner
            may come; None: from everywhere.
        :raises BadOption: if an option cannot be.
        :raises BadDescription: if the socket command cannot be.
        """
        if admit is not None and not isinstance(admit, str):
            admit = tuple(admit)  # it is read again for another connector
        self.mode = checkedMode(mode)
        self._reactor = reactor
        self._another = partial(
            type(self),
            reactor,
            mode,
            host,
            port,
            socketCommand,
            translation=translation,
            encoding=encoding,
            eofChar=eofChar,
            within=within,
            retryFor=retryFor,
            admit=admit,
        )
        self._settings = TextSettings.BINARY.replaced(
            translation=translation, encoding=encoding, eofChar=eofChar
        )
        self._within = checkedSeconds("within", within)
        self._retryFor = checkedSeconds("retryFor", retryFor, zero=True)
        self._filter = None if admit is None else AddressFilter(admit)
        if self.mode is Mode.ACTIVE and admit is not None:
            raise BadOption("admit= is for the passive mode: who dials has chosen")
        if self.mode is Mode.PASSIVE and retryFor is not None:
            raise BadOption("retryFor= is for the active mode: who listens only waits")
        # At once, so that what is wrong is heard at once.
        if isinstance(socketCommand, str):
            socketCommand = Description.parse(socketCommand)
        self._endpoint: Any = openingEndpoint(
            reactor, self.mode, host, port, socketCommand
        )
        self._socketCommand = socketCommand
        self._served: IProtocolFactory | None = None  # see inside.serveBy()
        self._connecting: Deferred[TransferChannel] | None = None
        self._admission: Admission | None = None
        self._address: IAddress | None = None
        self._whenListening: Waiters[IAddress] = Waiters()
        self._whenIdle: Waiters[None] = Waiters()

    @classmethod
    def fromString(cls, reactor: Any, description: str) -> TransferConnector:
        """
        :param reactor: does everything.
        :param description: ``transfer:active:…`` or ``transfer:passive:…``.
        :returns: a connector that does what the description says.
        :raises BadDescription: if it says something that cannot be.
        """
        return cls.fromDescription(reactor, TransferDescription.parse(description))

    @classmethod
    def fromDescription(
        cls, reactor: Any, description: TransferDescription
    ) -> TransferConnector:
        """
        :param reactor: does everything.
        :param description: a description that was read already.
        :returns: see :meth:`fromString`.
        :raises BadDescription: the same.
        """
        return cls(
            reactor,
            description.mode,
            description.host,
            description.port,
            description.socketCommand,
            translation=description.translation,
            encoding=description.encoding,
            eofChar=description.eofChar,
            within=description.within,
            retryFor=description.retryFor,
            admit=description.admit,
        )

    def idle(self) -> TransferConnector:
        """
        :returns: this connector; or while it is connecting, another one with the
            same options.
        """
        return self if self._connecting is None else self._another()

    # Connecting.

    def connect(self) -> Deferred[TransferChannel]:
        """
        Get the partner.

        :returns: a Deferred with the channel, once the partner is admitted
            and, in passive mode, the port is closed.  It may be cancelled at
            any time.  It fails with what the endpoint failed with
            (``ConnectError``, ``CannotListenError``…), or with
            ``PartnerTimeout``, ``PeerRefused`` or ``NotAdmitted``.
        :raises AlreadyConnecting: if an earlier ``connect()`` is under way.
        """
        if self._connecting is not None:
            raise AlreadyConnecting(
                "this connector is connecting already: wait for that connect(), "
                "cancel it, or use another connector"
            )
        self._address = None
        attempt: Attempt
        if self.mode is Mode.ACTIVE:
            attempt = Dial(self._reactor, self._endpoint, self._retryFor)
        else:
            attempt = Wait(self._reactor, self._endpoint, self._listening, self._filter)
            self._admission = attempt.admission
            self._admission.negotiateFor(self._served)
        running: Deferred[TransferChannel] | None = None
        over = _Ending()

        def cancel(ignored: object) -> None:
            if running is not None:
                running.cancel()

        connecting = self._connecting = Deferred[TransferChannel](cancel)

        def cancelled(failure: Failure) -> Any:
            """Those who cancelled hear of it when everything is gone."""
            if self._connecting is not connecting:
                return failure
            return over.addCallback(lambda ignored: failure)

        connecting.addErrback(cancelled)
        if self._within is not None:
            connecting.addTimeout(
                self._within, self._reactor, onTimeoutCancel=self._expired
            )

        def finished(result: Any) -> None:
            self._connecting = None
            if isinstance(result, Failure):
                error: Any = result.value
                self._whenListening.fail(error)
            if not connecting.called:
                connecting.callback(result)
            over.callback(None)
            attempt.cleared().addCallback(self._whenIdle.fire)

        def tooLate(result: Any) -> Any:
            """A cancel at the very moment of success: there is no success."""
            if not connecting.called or isinstance(result, Failure):
                return result
            result.abortConnection()
            return result.whenClosed()

        running = Deferred.fromCoroutine(self._connect(attempt))
        if connecting.called:  # cancelled by one who was told of the address
            running.cancel()
        running.addCallback(tooLate).addBoth(finished)
        return connecting

    async def _connect(self, attempt: Attempt) -> TransferChannel:
        try:
            link = await attempt.run()
        except Exception:
            await attempt.cleared()
            raise
        return TransferChannel(link, self, self._settings)

    def _expired(self, result: object, timeout: float) -> object:
        """The time for the set-up is over; a channel got in time stays good."""
        if isinstance(result, Failure) and result.check(CancelledError):
            doing = "reached" if self.mode is Mode.ACTIVE else "admitted"
            raise PartnerTimeout(
                f"no partner was {doing} within {timeout:g} seconds; "
                "start the partner earlier, or give within= more seconds"
            )
        return result

    def close(self) -> Deferred[None]:
        """
        End what is under way; ``connect()`` then fails with
        ``CancelledError``.  A channel that was delivered is not touched, and
        the connector can be used again.

        :returns: a Deferred that fires when no port, candidate or timer of
            this connector is left.  It is safe in every state, any number of
            times.
        """
        if self._connecting is None:
            return succeed(None)
        idle = self._whenIdle.wait()
        self._connecting.cancel()
        return idle

    # Listening.

    def _listening(self, address: IAddress) -> None:
        self._address = address
        self._whenListening.fire(address)

    def whenListening(self) -> Deferred[Any]:
        """
        The address to tell the partner; for passive connectors.

        :returns: a Deferred with the address of the port of the latest
            ``connect()``, as soon as it is bound, also when it is closed
            again; before the first ``connect()`` it waits for that.  It fails
            if ``connect()`` fails before there is a port.
        :raises BadOption: in active mode.
        """
        if self.mode is Mode.ACTIVE:
            raise BadOption(
                "this is for the passive mode: a connector that dials listens nowhere"
            )
        if self._address is not None:
            return succeed(self._address)
        return self._whenListening.wait()

    def invitation(self, host: str | None = None) -> Deferred[str]:
        """
        What the partner has to be told; for passive connectors.

        Whether the partner can reach the host depends on the networks between;
        over TLS it needs the trust roots, too, by ``trustRoots=``.

        :param host: the host that the partner is to dial; None: the address
            that is listened on, or for all of this machine's addresses the one
            that this machine has towards the outside.
        :returns: a Deferred with a ``transfer:active:…`` description, as soon as
            there is a port; see :meth:`whenListening`.  It fails with
            ``BadOption`` where no description surely reaches the port: what a
            plugin, a proxy or an endpoint object listens on.
        :raises BadOption: in active mode.
        """

        def tell(address: IAddress) -> str:
            proof = None
            if isinstance(self._endpoint, InvitingServerEndpoint):
                proof = self._endpoint.proof()
            return invitation(self._socketCommand, address, host, proof)

        return self.whenListening().addCallback(tell)

    @property
    def candidates(self) -> Admission | None:
        """The counters of the latest passive ``connect()``; see
        :class:`~twisted_transfer.connecting.admission.Admission`."""
        return self._admission


def reactorOf(connector: TransferConnector) -> Any:
    """
    :param connector: any connector.
    :returns: the reactor that does its work.
    """
    return connector._reactor


def serveBy(connector: TransferConnector, factory: IProtocolFactory) -> None:
    """
    Say who will have the connections.

    :param connector: any connector, before it connects.
    :param factory: makes the protocols.
    """
    connector._served = factory
