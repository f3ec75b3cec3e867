"""Tests for :mod:`twisted_transfer.descriptions.endpoints`."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import socket
import subprocess
import sys
import termios
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IHostnameResolver,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.support.pems import WEAK, certificatePEM, keyPEM, makeKey
from tests.support.recorder import installRecorder, recorder
from tests.unit.descriptions.test_pem import PARAMETERS, FileTestCase, withoutPermission
from tests.unit.descriptions.test_strings import asciiText, marks, secretive, text
from twisted_transfer.descriptions import endpoints as described
from twisted_transfer.descriptions.endpoints import (
    DualStackServerEndpoint,
    clientEndpoint,
    plainClientEndpoint,
    serverEndpoint,
    withAddress,
)
from twisted_transfer.descriptions.strings import Description, quote, quoteValue
from twisted_transfer.errors import BadDescription, BadOption, PeerRefused

parse = Description.parse


class SocketCommandTestCase(FileTestCase):
    """A test with endpoints."""

    def setUp(self) -> None:
        """Make a reactor, a directory, and an endpoint type that writes down."""
        super().setUp()
        installRecorder(self)
        self.reactor = MemoryReactorClock()

    def client(self, string: str) -> Any:
        """Make a client endpoint."""
        return clientEndpoint(self.reactor, parse(string))

    def server(self, string: str) -> Any:
        """Make a server endpoint."""
        return serverEndpoint(self.reactor, parse(string))

    def refused(self, make: Callable[[str], object], string: str, *said: str) -> str:
        """Require an error that says each of these, and give its text."""
        with self.assertRaises(BadDescription) as caught:
            make(string)
        for each in said:
            self.assertIn(each, str(caught.exception), string)
        return str(caught.exception)


class AcceptTests(SocketCommandTestCase):
    """Descriptions that are right, and where they lead."""

    def setUp(self) -> None:
        """Make the files that TLS needs."""
        super().setUp()
        key = makeKey()
        self.key = self.file("key.pem", keyPEM(key))
        self.certificate = self.file("cert.crt", certificatePEM(key, "a.example"))
        self.both = self.file(
            "served/both.pem", certificatePEM(key, "a.example") + keyPEM(key)
        )
        self.roots = os.path.dirname(self.file("roots/ca.pem", certificatePEM(key)))

    def test_dialled(self) -> None:
        """What is dialled is what the description says, however it says it."""
        factory = Factory()
        for string, expected in {
            "tcp:h:80": ("h", 80, 30, None),
            "TCP:h:80": ("h", 80, 30, None),
            "tcp:host=h:port=80:timeout=5:bindAddress=127.0.0.2": (
                ("h", 80, 5, ("127.0.0.2", 0))
            ),
            "tcp:host=h:80": ("h", 80, 30, None),
            "tcp:h:port=65535": ("h", 65535, 30, None),
            "tcp:\\:\\:1:1": ("::1", 1, 30, None),
        }.items():
            self.client(string).connect(factory)
            host, port, _, timeout, bind = self.reactor.tcpClients.pop()
            self.assertEqual((host, port, timeout, bind), expected, string)

    def test_dialledUNIX(self) -> None:
        """A UNIX socket is dialled by its path."""
        for string, expected in {
            "unix:/run/x": ("/run/x", 30, 0),
            "unix:path=/run/x:timeout=5:lockfile=1": ("/run/x", 5, True),
        }.items():
            self.client(string).connect(Factory())
            path, _, timeout, checkPID = self.reactor.unixClients.pop()
            self.assertEqual((path, timeout, checkPID), expected, string)

    def test_dialledTLS(self) -> None:
        """All options of the TLS clients are accepted where they are right."""
        pair = f"privateKey={self.key}"
        for string in (
            "ssl:h:443:hostname=h",
            f"ssl:host=h:443:certKey={self.certificate}:{pair}:hostname=h",
            f"ssl:h:port=443:caCertsDir={self.roots}:timeout=3:hostname=h"
            f":certKey={self.both}",
            "tls:h:443",
            f"tls:h:443:certificate={self.certificate}:{pair}:trustRoots={self.roots}",
            f"tls:h:443:5:127.0.0.1:{self.certificate}:{self.key}:{self.roots}:tcp\\:h\\:1",
            "tls:host=h:port=443:endpoint=unix\\:/run/x",
        ):
            endpoint = self.client(string)
            self.assertTrue(IStreamClientEndpoint.providedBy(endpoint), string)

    def test_listenedOn(self) -> None:
        """What is listened on is what the description says."""
        for string, expected in {
            "tcp:80": (80, 50, ""),
            "tcp:0:127.0.0.1:3": (0, 3, "127.0.0.1"),
            "tcp:port=65535:interface=:backlog=0": (65535, 0, ""),
            "TCP:80": (80, 50, ""),
            "tcp6:80": (80, 50, "::"),
            "TCP6:80:3:\\:\\:1": (80, 3, "::1"),
            "haproxy:tcp:80:interface=127.0.0.1": (80, 50, "127.0.0.1"),
            "haproxy:haproxy:tcp6:80": (80, 50, "::"),
            f"tls:{os.path.dirname(self.both)}": (443, 50, "::"),
            f"tls:{self.both}:0:3:127.0.0.1": (0, 3, "127.0.0.1"),
        }.items():
            self.successResultOf(self.server(string).listen(Factory()))
            port, _, backlog, interface = self.reactor.tcpServers.pop()
            self.assertEqual((port, backlog, interface), expected, string)

    def test_listenedOnUNIX(self) -> None:
        """A UNIX socket is listened on with the permissions that were asked for."""
        for string, expected in {
            "unix:/run/x": ("/run/x", 50, 0o666, True),
            "unix:/run/x:mode=600:lockfile=0": ("/run/x", 50, 0o600, False),
            "unix:address=/run/x=y:backlog=3:mode=0o660": (
                ("/run/x=y", 3, 0o660, True)
            ),
        }.items():
            self.successResultOf(self.server(string).listen(Factory()))
            path, _, backlog, mode, pid = self.reactor.unixServers.pop()
            self.assertEqual((path, backlog, mode, pid), expected, string)

    def test_listenedOnSSL(self) -> None:
        """All options of the SSL server are accepted where they are right."""
        chain = self.file("chain.pem", certificatePEM(makeKey()))
        parameters = self.file("dh.pem", PARAMETERS)
        for string in (
            f"ssl:443:privateKey={self.both}",
            f"ssl:443:privateKey={self.key}:certKey={self.certificate}",
            f"ssl:443:{self.key}:{self.certificate}:interface=127.0.0.1:backlog=3",
            f"ssl:port=443:privateKey={self.both}:extraCertChain={chain}",
            f"ssl:443:privateKey={self.both}:dhParameters={parameters}",
            f"ssl:443:privateKey={self.both}:sslmethod=TLS_METHOD",
        ):
            self.successResultOf(self.server(string).listen(Factory()))
            port, _, contextFactory, _, _ = self.reactor.sslServers.pop()
            self.assertEqual(port, 443, string)
            # Twisted loads some of the files no earlier than here.
            contextFactory.getContext()
        for warning in self.flushWarnings():
            # pyOpenSSL's about how Twisted uses it, Twisted's about sslmethod.
            self.assertIs(warning["category"], DeprecationWarning)

    def test_others(self) -> None:
        """Standard input and output, and third-party types, are accepted."""
        for string in ("stdio:", "stdio", "StdIO"):
            endpoint = self.server(string.rstrip(":"))
            self.assertTrue(IStreamServerEndpoint.providedBy(endpoint), string)
        for make in (self.client, self.server):
            for string in (
                "recorder:a:self=b:reactor=c",
                "RECORDER:a:self=b:reactor=c",
            ):
                endpoint = make(string)
                self.assertEqual(endpoint.args, ("a",))
                self.assertEqual(endpoint.keywords, {"self": "b", "reactor": "c"})

    def test_defaultFile(self) -> None:
        """Without a private key the SSL server reads server.pem."""
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.directory)
        self.refused(self.server, "ssl:443", "certKey=server.pem in 'ssl:443'")
        self.file("server.pem", Path(self.both).read_bytes())
        self.server("ssl:443").listen(Factory())
        self.assertEqual(len(self.reactor.sslServers), 1)


class TypeTests(SocketCommandTestCase):
    """Types of endpoints."""

    def test_unknown(self) -> None:
        """An unknown type is named, with what was meant and what there is."""
        self.refused(self.client, "tpc:h:80", "'tpc'", "mean 'tcp'", "recorder", "unix")
        self.refused(self.server, "tpc6:80", "'tpc6'", "mean 'tcp6'", "systemd")
        said = self.refused(self.client, "192.0.2.7:80", "'192.0.2.7'", "ssl, tcp, tls")
        self.assertNotIn("mean", said)

    def test_otherSide(self) -> None:
        """A type that there is for the other side alone is told apart."""
        for string in ("tcp6:80", "systemd:domain=INET:index=0", "stdio", "stubborn:1"):
            name = string.partition(":")[0]
            self.refused(self.client, string, f"'{name}'", "can listen but not dial")
        with self.assertRaises(BadDescription) as caught:
            self.client("haproxy:tcp:80")
        self.assertIn("can listen but not dial", str(caught.exception))


class OptionTests(SocketCommandTestCase):
    """What is wrong with an option is said in one sentence, at once."""

    def test_client(self) -> None:
        """Options of clients."""
        for string, *said in (
            ("tcp:host=h:port=70000", "port=70000 in ", "a number from 1 to 65535"),
            ("tcp:h:70000", "port=70000 in 'tcp:h:70000'", "1 to 65535"),
            ("tcp:h:x", "port=x", "1 to 65535"),
            ("tcp:h:0", "port=0", "1 to 65535"),
            ("tcp:h:-1", "port=-1", "1 to 65535"),
            ("tcp:h:", "port=", "1 to 65535"),
            (f"tcp:h:{'9' * 5000}", "1 to 65535"),
            ("tcp:h:\N{ARABIC-INDIC DIGIT EIGHT}", "1 to 65535"),
            ("ssl:h:70000", "port=70000", "1 to 65535"),
            ("tls:h:70000", "port=70000", "1 to 65535"),
            ("tcp:port=80", "host is missing", ":host=VALUE"),
            ("tcp:h", "port is missing", ":port=VALUE"),
            ("tcp", "host is missing", "'tcp'"),
            ("tls:port=443", "host is missing"),
            ("tls:443:host=h", "host=h", "without its name", "'443'"),
            ("tcp::80", "host= in ", "without spaces"),
            ("tcp:a b:80", "host=a b", "without spaces"),
            (f"tls:{'a' * 64}.example:443", "1 to 63"),
            ("tcp:h:80:81", "'81' is one argument too many", "host, port"),
            ("tcp:h:80:port=81", "port=81", "without its name", "'80'"),
            ("tcp:h:80:timout=3", "timout=3", "no such option", "bindAddress"),
            ("tls:\N{SNOWMAN}.example:443", "no form in ASCII letters"),
            ("tcp:h:80:self=3", "self=3", "no such option"),
            ("tcp:h:80:reactor=3", "reactor=3", "no such option"),
            ("tcp:h:80:within=3", "within=3", "transfer: string"),
            ("tcp:h:80:timeout=0", "timeout=0", "from 1"),
            ("tcp:h:80:timeout=2.5", "timeout=2.5", "whole number of seconds"),
            ("tcp:h:80:bindAddress=", "bindAddress= in ", "without spaces"),
            ("ssl:h:80:hostname=h:trustRoots=/ca", "trustRoots=/ca", "caCertsDir"),
            ("tls:h:80:caCertsDir=/ca", "caCertsDir=/ca", "trustRoots"),
            (r"tcp:127.0.0.1:80:bindAddress=\:\:1", "bindAddress=", "another family"),
            (r"tcp:\:\:1:80:bindAddress=127.0.0.1", "bindAddress=", "another family"),
            (r"tcp:h:80:bindAddress=\:\:1", "bindAddress=", "another family"),
            (r"tls:192.0.2.7:80:bindAddress=\:\:1", "bindAddress=", "another family"),
            ("tcp:-x:80", "host=-x", "letters, digits"),
            ("unix", "path is missing", ":path=VALUE"),
            (f"unix:/{'ä' * 54}", "at most 107 bytes"),
            ("unix:", "path= in ", "not empty"),
            ("unix:a\0b", "NUL"),
            ("unix:address=/x", "address=/x", "the options are: path"),
            ("unix:/x:lockfile=yes", "lockfile=yes", "'unix' does not accept"),
            ("unix:/x:timeout=x", "timeout=x", "whole number"),
        ):
            self.refused(self.client, string, *said)

    def test_server(self) -> None:
        """Options of servers."""
        for string, *said in (
            ("tcp:65536", "port=65536 in 'tcp:65536'", "from 0 to 65535"),
            ("tcp6:x", "port=x", "from 0 to 65535"),
            ("tcp", "port is missing", ":port=VALUE"),
            ("tcp6:interface=\\:\\:1", "port is missing"),
            ("tcp:port=80:host=h", "host=h", "port, interface, backlog"),
            ("tcp:80:127.0.0.1:5:x", "'x' is one argument too many"),
            ("tcp:80:factory=x", "factory=x", "no such option"),
            ("tcp:80:backlog=-1", "backlog=-1", "from 0"),
            ("tcp:80:backlog=99999999999", "backlog=99999999999", "from 0"),
            ("tcp:80:interface=a b", "interface=a b", "without spaces"),
            ("ssl:privateKey=/x", "port is missing", ":port=VALUE"),
            ("ssl:1:privateKey=/x", "certKey=/x", "No such file"),
            ("ssl:1:sslmethod=Context", "sslmethod=Context", "TLS_METHOD"),
            ("tls:port=443", "path is missing"),
            ("unix", "address is missing", ":address=VALUE"),
            ("unix:path=/x", "path=/x", "the options are: address"),
            ("unix:/x:mode=rw", "mode=rw", "octal"),
            (f"unix:/{'x.' * 54}", "address=/x", "at most 107 bytes"),
            (f"unix:\0{'x' * 108}", "at most 107 bytes"),
            ("unix:/x:mode=888", "mode=888", "octal"),
            ("unix:/x:lockfile=x", "lockfile=x", "'unix' does not accept"),
            ("systemd", "domain is missing", ":domain=VALUE"),
            ("systemd:INET", "exactly one of descriptor index or name"),
            ("systemd:INET:index=0:name=x", "exactly one of descriptor index or name"),
            ("systemd:INET:index=-1", "index=-1", "number"),
            ("systemd:INET:index=0", "no such socket to this process"),
            ("systemd:INET:index=0:x=1", "x=1", "the options are: domain"),
            ("systemd:inet:index=0", "domain=inet", "INET, INET6, UNIX"),
            ("systemd:INET:name=x", "no such socket to this process"),
            ("haproxy", "names no type"),
            ("haproxy:port=1", "'port=1' names no type"),
            ("haproxy:tcp:70000", "port=70000 in 'tcp:70000'", "from 0 to 65535"),
            ("haproxy:nosuch:1", "'nosuch'", "not known"),
            ("haproxy:tcp", "port is missing"),
        ):
            self.refused(self.server, string, *said)

    def test_wrapped(self) -> None:
        """What is wrong with a wrapped description is said of that."""
        for inner, *said in (
            ("tcp:h:70000", "port=70000 in 'tcp:h:70000'"),
            ("tcp6:80", "can listen but not dial"),
            ("", "no type"),
            ("tcp:h\\", "character 6"),
            ("tls:h:1:endpoint=tcp\\:h", "port is missing"),
        ):
            string = f"tls:h:443:endpoint={quoteValue(inner)}"
            self.refused(self.client, string, *said)

    def test_example(self) -> None:
        """A whole message, as it is read by a person."""
        self.assertEqual(
            self.refused(self.client, "tcp:host=h:port=70000"),
            "port=70000 in 'tcp:host=h:port=70000': a port is a number from 1 to 65535",
        )


class FileOptionTests(SocketCommandTestCase):
    """Files that options name."""

    def setUp(self) -> None:
        """Make good files and bad ones."""
        super().setUp()
        key = makeKey()
        self.key = self.file("key.pem", keyPEM(key))
        self.cert = self.file("cert.crt", certificatePEM(key, "a.example"))
        self.other = self.file("other.key", keyPEM(makeKey()))
        self.locked = self.file("locked.key", keyPEM(key, b"xyz"))
        self.weak = self.file("weak.crt", WEAK)
        self.missing = str(self.directory / "missing")

    def test_identity(self) -> None:
        """What is wrong with a certificate or its key, on every side and type."""
        for make, start, certificate in (
            (self.client, "tls:h:443", "certificate"),
            (self.client, "ssl:h:443:hostname=h", "certKey"),
            (self.server, "ssl:443", "certKey"),
        ):
            for cert, key, *said in (
                (self.cert, self.missing, "privateKey=", "No such file"),
                (self.missing, self.key, f"{certificate}=", "No such file"),
                (self.cert, self.other, "privateKey=", "do not belong together"),
                (self.cert, self.locked, "privateKey=", "encrypted", "passphrase"),
                (self.cert, self.cert, "privateKey=", "no private key"),
                (self.key, self.key, f"{certificate}=", "no certificate"),
                (self.cert, str(self.directory), "privateKey=", "regular file"),
                (self.weak, self.weak, "privateKey=", "key too small"),
            ):
                string = f"{start}:{certificate}={cert}:privateKey={key}"
                whole = self.refused(make, string, *said)
                self.assertTrue(whole.startswith(said[0]), whole)
                self.assertNotIn("server.pem", whole)

    def test_alone(self) -> None:
        """A certificate file may hold the key, a key alone is of no use."""
        for start, certificate in (
            ("tls:h:443", "certificate"),
            ("ssl:h:443:hostname=h", "certKey"),
        ):
            self.refused(
                self.client,
                f"{start}:privateKey={self.key}",
                f"privateKey={self.key}",
                f":{certificate}=PATH",
            )
            self.refused(
                self.client,
                f"{start}:{certificate}={self.cert}",
                f"{certificate}={self.cert}",
                ":privateKey=PATH",
            )

    def test_permission(self) -> None:
        """A key that this program may not read is said to be so."""
        string = f"tls:h:443:certificate={self.cert}:privateKey={self.key}"
        self.client(string)
        with withoutPermission(Path(self.key)):
            self.refused(self.client, string, "privateKey=", "Permission denied")

    def test_otherFiles(self) -> None:
        """Directories of authorities, chains and parameters are looked into."""
        identity = f"privateKey={self.key}:certKey={self.cert}"
        empty = self.directory / "empty"
        empty.mkdir()
        for make, string, *said in (
            (self.client, f"tls:h:1:trustRoots={empty}", "trustRoots=", "nobody"),
            (self.client, f"tls:h:1:trustRoots={self.cert}", "nobody"),
            (
                self.client,
                f"ssl:h:1:hostname=h:caCertsDir={empty}",
                "caCertsDir=",
                "nobody",
            ),
            (
                self.client,
                f"ssl:h:1:hostname=h:caCertsDir={self.missing}",
                "nobody",
            ),
            (self.server, f"tls:{empty}:443", "path=", "nothing here can be served"),
            (self.server, f"tls:{self.missing}:443", "path=", "can be served"),
            (
                self.server,
                f"ssl:1:{identity}:extraCertChain={self.key}",
                "extraCertChain=",
                "there is no certificate in PEM format",
            ),
            (
                self.server,
                f"ssl:1:{identity}:dhParameters={self.key}",
                "dhParameters=",
                "openssl dhparam",
            ),
        ):
            self.refused(make, string, *said)

    def test_noPrompt(self) -> None:
        """
        Nobody is asked for a passphrase, also where there is a terminal.

        OpenSSL would ask on the controlling terminal and wait for the answer.
        """
        program = (
            "import sys\n"
            "from twisted.internet.testing import MemoryReactorClock\n"
            "from twisted_transfer.descriptions.strings import Description\n"
            "from twisted_transfer.errors import BadDescription\n"
            "from twisted_transfer.descriptions.endpoints import clientEndpoint\n"
            "try:\n"
            "    clientEndpoint(MemoryReactorClock(), Description.parse(sys.argv[1]))\n"
            "except BadDescription as error:\n"
            "    print(error)\n"
        )
        string = f"tls:h:443:certificate={self.cert}:privateKey={self.locked}"
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        # A prompt would be answered by this, so that nothing waits for ever.
        os.write(master, b"\n\n\n\n")
        try:
            result = subprocess.run(
                [sys.executable, "-c", program, string],
                stdin=slave,
                capture_output=True,
                text=True,
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                check=True,
            )
        finally:
            os.close(slave)
        self.assertIn("encrypted", result.stdout)
        self.assertNotIn(b"pass phrase", os.read(master, 10_000))


class ThirdPartyTests(SocketCommandTestCase):
    """Whatever a plugin raises becomes one sentence."""

    def test_raised(self) -> None:
        """Each error names the type and what it said, and is chained."""
        for error in (
            ValueError("port is odd"),
            TypeError("missing argument"),
            KeyError("color"),
            FileNotFoundError(2, "No such file or directory", "/x"),
            RuntimeError("not today"),
            AssertionError(),
            IndexError("out of range"),
        ):
            self.patch(recorder, "failure", lambda keywords, error=error: error)
            for make in (self.client, self.server):
                with self.assertRaises(BadDescription) as caught:
                    make("recorder:x")
                self.assertIs(caught.exception.__cause__, error)
                for said in ("'recorder'", "'recorder:x'", type(error).__name__):
                    self.assertIn(said, str(caught.exception))
                self.assertIn(str(error), str(caught.exception))

    def test_ours(self) -> None:
        """An error that is ours already stays as it is."""
        for error in (BadOption("pin: too short"), PeerRefused("no")):
            self.patch(recorder, "failure", lambda keywords, error=error: error)
            with self.assertRaises(type(error)) as caught:
                self.client("recorder:x")
            self.assertIs(caught.exception, error)

    def test_interrupt(self) -> None:
        """What is no error at all, such as Ctrl-C, passes through."""

        def interrupt(keywords: object) -> Exception:
            raise KeyboardInterrupt

        self.patch(recorder, "failure", interrupt)
        self.assertRaises(KeyboardInterrupt, self.client, "recorder:x")

    def test_reservedKeywords(self) -> None:
        """Keywords that are called like Twisted's own arguments do not crash."""
        for keyword in ("self", "reactor"):
            string = f"stubborn:{keyword}=x"
            for wrapped in (string, f"haproxy:{string}"):
                self.refused(
                    self.server, wrapped, f"{keyword}=x in '{string}'", "no such option"
                )
            self.server(f"haproxy:recorder:{keyword}=x")
            self.assertEqual(recorder.made.pop().keywords, {keyword: "x"})

    def test_arguments(self) -> None:
        """Arguments that a parser does not take are named, without their values."""
        for string, *said in (
            ("strict:1", "'strict:1': count is missing; add :count=VALUE"),
            ("strict:1:2:colour=secret", "colour=secret in 'strict:1:2:", "no such"),
            ("strict:1:2:port=3", "port=3 in 'strict:1:2:port=3'", "no such option"),
            ("strict:1:2:3", "does not accept", "TypeError"),
            ("strict:1:passphrase=xyz:2", "passphrase=… in 'strict:1:2:passphrase=…'"),
        ):
            self.assertNotIn("xyz", self.refused(self.server, string, *said))


