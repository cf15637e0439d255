"""
What is said: upward claims out of plain values, downward claims into an Ack or a Command.

The words and numbers are those of docs/protocol.md sections 4 and 5. It seals nothing and keeps nothing.

    claims = up_claims(KIND_ALERT, cti, iat_s=now, location=Location(lat_e7, lon_e7, 12, 0), battery_mv=3900)
    down = parse_down(claims)      # Ack or Command; AlertError if a claim is missing or of another type
"""

from collections import namedtuple

import cbor

try:
    from micropython import const
except ImportError:  # CPython

    def const(value):
        return value


KIND_ALERT = 1
KIND_CANCEL = 2
KIND_UPDATE = 3
KIND_HEARTBEAT = 4
KIND_SELF_TEST = 5
KIND_LAST_GASP = 6
KIND_LINK_LOST = 7
KIND_ACK = 32
KIND_COMMAND = 33
KIND_STATE_ACK = 34

FLAG_TEST = 1
FLAG_POSITION_UNTRUSTED = 2
FLAG_CLOCK_UNTRUSTED = 4
FLAG_EPOCH_REGENERATED = 8
FLAG_DISCREET = 16

LEVEL_RECEIVED = 1
LEVEL_SEEN = 2
LEVEL_COMING = 3
LEVEL_CLOSED = 4
LEVEL_DECLINED = 5

# A place may be said only here: a heartbeat must not make a map of a child's days.
KINDS_WITH_PLACE = (KIND_ALERT, KIND_CANCEL, KIND_UPDATE, KIND_SELF_TEST)

# EN 15722 trusts a position within 150 m at 95 %; older than 10 min it may be another place.
MAX_TRUSTED_ACCURACY_M = 150
MAX_TRUSTED_AGE_S = 600
MAX_TEXT_BYTES = 64

_IAT = const(6)
_CTI = const(7)
_LOCATION = const(264)
_OBEREG = const(-65537)

# Where the fix was, how good (m, 95 %) and how old (s) it is when the message is sealed.
Location = namedtuple("Location", ("lat_e7", "lon_e7", "accuracy_m", "age_s"))
# `of` and `digest` name one message of ours; `level` is None in the ack of a state message.
Ack = namedtuple("Ack", ("iat_s", "of", "digest", "level", "rev", "nonce"))
Command = namedtuple("Command", ("iat_s", "of", "command", "arguments", "counter", "nonce"))


class AlertError(Exception):
    """Claims that are not what docs/protocol.md says."""


def location_flags(location):
    """Return FLAG_POSITION_UNTRUSTED for a location (or None) that is too coarse or too old, else 0."""
    if location is None:
        return 0
    if location.accuracy_m > MAX_TRUSTED_ACCURACY_M or location.age_s > MAX_TRUSTED_AGE_S:
        return FLAG_POSITION_UNTRUSTED
    return 0


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

    `iat_s`: UTC seconds since 1970, None while the clock is not trusted (then flag 4 is set here). `location`: a
    Location or None. `incident`: cti of the incident's first alert. `cell`: [mcc, mnc, tac, ci, rsrp_dbm] or None.
    A value that is None or equals its default is left out. AlertError for a place in a kind that must not hold one.
    """
    if kind not in KINDS_WITH_PLACE and (location is not None or cell is not None):
        raise AlertError("kind %d must not hold a place" % kind)
    claims = {_CTI: cti}
    if iat_s is None:
        flags |= FLAG_CLOCK_UNTRUSTED
    else:
        claims[_IAT] = iat_s
    if location is not None:
        place = {1: cbor.float64(location.lat_e7, 10000000), 2: cbor.float64(location.lon_e7, 10000000)}
        place[4] = location.accuracy_m
        if location.age_s:
            place[9] = location.age_s
        claims[_LOCATION] = place
    said = {0: kind}
    flags |= location_flags(location)
    for key, value, default in (
        (1, incident, None),
        (2, battery_mv, None),
        (3, flags, 0),
        (4, cell, None),
        (5, nonce, None),
        (6, presses, 1),
        (7, _cut(text), ""),
        (8, rev, 0),
    ):
        if value != default:
            said[key] = value
    claims[_OBEREG] = said
    return claims


def _cut(text):
    raw = text.encode()
    if len(raw) <= MAX_TEXT_BYTES:
        return text
    end = MAX_TEXT_BYTES
    # Not in the middle of a character: 10xxxxxx is a continuation byte.
    while raw[end] & 0xC0 == 0x80:
        end -= 1
    return str(raw[:end], "utf-8")


def _uint(said, key, highest):
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
        raise AlertError("key %s is not an integer of 0..%d" % (key, highest))
    return value


def _bytes8(said, key):
    value = said.get(key)
    if not isinstance(value, bytes) or len(value) != 8:
        raise AlertError("key %s is not 8 bytes" % key)
    return value


def parse_down(claims):
    """Return the Ack or Command that these verified claims hold, or raise AlertError."""
    said = claims.get(_OBEREG)
    if not isinstance(said, dict):
        raise AlertError("no obereg claim")
    iat_s = _uint(claims, _IAT, (1 << 40) - 1)
    kind = _uint(said, 0, 255)
    if kind == KIND_ACK:
        level = _uint(said, 3, LEVEL_DECLINED)
        if level < LEVEL_RECEIVED:
            raise AlertError("level 0")
        return Ack(
            iat_s, _bytes8(said, 1), _bytes8(said, 2), level, _uint(said, 9, 0xFFFFFFFF), _bytes8(said, 4)
        )
    if kind == KIND_STATE_ACK:
        return Ack(iat_s, _bytes8(said, 1), _bytes8(said, 2), None, 0, _bytes8(said, 4))
    if kind == KIND_COMMAND:
        counter = _uint(said, 8, 0xFFFFFFFF)
        return Command(
            iat_s, _bytes8(said, 1), _uint(said, 5, 0xFFFF), said.get(6), counter, _bytes8(said, 4)
        )
    raise AlertError("kind %d is not said downward" % kind)
