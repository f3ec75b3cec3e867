"""Tests for :mod:`twisted_transfer.command.demo`."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder, partOf
from tests.support.programs import Program, until


class DemoTests(SynchronousTestCase):
    """``twisted-transfer demo``."""

    def setUp(self) -> None:
        self.folder = newFolder(self)

    def demo(
        self,
        *words: str,
        setUp: Callable[[], object] | None = None,
    ) -> Program:
        """:returns: the demonstration, under way, in a folder of its own."""
        return Program(
            self,
            ["demo", *words],
            environment={"TMPDIR": str(self.folder)},
            setUp=setUp,
        )

    def test_shown(self) -> None:
        """
        Both directions are shown, with what was run and what each side said, and
        nothing is left behind.
        """
        program = self.demo("--size", "3")
        self.assertEqual((program.end(), program.said), (0, ""))
        story = program.out().decode()
        waits = r"transfer:passive:mtls:port=0:interface=127\.0\.0\.1:within=60"
        invitation = r"transfer:active:mtls:host=127\.0\.0\.1:port=\d+:pin=\S+:secret=…"
        for times, pattern in (
            (1, r"1\. The receiver waits, the sender dials\."),
            (1, r"2\. The sender waits, the receiver dials\."),
            (1, rf"   \$ twisted-transfer receive received-1 {waits}"),
            (1, r"   \$ twisted-transfer send original -"),
            (1, rf"   \$ twisted-transfer send original {waits}"),
            (1, r"   \$ twisted-transfer receive received-2 -"),
            (1, rf"     receiver: partner: twisted-transfer send \S+ {invitation}"),
            (1, rf"     sender:   partner: twisted-transfer receive \S+ {invitation}"),
            (2, rf"     description: {invitation}"),
            (2, r"     \w+: +listening on 127\.0\.0\.1:\d+"),
            (
                2,
                r"     sender:   sent original: 3145728 bytes .*stored by the partner",
            ),
            (2, r"     receiver: received original: 3145728 bytes .*; stored"),
            (2, r"   Both files have the same SHA-256, [0-9a-f]{16}\.\.\."),
        ):
            found = re.findall(rf"(?m)^{pattern}$", story)
            self.assertEqual(len(found), times, f"{pattern}\n{story}")
        self.assertRegex(story, r"\nNext: twisted-transfer send FILE, .*\.\n\Z")
        self.assertNotIn(str(self.folder), story)
        self.assertEqual(os.listdir(self.folder), [])

    def test_secret(self) -> None:
        """The secret is on no command line, where others can see it."""
        program = self.demo("--size=40")
        for name in (partOf("received-1").name, partOf("received-2").name):
            until(lambda name=name: self.moves(name), name)  # type: ignore[misc]
            lines = [
                Path(f"/proc/{child}/cmdline").read_bytes()
                for child in childrenOf(program.process.pid)
            ]
            self.assertEqual(len(lines), 2)
            self.assertNotIn(b"secret", b"".join(lines))
        self.assertEqual(program.end(), 0)

    def moves(self, name: str) -> bool:
        """:returns: whether some of a file has come, so that both sides are there."""
        return any(path.stat().st_size > 0 for path in self.folder.glob(f"*/{name}"))

    def test_callersFolder(self) -> None:
        """No program that it starts looks for code where the caller stands."""
        here = newFolder(self)
        for name in ("twisted_transfer", "twisted", "zope"):
            (here / f"{name}.py").write_text("raise SystemExit('taken')")
        result = subprocess.run(
            [f"{sysconfig.get_path('scripts')}/twisted-transfer", "demo", "--size=1"],
            cwd=here,
            env={**os.environ, "TMPDIR": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("Both worked", result.stdout)

    def test_stopped(self) -> None:
        """
        A signal at any time ends the demonstration and both processes, and the
        folder goes with them.
        """
        for event in ("original", partOf("received-1").name, partOf("received-2").name):
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
        until(lambda: self.there(partOf("received-1").name), "the receiver")
        receiver, *_ = childrenOf(program.process.pid)
        os.kill(receiver, signal.SIGKILL)
        # Killed, or what the sender says of a partner that is gone.
        self.assertIn(program.end(), (128 + signal.SIGKILL, 3, 5))
        self.assertEqual(os.listdir(self.folder), [])


def childrenOf(pid: int) -> list[int]:
    """:returns: the processes that a process has started."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text(encoding="ascii").split()]