class WrappingTests(SocketCommandTestCase):
    """Through the types that quote a description once more."""

    @given(text)
    def test_haproxyValue(self, value: str) -> None:
        """The value of a keyword comes through Twisted's ``haproxy`` unchanged."""
        string = f"haproxy:recorder:key={quote(value)}"
        serverFromString(self.reactor, string)
        self.assertEqual(recorder.made.pop().keywords, {"key": value})
        self.server(string)
        self.assertEqual(recorder.made.pop().keywords, {"key": value})

    @given(st.lists(text), st.dictionaries(asciiText, text))
    @example(["a=b"], {})
    @example([], {"a=b": "c"})
    @example([], {"reactor": "c", "self": "d"})
    def test_haproxy(self, args: list[str], keywords: dict[str, str]) -> None:
        """A description comes through ``haproxy`` unchanged."""
        description = Description(("haproxy", "recorder", *args), keywords)
        serverEndpoint(self.reactor, description)
        made = recorder.made.pop()
        self.assertEqual((made.args, made.keywords), (tuple(args), keywords))

    def test_haproxyTooOften(self) -> None:
        """Text that wraps without end is refused, and exhausts nothing."""
        self.refused(self.server, "haproxy:" * 5_000 + "tcp:80", "haproxy")

    def test_haproxyChanges(self) -> None:
        """
        Twisted's own parser of ``haproxy`` does change the meaning.

        When this fails, Twisted has been mended, and can be left to do it.
        """
        serverFromString(self.reactor, "haproxy:recorder:a\\=b")
        self.assertEqual(recorder.made.pop().args, ())

    @given(text)
    def test_endpointValue(self, value: str) -> None:
        """The value of a keyword comes through ``tls``'s endpoint unchanged."""
        inner = f"recorder:key={quote(value)}"
        for string in (
            f"tls:h:1:endpoint={quote(inner)}",
            Description(("tls", "h", "1"), {"endpoint": inner}).toString(),
        ):
            clientFromString(self.reactor, string)
            self.assertEqual(recorder.made.pop().keywords, {"key": value})
            self.client(string)
            self.assertEqual(recorder.made.pop().keywords, {"key": value})


