"""
Tests for :mod:`twisted_transfer.descriptions.relay`, and for ``relay=`` of ``mtls``.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder
from tests.support.mtlsends import identityFiles
from twisted_transfer import BadDescription, TransferConnector
from twisted_transfer.descriptions.relay import splitAddress
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.descriptions.values import UnfitError
from twisted_transfer.meeting.relay import CLIENT, SERVER
from twisted_transfer.tls.keys import Identity, Secret

TOKEN = "0123456789abcdef" * 4
RELAY = f"relay:host=192.0.2.3:port=4001:token={TOKEN}"
WAY = r"relay=192.0.2.3\:4001"
PIN = Identity.ephemeral().pin


class RelayStringsTestCase(SynchronousTestCase):
    """A test with strings, and a reactor that connects nothing."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        certificate, key = identityFiles(newFolder(self), Identity.ephemeral(), "me")
        self.me = f"certificate={certificate}:privateKey={key}"

    def asked(self, starting: Any) -> tuple[str, int, bytes]:
        """:returns: what was dialled, and what is sent there."""
        host, port, factory, *_ = self.reactor.tcpClients.pop()
        transport = StringTransport()
        protocol: Any = factory.buildProtocol(None)
        protocol.makeConnection(transport)
        self.addCleanup(self.stop, starting)
        return host, port, transport.value()

    def stop(self, starting: Any) -> None:
        """End what was started, whatever it has come to."""
        starting.addBoth(lambda result: None)
        starting.cancel()

    def dialled(self, string: str) -> tuple[str, int, bytes]:
        """:returns: what a client endpoint dials and sends."""
        endpoint = clientFromString(self.reactor, string)
        return self.asked(endpoint.connect(Factory()))

    def listened(self, string: str) -> tuple[str, int, bytes]:
        """:returns: what a server endpoint dials and sends."""
        endpoint = serverFromString(self.reactor, string)
        return self.asked(endpoint.listen(Factory()))

    def refused(self, read: Any, string: str, *words: str) -> None:
        """A string is refused in these words, and shows no token."""
        error = self.assertRaises(BadDescription, read, self.reactor, string)
        for word in words:
            self.assertIn(word, str(error))
        self.assertNotIn(TOKEN, str(error))
        self.assertEqual(self.reactor.tcpClients, [])


def request(token: str, side: str) -> bytes:
    """:returns: what a relay is sent."""
    return f"please relay {token} for side {side}\n".encode()


class EndpointTests(RelayStringsTestCase):
    """The endpoint type ``relay``."""

    def test_bothSides(self) -> None:
        """Both dial the relay, each as its own side."""
        for string in (RELAY, f"relay:192.0.2.3:4001:{TOKEN}", f"{RELAY}:plain=yes"):
            where = ("192.0.2.3", 4001)
            self.assertEqual(self.dialled(string), (*where, request(TOKEN, CLIENT)))
            self.assertEqual(self.listened(string), (*where, request(TOKEN, SERVER)))

    def test_timeout(self) -> None:
        """The time of a client is for the relay, and then for the partner."""
        connecting = clientFromString(self.reactor, f"{RELAY}:timeout=7").connect(
            Factory()
        )
        self.assertEqual(self.reactor.tcpClients[0][3], 7)
        self.asked(connecting)
        self.assertIn(7.0, [c.getTime() for c in self.reactor.getDelayedCalls()])

    def test_missing(self) -> None:
        """What is missing is named."""
        for read in (clientFromString, serverFromString):
            self.refused(read, "relay:host=h:port=1", "token is missing")
            self.refused(read, f"relay:host=h:token={TOKEN}", "port is missing")

    def test_token(self) -> None:
        """A token that no relay takes is refused, and not shown."""
        for token in ("", "short", TOKEN + "0", TOKEN[:-1] + "-", TOKEN[:-1] + "é"):
            for read in (clientFromString, serverFromString):
                string = f"relay:host=h:port=1:token={token}"
                self.refused(read, string, "token=", "openssl rand -hex 32")

    def test_invalid(self) -> None:
        """Other values are checked as everywhere."""
        for read in (clientFromString, serverFromString):
            self.refused(read, f"relay:host=a b:port=1:token={TOKEN}", "host=")
            self.refused(read, f"relay:host=h:port=0:token={TOKEN}", "port=")
            self.refused(read, f"{RELAY}:plain=maybe", "plain=maybe", "yes or no")
            self.refused(read, f"{RELAY}:such=x", "no such option")
        self.refused(serverFromString, f"{RELAY}:timeout=7", "no such option")


