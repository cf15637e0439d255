"""
What is said: upward claims out of plain values, downward claims into an Ack.

Kinds, flags, levels and keys are the numbers of docs/protocol.md sections 4 and 5. It seals nothing, keeps nothing.

    claims = up_claims(1, cti, iat_s=now_s, location=Location(lat_e7, lon_e7, 12, 0), battery_mv=3900)
    ack = parse_down(claims)       # AlertError if a claim is missing or of another type
"""

from collections import namedtuple

import cbor
from micropython import const

_IAT = const(6)
_CTI = const(7)
_LOCATION = const(264)
_OBEREG = const(-65537)
_ACK = const(32)
_COMMAND = const(33)
_STATE_ACK = const(34)
_POSITION_UNTRUSTED = const(2)
_CLOCK_UNTRUSTED = const(4)
# EN 15722 trusts a position within 150 m at 95 %; older than 10 min it may be another place.
_TRUSTED_M = const(150)
_TRUSTED_S = const(600)
_TEXT_BYTES = const(64)

# Where the fix was, how good (m, 95 %) and how old (s) it is when the message is sealed.
Location = namedtuple("Location", ("lat_e7", "lon_e7", "accuracy_m", "age_s"))
# `of` and `digest` name one message of ours. Acks of state messages have level 0 and rev 0; a command has level None,
# and nothing else of it is read: this version knows none.
Ack = namedtuple("Ack", ("iat_s", "of", "digest", "level", "rev", "nonce"))


class AlertError(Exception):
    """Claims that are not what docs/protocol.md says."""


def up_claims(
    kind,
    cti,
    iat_s=None,
    location=None,
    incident=None,
    battery_mv=None,
    flags=0,
    cell=None,
    nonce=None,
    presses=1,
    text="",
    rev=0,
):
    """
    Return the claims map of an upward message, ready for envelope.seal.

    `iat_s`: UTC seconds since 1970, None while the clock is not trusted (flag 4 is set here). `location`: a Location
    or None (flag 2 is set here). `incident`: cti of the incident's first alert. `cell`: [mcc, mnc, tac, ci, rsrp_dbm].
    What is None or equals its default is left out. AlertError for a place in a kind that must not hold one: a
    heartbeat must not make a map of a child's days.
    """
    if kind not in (1, 2, 3, 5) and (location or cell):
        raise AlertError("a place in kind %d" % kind)
    claims = {_CTI: cti}
    if iat_s is None:
        flags |= _CLOCK_UNTRUSTED
    else:
        claims[_IAT] = iat_s
    if location:
        lat_e7, lon_e7, accuracy_m, age_s = location
        claims[_LOCATION] = place = {
            1: cbor.float64(lat_e7, 10000000),
            2: cbor.float64(lon_e7, 10000000),
            4: accuracy_m,
        }
        if age_s:
            place[9] = age_s
        if accuracy_m > _TRUSTED_M or age_s > _TRUSTED_S:
            flags |= _POSITION_UNTRUSTED
    said = (kind, incident, battery_mv, flags, cell, nonce, presses, _cut(text), rev)
    defaults = (0, None, None, 0, None, None, 1, "", 0)
    claims[_OBEREG] = {key: said[key] for key in range(9) if said[key] != defaults[key]}
    return claims


def _cut(text):
    raw = text.encode()
    end = min(len(raw), _TEXT_BYTES)
    # Not in the middle of a character: 10xxxxxx is a continuation byte.
    while end < len(raw) and raw[end] & 0xC0 == 0x80:
        end -= 1
    return str(raw[:end], "utf-8")


def _uint(said, key, highest):
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
        raise AlertError("key %d is no integer of 0..%d" % (key, highest))
    return value


def _bytes8(said, key):
    value = said.get(key)
    if not isinstance(value, bytes) or len(value) != 8:
        raise AlertError("key %d is not 8 bytes" % key)
    return value


def parse_down(claims):
    """Return the Ack that these verified claims hold, or raise AlertError."""
    said = claims.get(_OBEREG)
    if not isinstance(said, dict):
        raise AlertError("no obereg claim")
    kind = _uint(said, 0, 255)
    level = rev = 0
    if kind == _COMMAND:
        return Ack(0, b"", b"", None, 0, b"")
    if kind == _ACK:
        level = _uint(said, 3, 5)
        rev = _uint(said, 9, 0xFFFFFFFF)
    if kind not in (_ACK, _STATE_ACK) or (kind == _ACK) != (level > 0):
        raise AlertError("kind %d, level %d" % (kind, level))
    return Ack(
        _uint(claims, _IAT, (1 << 40) - 1), _bytes8(said, 1), _bytes8(said, 2), level, rev, _bytes8(said, 4)
    )
