"""firmware/drill.py: what arms a test alert, and what ends it."""

import pytest
from drill import Drill

TICK_MS = 200
OPEN = object()  # any incident


def charger(*levels: tuple[bool, int], at_ms: int = 0) -> list[int]:
    """Feed (level, for so many ms) every 200 ms; return after how many ms it was armed."""
    drill, armed, began_ms = Drill(), [], at_ms
    for on, for_ms in levels:
        for _ in range(for_ms // TICK_MS):
            if drill.feed(on, at_ms % (1 << 30)):
                armed.append(at_ms - began_ms)
            at_ms += TICK_MS
    return armed


ON, OFF = (True, 1000), (False, 1000)


@pytest.mark.parametrize("at_ms", [0, (1 << 30) - 2000], ids=["early", "over the end of the ticks"])
def test_off_and_on_twice_arms_once(at_ms):
    assert charger(ON, OFF, ON, OFF, ON, OFF, at_ms=at_ms) == [4000]


def test_whoever_begins_without_the_charger_puts_it_on_three_times():
    assert charger(OFF, ON, OFF, ON, OFF) == []
    assert charger(OFF, ON, OFF, ON, OFF, ON) == [5000]


@pytest.mark.parametrize(
    "levels",
    [
        (ON, OFF),
        (ON, OFF, ON),
        (ON, OFF, (True, 60000), OFF, ON),
        (ON, OFF, ON, (False, 9400), ON),
        ((True, 200_000_000),),
        ((False, 200_000),),
    ],
    ids=["off", "once", "too far apart", "just too long", "charged for days", "worn"],
)
def test_less_is_no_gesture(levels):
    assert charger(*levels) == []


def test_just_within_10_s_it_is_one():
    assert charger(ON, OFF, ON, (False, 8000), ON) == [11000]


def pressed(drill: Drill, incident: object = None) -> int:
    drill.pressed(incident)
    return drill.flag


def test_one_press_is_a_test_and_the_next_is_not():
    drill = Drill()
    drill.arm(0)
    assert [pressed(drill), pressed(drill, OPEN), pressed(drill)] == [1, 0, 0]


def test_armed_again_within_a_test_it_stays_one():
    drill = Drill()
    drill.arm(0)
    pressed(drill)
    drill.arm(0)
    assert pressed(drill, OPEN) == 1


def test_a_press_in_a_real_incident_is_never_a_test_and_uses_the_arming_up():
    drill = Drill()
    pressed(drill)
    drill.arm(0)
    assert [pressed(drill, OPEN), pressed(drill)] == [0, 0]


@pytest.mark.parametrize(("after_ms", "flag"), [(60000, 1), (60001, 0), (1 << 29, 0)])
def test_it_is_armed_for_a_minute(after_ms, flag):
    drill = Drill()
    drill.arm(5)
    for now_ms in range(5, 5 + after_ms, 50_000_000):
        drill.feed(False, now_ms)
    drill.feed(False, 5 + after_ms)
    assert pressed(drill) == flag
