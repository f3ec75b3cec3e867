"""Tests for :mod:`twisted_transfer.command.job`."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from io import StringIO
from types import SimpleNamespace
from typing import Any

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.testing import (
    MemoryReactor,
    MemoryReactorClock,
    StringTransportWithDisconnection,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import leavePart, newFolder, partOf
from tests.support.talks import ThreadedClock
from twisted_transfer import TransferConnector
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.command import job as jobs
from twisted_transfer.command.job import (
    Job,
    Request,
    destinationAt,
    partnerCommands,
    partnerPath,
    sourceAt,
)
from twisted_transfer.command.reports import ProgressBar
from twisted_transfer.connecting import invitations
from twisted_transfer.connecting.invitations import partnersPart
from twisted_transfer.data.destinations import FileDestination
from twisted_transfer.data.sources import FileSource
from twisted_transfer.data.streams import StreamDestination, StreamSource
from twisted_transfer.descriptions.strings import Description
from twisted_transfer.descriptions.transfer import TransferDescription
from twisted_transfer.errors import DestinationError, SourceError
from twisted_transfer.receipts.receipt import Receipt
from twisted_transfer.receipts.receiving import (
    DigestedDestination,
    ResumableFileDestination,
    digestedDestination,
)
from twisted_transfer.receipts.sending import (
    DigestedSource,
)
from twisted_transfer.testing.memory import MemoryListener, memoryPair, settle


class KeepingBar(ProgressBar):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("", StringIO())
        self.told: list[tuple[int, int | None]] = []
        self.closed = 0
        self.asides = 0
        self.labels: list[tuple[str, int]] = []

    def goOn(self, label: str, skipped: int) -> None:
        self.labels.append((label, skipped))

    def aside(self, say: Callable[[], object]) -> None:
        self.asides += 1
        super().aside(say)

    def __call__(self, count: int, total: int | None, rate: float = 0.0) -> None:
        self.told.append((count, total))

    def close(self) -> None:
        self.closed += 1


class KeepingReport:
    """Keeps what it is told."""

    bar: KeepingBar | None = None

    def __init__(self, confidential: bool = True) -> None:
        self.labels: list[str] = []
        self.confidential = confidential
        self.said: list[str] = []
        self.secrets: list[str] = []
        self.complaints: list[str] = []
        self.bugs: list[Failure] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def tellSecret(self, text: str) -> None:
        self.secrets.append(text)

    def complain(self, text: str) -> None:
        self.complaints.append(text)

    def bug(self, failure: Failure) -> None:
        self.bugs.append(failure)

    def progress(self, label: str) -> KeepingBar | None:
        self.labels.append(label)
        return self.bar


class SHA256Tests(SynchronousTestCase):
    """The SHA-256 of a file that was received."""

    # FIPS 180-4's example of one block.
    ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    def setUp(self) -> None:
        self.path = newFolder(self) / "file"
        self.path.write_bytes(b"abc")

    def sha256(self, receipt: Receipt) -> Deferred[str]:
        """:returns: what becomes of it, without threads."""
        return jobs.sha256Of(None, str(self.path), receipt)

    def test_stored(self) -> None:
        """It is that of the file, with a receipt that is for it or without."""
        for digest in (None, blake3(b"abc").digest()):
            receipt = Receipt("x", 3, digest, 3)
            self.assertEqual(self.successResultOf(self.sha256(receipt)), self.ABC)

    def test_changed(self) -> None:
        """There is none of a file that is not what was received any more."""
        for receipt in (
            Receipt("x", 3, blake3(b"abd").digest(), 3),
            Receipt(None, 4, None, 4),
        ):
            failure = self.failureResultOf(self.sha256(receipt), DestinationError)
            self.assertIn(f"{self.path} was stored, and", str(failure.value))

    def test_unreadable(self) -> None:
        """Nor of one that is gone."""
        self.path.unlink()
        receipt = Receipt(None, 3, None, 3)
        failure = self.failureResultOf(self.sha256(receipt), DestinationError)
        self.assertIn(
            "cannot be read for its SHA-256: No such file", str(failure.value)
        )


class JobTests(SynchronousTestCase):
    """A job without a partner."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.report = KeepingReport()
        self.folder = newFolder(self)
        self.file = self.folder / "file"
        self.file.write_bytes(b"content")

    def job(self, sends: bool, path: Any, description: str, raw: bool = False) -> Job:
        """:returns: a job that is not begun."""
        request = Request(
            sends, (str(path),), TransferDescription.parse(description), raw=raw
        )
        return Job(self.reactor, request, self.report)

    def assertNothingOpen(self) -> None:
        """No port is open, no timer runs, no file is left."""
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertEqual(self.reactor.tcpClients, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual([path.name for path in self.folder.iterdir()], ["file"])

    def test_textSettings(self) -> None:
        """What bytes cannot have is refused, before anything is opened."""
        for keyword in (
            *("encoding=utf-8", "again=yes"),
            *("translation=crlf", "eofChar=x"),
        ):
            job = self.job(
                True, self.folder, f"transfer:active:host=h:port=1:{keyword}"
            )
            self.assertEqual(self.successResultOf(job.run()), 2)
            name = keyword.partition("=")[0]
            self.assertIn(f"{name}=", self.report.complaints.pop())
            self.assertNothingOpen()

    def test_localFirst(self) -> None:
        """What is wrong on this side is found before anybody is asked."""
        for sends, path in ((True, self.folder / "missing"), (False, self.file)):
            for description in (
                "transfer:active:host=127.0.0.1:port=1",
                "transfer:passive:tcp:port=1",
            ):
                for raw in (False, True):
                    job = self.job(sends, path, description, raw)
                    self.assertEqual(self.successResultOf(job.run()), 6)
                    self.assertIn(str(path), self.report.complaints.pop())
                    self.assertNothingOpen()

    def waited(self, description: str, raw: bool = False) -> KeepingReport:
        """:returns: what is told of a job that waits for its partner."""
        job = self.job(True, self.file, description, raw)
        running = job.run()
        running.cancel()
        self.failureResultOf(running, CancelledError)
        return self.report

    def test_partner(self) -> None:
        """One that waits says where, and what the partner may type."""
        self.patch(jobs, "reachableHosts", lambda bound: ["192.0.2.7"])
        for raw, option in ((False, ""), (True, "--raw ")):
            self.report.said.clear()
            self.assertEqual(
                self.waited("transfer:passive:tcp:port=4000", raw).said,
                [
                    "listening on 0.0.0.0:4000",
                    f"partner: twisted-transfer receive {option}file "
                    "transfer:active:tcp:host=192.0.2.7:port=4000",
                ],
            )
        self.assertEqual(self.report.secrets, [])

    def test_moreAddresses(self) -> None:
        """There may be several ways to type it."""
        found = ["192.0.2.7", "192.0.2.8", "192.0.2.9"]
        self.patch(jobs, "reachableHosts", lambda bound: found)
        said = self.waited("transfer:passive:port=4000").said
        self.assertEqual(
            [line.partition(":")[0] for line in said],
            ["listening on [", "partner", "or", "or"],
        )

    def test_relay(self) -> None:
        """One that waits at a relay says so, and its token is told as a secret."""
        token = "t" * 64
        relay = f"relay:host=192.0.2.3:port=4001:token={token}:plain=yes"
        report = self.waited(f"transfer:passive:{relay}")
        self.assertEqual(report.said, ["waiting at the relay 192.0.2.3:4001"])
        self.assertEqual(
            report.secrets,
            [f"partner: twisted-transfer receive file transfer:active:{relay}"],
        )

    def test_invitation(self) -> None:
        """What holds a secret is told as one, and never said."""
        report = self.waited("transfer:passive:mtls:port=4000:interface=192.0.2.7")
        [secret] = report.secrets
        self.assertRegex(secret, r"^partner: twisted-transfer .*:secret=[\w-]{43}$")
        found = re.search(r"secret=(.*)", secret)
        assert found is not None
        self.assertEqual(len(report.said), 2)
        self.assertNotIn(found[1], "".join(report.said))

    def test_oneTicket(self) -> None:
        """Over mtls one line names all addresses, so that there is one to paste."""
        found = ["192.0.2.7", "2001:db8::7"]
        self.patch(invitations, "reachableHosts", lambda bound: found)
        [secret] = self.waited("transfer:passive:mtls:port=4000").secrets
        command = TransferDescription.parse(shlex.split(secret)[-1]).socketCommand
        assert command is not None
        self.assertEqual(command.keywords["host"], "192.0.2.7,2001:db8::7")

    def test_notConfidential(self) -> None:
        """Where others may read it, no invitation is made."""
        self.report = KeepingReport(confidential=False)
        job = self.job(True, self.file, "transfer:passive:mtls:port=4000")
        self.assertEqual(self.successResultOf(job.run()), 2)
        [complaint] = self.report.complaints
        self.assertIn("holds a secret", complaint)
        self.assertEqual((self.report.said, self.report.secrets), ([], []))
        self.assertNothingOpen()

    def test_cancelled(self) -> None:
        """Cancelled while it dials, it leaves nothing behind."""
        job = self.job(False, self.folder / "new", "transfer:active:tcp:127.0.0.1:1")
        running = job.run()
        self.reactor.advance(0)
        self.assertEqual(len(self.reactor.tcpClients), 1)
        self.assertTrue(partOf(self.folder / "new").exists())
        running.cancel()
        self.reactor.advance(0)
        self.failureResultOf(running, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual([path.name for path in self.folder.iterdir()], ["file"])

    def connect(self) -> None:
        """Let the partner answer; it says nothing."""
        _, _, factory, *_ = self.reactor.tcpClients[0]
        protocol: Any = factory.buildProtocol(None)
        transport = StringTransportWithDisconnection()
        transport.protocol = protocol
        protocol.makeConnection(transport)

    def test_notThere(self) -> None:
        """A partner that is not there at once is said to be waited for, once."""
        path = "transfer:active:host=127.0.0.1:port=1"
        said = "there is no connection with the partner yet"
        for more, tries in (("", ""), (":retryFor=60", "; this side tries for 60 s")):
            self.setUp()
            running = self.job(True, self.file, path + more).run()
            self.reactor.advance(0.9)
            self.assertEqual(self.report.said, [])
            self.reactor.pump([1] * 5)
            [line] = self.report.said
            self.assertTrue(line.startswith(said + tries), line)
            running.cancel()
            self.failureResultOf(running, CancelledError)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_there(self) -> None:
        """Nothing is said of one that answers."""
        path = "transfer:active:host=127.0.0.1:port=1:retryFor=60"
        running = self.job(True, self.file, path).run()
        self.connect()
        self.reactor.pump([1] * 5)
        [line] = self.report.said
        self.assertTrue(line.startswith("connected"), line)
        running.addErrback(lambda failure: None)
        running.cancel()
        self.reactor.pump([1] * 10)

    def test_idle(self) -> None:
        """The description's idle ends it when nothing moves; that has a status."""
        path = "transfer:active:host=127.0.0.1:port=1:idle=6"
        for raw in (False, True):
            self.setUp()
            running = self.job(False, self.folder / "new", path, raw).run()
            self.connect()
            self.reactor.pump([1] * 5)
            self.assertNoResult(running)
            self.reactor.pump([1] * 4)
            self.assertEqual(self.successResultOf(running), 5)
            [complaint] = self.report.complaints
            self.assertIn("for 6 seconds (idle)", complaint)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """Nobody there is status 3, in words, with nothing left behind."""
        job = self.job(False, self.folder / "new", "transfer:active:tcp:127.0.0.1:1")
        running = job.run()
        self.reactor.advance(0)
        factory = self.reactor.tcpClients[0][2]
        connector = self.reactor.connectors[0]
        factory.clientConnectionFailed(connector, Failure(ConnectionRefusedError()))
        self.reactor.advance(0)
        self.assertEqual(self.successResultOf(running), 3)
        self.assertEqual(len(self.report.complaints), 1)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["file"])

    def test_severalFiles(self) -> None:
        """For several files the partner needs a folder."""
        self.patch(jobs, "reachableHosts", lambda bound: ["192.0.2.7"])
        description = TransferDescription.parse("transfer:passive:tcp:port=4000")
        other = self.folder / "other"
        other.touch()
        request = Request(True, (str(self.file), str(other)), description)
        running = Job(self.reactor, request, self.report).run()
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(
            self.report.said[1],
            "partner: twisted-transfer receive . "
            "transfer:active:tcp:host=192.0.2.7:port=4000",
        )

    def test_leftover(self) -> None:
        """What an earlier try has left is left also by one that finds nobody."""
        part = leavePart(self.folder / "new", b"half")
        job = self.job(False, self.folder / "new", "transfer:active:tcp:127.0.0.1:1")
        running = job.run()
        running.cancel()
        self.reactor.advance(0)
        self.failureResultOf(running, CancelledError)
        self.assertEqual(part.read_bytes(), b"half")

    def test_noPort(self) -> None:
        """Where there is no port, nothing is said but why."""

        def refuse(*args: object, **more: object) -> None:
            raise CannotListenError("", 4000, OSError("it is taken"))

        self.patch(self.reactor, "listenTCP", refuse)
        job = self.job(True, self.file, "transfer:passive:tcp:port=4000")
        self.assertEqual(self.successResultOf(job.run()), 6)
        [complaint] = self.report.complaints
        self.assertIn("it is taken", complaint)
        self.assertEqual((self.report.said, self.report.bugs), ([], []))

    def test_bug(self) -> None:
        """What should not happen is status 1, and reported as what it is."""

        def sourceAt(reactor: object, path: str) -> None:
            raise ZeroDivisionError

        self.patch(jobs, "sourceAt", sourceAt)
        job = self.job(True, self.file, "transfer:active:tcp:127.0.0.1:1")
        self.assertEqual(self.successResultOf(job.run()), 1)
        self.assertEqual([bug.type for bug in self.report.bugs], [ZeroDivisionError])
        self.assertEqual(self.report.complaints, [])


class WatchTests(SynchronousTestCase):
    """What a job says while its transfer goes on."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.report = KeepingReport()

    def job(self, sends: bool, path: str = "path") -> Job:
        """:returns: a job that is not begun."""
        description = TransferDescription.parse("transfer:active:host=h:port=1")
        request = Request(sends, (path,), description)
        return Job(self.reactor, request, self.report)

    def channel(self) -> TransferChannel:
        """:returns: one to the partner."""
        return memoryPair(self.reactor)[0]

    def test_stored(self) -> None:
        """A receipt is more than that something was sent."""
        for sends, said in (
            (True, "sent plan: 3 bytes in 2.00 s, 2 B/s; stored by the partner"),
            (False, "received plan: 3 bytes in 2.00 s, 2 B/s; stored"),
        ):
            job = self.job(sends)
            job.begins("plan", 3, 0)
            self.reactor.advance(2)
            job.ends(Receipt("plan", 3, bytes(32), 3))
            self.assertEqual(self.report.said.pop(), said)

    def test_raw(self) -> None:
        """Without one nobody knows that."""
        for sends, said in (
            (True, "sent 3 bytes in 1.00 s, 3 B/s"),
            (False, "received 3 bytes in 1.00 s, 3 B/s"),
        ):
            job = self.job(sends)
            job.begins(None, 3, 0)
            self.reactor.advance(1)
            job.ends(Receipt(None, 3, None, 3))
            self.assertEqual(self.report.said.pop(), said)

    def test_wentOn(self) -> None:
        """What was there already is told apart from what has moved."""
        job = self.job(False)
        job.begins("plan", 10, 7)
        self.reactor.advance(1)
        job.ends(Receipt("plan", 10, bytes(32), 3))
        self.assertEqual(
            self.report.said,
            [
                "received plan: 3 bytes in 1.00 s, 3 B/s, after the 7 of an earlier "
                "try; stored"
            ],
        )

    def test_delivered(self) -> None:
        """What is in no file is not called stored."""
        for sends, said in ((True, "; delivered by the partner"), (False, "delivered")):
            job = self.job(sends)
            job.begins("plan", 3, 0)
            job.ends(Receipt("plan", 3, bytes(32), 3, delivered=True))
            self.assertTrue(self.report.said[-1].endswith(said))
            self.assertNotIn("stored", self.report.said[-1])

    def test_bars(self) -> None:
        """Each file has a bar of its own, which goes before anything is said."""
        job = self.job(True)
        for name in ("one", "two"):
            bar = self.report.bar = KeepingBar()
            progress = job.begins(name, 5, 2)
            # A bar has a colon of its own.
            label = self.report.labels.pop().rstrip(":")
            self.assertEqual(label, f"sending {name}")
            progress(2, 5, 0.0)
            progress(5, 5, 1.0)
            self.assertEqual(bar.told, [(2, 5), (5, 5)])
            self.assertEqual(bar.closed, 0)
            job.ends(Receipt(name, 5, bytes(32), 3))
            self.assertEqual(bar.closed, 1)

    def test_checks(self) -> None:
        """What is read before has a bar of its own."""
        job = self.job(False)
        checking = self.report.bar = KeepingBar()
        job.checks("na\x1bme", 100)(40, 100, 1.0)
        moving = self.report.bar = KeepingBar()
        job.begins("name", 200, 100)(100, 200, 1.0)
        self.assertEqual((checking.told, checking.closed), ([(40, 100)], 1))
        self.assertEqual((moving.told, moving.closed), ([(100, 200)], 0))
        self.assertEqual(
            self.report.labels,
            ["checking what there is of na\\x1bme", "receiving name"],
        )

    def test_still(self) -> None:
        """When nothing moves, that is said, and again after a minute."""
        still = "nothing has moved for {} seconds: this waits for the partner"
        job = self.job(True)
        job.connected(self.channel())
        self.report.said.clear()
        self.reactor.pump([1] * 9)
        self.assertEqual(self.report.said, [])
        self.reactor.pump([1] * 70)
        self.assertEqual(self.report.said, [still.format(10), still.format(70)])
        self.report.said.clear()
        progress = job.begins("plan", 100, 0)
        for count in range(5):
            progress(count, 100, 1.0)
            self.reactor.pump([1] * 10)
        self.assertEqual(self.report.said, [])
        self.reactor.pump([1] * 10)
        self.assertEqual(self.report.said, [still.format(10)])
        progress(100, 100, 1.0)
        self.reactor.pump([1] * 80)
        self.assertIn("until it is stored", self.report.said[-1])

    def test_stillStream(self) -> None:
        """It may be a stream of this side's that gives or takes nothing."""
        for sends, stream in ((True, "input"), (False, "output")):
            job = self.job(sends, "-")
            job.connected(self.channel())
            job.begins(None, None, 0)(5, None, 1.0)
            self.reactor.pump([1] * 30)
            self.assertIn(f"partner, or for its own {stream}", self.report.said[-1])

    def test_stillBar(self) -> None:
        """A bar makes room for the line."""
        bar = self.report.bar = KeepingBar()
        job = self.job(False)
        job.connected(self.channel())
        job.begins("plan", 100, 0)
        self.reactor.pump([1] * 10)
        self.assertIn("nothing has moved", self.report.said[-1])
        self.assertEqual(bar.asides, 1)

    def test_noBar(self) -> None:
        """Where nobody sees one, there is none."""
        progress = self.job(False).begins(None, None, 0)
        self.assertEqual(self.report.labels, ["receiving"])
        progress(1, None, 0.0)

    def test_names(self) -> None:
        """What the partner calls a file does nothing to a terminal."""
        job = self.job(False)
        job.begins("\x1b[31m\nred\u202e", 1, 0)
        job.ends(Receipt("\x1b[31m\nred\u202e", 1, bytes(32), 1))
        for told in (*self.report.labels, *self.report.said):
            self.assertTrue(told.isprintable(), told)
            self.assertIn("red", told)


class SeveralTests(SynchronousTestCase):
    """What both sides say of several files."""

    def move(
        self, bar: KeepingBar | None, *sizes: int, limitRate: int | None = None
    ) -> tuple[KeepingReport, ...]:
        """:returns: what the sender and the receiver of some files were told."""
        clock: Any = ThreadedClock()
        listener = MemoryListener(clock)
        connectors = {
            "passive": TransferConnector(clock, "passive", socketCommand=listener),
            "active": TransferConnector(clock, socketCommand=listener.client()),
        }
        self.patch(
            jobs,
            "TransferConnector",
            SimpleNamespace(fromDescription=lambda clock, it: connectors[it.mode]),
        )
        folder, target = newFolder(self), newFolder(self)
        paths = [folder / f"file{number}" for number in range(len(sizes))]
        for path, size in zip(paths, sizes, strict=True):
            path.write_bytes(os.urandom(size))
        # The first one goes on behind what is there.
        leavePart(target / "file0", paths[0].read_bytes()[:100_000])
        sending, receiving = KeepingReport(), KeepingReport()
        sending.bar = bar
        passive, active = (
            TransferDescription.parse(f"transfer:{mode}:port=1")
            for mode in ("passive", "active")
        )
        receives = Request(False, (str(target),), passive, limitRate=limitRate)
        sends = Request(True, tuple(map(str, paths)), active, limitRate=limitRate)
        runs = [
            Job(clock, request, report).run()
            for request, report in ((receives, receiving), (sends, sending))
        ]
        settle(clock, 100_000)
        while limitRate and not all(run.called for run in runs):
            clock.advance(0.1)
            settle(clock, 100_000)
        self.assertEqual([self.successResultOf(run) for run in runs], [0, 0])
        return sending, receiving

    def test_total(self) -> None:
        """At the end both sides say how many they were, and what has moved."""
        for did, report in zip(
            ("sent", "received"), self.move(None, 200_000, 150_000, 5, 6), strict=True
        ):
            *files, total = (line for line in report.said if line.startswith(did))
            self.assertEqual(len(files), 4)
            self.assertIn("100000 bytes", files[0])
            self.assertTrue(total.startswith(f"{did} 4 files: 250011 bytes in "), total)

    def test_limited(self) -> None:
        """Both sides have the limit that was asked for."""
        for report in self.move(None, 200_000, 200_000, limitRate=100_000):
            self.assertRegex(report.said[-1], r"300000 bytes in (2\.[89]|3\.[012])")

    def test_one(self) -> None:
        """There is no total of one file."""
        for did, report in zip(
            ("sent", "received"), self.move(None, 200_000), strict=True
        ):
            [line] = (line for line in report.said if line.startswith(did))
            self.assertNotIn("files", line)

    def test_bar(self) -> None:
        """
        The sender has one bar for all of them, which says which it is, how much of all
        has moved, and makes room for the line of each.
        """
        bar = KeepingBar()
        report, _ = self.move(bar, 200_000, 150_000, 100_000)
        checking, label = report.labels
        self.assertIn("checking", checking)
        self.assertEqual(label, "sending 1 of 3: file0")
        self.assertEqual(
            bar.labels,
            [("sending 2 of 3: file1", 0), ("sending 3 of 3: file2", 0)],
        )
        moved = bar.told[bar.told.index((100_000, 450_000)) :]
        self.assertEqual(moved, sorted(moved))
        self.assertEqual({total for _, total in moved}, {450_000})
        self.assertEqual(moved[-1][0], 450_000)
        self.assertEqual(bar.asides, 3)


def digestedSourceAt(reactor: Any, path: str) -> DigestedSource:
    """:returns: what a transfer with a receipt makes of a path to send."""
    return DigestedSource(sourceAt(reactor, path), reactor)


def digestedDestinationAt(
    reactor: Any,
    path: str,
    force: bool,
    maxSize: int | None = None,
    standardOutput: int = 1,
) -> DigestedDestination:
    """:returns: what a transfer with a receipt makes of a path to receive into."""
    found = destinationAt(reactor, path, force, standardOutput)
    return digestedDestination(found, reactor, maxSize)


class LocalEndTests(SynchronousTestCase):
    """What a path stands for."""

    def setUp(self) -> None:
        self.reactor = MemoryReactor()
        self.folder = newFolder(self)
        self.file = self.folder / "file"
        self.file.write_bytes(b"content")
        self.pipe = self.folder / "pipe"
        os.mkfifo(self.pipe)

    def test_files(self) -> None:
        """What is a file, a folder or nothing yet is treated as a file."""
        for path in (self.file, self.folder, self.folder / "new", "nul\0"):
            self.assertIsInstance(sourceAt(self.reactor, str(path)), FileSource)
            destination = destinationAt(self.reactor, str(path), False)
            self.assertIsInstance(destination, FileDestination)

    def test_force(self) -> None:
        """Whether a file may be replaced is passed on."""
        refused = destinationAt(self.reactor, str(self.file), False)
        self.assertRaises(DestinationError, refused.open)
        allowed = destinationAt(self.reactor, str(self.file), True)
        allowed.open()
        allowed.abort()

    def test_specialSources(self) -> None:
        """A device or a named pipe is a stream; opening it waits for nobody."""
        for path in ("/dev/zero", str(self.pipe)):
            source = sourceAt(self.reactor, path)
            self.assertIsInstance(source, StreamSource)
            source.close()

    def test_specialDestinations(self) -> None:
        """
        A device or a pipe is written only if that is asked for, which is done by ``-``
        and a redirection: it may be there by somebody else's doing.
        """
        reading = os.open(self.pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reading)
        for path in ("/dev/full", str(self.pipe), f"/dev/fd/{reading}"):
            for force in (False, True):
                destination = destinationAt(self.reactor, path, force)
                error = self.assertRaises(DestinationError, destination.open)
                self.assertIn(f"{path} is no regular file", str(error))
                self.assertIn("give - as the path", str(error))
        self.assertEqual(os.read(reading, 10), b"")

    def test_unopenable(self) -> None:
        """What is special and cannot be opened is named."""
        path = str(self.folder / "socket")
        import socket

        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            error = self.assertRaises(SourceError, sourceAt, self.reactor, path)
        self.assertIn(path, str(error))

    def test_standard(self) -> None:
        """``-`` is standard input, and standard output or what stands for it."""
        reading, writing = os.pipe()
        self.assertIsInstance(sourceAt(self.reactor, "-"), StreamSource)
        destination = destinationAt(self.reactor, "-", False, writing)
        self.assertIsInstance(destination, StreamDestination)
        destination.write(b"data")
        self.assertEqual(os.read(reading, 10), b"data")
        os.close(reading)
        error = self.assertRaises(DestinationError, destination.write, b"data")
        self.assertIn("standard output", str(error))
        destination.abort()
        os.close(writing)

    def test_closed(self) -> None:
        """
        Closed standard streams are an error: their numbers may belong to
        something else by now.
        """
        self.patch(sys, "__stdin__", None)
        self.patch(sys, "__stdout__", None)
        error = self.assertRaises(SourceError, sourceAt, self.reactor, "-")
        self.assertIn("standard input is closed", str(error))
        other = self.assertRaises(
            DestinationError, destinationAt, self.reactor, "-", False
        )
        self.assertIn("standard output is closed", str(other))

    def test_digestedFiles(self) -> None:
        """With a receipt, what is a file can be gone on with."""
        for path in (self.file, self.folder, self.folder / "new", "nul\0"):
            source = digestedSourceAt(self.reactor, str(path))
            self.assertIsInstance(source._source, FileSource)
            destination = digestedDestinationAt(self.reactor, str(path), False)
            self.assertIsInstance(destination, ResumableFileDestination)

    def test_digestedOptions(self) -> None:
        """Whether a file may be replaced, and how large it may be, is passed on."""
        refused = digestedDestinationAt(self.reactor, str(self.file), False)
        self.assertRaises(DestinationError, refused.open)
        reading, writing = os.pipe()
        for path in (str(self.file), "-"):
            allowed = digestedDestinationAt(self.reactor, path, True, 3, writing)
            allowed.write(b"123")
            error = self.assertRaises(DestinationError, allowed.write, b"4")
            self.assertEqual(error.kind, "too-large")
            allowed.abort()
        os.close(reading)
        os.close(writing)

    def test_digestedStreams(self) -> None:
        """With a receipt, what is no file is counted and hashed as it passes."""
        for path in ("-", "/dev/null"):
            source = digestedSourceAt(self.reactor, path)
            self.assertIs(type(source), DigestedSource)
            source.close()
        destination = digestedDestinationAt(self.reactor, "-", False)
        self.assertIs(type(destination), DigestedDestination)
        destination.abort()

    def test_digestedStandardOutput(self) -> None:
        """``-`` is what stands for standard output."""
        reading, writing = os.pipe()
        destination = digestedDestinationAt(
            self.reactor, "-", False, standardOutput=writing
        )
        destination.write(b"data")
        self.assertEqual(os.read(reading, 10), b"data")
        destination.abort()
        os.close(reading)
        os.close(writing)


class PartnerPathTests(SynchronousTestCase):
    """Which path is proposed."""

    def test_paths(self) -> None:
        """The same name where the partner is."""
        for path, proposed in (
            ("/home/me/plan.pdf", "plan.pdf"),
            ("-", "-"),
            ("-x", "./-x"),
            ("two words", "'two words'"),
            ("it's", "'it'\"'\"'s'"),
            ("folder/", "PATH"),
            ("bell\a", "PATH"),
            ("two\nlines", "PATH"),
        ):
            self.assertEqual(partnerPath(path), proposed)

    @given(st.text(min_size=1))
    def test_any(self, path: str) -> None:
        """A shell takes it for one word that is no option, and prints it safely."""
        proposed = partnerPath(path)
        self.assertTrue(proposed.isprintable())
        [word] = shlex.split(proposed)
        self.assertTrue(word == "-" or not word.startswith("-"))


class PartnerCommandsTests(SynchronousTestCase):
    """The partner's command lines."""

    def listening(self, command: str) -> TransferConnector:
        """:returns: a connector that listens in memory."""
        self.reactor = MemoryReactorClock()
        connector = TransferConnector(self.reactor, "passive", socketCommand=command)
        connecting = connector.connect().addErrback(lambda ignored: None)
        self.addCleanup(connecting.cancel)
        return connector

    def commands(
        self,
        connector: TransferConnector,
        options: str,
        paths: Sequence[str],
        needed: str = "",
        hosts: Sequence[str | None] = (None,),
    ) -> list[str]:
        """:returns: the partner's command lines."""
        return self.successResultOf(
            Deferred.fromCoroutine(
                partnerCommands(connector, hosts, options, paths, needed)
            )
        )

    def test_everyAddress(self) -> None:
        """There is one for each address; each reads back as it was meant."""
        hosts = ["192.0.2.7", "2001:db8::7", "fd00::1"]
        connector = self.listening("tcp:port=4000")
        lines = self.commands(connector, "send --raw", ["a b"], hosts=hosts)
        found = []
        for line in lines:
            *words, description = shlex.split(line)
            self.assertEqual(words, ["twisted-transfer", "send", "--raw", "a b"])
            command = TransferDescription.parse(description).socketCommand
            assert command is not None
            self.assertEqual(command.args, ("tcp",))
            found.append(command.keywords["host"])
        self.assertEqual(found, hosts)

    def test_unix(self) -> None:
        """A UNIX socket has one path."""
        connector = self.listening("unix:/run/a b")
        self.assertEqual(
            self.commands(connector, "receive", ["-"]),
            ["twisted-transfer receive - 'transfer:active:unix:path=/run/a b'"],
        )

    def test_several(self) -> None:
        """For several files the partner needs a folder, or has several, too."""
        connector = self.listening("unix:/run/a")
        for paths, proposed in ((["a", "b"], "."), (["/"], "PATH")):
            [line] = self.commands(connector, "receive", paths)
            self.assertEqual(shlex.split(line)[2], proposed)

    def test_needed(self) -> None:
        """What the partner has to fill in stands in capitals, and is said."""
        connector = self.listening("tcp:4000")
        for command, placeholders in (
            ("tls:/pems:port=4000", ["FOLDER"]),
            ("ssl:4000", ["FOLDER"]),
            ("mtls:port=4000:certificate=c", ["CERTIFICATE", "KEY"]),
            ("mtls:port=4000", []),
            ("tcp:4000", []),
            (None, []),
        ):
            read = None if command is None else Description.parse(command)
            needed, meaning = partnersPart(read)
            lines = self.commands(connector, "send", ["x"], needed)
            for line in lines:
                said = re.findall("=([A-Z]+)(?:[:']|$)", line)
                self.assertEqual(said, placeholders)
            self.assertTrue(lines)
            self.assertEqual(meaning != "", placeholders != [])
            for each in placeholders:
                self.assertIn(each, meaning)

    def test_unknown(self) -> None:
        """What nobody knows how to dial has none."""
        connector = self.listening("haproxy:tcp:4000")
        self.assertEqual(self.commands(connector, "send", ["x"]), [])
