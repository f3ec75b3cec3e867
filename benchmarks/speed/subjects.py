"""
What is compared: for each subject the commands of both sides.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from benchmarks.speed.peers.common import HOST
from benchmarks.speed.running import python

ROOT = Path(__file__).resolve().parents[2]
TUNED = ("-b", "1048576")
PEERS = "benchmarks.speed.peers"


class Missing(Exception):
    """A subject cannot be measured; the message says why."""


@dataclass(frozen=True)
class Place:
    """
    What moves, from where to where.

    :ivar transport: ``plain``, ``unix`` or ``mtls``.
    :ivar port: the port of the receiver, or for a bridge its own.
    :ivar far: for a bridge, the port of the receiver.
    :ivar socket: the path of the UNIX socket.
    :ivar source: the file, or with many files their folder; ``-``: a pipe.
    :ivar target: the file or folder; ``-``: a pipe.
    :ivar keys: the folder with ``certificate.pem`` and ``key.pem``.
    """

    transport: str
    port: int
    far: int
    socket: Path
    source: str
    target: str
    keys: Path

    @property
    def address(self) -> str:
        """Where the receiver listens."""
        return str(self.socket) if self.transport == "unix" else str(self.port)

    @property
    def certificate(self) -> Path:
        """The certificate of both sides, which is all that they trust."""
        return self.keys / "certificate.pem"

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.keys / "key.pem"


Pair = tuple[list[str], list[str]]
"""The commands of the receiver and of the sender; or of a bridge and nothing."""

Subject = Callable[[Place], Pair]


@cache
def program(name: str, package: str = "") -> str:
    """
    Find a program.

    :param name: its name.
    :param package: the Debian package that has it, if that is called otherwise.
    :returns: its path.
    :raises Missing: if it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is missing: install the package {package or name}")
    return found


@cache
def command() -> list[str]:
    """:returns: the command of this library, of this Python's environment."""
    beside = Path(sys.executable).with_name("twisted-transfer")
    return [str(beside)] if beside.exists() else python("twisted_transfer")


def descriptions(place: Place) -> tuple[str, str]:
    """:returns: this library's descriptions of the receiver and of the sender."""
    if place.transport == "unix":
        path = f"unix:{place.socket}"
        return f"transfer:passive:{path}", f"transfer:active:{path}"
    kind, more, name = "tcp", "", ""
    if place.transport == "mtls":
        kind, name = "mtls", ":hostname=localhost"
        more = (
            f":certificate={place.certificate}:privateKey={place.key}"
            f":trustRoots={place.certificate}"
        )
    return (
        f"transfer:passive:{kind}:port={place.port}:interface={HOST}{more}",
        f"transfer:active:{kind}:host={HOST}:port={place.port}{more}{name}",
    )


def ours(*options: str) -> Subject:
    """:returns: the command of this library, with some options."""

    def pair(place: Place) -> Pair:
        passive, active = descriptions(place)
        quiet = (*options, "--quiet")
        return (
            [*command(), "receive", *quiet, place.target, passive],
            [*command(), "send", *quiet, place.source, active],
        )

    return pair


def library(kind: str) -> Subject:
    """:returns: this library in a process, ``raw`` or with ``receipts``."""

    def pair(place: Place) -> Pair:
        passive, active = descriptions(place)
        peer = partial(python, f"{PEERS}.library")
        words = (place.transport, passive, place.target, str(place.keys))
        return (
            peer(f"receive-{kind}", *words),
            peer(f"send-{kind}", place.transport, active, place.source, words[3]),
        )

    return pair


def small(module: str) -> Subject:
    """:returns: one of the small programs in ``peers``."""

    def pair(place: Place) -> Pair:
        peer = partial(python, f"{PEERS}.{module}")
        where = (place.transport, place.address)
        return (
            peer("receive", *where, place.target, str(place.keys)),
            peer("send", *where, place.source, str(place.keys)),
        )

    return pair


def socat(*options: str) -> Subject:
    """:returns: socat with some options."""

    def pair(place: Place) -> Pair:
        source = "STDIN" if place.source == "-" else f"OPEN:{place.source},rdonly"
        target = "STDOUT" if place.target == "-" else f"CREATE:{place.target}"
        listening = f"TCP-LISTEN:{place.port},bind={HOST},reuseaddr"
        dialling = f"TCP:{HOST}:{place.port}"
        if place.transport == "unix":
            listening = f"UNIX-LISTEN:{place.socket}"
            dialling = f"UNIX-CONNECT:{place.socket}"
        elif place.transport == "mtls":
            own = (
                f",certificate={place.certificate},key={place.key}"
                f",cafile={place.certificate},verify=1"
            )
            listening = f"OPENSSL-LISTEN:{place.port},bind={HOST},reuseaddr{own}"
            dialling = f"OPENSSL:{HOST}:{place.port},commonname=localhost{own}"
        words = [program("socat"), *options, "-u"]
        return [*words, listening, target], [*words, source, dialling]

    return pair


def ncat(place: Place) -> Pair:
    """ncat, as it is installed."""
    if place.transport == "mtls":
        raise Missing("ncat does not demand a certificate of a client")
    words = (
        ["-U", place.address] if place.transport == "unix" else [HOST, place.address]
    )
    receive = f"{program('ncat')} -l --recv-only {shlex.join(words)}"
    send = f"{program('ncat')} --send-only {shlex.join(words)}"
    return (
        _shell(f"exec {receive}" + _redirect(">", place.target)),
        _shell(f"exec {send}" + _redirect("<", place.source)),
    )


