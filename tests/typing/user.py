# Much of Twisted has no annotations, and calling it is no error of a user's.
# mypy: disallow-untyped-calls=False
"""
A program that uses the public names as the README and the how-to pages do.

It is checked as a user's own program is: by ``mypy --strict`` without plugins and
without a configuration, and by pyright.  Nothing runs it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twisted.application.internet import ClientService, StreamServerEndpointService
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    clientFromString,
    serverFromString,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, react
from twisted.protocols.basic import LineOnlyReceiver
from twisted.protocols.wire import Echo
from zope.interface import implementer

from twisted_transfer import (
    BadDescription,
    BytesDestination,
    BytesSource,
    CallableDestination,
    CopyQueue,
    FileDestination,
    FileSource,
    FolderDestination,
    IterableSource,
    Mode,
    NotEnoughData,
    PartnerFailed,
    Receipt,
    Receiver,
    StreamDestination,
    StreamSource,
    TransferChannel,
    TransferConnector,
    TransferError,
    Transmitter,
    Undecodable,
    copy,
    receive,
    receiveFile,
    sendFile,
)
from twisted_transfer.connecting import Admission
from twisted_transfer.descriptions import Description, TransferDescription, quote
from twisted_transfer.errors import AlreadyConnecting
from twisted_transfer.interfaces import Destination, IDestination, ISource, Source
from twisted_transfer.receipts import Watch
from twisted_transfer.testing import (
    Dripper,
    Flooder,
    Garbler,
    HostilePeer,
    Impostor,
    ImpostorServer,
    MemoryListener,
    MemoryTransport,
    Scanner,
    Staller,
    ambush,
    attack,
    memoryPair,
    settle,
    siege,
    thiefEndpoint,
)
from twisted_transfer.text import TextSettings
from twisted_transfer.tls import Identity, PeerIdentity
from twisted_transfer.transfers import receiveRaw, sendRaw
from twisted_transfer.twist import TransferClientEndpoint, TransferServerEndpoint


async def readme(reactor: Any) -> None:
    """Either side dials."""
    waiter = TransferConnector(reactor, mode="passive", port=0)
    waiting = waiter.connect()
    address = await waiter.whenListening()
    dialler = TransferConnector(reactor, host="localhost", port=address.port)
    left, right = await dialler.connect(), await waiting
    left.write(b"it does not matter who dialled\n")
    print(await right.readLine())
    invited = TransferConnector.fromString(reactor, "transfer:passive:mtls:port=0")
    invitation: str = await invited.invitation("192.0.2.7")
    print(invitation, Mode.ACTIVE)
    try:
        invited.connect()
    except AlreadyConnecting as error:
        print(error)
    await invited.close()


async def endpoints(reactor: Any) -> None:
    """Endpoint objects say how the socket is opened, and connectors are some."""
    command = f"unix:{quote('/run/a:b')}"
    TransferConnector(reactor, socketCommand=command, retryFor=1.5, within=60)
    for client in (
        HostnameEndpoint(reactor, "h.example", 4000, attemptDelay=1.0),
        TCP4ClientEndpoint(reactor, "192.0.2.7", 4000),
        UNIXClientEndpoint(reactor, "/run/app.sock"),
        clientFromString(reactor, "tcp:host=h.example:port=4000"),
    ):
        await TransferConnector(reactor, socketCommand=client).connect()
    for server in (
        TCP4ServerEndpoint(reactor, 0),
        serverFromString(reactor, "tcp:port=0"),
    ):
        connector = TransferConnector(
            reactor, "passive", socketCommand=server, admit=["192.0.2.0/24"]
        )
        await connector.connect()
        candidates: Admission | None = connector.candidates
        if candidates is not None:
            print(dict(candidates.dropped))
    connector = TransferConnector.fromString(reactor, "transfer:active:port=1")
    await TransferClientEndpoint(connector).connect(Factory.forProtocol(Echo))
    await TransferServerEndpoint(reactor, connector, again=True).listen(
        Factory.forProtocol(Echo)
    )
    service = serverFromString(reactor, "transfer:passive:tcp:port=4000")
    StreamServerEndpointService(service, Factory.forProtocol(Echo)).startService()
    factory: Any = Factory.forProtocol(Echo)  # ClientService wants zope's interface
    dialling = clientFromString(reactor, "transfer:active:host=h.example:port=1")
    ClientService(dialling, factory).startService()


class Shout(LineOnlyReceiver):
    """Answers each line in capitals."""

    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        """One line."""
        self.sendLine(line.upper())


class Talk(Protocol):
    """A protocol of the user's own."""

    said = 0

    def dataReceived(self, data: bytes) -> None:
        """Some bytes."""
        self.said += len(data)


