"""
Measure how much hostile peers of every kind delay the admission of the partner.

A passive ``mtls`` connector listens in this process; the hostile peers connect from a
second process, and the partner, with the invitation, from a third.  The result is the
time from the partner's dialling to its channel, without hostile peers and with them.
It also prints the memory of the listening process after each tenth of them, and checks
that the port is closed at the end.

    python -m benchmarks.siege
    python -m benchmarks.siege --count 10000 --concurrency 256 --runs 5

With ``--networks`` the hostile peers only wait, come from one IPv6 network, each from
another address, and are more at a time than there may be candidates; the partner comes
from another network or from theirs, near or 100 ms away.  For these addresses it runs
in a network namespace of its own, by ``unshare`` and ``ip``, for which Linux has to let
users make one:

    python -m benchmarks.siege --networks
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import cache
from random import getrandbits
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    TCP6ClientEndpoint,
)
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol, connectionDone
from twisted.internet.task import deferLater, react
from twisted.python.failure import Failure

from twisted_transfer import TransferConnector, TransferError
from twisted_transfer.testing.attacks import siege
from twisted_transfer.testing.peers import (
    Dripper,
    Flooder,
    Garbler,
    HostilePeer,
    Resetter,
    Scanner,
    Staller,
)
from twisted_transfer.testing.tlspeers import Impostor
from twisted_transfer.tls.keys import Identity

reactor: Any = _reactor

CHAIN = 60
"""How many certificates those show who have a long chain; OpenSSL reads 100 KiB."""


@cache
def longChain() -> Identity:
    """
    :returns: an identity that nobody knows, and the chain of its authorities, each of
        which has issued the one before.
    """
    now = datetime.now(timezone.utc)
    issuer = ec.generate_private_key(ec.SECP256R1())
    name = "authority"
    certificates: list[x509.Certificate] = []
    for number in range(CHAIN):
        key = ec.generate_private_key(ec.SECP256R1()) if number else issuer
        subject = f"authority {number}"
        certificates.append(
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .public_key(key.public_key())
            .serial_number(number + 1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .sign(issuer, hashes.SHA256())
        )
        issuer, name = key, subject
    own, *chain = reversed(certificates)
    return Identity(issuer, own, tuple(chain))


KINDS: dict[str, Callable[[], HostilePeer]] = {
    "scanner": Scanner,
    "resetter": Resetter,
    "staller": Staller,
    "dripper": lambda: Dripper(reactor),
    "garbler": Garbler,
    "http": Garbler.http,
    "flooder": Flooder,
    "impostor": lambda: Impostor(reactor),
    "bare impostor": lambda: Impostor(reactor, certificate=False),
    "long chain": lambda: Impostor(reactor, identity=longChain()),
    "old long chain": lambda: Impostor(reactor, identity=longChain(), version="1.2"),
    "old impostor": lambda: Impostor(reactor, version="1.2"),
}

PATIENCE = 2.0
"""Seconds for which those that only wait stay."""

SERVER = "2001:db8:ffff::1"
"""Whom the hostile peers dial."""

NETWORKS: dict[str, tuple[Callable[[], str] | None, str]] = {
    "nobody": (None, "2001:db8:2::1"),
    "one address": (lambda: "2001:db8:1::2", "2001:db8:2::1"),
    "one /64": (lambda: f"2001:db8:1::{_groups(4)}", "2001:db8:2::1"),
    "one /48": (lambda: f"2001:db8:1:{_groups(5)}", "2001:db8:2::1"),
    "its own address": (lambda: "2001:db8:1::1", "2001:db8:1::1"),
    "its own /64": (lambda: f"2001:db8:1::{_groups(4)}", "2001:db8:1::1"),
    "its own /48": (lambda: f"2001:db8:1:{_groups(5)}", "2001:db8:1::1"),
}
"""From where the hostile peers come, each of them, and from where the partner."""

_NAMESPACE = """
ip link set lo up && ip -6 route add local 2001:db8::/32 dev lo &&
echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind && exec "$@"
"""


def _groups(count: int) -> str:
    """:returns: so many groups of an IPv6 address, by chance."""
    return ":".join(f"{getrandbits(16):x}" for _ in range(count))


class Child(ProcessProtocol):
    """A process of this benchmark, whose output is a few words."""

    def __init__(self, *arguments: str) -> None:
        self.output = b""
        self._ready: Deferred[None] = Deferred()
        self.ended: Deferred[str] = Deferred()
        command = [sys.executable, "-m", "benchmarks.siege", *arguments]
        reactor.spawnProcess(
            self, command[0], command, os.environ, childFDs={0: "w", 1: "r", 2: 2}
        )

    async def tell(self, line: str) -> None:
        """Give it a line to go on with, when it is ready for one."""
        await self._ready
        assert self.transport is not None
        self.transport.write(f"{line}\n".encode())

    def outReceived(self, data: bytes) -> None:
        self.output += data
        if not self._ready.called and b"\n" in self.output:
            self.output = self.output.partition(b"\n")[2]
            self._ready.callback(None)

    def processEnded(self, reason: Failure) -> None:
        if reason.check(ProcessDone):
            self.ended.callback(self.output.decode().strip())
        else:
            self.ended.errback(reason)


async def beSiege(count: int, concurrency: int, network: str) -> None:
    """Be the second process: connect the hostile peers."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print("ready", flush=True)
    port = int(sys.stdin.readline())
    source = NETWORKS[network][0]

    def endpoint() -> TCP4ClientEndpoint | TCP6ClientEndpoint:
        if source is None:
            return TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        return TCP6ClientEndpoint(reactor, SERVER, port, bindAddress=(source(), 0))

    outcomes = await siege(
        reactor,
        endpoint,
        list(KINDS.values()) if source is None else [Staller],
        count,
        concurrency,
        PATIENCE if source is None else 60,
    )
    print(", ".join(f"{words} {number}" for words, number in outcomes.most_common()))


