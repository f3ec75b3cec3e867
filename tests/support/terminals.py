"""
Type the console blocks of a page into terminals, as a reader does.

A block is a code block of the language ``console``.  A line that begins with ``$``
is a command, one with ``>`` its continuation, and every other line is the expected
output.  ``^C`` is typed, not shown.  A line ``…`` stands for
any lines, and a ``…`` in a line for any text.  Blocks whose caption is the same
are of one terminal.

Every command has to end with status 0, unless the next one is ``echo $?``, and
all that it shows has to be on the page.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.programs import ROOT

# The ports that the pages and the examples use.  Free ones stand for them.
_PORTS = ("4000", "4001", "8080")
_DEADLINE = 60.0
_DONE = "the command has ended with status "

# What a listener makes for its partner.
_INVITATION = r"transfer:active:mtls:host=192\.0\.2\.7:port=\d+:pin=\S+"

# What is another each time: the time of a log entry, how fast it was, the port
# from which a client has connected, and, where there is no IPv6, what is bound.
_VARYING = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", r"\S+"),
    (
        r"\d+\.\d\d s(?:, \d+\.\d [KMG]iB/s)?",
        r"\d+\.\d\d s(, \d+(\.\d)? (B|[KMG]iB)/s)?",
    ),
    (r"(?<=connected to 127\.0\.0\.1:)5\d{4}", r"\d+"),
    (r"\[::\]:40213", r"(?:\[::\]|0\.0\.0\.0):\d+"),  # any free port
    (r"\[::\](?=:\d)", r"(?:\[::\]|0\.0\.0\.0)"),
    (r"\d+ tries", r"\d+ tries"),
    # The first of the addresses of this machine, which may need quotes.
    (
        r"(?<= )transfer:active:host=192\.0\.2\.7:",
        r"'?transfer:active:host=(?:[^:\\]|\\.)+:",
    ),
    (_INVITATION, r"'?transfer:active:mtls:host=(?:[^:\\]|\\.)+:port=\S+'?"),
    ("…", ".*"),
)

_WRAPPERS = {
    "python": "",
    "twisted-transfer": "-m twisted_transfer",
    "twist": "-m twisted",
    "twistd": "-c 'from twisted.scripts.twistd import run; run()'",
    "trial": "-m twisted.trial",
}


@dataclass(frozen=True)
class Block:
    """
    One block of a page.

    :ivar terminal: the caption, which names the terminal.
    :ivar lines: its lines.
    """

    terminal: str
    lines: tuple[str, ...]


def blocksOf(page: str) -> Iterator[Block]:
    """
    Find the console blocks of a page of reStructuredText.

    :param page: its text.
    :returns: the blocks, without those of the class ``not-run``.
    """
    pattern = r"^\.\. code-block:: console\n((?:   :.*\n)*)\n((?:(?:   .*)?\n)+)"
    for found in re.finditer(pattern, page, re.M):
        options, body = found.groups()
        if ":class: not-run" in options:
            continue
        caption = re.search(":caption: (.*)", options)
        lines = textwrap.dedent(body).strip("\n").split("\n")
        yield Block(caption[1] if caption else "", tuple(lines))


def _pattern(line: str) -> re.Pattern[str]:
    """Make a pattern from a line of output."""
    varying = "|".join(f"({what})" for what, _ in _VARYING)
    pattern, position = "", 0
    for found in re.finditer(varying, line):
        assert found.lastindex is not None
        pattern += re.escape(line[position : found.start()])
        pattern += _VARYING[found.lastindex - 1][1]
        position = found.end()
    return re.compile(pattern + re.escape(line[position:]))


class Terminal:
    """A shell with a terminal of its own."""

    def __init__(
        self,
        case: SynchronousTestCase,
        folder: Path,
        programs: Path,
        invitations: dict[str, str],
    ) -> None:
        """
        :param case: ends the shell, and what it has started, if need be.
        :param folder: where the shell begins.
        :param programs: a folder that comes first where it looks for programs.
        :param invitations: for each invitation on the page the one that was
            shown in its place.
        """
        self._invitations = invitations
        self._output = ""
        self._skipping = False  # a line "…" stands before what is seen next
        self._busy = False  # a command runs
        self._interrupted = False
        self._failure = ""  # how the last command has failed
        self._master, slave = os.openpty()
        settings = termios.tcgetattr(slave)
        settings[1] &= ~termios.OPOST
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, settings)

        def takeTerminal() -> None:
            fcntl.ioctl(1, termios.TIOCSCTTY, 0)

        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env={
                **os.environ,
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "TERM": "dumb",
            },
            stdin=subprocess.PIPE,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=takeTerminal,
        )
        os.close(slave)
        case.addCleanup(self._cleanUp)
        # Ctrl-C is for what runs in the shell, and not for the shell.
        self._type("trap : INT")
        self._type('finish() { local s=$?; printf "\\n%s%s\\n" "$1" $s; return $s; }')

    def _cleanUp(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        assert self._shell.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._shell.stdin.close()
        os.close(self._master)

    def _type(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{text}\n".encode())
        self._shell.stdin.flush()

    def _line(self, wanted: str) -> str:
        """The next line that is shown."""
        deadline = time.monotonic() + _DEADLINE
        while "\n" not in self._output:
            left = deadline - time.monotonic()
            if not select.select([self._master], [], [], max(left, 0))[0]:
                raise AssertionError(f"waited for {wanted!r}, saw {self._output!r}")
            self._output += os.read(self._master, 65536).decode()
        line, _, self._output = self._output.partition("\n")
        return line.rstrip("\r")

    def follow(self, lines: tuple[str, ...]) -> None:
        """
        Type the commands of a block, and compare their output.

        :param lines: of the block.
        :raises AssertionError: if something else is shown.
        """
        for step in re.split(r"\n(?!> )", "\n".join(lines)):
            if step.startswith("$ "):
                self.finish()
                self._start(step.removeprefix("$ ").replace("\n> ", "\n"))
            elif step == "^C":
                os.write(self._master, b"\x03")
                self._interrupted = True
            elif step == "…":
                self._skipping = True
            else:
                self._see(step)

    def _start(self, command: str) -> None:
        """Type a command."""
        if self._failure and command != "echo $?":
            raise AssertionError(self._failure)
        for printed, shown in self._invitations.items():
            command = command.replace(printed, shown)
        self._type(f"{{ {command}\n}} </dev/tty; finish '{_DONE}'")
        self._busy, self._interrupted = True, False

    def _see(self, wanted: str) -> None:
        """Wait for an expected line of output."""
        pattern = _pattern(wanted)
        passed = []
        while not pattern.fullmatch(line := self._line(wanted)):
            passed.append(line)
            if not self._skipping or line.startswith(_DONE):
                raise AssertionError(f"not {wanted!r}, but {passed}{self._output!r}")
        printed = re.search(_INVITATION, wanted)
        if printed is not None:
            self._invitations[printed[0]] = line[printed.start() :]
        self._skipping = False

    def finish(self) -> None:
        """
        Wait for the end of the command, if one runs.

        :raises AssertionError: if it shows anything more.
        """
        if not self._busy:
            return
        shown = []
        while not (line := self._line(_DONE)).startswith(_DONE):
            shown.append(line)
        if shown not in ([], [""]) and not self._skipping:
            raise AssertionError(f"more is shown than the page says: {shown}")
        status = line.removeprefix(_DONE)
        self._failure = ""
        if status != "0" and not self._interrupted:
            self._failure = f"a command has ended with status {status}: {shown}"
        self._busy = self._skipping = False

    def close(self) -> None:
        """
        End the page.

        :raises AssertionError: if the last command has failed.
        """
        self.finish()
        if self._failure:
            raise AssertionError(self._failure)


def freePort() -> int:
    """Choose a free port outside the range from which the system takes local ports."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("", port))
            return port


