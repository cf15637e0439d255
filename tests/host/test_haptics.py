"""firmware/haptics.py in virtual time: what the motor and the light really do."""

import asyncio
import re
from pathlib import Path

import pytest
import signals
from haptics import Haptics
from incident import TABLE
from log import Log

from tests.host.fakes import Now, run

NAMES = [row.split()[0] for row in signals.TABLE.strip().split("\n")]


class Setup:
    """Motor and light that remember when they were switched, in ms from the beginning."""

    def __init__(self, discreet: bool = False) -> None:
        self.now = Now()
        self.began_s = self.now.s
        self.motor: list[tuple[int, bool]] = []
        self.light: list[tuple[int, bool]] = []
        self.log = Log(self.now.ticks_ms, lambda line: None)
        self.haptics = Haptics(self.switch(self.motor), self.switch(self.light), discreet, self.log)

    def switch(self, times):
        return lambda on: times.append((round((self.now.s - self.began_s) * 1000), on))

    def feel(self, *names: str, wait_s: float = 60) -> None:
        async def main() -> None:
            task = asyncio.create_task(self.haptics.run())
            for name in names:
                self.haptics.feel(name)
            await asyncio.sleep(wait_s)
            assert not task.done(), task.exception()

        run(self.now, main())

    def buzzes(self) -> list[tuple[int, int]]:
        """(at_ms, for_ms) of each time that the motor ran."""
        return runs(self.motor)


def runs(times) -> list[tuple[int, int]]:
    found = []
    began_ms = None
    for at_ms, on in times:
        if on and began_ms is None:
            began_ms = at_ms
        elif not on and began_ms is not None:
            found.append((began_ms, at_ms - began_ms))
            began_ms = None
    assert began_ms is None, "left running"
    return found


def buzzes_of(name: str, at_ms: int = 0) -> list[tuple[int, int]]:
    """What signals.py's table says of a signal, as buzzes()."""
    times_ms = [0, *signals.pattern(name, False)[0]]
    return [(at_ms + sum(times_ms[: n + 1]), times_ms[n + 1]) for n in range(0, len(times_ms) - 1, 2)]


PATTERNS = {name: buzzes_of(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_each_signal_is_played_as_the_table_has_it(name):
    setup = Setup()
    setup.feel(name)
    assert setup.buzzes() == PATTERNS[name]


def test_no_two_vibrations_feel_alike():
    patterns = [tuple(pattern) for pattern in PATTERNS.values() if pattern]
    assert len(set(patterns)) == len(patterns)


def test_coming_is_the_only_long_triple():
    assert [name for name, pattern in PATTERNS.items() if len(pattern) == 3 and pattern[0][1] > 200] == [
        "coming"
    ]


def test_every_signal_that_an_incident_can_give_has_a_pattern():
    given = {row.split()[3] for row in TABLE.strip().split("\n")} - {"-"}
    assert given <= set(NAMES)


def test_every_signal_that_the_firmware_names_has_a_pattern():
    """An unknown one would end the task that plays, and so restart the tag."""
    named = set()
    for module in ("tag.py", "app.py"):
        source = Path(signals.__file__).with_name(module).read_text()
        named |= set(re.findall(r'(?:feel|_felt)\("(\w+)"\)', source))
    assert {"touch", "received", "still_trying", "fault"} <= named <= set(NAMES)


def test_signals_follow_one_another_with_a_pause_and_none_is_cut_short():
    setup = Setup()
    setup.feel("sent_off", "received")
    _, ends_ms = PATTERNS["sent_off"][0]
    assert setup.buzzes() == PATTERNS["sent_off"] + buzzes_of("received", ends_ms + 150)


def test_the_light_goes_with_the_vibration():
    setup = Setup()
    setup.feel("received")
    assert runs(setup.light) == setup.buzzes()


@pytest.mark.parametrize("name", NAMES)
def test_discreet_keeps_every_vibration_and_shows_no_light(name):
    setup = Setup(discreet=True)
    setup.feel(name)
    assert setup.buzzes() == PATTERNS[name]
    assert not any(on for _, on in setup.light)


def test_a_later_signal_wakes_the_player_again():
    setup = Setup()

    async def main() -> None:
        asyncio.get_running_loop().call_later(5, setup.haptics.feel, "touch")
        asyncio.get_running_loop().call_later(7, setup.haptics.feel, "touch")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(setup.haptics.run(), 20)

    run(setup.now, main())
    assert setup.buzzes() == [(5000, 60), (7000, 60)]


@pytest.mark.parametrize("small", ["still_trying", "touch"])
def test_when_too_much_is_queued_the_small_signals_give_way_and_are_counted(small):
    setup = Setup()
    setup.feel("sent_off", small, "received", "coming", small, "closed", small)
    told = [for_ms for name in ("sent_off", "received", "coming", "closed") for _, for_ms in PATTERNS[name]]
    assert [for_ms for _, for_ms in setup.buzzes()] == told
    assert setup.log.counters == {"haptics.dropped": 3}


def test_of_two_small_signals_only_one_gives_way():
    setup = Setup()
    setup.feel("touch", "still_trying", "sent_off", "received", "closed")
    told = [for_ms for name in ("touch", "sent_off", "received", "closed") for _, for_ms in PATTERNS[name]]
    assert [for_ms for _, for_ms in setup.buzzes()] == told
    assert setup.log.counters == {"haptics.dropped": 1}


def test_four_signals_are_not_too_many():
    setup = Setup()
    setup.feel("touch", "still_trying", "sent_off", "touch")
    assert len(setup.buzzes()) == 4
    assert setup.log.counters == {}


def test_a_signal_that_tells_the_truth_is_never_dropped():
    setup = Setup()
    names = ["sent_off", "received", "coming", "still_calling", "cancel", "closed"] * 2
    setup.feel(*names)
    assert len(setup.buzzes()) == sum(len(PATTERNS[name]) for name in names)
    assert setup.log.counters == {}
