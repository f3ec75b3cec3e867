"""
Tests for :mod:`twisted_transfer.tls.keys`.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.certificates import Authority
from tests.support.folders import newFolder
from twisted_transfer import BadOption
from twisted_transfer.tls.keys import Identity, PeerIdentity, Secret, checkedPin


class SecretTests(SynchronousTestCase):
    """What an invitation lets its bearer prove."""

    def test_fresh(self) -> None:
        """No two secrets are the same; each has 32 bytes."""
        texts = {Secret.fresh().text for _ in range(20)}
        self.assertEqual(len(texts), 20)
        for text in texts:
            self.assertEqual(len(base64.urlsafe_b64decode(text + "=")), 32)

    def test_roundTrip(self) -> None:
        """A secret goes through its text, and stands for one identity."""
        secret = Secret.fresh()
        again = Secret.fromText(secret.text)
        self.assertEqual(again, secret)
        self.assertEqual(again.identity().pin, secret.identity().pin)
        self.assertNotEqual(Secret.fresh().identity().pin, secret.identity().pin)

    def test_derivation(self) -> None:
        """
        The key is HKDF-SHA256 of the secret (RFC 5869), computed here by its
        definition: an old invitation stays good in later versions.
        """
        import hmac

        from cryptography.hazmat.primitives.asymmetric.ed25519 import (
            Ed25519PrivateKey,
        )

        data = bytes(range(32))
        text = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        extracted = hmac.digest(bytes(32), data, "sha256")
        info = b"twisted_transfer invitation, key of the partner, version 1"
        expanded = hmac.digest(extracted, info + b"\1", "sha256")
        public = Ed25519PrivateKey.from_private_bytes(expanded).public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pin = base64.urlsafe_b64encode(hashlib.sha256(spki).digest()).rstrip(b"=")
        self.assertEqual(Secret.fromText(text).identity().pin, pin.decode())

    def test_notShown(self) -> None:
        """A secret is in no repr and in no str."""
        secret = Secret.fresh()
        for shown in (repr(secret), str(secret), f"{secret}", repr([secret])):
            self.assertNotIn(secret.text, shown)
            self.assertNotIn(repr(secret._data), shown)

    @given(st.text(max_size=60))
    def test_garbage(self, text: str) -> None:
        """What cannot be a secret is refused, and not shown."""
        try:
            secret = Secret.fromText(text)
        except BadOption as error:
            if len(text) > 8:
                self.assertNotIn(text, str(error))
        else:
            self.assertEqual(secret.text, text)

    def test_nonCanonical(self) -> None:
        """A text whose spare bits are not zero is another text, and refused."""
        text = Secret.fromText("A" * 43).text
        self.assertEqual(text, "A" * 43)
        self.assertRaises(BadOption, Secret.fromText, "A" * 42 + "B")
        self.assertRaises(BadOption, Secret.fromText, "A" * 43 + "=")


class PinTests(SynchronousTestCase):
    """The name of a key."""

    def test_badPins(self) -> None:
        """What is no pin is refused, and a pin is not."""
        pin = Identity.ephemeral().pin
        self.assertEqual(checkedPin(pin), pin)
        for pin in ("", "x", "A" * 42, "A" * 44, "é" * 43, "+" * 43):
            self.assertRaises(BadOption, checkedPin, pin)

    def test_ephemeral(self) -> None:
        """No two ephemeral identities are the same; the key is not shown."""
        self.assertNotEqual(Identity.ephemeral().pin, Identity.ephemeral().pin)
        self.assertRegex(repr(Identity.ephemeral()), r"^<Identity [\w-]{43}>$")


class PeerIdentityTests(SynchronousTestCase):
    """Who a certificate says that the partner is."""

    @pytest.mark.needs("openssl")
    def test_pin(self) -> None:
        """
        The pin is what the openssl program finds by the recipe of RFC 7469,
        appendix A, but URL-safe and without padding.
        """
        path, _ = Authority(newFolder(self)).issue()
        recipe = (
            "openssl x509 -noout -in $0 -pubkey | openssl pkey -pubin -outform der"
            " | openssl dgst -sha256 -binary"
        )
        digest = subprocess.run(
            ["sh", "-c", recipe, str(path)], capture_output=True, check=True
        ).stdout
        identity = PeerIdentity(x509.load_pem_x509_certificate(path.read_bytes()))
        self.assertEqual(base64.urlsafe_b64decode(identity.pin + "="), digest)
        self.assertRegex(identity.pin, "^[A-Za-z0-9_-]{43}$")

    def test_sameKey(self) -> None:
        """Another certificate for the same key has the same pin, no other has."""
        authority = Authority(newFolder(self))
        pins = []
        for name in ("one", "other"):
            path, _ = authority.issue(name)
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            pins.append(PeerIdentity(certificate).pin)
            self.assertEqual(PeerIdentity(certificate).pin, pins[-1])
        self.assertNotEqual(*pins)
