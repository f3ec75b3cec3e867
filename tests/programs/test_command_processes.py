"""
Tests for :mod:`twisted_transfer.command.main`, with real processes and real faults.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.certificates import Authority
from tests.support.folders import leavePart, newFolder, partOf
from tests.support.programs import (
    COMMAND,
    ROOT,
    TWIST,
    Program,
    accept,
    closedPort,
    dial,
    dialled,
    dropPrivileges,
    listener,
    reset,
    until,
)

# More than all the buffers between two processes hold.
_MUCH = 24 * 1024 * 1024

_WAIT = "transfer:passive:tcp:port=0:interface=127.0.0.1"


def _dial(port: int) -> str:
    return f"transfer:active:host=127.0.0.1:port={port}"


class ProcessTestCase(SynchronousTestCase):
    """What these tests have in common: a folder, and processes."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.part = partOf(self.folder / "target")

    def file(self, size: int, name: str = "source") -> tuple[Path, bytes]:
        """Make a file of random bytes."""
        path = self.folder / name
        content = os.urandom(size)
        path.write_bytes(content)
        return path, content

    def setBack(self) -> tuple[str, ...]:
        """:returns: the command, with the time of day going back by an hour soon."""
        program = """if True:
            import sys, time
            real, begin = time.time, time.monotonic()
            def setBack():
                return real() - 3600 * (time.monotonic() > begin + 1)
            time.time = setBack
            from twisted_transfer.command.main import main
            sys.exit(main())
        """
        return (sys.executable, "-c", program)

    def assertNothingStored(self) -> None:
        """There is no target, and nothing beside it."""
        self.assertFalse(self.target.exists())
        self.assertFalse(self.part.exists())

    def assertInWords(self, program: Program) -> None:
        """What went wrong was said without a traceback."""
        self.assertNotIn("Traceback", program.said)
        self.assertIn("twisted-transfer: ", program.said)


def readAll(sock: socket.socket) -> bytes:
    """:returns: everything that comes, up to the end of file."""
    received = bytearray()
    while chunk := sock.recv(1 << 20):
        received += chunk
    return bytes(received)


def peek(sock: socket.socket, count: int) -> bytes:
    """:returns: what has come by now, which is left there."""
    return sock.recv(count, socket.MSG_PEEK)


