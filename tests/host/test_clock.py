"""Ticks in their ring, and UTC that remembers who said it."""

import calendar
import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import clock
import pytest
from clock import Clock, later, since
from hypothesis import given
from hypothesis import strategies as st

RING = 1 << 30
DAY_MS = 86_400_000
FROM_1970_TO_2000_S = 946_684_800
BUILT_S = 1_780_000_000
UNSIGNED, SIGNED = 1, 5
AHEAD_S = 2 * 365 * 86400


class Time:
    """The chip's `time` module and its RTC: seconds from `epoch` on, set by machine.RTC."""

    def __init__(self, epoch: int, utc_s: float) -> None:
        self._epoch_s = FROM_1970_TO_2000_S if epoch == 2000 else 0
        self.utc_s = utc_s
        self.sets: list[int] = []

    def time(self) -> float:
        return self.utc_s - self._epoch_s

    def gmtime(self, seconds: float) -> tuple[int, ...]:
        return tuple(time.gmtime(seconds + self._epoch_s))

    def ticks_ms(self) -> int:
        return int(self.utc_s * 1000)

    def set_rtc(self, *date: int) -> None:
        year, month, day, hour, minute, second = date
        self.utc_s = float(calendar.timegm((year, month, day, hour, minute, second)))
        self.sets.append(int(self.utc_s))


@pytest.fixture(params=[1970, 2000], ids=["from 1970", "from 2000"])
def chip(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, Time]:
    """A copy of clock.py that was imported where time counts from this year."""
    fake = Time(request.param, BUILT_S - 1000.0)
    monkeypatch.setitem(sys.modules, "time", fake)
    spec = importlib.util.spec_from_file_location("clock_on_a_chip", Path(clock.__file__))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.undo()
    return module, fake


Chip = tuple[ModuleType, Time]


def test_below_the_build_time_the_clock_is_set_to_it_and_not_trusted(chip: Chip) -> None:
    module, fake = chip
    utc = module.Clock(fake.set_rtc, BUILT_S)
    assert fake.sets == [BUILT_S]
    assert utc.utc_s() is None


def test_a_clock_that_runs_is_left_alone(chip: Chip) -> None:
    module, fake = chip
    fake.utc_s = BUILT_S + 5.75
    utc = module.Clock(fake.set_rtc, BUILT_S)
    assert fake.sets == []
    assert utc.utc_s() is None


def test_a_clock_that_was_trusted_before_the_restart_is_trusted_after_it(chip: Chip) -> None:
    module, fake = chip
    fake.utc_s = BUILT_S + 5.75
    assert module.Clock(fake.set_rtc, BUILT_S, True).utc_s() == BUILT_S + 5


def test_a_clock_below_the_build_time_is_not_trusted_whatever_was_remembered(chip: Chip) -> None:
    module, fake = chip
    assert module.Clock(fake.set_rtc, BUILT_S, True).utc_s() is None


def test_what_is_learnt_is_the_time_from_then_on(chip: Chip) -> None:
    module, fake = chip
    utc = module.Clock(fake.set_rtc, BUILT_S)
    assert utc.learn(BUILT_S + 86400, True) is True
    assert utc.utc_s() == BUILT_S + 86400
    fake.utc_s += 10.5
    assert utc.utc_s() == BUILT_S + 86410


@pytest.mark.parametrize(("ahead_s", "believed"), [(-3, False), (-2, True), (-1, True), (0, True)])
@pytest.mark.parametrize("trust", [0, UNSIGNED, SIGNED])
def test_nobody_unsigned_sets_a_clock_back(chip: Chip, trust: int, ahead_s: int, believed: bool) -> None:
    module, fake = chip
    fake.utc_s = BUILT_S + 1000.0
    utc = module.Clock(fake.set_rtc, BUILT_S, trust)
    assert utc.learn(BUILT_S + 1000 + ahead_s, False) is believed
    assert fake.utc_s == BUILT_S + 1000
    assert utc.utc_s() == (BUILT_S + 1000 if believed or trust else None)


@pytest.mark.parametrize("trust", [0, UNSIGNED])
@pytest.mark.parametrize("ahead_s", [-1000, -3, 3, 10**6])
def test_signed_time_heals_what_nobody_has_signed_forward_and_back(
    chip: Chip, trust: int, ahead_s: int
) -> None:
    module, fake = chip
    fake.utc_s = BUILT_S + 1000.0
    utc = module.Clock(fake.set_rtc, BUILT_S, trust)
    assert utc.learn(BUILT_S + 1000 + ahead_s, True) is True
    assert utc.utc_s() == fake.utc_s == BUILT_S + 1000 + ahead_s
    assert utc.trust == SIGNED