async def channels(channel: TransferChannel) -> None:
    """A channel is written and read, and ends."""
    channel.write(b"bytes")
    channel.writeSequence([b"more", b"bytes"])
    channel.configure(translation=("auto", "lf"), encoding="utf-8", eofChar="")
    line: bytes = await channel.readLine(limit=100)
    print(line.decode(), await channel.read(10), await channel.readExactly(5))
    async for chunk in channel:
        print(chunk)
    identity: PeerIdentity | None = channel.peerIdentity
    if identity is not None:
        pin: str = identity.pin
        print(pin, identity.certificate.subject.rfc4514_string())
    channel.writeEOF()
    channel.pauseProducing()
    said: int = channel.start(Talk()).said
    channel.start(Shout())
    channel.loseConnection()
    print(said, channel.getPeer(), channel.getHost())
    await channel.whenClosed()


@implementer(ISource)
class Pages:
    """A source of the user's own."""

    size: int | None = None

    def open(self) -> None:
        """Look whether there is something."""

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Write it."""
        consumer.write(b"page")
        return succeed(None)

    def close(self) -> None:
        """Give it back."""


@implementer(IDestination)
class Counted:
    """A destination of the user's own."""

    count = 0

    def open(self) -> None:
        """Look whether it can be stored."""

    def write(self, data: bytes) -> Deferred[None] | None:
        """Take some."""
        self.count += len(data)
        return None

    def finish(self) -> Deferred[None]:
        """All of it has come."""
        return succeed(None)

    def abort(self) -> None:
        """The rest will not come."""


def ends(reactor: Any) -> tuple[list[Source], list[Destination]]:
    """What is a source and what is a destination, for annotations."""
    sources: list[Source] = [Pages(), FileSource("a"), StreamSource(reactor, 0)]
    return sources, [Counted(), FileDestination("to"), BytesDestination()]


def refused(connector: TransferConnector) -> None:
    """One is not taken for the other, nor anything else for one of them."""
    Transmitter(connector, Counted())  # type: ignore[arg-type]
    Transmitter(connector, 5)  # type: ignore[arg-type]
    Receiver(connector, Pages())  # type: ignore[arg-type]
    Receiver(connector, "path")  # type: ignore[arg-type]


async def pieces() -> AsyncIterator[bytes]:
    """What comes piece by piece."""
    yield b"piece"


def progress(count: int, total: int | None, rate: float) -> None:
    """Is told how far it is."""


async def moving(reactor: Any, channel: TransferChannel) -> None:
    """Data go into a channel, and out of it."""
    counted: int = await copy(b"some bytes", channel, size=4)
    await copy(IterableSource(pieces()), channel)
    await copy(IterableSource([b"a", b"b"], size=2), channel)
    await copy("Grüße\n", channel, encoding="utf-8", translation="crlf")
    await copy(FileSource("list.txt"), channel, blockSize=8, progress=progress)
    await copy(Pages(), channel)
    memory = BytesDestination(maxSize=1000)
    counted += await receive(channel, memory, size=4)
    counted += await receive(channel, CallableDestination(print))
    await receive(channel, Counted(), progress)
    print(memory.data, counted)
    queue = CopyQueue(channel, onStatusChange=lambda pending, busy: None)
    copies = [queue.put(bytes(200_000)), queue.put(FileSource("a")), queue.put("text")]
    copies[1].cancel()
    print(queue.pending, queue.busy, [await one for one in copies])
    await sendRaw(reactor, BytesSource(b"bytes"), channel)
    await receiveRaw(channel, StreamDestination(reactor, 1))