class MovingTests(ProcessTestCase):
    """Bytes arrive as they were, whichever side dials."""

    def test_senderDials(self) -> None:
        """A file goes from the side that dials to the side that waits."""
        source, content = self.file(3_000_000)
        receiver = Program(self, ["receive", "--raw", str(self.target), _WAIT])
        sender = Program(self, ["send", "--raw", str(source), _dial(receiver.port())])
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)
        self.assertFalse(self.part.exists())

    def test_receiverDials(self) -> None:
        """A file goes from the side that waits to the side that dials."""
        source, content = self.file(3_000_000)
        sender = Program(self, ["send", "--raw", str(source), _WAIT])
        receiver = Program(
            self, ["receive", "--raw", str(self.target), _dial(sender.port())]
        )
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)

    def test_streamsOverUNIX(self) -> None:
        """
        Standard input and output are moved too, here through pipes and over a
        UNIX socket, whose path is said and is gone at the end.
        """
        path = self.folder / "socket"
        content = os.urandom(500_000)
        receiver = Program(
            self, ["receive", "--raw", "-", f"transfer:passive:unix:{path}"]
        )
        self.assertEqual(receiver.line("listening on "), str(path))
        sender = Program(
            self,
            ["send", "--raw", "-", f"transfer:active:unix:{path}"],
            stdin=subprocess.PIPE,
        )
        assert sender.process.stdin is not None
        assert receiver.process.stdout is not None
        for start in range(0, 500_000, 50_000):
            # Each piece passes before there is an end of file behind it.
            piece = content[start : start + 50_000]
            sender.process.stdin.write(piece)
            sender.process.stdin.flush()
            self.assertEqual(receiver.process.stdout.read(50_000), piece)
        sender.process.stdin.close()
        self.assertEqual(receiver.out(), b"")
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertFalse(path.exists())

    def test_redirectedFiles(self) -> None:
        """
        Standard input and output may be regular files, which epoll refuses; the
        input is sent from where it stands.
        """
        source, content = self.file(1_000_000)
        with source.open("rb") as stdin, self.target.open("wb") as stdout:
            stdin.seek(1000)
            receiver = Program(self, ["receive", "--raw", "-", _WAIT], stdout=stdout)
            sender = Program(
                self, ["send", "--raw", "-", _dial(receiver.port())], stdin=stdin
            )
            self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content[1000:])

    def test_tls(self) -> None:
        """Over TLS, with a verified certificate, and with nothing to send."""
        authority = Authority(self.folder / "ca")
        certificate, key = authority.issue()
        source, _ = self.file(0)
        receiver = Program(
            self,
            [
                "receive",
                "--raw",
                str(self.target),
                "transfer:passive:ssl:port=0:interface=127.0.0.1"
                f":privateKey={key}:certKey={certificate}",
            ],
        )
        port = receiver.port()
        sender = Program(
            self,
            [
                "send",
                "--raw",
                str(source),
                f"transfer:active:tls:host=localhost:port={port}"
                f":trustRoots={authority.trustRoots}",
            ],
        )
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), b"")

    def test_descriptionFromFile(self) -> None:
        """``@FILE`` stands for the description in a file, ``-`` for a line."""
        source, content = self.file(1000)
        description = self.folder / "description"
        description.write_text(f"  {_WAIT}\n\n")
        receiver = Program(
            self, ["receive", "--raw", str(self.target), f"@{description}"]
        )
        sender = Program(
            self, ["send", "--raw", str(source), "-"], stdin=subprocess.PIPE
        )
        assert sender.process.stdin is not None
        sender.process.stdin.write(f" {_dial(receiver.port())}\n".encode())
        sender.process.stdin.flush()
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)

    def test_chattyReceiver(self) -> None:
        """
        A partner that sends something back and closes after it has read
        everything has got everything: no reset destroys the end of the data.
        """
        sock, port = listener(self)
        source, content = self.file(_MUCH)
        sender = Program(self, ["send", "--raw", str(source), _dial(port)])
        partner = accept(self, sock)
        received = bytearray()
        while chunk := partner.recv(1 << 20):
            received += chunk
            partner.sendall(b"thank you ")
        partner.close()
        self.assertEqual(sender.end(), 0)
        self.assertEqual(bytes(received), content)