def follow(case: SynchronousTestCase, page: str, folder: Path) -> int:
    """
    Type all commands of a page, and compare what they print with the page.

    :param case: on whose behalf.
    :param page: the text of the page.
    :param folder: where the reader works; the programs in it are changed to use
        free ports.
    :returns: how many blocks there were.
    :raises AssertionError: if the output differs from the page.
    """
    ports = {port: str(freePort()) for port in _PORTS}

    def withFreePorts(text: str) -> str:
        return re.sub(rf"\b({'|'.join(ports)})\b", lambda m: ports[m[0]], text)

    programs = folder / ".programs"
    programs.mkdir()
    for name, arguments in _WRAPPERS.items():
        text = f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n'
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for program in [*folder.glob("*.py"), *folder.glob("*.tcl")]:
        program.write_text(withFreePorts(program.read_text(encoding="utf-8")))
    terminals: dict[str, Terminal] = {}
    invitations: dict[str, str] = {}
    blocks = list(blocksOf(page))
    for block in blocks:
        if block.terminal not in terminals:
            terminals[block.terminal] = Terminal(case, folder, programs, invitations)
        terminals[block.terminal].follow(tuple(map(withFreePorts, block.lines)))
    for terminal in terminals.values():
        terminal.close()
    return len(blocks)
