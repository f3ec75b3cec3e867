"""
Tests for :mod:`twisted_transfer.connecting.invitations`.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import ifaddr
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.simulatedendpoints import SimulatedServerEndpoint
from tests.support.simulation import SimulatedReactor
from twisted_transfer import BadOption, TransferConnector
from twisted_transfer.connecting import invitations
from twisted_transfer.connecting.invitations import (
    InvitingServerEndpoint,
    reachableHosts,
)
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.descriptions.transfer import TransferDescription
from twisted_transfer.tls.keys import Identity, Secret

V4 = IPv4Address("TCP", "192.0.2.7", 4000)
V6 = IPv6Address("TCP", "2001:db8::7", 4000)


def invitation(command: object, *rest: Any) -> str:
    """:returns: the invitation of a connector with this socket command."""
    if isinstance(command, str):
        command = Description.parse(command)
    return invitations.invitation(command, *rest)


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

    def test_zone(self) -> None:
        """The zone of a link-local address is in it."""
        zone = socket.if_nametoindex("lo")
        address = IPv6Address("TCP", "fe80::1", 4000, scopeID=zone)
        self.assertEqual(
            invitation(None, address, None),
            r"transfer:active:host=fe80\:\:1%lo:port=4000",
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

    def test_severalHosts(self) -> None:
        """Where it can be proven who answers, all hosts are named, else the first."""
        self.patch(
            invitations, "reachableHosts", lambda bound: ["192.0.2.7", "fd00::1"]
        )
        anywhere = IPv6Address("TCP", "::", 4000)
        for command, expected in (
            ("mtls:port=0", "192.0.2.7,fd00::1"),
            ("tls:/pems", "192.0.2.7"),
            (None, "192.0.2.7"),
        ):
            read = TransferDescription.parse(invitation(command, anywhere, None))
            keywords = {"host": read.host}
            if read.socketCommand is not None:
                keywords = dict(read.socketCommand.keywords)
            self.assertEqual(keywords["host"], expected)

    def test_wrapped(self) -> None:
        """What ``mtls`` wraps is dialled in its own way."""
        proof = {"pin": Identity.ephemeral().pin, "secret": Secret.fresh().text}
        for command, address, below in (
            (r"mtls:endpoint=tcp\:0", V6, r"tcp:host=2001\:db8\:\:7:port=4000"),
            (r"mtls:endpoint=unix\:/a", UNIXAddress(b"/a b:c"), r"unix:path=/a b\:c"),
        ):
            text = invitation(command, address, None, proof)
            read = TransferDescription.parse(text).socketCommand
            assert read is not None
            self.assertEqual(read.args, ("mtls",))
            self.assertEqual(read.keywords, {"endpoint": below, **proof})
            # The partner takes it.
            TransferConnector.fromString(MemoryReactorClock(), text)
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


def adapter(*addresses: str) -> ifaddr.Adapter:
    """:returns: a network interface with these addresses."""
    given: list[Any] = [
        (address, 0, 0) if ":" in address else address for address in addresses
    ]
    return ifaddr.Adapter("n", "n", [ifaddr.IP(ip, 24, "n") for ip in given])


class ReachableHostsTests(SynchronousTestCase):
    """Where a partner may find this machine."""

    def given(self, outward: list[str], *adapters: ifaddr.Adapter) -> None:
        """This machine sends from some addresses, and has some interfaces."""
        self.patch(invitations, "_outward", lambda: outward)
        self.patch(ifaddr, "get_adapters", lambda: adapters)

    def test_bound(self) -> None:
        """One address that is bound is the one."""
        for host in ("192.0.2.7", "::1", "2001:db8::7"):
            self.assertEqual(reachableHosts(host), [host])

    def test_all(self) -> None:
        """
        All of them: those towards the outside first, each once, and IPv4 before
        IPv6; without those that nobody else could dial.
        """
        self.given(
            ["192.0.2.7", "2001:db8::7"],
            adapter("127.0.0.1", "::1"),
            adapter("fe80::1", "fd00::1", "10.0.0.1", "2001:db8::7", "192.0.2.7"),
            adapter("169.254.3.4", "172.17.0.1"),
        )
        self.assertEqual(
            reachableHosts("::"),
            ["192.0.2.7", "2001:db8::7", "10.0.0.1", "172.17.0.1", "fd00::1"],
        )
        self.assertEqual(
            reachableHosts("0.0.0.0"), ["192.0.2.7", "10.0.0.1", "172.17.0.1"]
        )

    def test_noNetwork(self) -> None:
        """A machine without a network can be reached from itself."""
        self.given([], adapter("127.0.0.1", "::1"))
        self.assertEqual(reachableHosts("::"), ["127.0.0.1", "::1"])
        self.assertEqual(reachableHosts("0.0.0.0"), ["127.0.0.1"])

    def test_nothing(self) -> None:
        """One with no address at all has a name."""
        self.given([])
        self.assertEqual(reachableHosts("::"), [socket.gethostname()])

    def test_here(self) -> None:
        """What is found on the machine that runs this can be bound there."""
        found = reachableHosts("::")
        self.assertNotEqual(found, [])
        for host in found:
            version = ipaddress.ip_address(host).version
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            with socket.socket(family) as bound:
                bound.bind((host, 0))


class ProofTests(SynchronousTestCase):
    """What the partner needs beside the address."""

    def setUp(self) -> None:
        reactor = SimulatedReactor()
        below = SimulatedServerEndpoint(reactor)
        self.endpoint = InvitingServerEndpoint(reactor, lambda secret: below)

    def test_nothingYet(self) -> None:
        """Before there is a port there is no invitation."""
        self.assertEqual(self.endpoint.proof(), {})

    def test_newEachTime(self) -> None:
        """Each port has a pin and a secret of its own."""
        proofs = []
        for _ in range(2):
            self.endpoint.listen(Factory())
            proofs.append(self.endpoint.proof())
        first, second = proofs
        self.assertNotEqual(first["pin"], second["pin"])
        self.assertNotEqual(first["secret"], second["secret"])
        for proof in proofs:
            self.assertEqual(Secret.fromText(proof["secret"]).text, proof["secret"])

    def test_notShown(self) -> None:
        """Whoever prints what the endpoint holds does not print the secret."""
        self.endpoint.listen(Factory())
        secret = self.endpoint.proof()["secret"]
        self.assertNotIn(secret, repr(vars(self.endpoint)))
