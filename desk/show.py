"""Claims and incidents as people and programs read them. Pure: records in, text or plain values out."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from desk.claims import KINDS, Claims, Place, flag_names
from desk.incidents import Incident
from desk.token import LEVELS


def utc(unix_s: float | None) -> str:
    """A time as 2026-11-21 20:49:07Z; a dash for None; the bare number when no calendar holds it."""
    if unix_s is None:
        return "-"
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(unix_s)


def degrees(e7: int) -> str:
    """Degrees × 10⁷ as decimal degrees, every digit kept."""
    return f"{'-' if e7 < 0 else ''}{abs(e7) // 10**7}.{abs(e7) % 10**7:07d}"


def place_text(place: Place | None, trusted: bool) -> str:
    """A position in one line."""
    if place is None:
        return "not known"
    accuracy = f" ±{place.accuracy_m} m" if place.accuracy_m is not None else ""
    doubt = "" if trusted else ", not to be trusted"
    return f"{degrees(place.lat_e7)}, {degrees(place.lon_e7)}{accuracy}, {place.age_s} s old{doubt}"


def claims_values(claims: Claims, kid: bytes, digest: bytes) -> dict[str, Any]:
    """A message for a program: bytes as hex, what the tag did not say as null."""
    place = claims.place
    return {
        "tag": kid[:8].hex(),
        "generation": kid[8],
        "kind": claims.kind,
        "kind_name": KINDS[claims.kind],
        "epoch": claims.epoch,
        "seq": claims.seq,
        "digest": digest.hex(),
        "iat": claims.iat,
        "place": vars(place) if place else None,
        "incident": claims.incident.hex() if claims.incident else None,
        "battery_mv": claims.battery_mv,
        "flags": flag_names(claims.flags),
        "cell": claims.cell,
        "nonce": claims.nonce.hex() if claims.nonce else None,
        "presses": claims.presses,
        "text": claims.text,
        "rev": claims.rev,
    }


def claims_text(claims: Claims, kid: bytes, digest: bytes) -> str:
    """A message for a person."""
    lines = [
        ("kind", f"{KINDS[claims.kind]} ({claims.kind})"),
        ("tag", f"{kid[:8].hex()}, key generation {kid[8]}"),
        ("id", f"epoch {claims.epoch}, seq {claims.seq}, digest {digest.hex()}"),
        ("time", utc(claims.iat) if claims.iat is not None else "not known (the tag's clock is not set)"),
        ("place", place_text(claims.place, not claims.flags & 2)),
        ("flags", ", ".join(flag_names(claims.flags)) or "none"),
        ("presses", str(claims.presses)),
        ("incident", _epoch_seq(claims.incident)),
        ("battery", f"{claims.battery_mv} mV" if claims.battery_mv is not None else None),
        ("cell", _cell_text(claims.cell) if claims.cell else None),
        ("nonce", claims.nonce.hex() if claims.nonce else None),
        ("text", printable(claims.text) if claims.text is not None else None),
        ("rev", str(claims.rev)),
    ]
    return "\n".join(f"{name:9} {value}" for name, value in lines if value is not None)


def incident_values(incident: Incident, name: str, acts: Sequence[sqlite3.Row]) -> dict[str, Any]:
    """An incident for a program."""
    return {
        "id": incident.id,
        "tag": incident.tag,
        "name": name,
        "level": incident.level,
        "level_name": LEVELS[incident.level],
        "rev": incident.rev,
        "test": incident.test,
        "presses": incident.presses,
        "opened_unix_ms": incident.opened_ms,
        "rang_unix_ms": incident.rang_ms,
        "cancel_asked_unix_ms": incident.cancel_ms,
        "flags": incident.flags,
        "tag_flags": flag_names(incident.tag_flags),
        "battery_mv": incident.battery_mv,
        "place": json.loads(incident.place) if incident.place else None,
        "cell": json.loads(incident.cell) if incident.cell else None,
        "first": incident.first.hex(),
        "acts": [
            {
                "act": act["act"],
                "who": act["who"],
                "at_unix_ms": act["at_ms"],
                "level": act["level"],
                "rev": act["rev"],
            }
            for act in acts
        ],
    }


def incident_row(incident: Incident, name: str, acts: Sequence[sqlite3.Row]) -> list[str]:
    """An incident as a row of `INCIDENT_HEAD`."""
    notes = ["TEST"] if incident.test else []
    notes += ["asks to cancel"] if incident.cancel_ms else []
    notes += incident.flags + [each for each in flag_names(incident.tag_flags) if each != "test"]
    return [
        str(incident.id),
        printable(name) or incident.tag,
        LEVELS[incident.level],
        printable(acts[-1]["who"]) if acts else "-",
        utc(incident.opened_ms // 1000),
        str(incident.presses),
        _where(incident),
        f"{incident.battery_mv} mV" if incident.battery_mv else "-",
        ", ".join(notes) or "-",
    ]


INCIDENT_HEAD = ["ID", "WHO", "LEVEL", "BY", "SINCE", "PRESSES", "PLACE", "BATTERY", "NOTES"]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Columns as wide as their widest cell."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    cells = (
        ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))) for line in lines
    )
    return "\n".join(line.rstrip() for line in cells)


def printable(text: str) -> str:
    """Text that cannot command a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _cell_text(cell: Sequence[int]) -> str:
    mcc, mnc, tac, ci, rsrp_dbm = cell
    return f"mcc {mcc}, mnc {mnc}, tac {tac}, ci {ci}, rsrp {rsrp_dbm} dBm"


def _where(incident: Incident) -> str:
    if incident.place:
        fields = json.loads(incident.place)
        place = Place(fields["lat_e7"], fields["lon_e7"], fields["accuracy_m"], fields["age_s"])
        return place_text(place, fields["trusted"])
    if incident.cell:
        return f"not known; cell {_cell_text(json.loads(incident.cell))}"
    return "not known"


def _epoch_seq(cti: bytes | None) -> str | None:
    if cti is None:
        return None
    return f"epoch {int.from_bytes(cti[:4], 'big')}, seq {int.from_bytes(cti[4:], 'big')}"
