"""
Tests for :mod:`twisted_transfer.twist.parsers`, by way of Twisted's own functions.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twisted_transfer import BadDescription
from twisted_transfer.twist.endpoints import (
    TransferClientEndpoint,
    TransferServerEndpoint,
)
from twisted_transfer.twist.parsers import EndpointParser


class PluginTests(SynchronousTestCase):
    """How Twisted finds it."""

    def test_found(self) -> None:
        """It is there once for servers and once for clients."""
        for interface in (
            IStreamClientEndpointStringParserWithReactor,
            IStreamServerEndpointStringParser,
        ):
            found = [
                plugin
                for plugin in getPlugins(interface)
                if getattr(plugin, "prefix", None) == "transfer"
            ]
            self.assertEqual(len(found), 1)
            self.assertIsInstance(found[0], EndpointParser)

    def test_interfaces(self) -> None:
        """It provides what it declares."""
        for interface in (
            IPlugin,
            IStreamClientEndpointStringParserWithReactor,
            IStreamServerEndpointStringParser,
        ):
            self.assertTrue(verifyObject(interface, EndpointParser("x", "m")))
        self.assertEqual(EndpointParser("x", "m").prefix, "x")


class ParserTestCase(SynchronousTestCase):
    """A test with strings."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def client(self, string: str) -> Any:
        """:returns: the client endpoint that Twisted makes of it."""
        return clientFromString(self.reactor, string)

    def server(self, string: str) -> Any:
        """:returns: the server endpoint that Twisted makes of it."""
        return serverFromString(self.reactor, string)

    def refused(self, make: Any, string: str, *words: str) -> None:
        """It is refused, in these words, and nothing has happened."""
        error = self.assertRaises(BadDescription, make, string)
        for word in words:
            self.assertIn(word, str(error), string)
        reactor = self.reactor
        self.assertEqual(reactor.tcpClients + reactor.tcpServers, [], string)
        self.assertEqual(reactor.getDelayedCalls(), [])


class GoodTests(ParserTestCase):
    """What strings mean."""

    def test_kinds(self) -> None:
        """Each mode is there for both kinds of endpoints."""
        for string in ("transfer:active:tcp:h:1", "transfer:passive:tcp:1"):
            self.assertIsInstance(self.client(string), TransferClientEndpoint)
            self.assertIsInstance(self.server(string), TransferServerEndpoint)

    def test_anyCase(self) -> None:
        """The prefix may be in capitals, as Twisted's own may."""
        self.assertIsInstance(
            self.client("TRANSFER:active:tcp:h:1"), TransferClientEndpoint
        )

    def test_active(self) -> None:
        """What is dialled is what the string says, also for a server."""
        for make, use in ((self.client, "connect"), (self.server, "listen")):
            for string, dialled in {
                "transfer:active:tcp:h.example:4000": ("h.example", 4000),
                "transfer:active:tcp:host=h:port=4000:timeout=3": ("h", 4000),
                "transfer:active:host=h:port=4000": ("127.0.0.1", 4000),
            }.items():
                connecting = getattr(make(string), use)(Factory())
                self.assertEqual(self.reactor.tcpClients.pop()[:2], dialled, string)
                connecting.cancel()
                self.failureResultOf(connecting)

    def test_passive(self) -> None:
        """What is listened on is what the string says, also for a client."""
        for make, use in ((self.client, "connect"), (self.server, "listen")):
            for string, bound in {
                "transfer:passive:tcp:4000:interface=127.0.0.1": (4000, "127.0.0.1"),
                "transfer:passive:port=4000": (4000, "::"),
                "transfer:passive": (0, "::"),
                "transfer:passive:haproxy:tcp:4000": (4000, ""),
            }.items():
                waiting = getattr(make(string), use)(Factory())
                port, _, _, interface = self.reactor.tcpServers.pop()
                self.assertEqual((port, interface), bound, string)
                waiting.addErrback(lambda ignored: None)
                waiting.cancel()

    def test_ownOptions(self) -> None:
        """The options of this library are taken out, wherever they stand."""
        connecting = self.client(
            "transfer:active:within=5:tcp:h:1:retryFor=60:timeout=7"
        ).connect(Factory())
        self.assertEqual(self.reactor.tcpClients[0][3], 7)
        self.assertEqual([c.getTime() for c in self.reactor.getDelayedCalls()], [5.0])
        connecting.cancel()
        self.failureResultOf(connecting)

    def test_text(self) -> None:
        """Translations and end-of-file characters leave bytes bytes."""
        for string in (
            "transfer:active:tcp:h:1:translation=crlf",
            "transfer:active:tcp:h:1:eofChar=\x1a",
        ):
            self.assertIsInstance(self.client(string), TransferClientEndpoint)

    def test_insideHAProxy(self) -> None:
        """It can be wrapped as any other server endpoint."""
        waiting = self.server("haproxy:transfer:passive:tcp:4000").listen(Factory())
        port, _, _, _ = self.reactor.tcpServers[0]
        self.assertEqual(port, 4000)
        self.successResultOf(waiting).stopListening()


