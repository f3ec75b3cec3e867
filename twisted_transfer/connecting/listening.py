"""
Listening for exactly one partner, and closing the port.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

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
    port.doRead = partial(_acceptFew, port)


def _acceptFew(port: Any) -> object:
    port.numberAccepts = ACCEPTS
    return type(port).doRead(port)


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


def listen(
    endpoint: Any, admission: Admission, onListening: Callable[[IAddress], None]
) -> Deferred[Link]:
    """
    Listen until the partner is admitted, then close the port.

    Thousands of connectors may be waiting at a time, so there is no coroutine that
    waits: its frame, and what runs it, take more memory than all else.

    :param endpoint: the endpoint to listen on.
    :param admission: decides who the partner is; its leftovers get the port and
        the connections that are dropped.
    :param onListening: gets the bound address as soon as it is known.
    :returns: a Deferred with the connection, when the port is closed.  It fails with
        ``CannotListenError`` (or another error of the endpoint's) if there can be no
        port.  It may be cancelled.
    """
    listening: Deferred[Any] = severed(
        maybeDeferred(endpoint.listen, admission), partial(_stop, admission)
    )
    return listening.addCallbacks(
        _wait,
        _failed,
        callbackArgs=(admission, onListening),
        errbackArgs=(admission,),
    )


def _stop(admission: Admission, port: Any) -> None:
    """Stop listening."""
    # Standard input is listened on without a port that could be stopped.
    if hasattr(port, "stopListening"):
        admission.leftovers.add(maybeDeferred(port.stopListening))


def _wait(
    port: Any, admission: Admission, onListening: Callable[[IAddress], None]
) -> Deferred[Link]:
    """Tell where the port is, and wait for the partner."""
    acceptFew(port)
    # A port that has our factory has it without a wrapper around it.
    admission.wrapped = getattr(port, "factory", admission) is not admission
    try:
        onListening(port.getHost())
    except Exception:
        _stop(admission, port)
        admission.close()
        raise
    return admission.winner.addBoth(_close, port, admission)


def _close(result: Link | Failure, port: Any, admission: Admission) -> Any:
    """Close the port, and wait until it and all who are dropped are gone."""
    _stop(admission, port)
    admission.close()
    if isinstance(result, Failure):
        return result
    link = result

    def failed(failure: Failure) -> Failure:
        discard(link, admission.leftovers)
        return failure

    # The partner must find the port closed from the moment on in which the
    # user hears of it.
    return admission.leftovers.cleared().addCallbacks(lambda ignored: link, failed)


def _failed(failure: Failure, admission: Admission) -> Failure:
    """Admit nobody, and say in Twisted's way why there could be no port."""
    admission.close()
    error = failure.value
    if isinstance(error, CannotListenError):
        removeLock(error)
    if isinstance(error, OSError):
        raise CannotListenError(None, error.filename, error) from error
    return failure
