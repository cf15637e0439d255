"""
firmware/shared_sky.py with a quiet tag: when the radio is lent to the sky, for how long, and what is told. DESIGN §1.

With the real tag and link: test_shared_sky_path.py.
"""

import asyncio
from itertools import pairwise

import pytest
import shared_sky
from log import Log
from shared_sky import SharedSky

from tests.host.fakes import Now, beside, run, ticking
from tests.host.sky_setup import FIX_UTC_S, RadioModem


class Quiet:
    """What the sky asks of a tag, and tells it."""

    def __init__(self) -> None:
        self.calm = True
        self.incident: str | None = None
        self.told: list[object] = []

    def settled(self) -> bool:
        return self.calm

    def on_time(self, utc_s: int) -> None:
        self.told.append(utc_s)

    def update_soon(self) -> None:
        self.told.append("update soon")


class Setup:
    def __init__(self, now: Now) -> None:
        self.now = now
        self.began_s = now.s
        self.modem = RadioModem(now)
        self.tag = Quiet()
        self.log = Log(now.ticks_ms, lambda line: None)
        self.sky = SharedSky(self.modem, self.log)

    def run(self, *steps) -> None:
        run(self.now, beside(self.sky.run(self.tag), *steps))

    def windows(self) -> list[tuple[float, float]]:
        return self.modem.windows(self.began_s)

    def incident(self, state: str | None = "calling"):
        def change() -> None:
            self.tag.incident = state

        return change

    def touch(self) -> None:
        self.sky.power(True)

    def calm(self, calm: bool):
        def change() -> None:
            self.tag.calm = calm

        return change


@pytest.fixture
def setup(monkeypatch) -> Setup:
    return Setup(ticking(monkeypatch, Now()))


def test_before_anything_was_heard_there_is_no_fix(setup):
    assert setup.sky.fix() is None


def test_after_a_start_the_sky_is_heard_once_all_is_settled(setup):
    setup.tag.calm = False
    setup.run(50, setup.calm(True), 10)
    assert setup.windows() == [(50.2, pytest.approx(55.5, abs=0.5))]


def test_what_was_heard_is_told_with_its_time_and_said_soon(setup):
    setup.run(10)
    fix = setup.sky.fix()
    assert (fix.lat_e7, fix.lon_e7, fix.accuracy_m, fix.utc_s) == (504501000, 305234000, 14, FIX_UTC_S)
    assert setup.tag.told == [FIX_UTC_S, "update soon"]


def test_a_window_without_a_fix_ends_after_a_minute_and_tells_nothing(setup):
    setup.modem.sky_s = None
    setup.run(100)
    assert setup.windows() == [(0.2, pytest.approx(60.3, abs=0.3))]
    assert setup.tag.told == []
    assert setup.sky.fix() is None


def test_an_earlier_fix_outlives_a_window_that_hears_none(setup):
    def clouds() -> None:
        setup.modem.sky_s = None

    setup.run(10, clouds, 3700)
    assert len(setup.windows()) == 2
    assert setup.sky.fix().utc_s == FIX_UTC_S
    assert len(setup.tag.told) == 2


def test_outside_an_incident_the_sky_is_heard_once_an_hour(setup):
    setup.run(10 * 3600)
    begins = [begin for begin, _ in setup.windows()]
    assert len(begins) == 10
    assert all(3600 <= later - s <= 3610 for s, later in pairwise(begins))


def test_in_an_incident_lte_has_half_a_minute_between_two_windows(setup):
    setup.modem.sky_s = None
    setup.run(setup.incident(), 400)
    windows = setup.windows()
    assert len(windows) == 5
    assert all(29.9 <= later[0] - window[1] <= 30.5 for window, later in pairwise(windows))


@pytest.mark.parametrize("unsettled_s", [1, 100, 5000])
def test_no_window_begins_while_something_waits(setup, unsettled_s):
    setup.run(10, setup.incident(), setup.touch, setup.calm(False), unsettled_s, setup.calm(True), 10)
    assert [begin for begin, _ in setup.windows()] == [0.2, pytest.approx(10 + unsettled_s, abs=0.3)]


@pytest.mark.parametrize("after_s", [0.5, 1, 17.3, 59])
def test_a_touch_ends_a_window_at_once(setup, after_s):
    setup.modem.sky_s = None
    setup.run(0.2 + after_s, setup.touch, setup.calm(False), 30)
    [(begin, end)] = setup.windows()
    assert end - begin <= after_s + 0.4
    assert not setup.modem.radio.locked()


