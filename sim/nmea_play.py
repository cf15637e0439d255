"""
NMEA as bytes for the sky: recordings cut into epochs, sentences set to another time, a walk made up.

Sentences whose checksum is wrong, and bytes that are no sentence at all, pass through untouched.
"""

import datetime
import math
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from sim.common import SimError

# Where each sentence keeps its UTC time, and where its date. IEC 61162-1.
_TIME_FIELD = {b"RMC": 1, b"GGA": 1, b"GNS": 1, b"GST": 1, b"GBS": 1, b"GRS": 1, b"ZDA": 1, b"GLL": 5}
_SENTENCE = re.compile(rb"\$([A-Z]{2}[A-Z]{3},[^\r\n$*]*)\*([0-9A-Fa-f]{2})")
_CLOCK = re.compile(rb"(\d\d)(\d\d)(\d\d)(\.\d+)?$")
_DAY_S = 86400
_DEFAULT_GAP_S = 1.0


class RecordingError(SimError):
    """A recording that cannot be read or holds nothing to play."""


class Epoch(NamedTuple):
    """What a receiver sent for one fix: the bytes, and the seconds until the next epoch."""

    data: bytes
    gap_s: float


def checksum(body: bytes) -> int:
    """XOR of the bytes between $ and *."""
    value = 0
    for byte in body:
        value ^= byte
    return value


def sentence(body: bytes) -> bytes:
    """Return body as a whole sentence: $, checksum, CR LF."""
    return b"$%s*%02X\r\n" % (body, checksum(body))


def _time_of(match: re.Match[bytes]) -> bytes | None:
    """Return the time field of a sentence that is right and has one."""
    body = match[1]
    if checksum(body) != int(match[2], 16):
        return None
    fields = body.split(b",")
    place = _TIME_FIELD.get(body[2:5])
    if place is None or place >= len(fields) or not _CLOCK.match(fields[place]):
        return None
    return fields[place]


def _seconds(clock: bytes) -> float:
    return int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + float(clock[4:])


def without_remarks(recording: bytes) -> bytes:
    """Drop the lines beginning with # at the start of a recording."""
    while recording.startswith(b"#"):
        recording = recording.partition(b"\n")[2]
    return recording


def epochs(recording: bytes, piece: int = 512) -> list[Epoch]:
    """
    Cut a recording where the UTC time of its sentences changes; nothing is lost or reordered.

    The gap is the difference of the times (0.05 to 10 s, else 1 s). A recording without any time is cut into
    pieces of `piece` bytes, a second apart.
    """
    cuts: list[tuple[int, bytes]] = []
    for match in _SENTENCE.finditer(recording):
        clock = _time_of(match)
        if clock is not None and (not cuts or cuts[-1][1] != clock):
            cuts.append((match.start(), clock))
    if not cuts:
        return [Epoch(recording[at : at + piece], _DEFAULT_GAP_S) for at in range(0, len(recording), piece)]
    starts = [0] + [at for at, _ in cuts[1:]] + [len(recording)]
    result = []
    for index, (_, clock) in enumerate(cuts):
        gap_s = _DEFAULT_GAP_S
        if index + 1 < len(cuts):
            gap_s = (_seconds(cuts[index + 1][1]) - _seconds(clock)) % _DAY_S
        if not 0.05 <= gap_s <= 10:
            gap_s = _DEFAULT_GAP_S
        result.append(Epoch(recording[starts[index] : starts[index + 1]], gap_s))
    return result


def retime(data: bytes, now: datetime.datetime) -> bytes:
    """Set the UTC time and date fields of every right sentence to `now`; all else stays as it is."""

    def rewrite(match: re.Match[bytes]) -> bytes:
        clock = _time_of(match)
        if clock is None:
            return match[0]
        fields = match[1].split(b",")
        name = fields[0][2:5]
        decimals = len(clock) - 7 if b"." in clock else -1
        text = now.strftime("%H%M%S").encode()
        if decimals >= 0:
            text += b"." + (b"%06d" % now.microsecond)[:decimals].ljust(decimals, b"0")
        fields[_TIME_FIELD[name]] = text
        if name == b"RMC" and len(fields) > 9 and fields[9]:
            fields[9] = now.strftime("%d%m%y").encode()
        if name == b"ZDA" and len(fields) > 4 and fields[4]:
            fields[2:5] = [now.strftime(form).encode() for form in ("%d", "%m", "%Y")]
        body = b",".join(fields)
        return b"$%s*%02X" % (body, checksum(body))

    return _SENTENCE.sub(rewrite, data)


def load(recording: str | pathlib.Path | bytes) -> list[Epoch]:
    """Return the epochs of a recording, given as its path or its bytes. RecordingError when there are none."""
    try:
        data = recording if isinstance(recording, bytes) else pathlib.Path(recording).read_bytes()
    except OSError as error:
        raise RecordingError(f"cannot read the recording {error.filename}: {error.strerror}")
    played = epochs(without_remarks(data))
    if not played:
        raise RecordingError("the recording is empty")
    return played


def no_fix() -> bytes:
    """Return what a receiver says each second while it searches and knows no time yet."""
    return sentence(b"GPRMC,,V,,,,,,,,,,N") + sentence(b"GPGGA,,,,,,0,00,99.99,,,,,,")


def _degrees(value: float, width: int) -> bytes:
    whole = int(abs(value))
    return b"%0*d%07.4f" % (width, whole, (abs(value) - whole) * 60)


def walk(lat: float = 50.4501, lon: float = 30.5234, radius_m: float = 60.0) -> Iterator[Epoch]:
    """Yield a walk without end, 1.2 m/s around a circle, an epoch a second; retime() gives it its time."""
    step = 0
    while True:
        angle = 1.2 * step / radius_m
        north_m, east_m = radius_m * math.sin(angle), radius_m * math.cos(angle)
        here_lat = lat + north_m / 111_320
        here_lon = lon + east_m / (111_320 * math.cos(math.radians(lat)))
        place = b"%s,%s,%s,%s" % (
            _degrees(here_lat, 2),
            b"N" if here_lat >= 0 else b"S",
            _degrees(here_lon, 3),
            b"E" if here_lon >= 0 else b"W",
        )
        course = -math.degrees(angle) % 360
        yield Epoch(
            sentence(b"GNRMC,000000.00,A,%s,2.33,%.2f,010100,,,A" % (place, course))
            + sentence(b"GNGGA,000000.00,%s,1,09,1.10,170.0,M,25.0,M,," % place),
            1.0,
        )
        step += 1
