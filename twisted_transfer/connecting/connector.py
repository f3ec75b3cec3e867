"""
The connector: one connection to one partner, whichever of them dials.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from copy import copy
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure

from twisted_transfer.channel.channel import Separator, TransferChannel
from twisted_transfer.channel.link import Link
from twisted_transfer.connecting.admission import AddressFilter, Admission, discard
from twisted_transfer.connecting.dialling import dial
from twisted_transfer.connecting.invitations import InvitingServerEndpoint, invitation
from twisted_transfer.connecting.listening import listen
from twisted_transfer.deferreds import Leftovers, Promise, within
from twisted_transfer.descriptions.endpoints import (
    DualStackServerEndpoint,
    clientEndpoint,
    plainClientEndpoint,
    serverEndpoint,
    withAddress,
)
from twisted_transfer.descriptions.mtls import belowInvitation, makesInvitation
from twisted_transfer.descriptions.relay import requirePlain
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.descriptions.transfer import (
    TransferDescription,
    checkOptions,
)
from twisted_transfer.descriptions.values import UnfitError
from twisted_transfer.errors import AlreadyConnecting, BadOption
from twisted_transfer.interfaces import ClientEndpoint, ServerEndpoint
from twisted_transfer.states import State
from twisted_transfer.text.settings import TextSettings


class Mode(enum.Enum):
    """Which side dials; it says nothing about the direction of the data."""

    ACTIVE = "active"
    """This side dials."""

    PASSIVE = "passive"
    """This side listens, for exactly one partner."""


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
    Make the endpoint of a connector.

    :param reactor: the reactor that the endpoint uses.
    :param mode: the connector's mode.
    :param host: the host that it was given, valid.
    :param port: the port that it was given, valid.
    :param socketCommand: the socket command that it was given, of any type.
    :returns: a client endpoint in active mode, a server endpoint in passive
        mode.
    :raises BadOption: if the socket command is for the other mode, or has an
        address already.
    :raises BadDescription: if the socket command is invalid.
    """
    active = mode is Mode.ACTIVE
    if socketCommand is None:
        if not active:
            return DualStackServerEndpoint(reactor, port or 0)
        assert port is not None
        return plainClientEndpoint(reactor, host or "localhost", port)
    if isinstance(socketCommand, Description):
        description = withAddress(
            socketCommand, host=host if active else None, port=port
        )
        requirePlain(description)
        if active:
            return clientEndpoint(reactor, description)
        if makesInvitation(description):
            below = belowInvitation(reactor, description)
            return InvitingServerEndpoint(reactor, below)
        return serverEndpoint(reactor, description)
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


class ConnectorState(State):
    """What a connector is doing."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CANCELLED = "cancelled, and something is not gone yet"


CONNECTOR_STEPS = {
    ConnectorState.IDLE: {ConnectorState.CONNECTING},
    ConnectorState.CONNECTING: {ConnectorState.IDLE, ConnectorState.CANCELLED},
    ConnectorState.CANCELLED: {ConnectorState.IDLE},
}
"""The states that may follow each state."""


_OVER: Promise[None] = Promise()
"""That nothing is under way."""
_OVER.fire(None)


class _Connecting(Deferred[TransferChannel]):
    """
    The result of ``connect()``.

    Cancelling it ends the attempt; it fires when everything of that is gone.
    """

    def __init__(self, connector: TransferConnector) -> None:
        super().__init__()
        self._connector = connector

    def cancel(self) -> None:
        """End the attempt, or cancel what the user's callbacks wait for."""
        if self.called:
            super().cancel()
        else:
            self._connector._cancel()