class PlainTests(RelayStringsTestCase):
    """A transfer without TLS through a relay."""

    def test_refused(self) -> None:
        """It has to be asked for in so many words, in both modes."""
        for mode in ("active", "passive"):
            for string in (
                RELAY,
                f"{RELAY}:plain=no",
                RELAY.title(),
                f"haproxy:{RELAY}",
            ):
                self.refused(
                    TransferConnector.fromString,
                    f"transfer:{mode}:{string}",
                    "whoever runs the relay could read everything",
                    "plain=yes",
                )
        self.refused(
            lambda reactor, string: TransferConnector(
                reactor, "passive", socketCommand=string
            ),
            RELAY,
            "plain=yes",
        )

    def test_askedFor(self) -> None:
        """Then it is dialled."""
        for mode in ("active", "passive"):
            connector = TransferConnector.fromString(
                self.reactor, f"transfer:{mode}:{RELAY}:plain=yes"
            )
            side = CLIENT if mode == "active" else SERVER
            asked = self.asked(connector.connect())
            self.assertEqual(asked[2], request(TOKEN, side))

    def test_invitation(self) -> None:
        """What the partner is told takes it to the same relay."""
        connector = TransferConnector.fromString(
            self.reactor, f"transfer:passive:relay:192.0.2.3:4001:{TOKEN}:plain=yes"
        )
        self.addCleanup(self.stop, connector.connect())
        told = self.successResultOf(connector.invitation())
        self.assertEqual(told, f"transfer:active:{RELAY}:plain=yes")
        self.reactor.tcpClients.clear()
        partner = TransferConnector.fromString(self.reactor, told)
        where = ("192.0.2.3", 4001, request(TOKEN, CLIENT))
        self.assertEqual(self.asked(partner.connect()), where)


