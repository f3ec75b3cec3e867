"""
``twisted-transfer demo``: both directions, seen on one machine.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, ClassVar, TextIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from twisted_transfer.command.options import Versioned
from twisted_transfer.command.reports import ConsoleReport, ShowsProgress, Status
from twisted_transfer.descriptions.strings import quote

_PATIENCE = 5.0
"""Seconds that a process has for ending itself when it is told to."""


class DemoProcess(ProcessProtocol):
    """A ``twisted-transfer`` process whose lines are passed on."""

    def __init__(self, reactor: Any, tell: Callable[[str], None]) -> None:
        """
        :param reactor: runs it.
        :param tell: is called with each line that it says.
        """
        self._reactor = reactor
        self._tell = tell
        self._buffer = b""
        self._lines: list[str] = []
        self._status: int | None = None
        self._lineWaiters: list[tuple[str, Deferred[str | None]]] = []
        self._endWaiters: list[Deferred[int]] = []

    def spawn(self, words: list[str]) -> None:
        """
        Start it.

        :param words: the command line behind the name of the program.
        """
        self._reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-m", "twisted_transfer", *words],
            env=None,
            childFDs={0: "w", 1: "r", 2: "r"},
        )

    def connectionMade(self) -> None:
        """It runs; there is nothing for it to read."""
        self.transport.closeStdin()  # type: ignore[union-attr]

    def whenSaid(self, beginning: str) -> Deferred[str | None]:
        """
        :param beginning: of a line.
        :returns: a Deferred with the first line that begins so, or None when
            the process has ended without it.
        """
        waiter: Deferred[str | None] = Deferred()
        said = [line for line in self._lines if line.startswith(beginning)]
        if said or self._status is not None:
            waiter.callback(said[0] if said else None)
        else:
            self._lineWaiters.append((beginning, waiter))
        return waiter

    def whenEnded(self) -> Deferred[int]:
        """
        :returns: a Deferred with the exit status; 128 and the number of the
            signal if one has ended it.
        """
        waiter: Deferred[int] = Deferred()
        if self._status is not None:
            waiter.callback(self._status)
        else:
            self._endWaiters.append(waiter)
        return waiter

    def end(self) -> Deferred[int]:
        """
        End it if it runs, by force if it takes too long.

        :returns: as :meth:`whenEnded`.
        """
        ended = self.whenEnded()
        if self._status is None:
            self._signal("TERM")
            force = self._reactor.callLater(_PATIENCE, self._signal, "KILL")

            def calm(status: int) -> int:
                if force.active():
                    force.cancel()
                return status

            ended.addCallback(calm)
        return ended

    def _signal(self, name: str) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess(name)  # type: ignore[union-attr]

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It says something."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._said(os.fsdecode(line))

    def _said(self, line: str) -> None:
        self._lines.append(line)
        self._tell(line)
        waiters, self._lineWaiters = self._lineWaiters, []
        for beginning, waiter in waiters:
            if line.startswith(beginning):
                waiter.callback(line)
            else:
                self._lineWaiters.append((beginning, waiter))

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and has said everything."""
        assert isinstance(reason.value, ProcessDone | ProcessTerminated)
        code, number = reason.value.exitCode, reason.value.signal
        self._status = Status.BUG if number is None else 128 + number
        if code is not None:
            self._status = code
        lineWaiters, self._lineWaiters = self._lineWaiters, []
        for _, lineWaiter in lineWaiters:
            lineWaiter.callback(None)
        endWaiters, self._endWaiters = self._endWaiters, []
        for endWaiter in endWaiters:
            endWaiter.callback(self._status)


_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """
    The files that TLS needs on the two sides, in PEM form.

    :ivar privateKey: of the listening side.
    :ivar certKey: its certificate, for ``localhost`` and 127.0.0.1.
    :ivar trustRoots: a folder with the certificate of the authority.
    """

    privateKey: str
    certKey: str
    trustRoots: str


def makeCertificates(folder: str) -> Certificates:
    """
    Make an authority, and a certificate that it has signed.

    The authority's key is forgotten at once, so nobody can make another one.

    :param folder: where the files are put; only the owner should see it.
    :returns: the files.
    """
    made = Certificates(
        os.path.join(folder, "key.pem"),
        os.path.join(folder, "cert.pem"),
        os.path.join(folder, "ca"),
    )
    authorityKey = ec.generate_private_key(ec.SECP256R1())
    authorityName = _name("twisted-transfer demonstration authority")
    authority = (
        _builder(authorityName, authorityName, authorityKey, authorityKey)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_use(signsCertificates=True), critical=True)
        .sign(authorityKey, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    )
    certificate = (
        _builder(_name("localhost"), authorityName, key, authorityKey)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_use(signsCertificates=False), critical=True)
        .add_extension(names, critical=False)
        .sign(authorityKey, hashes.SHA256())
    )
    os.mkdir(made.trustRoots)
    _write(
        os.path.join(made.trustRoots, "ca.pem"),
        authority.public_bytes(serialization.Encoding.PEM),
    )
    _write(made.certKey, certificate.public_bytes(serialization.Encoding.PEM))
    _write(
        made.privateKey,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _use(signsCertificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signsCertificates,
        key_cert_sign=signsCertificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuerKey: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    """Begin a certificate with what RFC 5280 (section 4.2.1) wants in each."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuerKey.public_key()),
            critical=False,
        )
    )


def _write(path: str, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)


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
