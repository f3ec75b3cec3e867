"""
What is measured: scenes, each with the subjects that are compared in it.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.speed.ciphers import Listener
from benchmarks.speed.keys import makeKeys
from benchmarks.speed.peers.common import MIB
from benchmarks.speed.running import (
    Failed,
    Pipes,
    Run,
    bridged,
    freePort,
    transfer,
)
from benchmarks.speed.subjects import (
    BARE,
    BLOCKING,
    BRIDGES,
    IN_PROCESS,
    IN_PROCESS_RECEIPTS,
    MANY,
    RAW,
    RECEIPTS,
    SOCAT,
    SUBJECTS,
    TCLLIB,
    TUNED_SOCAT,
    TWISTED,
    Missing,
    Place,
    Subject,
)

GIB = 1024 * MIB
SMALL = 4096
"""How many bytes each of many small files has."""

SLOW = {TCLLIB: 64 * MIB}
"""Subjects that move so many bytes at most: for more they would take minutes."""

_WARM = 65536  # bytes of the first transfer of each subject, which is not counted


@dataclass(frozen=True)
class Scene:
    """
    Some subjects that do one thing, in turn.

    :ivar name: what they do.
    :ivar transport: ``plain``, ``unix`` or ``mtls``.
    :ivar shape: ``file``, ``pipe``, ``bridge`` or ``many``.
    :ivar size: how many bytes, or with many files how many of them.
    :ivar subjects: their names; the first is the one with which others are compared.
    :ivar rounds: how many times each has its turn; None: as many as asked for.
    """

    name: str
    transport: str
    shape: str
    size: int
    subjects: Sequence[str]
    rounds: int | None = None

    @property
    def bytes(self) -> int:
        """How many bytes are moved."""
        return self.size * SMALL if self.shape == "many" else self.size


@dataclass
class Found:
    """
    What a scene has shown of one subject.

    :ivar scene: the scene.
    :ivar subject: the name of the subject.
    :ivar runs: one for each round.
    :ivar note: why there is none, or not of each round.
    :ivar failed: whether that is a failure, and not a program that is missing.
    :ivar cipher: the cipher suite of its connections over TLS.
    """

    scene: Scene
    subject: str
    runs: list[Run] = field(default_factory=list)
    note: str = ""
    failed: bool = False
    cipher: str = ""

    def median(self, get: Callable[[Run], float | None]) -> float | None:
        """:returns: the median of a figure; None if the runs do not have it."""
        values = [value for run in self.runs if (value := get(run)) is not None]
        return statistics.median(values) if values else None

    @property
    def bytes(self) -> int:
        """How many bytes it moves."""
        return min(self.scene.bytes, SLOW.get(self.subject, self.scene.bytes))

    @property
    def seconds(self) -> float | None:
        """How long a run took."""
        return self.median(lambda run: run.seconds)

    @property
    def rate(self) -> float | None:
        """MiB a second, of whole processes."""
        return _divided(self.bytes / MIB, self.seconds)

    @property
    def inside(self) -> float | None:
        """MiB a second, from the first byte to the last."""
        return _divided(self.bytes / MIB, self.median(lambda run: run.inside))

    @property
    def cpu(self) -> float | None:
        """CPU seconds a GiB."""
        used = self.median(lambda run: run.cpu)
        return None if used is None else used * GIB / self.bytes

    @property
    def insideCPU(self) -> float | None:
        """CPU seconds a GiB, from the first byte to the last."""
        used = self.median(lambda run: run.insideCPU)
        return None if used is None else used * GIB / self.bytes

    @property
    def memory(self) -> float | None:
        """MiB of the larger process."""
        return self.median(lambda run: run.memory)

    @property
    def first(self) -> float | None:
        """Milliseconds until the first byte."""
        seconds = self.median(lambda run: run.first)
        return None if seconds is None else seconds * 1000


def _divided(one: float, other: float | None) -> float | None:
    return one / other if other else None


PLAIN_NAMES = (
    *(BARE, TUNED_SOCAT, SOCAT, "ncat", TWISTED, "asyncio", TCLLIB),
    *(IN_PROCESS, IN_PROCESS_RECEIPTS, RAW, RECEIPTS),
)
TLS_NAMES = (
    *(BLOCKING, TUNED_SOCAT, SOCAT, "ncat", TWISTED, "asyncio", TCLLIB),
    *(IN_PROCESS, IN_PROCESS_RECEIPTS, RAW, RECEIPTS),
)
PIPE_NAMES = tuple(
    name for name in PLAIN_NAMES if name not in (IN_PROCESS, IN_PROCESS_RECEIPTS)
)


def sized(transport: str, size: int) -> Scene:
    """:returns: a scene for one of the smaller sizes."""
    best = BARE if transport == "plain" else BLOCKING
    names = (best, TUNED_SOCAT, TWISTED, RAW, RECEIPTS)
    return Scene(
        f"{transport}, file to file, {sizeText(size)}", transport, "file", size, names
    )


def sizeText(size: int) -> str:
    """:returns: a number of bytes, in words."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (1024, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"


