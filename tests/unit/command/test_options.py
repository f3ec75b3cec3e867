"""Tests for :mod:`twisted_transfer.command.options`."""

from __future__ import annotations

import os
import sys
from io import BytesIO, StringIO, TextIOWrapper
from shlex import quote

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder
from twisted_transfer.command.commandline import readDescription
from twisted_transfer.command.options import (
    ReceiveCommand,
    ReceiveOptions,
    SendOptions,
    TransferOptions,
    readSize,
)

_DIAL = "transfer:active:host=h:port=1"


class ReadDescriptionTests(SynchronousTestCase):
    """The description that an argument stands for."""

    def setUp(self) -> None:
        self.file = newFolder(self) / "description"

    def test_itself(self) -> None:
        """Most stand for themselves."""
        self.assertEqual(readDescription(_DIAL, None), _DIAL)

    def test_file(self) -> None:
        """``@FILE`` is the one line in a file, without what is around it."""
        for content in (
            _DIAL,
            f"{_DIAL}\n",
            f"\r\n  {_DIAL}\t\r\n\r\n",
            f"\ufeff{_DIAL}",
        ):
            self.file.write_text(content, encoding="utf-8")
            self.assertEqual(readDescription(f"@{self.file}", None), _DIAL)

    def test_exposed(self) -> None:
        """A secret in a file that others can read is told, with what mends it."""
        self.file = self.file.with_name("my description")
        nested = r"transfer:active:tls:host=h:port=1:endpoint=mtls\:host\=h\:secret\=x"
        for text, mode, told in (
            (f"{_DIAL}:secret=x", 0o644, True),
            (nested, 0o604, True),
            (f"{_DIAL}:secret=x", 0o640, False),
            (_DIAL, 0o644, False),
        ):
            self.file.write_text(text)
            self.file.chmod(mode)
            said = StringIO()
            self.patch(sys, "stderr", said)
            self.assertEqual(readDescription(f"@{self.file}", None), text)
            self.assertEqual(bool(said.getvalue()), told)
            if told:
                self.assertIn(f"can read {self.file}, which", said.getvalue())
                self.assertIn(f"chmod 600 '{self.file}'\n", said.getvalue())
                self.assertNotIn("secret=x", said.getvalue())

    def test_standardInput(self) -> None:
        """``-`` is one line of standard input; the next one is not touched."""
        stream = StringIO(f"  {_DIAL} \nmore\n")
        self.assertEqual(readDescription("-", stream), _DIAL)
        self.assertEqual(stream.read(), "more\n")
        self.assertEqual(readDescription("-", StringIO(f"\ufeff{_DIAL}\n")), _DIAL)

    def test_pasted(self) -> None:
        """So is the whole command, as the partner's side shows it."""
        spaced = "transfer:active:unix:path=/a 'b"
        for line, description in (
            (f"'{_DIAL}'", _DIAL),
            (f"twisted-transfer send x {_DIAL}", _DIAL),
            (f"partner: twisted-transfer receive --raw 'a b' '{_DIAL}'", _DIAL),
            (f"  or: twisted-transfer send - {_DIAL}\n", _DIAL),
            (f"twisted-transfer send x {quote(spaced)}", spaced),
            # A description has any characters, and is taken as it is.
            (spaced, spaced),
            # What has none is left for the parser to refuse.
            ("twisted-transfer send 'x", "twisted-transfer send 'x"),
            ("twisted-transfer send x", "twisted-transfer send x"),
        ):
            self.assertEqual(readDescription("-", StringIO(line)), description)

    def test_badFile(self) -> None:
        """A file that has no description in it is named."""
        for content, said in (
            (b"", "no lines"),
            (b" \n\n", "no lines"),
            (b"one\ntwo\n", "2 lines"),
            (b"\xff\xfe", "no text in UTF-8"),
            (b"x" * 70000, "too long"),
        ):
            self.file.write_bytes(content)
            error = self.assertRaises(
                UsageError, readDescription, f"@{self.file}", None
            )
            self.assertIn(said, str(error))
            self.assertIn(str(self.file), str(error))

    def test_unreadable(self) -> None:
        """So is one that cannot be read."""
        for path in (self.file, self.file.parent, "nul\0"):
            error = self.assertRaises(UsageError, readDescription, f"@{path}", None)
            self.assertIn(str(path), str(error))

    def test_noStandardInput(self) -> None:
        """Standard input that is closed, empty or no text has none either."""
        closed = StringIO()
        closed.close()
        binary = TextIOWrapper(BytesIO(b"\xff\n"), encoding="utf-8")
        for stream in (None, StringIO(""), StringIO("\n"), closed, binary):
            error = self.assertRaises(UsageError, readDescription, "-", stream)
            self.assertIn("standard input", str(error))


