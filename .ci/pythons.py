"""
Which of the supported Pythons are on this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.10", "3.11", "3.12", "3.13")


def findPython(version: str) -> str | None:
    """The path of a working CPython of a version, or None if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [
        sys.executable,
        f"python{version}",
        *map(str, pyenv.glob(f"versions/{version}.*/bin/python")),
    ]
    ask = (
        "import ensurepip, sys, venv;"
        "print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    )
    for candidate in candidates:
        # A name on the path may be a wrapper that only says what to install.
        if path := shutil.which(candidate):
            answer = subprocess.run([path, "-c", ask], capture_output=True, text=True)
            if answer.stdout == f"cpython {version}\n":
                return path
    return None


def findOthers() -> tuple[dict[str, str], list[str]]:
    """
    Look for the supported Pythons other than this one.

    :returns: the path of each that is here, by its version, and the versions
        that are not here.
    """
    mine = "{}.{}".format(*sys.version_info)
    print(f"Python {mine}, which does most: {sys.executable}", flush=True)
    others, absent = {}, []
    for version in VERSIONS:
        if version == mine:
            continue
        if python := findPython(version):
            others[version] = python
            print(f"Python {version}, which runs the tests: {python}", flush=True)
        else:
            absent.append(version)
            print(f"NOT TESTED: there is no Python {version} here", flush=True)
    return others, absent
