"""
A CWT (RFC 8392) in a COSE_Mac0 (RFC 9052 section 6.2) with HMAC 256/256 (RFC 9053 section 3.1).

    token = seal(claims, key, kid)
    claims = open(token, key, kid)     # EnvelopeError unless everything about it is right
    digest(token)                      # 8 bytes that name these exact bytes

One algorithm, one key, an empty unprotected map, no external_aad. It does not know what the claims mean.
"""

import hashlib

import cbor
from hkdf import equal, hmac_sha256
from micropython import const

_CWT = const(61)
_MAC0 = const(17)
_ALG = const(1)
_KID = const(4)
_HMAC_256_256 = const(5)


class EnvelopeError(Exception):
    """The bytes are not a message sealed with this key."""


def _protected(kid):
    return cbor.encode({_ALG: _HMAC_256_256, _KID: kid})


def _mac(key, protected, payload):
    return hmac_sha256(key, cbor.encode(["MAC0", protected, b"", payload]))


def _decode(data):
    try:
        return cbor.decode(data)
    except cbor.CBORError as error:
        raise EnvelopeError(str(error))


def seal(claims, key, kid):
    """Return the sealed bytes of `claims` (a dict). CBORError if a value has no CBOR form."""
    protected = _protected(kid)
    payload = cbor.encode(claims)
    return cbor.encode(
        cbor.Tag(_CWT, cbor.Tag(_MAC0, [protected, {}, payload, _mac(key, protected, payload)]))
    )


def open(token, key, kid):
    """Return the claims of `token` as a dict, or raise EnvelopeError. Nothing is decoded before the MAC is right."""
    value = _decode(token)
    for number in (_CWT, _MAC0):
        if not isinstance(value, cbor.Tag) or value.number != number:
            raise EnvelopeError("no tag %d" % number)
        value = value.value
    if not isinstance(value, list) or len(value) != 4:
        raise EnvelopeError("not four parts")
    protected, unprotected, payload, mac = value
    if not isinstance(payload, bytes) or not isinstance(mac, bytes) or unprotected != {}:
        raise EnvelopeError("parts of other types")
    # The one header that is right is known beforehand: comparing bytes leaves nothing to interpret.
    if protected != _protected(kid):
        raise EnvelopeError("another algorithm or key id")
    if not equal(mac, _mac(key, protected, payload)):
        raise EnvelopeError("wrong MAC")
    claims = _decode(payload)
    if not isinstance(claims, dict):
        raise EnvelopeError("claims are not a map")
    return claims


def digest(token):
    """Return the first 8 bytes of SHA-256 over the exact bytes of a message."""
    return hashlib.sha256(token).digest()[:8]
