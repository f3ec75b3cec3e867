"""
Tests for :mod:`twisted_transfer.connecting.admission`.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections import Counter
from collections.abc import Callable
from random import randrange
from socket import if_nametoindex
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from tests.support.simulation import (
    Partner,
    SimulatedReactor,
    SimulatedSocket,
    TLSPartner,
    connected,
)
from tests.support.tlsends import Identities
from twisted_transfer.channel.link import Link, LinkState
from twisted_transfer.connecting import admission
from twisted_transfer.connecting.admission import (
    CANDIDATE_TIMEOUT,
    MAX_CANDIDATES,
    TELLING_INTERVAL,
    AddressFilter,
    Admission,
)
from twisted_transfer.descriptions import TransferDescription
from twisted_transfer.errors import BadDescription, BadOption


def v4(host: str) -> IPv4Address:
    return IPv4Address("TCP", host, 1)


def v6(host: str) -> IPv6Address:
    return IPv6Address("TCP", host, 1)


_entries = st.one_of(
    st.ip_addresses().map(str),
    st.tuples(st.ip_addresses(), st.integers(0, 130)).map(
        lambda pair: f"{pair[0]}/{pair[1]}"
    ),
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(
        lambda pair: str(ipaddress.ip_network(pair, strict=False))
    ),
    st.sampled_from(
        (
            *("fe80::1%eth0", "fe80::1%", "fe80::%1/64", "::ffff:192.0.2.7", "192.0.2"),
            *("::ffff:192.0.2.0/120", "192.0.2.7/24", "192.0.2.0/255.255.255.0"),
            *("", " ", "1.2.3.4 ", "a,b", "192.0.2.1,192.0.2.2", "example.org", "::/0"),
        )
    ),
    st.text(alphabet="0123456789abcdef:./%, ", max_size=20),
)


class AddressFilterTests(SynchronousTestCase):
    """From where a partner may come."""

    def allows(self, entry: str, address: IAddress) -> bool:
        return AddressFilter([entry]).allows(address)

    def test_address(self) -> None:
        """An address allows itself alone, however it is written."""
        self.assertTrue(self.allows("192.0.2.7", v4("192.0.2.7")))
        self.assertFalse(self.allows("192.0.2.7", v4("192.0.2.8")))
        self.assertTrue(self.allows("2001:DB8:0::7", v6("2001:db8::7")))
        self.assertFalse(self.allows("2001:db8::7", v6("2001:db8::8")))

    def test_network(self) -> None:
        """A network allows what is in it."""
        for host, inside in (
            ("192.0.2.128", True),
            ("192.0.2.255", True),
            ("192.0.2.127", False),
            ("192.0.3.128", False),
        ):
            self.assertEqual(self.allows("192.0.2.128/25", v4(host)), inside, host)
        self.assertTrue(self.allows("2001:db8::/32", v6("2001:db8:ffff::1")))
        self.assertFalse(self.allows("2001:db8::/32", v6("2001:db9::1")))

    def test_several(self) -> None:
        """One of them is enough."""
        allowed = AddressFilter(iter(["192.0.2.7", "198.51.100.0/24", "2001:db8::7"]))
        self.assertTrue(allowed.allows(v4("198.51.100.3")))
        self.assertTrue(allowed.allows(v6("2001:db8::7")))
        self.assertFalse(allowed.allows(v4("203.0.113.1")))

    def test_mapped(self) -> None:
        """
        An IPv4 address is the same within IPv6, as a dual-stack port shows it
        (RFC 4291, section 2.5.5.2), on either side.
        """
        for entry in ("192.0.2.0/25", "::ffff:192.0.2.0/121"):
            for address in (v4, lambda host: v6(f"::ffff:{host}")):
                self.assertTrue(self.allows(entry, address("192.0.2.7")), entry)
                self.assertFalse(self.allows(entry, address("192.0.2.200")), entry)
        for entry in ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207"):
            self.assertTrue(self.allows(entry, v6("::ffff:192.0.2.7")), entry)
            self.assertFalse(self.allows(entry, v6("::ffff:192.0.2.8")), entry)

    def test_allOfOneFamily(self) -> None:
        """All of IPv6 is not all of IPv4, nor the other way round."""
        self.assertTrue(self.allows("::/0", v6("2001:db8::1")))
        self.assertFalse(self.allows("::/0", v4("192.0.2.1")))
        self.assertFalse(self.allows("::/0", v6("::ffff:192.0.2.1")))
        self.assertTrue(self.allows("0.0.0.0/0", v6("::ffff:192.0.2.1")))
        self.assertFalse(self.allows("0.0.0.0/0", v6("2001:db8::1")))
        self.assertTrue(self.allows("::ffff:0:0/96", v4("192.0.2.1")))
        self.assertTrue(self.allows("::ffff:0:0/96", v6("::ffff:192.0.2.1")))

    def test_zones(self) -> None:
        """
        With a zone id (RFC 4007) an address is meant there alone, without one
        in every zone.
        """
        self.assertTrue(self.allows("fe80::1", v6("fe80::1%eth0")))
        self.assertTrue(self.allows("fe80::/10", v6("fe80::1%eth0")))
        self.assertTrue(self.allows("fe80::1%eth0", v6("fe80::1%eth0")))
        self.assertFalse(self.allows("fe80::1%eth0", v6("fe80::1%eth1")))
        self.assertFalse(self.allows("fe80::1%eth0", v6("fe80::1")))
        self.assertFalse(self.allows("fe80::1%eth0", v6("fe80::2%eth0")))
        # As a socket says it: the number of the network interface is apart.
        lo = IPv6Address("TCP", "fe80::1", 1, scopeID=if_nametoindex("lo"))
        self.assertTrue(self.allows("fe80::1%lo", lo))
        self.assertFalse(self.allows("fe80::1%eth0", lo))

    def test_otherAddresses(self) -> None:
        """What is no address of the Internet is never allowed."""
        everything = AddressFilter(["0.0.0.0/0", "::/0"])

        class Strange:
            host = 7

        for address in (UNIXAddress("/x"), v4("localhost"), v4(""), Strange()):
            self.assertFalse(everything.allows(address))

    def test_string(self) -> None:
        """A string is not taken for a list of its characters."""
        error = self.assertRaises(BadOption, AddressFilter, "192.0.2.7")
        self.assertIn("such as ['192.0.2.7']", str(error))

    def test_nobody(self) -> None:
        """An empty list would let nobody in."""
        error = self.assertRaises(BadOption, AddressFilter, [])
        self.assertIn("nobody", str(error))

    def test_nonsense(self) -> None:
        """What is neither is named, with what is right."""
        for entry, words in (
            ("example.org", "'example.org'"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("192.0.2.7,192.0.2.8", "comma"),
            ("fe80::/64%eth0", "zone"),
            (7, "7"),
            (None, "None"),
        ):
            bad: Any = [entry]
            error = self.assertRaises(BadOption, AddressFilter, bad)
            self.assertIn(words, str(error))

    @given(_entries)
    def test_asInStrings(self, entry: str) -> None:
        """What is valid in a string is valid here, and nothing else."""
        try:
            TransferDescription("passive", admit=(entry,))
        except BadDescription:
            self.assertRaises(BadOption, AddressFilter, [entry])
        else:
            AddressFilter([entry])

    @given(st.ip_addresses(), st.integers(0, 32), st.ip_addresses())
    def test_asIPAddressSays(self, inside: Any, length: int, other: Any) -> None:
        """A network allows what the ipaddress module says is in it."""
        network = ipaddress.ip_network((inside, length), strict=False)
        made = v4 if inside.version == 4 else v6
        mapped = getattr(inside, "ipv4_mapped", None)
        self.assertEqual(self.allows(str(network), made(str(inside))), mapped is None)
        if other.version == inside.version and not getattr(other, "ipv4_mapped", None):
            self.assertEqual(
                self.allows(str(network), made(str(other))), other in network
            )


class AdmissionTestCase(SynchronousTestCase):
    """A test with an admission."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.admission = Admission(self.reactor)
        self.factory: Any = self.admission

    def arrive(self, address: IAddress | None = None) -> tuple[Any, Partner]:
        """:returns: the socket of a new candidate, None if refused, and it."""
        socket, partner = connected(self.reactor)
        address = address or socket.peer
        protocol = self.factory.buildProtocol(address)
        if protocol is None:
            return None, partner
        socket.peer = address
        socket.attach(protocol)
        return socket, partner

    def counted(self, accepted: int, admitted: int, **dropped: int) -> None:
        """The counters are these, and no timer is left if it is over."""
        admission = self.admission
        self.assertEqual(admission.accepted, accepted)
        self.assertEqual(admission.admitted, admitted)
        words = {name.replace("_", " "): count for name, count in dropped.items()}
        self.assertEqual(dict(admission.dropped), words)


