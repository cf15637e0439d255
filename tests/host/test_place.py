"""firmware/place.py: a fix of now, the last one with its age, and nothing once that is too old to say."""

import clock
import pytest
from fix import Fix
from place import Place

from tests.host.fakes import Now, ticking

KYIV = (504501000, 305234000)
DAY_S = 86400


class Setup:
    def __init__(self, now: Now) -> None:
        self.now = now
        self.fix: Fix | None = None
        self.place = Place(lambda: self.fix)

    def see(self, age_s: float = 0, lat_e7: int = KYIV[0]) -> Fix:
        at_ms = clock.later(self.now.ticks_ms(), -int(age_s * 1000))
        self.fix = Fix(lat_e7, KYIV[1], 12, None, at_ms)
        return self.fix

    def live(self) -> Fix | None:
        return self.place.live(self.now.ticks_ms())

    def age_s(self) -> int | None:
        """How old the place is said to be; None: none is said."""
        location = self.place.location(self.now.ticks_ms())
        return location and location.age_s

    def wait(self, seconds: float, step_s: float = 60) -> None:
        """Let time pass, and be asked as the tag does."""
        until_s = self.now.s + seconds
        while self.now.s < until_s:
            self.now.s = min(until_s, self.now.s + step_s)
            self.live()


@pytest.fixture
def setup(monkeypatch) -> Setup:
    return Setup(ticking(monkeypatch, Now()))


def test_without_a_receiver_that_knows_there_is_no_place(setup):
    assert setup.live() is None
    assert setup.age_s() is None


@pytest.mark.parametrize(
    ("age_s", "live"), [(0, True), (4.9, True), (5, True), (5.1, False), (60, False)], ids=str
)
def test_a_fix_is_live_for_5_s(setup, age_s, live):
    fix = setup.see(age_s)
    assert setup.live() == (fix if live else None)


def test_a_fix_that_was_never_seen_live_is_not_said(setup):
    """Nobody knows how long it has stood there: in ticks it might be 12 days older."""
    setup.see(age_s=6)
    assert setup.age_s() is None


def test_the_place_is_the_last_live_one_with_its_age_in_whole_seconds(setup):
    setup.see()
    assert setup.place.location(setup.now.ticks_ms()) == (*KYIV, 12, 0)
    setup.now.s += 99.9
    assert setup.age_s() == 99


def test_asking_for_the_place_sees_a_live_fix(setup):
    setup.see(age_s=3)
    assert setup.age_s() == 3


def test_a_newer_fix_replaces_an_older_one(setup):
    setup.see(lat_e7=1)
    setup.wait(10)
    setup.see(lat_e7=2)
    setup.wait(3)
    setup.fix = None
    assert setup.place.location(setup.now.ticks_ms()).lat_e7 == 2
    assert setup.age_s() == 3


def test_the_last_place_outlives_the_receivers_word(setup):
    setup.see()
    setup.wait(1)
    setup.fix = None
    setup.wait(3600)
    assert setup.age_s() == 3601


@pytest.mark.parametrize(
    ("age_s", "said"), [(DAY_S - 60, DAY_S - 60), (DAY_S, DAY_S), (DAY_S + 1, None)], ids=str
)
def test_after_a_day_it_is_said_no_more(setup, age_s, said):
    setup.see()
    setup.live()
    setup.fix = None
    setup.now.s += age_s
    assert setup.age_s() == said


@pytest.mark.parametrize(
    "mute", [True, False], ids=["a mute receiver shows it for ever", "a receiver that is off"]
)
@pytest.mark.parametrize("days", [1.1, 6.2, 6.3, 9, 12.42, 12.43, 13, 18.7, 25, 40])
def test_what_has_become_too_old_never_becomes_young_again(setup, days, mute):
    """Ticks wrap after 12.4 days."""
    setup.see()
    setup.live()
    if not mute:
        setup.fix = None
    setup.wait(days * DAY_S, step_s=3)
    assert setup.live() is None
    assert setup.age_s() is None


def test_after_a_fix_too_old_to_say_a_new_one_is_said_again(setup):
    setup.see()
    setup.wait(2 * DAY_S)
    setup.see()
    assert setup.age_s() == 0


def test_a_fix_from_the_future_is_of_now(setup):
    """The receiver stamps it while we look: an age is never negative."""
    setup.see(age_s=-0.4)
    assert setup.live() == setup.fix
    assert setup.age_s() == 0