class Far(Protocol):
    """
    One of the two connections of a relay on a way that takes time.

    :ivar other: the other one.
    """

    other: Far | None = None

    def __init__(self, delay: float, dial: Callable[[Far], None] | None) -> None:
        """
        :param delay: seconds until what has come is passed on.
        :param dial: begins the other connection; None: this is the other.
        """
        self._delay = delay
        self._dial = dial
        self._early: list[bytes] = []

    def connectionMade(self) -> None:
        if self._dial is not None:
            self._dial(self)

    def join(self, other: Far) -> Far:
        """Pass on what has come to the other connection, which is there now."""
        self.other, other.other = other, self
        for data in self._early:
            reactor.callLater(self._delay, other.transport.write, data)  # type: ignore[union-attr]
        return other

    def dataReceived(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            reactor.callLater(self._delay, self.other.transport.write, data)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.other is not None:
            reactor.callLater(self._delay, self.other.transport.loseConnection)  # type: ignore[union-attr]


async def relay(port: int, source: str, delay: float) -> int:
    """
    Listen for one who wants to come from elsewhere.

    :param port: where :data:`SERVER` listens.
    :param source: from which address the server is dialled.
    :param delay: seconds that all bytes take, in each direction.
    :returns: the port that is listened on.
    """

    def dial(near: Far) -> None:
        endpoint = TCP6ClientEndpoint(reactor, SERVER, port, bindAddress=(source, 0))
        far = Factory.forProtocol(lambda: Far(delay, None))
        connecting = endpoint.connect(far)
        connecting.addCallback(near.join).addErrback(
            lambda failure: near.transport.loseConnection()  # type: ignore[union-attr]
        )

    listening = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    factory = Factory.forProtocol(lambda: Far(delay, dial))
    bound: Any = await listening.listen(factory)
    return int(bound.getHost().port)


async def bePartner(network: str, away: float) -> None:
    """
    Be the third process: dial, and print how many seconds it took, or ``inf``.

    :param network: from where; ``nobody`` and no distance: from here.
    :param away: how many seconds it takes there and back.
    """
    print("ready", flush=True)
    invitation, port = sys.stdin.readline().split()
    if port != "0":
        near = await relay(int(port), NETWORKS[network][1], away / 2)
        invitation = invitation.replace(f":port={port}:", f":port={near}:")
    connector = TransferConnector.fromString(reactor, invitation)
    started = time.monotonic()
    try:
        channel = await connector.connect()
    except TransferError as error:
        print(error, file=sys.stderr)
        print("inf")
        return
    print(time.monotonic() - started)
    channel.loseConnection()
    await channel.whenClosed()


def resident() -> float:
    """:returns: how many MiB of memory this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


async def admit(count: int, concurrency: int, early: float) -> tuple[float, str]:
    """
    Listen for the partner once.

    :param count: how many hostile peers come, in all; 0 for none.
    :param early: at which part of them the partner dials.
    :returns: its seconds, and what happened.
    """
    connector = TransferConnector.fromString(
        reactor, "transfer:passive:mtls:port=0:interface=127.0.0.1"
    )
    partner = Child("--partner")
    besiegers = Child("--siege", f"--count={count}", f"--concurrency={concurrency}")
    waiting = connector.connect()
    invitation = await connector.invitation()
    address: Any = await connector.whenListening()
    candidates = connector.candidates
    assert candidates is not None
    memory: list[float] = []
    if count:
        await besiegers.tell(str(address.port))
        for tenth in range(1, 11):
            while candidates.accepted < count * early * tenth / 10:
                await deferLater(reactor, 0.001)
            memory.append(resident())
    at = candidates.accepted
    retrying = invitation.replace("transfer:active:", "transfer:active:retryFor=60:", 1)
    await partner.tell(f"{retrying} 0")
    channel = await waiting
    channel.loseConnection()
    await channel.whenClosed()
    seconds = float(await partner.ended)
    if not count:
        await besiegers.tell(str(address.port))
    outcomes = await besiegers.ended
    assert not waiting.called or candidates.admitted == 1
    lines = [
        f"the partner dialled after {at} of them, admitted among "
        f"{candidates.accepted}; dropped: {dict(candidates.dropped)}",
        "resident MiB after each tenth: " + " ".join(f"{m:.1f}" for m in memory),
        f"they saw: {outcomes}",
    ]
    return seconds, "\n    ".join(lines)


async def compare(count: int, concurrency: int, runs: int, early: float) -> None:
    """Admit with and without a siege, in turn, and compare."""
    quiet: list[float] = []
    besieged: list[float] = []
    for run in range(1, runs + 1):
        quiet.append((await admit(0, concurrency, early))[0])
        seconds, story = await admit(count, concurrency, early)
        besieged.append(seconds)
        print(
            f"run {run}: {quiet[-1] * 1000:.1f} ms alone, "
            f"{seconds * 1000:.1f} ms besieged\n    {story}",
            flush=True,
        )
    alone, among = statistics.median(quiet), statistics.median(besieged)
    print(
        f"\n{count} hostile peers, {concurrency} at a time; medians of {runs} runs:\n"
        f"the partner is admitted {alone * 1000:.1f} ms after it dials when it is "
        f"alone, {among * 1000:.1f} ms (at most {max(besieged) * 1000:.1f} ms) "
        f"besieged: {(among - alone) * 1000:.1f} ms later"
    )


async def admitAmong(network: str, away: float, concurrency: int) -> float:
    """
    Listen for the partner once, among hostile peers that fill all places all the time.

    :param network: from where they and the partner come.
    :param away: how many seconds it takes to the partner and back.
    :param concurrency: how many of them there are at a time.
    :returns: after how many seconds it was admitted; infinite: not in 20.
    """
    connector = TransferConnector.fromString(
        reactor, r"transfer:passive:mtls:port=0:interface=\:\:"
    )
    partner = Child("--partner", f"--network={network}", f"--away={away}")
    besiegers = None
    waiting = connector.connect()
    waiting.addErrback(lambda failure: failure.trap(CancelledError) and None)
    invitation = await connector.invitation("127.0.0.1")
    address: Any = await connector.whenListening()
    candidates = connector.candidates
    assert candidates is not None
    if NETWORKS[network][0] is not None:
        besiegers = Child(
            "--siege",
            f"--network={network}",
            f"--concurrency={concurrency}",
            f"--count={10**9}",
        )
        besiegers.ended.addErrback(lambda failure: None)  # it is killed
        await besiegers.tell(str(address.port))
        while candidates.dropped["evicted"] < 2 * concurrency:
            await deferLater(reactor, 0.01)
    retrying = invitation.replace("transfer:active:", "transfer:active:retryFor=20:", 1)
    await partner.tell(f"{retrying} {address.port}")
    seconds = float(await partner.ended)
    await connector.close()
    channel = await waiting
    if channel is not None:
        channel.loseConnection()
        await channel.whenClosed()
    if besiegers is not None:
        assert besiegers.transport is not None
        besiegers.transport.signalProcess("KILL")
        await besiegers.ended
    return seconds


async def compareNetworks(concurrency: int, runs: int) -> None:
    """Admit among hostile peers from each network, and print a table."""
    print("seconds until the partner is admitted, of each run; hostile peers from")
    for network in NETWORKS:
        for away in (0.0, 0.1):
            seconds = [
                await admitAmong(network, away, concurrency) for _ in range(runs)
            ]
            times = " ".join(f"{each:5.2f}" for each in sorted(seconds))
            far = f"{away * 1000:.0f} ms away"
            print(f"  {network:16} partner {far:12} {times}", flush=True)


def enterNamespace() -> None:
    """Go on in a network namespace in which all of 2001:db8::/32 are this host."""
    if os.environ.get("SIEGE_NAMESPACE") is None:
        os.environ["SIEGE_NAMESPACE"] = "1"
        unshare = ["unshare", "--map-root-user", "--net", "sh", "-ec", _NAMESPACE]
        os.execvp(unshare[0], [*unshare, "sh", *sys.orig_argv])


def main() -> None:
    """Read the command line, and run one of the three processes."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--early", type=float, default=0.9, help="when the partner dials, 0 to 1"
    )
    parser.add_argument("--siege", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--partner", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--networks",
        action="store_true",
        help="compare where the hostile peers come from",
    )
    parser.add_argument("--network", default="nobody", help=argparse.SUPPRESS)
    parser.add_argument("--away", type=float, default=0.0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.networks:
        enterNamespace()

    async def run() -> None:
        if given.siege:
            await beSiege(given.count, given.concurrency, given.network)
        elif given.partner:
            await bePartner(given.network, given.away)
        elif given.networks:
            await compareNetworks(max(given.concurrency, 1000), given.runs)
        else:
            await compare(given.count, given.concurrency, given.runs, given.early)

    react(lambda ignored: Deferred.fromCoroutine(run()))


if __name__ == "__main__":
    main()