class ReadSizeTests(SynchronousTestCase):
    """What stands behind ``--max-size``."""

    def test_sizes(self) -> None:
        """A number of bytes, or one with a unit, a power of 1024."""
        for text, size in (
            ("0", 0),
            ("5000", 5000),
            ("10K", 10240),
            ("10k", 10240),
            ("10M", 10485760),
            ("10MB", 10485760),
            ("10MiB", 10485760),
            ("3g", 3221225472),
            ("2T", 2199023255552),
        ):
            self.assertEqual(readSize("--size", text), size)

    def test_wrong(self) -> None:
        """Everything else is refused, with the option's name and an example."""
        for text in ("", "-1", "1.5M", "10X", "M", "1 M", "0x10", "9" * 30):
            error = self.assertRaises(UsageError, readSize, "--max-size", text)
            self.assertIn(f"--max-size={text}", str(error))
            self.assertIn("10M", str(error))


class WithoutDefault(SendOptions):
    """``send`` as the command has it, which waits if nobody says how."""

    byDefault = "transfer:passive:port=0"


class TransferOptionsTests(SynchronousTestCase):
    """The command lines of ``send`` and ``receive``."""

    def test_send(self) -> None:
        """What is to be sent, and how the partner is found."""
        for raw in ([], ["--raw"]):
            options = SendOptions()
            options.parseOptions([*raw, "path", _DIAL])
            request = options.request
            self.assertEqual((request.sends, request.paths), (True, ("path",)))
            self.assertEqual(request.description.host, "h")
            self.assertEqual(request.raw, bool(raw))
            self.assertFalse(request.force)
            self.assertIsNone(request.maxSize)

    def test_receive(self) -> None:
        """Where to, and whether it may be there already."""
        for force in ([], ["--force"], ["-f"]):
            for raw in ([], ["--raw"]):
                options = ReceiveOptions()
                options.parseOptions([*force, *raw, "path", _DIAL])
                request = options.request
                self.assertEqual((request.sends, request.paths), (False, ("path",)))
                self.assertEqual(request.raw, bool(raw))
                self.assertEqual(request.force, bool(force))
                self.assertIsNone(request.maxSize)

    def test_bounds(self) -> None:
        """How many files, how many bytes together, and how long nothing may move."""
        options = ReceiveOptions()
        words = ["--max-files=2", "--max-total", "3K", "--idle", "1.5", "path", _DIAL]
        options.parseOptions(words)
        request = options.request
        self.assertEqual((request.maxFiles, request.maxTotal), (2, 3072))
        self.assertEqual(request.description.idle, 1.5)
        for wrong in ("--max-files=0", "--max-files=x", "--max-total=x", "--idle=0"):
            error = self.assertRaises(
                UsageError, ReceiveOptions().parseOptions, [wrong, "path", _DIAL]
            )
            self.assertIn(wrong.partition("=")[0], str(error))

    def test_limitRate(self) -> None:
        """Both commands take a rate, as curl does."""
        for kind in (SendOptions, ReceiveOptions):
            for text, rate in (("500k", 512_000), ("2M", 2_097_152), ("1", 1)):
                options = kind()
                options.parseOptions(["--limit-rate", text, "path", _DIAL])
                self.assertEqual(options.request.limitRate, rate)
            for wrong in ("0", "0K", "-1", "fast", "1.5M"):
                error = self.assertRaises(
                    UsageError,
                    *(kind().parseOptions, [f"--limit-rate={wrong}", "path", _DIAL]),
                )
                self.assertIn("--limit-rate", str(error))
            options = kind()
            options.parseOptions(["path", _DIAL])
            self.assertIsNone(options.request.limitRate)

    def test_sha256(self) -> None:
        """It is of what is stored, and not hidden."""
        for words, wanted in (([], False), (["--sha256"], True)):
            options = ReceiveOptions()
            options.parseOptions([*words, "path", _DIAL])
            self.assertIs(options.request.sha256, wanted)
        for words in (["-"], ["path", "--quiet"]):
            error = self.assertRaises(
                UsageError,
                ReceiveCommand().parseOptions,
                ["--sha256", *words, _DIAL],
            )
            self.assertIn("--sha256", str(error))

    def test_maxSize(self) -> None:
        """How much is taken, wherever that stands and however it is written."""
        for words in (
            ["--max-size", "2K", "path", _DIAL],
            ["--max-size=2K", "path", _DIAL],
            ["path", "--max-size", "2K", _DIAL],
            ["path", _DIAL, "--max-s", "2K"],
            ["path", _DIAL, "--max-size=2K", "--raw"],
        ):
            options = ReceiveOptions()
            options.parseOptions(words)
            self.assertEqual(options.request.maxSize, 2048, words)
            self.assertEqual(options.request.paths, ("path",))
        error = self.assertRaises(
            UsageError,
            ReceiveOptions().parseOptions,
            ["--max-size", "much", "path", _DIAL],
        )
        self.assertIn("--max-size=much", str(error))

    def test_end(self) -> None:
        """How a raw sender's end is known, if it does not say so itself."""
        raw = ["--raw", "path", _DIAL]
        for words, size, unclosed in (
            ([], None, False),
            (["--size=2K"], 2048, False),
            (["--accept-unclosed"], None, True),
        ):
            options = ReceiveOptions()
            options.parseOptions([*words, *raw])
            self.assertEqual(options.request.size, size)
            self.assertIs(options.request.description.acceptUnclosed, unclosed)
            if words:
                error = self.assertRaises(
                    UsageError, ReceiveOptions().parseOptions, [*words, "path", _DIAL]
                )
                self.assertIn("--raw", str(error))
        error = self.assertRaises(
            UsageError, ReceiveOptions().parseOptions, ["--size=much", *raw]
        )
        self.assertIn("--size=much", str(error))

    def test_endInDescription(self) -> None:
        """The description may say it, too."""
        options = ReceiveOptions()
        options.parseOptions(["--raw", "path", f"{_DIAL}:acceptUnclosed=yes"])
        self.assertTrue(options.request.description.acceptUnclosed)

    def test_endInHelp(self) -> None:
        """The help says what is given up."""
        self.assertIn("gives up a protection", " ".join(str(ReceiveOptions()).split()))

    def test_order(self) -> None:
        """Options may stand anywhere, as far as they are not paths."""
        for words, path in (
            (["path", _DIAL, "--raw"], "path"),
            (["path", "--raw", _DIAL], "path"),
            (["--raw", "-", _DIAL], "-"),
            (["-", _DIAL, "--raw"], "-"),
            (["--raw", "--", "--quiet", _DIAL], "--quiet"),
            (["--raw", "x", "--", _DIAL], "x"),
        ):
            options = SendOptions()
            options.parseOptions(words)
            self.assertEqual(options.request.paths, (path,))
            self.assertTrue(options.request.raw)

    def test_severalPaths(self) -> None:
        """There may be more to send; a description is the last word."""
        folder = newFolder(self)
        odd = folder / "a:b"
        odd.write_bytes(b"")
        description = folder / "description"
        description.write_text(_DIAL)
        for words, paths in (
            (["a", "b", "c", _DIAL], ("a", "b", "c")),
            (["a", "b", f"@{description}"], ("a", "b")),
            # What is there is a file, whatever it looks like.
            ([str(odd), str(odd), _DIAL], (str(odd), str(odd))),
            (["--", "-a", "-b", _DIAL], ("-a", "-b")),
        ):
            options = SendOptions()
            options.parseOptions(words)
            self.assertEqual(options.request.paths, paths)
            self.assertEqual(options.request.description.host, "h")

    def test_withoutDescription(self) -> None:
        """Where there is a default, all words may be paths."""
        folder = newFolder(self)
        odd = folder / "a:b"
        odd.write_bytes(b"")
        for words in (["a"], ["a", "b"], ["a", str(odd)], ["-"]):
            options = WithoutDefault()
            options.parseOptions(words)
            self.assertEqual(options.request.paths, tuple(words))
            self.assertEqual(options.request.description.mode, "passive")

    def test_mistyped(self) -> None:
        """What is no file and has a colon is a description with a mistake."""
        for last in ("tcp:host=h:port=1", "transfer:activ:host=h:port=1"):
            for kind in (SendOptions, WithoutDefault):
                self.assertFalse(os.path.exists(last))
                error = self.assertRaises(
                    UsageError, kind().parseOptions, ["a", "b", last]
                )
                self.assertIn("transfer:active:", str(error))

    def test_descriptionFromInput(self) -> None:
        """A receiver may have both: the one is input, the other output."""
        for raw in ([], ["--raw"]):
            self.patch(sys, "stdin", StringIO(f"{_DIAL}\n"))
            options = ReceiveOptions()
            options.parseOptions([*raw, "-", "-"])
            self.assertEqual(options.request.paths, ("-",))
            self.assertEqual(options.request.description.port, 1)

    def test_usage(self) -> None:
        """What is wrong is said, and what would be right."""
        for words, said in (
            ([], "PATH..."),
            (["path"], "PATH and DESCRIPTION"),
            (["path", "other"], "transfer:active:"),
            (["--raw"], "PATH"),
            (["--raw", "path"], "PATH and DESCRIPTION"),
            (["--raw", "path", "more", _DIAL], "3 words"),
            (["--fast", "path", _DIAL], "--fast"),
            (["path", "tcp:host=h:port=1"], "transfer:active:"),
            (["--raw", "path", "tcp:host=h:port=1"], "transfer:active:"),
            (["path", "transfer:active:host=h:port=x"], "port"),
            (["-", "-"], "@FILE"),
            (["a", "-", "-"], "@FILE"),
            (["--raw", "-", "-"], "@FILE"),
        ):
            error = self.assertRaises(UsageError, SendOptions().parseOptions, words)
            self.assertIn(said, str(error))

    def test_onePlace(self) -> None:
        """What is received goes to one place."""
        for raw in ([], ["--raw"]):
            error = self.assertRaises(
                UsageError, ReceiveOptions().parseOptions, [*raw, "a", "b", _DIAL]
            )
            self.assertIn("3 words", str(error))

    def test_onlyForReceiving(self) -> None:
        """There is nothing to force, and nothing to bound, when sending."""
        for option in (["-f"], ["--max-size=1"], ["--size=1"], ["--accept-unclosed"]):
            self.assertRaises(
                UsageError, SendOptions().parseOptions, [*option, "path", _DIAL]
            )

    def test_secret(self) -> None:
        """A secret in a description that is refused is not shown."""
        for words in (["--raw", "path"], ["path"], ["path", "other"]):
            error = self.assertRaises(
                UsageError,
                SendOptions().parseOptions,
                [*words, "transfer:activ:mtls:host=h:port=1:secret=swordfish"],
            )
            self.assertNotIn("swordfish", str(error))

    def test_help(self) -> None:
        """The help has an example that works, and explains descriptions."""
        every: tuple[tuple[TransferOptions, str], ...] = (
            (SendOptions(), "send"),
            (ReceiveOptions(), "receive"),
        )
        for options, verb in every:
            usage = str(options)
            (example,) = (
                line.split()
                for line in usage.splitlines()
                if line.startswith(f"  twisted-transfer {verb} ")
            )
            type(options)().parseOptions(example[2:])
            for text in ("DESCRIPTION", "@FILE", "transfer:passive:port=0", "--raw"):
                self.assertIn(text, usage)


