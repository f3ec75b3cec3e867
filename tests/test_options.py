"""Tests for :mod:`twisted_transfer.options`."""

from __future__ import annotations

import sys
from io import BytesIO, StringIO, TextIOWrapper

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.options import ReceiveOptions, SendOptions, readDescription

from .folders import newFolder

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
        for content in (_DIAL, f"{_DIAL}\n", f"\r\n  {_DIAL}\t\r\n\r\n"):
            self.file.write_text(content)
            self.assertEqual(readDescription(f"@{self.file}", None), _DIAL)

    def test_standardInput(self) -> None:
        """``-`` is one line of standard input; the next one is not touched."""
        stream = StringIO(f"  {_DIAL} \nmore\n")
        self.assertEqual(readDescription("-", stream), _DIAL)
        self.assertEqual(stream.read(), "more\n")

    def test_badFile(self) -> None:
        """A file that has no description in it is named."""
        for content, said in (
            (b"", "no lines"),
            (b" \n\n", "no lines"),
            (b"one\ntwo\n", "2 lines"),
            (b"\xff\xfe", "decode"),
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


class RawOptionsTests(SynchronousTestCase):
    """The command lines of ``send`` and ``receive``."""

    def test_send(self) -> None:
        """What is to be sent, and how the partner is found."""
        options = SendOptions()
        options.parseOptions(["--raw", "path", _DIAL])
        request = options.request
        self.assertEqual((request.sends, request.path), (True, "path"))
        self.assertEqual(request.description.host, "h")
        self.assertFalse(request.force)

    def test_receive(self) -> None:
        """Where to, and whether it may be there already."""
        for force in ([], ["--force"], ["-f"]):
            options = ReceiveOptions()
            options.parseOptions([*force, "--raw", "path", _DIAL])
            self.assertFalse(options.request.sends)
            self.assertEqual(options.request.force, bool(force))

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
            self.assertEqual(options.request.path, path)

    def test_descriptionFromInput(self) -> None:
        """A receiver may have both: the one is input, the other output."""
        self.patch(sys, "stdin", StringIO(f"{_DIAL}\n"))
        options = ReceiveOptions()
        options.parseOptions(["--raw", "-", "-"])
        self.assertEqual(options.request.path, "-")
        self.assertEqual(options.request.description.port, 1)

    def test_usage(self) -> None:
        """What is wrong is said, and what would be right."""
        for words, said in (
            (["path", _DIAL], "give --raw"),
            (["path", _DIAL], "receipt"),
            ([], "--raw"),
            (["--raw"], "PATH and DESCRIPTION"),
            (["--raw", "path"], "PATH and DESCRIPTION"),
            (["--raw", "path", _DIAL, "more"], "not 3"),
            (["--raw", "--fast", "path", _DIAL], "--fast"),
            (["--raw", "path", "tcp:host=h:port=1"], "transfer:active:"),
            (["--raw", "path", "transfer:active:host=h:port=x"], "port"),
            (["--raw", "-", "-"], "@FILE"),
        ):
            error = self.assertRaises(UsageError, SendOptions().parseOptions, words)
            self.assertIn(said, str(error))

    def test_noForceForSending(self) -> None:
        """There is nothing to force when sending."""
        self.assertRaises(
            UsageError, SendOptions().parseOptions, ["--raw", "-f", "path", _DIAL]
        )

    def test_secret(self) -> None:
        """A secret in a description that is refused is not shown."""
        error = self.assertRaises(
            UsageError,
            SendOptions().parseOptions,
            ["--raw", "path", "transfer:activ:mtls:host=h:port=1:secret=swordfish"],
        )
        self.assertNotIn("swordfish", str(error))

    def test_help(self) -> None:
        """The help has an example that works, and explains descriptions."""
        for options, verb in ((SendOptions(), "send"), (ReceiveOptions(), "receive")):
            usage = str(options)
            (example,) = (
                line.split()
                for line in usage.splitlines()
                if line.startswith(f"  twisted-transfer {verb} ")
            )
            type(options)().parseOptions(example[2:])
            for text in ("DESCRIPTION", "@FILE", "transfer:passive:port=0", "--raw"):
                self.assertIn(text, usage)