class PlainTests(AdmissionTestCase):
    """On plain connections there is nothing to prove but the address."""

    def test_first(self) -> None:
        """The first one is the partner; all later ones get nothing."""
        self.assertNoResult(self.admission.winner)
        first, _ = self.arrive()
        link = self.successResultOf(self.admission.winner)
        self.assertIs(first.protocol, link)
        for _ in range(3):
            socket, _ = self.arrive()
            self.assertIsNone(socket)
        self.counted(4, 1, late=3)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertFalse(first.disconnected)

    def test_address(self) -> None:
        """Those from elsewhere are dropped, before the partner and after it."""
        self.admission = self.factory = Admission(
            self.reactor, AddressFilter(["192.0.2.0/24"])
        )
        for stranger in (v4("198.51.100.1"), v6("2001:db8::1"), UNIXAddress("/x")):
            socket, _ = self.arrive(stranger)
            self.assertIsNone(socket)
        self.assertNoResult(self.admission.winner)
        self.assertIsNone(self.admission.buildProtocol(None))
        self.arrive(v6("::ffff:192.0.2.7"))
        self.successResultOf(self.admission.winner)
        self.arrive(v4("198.51.100.1"))
        self.counted(6, 1, address=4, late=1)

    def test_closed(self) -> None:
        """After close() nobody is admitted; there is nothing to wait for."""
        self.admission.close()
        self.successResultOf(self.admission.leftovers.cleared())
        socket, _ = self.arrive()
        self.assertIsNone(socket)
        self.counted(1, 0, late=1)
        self.assertNoResult(self.admission.winner)

    def test_closedAfterwards(self) -> None:
        """Closing does not touch the partner."""
        socket, _ = self.arrive()
        self.admission.close()
        self.successResultOf(self.admission.leftovers.cleared())
        self.reactor.run(3)
        self.assertFalse(socket.disconnected)

    def test_inLog(self) -> None:
        """Twisted's log names the port by what is served there."""

        class Served(Factory):
            noisy = False

        self.assertEqual(self.admission.logPrefix(), "TransferConnector")
        self.admission.serveBy(Served())
        self.assertEqual(self.admission.logPrefix(), "Served")

    def test_neverConnected(self) -> None:
        """
        A candidate whose connection is never made is forgotten in its time,
        and ended if it is made after all.
        """
        protocol: Any = self.admission.buildProtocol(v4("192.0.2.7"))
        self.reactor.turn(CANDIDATE_TIMEOUT)
        self.counted(1, 0, timeout=1)
        self.admission.close()
        self.successResultOf(self.admission.leftovers.cleared())
        socket, _ = connected(self.reactor)
        socket.attach(protocol)
        self.reactor.run(2)
        self.assertTrue(socket.disconnected)
        self.counted(1, 0, timeout=1)


