"""
``mtls`` over real sockets: both sides prove themselves, or there is no channel.
"""

from __future__ import annotations

import re
import socket
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import TestCase

from tests.support.certificates import Authority
from tests.support.contract import ChannelContract
from tests.support.folders import newFolder
from twisted_transfer import (
    BadDescription,
    NotAdmitted,
    PeerRefused,
    TransferChannel,
    TransferConnector,
)
from twisted_transfer.descriptions.strings import quote
from twisted_transfer.tls.keys import Identity, Secret

reactor: Any = _reactor


async def ended(*channels: TransferChannel) -> None:
    """Close some channels and wait until they are gone."""
    for channel in channels:
        channel.loseConnection()
    for channel in channels:
        await channel.whenClosed()


async def abandoned(connector: TransferConnector, connecting: Deferred[Any]) -> None:
    """End an attempt that nobody came to."""
    connecting.addErrback(lambda failure: failure.trap(CancelledError))
    await connector.close()


class MutualTLSTests(ChannelContract, TestCase):
    """Channels by invitation are put through the one contract."""

    halfCloses = False

    async def pair(self) -> tuple[TransferChannel, TransferChannel]:
        waiter = TransferConnector.fromString(reactor, "transfer:passive:mtls:port=0")
        waiting = waiter.connect()
        invitation = await waiter.invitation("127.0.0.1")
        left = await TransferConnector.fromString(reactor, invitation).connect()
        return left, await waiting


