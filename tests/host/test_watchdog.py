"""The watchdog by progress: the app on the firmware's own parts, one of which stops, and a chip that bites."""

import asyncio
from collections.abc import Callable
from typing import Any

import clock
import pytest
import shared_sky
import signals
from at_line import Line
from haptics import Haptics
from own_sky import OwnSky
from shared_sky import SharedSky

from tests.host import fakes
from tests.host.app_setup import Restarted
from tests.host.app_setup import Setup as AppSetup
from tests.host.fakes import FakeRTCMemory, Now, run, ticking
from tests.host.link_setup import Setup as LinkSetup
from tests.host.sky_setup import RadioModem

WATCHDOG_S = 30


class Bitten(BaseException):
    """The hardware has ended this life."""


class Uart(fakes.Uart):
    """`stuck`: the one that reads never comes back."""

    stuck = False

    async def read(self, size: int) -> bytes:
        while True:
            data = await super().read(size)
            if not self.stuck:
                return data
            self._data = data + self._data
            await asyncio.Event().wait()


class Life:
    """One life in service. `fed` holds when the hardware was; `end` is why it ended: the app's word, or "bitten"."""

    def __init__(self, monkeypatch: Any, folder: Any, shared: bool = False) -> None:
        self.now = ticking(monkeypatch, Now())
        monkeypatch.setattr(clock, "due", {})
        setup = AppSetup(self.now)
        self.app, self.tag, self.pin = setup.app, setup.tag, setup.pin
        self.radio = LinkSetup(self.now, folder)
        self.modem, self.sky_uart = Uart(), Uart()
        app = self.app
        app.link = self.radio.link
        app.haptics = Haptics(lambda on: None, lambda on: None, False, app.log)
        app.modem = Line(self.modem, lambda data: None, lambda text, unasked: None, app.log)
        app.sky = (
            SharedSky(RadioModem(self.now), app.log) if shared else OwnSky(self.sky_uart, lambda on: None)
        )
        app.ears = (("modem", self.modem),) + (() if shared else (("sky", self.sky_uart),))
        app.feed, app.rtc = self.feed, FakeRTCMemory()
        self.tag.settled = lambda: True
        self.tag.incident = None
        self.tag.update_soon = lambda: None
        self.fed: list[float] = []
        self.end = ""

    def feed(self) -> None:
        if self.fed and self.now.s - self.fed[-1] > WATCHDOG_S:
            # On a chip it would have bitten before.
            raise Bitten
        self.fed.append(self.now.s)

    def live(self, *steps: float | Callable[[], Any]) -> "Life":
        async def main() -> None:
            task = asyncio.create_task(self.app.run())
            for step in steps:
                if callable(step):
                    step()
                else:
                    await asyncio.wait((task,), timeout=step)
                if task.done():
                    break
            if not task.done():
                if self.now.s - self.fed[-1] > WATCHDOG_S:
                    self.end = "bitten"
                return
            try:
                task.result()
            except Restarted:
                self.end = self.app.rtc.data[21:].decode(errors="replace").split("\n")[0]
            except Bitten:
                self.end = "bitten"
            except Exception as error:  # noqa: BLE001 - as app.run() takes it
                self.end = type(error).__name__

        run(self.now, main())
        return self


@pytest.fixture
def life(monkeypatch, tmp_path) -> Life:
    return Life(monkeypatch, tmp_path)


async def forever(*_: Any) -> None:
    await asyncio.Event().wait()


# -------------------------------------------------------------------------------------------------------- all is well


@pytest.mark.parametrize("shared", [False, True], ids=["own sky", "shared sky"])
def test_while_all_goes_on_it_is_fed_every_second_without_a_press(monkeypatch, tmp_path, shared):
    life = Life(monkeypatch, tmp_path, shared)
    life.live(7200)
    assert life.end == ""
    assert max(late - early for early, late in zip(life.fed, life.fed[1:], strict=False)) < 1.5
    assert len(life.fed) > 7000


