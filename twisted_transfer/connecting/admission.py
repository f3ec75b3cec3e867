"""
Who may be the partner.

Every connection that a passive connector accepts is a *candidate*.  The first
one that proves itself is admitted, and with it the admission is over.  On
plain connections there is nothing to prove but the address; on TLS it is the
completed handshake, with whatever identity that handshake verifies.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import sample
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    ILoggingContext,
    IProtocol,
    IProtocolFactory,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_transfer.addresses import hostText, partnerText
from twisted_transfer.channel.link import Link
from twisted_transfer.deferreds import Leftovers
from twisted_transfer.descriptions.values import networks
from twisted_transfer.errors import PeerRefused
from twisted_transfer.printable import printable
from twisted_transfer.tls.alpn import nameProtocols
from twisted_transfer.tls.policy import gaveReason

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

_log = Logger()

MAX_CANDIDATES = 384
"""How many candidates may be proving themselves at a time; one more, and one of
those from the busiest network has to go.  A port of Twisted's accepts up to 100 in
one turn of the reactor, and a handshake takes a few turns: with a bound near 100 a
flood would drive the partner out between two of its messages."""

CANDIDATE_TIMEOUT = 10.0
"""Seconds in which a candidate has to prove itself, counted from its first
moment, whatever it sends meanwhile."""

TELLING_INTERVAL = 30.0
"""Seconds in which the log warns once of each kind of candidates that were not
admitted."""

_NOT_ADMITTED = {
    "address": ("admit= does not allow its address", "an address not in admit="),
    "hung up": ("it hung up before it was proven", "hung up"),
    "refused": ("", "refused this side"),
    "unproven": ("", "not proven"),
    "timeout": (
        f"its handshake was not complete after {CANDIDATE_TIMEOUT:g} seconds",
        "handshake too slow",
    ),
    "evicted": (
        "there were too many at a time, and most of them in its network",
        "too many at a time",
    ),
    "closed": ("", "handshake not complete yet"),
}
"""Why a candidate was not admitted, and the short form in which such ones are
counted; empty where the failure has the words, or where nobody is told."""


def candidateBound() -> int:
    """
    Find out how many candidates there may be at a time.

    :returns: :data:`MAX_CANDIDATES`, but no more than half of the descriptors that
        this process may have open, so that silent candidates cannot use those up.
    """
    if resource is None:
        return MAX_CANDIDATES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CANDIDATES
    return max(1, min(MAX_CANDIDATES, soft // 2))


def discard(link: Link, leftovers: Leftovers) -> None:
    """
    Abort a connection.

    :param link: the connection; one that is not made yet is aborted when it is.
    :param leftovers: counts it until it is gone.
    """
    if link.transport is not None:
        leftovers.add(link.whenGone())
    link.abort()


def networksOf(address: IAddress | None) -> tuple[object, object, object]:
    """
    Find the networks by which candidates are counted.

    Whoever has one IPv6 address usually has a /64 (RFC 4291, section 2.5.1), and
    often a /48 (RFC 6177), so that a stranger can come from a new address, or from
    a new /64, each time.

    :param address: where a candidate comes from.
    :returns: a wide network, a narrow one and the host: for IPv6 a /48 and a /64,
        for IPv4 a /24 twice.  Addresses of other kinds are one network.
    """
    host = getattr(address, "host", None)
    if not isinstance(host, str):
        return None, None, None
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None, None, host
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if parsed.version == 4:
        return parsed.packed[:3], parsed.packed[:3], parsed.packed
    return parsed.packed[:6], parsed.packed[:8], host


@dataclass(frozen=True)
class _Candidate:
    """
    What is known of a candidate.

    :ivar address: where it comes from.
    :ivar deadline: the end of its time.
    """

    address: IAddress | None
    deadline: IDelayedCall

    @cached_property
    def networks(self) -> tuple[object, object, object]:
        """The networks of the address, by :func:`networksOf`."""
        return networksOf(self.address)


class AddressFilter:
    """The addresses and networks from which a partner may come."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """
        :param allowed: addresses (``192.0.2.7``) and networks
            (``2001:db8::/32``).  An IPv6 address with a zone id
            (``fe80::1%eth0``) is meant in that zone only.
        :raises BadOption: if there is none, or one of them is invalid.
        """
        self._allowed = networks(allowed)

    def allows(self, address: Any) -> bool:
        """
        Tell whether a candidate may be the partner.

        :param address: where the candidate comes from.
        :returns: whether it is in the list.  Addresses of other kinds than IPv4
            and IPv6 never are.
        """
        host = getattr(address, "host", None)
        if not isinstance(host, str):
            return False
        host, _, zone = hostText(address).partition("%")
        try:
            parsed = ipaddress.ip_address(host)
        except ValueError:
            return False
        # A dual-stack port shows IPv4 partners as ::ffff:192.0.2.7.
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any(
            (mapped or parsed) in network and wanted in ("", zone)
            for network, wanted in self._allowed
        )


class _TurnedAway(Protocol):
    """
    A connection that is not a candidate.

    :ivar gone: fires when it has ended.
    """

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """End it, with nothing sent."""
        assert self.transport is not None
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note that it has ended."""
        self.gone.callback(None)