def _shell(line: str) -> list[str]:
    return ["sh", "-c", line]


def _redirect(sign: str, path: str) -> str:
    return "" if path == "-" else f" {sign}{shlex.quote(path)}"


@cache
def _tclsh() -> str:
    """:returns: a Tcl that has tcllib."""
    tclsh = program("tclsh", "tcl")
    asking = b"exit [catch {package require transfer::connect}]"
    if subprocess.run([tclsh], input=asking).returncode:
        raise Missing("tcllib is missing: install the package tcllib")
    return tclsh


def tcllib(place: Place) -> Pair:
    """tcllib's transmitter and receiver, on ``transfer::connect``."""
    if place.transport == "unix":
        raise Missing("Tcl has no UNIX sockets")
    if place.transport == "mtls":
        raise Missing("between two of tcl-tls the last bytes are lost")
    own = [_tclsh(), str(Path(__file__).parent / "peers" / "tcllib.tcl")]
    return (
        [*own, "receive", place.address, place.target],
        [*own, "send", place.address, place.source],
    )


def oursBridge(place: Place) -> Pair:
    """The command ``bridge`` of this library."""
    ends = f"port={place.port}:interface={HOST}", f"host={HOST}:port={place.far}"
    words = f"transfer:passive:tcp:{ends[0]}", f"transfer:active:tcp:{ends[1]}"
    return [*command(), "bridge", "--quiet", *words], []


def socatBridge(*options: str) -> Subject:
    """:returns: socat between two sockets, with some options."""

    def pair(place: Place) -> Pair:
        listening = f"TCP-LISTEN:{place.port},bind={HOST},reuseaddr"
        return [program("socat"), *options, listening, f"TCP:{HOST}:{place.far}"], []

    return pair


def ncatBridge(place: Place) -> Pair:
    """ncat that runs another one for its partner."""
    far = f"{program('ncat')} {HOST} {place.far}"
    return [program("ncat"), "-l", HOST, str(place.port), "--sh-exec", far], []


def smallBridge(module: str) -> Subject:
    """:returns: one of the small programs as a bridge."""

    def pair(place: Place) -> Pair:
        ports = f"{place.port}:{place.far}"
        words = ("relay", "plain", ports, "-", str(place.keys))
        return python(f"{PEERS}.{module}", *words), []

    return pair


def oursFiles(place: Place) -> Pair:
    """The command sends many files to a folder, each with a receipt."""
    passive, active = descriptions(place)
    files = sorted(map(str, Path(place.source).iterdir()))
    limit = f"--max-files={len(files)}"
    return (
        [*command(), "receive", "--quiet", limit, place.target, passive],
        [*command(), "send", "--quiet", *files, active],
    )


def tarFiles(*options: str) -> Subject:
    """:returns: tar and socat, with some options of socat."""

    def pair(place: Place) -> Pair:
        receiving, sending = socat(*options)(replace(place, source="-", target="-"))
        tar = program("tar")
        unpack = shlex.join([tar, "-C", place.target, "-xf", "-"])
        pack = shlex.join([tar, "-C", place.source, "-cf", "-", "."])
        return (
            _shell(f"{shlex.join(receiving)} | {unpack}"),
            _shell(f"{pack} | {shlex.join(sending)}"),
        )

    return pair


RAW = "twisted-transfer --raw"
RECEIPTS = "twisted-transfer"
BARE = "sendfile + splice loop"
TUNED_SOCAT = "socat -b 1048576"
SOCAT = "socat"
TWISTED = "Twisted's FileSender"
BLOCKING = "Python's ssl"
IN_PROCESS = "library --raw"
IN_PROCESS_RECEIPTS = "library"
TCLLIB = "tcllib"
TAR = "tar | socat | tar"


def isOurs(subject: str) -> bool:
    """:returns: whether a subject is this library."""
    return subject in (RAW, RECEIPTS, IN_PROCESS, IN_PROCESS_RECEIPTS)


SUBJECTS: dict[str, Subject] = {
    BARE: small("bare"),
    BLOCKING: small("blocking_tls"),
    TUNED_SOCAT: socat(*TUNED),
    SOCAT: socat(),
    "ncat": ncat,
    TWISTED: small("with_twisted"),
    "asyncio": small("with_asyncio"),
    TCLLIB: tcllib,
    IN_PROCESS: library("raw"),
    IN_PROCESS_RECEIPTS: library("receipts"),
    RAW: ours("--raw"),
    RECEIPTS: ours(),
}

BRIDGES: dict[str, Subject] = {
    BARE: smallBridge("bare"),
    TUNED_SOCAT: socatBridge(*TUNED),
    SOCAT: socatBridge(),
    "ncat": ncatBridge,
    TWISTED: smallBridge("with_twisted"),
    "asyncio": smallBridge("with_asyncio"),
    RECEIPTS: oursBridge,
}

MANY: dict[str, Subject] = {
    TAR: tarFiles(),
    "tar | socat -b 1048576 | tar": tarFiles(*TUNED),
    RECEIPTS: oursFiles,
}
