"""
Who cannot prove who it is, over real sockets: it is refused, and hears it,
nothing of it arrives, and the partner is admitted after it.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    connectProtocol,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.mtlsends import ALL, Hand, clientContext, identityFiles
from tests.support.tlsends import One
from twisted_transfer import NotAdmitted, PeerRefused, TransferConnector
from twisted_transfer.tls.keys import Identity, Secret

reactor: Any = _reactor

_HOST = "127.0.0.1"
_HERE = f"host={_HOST}"
_HELLO = b"from the partner"


def changed(description: str, option: str, value: str) -> str:
    """:returns: the description with another value of an option."""
    text, count = re.subn(f"{option}=[^:]*", f"{option}={value}", description)
    assert count == 1
    return text


def valueOf(description: str, option: str) -> str:
    """:returns: the value of an option in a description."""
    found = re.search(f"{option}=([^:]*)", description)
    assert found is not None
    return found[1]


class Impudent(Protocol):
    """
    A TLS client that sends data as soon as it can, accepted or not.

    :ivar ended: fires with its end of TLS when the connection is gone.
    """

    def __init__(self, context: ssl.SSLContext, data: bytes) -> None:
        self.ended: Deferred[Hand] = Deferred()
        self._context = context
        self._data = data
        self._came = bytearray()

    # What is under its TLS, for that.

    def take(self, count: int = ALL) -> bytes:
        data = bytes(self._came[:count])
        del self._came[:count]
        return data

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def connectionMade(self) -> None:
        raw: Any = self
        self._hand = Hand(raw, self._context, server=False)
        self._hand.step()

    def dataReceived(self, data: bytes) -> None:
        self._came += data
        before = self._hand.proved
        self._hand.read()
        if self._hand.proved and not before:
            self._hand.say(self._data)
        if self._hand.ended:
            self._hand.closeNotify()
        self._hand.send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(self._hand)


class Listener:
    """
    A passive connector, and what comes of it.

    :ivar connector: the connector.
    :ivar waiting: its ``connect()``.
    :ivar port: where it listens.
    """

    def __init__(self, case: TestCase, description: str) -> None:
        self.connector = TransferConnector.fromString(
            reactor, f"transfer:passive:mtls:port=0:interface={_HOST}{description}"
        )
        self._case = case
        case.addCleanup(self.connector.close)
        self.waiting: Deferred[Any] = Deferred()
        self.port = 0

    async def listen(self) -> None:
        """Wait for the next partner."""
        self.waiting = self.connector.connect()
        address: Any = await self.connector.whenListening()
        self.port = address.port

    async def give_up(self) -> None:
        """Stop waiting."""
        self.waiting.addErrback(lambda failure: failure.trap(CancelledError))
        await self.connector.close()

    @property
    def dropped(self) -> dict[str, int]:
        """Who was dropped, by reason."""
        counters = self.connector.candidates
        assert counters is not None
        self._case.assertEqual(
            counters.accepted, counters.admitted + sum(counters.dropped.values())
        )
        return dict(counters.dropped)

    def nobodyAdmitted(self) -> None:
        """It waits, and nobody was admitted."""
        self._case.assertFalse(self.waiting.called)
        counters = self.connector.candidates
        assert counters is not None
        self._case.assertEqual(counters.admitted, 0)

    async def admit(self, description: str, pin: str | None = None) -> None:
        """
        The partner is admitted, and what comes is what it sends.

        :param description: by which it dials.
        :param pin: of its key, if it is known.
        """
        self.nobodyAdmitted()
        there = await TransferConnector.fromString(reactor, description).connect()
        here = await self.waiting
        if pin is not None:
            self._case.assertEqual(here.peerIdentity.pin, pin)
        there.write(_HELLO)
        there.loseConnection()
        self._case.assertEqual(await here.read(1000), _HELLO)
        self._case.assertEqual(await here.read(1000), b"")
        here.loseConnection()
        await there.whenClosed()
        await here.whenClosed()


class RefusalTestCase(TestCase):
    """What these tests have in common."""

    timeout = 30

    def setUp(self) -> None:
        self.folder = newFolder(self)

    async def refused(
        self, listener: Listener, description: str, error: type[Exception]
    ) -> str:
        """
        Dial in vain.

        :param description: by which to dial.
        :param error: what the dialling side owes.
        :returns: the error's words.
        """
        dialling = TransferConnector.fromString(reactor, description).connect()
        with self.assertRaises(error) as caught:
            await dialling
        self.assertIs(type(caught.exception), error)
        listener.nobodyAdmitted()
        words = str(caught.exception)
        if "secret=" in description:
            self.assertNotIn(valueOf(description, "secret"), words)
        return words

    async def impudent(self, listener: Listener, identity: Identity | None) -> None:
        """Somebody sends data at once, with whatever identity."""
        protocol = Impudent(clientContext(self.folder, identity), b"stolen")
        await connectProtocol(
            TCP4ClientEndpoint(reactor, _HOST, listener.port), protocol
        )
        hand = await protocol.ended
        # It thought that it was through, and heard an alert.
        self.assertTrue(hand.proved)
        self.assertIsNotNone(hand.failed)
        listener.nobodyAdmitted()


class InvitationRefusalTests(RefusalTestCase):
    """Who does not have the whole invitation of this very ``connect()``."""

    async def invite(self, listener: Listener | None = None) -> tuple[Listener, str]:
        """:returns: a listener, or the same one again, and its invitation."""
        listener = listener or Listener(self, "")
        await listener.listen()
        return listener, await listener.connector.invitation(host=_HOST)

    def partnerPin(self, invitation: str) -> str:
        """:returns: the pin of the one who has the secret."""
        return Secret.fromText(valueOf(invitation, "secret")).identity().pin

    async def test_wrongSecret(self) -> None:
        """The right pin with a secret of one's own."""
        listener, invitation = await self.invite()
        wrong = changed(invitation, "secret", Secret.fresh().text)
        words = await self.refused(listener, wrong, PeerRefused)
        self.assertIn("refused", words)
        await listener.admit(invitation, self.partnerPin(invitation))
        self.assertEqual(listener.dropped, {"unproven": 1})

    async def test_wrongSecretWithData(self) -> None:
        """One who sends data before it can know whether it was accepted."""
        listener, invitation = await self.invite()
        await self.impudent(listener, Secret.fresh().identity())
        await self.impudent(listener, None)
        await listener.admit(invitation, self.partnerPin(invitation))
        self.assertEqual(listener.dropped, {"unproven": 2})

    async def test_oldSecret(self) -> None:
        """
        The secret of an earlier ``connect()`` to which nobody came: with the
        old pin the dialling side takes the listener for another one, with the
        new pin the listener refuses.
        """
        listener, old = await self.invite()
        await listener.give_up()
        _, invitation = await self.invite(listener)
        here = changed(old, "port", str(listener.port))
        await self.refused(listener, here, NotAdmitted)
        here = changed(invitation, "secret", valueOf(old, "secret"))
        await self.refused(listener, here, PeerRefused)
        await listener.admit(invitation, self.partnerPin(invitation))
        self.assertEqual(sum(listener.dropped.values()), 2)

    async def test_usedSecret(self) -> None:
        """A secret is good for one admission, and then for nothing."""
        listener, used = await self.invite()
        await listener.admit(used, self.partnerPin(used))
        _, invitation = await self.invite(listener)
        here = changed(invitation, "secret", valueOf(used, "secret"))
        await self.refused(listener, here, PeerRefused)
        await self.impudent(
            listener, Secret.fromText(valueOf(used, "secret")).identity()
        )
        await listener.admit(invitation, self.partnerPin(invitation))
        self.assertEqual(listener.dropped, {"unproven": 2})

    async def test_wrongPin(self) -> None:
        """
        The right secret with the pin of another: the dialling side does not
        take the listener for its partner, and the listener does not admit it.
        """
        listener, invitation = await self.invite()
        wrong = changed(invitation, "pin", Identity.ephemeral().pin)
        words = await self.refused(listener, wrong, NotAdmitted)
        self.assertIn(valueOf(invitation, "pin"), words)
        await listener.admit(invitation, self.partnerPin(invitation))
        self.assertEqual(sum(listener.dropped.values()), 1)

    async def test_swappedInvitations(self) -> None:
        """Of two listeners, each one's secret is of no use with the other."""
        one, first = await self.invite()
        two, second = await self.invite()
        for listener, own, other in ((one, first, second), (two, second, first)):
            wrong = changed(own, "secret", valueOf(other, "secret"))
            await self.refused(listener, wrong, PeerRefused)
            wrong = changed(other, "port", str(listener.port))
            await self.refused(listener, wrong, NotAdmitted)
        await one.admit(first)
        await two.admit(second)


