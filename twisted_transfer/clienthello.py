"""
The longest TLS ClientHello there is: what a TLS server waits for to its end.

It is well formed (RFC 8446, section 4.1.2) and offers what every server knows,
so a server has no reason to hang up before its last byte; and after it, the
handshake begins.
"""

from __future__ import annotations

_RECORD = 2**14  # what one record carries at most: RFC 8446, section 5.1

_SUITES = (
    0x1301,  # TLS_AES_128_GCM_SHA256
    0x1302,  # TLS_AES_256_GCM_SHA384
    0x1303,  # TLS_CHACHA20_POLY1305_SHA256
    0xC02B,  # TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    0xC02F,  # TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
)
_SIGNATURES = (
    0x0403,  # ecdsa_secp256r1_sha256
    0x0807,  # ed25519
    0x0804,  # rsa_pss_rsae_sha256
    0x0401,  # rsa_pkcs1_sha256
)
_X25519 = 0x001D
_SECP256R1 = 0x0017  # of most ECDSA certificates

# Kinds of extensions: RFC 8446, section 4.2; padding: RFC 7685.
_SUPPORTED_GROUPS = 10
_SIGNATURE_ALGORITHMS = 13
_PADDING = 21
_SUPPORTED_VERSIONS = 43
_KEY_SHARE = 51


def _number(value: int, size: int = 2) -> bytes:
    return value.to_bytes(size, "big")


def _vector(content: bytes, size: int = 2) -> bytes:
    """A vector as TLS writes it: its length in so many bytes, then itself."""
    return _number(len(content), size) + content


def _numbers(values: tuple[int, ...]) -> bytes:
    return _vector(b"".join(map(_number, values)))


def _extension(kind: int, content: bytes) -> bytes:
    return _number(kind) + _vector(content)


def clientHello(random: bytes = bytes(range(32))) -> bytes:
    """
    :param random: 32 bytes; they are the ClientHello's random, its session
        identifier and its X25519 key share.
    :returns: a record of the largest size, 16,389 bytes, that holds nothing
        but a ClientHello for TLS 1.3 and 1.2, padded.
    """
    beginning = (
        b"\x03\x03"  # TLS 1.2, as every ClientHello says
        + random
        + _vector(random, 1)
        + _numbers(_SUITES)
        + _vector(b"\x00", 1)  # no compression
    )
    extensions = (
        _extension(_SUPPORTED_VERSIONS, _vector(b"\x03\x04\x03\x03", 1))
        + _extension(_SUPPORTED_GROUPS, _numbers((_X25519, _SECP256R1)))
        + _extension(_SIGNATURE_ALGORITHMS, _numbers(_SIGNATURES))
        + _extension(_KEY_SHARE, _vector(_number(_X25519) + _vector(random)))
    )
    # Before the padding's own bytes: 4 of the message's header, 2 of the
    # length of all extensions, 4 of the padding's header.
    used = 4 + len(beginning) + 2 + len(extensions) + 4
    extensions += _extension(_PADDING, bytes(_RECORD - used))
    message = b"\x01" + _vector(beginning + _vector(extensions), 3)
    return b"\x16\x03\x01" + _vector(message)