class WarningTests(AdmissionTestCase):
    """What is said of those who are not admitted."""

    def setUp(self) -> None:
        super().setUp()
        self.admission = Admission(self.reactor, AddressFilter(["192.0.2.0/24"]))
        self.factory = self.admission
        capturing = capturedLogs()
        self.events: Any = capturing.__enter__()
        self.addCleanup(capturing.__exit__, None, None, None)

    def said(self) -> list[str]:
        """:returns: the warnings since the last time."""
        warnings = [
            formatEvent(event)
            for event in self.events
            if event["log_level"] is LogLevel.warn
        ]
        self.events.clear()
        return warnings

    def test_admitted(self) -> None:
        """Who is admitted is logged, printable: a UNIX socket has any name."""
        for address, told in (
            (UNIXAddress("/run/\x1b[2J"), "/run/\\x1b[2J"),
            (UNIXAddress(None), "a socket without a name"),
        ):
            self.factory = self.admission = Admission(self.reactor)
            self.arrive(address)
            self.successResultOf(self.admission.winner)
            texts = [formatEvent(event) for event in self.events]
            self.assertIn(f"partner admitted from {told}; of 1", "\n".join(texts))
            self.events.clear()

    def test_once(self) -> None:
        """The first of each kind is named, with the reason."""
        self.arrive(v4("198.51.100.1"))
        self.assertEqual(
            self.said(),
            [
                "a connection from 198.51.100.1:1 was not admitted: "
                "admit= does not allow its address"
            ],
        )
        identities = Identities(self)
        self.factory = TLSMemoryBIOFactory(
            identities.server, False, self.admission, clock=self.reactor
        )
        _, scanner = self.arrive(v4("192.0.2.8"))
        scanner.end()
        _, garbler = self.arrive(v6("::ffff:192.0.2.9"))
        garbler.send(b"GET / HTTP/1.0\r\n\r\n")
        trustsNobody = identities.clientContext()
        trustsNobody.set_verify(SSL.VERIFY_PEER)
        refusing = TLSPartner(self.arrive(v4("192.0.2.10"))[1], trustsNobody)
        with contextlib.suppress(SSL.Error):
            refusing.handshake(self.reactor)
        self.arrive(v4("192.0.2.11"))
        self.reactor.run(3)
        self.reactor.turn(CANDIDATE_TIMEOUT)
        hungUp, unproven, refused, slow = self.said()
        self.assertIn("192.0.2.8:1 was not admitted: it hung up before it", hungUp)
        self.assertIn("192.0.2.9:1 was not admitted: the TLS handshake", unproven)
        self.assertIn("http request", unproven)
        self.assertIn("192.0.2.10:1 was not admitted: the partner refused", refused)
        self.assertIn("unknown ca", refused)
        self.assertIn("192.0.2.11:1 was not admitted: its handshake was not", slow)
        self.assertIn("10 seconds", slow)
        self.counted(5, 0, address=1, hung_up=1, unproven=1, refused=1, timeout=1)

    def test_rarely(self) -> None:
        """The next of a kind are counted, and told in a while."""
        for _ in range(5):
            self.arrive(v4("198.51.100.1"))
        self.reactor.turn(TELLING_INTERVAL - 1)
        self.arrive(v4("198.51.100.2"))
        self.assertEqual(len(self.said()), 1)
        self.reactor.turn(1)
        self.arrive(v4("198.51.100.3"))
        [line] = self.said()
        self.assertIn("from 198.51.100.3:1 was not admitted, and 5 more since", line)
        self.arrive(v4("198.51.100.3"))
        self.assertEqual(self.said(), [])

    def test_names(self) -> None:
        """An address that is a name is printable, and one that is none is said so."""
        self.arrive(UNIXAddress("/x\x1b[2J"))
        self.assertIn("from /x\\x1b[2J was", self.said()[0])
        self.reactor.turn(TELLING_INTERVAL)
        self.arrive(UNIXAddress(""))
        self.assertIn("from a socket without a name was", self.said()[0])

    def test_notOfLateOnes(self) -> None:
        """Who comes after the partner, or while this side ends, is no news."""
        self.arrive(v4("192.0.2.7"))
        self.arrive(v4("192.0.2.8"))
        self.counted(2, 1, late=1)
        self.assertEqual(self.said(), [])
        self.setUp()
        self.admission.buildProtocol(v4("192.0.2.7"))
        self.admission.close()
        self.counted(1, 0, closed=1)
        self.assertEqual(self.said(), [])

    def test_story(self) -> None:
        """Who came is counted by reason, those most of whom came first."""
        self.assertEqual(self.admission.story(), "")
        self.admission.buildProtocol(v4("192.0.2.7"))
        for _ in range(2):
            self.arrive(v4("198.51.100.1"))
        self.admission.close()
        self.arrive(v4("192.0.2.7"))
        self.assertEqual(
            self.admission.story(),
            "3 came and were not (an address not in admit=: 2, handshake not "
            "complete yet: 1)",
        )


