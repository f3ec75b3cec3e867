"""Tests for the man page, and for completion in shells."""

from __future__ import annotations

import subprocess
from io import BytesIO

from twisted.python.usage import Options
from twisted.trial.unittest import SynchronousTestCase

from tests.support.shares import FILES, SHARE, commands, optionsOf
from twisted_transfer.command.main import main


class SharesTests(SynchronousTestCase):
    """The files that are installed beside the package."""

    def test_written(self) -> None:
        """They are as the options are; if not, ``python -m tests.support.shares``."""
        for path, make in FILES.items():
            self.assertEqual((SHARE / path).read_text(encoding="utf-8"), make(), path)

    def test_manPage(self) -> None:
        """The page has every command and option, and nothing that breaks a line."""
        page = (SHARE / "man/man1/twisted-transfer.1").read_text(encoding="utf-8")
        for name, command in commands().items():
            section = page.partition(f".SH {name.upper()}\n")[2].partition(".SH ")[0]
            for option, short, _ in optionsOf(command):
                escaped = f"--{option}".replace("-", "\\-")
                self.assertIn(f"\\fB{escaped}\\fR", section)
                if short:
                    self.assertIn(f"\\fB\\-{short}\\fR", section)
        for line in page.splitlines():
            if line.startswith("."):
                self.assertRegex(line, r'^\.(\\"|TH|SH|TP|PP|nf|fi|BR)( |$)')


class BashTests(SynchronousTestCase):
    """What bash completes."""

    def completed(self, *words: str) -> list[str]:
        """:returns: what the last of the words may become; empty: files."""
        script = """
            source "$1" || exit
            COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
            _twisted_transfer
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        file = SHARE / "bash-completion/completions/twisted-transfer"
        result = subprocess.run(
            ["bash", "-uc", script, "bash", file, "twisted-transfer", *words],
            capture_output=True,
            text=True,
        )
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.split()

    def test_commands(self) -> None:
        """The first word is a command."""
        self.assertEqual(self.completed("re"), ["receive"])
        self.assertEqual(self.completed("help", "b"), ["bridge"])
        self.assertEqual(
            self.completed(""),
            [*commands(), "help", "-h", "--help", "--version"],
        )

    def test_options(self) -> None:
        """A hyphen begins one of the options of the command."""
        self.assertEqual(self.completed("receive", "--fo"), ["--force"])
        self.assertEqual(self.completed("send", "x", "--fo"), [])
        self.assertEqual(self.completed("send", "--li"), ["--limit-rate"])

    def test_rest(self) -> None:
        """Everything else is a file, which bash completes, or a value."""
        for words in (["send", "x"], ["send", "--idle", "1"], ["frob", "-"]):
            self.assertEqual(self.completed(*words), [])


class ZshTests(SynchronousTestCase):
    """What the program tells zsh."""

    def test_options(self) -> None:
        """The options of the command, of which a value is no file; and files."""
        for name, command in commands().items():
            output = BytesIO()
            self.patch(Options, "_shellCompFile", output)
            words = [name, "-", "--_shell-completion", "zsh:3"]
            error = self.assertRaises(SystemExit, main, words)
            self.assertIn(error.code, (0, None))
            said = output.getvalue().decode()
            self.assertTrue(said.startswith("#compdef "), said)
            for option, _, valued in optionsOf(command):
                self.assertIn(f"--{option}{'=' if valued else '['}", said)
            self.assertEqual(":_files " in said, name in ("send", "receive"))
