"""
Connections that are cut at any byte, over real sockets: never a success.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support.certificates import Authority
from tests.support.cutting import After, Cutter, Where, WithinCloseNotify
from tests.support.folders import newFolder, partOf
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.connecting.connector import TransferConnector
from twisted_transfer.data.destinations import FileDestination
from twisted_transfer.data.sources import FileSource
from twisted_transfer.errors import NotAdmitted, PeerRefused, Truncated
from twisted_transfer.receipts.frames import MESSAGE, header
from twisted_transfer.receipts.messages import Finished, encode
from twisted_transfer.transfers.transfers import Receiver, Transmitter, Unwatched

reactor: Any = _reactor

_SIZE = 200_000
# More than all the buffers on the way to the cut hold.
_MUCH = 24 * 1024 * 1024

# How it can be cut so that both sides can know.  An end of TCP without anything
# else says nothing when there is no TLS and no receipt.
_CUTS = (
    *(("plain", "reset", raw) for raw in (True, False)),
    ("plain", "end", False),
    *product(("tls", "mtls"), ("reset", "end"), (True, False)),
)

# Bytes: the frame with which the receiver says that it has finished, and what a
# record of TLS 1.3 adds.
_FINISHED = len(header(MESSAGE, 1)) + len(encode(Finished()))
_RECORD = 22
_CLOSE_NOTIFY = 24
# What differs between two handshakes, for signatures have no fixed length.
_VARIES = 32


class _Watch(Unwatched):
    """Notices that there is a partner."""

    isConnected = False

    def connected(self, channel: TransferChannel) -> None:
        self.isConnected = True


@dataclass(frozen=True)
class _Way:
    """
    A way to do it.

    :ivar transport: ``plain``, ``tls`` or ``mtls``.
    :ivar raw: without receipts.
    :ivar senderDials: or the receiver does.
    """

    transport: str
    raw: bool
    senderDials: bool


class _Case(TestCase):
    """Has a file, and transfers of it through something that cuts."""

    timeout = 60

    def setUp(self) -> None:
        self.chance = random.Random(self.id())
        self.folder = newFolder(self)
        self.content = self.chance.randbytes(_SIZE)
        self.source = self.folder / "source"
        self.source.write_bytes(self.content)
        self.authority = Authority(self.folder / "ca")
        self.identity = self.authority.issue()
        self._count = 0

    def descriptions(self, way: _Way) -> tuple[str, Callable[[str, int], str]]:
        """
        :returns: how the one side waits, and how the other one dials, given an
            invitation and the port to use.
        """
        waits = "transfer:passive:{}:port=0:interface=127.0.0.1{}"
        if way.transport == "tls":
            certificate, key = self.identity
            dials = (
                "transfer:active:tls:host=127.0.0.1:port={}"
                f":trustRoots={self.authority.trustRoots}"
            )
            return (
                waits.format("ssl", f":privateKey={key}:certKey={certificate}"),
                lambda told, port: dials.format(port),
            )
        return (
            waits.format("tcp" if way.transport == "plain" else way.transport, ""),
            lambda told, port: re.sub(":port=[0-9]+", f":port={port}", told),
        )

    async def cut(
        self, way: _Way, kind: str, where: Where, ofSender: bool = True
    ) -> _Transfer:
        """:returns: a transfer that is cut."""
        self._count += 1
        target = self.folder / f"target{self._count}"
        return await _Transfer(
            self, way, self.source, target, kind=kind, ofSender=ofSender, where=where
        ).run()


class _Transfer:
    """
    One transfer through something that cuts.

    :ivar errors: why the sender (True) has failed, and the receiver (False); None
        for a success.
    :ivar target: where to.
    :ivar passed: how many of their bytes came through.
    :ivar wentOn: whether the cut came so early that it was no partner, and so
        there was another one.
    """

    def __init__(
        self, case: _Case, way: _Way, source: Path, target: Path, **cut: Any
    ) -> None:
        """
        :param case: the test case.
        :param way: how it is done.
        :param source: what is sent.
        :param target: where to.
        :param cut: as for :class:`~tests.support.cutting.Cutter`, but ``ofSender`` in
            place of ``ofDialler``.
        """
        self.errors: dict[bool, BaseException | None] = {}
        self.passed: dict[bool, int] = {}
        self.wentOn = False
        self._case = case
        self._way = way
        self._source = source
        self.target = target
        ofSender = cut.pop("ofSender", True)
        self._cut = {**cut, "ofDialler": ofSender == way.senderDials}

    def _start(
        self, sends: bool, description: str
    ) -> tuple[Any, _Watch, Deferred[Any]]:
        """:returns: the connector of a side that is started, and its end."""
        connector = TransferConnector.fromString(reactor, description)
        watch = _Watch()
        transfer: Transmitter | Receiver
        if sends:
            source = FileSource(self._source)
            transfer = Transmitter(connector, source, raw=self._way.raw, watch=watch)
        else:
            target = FileDestination(self.target, False, reactor)
            transfer = Receiver(connector, target, raw=self._way.raw, watch=watch)

        def keep(result: Any) -> None:
            failed = isinstance(result, Failure)
            self.errors[sends] = result.value if failed else None

        return connector, watch, transfer.start().addBoth(keep)

    async def run(self) -> _Transfer:
        """Do it, and see that both sides come to an end."""
        sends = self._way.senderDials
        waits, dials = self._case.descriptions(self._way)
        connector, watch, waiting = self._start(not sends, waits)
        address: Any = await connector.whenListening()
        self._cutter = Cutter(self._case, reactor, address.port, **self._cut)
        invitation = ""
        if self._way.transport != "tls":
            invitation = await connector.invitation("127.0.0.1")
        await self._start(sends, dials(invitation, self._cutter.port))[2]
        counters = connector.candidates
        assert counters is not None
        while not (watch.isConnected or self.errors.keys() == {True, False}):
            # The port tells nobody that somebody was no partner.
            if counters.dropped.total():
                self.wentOn = True
                break
            await deferLater(reactor, 0.001)
        if self.wentOn:
            error = self.errors.pop(sends)
            await self._start(sends, dials(invitation, address.port))[2]
            await waiting
            self._case.assertEqual(self.errors, {True: None, False: None})
            self.errors[sends] = error
        await waiting
        self.passed = {
            each: self._cutter.passed(each == sends) for each in (True, False)
        }
        await self._cutter.close()
        return self


@dataclass(frozen=True)
class _Limits:
    """
    What a cut has to lead to.

    :ivar way: how it was done.
    :ivar ofSender: whose bytes were counted.
    :ivar at: how many of them passed.
    :ivar begins: how many of them pass when nothing is sent.
    :ivar ends: how many of them pass when nothing is cut.
    """

    way: _Way
    ofSender: bool
    at: int
    begins: int
    ends: int

    @property
    def isEarly(self) -> bool:
        """Whether it may be that a side did not know yet who its partner is."""
        return self.way.transport != "plain" and self.at <= self.begins + _VARIES

    @property
    def receiverKnows(self) -> bool:
        """Whether the receiver certainly does not have everything."""
        return self.ofSender and self.at <= _SIZE

    @property
    def senderKnows(self) -> bool:
        """Whether the sender certainly knows that."""
        if self.way.raw:
            return False  # everything may have gone to the system before
        if self.ofSender:
            return self.at <= _SIZE
        stored = self.ends - _FINISHED
        if self.way.transport != "plain":
            stored -= _RECORD + _CLOSE_NOTIFY + _VARIES
        return self.at < stored


class CutTests(_Case):
    """Cut at any byte."""

    async def cutOften(self, transport: str, kind: str, raw: bool) -> None:
        """Cut in all four directions, at bytes of every sort."""
        for senderDials in (True, False):
            way = _Way(transport, raw, senderDials)
            handshake = await self.handshake(way)
            target = self.folder / f"whole{senderDials}"
            whole = await _Transfer(self, way, self.source, target).run()
            self.assertEqual(whole.errors, {True: None, False: None})
            self.assertEqual(target.read_bytes(), self.content)
            for ofSender in (True, False):
                begins, ends = handshake[ofSender], whole.passed[ofSender]
                places = [(1, begins), (begins + 1, ends), (ends - 150, ends - 1)]
                if ofSender:
                    places.append((begins + 1, _SIZE))
                for first, last in places:
                    if 1 <= first <= last:
                        at = self.chance.randint(first, last)
                        cut = await self.cut(way, kind, After(at), ofSender)
                        limits = _Limits(way, ofSender, at, begins, ends)
                        self.judge(cut, limits)

    async def handshake(self, way: _Way) -> dict[bool, int]:
        """:returns: how many bytes each side needs before the first of its data."""
        nothing = self.folder / "nothing"
        nothing.touch()
        target = self.folder / f"nothing{way.senderDials}"
        bare = _Way(way.transport, True, way.senderDials)
        done = await _Transfer(self, bare, nothing, target).run()
        self.assertEqual(done.errors, {True: None, False: None})
        return done.passed

    def judge(self, cut: _Transfer, limits: _Limits) -> None:
        """See what both sides make of it."""
        words = f"{limits}: {cut.errors}"
        raw = limits.way.raw
        sent, received = (cut.errors[sends] is None for sends in (True, False))
        stored = cut.target.exists()
        if stored:
            self.assertEqual(cut.target.read_bytes(), self.content, words)
        part = partOf(cut.target)
        if part.exists():
            self.assertFalse(raw or stored, words)
            self.assertTrue(self.content.startswith(part.read_bytes()), words)
        kinds: tuple[type[Exception], ...] = (Truncated,)
        if limits.isEarly:
            kinds += (PeerRefused, NotAdmitted)
        for error in cut.errors.values():
            self.assertTrue(error is None or isinstance(error, kinds), words)
        if cut.wentOn:
            self.assertTrue(limits.isEarly and stored, words)
            self.assertNotEqual(sent, received, words)
            return
        self.assertEqual(received, stored, words)
        if sent and not raw:
            self.assertTrue(stored, words)
        if limits.senderKnows:
            self.assertFalse(sent, words)
        if limits.receiverKnows:
            self.assertFalse(received or stored, words)


def _test(transport: str, kind: str, raw: bool) -> Callable[[CutTests], Any]:
    async def test(self: CutTests) -> None:
        await self.cutOften(transport, kind, raw)

    test.__doc__ = (
        f"Over {transport}, {'raw' if raw else 'with receipts'}, by "
        f"{'a reset' if kind == 'reset' else 'the end of TCP'}: Truncated, and no file."
    )
    return test


for _transport, _kind, _raw in _CUTS:
    setattr(
        CutTests,
        f"test_{_transport}_{_kind}_{'raw' if _raw else 'receipts'}",
        _test(_transport, _kind, _raw),
    )


class EdgeTests(_Case):
    """Cut where it makes a difference how, and what is owed is known exactly."""

    async def test_closeNotify(self) -> None:
        """
        Over TLS, everything has come but not all of the record by which the
        sender says that this was all: the receiver does not believe it.
        """
        for transport, kind, senderDials in product(
            ("tls", "mtls"), ("reset", "end"), (True, False)
        ):
            for count in (0, self.chance.randint(1, 22), 23):
                way = _Way(transport, True, senderDials)
                where = WithinCloseNotify(count, _SIZE)
                cut = await self.cut(way, kind, where)
                words = f"{way}, {kind}, {count}: {cut.errors}"
                self.assertGreater(cut.passed[True], _SIZE, words)
                self.assertIsInstance(cut.errors[False], Truncated, words)
                self.assertFalse(cut.target.exists(), words)
                # Its partner may have gone after it had got everything.
                if cut.errors[True] is not None:
                    self.assertIsInstance(cut.errors[True], Truncated, words)

    async def test_behindTheData(self) -> None:
        """
        The sender has said everything, and is gone before it hears that it is
        stored: the receiver has it, and succeeds; the sender cannot know.
        """
        for (transport, kind), senderDials in product(
            product(("plain", "mtls"), ("reset", "end")), (True, False)
        ):
            way = _Way(transport, False, senderDials)
            whole = await self.cut(way, kind, After(2 * _SIZE))
            self.assertEqual(whole.errors, {True: None, False: None})
            last = _FINISHED
            if transport != "plain":
                last += _RECORD + _CLOSE_NOTIFY
            cut = await self.cut(way, kind, After(whole.passed[True] - last))
            words = f"{way}, {kind}: {cut.errors}"
            self.assertIsInstance(cut.errors[True], Truncated, words)
            stored = cut.target.exists()
            self.assertEqual(cut.errors[False] is None, stored, words)
            if transport == "plain":
                # Over TLS, the handshake may be some bytes longer this time.
                self.assertTrue(stored, words)

    async def test_rawSender(self) -> None:
        """A raw sender that has not got rid of everything knows that."""
        self.source.unlink()
        with self.source.open("wb") as source:
            source.truncate(_MUCH)
        for transport, kind, raw in _CUTS:
            for senderDials in (True, False) if raw else ():
                way = _Way(transport, True, senderDials)
                where = After(self.chance.randint(_SIZE, 5 * _SIZE))
                cut = await self.cut(way, kind, where)
                words = f"{way}, {kind}: {cut.errors}"
                self.assertIsInstance(cut.errors[True], Truncated, words)
                self.assertIsInstance(cut.errors[False], Truncated, words)
                self.assertFalse(cut.target.exists(), words)

    async def test_rawOverTCP(self) -> None:
        """
        What the documentation says (ends.rst): over TCP, without receipts, an
        end in the middle is taken for the end, by both; a receiver has then
        stored just what has come.
        """
        for senderDials in (True, False):
            at = self.chance.randint(1, _SIZE - 1)
            cut = await self.cut(_Way("plain", True, senderDials), "end", After(at))
            self.assertEqual(cut.errors, {True: None, False: None})
            self.assertEqual(cut.target.read_bytes(), self.content[:at])

    async def test_receiptsOverTCP(self) -> None:
        """With receipts, the same is a truncation, for both."""
        for senderDials in (True, False):
            at = self.chance.randint(1, _SIZE)
            cut = await self.cut(_Way("plain", False, senderDials), "end", After(at))
            self.assertIsInstance(cut.errors[True], Truncated)
            self.assertIsInstance(cut.errors[False], Truncated)
            self.assertFalse(cut.target.exists())
