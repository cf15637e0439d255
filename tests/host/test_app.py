"""firmware/app.py in virtual time: heartbeats, the light that says "no way to the desk", the button's watch."""

import asyncio

import app
import pytest

from tests.host.app_setup import Setup
from tests.host.fakes import Now, run, ticking


@pytest.fixture
def slowly(monkeypatch):
    """Ticks of a second: hours cost less."""
    monkeypatch.setattr(app, "_TICK_MS", 1000)


@pytest.fixture
def setup(monkeypatch) -> Setup:
    return Setup(ticking(monkeypatch, Now()))


def test_every_part_runs_and_the_sky_knows_the_tag(setup):
    setup.run(1)
    assert setup.tag.told[0] == (0.0, "start: watchdog")
    for part in (setup.app.haptics, setup.app.link, setup.app.modem):
        assert part.ran == [()]
    assert setup.app.sky.ran == [(setup.tag,)]


def test_without_a_modem_everything_else_runs(setup):
    setup.app.modem = None
    setup.run(1, lambda: setup.app.hurry(True), 1)
    assert setup.app.cell() is None
    assert setup.app.sky.wanted == [True]
    assert setup.app.link.ran


def test_the_tag_ticks_every_200_ms(setup):
    setup.run(60.1)
    assert len(setup.tag.when("tick")) == 300


@pytest.mark.parametrize("heartbeat_s", [60, 600, 3600])
def test_heartbeats_come_as_often_as_configured_and_the_start_is_none(setup, heartbeat_s):
    setup.app.heartbeat_s = heartbeat_s
    setup.run(5 * heartbeat_s + 1)
    assert setup.tag.when("heartbeat") == pytest.approx([n * heartbeat_s for n in range(1, 6)], abs=0.5)


def test_while_there_is_no_way_to_the_desk_the_light_says_so_every_10_s(setup):
    def trouble(why):
        def change() -> None:
            setup.app.link.trouble = why

        return change

    def dark() -> None:
        assert setup.app.haptics.felt == []

    setup.run(35, dark, trouble("modem: no coverage"), 60, trouble(None), 100)
    assert setup.app.haptics.felt == ["fault"] * 6


NIGHT = [22 * 60, 6 * 60]


def at(hour: int, minute: int = 0) -> int:
    return 20_000 * 86400 + hour * 3600 + minute * 60


@pytest.mark.parametrize(
    ("night", "utc_s", "every_s"),
    [
        (NIGHT, at(22), 14400),
        (NIGHT, at(23, 59), 14400),
        (NIGHT, at(5, 59), 14400),
        (NIGHT, at(6), 600),
        (NIGHT, at(21, 59), 600),
        ([60, 120], at(1, 30), 14400),
        ([60, 120], at(2), 600),
        ([60, 60], at(1), 600),
        (None, at(23), 600),
        # Who does not know the time says it as by day.
        (NIGHT, None, 600),
    ],
)
def test_at_night_a_heartbeat_every_4_h_is_enough(setup, slowly, night, utc_s, every_s):
    setup.app.night, setup.tag.utc_s = night, utc_s
    setup.run(2 * every_s + 1)
    assert setup.tag.when("heartbeat") == pytest.approx([every_s, 2 * every_s], abs=0.5)


def test_a_night_does_not_make_heartbeats_more_frequent(setup, slowly):
    setup.app.night, setup.tag.utc_s, setup.app.heartbeat_s = NIGHT, at(23), 17000
    setup.run(17001)
    assert len(setup.tag.when("heartbeat")) == 1


def test_when_the_night_ends_the_next_heartbeat_is_due(setup):
    setup.app.night, setup.tag.utc_s = NIGHT, at(23)

    def morning() -> None:
        setup.tag.utc_s = at(6)

    setup.run(3600, morning, 1)
    assert len(setup.tag.when("heartbeat")) == 1


