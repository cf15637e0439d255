"""The place in one epoch of NMEA: what CGNSINF needs of RMC, GGA and GSA."""

from typing import NamedTuple

from sim.nmea_play import checksum


class Place(NamedTuple):
    """Degrees, metres, km/h; course None = not given."""

    lat: float
    lon: float
    altitude_m: float
    speed_kmh: float
    course: float | None
    hdop: float
    pdop: float
    vdop: float
    satellites: int


def _degrees(text: str, side: str) -> float:
    point = text.index(".") if "." in text else len(text)
    value = int(text[: point - 2]) + float(text[point - 2 :]) / 60
    return -value if side in "SW" else value


def _sentences(data: bytes) -> dict[str, list[str]]:
    """Return the right sentences by their name without the talker; the last of each counts."""
    found = {}
    for line in data.split(b"\n"):
        body, star, digits = line.strip().removeprefix(b"$").partition(b"*")
        try:
            if star and checksum(body) == int(digits[:2], 16):
                fields = body.decode("ascii").split(",")
                found[fields[0][2:]] = fields
        except ValueError:
            continue
    return found


def _number(text: str, default: float) -> float:
    return float(text) if text else default


def place_of(data: bytes) -> Place | None:
    """Return the place of an epoch, None when it has no valid one."""
    said = _sentences(data)
    rmc, gga, gsa = said.get("RMC", []), said.get("GGA", []), said.get("GSA", [])
    try:
        if len(rmc) > 8 and rmc[2] == "A":
            lat, lon = _degrees(rmc[3], rmc[4]), _degrees(rmc[5], rmc[6])
        elif len(gga) > 9 and gga[6] not in ("", "0"):
            lat, lon = _degrees(gga[2], gga[3]), _degrees(gga[4], gga[5])
        else:
            return None
        valid = len(gga) > 9 and gga[6] not in ("", "0")
        hdop = _number(gga[8], 1.5) if valid else 1.5
        course = float(rmc[8]) if len(rmc) > 8 and rmc[8] else None
        return Place(
            lat,
            lon,
            _number(gga[9], 0.0) if valid else 0.0,
            _number(rmc[7], 0.0) * 1.852 if len(rmc) > 8 else 0.0,
            course,
            hdop,
            _number(gsa[15], hdop * 1.4) if len(gsa) > 17 else hdop * 1.4,
            _number(gsa[17], hdop) if len(gsa) > 17 else hdop,
            int(_number(gga[7], 6)) if valid else 6,
        )
    except (ValueError, IndexError):
        return None
