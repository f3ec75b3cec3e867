"""
The oracle for text settings: the channels of a real tclsh.
"""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.text.codec import changedCharacters, codecName

_SCRIPT = Path(__file__).with_name("text_oracle.tcl")

TRANSLATIONS = ("auto", "binary", "cr", "crlf", "lf")
EOF_CHARS = ("", "\x1a", "e", "\r", "\n")

#: RFC 1557: what announces Korean in iso2022-kr.
KOREAN = b"\x1b$)C"


class Oracle:
    """One tclsh that runs ``text_oracle.tcl``."""

    def __init__(self) -> None:
        # Unlike a pipe, a socket can be given a bound on waiting.
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                ["tclsh", str(_SCRIPT)], stdin=theirs.fileno(), stdout=theirs.fileno()
            )
        self._control.settimeout(30)
        self._lines = self._control.makefile("r", encoding="ascii", newline="\n")
        self._port = int(self.answer()[0])

    def close(self) -> None:
        """End the process, and wait until it has ended."""
        self._lines.close()
        self._control.close()
        self._process.wait(30)

    def answer(self) -> list[str]:
        """The words of the next line."""
        line = self._lines.readline()
        assert line.endswith("\n"), f"tclsh broke off: {line!r}"
        return [
            word.strip("{}") for word in re.findall(r"{[^}]*}|[^ ]+", line.rstrip("\n"))
        ]

    def ask(self, *words: str) -> list[str]:
        """Say a command; the words of its answer."""
        line = " ".join("{" + word + "}" for word in words)
        self._control.sendall(line.encode("ascii") + b"\n")
        return self.answer()

    @contextmanager
    def task(self, *words: str) -> Iterator[socket.socket]:
        """A data connection with which tclsh does what the words say."""
        assert self.ask(*words) == ["ready"]
        with socket.create_connection(("127.0.0.1", self._port), 30) as data:
            data.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield data

    def read(self, options: str, pieces: list[bytes]) -> list[str]:
        """What tclsh reads from each piece, and last what it has at the end."""
        texts = []
        with self.task("reading", options) as data:
            for piece in pieces:
                data.sendall(piece)
                what, *text = self.answer()
                texts.append(_fromHex(text))
                if what == "end":
                    return texts
            data.shutdown(socket.SHUT_WR)
            what, *text = self.answer()
            assert what == "end", what
            return [*texts, _fromHex(text)]

    def write(self, options: str, pieces: list[str]) -> bytes:
        """What tclsh sends for the pieces and its close."""
        with self.task("writing", options, *map(_toHex, pieces)) as data:
            sent = []
            while piece := data.recv(65536):
                sent.append(piece)
                # Tcl waits for this before it sends the next small piece.
                data.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            return b"".join(sent)

    def change(self, how: str, first: str, second: str, raw: bytes) -> list[str]:
        """What tclsh reads by the first settings and, after, by the second."""
        with self.task("changing", how, first, second) as data:
            data.sendall(raw)
            data.shutdown(socket.SHUT_WR)
            return [_fromHex([word]) for word in self.answer()]

    def encodings(self, encoding: str) -> dict[str, bytes]:
        """What tclsh writes for each character up to U+FFFF that it can write."""
        header = KOREAN if encoding == "iso2022-kr" else b""
        words = self.ask("encode", encoding)
        assert len(words) == 0x10000
        lacking = (header + b"?").hex()
        return {
            chr(code): bytes.fromhex(word)[len(header) :]
            for code, word in enumerate(words)
            if (word != lacking or code == ord("?")) and not 0xD800 <= code < 0xE000
        }

    def decodings(self, encoding: str, sequences: list[bytes]) -> list[str]:
        """What tclsh makes of each sequence of bytes."""
        words = self.ask("decode", encoding, *(one.hex() for one in sequences))
        return [_fromHex([word]) for word in words]


def _toHex(text: str) -> str:
    return text.encode("utf-8").hex()


def _fromHex(words: list[str]) -> str:
    return bytes.fromhex("".join(words)).decode("utf-8", "surrogatepass")


def codecOf(encoding: str) -> str:
    """Our codec for an encoding's name in Tcl."""
    name = codecName(encoding)
    assert name is not None
    return name


def decoded(codec: str, raw: bytes) -> str | None:
    """What we read: all at once, so with none of this library's own steps."""
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return None


def written(codec: str) -> dict[str, bytes]:
    """What we write for each character up to U+FFFF that we can write."""
    refused = changedCharacters(codec)
    chars = map(chr, (*range(0xD800), *range(0xE000, 0x10000)))
    # All at once, so with none of this library's own steps.
    pairs = ((char, char.encode(codec, "ignore")) for char in chars)
    return {char: raw for char, raw in pairs if raw and char not in refused}


def optionsOf(translation: str, encoding: str, eofChar: str) -> str:
    """What Tcl's fconfigure is given, as the elements of a list."""
    number = f"\\x{ord(eofChar):02x}" if eofChar else ""
    return f"-translation {translation} -encoding {encoding} -eofchar {{{number}}}"


class OracleTests(SynchronousTestCase):
    """Tests that share one tclsh."""

    oracle: ClassVar[Oracle]
    repertoires: ClassVar[dict[str, str]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.oracle = Oracle()
        cls.repertoires = {"binary": "".join(map(chr, range(32, 256)))}

    @classmethod
    def tearDownClass(cls) -> None:
        cls.oracle.close()

    def repertoire(self, encoding: str) -> str:
        """The printable characters that Tcl and we write in the same way."""
        if encoding not in self.repertoires:
            theirs = self.oracle.encodings(encoding)
            ours = written(codecOf(encoding))
            self.repertoires[encoding] = "".join(
                char
                for char, raw in ours.items()
                if char >= " " and theirs.get(char) == raw.replace(KOREAN, b"")
            )
        return self.repertoires[encoding]