class SecrecyTests(SocketCommandTestCase):
    """No secret is shown by accident."""

    def shown(self, make: Callable[[], object]) -> str:
        """Give the traceback that comes of it, or nothing."""
        try:
            make()
        except BadOption as error:
            return "".join(traceback.format_exception(error))
        return ""

    @given(
        st.sampled_from(
            [
                "tcp",
                "tls:h:443",
                "tls:h:443:endpoint=recorder",
                "recorder",
                "stubborn:self=1",
                "systemd:INET:index=0",
                "haproxy",
                "haproxy:recorder",
                "haproxy:tcp",
                "nosuch",
                "stdio",
                "unix",
            ]
        ),
        secretive(),
    )
    def test_hidden(self, start: str, rest: str) -> None:
        """No error shows a secret, not even one in the words of a plugin."""

        def tell(keywords: dict[str, str]) -> Exception:
            return ValueError(f"cannot use {keywords!r}")

        self.patch(recorder, "failure", tell)
        description = Description((start.split(":")[0],), {})
        try:
            description = parse(f"{start}:{rest}")
        except BadDescription:
            assume(False)
        for make in (
            lambda: clientEndpoint(self.reactor, description),
            lambda: serverEndpoint(self.reactor, description),
            lambda: withAddress(description, host="h", port=1),
        ):
            found = self.shown(make)
            self.assertFalse(set(marks) & set(found), found)

    def test_told(self) -> None:
        """A plugin that shows a secret is neither quoted nor chained."""
        self.patch(recorder, "failure", lambda keywords: ValueError(str(keywords)))
        self.assertIn("xyz", self.shown(lambda: self.client("recorder:pin=xyz")))
        # The traceback shows this line, so the secret must not stand in it.
        found = self.shown(lambda: self.client(f"recorder:secret={'zyx'[::-1]}"))
        self.assertNotIn("xyz", found)
        self.assertIn("'recorder:secret=…'", found)
        self.assertIn("ValueError", found)