class InvitationTests(TestCase):
    """Who has the invitation is the partner; nobody else is."""

    timeout = 20

    async def invite(self) -> tuple[TransferConnector, Deferred[Any], str]:
        connector = TransferConnector.fromString(
            reactor, "transfer:passive:mtls:port=0:interface=127.0.0.1"
        )
        waiting = connector.connect()
        return connector, waiting, await connector.invitation()

    def dial(self, invitation: str) -> Deferred[Any]:
        return TransferConnector.fromString(reactor, invitation).connect()

    async def test_bothAreKnown(self) -> None:
        """Each side knows the key of the other, as the invitation says."""
        _, waiting, invitation = await self.invite()
        left = await self.dial(invitation)
        right = await waiting
        pin = re.search("pin=([^:]*)", invitation)
        secret = re.search("secret=([^:]*)", invitation)
        assert pin is not None and secret is not None
        assert left.peerIdentity is not None
        self.assertEqual(left.peerIdentity.pin, pin[1])
        self.assertEqual(
            right.peerIdentity.pin, Secret.fromText(secret[1]).identity().pin
        )
        await ended(left, right)

    async def test_impostors(self) -> None:
        """
        A wrong secret, an old secret, and a right pin with a secret of another
        are refused by this side, and hear it; a wrong pin is refused by the
        dialling side.  The partner is admitted after them all.
        """
        old, oldWaiting, oldInvitation = await self.invite()
        await abandoned(old, oldWaiting)
        connector, waiting, invitation = await self.invite()
        oldSecret = re.search("secret=([^:]*)", oldInvitation)
        assert oldSecret is not None
        for secret in (Secret.fresh().text, oldSecret[1]):
            with self.assertRaises(PeerRefused):
                await self.dial(re.sub("secret=[^:]*", f"secret={secret}", invitation))
        with self.assertRaisesRegex(NotAdmitted, "none of those"):
            wrong = Identity.ephemeral().pin
            await self.dial(re.sub("pin=[^:]*", f"pin={wrong}", invitation))
        self.assertFalse(waiting.called)
        left = await self.dial(invitation)
        await ended(left, await waiting)
        counters = connector.candidates
        assert counters is not None
        self.assertEqual((counters.accepted, counters.admitted), (4, 1))

    async def test_severalHosts(self) -> None:
        """
        Another machine may have one of the addresses, silent or with an ``mtls`` port
        of its own: the partner is found behind it.
        """
        with socket.socket() as silent:
            silent.bind(("127.0.0.3", 0))
            silent.listen()
            port = silent.getsockname()[1]
            other, partner = (
                TransferConnector.fromString(
                    reactor, f"transfer:passive:mtls:port={port}:interface={host}"
                )
                for host in ("127.0.0.2", "127.0.0.1")
            )
            strangers, waiting = other.connect(), partner.connect()
            hosts = "127.0.0.3,127.0.0.2,127.0.0.1"
            left = await self.dial(await partner.invitation(hosts))
            right = await waiting
            left.write(b"hello")
            self.assertEqual(await right.readExactly(5), b"hello")
            self.assertEqual(left.getPeer().host, "127.0.0.1")
            await ended(left, right)
            await abandoned(other, strangers)

    async def test_onceOnly(self) -> None:
        """A secret is good for one admission, also when the port is the same."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        connector = TransferConnector.fromString(
            reactor, f"transfer:passive:mtls:port={port}:interface=127.0.0.1"
        )
        waiting = connector.connect()
        first = await connector.invitation()
        left = await self.dial(first)
        await ended(left, await waiting)
        with self.assertRaises(ConnectionRefusedError):
            await self.dial(first)
        waiting = connector.connect()
        second = await connector.invitation()
        self.assertNotEqual(first, second)
        with self.assertRaises((PeerRefused, NotAdmitted)):
            await self.dial(first)
        left = await self.dial(second)
        await ended(left, await waiting)

    async def test_secretIsNotLogged(self) -> None:
        """A secret is in no log line, no repr and no error."""
        events: list[str] = []

        def note(event: Any) -> None:
            events.append(repr(event))

        observe: Any = note
        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        connector, waiting, invitation = await self.invite()
        secret = re.search("secret=([^:]*)", invitation)
        assert secret is not None
        dialler = TransferConnector.fromString(reactor, invitation)
        left = await dialler.connect()
        right = await waiting
        shown = [repr(each) for each in (connector, dialler, left, right)]
        await ended(left, right)
        try:
            await self.dial(invitation)
        except ConnectionRefusedError as error:
            shown.append(repr(error))
        try:
            TransferConnector.fromString(reactor, invitation + ":nonsense=1")
        except BadDescription as error:
            shown.append(repr(error))
        self.assertEqual(len(shown), 6)
        self.assertTrue(events)
        for text in [*events, *shown]:
            self.assertNotIn(secret[1], text)

    async def test_strangers(self) -> None:
        """Those who hang up or stay silent do not use the port up."""
        connector, waiting, invitation = await self.invite()
        address: Any = await connector.whenListening()
        silent = socket.create_connection(("127.0.0.1", address.port), timeout=5)
        self.addCleanup(silent.close)
        socket.create_connection(("127.0.0.1", address.port), timeout=5).close()
        left = await self.dial(invitation)
        await ended(left, await waiting)


class AuthorityTests(TestCase):
    """Proof by certificates of an authority that both trust."""

    timeout = 20

    def setUp(self) -> None:
        self.authority = Authority(newFolder(self))
        self.server = self.files("server")

    def files(self, name: str, authority: Authority | None = None) -> str:
        certificate, key = (authority or self.authority).issue(name)
        return f"certificate={certificate}:privateKey={key}"

    def roots(self, authority: Authority | None = None) -> str:
        return f"trustRoots={(authority or self.authority).trustRoots}"

    async def meet(self, client: str, server: str | None = None) -> Any:
        """:returns: what dialling with these files gives, after cleaning up."""
        waiter = TransferConnector.fromString(
            reactor,
            "transfer:passive:mtls:port=0:interface=127.0.0.1:"
            + (server or f"{self.server}:{self.roots()}"),
        )
        waiting = waiter.connect()
        address: Any = await waiter.whenListening()
        dialled = quote(f"tcp:host=127.0.0.1:port={address.port}")
        dialling = TransferConnector.fromString(
            reactor,
            f"transfer:active:mtls:host=localhost:port={address.port}"
            f":endpoint={dialled}:{client}",
        ).connect()
        try:
            left = await dialling
        except Exception:
            self.assertFalse(waiting.called)
            await abandoned(waiter, waiting)
            raise
        right = await waiting
        await ended(left, right)
        return left, right

    async def test_accepted(self) -> None:
        """Both have certificates of the authority: both know each other."""
        left, right = await self.meet(f"{self.files('client')}:{self.roots()}")
        self.assertIn("client", str(right.peerIdentity.certificate.subject))
        self.assertIn("server", str(left.peerIdentity.certificate.subject))

    async def test_byPin(self) -> None:
        """A pin in both directions needs no authority."""
        left, right = await self.meet(f"{self.files('client')}:{self.roots()}")
        serverPin, clientPin = left.peerIdentity.pin, right.peerIdentity.pin
        client = f"certificate={self.authority.folder / 'client.pem'}"
        client += f":privateKey={self.authority.folder / 'client.key'}"
        await self.meet(f"{client}:pin={serverPin}", f"{self.server}:pin={clientPin}")
        with self.assertRaises(PeerRefused):
            await self.meet(
                f"{self.files('another')}:pin={serverPin}",
                f"{self.server}:pin={clientPin}",
            )

    async def test_clientOfAnotherAuthority(self) -> None:
        """The refused side hears that it is refused, under TLS 1.3 as well."""
        other = Authority(newFolder(self))
        with self.assertRaises(PeerRefused):
            await self.meet(f"{self.files('client', other)}:{self.roots()}")

    async def test_serverOfAnotherAuthority(self) -> None:
        """This side refuses, and says that the authority is not trusted."""
        other = Authority(newFolder(self))
        with self.assertRaisesRegex(NotAdmitted, "trust roots"):
            await self.meet(f"{self.files('client')}:{self.roots(other)}")

    async def test_wrongHost(self) -> None:
        """A certificate for another host is refused in these words."""
        with self.assertRaisesRegex(NotAdmitted, "another host than other.example"):
            await self.meet(
                f"{self.files('client')}:{self.roots()}:hostname=other.example"
            )

    async def test_serverMustVerify(self) -> None:
        """A server that would accept everybody does not start."""
        with self.assertRaisesRegex(BadDescription, "whom to accept"):
            await self.meet("", self.server)
        with self.assertRaisesRegex(BadDescription, "who this side is"):
            TransferConnector.fromString(
                reactor, f"transfer:active:mtls:host=h:port=1:{self.roots()}"
            )


class ClockTests(TestCase):
    """Certificates that are not of this time, or not for this use."""

    timeout = 20

    async def refused(self, words: str, **issued: Any) -> None:
        """A server certificate that was issued so is refused in these words."""
        authority = Authority(newFolder(self))
        certificate, key = authority.issue("server", **issued)
        client, clientKey = authority.issue("client")
        waiter = TransferConnector.fromString(
            reactor,
            "transfer:passive:mtls:port=0:interface=127.0.0.1"
            f":certificate={certificate}:privateKey={key}"
            f":trustRoots={authority.trustRoots / 'ca.pem'}",
        )
        waiting = waiter.connect()
        address: Any = await waiter.whenListening()
        with self.assertRaisesRegex(NotAdmitted, words):
            await TransferConnector.fromString(
                reactor,
                f"transfer:active:mtls:host=127.0.0.1:port={address.port}"
                f":certificate={client}:privateKey={clientKey}"
                f":trustRoots={authority.trustRoots}",
            ).connect()
        await abandoned(waiter, waiting)

    async def test_expired(self) -> None:
        """An expired certificate."""
        await self.refused("expired", begin=-2, end=-1)

    async def test_notYetValid(self) -> None:
        """A certificate of tomorrow."""
        await self.refused("not valid yet", begin=1)

    async def test_wrongUse(self) -> None:
        """A client's certificate shown by a server."""
        await self.refused("another use", use=ExtendedKeyUsageOID.CLIENT_AUTH)
