"""
Listening for exactly one partner, and closing the port.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress

from twisted_transfer.channel.link import Link
from twisted_transfer.connecting.admission import Admission
from twisted_transfer.deferreds import severed


class Wait:
    """
    Listens for exactly one partner.

    :ivar admission: decides who the partner is.
    :ivar leftovers: what is not gone yet.
    """

    def __init__(
        self,
        endpoint: Any,
        onListening: Callable[[IAddress], None],
        admission: Admission,
    ) -> None:
        """
        :param endpoint: what to listen on.
        :param onListening: gets the bound address as soon as it is known.
        :param admission: decides who the partner is.
        """
        self._endpoint = endpoint
        self._onListening = onListening
        self._admission = admission
        self.leftovers = admission.leftovers

    async def run(self) -> Link:
        """
        Listen until the partner is admitted, then close the port.

        :returns: the connection, when the port is closed.
        :raises CannotListenError: (or another error of the endpoint's) if there can
            be no port.
        """
        admission = self._admission
        link: Link | None = None
        try:
            port = await severed(
                maybeDeferred(self._endpoint.listen, admission), self._stop
            )
            # A port that has our factory has it without a wrapper around it.
            admission.wrapped = getattr(port, "factory", admission) is not admission
            try:
                self._onListening(port.getHost())
                link = await admission.winner
            finally:
                self._stop(port)
                admission.close()
            # The partner must find the port closed from the moment on in which
            # the user hears of it.
            await self.leftovers.cleared()
        except Exception as error:
            admission.close()
            if link is not None:
                self.leftovers.add(link.whenGone())
                link.abort()
            if isinstance(error, OSError) and not isinstance(error, CannotListenError):
                raise CannotListenError(None, error.filename, error) from error
            raise
        return link

    def _stop(self, port: Any) -> None:
        # Standard input is listened on without a port that could be stopped.
        stop = getattr(port, "stopListening", None)
        if stop is not None:
            self.leftovers.add(maybeDeferred(stop))
