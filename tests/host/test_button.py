"""The gesture of one button, in virtual time: holds, taps, bounces, late polls, waking, the ring of ticks."""

from collections.abc import Iterable

import pytest
from button import Button
from hypothesis import given
from hypothesis import strategies as st

RING = 1 << 30
HOLD_MS = 600
# Where the ring of ticks wraps: nothing may depend on where in it a press falls.
STARTS = [0, 12345, RING - 1, RING - 300, RING - 3000, RING // 2 - 100]

Event = tuple[str, int]


def play(
    edges: Iterable[tuple[bool, int]], end_ms: int, start: int = 0, hold_ms: int = HOLD_MS, poll_ms: int = 10
) -> list:
    """Feed edges (level, ms) and poll every `poll_ms` to `end_ms`; return the events, their times from `start` on."""
    button = Button(hold_ms)
    events = []
    pending = list(edges)
    for now_ms in range(0, end_ms + 1, poll_ms):
        while pending and pending[0][1] <= now_ms:
            level, at_ms = pending.pop(0)
            events += button.feed(level, (start + at_ms) % RING)
        events += button.poll((start + now_ms) % RING)
    assert pending == []
    return [(name, (at_ms - start) % RING) for name, at_ms in events]


def names(events: Iterable[Event]) -> list[str]:
    return [name for name, _ in events]


def taps(*begins_ms: int, for_ms: int = 100) -> list[tuple[bool, int]]:
    return [edge for begin in begins_ms for edge in ((True, begin), (False, begin + for_ms))]


@pytest.mark.parametrize("start", STARTS)
def test_holding_long_enough_is_one_press(start: int) -> None:
    assert play([(True, 0), (False, 1000)], 2000, start) == [
        ("touch", 0),
        ("pressed", HOLD_MS),
        ("released", 1000),
    ]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("poll_ms", [1, 10, 50, 1000])
@pytest.mark.parametrize(("held_ms", "pressed"), [(599, False), (600, True), (601, True)])
def test_the_hold_is_exact_and_judged_by_the_edge(
    start: int, poll_ms: int, held_ms: int, pressed: bool
) -> None:
    """A poll that comes late neither makes a short touch a press nor loses a long one."""
    events = play([(True, 0), (False, held_ms)], 2000, start, poll_ms=poll_ms)
    assert (("pressed", HOLD_MS) in events) == pressed
    assert events[0] == ("touch", 0)
    assert events[-1] == ("released", held_ms)


@pytest.mark.parametrize("hold_ms", [0, 1, 600, 4999, 5000])
def test_every_hold_of_the_configuration_is_a_press(hold_ms: int) -> None:
    events = play([(True, 0), (False, hold_ms)], 6000, hold_ms=hold_ms)
    assert names(events).count("pressed") == 1
    assert ("pressed", hold_ms) in events


def test_with_no_hold_the_touch_itself_is_the_press_at_once() -> None:
    assert Button(0).feed(True, 7) == [("touch", 7), ("pressed", 7)]


def test_with_no_hold_every_touch_is_one_press() -> None:
    assert names(play(taps(0, 500, 1000, 1500), 3000, hold_ms=0)).count("pressed") == 4


@pytest.mark.parametrize("start", STARTS)
def test_three_taps_are_one_press_at_the_third_touch(start: int) -> None:
    events = play(taps(0, 300, 600), 3000, start)
    assert [event for event in events if event[0] != "released"] == [
        ("touch", 0),
        ("touch", 300),
        ("touch", 600),
        ("pressed", 600),
    ]


@pytest.mark.parametrize(("third_ms", "pressed"), [(2000, True), (2001, False)])
def test_three_taps_count_when_they_begin_within_two_seconds(third_ms: int, pressed: bool) -> None:
    assert ("pressed" in names(play(taps(0, 1000, third_ms), 4000))) == pressed


def test_slow_taps_count_from_any_of_them() -> None:
    assert names(play(taps(0, 1500, 2400, 3300), 5000)).count("pressed") == 1


def test_two_taps_are_no_press() -> None:
    assert "pressed" not in names(play(taps(0, 300), 5000))


def test_six_taps_are_two_presses() -> None:
    assert names(play(taps(0, 200, 400, 600, 800, 1000), 5000)).count("pressed") == 2


def test_a_hold_is_not_a_tap_as_well() -> None:
    events = play([(True, 0), (False, 700), *taps(900, 1100)], 4000)
    assert names(events).count("pressed") == 1


def test_taps_before_a_hold_do_not_take_it_away() -> None:
    events = play([*taps(0, 300), (True, 2500), (False, 3300)], 5000)
    assert ("pressed", 3100) in events
    assert names(events).count("pressed") == 1


def test_the_third_tap_held_on_is_one_press_and_may_become_long() -> None:
    events = play([*taps(0, 300), (True, 600), (False, 6000)], 7000)
    assert [event for event in events if event[0] in ("pressed", "long")] == [
        ("pressed", 600),
        ("long", 5600),
    ]


@pytest.mark.parametrize("start", STARTS)
def test_long_at_five_seconds_and_stuck_at_thirty_each_once(start: int) -> None:
    assert play([(True, 0), (False, 90000)], 91000, start) == [
        ("touch", 0),
        ("pressed", 600),
        ("long", 5000),
        ("stuck", 30000),
        ("released", 90000),
    ]


@pytest.mark.parametrize(
    ("held_ms", "last"), [(4999, "pressed"), (5000, "long"), (29999, "long"), (30000, "stuck")]
)
def test_long_and_stuck_are_exact(held_ms: int, last: str) -> None:
    assert names(play([(True, 0), (False, held_ms)], 31000, poll_ms=500))[-2:] == [last, "released"]


def test_after_each_touch_everything_begins_anew() -> None:
    once = ["touch", "pressed", "long", "released"]
    assert names(play([(True, 0), (False, 5500), (True, 9000), (False, 14500)], 20000)) == once + once


def test_a_repeated_level_changes_nothing() -> None:
    button = Button(HOLD_MS)
    assert button.feed(False, 0) == []
    assert button.feed(True, 10) == [("touch", 10)]
    assert button.feed(True, 100) == []
    assert button.feed(True, 610) == [("pressed", 610)]
    assert button.feed(False, 700) == []
    assert button.feed(False, 719) == []
    assert button.feed(False, 720) == [("released", 700)]
    assert button.feed(False, 900) == []


def test_it_is_busy_until_the_release_is_believed() -> None:
    button = Button(HOLD_MS)
    assert not button.busy()
    button.feed(True, 0)
    assert button.busy()
    button.feed(False, 100)
    assert button.busy()
    assert button.poll(119) == []
    assert button.busy()
    assert button.poll(120) == [("released", 100)]
    assert not button.busy()
    assert button.poll(10**6) == []


def test_a_new_touch_before_any_poll_still_ends_the_old_one() -> None:
    button = Button(HOLD_MS)
    button.feed(True, 0)
    button.feed(False, 100)
    assert button.feed(True, 120) == [("released", 100), ("touch", 120)]
    assert button.feed(False, 800) == [("pressed", 720)]


@pytest.mark.parametrize(("up_ms", "presses"), [(19, 1), (20, 0)])
def test_a_gap_shorter_than_20_ms_is_a_bounce(up_ms: int, presses: int) -> None:
    events = play([(True, 0), (False, 300), (True, 300 + up_ms), (False, 700)], 1000, poll_ms=1)
    assert names(events).count("pressed") == presses
    assert names(events).count("touch") == 2 - presses


BOUNCE = st.lists(st.integers(1, 15), max_size=8, unique=True).map(sorted)


def bouncing(level: bool, at_ms: int, after_ms: list[int]) -> list[tuple[bool, int]]:
    """An edge at `at_ms` that bounces at these times after it, and comes to rest where it should."""
    if len(after_ms) % 2:
        after_ms = after_ms[:-1]
    return [(level if n % 2 == 0 else not level, at_ms + ms) for n, ms in enumerate([0, *after_ms])]


@given(
    st.lists(
        st.tuples(st.sampled_from([40, 100, 300, 580, 620, 1500, 4980, 5020, 31000]), st.integers(40, 3000)),
        min_size=1,
        max_size=5,
    ),
    st.data(),
    st.sampled_from(STARTS),
    st.sampled_from([1, 7, 10]),
)
def test_no_bounce_within_15_ms_changes_what_is_told(
    touches: list[tuple[int, int]], draw: st.DataObject, start: int, poll_ms: int
) -> None:
    """Touches of (ms down, ms up after it), clean and bouncing: the same events, at most 15 ms apart."""
    clean: list[tuple[bool, int]] = []
    dirty: list[tuple[bool, int]] = []
    at_ms = 0
    for down_ms, up_ms in touches:
        clean += [(True, at_ms), (False, at_ms + down_ms)]
        dirty += bouncing(True, at_ms, draw.draw(BOUNCE))
        dirty += bouncing(False, at_ms + down_ms, draw.draw(BOUNCE))
        at_ms += down_ms + up_ms
    expected = play(clean, at_ms + 100, start, poll_ms=poll_ms)
    told = play(dirty, at_ms + 100, start, poll_ms=poll_ms)
    assert names(told) == names(expected)
    for (_, told_ms), (_, expected_ms) in zip(told, expected, strict=True):
        assert 0 <= told_ms - expected_ms <= 15


@given(
    st.lists(st.tuples(st.integers(21, 3000), st.integers(21, 3000)), min_size=1, max_size=12),
    st.integers(0, 5000),
    st.sampled_from(STARTS),
    st.lists(st.integers(0, 36000), max_size=20),
)
def test_a_valid_gesture_is_never_lost_however_late_the_polls(
    touches: list[tuple[int, int]], hold_ms: int, start: int, polls_ms: list[int]
) -> None:
    """Against the gesture's definition: a hold, or three touches of which none was held that begin within 2 s."""
    steps = []
    expected = 0
    at_ms = 0
    begun: list[int] = []
    for down_ms, up_ms in touches:
        begun = [begin for begin in begun if at_ms - begin <= 2000] + [at_ms]
        if len(begun) == 3 or down_ms >= hold_ms:
            expected, begun = expected + 1, []
        steps += [(at_ms, True), (at_ms + down_ms, False)]
        at_ms += down_ms + up_ms
    steps += [(ms, None) for ms in [*polls_ms, at_ms + 100] if ms <= at_ms + 100]
    button = Button(hold_ms)
    events = []
    for ms, level in sorted(steps, key=lambda step: step[0]):
        now_ms = (start + ms) % RING
        events += button.poll(now_ms) if level is None else button.feed(level, now_ms)
    assert names(events).count("pressed") == expected
    assert names(events).count("touch") == names(events).count("released") == len(touches)
    assert not button.busy()


@pytest.mark.parametrize("start", STARTS)
def test_woken_with_the_finger_down_the_boot_counts_as_held(start: int) -> None:
    button = Button(HOLD_MS)
    now_ms = (start + 400) % RING
    assert button.woken(True, 400, now_ms) == [("touch", start)]
    assert button.busy()
    assert button.poll((start + 599) % RING) == []
    assert button.poll((start + 650) % RING) == [("pressed", (start + 600) % RING)]
    assert button.feed(False, (start + 900) % RING) == []
    assert button.poll((start + 920) % RING) == [("released", (start + 900) % RING)]


def test_woken_with_the_finger_down_after_a_slow_boot_is_a_press_already() -> None:
    assert Button(HOLD_MS).woken(True, 900, 5000) == [("touch", 4100), ("pressed", 4700)]


@pytest.mark.parametrize(("boot_ms", "pressed"), [(599, False), (600, True), (900, True)])
def test_woken_with_the_finger_gone_it_is_the_alarm_if_the_boot_took_a_hold(
    boot_ms: int, pressed: bool
) -> None:
    """Nobody knows how long it was: fail open."""
    button = Button(HOLD_MS)
    events = button.woken(False, boot_ms, 5000)
    assert names(events) == (["touch", "pressed", "released"] if pressed else ["touch", "released"])
    assert events[0] == ("touch", 5000 - boot_ms)
    assert not button.busy()


def test_woken_with_the_finger_gone_it_is_the_first_of_three_taps() -> None:
    button = Button(HOLD_MS)
    events = button.woken(False, 450, 450)
    for level, at_ms in taps(700, 1000):
        events += button.feed(level, at_ms)
    assert ("pressed", 1000) in events


def test_a_press_told_at_waking_is_no_tap_as_well() -> None:
    button = Button(HOLD_MS)
    events = button.woken(False, 700, 700)
    for level, at_ms in taps(900, 1200):
        events += button.feed(level, at_ms)
    assert names(events).count("pressed") == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=200))
