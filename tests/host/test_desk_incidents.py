"""desk.incidents: the decision table of docs/protocol.md §6, levels and revs of §5. Pure, no database."""

import itertools
import json
from typing import Any

import pytest

from desk.claims import Claims, Place
from desk.incidents import (
    ACTS,
    DROP,
    LATE,
    NEW,
    REPEAT,
    REUSE,
    Incident,
    IncidentError,
    act,
    first_of,
    judge,
    receive,
)
from desk.token import CLOSED, COMING, DECLINED, LEVELS, RECEIVED, SEEN
from tests.host.test_desk_support import cti

DIGEST = b"digest.."
NONCE = b"nonce..."
TAG = "0123456789abcdef"


def _claims(kind: int = 1, epoch: int = 1, seq: int = 1, **more: Any) -> Claims:
    return Claims(kind=kind, cti=cti(epoch, seq), **more)


def _open(**more: Any) -> Incident:
    incident, ring = receive(None, _claims(**more), DIGEST, NEW, TAG, 1000)
    assert ring == "alert"
    return incident


@pytest.mark.parametrize("kind", range(1, 8))
def test_the_decision_table_holds_for_every_kind(kind: int) -> None:
    late = DROP if kind in (4, 5, 7) else LATE
    above, equal, below = _claims(kind, 2, 6), _claims(kind, 2, 5), _claims(kind, 1, 9)
    assert judge(above, None, (2, 5), []) == NEW
    assert judge(_claims(kind, 0, 0), None, (-1, -1), []) == NEW
    assert judge(below, True, (2, 5), []) == REPEAT
    assert judge(below, False, (2, 5), []) == REUSE
    assert judge(above, False, (2, 5), []) == REUSE
    assert judge(below, None, (2, 5), []) == late
    assert judge(equal, None, (2, 5), []) == late


@pytest.mark.parametrize(
    ("flags", "nonce", "verdict"),
    [(8, NONCE, NEW), (8, b"another.", LATE), (8, None, LATE), (0, NONCE, LATE), (12, NONCE, NEW)],
)
def test_a_regenerated_epoch_from_below_needs_the_echo(flags: int, nonce: bytes | None, verdict: str) -> None:
    assert judge(_claims(flags=flags, nonce=nonce), None, (9, 9), [b"older...", NONCE]) == verdict


@pytest.mark.parametrize("kind", range(1, 8))
def test_a_regenerated_epoch_is_answered_before_it_can_echo_but_for_the_will(kind: int) -> None:
    assert judge(_claims(kind, flags=8), None, (9, 9), [NONCE]) == (DROP if kind == 7 else LATE)
    assert judge(_claims(kind, flags=8), True, (9, 9), [NONCE]) == REPEAT
    assert judge(_claims(kind, flags=8, nonce=NONCE), None, (9, 9), [NONCE]) == NEW
    late = DROP if kind in (4, 5, 7) else LATE
    assert judge(_claims(kind, 9, flags=8, nonce=NONCE), None, (9, 9), [NONCE]) == late


def test_an_alert_opens_an_incident_at_level_1_and_rev_1() -> None:
    incident = _open(battery_mv=3900)
    assert (incident.level, incident.rev, incident.first, incident.digest) == (RECEIVED, 1, cti(1, 1), DIGEST)
    assert (incident.flags, incident.test, incident.battery_mv) == ([], False, 3900)


def test_a_late_alert_opens_a_flagged_incident() -> None:
    incident, ring = receive(None, _claims(), DIGEST, LATE, TAG, 1000)
    assert (incident.flags, ring) == (["late"], "alert")


@pytest.mark.parametrize("kind", [2, 3])
def test_an_update_before_its_alert_opens_the_incident_and_the_alert_joins(kind: int) -> None:
    update = _claims(kind, seq=2, incident=cti(1, 1))
    assert first_of(update) == cti(1, 1)
    incident, ring = receive(None, update, b"update..", NEW, TAG, 1000)
    assert (incident.flags, ring, incident.first, incident.digest) == (["late"], "alert", cti(1, 1), None)
    joined, ring = receive(incident, _claims(), DIGEST, LATE, TAG, 2000)
    assert joined is incident
    assert (ring, incident.digest) == (None, DIGEST)


def test_more_presses_ring_again_and_the_same_count_does_not() -> None:
    incident = _open()
    rings = [
        receive(incident, _claims(3, seq=seq, incident=cti(1, 1), presses=presses), DIGEST, NEW, TAG, seq)[1]
        for seq, presses in [(2, 1), (3, 2), (4, 2), (5, 4), (6, 3)]
    ]
    assert rings == [None, "press", None, "press", None]
    assert (incident.presses, incident.rang_ms, incident.rev) == (4, 5, 1)