@implementer(IProtocolFactory, ILoggingContext)
class Admission(Factory):
    """
    Take in candidates, and admit the first one that proves itself.

    :ivar accepted: how many candidates came.
    :ivar admitted: how many of them were admitted: 0 or 1.
    """

    noisy = False

    def __init__(
        self,
        clock: Any,
        addressFilter: AddressFilter | None = None,
        protocols: Sequence[bytes] = (),
    ) -> None:
        """
        :param clock: measures the candidates' time.
        :param addressFilter: the addresses that may be the partner's; ``None``:
            all.
        :param protocols: the application protocols, of which TLS selects one that a
            candidate offers (ALPN); none: its offer is ignored.
        """
        nameProtocols(self, protocols)
        self._clock = clock
        self._filter = addressFilter
        self._candidates: dict[Link, _Candidate] = {}
        self._over = False
        self._served: Any = None
        # Whether the endpoint may put layers around the protocols; set as soon as
        # that is known.
        self.wrapped = False
        # The candidates that were dropped and are not gone yet.
        self.leftovers = Leftovers()
        # Fires with the link of the partner.
        self.winner: Deferred[Link] = Deferred()
        self.accepted = 0
        self.admitted = 0

    # Not made before there is something to count: thousands may wait.

    @cached_property
    def dropped(self) -> Counter[str]:
        """
        How many candidates were dropped, by reason: ``address``, ``late``, ``evicted``,
        ``timeout``, ``hung up``, ``refused``, ``unproven``, ``closed``.
        """
        return Counter()

    @cached_property
    def _told(self) -> dict[str, tuple[float, int]]:
        """When the log warned of each reason, and of how many."""
        return {}

    def serveBy(self, factory: IProtocolFactory) -> None:
        """
        Say which factory will have the connection.

        :param factory: makes the protocol that the winner gets in the end.
        """
        self._served = factory

    def logPrefix(self) -> str:
        """Name the application's factory in Twisted's log, as its own port would."""
        if self._served is None:
            return "TransferConnector"
        if ILoggingContext.providedBy(self._served):
            return str(self._served.logPrefix())
        return type(self._served).__name__

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]
        """
        Take a candidate in, or turn it away.

        A Twisted port accepts up to 100 connections in one wake-up, also after
        it was told to stop; what comes after the winner is turned away here.

        :param addr: its address.
        :returns: its protocol, or ``None`` if it is turned away.
        """
        self.accepted += 1
        if self._over:
            return self._turnAway("late", addr)
        if self._filter is not None and (addr is None or not self._filter.allows(addr)):
            return self._turnAway("address", addr)
        if self._candidates and len(self._candidates) >= candidateBound():
            self._drop(self._toEvict(), "evicted")
        link = Link(self._clock)
        link.factory = self
        deadline = self._clock.callLater(CANDIDATE_TIMEOUT, self._drop, link, "timeout")
        self._candidates[link] = _Candidate(addr, deadline)
        link.whenReady().addCallbacks(
            self._proved, self._failed, callbackArgs=(link,), errbackArgs=(link,)
        )
        return link

    def _toEvict(self) -> Link:
        """
        Choose who has to make room: one from the busiest network, so that a flood
        drives out its own.

        Where the partner is in that network itself, only its age and its ClientHello
        tell it from the flood.  A rule without chance would drive it out each time that
        it comes: the oldest would always go too early for a partner that is far away,
        the youngest always in its first moment.  So two are drawn, and the older one
        goes, but rather one that has said nothing yet.

        :returns: a candidate.
        """
        homes = [each.networks for each in self._candidates.values()]
        wide, narrow, hosts = map(Counter, zip(*homes, strict=True))
        sizes = [(wide[w], narrow[n], hosts[h]) for w, n, h in homes]
        most = max(sizes)
        crowd = [
            link
            for link, size in zip(self._candidates, sizes, strict=True)
            if size == most
        ]
        drawn = sorted(sample(range(len(crowd)), min(2, len(crowd))))
        older, younger = crowd[drawn[0]], crowd[drawn[-1]]
        return younger if older.greeted and not younger.greeted else older

    def _turnAway(self, why: str, addr: IAddress | None) -> IProtocol | None:
        self._countDrop(why, addr)
        if not self.wrapped:
            return None
        # Twisted's wrapping factories wrap whatever they get, None too, and
        # fail when it is connected.
        refused = _TurnedAway()
        self.leftovers.add(refused.gone)
        return refused

    def _proved(self, ignored: None, link: Link) -> None:
        """Admit the first; there is no second, for the others are dropped."""
        if self._over:
            return
        self._over = True
        self._candidates.pop(link).deadline.cancel()
        self.admitted += 1
        self._dropAll("late")
        _log.info(
            "partner admitted from {peer}; of {accepted} candidates dropped: {dropped}",
            peer=partnerText(link.transport.getPeer()),  # type: ignore[union-attr]
            accepted=self.accepted,
            dropped=dict(self.dropped) if self.accepted > 1 else {},
        )
        self.winner.callback(link)

    def _failed(self, reason: Failure, link: Link) -> None:
        """Count a candidate that has failed, and see to it that it ends."""
        if link not in self._candidates:
            return  # dropped by this side, and counted then
        candidate = self._candidates.pop(link)
        candidate.deadline.cancel()
        why = "unproven"
        if reason.check(PeerRefused):
            why = "refused" if gaveReason(reason.value) else "hung up"
        self._countDrop(why, candidate.address, str(reason.value))
        discard(link, self.leftovers)

    def _drop(self, link: Link, why: str) -> None:
        candidate = self._candidates.pop(link)
        if candidate.deadline.active():
            candidate.deadline.cancel()
        self._countDrop(why, candidate.address)
        discard(link, self.leftovers)

    def _dropAll(self, why: str) -> None:
        for link in list(self._candidates):
            self._drop(link, why)

    def _countDrop(self, why: str, address: IAddress | None, detail: str = "") -> None:
        """
        Count a candidate that is not admitted, and log it.

        :param why: a reason, as in :attr:`dropped`.
        :param address: where it came from.
        :param detail: what has failed, where something has.
        """
        self.dropped[why] += 1
        told = partnerText(address)
        text = _NOT_ADMITTED.get(why, ("", ""))[0] or printable(detail)
        _log.debug(
            "candidate {address} dropped: {why} ({text})",
            address=told,
            why=why,
            text=text,
        )
        now = self._clock.seconds()
        last, before = self._told.get(why, (now - TELLING_INTERVAL, 0))
        if not text or now - last < TELLING_INTERVAL:
            return
        more = self.dropped[why] - before - 1
        self._told[why] = now, self.dropped[why]
        _log.warn(
            "a connection from {address} was not admitted{more}: {text}",
            address=told,
            more=f", and {more} more since the last" if more else "",
            text=text,
        )

    def story(self) -> str:
        """
        Say why nobody was admitted.

        :returns: the counts of those who came, as a part of a sentence; empty if
            nobody came.
        """
        dropped = [pair for pair in self.dropped.most_common() if pair[0] != "late"]
        if not dropped:
            return ""
        counts = ", ".join(
            f"{_NOT_ADMITTED[why][1]}: {count}" for why, count in dropped
        )
        return f"{sum(count for _, count in dropped)} came and were not ({counts})"

    def close(self) -> None:
        """Drop every candidate, and admit none from now on."""
        if not self._over:
            self._over = True
            self._dropAll("closed")
            _log.info(
                "no partner admitted; of {accepted} candidates dropped: {dropped}",
                accepted=self.accepted,
                dropped=dict(self.dropped),
            )
