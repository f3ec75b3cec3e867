"""
``twisted-transfer demo``: both directions, seen on one machine.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
import tempfile
from typing import Any, ClassVar, TextIO

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.usage import UsageError

from twisted_transfer.democertificates import Certificates, makeCertificates
from twisted_transfer.demoprocess import DemoProcess
from twisted_transfer.descriptions import quote
from twisted_transfer.options import Versioned
from twisted_transfer.reports import ConsoleReport, ShowsProgress
from twisted_transfer.statuses import Status

_MEBIBYTE = 1024 * 1024
_LISTENING = "listening on "


class DemoOptions(Versioned):
    """
    The options of ``demo``.

    :ivar mebibytes: the size of the file to move.
    """

    mebibytes = 64
    synopsis = "[options]"
    longdesc = (
        "Move a generated file between two processes on this machine, over TLS with "
        "a verified certificate: first the sender dials, then the receiver. "
        "Everything is made in a temporary folder and removed at the end."
    )
    optParameters: ClassVar[list[list[str]]] = [
        ["size", "s", "64", "The size of the file in MiB."],
    ]

    def postOptions(self) -> None:
        """Check the size."""
        text = self["size"]
        if not (text.isascii() and text.isdigit() and int(text) > 0):
            raise UsageError(f"--size {text}: give a whole number of MiB, 1 or more")
        self.mebibytes = int(text)


class Demo:
    """Two transfers between two processes each."""

    def __init__(
        self,
        reactor: Any,
        mebibytes: int,
        out: TextIO | None = None,
        err: TextIO | None = None,
    ) -> None:
        """
        :param reactor: runs the processes.
        :param mebibytes: the size of the file.
        :param out: for the story; the default is standard output.
        :param err: for the progress, if it is a terminal, and errors; the
            default is standard error.
        """
        self._reactor = reactor
        self._mebibytes = mebibytes
        self._story = ConsoleReport(sys.stdout if out is None else out)
        self._report = ConsoleReport(sys.stderr if err is None else err)
        self._processes: list[DemoProcess] = []
        self._folder = ""
        self._bar: ShowsProgress | None = None

    def run(self) -> Deferred[int]:
        """
        Show it.

        :returns: a Deferred with the exit status, when every process has ended
            and the folder is gone; it may be cancelled.
        """
        return Deferred.fromCoroutine(self._run())

    async def _run(self) -> int:
        try:
            self._folder = tempfile.mkdtemp(prefix="twisted-transfer-demo-")
            try:
                return await self._inFolder()
            finally:
                await gatherResults([p.end() for p in self._processes])
                shutil.rmtree(self._folder)
        except OSError as error:
            self._report.complain(f"the demonstration has failed: {error}")
            return Status.LOCAL

    async def _inFolder(self) -> int:
        self._story.say(
            f"Two processes on this machine move a file of {self._mebibytes} MiB over "
            "TLS;\nthe side that dials verifies the certificate of the side that waits."
        )
        certificates = makeCertificates(self._folder)
        digest = await self._makeFile(self._path("original"))
        for number, senderDials in enumerate([True, False], 1):
            dials, waits = "sender", "receiver"
            if not senderDials:
                dials, waits = waits, dials
            self._story.say(f"\n{number}. The {waits} waits, the {dials} dials.")
            received = self._path(f"received-{number}")
            status = await self._oneTransfer(certificates, received, senderDials)
            if status != Status.DONE:
                return status
            if await self._digest(received) != digest:
                self._report.complain("the received file is not the one that was sent")
                return Status.TRUNCATED
            self._story.say(f"   Both files have the same SHA-256, {digest[:16]}...")
            os.unlink(received)
        self._story.say(
            "\nBoth worked: which side dials says nothing about who sends.\n"
            "Your own first transfer: twisted-transfer send --help"
        )
        return Status.DONE

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    async def _makeFile(self, path: str) -> str:
        """Fill a file with random bytes and give their digest."""
        digest = hashlib.sha256()
        with open(path, "xb") as file:
            for _ in range(self._mebibytes):
                block = os.urandom(_MEBIBYTE)
                digest.update(block)
                file.write(block)
                await self._breathe()
        return digest.hexdigest()

    async def _digest(self, path: str) -> str:
        """Read a file and give the digest of what is in it."""
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(_MEBIBYTE):
                digest.update(block)
                await self._breathe()
        return digest.hexdigest()

    def _breathe(self) -> Deferred[None]:
        """Let the reactor see to everything else, such as Ctrl-C."""
        return deferLater(self._reactor, 0)

    async def _oneTransfer(
        self, certificates: Certificates, received: str, senderDials: bool
    ) -> int:
        words = {
            "sender": ["send", "--raw", self._path("original")],
            "receiver": ["receive", "--raw", received],
        }
        dials, waits = "sender", "receiver"
        if not senderDials:
            dials, waits = waits, dials
        waiting = self._start(
            waits,
            [
                *words[waits],
                "transfer:passive:ssl:port=0:interface=127.0.0.1"
                f":privateKey={quote(certificates.privateKey)}"
                f":certKey={quote(certificates.certKey)}:within=60",
            ],
        )
        line = await waiting.whenSaid(_LISTENING)
        if line is None:
            return await waiting.whenEnded()
        port = line.rpartition(":")[2]
        dialling = self._start(
            dials,
            [
                *words[dials],
                f"transfer:active:tls:host=localhost:port={port}"
                f":trustRoots={quote(certificates.trustRoots)}",
            ],
        )
        watching = LoopingCall(self._watch, received)
        watching.clock = self._reactor
        watching.start(0.1)
        try:
            status = await dialling.whenEnded()
            if status != Status.DONE:
                # Nobody else will come to the side that waits.
                await waiting.end()
            return status or await waiting.whenEnded()
        finally:
            watching.stop()
            self._closeBar()

    def _start(self, role: str, words: list[str]) -> DemoProcess:
        *first, description = [
            word.replace(self._folder + os.sep, "") for word in words
        ]
        self._tell(
            f"   $ twisted-transfer {shlex.join(first)} \\\n"
            f"       {shlex.quote(description)}"
        )

        def tell(line: str) -> None:
            # What a user needs who starts the partner by hand comes next here.
            if not line.startswith("partner: "):
                self._tell(f"     {role + ':':9} {line}")

        process = DemoProcess(self._reactor, tell)
        process.spawn(words)
        self._processes.append(process)
        return process

    def _tell(self, text: str) -> None:
        """Add a line to the story, above the bar."""
        self._closeBar()
        self._story.say(text)

    def _watch(self, received: str) -> None:
        """Show how much of the file has come; it gets its name at the end."""
        try:
            count = os.stat(received + ".part").st_size
        except FileNotFoundError:
            return
        if self._bar is None:
            self._bar = self._report.progress("   moving")
        if self._bar is not None:
            self._bar(count, self._mebibytes * _MEBIBYTE)

    def _closeBar(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
