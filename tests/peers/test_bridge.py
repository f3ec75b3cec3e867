"""
The ``bridge`` command between programs that we did not write.
"""

from __future__ import annotations

import subprocess

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.peers.programs import freePort
from tests.support.programs import Program, accept, listener

pytestmark = pytest.mark.needs("socat", "ncat")


class BridgeTests(SynchronousTestCase):
    """What one of them sends reaches the other."""

    def bridge(self, port: int) -> Program:
        """:returns: a bridge from a port that it chooses to another one."""
        far = f"transfer:active:host=127.0.0.1:port={port}:retryFor=20"
        return Program(self, ["bridge", "transfer:passive:port=0", far])

    def test_large(self) -> None:
        """A file that socat sends goes through whole."""
        path = self.mktemp()
        content = bytes(range(256)) * 4096
        with open(path, "wb") as file:
            file.write(content)
        service, port = listener(self)
        program = self.bridge(port)
        with subprocess.Popen(
            ["socat", "-u", path, f"TCP:127.0.0.1:{program.port()}"]
        ) as sender:
            far = accept(self, service)
            received = b""
            while data := far.recv(1 << 20):
                received += data
            far.close()
            self.assertEqual(sender.wait(), 0)
        self.assertTrue(received == content)
        self.assertEqual(program.end(), 0)

    def test_answer(self) -> None:
        """ncat ends its output, and hears what socat's program then answers."""
        port = freePort("127.0.0.1")
        program = self.bridge(port)
        with (
            subprocess.Popen(
                [
                    "socat",
                    f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr",
                    "EXEC:rev",
                ],
                stderr=subprocess.DEVNULL,
            ) as service,
            subprocess.Popen(
                ["ncat", "127.0.0.1", str(program.port())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as client,
        ):
            answer, _nothing = client.communicate(b"hello\n", timeout=30)
            self.assertEqual(answer, b"olleh\n")
            self.assertEqual(service.wait(), 0)
        self.assertEqual(program.end(), 0)