class Told(Watch):
    """Is told how a transfer goes on."""

    def connecting(self, connector: TransferConnector) -> None:
        """It is dialling, or listens."""
        connector.invitation().addCallback(print)

    def connected(self, channel: TransferChannel) -> None:
        """The partner is there."""
        print(channel.getPeer())

    def checks(self, name: str | None, size: int) -> Any:
        """What is there of a file is read."""
        return progress

    def begins(self, name: str | None, size: int | None, offset: int) -> Any:
        """A file begins to move."""
        return progress

    def ends(self, receipt: Receipt) -> None:
        """It is stored."""
        print(receipt.name, receipt.digest)


async def transfers(connector: TransferConnector, reactor: Any) -> None:
    """Whole transfers end with receipts."""
    sent: int = await sendFile(connector, "report.pdf")
    received: int = await receiveFile(connector, "report.pdf", force=True)
    paths = ["a", "b"]
    transmitter = Transmitter(connector, [FileSource(path) for path in paths])
    await transmitter.start()
    for receipt in transmitter.receipts:
        print(receipt.name, "is stored,", receipt.size, "bytes", sent, received)
    await Transmitter(connector, FileSource("a")).start()
    await Transmitter(connector, [Pages(), BytesSource(b"bytes")]).start()
    await Transmitter(connector, StreamSource(reactor, 0), raw=True).start()
    receiver = Receiver(connector, FolderDestination("incoming"), maxSize=10**9)
    starting = receiver.start()
    address = await receiver.whenListening()
    print(address.port, await receiver.invitation(), receiver.busy, await starting)
    await Receiver(connector, FileDestination("to", force=True)).start()
    await Receiver(connector, Counted(), watch=Told()).start()


def errors() -> None:
    """Errors have a common root, and say more where there is more."""
    try:
        parsed = TransferDescription.parse("transfer:active:tcp:host=h:port=1")
        command: Description | None = parsed.socketCommand
        print(parsed.toString(), command)
    except NotEnoughData as error:
        print(error.expected, error.partial)
    except Undecodable as error:
        print(error.offset)
    except PartnerFailed as error:
        print(error.kind, error.reason)
    except BadDescription as error:
        print(error)
    except TransferError:
        pass
    settings = TextSettings.BINARY.replaced(encoding="utf-8", translation="crlf")
    print(settings.newDecoder().feed(b"bytes"), settings.newEncoder().encode("text"))


def memory() -> None:
    """Tests have a network in memory, and hostile peers on it."""
    clock = Clock()
    ours, partner = memoryPair(clock)
    partner.write(b"hello\n")
    settle(clock)
    ours.start(Shout())
    listener = MemoryListener(clock)
    listener.listen(Factory.forProtocol(Shout))
    listener.client("127.0.0.2").connect(Factory.forProtocol(Talk))
    TransferConnector(clock, "passive", socketCommand=listener, admit=["127.0.0.1"])
    TransferConnector(clock, socketCommand=listener.client())
    attacking = attack(clock, listener.client("127.0.0.2"), Staller)
    attacking.addCallback(lambda peer: print(peer.outcome, peer.received))
    attack(clock, listener.client(), lambda: Dripper(clock, 1, data=b"Ada"))
    attack(clock, listener.client(), Garbler.http)
    identity = Identity.ephemeral()
    attack(clock, listener.client(), lambda: Impostor(clock, identity=identity))
    ambush(clock, listener, lambda: ImpostorServer(clock))
    address = IPv4Address("TCP", "127.0.0.1", 4000)
    left, right = MemoryTransport.pair(clock, address, address)
    left.attach(Talk())
    right.attach(Shout())


class Shouter(HostilePeer):
    """A hostile peer of the user's own."""

    def begin(self) -> None:
        """It is connected."""
        self.send(b"HELO\r\n" * 1000)
        self.leave()


async def sockets(reactor: Any) -> None:
    """The same peers come over the network of the system."""
    endpoint = thiefEndpoint(reactor, "127.0.0.1", 4000)
    outcomes = await siege(
        reactor, lambda: endpoint, [Scanner, Shouter, Flooder], 200, 20
    )
    print(outcomes["stayed"] + outcomes["refused"])
    client = TCP4ClientEndpoint(reactor, "127.0.0.1", 4000)
    guest = await attack(reactor, client, lambda: Garbler(data=b"Ada\n"))
    print(guest.received)


if __name__ == "__main__":
    react(readme)
