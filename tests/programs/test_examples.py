"""
Tests for the documentation: type what it lets a reader type, run its examples, and
compare what they print with what it says.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder
from tests.support.programs import TWIST, Program
from tests.support.terminals import blocksOf, follow, freePort
from twisted_transfer import BadDescription, TransferConnector

_PROJECT = Path(__file__).resolve().parent.parent.parent
_DOCS = _PROJECT / "docs"
_EXAMPLES = _DOCS / "examples"
_PYTHON = (sys.executable,)

# These take a port that the system chooses, which a page cannot know.
_RUN_HERE = {"wait_for_partner.py", "dial_partner.py"}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _examples() -> list[Path]:
    """The programs that the pages show."""
    return sorted(path for path in _EXAMPLES.iterdir() if path.is_file())


class PageTests(SynchronousTestCase):
    """A reader who types what a page says sees what it says."""

    def follow(self, name: str, work: str = "") -> None:
        """
        Follow a page.

        :param name: where it is.
        :param work: the folder in which the reader works, if the page says so.
        """
        folder = newFolder(self)
        for example in _examples():
            shutil.copy(example, folder)
        page = _read(_DOCS / name)
        if work:
            self.assertIn(work, page)
            page = page.replace(work, str(folder))
        self.assertGreater(follow(self, page, folder), 0)

    def test_first(self) -> None:
        """What the first page and the picture in the README show is true."""
        folder = newFolder(self)
        page = _read(_DOCS / "index.rst")
        for person in ("Ada", "Grace"):
            (folder / person).mkdir()
            first = rf"(:caption: {person} .*\n\n)"
            page = re.sub(first, rf"\1   $ cd {person}\n", page, count=1)
        numbers = "".join(f"{number}\n" for number in range(1, 100001))
        (folder / "Grace" / "report.pdf").write_text(numbers)
        self.assertEqual(follow(self, page, folder), 3)
        sent = (folder / "Ada" / "report.pdf").read_text()
        self.assertEqual(sent, numbers)

    def test_firstTransfer(self) -> None:
        """The first lesson works, word for word."""
        self.follow("tutorial/first-transfer.rst", "/tmp/lesson")

    def test_inCode(self) -> None:
        """The second lesson works, word for word."""
        self.follow("tutorial/in-code.rst", "/tmp/lesson")

    @pytest.mark.needs("curl")
    def test_inAConfiguration(self) -> None:
        """The third lesson works, word for word."""
        self.follow("tutorial/in-a-configuration.rst", "/tmp/lesson")

    def test_chooseTheSide(self) -> None:
        """One program is on either side by a string, and says what is wrong."""
        self.follow("howto/choose-the-side.rst")

    def test_readAndWrite(self) -> None:
        """Reading by asking and by a protocol give what is shown."""
        self.follow("howto/read-and-write.rst")

    @pytest.mark.needs("socat")
    def test_halfClose(self) -> None:
        """A program that answers at the end of its input answers."""
        self.follow("howto/half-close.rst")

    def test_text(self) -> None:
        """The text settings do what is shown."""
        self.follow("howto/text.rst")

    def test_files(self) -> None:
        """A file is sent and received in code."""
        self.follow("howto/files.rst")

    def test_copy(self) -> None:
        """Data are copied from and to everything, and one after the other."""
        self.follow("howto/copy.rst")

    def test_limits(self) -> None:
        """Each limit ends what it limits, with the words that are shown."""
        self.follow("howto/limits.rst")

    @pytest.mark.needs("openssl")
    def test_tls(self) -> None:
        """The certificates can be made as described, and prove what they should."""
        self.follow("howto/tls.rst")

    def test_mtls(self) -> None:
        """The invitation that is shown can be pasted."""
        self.follow("howto/mtls.rst")

    @pytest.mark.needs("openssl", "curl")
    def test_mtlsCertificates(self) -> None:
        """Certificates and pins can be made as described, and prove both sides."""
        self.follow("howto/mtls-certificates.rst")

    @pytest.mark.needs("ncat")
    def test_asyncio(self) -> None:
        """An asyncio program is a partner, and an asyncio library answers one."""
        self.follow("howto/asyncio.rst")

    def test_webClients(self) -> None:
        """treq, by an Agent, waits for a web server that dials."""
        self.follow("howto/web-clients.rst")

    @pytest.mark.needs("curl", "ncat")
    def test_services(self) -> None:
        """twist and twistd serve by a description, and so does an application."""
        self.follow("howto/services.rst")

    def test_dialAgain(self) -> None:
        """A server that dials serves one client after the other."""
        self.follow("howto/dial-again.rst")

    @pytest.mark.needs("tcllib", "socat", "ncat", "openssl")
    def test_otherPrograms(self) -> None:
        """tcllib, socat, ncat and openssl are partners as described."""
        self.follow("howto/other-programs.rst")

    def test_testing(self) -> None:
        """The test that is shown passes."""
        self.follow("howto/testing.rst")

    def test_hostilePeers(self) -> None:
        """The server that is shown withstands its attackers."""
        self.follow("howto/hostile-peers.rst")

    def test_everyPage(self) -> None:
        """Each page that lets a reader type something is followed here."""
        typing = {
            str(page.relative_to(_DOCS))
            for page in _DOCS.glob("*/*.rst")
            if any(blocksOf(_read(page)))
        }
        followed = set(re.findall(r'self\.follow\("(.*?)"', _read(Path(__file__))))
        self.assertEqual(typing, followed)


class ExampleTests(SynchronousTestCase):
    """The examples are shown, and are run."""

    def test_shown(self) -> None:
        """Each example is included in a page."""
        pages = "\n".join(_read(page) for page in _DOCS.glob("*/*.rst"))
        included = set(re.findall(r"literalinclude:: \.\./examples/(\S+)", pages))
        self.assertEqual(included, {example.name for example in _examples()})

    def test_run(self) -> None:
        """Each example is run by what a page lets a reader type, or here."""
        typed = "\n".join(
            line
            for page in _DOCS.glob("*/*.rst")
            for block in blocksOf(_read(page))
            for line in block.lines
            if line.startswith("$ ")
        )
        missing = {
            example.name
            for example in _examples()
            if not re.search(rf"(python|tclsh|trial) .*\b{example.stem}\b", typed)
        }
        self.assertEqual(missing, _RUN_HERE)

    def test_waitAndDial(self) -> None:
        """One waits on a port that it is given, and the other finds it there."""
        waiter = Program(
            self,
            [str(_EXAMPLES / "wait_for_partner.py")],
            command=("sh", "-c", f'exec {sys.executable} "$0" >&2'),
        )
        port = waiter.line("listening on port ")
        dialler = Program(
            self, [str(_EXAMPLES / "dial_partner.py"), port], command=_PYTHON
        )
        self.assertEqual(dialler.end(), 0, dialler.said)
        self.assertEqual(dialler.out(), b"the partner says welcome\n")
        self.assertEqual(waiter.line("the partner says "), "hello")
        self.assertEqual(waiter.end(), 0, waiter.said)


class DescriptionTests(SynchronousTestCase):
    """The descriptions that stand in the text are good ones."""

    def test_all(self) -> None:
        """Each makes a connector, but for the certificates that are not there."""
        reactor = MemoryReactorClock()
        seen = 0
        for page in _DOCS.glob("*/*.rst"):
            written = r"``(transfer:(?:active|passive):[^`\u2026]*[^`:\u2026])``"
            for description in re.findall(written, _read(page)):
                seen += 1
                try:
                    TransferConnector.fromString(reactor, description)
                except BadDescription as error:
                    missing = "cannot be read|nothing here can be served"
                    self.assertRegex(str(error), missing, page)
        self.assertGreater(seen, 5)


class ReadmeTests(SynchronousTestCase):
    """What the README shows works."""

    def blocks(self, language: str) -> list[str]:
        """:returns: the blocks of code of a language."""
        readme = _read(_PROJECT / "README.md")
        return re.findall(rf"^```{language}\n(.*?)^```", readme, re.S | re.M)

    def command(self, beginning: str) -> str:
        """:returns: the one command that begins so."""
        lines = "".join(self.blocks("console")).splitlines()
        (command,) = (line for line in lines if line.startswith(beginning))
        return command

    def test_python(self) -> None:
        """The example for code has at most 15 lines, and prints what it sends."""
        (code,) = self.blocks("python")
        self.assertLessEqual(len(code.splitlines()), 15)
        program = Program(self, ["-c", code], command=_PYTHON)
        self.assertEqual(program.end(), 0, program.said)
        self.assertEqual(program.out(), b"b'it does not matter who dialled\\n'\n")

    def test_commands(self) -> None:
        """The two commands move a file."""
        folder = newFolder(self)
        (folder / "here").mkdir()
        (folder / "here" / "report.pdf").write_bytes(b"a report")
        port = str(freePort())

        def words(beginning: str, path: Path) -> list[str]:
            command = self.command(beginning).split()[1:]
            text = " ".join(command).replace("192.0.2.7", "localhost")
            text = text.replace("4000", port).replace("report.pdf", str(path))
            return text.split()

        there = folder / "report.pdf"
        receiver = Program(self, words("twisted-transfer receive ", there))
        self.assertEqual(receiver.port(), int(port))
        send = words("twisted-transfer send ", folder / "here" / "report.pdf")
        sender = Program(self, send)
        self.assertEqual((sender.end(), receiver.end()), (0, 0), sender.said)
        self.assertEqual(there.read_bytes(), b"a report")

    def test_configuration(self) -> None:
        """The web server dials its client, which has waited for it."""
        port = str(freePort())
        ask = self.command("python docs/").replace("8000", port).split()[1:]
        ask[0] = str(_PROJECT / ask[0])
        client = Program(self, ask, command=_PYTHON)
        command = self.command("twist web ").replace("--path .", f"--path {_PROJECT}")
        command = command.replace("partner.example", "127.0.0.1").replace("8000", port)
        self.assertIn(f"host=127.0.0.1:port={port}", command)
        Program(self, command.split()[1:], command=TWIST)
        self.assertEqual(client.end(), 0, client.said)
        self.assertEqual(client.out().decode(), _read(_PROJECT / "README.md"))


class TerminalTests(SynchronousTestCase):
    """A page that is not true does not pass."""

    def shown(self, *lines: str) -> None:
        """Follow a page with one block."""
        body = "\n".join(f"   {line}" for line in lines)
        follow(self, f".. code-block:: console\n\n{body}\n", newFolder(self))

    def test_true(self) -> None:
        """What is shown is what is there, as far as it has to be the same."""
        self.shown(
            "$ printf 'one\\ntwo\\nthree\\n'",
            "one",
            "…",
            "th…e",
            "$ false",
            "$ echo $?",
            "1",
            "$ echo connected to 127.0.0.1:41234",
            "connected to 127.0.0.1:50000",
            "$ sh -c 'echo ready; exec sleep 100'",
            "ready",
            "^C",
            "$ echo sent 5 bytes in 1.25 s, 4 B/s",
            "sent 5 bytes in 0.00 s",
        )

    def test_another(self) -> None:
        """Another line than the one that is shown is found."""
        self.assertRaises(AssertionError, self.shown, "$ echo one", "two")

    def test_less(self) -> None:
        """A line that the page shows and the terminal does not is found."""
        self.assertRaises(AssertionError, self.shown, "$ echo one", "one", "two")

    def test_more(self) -> None:
        """A line that the terminal shows and the page does not is found."""
        self.assertRaises(AssertionError, self.shown, "$ echo one")

    def test_failure(self) -> None:
        """A command that fails is found."""
        self.assertRaises(AssertionError, self.shown, "$ false")
        self.assertRaises(AssertionError, self.shown, "$ false", "$ true")

    def test_count(self) -> None:
        """The number of bytes is not among what may vary."""
        line = "sent 5 bytes in 0.00 s"
        other = f"$ echo {line.replace('5', '4')}"
        self.assertRaises(AssertionError, self.shown, other, line)
