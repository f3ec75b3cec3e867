"""
What a user writes, and the types that it has.

mypy checks this file with all others, with mypy-zope; ``user.py`` is for those who do
not use that.  A public name without a type, or with another one than stands here,
fails there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IListeningPort,
    IProtocol,
    IPushProducer,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from twisted_transfer import (
    BadDescription,
    BadOption,
    BytesDestination,
    BytesSource,
    CallableDestination,
    CopyQueue,
    FileDestination,
    FileSource,
    IterableSource,
    Mode,
    NotEnoughData,
    StreamDestination,
    StreamSource,
    TransferChannel,
    TransferConnector,
    TransferError,
    Undecodable,
    copy,
    receive,
)
from twisted_transfer.connecting import Admission
from twisted_transfer.descriptions import Description, TransferDescription, quote
from twisted_transfer.interfaces import IDestination, ISource
from twisted_transfer.testing import memoryPair, settle
from twisted_transfer.text import TextSettings
from twisted_transfer.tls import PeerIdentity
from twisted_transfer.transfers import sendRaw
from twisted_transfer.twist import TransferClientEndpoint, TransferServerEndpoint

if TYPE_CHECKING:
    from typing_extensions import assert_type


async def connecting(reactor: Any) -> None:
    """A connector gives a channel, however it is made."""
    channel = await TransferConnector(reactor, host="h.example", port=4000).connect()
    assert_type(channel, TransferChannel)
    passive = TransferConnector(reactor, Mode.PASSIVE, admit=["192.0.2.0/24"], within=3)
    assert_type(passive.connect(), Deferred[TransferChannel])
    assert_type(passive.whenListening(), Deferred[Any])
    assert_type(passive.close(), Deferred[None])
    assert_type(passive.candidates, Admission | None)
    assert_type(passive.mode, Mode)
    fromString = TransferConnector.fromString(reactor, "transfer:passive:port=0")
    assert_type(fromString, TransferConnector)
    command = f"unix:{quote('/run/a:b')}"
    TransferConnector(reactor, "active", socketCommand=command, retryFor=1.5)


def refused(reactor: Any) -> None:
    """What cannot be is found before it runs."""
    TransferConnector(reactor, 1)  # type: ignore[arg-type]
    TransferConnector(reactor, port="4000")  # type: ignore[arg-type]
    TransferConnector(reactor, socketCommand=4000)  # type: ignore[arg-type]
    TransferConnector(reactor, colour="red")  # type: ignore[call-arg]
    TransferConnector.fromString(reactor, b"transfer:active")  # type: ignore[arg-type]


async def using(channel: TransferChannel) -> None:
    """A channel is written and read, and ends."""
    transport: ITransport = channel
    consumer: IConsumer = channel
    producer: IPushProducer = channel
    del transport, consumer, producer
    channel.write(b"bytes")
    channel.write("text")
    channel.write(1)  # type: ignore[arg-type]
    channel.configure(translation=("auto", "lf"), encoding="utf-8", eofChar="")
    assert_type(channel.read(), Deferred[Any])
    assert_type(channel.readExactly(10), Deferred[Any])
    assert_type(channel.readLine(limit=100), Deferred[Any])
    async for chunk in channel:
        assert_type(chunk, Any)
    channel.writeEOF()
    channel.loseConnection()
    assert_type(channel.whenClosed(), Deferred[None])
    assert_type(channel.getPeer(), IAddress)
    assert_type(channel.connector, TransferConnector | None)
    assert_type(channel.peerIdentity, PeerIdentity | None)
    if channel.peerIdentity is not None:
        assert_type(channel.peerIdentity.pin, str)


class Talk(Protocol):
    """A protocol of the user's own."""

    said = 0


def starting(channel: TransferChannel) -> None:
    """What is started is what comes back."""
    assert_type(channel.start(Talk()), Talk)
    assert_type(channel.start(Talk()).said, int)


def endpoints(reactor: Any, connector: TransferConnector) -> None:
    """Connectors are endpoints of Twisted's."""
    client: IStreamClientEndpoint = TransferClientEndpoint(connector)
    server: IStreamServerEndpoint = TransferServerEndpoint(reactor, connector, True)
    del client, server
    connecting = TransferClientEndpoint(connector).connect(Factory())
    assert_type(connecting, Deferred[IProtocol])
    listening = TransferServerEndpoint(reactor, connector).listen(Factory())
    assert_type(listening, Deferred[IListeningPort])


async def moving(reactor: Any, channel: TransferChannel) -> None:
    """Sources and destinations, and what moves between them."""
    source: ISource = FileSource("from")
    source = StreamSource(reactor, 0)
    source = BytesSource(b"bytes")
    source = IterableSource([b"bytes"], size=5)
    source = IterableSource(channel)
    destination: IDestination = FileDestination("to", force=True, reactor=reactor)
    destination = StreamDestination(reactor, 1)
    destination = CallableDestination(print, onFinish=print, onAbort=print)
    memory = BytesDestination(maxSize=100)
    destination = memory
    assert_type(memory.data, bytes)

    def progress(count: int, total: int | None, rate: float) -> None:
        """Is told how far it is."""

    assert_type(await copy(source, channel, 5, 1024, progress), int)
    assert_type(await copy("text", channel, encoding="utf-8"), int)
    queue = CopyQueue(channel, lambda pending, busy: print(pending, busy))
    assert_type(queue.put(b"bytes", size=3, progress=progress), Deferred[int])
    assert_type((queue.pending, queue.busy), tuple[int, bool])
    assert_type(await sendRaw(reactor, source, channel, progress), int)
    assert_type(await receive(channel, destination, progress, size=5), int)


def descriptions() -> None:
    """Strings are read and written."""
    description = TransferDescription.parse("transfer:active:tcp:host=h:port=1")
    assert_type(description, TransferDescription)
    assert_type(description.socketCommand, Description | None)
    assert_type(description.within, float | None)
    assert_type(description.toString(), str)


def errors() -> None:
    """Errors have a common root, and say more where there is more."""
    try:
        descriptions()
    except NotEnoughData as error:
        assert_type(error.expected, int)
    except Undecodable as error:
        assert_type(error.offset, int)
    except BadDescription as error:
        option: BadOption = error
        value: ValueError = error
        del option, value
    except TransferError:
        pass


def testing() -> None:
    """Tests have a pair of channels."""
    clock = Clock()
    assert_type(memoryPair(clock), tuple[TransferChannel, TransferChannel])
    settle(clock)


def text() -> None:
    """The codec by itself."""
    settings = TextSettings.BINARY.replaced(encoding="utf-8", translation="crlf")
    assert_type(settings, TextSettings)
    assert_type(settings.newDecoder().feed(b"bytes"), str | bytes)
    assert_type(settings.newEncoder().encode("text"), bytes)