class WithAddressTests(SocketCommandTestCase):
    """The address of a connector, added to its socket command."""

    def test_added(self) -> None:
        """What is missing is added, and what is there already stays once."""
        for string, host, port, expected in (
            ("tcp", "h", 80, "tcp:host=h:port=80"),
            ("tcp:timeout=3", "h", 80, "tcp:timeout=3:host=h:port=80"),
            ("tcp", None, 0, "tcp:port=0"),
            ("tcp", None, None, "tcp"),
            ("tcp:h", None, 80, "tcp:h:port=80"),
            ("tcp:80", "h", None, "tcp:80:host=h"),
            ("tcp:port=080", None, 80, "tcp:port=080"),
            ("tcp:port=0", None, 0, "tcp:port=0"),
            ("tcp:host=h", "h", 80, "tcp:host=h:port=80"),
            ("tcp6:interface=\\:\\:1", None, 80, "tcp6:interface=\\:\\:1:port=80"),
            ("tls:trustRoots=ca", "h", 443, "tls:trustRoots=ca:host=h:port=443"),
            ("tls:h", None, 443, "tls:h:port=443"),
            ("tls:/pems", None, 443, "tls:/pems:port=443"),
            ("ssl:privateKey=k", None, 443, "ssl:privateKey=k:port=443"),
            ("haproxy:tcp", None, 80, "haproxy:tcp:port=80"),
            ("recorder:a", "h", 80, "recorder:a:host=h:port=80"),
            ("mtls:port=1", "\\:\\:1", 1, "mtls:port=1:host=\\\\\\:\\\\\\:1"),
            ("unix:/run/x", None, None, "unix:/run/x"),
            ("stdio", None, None, "stdio"),
        ):
            found = withAddress(parse(string), host=host, port=port)
            self.assertEqual(found.toString(), expected)

    def test_usable(self) -> None:
        """What is made so can be dialled, wherever the port was given."""
        for string, host, port in (
            ("tcp", "h", 80),
            ("tcp:80", "h", None),
            ("tcp:h", None, 80),
            ("tcp:host=h:port=80", "h", 80),
        ):
            description = withAddress(parse(string), host=host, port=port)
            clientEndpoint(self.reactor, description).connect(Factory())
            self.assertEqual(self.reactor.tcpClients.pop()[:2], ("h", 80), string)

    def test_conflict(self) -> None:
        """An address is given in one place."""
        for string, host, port, *said in (
            ("tcp:port=81", None, 80, "port=80", "'81'"),
            ("tcp:host=other", "h", None, "host=h", "'other'"),
            ("recorder:port=81", None, 80, "port=80", "'81'"),
            ("recorder:host=other", "h", None, "host=h", "'other'"),
        ):
            with self.assertRaises(BadOption) as caught:
                withAddress(parse(string), host=host, port=port)
            for each in (*said, f"'{string}'", "in one place"):
                self.assertIn(each, str(caught.exception), string)
        for make, string, host, port, *said in (
            (clientEndpoint, "tcp:h:80", "h", None, "host=h", "('h')"),
            (clientEndpoint, "tcp:h:80", None, 80, "port=80", "('80')"),
            (clientEndpoint, "tcp:80", "h", 80, "port=80", "('80')"),
            (clientEndpoint, "tls:h:443", None, 443, "port=443", "('443')"),
            (serverEndpoint, "tcp:81", None, 80, "port=80", "('81')"),
            (serverEndpoint, "haproxy:tcp:81", None, 80, "port=80", "('81')"),
            (serverEndpoint, "tls:/pems:444", None, 443, "port=443", "('444')"),
        ):
            description = withAddress(parse(string), host=host, port=port)
            with self.assertRaises(BadDescription) as caught:
                make(self.reactor, description)
            for each in (*said, "give it once"):
                self.assertIn(each, str(caught.exception), string)

    def test_noSuchOption(self) -> None:
        """Some types have no host or no port."""
        for make, string, host, port, said in (
            (clientEndpoint, "unix:/run/x", None, 80, "port=80"),
            (clientEndpoint, "unix:/run/x", "h", None, "host=h"),
            (serverEndpoint, "unix:/run/x", None, 80, "port=80"),
            (serverEndpoint, "systemd:INET:index=0", None, 80, "port=80"),
            (serverEndpoint, "haproxy:unix:/run/x", None, 80, "port=80"),
        ):
            description = withAddress(parse(string), host=host, port=port)
            with self.assertRaises(BadDescription) as caught:
                make(self.reactor, description)
            for each in (said, "no such option"):
                self.assertIn(each, str(caught.exception), string)