@pytest.mark.parametrize(
    ("ahead_s", "believed", "moves"),
    [
        (-100000, False, 0),
        (-3, False, 0),
        (-2, True, 0),
        (0, True, 0),
        (2, True, 0),
        (3, True, 3),
        (9999, True, 9999),
    ],
)
def test_a_signed_clock_moves_forward_only_and_not_for_two_seconds(
    chip: Chip, ahead_s: int, believed: bool, moves: int
) -> None:
    module, fake = chip
    fake.utc_s = BUILT_S + 1000.0
    utc = module.Clock(fake.set_rtc, BUILT_S, SIGNED)
    assert utc.learn(BUILT_S + 1000 + ahead_s, True) is believed
    assert utc.utc_s() == BUILT_S + 1000 + moves
    assert len(fake.sets) == (1 if moves else 0)


@pytest.mark.parametrize("said_s", [0, BUILT_S - 3, BUILT_S - 10**9])
def test_what_is_older_than_the_build_is_not_believed(chip: Chip, said_s: int) -> None:
    module, fake = chip
    utc = module.Clock(fake.set_rtc, BUILT_S)
    assert utc.learn(said_s, True) is False
    assert utc.utc_s() is None


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.booleans(), st.integers(0, 3600)), max_size=20))
def test_whatever_is_said_the_clock_stays_between_the_last_signed_time_and_the_limit(
    said: list[tuple[int, bool, int]],
) -> None:
    fake = Time(1970, BUILT_S - 1000.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "time", fake)
        utc = Clock(fake.set_rtc, BUILT_S)
        assert fake.utc_s == BUILT_S
        floor_s, since_s = BUILT_S, 0
        for offset_s, signed, passes_s in said:
            before_s, trust = int(fake.utc_s), utc.trust
            said_s = before_s + offset_s
            believed = utc.learn(said_s, signed)
            if believed and signed:
                floor_s, since_s = max(floor_s, said_s), 0
                assert utc.trust == SIGNED
            assert floor_s - 2 <= fake.utc_s <= floor_s + AHEAD_S + since_s
            # Set back by a signature over what nobody has signed, and by nothing else.
            assert fake.utc_s >= before_s or (believed and signed and trust != SIGNED)
            assert believed is False or abs(fake.utc_s - said_s) <= 2
            fake.utc_s += passes_s
            since_s += passes_s


@given(st.integers(0, RING - 1), st.integers(-6 * DAY_MS, 6 * DAY_MS))
def test_since_and_later_agree_around_the_ring_for_six_days(now_ms: int, apart_ms: int) -> None:
    then_ms = later(now_ms, apart_ms)
    assert 0 <= then_ms < RING
    assert since(then_ms, now_ms) == apart_ms
    assert since(now_ms, then_ms) == -apart_ms


def test_at_the_wrap() -> None:
    assert since(0, RING - 1) == 1
    assert since(RING - 1, 0) == -1
    assert later(RING - 1, 1) == 0
    assert since(5, 5) == 0


def test_ticks_go_forward_within_the_ring() -> None:
    first = clock.ticks_ms()
    assert 0 <= first < RING
    assert 0 <= since(clock.ticks_ms(), first) < 60_000


def test_ticks_of_the_chip_are_cut_to_the_ring(chip: Chip) -> None:
    module, fake = chip
    fake.utc_s = (RING + 5) / 1000
    assert module.ticks_ms() == 5


@pytest.mark.parametrize(("ahead_days", "believed"), [(0, True), (729, True), (731, False), (36500, False)])
def test_unsigned_time_years_after_the_last_signed_one_is_not_believed(
    chip: Chip, ahead_days: int, believed: bool
) -> None:
    """A false sky could push the clock past the broker's certificate, and it would never come back."""
    module, fake = chip
    utc = module.Clock(fake.set_rtc, BUILT_S)
    assert utc.learn(BUILT_S + ahead_days * 86400, False) is believed
    assert (utc.utc_s() is not None) is believed
    # What the desk signs is believed, and the unsigned may run on from there.
    assert utc.learn(BUILT_S + 800 * 86400, True) is True
    assert utc.learn(BUILT_S + 1500 * 86400, False) is True
    assert utc.learn(BUILT_S + 2300 * 86400, False) is False


