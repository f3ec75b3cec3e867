"""
Find out which other programs are on this machine, by their Debian packages, or those
of PyPI.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from importlib.util import find_spec

_PROGRAMS = {
    "curl": "curl",
    "ncat": "ncat",
    "openssl": "openssl",
    "socat": "socat",
    "tcl": "tclsh",
}
_PYTHON_PACKAGES = {"magic-wormhole-transit-relay": "wormhole_transit_relay"}
_TCL_PACKAGES = {"tcllib": "transfer::connect", "tcl-tls": "tls"}
# Seconds.
_LONGEST = 10


@cache
def isHere(package: str) -> bool:
    """
    Look for what the tests use of a package, of Debian or of PyPI.

    :param package: the name of the package.
    """
    if package in _PYTHON_PACKAGES:
        return find_spec(_PYTHON_PACKAGES[package]) is not None
    if package in _TCL_PACKAGES:
        return isHere("tcl") and _tclHas(_TCL_PACKAGES[package])
    return shutil.which(_PROGRAMS[package]) is not None


def _tclHas(name: str) -> bool:
    """Ask Tcl for one of its own packages, for a bounded time."""
    try:
        asked = subprocess.run(
            ["tclsh"],
            input=f"exit [catch {{package require {name}}}]".encode(),
            stdout=subprocess.DEVNULL,
            timeout=_LONGEST,
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0
