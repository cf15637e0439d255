"""
The envelope: a CWT in COSE_Mac0, HMAC 256/256 (docs/protocol.md §3), opened and sealed.

The mac is made and checked by `cwt`, CBOR by `cbor2`: code that shares nothing with the tag's own. What §3
adds is checked here: one shape, deterministic encoding, nothing left over.

    claims = verify(token, up_key, kid)
    token = seal(ack(of, digest, level, rev, nonce, now_s), down_key, kid)
"""

import hashlib
import re
from typing import Any

import cbor2
from cwt import COSE, COSEKey
from cwt.exceptions import CWTError

from desk.claims import Claims, TokenError, parse

MAX_TOKEN_BYTES = 1024
KID_BYTES = 9

_CWT_TAG = b"\xd8\x3d"
# §3 leaves open only the kid, the claims and the mac, so the whole envelope is one pattern. Nothing that is
# not yet authenticated reaches a general CBOR decoder.
_MESSAGE = re.compile(
    rb"\xd8\x3d\xd1\x84"  # 61(17([ of four
    rb"\x4e(?P<protected>\xa2\x01\x05\x04\x49(?P<kid>.{9}))"  # {1: 5, 4: kid} in 14 bytes
    rb"\xa0"  # {}
    rb"(?P<head>[\x40-\x57]|\x58[\x18-\xff]|\x59[\x01-\xff].)(?P<claims>.*)"  # shortest lengths only
    rb"\x58\x20(?P<mac>.{32})",
    re.DOTALL,
)

ACK = 32
STATE_ACK = 34

RECEIVED = 1
SEEN = 2
COMING = 3
CLOSED = 4
DECLINED = 5
LEVELS = {RECEIVED: "received", SEEN: "seen", COMING: "coming", CLOSED: "closed", DECLINED: "declined"}


def digest(token: bytes) -> bytes:
    """The first 8 bytes of SHA-256 over a message's exact bytes."""
    return hashlib.sha256(token).digest()[:8]


def kid_of(token: bytes) -> bytes:
    """The 9 bytes of the kid, not yet authenticated. Raises TokenError (size, shape)."""
    return _match(token)["kid"]


def verify(token: bytes, up_key: bytes, kid: bytes | None) -> Claims:
    """
    Check an upward message and return what it says.

    `up_key` is 32 bytes. `kid` is the 9 bytes expected, or None for any. Raises TokenError.
    """
    return parse(open_token(token, up_key, kid))


def open_token(token: bytes, key: bytes, kid: bytes | None) -> Any:
    """Check the envelope, upward or downward, and return the decoded claims. Raises TokenError."""
    match = _match(token)
    if kid is not None and match["kid"] != kid:
        raise TokenError("kid", f"the message is sealed by {match['kid'].hex()}, not by {kid.hex()}")
    try:
        payload = COSE.new().decode(token[len(_CWT_TAG) :], _cose_key(key, match["kid"]))
    except (CWTError, ValueError):
        raise TokenError("mac", "the mac is wrong: another key, or the bytes were changed") from None
    return _decode_strict(payload)


def seal(claims: dict[int, Any], key: bytes, kid: bytes) -> bytes:
    """The exact bytes of a message; `key` is 32 bytes, `kid` 9; the maps' keys must be in order already."""
    payload = cbor2.dumps(claims)  # canonical=True would shorten floats, which §3 forbids
    mac0 = COSE.new().encode_and_mac(payload, _cose_key(key, kid), protected={1: 5, 4: kid})
    return _CWT_TAG + bytes(mac0)


def ack(of: bytes, of_digest: bytes, level: int, rev: int, nonce: bytes, now_s: int) -> dict[int, Any]:
    """The claims of an ack (kind 32) of an alert, cancel or update; `now_s` is UTC since 1970."""
    return {6: now_s, -65537: {0: ACK, 1: of, 2: of_digest, 3: level, 4: nonce, 9: rev}}


def state_ack(of: bytes, of_digest: bytes, nonce: bytes, now_s: int) -> dict[int, Any]:
    """The claims of an ack (kind 34) of a state message."""
    return {6: now_s, -65537: {0: STATE_ACK, 1: of, 2: of_digest, 4: nonce}}


def _cose_key(key: bytes, kid: bytes) -> Any:
    return COSEKey.from_symmetric_key(key, alg="HMAC 256/256", kid=kid)


def _match(token: bytes) -> "re.Match[bytes]":
    if not token or len(token) > MAX_TOKEN_BYTES:
        raise TokenError("size", f"{len(token)} bytes; a message has 1 to {MAX_TOKEN_BYTES}")
    match = _MESSAGE.fullmatch(token)
    if not match or cbor2.dumps(match["claims"])[: len(match["head"])] != match["head"]:
        raise TokenError("shape", "not 61(17([{1: 5, 4: kid}, {}, claims, mac])) in its one encoding")
    return match


def _decode_strict(payload: bytes) -> Any:
    """Decode CBOR that must be deterministic (RFC 8949 §4.2.1), but with every float in 64 bits."""
    try:
        value = cbor2.loads(payload)
        same = cbor2.dumps(value) == payload and _in_order(value)
    except Exception as error:  # noqa: BLE001  cbor2 knows tags (dates, decimals, regexes) and leaks their errors
        raise TokenError("encoding", f"the claims are not CBOR ({type(error).__name__})") from None
    if not same:
        raise TokenError("encoding", "the claims are not deterministic CBOR (RFC 8949 §4.2.1)")
    return value


def _in_order(value: Any) -> bool:
    if isinstance(value, list):
        return all(_in_order(item) for item in value)
    if isinstance(value, dict):
        keys = [cbor2.dumps(key) for key in value]
        return keys == sorted(keys) and all(_in_order(item) for item in value.values())
    return True
