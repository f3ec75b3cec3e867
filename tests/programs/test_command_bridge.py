"""
The ``bridge`` command, as a user runs it, between real sockets.
"""

from __future__ import annotations

import signal
import socket
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from tests.support.programs import Program, accept, closedPort, dial, listener, reset


class BridgeTests(SynchronousTestCase):
    """One bridge, or one after the other."""

    def toPort(
        self, port: int, *words: str, stdin: int = subprocess.DEVNULL
    ) -> Program:
        """:returns: a bridge from what the words say to a port of this machine."""
        far = f"transfer:active:host=127.0.0.1:port={port}"
        return Program(self, ["bridge", *words, far], stdin=stdin)

    def converse(self, one: socket.socket, other: socket.socket) -> None:
        """Send something both ways, then end both, one after the other."""
        for sender, receiver in ((one, other), (other, one)):
            sender.sendall(b"hello")
            self.assertEqual(receiver.recv(100), b"hello")
        for sender, receiver in ((one, other), (other, one)):
            sender.shutdown(socket.SHUT_WR)
            self.assertEqual(receiver.recv(100), b"")

    def test_once(self) -> None:
        """It dials when somebody has come, joins both, and is done."""
        service, port = listener(self)
        program = self.toPort(port, "transfer:passive:port=0")
        partner = dial(self, program.port())
        self.converse(partner, accept(self, service))
        self.assertEqual(program.end(), 0)
        self.assertIn("passed 5 bytes there and 5 back in ", program.said)

    def test_again(self) -> None:
        """With --again it serves one partner after the other, also after a reset."""
        service, port = listener(self)
        program = self.toPort(port, "--again", "transfer:passive:port=0")
        for number in range(3):
            partner = dial(self, program.port())
            far = accept(self, service)
            if number == 1:
                far.sendall(b"hello")
                self.assertEqual(partner.recv(100), b"hello")
                reset(partner)
                with self.assertRaises(ConnectionResetError):
                    far.recv(100)
            else:
                self.converse(partner, far)
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(program.end(), 128 + signal.SIGTERM)

    def test_stdio(self) -> None:
        """With stdio: it is what netcat is."""
        service, port = listener(self)
        program = self.toPort(port, "stdio:", stdin=subprocess.PIPE)
        far = accept(self, service)
        assert program.process.stdin is not None
        program.process.stdin.write(b"question")
        program.process.stdin.close()
        received = b""
        while data := far.recv(100):
            received += data
        self.assertEqual(received, b"question")
        far.sendall(b"answer")
        far.close()
        self.assertEqual(program.out(), b"answer")
        self.assertEqual(program.end(), 0)

    def test_invitation(self) -> None:
        """A partner with the invitation is joined to another bridge's stdio."""
        service, port = listener(self)
        near = self.toPort(port, "transfer:passive:mtls:port=0:interface=127.0.0.1")
        invitation = near.line("partner: ")
        far = Program(
            self, ["bridge", "stdio:", "-q", invitation], stdin=subprocess.PIPE
        )
        served = accept(self, service)
        assert far.process.stdin is not None
        far.process.stdin.write(b"question")
        far.process.stdin.flush()
        self.assertEqual(served.recv(8, socket.MSG_WAITALL), b"question")
        served.sendall(b"answer")
        served.close()
        self.assertEqual(far.out(), b"answer")
        self.assertEqual((far.end(), near.end()), (0, 0))

    def test_nobody(self) -> None:
        """What cannot be reached is an error, and the status says which."""
        program = Program(
            self,
            [
                "bridge",
                f"transfer:active:host=127.0.0.1:port={closedPort(self)}",
                "stdio:",
            ],
        )
        self.assertEqual(program.end(), 3)
        self.assertIn(
            "twisted-transfer: the partner could not be reached", program.said
        )

    def test_usage(self) -> None:
        """A wrong command line is status 2, with what is wrong."""
        for words, said in (
            (["stdio:"], "two descriptions are wanted, and 1 words are given"),
            (["stdio:", "stdio:"], "stdio: can be given once"),
            (["-", "stdio:"], "standard input can give a description or the data"),
            (["stdio:", "tcp:h:1"], "does not begin with 'transfer:'"),
            (
                ["stdio:", "transfer:active:host=h:port=1:again=yes"],
                "there is --again",
            ),
        ):
            program = Program(self, ["bridge", *words])
            self.assertEqual(program.end(), 2)
            self.assertIn(said, program.said)