def parts(size: int | None, most: int, count: int) -> dict[str, list[Scene]]:
    """
    :param size: of all large transfers; None: each has its own.
    :param most: the size for which memory is measured.
    :param count: how many small files there are.
    :returns: the scenes of each part of the benchmark.
    """

    def large(usual: int) -> int:
        return usual if size is None else size

    def scene(
        words: str, transport: str, shape: str, usual: int, names: Sequence[str]
    ) -> Scene:
        full = f"{words}, {sizeText(large(usual))}"
        return Scene(full, transport, shape, large(usual), names)

    pipe = "pipe to pipe"
    return {
        "plain": [scene("plain, file to file", "plain", "file", 2 * GIB, PLAIN_NAMES)],
        "mtls": [scene("mtls, file to file", "mtls", "file", GIB, TLS_NAMES)],
        "unix": [scene("UNIX, file to file", "unix", "file", GIB, PLAIN_NAMES)],
        "pipes": [
            scene(f"plain, {pipe}", "plain", "pipe", GIB, PIPE_NAMES),
            scene(
                f"mtls, {pipe}",
                "mtls",
                "pipe",
                GIB,
                (BLOCKING, TUNED_SOCAT, TWISTED, RAW, RECEIPTS),
            ),
        ],
        "bridge": [scene("plain, bridge", "plain", "bridge", GIB, (*BRIDGES,))],
        "sizes": [
            sized(transport, each)
            for transport in ("plain", "mtls")
            for each in (1024, MIB, 64 * MIB)
        ],
        "files": [
            Scene(f"plain, {count:,} files of 4 KiB", "plain", "many", count, (*MANY,))
        ],
        "memory": [
            Scene(
                f"{transport}, file to file, {sizeText(each)}, once",
                transport,
                "file",
                each,
                (RAW, RECEIPTS),
                1,
            )
            for transport in ("plain", "mtls")
            for each in (MIB, most)
        ],
    }


