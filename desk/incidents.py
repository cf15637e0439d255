"""
What the desk makes of a message, and what a person may do (docs/protocol.md §5 and §6).

Pure: no clock, no database. `judge` says what a message's counter means, `receive` what the message does to
its incident, `act` what a person does to it.
"""

import json
from dataclasses import asdict, dataclass, field

from desk import DeskError
from desk.claims import ALERT, CANCEL, HEARTBEAT, LINK_LOST, NEW_EPOCH, POOR_POSITION, SELF_TEST, TEST, Claims
from desk.token import CLOSED, COMING, DECLINED, LEVELS, RECEIVED, SEEN

# What a message's (epoch, seq) means, §6 step 3.
NEW = "new"
REPEAT = "repeat"
REUSE = "counter reuse"
LATE = "late"
DROP = "drop"

# Why an incident rings.
RING_ALERT = "alert"
RING_PRESS = "press"
RING_REUSE = "counter reuse"
RING_DECLINED = "declined"

# What stands on an incident for people to see.
FLAG_LATE = "late"
FLAG_REUSE = "counter reuse"
FLAG_REOPENED = "reopened"

_REV_MAX = 2**32 - 1
_DROPPED_WHEN_LATE = (HEARTBEAT, SELF_TEST, LINK_LOST)

# act: (the levels it is possible from, the level it leads to). What is not here is refused.
ACTS = {
    "seen": ((RECEIVED, DECLINED), SEEN),
    "take": ((RECEIVED, SEEN, DECLINED), COMING),
    "decline": ((COMING,), DECLINED),
    "close": ((RECEIVED, SEEN, COMING, DECLINED), CLOSED),
}


class IncidentError(DeskError):
    """An act that is not possible now."""


@dataclass
class Incident:
    """
    One incident; its fields are the columns of the store. `id` is 0 until it is stored.

    `first` is the cti of its first alert, `digest` that message's, None while it has not come. `said_rev` is
    the highest rev said unasked. Times are unix ms. `flags` are the desk's, `tag_flags` the tag's latest.
    `place` (a Place, when it came and whether to trust it) and `cell` are JSON.
    """

    tag: str
    first: bytes
    opened_ms: int
    rang_ms: int
    id: int = 0
    digest: bytes | None = None
    level: int = RECEIVED
    rev: int = 1
    said_rev: int = 1
    presses: int = 1
    test: bool = False
    flags: list[str] = field(default_factory=list)
    tag_flags: int = 0
    battery_mv: int | None = None
    place: str | None = None
    cell: str | None = None
    cancel_ms: int | None = None


def judge(claims: Claims, seen: bool | None, mark: tuple[int, int], recent_nonces: list[bytes]) -> str:
    """
    What (epoch, seq) says.

    `seen`: None if these counters are not stored, True if they are with the same digest, False with another.
    `mark` is the tag's highest (epoch, seq), below every real one before its first message.
    """
    if seen is not None:
        return REPEAT if seen else REUSE
    if (claims.epoch, claims.seq) > mark:
        return NEW
    if claims.flags & NEW_EPOCH and claims.epoch != mark[0]:
        # Both counters were lost. An echo shows that it was said after the desk last spoke; what has none is kept and
        # answered once, so that the tag has something to echo.
        if claims.nonce in recent_nonces:
            return NEW
        if claims.kind != LINK_LOST:
            return LATE
    return DROP if claims.kind in _DROPPED_WHEN_LATE else LATE


def first_of(claims: Claims) -> bytes:
    """The cti that names the incident of this message."""
    return claims.cti if claims.kind == ALERT else claims.incident or claims.cti


def receive(
    incident: Incident | None, claims: Claims, digest: bytes, verdict: str, tag: str, now_ms: int
) -> tuple[Incident, str | None]:
    """
    Let a kind 1, 2 or 3, or a reused counter of any kind, do its work.

    `incident` is the stored one the message belongs to, changed in place, or None to open one. Returns the
    incident and why it rings now, or None when it does not.
    """
    ring: str | None
    if incident is not None:
        ring = _ring_again(incident, claims, now_ms)
    elif verdict == REUSE:
        # A clone, or counters that went back: named by its own cti, so that it cannot touch a real incident.
        incident, ring = _open(claims, tag, claims.cti, now_ms, FLAG_REUSE), RING_REUSE
    else:
        late = verdict == LATE or first_of(claims) != claims.cti
        incident = _open(claims, tag, first_of(claims), now_ms, FLAG_LATE if late else None)
        ring = RING_ALERT
    if incident.first == claims.cti:
        incident.digest = digest
    if claims.kind == CANCEL and incident.cancel_ms is None:
        incident.cancel_ms = now_ms
    if claims.rev > incident.rev and incident.first == first_of(claims):
        # This desk was restored from a backup. Only a rev above the tag's own is heard by it (§5).
        incident.rev = incident.said_rev = min(claims.rev + 1, _REV_MAX)
    _note(incident, claims, verdict, now_ms)
    return incident, ring


def act(incident: Incident, name: str, now_ms: int) -> None:
    """A person's act: change level and rev in place. Raises IncidentError when `ACTS` does not allow it."""
    possible_from, level = ACTS[name]
    if incident.level not in possible_from:
        wanted = " or ".join(LEVELS[each] for each in possible_from)
        raise IncidentError(
            f"incident {incident.id} is {LEVELS[incident.level]}; {name} is possible when it is {wanted}"
        )
    _set_level(incident, level)
    if level == DECLINED:
        incident.rang_ms = now_ms


def _open(claims: Claims, tag: str, first: bytes, now_ms: int, flag: str | None) -> Incident:
    return Incident(
        tag=tag,
        first=first,
        opened_ms=now_ms,
        rang_ms=now_ms,
        presses=claims.presses,
        test=bool(claims.flags & TEST),
        flags=[flag] if flag else [],
    )


def _note(incident: Incident, claims: Claims, verdict: str, now_ms: int) -> None:
    """Keep what people ask for: real or a test, where, how much battery."""
    incident.test = incident.test and bool(claims.flags & TEST)  # one real message makes it real
    incident.tag_flags = claims.flags
    incident.battery_mv = claims.battery_mv or incident.battery_mv
    newer = verdict != LATE
    if claims.place and (newer or not incident.place):
        trusted = not claims.flags & POOR_POSITION
        incident.place = json.dumps({**asdict(claims.place), "trusted": trusted, "received_unix_ms": now_ms})
    if claims.cell and (newer or not incident.cell):
        incident.cell = json.dumps(claims.cell)


def _ring_again(incident: Incident, claims: Claims, now_ms: int) -> str | None:
    if claims.presses <= incident.presses:
        return None
    incident.presses = claims.presses
    incident.rang_ms = now_ms
    if incident.level == CLOSED:
        # Pressed before the tag heard of the closing: a press always reaches a person.
        _set_level(incident, RECEIVED)
        if FLAG_REOPENED not in incident.flags:
            incident.flags.append(FLAG_REOPENED)
    return RING_PRESS


def _set_level(incident: Incident, level: int) -> None:
    incident.level = level
    incident.rev = min(incident.rev + 1, _REV_MAX)
