"""firmware/tag.py and its clock: who is believed, what outlives a restart, and what a false network can do."""

import calendar
import sys
import types

import pytest

from tests.host.fakes import BUILT_S
from tests.host.tag_setup import Worn

DAY_S = 86400


@pytest.fixture
def worn(monkeypatch, tmp_path) -> Worn:
    return Worn(monkeypatch, tmp_path)


def now_s(worn: Worn) -> int:
    """What the modem's clock is set to: the driver is given these fields."""
    return calendar.timegm(worn.tag.utc.fields())


def answer(worn: Worn, utc_s: int) -> None:
    worn.tag.heartbeat()
    worn.desk.utc_s = utc_s
    worn.hear(worn.tag.link.state, 0, 0)


def test_the_last_signed_time_outlives_the_supply_and_is_the_least_that_it_can_be(worn):
    answer(worn, BUILT_S + 30 * DAY_S)
    worn.cut()
    assert now_s(worn) >= BUILT_S + 30 * DAY_S
    # Nobody knows how long it was off.
    assert worn.tag.utc.utc_s() is None
    worn.tag.on_time(BUILT_S + 29 * DAY_S)
    assert worn.tag.utc.utc_s() is None
    assert worn.log.counters == {"time.refused": 1}


def test_signed_time_costs_flash_one_record_a_day(worn):
    puts: list[str] = []
    real = worn.nvs.put
    worn.nvs.put = lambda name, data: (puts.append(name), real(name, data))
    for hour in range(1, 73):
        answer(worn, BUILT_S + hour * 3600)
    assert puts == ["time"] * 3
    worn.nvs.refuses = True
    answer(worn, BUILT_S + 99 * DAY_S)
    assert worn.tag.utc.utc_s() == BUILT_S + 99 * DAY_S


def test_a_false_network_moves_the_clock_and_the_next_answer_of_the_desk_sets_it_right(worn):
    answer(worn, BUILT_S + DAY_S)
    worn.tag.on_time(BUILT_S + 700 * DAY_S)
    assert now_s(worn) == BUILT_S + 700 * DAY_S
    worn.restart()
    answer(worn, BUILT_S + DAY_S + 60)
    assert worn.tag.utc.utc_s() == now_s(worn) == BUILT_S + DAY_S + 60


def test_time_beyond_two_years_is_refused_and_counted_from_whoever_it_comes(worn):
    answer(worn, BUILT_S + DAY_S)
    for years in (3, 10, 70):
        worn.tag.on_time(BUILT_S + years * 365 * DAY_S)
    assert now_s(worn) == BUILT_S + DAY_S
    assert worn.log.counters == {"time.refused": 3}


@pytest.mark.parametrize("signed", [False, True])
def test_what_the_time_is_worth_outlives_a_reset(worn, signed):
    if signed:
        answer(worn, BUILT_S + DAY_S)
    else:
        worn.tag.on_time(BUILT_S + DAY_S)
    trust = worn.tag.utc.trust
    worn.restart()
    assert worn.tag.utc.trust == trust == (5 if signed else 1)
    assert worn.tag.utc.utc_s() == BUILT_S + DAY_S


def test_a_doubt_outlives_a_reset(worn):
    """Else the time that was gone back to would be said as if somebody had told it."""
    worn.tag.on_time(BUILT_S + 400 * DAY_S)
    worn.tag.on_time(None)
    assert (worn.tag.utc.utc_s(), now_s(worn)) == (None, BUILT_S)
    worn.restart()
    assert worn.tag.utc.utc_s() is None
    worn.press()
    assert worn.said()[-1].iat is None


@pytest.mark.parametrize("kept_s", [0, BUILT_S - DAY_S, BUILT_S + 20 * 365 * DAY_S, (1 << 40) - 1])
def test_a_kept_time_that_cannot_be_is_not_believed(kept_s, monkeypatch):
    monkeypatch.setitem(sys.modules, "board", types.ModuleType("board"))
    vars(sys.modules["board"]).update(NVS=None, Board=None)
    monkeypatch.delitem(sys.modules, "build", raising=False)
    from journal import pack

    import build

    monkeypatch.setattr(build, "_built_s", lambda: BUILT_S)
    nvs = types.SimpleNamespace(get=lambda name: pack(kept_s.to_bytes(5, "big")))
    assert build._floor_s(nvs) == BUILT_S
    nvs.get = lambda name: pack((BUILT_S + DAY_S).to_bytes(5, "big"))
    assert build._floor_s(nvs) == BUILT_S + DAY_S
    nvs.get = lambda name: b"noise"
    assert build._floor_s(nvs) == BUILT_S
