"""
Which application protocol TLS agrees on (ALPN), whoever dials.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from twisted_transfer import PeerRefused, TransferConnector
from twisted_transfer.descriptions.strings import quote
from twisted_transfer.twist.endpoints import TransferClientEndpoint

reactor: Any = _reactor


class Agreed(Protocol):
    """Looks at what was agreed on, as the protocols of ``twisted.web`` do."""

    def connectionMade(self) -> None:
        self.ended: Deferred[None] = Deferred()
        self.agreed = self.transport.negotiatedProtocol  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)


class Silent(Factory):
    """An application that names no protocols."""

    noisy = False

    def __init__(self) -> None:
        self.made: Deferred[Agreed] = Deferred()

    def buildProtocol(self, addr: Any) -> Agreed:
        protocol = Agreed()
        reactor.callLater(0, self.made.callback, protocol)
        return protocol


@implementer(IProtocolNegotiationFactory)
class Naming(Silent):
    """An application that names some."""

    def __init__(self, *names: bytes) -> None:
        super().__init__()
        self._names = names

    def acceptableProtocols(self) -> list[bytes]:
        return list(self._names)


class ALPNTestCase(TestCase):
    """With certificates of one authority."""

    timeout = 20

    def setUp(self) -> None:
        self.authority = Authority(newFolder(self))
        self.certificate, self.key = self.authority.issue()
        self.both = self.certificate.parent / "both.pem"
        self.both.write_bytes(self.certificate.read_bytes() + self.key.read_bytes())
        self.pair = f"certificate={self.certificate}:privateKey={self.key}"
        self.roots = self.authority.trustRoots

    def listening(self) -> dict[str, str]:
        """:returns: the server of each kind, and what dials it."""
        at, mutual = "interface=127.0.0.1", f"mtls:{self.pair}"
        return {
            f"ssl:port=0:{at}:certKey={self.certificate}:privateKey={self.key}": "tls",
            f"tls:path={self.both}:port=0:interface=\\:\\:1": "tls",
            f"mtls:port=0:{at}:{self.pair}:trustRoots={self.roots}": mutual,
        }

    def active(self, kind: str, address: Any) -> str:
        """:returns: a description that dials an address."""
        return (
            f"transfer:active:{kind}:host={quote(address.host)}:port={address.port}"
            f":trustRoots={self.roots}"
        )


class CellTests(ALPNTestCase):
    """Each of the four ways of using a transfer endpoint."""

    async def agreed(
        self, dialler: Any, awaiting: Any, listens: str, dials: str, server: bool
    ) -> list[bytes | None]:
        """
        Connect the factories.

        :param server: whether the server waits for its partner.
        :returns: what the dialling one and the other one have agreed on.
        """
        passive = f"transfer:passive:{listens}"
        if server:
            port = await serverFromString(reactor, passive).listen(awaiting)
            active = self.active(dials, port.getHost())
            await clientFromString(reactor, active).connect(dialler)
        else:
            connector = TransferConnector.fromString(reactor, passive)
            waiting = TransferClientEndpoint(connector).connect(awaiting)
            active = self.active(dials, await connector.whenListening())
            await serverFromString(reactor, active).listen(dialler)
            await waiting
        ends = [await dialler.made, await awaiting.made]
        ends[0].transport.loseConnection()
        for end in ends:
            await end.ended
        return [end.agreed for end in ends]

    async def test_named(self) -> None:
        """
        Both factories count in every cell: the side that dials offers, and the one
        that listens takes the first of its own that is offered.
        """
        for server in (True, False):
            for listens, dials in self.listening().items():
                dialler = Naming(b"a", b"b", b"c")
                awaiting = Naming(b"d", b"c", b"b")
                agreed = await self.agreed(dialler, awaiting, listens, dials, server)
                self.assertEqual(agreed, [b"c", b"c"], (listens, server))

    async def test_ignored(self) -> None:
        """An offer to an application that names none is ignored, in every cell."""
        for server in (True, False):
            for listens, dials in self.listening().items():
                agreed = await self.agreed(
                    Naming(b"a"), Silent(), listens, dials, server
                )
                self.assertEqual(agreed, [None, None], (listens, server))

    async def test_notOffered(self) -> None:
        """Without an offer nothing is agreed on, whatever the one that waits names."""
        for server in (True, False):
            for listens, dials in self.listening().items():
                agreed = await self.agreed(
                    Silent(), Naming(b"a"), listens, dials, server
                )
                self.assertEqual(agreed, [None, None], (listens, server))


class OfferTests(ALPNTestCase):
    """A client of Python's own that offers protocols."""

    def offers(self, address: Any, *names: str) -> str | None:
        """:returns: what the server has selected, when it has closed."""
        # The default context of Python 3.13 demands an authority key identifier, which
        # these certificates do not have.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=str(self.roots / "ca.pem"))
        context.load_cert_chain(self.certificate, self.key)
        context.set_alpn_protocols(names)
        with (
            socket.create_connection((address.host, address.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            selected = client.selected_alpn_protocol()
            self.assertEqual(client.recv(1), b"")
            return selected

    def refused(self, failure: Failure, connecting: Deferred[Any]) -> Failure:
        """Do not wait for a partner that was refused."""
        connecting.cancel()
        return failure

    async def test_connector(self) -> None:
        """A connector alone, without an application, ignores the offer."""
        for listens in self.listening():
            connector = TransferConnector.fromString(
                reactor, f"transfer:passive:{listens}"
            )
            connecting = connector.connect()
            address = await connector.whenListening()
            selecting = deferToThread(self.offers, address, "h2")
            selecting.addErrback(self.refused, connecting)
            try:
                channel = await connecting
            except CancelledError:
                await selecting
            channel.loseConnection()
            self.assertIsNone(await selecting)
            await channel.whenClosed()

    async def test_none(self) -> None:
        """One that offers only others is told so, and the next one is served."""
        for listens in self.listening():
            factory = Naming(b"a", b"h2")
            port: Any = await serverFromString(
                reactor, f"transfer:passive:{listens}"
            ).listen(factory)
            with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
                await deferToThread(self.offers, port.getHost(), "b")
            selecting = deferToThread(self.offers, port.getHost(), "b", "h2")
            served = await factory.made
            self.assertEqual(served.agreed, b"h2")
            served.transport.loseConnection()  # type: ignore[union-attr]
            self.assertEqual(await selecting, "h2")
            await served.ended

    async def test_refused(self) -> None:
        """A dial that offers only others says that it was refused."""
        port: Any = await serverFromString(
            reactor, f"transfer:passive:{next(iter(self.listening()))}"
        ).listen(Naming(b"a"))
        dialling = clientFromString(reactor, self.active("tls", port.getHost()))
        with self.assertRaisesRegex(PeerRefused, "no application protocol"):
            await dialling.connect(Naming(b"b"))
        await port.stopListening()
