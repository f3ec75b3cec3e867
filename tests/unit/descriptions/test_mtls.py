"""
Tests for :mod:`twisted_transfer.descriptions.mtls`: an invalid description is refused
at once, in words, and nobody is asked for anything.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import termios
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.mtlsends import identityFiles
from tests.support.pems import certificatePEM, keyPEM, makeKey
from tests.support.programs import Program
from twisted_transfer import BadDescription, TransferConnector
from twisted_transfer.tls.client import NEXT_HOST, MutualTLSClientEndpoint
from twisted_transfer.tls.keys import Identity, Secret

_PASSPHRASE = b"correct horse"
_PIN = Identity.ephemeral().pin
_SECRET = Secret.fresh().text


class SeveralHostsTests(SynchronousTestCase):
    """Several hosts of one partner."""

    def test_read(self) -> None:
        """They stand where one stands, with commas between them."""
        reactor = MemoryReactorClock()
        proof = f"pin={_PIN}:secret={_SECRET}"
        for text in (
            rf"mtls:host=192.0.2.7,fd00\:\:1:port=4000:{proof}",
            rf"mtls:192.0.2.7,fd00\:\:1:4000:{proof}",
        ):
            endpoint = clientFromString(reactor, text)
            connecting = endpoint.connect(Factory.forProtocol(Protocol))
            reactor.advance(NEXT_HOST)
            dialled = [host for host, *_ in reactor.tcpClients]
            self.assertEqual(dialled, ["192.0.2.7", "fd00::1"])
            connecting.cancel()
            self.failureResultOf(connecting)
            reactor.tcpClients.clear()

    def test_invalid(self) -> None:
        """Each of them is checked."""
        reactor = MemoryReactorClock()
        for hosts in ("192.0.2.7,", "a,b c", ",a"):
            text = f"mtls:host={hosts}:port=4000:pin={_PIN}:secret={_SECRET}"
            self.assertRaises(BadDescription, clientFromString, reactor, text)


class StringsTestCase(SynchronousTestCase):
    """What these tests have in common: a certificate with its key, in files."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        key = makeKey()
        self.certificate = self.file("me.pem", certificatePEM(key, "localhost"))
        self.key = self.file("me.key", keyPEM(key))
        self.encrypted = self.file("encrypted.key", keyPEM(key, _PASSPHRASE))
        self.roots = self.file("roots.pem", certificatePEM(makeKey()))
        self.me = f"certificate={self.certificate}:privateKey={self.key}"

    def file(self, name: str, content: bytes) -> Path:
        """Write a file and give its path."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def assertBad(self, description: str, *said: str) -> str:
        """
        Require that a description is refused, by whatever it is read.

        :param description: of a client if it has ``host=``, else of a server.
        :param said: what the message says.
        :returns: all that a traceback shows of it.
        """
        reactor = MemoryReactorClock()
        dials = "host=" in description
        mode = "active" if dials else "passive"
        read = clientFromString if dials else serverFromString
        with self.assertRaises(BadDescription) as caught:
            read(reactor, description)
        with self.assertRaises(BadDescription) as again:
            TransferConnector.fromString(reactor, f"transfer:{mode}:{description}")
        shown = ""
        for each in (caught.exception, again.exception):
            for words in said:
                self.assertIn(words, str(each))
            shown += "".join(traceback.format_exception(each))
        return shown


class EncryptedKeyTests(StringsTestCase):
    """A private key that needs a passphrase, which nobody can give."""

    _ADVICE = ("encrypted", "openssl pkey -in KEY -out DECRYPTED")

    def test_bothSides(self) -> None:
        """It is refused, on both sides, in words that say what to do."""
        proof = f"certificate={self.certificate}:privateKey={self.encrypted}"
        for where in ("mtls:host=h:port=1", "mtls:port=0"):
            self.assertBad(f"{where}:{proof}:pin={_PIN}", "privateKey=", *self._ADVICE)

    def test_oneFile(self) -> None:
        """The same where it stands in one file with the certificate."""
        both = self.file(
            "both.pem", self.certificate.read_bytes() + self.encrypted.read_bytes()
        )
        for where in ("mtls:host=h:port=1", "mtls:port=0"):
            self.assertBad(
                f"{where}:certificate={both}:pin={_PIN}", "certificate=", *self._ADVICE
            )

    def test_allForms(self) -> None:
        """The same in each of the forms in which openssl encrypts keys."""
        key = makeKey()
        certificate = self.file("own.pem", certificatePEM(key))
        for kind, mark in (
            (PrivateFormat.PKCS8, b"BEGIN ENCRYPTED PRIVATE KEY"),
            (PrivateFormat.TraditionalOpenSSL, b"Proc-Type: 4,ENCRYPTED"),
        ):
            pem = key.private_bytes(
                Encoding.PEM, kind, BestAvailableEncryption(_PASSPHRASE)
            )
            self.assertIn(mark, pem)
            path = self.file("own.key", pem)
            self.assertBad(
                f"mtls:port=0:certificate={certificate}:privateKey={path}:pin={_PIN}",
                *self._ADVICE,
            )

    @pytest.mark.needs("openssl")
    def test_decrypted(self) -> None:
        """The advice that is given is good."""
        decrypted = self.folder / "decrypted.key"
        subprocess.run(
            [
                *(
                    "openssl",
                    "pkey",
                    "-in",
                    str(self.encrypted),
                    "-out",
                    str(decrypted),
                ),
                *("-passin", f"pass:{_PASSPHRASE.decode()}"),
            ],
            check=True,
        )
        serverFromString(
            MemoryReactorClock(),
            f"mtls:port=0:certificate={self.certificate}:privateKey={decrypted}"
            f":pin={_PIN}",
        )

    def test_nobodyIsAsked(self) -> None:
        """
        The command has a terminal of its own, on which OpenSSL would ask: it
        ends by itself, and has asked nothing.
        """

        def haveTerminal() -> None:
            os.setsid()
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)

        proof = f"certificate={self.certificate}:privateKey={self.encrypted}"
        for where in ("active:mtls:host=localhost:port=1", "passive:mtls:port=0"):
            program = Program(
                self,
                [
                    *("receive", "--raw", str(self.folder / "target")),
                    f"transfer:{where}:{proof}:pin={_PIN}",
                ],
                terminal=True,
                setUp=haveTerminal,
            )
            self.assertEqual(program.end(), 2, program.said)
            words = " ".join(program.said.split())
            self.assertIn("the private key is encrypted", words)
            self.assertNotIn("pass phrase", words)
            self.assertNotIn("Traceback", words)

    def test_itWouldBeAsked(self) -> None:
        """
        What the test before this has set up is what OpenSSL asks on: Python's
        own ``ssl`` does so there.
        """

        def haveTerminal() -> None:
            os.setsid()
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)

        program = Program(
            self,
            [str(self.certificate), str(self.encrypted)],
            command=(
                sys.executable,
                "-c",
                "import ssl, sys; ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)"
                ".load_cert_chain(*sys.argv[1:])",
            ),
            terminal=True,
            setUp=haveTerminal,
        )
        program.hears("pass phrase")


class IdentityTests(StringsTestCase):
    """Who this side is."""

    def test_good(self) -> None:
        """Certificate and key, in two files or in one, or a secret."""
        both = self.file("both", self.certificate.read_bytes() + self.key.read_bytes())
        reactor = MemoryReactorClock()
        for proof in (f"{self.me}:pin={_PIN}", f"certificate={both}:pin={_PIN}"):
            serverFromString(reactor, f"mtls:port=0:{proof}")
            clientFromString(reactor, f"mtls:host=h:port=1:{proof}")
        made = clientFromString(
            reactor, f"mtls:host=h:port=1:pin={_PIN}:secret={_SECRET}"
        )
        self.assertIsInstance(made, MutualTLSClientEndpoint)

    def test_nothing(self) -> None:
        """Nothing says who it is."""
        for where in ("mtls:host=h:port=1", "mtls:port=0"):
            with self.assertRaisesRegex(BadDescription, "who this side is"):
                read = clientFromString if "host" in where else serverFromString
                read(MemoryReactorClock(), f"{where}:trustRoots={self.roots}")

    def test_keyAlone(self) -> None:
        """A key without a certificate."""
        self.assertBad(
            f"mtls:host=h:port=1:privateKey={self.key}:pin={_PIN}",
            "without certificate=",
        )
        # A passive connector would make an invitation of it.
        with self.assertRaisesRegex(BadDescription, "without certificate="):
            serverFromString(
                MemoryReactorClock(), f"mtls:port=0:privateKey={self.key}:pin={_PIN}"
            )

    def test_otherKey(self) -> None:
        """A certificate with the key of another."""
        other = self.file("other.key", keyPEM(makeKey()))
        self.assertBad(
            f"mtls:port=0:certificate={self.certificate}:privateKey={other}:pin={_PIN}",
            "do not belong together",
        )

    def test_files(self) -> None:
        """Files that are not there, or hold something else."""
        missing = self.folder / "missing"
        for certificate, key, words in (
            (missing, self.key, "No such file"),
            (self.certificate, missing, "No such file"),
            (self.key, self.key, "no certificate"),
            (self.certificate, self.certificate, "no private key"),
            (self.folder, self.key, "regular file"),
        ):
            self.assertBad(
                f"mtls:port=0:certificate={certificate}:privateKey={key}:pin={_PIN}",
                words,
            )

    def test_secretAndCertificate(self) -> None:
        """A secret is an identity, and there can be only one."""
        shown = self.assertBad(
            f"mtls:host=h:port=1:{self.me}:pin={_PIN}:secret={_SECRET}",
            "leave certificate= and privateKey= out",
        )
        self.assertNotIn(_SECRET, shown)

    def test_secretOfAServer(self) -> None:
        """A server has no secret to give."""
        shown = self.assertBad(
            f"mtls:port=0:{self.me}:pin={_PIN}:secret={_SECRET}", "no such option"
        )
        self.assertNotIn(_SECRET, shown)

    @given(st.text(st.characters(codec="ascii", exclude_characters=":\\="), min_size=9))
    def test_badSecrets(self, text: str) -> None:
        """What cannot be a secret is in no traceback of the error that says so."""
        description = f"mtls:host=h:port=1:pin={_PIN}:secret={text}"
        with self.assertRaises(BadDescription) as caught:
            clientFromString(MemoryReactorClock(), description)
        shown = "".join(traceback.format_exception(caught.exception))
        if text.strip():
            self.assertNotIn(text, str(caught.exception))
        self.assertNotIn(f"secret={text}", shown)

    def test_halfAnInvitation(self) -> None:
        """A secret without a pin would be shown to anybody who listens there."""
        shown = self.assertBad(f"mtls:host=h:port=1:secret={_SECRET}", "whole")
        self.assertNotIn(_SECRET, shown)


class AcceptanceTests(StringsTestCase):
    """Whom this side accepts."""

    def test_serverNeedsSomebody(self) -> None:
        """A server that would accept everybody is refused."""
        self.assertBad(f"mtls:port=0:{self.me}", "whom to accept")

    def test_pins(self) -> None:
        """One pin, or several; nothing else, and not none."""
        reactor = MemoryReactorClock()
        for good in (_PIN, f"{_PIN},{Identity.ephemeral().pin}"):
            serverFromString(reactor, f"mtls:port=0:{self.me}:pin={good}")
        for bad in ("", ",", "x", _PIN[:-1], f"{_PIN}A", f"{_PIN},x", _PIN + "="):
            for where in ("mtls:port=0", "mtls:host=h:port=1"):
                words = "43 letters" if bad.strip(",") else "give the pin"
                self.assertBad(f"{where}:{self.me}:pin={bad}", words)

    def test_roots(self) -> None:
        """Authorities in a file, or in a folder, whatever else is in that."""
        folder = self.folder / "roots"
        folder.mkdir()
        where = f"mtls:port=0:{self.me}:trustRoots={folder}"
        self.assertBad(where, "no certificate")
        (folder / "dangling.pem").symlink_to(self.folder / "missing")
        (folder / "key.pem").write_bytes(self.key.read_bytes())
        (folder / "README").write_bytes(self.roots.read_bytes())
        self.assertBad(where, "no certificate")
        (folder / "one.CRT").write_bytes(self.roots.read_bytes())
        serverFromString(MemoryReactorClock(), where)
        for path, words in (
            (self.folder / "missing", "No such file"),
            (self.key, "no certificate"),
        ):
            self.assertBad(f"mtls:port=0:{self.me}:trustRoots={path}", words)

    def test_authoritysIdentity(self) -> None:
        """What an authority issues goes with the authority."""
        authority = Authority(self.folder / "authority")
        certificate, key = authority.issue()
        serverFromString(
            MemoryReactorClock(),
            f"mtls:port=0:certificate={certificate}:privateKey={key}"
            f":trustRoots={authority.trustRoots}",
        )


class PlaceTests(StringsTestCase):
    """Where it dials or listens."""

    def test_places(self) -> None:
        """Host and port are needed, and have to be such."""
        for where, words in (
            ("mtls:host=h", "port is missing"),
            ("mtls:host=h:port=0", "from 1 to 65535"),
            ("mtls:host=:port=1", "without spaces"),
            ("mtls:host=h:port=1:nonsense=1", "no such option"),
            ("mtls:host=h:port=1:timeout=x", "number of seconds"),
            ("mtls:host=h:port=1:timeout=0", "number of seconds"),
            ("mtls:host=h:port=1:bindAddress=", "without spaces"),
            ("mtls:port=65536", "from 0 to 65535"),
            ("mtls:interface=127.0.0.1", "port is missing"),
            ("mtls:port=0:interface=a b", "without spaces"),
            ("mtls:port=0:backlog=x", "a backlog is a number"),
        ):
            self.assertBad(f"{where}:{self.me}:pin={_PIN}", words)

    def test_hostNames(self) -> None:
        """
        A name that cannot be looked up is refused at once, not in the
        middle of a handshake.
        """
        for name in ("ä" * 60, "\u05d0a.example", "xn--ä.example"):
            for where in (f"host={name}", f"host=192.0.2.7:hostname={name}"):
                option = "hostname" if "hostname" in where else "host"
                self.assertBad(
                    f"mtls:{where}:port=1:{self.me}:pin={_PIN}", f"{option}=", "IDNA"
                )
        for name in ("bücher.example", "a.example.", "192.0.2.7", r"2001\:db8\:\:7"):
            clientFromString(
                MemoryReactorClock(),
                f"mtls:host={name}:port=1:{self.me}:pin={_PIN}",
            )

    def test_wrapped(self) -> None:
        """
        What is wrong with the endpoint under it is said as it is of any other,
        also where the side under it would make an invitation.
        """
        for wrapped, words in (
            (r"nosuch\:1", "'nosuch'"),
            ("tcp", "is missing"),
            ("", "names no type"),
            ("unix", "is missing"),
        ):
            self.assertBad(
                f"mtls:host=h:port=1:{self.me}:pin={_PIN}:endpoint={wrapped}", words
            )
            self.assertBad(f"mtls:{self.me}:pin={_PIN}:endpoint={wrapped}", words)
            with self.assertRaisesRegex(BadDescription, words):
                TransferConnector.fromString(
                    MemoryReactorClock(), f"transfer:passive:mtls:endpoint={wrapped}"
                )

    def test_secretInTheWrapped(self) -> None:
        """A secret that stands where it cannot is not shown."""
        shown = self.assertBad(
            f"mtls:host=h:port=1:{self.me}:pin={_PIN}"
            rf":endpoint=tcp\:h\:port=1\:secret={_SECRET}",
            "no such option",
        )
        self.assertNotIn(_SECRET, shown)

    def test_invitationHasNoFiles(self) -> None:
        """What makes an invitation does not ask for anything that it would ignore."""
        for option in (f"pin={_PIN}", f"privateKey={self.key}", "trustRoots=/x"):
            with self.assertRaisesRegex(BadDescription, "makes an identity"):
                TransferConnector.fromString(
                    MemoryReactorClock(), f"transfer:passive:mtls:port=0:{option}"
                )

    def test_listens(self) -> None:
        """It listens where it is said, on TLS over that."""
        for interface, host in (
            ("127.0.0.1", "127.0.0.1"),
            (r"\:\:1", "::1"),
        ):
            reactor = MemoryReactorClock()
            endpoint = serverFromString(
                reactor,
                f"mtls:port=4000:interface={interface}:backlog=7:{self.me}:pin={_PIN}",
            )
            self.successResultOf(endpoint.listen(Factory()))
            [(port, _, backlog, bound)] = reactor.tcpServers
            self.assertEqual((port, backlog, bound), (4000, 7, host))

    def test_identityFilesOfSecrets(self) -> None:
        """
        A derived key may be kept in files: it is a key like any other, and then
        good for more than one admission.
        """
        identity = Secret.fromText(_SECRET).identity()
        certificate, key = identityFiles(self.folder, identity, "derived")
        clientFromString(
            MemoryReactorClock(),
            f"mtls:host=h:port=1:certificate={certificate}:privateKey={key}:pin={_PIN}",
        )