class BadTests(ParserTestCase):
    """What is refused."""

    def test_bothKinds(self) -> None:
        """What is wrong is said, for servers and for clients."""
        for make in (self.client, self.server):
            for string, *words in (
                ("transfer:", "mode"),
                ("transfer:pasive:tcp:1", "pasive", "transfer:passive"),
                ("transfer:active:tcp:h:port=x", "port=x"),
                ("transfer:active:nosuch:1", "nosuch"),
                ("transfer:active:tcp:h:1:within=soon", "within=soon", "seconds"),
                ("transfer:passive:tcp:1:retryFor=3", "retryFor", "active"),
                ("transfer:active:tcp:h:1:admit=192.0.2.1", "admit", "passive"),
                ("transfer:passive:tcp:1:admit=192.0.2.7/24", "192.0.2.0/24"),
                ("transfer:active:transfer:active:tcp:h:1", "another transfer"),
                ("transfer:active:ssl:h:1", "verify"),
            ):
                self.refused(make, string, *words)

    def test_encoding(self) -> None:
        """Protocols take bytes; an encoding is refused with what to do."""
        for make in (self.client, self.server):
            for mode in ("active:tcp:h:1", "passive:tcp:1"):
                self.refused(
                    make,
                    f"transfer:{mode}:encoding=utf-8",
                    "encoding=utf-8",
                    "bytes",
                    "TransferConnector.fromString",
                )

    def test_again(self) -> None:
        """Only a server that dials can do so again and again."""
        self.refused(
            self.client, "transfer:active:tcp:h:1:again=yes", "again=yes", "servers"
        )
        for make in (self.client, self.server):
            self.refused(make, "transfer:passive:tcp:1:again=yes", "again", "active")
        for string in ("again=no", "again=yes"):
            endpoint = self.server(f"transfer:active:tcp:h:1:{string}")
            self.assertIsInstance(endpoint, TransferServerEndpoint)
        self.assertIsInstance(
            self.client("transfer:active:tcp:h:1:again=no"), TransferClientEndpoint
        )

    def test_namesOfParameters(self) -> None:
        """Keywords called as the parser's own parameters do not crash it."""
        for make in (self.client, self.server):
            for keyword in ("self", "reactor", "args", "kwargs", "cls"):
                for command in ("", "tcp:h:1:"):
                    self.refused(
                        make, f"transfer:active:{command}{keyword}=x", f"{keyword}="
                    )

    def test_secrets(self) -> None:
        """A secret does not appear in what is said."""
        for make in (self.client, self.server):
            error = self.assertRaises(
                BadDescription,
                make,
                "transfer:active:tcp:h:1:secret=swordfish:nosuch=1",
            )
            self.assertNotIn("swordfish", str(error))


class InvitationTests(SynchronousTestCase):
    """What would make an invitation that nobody sees."""

    def test_refused(self) -> None:
        """It is refused, on either side, and works with a certificate only."""
        for parse in (serverFromString, clientFromString):
            for string in (
                "transfer:passive:mtls:port=0",
                r"transfer:passive:mtls:endpoint=tcp\:0",
            ):
                error = self.assertRaises(
                    BadDescription, parse, MemoryReactorClock(), string
                )
                self.assertIn("certificate=", str(error))
