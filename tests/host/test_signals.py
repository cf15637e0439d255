"""What the child feels and sees."""

import re
from pathlib import Path

import pytest
from incident import TABLE as INCIDENT_TABLE
from signals import TABLE, pattern

FIRMWARE = Path(__file__).parents[2] / "firmware"
NAMES = [row.split()[0] for row in TABLE.strip().splitlines()]
# For the eye of whoever looks after the tag, not for the child.
SEEN = ["fault", "not_in_service"]


def felt_anywhere() -> set[str]:
    """Every signal that the firmware may ask for: in the life of an incident and by feel()."""
    felt = {row.split()[3] for row in INCIDENT_TABLE.strip().splitlines()} - {"-"}
    for source in FIRMWARE.rglob("*.py"):
        felt |= set(re.findall(r'(?:feel|_felt)\("(\w+)"\)', source.read_text()))
    return felt


def test_every_signal_that_is_asked_for_has_a_pattern_and_none_is_left_over() -> None:
    assert felt_anywhere() == set(NAMES)
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_discreet_keeps_the_vibration_and_turns_off_every_light(name: str) -> None:
    vibration, light = pattern(name, False)
    assert pattern(name, True) == (vibration, [])
    assert vibration or light


@pytest.mark.parametrize("name", NAMES)
def test_patterns_begin_and_end_on_and_every_part_can_be_felt(name: str) -> None:
    for times_ms in pattern(name, False):
        assert len(times_ms) % 2 == 1 or times_ms == []
        assert all(isinstance(ms, int) and 40 <= ms <= 1500 for ms in times_ms)
        assert sum(times_ms) <= 4000


def test_exactly_these_patterns() -> None:
    assert pattern("received", False) == ([120, 120, 120], [120, 120, 120])
    assert pattern("coming", False)[0] == [700, 300, 700, 300, 700]
    assert pattern("still_trying", False) == ([40], [])


def test_no_two_signals_feel_the_same() -> None:
    vibrations = [tuple(pattern(name, False)[0]) for name in NAMES if name not in SEEN]
    assert len(vibrations) == len(set(vibrations))


def test_what_is_seen_and_not_felt_can_be_told_apart() -> None:
    assert [name for name in NAMES if not pattern(name, False)[0]] == SEEN
    assert pattern(SEEN[0], False)[1] != pattern(SEEN[1], False)[1]


def test_an_unknown_signal_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        pattern("help", False)


def test_a_pattern_may_be_changed_by_who_plays_it() -> None:
    pattern("received", False)[0].clear()
    assert pattern("received", False)[0] == [120, 120, 120]
