"""
HMAC-SHA-256 (RFC 2104), HKDF-SHA-256 (RFC 5869) and a comparison in constant time.

MicroPython has hashlib.sha256 and neither hmac nor hkdf.
"""

import hashlib

from micropython import const

_BLOCK = const(64)


def hmac_sha256(key, message):
    """Return the 32-byte HMAC-SHA-256 of `message`."""
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    key = key + b"\0" * (_BLOCK - len(key))
    padded = bytearray(_BLOCK)
    for pad in (0x36, 0x5C):
        for i in range(_BLOCK):
            padded[i] = key[i] ^ pad
        digest = hashlib.sha256(padded)
        digest.update(message)
        message = digest.digest()
    return message


def hkdf_sha256(root, salt, info, length=32):
    """Extract and expand: return `length` bytes (at most 8160) derived from the secret `root`."""
    prk = hmac_sha256(salt, root)
    block = result = b""
    n = 0
    while len(result) < length:
        n += 1
        block = hmac_sha256(prk, block + info + bytes((n,)))
        result += block
    return result[:length]


def equal(a, b):
    """Whether two byte strings are the same, in a time that does not tell where they differ."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0