# ---------------------------------------------------------------------------------------- a false sky, a false network


def test_what_a_false_network_has_told_ends_with_the_next_signed_time(chip: Chip) -> None:
    module, fake = chip
    utc = module.Clock(fake.set_rtc, BUILT_S)
    assert utc.learn(BUILT_S + 86400, True)
    assert utc.learn(BUILT_S + 700 * 86400, False)
    assert utc.utc_s() == BUILT_S + 700 * 86400
    # Signed, but before what was signed last: a replay.
    assert not utc.learn(BUILT_S + 86400 - 3, True)
    assert utc.learn(BUILT_S + 86400 + 60, True)
    assert utc.utc_s() == BUILT_S + 86400 + 60


def test_signed_time_is_not_set_back_by_an_old_signature(chip: Chip) -> None:
    module, fake = chip
    utc = module.Clock(fake.set_rtc, BUILT_S)
    utc.learn(BUILT_S + 1000, True)
    fake.utc_s += 600
    assert not utc.learn(BUILT_S + 1000, True)
    assert utc.utc_s() == BUILT_S + 1600


@pytest.mark.parametrize(
    ("lives_from_days", "lives_to_days", "truth_days", "false_days"),
    [
        pytest.param(-30, 60, 10, 400, id="a false sky, 90 days of certificate"),
        pytest.param(-1, 6, 2, 729, id="a false sky, a week of certificate"),
        pytest.param(300, 390, 365, None, id="a year in a drawer, the certificate is newer than the clock"),
    ],
)
def test_no_false_time_keeps_a_tag_from_the_desk_for_good(
    chip: Chip, lives_from_days: int, lives_to_days: int, truth_days: int, false_days: int | None
) -> None:
    """However short a certificate lives: the last signed time is tried in turn with what nobody has signed."""
    module, fake = chip
    day = 86400
    utc = module.Clock(fake.set_rtc, BUILT_S)
    utc.learn(BUILT_S + 2 * 3600, True)
    # A restart; the signed time was kept.
    utc = module.Clock(fake.set_rtc, BUILT_S + 2 * 3600, 0)
    tries = 0
    while True:
        tries += 1
        utc.learn(BUILT_S + (truth_days if false_days is None else false_days) * day, False)
        now_days = (fake.utc_s - BUILT_S) / day
        if lives_from_days <= now_days <= lives_to_days:
            break
        assert tries < 4
        utc.learn(None, False)
    # The session is open, and what the desk signs is the time.
    assert utc.learn(BUILT_S + truth_days * day, True)
    assert utc.utc_s() == BUILT_S + truth_days * day


def test_a_clock_that_was_signed_does_not_doubt_itself(chip: Chip) -> None:
    module, fake = chip
    utc = module.Clock(fake.set_rtc, BUILT_S)
    utc.learn(BUILT_S + 5000, True)
    utc.learn(None, False)
    assert utc.utc_s() == BUILT_S + 5000


def test_while_it_doubts_only_a_signature_is_believed(chip: Chip) -> None:
    module, fake = chip
    utc = module.Clock(fake.set_rtc, BUILT_S)
    utc.learn(BUILT_S + 5000, False)
    utc.learn(None, False)
    assert utc.utc_s() is None
    assert fake.utc_s == BUILT_S
    assert not utc.learn(BUILT_S + 5000, False)
    assert utc.learn(BUILT_S + 4000, True)
    assert utc.learn(BUILT_S + 5000, False)


@pytest.mark.parametrize("trust", [0, UNSIGNED, SIGNED])
def test_an_rtc_that_no_belief_could_have_set_is_set_to_the_floor(chip: Chip, trust: int) -> None:
    module, fake = chip
    fake.utc_s = BUILT_S + AHEAD_S + 10.0
    utc = module.Clock(fake.set_rtc, BUILT_S, trust)
    assert fake.utc_s == BUILT_S
    assert utc.utc_s() is None


def test_signed_time_is_kept_once_a_day(chip: Chip) -> None:
    module, fake = chip
    kept: list[int] = []
    utc = module.Clock(fake.set_rtc, BUILT_S, 0, kept.append)
    for hour in range(0, 100, 2):
        utc.learn(BUILT_S + hour * 3600, True)
        utc.learn(BUILT_S + hour * 3600 + 3000, False)
    assert kept == [BUILT_S + hour * 3600 for hour in (24, 48, 72, 96)]