class WrappedTests(AdmissionTestCase):
    """Endpoints that put layers around the protocols."""

    def setUp(self) -> None:
        super().setUp()
        self.admission = Admission(self.reactor, AddressFilter(["192.0.2.0/24"]))
        self.admission.wrapped = True
        self.factory = WrappingFactory(self.admission)

    def test_turnedAway(self) -> None:
        """
        Those who are turned away see the end, before the partner and after it;
        Twisted's factories could not wrap what is no protocol.
        """
        stranger = self.arrive(v4("198.51.100.1"))
        partner = self.arrive(v4("192.0.2.7"))
        late = self.arrive(v4("192.0.2.8"))
        self.successResultOf(self.admission.winner)
        self.counted(3, 1, address=1, late=1)
        self.admission.close()
        closing = self.admission.leftovers.cleared()
        self.assertNoResult(closing)
        self.reactor.run(2)
        self.successResultOf(closing)
        for socket, away in (stranger, late):
            self.assertTrue(socket.disconnected)
            self.assertTrue(away.incoming.ended)
            self.assertFalse(away.incoming.broken)
            self.assertEqual(away.take(), b"")
        self.assertFalse(partner[0].disconnected)


class FloodTests(AdmissionTestCase):
    """
    Who has to make room when there are too many.

    No candidate here proves itself, or hangs up.
    """

    def come(self, address: IAddress) -> Link:
        link: Link = self.factory.buildProtocol(address)
        return link

    def stays(self, link: Link) -> bool:
        """:returns: whether a candidate still has its time."""
        return link.state is LinkState.SETUP

    def test_counted(self) -> None:
        """
        A flood drives out its own, if each of its connections comes from a new
        address, or a new /64; so the partner has as much time as it needs.
        """
        floods: dict[str, Callable[[int], IAddress]] = {
            "one address": lambda i: v6("2001:db8::1"),
            "a /64": lambda i: v6(f"2001:db8::{i:x}"),
            "a /48": lambda i: v6(f"2001:db8:0:{i:x}::1"),
            "IPv4": lambda i: v4("198.51.100.1"),
            "a /24": lambda i: v4(f"198.51.100.{i % 256}"),
            "a /24, within IPv6": lambda i: v6(f"::ffff:198.51.100.{i % 256}"),
        }
        for name, flood in floods.items():
            self.setUp()
            partners = [
                self.come(address)
                for address in (v4("192.0.2.7"), v6("2001:db8:1::1"), v6("::1"))
            ]
            count = MAX_CANDIDATES + 50
            strangers = [self.come(flood(i)) for i in range(count)]
            self.counted(count + 3, 0, evicted=53)
            self.assertTrue(all(map(self.stays, partners)), name)
            self.assertEqual(sum(map(self.stays, strangers)), count - 53)
            self.admission.close()

    def test_withinANetwork(self) -> None:
        """In the busiest network the busiest part of it makes room."""
        for home, flood in (
            ("2001:db8:0:1::1", "2001:db8:0:2::{:x}"),
            ("2001:db8::1", "2001:db8::2"),
            ("::ffff:198.51.100.1", "::ffff:198.51.100.2"),
        ):
            self.setUp()
            partner = self.come(v6(home))
            for i in range(MAX_CANDIDATES + 50):
                self.come(v6(flood.format(i)))
            self.counted(MAX_CANDIDATES + 51, 0, evicted=51)
            self.assertTrue(self.stays(partner), flood)
            self.admission.close()

    def test_ownNetwork(self) -> None:
        """
        A partner in the network of the flood itself gets in: mostly, if it is
        quick, and in some of its tries, if it needs the time in which as many
        strangers come as there is room for.
        """
        most = 16
        self.patch(admission, "MAX_CANDIDATES", most)
        for flood in (
            lambda: v6(f"2001:db8::{randrange(2**16):x}"),
            lambda: v6(f"2001:db8:0:{randrange(2**16):x}::1"),
            lambda: v4(f"198.51.100.{randrange(256)}"),
            lambda: v4("198.51.100.1"),
            lambda: UNIXAddress(""),
        ):
            self.setUp()
            for _ in range(most):
                self.come(flood())
            stayed: Counter[int] = Counter()
            for meanwhile in (most // 4, most + 1):
                for _ in range(100):
                    partner = self.come(flood())
                    for _ in range(meanwhile):
                        self.come(flood())
                    stayed[meanwhile] += self.stays(partner)
            self.assertGreater(stayed[most // 4], 50)
            self.assertGreater(stayed[most + 1], 0)
            self.admission.close()


class TLSTests(AdmissionTestCase):
    """On TLS, a candidate has to complete its handshake."""

    def setUp(self) -> None:
        super().setUp()
        self.identities = Identities(self)
        self.admission.wrapped = True
        self.factory = TLSMemoryBIOFactory(
            self.identities.server, False, self.admission, clock=self.reactor
        )

    def candidate(
        self, address: IAddress | None = None
    ) -> tuple[SimulatedSocket, TLSPartner]:
        socket, partner = self.arrive(address)
        return socket, TLSPartner(partner, self.identities.clientContext())

    def over(self) -> None:
        """Nothing of the candidates is left when it is closed."""
        self.admission.close()
        closing = self.admission.leftovers.cleared()
        self.reactor.run(2)
        self.successResultOf(closing)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers | self.reactor.writers, set())

    def test_firstProven(self) -> None:
        """Who was first to come is not the partner, who is first to prove is."""
        silent, _ = self.candidate()
        slow, slowPartner = self.candidate()
        slowPartner.handshake(self.reactor, 1)
        quick, partner = self.candidate()
        self.assertNoResult(self.admission.winner)
        partner.handshake(self.reactor)
        link = self.successResultOf(self.admission.winner)
        partner.write(b"I")
        self.assertIs(link.state, LinkState.OPEN)
        self.reactor.run(2)
        self.assertTrue(silent.disconnected)
        self.assertTrue(slow.disconnected)
        self.assertFalse(quick.disconnected)
        self.counted(3, 1, late=2)
        quick.abortConnection()
        self.over()

    def test_fails(self) -> None:
        """Each way of not proving oneself has its counter."""
        for end in ("end", "close", "reset"):
            _, partner = self.candidate()
            getattr(partner.raw, end)()
            self.reactor.run(3)
        self.counted(3, 0, hung_up=3)
        for nonsense in (b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100):
            socket, partner = self.candidate()
            partner.raw.send(nonsense)
            self.reactor.run(3)
            self.assertTrue(socket.disconnected)
        self.counted(5, 0, hung_up=3, unproven=2)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        _, partner = self.candidate()
        partner.handshake(self.reactor)
        self.successResultOf(self.admission.winner)
        self.counted(6, 1, hung_up=3, unproven=2)

    def test_deadline(self) -> None:
        """
        A candidate has its time, counted from its first moment; that it sends
        a byte now and then does not give it more.
        """
        socket, partner = self.candidate()
        hello = self.hello(partner)
        for i in range(int(CANDIDATE_TIMEOUT / 0.1) - 1):
            partner.raw.send(hello[i : i + 1])
            self.reactor.turn(0.1)
        self.assertFalse(socket.disconnected)
        self.counted(1, 0)
        self.reactor.turn(0.11)
        self.counted(1, 0, timeout=1)
        self.reactor.turn()
        self.assertTrue(socket.disconnected)
        self.over()

    def hello(self, partner: TLSPartner) -> bytes:
        """:returns: what the partner begins with; it was not sent."""
        partner.do(partner.tls.do_handshake)
        hello = bytes(partner.raw.outgoing.data)
        partner.raw.outgoing.data.clear()
        self.assertGreater(len(hello), 200)
        return hello

    def test_deadlineIsEachOnesOwn(self) -> None:
        """One who comes later has as much time as the one before."""
        first, _ = self.candidate()
        self.reactor.turn(CANDIDATE_TIMEOUT / 2)
        second, partner = self.candidate()
        self.reactor.turn(CANDIDATE_TIMEOUT / 2)
        self.reactor.turn()
        self.assertTrue(first.disconnected)
        self.assertFalse(second.disconnected)
        partner.handshake(self.reactor)
        self.successResultOf(self.admission.winner)
        self.counted(2, 1, timeout=1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_bound(self) -> None:
        """
        There are so many at a time and not more: one makes room.  A flood of
        strangers does not keep the partner out, however slow it is.
        """
        _, partner = self.candidate(v4("192.0.2.7"))
        sockets = [self.candidate()[0] for _ in range(MAX_CANDIDATES - 1)]
        self.reactor.run(2)
        self.counted(MAX_CANDIDATES, 0)
        sockets += [self.candidate()[0] for _ in range(11)]
        self.reactor.run(2)
        self.counted(MAX_CANDIDATES + 11, 0, evicted=11)
        self.assertEqual(sum(bool(socket.disconnected) for socket in sockets), 11)
        partner.handshake(self.reactor)
        self.successResultOf(self.admission.winner)
        self.counted(MAX_CANDIDATES + 11, 1, evicted=11, late=MAX_CANDIDATES - 1)
        self.reactor.run(2)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 0)

    def test_greeted(self) -> None:
        """
        One that has sent its ClientHello stays as long as there are others in its
        network that have said nothing, however many of them come.
        """
        self.patch(admission, "MAX_CANDIDATES", 16)
        self.admission = Admission(self.reactor)
        self.admission.wrapped = True
        self.factory = TLSMemoryBIOFactory(
            self.identities.server, False, self.admission, clock=self.reactor
        )
        _, partner = self.candidate()
        partner.handshake(self.reactor, 1)
        for _ in range(200):
            self.candidate()
        self.reactor.turn()
        self.counted(201, 0, evicted=185)
        partner.handshake(self.reactor)
        self.successResultOf(self.admission.winner)
        self.reactor.run(2)

    def test_close(self) -> None:
        """Closing drops all of them, and is over when the last one is gone."""
        sockets = [self.candidate()[0] for _ in range(3)]
        self.reactor.turn()
        self.admission.close()
        self.admission.close()
        leftovers = self.admission.leftovers
        first, second = leftovers.cleared(), leftovers.cleared()
        self.assertNoResult(first)
        self.counted(3, 0, closed=3)
        self.reactor.turn()
        for socket in sockets:
            self.assertTrue(socket.disconnected)
        self.successResultOf(first)
        self.successResultOf(second)
        self.over()
        late, _ = self.arrive()
        self.reactor.run(2)
        self.assertTrue(late.disconnected)
        self.counted(4, 0, closed=3, late=1)

    def test_provenTooLate(self) -> None:
        """One who proves himself when he was dropped already is not admitted."""
        socket, partner = self.candidate()
        partner.handshake(self.reactor, 1)
        partner.do(partner.tls.do_handshake)
        self.admission.close()
        self.reactor.run(3)
        self.assertTrue(socket.disconnected)
        self.assertNoResult(self.admission.winner)
        self.counted(1, 0, closed=1)
