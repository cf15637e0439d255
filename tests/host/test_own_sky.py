"""firmware/own_sky.py: a receiver on a UART of its own, in virtual time, with real sentences."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from own_sky import OwnSky

from tests.host.fakes import Now, beside, run, ticking


def sentence(text: str) -> bytes:
    check = 0
    for byte in text.encode():
        check ^= byte
    return b"$%s*%02X\r\n" % (text.encode(), check)


def rmc(second: int, valid: bool = True) -> bytes:
    said = "A,5027.0060,N,03031.4040,E" if valid else "V,,,,"
    return sentence(f"GNRMC,1200{second:02}.00,{said},0.1,,011026,,,{'A' if valid else 'N'},V")


FIX_UTC_S = 1_790_856_000  # 2026-10-01 12:00:00


class Uart:
    """A UART whose read waits for bytes, as MicroPython's StreamReader does; it may come back with None."""

    def __init__(self) -> None:
        self._data: list[bytes | None] = []
        self._heard = asyncio.Event()

    def arrive(self, data: bytes | None) -> None:
        self._data.append(data)
        self._heard.set()

    async def read(self, size: int) -> bytes | None:
        while not self._data:
            self._heard.clear()
            await self._heard.wait()
        data = self._data.pop(0)
        if data and len(data) > size:
            self._data.insert(0, data[size:])
            data = data[:size]
        return data


class Setup:
    """`told`: the times that the tag was told; `supply`: what the receiver's switch was set to."""

    def __init__(self, now: Now) -> None:
        self.now = now
        self.uart = Uart()
        self.told: list[int] = []
        self.supply: list[bool] = []
        self.sky = OwnSky(self.uart, self.supply.append)

    def on_time(self, utc_s: int) -> None:
        self.told.append(utc_s)

    def run(self, *steps) -> None:
        def arriving() -> Iterator[float | Callable[[], object]]:
            for step in steps:
                if isinstance(step, bytes) or step is None:
                    yield partial(self.uart.arrive, step)
                    yield 0.1
                else:
                    yield step

        run(self.now, beside(self.sky.run(self), *arriving()))


@pytest.fixture
def setup(monkeypatch) -> Setup:
    return Setup(ticking(monkeypatch, Now()))


def test_making_it_touches_no_supply(setup):
    assert setup.supply == []
    assert setup.sky.fix() is None


def test_it_is_switched_by_the_tag_alone(setup):
    setup.run(10, lambda: setup.sky.power(True), 60, lambda: setup.sky.power(False), 10)
    assert setup.supply == [True, False]


def test_what_the_receiver_says_is_the_fix_with_the_time_of_its_hearing(setup):
    setup.run(7, rmc(0))
    fix = setup.sky.fix()
    assert (fix.lat_e7, fix.lon_e7, fix.utc_s) == (504501000, 305234000, FIX_UTC_S)
    assert (setup.now.ticks_ms() - fix.at_ms) % (1 << 30) == pytest.approx(100, abs=2)


def test_the_time_it_tells_is_told_once_each(setup):
    setup.run(rmc(0), rmc(0), rmc(1), rmc(2))
    assert setup.told == [FIX_UTC_S, FIX_UTC_S + 1, FIX_UTC_S + 2]


def test_without_a_position_its_time_is_not_told(setup):
    setup.run(rmc(0, valid=False), rmc(1, valid=False))
    assert setup.told == []
    assert setup.sky.fix() is None


@pytest.mark.parametrize("size", [1, 7, 50, 400])
def test_any_cut_of_its_words_is_the_same(setup, size):
    data = b"".join(rmc(second) for second in range(12))
    setup.run(*(data[start : start + size] for start in range(0, len(data), size)))
    assert setup.told[-1] == setup.sky.fix().utc_s == FIX_UTC_S + 11
    assert setup.told == sorted(set(setup.told))


def test_a_fix_does_not_outlive_the_receiver_that_had_it(setup):
    setup.run(lambda: setup.sky.power(True), rmc(0), lambda: setup.sky.power(False))
    assert setup.sky.fix() is None


def test_switched_on_again_the_fix_stands_until_the_receiver_says_otherwise(setup):
    """A press follows its touch: what was known at the touch must not be forgotten."""
    setup.run(lambda: setup.sky.power(True), rmc(0), lambda: setup.sky.power(True))
    assert setup.sky.fix() is not None


def test_half_a_sentence_before_the_switch_spoils_nothing_after_it(setup):
    setup.run(
        lambda: setup.sky.power(True),
        rmc(0)[:30],
        lambda: setup.sky.power(False),
        lambda: setup.sky.power(True),
        rmc(5),
    )
    assert setup.told == [FIX_UTC_S + 5]


@pytest.mark.parametrize("noise", [None, b"\x00", b"\xff" * 600, b"$GNRMC,,,*00\r\n" * 50], ids=repr)
def test_nothing_and_noise_are_no_news_and_end_nothing(setup, noise):
    setup.run(noise, noise, b"\r\n", rmc(0))
    assert setup.told == [FIX_UTC_S]