def test_a_wish_to_cancel_is_marked_and_changes_no_level() -> None:
    incident = _open()
    receive(incident, _claims(2, seq=2, incident=cti(1, 1)), DIGEST, NEW, TAG, 7000)
    assert (incident.cancel_ms, incident.level, incident.rev) == (7000, RECEIVED, 1)


def test_a_press_after_the_closing_opens_it_again() -> None:
    incident = _open()
    act(incident, "close", 2000)
    receive(incident, _claims(3, seq=2, incident=cti(1, 1)), DIGEST, NEW, TAG, 3000)
    assert (incident.level, incident.rev) == (CLOSED, 2)
    _, ring = receive(incident, _claims(3, seq=3, incident=cti(1, 1), presses=2), DIGEST, NEW, TAG, 4000)
    assert (ring, incident.level, incident.rev, incident.flags) == ("press", RECEIVED, 3, ["reopened"])


def test_a_reused_counter_is_an_incident_of_its_own() -> None:
    clone, ring = receive(None, _claims(), b"another.", REUSE, TAG, 2000)
    assert (ring, clone.flags, clone.digest, clone.first) == (
        "counter reuse",
        ["counter reuse"],
        b"another.",
        cti(1, 1),
    )
    heartbeat, _ = receive(None, _claims(4, seq=8), b"another.", REUSE, TAG, 2000)
    assert heartbeat.first == cti(1, 8)
    update, _ = receive(None, _claims(3, seq=8, incident=cti(1, 1), rev=7), b"another.", REUSE, TAG, 2000)
    assert (update.first, update.rev) == (cti(1, 8), 1)


def test_a_rev_felt_above_the_desks_own_is_gone_above() -> None:
    incident = _open()
    receive(incident, _claims(3, seq=2, incident=cti(1, 1), rev=1), DIGEST, NEW, TAG, 2000)
    assert incident.rev == 1
    receive(incident, _claims(3, seq=3, incident=cti(1, 1), rev=5), DIGEST, NEW, TAG, 3000)
    assert (incident.rev, incident.said_rev, incident.level) == (6, 6, RECEIVED)
    receive(incident, _claims(3, seq=4, incident=cti(1, 1), rev=2**63 - 1), DIGEST, NEW, TAG, 3000)
    assert incident.rev == 2**32 - 1


def test_a_test_is_one_at_first_sight_until_something_real_is_said() -> None:
    incident = _open(flags=1)
    assert incident.test
    receive(incident, _claims(3, seq=2, incident=cti(1, 1), flags=1), DIGEST, NEW, TAG, 2000)
    assert incident.test
    receive(incident, _claims(3, seq=3, incident=cti(1, 1), flags=0), DIGEST, NEW, TAG, 3000)
    assert not incident.test


def test_the_latest_place_stays_and_a_late_one_does_not_replace_it() -> None:
    incident = _open()
    for seq, verdict, lat_e7 in [(5, NEW, 5), (3, LATE, 3), (6, NEW, 6)]:
        claims = _claims(3, seq=seq, incident=cti(1, 1), place=Place(lat_e7, 0, None, 0), flags=2)
        receive(incident, claims, DIGEST, verdict, TAG, seq)
        assert incident.place
        assert json.loads(incident.place)["lat_e7"] == (5 if seq == 3 else lat_e7)
    assert json.loads(incident.place)["trusted"] is False


def test_every_act_outside_the_table_is_refused() -> None:
    allowed = {(level, name) for name, (levels, _) in ACTS.items() for level in levels}
    for level, name in itertools.product(LEVELS, ACTS):
        incident = _open()
        incident.level = level
        if (level, name) in allowed:
            act(incident, name, 2000)
            assert (incident.level, incident.rev) == (ACTS[name][1], 2)
        else:
            with pytest.raises(IncidentError, match=LEVELS[level]):
                act(incident, name, 2000)
            assert (incident.level, incident.rev) == (level, 1)


def test_every_level_is_reached_and_each_change_raises_rev_by_one() -> None:
    incident = _open()
    seen = [(incident.level, incident.rev)]
    for name in ("seen", "take", "decline", "take", "decline", "seen", "close"):
        act(incident, name, 2000)
        seen.append((incident.level, incident.rev))
    levels = [RECEIVED, SEEN, COMING, DECLINED, COMING, DECLINED, SEEN, CLOSED]
    assert seen == list(zip(levels, range(1, 9), strict=True))


def test_nothing_but_a_press_leaves_closed() -> None:
    assert not [name for name, (levels, _) in ACTS.items() if CLOSED in levels]
