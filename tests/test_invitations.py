"""
Tests for :mod:`twisted_transfer.invitations`.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer import BadOption, TransferConnector
from twisted_transfer.descriptions import TransferDescription
from twisted_transfer.invitations import invitation

V4 = IPv4Address("TCP", "192.0.2.7", 4000)
V6 = IPv6Address("TCP", "2001:db8::7", 4000)


class InvitationTests(SynchronousTestCase):
    """A description that reaches what is listened on, or an error."""

    def test_plain(self) -> None:
        """Plain TCP is dialled by host and port."""
        for command in (None, "tcp:0", "tcp6:0"):
            read = TransferDescription.parse(invitation(command, V4, None))
            self.assertEqual(read.mode, "active")
            given = read.socketCommand.keywords if read.socketCommand else None
            found = (
                (read.host, str(read.port))
                if given is None
                else (
                    given["host"],
                    given["port"],
                )
            )
            self.assertEqual(found, ("192.0.2.7", "4000"))

    def test_ipv6(self) -> None:
        """The colons of an IPv6 address are quoted."""
        self.assertEqual(
            invitation("tcp6:0", V6, None),
            r"transfer:active:tcp:host=2001\:db8\:\:7:port=4000",
        )

    def test_tls(self) -> None:
        """Both of Twisted's TLS types are dialled by ``tls``."""
        for command in ("ssl:0", "tls:/pems"):
            self.assertEqual(
                invitation(command, V4, "host.example"),
                "transfer:active:tls:host=host.example:port=4000",
            )

    def test_unix(self) -> None:
        """A UNIX socket is dialled by its path, whatever is in it."""
        text = invitation("unix:/a", UNIXAddress(b"/a:b=c"), None)
        read = TransferDescription.parse(text)
        assert read.socketCommand is not None
        self.assertEqual(read.socketCommand.keywords["path"], "/a:b=c")
        self.assertRaises(BadOption, invitation, "unix:/a", UNIXAddress(b"/a"), "host")
        self.assertRaises(BadOption, invitation, "unix:/a", UNIXAddress(b"\0a"), None)

    def test_unknown(self) -> None:
        """What nobody can know how to dial is an error that says so."""
        endpoint = TCP4ServerEndpoint(MemoryReactorClock(), 0)
        for command in ("haproxy:tcp:0", "systemd:INET:index=0", endpoint):
            self.assertRaises(BadOption, invitation, command, V4, None)

    def test_unspecified(self) -> None:
        """Nobody can dial 0.0.0.0."""
        for host in ("0.0.0.0", "::"):
            self.assertRaises(BadOption, invitation, None, V4, host)

    def test_wrapped(self) -> None:
        """What ``mtls`` wraps is dialled in its own way."""
        proof = {"pin": "p", "secret": "s"}
        for command, address, below in (
            (r"mtls:endpoint=tcp\:0", V6, r"tcp:host=2001\:db8\:\:7:port=4000"),
            (r"mtls:endpoint=unix\:/a", UNIXAddress(b"/a b:c"), r"unix:path=/a b\:c"),
        ):
            text = invitation(command, address, None, proof)
            read = TransferDescription.parse(text).socketCommand
            assert read is not None
            self.assertEqual(read.args, ("mtls",))
            self.assertEqual(read.keywords, {"endpoint": below, **proof})
        self.assertRaises(
            BadOption, invitation, r"mtls:endpoint=haproxy\:tcp\:0", V4, None, proof
        )

    def test_connector(self) -> None:
        """A connector gives its invitation when it listens, and only then."""
        reactor = MemoryReactorClock()
        connector = TransferConnector(reactor, "passive", socketCommand="tcp:4000")
        waiting = connector.invitation("host.example")
        self.assertNoResult(waiting)
        connecting = connector.connect().addErrback(lambda ignored: None)
        self.assertEqual(
            self.successResultOf(waiting),
            "transfer:active:tcp:host=host.example:port=4000",
        )
        connecting.cancel()
        dialling = TransferConnector(reactor, port=1)
        self.assertRaises(BadOption, dialling.invitation)
