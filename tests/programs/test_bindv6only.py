"""
A port where ``net.ipv6.bindv6only`` is set, in a network of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.support.programs import ROOT

_SHELL = """
echo 1 > /proc/sys/net/ipv6/bindv6only && ip link set lo up || exit 77
exec "$0" -c "$1"
"""

_DIAL = """
import socket
from twisted.internet.task import react
from twisted.internet.defer import ensureDeferred
from twisted_transfer import TransferConnector

async def dialled(reactor):
    for command in ("transfer:passive:port=0", "transfer:passive:mtls:port=0"):
        connector = TransferConnector.fromString(reactor, command)
        connecting = connector.connect().addErrback(lambda ignored: None)
        address = await connector.whenListening()
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, address.port)).close()
            print(command, host)
        await connector.close()

react(lambda reactor: ensureDeferred(dialled(reactor)))
"""


def test_bothFamilies() -> None:
    """Both families are listened on, as everywhere else."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip")
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", _SHELL, sys.executable, _DIAL],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("needs a network namespace")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4, done.stdout
