"""Certificates and keys for the tests, made when they are asked for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: A certificate whose key is too short to be safe, and the key.  Nothing makes
#: such any more:
#: openssl req -x509 -newkey rsa:512 -nodes -subj /CN=weak -days 36500
WEAK = b"""\
-----BEGIN CERTIFICATE-----
MIIBdzCCASGgAwIBAgIUQcm4+AAIT9fnMcXeDCO6kYiTw8wwDQYJKoZIhvcNAQEL
BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjIwOTAyMjNaGA8yMTI2MTAyOTA5
MDIyM1owDzENMAsGA1UEAwwEd2VhazBcMA0GCSqGSIb3DQEBAQUAA0sAMEgCQQDT
RrtIGOT2Zu8rgFkr1AgrfCLerfppvZYoEOTQODBJeiLb2AJgiXkXvRrR+nez7Evz
lsWF2wJm2m/Qtic6+0wzAgMBAAGjUzBRMB0GA1UdDgQWBBQXFpmoLIOlLrzN9soD
QjgxOdHUzTAfBgNVHSMEGDAWgBQXFpmoLIOlLrzN9soDQjgxOdHUzTAPBgNVHRMB
Af8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA0EAiGhcIloAsxpSeqoiw6ygdmBuYkxs
uvcIfY89NW+ctXfZ7HjfiJyXc8Bi5Opj5OIU1GQHFH1V1vGkOaCk/8e1Pg==
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEA00a7SBjk9mbvK4BZ
K9QIK3wi3q36ab2WKBDk0DgwSXoi29gCYIl5F70a0fp3s+xL85bFhdsCZtpv0LYn
OvtMMwIDAQABAkEAmuvquFtIyUWBayyaNoEr3HcSOqboUFEsogSBRA1vmvAXKAIt
EG7kZ8Cs/iMuCTJiIJ6VMPFV5XAQPmxXssmlwQIhAO3PnBCgGXIT30VsRlXixLIW
jjP/wCOt7Krodiq8wP7dAiEA42+RMZ7ggqdyKGvh1n1TLjJvHdJE8Go55TgMC9b9
3k8CIQCGa3dXnmdDqB/n6c/H9CoiT8WJduJwSHsiD8vbVF3ysQIhANXAk3tJUMQ6
z4XB7t0BqF2wtNIYPwadL5CI3nl6M9rtAiBMUZQlRO/MUy/vEuzAqywSDZeFybWM
9rOOXjO+hPklQw==
-----END PRIVATE KEY-----
"""


def makeKey() -> ec.EllipticCurvePrivateKey:
    """
    Make a private key.

    :returns: a new one.
    """
    return ec.generate_private_key(ec.SECP256R1())


def keyPEM(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    """
    Write a private key.

    :param key: the key.
    :param passphrase: what to encrypt it with, or ``None``.
    :returns: the PEM text.
    """
    encryption: serialization.KeySerializationEncryption
    encryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def certificatePEM(key: ec.EllipticCurvePrivateKey, *dnsNames: str) -> bytes:
    """
    Write a certificate that the key has signed for itself.

    :param key: the key.
    :param dnsNames: what it is for; with none, the certificate has no
        ``subjectAltName``.
    :returns: the PEM text.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    if dnsNames:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(each) for each in dnsNames]),
            critical=False,
        )
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)
