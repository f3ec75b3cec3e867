"""Tests for :mod:`twisted_transfer.command.demo` and what belongs to it."""

from __future__ import annotations

import os
import resource
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder
from tests.support.programs import Program, until
from twisted_transfer.command.demo import makeCertificates


class CertificatesTests(SynchronousTestCase):
    """What TLS needs in the demonstration."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.made = makeCertificates(str(self.folder))

    def test_verified(self) -> None:
        """The two sides agree; OpenSSL's own verification is the judge."""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(self.made.certKey, self.made.privateKey)
        for name in ("localhost", "127.0.0.1"):
            client = ssl.create_default_context(
                cafile=os.path.join(self.made.trustRoots, "ca.pem")
            )
            toServer, toClient = ssl.MemoryBIO(), ssl.MemoryBIO()
            ends = [
                client.wrap_bio(toClient, toServer, server_hostname=name),
                server.wrap_bio(toServer, toClient, server_side=True),
            ]
            while ends:
                end = ends.pop(0)
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    ends.append(end)

    def test_onlyThese(self) -> None:
        """The authority's key is kept nowhere, and all of it ends soon."""
        names = sorted(
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.is_file()
        )
        self.assertEqual(names, ["ca/ca.pem", "cert.pem", "key.pem"])
        keys = [path for path in self.folder.rglob("*") if b"KEY" in content(path)]
        self.assertEqual([path.name for path in keys], ["key.pem"])
        for name in names[:2]:
            certificate = x509.load_pem_x509_certificate(content(self.folder / name))
            lifetime = (
                certificate.not_valid_after_utc - certificate.not_valid_before_utc
            )
            self.assertLessEqual(lifetime.days, 2)


def content(path: Path) -> bytes:
    """:returns: what is in a file; nothing for a folder."""
    return path.read_bytes() if path.is_file() else b""


class DemoTests(SynchronousTestCase):
    """``twisted-transfer demo``."""

    def setUp(self) -> None:
        self.folder = newFolder(self)

    def demo(
        self,
        *words: str,
        terminal: bool = False,
        setUp: Callable[[], object] | None = None,
    ) -> Program:
        """:returns: the demonstration, under way, in a folder of its own."""
        return Program(
            self,
            ["demo", *words],
            environment={"TMPDIR": str(self.folder), "TERM": "xterm"},
            terminal=terminal,
            setUp=setUp,
        )

    def test_shown(self) -> None:
        """
        Both directions are shown, with what was run and how fast it was, and
        nothing is left behind.
        """
        program = self.demo("--size", "3")
        self.assertEqual((program.end(), program.said), (0, ""))
        story = program.out().decode()
        for times, text in (
            (1, "1. The receiver waits, the sender dials."),
            (1, "2. The sender waits, the receiver dials."),
            (2, "$ twisted-transfer send --raw original "),
            (1, "receive --raw received-1 \\\n       transfer:passive:ssl:port=0:"),
            (1, "receive --raw received-2 \\\n       transfer:active:tls:host="),
            (1, "send --raw original \\\n       transfer:active:tls:host=localhost:"),
            (1, "send --raw original \\\n       transfer:passive:ssl:port=0:"),
            (2, ":privateKey=key.pem:certKey=cert.pem:"),
            (2, ":trustRoots=ca\n"),
            (2, "listening on 127.0.0.1:"),
            (2, "sent 3145728 bytes in "),
            (2, "received 3145728 bytes in "),
            (2, "Both files have the same SHA-256, "),
        ):
            self.assertEqual(story.count(text), times, f"{text}\n{story}")
        for line in story.splitlines():
            # Paths are shown as short as they are for who stands in the folder.
            self.assertNotIn(str(self.folder), line)
        self.assertEqual(os.listdir(self.folder), [])

    def test_progress(self) -> None:
        """On a terminal there is a bar."""
        program = self.demo("--size=3", terminal=True)
        program.hears("moving:")
        self.assertEqual(program.end(), 0)
        self.assertRegex(program.said, r"moving: +\d+%\|.*/3\.00M \[")

    def test_stopped(self) -> None:
        """
        A signal at any time ends the demonstration and both processes, and the
        folder goes with them.
        """
        for event in ("original", "received-1.part", "received-2.part"):
            program = self.demo("--size=40")
            until(lambda event=event: self.there(event), event)  # type: ignore[misc]
            children = childrenOf(program.process.pid)
            program.process.send_signal(signal.SIGINT)
            self.assertEqual(program.end(), 128 + signal.SIGINT)
            self.assertEqual(program.said, "")
            self.assertEqual(os.listdir(self.folder), [])
            for child in children:
                self.assertFalse(Path(f"/proc/{child}").exists())

    def there(self, name: str) -> bool:
        """:returns: whether the demonstration has come to a file of that name."""
        return any(self.folder.glob(f"*/{name}"))

    def test_noRoom(self) -> None:
        """A disk without room is said in words, and the folder goes."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

        program = self.demo("--size=3", setUp=limit)
        self.assertEqual(program.end(), 6)
        self.assertRegex(program.said, r"\Atwisted-transfer: .*File too large\n\Z")
        self.assertEqual(os.listdir(self.folder), [])

    def test_killed(self) -> None:
        """
        When one of the processes goes, the demonstration has failed, and the
        other one does not stay.
        """
        program = self.demo("--size=40")
        until(lambda: self.there("received-1.part"), "the receiver")
        receiver, *_ = childrenOf(program.process.pid)
        os.kill(receiver, signal.SIGKILL)
        # Killed, or what the sender says of a partner that is gone.
        self.assertIn(program.end(), (128 + signal.SIGKILL, 3, 5))
        self.assertEqual(os.listdir(self.folder), [])


def childrenOf(pid: int) -> list[int]:
    """:returns: the processes that a process has started."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text(encoding="ascii").split()]