class RefusingReactor(MemoryReactorClock):
    """Cannot listen on IPv6, for a reason."""

    def __init__(self, reason: Exception) -> None:
        super().__init__()
        self._reason = reason

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> Any:
        if ":" in interface:
            raise CannotListenError(interface, port, self._reason)
        return super().listenTCP(port, factory, backlog, interface)


class ServerTests(SynchronousTestCase):
    """Listening on both families."""

    def listened(self, reactor: MemoryReactorClock) -> Any:
        """:returns: the Deferred of listening on port 7."""
        endpoint = DualStackServerEndpoint(reactor, 7, 300)
        self.assertTrue(IStreamServerEndpoint.providedBy(endpoint))
        return endpoint.listen(Factory())

    def test_both(self) -> None:
        """Listening on all addresses of IPv6 covers those of IPv4."""
        reactor = MemoryReactorClock()
        self.successResultOf(self.listened(reactor))
        [(port, _, backlog, interface)] = reactor.tcpServers
        self.assertEqual((port, backlog, interface), (7, 300, "::"))

    def test_withoutIPv6(self) -> None:
        """On a system without IPv6 those of IPv4 are listened on."""
        for number in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT):
            reactor = RefusingReactor(OSError(number, "no IPv6"))
            self.successResultOf(self.listened(reactor))
            [(port, _, backlog, interface)] = reactor.tcpServers
            self.assertEqual((port, backlog, interface), (7, 300, ""))

    def test_bindv6only(self) -> None:
        """
        Where the system has new IPv6 sockets for IPv6 alone, the port is of one that
        is not, and what fails there is a failure of listening.
        """
        self.patch(described, "_onlyIPv6", lambda: True)
        adopted: list[tuple[int, int]] = []

        class Adopting(MemoryReactorClock):
            def adoptStreamPort(self, fd: int, family: int, factory: Any) -> Any:
                with socket.socket(fileno=os.dup(fd)) as looked:
                    option = looked.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
                    adopted.append((family, option))
                    return looked.getsockname()[1]

        endpoint = DualStackServerEndpoint(Adopting(), 0)
        port = self.successResultOf(endpoint.listen(Factory()))
        self.assertEqual(adopted, [(socket.AF_INET6, 0)])
        with socket.create_server(("::", port), family=socket.AF_INET6):
            again = DualStackServerEndpoint(Adopting(), port).listen(Factory())
            failure = self.failureResultOf(again, CannotListenError)
        self.assertEqual(failure.value.socketError.errno, errno.EADDRINUSE)

    def test_otherFailures(self) -> None:
        """
        Any other failure is one: a port in use is not tried in half of the
        world instead.
        """
        for reason in (
            OSError(errno.EADDRINUSE, "in use"),
            OSError(errno.EACCES, "denied"),
            Exception("no number"),
        ):
            reactor = RefusingReactor(reason)
            failure = self.failureResultOf(self.listened(reactor), CannotListenError)
            self.assertIs(failure.value.socketError, reason)
            self.assertEqual(reactor.tcpServers, [])


