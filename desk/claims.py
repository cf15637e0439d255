"""
What a tag says: the claims of docs/protocol.md §4, checked against the CDDL of §8.

Pure: a decoded CBOR map in, a `Claims` out. Nothing here knows of keys or bytes; token.py does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from desk import DeskError

# CWT claims (RFC 8392), EAT location (RFC 9711 §4.2.10), and Obereg's own.
IAT = 6
CTI = 7
LOCATION = 264
OBEREG = -65537

LATITUDE = 1
LONGITUDE = 2
ACCURACY = 4
AGE = 9

KIND = 0
INCIDENT = 1
BATTERY = 2
FLAGS = 3
CELL = 4
NONCE = 5
PRESSES = 6
TEXT = 7
REV = 8

ALERT = 1
CANCEL = 2
UPDATE = 3
HEARTBEAT = 4
SELF_TEST = 5
LAST_GASP = 6
LINK_LOST = 7

KINDS = {
    ALERT: "alert",
    CANCEL: "cancel",
    UPDATE: "update",
    HEARTBEAT: "heartbeat",
    SELF_TEST: "self-test",
    LAST_GASP: "last gasp",
    LINK_LOST: "link lost",
}
INCIDENT_KINDS = (ALERT, CANCEL, UPDATE)
_PLACE_KINDS = (ALERT, CANCEL, UPDATE, SELF_TEST)

TEST = 1
POOR_POSITION = 2
POOR_CLOCK = 4
NEW_EPOCH = 8
DISCREET = 16

FLAG_NAMES = {
    TEST: "test",
    POOR_POSITION: "position not to be trusted",
    POOR_CLOCK: "clock not trusted",
    NEW_EPOCH: "epoch regenerated",
    DISCREET: "discreet",
}

_TEXT_MAX_BYTES = 64
_UINT_END = 2**64
_INTEGER_MAX = 2**63 - 1  # what SQLite can hold; a larger uint (CBOR allows it) is taken as this


class TokenError(DeskError):
    """
    A message that must be refused. `reason` is one stable word.

    size, shape, kid, mac: the envelope (§3). encoding: the claims are not deterministic CBOR. claims: they
    are not the CDDL's (§8).
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason


@dataclass(frozen=True)
class Place:
    """A position: WGS 84 degrees × 10⁷, metres (95 %), seconds between the fix and the sealing."""

    lat_e7: int
    lon_e7: int
    accuracy_m: int | None
    age_s: int


@dataclass(frozen=True)
class Claims:
    """
    One upward message. `None` means the tag did not say it.

    `iat` is UTC seconds since 1970; `incident` the cti of the incident's first alert; `cell` is (mcc, mnc,
    tac, ci, rsrp_dbm); `nonce` the tag's echo of what the desk said last; `rev` the highest one it applied.
    """

    kind: int
    cti: bytes
    iat: int | None = None
    place: Place | None = None
    incident: bytes | None = None
    battery_mv: int | None = None
    flags: int = 0
    cell: tuple[int, ...] | None = None
    nonce: bytes | None = None
    presses: int = 1
    text: str | None = None
    rev: int = 0

    @property
    def epoch(self) -> int:
        """The first half of the cti: which start of the tag this is."""
        return int.from_bytes(self.cti[:4], "big")

    @property
    def seq(self) -> int:
        """The second half of the cti: the message's number within that start."""
        return int.from_bytes(self.cti[4:], "big")


def flag_names(flags: int) -> list[str]:
    """The names of the flags that are set; a bit this version does not know is named by its number."""
    names = [name for bit, name in FLAG_NAMES.items() if flags & bit]
    unknown = flags & ~sum(FLAG_NAMES)
    return names + ([f"unknown {unknown}"] if unknown else [])


def parse(claims: object) -> Claims:
    """
    Check a decoded claims map against `up-claims` of §8.

    Raises TokenError("claims"). One thing is let through on purpose: a place outside the earth is dropped and
    the message stands, because an alert must reach a person.
    """
    top = _map(claims, "claims", (CTI, OBEREG), (IAT, LOCATION))
    up = _map(top[OBEREG], "obereg", (KIND,), range(INCIDENT, REV + 1))
    kind = _uint(up[KIND], "kind")
    if kind not in KINDS:
        raise _bad(f"kind {kind} is not 1..7")
    if kind not in _PLACE_KINDS and (LOCATION in top or CELL in up):
        raise _bad(f"a {KINDS[kind]} must not hold a place")
    return Claims(
        kind=kind,
        cti=_bytes8(top[CTI], "cti"),
        iat=_uint(top[IAT], "iat") if IAT in top else None,
        place=_place(top[LOCATION]) if LOCATION in top else None,
        incident=_bytes8(up[INCIDENT], "incident") if INCIDENT in up else None,
        battery_mv=_uint(up[BATTERY], "battery") if BATTERY in up else None,
        flags=_uint(up.get(FLAGS, 0), "flags"),
        cell=_cell(up[CELL]) if CELL in up else None,
        nonce=_bytes8(up[NONCE], "nonce") if NONCE in up else None,
        presses=_uint(up.get(PRESSES, 1), "presses"),
        text=_text(up[TEXT]) if TEXT in up else None,
        rev=_uint(up.get(REV, 0), "rev"),
    )


def _bad(text: str) -> TokenError:
    return TokenError("claims", text)


def _map(value: object, name: str, needed: tuple[int, ...], optional: Any) -> Mapping[int, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{name} is not a map")
    for key in value:
        # True == 1 in Python, and a boolean key is none of ours.
        if type(key) is not int or (key not in needed and key not in optional):
            raise _bad(f"{name} has the unknown key {key!r}"[:80])
    for key in needed:
        if key not in value:
            raise _bad(f"{name} lacks key {key}")
    return value


def _uint(value: object, name: str) -> int:
    if type(value) is not int or not 0 <= value < _UINT_END:
        raise _bad(f"{name} is not an unsigned integer")
    return min(value, _INTEGER_MAX)


def _bytes8(value: object, name: str) -> bytes:
    if not isinstance(value, bytes) or len(value) != 8:
        raise _bad(f"{name} is not 8 bytes")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value.encode()) > _TEXT_MAX_BYTES:
        raise _bad(f"text is not a string of up to {_TEXT_MAX_BYTES} bytes")
    return value


def _place(value: object) -> Place | None:
    location = _map(value, "location", (LATITUDE, LONGITUDE), (ACCURACY, AGE))
    lat, lon = location[LATITUDE], location[LONGITUDE]
    if type(lat) is not float or type(lon) is not float:
        raise _bad("latitude and longitude are not binary64")
    accuracy_m = _uint(location[ACCURACY], "accuracy") if ACCURACY in location else None
    age_s = _uint(location.get(AGE, 0), "age")
    if not (abs(lat) <= 90 and abs(lon) <= 180):  # written so that NaN fails too
        return None
    return Place(round(lat * 10**7), round(lon * 10**7), accuracy_m, age_s)


def _cell(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) != 5:
        raise _bad("cell is not [mcc, mnc, tac, ci, rsrp_dbm]")
    if type(value[4]) is not int or not -_UINT_END <= value[4] < _UINT_END:
        raise _bad("rsrp_dbm is not an integer")
    return (*(_uint(number, "cell") for number in value[:4]), value[4])
