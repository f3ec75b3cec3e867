"""
What sources and destinations have to provide.

Each contract has two forms.  A class declares the interface (``ISource``,
``ILimitedSource``, ``IDestination``) with ``zope.interface.implementer``, which is
what functions of this library ask for when they run.  The protocols (``Source``,
``LimitedSource``, ``Destination``) are for annotations: type checkers compare the
methods of a class with them, and need no plugin for that.
"""

# ruff: noqa: N805  (a zope interface declares its methods without self)

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from zope.interface import Attribute, Interface


class ISource(Interface):
    """
    A source of bytes to send.

    One source is good for one copy: ``open``, then either
    ``startProducing`` or ``close``.
    """

    size: int | None = Attribute(
        "How many bytes there are, as an int, or None if unknown; it is final "
        "once open() has returned."
    )

    def open() -> None:
        """
        Open the source, so that what cannot be read is known before anybody is
        asked to take it.  Opening what is open already does nothing.

        :raises SourceError: if it cannot be read.
        """

    def startProducing(consumer: IConsumer) -> Deferred[None]:
        """
        Write everything to the consumer, no faster than it takes it.

        The source opens itself if it is not open, registers itself with the
        consumer as a producer, and takes itself off and closes itself before
        the Deferred fires.

        :param consumer: an ``IConsumer`` provider.
        :returns: a ``Deferred`` that fires with None after the last byte was
            written.  It fails with ``SourceError`` if the bytes cannot be had,
            and with ``Truncated`` if the consumer wants no more.  Cancelling
            it stops the source.
        """

    def close() -> None:
        """
        Release what ``open`` took; nothing more is read.

        It may be called at any time, and more than once.
        """


class ILimitedSource(ISource):
    """
    A source that reads no more than it is asked for.

    From any other source a copy with a ``size`` takes what it needs, and drops the
    rest of the last piece; one with a ``blockSize`` cuts the pieces.
    """

    def limit(size: int | None, blockSize: int | None) -> None:
        """
        Set how much to give; called before ``startProducing``.

        :param size: end in order after so many bytes, and leave what comes
            behind them unread where it is; None for no such limit.
        :param blockSize: write at most so many bytes at once; None for as many
            as the source likes.
        """


class IDestination(Interface):
    """
    A destination for received bytes.

    One destination is good for one copy: ``open``, any number of ``write``,
    then either ``finish`` or ``abort``.
    """

    def open() -> None:
        """
        Open the destination, so that what cannot be stored is known before anybody
        is asked to send it.  Opening what is open already does nothing.

        :raises DestinationError: if they cannot.
        """

    def write(data: bytes) -> Deferred[None] | None:
        """
        Store some bytes; the destination opens itself if it is not open.

        :param data: the next bytes.
        :returns: None when the next bytes may come at once, or a ``Deferred``
            that fires with None when they may, or fails with
            ``DestinationError``.  No bytes may come before it has fired.
        :raises DestinationError: if they cannot be stored.
        """

    def finish() -> Deferred[None]:
        """
        Store for good what was written: everything has come.

        :returns: a ``Deferred`` that fires with None when it is stored, or
            fails with ``DestinationError``; then, and when it is cancelled,
            ``abort`` has still to be called.
        """

    def abort() -> None:
        """
        Leave nothing behind that looks whole: the rest will not come.

        It may be called at any time, and more than once; after ``finish`` has
        succeeded it does nothing.
        """


class Source(Protocol):
    """The type of what provides :class:`ISource`."""

    @property
    def size(self) -> int | None:
        """See :class:`ISource`."""

    def open(self) -> None:
        """See :meth:`ISource.open`."""

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """See :meth:`ISource.startProducing`."""

    def close(self) -> None:
        """See :meth:`ISource.close`."""


class LimitedSource(Source, Protocol):
    """The type of what provides :class:`ILimitedSource`."""

    def limit(self, size: int | None, blockSize: int | None) -> None:
        """See :meth:`ILimitedSource.limit`."""


class Destination(Protocol):
    """The type of what provides :class:`IDestination`."""

    def open(self) -> None:
        """See :meth:`IDestination.open`."""

    def write(self, data: bytes) -> Deferred[None] | None:
        """See :meth:`IDestination.write`."""

    def finish(self) -> Deferred[None]:
        """See :meth:`IDestination.finish`."""

    def abort(self) -> None:
        """See :meth:`IDestination.abort`."""


# What Twisted's interfaces say, for type checkers that do not know zope's: what
# users hand over is annotated with these.


class ClientEndpoint(Protocol):
    """What an ``IStreamClientEndpoint`` has, for type checkers."""

    def connect(self, protocolFactory: Any, /) -> Deferred[Any]:
        """Dial, and give the connection to a protocol of the factory."""


class ServerEndpoint(Protocol):
    """What an ``IStreamServerEndpoint`` has, for type checkers."""

    def listen(self, protocolFactory: Any, /) -> Deferred[Any]:
        """Listen, and give each connection to a protocol of the factory."""


class StreamProtocol(Protocol):
    """What an ``IProtocol`` has, for type checkers."""

    def makeConnection(self, transport: Any, /) -> Any:
        """Take the transport."""

    def dataReceived(self, data: Any, /) -> Any:
        """Take some bytes."""

    def connectionLost(self, reason: Any, /) -> Any:
        """Hear that the connection has ended, and how."""