class MutualTests(RelayStringsTestCase):
    """``relay=`` of ``mtls``."""

    def test_certificates(self) -> None:
        """With certificates both sides give the token."""
        string = f"mtls:{WAY}:token={TOKEN}:pin={PIN}:{self.me}"
        where = ("192.0.2.3", 4001)
        self.assertEqual(self.dialled(string), (*where, request(TOKEN, CLIENT)))
        self.assertEqual(self.listened(string), (*where, request(TOKEN, SERVER)))

    def test_invitation(self) -> None:
        """The token comes from the secret, which is another one each time."""
        tokens = set()
        for _ in range(2):
            connector = TransferConnector.fromString(
                self.reactor, f"transfer:passive:mtls:{WAY}"
            )
            waiting = connector.connect()
            told = self.successResultOf(connector.invitation())
            given = Description.parse(told)
            self.assertEqual(given.args, ("transfer", "active", "mtls"))
            self.assertEqual(set(given.keywords), {"relay", "pin", "secret"})
            token = Secret.fromText(given.keywords["secret"]).relayToken()
            where = ("192.0.2.3", 4001)
            self.assertEqual(self.asked(waiting), (*where, request(token, SERVER)))
            partner = TransferConnector.fromString(self.reactor, told)
            self.assertEqual(
                self.asked(partner.connect()), (*where, request(token, CLIENT))
            )
            tokens.add(token)
        self.assertEqual(len(tokens), 2)

    def test_ownPin(self) -> None:
        """With a certificate the partner is told its pin, the relay and the token."""
        connector = TransferConnector.fromString(
            self.reactor,
            f"transfer:passive:mtls:{WAY}:token={TOKEN}:pin={PIN}:{self.me}",
        )
        self.addCleanup(self.stop, connector.connect())
        told = Description.parse(self.successResultOf(connector.invitation()))
        self.assertEqual(set(told.keywords), {"relay", "token", "pin"})
        refused = connector.invitation("h.example")
        self.assertIn("leave it out", str(self.failureResultOf(refused).value))

    def test_oneWay(self) -> None:
        """A relay and another way at once are refused."""
        proof = f"token={TOKEN}:pin={PIN}:{self.me}"
        for option in ("port=1", r"endpoint=tcp\:h\:1"):
            for read in (clientFromString, serverFromString):
                self.refused(read, f"mtls:{WAY}:{proof}:{option}", "the relay")
        self.refused(clientFromString, f"mtls:{WAY}:{proof}:host=h", "host=h")
        self.refused(serverFromString, f"mtls:{WAY}:{proof}:backlog=9", "backlog=9")

    def test_token(self) -> None:
        """It is needed without an invitation, and only at a relay."""
        proof = f"pin={PIN}:{self.me}"
        for read in (clientFromString, serverFromString):
            self.refused(read, f"mtls:{WAY}:{proof}", "need one token")
            self.refused(read, f"mtls:{WAY}:token=x:{proof}", "openssl rand -hex 32")
        self.refused(
            serverFromString, f"mtls:port=1:token={TOKEN}:{proof}", "add relay="
        )
        secret = f"secret={Secret.fresh().text}"
        self.refused(
            clientFromString,
            f"mtls:{WAY}:token={TOKEN}:pin={PIN}:{secret}",
            "comes from the invitation",
        )
        self.refused(
            TransferConnector.fromString,
            f"transfer:passive:mtls:{WAY}:token={TOKEN}",
            "comes from the invitation",
        )

    def test_hostname(self) -> None:
        """
        An authority alone is no proof of the partner where no host is dialled.
        """
        certificate = self.me.partition(":")[0].partition("=")[2]
        for proof in (f"trustRoots={certificate}", ""):
            string = f"mtls:{WAY}:token={TOKEN}:{self.me}:{proof}".rstrip(":")
            self.refused(clientFromString, string, "hostname=")
            self.dialled(f"{string}:hostname=partner.example")

    def test_relay(self) -> None:
        """The address of the relay is checked at once."""
        for relay in ("h", r"h\:0", r"h\:x", r"\:1", r"a b\:1", ""):
            for string in (f"transfer:passive:mtls:relay={relay}",):
                self.refused(TransferConnector.fromString, string, f"relay={relay}")


class AddressTests(SynchronousTestCase):
    """The address of a relay."""

    def test_read(self) -> None:
        """A name, and addresses of both families, with brackets or without."""
        for text, read in (
            ("h.example:4001", ("h.example", 4001)),
            ("192.0.2.3:4001", ("192.0.2.3", 4001)),
            ("[2001:db8::3]:4001", ("2001:db8::3", 4001)),
            ("2001:db8::3:4001", ("2001:db8::3", 4001)),
        ):
            self.assertEqual(splitAddress(text), read)

    @given(st.text(max_size=30))
    def test_anything(self, text: str) -> None:
        """Whatever is given is read, or refused in words."""
        try:
            host, port = splitAddress(text)
        except UnfitError:
            return
        self.assertTrue(host)
        self.assertTrue(0 < port < 65536)


class DerivedTests(SynchronousTestCase):
    """The token of an invitation."""

    def test_hkdf(self) -> None:
        """It is HKDF-SHA256 (RFC 5869), with a label of its own."""
        import hashlib
        import hmac

        secret = Secret.fresh()
        data = Secret.fromText(secret.text)._data
        extracted = hmac.digest(bytes(32), data, hashlib.sha256)
        label = b"twisted_transfer invitation, token at a relay, version 1"
        expanded = hmac.digest(extracted, label + b"\1", hashlib.sha256)
        self.assertEqual(secret.relayToken(), expanded.hex())