class ClientTests(SynchronousTestCase):
    """Dialling names and addresses."""

    def test_dials(self) -> None:
        """A name's addresses are tried, of whichever family."""
        reactor = MemoryReactorClock()
        endpoint = plainClientEndpoint(reactor, "partner.example", 4000)
        self.assertTrue(IStreamClientEndpoint.providedBy(endpoint))
        connecting = endpoint.connect(Factory())
        # The memory reactor's resolver gives 127.0.0.1 for every name.
        host, port, *_ = reactor.tcpClients[0]
        self.assertEqual((host, port), ("127.0.0.1", 4000))
        connecting.cancel()
        self.failureResultOf(connecting).trap(CancelledError, Exception)
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_odd(self) -> None:
        """A name that is none by the rules of IDNA, but of a host, is dialled."""
        for host in ("my_host", "r3---sn.example"):
            reactor = MemoryReactorClock()
            plainClientEndpoint(reactor, host, 4000, 9, "::1").connect(Factory())
            [(dialled, port, _, timeout, bind)] = reactor.tcpClients
            self.assertEqual((dialled, port), (host, 4000))
            self.assertEqual((timeout, bind), (9, ("::1", 0)))

    def test_zone(self) -> None:
        """An address is dialled in its zone."""
        reactor = MemoryReactorClock()
        plainClientEndpoint(reactor, "fe80::1%eth0", 4000).connect(Factory())
        self.assertEqual(reactor.tcpClients[0][:2], ("fe80::1%eth0", 4000))

    def test_sideBySide(self) -> None:
        """Of a name's addresses the next one is tried while one is silent."""

        @implementer(IHostnameResolver)
        class Resolver:
            def resolveHostName(
                self, receiver: Any, hostName: str, portNumber: int = 0, *rest: Any
            ) -> Any:
                receiver.resolutionBegan(None)
                receiver.addressResolved(IPv6Address("TCP", "2001:db8::7", portNumber))
                receiver.addressResolved(IPv4Address("TCP", "192.0.2.7", portNumber))
                receiver.resolutionComplete()
                return receiver

        reactor = MemoryReactorClock()
        reactor.installNameResolver(Resolver())
        connecting = plainClientEndpoint(reactor, "both", 4000).connect(Factory())
        reactor.advance(1)
        dialled = [(host, port) for host, port, *_ in reactor.tcpClients]
        self.assertEqual(dialled, [("2001:db8::7", 4000), ("192.0.2.7", 4000)])
        connecting.cancel()
        self.failureResultOf(connecting)
        self.assertEqual(reactor.getDelayedCalls(), [])
