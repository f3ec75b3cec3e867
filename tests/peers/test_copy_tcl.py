"""
A copy by text settings, against ``transfer::copy::do`` of the real tcllib.
"""

from __future__ import annotations

import socket
import subprocess
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.peers.programs import tclScript
from tests.peers.textoracle import TRANSLATIONS, OracleTests
from tests.support.textcases import NEWLINES
from twisted_transfer.data.copying import copy
from twisted_transfer.testing.memory import memoryPair, settle

pytestmark = pytest.mark.needs("tcllib")

_ENCODINGS = ("ascii", "cp1252", "iso8859-15", "koi8-r", "shiftjis", "unicode", "utf-8")

#: What is written behind each copy, to see by which settings.
_BEHIND = "|"


class Copier:
    """One tclsh that runs ``copy.tcl``."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(30)
        port = self._listener.getsockname()[1]
        # Unlike a pipe, a socket can be given a bound on waiting.
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*tclScript("copy.tcl"), str(port)],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
            )
        self._control.settimeout(30)
        self._lines = self._control.makefile("r", encoding="ascii", newline="\n")

    def close(self) -> None:
        """End the process, and wait until it has ended."""
        self._lines.close()
        self._control.close()
        self._listener.close()
        self._process.wait(30)

    def copy(self, own: str, text: str, options: str) -> tuple[bytes, str]:
        """
        :param own: the channel's own settings.
        :param text: what is copied.
        :param options: those of the copy.
        :returns: what is on the wire, and what the copy has told.
        """
        line = f"{{{own}}} {{{text.encode().hex()}}} {options}\n"
        self._control.sendall(line.encode("ascii"))
        data, _ = self._listener.accept()
        with data:
            data.settimeout(30)
            wire = b"".join(iter(lambda: data.recv(65536), b""))
        told = self._lines.readline()
        assert told.startswith("done "), f"tclsh broke off: {told!r}"
        return wire, told.strip()


def ourCopy(own: dict[str, Any], text: str, **options: Any) -> tuple[bytes, int]:
    """
    :returns: what is on the wire of ours, and what the copy has counted.
    """
    clock = Clock()
    ours, theirs = memoryPair(clock)
    ours.configure(**own)
    copying = copy(text, ours, **options)
    counted: list[int] = []

    def done(count: int) -> None:
        counted.append(count)
        ours.write(_BEHIND)
        ours.loseConnection()

    copying.addCallback(done)
    wire: list[bytes] = []

    async def read() -> None:
        async for chunk in theirs:
            wire.append(chunk)
        theirs.loseConnection()

    Deferred.fromCoroutine(read())
    settle(clock)
    return b"".join(wire), counted[0]


class CopyTests(OracleTests):
    """Our copy and tcllib's, with the same options."""

    copier: ClassVar[Copier]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.copier = Copier()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.copier.close()
        super().tearDownClass()

    def test_strings(self) -> None:
        """
        The same string by the same settings is the same bytes on the wire, and
        what is written behind it is written by the channel's own settings.
        """
        for encoding in _ENCODINGS:
            self._check(encoding)

    def _check(self, encoding: str) -> None:
        pieces = st.one_of(
            st.sampled_from(NEWLINES), st.sampled_from(self.repertoire(encoding))
        )

        @settings(max_examples=20)
        @given(
            st.lists(pieces, min_size=1, max_size=30).map("".join),
            st.sampled_from(TRANSLATIONS[:1] + TRANSLATIONS[2:]),
            st.sampled_from(("", r"\x1a")),
            st.sampled_from(_ENCODINGS),
            st.sampled_from(("lf", "cr", "crlf")),
        )
        def check(
            text: str, translation: str, eofChar: str, ownEncoding: str, own: str
        ) -> None:
            # "-eofchar x" alone is for both directions, and Tcl says {x x} when it
            # is asked, so that a copy can restore it.
            theirs, told = self.copier.copy(
                f"-translation {own} -encoding {ownEncoding}",
                text,
                f"-translation {translation} -encoding {encoding} "
                f"-eofchar {{{eofChar}}} -blocksize 4096",
            )
            ours, count = ourCopy(
                {"translation": own, "encoding": ownEncoding},
                text,
                translation=translation,
                encoding=encoding,
                eofChar=eofChar,
            )
            self.assertEqual(ours, theirs, (text, translation, encoding))
            self.assertEqual(told, f"done {count} {{}}")

        check()