def test_a_tag_that_is_not_in_service_says_so_every_10_s_but_a_fault_first(setup):
    setup.app.in_service = False

    def fault() -> None:
        setup.app.link.trouble = "no way"

    setup.run(35, fault, 10)
    assert setup.app.haptics.felt == ["not_in_service"] * 3 + ["fault"]


def test_the_charger_off_and_on_twice_arms_a_test(setup):
    def supply(on):
        def change() -> None:
            setup.app.board.supply = on

        return change

    setup.run(supply(True), 1, supply(False), 1, supply(True), 1, supply(False), 1, supply(True), 1)
    assert setup.app.haptics.felt == ["armed"]
    setup.tag.drill.pressed(None)
    assert setup.tag.drill.flag == 1


def test_what_cannot_work_blinks_for_ever(setup):
    async def main() -> None:
        task = asyncio.create_task(setup.app.blink())
        await asyncio.sleep(59)
        assert not task.done()

    run(setup.now, main())
    assert setup.app.haptics.felt == ["fault"] * 20
    assert setup.app.haptics.ran


# ------------------------------------------------------------------------------------------------------------- hurry


def test_a_touch_wants_the_sky_and_the_cell_as_of_now_and_its_press_asks_no_more(setup):
    hurry = setup.app.hurry
    setup.run(5, lambda: hurry(True), 0.6, lambda: hurry(True), 1)
    assert setup.app.sky.wanted == [True, True]
    assert setup.app.modem.seen == 1


def test_the_next_touch_asks_again_for_the_cell(setup):
    hurry = setup.app.hurry
    setup.run(5, lambda: hurry(True), 10, lambda: hurry(False), 1, lambda: hurry(True), 1)
    assert setup.app.modem.seen == 2
    assert setup.app.sky.wanted == [True, False, True]


def test_in_an_incident_a_touch_asks_again_after_10_s(setup):
    hurry = setup.app.hurry
    setup.run(lambda: hurry(True), 9, lambda: hurry(True), 2, lambda: hurry(True), 1)
    assert setup.app.modem.seen == 2


@pytest.mark.parametrize("days", [1, 6.3, 7, 12])
def test_the_cell_is_asked_for_however_long_ago_the_last_touch_was(setup, days):
    """Ticks tell only 6 days apart."""

    async def main() -> None:
        setup.app.hurry(True)
        setup.app.hurry(False)
        await asyncio.sleep(days * 86400)
        setup.app.hurry(True)
        await asyncio.sleep(1)

    run(setup.now, main())
    assert setup.app.modem.seen == 2


def test_the_networks_time_is_told_to_the_tag_unsigned(setup):
    setup.app.on_utc(1_790_000_123)
    assert setup.tag.told == [(0.0, "time 1790000123")]


def test_the_cell_is_the_modems(setup):
    assert setup.app.cell() == [255, 1, 2, 3, -90]


# -------------------------------------------------------------------------------------------------------- the button


def test_touch_press_and_release_are_told_when_they_happen(setup):
    setup.run(3, setup.pin.set(True), 1, setup.pin.set(False), 1)
    events = [(at_s, what) for at_s, what in setup.tag.told if what in ("touch", "pressed", "released")]
    assert [what for _, what in events] == ["touch", "pressed", "released"]
    assert [at_s for at_s, _ in events] == pytest.approx([3.0, 3.6, 4.0], abs=0.03)


def test_the_press_is_told_at_the_very_end_of_the_hold(setup):
    """Not at the next round of a poll: that would be up to 10 ms of every press."""
    setup.app.hold_ms = 605
    setup.run(3, setup.pin.set(True), 1)
    assert setup.tag.when("pressed") == [3.605]


def test_a_finger_that_is_down_at_the_start_is_a_touch(setup):
    setup.pin.down = True
    setup.run(1)
    assert setup.tag.when("touch") == [0.0]
    assert setup.tag.when("pressed") == [0.6]


def test_an_idle_button_is_not_polled(setup):
    looks = []
    real = setup.pin.edges
    setup.pin.edges = lambda: looks.append(1) or real()
    setup.run(600)
    assert len(looks) == 1
