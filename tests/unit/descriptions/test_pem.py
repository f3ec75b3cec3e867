"""Tests for :mod:`twisted_transfer.descriptions.pem`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from tests.support.pems import WEAK, certificatePEM, keyPEM, makeKey
from twisted_transfer.descriptions.pem import (
    checkChain,
    checkDHParameters,
    checkPair,
    checkServerDirectory,
    checkTrustRoots,
    loadCertificate,
    loadKey,
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
            self.assertIn(each, caught.exception.reason)


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


class LoadTests(FileTestCase):
    """What PEM files hold."""

    def test_key(self) -> None:
        """A key is found among other things."""
        key = makeKey()
        text = certificatePEM(key) + b"noise\n" + keyPEM(key)
        self.assertEqual(
            crypto.dump_publickey(crypto.FILETYPE_PEM, loadKey(text)),
            key.public_key().public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            ),
        )

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
            self.assertUnfit(partial(loadCertificate, text), "no certificate")

    def test_pair(self) -> None:
        """A certificate and its key are a pair, with another key they are not."""
        key = makeKey()
        certificate = loadCertificate(certificatePEM(key))
        checkPair(certificate, loadKey(keyPEM(key)))
        self.assertUnfit(
            lambda: checkPair(certificate, loadKey(keyPEM(makeKey()))),
            "do not belong together",
        )

    def test_weak(self) -> None:
        """A pair that OpenSSL refuses to use is a fault, not a later surprise."""
        self.assertUnfit(
            lambda: checkPair(loadCertificate(WEAK), loadKey(WEAK)),
            "key too small",
            "make a new one",
        )


class ChainTests(FileTestCase):
    """Intermediate certificates."""

    def test_chain(self) -> None:
        """A file with several certificates is right."""
        checkChain(
            self.file("c", certificatePEM(makeKey()) + certificatePEM(makeKey()))
        )

    def test_broken(self) -> None:
        """A file without a certificate, or with a broken one, is a fault."""
        good = certificatePEM(makeKey())
        broken = good.replace(b"\nMI", b"\nXX")
        self.assertNotEqual(broken, good)
        for content in (b"", keyPEM(makeKey()), broken, good + broken):
            path = self.file("c", content)
            self.assertUnfit(partial(checkChain, path), "no certificate")
        self.assertUnfit(lambda: checkChain("/nonexistent"), "No such file")


class DHParametersTests(FileTestCase):
    """Diffie-Hellman parameters, which Twisted loads at the first handshake."""

    def test_parameters(self) -> None:
        """Parameters are right."""
        checkDHParameters(self.file("dh", PARAMETERS))

    def test_others(self) -> None:
        """Anything else is a fault that says how to make some."""
        path = self.file("dh", certificatePEM(makeKey()))
        self.assertUnfit(lambda: checkDHParameters(path), "openssl dhparam")
        self.assertUnfit(lambda: checkDHParameters("/nonexistent"), "No such file")


class TrustRootsTests(FileTestCase):
    """Directories of authorities, of which Twisted passes over what is broken."""

    def check(self) -> None:
        """Check the directory."""
        checkTrustRoots(str(self.directory))

    def test_one(self) -> None:
        """One readable authority is enough, whatever is beside it."""
        self.file("a.pem", b"nonsense")
        self.file("z.PEM", certificatePEM(makeKey()))
        self.file("readme", b"hello")
        self.check()

    def test_none(self) -> None:
        """A directory in which nobody is trusted is a fault."""
        self.assertUnfit(self.check, "nobody would be trusted", ".pem")
        self.file("ca.crt", certificatePEM(makeKey()))
        self.assertUnfit(self.check, "nobody would be trusted", ".pem")

    def test_broken(self) -> None:
        """Files that cannot be read are named."""
        self.file("a.pem", b"nonsense")
        self.assertUnfit(self.check, "nobody would be trusted", "a.pem: ")

    def test_permission(self) -> None:
        """Files that may not be read are named, and so is the reason."""
        path = self.file("a.pem", certificatePEM(makeKey()))
        self.check()
        with withoutPermission(Path(path)):
            self.assertUnfit(self.check, "a.pem: ", "Permission denied")
        with withoutPermission(self.directory):
            self.assertUnfit(self.check, "cannot be read", "Permission denied")

    def test_notDirectory(self) -> None:
        """A file, or nothing, is no directory."""
        path = self.file("ca.pem", certificatePEM(makeKey()))
        self.assertUnfit(lambda: checkTrustRoots(path), "Not a directory")
        self.assertUnfit(lambda: checkTrustRoots("/nonexistent"), "No such file")


class ServerDirectoryTests(FileTestCase):
    """Directories of what a TLS server serves."""

    def check(self) -> None:
        """Check the directory."""
        checkServerDirectory(str(self.directory))

    def test_files(self) -> None:
        """Certificate and key may be in one file, in two, or further down."""
        key = makeKey()
        certificate = certificatePEM(key, "a.example")
        whole = self.file("a.pem", certificate + keyPEM(key))
        self.check()
        checkServerDirectory(whole)
        os.remove(whole)
        self.file("sub/key.pem", keyPEM(key))
        self.file("cert.pem", certificate)
        self.file("notes.txt", b"-----BEGIN nonsense")
        self.check()

    def test_nothing(self) -> None:
        """A directory from which nothing can be served is a fault."""
        self.assertUnfit(self.check, "nothing here can be served", "DNS name")
        key = makeKey()
        self.file("cert.pem", certificatePEM(key, "a.example"))
        self.assertUnfit(self.check, "nothing here can be served")
        self.file("key.pem", keyPEM(makeKey()))
        self.assertUnfit(self.check, "nothing here can be served")

    def test_noName(self) -> None:
        """Twisted serves by name: a certificate without one is never served."""
        key = makeKey()
        self.file("a.pem", certificatePEM(key) + keyPEM(key))
        self.assertUnfit(self.check, "nothing here can be served", "subjectAltName")

    def test_faultyFile(self) -> None:
        """A file that cannot be used is named, with what is wrong."""
        key = makeKey()
        self.file("a.pem", certificatePEM(key, "a.example") + keyPEM(key))
        for content, said in (
            (keyPEM(makeKey(), b"xyz"), "encrypted"),
            (b"-----BEGIN EC PARAMETERS-----\nnonsense\n", "no private key"),
            (b"-----BEGIN CERTIFICATE-----\nnonsense\n", "no certificate"),
        ):
            self.file("b.pem", content)
            self.assertUnfit(self.check, "b.pem: ", said)

    def test_weak(self) -> None:
        """A certificate that OpenSSL refuses to serve is a fault."""
        self.file("a.pem", WEAK)
        self.assertUnfit(self.check, "key too small")

    def test_permission(self) -> None:
        """What may not be read is a fault."""
        key = makeKey()
        path = self.file("a.pem", certificatePEM(key, "a.example") + keyPEM(key))
        self.check()
        with withoutPermission(Path(path)):
            self.assertUnfit(self.check, "a.pem: ", "Permission denied")
        with withoutPermission(self.directory):
            self.assertUnfit(self.check, "Permission denied")

    def test_loop(self) -> None:
        """A directory that contains itself is a fault, not an endless walk."""
        (self.directory / "loop").symlink_to(self.directory)
        self.assertUnfit(self.check, "cannot be read")

    def test_missing(self) -> None:
        """A directory that is not there is a fault; Twisted takes it for empty."""
        self.assertUnfit(
            lambda: checkServerDirectory("/nonexistent"),
            "No such file",
            "directory of .pem files",
        )
