"""
firmware/shared_sky.py with the real tag and link: send first, then listen, then send what was heard. DESIGN §1.

In virtual time; the modem's radio serves LTE or the sky (sky_setup.py).
"""

import asyncio

import pytest
from shared_sky import SharedSky

from tests.host.fakes import run
from tests.host.sky_setup import FIX_UTC_S, RadioBearer, RadioModem
from tests.host.way import Way


class Shared(Way):
    """A worn tag whose only radio is the modem's; `heard` holds (at_s, Claims) of what the desk has heard."""

    def __init__(self, monkeypatch, folder) -> None:
        super().__init__(monkeypatch, folder)
        self.modem = RadioModem(self.now)
        self.bearer = RadioBearer(self.broker, self.modem)
        self.bearers = [self.bearer]
        self.sky = self.worn.sky = SharedSky(self.modem, self.worn.log)
        self.heard = []

    def answer(self, published) -> None:
        self.heard.append((self.now.s, self.worn.desk.hear(published.payload)))
        super().answer(published)

    def start(self):
        return [*super().start(), asyncio.create_task(self.sky.run(self.worn.tag))]

    async def press(self) -> None:
        self.worn.touch()
        await asyncio.sleep(0.6)
        self.worn.tag.on_button("pressed", self.now.ticks_ms())
        await asyncio.sleep(0.2)
        self.worn.tag.on_button("released", self.now.ticks_ms())

    def run(self, main) -> None:
        async def whole() -> None:
            tasks = self.start()
            await main()
            assert not any(task.done() for task in tasks)

        run(self.now, whole())

    def said(self, *kinds: int):
        """(s, Claims) of the alerts and updates, once each."""
        found = {}
        for at_s, claims in self.heard:
            if claims.kind in kinds:
                found.setdefault(claims.cti, (at_s, claims))
        return list(found.values())

    def lent_s(self) -> list[float]:
        return [at_s for at_s, what in self.modem.log if what == "lent"]


@pytest.fixture
def shared(monkeypatch, tmp_path) -> Shared:
    return Shared(monkeypatch, tmp_path)


def test_the_alert_is_answered_before_the_radio_is_lent_and_the_fix_follows_as_an_update(shared):
    shared.modem.sky_s = 30.0

    async def main() -> None:
        # Pressed as soon as it is switched on: nothing of the sky is known.
        await shared.press()
        await asyncio.sleep(50)

    shared.run(main)
    (alert_s, alert), *updates = shared.said(1, 3)
    assert alert.place is None
    assert shared.when("received") < shared.lent_s()[0] < alert_s + 5
    placed = [(at_s, claims) for at_s, claims in updates if claims.place]
    at_s, update = placed[0]
    assert (update.place.lat_e7, update.place.lon_e7, update.place.age_s) == (504501000, 305234000, 0)
    # Listening ended, the radio was given back, LTE attached anew.
    assert at_s > next(end_s for end_s, what in shared.modem.log if what == "AT+CGNSPWR=0") + 1
    assert at_s < shared.lent_s()[0] + 36
    assert update.incident == alert.cti
    assert shared.worn.pending() == []


def test_a_living_session_says_the_last_fix_at_once_with_its_age(shared):
    async def main() -> None:
        await asyncio.sleep(100)
        shared.pressed_s = shared.now.s + 0.6
        await shared.press()
        await asyncio.sleep(3)

    shared.run(main)
    [(alert_s, alert)] = shared.said(1)
    assert alert_s - shared.pressed_s < 0.1
    assert 80 <= alert.place.age_s <= 100
    assert shared.said(3) == []


def test_a_press_in_a_window_takes_the_radio_back_at_once(shared):
    shared.modem.sky_s = None

    async def main() -> None:
        while not shared.lent_s():
            await asyncio.sleep(0.1)
        await asyncio.sleep(20)
        shared.pressed_s = shared.now.s
        await shared.press()
        await asyncio.sleep(5)

    shared.run(main)
    [(alert_s, _)] = shared.said(1)
    # Given back within 0.3 s, then a second to attach: most of it passes while the finger is held down.
    assert alert_s - shared.pressed_s < 1.6
    assert shared.when("received") - shared.pressed_s < 3


def test_a_touch_that_is_no_press_does_not_lend_the_radio_to_the_sky(shared):
    """A child that let go too early presses again: the session must be there then."""

    async def main() -> None:
        await asyncio.sleep(100)
        lent = len(shared.lent_s())
        shared.worn.touch()
        await asyncio.sleep(0.3)
        shared.worn.tag.on_button("released", shared.now.ticks_ms())
        await asyncio.sleep(6)
        assert len(shared.lent_s()) == lent
        shared.pressed_s = shared.now.s + 0.6
        await shared.press()
        await asyncio.sleep(1)

    shared.run(main)
    [(alert_s, _)] = shared.said(1)
    assert alert_s - shared.pressed_s < 0.1


def test_with_no_sky_what_the_desk_says_is_felt_within_two_minutes(shared):
    """Between two windows LTE has its turn, and there is an update in each, which the desk answers."""
    shared.modem.sky_s = None

    async def main() -> None:
        await shared.press()
        await asyncio.sleep(30)
        for level in (2, 3, 2, 3):
            shared.present = (level, shared.present[1] + 1)
            said_s = shared.now.s
            await asyncio.sleep(120)
            assert shared.worn.tag.incident.rev == shared.present[1], shared.now.s - said_s

    shared.run(main)
    assert len(shared.lent_s()) >= 5
    assert "coming" in [signal for _, signal in shared.felt]


def test_lending_the_radio_is_no_trouble_of_the_link(shared):
    shared.modem.sky_s = None

    async def main() -> None:
        await asyncio.sleep(4000)
        await shared.press()
        await asyncio.sleep(600)

    shared.run(main)
    assert len(shared.lent_s()) >= 7
    assert shared.worn.tag.link.trouble is None
    assert not [claims for _, claims in shared.said(4) if claims.text.startswith("link:")]


def test_the_radio_is_not_lent_before_the_alert_is_answered_however_long_that_takes(shared):
    async def main() -> None:
        await asyncio.sleep(30)
        shared.awake = False
        lent = len(shared.lent_s())
        await shared.press()
        await asyncio.sleep(500)
        assert len(shared.lent_s()) == lent
        shared.awake = True
        await asyncio.sleep(90)
        assert len(shared.lent_s()) > lent

    shared.run(main)


def test_the_time_that_the_sky_tells_is_believed(shared):
    shared.awake = False

    async def main() -> None:
        shared.worn.tag.link.state = None
        await asyncio.sleep(10)

    shared.run(main)
    assert shared.worn.tag.utc.utc_s() == pytest.approx(FIX_UTC_S, abs=10)