class MisplacedTests(SynchronousTestCase):
    """Words in the wrong place."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)

    def refused(self, options: TransferOptions, *words: str) -> str:
        """:returns: what is said of words that are wrong."""
        return str(self.assertRaises(UsageError, options.parseOptions, words))

    def test_descriptionAsPath(self) -> None:
        """A description is no path, and its secret is not shown."""
        invitation = "transfer:active:mtls:host=h:port=1:secret=swordfish"
        for words in ((invitation, _DIAL), (invitation, "path", _DIAL)):
            said = self.refused(SendOptions(), *words)
            self.assertIn("PATH comes first", said)
            self.assertNotIn("swordfish", said)
        self.assertIn("PATH", self.refused(ReceiveOptions(), invitation, _DIAL))

    def test_fileAsDescription(self) -> None:
        """A file whose name somebody else has chosen decides nothing."""
        for name in ("transfer:active:host=h:port=1", "@file"):
            (self.folder / name).write_text("")
            said = self.refused(SendOptions(), "path", name)
            self.assertIn(f"./{name}", said)

    def test_kelvin(self) -> None:
        """A unit is one of four letters."""
        said = self.refused(ReceiveOptions(), "--max-size", "10\u212a", "path", _DIAL)
        self.assertIn("K, M, G or T", said)
