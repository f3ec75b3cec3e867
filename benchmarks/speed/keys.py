"""
The keys with which both sides prove who they are.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.speed.subjects import program


def makeKeys(folder: Path) -> None:
    """
    Make a certificate of ``localhost`` that both sides have and trust, and its key.

    :param folder: gets ``certificate.pem`` and ``key.pem``.
    :raises Missing: if OpenSSL's program is not installed.
    """
    words = "req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=localhost"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(
        [
            *(program("openssl"), *words.split(), "-addext", names),
            *("-keyout", str(folder / "key.pem")),
            *("-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
