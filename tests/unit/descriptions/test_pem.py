"""Tests for :mod:`twisted_transfer.descriptions.pem`."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from tests.support.pems import WEAK, certificatePEM, keyPEM, makeKey
from twisted_transfer.descriptions.pem import (
    checkDHParameters,
    loadAuthorities,
    loadCertificates,
    loadIdentity,
    loadKey,
    loadServed,
    readFile,
)
from twisted_transfer.descriptions.values import UnfitError

# The group ffdhe2048 of RFC 7919; others take long to make:
# openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048
PARAMETERS = b"""\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


@contextmanager
def withoutPermission(path: Path) -> Iterator[None]:
    """
    Take the permission to read a file or directory away, from root as well.

    :param path: the file or directory.
    """
    mode = path.stat().st_mode
    user = os.geteuid()
    path.chmod(0)
    try:
        if user == 0:
            # Everything may be read by root, so be somebody else ("nobody").
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        path.chmod(mode)


class FileTestCase(SynchronousTestCase):
    """A test with files."""

    def setUp(self) -> None:
        """Make a directory that everybody may look into."""
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.directory.chmod(0o755)

    def file(self, name: str, content: bytes) -> str:
        """Write a file and give its path."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def assertUnfit(self, check: Callable[[], object], *said: str) -> None:
        """Require a fault that says each of these."""
        with self.assertRaises(UnfitError) as caught:
            check()
        for each in said:
            self.assertIn(each, str(caught.exception))


class ReadFileTests(FileTestCase):
    """Reading what an option names."""

    def test_content(self) -> None:
        """What is in the file is what is given."""
        self.assertEqual(readFile(self.file("a", b"\x00\r\n")), b"\x00\r\n")

    def test_missing(self) -> None:
        """A file that is not there is a fault that says so."""
        self.assertUnfit(
            lambda: readFile(str(self.directory / "none")),
            "No such file or directory",
            "path of a PEM file",
        )

    def test_permission(self) -> None:
        """A file that this program may not read is a fault that says so."""
        path = self.file("a", b"")
        readFile(path)
        with withoutPermission(Path(path)):
            self.assertUnfit(lambda: readFile(path), "Permission denied")

    def test_notRegular(self) -> None:
        """A directory, and a pipe, which nobody may ever write to, are faults."""
        pipe = self.directory / "pipe"
        os.mkfifo(pipe)
        for path in (pipe, self.directory):
            self.assertUnfit(partial(readFile, str(path)), "regular file")

    def test_noPath(self) -> None:
        """What cannot be a path is a fault like any other."""
        for path in ("", "a\0b", "a\udc80b\ud800"):
            self.assertUnfit(partial(readFile, path), "cannot be read")


class ExposedTests(FileTestCase):
    """Private keys that all users of the machine can read."""

    def warned(self, call: Callable[[], object]) -> list[str]:
        """Call something, and give the warnings that it logs."""
        with capturedLogs() as events:
            call()
        for event in events:
            self.assertEqual(event["log_level"], LogLevel.warn)
        return [formatEvent(event) for event in events]

    def test_exposed(self) -> None:
        """Wherever a key is read, one warning names the file and what mends it."""
        key = makeKey()
        certificate, private = certificatePEM(key, "a.example"), keyPEM(key)
        both = self.file("own/my own.pem", certificate + private)
        alone = self.file("key.pem", private)
        options = {"certificate": self.file("c", certificate), "privateKey": alone}
        one = {"certificate": both, "privateKey": both}
        for path, read in (
            (both, partial(loadIdentity, {"certificate": both})),
            (both, partial(loadIdentity, one)),
            (both, partial(loadServed, os.path.dirname(both))),
            (alone, partial(loadIdentity, options)),
        ):
            for mode, number in ((0o644, 1), (0o640, 0), (0o600, 0)):
                os.chmod(path, mode)
                said = self.warned(read)
                self.assertEqual(len(said), number, (path, oct(mode)))
                for each in said:
                    self.assertIn(f"can read {path}, which holds a private key", each)
                    self.assertIn(f"chmod 600 {shlex.quote(path)}", each)

    def test_certificate(self) -> None:
        """Certificates are for all to read."""
        key = makeKey()
        options = {
            "certificate": self.file("own/c.pem", certificatePEM(key, "a.example")),
            "privateKey": self.file("own/key.pem", keyPEM(key)),
        }
        for path, mode in zip(options.values(), (0o644, 0o600), strict=True):
            os.chmod(path, mode)
        for read in (
            partial(loadIdentity, options),
            partial(loadServed, str(self.directory / "own")),
        ):
            self.assertEqual(self.warned(read), [])


class LoadTests(FileTestCase):
    """What PEM files hold."""

    def test_key(self) -> None:
        """A key is found among other things."""
        key = makeKey()
        text = certificatePEM(key) + b"noise\n" + keyPEM(key)
        self.assertEqual(loadKey(text).public_key(), key.public_key())

    def test_noKey(self) -> None:
        """Without a key there is a fault that says so."""
        for text in (
            b"",
            b"nonsense",
            certificatePEM(makeKey()),
            keyPEM(makeKey())[:90],
        ):
            self.assertUnfit(partial(loadKey, text), "no private key in PEM")

    def test_encrypted(self) -> None:
        """An encrypted key is a fault, and nobody is asked."""
        encrypted = keyPEM(makeKey(), b"xyz")
        self.assertUnfit(lambda: loadKey(encrypted), "encrypted", "openssl pkey")

    def test_noCertificate(self) -> None:
        """Without a certificate there is a fault that says so."""
        whole = certificatePEM(makeKey())
        for text in (b"", b"nonsense", keyPEM(makeKey()), whole[:200]):
            self.assertUnfit(partial(loadCertificates, text), "no certificate")

    def test_pair(self) -> None:
        """A certificate and its key are a pair, with another key they are not."""
        key = makeKey()
        options = {
            "certKey": self.file("cert", certificatePEM(key)),
            "privateKey": self.file("key", keyPEM(key)),
        }
        loaded = loadIdentity(options, "certKey")
        assert loaded is not None
        self.assertEqual(loaded.privateKey.public_key(), key.public_key())
        self.assertEqual(loaded.certificate.public_key(), key.public_key())
        self.assertEqual(loaded.chain, ())
        self.file("key", keyPEM(makeKey()))
        self.assertUnfit(
            lambda: loadIdentity(options, "certKey"), "do not belong together"
        )

    def test_weak(self) -> None:
        """A pair that OpenSSL refuses to use is a fault, not a later surprise."""
        path = self.file("weak", WEAK)
        self.assertUnfit(
            lambda: loadIdentity({"certificate": path}),
            "key too small",
            "make a new one",
        )


class DHParametersTests(FileTestCase):
    """Diffie-Hellman parameters, which Twisted loads at the first handshake."""

    def test_parameters(self) -> None:
        """Parameters are right."""
        checkDHParameters(self.file("dh", PARAMETERS))

    def test_others(self) -> None:
        """Anything else is a fault that says how to make some."""
        path = self.file("dh", certificatePEM(makeKey()))
        self.assertUnfit(lambda: checkDHParameters(path), "openssl dhparam")
        self.assertUnfit(lambda: checkDHParameters("/nonexistent"), "openssl dhparam")


class AuthoritiesTests(FileTestCase):
    """Folders of authorities, in which what is broken is passed over."""

    def load(self) -> int:
        """Load the folder."""
        return len(loadAuthorities(str(self.directory), ".pem"))

    def test_readable(self) -> None:
        """What can be read is loaded, whatever is beside it."""
        self.file("a.pem", b"nonsense")
        self.file("z.PEM", certificatePEM(makeKey()))
        self.file("readme", b"hello")
        (self.directory / "dangling.pem").symlink_to(self.directory / "none")
        self.assertEqual(self.load(), 1)

    def test_none(self) -> None:
        """A folder in which nobody is trusted is a fault."""
        self.assertUnfit(self.load, "nobody would be trusted", ".pem")
        self.file("ca.crt", certificatePEM(makeKey()))
        self.file("a.pem", b"nonsense")
        self.assertUnfit(self.load, "nobody would be trusted", ".pem")

    def test_permission(self) -> None:
        """So is one that may not be read, or whose files may not."""
        path = self.file("a.pem", certificatePEM(makeKey()))
        self.assertEqual(self.load(), 1)
        for unreadable in (Path(path), self.directory):
            with withoutPermission(unreadable):
                self.assertUnfit(self.load, "nobody would be trusted")

    def test_notFolder(self) -> None:
        """So is what is no folder."""
        for path in (self.file("ca.pem", certificatePEM(makeKey())), "/none", "a\0b"):
            self.assertUnfit(
                partial(loadAuthorities, path, ".pem"), "nobody would be trusted"
            )


class KindTests(FileTestCase):
    """Keys with which OpenSSL begins handshakes that it can never complete."""

    def assertRefused(self, key: bytes, certificate: bytes) -> None:
        """Require that a key is refused wherever one is loaded."""
        paths = {
            "certificate": self.file("own/own.pem", certificate + key),
            "certKey": self.file("cert.pem", certificate),
            "privateKey": self.file("key.pem", key),
        }
        for check in (
            partial(loadIdentity, {"certificate": paths["certificate"]}),
            partial(loadIdentity, paths, "certKey"),
            partial(loadServed, str(self.directory / "own")),
        ):
            self.assertUnfit(check, "no TLS handshake can be completed", "P-256")

    def test_curve(self) -> None:
        """One on a curve that TLS has no name for."""
        key = ec.generate_private_key(ec.SECP256K1())
        self.assertRefused(keyPEM(key), certificatePEM(key, "a.example"))

    @pytest.mark.needs("openssl")
    def test_pss(self) -> None:
        """An RSA key for PSS alone."""
        kind = ("-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048")
        files = ("-nodes", "-keyout", "k", "-out", "c")
        subprocess.run(
            ["openssl", "req", "-x509", "-subj", "/CN=a", *kind, *files],
            cwd=self.directory,
            check=True,
            stderr=subprocess.DEVNULL,
        )
        key, certificate = (self.directory / name for name in "kc")
        self.assertRefused(key.read_bytes(), certificate.read_bytes())

    def test_good(self) -> None:
        """The other kinds are taken."""
        keys: list[Any] = [
            ec.generate_private_key(ec.SECP384R1()),
            rsa.generate_private_key(65537, 2048),
        ]
        for key in keys:
            path = self.file("own.pem", certificatePEM(key, "a.example") + keyPEM(key))
            self.assertIsNotNone(loadIdentity({"certificate": path}))


class ServedTests(FileTestCase):
    """Folders of what a TLS server serves."""

    def check(self) -> None:
        """Check the folder."""
        loadServed(str(self.directory))

    def test_files(self) -> None:
        """Certificate and key may be in one file, in two, or further down."""
        key = makeKey()
        certificate = certificatePEM(key, "a.example")
        whole = self.file("a.pem", certificate + keyPEM(key))
        self.check()
        loadServed(whole)
        os.remove(whole)
        self.file("sub/key.pem", keyPEM(key))
        self.file("cert.pem", certificate)
        self.file("notes.txt", b"-----BEGIN nonsense")
        self.check()

    def test_nothing(self) -> None:
        """A folder without a key is a fault; Twisted would listen all the same."""
        self.assertUnfit(self.check, "nothing here can be served", "DNS name")
        key = makeKey()
        self.file("cert.pem", certificatePEM(key, "a.example"))
        self.file("key.txt", keyPEM(key))
        self.assertUnfit(self.check, "nothing here can be served")
        for path in ("/nonexistent", "a\0b"):
            self.assertUnfit(partial(loadServed, path), "nothing here can be served")

    def shown(self, name: bytes | None) -> list[x509.Certificate]:
        """:returns: the chain that a client sees."""
        context = loadServed(str(self.directory)).getContext()
        server = SSL.Connection(context, None)
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        server.set_accept_state()
        client.set_connect_state()
        if name is not None:
            client.set_tlsext_host_name(name)
        for side, other in ((client, server), (server, client), (client, server)):
            with contextlib.suppress(SSL.WantReadError):
                side.do_handshake()
            other.bio_write(side.bio_read(65536))
        return client.get_peer_cert_chain(as_cryptography=True) or []

    def test_names(self) -> None:
        """A client sees the certificate for the name that it asks for, or the first."""
        chains = {}
        for name in ("a.example", "b.example", "*.c.example"):
            key = makeKey()
            pem = certificatePEM(key, name)
            self.file(f"{name.strip('*.')}.pem", pem + keyPEM(key))
            chains[name] = x509.load_pem_x509_certificates(pem)
        first = self.shown(None)
        self.assertIn(first, chains.values())
        for asked, expected in (
            (b"a.example", chains["a.example"]),
            (b"b.example", chains["b.example"]),
            (b"x.c.example", chains["*.c.example"]),
            (b"c.example", first),
            (b"x.a.example", first),
            (b"\xff.example", first),
        ):
            self.assertEqual(self.shown(asked), expected, asked)

    def test_chain(self) -> None:
        """The authorities that are in the folder are shown behind the certificate."""
        authority = Authority(newFolder(self))
        paths = [*authority.issue(), authority.trustRoots / "ca.pem"]
        for path in paths:
            self.file(f"{path.name}.pem", path.read_bytes())
        self.assertEqual(
            self.shown(b"localhost"),
            [
                x509.load_pem_x509_certificate(path.read_bytes())
                for path in (paths[0], paths[2])
            ],
        )

    def test_encrypted(self) -> None:
        """So is an encrypted key, for which Twisted would ask on the terminal."""
        key = makeKey()
        self.file("a.pem", certificatePEM(key, "a.example") + keyPEM(key))
        self.file("sub/b.pem", keyPEM(makeKey(), b"xyz"))
        self.assertUnfit(self.check, "encrypted")

    def test_manners(self) -> None:
        """Byte order marks, and blocks of other kinds, are nothing to it."""
        key = makeKey()
        certificate = certificatePEM(key, "a.example")
        self.file("cert.pem", certificate)
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n" + (
            b"-----END EC PARAMETERS-----\n"
        )
        request = certificate.replace(b"CERTIFICATE", b"CERTIFICATE REQUEST")
        for content in (
            b"\xef\xbb\xbf" + keyPEM(key),
            certificate + b"\xef\xbb\xbf" + keyPEM(key),
            parameters + keyPEM(key),
            (parameters + keyPEM(key)).replace(b"\n", b"\r\n"),
            keyPEM(key) + request,
        ):
            self.file("the key.pem", content)
            self.assertEqual(
                self.shown(b"a.example"), x509.load_pem_x509_certificates(certificate)
            )

    def test_one(self) -> None:
        """All the keys of one file are found."""
        text, expected = b"", {}
        for name in ("a.example", "b.example"):
            key = makeKey()
            pem = certificatePEM(key, name)
            text += pem + keyPEM(key)
            expected[name.encode()] = x509.load_pem_x509_certificates(pem)
        self.file("all.pem", text)
        for asked, chain in expected.items():
            self.assertEqual(self.shown(asked), chain)

    def test_broken(self) -> None:
        """So is a file with a broken key or certificate, which is named."""
        key = makeKey()
        certificate = certificatePEM(key, "a.example")
        self.file("own.pem", certificate + keyPEM(key))
        for content in (keyPEM(key), certificate):
            lines = content.splitlines(keepends=True)
            path = self.file("other.pem", b"".join([lines[0], *lines[2:]]))
            self.assertUnfit(self.check, f"{path} cannot be read")

    def test_permission(self) -> None:
        """So is what may not be read."""
        key = makeKey()
        path = self.file("a.pem", certificatePEM(key, "a.example") + keyPEM(key))
        self.check()
        with withoutPermission(Path(path)):
            self.assertUnfit(self.check, "Permission denied")
        with withoutPermission(self.directory):
            self.assertUnfit(self.check, "nothing here can be served")

    def test_loop(self) -> None:
        """A folder that contains itself is a fault, not an endless walk."""
        (self.directory / "loop").symlink_to(self.directory)
        self.assertUnfit(self.check, "nothing here can be served")