def test_endless_edges_keep_no_more_than_the_latest_touches(edges: list[tuple[bool, int]]) -> None:
    button = Button(HOLD_MS)
    at_ms = 0
    touched = 0
    for level, wait_ms in edges:
        at_ms += wait_ms
        touched += names(button.feed(level, at_ms)).count("touch")
        assert len(button._touches) < 3


# ---------------------------------------------------------------------------------------------- how long to put off


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("longest_ms", [10, 100, 60_000])
def test_who_polls_after_wait_ms_is_never_late_for_a_hold(start: int, longest_ms: int) -> None:
    button = Button(HOLD_MS)
    told = button.feed(True, start)
    now_ms, polls = 0, 0
    while now_ms < 31_000:
        now_ms += button.wait_ms((start + now_ms) % RING, longest_ms)
        polls += 1
        for name, at_ms in button.poll((start + now_ms) % RING):
            # Told at that very moment, not at the next round of polls.
            assert (start + now_ms) % RING == at_ms
            told.append((name, at_ms))
    assert names(told) == ["touch", "pressed", "long", "stuck"]
    assert polls <= 31_000 / longest_ms + 4


@pytest.mark.parametrize("hold_ms", [0, 3, 600, 5000])
def test_a_wait_is_at_least_1_ms_and_at_most_the_longest(hold_ms: int) -> None:
    button = Button(hold_ms)
    button.feed(True, 0)
    for now_ms in range(0, 32_000, 7):
        button.poll(now_ms)
        assert 1 <= button.wait_ms(now_ms, 10) <= 10
        # A poll that comes late has nothing to wait for.
        assert 1 <= button.wait_ms(now_ms + 40_000, 10) <= 10


def test_without_a_hold_left_to_tell_it_may_be_put_off_for_the_longest() -> None:
    button = Button(HOLD_MS)
    button.feed(True, 0)
    button.poll(30_000)
    assert button.wait_ms(30_001, 10) == 10


def test_a_release_is_believed_in_time_by_who_polls_after_wait_ms() -> None:
    button = Button(HOLD_MS)
    button.feed(True, 0)
    button.feed(False, 590)
    now_ms = 590
    while button.busy():
        now_ms += button.wait_ms(now_ms, 10)
        events = button.poll(now_ms)
    assert events == [("released", 590)]
    assert now_ms <= 590 + 30
