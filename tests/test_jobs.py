"""Tests for :mod:`twisted_transfer.jobs`."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.address import (
    HostnameAddress,
    IPv4Address,
    IPv6Address,
    UNIXAddress,
)
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IAddress
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer import jobs, partnercommands
from twisted_transfer.descriptions import TransferDescription
from twisted_transfer.jobs import RawJob, Request, addressText

from .folders import newFolder


class KeepingReport:
    """Keeps what it is told."""

    def __init__(self, confidential: bool = True) -> None:
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

    def progress(self, label: str) -> None:
        return None


class AddressTextTests(SynchronousTestCase):
    """Addresses as people write them."""

    def test_texts(self) -> None:
        """Each kind of address."""
        addresses: list[tuple[IAddress, str]] = [
            (IPv4Address("TCP", "192.0.2.7", 4000), "192.0.2.7:4000"),
            (IPv6Address("TCP", "::1", 4000), "[::1]:4000"),
            (IPv6Address("TCP", "::", 4000), "[::]:4000"),
            # An IPv4 partner of a dual-stack port.
            (IPv6Address("TCP", "::ffff:192.0.2.7", 4000), "192.0.2.7:4000"),
            (UNIXAddress("/run/socket"), "/run/socket"),
            (UNIXAddress("\0abstract"), "@abstract"),
            (UNIXAddress(None), ""),
            (UNIXAddress(""), ""),
        ]
        for address, text in addresses:
            self.assertEqual(addressText(address), text)

    def test_other(self) -> None:
        """What is unknown is shown as it shows itself."""
        address = HostnameAddress(b"host", 1)
        self.assertEqual(addressText(address), str(address))


class RawJobTests(SynchronousTestCase):
    """A job without a partner."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.report = KeepingReport()
        self.folder = newFolder(self)
        self.file = self.folder / "file"
        self.file.write_bytes(b"content")

    def job(self, sends: bool, path: Any, description: str) -> RawJob:
        """:returns: a job that is not begun."""
        request = Request(sends, str(path), TransferDescription.parse(description))
        return RawJob(self.reactor, request, self.report)

    def assertNothingOpen(self) -> None:
        """No port is open, no timer runs, no file is left."""
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertEqual(self.reactor.tcpClients, [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual([path.name for path in self.folder.iterdir()], ["file"])

    def test_textSettings(self) -> None:
        """What raw bytes cannot have is refused, before anything is opened."""
        for keyword in ("encoding=utf-8", "again=yes"):
            job = self.job(
                True, self.folder, f"transfer:active:host=h:port=1:{keyword}"
            )
            self.assertEqual(self.successResultOf(job.run()), 2)
            self.assertIn(keyword, self.report.complaints.pop())
            self.assertNothingOpen()

    def test_localFirst(self) -> None:
        """What is wrong on this side is found before anybody is asked."""
        for sends, path in ((True, self.folder / "missing"), (False, self.file)):
            for description in (
                "transfer:active:host=127.0.0.1:port=1",
                "transfer:passive:tcp:port=1",
            ):
                job = self.job(sends, path, description)
                self.assertEqual(self.successResultOf(job.run()), 6)
                self.assertIn(str(path), self.report.complaints.pop())
                self.assertNothingOpen()

    def waited(self, description: str) -> KeepingReport:
        """:returns: what is told of a job that waits for its partner."""
        job = self.job(True, self.file, description)
        running = job.run()
        running.cancel()
        self.failureResultOf(running, CancelledError)
        return self.report

    def test_partner(self) -> None:
        """One that waits says where, and what the partner may type."""
        self.patch(partnercommands, "reachableHosts", lambda bound: ["192.0.2.7"])
        self.assertEqual(
            self.waited("transfer:passive:tcp:port=4000").said,
            [
                "listening on 0.0.0.0:4000",
                "partner: twisted-transfer receive --raw file "
                "transfer:active:tcp:host=192.0.2.7:port=4000",
            ],
        )
        self.assertEqual(self.report.secrets, [])

    def test_moreAddresses(self) -> None:
        """There may be several ways to type it."""
        found = ["192.0.2.7", "192.0.2.8", "192.0.2.9"]
        self.patch(partnercommands, "reachableHosts", lambda bound: found)
        said = self.waited("transfer:passive:port=4000").said
        self.assertEqual(
            [line.partition(":")[0] for line in said],
            ["listening on [", "partner", "or", "or"],
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
        self.assertTrue((self.folder / "new.part").exists())
        running.cancel()
        self.reactor.advance(0)
        self.failureResultOf(running, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual([path.name for path in self.folder.iterdir()], ["file"])

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

    def test_bug(self) -> None:
        """What should not happen is status 1, and reported as what it is."""

        def sourceAt(reactor: object, path: str) -> None:
            raise ZeroDivisionError

        self.patch(jobs, "sourceAt", sourceAt)
        job = self.job(True, self.file, "transfer:active:tcp:127.0.0.1:1")
        self.assertEqual(self.successResultOf(job.run()), 1)
        self.assertEqual([bug.type for bug in self.report.bugs], [ZeroDivisionError])
        self.assertEqual(self.report.complaints, [])