def test_presses_sentences_and_a_modem_that_talks_are_progress(life):
    steps: list[Any] = []
    for _ in range(20):
        steps += [
            life.pin.set(True),
            0.7,
            life.pin.set(False),
            lambda: life.modem.arrive(b"\r\n+CEREG: 0,1\r\n"),
            lambda: life.sky_uart.arrive(b"$GPGSV,1*00\r\n" * 9),
            2.3,
        ]
    life.live(*steps)
    assert life.end == ""


def test_without_a_network_the_link_goes_on(life):
    life.radio.bearer.attach_s = None
    life.live(3600)
    assert life.end == ""


def test_a_turn_that_takes_25_s_excuses_everybody_once(life):
    """A name that is looked up with servers that are silent: nobody could go on meanwhile."""

    def look_up() -> None:
        life.now.s += 25

    life.live(95, look_up, 20, look_up, 20, look_up, 600)
    assert life.end == ""


# ---------------------------------------------------------------------------------------------------- what gets stuck


def stuck_button(life: Life, monkeypatch: Any) -> list:
    return [100, lambda: monkeypatch.setattr(life.pin, "wait", forever), 60]


def stuck_haptics(life: Life, monkeypatch: Any) -> list:
    monkeypatch.setattr(signals, "pattern", lambda name, discreet: ([10**9], []))
    return [100, lambda: life.app.haptics.feel("touch"), 60]


def stuck_link(life: Life, monkeypatch: Any) -> list:
    return [100, lambda: monkeypatch.setattr(life.app.link, "_speak", forever), 300]


def stuck_session(life: Life, monkeypatch: Any) -> list:
    async def open(*_: Any) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                if len(cancelled) > 100:
                    raise

    cancelled: list[bool] = []
    monkeypatch.setattr(life.radio.bearer, "open", open)
    return [2000]


def stuck_modem(life: Life, monkeypatch: Any) -> list:
    def stick() -> None:
        life.modem.stuck = True
        life.modem.arrive(b"\r\nOK\r\n")

    return [100, stick, 60]


def stuck_sky(life: Life, monkeypatch: Any) -> list:
    def stick() -> None:
        life.sky_uart.stuck = True
        life.sky_uart.arrive(b"$")

    return [100, stick, 60]


@pytest.mark.parametrize(
    ("who", "stick"),
    [
        ("button", stuck_button),
        ("haptics", stuck_haptics),
        ("link", stuck_link),
        ("session", stuck_session),
        ("modem", stuck_modem),
        ("sky", stuck_sky),
    ],
)
def test_a_task_that_is_stuck_ends_the_life_by_name_though_the_loop_turns(life, monkeypatch, who, stick):
    life.live(*stick(life, monkeypatch))
    assert life.end == f"watchdog: {who} is late"


def test_a_window_of_the_shared_sky_that_never_ends_is_late(monkeypatch, tmp_path):
    life = Life(monkeypatch, tmp_path, shared=True)
    monkeypatch.setattr(shared_sky, "locate", forever)
    life.live(400)
    assert life.end == "watchdog: sky is late"


def test_a_loop_that_stands_still_is_ended_by_the_hardware(life):
    def block(now_ms: int) -> None:
        life.now.s += WATCHDOG_S + 2

    life.live(100, lambda: setattr(life.tag, "tick", block), 60)
    assert life.end == "bitten"


@pytest.mark.parametrize("who", ["link", "haptics", "modem", "sky", "tag"])
def test_a_task_that_dies_ends_the_life(life, who):
    async def die(*_: Any) -> None:
        raise ValueError(who)

    def tick(now_ms: int) -> None:
        raise ValueError(who)

    if who == "tag":
        life.tag.tick = tick
    else:
        getattr(life.app, who).run = die
    life.live(10)
    assert life.end == "ValueError"


def test_a_task_that_returns_is_late(life):
    async def back() -> None:
        pass

    life.app.link.run = back
    clock.expect("link", 1000)
    life.live(60)
    assert life.end == "watchdog: link is late"


def test_not_in_service_nothing_is_fed_nor_ended(life, monkeypatch):
    life.app.feed = None
    with pytest.raises(IndexError):
        life.live(100, lambda: monkeypatch.setattr(life.pin, "wait", forever), 100)
    assert (life.end, life.fed) == ("", [])