class TransferConnector:
    """
    Get one connection to one partner, by dialling or by listening.

    It is the counterpart of ``transfer::connect`` in Tcl's tcllib.

    :ivar mode: the :class:`Mode`.
    :ivar reactor: the reactor.
    :ivar candidates: passive: the counters of the latest :meth:`connect`, or
        ``None`` before that; see
        :class:`~twisted_transfer.connecting.admission.Admission`.
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
        acceptUnclosed: bool = False,
        idle: float | None = None,
    ) -> None:
        """
        :param reactor: the reactor that the connector uses.
        :param mode: ``"active"`` or ``"passive"``.
        :param host: the host to dial, a name or an address; by default
            ``"localhost"``.  Ignored in passive mode.
        :param port: the port to dial, or to listen on; in passive mode 0,
            the default, lets the system choose.
        :param socketCommand: how the socket is opened.  ``None``: plain TCP.  An
            endpoint description, as a string or read already: host and port,
            where they are given here, are added to it as ``host=`` and
            ``port=`` (in passive mode ``port=`` only).  Or an endpoint object.
        :param translation: newlines, as for ``TransferChannel.configure``.
        :param encoding: the encoding of text, as for
            ``TransferChannel.configure``; without one the channel carries bytes.
        :param eofChar: the end-of-file character, as for
            ``TransferChannel.configure``.
        :param within: seconds for the whole set-up; ``None``: no bound.
        :param retryFor: active: seconds for which to try again when the
            partner is not there yet; ``None``: not at all.
        :param admit: passive: addresses and networks from which the partner
            may come; ``None``: from everywhere.
        :param acceptUnclosed: take the end of a TLS connection for the end of the
            data, also without the ``close_notify`` by which the partner says so.
            Some programs never send one; but then anybody between the two sides
            can end the data early, and it is not noticed.
        :param idle: seconds after which a connection on which nothing moves is aborted,
            with :class:`~twisted_transfer.PartnerStalled`; ``None``: never.  The time
            in which this side takes nothing does not count.
        :raises BadOption: if an option is invalid.
        :raises BadDescription: if the socket command is invalid.
        """
        try:
            self.mode = Mode(mode)
        except ValueError:
            raise BadOption(
                f"mode={mode!r}: a mode is 'active' (dial) or 'passive' (listen)"
            ) from None
        options = {
            "host": host,
            "port": port,
            "within": within,
            "retryFor": retryFor,
            "admit": admit,
            "idle": idle,
        }
        try:
            checkOptions(self.mode.value, socketCommand, options)
            self._filter = None if admit is None else AddressFilter(admit)
        except UnfitError as unfit:
            option = str(unfit.option)
            raise BadOption(f"{option}={options[option]!r}: {unfit}") from None
        self.reactor = reactor
        self._settings = TextSettings.BINARY.replaced(
            translation=translation, encoding=encoding, eofChar=eofChar
        )
        self._within = within
        self._acceptUnclosed = acceptUnclosed
        self._idle = idle
        self._retryFor = retryFor or None
        # Here, so that an invalid one is refused at once.
        if isinstance(socketCommand, str):
            socketCommand = Description.parse(socketCommand)
        self._endpoint: Any = openingEndpoint(
            reactor, self.mode, host, port, socketCommand
        )
        self._socketCommand = socketCommand
        self._served: IProtocolFactory | None = None
        self._protocols: tuple[bytes, ...] = ()
        self._reset()

    def _reset(self) -> None:
        self.candidates: Admission | None = None
        self._state = ConnectorState.IDLE
        self._connecting: Deferred[TransferChannel]
        self._running: Deferred[Any] | None
        self._listening: Promise[IAddress] = Promise()
        self._over = _OVER

    @classmethod
    def fromString(cls, reactor: Any, description: str) -> TransferConnector:
        """
        Make a connector of a string.

        :param reactor: the reactor that the connector uses.
        :param description: ``transfer:active:…`` or ``transfer:passive:…``.
        :returns: a connector that does what the description says.
        :raises BadDescription: if the description is invalid.
        """
        return cls.fromDescription(reactor, TransferDescription.parse(description))

    @classmethod
    def fromDescription(
        cls, reactor: Any, description: TransferDescription
    ) -> TransferConnector:
        """
        Make a connector of a description that was read already.

        :param reactor: the reactor that the connector uses.
        :param description: the description.
        :returns: a connector that does what the description says.
        :raises BadDescription: if its socket command is invalid.
        """
        options = dict(vars(description))
        del options["again"]  # a matter of the endpoint that serves
        return cls(reactor, **options)

    def idle(self) -> TransferConnector:
        """
        Find a connector with the options of this one that is free to connect.

        :returns: this connector; while it is connecting, a copy.
        """
        if self._state is ConnectorState.IDLE:
            return self
        another = copy(self)
        another._reset()
        return another

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
        if self._state is not ConnectorState.IDLE:
            raise AlreadyConnecting(
                "this connector is connecting already: wait for that connect(), "
                "cancel it, or use another connector"
            )
        self._step(ConnectorState.CONNECTING)
        if self._listening.fired:
            self._listening = Promise()
        self._over = Promise()
        self._running = None
        self._connecting = connecting = _Connecting(self)
        if self._within is not None:
            within(self.reactor, connecting, self._within, self._tooLate)
        if self.mode is Mode.ACTIVE:
            leftovers = Leftovers()
            attempt = dial(
                self.reactor, self._endpoint, self._retryFor, leftovers, self._protocols
            )
        else:
            self.candidates = admission = Admission(
                self.reactor, self._filter, self._protocols
            )
            if self._served is not None:
                admission.serveBy(self._served)
            leftovers = admission.leftovers
            attempt = listen(self._endpoint, admission, self._bound)
        self._running = attempt
        attempt.addBoth(self._attempted, leftovers)
        return connecting

    def _attempted(self, result: Link | Failure, leftovers: Leftovers) -> None:
        if isinstance(result, Link):
            if self._state is not ConnectorState.CANCELLED:
                self._finished(self._channel(result), leftovers)
                return
            # From within a call of the endpoint's, which nothing could interrupt.
            discard(result, leftovers)
            result = Failure(CancelledError())
        leftovers.then(partial(self._finished, result, leftovers))

    def _channel(self, link: Link) -> TransferChannel:
        dialled = self.mode is Mode.ACTIVE
        return TransferChannel(
            link, self, self._settings, dialled, self._acceptUnclosed, self._idle
        )

    def _tooLate(self) -> str:
        """:returns: the text of the error when the time is over."""
        did = "reached" if self.mode is Mode.ACTIVE else "admitted"
        text = f"no partner was {did} within {self._within:g} seconds"
        story = "" if self.candidates is None else self.candidates.story()
        if story:
            return f"{text}; {story}: the lines in the log say which, and why"
        return f"{text}; start the partner earlier, or give within= more seconds"

    def _step(self, state: ConnectorState) -> None:
        self._state = self._state.then(state, CONNECTOR_STEPS)

    def _cancel(self) -> None:
        if self._state is ConnectorState.CONNECTING:
            self._step(ConnectorState.CANCELLED)
            if self._running is not None:
                self._running.cancel()

    def _finished(
        self, result: TransferChannel | Failure, leftovers: Leftovers
    ) -> None:
        cancelled = self._state is ConnectorState.CANCELLED
        over, connecting = self._over, self._connecting
        self._step(ConnectorState.IDLE)
        if isinstance(result, Failure):
            listening, self._listening = self._listening, Promise()
            listening.fire(result)
            if cancelled and not result.check(CancelledError):
                # It had failed, and was cancelled while something was still left.
                result = Failure(CancelledError())
        connecting.callback(result)
        leftovers.then(lambda: over.fire(None))

    def close(self) -> Deferred[None]:
        """
        End what is under way; ``connect()`` then fails with
        ``CancelledError``.  A channel that was delivered is not touched, and
        the connector can be used again.

        :returns: a Deferred that fires when no port, candidate or timer of
            this connector is left.  It is safe in every state, any number of
            times.
        """
        over = self._over
        self._cancel()
        return over.wait()

    # Listening.

    def _bound(self, address: IAddress) -> None:
        self._listening.fire(address)
        if self._state is ConnectorState.CANCELLED:
            raise CancelledError()  # by one who was told of the address

    def whenListening(self) -> Deferred[Any]:
        """
        Wait for the address that is listened on; for passive connectors.

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
        return self._listening.wait()

    def invitation(self, host: str | None = None) -> Deferred[str]:
        """
        Make the description with which the partner connects; for passive
        connectors.

        Whether the partner can reach the host depends on the networks between;
        over TLS it needs the trust roots, too, by ``trustRoots=``, and over ``mtls``
        with certificates its own, by ``certificate=`` and ``privateKey=``.

        :param host: the host that the partner is to dial; ``None``: the address
            that is listened on.  Where that stands for all of this machine's addresses,
            over ``mtls`` all are named, so that the partner tries them together;
            otherwise it is the one that this machine has towards the outside.
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

    # For the rest of the package.

    def serveBy(self, factory: IProtocolFactory) -> None:
        """
        Say which factory will have the connections, before connecting.

        TLS may agree on one of the protocols that it names (ALPN).

        :param factory: makes the protocols.
        """
        self._served = factory
        self._protocols = ()
        if IProtocolNegotiationFactory.providedBy(factory):
            self._protocols = tuple(factory.acceptableProtocols())
