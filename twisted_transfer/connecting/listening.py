"""
Listening for exactly one partner, and closing the port.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress

from twisted_transfer.channel.link import Link
from twisted_transfer.connecting.admission import Admission, discard
from twisted_transfer.deferreds import severed

ACCEPTS = 20
"""How many connections a port accepts at a time, in one turn of the reactor."""


def acceptFew(port: Any) -> None:
    """
    Bound how many connections a port accepts at a time.

    A port of Twisted's accepts 100 at a time, and more and more of them while more
    come.  In a flood all of these would be taken in, and as many driven out, between
    two messages of the partner's.  Those that are not accepted wait in the system's
    queue, in which the flood has no more right than the partner.

    :param port: listens; one that is not a port of Twisted's is left as it is.
    """
    if not hasattr(port, "numberAccepts"):
        return
    accept = port.doRead

    def doRead() -> object:
        port.numberAccepts = ACCEPTS
        return accept()

    port.doRead = doRead


def removeLock(error: CannotListenError) -> None:
    """
    Remove the lock that Twisted leaves beside the path of a UNIX socket that it could
    not bind.

    :param error: why it could not.  If another port holds the lock, that is the
        reason, and not an error of the system's.
    """
    path, pid = error.port, str(os.getpid()).encode()
    if isinstance(path, bytes) and isinstance(error.socketError, OSError):
        with suppress(OSError):
            if os.readlink(path + b".lock") == pid:
                os.unlink(path + b".lock")


async def listen(
    endpoint: Any, admission: Admission, onListening: Callable[[IAddress], None]
) -> Link:
    """
    Listen until the partner is admitted, then close the port.

    :param endpoint: the endpoint to listen on.
    :param admission: decides who the partner is; its leftovers get the port and
        the connections that are dropped.
    :param onListening: gets the bound address as soon as it is known.
    :returns: the connection, when the port is closed.
    :raises CannotListenError: (or another error of the endpoint's) if there can be
        no port.
    """
    leftovers = admission.leftovers

    def stop(port: Any) -> None:
        # Standard input is listened on without a port that could be stopped.
        if hasattr(port, "stopListening"):
            leftovers.add(maybeDeferred(port.stopListening))

    link: Link | None = None
    try:
        port = await severed(maybeDeferred(endpoint.listen, admission), stop)
        acceptFew(port)
        # A port that has our factory has it without a wrapper around it.
        admission.wrapped = getattr(port, "factory", admission) is not admission
        try:
            onListening(port.getHost())
            link = await admission.winner
        finally:
            stop(port)
            admission.close()
        # The partner must find the port closed from the moment on in which the
        # user hears of it.
        await leftovers.cleared()
    except Exception as error:
        admission.close()
        if link is not None:
            discard(link, leftovers)
        if isinstance(error, CannotListenError):
            removeLock(error)
        if isinstance(error, OSError):
            raise CannotListenError(None, error.filename, error) from error
        raise
    return link