def test_a_touch_while_the_modem_is_asked_ends_the_window_too(setup):
    setup.modem.sky_s = None

    async def main() -> None:
        task = asyncio.create_task(setup.sky.run(setup.tag))
        while not [what for _, what in setup.modem.log if what == "AT+CGNSINF"]:
            await asyncio.sleep(0.005)
        setup.tag.calm = False
        setup.touch()
        await asyncio.sleep(0.5)
        assert not task.done()

    run(setup.now, main())
    assert setup.modem.log[-1][1] == "AT+CGNSPWR=0"


def test_after_a_touch_that_became_a_press_the_first_window_follows_at_once(setup):
    setup.run(10, setup.touch, setup.incident(), setup.calm(False), 5, setup.calm(True), 10)
    assert [begin for begin, _ in setup.windows()] == [0.2, pytest.approx(15.2, abs=0.2)]


def test_a_press_in_a_window_has_the_next_one_as_soon_as_it_is_settled(setup):
    setup.modem.sky_s = None
    setup.run(20, setup.touch, setup.incident(), setup.calm(False), 5, setup.calm(True), 10)
    assert [begin for begin, _ in setup.windows()] == [0.2, pytest.approx(25.2, abs=0.2)]


def test_when_the_incident_is_over_the_next_window_is_an_hour_later(setup):
    def over() -> None:
        setup.tag.incident = None
        setup.sky.power(False)

    setup.run(setup.incident(), 200, over, 7300)
    late = [begin for begin, _ in setup.windows() if begin > 200]
    assert [round(begin, -1) for begin in late] == [3800, 7410]


def test_the_end_of_an_incident_ends_a_window(setup):
    setup.modem.sky_s = None
    setup.run(setup.incident(), 30, lambda: setup.sky.power(False), 30)
    assert setup.windows() == [(0.2, pytest.approx(30.2, abs=0.2))]


@pytest.mark.parametrize("days", [3, 6.5, 13])
def test_after_days_without_a_network_the_next_window_is_not_put_off(setup, days, monkeypatch):
    """Ticks tell only 6 days apart."""
    monkeypatch.setattr(shared_sky, "_LOOK_MS", 30_000)  # or it takes minutes
    setup.run(50, setup.calm(False), days * 86400, setup.calm(True), 50)
    assert len(setup.windows()) == 2


@pytest.mark.parametrize("days", [3, 6.5, 13])
def test_days_after_the_last_window_an_incident_has_one_at_once(setup, days, monkeypatch):
    monkeypatch.setattr(shared_sky, "_LOOK_MS", 30_000)
    setup.run(50, setup.calm(False), days * 86400, setup.touch, setup.incident(), 50, setup.calm(True), 50)
    assert len(setup.windows()) == 2


def test_nobody_is_kept_waiting_for_a_radio_that_lte_is_about_to_use(setup):
    """While LTE attaches the sky does not queue up behind it: it would take the radio from what was just opened."""

    async def attach() -> None:
        async with setup.modem.radio:
            await asyncio.sleep(20)
        setup.tag.calm = False

    setup.run(lambda: asyncio.ensure_future(attach()), 60)
    assert setup.modem.log == []


@pytest.mark.parametrize("incident", [None, "calling"])
@pytest.mark.parametrize("refused", ["asleep", "AT+CGNSPWR=1", "AT+CGNSINF"])
def test_a_modem_that_refuses_is_tried_again_and_the_radio_is_back(setup, refused, incident):
    setup.modem.awake = refused != "asleep"
    setup.modem.refuses = {refused}

    def heal() -> None:
        assert not setup.modem.radio.locked()
        setup.modem.awake, setup.modem.refuses = True, set()

    setup.run(setup.incident(incident), 70, heal, 3700 if incident is None else 40)
    assert setup.sky.fix() is not None
    assert [line for line in setup.log.lines if " W sky: " in line]


def test_without_a_modem_there_is_no_sky_and_no_harm(monkeypatch):
    setup = Setup(ticking(monkeypatch, Now()))
    setup.sky = SharedSky(None, setup.log)
    setup.run(100, lambda: setup.sky.power(True), 100, lambda: setup.sky.power(False), 4000)
    assert setup.sky.fix() is None
    assert setup.log.lines == []