class Workplace:
    """
    A folder in which subjects run.

    :ivar folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        """Make the keys there."""
        self.folder = folder
        self._keys = folder / "keys"
        self._keys.mkdir()
        makeKeys(self._keys)

    def measure(
        self, scene: Scene, subjects: Sequence[str], rounds: int
    ) -> list[Found]:
        """
        Give each subject its turn, so many times.

        :param scene: what they do.
        :param subjects: the names of those that may run.
        :param rounds: how many times each has its turn.
        :returns: what was found, in the order of the scene's subjects.
        """
        known = {"bridge": BRIDGES, "many": MANY}.get(scene.shape, SUBJECTS)
        found = [Found(scene, name) for name in scene.subjects if name in subjects]
        unit = SMALL if scene.shape == "many" else 1
        with self._source(scene, min(_WARM, scene.bytes) // unit) as source:
            for each in found:
                self._try(each, known[each.subject], source)
                each.runs.clear()
        for count in sorted({each.bytes for each in found}, reverse=True):
            several = [each for each in found if each.bytes == count]
            with self._source(scene, count // unit) as source:
                for turn in range(scene.rounds or rounds):
                    for each in several:
                        if not each.note:
                            self._try(each, known[each.subject], source)
                            _progress(each, turn)
        return found

    def _try(self, found: Found, subject: Subject, source: Path) -> None:
        try:
            # The first time it is seen which cipher suite is taken.
            spied = found.scene.transport == "mtls" and not found.cipher
            found.runs.append(self._run(found, subject, source, spied))
        except Missing as why:
            found.note = str(why)
        except Failed as why:
            found.note, found.failed = "it has failed", True
            print(f"{found.scene.name}, {found.subject}: {why}", file=sys.stderr)

    def _run(self, found: Found, subject: Subject, source: Path, spied: bool) -> Run:
        scene = found.scene
        target, socket = self.folder / "target", self.folder / "socket"
        isPipe = scene.shape == "pipe"
        place = Place(
            scene.transport,
            freePort(),
            freePort(),
            socket,
            "-" if isPipe else str(source),
            "-" if isPipe else str(target),
            self._keys,
        )
        one, other = subject(place)
        if scene.shape == "many":
            target.mkdir()
        try:
            if scene.shape == "bridge":
                run = self._bridge(one, place)
            else:
                listener = Listener(place.port) if spied else None
                if listener is not None:
                    _, other = subject(replace(place, port=listener.port))
                pipes = Pipes(source, target) if isPipe else None
                run = transfer(one, other, place.address, pipes)
                if listener is not None:
                    found.cipher = listener.cipher()
            self._check(source, target)
            return run
        finally:
            shutil.rmtree(target, ignore_errors=True)
            for left in (target, socket):
                with suppress(FileNotFoundError):
                    left.unlink()

    def _bridge(self, relaying: list[str], place: Place) -> Run:
        """Run a bridge between the bare loops."""
        receiving, _ = SUBJECTS[BARE](replace(place, port=place.far))
        _, sending = SUBJECTS[BARE](place)
        ports = str(place.port), str(place.far)
        return bridged(relaying, receiving, sending, ports)

    def _check(self, source: Path, target: Path) -> None:
        """
        Compare what has arrived with what was sent.

        :raises Failed: if it differs.
        """
        if source.is_dir():
            names = os.listdir(source)
            good = sorted(names) == sorted(os.listdir(target))
            good = good and filecmp.cmpfiles(source, target, names, False)[1:] == (
                [],
                [],
            )
        else:
            good = not subprocess.run(["cmp", "-s", source, target]).returncode
        if not good:
            raise Failed("what has arrived is not what was sent")

    @contextmanager
    def _source(self, scene: Scene, size: int) -> Iterator[Path]:
        """Make what is sent; afterwards it is removed."""
        source = self.folder / "source"
        if scene.shape == "many":
            source.mkdir()
            for number in range(size):
                (source / f"{number:05}").write_bytes(os.urandom(SMALL))
            try:
                yield source
            finally:
                shutil.rmtree(source)
        else:
            block = os.urandom(MIB)
            with source.open("wb", buffering=0) as file:
                for number in range(0, size, MIB):
                    # No two blocks are the same, and all are cheap to make.
                    piece = number.to_bytes(8, "big") + block[8:]
                    file.write(piece[: size - number])
            try:
                yield source
            finally:
                source.unlink()


def _progress(found: Found, turn: int) -> None:
    if found.runs:
        run = found.runs[-1]
        print(
            f"{found.scene.name}, round {turn + 1}: {found.subject}: "
            f"{run.seconds:.3f} s",
            file=sys.stderr,
            flush=True,
        )
