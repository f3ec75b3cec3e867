"""
Listening for exactly one partner, and closing the port.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IStreamServerEndpoint

from twisted_transfer.channel.link import Link
from twisted_transfer.connecting.admission import Admission
from twisted_transfer.connecting.options import AddressFilter
from twisted_transfer.deferreds import _Leftovers, _severed


class Wait:
    """Listens for exactly one partner."""

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamServerEndpoint,
        onListening: Callable[[IAddress], None],
        addressFilter: AddressFilter | None = None,
    ) -> None:
        """
        :param reactor: measures the time.
        :param endpoint: what to listen on.
        :param onListening: gets the bound address as soon as it is known.
        :param addressFilter: where the partner may come from.
        """
        self._endpoint = endpoint
        self._onListening = onListening
        self._leftovers = _Leftovers()
        self.admission = Admission(reactor, addressFilter)

    def cleared(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._clear())

    async def _clear(self) -> None:
        await self._leftovers.cleared()
        # While the port was closing, some may have come late.
        while not (leaving := self.admission.close()).called:
            await self._leftovers.add(leaving)

    async def run(self) -> Link:
        """
        :raises CannotListenError: (or another one of the endpoint's own) if
            there can be no port.
        """
        link: Link | None = None
        try:
            port = await _severed(
                maybeDeferred(self._endpoint.listen, self.admission), self._stop
            )
            # A port that has our factory has it without a wrapper around it.
            self.admission.wrapped = (
                getattr(port, "factory", self.admission) is not self.admission
            )
            try:
                self._onListening(port.getHost())
                link = await self.admission.winner
            finally:
                self._stop(port)
                self._leftovers.add(self.admission.close())
            # The partner must find the port closed from the moment on in which
            # the user hears of it.
            await self.cleared()
        except Exception as error:
            self._leftovers.add(self.admission.close())
            if link is not None:
                self._leftovers.add(link.whenGone())
                link.abort()
            if isinstance(error, OSError) and not isinstance(error, CannotListenError):
                raise CannotListenError(None, error.filename, error) from error
            raise
        return link

    def _stop(self, port: Any) -> None:
        # Standard input is listened on without a port that could be stopped.
        stop = getattr(port, "stopListening", None)
        if stop is not None:
            self._leftovers.add(maybeDeferred(stop))
