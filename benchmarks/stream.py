"""
Measure a long stream from standard input to standard output, and its memory.

    python -m benchmarks.stream
    python -m benchmarks.stream --size 4096 --mtls

Two commands, ``send -`` and ``receive -``, with receipts, transfer so many MiB, which
this process makes and counts; they are not stored.  It prints the rate, and the memory
of the two processes after a sixteenth and at the end.  It fails if the memory has
grown, or if the received bytes differ.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MIB = 2**20
ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "twisted_transfer")
GROWTH = 8.0
"""How many MiB more there may be in the end."""


@dataclass(frozen=True)
class Measured:
    """
    The result of one stream.

    :ivar seconds: how long it took.
    :ivar early: how many MiB of memory sender and receiver had after a
        sixteenth.
    :ivar late: how many in the end.
    """

    seconds: float
    early: tuple[float, float]
    late: tuple[float, float]

    @property
    def flat(self) -> bool:
        """Whether memory has not grown with the stream."""
        return all(
            late - early <= GROWTH
            for early, late in zip(self.early, self.late, strict=True)
        )


def _resident(process: subprocess.Popen[bytes]) -> float:
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / MIB


def _invitation(listener: subprocess.Popen[bytes]) -> str:
    """Read the listener's output up to the invitation."""
    assert listener.stderr is not None
    for line in listener.stderr:
        found = re.search(rb"^partner: .* '?(transfer:[^' ]*)'?$", line.rstrip())
        if found:
            return found[1].decode()
    raise AssertionError("the listener has not said how to dial it")


def measure(size: int, description: str) -> Measured:
    """
    :param size: how many MiB.
    :param description: how the receiver waits.
    :returns: what it took.
    :raises AssertionError: if something else arrives, or a command fails.
    """
    pipe = subprocess.PIPE
    with (
        # It may hold a secret, and is for this user only.
        tempfile.NamedTemporaryFile("w", encoding="utf-8") as invitation,
        subprocess.Popen(
            [*COMMAND, "receive", "-", description],
            stdout=pipe,
            stderr=pipe,
            cwd=ROOT,  # -m looks in it for modules
        ) as receiver,
    ):
        invitation.write(_invitation(receiver))
        invitation.flush()
        sender = subprocess.Popen(
            [*COMMAND, "send", "-", f"@{invitation.name}"],
            stdin=pipe,
            stderr=pipe,
            cwd=ROOT,
        )
        assert sender.stdin is not None and receiver.stdout is not None
        sent = hashlib.sha256()
        feeding = threading.Thread(target=_feed, args=(sender.stdin, size, sent))
        feeding.start()
        began = time.monotonic()
        arrived = hashlib.sha256()
        count = 0
        early: tuple[float, float] | None = None
        late = (0.0, 0.0)
        while chunk := receiver.stdout.read1(MIB):  # type: ignore[attr-defined]
            arrived.update(chunk)
            count += len(chunk)
            if early is None and count >= size * MIB // 16:
                early = _resident(sender), _resident(receiver)
            if count >= size * MIB:
                late = _resident(sender), _resident(receiver)
        feeding.join()
        said = [_lastWords(process) for process in (sender, receiver)]
        seconds = time.monotonic() - began
    assert (sender.returncode, receiver.returncode) == (0, 0), said
    assert count == size * MIB and arrived.digest() == sent.digest(), count
    assert early is not None
    return Measured(seconds, early, late)


def _lastWords(process: subprocess.Popen[bytes]) -> str:
    """Wait for the end of a process, and read its last output."""
    assert process.stderr is not None
    said = process.stderr.read().decode().splitlines()
    process.wait()
    return said[-1] if said else ""


def _feed(stream: IO[bytes], size: int, sent: hashlib._Hash) -> None:
    block = os.urandom(MIB)
    with stream:
        for number in range(size):
            # No two are the same, and all are cheap to make.
            piece = number.to_bytes(8, "big") + block[8:]
            sent.update(piece)
            stream.write(piece)


def main() -> int:
    """Read the command line, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--size", type=int, default=4096, help="MiB")
    parser.add_argument("--mtls", action="store_true", help="over mutual TLS")
    given = parser.parse_args()
    kind = "mtls:" if given.mtls else "tcp:"
    result = measure(given.size, f"transfer:passive:{kind}port=0:interface=127.0.0.1")
    print(
        f"{given.size} MiB in {result.seconds:.1f} s, "
        f"{given.size / result.seconds:.0f} MiB/s\n"
        "memory of sender and receiver, in MiB: "
        f"{result.early[0]:.1f} and {result.early[1]:.1f} after a sixteenth, "
        f"{result.late[0]:.1f} and {result.late[1]:.1f} in the end"
    )
    return 0 if result.flat else 1


if __name__ == "__main__":
    sys.exit(main())
