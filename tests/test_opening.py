"""
Tests for :mod:`twisted_transfer.opening`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_transfer.arguments import Mode
from twisted_transfer.errors import BadDescription, BadOption
from twisted_transfer.opening import SocketCommand, openingEndpoint


class OpeningTests(SynchronousTestCase):
    """From a connector's arguments to an endpoint."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def active(
        self, host: str | None, port: int | None, command: SocketCommand = None
    ) -> tuple[str, int]:
        """:returns: what is dialled."""
        endpoint = openingEndpoint(self.reactor, Mode.ACTIVE, host, port, command)
        self.assertTrue(IStreamClientEndpoint.providedBy(endpoint))
        endpoint.connect(Factory()).addErrback(lambda ignored: None)
        dialled: tuple[str, int] = self.reactor.tcpClients.pop()[:2]
        for call in self.reactor.getDelayedCalls():
            call.cancel()
        return dialled

    def passive(
        self, host: str | None, port: int | None, command: SocketCommand = None
    ) -> tuple[int, str]:
        """:returns: what is listened on."""
        endpoint = openingEndpoint(self.reactor, Mode.PASSIVE, host, port, command)
        self.assertTrue(IStreamServerEndpoint.providedBy(endpoint))
        endpoint.listen(Factory())
        number, _, _, interface = self.reactor.tcpServers.pop()
        return number, interface

    def refused(self, *arguments: Any) -> str:
        """:returns: how these are refused."""
        return str(
            self.assertRaises(BadOption, openingEndpoint, self.reactor, *arguments)
        )

    def test_plain(self) -> None:
        """Without a socket command it is plain TCP, to this host by default."""
        # The memory reactor's resolver gives 127.0.0.1 for every name.
        self.assertEqual(self.active(None, 4000), ("127.0.0.1", 4000))
        self.assertEqual(self.active("192.0.2.7", 4000), ("127.0.0.1", 4000))
        self.assertEqual(self.passive(None, None), (0, "::"))
        self.assertEqual(self.passive("ignored", 4000), (4000, "::"))

    def test_description(self) -> None:
        """Host and port are added to a description; passive, only the port."""
        self.assertEqual(self.active("h", 4000, "tcp:timeout=3"), ("h", 4000))
        self.assertEqual(self.active(None, None, "tcp:h:4000"), ("h", 4000))
        self.assertEqual(self.active(None, 4000, "tcp:host=h"), ("h", 4000))
        self.assertEqual(
            self.passive("ignored", 4000, "tcp:interface=127.0.0.1"),
            (4000, "127.0.0.1"),
        )
        self.assertEqual(self.passive(None, None, "tcp:5000"), (5000, ""))

    def test_object(self) -> None:
        """An endpoint object is taken as it is."""

        @implementer(IStreamClientEndpoint)
        class Mine:
            def connect(self, protocolFactory: object) -> Deferred[Any]:
                return Deferred()

        mine = Mine()
        got = openingEndpoint(self.reactor, Mode.ACTIVE, None, None, mine)
        self.assertIs(got, mine)
        server = TCP4ServerEndpoint(self.reactor, 5000)
        self.assertEqual(self.passive("ignored", None, server), (5000, ""))

    def test_objectWithAddress(self) -> None:
        """It has its address, and can be given no other."""
        client = TCP4ClientEndpoint(self.reactor, "h", 1)
        server = TCP4ServerEndpoint(self.reactor, 5000)
        for arguments in (
            (Mode.ACTIVE, "h", None, client),
            (Mode.ACTIVE, None, 4000, client),
            (Mode.PASSIVE, None, 4000, server),
        ):
            self.assertIn("cannot be added", self.refused(*arguments))

    def test_wrongObject(self) -> None:
        """What is not an endpoint of the right kind says what is needed."""
        client = TCP4ClientEndpoint(self.reactor, "h", 1)
        server = TCP4ServerEndpoint(self.reactor, 5000)
        for mode, bad, needed in (
            (Mode.ACTIVE, server, "IStreamClientEndpoint"),
            (Mode.PASSIVE, client, "IStreamServerEndpoint"),
            (Mode.ACTIVE, 7, "IStreamClientEndpoint"),
            (Mode.PASSIVE, b"tcp:1", "IStreamServerEndpoint"),
        ):
            said = self.refused(mode, None, None, bad)
            self.assertIn(needed, said)
            self.assertIn(mode.value, said)
            self.assertIn(type(bad).__name__, said)

    def test_badDescription(self) -> None:
        """A description that cannot be is refused before anything is dialled."""
        for mode, command in (
            (Mode.ACTIVE, "nosuch:h:1"),
            (Mode.ACTIVE, "tcp:h"),
            (Mode.PASSIVE, "tcp:port=x"),
            (Mode.PASSIVE, ""),
        ):
            self.assertRaises(
                BadDescription,
                openingEndpoint,
                self.reactor,
                mode,
                None,
                None,
                command,
            )
        self.assertEqual(self.reactor.tcpClients + self.reactor.tcpServers, [])

    def test_unverified(self) -> None:
        """
        Twisted's ``ssl`` client takes any server for the right one unless it is
        told whom to expect; that is refused, with what to write.
        """
        for command in ("ssl:h:443", "ssl:host=h:port=443", "SSL:h:443"):
            said = self.refused(Mode.ACTIVE, None, None, command)
            self.assertIn("verify", said)
            self.assertIn("tls:host=", said)
            self.assertIn("hostname=", said)
        self.assertEqual(
            self.reactor.sslClients, [], "nothing may be dialled meanwhile"
        )
        openingEndpoint(
            self.reactor, Mode.ACTIVE, None, None, "ssl:h:443:hostname=h"
        ).connect(Factory())
        self.assertEqual(self.reactor.sslClients[0][:2], ("h", 443))
        self.assertIn(
            "verify",
            self.refused(Mode.ACTIVE, None, None, "tls:h:443:endpoint=ssl\\:h\\:443"),
        )

    def test_badAddress(self) -> None:
        """So are hosts and ports that cannot be, in either mode."""
        for mode in Mode:
            self.assertIn("port=70000", self.refused(mode, None, 70000, None))
            self.assertIn("port='x'", self.refused(mode, None, "x", "tcp:h"))
            self.assertIn("host=''", self.refused(mode, "", 1, None))
        self.assertIn("1 to 65535", self.refused(Mode.ACTIVE, None, None, None))