class SayingTests(ProcessTestCase):
    """What is said, and where."""

    def test_whatIsSaid(self) -> None:
        """
        A passive side says first where it listens and what the partner may
        use; both end with how much and how fast; no bar is seen in a pipe.
        """
        source, _ = self.file(2_000_000)
        receiver = Program(self, ["receive", "--raw", str(self.target), _WAIT])
        port = receiver.port()
        sender = Program(self, ["send", "--raw", str(source), _dial(port)])
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertRegex(
            receiver.said,
            rf"\Alistening on 127\.0\.0\.1:{port}\n"
            r"partner: twisted-transfer send --raw target "
            rf"transfer:active:tcp:host=127\.0\.0\.1:port={port}\n"
            r"connected to 127\.0\.0\.1:\d+\n"
            r"received 2000000 bytes in \d+\.\d\d s(, \d+\.\d [KMG]iB/s)?\n\Z",
        )
        self.assertRegex(
            sender.said,
            rf"\Aconnected to 127\.0\.0\.1:{port}\n"
            r"sent 2000000 bytes in \d+\.\d\d s(, \d+\.\d [KMG]iB/s)?\n\Z",
        )

    def test_quiet(self) -> None:
        """``--quiet`` leaves nothing but errors, wherever it stands."""
        source, _ = self.file(1000)
        receiver = Program(self, ["receive", "--raw", str(self.target), _WAIT])
        sender = Program(
            self, ["send", str(source), _dial(receiver.port()), "--raw", "--quiet"]
        )
        self.assertEqual((sender.end(), sender.said), (0, ""))

    def test_barOnTerminal(self) -> None:
        """On a terminal there is a bar while it runs, wiped out at the end."""
        source, content = self.file(_MUCH)
        sock, port = listener(self)
        sender = Program(
            self,
            ["send", "--raw", str(source), _dial(port)],
            terminal=True,
            environment={"TERM": "xterm"},
        )
        partner = accept(self, sock)
        sender.hears("sending:")
        self.assertEqual(readAll(partner), content)
        partner.close()
        self.assertEqual(sender.end(), 0)
        self.assertRegex(sender.said, r"sending: +\d+%\|.*/24\.0M \[")
        self.assertRegex(sender.said, r"\r +\rsent 25165824 bytes in ")

    def test_closedErrors(self) -> None:
        """Standard error that nobody reads is no reason to stop."""
        source, content = self.file(1_000_000)
        sock, port = listener(self)
        words = ["send", "--raw", str(source), _dial(port)]
        shell = ("/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND)
        sender = Program(self, words, command=shell)
        partner = accept(self, sock)
        self.assertEqual(readAll(partner), content)
        partner.close()
        self.assertEqual(sender.end(), 0)

    def test_helpNobodyReads(self) -> None:
        """A reader that has seen enough of the help gets no complaint."""
        for buffered in ("", "1"):
            reading, writing = os.pipe()
            os.close(reading)
            program = Program(
                self,
                ["send", "--help"],
                stdout=writing,
                environment={"PYTHONUNBUFFERED": buffered},
            )
            os.close(writing)
            program.end()
            self.assertEqual(program.said, "")

    def test_borrowedStreams(self) -> None:
        """
        The pipes that are shared with other programs stay in the mode in which
        they came, also while a signal has stopped or ended the program.
        """
        sock, port = listener(self)
        for words, stop in (("send", False), ("send", True)):
            reading, writing = os.pipe()
            self.addCleanup(os.close, reading)
            sender = Program(self, [words, "--raw", "-", _dial(port)], stdin=reading)
            partner = accept(self, sock)
            os.write(writing, b"some")
            self.assertEqual(partner.recv(4), b"some")
            # It is in use, and this is what others find when Ctrl-Z stops it.
            self.assertTrue(os.get_blocking(reading))
            if stop:
                # At the end of its input it would be done, and not stopped.
                sender.process.send_signal(signal.SIGTERM)
                self.assertEqual(sender.end(), 128 + signal.SIGTERM)
            os.close(writing)
            partner.close()
            if not stop:
                self.assertEqual(sender.end(), 0)
            self.assertTrue(os.get_blocking(reading))


class UsageTests(ProcessTestCase):
    """Status 2: what was asked for cannot be."""

    def test_usage(self) -> None:
        """A bad description or option is said in words, with the way to help."""
        source, _ = self.file(10)
        for words, said in (
            (["send", "--raw", str(source), "transfer:activ:port=1"], "activ"),
            (["send", "--raw", str(source), _dial(70000)], "port"),
            (["send", "--raw", "-", "-"], "@FILE"),
        ):
            program = Program(self, words)
            self.assertEqual(program.end(), 2)
            self.assertInWords(program)
            self.assertIn(said, program.said)
            self.assertIn("--help", program.said)

    def test_badKey(self) -> None:
        """What only shows when the endpoint is made is usage too."""
        program = Program(
            self,
            ["receive", "--raw", str(self.target), f"{_WAIT}:encoding=utf-8"],
        )
        self.assertEqual(program.end(), 2)
        self.assertInWords(program)
        self.assertIn("encoding=utf-8", program.said)
        self.assertNothingStored()


class NoPartnerTests(ProcessTestCase):
    """Status 3: the partner never came."""

    def test_nobodyListens(self) -> None:
        """Dialling a port that is closed ends at once."""
        source, _ = self.file(10)
        program = Program(self, ["send", "--raw", str(source), _dial(closedPort(self))])
        self.assertEqual(program.end(), 3)
        self.assertInWords(program)

    def test_noSocket(self) -> None:
        """So does dialling a UNIX path where there is nothing."""
        source, _ = self.file(10)
        path = self.folder / "socket"
        program = Program(
            self, ["send", "--raw", str(source), f"transfer:active:unix:{path}"]
        )
        self.assertEqual(program.end(), 3)
        self.assertInWords(program)

    def test_nobodyDials(self) -> None:
        """Who waits with ``within`` gives up, and nothing is left behind."""
        program = Program(
            self, ["receive", "--raw", str(self.target), f"{_WAIT}:within=0.2"]
        )
        program.line("listening on ")
        self.assertEqual(program.end(), 3)
        self.assertInWords(program)
        self.assertNothingStored()


class RefusedTests(ProcessTestCase):
    """Status 4: the partner did not prove itself, or refused."""

    def test_interruptedAtStart(self) -> None:
        """Ctrl-C before the program is imported ends it as it does later."""
        module = "import sys\nprint('importing', file=sys.stderr)\nsys.stdin.read()\n"
        (self.folder / "idna.py").write_text(module)
        program = Program(
            self,
            ["receive", "--raw", str(self.target), _WAIT],
            stdin=subprocess.PIPE,
            environment={"PYTHONPATH": f"{self.folder}:{ROOT}"},
        )
        program.hears("importing\n")
        program.process.send_signal(signal.SIGINT)
        self.assertEqual((program.end(), program.said), (130, "importing\n"))

    def test_clockSetBack(self) -> None:
        """``within`` is counted in seconds that pass, whatever the time of day is."""
        words = ["receive", "--raw", str(self.target), f"{_WAIT}:within=2"]
        program = Program(self, words, command=self.setBack())
        self.assertEqual(program.end(), 3)
        self.assertIn("2 seconds", program.said)

    def test_wrongAuthority(self) -> None:
        """A certificate that nobody trusted vouches for ends the dialling side."""
        certificate, key = Authority(self.folder / "one").issue()
        other = Authority(self.folder / "other")
        source, _ = self.file(10)
        receiver = Program(
            self,
            [
                "receive",
                "--raw",
                str(self.target),
                "transfer:passive:ssl:port=0:interface=127.0.0.1"
                f":privateKey={key}:certKey={certificate}",
            ],
        )
        sender = Program(
            self,
            [
                "send",
                "--raw",
                str(source),
                f"transfer:active:tls:host=localhost:port={receiver.port()}"
                f":trustRoots={other.trustRoots}",
            ],
        )
        self.assertEqual(sender.end(), 4)
        self.assertInWords(sender)
        # The impostor's visit has not used up the port, and is not kept secret.
        said = receiver.line("a connection from 127.0.0.1:")
        self.assertIn("was not admitted: the partner refused the TLS", said)
        self.assertIn("alert", said)
        self.assertIsNone(receiver.process.poll())
        receiver.process.send_signal(signal.SIGTERM)
        self.assertEqual(receiver.end(), 128 + signal.SIGTERM)
        self.assertNothingStored()


class TruncatedTests(ProcessTestCase):
    """Status 5: the connection broke off."""

    def test_resetWhileReceiving(self) -> None:
        """A reset in the middle leaves no file."""
        program = Program(self, ["receive", "--raw", str(self.target), _WAIT])
        partner = dial(self, program.port())
        partner.sendall(bytes(100_000))
        until(lambda: self.part.stat().st_size > 0, "the part")
        reset(partner)
        self.assertEqual(program.end(), 5)
        self.assertInWords(program)
        self.assertNothingStored()

    def test_resetWhileSending(self) -> None:
        """A partner that goes away in the middle has not got the file."""
        source, _ = self.file(_MUCH)
        sock, port = listener(self)
        program = Program(self, ["send", "--raw", str(source), _dial(port)])
        partner = accept(self, sock)
        partner.recv(1000)
        reset(partner)
        self.assertEqual(program.end(), 5)
        self.assertInWords(program)

    def test_resetAfterSending(self) -> None:
        """
        A partner that goes away after the last byte was sent, and before it has
        read them all, has not got the file.
        """
        source, _ = self.file(100_000)
        sock, port = listener(self)
        program = Program(self, ["send", "--raw", str(source), _dial(port)])
        partner = accept(self, sock)
        partner.recv(1000)
        # All of it is here, with the end of file behind it: nothing but the
        # linger is left at the other side.
        until(lambda: len(peek(partner, 200_000)) == 99_000, "the rest")
        reset(partner)
        self.assertEqual(program.end(), 5)
        self.assertInWords(program)

    def test_idleSender(self) -> None:
        """A partner that goes away while there is nothing to send is missed."""
        sock, port = listener(self)
        program = Program(
            self, ["send", "--raw", "-", _dial(port)], stdin=subprocess.PIPE
        )
        partner = accept(self, sock)
        program.line("connected to ")
        reset(partner)
        self.assertEqual(program.end(), 5)

    def test_idleSenderOverTLS(self) -> None:
        """Over TLS an orderly end by the partner ends both directions."""
        authority = Authority(self.folder / "ca")
        certificate, key = authority.issue()
        sock, port = listener(self)
        program = Program(
            self,
            [
                "send",
                "--raw",
                "-",
                f"transfer:active:tls:host=localhost:port={port}"
                f":trustRoots={authority.trustRoots}",
            ],
            stdin=subprocess.PIPE,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        partner = context.wrap_socket(accept(self, sock), server_side=True)
        self.addCleanup(partner.close)
        program.line("connected to ")
        partner.unwrap()
        self.assertEqual(program.end(), 5)
        self.assertInWords(program)

    def test_tlsWithoutCloseNotify(self) -> None:
        """A TLS connection that ends without close_notify was cut off."""
        authority = Authority(self.folder / "ca")
        certificate, key = authority.issue()
        program = Program(
            self,
            [
                "receive",
                "--raw",
                str(self.target),
                "transfer:passive:ssl:port=0:interface=127.0.0.1"
                f":privateKey={key}:certKey={certificate}",
            ],
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(authority.trustRoots / "ca.pem"))
        plain = dial(self, program.port())
        partner = context.wrap_socket(plain, server_hostname="localhost")
        self.addCleanup(partner.close)
        partner.sendall(bytes(10_000))
        until(lambda: self.part.stat().st_size > 0, "the part")
        # A FIN, and no close_notify before it.
        partner.close()
        self.assertEqual(program.end(), 5)
        self.assertInWords(program)
        self.assertNothingStored()


class LocalTests(ProcessTestCase):
    """Status 6: something on this machine, mostly before anybody is asked."""

    def assertNobodyAsked(self, words: list[str], said: str) -> None:
        """The program fails in words, before it dials."""
        sock, port = listener(self)
        program = Program(self, [*words, _dial(port)], setUp=dropPrivileges)
        self.assertEqual(program.end(), 6)
        self.assertInWords(program)
        self.assertIn(said, program.said)
        sock.setblocking(False)
        with self.assertRaises(BlockingIOError):
            sock.accept()

    def test_noSource(self) -> None:
        """There is nothing to send at that path."""
        path = str(self.folder / "nothing")
        self.assertNobodyAsked(["send", "--raw", path], path)

    def test_folderAsSource(self) -> None:
        """A folder cannot be sent."""
        self.assertNobodyAsked(["send", "--raw", str(self.folder)], "folder")

    def test_unreadableSource(self) -> None:
        """A file that its owner may not read cannot be sent."""
        source, _ = self.file(10)
        source.chmod(0)
        self.assertNobodyAsked(["send", "--raw", str(source)], "Permission denied")

    def test_targetExists(self) -> None:
        """A file that is there is not replaced, but for ``--force``."""
        self.target.write_bytes(b"precious")
        self.assertNobodyAsked(["receive", "--raw", str(self.target)], "--force")
        self.assertEqual(self.target.read_bytes(), b"precious")

    def test_readOnlyFolder(self) -> None:
        """A folder without the permission to write takes no file."""
        self.folder.chmod(0o555)
        self.addCleanup(self.folder.chmod, 0o755)
        self.assertNobodyAsked(
            ["receive", "--raw", str(self.target)], "Permission denied"
        )

    def test_noFolder(self) -> None:
        """A folder that is not there is not made."""
        path = self.folder / "missing" / "target"
        self.assertNobodyAsked(["receive", "--raw", str(path)], str(path.parent))

    def test_addressInUse(self) -> None:
        """A port that is taken cannot be listened on."""
        _, port = listener(self)
        program = Program(
            self,
            [
                "receive",
                "--raw",
                str(self.target),
                f"transfer:passive:tcp:port={port}:interface=127.0.0.1",
            ],
        )
        self.assertEqual(program.end(), 6)
        self.assertInWords(program)
        self.assertNothingStored()

    def test_fullDisk(self) -> None:
        """A device without room ends the transfer, and the partner sees it."""
        with open("/dev/full", "wb") as full:
            program = Program(self, ["receive", "--raw", "-", _WAIT], stdout=full)
        partner = dial(self, program.port())
        partner.sendall(b"data")
        self.assertRaises(ConnectionResetError, partner.recv, 1)
        self.assertEqual(program.end(), 6)
        self.assertInWords(program)
        self.assertIn("No space left", program.said)

    def test_fileSizeLimit(self) -> None:
        """A file that may not grow any more is not left as a part."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

        program = Program(
            self, ["receive", "--raw", str(self.target), _WAIT], setUp=limit
        )
        partner = dial(self, program.port())
        partner.sendall(bytes(100_000))
        self.assertRaises(ConnectionResetError, partner.recv, 1)
        self.assertEqual(program.end(), 6)
        self.assertInWords(program)
        self.assertNothingStored()

    def test_brokenPipe(self) -> None:
        """A reader that has enough ends the transfer, and the partner sees it."""
        program = Program(self, ["receive", "--raw", "-", _WAIT])
        partner = dial(self, program.port())
        partner.sendall(b"0123456789")
        assert program.process.stdout is not None
        self.assertEqual(program.process.stdout.read(10), b"0123456789")
        program.process.stdout.close()
        partner.sendall(b"more")
        self.assertRaises(ConnectionResetError, partner.recv, 1)
        self.assertEqual(program.end(), 6)
        self.assertInWords(program)

    def test_forced(self) -> None:
        """With ``--force`` the old file is there until the new one is whole."""
        self.target.write_bytes(b"old")
        leavePart(self.target, b"left by a try that was killed")
        program = Program(self, ["receive", "--raw", "-f", str(self.target), _WAIT])
        partner = dial(self, program.port())
        partner.sendall(b"new")
        until(lambda: self.part.stat().st_size == 3, "the part")
        self.assertEqual(self.target.read_bytes(), b"old")
        partner.close()
        self.assertEqual(program.end(), 0)
        self.assertEqual(self.target.read_bytes(), b"new")
        self.assertFalse(self.part.exists())


class SignalTests(ProcessTestCase):
    """Statuses 129, 130 and 143: told to stop, and nothing is left behind."""

    def assertStopped(
        self, program: Program, number: signal.Signals, says: str = ""
    ) -> None:
        """The program ends with the status for that signal, and says so much more."""
        said = program.said + says
        program.process.send_signal(number)
        self.assertEqual(program.end(), 128 + number)
        self.assertEqual(program.said, said)

    def test_listening(self) -> None:
        """While it waits: a UNIX socket's path goes, and so does the part."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            path = self.folder / "socket"
            program = Program(
                self,
                ["receive", "--raw", str(self.target), f"transfer:passive:unix:{path}"],
            )
            program.line("partner: ")
            self.assertTrue(path.exists())
            self.assertTrue(self.part.exists())
            self.assertStopped(program, number)
            self.assertFalse(path.exists())
            self.assertNothingStored()

    def test_dialling(self) -> None:
        """While nobody answers."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        port = sock.getsockname()[1]
        # Linux drops the dials for which there is no room in the queue.
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        until(lambda: dialled(port) > 0, "a full queue")
        before = dialled(port)
        source, _ = self.file(10)
        program = Program(self, ["send", "--raw", str(source), _dial(port)])
        until(lambda: dialled(port) > before, "the dial")
        self.assertStopped(program, signal.SIGINT)

    def test_handshaking(self) -> None:
        """While the partner is silent in the TLS handshake."""
        authority = Authority(self.folder / "ca")
        sock, port = listener(self)
        source, _ = self.file(10)
        program = Program(
            self,
            [
                "send",
                "--raw",
                str(source),
                f"transfer:active:tls:host=localhost:port={port}"
                f":trustRoots={authority.trustRoots}",
            ],
        )
        partner = accept(self, sock)
        # The beginning of a ClientHello.
        self.assertEqual(partner.recv(1), b"\x16")
        self.assertStopped(program, signal.SIGINT)

    def test_receiving(self) -> None:
        """While bytes come: no file, no part, and the partner sees a reset."""
        program = Program(self, ["receive", "--raw", str(self.target), _WAIT])
        partner = dial(self, program.port())
        partner.sendall(bytes(100_000))
        program.line("connected to ")
        until(lambda: self.part.stat().st_size == 100_000, "the part")
        says = "nothing is stored, and the next try begins anew\n"
        self.assertStopped(program, signal.SIGINT, f"stopped in the middle: {says}")
        self.assertRaises(ConnectionResetError, partner.recv, 1)
        self.assertNothingStored()

    def test_sending(self) -> None:
        """While bytes go: the partner does not take the part for everything."""
        source, _ = self.file(_MUCH)
        sock, port = listener(self)
        program = Program(self, ["send", "--raw", str(source), _dial(port)])
        partner = accept(self, sock)
        partner.recv(1000)
        program.line("connected to ")
        says = "the partner has a part, and the next try begins anew\n"
        self.assertStopped(program, signal.SIGTERM, f"stopped in the middle: {says}")
        self.assertRaises(ConnectionResetError, readAll, partner)

    def test_twice(self) -> None:
        """A signal that comes twice, as from some launchers, is one signal."""
        program = Program(self, ["receive", "--raw", str(self.target), _WAIT])
        program.line("partner: ")
        # Both are there when it wakes up.
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            program.process.send_signal(number)
        self.assertEqual(program.end(), 128 + signal.SIGINT)
        self.assertNothingStored()

    def test_ignored(self) -> None:
        """What nohup(1) has set to be ignored stays ignored."""

        def ignore() -> None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        program = Program(
            self, ["receive", "--raw", str(self.target), _WAIT], setUp=ignore
        )
        port = program.port()
        program.process.send_signal(signal.SIGHUP)
        dial(self, port).close()
        self.assertEqual(program.end(), 0)
        self.assertTrue(self.target.exists())


class TwistTests(ProcessTestCase):
    """``twist transfer`` and ``twistd transfer`` do the same."""

    def test_bothSides(self) -> None:
        """A file moves between two services, which then end with status 0."""
        source, content = self.file(1_000_000)
        receiver = Program(
            self,
            ["transfer", "receive", "--raw", str(self.target), _WAIT],
            command=TWIST,
        )
        sender = Program(
            self,
            ["transfer", "send", "--raw", str(source), _dial(receiver.port())],
            command=TWIST,
        )
        self.assertEqual((sender.end(), receiver.end()), (0, 0))
        self.assertEqual(self.target.read_bytes(), content)

    def test_standardOutput(self) -> None:
        """The log that ``twist`` writes to standard output is not in the data."""
        receiver = Program(
            self,
            ["--log-format=text", "transfer", "receive", "--raw", "-", _WAIT],
            command=TWIST[:3],
        )
        partner = dial(self, receiver.port())
        partner.sendall(b"data")
        partner.close()
        self.assertEqual(receiver.out(), b"data")
        self.assertEqual(receiver.end(), 0)

    def test_statuses(self) -> None:
        """Its exit status is that of the command."""
        source, _ = self.file(10)
        missing = str(self.folder / "missing")
        for words, status in (
            (["send", "--raw", str(source), "transfer:activ:port=1"], 2),
            (["send", "--raw", str(source), _dial(closedPort(self))], 3),
            (["send", "--raw", missing, _WAIT], 6),
        ):
            program = Program(self, ["transfer", *words], command=TWIST)
            self.assertEqual(program.end(), status, program.said)
            self.assertNotIn("Traceback", program.said)

    def test_stopped(self) -> None:
        """A signal ends it as it ends every service, with nothing left."""
        program = Program(
            self,
            ["transfer", "receive", "--raw", str(self.target), _WAIT],
            command=TWIST,
        )
        partner = dial(self, program.port())
        program.line("connected to ")
        self.assertTrue(self.part.exists())
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(program.end(), -signal.SIGTERM)
        self.assertRaises(ConnectionResetError, partner.recv, 1)
        self.assertNothingStored()

    def test_twistd(self) -> None:
        """``twistd -n transfer`` works too, with the status of the command."""
        twistd = (
            *("/bin/sh", "-c", 'exec "$@" >&2', "sh"),
            *(sys.executable, "-c", "from twisted.scripts.twistd import run; run()"),
            *("--nodaemon", f"--pidfile={self.folder / 'pid'}"),
        )
        for reset_, status in ((False, 0), (True, 5)):
            program = Program(
                self,
                ["transfer", "receive", "--raw", str(self.target), _WAIT],
                command=twistd,
            )
            partner = dial(self, program.port())
            partner.sendall(b"data")
            if reset_:
                until(lambda: self.part.stat().st_size > 0, "the part")
                reset(partner)
            else:
                partner.close()
            self.assertEqual(program.end(), status, program.said)
            self.assertEqual(self.target.exists(), not reset_)
            if not reset_:
                self.target.unlink()