class Files:
    """
    One party whose key is in files.

    :ivar identity: its key.
    :ivar options: the options that name the files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.identity = Identity.ephemeral()
        certificate, key = identityFiles(folder, self.identity, name)
        self.options = f":certificate={certificate}:privateKey={key}"


class PinRefusalTests(RefusalTestCase):
    """Keys in files, known by their pins."""

    def setUp(self) -> None:
        super().setUp()
        self.server, self.client, self.other = (
            Files(self.folder, name) for name in ("server", "client", "other")
        )
        self.listener = Listener(
            self, f"{self.server.options}:pin={self.client.identity.pin}"
        )

    def dial(self, files: Files, pin: str | None = None) -> str:
        """:returns: the description by which somebody dials."""
        return (
            f"transfer:active:mtls:{_HERE}:port={self.listener.port}"
            f"{files.options}:pin={pin or self.server.identity.pin}"
        )

    async def admit(self) -> None:
        """The partner is admitted."""
        await self.listener.admit(self.dial(self.client), self.client.identity.pin)

    async def test_wrongKey(self) -> None:
        """One who knows the pin of the listener, but has another key."""
        await self.listener.listen()
        await self.refused(self.listener, self.dial(self.other), PeerRefused)
        await self.impudent(self.listener, self.other.identity)
        await self.admit()
        self.assertEqual(self.listener.dropped, {"unproven": 2})

    async def test_wrongPin(self) -> None:
        """The right key with the pin of another: the dialling side refuses."""
        await self.listener.listen()
        pin = self.other.identity.pin
        await self.refused(self.listener, self.dial(self.client, pin), NotAdmitted)
        await self.admit()
        self.assertEqual(sum(self.listener.dropped.values()), 1)

    async def test_both(self) -> None:
        """Another key and another pin: the dialling side refuses first."""
        await self.listener.listen()
        pin = self.other.identity.pin
        await self.refused(self.listener, self.dial(self.other, pin), NotAdmitted)
        await self.admit()

    async def test_listenerItself(self) -> None:
        """The key of the listener is not that of its partner."""
        await self.listener.listen()
        await self.refused(self.listener, self.dial(self.server), PeerRefused)
        await self.admit()

    async def test_severalPins(self) -> None:
        """One of several pins is enough, and each of them is one key only."""
        self.listener = Listener(
            self,
            f"{self.server.options}:pin={self.client.identity.pin},"
            f"{Identity.ephemeral().pin}",
        )
        await self.listener.listen()
        await self.refused(self.listener, self.dial(self.other), PeerRefused)
        await self.admit()


class Recorder(Protocol):
    """One side of a forwarded connection."""

    def __init__(self, record: list[tuple[bool, bytes]], dialled: bool) -> None:
        self.record = record
        self.dialled = dialled
        self.other: Deferred[Recorder] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.record.append((self.dialled, data))
        self.other.addCallback(self._pass, data)

    def _pass(self, other: Recorder, data: bytes) -> Recorder:
        assert other.transport is not None
        other.transport.write(data)
        return other

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        def end(other: Recorder) -> Recorder:
            assert other.transport is not None
            other.transport.loseConnection()
            return other

        self.other.addCallback(end)


class Forwarder(Factory):
    """
    Forwards one connection, and records it.

    :ivar record: what was said in order, each time with whether it was the
        side that was dialled that said it.
    """

    noisy = False

    def __init__(self, port: int) -> None:
        self._port = port
        self.record: list[tuple[bool, bytes]] = []

    def buildProtocol(self, addr: Any) -> Recorder:
        near, far = Recorder(self.record, False), Recorder(self.record, True)
        far.other.callback(near)
        connectProtocol(
            TCP4ClientEndpoint(reactor, _HOST, self._port), far
        ).chainDeferred(near.other)
        return near

    def said(self, byDialled: bool) -> list[bytes]:
        """:returns: what one of the sides said."""
        return [data for dialled, data in self.record if dialled is byDialled]


class Replayer(Protocol):
    """
    Says again what was said once.

    :ivar heard: what was answered.
    :ivar ended: fires when the connection is gone.
    """

    def __init__(self, pieces: list[bytes], atOnce: bool, waits: bool = False) -> None:
        """
        :param pieces: what was said.
        :param atOnce: whether all is said at once, without the answers.
        :param waits: whether it is the other side's turn to begin.
        """
        self._pieces = [b"".join(pieces)] if atOnce else list(pieces)
        self._waits = waits
        self.heard = b""
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        if not self._waits:
            self._say()

    def _say(self) -> None:
        assert self.transport is not None
        if self._pieces:
            self.transport.write(self._pieces.pop(0))

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self._say()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)


class ReplayTestCase(RefusalTestCase):
    """A recording of a connection that was admitted."""

    async def forward(self, port: int) -> tuple[Forwarder, int]:
        """:returns: one who records what goes to a port, and its own port."""
        forwarder = Forwarder(port)
        endpoint = TCP4ServerEndpoint(reactor, 0, interface=_HOST)
        forwarding: Any = await endpoint.listen(forwarder)
        self.addCleanup(forwarding.stopListening)
        return forwarder, forwarding.getHost().port

    async def recorded(self, listener: Listener, client: str) -> Forwarder:
        """:returns: the recording of an admitted connection."""
        await listener.listen()
        forwarder, port = await self.forward(listener.port)
        await listener.admit(self.dial(port, client))
        # It is TLS, and so no data are to be seen.
        for byDialled in (False, True):
            said = b"".join(forwarder.said(byDialled))
            self.assertEqual(said[:2], b"\x16\x03")
            self.assertNotIn(_HELLO, said)
        return forwarder

    def dial(self, port: int, client: str) -> str:
        """:returns: the description by which the partner dials."""
        return f"transfer:active:mtls:{_HERE}:port={port}{client}"

    async def replayedToListener(
        self, listener: Listener, client: str, pieces: list[bytes]
    ) -> None:
        """What the dialling side said is of no use to anybody who says it again."""
        for atOnce in (True, False):
            await listener.listen()
            replayer = Replayer(pieces, atOnce)
            endpoint = TCP4ClientEndpoint(reactor, _HOST, listener.port)
            await connectProtocol(endpoint, replayer)
            await replayer.ended
            # It was answered, as anybody is who begins a handshake.
            self.assertEqual(replayer.heard[:2], b"\x16\x03")
            await listener.admit(self.dial(listener.port, client))
            self.assertEqual(listener.dropped, {"unproven": 1})

    async def replayedToDialler(self, client: str, pieces: list[bytes]) -> None:
        """What the listening side said is of no use, either."""
        for atOnce in (True, False):
            replayer = Replayer(pieces, atOnce, waits=True)
            endpoint = TCP4ServerEndpoint(reactor, 0, interface=_HOST)
            replaying: Any = await endpoint.listen(One(replayer))
            self.addCleanup(replaying.stopListening)
            dialled = self.dial(replaying.getHost().port, client)
            with self.assertRaises(NotAdmitted):
                await TransferConnector.fromString(reactor, dialled).connect()
            await replayer.ended
            self.assertEqual(replayer.heard[:2], b"\x16\x03")


class ReplayTests(ReplayTestCase):
    """The listener is the same one afterwards, by the same files."""

    async def test_byPin(self) -> None:
        """Where both know each other by their pins."""
        server, client = Files(self.folder, "server"), Files(self.folder, "client")
        listener = Listener(self, f"{server.options}:pin={client.identity.pin}")
        partner = f"{client.options}:pin={server.identity.pin}"
        recording = await self.recorded(listener, partner)
        await self.replayedToListener(listener, partner, recording.said(False))
        await self.replayedToDialler(partner, recording.said(True))

    def byAuthority(self) -> tuple[Listener, str, tuple[Path, Path]]:
        """:returns: a listener, the partner's options and the partner's files."""
        authority = Authority(self.folder / "authority")
        roots = f":trustRoots={authority.trustRoots / 'ca.pem'}"
        certificate, key = authority.issue("server")
        listener = Listener(self, f":certificate={certificate}:privateKey={key}{roots}")
        files = authority.issue("client")
        partner = f":certificate={files[0]}:privateKey={files[1]}{roots}"
        return listener, partner, files

    async def test_byAuthority(self) -> None:
        """Where an authority vouches for both."""
        listener, partner, _ = self.byAuthority()
        recording = await self.recorded(listener, partner)
        await self.replayedToListener(listener, partner, recording.said(False))
        await self.replayedToDialler(partner, recording.said(True))

    async def test_byAuthorityTLS12(self) -> None:
        """The same with a partner that speaks nothing newer than TLS 1.2."""
        listener, partner, files = self.byAuthority()
        await listener.listen()
        forwarder, port = await self.forward(listener.port)
        context = clientContext(self.folder, None, ssl.TLSVersion.TLSv1_2)
        context.load_cert_chain(*files)
        old = Impudent(context, _HELLO)
        await connectProtocol(TCP4ClientEndpoint(reactor, _HOST, port), old)
        channel = await listener.waiting
        self.assertEqual(await channel.readExactly(len(_HELLO)), _HELLO)
        channel.loseConnection()
        hand = await old.ended
        self.assertIsNone(hand.failed)
        await channel.whenClosed()
        await self.replayedToListener(listener, partner, forwarder.said(False))
        await self.replayedToDialler(partner, forwarder.said(True))
